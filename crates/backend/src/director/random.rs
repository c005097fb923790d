//! Weighted random: each pick by itself, so that nothing is shared between threads but the dice. Even on the average only.

use super::{Choice, Field};
use crate::dice::Dice;

#[derive(Debug)]
pub(crate) struct Random {
    weights: Vec<u32>,
    dice: Dice,
}

impl Random {
    /// Members by their weights. A weight of 0 means: never.
    pub(crate) fn new(weights: &[u32], dice: Dice) -> Self {
        Random { weights: weights.to_vec(), dice }
    }

    pub(crate) fn choose(&self, field: &impl Field) -> Choice {
        let part = |(i, &weight): (usize, &u32)| (i, u64::from(weight) * field.share(i));
        let total: u64 = self.weights.iter().enumerate().map(part).map(|(_, part)| part).sum();
        let mut left = self.dice.below(total);
        for (i, part) in self.weights.iter().enumerate().map(part) {
            if left < part {
                return Choice::Member(i);
            }
            left -= part;
        }
        // Somebody went sick between the two passes, or nobody can be chosen.
        match self.weights.iter().enumerate().map(part).find(|(_, part)| *part > 0) {
            Some((i, _)) => Choice::Member(i),
            None => Choice::NoneHealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, spread};
    use super::*;

    #[test]
    fn shares_follow_the_weights_within_a_twentieth() {
        let rule = Random::new(&[5, 3, 2], Dice::new(1));
        let field = Fake::well(3);
        let counts = spread(100_000, 3, |_| rule.choose(&field));
        for (count, share) in counts.iter().zip([50_000, 30_000, 20_000]) {
            assert!(count.abs_diff(share) < share / 20, "{counts:?}");
        }
    }

    #[test]
    fn sick_members_get_nothing_and_ramps_count() {
        let rule = Random::new(&[1, 1, 1], Dice::new(1));
        let field = Fake::shares(&[0, 250, 1000]);
        let counts = spread(100_000, 3, |_| rule.choose(&field));
        assert!(counts[0] == 0 && counts[1].abs_diff(20_000) < 1000, "{counts:?}");
        assert_eq!(rule.choose(&Fake::shares(&[0, 0, 0])), Choice::NoneHealthy);
    }
}
