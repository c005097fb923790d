//! Chance: all of it that this crate uses comes from here. Seeded, it gives a test the same throws each time; dice are shared
//! by all threads without a lock.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where chance comes from: the operating system, or a seed with which everything comes out the same again.
#[derive(Debug)]
pub struct Chance(Option<Dice>);

impl Chance {
    /// From the operating system: what comes out can neither be foreseen nor had again.
    #[must_use]
    pub fn of_the_system() -> Self {
        Chance(None)
    }

    /// The same seed gives the same.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Chance(Some(Dice::new(seed)))
    }

    /// Dice for one place that throws them: what is thrown there shifts nothing elsewhere.
    pub(crate) fn dice(&self) -> Dice {
        Dice::new(self.0.as_ref().map_or_else(|| of_the_system(STEP), Dice::throw))
    }

    /// A key for secrets.
    pub(crate) fn key(&self) -> (u64, u64) {
        match &self.0 {
            None => (of_the_system(0), of_the_system(1)),
            Some(dice) => (dice.throw(), dice.throw()),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where this crate's chance comes from")]
fn of_the_system(n: u64) -> u64 {
    // The standard library seeds its hash maps from the operating system.
    RandomState::new().hash_one(n)
}

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

    #[test]
    fn a_seed_gives_the_same_dice_and_keys_again_and_the_system_does_not() {
        let all = |chance: &Chance| (chance.dice().throw(), chance.dice().throw(), chance.key());
        let (one, same) = (all(&Chance::seeded(7)), all(&Chance::seeded(7)));
        assert_eq!(one, same);
        assert!(one.0 != one.1 && one != all(&Chance::seeded(8)));
        assert_ne!(all(&Chance::of_the_system()), all(&Chance::of_the_system()));
    }
}
