//! Latency histograms with fixed log-linear bounds, sharded like the counters.
//!
//! ```text
//! bucket 0    [0, 1 µs)
//! bucket 1…   18 per decade: [1.0, 1.5) [1.5, 2.0) … [9.5, 10) × 1 µs, 10 µs, … 10 s
//! last        [100 s, ∞)
//! ```
//!
//! Decimal bounds, so that the ones Prometheus is told (1, 2, 5 × 10ⁿ) are exact and not interpolated.

use crate::shard::{self, SHARDS};
use serde::{Deserialize, Serialize};
use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const DECADES: usize = 8;
const PER_DECADE: usize = 18;
const LAST: usize = DECADES * PER_DECADE + 1;
/// The number of buckets.
pub const BUCKETS: usize = LAST + 1;

/// One histogram. Recording is one relaxed add to a line that only this thread writes.
#[derive(Debug)]
pub struct Histogram {
    shards: Box<[Shard]>,
}

#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    buckets: [AtomicU64; BUCKETS],
    sum_ns: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        let shard = || Shard { buckets: array::from_fn(|_| AtomicU64::new(0)), sum_ns: AtomicU64::new(0) };
        Histogram { shards: (0..SHARDS).map(|_| shard()).collect() }
    }
}

impl Histogram {
    /// Counts one event that took `duration`.
    #[inline]
    pub fn record(&self, duration: Duration) {
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let shard = &self.shards[shard::index()];
        shard.buckets[bucket(ns)].fetch_add(1, Ordering::Relaxed);
        shard.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// The counts of all threads.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let mut sum = HistogramSnapshot { sum_ns: 0, buckets: vec![0; BUCKETS] };
        for shard in &self.shards {
            sum.sum_ns = sum.sum_ns.saturating_add(shard.sum_ns.load(Ordering::Relaxed));
            for (total, one) in sum.buckets.iter_mut().zip(&shard.buckets) {
                *total += one.load(Ordering::Relaxed);
            }
        }
        sum
    }
}

fn bucket(ns: u64) -> usize {
    if ns < lower_ns(1) {
        return 0;
    }
    if ns >= lower_ns(LAST) {
        return LAST;
    }
    let decade = ns.ilog10() as usize - 3; // 1 µs is 10³ ns
    let half_step = 500 * 10_u64.pow(decade as u32);
    1 + decade * PER_DECADE + (ns / half_step) as usize - 2
}

/// Where a bucket begins, in nanoseconds; the upper end is where the next begins.
fn lower_ns(bucket: usize) -> u64 {
    let Some(step) = bucket.min(LAST).checked_sub(1) else { return 0 };
    (step % PER_DECADE + 2) as u64 * 500 * 10_u64.pow((step / PER_DECADE) as u32)
}

/// The content of a [`Histogram`] at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct HistogramSnapshot {
    /// The sum of all durations, in nanoseconds.
    pub sum_ns: u64,
    /// How many events fell into each bucket.
    pub buckets: Vec<u64>,
}

impl HistogramSnapshot {
    /// How many events were recorded.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The mean; `None` without events.
    #[must_use]
    pub fn mean(&self) -> Option<Duration> {
        self.sum_ns.checked_div(self.count()).map(Duration::from_nanos)
    }

