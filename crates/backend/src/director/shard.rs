//! Consistent hashing on a ring (Karger et al. 1997), as Varnish's shard director: every member has many points on the
//! circle, a request belongs to the first point after its own, and to the next member's when that one cannot serve.
//!
//! ```text
//!       a                     the request's point ▶ b; b sick ▶ c: its own alternative, always the same,
//!    c     ● request ──▶ b    which warm-up keeps warm
//!       a
//! ```
//!
//! What a member leaves behind goes to its alternatives alone, and comes back when it does. On its ramp a member serves a
//! growing part of its requests, the same ones every time; its alternatives the rest.

use super::{Choice, Field};
use crate::ask::{Ask, By, digest};
use crate::dice::{Dice, mix, scale};
use crate::ramp::WHOLE;

/// Points of one ring, 16 bytes each: a megabyte. Beyond, every member gets less of them.
pub(crate) const POINTS_MAX: usize = 65_536;

#[derive(Debug)]
pub(crate) struct Shard {
    by: By,
    /// Sorted points and whose they are.
    ring: Vec<(u64, usize)>,
    members: usize,
    warmup_permille: u32,
    dice: Dice,
}

impl Shard {
    /// `replicas`: points of a member of the smallest weight; heavier ones have more in proportion.
    pub(crate) fn new(
        by: By,
        names: &[&str],
        weights: &[u32],
        replicas: u32,
        warmup_permille: u32,
        dice: Dice,
    ) -> Self {
        let least = weights.iter().copied().filter(|w| *w > 0).min().unwrap_or(1);
        let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
        let wanted = u64::from(replicas) * sum / u64::from(least);
        let mut ring = Vec::new();
        for (i, (name, weight)) in names.iter().zip(weights).enumerate() {
            let points = match wanted <= POINTS_MAX as u64 {
                true => u64::from(replicas) * u64::from(*weight) / u64::from(least),
                false => POINTS_MAX as u64 * u64::from(*weight) / sum.max(1),
            };
            let points = if *weight > 0 { points.max(1) } else { 0 };
            ring.extend((0..points).map(|n| (digest(&[name.as_bytes(), &n.to_le_bytes()]), i)));
        }
        ring.sort_unstable();
        Shard { by, ring, members: names.len(), warmup_permille, dice }
    }

    pub(crate) fn choose(&self, field: &impl Field, ask: &Ask<'_>) -> Choice {
        // Looked at once: with nobody there, the walk would go all round the ring.
        if !(0..self.members).any(|i| field.share(i) > 0) {
            return Choice::NoneHealthy;
        }
        let point = self.by.point(ask);
        let Some(first) = self.next(field, point, None) else { return Choice::NoneHealthy };
        let share = field.share(first);
        let on_its_way = share < WHOLE && scale(mix(point), WHOLE) >= share;
        let warming = self.warmup_permille > 0 && self.dice.below(WHOLE) < u64::from(self.warmup_permille);
        if ask.tried.is_empty() && (on_its_way || warming) {
            let second = self.next(field, point, Some(first));
            // When all have just started there is nobody to spare the first.
            if let Some(second) = second.filter(|i| warming || field.share(*i) > share) {
                return Choice::Member(second);
            }
        }
        Choice::Member(first)
    }

