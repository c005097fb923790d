//! What Copal tells about itself: the clock, counters, latencies, the access log, request ids, traces and statistics.
//!
//! Nothing here blocks or fails a request (invariant 10).

pub mod access_log;
pub mod clock;
mod counter;
pub mod counters;
pub mod explain;
pub mod histogram;
mod log_reference;
pub mod prometheus;
mod record;
pub mod request_id;
mod shard;
pub mod snapshot;
pub mod stats;
mod stats_text;
pub mod timestamp;
pub mod trace;

pub use access_log::{AccessLog, AccessLogOptions, Format, Outcome, Record, Target};
pub use clock::Clock;
pub use counters::{Counter, Counters, reference_markdown};
pub use histogram::{Histogram, HistogramSnapshot, Latencies, LatenciesSnapshot};
pub use log_reference::log_reference_markdown;
pub use snapshot::Snapshot;
pub use stats::{BackendRow, Stats, StoreRow};
