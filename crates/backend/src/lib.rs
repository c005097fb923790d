//! What stands between Copal and the application servers: origins, their health, directors, connections and fetches.
//!
//! ```text
//! Backends ── pick(name) ──▶ Origin ── exchange(pool, origin, head, body) ──▶ Exchange { head, body }
//!    │  director: which member        │ health: probe window + owner's override    │ Fault: phase, kind, retry_safe
//!    └─ run_probes: one loop per origin└ tally: counts that rows() shows           └ connection returns to the Pool by itself
//! ```
//!
//! HTTP/1.1 to origins is spoken here (framing by `copal-wire`, strict, with trailers) over pingora-core's transport
//! connectors, which keep the pool. No pingora type is in the public interface.

pub mod address;
pub mod backends;
pub mod body;
mod connection;
pub mod director;
pub mod fault;
pub mod fetch;
pub mod health;
pub mod origin;
pub mod pool;
pub mod probe;
mod prober;
mod request;
mod resolve;
mod sending;
mod talk;
mod tally;

pub use address::{Address, AddressError};
pub use backends::{Backends, BackendsError, DirectorOptions};
pub use body::{BodyError, NoBody, RequestBody, ResponseBody, SendBody};
pub use copal_wire::{BodyFraming, WireError};
pub use director::{Choice, DirectorKind};
pub use fault::{Fault, FaultKind, Phase};
pub use fetch::{Exchange, Timeouts, exchange};
pub use health::Admin;
pub use origin::{Origin, OriginOptions, OriginRow};
pub use pool::Pool;
pub use probe::{ProbeOptions, ProbeWindow, Transition};
pub use prober::run_probes;
