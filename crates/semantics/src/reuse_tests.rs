//! Tests of RFC 9111 §4 and §5.2.1, RFC 5861: a stored response through its life.

use super::*;
use proptest::prelude::*;

/// Fresh for 10 s, grace for 5, kept for errors for 20 and for revalidation for 30.
fn stored() -> StoredTimes {
    let s = Span::from_secs;
    StoredTimes {
        response_time: Time::from_secs(1000),
        initial_age: s(2),
        ttl: s(10),
        grace: s(5),
        stale_if_error: s(20),
        keep: s(30),
        no_cache: false,
        must_revalidate: false,
    }
}

fn at(secs: i64) -> Time {
    Time::from_secs(1000 + secs)
}

fn wish(cc: &str) -> RequestDirectives {
    RequestDirectives::parse(&[("Cache-Control", cc)].into_iter().collect())
}

#[test]
fn a_response_passes_through_all_states_in_order() {
    for (secs, expected) in [
        (-5, Reuse::Fresh(Reason::Fresh)),
        (9, Reuse::Fresh(Reason::Fresh)),
        (10, Reuse::Grace(Reason::StaleWhileRevalidate)),
        (14, Reuse::Grace(Reason::StaleWhileRevalidate)),
        (15, Reuse::OnError(Reason::StaleIfError)),
        (29, Reuse::OnError(Reason::StaleIfError)),
        (30, Reuse::Revalidate(Reason::Stale)),
        (39, Reuse::Revalidate(Reason::Stale)),
        (40, Reuse::Unusable(Reason::Expired)),
    ] {
        assert_eq!(reuse(&stored(), at(secs), None, None, true), expected, "{secs}");
    }
    assert_eq!(stored().dead_at(), at(40));
    assert_eq!(stored().age(at(7)), Span::from_secs(9));
}

#[test]
fn a_sick_origin_makes_every_allowed_stale_answer_a_grace_answer() {
    assert_eq!(reuse(&stored(), at(29), None, Some(Span::ZERO), false), Reuse::Grace(Reason::OriginSick));
    assert_eq!(reuse(&stored(), at(30), None, None, false), Reuse::Revalidate(Reason::Stale));
    assert_eq!(reuse(&stored(), at(5), None, None, false), Reuse::Fresh(Reason::Fresh));
}

#[test]
fn the_policy_can_shorten_grace_but_not_lengthen_it() {
    let cap = |secs| reuse(&stored(), at(12), None, Some(Span::from_secs(secs)), true);
    assert_eq!(cap(1), Reuse::OnError(Reason::StaleIfError));
    assert_eq!(cap(3), Reuse::Grace(Reason::StaleWhileRevalidate));
    let long = Some(Span::from_secs(500));
    assert_eq!(reuse(&stored(), at(16), None, long, true), Reuse::OnError(Reason::StaleIfError));
}

#[test]
fn no_cache_and_must_revalidate_are_never_served_unconfirmed() {
    let no_cache = StoredTimes { no_cache: true, ..stored() };
    let must = StoredTimes { must_revalidate: true, ..stored() };
    let any = wish("max-stale, stale-if-error=1000");
    for secs in 0..40 {
        for healthy in [true, false] {
            let got = reuse(&no_cache, at(secs), Some(&any), None, healthy);
            assert_eq!(got, Reuse::Revalidate(Reason::NoCache), "{secs}");
            if secs >= 10 {
                let got = reuse(&must, at(secs), Some(&any), None, healthy);
                assert_eq!(got, Reuse::Revalidate(Reason::MustRevalidate), "{secs}");
            }
        }
    }
}

