//! Smooth weighted round robin, as nginx does it: in every cycle of (sum of weights) requests each member gets exactly
//! its weight, and the turns of a heavy member are spread out instead of coming in a row.

use super::{Choice, Field};
use std::sync::{Mutex, PoisonError};

/// The rule's state. The lock is held for one pass over the members, never across an await.
#[derive(Debug)]
pub(crate) struct RoundRobin {
    weights: Vec<u32>,
    credit: Mutex<Vec<i64>>,
}

impl RoundRobin {
    /// Members by their weights, in the order of the configuration. A weight of 0 means: never.
    pub(crate) fn new(weights: &[u32]) -> Self {
        RoundRobin { weights: weights.to_vec(), credit: Mutex::new(vec![0; weights.len()]) }
    }

    /// The next member that can be chosen. The credit of sick members stands still; on its ramp a member earns less.
    pub(crate) fn choose(&self, field: &impl Field) -> Choice {
        let mut credit = self.credit.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut best, mut total) = (None, 0);
        for (i, &weight) in self.weights.iter().enumerate() {
            let earns = i64::try_from(u64::from(weight) * field.share(i)).unwrap_or(i64::MAX);
            if earns == 0 {
                continue;
            }
            credit[i] += earns;
            total += earns;
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
    use super::super::fake::{Fake, letters};
    use super::*;

    fn turns(rule: &RoundRobin, n: usize, shares: &[u64]) -> String {
        let field = Fake::shares(shares);
        letters(n, || rule.choose(&field))
    }

    const WELL: [u64; 3] = [1000; 3];

    #[test]
    fn equal_members_take_turns() {
        assert_eq!(turns(&RoundRobin::new(&[1, 1, 1]), 7, &WELL), "abcabca");
    }

    #[test]
    fn weights_are_exact_in_every_cycle_and_spread_out() {
        let rule = RoundRobin::new(&[5, 1, 1]);
        assert_eq!(turns(&rule, 14, &WELL), "aabacaaaabacaa");
        let rule = RoundRobin::new(&[7, 2, 1]);
        for _ in 0..3 {
            let cycle = turns(&rule, 10, &WELL);
            let count = |c| cycle.matches(c).count();
            assert_eq!((count('a'), count('b'), count('c')), (7, 2, 1), "{cycle}");
        }
    }

    #[test]
    fn the_share_of_a_sick_member_goes_to_the_others_by_weight() {
        let rule = RoundRobin::new(&[2, 1, 1]);
        assert_eq!(turns(&rule, 6, &[0, 1000, 1000]), "bcbcbc");
        assert_eq!(turns(&rule, 3, &[0; 3]), "---");
        let back = turns(&rule, 8, &WELL);
        assert_eq!(back.matches('a').count(), 4, "{back}: exact again at once");
    }

    #[test]
    fn a_member_on_its_ramp_gets_that_part_of_its_share() {
        let rule = RoundRobin::new(&[1, 1, 1]);
        let cycle = turns(&rule, 210, &[100, 1000, 1000]);
        assert_eq!(cycle.matches('a').count(), 10, "{cycle}");
        assert!(!cycle.contains("aa"), "{cycle}");
    }

    #[test]
    fn a_member_without_weight_is_never_chosen() {
        assert_eq!(turns(&RoundRobin::new(&[0, 1]), 3, &WELL), "bbb");
        assert_eq!(turns(&RoundRobin::new(&[]), 1, &[]), "-");
    }
}
