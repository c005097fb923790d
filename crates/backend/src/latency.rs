//! Peak EWMA, as Finagle and Linkerd balance by it: the mean of the latencies, where a worse one counts at once and better
//! ones only as time goes by.
//!
//! Theirs fades towards nothing while a backend is not asked, so that one answer of a second keeps a backend that takes a
//! millisecond out for seven decay times. Here what was not heard of for one decay time is old: the backend is asked once, and its
//! answer stands for all that was before.

use std::time::Duration;

/// How fast the past fades unless the owner says otherwise: after that long it counts for 1/e. Finagle's and Linkerd's default.
pub const DECAY: Duration = Duration::from_secs(10);
/// What a backend is taken for that has not answered yet: with nothing it would get every request until its first answer.
/// Linkerd's default.
const UNKNOWN_US: f64 = 30_000.0;
/// What a fault counts as at least: a refused connection takes no time, and would else be the fastest answer of all.
pub(crate) const FAULT: Duration = Duration::from_secs(1);

/// The latency of one backend. `now` is time since any fixed moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeakEwma {
    mean_us: f64,
    /// When it was heard of last.
    at: Option<Duration>,
    decay: Duration,
}

impl Default for PeakEwma {
    /// Nothing is known yet, and nobody goes by it.
    fn default() -> Self {
        PeakEwma { mean_us: UNKNOWN_US, at: None, decay: Duration::MAX }
    }
}

impl PeakEwma {
    /// From now on the past fades with this, if that is faster.
    pub(crate) fn decay_within(&mut self, decay: Duration) {
        self.decay = self.decay.min(decay);
    }

    /// Takes in one answer.
    pub(crate) fn observe(&mut self, took: Duration, now: Duration) {
        let took_us = took.as_secs_f64() * 1e6;
        let past = match self.at {
            Some(at) if !self.is_old(now) => (-now.saturating_sub(at).as_secs_f64() / self.decay.as_secs_f64()).exp(),
            Some(_) | None => 0.0,
        };
        self.mean_us = took_us.max(self.mean_us * past + took_us * (1.0 - past));
        self.at = self.at.max(Some(now));
    }

    /// Has it not been heard of for so long that it should be asked?
    pub(crate) fn is_old(&self, now: Duration) -> bool {
        self.at.is_none_or(|at| now.saturating_sub(at) >= self.decay)
    }

    /// Microseconds; at least 1.
    pub(crate) fn micros(&self) -> f64 {
        self.mean_us.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_time() {
        let mut e = PeakEwma::default();
        e.decay_within(DECAY);
        e.observe(ms(5), ms(0));
        assert!((e.micros() - 5000.0).abs() < 1.0, "the first is all that is known: {e:?}");
        e.observe(ms(400), ms(1000));
        assert!((e.micros() - 400_000.0).abs() < 1.0, "{e:?}");
        e.observe(ms(5), ms(2000));
        assert!(e.micros() > 350_000.0, "one good answer does not make it good: {e:?}");
        (0..800).for_each(|n| e.observe(ms(5), ms(2000 + n * 100)));
        assert!(e.micros() < 6000.0, "many do: {e:?}");
    }

    #[test]
    fn what_was_not_heard_of_for_a_decay_time_is_old_and_the_next_answer_stands_for_it() {
        let mut e = PeakEwma::default();
        assert!(e.is_old(ms(0)), "never heard of");
        [ms(60_000), ms(500), DECAY].into_iter().for_each(|decay| e.decay_within(decay));
        e.observe(Duration::from_secs(60), ms(100));
        assert_eq!([100, 599, 600].map(|now| e.is_old(ms(now))), [false, false, true]);
        assert!(e.micros() > 59e6, "not less slow for that: {e:?}");
        e.observe(ms(5), ms(600));
        assert!((e.micros() - 5000.0).abs() < 1.0 && !e.is_old(ms(601)), "{e:?}");
    }
}
