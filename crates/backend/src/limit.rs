//! How many requests a backend should work on at a time, as a pure core: the gradient of its latency (Netflix's
//! concurrency-limits, `Gradient2`).
//!
//! ```text
//! gradient = usual latency × tolerance / latency now     between ½ and 1
//! limit    = 0.8 × limit + 0.2 × (limit × gradient + √limit)
//! ```
//!
//! While the backend is as fast as usual, the limit grows by about a fifth of its root with each answer; when it is slower
//! than it may be, the limit comes down until the queue inside the backend is gone. A request without an answer takes a
//! tenth off. The usual latency is a mean over some hundred answers, so a change that lasts becomes the new usual.

use std::time::Duration;

/// Within which bounds, and how sensitive. All limits are requests at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdaptiveOptions {
    /// The least.
    pub min: u32,
    /// At the start.
    pub initial: u32,
    /// Thousandths of the usual latency that are still no reason to come down; at least 1000.
    pub tolerance_permille: u32,
}

/// Answers that the usual latency is a mean over; that of Gradient2.
const USUAL_ANSWERS: f64 = 600.0;
/// Answers of the beginning, over which it is a plain mean.
const FIRST_ANSWERS: u32 = 10;
/// How much of the new limit counts; that of Gradient2.
const SMOOTHING: f64 = 0.2;
/// How fast the usual latency is let down when the latency is far below it: it was measured under load.
const RECOVERY: f64 = 0.95;
/// What is left of the limit after a request without an answer.
const AFTER_FAULT: f64 = 0.9;

/// The limit of one backend.
#[derive(Clone, Debug)]
pub(crate) struct Gradient {
    options: AdaptiveOptions,
    max: f64,
    limit: f64,
    usual_us: f64,
    answers: u32,
}

impl Gradient {
    /// `max` is the owner's own limit.
    pub(crate) fn new(options: AdaptiveOptions, max: u32) -> Self {
        let limit = f64::from(options.initial.clamp(options.min.min(max), max));
        Gradient { options, max: f64::from(max), limit, usual_us: 0.0, answers: 0 }
    }

    /// The limit now: whole requests, at least one.
    pub(crate) fn limit(&self) -> u32 {
        // Between 1 and `max`, which is a whole number of 32 bits.
        self.limit.round().max(1.0) as u32
    }

    fn set(&mut self, limit: f64) {
        self.limit = limit.clamp(f64::from(self.options.min).min(self.max), self.max);
    }

    /// An answer took so long, while `running` requests were under way, this one among them.
    pub(crate) fn answered(&mut self, took: Duration, running: u32) {
        let took_us = (took.as_secs_f64() * 1e6).max(1.0);
        self.answers = self.answers.saturating_add(1);
        let share =
            if self.answers <= FIRST_ANSWERS { 1.0 / f64::from(self.answers) } else { 2.0 / (USUAL_ANSWERS + 1.0) };
        self.usual_us += (took_us - self.usual_us) * share;
        if self.usual_us / took_us > 2.0 {
            self.usual_us *= RECOVERY;
        }
        // What is not used says nothing of whether more would be too much.
        if f64::from(running) < self.limit / 2.0 {
            return;
        }
        let tolerance = f64::from(self.options.tolerance_permille) / 1000.0;
        let gradient = (tolerance * self.usual_us / took_us).clamp(0.5, 1.0);
        let new = self.limit * gradient + self.limit.sqrt();
        self.set(self.limit * (1.0 - SMOOTHING) + new * SMOOTHING);
    }

    /// A request had no answer: refused, timed out, cut off, or answered with 503.
    pub(crate) fn failed(&mut self) {
        self.set(self.limit * AFTER_FAULT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: AdaptiveOptions = AdaptiveOptions { min: 4, initial: 20, tolerance_permille: 1500 };

    /// A backend with so many places: up to that it takes 10 ms, beyond all wait for each other.
    fn run(gradient: &mut Gradient, places: u32, answers: usize) -> Vec<u32> {
        (0..answers)
            .map(|_| {
                let running = gradient.limit();
                let over = f64::from(running.max(places)) / f64::from(places);
                gradient.answered(Duration::from_secs_f64(0.01 * over), running);
                gradient.limit()
            })
            .collect()
    }

    #[test]
    fn the_limit_finds_what_the_backend_can_do_and_follows_it() {
        let mut g = Gradient::new(OPTIONS, 1000);
        let limits = run(&mut g, 100, 300);
        let settled = *limits.last().expect("some");
        assert!((90..=300).contains(&settled), "near the 100 places, with some queue: {settled}");
        let fewer = *run(&mut g, 25, 40).last().expect("some");
        assert!(fewer < settled / 2, "most of its places are gone: {settled} to {fewer}");
    }

    #[test]
    fn a_backend_as_fast_as_ever_gets_as_much_as_its_owner_allows_and_an_idle_one_stays() {
        let mut g = Gradient::new(OPTIONS, 200);
        run(&mut g, 10_000, 300);
        assert_eq!(g.limit(), 200);
        let mut idle = Gradient::new(OPTIONS, 200);
        for _ in 0..1000 {
            idle.answered(Duration::from_millis(5), 3);
        }
        assert_eq!(idle.limit(), 20);
    }

    #[test]
    fn faults_bring_it_down_to_its_least_and_answers_up_again() {
        let mut g = Gradient::new(OPTIONS, 200);
        (0..100).for_each(|_| g.failed());
        assert_eq!(g.limit(), 4);
        run(&mut g, 10_000, 100);
        assert!(g.limit() > 50, "{}", g.limit());
        let mut tiny = Gradient::new(OPTIONS, 2);
        (0..100).for_each(|_| tiny.failed());
        assert_eq!(tiny.limit(), 2, "never more than the owner's limit, nor none");
    }

    #[test]
    fn noise_within_the_tolerance_takes_nothing_off() {
        let mut g = Gradient::new(OPTIONS, 200);
        for n in 0..500u32 {
            let ms = [10, 11, 9, 13, 10][n as usize % 5];
            let running = g.limit();
            g.answered(Duration::from_millis(ms), running);
        }
        assert_eq!(g.limit(), 200);
    }
}
