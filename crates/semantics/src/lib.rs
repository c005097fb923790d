//! The rules of HTTP caching (RFC 9110, 9111, 5861, 9211, 9213) as pure functions.
//!
//! No async, no clock, no logging, nothing from this workspace: what comes in is heads and times, what goes out is a
//! decision that carries its reason.
//!
//! ```text
//! response arrives:  rules ─▶ cache_control ─▶ storability ─▶ freshness ─▶ vary   (or validation, partial, invalidation)
//! request arrives:   key ─▶ vary ─▶ reuse ─▶ conditional ─▶ range ─▶ cache_status
//! ```

pub mod age;
pub mod cache_control;
pub mod cache_status;
pub mod cache_tags;
pub mod conditional;
pub mod date;
pub mod etag;
pub mod freshness;
pub mod headers;
pub mod hop_by_hop;
pub mod invalidation;
pub mod key;
pub mod max_forwards;
pub mod message;
pub mod negotiation;
pub mod packed;
pub mod partial;
pub mod proxy_status;
pub mod query;
pub mod range;
pub mod reason;
pub mod reuse;
pub mod rules;
pub mod storability;
mod structured;
pub mod time;
pub mod validation;
pub mod vary;
pub mod via;

pub use headers::{HeaderError, Headers};
pub use message::{RequestHead, ResponseHead, host_without_port};
pub use reason::Reason;
pub use rules::Rules;
pub use time::{Span, Time};