#[test]
fn the_wishes_of_the_client_count_when_they_are_obeyed() {
    let s = StoredTimes { grace: Span::ZERO, stale_if_error: Span::ZERO, ..stored() };
    for (cc, secs, expected) in [
        ("no-cache", 1, Reuse::Revalidate(Reason::RequestNoCache)),
        ("max-age=0", 0, Reuse::Revalidate(Reason::RequestMaxAge)),
        ("max-age=5", 3, Reuse::Fresh(Reason::Fresh)),
        ("max-age=5", 4, Reuse::Revalidate(Reason::RequestMaxAge)),
        ("min-fresh=8", 2, Reuse::Fresh(Reason::Fresh)),
        ("min-fresh=8", 3, Reuse::Revalidate(Reason::RequestMinFresh)),
        ("max-stale=5", 15, Reuse::Fresh(Reason::MaxStale)),
        ("max-stale=5", 16, Reuse::Revalidate(Reason::Stale)),
        ("max-stale", 39, Reuse::Fresh(Reason::MaxStale)),
        ("max-stale", 40, Reuse::Unusable(Reason::Expired)),
        ("max-stale, no-cache", 12, Reuse::Revalidate(Reason::RequestNoCache)),
        ("stale-if-error=25", 34, Reuse::OnError(Reason::StaleIfError)),
    ] {
        assert_eq!(reuse(&s, at(secs), Some(&wish(cc)), None, true), expected, "{cc} at {secs}");
    }
    assert_eq!(reuse(&s, at(1), None, None, true), Reuse::Fresh(Reason::Fresh));
}

#[test]
fn a_response_that_arrived_stale_is_kept_from_when_it_became_stale() {
    let s = StoredTimes { ttl: Span::from_secs(-7), grace: Span::ZERO, ..stored() };
    assert_eq!(reuse(&s, at(0), None, None, true), Reuse::OnError(Reason::StaleIfError));
    assert_eq!(s.dead_at(), at(23));
}

prop_compose! {
    fn any_times()(response_time in any::<i64>(), initial_age in 0i64.., ttl in any::<i64>(), grace in 0i64..,
        sie in 0i64.., keep in 0i64.., no_cache in any::<bool>(), must_revalidate in any::<bool>()) -> StoredTimes {
        let s = Span::from_micros;
        StoredTimes { response_time: Time::from_micros(response_time), initial_age: s(initial_age), ttl: s(ttl),
            grace: s(grace), stale_if_error: s(sie), keep: s(keep), no_cache, must_revalidate }
    }
}

proptest! {
    #[test]
    fn age_is_never_negative_and_remaining_lifetime_never_grows(t in any_times(), a in any::<i64>(), b in any::<i64>()) {
        let (early, late) = (Time::from_micros(a.min(b)), Time::from_micros(a.max(b)));
        prop_assert!(!t.age(early).is_negative());
        prop_assert!(t.age(early) <= t.age(late));
        prop_assert!(t.ttl_left(early) >= t.ttl_left(late));
    }

    #[test]
    fn what_forbids_stale_is_served_only_while_fresh(t in any_times(), now in any::<i64>(), cap in any::<Option<i64>>(), healthy in any::<bool>()) {
        let now = Time::from_micros(now);
        let served = match reuse(&t, now, None, cap.map(Span::from_micros), healthy) {
            Reuse::Fresh(_) | Reuse::Grace(_) | Reuse::OnError(_) => true,
            Reuse::Revalidate(_) | Reuse::Unusable(_) => false,
        };
        if t.no_cache || (t.must_revalidate && t.ttl_left(now) <= Span::ZERO) {
            prop_assert!(!served);
        }
    }
}

#[test]
fn a_client_that_wants_freshness_gets_nothing_stale_unless_it_says_so() {
    // Found by property test: min-fresh was forgotten once the response was stale, and grace served it.
    let t = StoredTimes { ttl: Span::from_secs(10), grace: Span::from_secs(60), ..stored() };
    for (cc, stale) in [("max-age=999", true), ("min-fresh=5", false), ("min-fresh=5, max-stale", true)] {
        let got = reuse(&t, at(20), Some(&wish(cc)), None, true);
        assert_eq!(matches!(got, Reuse::Grace(_) | Reuse::Fresh(_)), stale, "{cc}: {got:?}");
    }
}
