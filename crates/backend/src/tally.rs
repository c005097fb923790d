//! What is counted of one origin: plain atomics, since only requests that go to an origin touch them, not hits.

use crate::fault::{Blame, Fault};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often one kind of fault happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FaultCount {
    /// How far the fetch had come ([`crate::Phase`]).
    pub phase: &'static str,
    /// The error type of RFC 9209.
    pub error: &'static str,
    /// Whose fault it was ([`crate::fault::Blame`]).
    pub by: &'static str,
    /// Whether the request could be sent again ([`Fault::retry_safe`]).
    pub retry_safe: bool,
    /// So often.
    pub count: u64,
}

/// Phase, error type and blame; whether a retry is safe.
type FaultKey = ([&'static str; 3], bool);

/// The counts of one origin. Every field only grows, but for the gauges.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Gauge: sockets open to the origin, in use or idle in a pool.
    pub(crate) connections_open: AtomicU64,
    /// Gauge: those of them that carry no request now.
    pub(crate) connections_idle: AtomicU64,
    /// Gauge: requests under way, over HTTP/2 many over one socket; what `max_connections` bounds.
    pub(crate) running: AtomicU64,
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
    /// As many as there are such kinds at most.
    faults: Mutex<BTreeMap<FaultKey, u64>>,
}

impl Tally {
    /// Time from the start of the exchange to the whole response head.
    pub(crate) fn head_arrived(&self, took: Duration) {
        self.latency_us_sum.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.latency_count.fetch_add(1, Relaxed);
    }

    fn faults(&self) -> MutexGuard<'_, BTreeMap<FaultKey, u64>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a fault.
    pub(crate) fn failed(&self, fault: &Fault) {
        let words = [fault.phase.as_str(), fault.code(), fault.blame().as_str()];
        *self.faults().entry((words, fault.retry_safe)).or_default() += 1;
    }

    /// Requests under way.
    pub(crate) fn running(&self) -> u64 {
        self.running.load(Relaxed)
    }

    /// All failures but the client's, which are none of the origin.
    pub(crate) fn failures(&self) -> u64 {
        self.faults().iter().filter(|(([_, _, by], _), _)| *by != Blame::Client.as_str()).map(|(_, count)| count).sum()
    }

    /// Every kind of fault that has happened.
    pub(crate) fn fault_counts(&self) -> Vec<FaultCount> {
        let faults = self.faults();
        let count = |(&([phase, error, by], retry_safe), &count): (&FaultKey, &u64)| FaultCount {
            phase,
            error,
            by,
            retry_safe,
            count,
        };
        faults.iter().map(count).collect()
    }
}
