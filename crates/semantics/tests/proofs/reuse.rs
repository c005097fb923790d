//! Storing and then reusing never gives a response that the rules of `forbidden` keep back.

use crate::exchange::{ARRIVED, Exchange, exchange};
use crate::forbidden::{self, Allowed};
use copal_semantics::cache_control::RequestDirectives;
use copal_semantics::freshness::{Freshness, freshness};
use copal_semantics::reuse::{Reuse, StoredTimes, reuse};
use copal_semantics::storability::{Storability, storability};
use copal_semantics::vary::Vary;
use copal_semantics::{Rules, Span, Time};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// What the crate makes of an exchange.
pub(crate) struct Ours {
    pub(crate) stored: Storability,
    pub(crate) freshness: Freshness,
    pub(crate) times: StoredTimes,
    /// Does the second request select the stored response?
    pub(crate) selected: bool,
}

impl Ours {
    pub(crate) fn of(x: &Exchange) -> Ours {
        let (rules, req, resp) = (Rules::default(), x.first.head(), x.answer.head());
        let freshness = freshness(&req, &resp, &rules, x.asked_at(), ARRIVED);
        let selected = match Vary::parse(&resp.headers) {
            Vary::None => true,
            Vary::Any => false,
            Vary::Fields(fields) => fields.matches(&req.headers, &x.second.head().headers),
        };
        let times = StoredTimes::new(ARRIVED, &freshness);
        Ours { stored: storability(&req, &resp, &rules), freshness, times, selected }
    }

    pub(crate) fn reuse(&self, x: &Exchange, now: Time, obey: bool, healthy: bool) -> Reuse {
        let wishes = RequestDirectives::parse(&x.second.head().headers);
        reuse(&self.times, now, obey.then_some(&wishes), None, healthy)
    }
}

/// How much the crate's decision presumes to be allowed.
fn presumed(decision: Reuse) -> Allowed {
    match decision {
        Reuse::Fresh(copal_semantics::Reason::MaxStale) => Allowed::Stale,
        Reuse::Fresh(_) => Allowed::Fresh,
        Reuse::Grace(copal_semantics::Reason::OriginSick) => Allowed::Disconnected,
        Reuse::Grace(_) => Allowed::Stale,
        Reuse::OnError(_) => Allowed::Disconnected,
        Reuse::Revalidate(_) | Reuse::Unusable(_) => Allowed::AfterValidation,
    }
}

proptest! {
    #![proptest_config(crate::cases(4096))]

    #[test]
    fn nothing_is_stored_that_must_not_be(x in exchange()) {
        if let Storability::Store(reason) = Ours::of(&x).stored {
            prop_assert_eq!(forbidden::storing(&x), None, "stored because of {:?}", reason);
        }
    }

    #[test]
    fn nothing_is_reused_that_must_not_be(x in exchange(), obey in any::<bool>(), healthy in any::<bool>()) {
        let ours = Ours::of(&x);
        let stored = matches!(ours.stored, Storability::Store(_));
        if stored && ours.selected {
            let decision = ours.reuse(&x, x.now(), obey, healthy);
            let allowed = forbidden::reusing(&x, obey);
            prop_assert!(presumed(decision) <= allowed, "{:?}, but {:?} is all that is allowed", decision, allowed);
        }
        // What the other variants would see.
        if stored && x.answer.vary.iter().any(|&i| i == 2 || x.second.fields[i] != x.first.fields[i]) {
            prop_assert!(!ours.selected);
        }
    }

    #[test]
    fn age_is_at_least_what_the_rfc_calculates_and_never_negative(x in exchange()) {
        let age = Ours::of(&x).times.age(x.now());
        prop_assert_eq!(age.as_secs(), forbidden::current_age(&x));
        prop_assert!(age >= Span::ZERO);
    }

    #[test]
    fn remaining_lifetime_never_grows_and_decisions_only_get_stricter(x in exchange(), a in 0i64..1_000_000, b in 0i64..1_000_000) {
        let ours = Ours::of(&x);
        let at = |secs: i64| Time::from_secs(ARRIVED.as_secs() + secs);
        let (early, late) = (at(a.min(b)), at(a.max(b)));
        prop_assert!(ours.times.ttl_left(late) <= ours.times.ttl_left(early));
        prop_assert!(ours.times.age(late) >= ours.times.age(early));
        prop_assert!(ours.freshness.lifetime.as_secs() <= forbidden::lifetime(&x.answer));
        for healthy in [true, false] {
            // Without the client's wishes time is all that changes. A sick origin's stale answer counts as stale.
            let rank = |now| match ours.reuse(&x, now, false, healthy) {
                Reuse::Fresh(_) => 4,
                Reuse::Grace(_) => 3,
                Reuse::OnError(_) => 2,
                Reuse::Revalidate(_) => 1,
                Reuse::Unusable(_) => 0,
            };
            prop_assert!(rank(late) <= rank(early), "{} at {:?}, then {} at {:?}", rank(early), early, rank(late), late);
        }
    }
}

#[test]
fn the_generated_cases_meet_every_kind_of_decision() {
    let mut runner = TestRunner::deterministic();
    let mut seen = std::collections::BTreeMap::<String, usize>::new();
    for _ in 0..4000 {
        let x = exchange().new_tree(&mut runner).unwrap().current();
        let ours = Ours::of(&x);
        let mut count = |what: String| *seen.entry(what).or_default() += 1;
        match ours.stored {
            Storability::Store(_) if ours.selected => {
                let name = format!("{:?}", ours.reuse(&x, x.now(), true, true));
                count(name.split('(').next().unwrap().to_owned());
            }
            Storability::Store(_) => count("not selected".to_owned()),
            Storability::DoNotStore(_) => count(forbidden::storing(&x).unwrap_or("not worth storing").to_owned()),
        }
    }
    for (what, least) in [
        ("Fresh", 200),
        ("Grace", 20),
        ("OnError", 100),
        ("Revalidate", 200),
        ("Unusable", 20),
        ("not selected", 50),
        ("§5.2.2.7: private", 50),
        ("§5.2.2.5: no-store", 50),
        ("§3.5: Authorization", 50),
        ("§3: nothing allows it", 20),
        ("§3: the method", 100),
        ("§3: an interim response", 5),
    ] {
        assert!(seen.get(what).is_some_and(|n| *n >= least), "{what} is rare: {seen:#?}");
    }
}
