//! Peak EWMA: of two members by chance, the one whose latency times its requests under way is less (power of two choices,
//! Mitzenmacher 2001). Two and not all, so that not everybody runs to the one that looks best.

use super::{Choice, Field};
use crate::dice::Dice;

#[derive(Debug)]
pub(crate) struct PeakEwma {
    weights: Vec<u32>,
    dice: Dice,
}

impl PeakEwma {
    pub(crate) fn new(weights: &[u32], dice: Dice) -> Self {
        PeakEwma { weights: weights.to_vec(), dice }
    }

    pub(crate) fn choose(&self, field: &impl Field) -> Choice {
        let can = |i: &usize| self.weights[*i] > 0 && field.share(*i) > 0;
        let nth = |n: u64| (0..self.weights.len()).filter(can).nth(usize::try_from(n).unwrap_or(0));
        let count = (0..self.weights.len()).filter(can).count() as u64;
        let first = self.dice.below(count);
        let second = self.dice.below(count.saturating_sub(1));
        // The second is another than the first, and each pair is as likely.
        let second = if second >= first { second + 1 } else { second };
        match (nth(first), nth(second)) {
            (Some(a), Some(b)) if self.cost(field, b) < self.cost(field, a) => Choice::Member(b),
            (Some(i), _) | (None, Some(i)) => Choice::Member(i),
            // Somebody went sick meanwhile, or nobody can be chosen.
            (None, None) => nth(0).map_or(Choice::NoneHealthy, Choice::Member),
        }
    }

    fn cost(&self, field: &impl Field, i: usize) -> f64 {
        let weight = f64::from(self.weights[i]) * field.share(i) as f64;
        field.latency_us(i) * (field.load(i) + 1) as f64 / weight.max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, spread};
    use super::*;

    fn counts(field: &Fake, weights: &[u32]) -> Vec<usize> {
        let rule = PeakEwma::new(weights, Dice::new(3));
        spread(30_000, weights.len(), |_| rule.choose(field))
    }

    #[test]
    fn equal_members_get_equal_shares() {
        let got = counts(&Fake::well(3), &[1; 3]);
        assert!(got.iter().all(|n| n.abs_diff(10_000) < 500), "{got:?}");
    }

    #[test]
    fn the_slowest_gets_only_what_nobody_else_could_take() {
        let field = Fake { latencies_us: vec![900.0, 50_000.0, 1000.0], ..Fake::well(3) };
        let got = counts(&field, &[1; 3]);
        assert_eq!(got[1], 0, "{got:?}");
        assert!(got[0].abs_diff(20_000) < 500, "the best of every pair it is in: {got:?}");
    }

    #[test]
    fn requests_under_way_count_and_so_do_weights_and_ramps() {
        let field = Fake::well(2);
        field.loads[0].set(9);
        assert_eq!(counts(&field, &[1, 1])[0], 0);
        assert_eq!(counts(&field, &[11, 1])[1], 0);
        assert_eq!(counts(&Fake::shares(&[1000, 100]), &[1, 1])[1], 0);
        assert_eq!(counts(&Fake::shares(&[0, 100]), &[1, 1])[0], 0);
        assert_eq!(PeakEwma::new(&[1], Dice::new(1)).choose(&Fake::shares(&[0])), Choice::NoneHealthy);
    }
}
