//! Peak EWMA, as Finagle and Linkerd balance by it: the mean of the latencies, where a worse one counts at once and better
//! ones only as time goes by, and where what has not been measured for long is forgotten.

use std::time::Duration;

/// How fast the past fades: after that long it counts for 1/e. Finagle's and Linkerd's default.
const DECAY: Duration = Duration::from_secs(10);
/// What a backend is taken for that has not answered yet: with nothing it would get every request until its first answer.
/// Linkerd's default.
const UNKNOWN_US: f64 = 30_000.0;
/// What a fault counts as at least: a refused connection takes no time, and would else be the fastest answer of all.
pub(crate) const FAULT: Duration = Duration::from_secs(1);

/// The latency of one backend. `now` is time since any fixed moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeakEwma {
    mean_us: f64,
    at: Duration,
}

impl Default for PeakEwma {
    fn default() -> Self {
        PeakEwma { mean_us: UNKNOWN_US, at: Duration::ZERO }
    }
}

impl PeakEwma {
    /// Takes in one answer.
    pub(crate) fn observe(&mut self, took: Duration, now: Duration) {
        let took_us = took.as_secs_f64() * 1e6;
        let past = self.weight_of_the_past(now);
        self.mean_us = took_us.max(self.mean_us * past + took_us * (1.0 - past));
        self.at = now.max(self.at);
    }

    /// Microseconds; at least 1.
    pub(crate) fn micros(&self, now: Duration) -> f64 {
        (self.mean_us * self.weight_of_the_past(now)).max(1.0)
    }

    fn weight_of_the_past(&self, now: Duration) -> f64 {
        (-(now.saturating_sub(self.at).as_secs_f64()) / DECAY.as_secs_f64()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_counts_at_once_and_fades_with_time() {
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let mut e = PeakEwma::default();
        e.observe(ms(5), s(60));
        assert!(e.micros(s(60)) < 5_100.0, "{e:?}");
        e.observe(ms(400), s(61));
        assert!((e.micros(s(61)) - 400_000.0).abs() < 1.0, "{e:?}");
        e.observe(ms(5), s(62));
        assert!(e.micros(s(62)) > 350_000.0, "one good answer does not make it good: {e:?}");
        assert!(e.micros(s(162)) < 100.0, "forgotten: {e:?}");
    }
}
