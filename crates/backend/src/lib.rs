//! What stands between Copal and the application servers: origins, their health, directors, connections and fetches.
//!
//! ```text
//! Backends ── pick(name, ask) ──▶ Origin ── exchange(pool, origin, head, body) ──▶ Exchange { head, body }
//!    │  director: which member        │ health: probes, ejection, owner's word     │ Fault: phase, kind, retry_safe
//!    └─ run_probes: one loop per origin└ tally: counts that rows() shows           └ connection returns to the Pool by itself
//! ```
//!
//! HTTP/1.1 to origins is spoken here (framing by `copal-wire`, strict, with trailers), HTTP/2 by the h2 crate. Sockets are
//! opened here (`connect`: many addresses, TLS, the PROXY protocol); idle ones are kept by pingora-core's pool. No type of
//! pingora, rustls or h2 is in the public interface.

pub mod address;
pub mod ask;
pub mod backends;
pub mod body;
pub mod budget;
mod connect;
mod connection;
mod debt;
pub mod dial;
mod dice;
pub mod director;
mod ejection;
pub mod fault;
pub mod fetch;
pub mod health;
pub mod http2;
pub mod latency;
pub mod limit;
pub mod names;
pub mod origin;
pub mod outlier;
pub mod pool;
pub mod probe;
mod probing;
pub mod proxy_protocol;
pub mod ramp;
mod request;
pub mod resolve;
pub mod response;
pub mod route;
pub mod row;
pub mod saint;
mod sending;
#[cfg(test)]
mod simulation;
mod slots;
mod socket;
mod sparing;
mod talk;
mod tally;
pub mod tls;
pub mod tunnel;

pub use address::{Address, AddressError};
pub use ask::{Ask, By, When};
pub use backends::{Backends, BackendsError, DirectorOptions, Picked};
pub use body::{BodyError, NoBody, RequestBody, SendBody};
pub use budget::BudgetOptions;
pub use copal_wire::{BodyFraming, WireError};
pub use dial::{Dial, Dialling, OriginEnd, Wire};
pub use dice::Chance;
pub use director::{Choice, DirectorKind, MemberOptions, SessionOptions};
pub use fault::{Blame, Fault, FaultKind, Phase};
pub use fetch::{Exchange, Timeouts, exchange};
pub use health::Admin;
pub use limit::AdaptiveOptions;
pub use names::ResolveOptions;
pub use origin::{Origin, OriginOptions};
pub use outlier::EjectOptions;
pub use pool::Pool;
pub use probe::{HttpProbe, Pattern, ProbeKind, ProbeOptions, ProbeWindow, Transition};
pub use probing::{probe_through, run_probes};
pub use proxy_protocol::{Ends, ProxyProtocol};
pub use resolve::NameRow;
pub use response::ResponseBody;
pub use route::Route;
pub use row::{DirectorRow, OriginRow};
pub use slots::Class;
pub use tally::FaultCount;
pub use tls::{Http2, TlsError, TlsFault, TlsOptions, TlsVersion};
pub use tunnel::{Opened, Tunnel, TunnelReader, TunnelWriter};
