//! What may happen with every request is said once, and then no more often than every ten seconds, with how often it has
//! happened meanwhile: a log that is flooded says nothing. Pure: time is an argument.

use std::time::Duration;

/// As often as a person who watches would want to be told that it goes on.
const EVERY: Duration = Duration::from_secs(10);

/// One kind of news. `now` is time since any fixed moment.
#[derive(Debug, Default)]
pub(crate) struct Sparing {
    said: Option<Duration>,
    unsaid: u64,
}

impl Sparing {
    /// It has happened: how often since it was said last, when it is time to say so.
    pub(crate) fn happened(&mut self, now: Duration) -> Option<u64> {
        self.unsaid += 1;
        if self.said.is_some_and(|said| now.saturating_sub(said) < EVERY) {
            return None;
        }
        self.said = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_at_once_and_the_others_are_summed_up() {
        let mut news = Sparing::default();
        let said: Vec<(u64, u64)> = (0..2500_u64)
            .filter_map(|n| news.happened(Duration::from_millis(n * 10)).map(|count| (n / 100, count)))
            .collect();
        assert_eq!(said, [(0, 1), (10, 1000), (20, 1000)]);
        assert_eq!(news.happened(Duration::from_secs(3600)), Some(500));
    }
}
