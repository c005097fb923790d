//! RFC 9111 §4, §4.1, §4.2: when a stored response answers a request.

use crate::{Lines, NOW, at, fresh, headers, req, resp};
use copal_semantics::cache_control::RequestDirectives;
use copal_semantics::freshness::freshness;
use copal_semantics::reuse::{Reuse, StoredTimes, reuse};
use copal_semantics::vary::Vary;
use copal_semantics::{Reason, Rules, Span, Time};

fn later(secs: i64) -> Time {
    NOW + Span::from_secs(secs)
}

/// What a stored 200 with these fields is good for after so many seconds, to a client with these wishes.
fn reused(stored: Lines<'_>, secs: i64, wishes: &str) -> Reuse {
    let times = StoredTimes::new(NOW, &fresh(stored));
    let asked = RequestDirectives::parse(&headers(&[("Cache-Control", wishes)]));
    reuse(&times, later(secs), Some(&asked), None, true)
}

/// "When presented with a request, a cache MUST NOT reuse a stored response unless: […]".
#[test]
fn s4_a_response_is_reused_when_it_is_fresh_allowed_stale_or_validated() {
    let cc = |v| [("Cache-Control", v)];
    for (stored, secs, wishes, expected) in [
        (&cc("max-age=60"), 59, "", Reuse::Fresh(Reason::Fresh)),
        (&cc("max-age=60, no-cache"), 1, "", Reuse::Revalidate(Reason::NoCache)),
        (&cc("max-age=60"), 1, "no-cache", Reuse::Revalidate(Reason::RequestNoCache)),
        (&cc("max-age=60, stale-while-revalidate=9"), 65, "", Reuse::Grace(Reason::StaleWhileRevalidate)),
        (&cc("max-age=60"), 65, "max-stale=9", Reuse::Fresh(Reason::MaxStale)),
        (&cc("max-age=60, must-revalidate"), 65, "max-stale=9", Reuse::Revalidate(Reason::MustRevalidate)),
        (&cc("max-age=60"), 65, "", Reuse::OnError(Reason::StaleIfError)),
    ] {
        assert_eq!(reused(stored, secs, wishes), expected, "{stored:?} {secs} {wishes:?}");
    }
}

/// "the cache MUST NOT use that stored response […] unless all the presented request header fields nominated by that Vary
/// field value match those fields in the original request".
#[test]
fn s4_1_only_a_request_with_the_same_nominated_fields_selects_a_response() {
    for (vary, original, presented, selected) in [
        (&[][..], &[("A", "1")][..], &[("A", "2")][..], true),
        (&["a"], &[("A", "1")], &[("a", "1")], true),
        (&["a"], &[("A", "1")], &[("A", "2")], false),
        (&["a"], &[("A", "1")], &[], false),
        (&["a"], &[], &[], true),
        (&["a"], &[("A", "1")], &[("A", "1"), ("A", "2")], false),
        (&["a"], &[("A", "1, 2")], &[("A", "1"), ("A", "2")], true),
        (&["a"], &[("A", "1,2")], &[("A", "1 ,\t2")], true),
        (&["a", "b"], &[("A", "1"), ("B", "2")], &[("A", "1"), ("B", "3")], false),
        (&["a, b"], &[("A", "1"), ("B", "2")], &[("B", "2"), ("A", "1"), ("C", "3")], true),
        (&["*"], &[], &[], false),
        (&["a, *"], &[], &[], false),
        (&["Accept-Encoding"], &[("Accept-Encoding", "gzip, br")], &[("Accept-Encoding", "br,GZIP")], true),
        (&["Accept-Encoding"], &[("Accept-Encoding", "gzip")], &[("Accept-Encoding", "gzip;q=0")], false),
    ] {
        let vary: Vec<(&str, &str)> = vary.iter().map(|v| ("Vary", *v)).collect();
        let got = match Vary::parse(&headers(&vary)) {
            Vary::None => true,
            Vary::Any => false,
            Vary::Fields(fields) => fields.matches(&headers(original), &headers(presented)),
        };
        assert_eq!(got, selected, "{vary:?} {original:?} {presented:?}");
    }
}

/// "response_is_fresh = (freshness_lifetime > current_age)".
#[test]
fn s4_2_a_response_is_fresh_while_its_lifetime_exceeds_its_age() {
    for (stored, secs, is_fresh) in [
        (&[("Cache-Control", "max-age=10")][..], 9, true),
        (&[("Cache-Control", "max-age=10")], 10, false),
        (&[("Cache-Control", "max-age=10"), ("Age", "4")], 5, true),
        (&[("Cache-Control", "max-age=10"), ("Age", "4")], 6, false),
        (&[("Cache-Control", "max-age=10"), ("Age", "11")], 0, false),
        (&[("Cache-Control", "max-age=0")], 0, false),
    ] {
        assert_eq!(matches!(reused(stored, secs, ""), Reuse::Fresh(_)), is_fresh, "{stored:?} {secs}");
    }
}

