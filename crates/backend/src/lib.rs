//! What stands between Copal and the application servers: origins, their health, directors, connections and fetches.
//!
//! ```text
//! Backends ── pick(name, ask) ──▶ Origin ── exchange(pool, origin, head, body) ──▶ Exchange { head, body }
//!    │  director: which member        │ health: probes, ejection, owner's word     │ Fault: phase, kind, retry_safe
//!    └─ run_probes: one loop per origin└ tally: counts that rows() shows           └ connection returns to the Pool by itself
//! ```
//!
//! HTTP/1.1 to origins is spoken here (framing by `copal-wire`, strict, with trailers) over pingora-core's transport
//! connectors, which keep the pool. No pingora type is in the public interface.

pub mod address;
pub mod ask;
pub mod backends;
pub mod body;
mod connection;
pub mod dial;
mod dice;
pub mod director;
mod ejection;
pub mod fault;
pub mod fetch;
pub mod health;
mod latency;
pub mod origin;
pub mod outlier;
pub mod pool;
pub mod probe;
mod probing;
pub mod ramp;
mod request;
mod resolve;
pub mod row;
pub mod saint;
mod sending;
mod slots;
mod talk;
mod tally;

pub use address::{Address, AddressError};
pub use ask::{Ask, By, When};
pub use backends::{Backends, BackendsError, DirectorOptions, Picked};
pub use body::{BodyError, NoBody, RequestBody, ResponseBody, SendBody};
pub use copal_wire::{BodyFraming, WireError};
pub use dial::{Dial, Dialling, OriginEnd, Wire};
pub use director::{Choice, DirectorKind, MemberOptions, SessionOptions};
pub use fault::{Fault, FaultKind, Phase};
pub use fetch::{Exchange, Timeouts, exchange};
pub use health::Admin;
pub use origin::{Origin, OriginOptions};
pub use outlier::EjectOptions;
pub use pool::Pool;
pub use probe::{HttpProbe, Pattern, ProbeKind, ProbeOptions, ProbeWindow, Transition};
pub use probing::{probe_through, run_probes};
pub use row::{DirectorRow, OriginRow};
