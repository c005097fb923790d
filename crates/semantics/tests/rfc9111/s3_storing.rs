//! RFC 9111 §2 and §3: what may be stored, with which fields, and how parts are kept.

use crate::{Lines, headers, req, resp};
use copal_semantics::key::normalise_host;
use copal_semantics::partial::{Combine, Extents, PartialAnswer, may_combine};
use copal_semantics::range::{Bounds, parse_specs};
use copal_semantics::storability::Storability::{DoNotStore, Store};
use copal_semantics::storability::{storability, strip_unstorable};
use copal_semantics::validation::merge_304;
use copal_semantics::{Reason, RequestHead, Rules};
use http::Method;

const MA: (&str, &str) = ("Cache-Control", "max-age=60");
const DATE: &str = "Sat, 21 Nov 2026 10:00:00 GMT";
const LONG_BEFORE: &str = "Fri, 20 Nov 2026 10:00:00 GMT";
const JUST_BEFORE: &str = "Sat, 21 Nov 2026 09:59:59 GMT";

/// "The cache key is comprised of, at a minimum, the request method and target URI".
#[test]
fn s2_one_target_has_one_key_and_only_get_answers_get() {
    for (a, b, same) in [
        ("a.example", "A.EXAMPLE", true),
        ("a.example", "a.example:80", true),
        ("a.example", "a.example.", true),
        ("a.example", "b.example", false),
        ("a.example", "a.example:8080", false),
        ("a.example", "a.example.evil", false),
    ] {
        assert_eq!(normalise_host(a.as_bytes()) == normalise_host(b.as_bytes()), same, "{a} {b}");
    }
    for (method, expected) in [
        (Method::GET, Store(Reason::MaxAge)),
        (Method::HEAD, DoNotStore(Reason::Head)),
        (Method::PUT, DoNotStore(Reason::Method)),
        (Method::OPTIONS, DoNotStore(Reason::Method)),
    ] {
        let req = RequestHead { method: method.clone(), ..req(&[]) };
        assert_eq!(storability(&req, &resp(200, &[MA]), &Rules::default()), expected, "{method}");
    }
}

/// "A cache MUST NOT store a response to a request unless: […]".
#[test]
fn s3_a_response_is_stored_only_when_all_conditions_hold() {
    let cc = |v| [("Cache-Control", v)];
    for (asked, status, answered, expected) in [
        (&[][..], 200, &[MA][..], Store(Reason::MaxAge)),
        (&[], 100, &[MA], DoNotStore(Reason::StatusNotFinal)),
        (&[], 304, &[MA], DoNotStore(Reason::StatusNotModified)),
        (&[], 599, &[MA], Store(Reason::MaxAge)),
        (&[], 599, &cc("must-understand, max-age=60"), DoNotStore(Reason::StatusNotUnderstood)),
        (&[], 200, &cc("no-store"), DoNotStore(Reason::NoStore)),
        (&[], 200, &cc("no-store, max-age=60"), DoNotStore(Reason::NoStore)),
        (&[], 200, &cc("private"), DoNotStore(Reason::Private)),
        (&[], 200, &[("Expires", DATE)], Store(Reason::Expires)),
        (&[], 200, &cc("s-maxage=1"), Store(Reason::SMaxage)),
        (&[], 200, &[], DoNotStore(Reason::NoFreshness)),
        (&[], 200, &[("ETag", "\"a\"")], Store(Reason::Validator)),
        (&[], 302, &[("ETag", "\"a\"")], DoNotStore(Reason::StatusNotCacheable)),
        (&[], 302, &[MA], Store(Reason::MaxAge)),
        (&cc("no-store"), 200, &[MA], DoNotStore(Reason::RequestNoStore)),
        (&[], 206, &[MA], DoNotStore(Reason::PartialUnusable)),
        (&[], 206, &[MA, ("Content-Range", "bytes 0-1/5")], Store(Reason::Partial)),
    ] {
        let got = storability(&req(asked), &resp(status, answered), &Rules::default());
        assert_eq!(got, expected, "{asked:?} {status} {answered:?}");
    }
}

/// "Caches MUST include all received response header fields […] with the exceptions […]".
#[test]
fn s3_1_all_fields_are_stored_but_those_of_the_connection_and_those_kept_back() {
    for (lines, stored) in [
        (&[("X-Unknown", "1"), ("Set-Cookie2", "a")][..], &["X-Unknown", "Set-Cookie2"][..]),
        (&[("Connection", "X-A, close"), ("X-A", "1"), ("X-B", "2")], &["X-B"]),
        (&[("Keep-Alive", "5"), ("TE", "x"), ("Upgrade", "y"), ("Transfer-Encoding", "chunked")], &[]),
        (&[("Proxy-Authenticate", "x"), ("Proxy-Authentication-Info", "y"), ("Proxy-Connection", "z")], &[]),
        (&[("Cache-Control", "private=\"x-a\""), ("X-A", "1"), ("X-B", "2")], &["Cache-Control", "X-B"]),
        (&[("Cache-Control", "no-cache=\"x-a, X-B\""), ("X-A", "1"), ("x-b", "2")], &["Cache-Control"]),
        (&[("Connection", "cache-control"), ("Cache-Control", "no-store")], &["Cache-Control"]),
    ] {
        let mut head = resp(200, lines);
        let rules = Rules::default();
        let effective = rules.directives(&head);
        strip_unstorable(&mut head.headers, &effective, &rules);
        assert_eq!(head.headers.iter().map(|(n, _)| n).collect::<Vec<_>>(), stored, "{lines:?}");
    }
}

