//! Jitter: what was filled together does not expire together.
//!
//! A lifetime is only ever made shorter, by a share drawn anew for every object: RFC 9111 §4.2 lets a cache take a response
//! for stale earlier, never later.

use copal_policy::Random;
use copal_semantics::Span;
use std::fmt;
use std::sync::Arc;

/// How much earlier an object may expire.
#[derive(Clone)]
pub struct Jitter {
    /// Up to this many percent of its lifetime; 0 is off.
    pub percent: u32,
    /// Where the shares come from; tests give the same ones again.
    pub random: Arc<dyn Random>,
}

impl Default for Jitter {
    fn default() -> Self {
        Jitter { percent: 0, random: Arc::new(copal_policy::SeededRandom::new(0)) }
    }
}

impl fmt::Debug for Jitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jitter").field("percent", &self.percent).finish_non_exhaustive()
    }
}

impl Jitter {
    /// What is to be taken off a lifetime, this time: from nothing to `percent` of it.
    pub(crate) fn cut(&self, lifetime: Span) -> Span {
        if self.percent == 0 || lifetime <= Span::ZERO {
            return Span::ZERO;
        }
        let most = i128::from(lifetime.as_micros()) * i128::from(self.percent.min(100)) / 100;
        let share = i128::from(self.random.next() >> 1);
        Span::from_micros(i64::try_from((most * share) >> 63).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copal_policy::SeededRandom;

    #[test]
    fn lifetimes_spread_over_the_share_and_never_grow() {
        let jitter = Jitter { percent: 20, random: Arc::new(SeededRandom::new(1)) };
        let cuts: Vec<i64> = (0..1000).map(|_| jitter.cut(Span::from_secs(100)).as_micros()).collect();
        assert!(cuts.iter().all(|c| (0..=20_000_000).contains(c)));
        for tenth in 0..10 {
            let within = cuts.iter().filter(|c| **c / 2_000_000 == tenth).count();
            assert!((60..140).contains(&within), "{within} in tenth {tenth}");
        }
        assert_eq!(jitter.cut(Span::ZERO), Span::ZERO);
        assert_eq!(jitter.cut(Span::from_secs(-3)), Span::ZERO);
        assert!(jitter.cut(Span::MAX) > Span::ZERO);
        assert_eq!(Jitter::default().cut(Span::from_secs(100)), Span::ZERO);
    }
}
