//! Tests of RFC 9111 §4.2: tables of heads and the lifetimes and ages that follow from them.

use super::*;
use proptest::prelude::*;

/// 18 Aug 2030 00:00:00 GMT, the moment at which everything here arrives.
const NOW: Time = Time::from_secs(1_913_241_600);

fn at(offset: i64) -> String {
    let mut out = Vec::new();
    date::write(NOW + Span::from_secs(offset), &mut out);
    String::from_utf8(out).expect("ASCII")
}

fn fresh(status: u16, headers: &[(&str, &str)], rules: &Rules) -> Freshness {
    let resp = ResponseHead::new(status, headers.iter().copied());
    freshness(&RequestHead::get("/", []), &resp, rules, NOW, NOW)
}

#[test]
fn the_lifetime_comes_from_the_first_of_s_maxage_max_age_and_expires() {
    let (now, later, past) = (at(0), at(100), at(-7200));
    let date = ("Date", now.as_str());
    for (headers, ttl, source) in [
        (&[("Cache-Control", "s-maxage=5, max-age=9"), date][..], 5, Reason::SMaxage),
        (&[("Cache-Control", "max-age=0, s-maxage=9"), ("Expires", &past)], 9, Reason::SMaxage),
        (&[("Cache-Control", "max-age=9"), ("Expires", &past), date], 9, Reason::MaxAge),
        (&[("Cache-Control", "max-age=9"), ("Expires", "0")], 9, Reason::MaxAge),
        (&[("Cache-Control", "max-age=0"), ("Expires", &later)], 0, Reason::MaxAge),
        (&[("Expires", &later), date], 100, Reason::Expires),
        (&[("Expires", &later)], 100, Reason::Expires),
        (&[("Expires", &later), ("Date", "foo")], 100, Reason::Expires),
        (&[("Expires", &now), date], 0, Reason::Expires),
        (&[("Expires", &past), date], 0, Reason::Expires),
        (&[("Expires", "0"), date], 0, Reason::Expires),
        (&[("Expires", &later), ("Expires", "0"), date], 0, Reason::Expires),
        (&[("CDN-Cache-Control", "max-age=7"), ("Expires", &past), ("Cache-Control", "max-age=1")], 7, Reason::MaxAge),
        (&[("CDN-Cache-Control", "max-age=0"), ("Expires", &later)], 0, Reason::MaxAge),
        (&[date], 0, Reason::NoFreshness),
    ] {
        let f = fresh(200, headers, &Rules::default());
        assert_eq!((f.ttl.as_secs(), f.source), (ttl, source), "{headers:?}");
    }
}

#[test]
fn age_and_a_date_in_the_past_use_up_the_lifetime() {
    for (headers, age, ttl) in [
        (vec![("Date", at(0)), ("Cache-Control", "max-age=3600".into()), ("Age", "7200".into())], 7200, -3600),
        (vec![("Date", at(-7200)), ("Cache-Control", "max-age=3600".into())], 7200, -3600),
        (vec![("Date", at(-10)), ("Expires", at(10)), ("Age", "25".into())], 25, -5),
        (vec![("Date", at(10)), ("Expires", at(20)), ("Age", "15".into())], 15, -5),
        (vec![("Date", at(400)), ("Expires", at(300))], 0, 0),
        (vec![("Date", at(0)), ("Cache-Control", "max-age=3600".into()), ("Age", "abc".into())], 0, 3600),
    ] {
        let lines: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let f = fresh(200, &lines, &Rules::default());
        assert_eq!((f.initial_age.as_secs(), f.ttl.as_secs()), (age, ttl), "{lines:?}");
    }
}

#[test]
fn the_time_the_origin_took_counts_as_age() {
    let resp = ResponseHead::new(200, [("Cache-Control", "max-age=60"), ("Age", "10")]);
    let asked = NOW - Span::from_secs(5);
    let f = freshness(&RequestHead::get("/", []), &resp, &Rules::default(), asked, NOW);
    assert_eq!((f.initial_age.as_secs(), f.ttl.as_secs()), (15, 45));
    let f = freshness(&RequestHead::get("/", []), &resp, &Rules::default(), NOW + Span::from_secs(9), NOW);
    assert_eq!(f.initial_age.as_secs(), 10, "a clock that went back adds nothing");
}

#[test]
fn a_response_is_not_older_for_arriving_late_in_its_second() {
    let resp = ResponseHead::new(200, [("Cache-Control", "max-age=1"), ("Date", &at(0))]);
    let late = NOW + Span::from_millis(999);
    let f = freshness(&RequestHead::get("/", []), &resp, &Rules::default(), late, late);
    assert_eq!(f.ttl, Span::from_secs(1));
}