    /// The first member from `point` on that can serve and is not `but`.
    fn next(&self, field: &impl Field, point: u64, but: Option<usize>) -> Option<usize> {
        let from = self.ring.partition_point(|(at, _)| *at < point);
        let around = self.ring[from..].iter().chain(&self.ring[..from]);
        let mut refused = usize::MAX;
        for (_, i) in around {
            if *i == refused || but == Some(*i) {
                continue;
            }
            if field.share(*i) > 0 {
                return Some(*i);
            }
            refused = *i;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, homes, spread};
    use super::*;

    const N: usize = 30_000;

    fn ring(names: &[&str], weights: &[u32]) -> Shard {
        Shard::new(By::Url, names, weights, 67, 0, Dice::new(1))
    }

    #[test]
    fn shares_follow_the_weights_roughly_as_rings_do() {
        let field = Fake::well(3);
        let rule = ring(&["app1", "app2", "app3"], &[1; 3]);
        let counts = spread(N, 3, |ask| rule.choose(&field, ask));
        assert!(counts.iter().all(|n| n.abs_diff(N / 3) < N / 3 / 4), "{counts:?}");
        let rule = ring(&["app1", "app2", "app3"], &[6, 2, 2]);
        let counts = spread(N, 3, |ask| rule.choose(&field, ask));
        for (count, share) in counts.iter().zip([N * 6 / 10, N / 5, N / 5]) {
            assert!(count.abs_diff(share) < share / 4, "{counts:?}");
        }
    }

    #[test]
    fn a_member_that_leaves_moves_only_its_own_share() {
        let (four, three) = (ring(&["a", "b", "c", "d"], &[1; 4]), ring(&["a", "b", "c"], &[1; 3]));
        let before = homes(N, |ask| four.choose(&Fake::well(4), ask));
        let after = homes(N, |ask| three.choose(&Fake::well(3), ask));
        let moved = before.iter().zip(&after).filter(|(b, a)| b != a).count();
        let of_d = before.iter().filter(|home| **home == 3).count();
        assert_eq!(moved, of_d);
        assert!(of_d.abs_diff(N / 4) < N / 16, "{of_d}");
        let sick = homes(N, |ask| four.choose(&Fake::shares(&[1000, 1000, 1000, 0]), ask));
        assert_eq!(sick, after);
    }

    #[test]
    fn the_place_of_a_request_does_not_depend_on_the_order_of_the_file() {
        let (one, other) = (ring(&["a", "b", "c"], &[1; 3]), ring(&["c", "a", "b"], &[1; 3]));
        let field = Fake::well(3);
        let ones = homes(1000, |ask| one.choose(&field, ask));
        let others = homes(1000, |ask| other.choose(&field, ask));
        assert!(ones.iter().zip(&others).all(|(a, b)| (a + 1) % 3 == *b));
    }

    #[test]
    fn warm_up_sends_its_share_to_the_member_that_would_take_over() {
        let cold = ring(&["a", "b", "c"], &[1; 3]);
        let warm = Shard::new(By::Url, &["a", "b", "c"], &[1; 3], 67, 200, Dice::new(5));
        let field = Fake::well(3);
        let firsts = homes(N, |ask| cold.choose(&field, ask));
        let seconds = homes(N, |ask| {
            let Choice::Member(first) = cold.choose(&field, ask) else { return Choice::NoneHealthy };
            let mut shares = [1000; 3];
            shares[first] = 0;
            cold.choose(&Fake::shares(&shares), ask)
        });
        let got = homes(N, |ask| warm.choose(&field, ask));
        let warmed = got.iter().zip(&firsts).filter(|(g, f)| g != f).count();
        assert!(warmed.abs_diff(N / 5) < N / 100, "{warmed}");
        assert!(got.iter().zip(&firsts).zip(&seconds).all(|((g, f), s)| g == f || g == s));
    }

    #[test]
    fn on_its_ramp_a_member_serves_the_same_growing_part_of_its_requests() {
        let rule = ring(&["a", "b", "c"], &[1; 3]);
        let whole = homes(N, |ask| rule.choose(&Fake::well(3), ask));
        let of_a = whole.iter().filter(|home| **home == 0).count();
        let mut before: Vec<usize> = Vec::new();
        for share in [100, 500, 900] {
            let now = homes(N, |ask| rule.choose(&Fake::shares(&[share, 1000, 1000]), ask));
            let at_a: Vec<usize> = (0..N).filter(|i| now[*i] == 0).collect();
            let part = of_a * usize::try_from(share).expect("small") / 1000;
            assert!(at_a.len().abs_diff(part) < of_a / 30, "{share}: {} of {of_a}", at_a.len());
            assert!(before.iter().all(|i| now[*i] == 0), "what has come back stays");
            before = at_a;
        }
        let all_new = homes(N, |ask| rule.choose(&Fake::shares(&[100; 3]), ask));
        assert_eq!(all_new, whole);
    }

    #[test]
    fn many_heavy_members_share_the_points_there_are() {
        let names: Vec<String> = (0..100).map(|n| format!("app{n}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let mut weights = [1000; 100];
        weights[0] = 1;
        let rule = ring(&names, &weights);
        assert!(rule.ring.len() <= POINTS_MAX + 100, "{}", rule.ring.len());
        assert!(rule.ring.iter().any(|(_, i)| *i == 0));
    }
}
