//! Randomness for directors: seeded, so that a test gets the same throws each time, and shared by all threads without a lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// SplitMix64 (Steele, Lea and Flood 2014): a counter with a good mixer behind it. Not for secrets.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

/// The golden ratio in 64 bits: the counter's step.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

impl Dice {
    /// The same seed throws the same.
    pub(crate) fn new(seed: u64) -> Self {
        Dice(AtomicU64::new(seed))
    }

    /// Another seed each time.
    pub(crate) fn random() -> Self {
        Dice::new(RandomState::new().hash_one(STEP))
    }

    /// 64 random bits.
    pub(crate) fn throw(&self) -> u64 {
        mix(self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
    }

    /// From 0 to `n` − 1; 0 when `n` is 0.
    pub(crate) fn below(&self, n: u64) -> u64 {
        scale(self.throw(), n)
    }
}

/// Every bit of the result depends on every bit of `x`.
pub(crate) const fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A point on the circle of 2⁶⁴ as a number from 0 to `n` − 1.
pub(crate) fn scale(point: u64, n: u64) -> u64 {
    u64::try_from((u128::from(point) * u128::from(n)) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throws_are_even_and_repeat_with_the_seed() {
        let (dice, same) = (Dice::new(7), Dice::new(7));
        let mut seen = [0; 10];
        for _ in 0..100_000 {
            let n = dice.below(10);
            assert_eq!(n, same.below(10));
            seen[usize::try_from(n).expect("below 10")] += 1;
        }
        assert!(seen.iter().all(|n| (9_700..10_300).contains(n)), "{seen:?}");
        assert_eq!((dice.below(0), dice.below(1)), (0, 0));
    }
}
