//! RFC 9111 §4.3 and §4.4: validation, freshening, HEAD, invalidation.

use crate::{NOW, at, fresh, headers, req, resp};
use copal_semantics::conditional::{Precondition, evaluate};
use copal_semantics::freshness::freshness;
use copal_semantics::invalidation::targets;
use copal_semantics::reuse::{Reuse, StoredTimes, reuse};
use copal_semantics::validation::{Freshening, HeadUpdate, conditional_headers, freshens, head_update, merge_304};
use copal_semantics::{Reason, RequestHead, Rules, Span};
use http::Method;

/// "A cache MUST send the relevant entity tags (using If-Match, If-None-Match, or If-Range) if the entity tags were
/// provided in the stored response(s) being validated."
#[test]
fn s4_3_1_a_validation_request_carries_the_stored_validators_and_no_others() {
    for (stored, sent) in [
        (&[("ETag", "\"a\"")][..], &[("If-None-Match", "\"a\"")][..]),
        (&[("ETag", "W/\"a\"")], &[("If-None-Match", "W/\"a\"")]),
        (&[("Last-Modified", "then")], &[("If-Modified-Since", "then")]),
        (&[("ETag", "\"a\""), ("Last-Modified", "then")], &[("If-None-Match", "\"a\""), ("If-Modified-Since", "then")]),
    ] {
        let mut out = headers(&[("If-None-Match", "\"mine\""), ("If-Match", "*"), ("If-Range", "\"mine\"")]);
        assert!(conditional_headers(&resp(200, stored), &mut out));
        assert_eq!(out, headers(sent), "{stored:?}");
    }
    let mut own = headers(&[("If-None-Match", "\"mine\"")]);
    assert!(!conditional_headers(&resp(200, &[]), &mut own), "nothing to validate with");
    assert_eq!(own, headers(&[("If-None-Match", "\"mine\"")]));
}

/// "A cache […] SHOULD generate a 304 (Not Modified) response […] if […]" the client's own validator is the stored one's.
#[test]
fn s4_3_2_a_clients_condition_is_answered_from_the_stored_response() {
    let (then, date, before) = (at(-100), at(-50), at(-200));
    let inm = Precondition::NotModified(Reason::IfNoneMatch);
    let ims = Precondition::NotModified(Reason::IfModifiedSince);
    for (asked, stored, expected) in [
        (&[("If-None-Match", "\"a\"")][..], &[("ETag", "\"a\"")][..], inm),
        (&[("If-None-Match", "W/\"a\"")], &[("ETag", "\"a\"")], inm),
        (&[("If-None-Match", "\"b\"")], &[("ETag", "\"a\"")], Precondition::Proceed),
        (&[("If-None-Match", "*")], &[], inm),
        (&[("If-Modified-Since", &*then)], &[("Last-Modified", &*then)], ims),
        (&[("If-Modified-Since", &*before)], &[("Last-Modified", &*then)], Precondition::Proceed),
        // "If a response does not contain a Last-Modified field […] the cache can use the […] Date field".
        (&[("If-Modified-Since", &*date)], &[("Date", &*date)], ims),
        (&[("If-Modified-Since", &*then)], &[("Date", &*date)], Precondition::Proceed),
        // "A recipient MUST ignore If-Modified-Since if the request contains an If-None-Match".
        (
            &[("If-None-Match", "\"b\""), ("If-Modified-Since", &*then)],
            &[("ETag", "\"a\""), ("Last-Modified", &*then)],
            Precondition::Proceed,
        ),
    ] {
        assert_eq!(evaluate(&req(asked), 200, &resp(200, stored), NOW), expected, "{asked:?} {stored:?}");
    }
}

/// A 304 updates, a full response replaces, a 5xx "can […] act as if the server failed to respond": then the stored one
/// may be used only if it may be served stale.
#[test]
fn s4_3_3_what_a_validation_request_comes_to() {
    let update = Freshening::Update(Reason::Revalidated);
    assert_eq!(freshens(&resp(200, &[("ETag", "\"a\"")]), &resp(304, &[])), update);
    for (cc, expected) in [
        ("max-age=1", Reuse::OnError(Reason::StaleIfError)),
        ("max-age=1, stale-if-error=60", Reuse::OnError(Reason::StaleIfError)),
        ("max-age=1, stale-if-error=5", Reuse::Revalidate(Reason::Stale)),
        ("max-age=1, must-revalidate, stale-if-error=60", Reuse::Revalidate(Reason::MustRevalidate)),
        ("no-cache, stale-if-error=60", Reuse::Revalidate(Reason::NoCache)),
    ] {
        let times = StoredTimes::new(NOW, &fresh(&[("Cache-Control", cc), ("ETag", "\"a\"")]));
        assert_eq!(reuse(&times, NOW + Span::from_secs(10), None, None, true), expected, "{cc}");
    }
}

