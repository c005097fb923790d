//! The two state machines that a request goes through, from its head to the last byte of its response.
//!
//! ```text
//! client ──▶ recv ─▶ hash ─▶ lookup ─┬▶ hit ──────────┬─▶ deliver ──▶ client
//!                                    ├▶ miss ─▶ fetch ┤
//!                                    └▶ pass ─▶ fetch ┘      fetch: a task of its own
//! ```
//!
//! Not one type of the HTTP front is named here: see [`io`] for the seam.

#[cfg(test)]
mod action_tests;
mod bound;
pub mod core;
mod driver;
#[cfg(test)]
mod edge_tests;
mod fetch;
mod filters;
pub mod io;
mod jitter;
mod partial;
mod protocols;
mod purge;
mod relay;
mod request_body;
mod routing;
mod selecting;
mod shadow;
pub mod step;
mod steps;
mod times;
mod tracer;
mod txn;
mod words;

pub use crate::core::{Core, Invalidation, Pipes, Retrying, Settings, Worker};
pub use driver::serve;
pub use jitter::Jitter;
pub use protocols::Protocols;
pub use purge::{PurgedUrl, ban, purge_tags, purge_url};
pub use shadow::Shadowing;
pub use tracer::{Noted, Sink, Tracer, Witness};
pub use txn::{Txn, Verdict};
