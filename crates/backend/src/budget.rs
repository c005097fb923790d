//! The retry budget as a pure core (Finagle's `RetryBudget`, Envoy's `retry_budget`): retries are a share of the requests,
//! and a few more, so that they never multiply an outage.
//!
//! ```text
//! over the last 10 s:  retries ≤ requests × share + 10 s × a few per second
//! ```
//!
//! The few are for whoever has little traffic, where a share of it is less than one. One budget for each name that requests
//! are sent to (a backend, or a director): an outage of one does not use up what another needs.

use std::time::Duration;

/// How many retries there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BudgetOptions {
    /// Thousandths of the requests of the last 10 s.
    pub share_permille: u32,
    /// Retries beyond that, per second.
    pub per_second: u32,
}

impl Default for BudgetOptions {
    /// Finagle's: a fifth, and ten a second.
    fn default() -> Self {
        BudgetOptions { share_permille: 200, per_second: 10 }
    }
}

/// The window in seconds; Finagle's.
pub const WINDOW_S: u64 = 10;
const PLACES: usize = WINDOW_S as usize;

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    at: u64,
    requests: u64,
    retries: u64,
}

/// What was sent to one name lately. `now` is time since any fixed moment.
#[derive(Debug)]
pub(crate) struct Budget {
    options: BudgetOptions,
    seconds: [Second; PLACES],
}

impl Budget {
    pub(crate) fn new(options: BudgetOptions) -> Self {
        Budget { options, seconds: [Second::default(); PLACES] }
    }

    /// A request was sent for the first time.
    pub(crate) fn sent(&mut self, now: Duration) {
        self.second(now).requests += 1;
    }

    /// May one be sent again? Then it is counted.
    pub(crate) fn retry(&mut self, now: Duration) -> bool {
        let at = now.as_secs();
        let lately = |second: &&Second| second.at <= at && at - second.at < WINDOW_S;
        let (requests, retries) = self
            .seconds
            .iter()
            .filter(lately)
            .fold((0, 0), |(requests, retries), second| (requests + second.requests, retries + second.retries));
        let share = requests * u64::from(self.options.share_permille) / 1000;
        let may = retries < share + u64::from(self.options.per_second) * WINDOW_S;
        if may {
            self.second(now).retries += 1;
        }
        may
    }

    fn second(&mut self, now: Duration) -> &mut Second {
        let at = now.as_secs();
        let second = &mut self.seconds[usize::try_from(at % WINDOW_S).unwrap_or(0)];
        if second.at != at {
            *second = Second { at, ..Second::default() };
        }
        second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(share_permille: u32, per_second: u32) -> Budget {
        Budget::new(BudgetOptions { share_permille, per_second })
    }

    /// An outage: every one of `rate` requests a second fails and would be sent again.
    fn retries(budget: &mut Budget, rate: u64, seconds: std::ops::Range<u64>) -> u64 {
        let mut granted = 0;
        for n in seconds.start * rate..seconds.end * rate {
            let now = Duration::from_micros(n * 1_000_000 / rate);
            budget.sent(now);
            granted += u64::from(budget.retry(now));
        }
        granted
    }

    #[test]
    fn in_an_outage_retries_stay_a_share_of_the_requests_however_many_these_are() {
        for rate in [100, 1000, 10_000] {
            let mut b = budget(200, 10);
            retries(&mut b, rate, 0..20);
            let granted = retries(&mut b, rate, 20..80);
            let bound = 60 * (rate / 5 + 10);
            assert!(granted <= bound + rate && granted >= bound - bound / 4, "{rate}: {granted} of {bound}");
        }
    }

    #[test]
    fn who_has_little_traffic_has_a_few_retries_all_the_same_and_zero_is_none() {
        assert_eq!(retries(&mut budget(200, 10), 1, 0..60), 60);
        assert_eq!(retries(&mut budget(0, 0), 1000, 0..60), 0);
        let mut b = budget(0, 1);
        let at_once = (0..100).filter(|_| b.retry(Duration::from_secs(5))).count();
        assert_eq!(at_once, 10, "those of the window");
        assert!(!b.retry(Duration::from_secs(14)) && b.retry(Duration::from_secs(15)));
    }

    #[test]
    fn what_is_older_than_the_window_is_forgotten_and_time_may_stand_still() {
        let mut b = budget(1000, 0);
        (0..50).for_each(|_| b.sent(Duration::from_secs(100)));
        assert_eq!((0..99).filter(|_| b.retry(Duration::from_secs(109))).count(), 50);
        assert!(!b.retry(Duration::from_secs(110)), "the requests are forgotten");
        (0..5).for_each(|_| b.sent(Duration::from_secs(1000)));
        assert_eq!((0..9).filter(|_| b.retry(Duration::from_secs(1000))).count(), 5);
    }
}
