//! What is counted of one origin: plain atomics, since only requests that go to an origin touch them, not hits.

use crate::fault::{Fault, FaultKind};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The classes that failures are counted in, and the order of [`Tally::failures`].
const CLASSES: [&str; 9] =
    ["resolve", "connect", "timeout", "closed", "protocol", "short_body", "busy", "other", "tls"];

/// The counts of one origin. Every field only grows, but for the two gauges.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Gauge: sockets open to the origin, in use or idle in a pool.
    pub(crate) connections_open: AtomicU64,
    /// Gauge: sockets that carry a request now; what `max_connections` bounds.
    pub(crate) connections_in_use: AtomicU64,
    /// Gauge: requests that wait for one of those.
    pub(crate) waiting: AtomicU64,
    /// Requests that have waited.
    pub(crate) waited: AtomicU64,
    pub(crate) connections_opened: AtomicU64,
    pub(crate) connections_reused: AtomicU64,
    pub(crate) reconnects: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) latency_us_sum: AtomicU64,
    pub(crate) latency_count: AtomicU64,
    pub(crate) probes: AtomicU64,
    pub(crate) probes_failed: AtomicU64,
    failures: [AtomicU64; CLASSES.len()],
}

impl Tally {
    /// Time from the start of the exchange to the whole response head.
    pub(crate) fn head_arrived(&self, took: Duration) {
        self.latency_us_sum.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.latency_count.fetch_add(1, Relaxed);
    }

    /// Counts a fault in its class; faults of the client are no failure of the origin.
    pub(crate) fn failed(&self, fault: &Fault) {
        let class = match fault.kind {
            FaultKind::Unresolved => 0,
            FaultKind::Refused | FaultKind::Unroutable => 1,
            FaultKind::Timeout => 2,
            FaultKind::Closed => 3,
            FaultKind::Protocol(_) | FaultKind::Http2 | FaultKind::Upgrade | FaultKind::TooManyInterim => 4,
            FaultKind::ShortBody => 5,
            FaultKind::Busy => 6,
            FaultKind::Local | FaultKind::BadRequest | FaultKind::NoHealthyBackend | FaultKind::UnknownBackend => 7,
            FaultKind::Tls(_) => 8,
            FaultKind::Client(_) => return,
        };
        self.failures[class].fetch_add(1, Relaxed);
    }

    /// Sockets that carry a request now.
    pub(crate) fn in_use(&self) -> u64 {
        self.connections_in_use.load(Relaxed)
    }

    /// All failures.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.iter().map(|n| n.load(Relaxed)).sum()
    }

    /// Failures by class; classes without any are left out.
    pub(crate) fn failures_by_kind(&self) -> BTreeMap<&'static str, u64> {
        CLASSES.iter().zip(&self.failures).map(|(c, n)| (*c, n.load(Relaxed))).filter(|(_, n)| *n > 0).collect()
    }
}
