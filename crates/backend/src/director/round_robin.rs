//! Smooth weighted round robin, as nginx does it: in every cycle of (sum of weights) requests each member gets exactly
//! its weight, and the turns of a heavy member are spread out instead of coming in a row.

use super::Choice;
use std::sync::{Mutex, PoisonError};

/// The rule's state. The lock is held for one pass over the members, never across an await.
#[derive(Debug)]
pub struct RoundRobin {
    weights: Vec<i64>,
    credit: Mutex<Vec<i64>>,
}

impl RoundRobin {
    /// Members by their weights, in the order of the configuration. A weight of 0 means: never.
    #[must_use]
    pub fn new(weights: &[u32]) -> Self {
        RoundRobin {
            weights: weights.iter().map(|&w| i64::from(w)).collect(),
            credit: Mutex::new(vec![0; weights.len()]),
        }
    }

    /// The next member for which `healthy(index)` holds. The credit of sick members stands still.
    pub fn choose(&self, healthy: impl Fn(usize) -> bool) -> Choice {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut best, mut total) = (None, 0);
        for (i, &weight) in self.weights.iter().enumerate() {
            if weight == 0 || !healthy(i) {
                continue;
            }
            credit[i] += weight;
            total += weight;
            if best.is_none_or(|b: usize| credit[i] > credit[b]) {
                best = Some(i);
            }
        }
        let Some(best) = best else { return Choice::NoneHealthy };
        credit[best] -= total;
        Choice::Member(best)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(rule: &RoundRobin, n: usize, sick: &[usize]) -> String {
        (0..n)
            .map(|_| match rule.choose(|i| !sick.contains(&i)) {
                Choice::Member(i) => ['a', 'b', 'c'][i],
                Choice::NoneHealthy => '-',
            })
            .collect()
    }

    #[test]
    fn equal_members_take_turns() {
        assert_eq!(turns(&RoundRobin::new(&[1, 1, 1]), 7, &[]), "abcabca");
    }

    #[test]
    fn weights_are_exact_in_every_cycle_and_spread_out() {
        let rule = RoundRobin::new(&[5, 1, 1]);
        assert_eq!(turns(&rule, 14, &[]), "aabacaaaabacaa");
        let rule = RoundRobin::new(&[7, 2, 1]);
        for _ in 0..3 {
            let cycle = turns(&rule, 10, &[]);
            let count = |c| cycle.matches(c).count();
            assert_eq!((count('a'), count('b'), count('c')), (7, 2, 1), "{cycle}");
        }
    }

    #[test]
    fn the_share_of_a_sick_member_goes_to_the_others_by_weight() {
        let rule = RoundRobin::new(&[2, 1, 1]);
        let with_a_sick = turns(&rule, 6, &[0]);
        assert_eq!(with_a_sick, "bcbcbc");
        assert_eq!(turns(&rule, 3, &[0, 1, 2]), "---");
        let back = turns(&rule, 8, &[]);
        assert_eq!(back.matches('a').count(), 4, "{back}: exact again at once");
    }

    #[test]
    fn a_member_without_weight_is_never_chosen() {
        assert_eq!(turns(&RoundRobin::new(&[0, 1]), 3, &[]), "bbb");
        assert_eq!(turns(&RoundRobin::new(&[]), 1, &[]), "-");
    }
}
