//! What a backend's latest faults weigh, as a pure core. A backend that refuses has nothing under way and would look like the
//! idlest of all: with the fewest-requests rule it would draw nearly every request to itself. So each fault in a row counts
//! as a request under way, and half of them are forgiven with each second.

use std::time::Duration;

/// Faults beyond weigh nothing more: after ten seconds the last of them is forgiven.
const FAULTS_MAX: u64 = 1 << 10;

/// The faults of one backend. `now` is time since any fixed moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Debt {
    faults: u64,
    at: Duration,
}

impl Debt {
    /// How many requests under way they weigh.
    pub(crate) fn weight(&self, now: Duration) -> u64 {
        let halvings = u32::try_from(now.saturating_sub(self.at).as_secs()).unwrap_or(u32::MAX);
        self.faults.checked_shr(halvings).unwrap_or(0)
    }

    /// It has failed a request.
    pub(crate) fn failed(&mut self, now: Duration) {
        *self = Debt { faults: (self.weight(now) + 1).min(FAULTS_MAX), at: now };
    }

    /// It has answered one.
    pub(crate) fn answered(&mut self) {
        self.faults = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_in_a_row_add_up_half_are_forgiven_each_second_and_all_with_an_answer() {
        let ms = Duration::from_millis;
        let mut debt = Debt::default();
        (0..8).for_each(|n| debt.failed(ms(n)));
        assert_eq!([0, 1, 2, 3, 4].map(|s| debt.weight(ms(500 + s * 1000))), [8, 4, 2, 1, 0]);
        (0..100_000).for_each(|_| debt.failed(ms(5000)));
        assert_eq!((debt.weight(ms(5000)), debt.weight(ms(16_000)), debt.weight(Duration::MAX)), (1024, 0, 0));
        debt.answered();
        assert_eq!(debt.weight(ms(5000)), 0);
    }
}