#[test]
fn heuristic_freshness_is_a_tenth_up_to_a_day_and_only_for_some_statuses() {
    let (now, day, year) = (at(0), at(-86_400), at(-31_536_000));
    let rules = Rules::default();
    fn lm<'a>(v: &'a str, now: &'a str) -> [(&'a str, &'a str); 2] {
        [("Last-Modified", v), ("Date", now)]
    }
    assert_eq!(fresh(200, &lm(&day, &now), &rules).ttl, Span::from_secs(8640));
    assert_eq!(fresh(200, &lm(&year, &now), &rules).ttl, rules.heuristic_max);
    assert_eq!(fresh(200, &lm(&at(50), &now), &rules).ttl, Span::ZERO);
    for status in [200, 203, 204, 404, 405, 410, 414, 501] {
        assert_eq!(fresh(status, &lm(&day, &now), &rules).source, Reason::Heuristic, "{status}");
    }
    for status in [201, 202, 302, 403, 502, 503, 504, 599] {
        assert_eq!(fresh(status, &lm(&day, &now), &rules).ttl, Span::ZERO, "{status}");
    }
    let public = [("Last-Modified", day.as_str()), ("Date", &now), ("Cache-Control", "public")];
    assert_eq!(fresh(599, &public, &rules).source, Reason::Heuristic);
    let pragma = [("Last-Modified", day.as_str()), ("Pragma", "no-cache")];
    assert_eq!(fresh(200, &pragma, &rules).source, Reason::NoFreshness);
    let off = Rules { heuristic_fraction: 0.0, default_ttl: Span::from_secs(7), ..rules };
    assert_eq!(fresh(200, &lm(&day, &now), &off).ttl, Span::from_secs(7));
    assert_eq!(fresh(500, &[], &off).ttl, Span::ZERO);
}

#[test]
fn stale_windows_come_from_the_response_and_some_directives_forbid_them() {
    let rules = Rules { grace: Span::from_secs(10), ..Rules::default() };
    for (cc, grace, error) in [
        ("max-age=1", 10, 3600),
        ("max-age=1, stale-while-revalidate=4, stale-if-error=60", 4, 60),
        ("max-age=1, must-revalidate, stale-if-error=60", 0, 0),
        ("max-age=1, proxy-revalidate", 0, 0),
        ("max-age=1, no-cache", 0, 0),
        ("max-age=1, no-cache=\"a\"", 10, 3600),
        ("s-maxage=1", 0, 0),
    ] {
        let f = fresh(200, &[("Cache-Control", cc)], &rules);
        assert_eq!((f.grace.as_secs(), f.stale_if_error.as_secs()), (grace, error), "{cc}");
        assert_eq!(f.keep, rules.keep);
    }
    let allowed = Rules { s_maxage_forbids_stale: false, ..rules };
    assert_eq!(fresh(200, &[("Cache-Control", "s-maxage=1, stale-while-revalidate=5")], &allowed).grace.as_secs(), 5);
}

#[test]
fn an_old_error_does_not_stand_in_for_a_new_one_unless_it_asks_to() {
    let rules = Rules::default();
    assert_eq!(fresh(503, &[("Cache-Control", "max-age=1")], &rules).stale_if_error, Span::ZERO);
    assert_eq!(fresh(503, &[("Cache-Control", "max-age=1, stale-if-error=9")], &rules).stale_if_error.as_secs(), 9);
    assert_eq!(fresh(404, &[("Cache-Control", "max-age=1")], &rules).stale_if_error, rules.stale_if_error);
}

#[test]
fn a_copy_is_of_use_when_it_can_be_served_or_revalidated() {
    let rules = Rules::default();
    let gone = fresh(200, &[("Cache-Control", "max-age=0, must-revalidate")], &rules);
    assert!(!gone.is_of_use(false) && gone.is_of_use(true));
    assert!(fresh(200, &[("Cache-Control", "max-age=0")], &rules).is_of_use(false));
}

proptest! {
    #[test]
    fn ages_lifetimes_and_windows_are_never_negative(
        cc in "[a-z0-9=, -]{0,40}", age in "[0-9]{0,25}", expires in "[ -~]{0,30}", offset in any::<i32>(), delay in any::<i64>()
    ) {
        let date = at(i64::from(offset));
        let resp = ResponseHead::new(200, [("Cache-Control", cc.as_str()), ("Age", &age), ("Expires", &expires), ("Date", &date)]);
        let f = freshness(&RequestHead::get("/", []), &resp, &Rules::default(), Time::from_micros(delay), NOW);
        for span in [f.lifetime, f.initial_age, f.grace, f.stale_if_error, f.keep] {
            prop_assert!(!span.is_negative());
        }
        prop_assert!(f.ttl <= f.lifetime);
    }
}
