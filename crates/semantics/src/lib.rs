//! The rules of HTTP caching (RFC 9110, 9111, 5861, 9211, 9213) as pure functions.
//!
//! No async, no clock, no logging, nothing from this workspace: what comes in is heads and times, what goes out is a
//! decision that carries its reason.

pub mod headers;
pub mod message;
pub mod time;

pub use headers::{HeaderError, Headers};
pub use message::{RequestHead, ResponseHead};
pub use time::{Span, Time};