    /// The duration that a share `q` (0 to 1) of the events did not exceed, interpolated within its bucket; `None`
    /// without events. Off by at most the width of the bucket: 50 % at the start of a decade, 5 % at its end. Beyond
    /// 100 s it says 100 s.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let count = self.count();
        let rank = ((q.clamp(0.0, 1.0) * count as f64).ceil() as u64).max(1);
        let mut below = 0;
        for (lower, upper, n) in self.rows() {
            if below + n >= rank {
                let width = upper.unwrap_or(lower) - lower;
                return Some(lower + width.mul_f64((rank - below) as f64 / n as f64));
            }
            below += n;
        }
        None
    }

    /// The buckets that hold something: from, to (`None`: without end), how many.
    pub fn rows(&self) -> impl Iterator<Item = (Duration, Option<Duration>, u64)> {
        self.buckets.iter().enumerate().filter(|(_, n)| **n > 0).map(|(i, n)| {
            let upper = (i < LAST).then(|| Duration::from_nanos(lower_ns(i + 1)));
            (Duration::from_nanos(lower_ns(i)), upper, *n)
        })
    }

    /// How many events took less than `bound`, which should be 1, 1.5, 2 … 9.5 × 10ⁿ to be exact.
    #[must_use]
    pub fn below(&self, bound: Duration) -> u64 {
        self.rows().filter(|(_, upper, _)| upper.is_some_and(|upper| upper <= bound)).map(|(_, _, n)| n).sum()
    }
}

/// How long requests took, from the head received to the last byte sent, by what served them.
#[derive(Debug, Default)]
pub struct Latencies {
    /// Served from the store, or by a fetch of another request.
    pub hit: Histogram,
    /// Served by a fetch of their own that was to be stored.
    pub miss: Histogram,
    /// Passed to the origin.
    pub pass: Histogram,
}

impl Latencies {
    /// All at one moment.
    #[must_use]
    pub fn snapshot(&self) -> LatenciesSnapshot {
        LatenciesSnapshot { hit: self.hit.snapshot(), miss: self.miss.snapshot(), pass: self.pass.snapshot() }
    }
}

/// The content of [`Latencies`] at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LatenciesSnapshot {
    /// See [`Latencies::hit`].
    pub hit: HistogramSnapshot,
    /// See [`Latencies::miss`].
    pub miss: HistogramSnapshot,
    /// See [`Latencies::pass`].
    pub pass: HistogramSnapshot,
}

impl LatenciesSnapshot {
    /// Name and histogram of each.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &HistogramSnapshot); 3] {
        [("hit", &self.hit), ("miss", &self.miss), ("pass", &self.pass)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn every_bucket_holds_its_lower_bound_and_not_its_upper() {
        for i in 0..BUCKETS {
            assert_eq!(bucket(lower_ns(i)), i, "lower bound of {i}");
            if i < LAST {
                assert_eq!(bucket(lower_ns(i + 1) - 1), i, "last value of {i}");
            }
        }
        assert_eq!(lower_ns(LAST), 100_000_000_000);
        assert_eq!(bucket(u64::MAX), LAST);
    }

    #[test]
    fn quantiles_come_from_the_right_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().quantile(0.5), None);
        assert_eq!(histogram.snapshot().mean(), None);
        (0..99).for_each(|_| histogram.record(Duration::from_micros(10)));
        histogram.record(Duration::from_secs(2));
        let snapshot = histogram.snapshot();
        let median = snapshot.quantile(0.5).unwrap();
        assert!((Duration::from_micros(10)..=Duration::from_micros(15)).contains(&median), "{median:?}");
        assert!(snapshot.quantile(1.0).unwrap() >= Duration::from_secs(2));
        assert_eq!(snapshot.mean().unwrap(), Duration::from_nanos((99 * 10_000 + 2_000_000_000) / 100));
        assert_eq!(snapshot.below(Duration::from_millis(1)), 99);
    }

    #[test]
    fn an_event_of_minutes_reads_as_the_last_bound() {
        let histogram = Histogram::default();
        histogram.record(Duration::from_secs(1000));
        assert_eq!(histogram.snapshot().quantile(0.5), Some(Duration::from_secs(100)));
    }

    #[test]
    fn no_event_is_lost_between_many_threads() {
        let histogram = Histogram::default();
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..1000).for_each(|_| histogram.record(Duration::from_micros(1))));
            }
        });
        assert_eq!(histogram.snapshot().count(), 8000);
        assert_eq!(histogram.snapshot().sum_ns, 8_000_000);
    }
}
