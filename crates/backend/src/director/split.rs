//! Split: so much of the visitors to this one, the rest to that one; the same visitor always to the same, and whoever
//! carries a certain header or cookie where it says.
//!
//! Shares lie on the circle in the order of the configuration: when the first member's share grows, visitors move to it
//! and none between the others' first halves. A sick member's visitors go to the next one in the file. Ramps mean nothing
//! here: a visitor would be moved twice.

use super::{Choice, Field, MemberOptions};
use crate::ask::{Ask, By, When};
use crate::dice::scale;

#[derive(Debug)]
pub(crate) struct Split {
    by: By,
    members: Vec<(u32, Option<When>)>,
}

impl Split {
    pub(crate) fn new(by: By, members: &[MemberOptions]) -> Self {
        Split { by, members: members.iter().map(|m| (m.weight, m.when.clone())).collect() }
    }

    pub(crate) fn choose(&self, field: &impl Field, ask: &Ask<'_>) -> Choice {
        let called = |(_, when): &(u32, Option<When>)| when.as_ref().is_some_and(|when| when.holds(ask));
        if let Some(i) = self.members.iter().position(called).filter(|i| field.share(*i) > 0) {
            return Choice::Member(i);
        }
        let total = self.members.iter().map(|(weight, _)| u64::from(*weight)).sum();
        let mut at = scale(self.by.point(ask), total);
        let own = self.members.iter().position(|(weight, _)| match at.checked_sub(u64::from(*weight)) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        let (n, from) = (self.members.len(), own.unwrap_or(0));
        let around = (0..n).map(|k| (from + k) % n);
        let can = |i: &usize| self.members[*i].0 > 0 && field.share(*i) > 0;
        around.clone().find(can).map_or(Choice::NoneHealthy, Choice::Member)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, homes, spread};
    use super::*;
    use copal_semantics::RequestHead;

    const N: usize = 40_000;

    fn split(new: u32, old: u32) -> Split {
        let when = When { what: By::Header("X-Canary".into()), value: Some("yes".into()) };
        let new = MemberOptions { when: Some(when), ..MemberOptions::new("new", new) };
        Split::new(By::Client, &[new, MemberOptions::new("old", old)])
    }

    #[test]
    fn visitors_are_split_by_weight_and_each_stays_where_it_is() {
        let (rule, field) = (split(5, 95), Fake::well(2));
        let counts = spread(N, 2, |ask| rule.choose(&field, ask));
        assert!(counts[0].abs_diff(N / 20) < N / 200, "{counts:?}");
        assert_eq!(homes(N, |ask| rule.choose(&field, ask)), homes(N, |ask| rule.choose(&field, ask)));
    }

    #[test]
    fn a_growing_share_takes_visitors_and_gives_none_back() {
        let field = Fake::well(2);
        let five = homes(N, |ask| split(5, 95).choose(&field, ask));
        let ten = homes(N, |ask| split(10, 90).choose(&field, ask));
        let moved = five.iter().zip(&ten).filter(|(a, b)| a != b).count();
        assert!(moved.abs_diff(N / 20) < N / 200, "{moved}");
        assert!(five.iter().zip(&ten).all(|(a, b)| *a == 1 || *b == 0));
    }

    #[test]
    fn a_header_decides_before_the_shares_and_a_sick_member_before_the_header() {
        let head = RequestHead::get("/", [("x-canary", "yes")]);
        let other = RequestHead::get("/", [("x-canary", "no")]);
        let rule = split(0, 1);
        let at = |head, field: &Fake| rule.choose(field, &Ask { head, ..crate::ask::tests_ask() });
        assert_eq!((at(&head, &Fake::well(2)), at(&other, &Fake::well(2))), (Choice::Member(0), Choice::Member(1)));
        assert_eq!(at(&head, &Fake::shares(&[0, 1000])), Choice::Member(1));
        assert_eq!(at(&head, &Fake::shares(&[0, 0])), Choice::NoneHealthy);
        assert_eq!(at(&other, &Fake::shares(&[1000, 0])), Choice::NoneHealthy, "a weight of 0 is for the header alone");
    }
}
