//! Counters that threads do not contend for: one cache-line-padded shard per thread, summed when somebody asks.
//!
//! ```text
//! thread 0 ─▶ shard 0 [client_requests, hits_fresh, …]  ┐
//! thread 1 ─▶ shard 1 [client_requests, hits_fresh, …]  ├─ sum ─▶ get, snapshot
//! …                                                     ┘
//! ```
//!
//! A gauge may go up in one thread and down in another: a shard is then negative in two's complement, and the wrapping
//! sum is right all the same.

pub use crate::counter::{COUNT, COUNTERS, Counter, CounterInfo, Kind, reference_markdown};
use crate::shard::{self, SHARDS};
use crate::snapshot::Snapshot;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// All counters of one process. Shared by `Arc`; never reset.
#[derive(Debug)]
pub struct Counters {
    shards: Box<[Shard]>,
}

/// 128 and not 64: processors fetch cache lines in pairs.
#[derive(Debug)]
#[repr(align(128))]
struct Shard([AtomicU64; COUNT]);

impl Counters {
    /// All at zero.
    #[must_use]
    pub fn new() -> Arc<Counters> {
        let shards = (0..SHARDS).map(|_| Shard([const { AtomicU64::new(0) }; COUNT])).collect();
        Arc::new(Counters { shards })
    }

    /// One more.
    #[inline]
    pub fn inc(&self, counter: Counter) {
        self.add(counter, 1);
    }

    /// `n` more.
    #[inline]
    pub fn add(&self, counter: Counter, n: u64) {
        self.shards[shard::index()].0[counter as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// One less; for gauges.
    #[inline]
    pub fn dec(&self, counter: Counter) {
        self.sub(counter, 1);
    }

    /// `n` less; for gauges.
    #[inline]
    pub fn sub(&self, counter: Counter, n: u64) {
        debug_assert!(counter.info().kind == Kind::Gauge, "{} only grows", counter.info().name);
        self.shards[shard::index()].0[counter as usize].fetch_sub(n, Ordering::Relaxed);
    }

    /// One more now, and one less when the guard is dropped, in whatever thread: for gauges of what is under way.
    #[must_use = "the gauge falls when the guard is dropped"]
    pub fn hold(self: &Arc<Self>, counter: Counter) -> Held {
        self.inc(counter);
        Held { counters: Arc::clone(self), counter }
    }

    /// The value. A gauge read while others write may be off by what is in the middle of being counted.
    #[must_use]
    pub fn get(&self, counter: Counter) -> i64 {
        let sum = |sum: u64, shard: &Shard| sum.wrapping_add(shard.0[counter as usize].load(Ordering::Relaxed));
        self.shards.iter().fold(0, sum) as i64
    }

    /// All values, in the order of the table.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        COUNTERS.iter().map(|info| (info.name.into(), self.get(info.counter))).collect()
    }
}

/// Keeps a gauge one higher while it lives; made by [`Counters::hold`].
#[derive(Debug)]
pub struct Held {
    counters: Arc<Counters>,
    counter: Counter,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.counters.dec(self.counter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn no_count_is_lost_between_many_threads() {
        let counters = Counters::new();
        thread::scope(|scope| {
            for _ in 0..SHARDS + 16 {
                scope.spawn(|| (0..1000).for_each(|_| counters.inc(Counter::ClientRequests)));
            }
        });
        assert_eq!(counters.get(Counter::ClientRequests), (SHARDS as i64 + 16) * 1000);
        assert_eq!(counters.get(Counter::HitsFresh), 0);
    }

    #[test]
    fn a_gauge_raised_in_one_thread_may_fall_in_another() {
        let counters = Counters::new();
        counters.add(Counter::Bytes, 100);
        thread::scope(|scope| {
            scope.spawn(|| counters.sub(Counter::Bytes, 70));
        });
        assert_eq!(counters.get(Counter::Bytes), 30);
        let held = counters.hold(Counter::FetchesRunning);
        assert_eq!(counters.get(Counter::FetchesRunning), 1);
        thread::spawn(move || drop(held)).join().unwrap();
        assert_eq!(counters.get(Counter::FetchesRunning), 0);
    }

    #[test]
    fn the_shards_of_two_threads_share_no_cache_line() {
        assert_eq!(align_of::<Shard>(), 128);
        assert_eq!(size_of::<Shard>() % 128, 0);
    }
}