/// "the cache MUST add each header field in the provided response to the stored response, replacing field values that
/// are already present, with the following exceptions: […]".
#[test]
fn s3_2_an_update_replaces_fields_but_not_those_of_the_body() {
    for (stored, update, result) in [
        (&[("A", "1")][..], &[("A", "2")][..], &[("A", "2")][..]),
        (&[("A", "1"), ("A", "2")], &[("a", "3")], &[("a", "3")]),
        (&[("A", "1")], &[("A", "2"), ("A", "3")], &[("A", "2"), ("A", "3")]),
        (&[("A", "1")], &[("B", "2")], &[("A", "1"), ("B", "2")]),
        (&[("Content-Length", "5")], &[("Content-Length", "6")], &[("Content-Length", "5")]),
        (&[("Content-Encoding", "br")], &[("Content-Encoding", "gzip")], &[("Content-Encoding", "br")]),
        (&[("Content-Type", "a")], &[("Content-Type", "b")], &[("Content-Type", "b")]),
        (&[("X", "1")], &[("Connection", "x"), ("X", "2")], &[("X", "1")]),
    ] {
        let merged = merge_304(&resp(200, stored), &resp(304, update));
        assert_eq!(merged.headers, headers(result), "{stored:?} {update:?}");
    }
}

/// "A cache MUST NOT use an incomplete response to answer requests unless the response has been made complete, or the
/// request is partial and specifies a range wholly within the incomplete response."
#[test]
fn s3_3_an_incomplete_response_answers_only_what_it_wholly_holds() {
    let mut held = Extents::new(Some(10));
    held.insert((2, 5));
    let one = |b: Bounds| PartialAnswer::Held([b].into_iter().collect());
    for (range, expected) in [
        (None, PartialAnswer::Missing),
        (Some("bytes=2-5"), one((2, 5))),
        (Some("bytes=3-3"), one((3, 3))),
        (Some("bytes=1-5"), PartialAnswer::Missing),
        (Some("bytes=2-6"), PartialAnswer::Missing),
        (Some("bytes=2-"), PartialAnswer::Missing),
        (Some("bytes=-1"), PartialAnswer::Missing),
        (Some("bytes=10-"), PartialAnswer::Unsatisfiable),
    ] {
        let specs = range.map(|r| parse_specs(r.as_bytes(), 8).unwrap()).unwrap_or_default();
        assert_eq!(held.answer(&specs), expected, "{range:?}");
    }
    held.insert((0, 1));
    held.insert((6, 9));
    assert_eq!(held.answer(&[]), one((0, 9)), "made complete");
}

/// "A cache MAY combine these responses […] if they all share the same strong validator".
#[test]
fn s3_4_parts_are_combined_only_with_the_same_strong_validator() {
    let (yes, no) = (Combine::Yes(Reason::PartialCombined), Combine::No(Reason::PartialMismatch));
    let lm = |lm, date| [("Last-Modified", lm), ("Date", date)];
    for (stored, new, expected) in [
        (&[("ETag", "\"a\"")][..], &[("ETag", "\"a\"")][..], yes),
        (&[("ETag", "\"a\"")], &[("ETag", "\"b\"")], no),
        (&[("ETag", "W/\"a\"")], &[("ETag", "W/\"a\"")], no),
        (&[("ETag", "\"a\"")], &[], no),
        (&[], &[], no),
        (&lm(LONG_BEFORE, DATE), &lm(LONG_BEFORE, DATE), yes),
        (&lm(JUST_BEFORE, DATE), &lm(JUST_BEFORE, DATE), no),
        (
            &[("ETag", "\"a\""), ("Content-Range", "bytes 0-1/9")],
            &[("ETag", "\"a\""), ("Content-Range", "bytes 2-3/8")],
            no,
        ),
    ] {
        assert_eq!(may_combine(&resp(206, stored), &resp(206, new)), expected, "{stored:?} {new:?}");
    }
}

/// "A shared cache MUST NOT use a cached response to a request with an Authorization header field […] unless the response
/// contains […] must-revalidate, public, and s-maxage".
#[test]
fn s3_5_an_answer_to_an_authorised_request_is_shared_only_when_it_says_so() {
    for (cc, stored) in [
        ("max-age=60", false),
        ("max-age=60, proxy-revalidate", false),
        ("max-age=60, must-understand", false),
        ("max-age=60, public", true),
        ("max-age=60, must-revalidate", true),
        ("s-maxage=60", true),
        ("public, no-store", false),
        ("public, private", false),
    ] {
        let auth: Lines<'_> = &[("Authorization", "Basic eDp5")];
        let got = storability(&req(auth), &resp(200, &[("Cache-Control", cc)]), &Rules::default());
        assert_eq!(matches!(got, Store(_)), stored, "{cc}: {got:?}");
    }
}
