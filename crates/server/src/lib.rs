//! Copal as a process: listeners and workers, the HTTP fronts, signals and reload, the admin API and metrics.
//!
//! pingora-core is the chassis here and nowhere above: the pipeline knows the seam in `copal_pipeline::io` only.

mod accounts;
mod admin;
mod assemble;
mod chance;
mod drain;
mod front;
mod in_memory;
mod listen;
mod origins;
mod reload;
mod serve;
mod signals;
mod snapshot;
mod stats;
mod worker;

pub use assemble::{AssembleError, Surroundings, check_policy, check_policy_alone};
pub use chance::Chance;
pub use in_memory::{ClientEnd, InMemory, Introduction};
pub use listen::ListenError;
pub use serve::{ServeError, serve};
