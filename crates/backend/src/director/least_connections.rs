//! Least connections: the member with the fewest requests under way for its weight. Those that are equal take turns.

use super::{Choice, Field};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[derive(Debug)]
pub(crate) struct LeastConnections {
    weights: Vec<u32>,
    turn: AtomicUsize,
}

impl LeastConnections {
    pub(crate) fn new(weights: &[u32]) -> Self {
        LeastConnections { weights: weights.to_vec(), turn: AtomicUsize::new(0) }
    }

    pub(crate) fn choose(&self, field: &impl Field) -> Choice {
        let n = self.weights.len();
        let turn = self.turn.fetch_add(1, Relaxed);
        // (requests if it got this one, its effective weight); fractions are compared without dividing.
        let mut best: Option<(u128, u128, usize)> = None;
        for i in (0..n).map(|k| (turn.wrapping_add(k)) % n) {
            let weight = u128::from(self.weights[i]) * u128::from(field.share(i));
            if weight == 0 {
                continue;
            }
            let load = u128::from(field.load(i)) + 1;
            if best.is_none_or(|(best_load, best_weight, _)| load * best_weight < best_load * weight) {
                best = Some((load, weight, i));
            }
        }
        best.map_or(Choice::NoneHealthy, |(_, _, i)| Choice::Member(i))
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, letters};
    use super::*;

    fn counted(text: &str) -> [usize; 3] {
        ['a', 'b', 'c'].map(|c| text.matches(c).count())
    }

    #[test]
    fn requests_that_stay_pile_up_by_weight() {
        let (rule, field) = (LeastConnections::new(&[3, 2, 1]), Fake::well(3));
        let got = letters(60, || {
            let choice = rule.choose(&field);
            if let Choice::Member(i) = choice {
                field.loads[i].update(|n| n + 1);
            }
            choice
        });
        assert_eq!(counted(&got), [30, 20, 10], "{got}");
    }

    #[test]
    fn a_slow_member_gets_only_what_it_gets_done() {
        let (rule, field) = (LeastConnections::new(&[1; 3]), Fake::well(3));
        field.loads[1].set(7);
        assert_eq!(counted(&letters(30, || rule.choose(&field))), [10, 0, 20], "the turns of b go to the next");
        assert_eq!(rule.choose(&Fake::shares(&[0, 0, 0])), Choice::NoneHealthy);
    }

    #[test]
    fn equal_ones_take_turns_and_a_ramp_counts_as_a_smaller_weight() {
        let rule = LeastConnections::new(&[1; 3]);
        let field = Fake::well(3);
        assert_eq!(letters(6, || rule.choose(&field)), "abcabc");
        let ramping = Fake::shares(&[100, 1000, 1000]);
        for load in &ramping.loads[1..] {
            load.set(8);
        }
        assert_eq!(counted(&letters(10, || rule.choose(&ramping)))[0], 0, "1 for a tenth is as 10 for one");
        ramping.loads[1].set(10);
        ramping.loads[2].set(10);
        assert_eq!(counted(&letters(10, || rule.choose(&ramping))), [10, 0, 0]);
    }
}
