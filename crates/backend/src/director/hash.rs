//! Rendezvous hashing (Thaler and Ravishankar 1998), weighted: each member draws a lot for the request, the best lot wins.
//!
//! A member that goes takes only its own requests with it, and they spread over all others by weight; one that comes back
//! or is added takes only what it wins. Nothing is kept but the names: no ring, one pass over the members. On its ramp a
//! member's lots are worse, so that its requests come back to it one after the other.

use super::{Choice, Field};
use crate::ask::{Ask, By, digest};
use crate::dice::mix;

#[derive(Debug)]
pub(crate) struct Hash {
    by: By,
    /// What stands for the member's name, and its weight.
    members: Vec<(u64, f64)>,
}

impl Hash {
    pub(crate) fn new(by: By, names: &[&str], weights: &[u32]) -> Self {
        let ids = names.iter().map(|name| digest(&[name.as_bytes()]));
        Hash { by, members: ids.zip(weights.iter().map(|w| f64::from(*w))).collect() }
    }

    /// The best lot of those who can serve; the smaller the better.
    pub(crate) fn choose(&self, field: &impl Field, ask: &Ask<'_>) -> Choice {
        let point = self.by.point(ask);
        let mut best: Option<(f64, usize)> = None;
        for (i, (id, weight)) in self.members.iter().enumerate() {
            let share = field.share(i);
            if share == 0 || *weight <= 0.0 {
                continue;
            }
            let lot = (lot(point, *id) / (weight * share as f64), i);
            if best.is_none_or(|best| lot < best) {
                best = Some(lot);
            }
        }
        best.map_or(Choice::NoneHealthy, |(_, i)| Choice::Member(i))
    }
}

/// Exponentially distributed: of lots divided by weights, each is the smallest as often as its weight says.
fn lot(point: u64, id: u64) -> f64 {
    // The upper 53 bits, which is what a double holds, made a number above 0 and at most 1.
    let unit = ((mix(point ^ id) >> 11) + 1) as f64 / (1_u64 << 53) as f64;
    -unit.ln()
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, homes, spread};
    use super::*;

    const N: usize = 30_000;

    fn by_url(names: &[&str], weights: &[u32]) -> Hash {
        Hash::new(By::Url, names, weights)
    }

    #[test]
    fn shares_follow_the_weights_within_a_twentieth() {
        let (rule, field) = (by_url(&["a", "b", "c"], &[5, 3, 2]), Fake::well(3));
        let counts = spread(N, 3, |ask| rule.choose(&field, ask));
        for (count, share) in counts.iter().zip([N / 2, N * 3 / 10, N / 5]) {
            assert!(count.abs_diff(share) < share / 20, "{counts:?}");
        }
    }

    #[test]
    fn a_member_that_leaves_moves_only_its_own_share() {
        let (four, three) = (by_url(&["a", "b", "c", "d"], &[1; 4]), by_url(&["a", "b", "c"], &[1; 3]));
        let before = homes(N, |ask| four.choose(&Fake::well(4), ask));
        let after = homes(N, |ask| three.choose(&Fake::well(3), ask));
        let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count();
        let of_d = before.iter().filter(|home| **home == 3).count();
        assert_eq!(moved, of_d, "only what was at d moves, and back again when d is added");
        assert!(of_d.abs_diff(N / 4) < N / 80, "{of_d}");
        let sick = homes(N, |ask| four.choose(&Fake::shares(&[1000, 1000, 1000, 0]), ask));
        assert_eq!(sick, after, "sick is as gone");
    }

    #[test]
    fn a_ramp_brings_a_members_requests_back_little_by_little() {
        let rule = by_url(&["a", "b", "c"], &[1; 3]);
        let whole = homes(N, |ask| rule.choose(&Fake::well(3), ask));
        let mut last = 0;
        for share in [100, 400, 700, 1000] {
            let now = homes(N, |ask| rule.choose(&Fake::shares(&[share, 1000, 1000]), ask));
            let at_a = now.iter().filter(|home| **home == 0).count();
            assert!(at_a > last && now.iter().zip(&whole).all(|(n, w)| n == w || *w == 0), "{share}: {at_a}");
            last = at_a;
        }
    }

    #[test]
    fn with_nobody_there_is_nobody() {
        assert_eq!(by_url(&["a"], &[1]).choose(&Fake::shares(&[0]), &crate::ask::tests_ask()), Choice::NoneHealthy);
    }
}