/// "If the new response contains one or more strong validators […] the stored responses with the same strong validator
/// […]. If no stored response […], the cache MUST NOT use the new response to update any stored responses".
#[test]
fn s4_3_4_a_304_freshens_only_the_response_it_is_about() {
    let (update, other) = (Freshening::Update(Reason::Revalidated), Freshening::Mismatch(Reason::ValidatorMismatch));
    for (stored, fresh, expected) in [
        (&[("ETag", "\"a\"")][..], &[("ETag", "\"a\"")][..], update),
        (&[("ETag", "\"a\"")], &[("ETag", "\"b\"")], other),
        (&[], &[("ETag", "\"a\"")], other),
        (&[("ETag", "\"a\"")], &[("ETag", "W/\"a\"")], update),
        (&[("ETag", "\"a\"")], &[("ETag", "W/\"b\"")], other),
        (&[("Last-Modified", "x")], &[("Last-Modified", "y")], other),
        (&[("Last-Modified", "x")], &[], update),
        (&[], &[], update),
    ] {
        assert_eq!(freshens(&resp(200, stored), &resp(304, fresh)), expected, "{stored:?} {fresh:?}");
    }
    // And then its age and lifetime count from the 304 on.
    let merged = merge_304(
        &resp(200, &[("Age", "50"), ("Cache-Control", "max-age=60")]),
        &resp(304, &[("Cache-Control", "max-age=9")]),
    );
    let f = freshness(&req(&[]), &merged, &Rules::default(), NOW, NOW);
    assert_eq!((f.ttl.as_secs(), f.initial_age.as_secs()), (9, 0));
}

/// "If the two responses differ […], the cache SHOULD consider the stored response to be stale"; else update it.
#[test]
fn s4_3_5_a_200_to_head_updates_what_it_matches_and_outdates_what_it_does_not() {
    let stored = resp(200, &[("ETag", "\"a\""), ("Last-Modified", "x"), ("Content-Length", "5")]);
    for (lines, expected) in [
        (&[("ETag", "\"a\"")][..], "update"),
        (&[("ETag", "\"a\""), ("Last-Modified", "x"), ("Content-Length", "5"), ("B", "1")], "update"),
        (&[("ETag", "\"b\"")], "outdate"),
        (&[("Last-Modified", "y")], "outdate"),
        (&[("Content-Length", "6")], "outdate"),
    ] {
        let got = match head_update(&stored, &resp(200, lines)) {
            HeadUpdate::Update(merged, _) => {
                assert!(lines.iter().all(|(n, v)| merged.headers.get(n) == Some(v.as_bytes())), "{lines:?}");
                "update"
            }
            HeadUpdate::Invalidate(_) => "outdate",
            HeadUpdate::Ignore(_) => "ignore",
        };
        assert_eq!(got, expected, "{lines:?}");
    }
    assert!(matches!(head_update(&stored, &resp(404, &[])), HeadUpdate::Ignore(_)), "only \"when a 200\"");
}

/// "A cache MUST invalidate the target URI when it receives a non-error status code in response to an unsafe request
/// method", and "MUST NOT" what is on another origin.
#[test]
fn s4_4_a_change_invalidates_its_target_and_its_own_locations() {
    for (method, status, lines, expected) in [
        ("POST", 200, &[][..], &["/a"][..]),
        ("DELETE", 204, &[], &["/a"]),
        ("FROBNICATE", 200, &[], &["/a"]),
        ("PUT", 302, &[], &["/a"]),
        ("POST", 404, &[], &[]),
        ("POST", 500, &[], &[]),
        ("GET", 200, &[("Location", "/b")], &[]),
        ("POST", 201, &[("Location", "/b"), ("Content-Location", "c")], &["/a", "/b", "/c"]),
        ("POST", 201, &[("Location", "http://h.example/b")], &["/a", "/b"]),
        ("POST", 201, &[("Location", "http://evil.example/b")], &["/a"]),
    ] {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let req = RequestHead { method, ..req(&[("Host", "h.example")]) };
        assert_eq!(targets(&req, &resp(status, lines)).as_slice(), expected, "{} {status} {lines:?}", req.method);
    }
}