/// "A cache can calculate the freshness lifetime […] by evaluating the following rules and using the first match".
#[test]
fn s4_2_1_the_lifetime_is_the_first_of_s_maxage_max_age_and_expires() {
    let (soon, gone) = (at(30), at(-30));
    let date = at(0);
    for (lines, secs, source) in [
        (&[("Cache-Control", "max-age=5, s-maxage=7"), ("Expires", &soon)][..], 7, Reason::SMaxage),
        (&[("Cache-Control", "max-age=5"), ("Expires", &soon)], 5, Reason::MaxAge),
        (&[("Expires", &soon), ("Date", &date)], 30, Reason::Expires),
        (&[("Expires", &gone), ("Date", &date)], 0, Reason::Expires),
        (&[("Cache-Control", "max-age=5, max-age=3")], 3, Reason::MaxAge),
        (&[("Cache-Control", "max-age=abc"), ("Expires", &soon)], 0, Reason::MaxAge),
        (&[("Cache-Control", "max-age=\"5\"")], 5, Reason::MaxAge),
        (&[], 0, Reason::NoFreshness),
    ] {
        let f = fresh(lines);
        assert_eq!((f.lifetime.as_secs(), f.source), (secs, source), "{lines:?}");
    }
}

/// "A cache MUST NOT use heuristics to determine freshness when an explicit expiration time is present".
#[test]
fn s4_2_2_a_tenth_of_the_time_since_the_last_change_is_guessed_when_nothing_is_said() {
    let (changed, date) = (at(-1000), at(0));
    let lm = ("Last-Modified", &*changed);
    let date = ("Date", &*date);
    for (status, lines, secs) in [
        (200, &[lm, date][..], 100),
        (404, &[lm, date], 100),
        (302, &[lm, date], 0),
        (302, &[lm, date, ("Cache-Control", "public")], 100),
        (200, &[lm, date, ("Cache-Control", "max-age=5")], 5),
        (200, &[lm, date, ("Expires", "0")], 0),
        (200, &[lm, date, ("Pragma", "no-cache")], 0),
        (200, &[("Last-Modified", "Thu, 01 Jan 1970 00:00:00 GMT"), date], 86_400),
    ] {
        let f = freshness(&req(&[]), &resp(status, lines), &Rules::default(), NOW, NOW);
        assert_eq!(f.lifetime.as_secs(), secs, "{status} {lines:?}");
    }
}

/// "corrected_initial_age = max(apparent_age, corrected_age_value)", and "current_age = […] + resident_time".
#[test]
fn s4_2_3_age_is_the_larger_of_what_is_said_and_what_is_seen() {
    for (age, dated, delay, resident, expected) in [
        (None, None, 0, 0, 0),
        (Some("7"), None, 0, 5, 12),
        (Some("7"), None, 3, 0, 10),
        (None, Some(-20), 0, 0, 20),
        (Some("7"), Some(-20), 3, 1, 21),
        (Some("30"), Some(-20), 3, 0, 33),
        (None, Some(20), 0, 4, 4),
        (Some("-1"), None, 0, 0, 0),
        (Some("99999999999999999999"), None, 0, 0, i64::MAX / 1_000_000),
    ] {
        let mut head = resp(200, &[]);
        for (name, value) in [("Age", age.map(str::to_owned)), ("Date", dated.map(at))] {
            if let Some(value) = value {
                head.headers.append(name, value).unwrap();
            }
        }
        let f = freshness(&req(&[]), &head, &Rules::default(), NOW - Span::from_secs(delay), NOW);
        assert_eq!(StoredTimes::new(NOW, &f).age(later(resident)).as_secs(), expected, "{age:?} {dated:?} {delay}");
    }
}

/// "A cache MUST NOT generate a stale response unless it is disconnected or doing so is explicitly permitted".
#[test]
fn s4_2_4_a_stale_response_is_served_only_by_permission_or_when_the_origin_is_down() {
    for (cc, healthy, wishes, expected) in [
        ("max-age=1", true, "", Reuse::OnError(Reason::StaleIfError)),
        ("max-age=1", false, "", Reuse::Grace(Reason::OriginSick)),
        ("max-age=1, must-revalidate", false, "", Reuse::Revalidate(Reason::MustRevalidate)),
        ("max-age=1, proxy-revalidate", false, "max-stale", Reuse::Revalidate(Reason::MustRevalidate)),
        ("s-maxage=1, stale-while-revalidate=99", false, "max-stale", Reuse::Revalidate(Reason::MustRevalidate)),
        ("max-age=1, no-cache", false, "max-stale", Reuse::Revalidate(Reason::NoCache)),
        ("max-age=1, stale-if-error=0", true, "", Reuse::Revalidate(Reason::Stale)),
        ("max-age=1, stale-if-error=0", true, "max-stale=9", Reuse::Fresh(Reason::MaxStale)),
        ("max-age=1, stale-if-error=0", true, "max-stale=8", Reuse::Revalidate(Reason::Stale)),
        ("max-age=1, stale-while-revalidate=10", true, "", Reuse::Grace(Reason::StaleWhileRevalidate)),
    ] {
        let times = StoredTimes::new(NOW, &fresh(&[("Cache-Control", cc)]));
        let wishes = RequestDirectives::parse(&headers(&[("Cache-Control", wishes)]));
        assert_eq!(reuse(&times, later(10), Some(&wishes), None, healthy), expected, "{cc} healthy {healthy}");
    }
}
