//! Tests of RFC 9111 §3: a table of responses and whether they are stored.

use super::Storability::{DoNotStore, Store};
use super::*;

fn get(status: u16, headers: &[(&str, &str)]) -> Storability {
    storability(&RequestHead::get("/a", []), &ResponseHead::new(status, headers.iter().copied()), &Rules::default())
}

const LM: (&str, &str) = ("Last-Modified", "Thu, 01 Jan 2015 00:00:00 GMT");
const MA: (&str, &str) = ("Cache-Control", "max-age=60");

#[test]
fn a_response_is_stored_when_something_allows_it_and_nothing_forbids_it() {
    let cc = |v| [("Cache-Control", v)];
    for (status, headers, expected) in [
        (200, &[][..], DoNotStore(Reason::NoFreshness)),
        (200, &[MA], Store(Reason::MaxAge)),
        (200, &cc("s-maxage=1, max-age=2"), Store(Reason::SMaxage)),
        (200, &[("Expires", "0")], Store(Reason::Expires)),
        (200, &[LM], Store(Reason::Heuristic)),
        (200, &[("ETag", "\"a\"")], Store(Reason::Validator)),
        (200, &[("ETag", "\"a\""), ("Cache-Control", "no-cache")], Store(Reason::NoCache)),
        (200, &cc("no-cache"), DoNotStore(Reason::NoCacheNoValidator)),
        (200, &cc("no-cache=\"a\", max-age=1"), Store(Reason::MaxAge)),
        (200, &cc("max-age=0"), Store(Reason::MaxAge)),
        (200, &cc("max-age=0, must-revalidate"), DoNotStore(Reason::NoUse)),
        (200, &cc("no-store, max-age=9"), DoNotStore(Reason::NoStore)),
        (200, &cc("private, max-age=9"), DoNotStore(Reason::Private)),
        (200, &cc("private=\"a\", max-age=9"), Store(Reason::MaxAge)),
        (200, &cc("max-age=9, no-store, must-understand"), Store(Reason::MaxAge)),
        (599, &cc("max-age=9, no-store, must-understand"), DoNotStore(Reason::StatusNotUnderstood)),
        (599, &[MA], Store(Reason::MaxAge)),
        (599, &[LM], DoNotStore(Reason::StatusNotCacheable)),
        (599, &[LM, ("Cache-Control", "public")], Store(Reason::Heuristic)),
        (201, &[LM], DoNotStore(Reason::StatusNotCacheable)),
        (503, &[MA], Store(Reason::MaxAge)),
        (103, &[MA], DoNotStore(Reason::StatusNotFinal)),
        (304, &[MA], DoNotStore(Reason::StatusNotModified)),
        (200, &[MA, ("Vary", "a, *")], DoNotStore(Reason::VaryStar)),
        (200, &[MA, ("Content-Range", "odd")], Store(Reason::MaxAge)),
        (206, &[MA, ("Content-Range", "bytes 0-1/2")], Store(Reason::Partial)),
        (206, &[MA, ("Content-Type", "multipart/byteranges; boundary=x")], DoNotStore(Reason::PartialUnusable)),
        (206, &[("Content-Range", "bytes 0-1/2")], DoNotStore(Reason::NoFreshness)),
        (200, &[MA, ("Set-Cookie", "a=b")], DoNotStore(Reason::SetCookie)),
        (200, &[("Cache-Control", "max-age=60, public"), ("Set-Cookie", "a=b")], Store(Reason::MaxAge)),
        (200, &[("Cache-Control", "max-age=60, private=\"Set-Cookie\""), ("Set-Cookie", "a=b")], Store(Reason::MaxAge)),
        (200, &[("CDN-Cache-Control", "max-age=9"), ("Cache-Control", "no-store")], Store(Reason::MaxAge)),
        (200, &[("CDN-Cache-Control", "private"), MA], DoNotStore(Reason::Private)),
        (200, &[("CDN-Cache-Control", "foo"), ("Expires", "0")], DoNotStore(Reason::NoFreshness)),
        (200, &[("CDN-Cache-Control", "max-age=9, &&"), ("Cache-Control", "no-store")], DoNotStore(Reason::NoStore)),
    ] {
        assert_eq!(get(status, headers), expected, "{status} {headers:?}");
    }
}

#[test]
fn every_final_status_with_a_lifetime_is_stored() {
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599, 999] {
        assert_eq!(get(status, &[MA]), Store(Reason::MaxAge), "{status}");
    }
}

#[test]
fn an_authorised_answer_is_shared_only_when_it_says_so() {
    let req = RequestHead::get("/a", [("Authorization", "Basic x")]);
    for (cc, expected) in [
        ("max-age=9", DoNotStore(Reason::Authorization)),
        ("max-age=9, proxy-revalidate", DoNotStore(Reason::Authorization)),
        ("max-age=9, public", Store(Reason::MaxAge)),
        ("max-age=9, must-revalidate", Store(Reason::MaxAge)),
        ("s-maxage=9", Store(Reason::SMaxage)),
    ] {
        let resp = ResponseHead::new(200, [("Cache-Control", cc)]);
        assert_eq!(storability(&req, &resp, &Rules::default()), expected, "{cc}");
    }
}

#[test]
fn a_post_is_stored_only_as_the_answer_to_a_get_of_its_own_url() {
    let req = RequestHead { method: Method::POST, ..RequestHead::get("/a?b", [("Host", "h")]) };
    for (headers, expected) in [
        (&[MA, ("Content-Location", "/a?b")][..], Store(Reason::PostContentLocation)),
        (&[MA, ("Content-Location", "http://H/a?b")], Store(Reason::PostContentLocation)),
        (&[MA, ("Content-Location", "/a")], DoNotStore(Reason::Method)),
        (&[MA, ("Content-Location", "//other/a?b")], DoNotStore(Reason::Method)),
        (&[MA, ("Content-Location", "")], DoNotStore(Reason::Method)),
        (&[MA], DoNotStore(Reason::Method)),
        (&[LM, ("Content-Location", "/a?b")], DoNotStore(Reason::Method)),
    ] {
        let resp = ResponseHead::new(200, headers.iter().copied());
        assert_eq!(storability(&req, &resp, &Rules::default()), expected, "{headers:?}");
    }
    let mut other = req;
    for (method, reason) in [(Method::PUT, Reason::Method), (Method::HEAD, Reason::Head)] {
        other.method = method;
        let resp = ResponseHead::new(200, [MA, ("Content-Location", "/a?b")]);
        assert_eq!(storability(&other, &resp, &Rules::default()), DoNotStore(reason));
    }
}

#[test]
fn what_answers_only_this_request_is_not_stored() {
    let ask = |name, status| {
        let req = RequestHead::get("/a", [(name, "x")]);
        storability(&req, &ResponseHead::new(status, [MA]), &Rules::default())
    };
    assert_eq!(ask("Range", 416), DoNotStore(Reason::RangeRequest));
    assert_eq!(ask("If-Match", 412), DoNotStore(Reason::RequestConditional));
    assert_eq!(ask("Accept", 416), Store(Reason::MaxAge));
    let req = RequestHead::get("/a", [("Cache-Control", "no-store")]);
    let rules = Rules::default();
    assert_eq!(storability(&req, &ResponseHead::new(200, [MA]), &rules), DoNotStore(Reason::RequestNoStore));
    let rules = Rules { honour_request_no_store: false, ..rules };
    assert_eq!(storability(&req, &ResponseHead::new(200, [MA]), &rules), Store(Reason::MaxAge));
}

#[test]
fn the_owner_decides_about_cookies_and_the_default_lifetime() {
    let req = RequestHead::get("/a", []);
    let resp = ResponseHead::new(200, [MA, ("Set-Cookie", "a=b")]);
    for set_cookie in [SetCookie::Store, SetCookie::Strip] {
        let rules = Rules { set_cookie, ..Rules::default() };
        assert_eq!(storability(&req, &resp, &rules), Store(Reason::MaxAge));
        let mut h = resp.headers.clone();
        strip_unstorable(&mut h, &rules.directives(&resp), &rules);
        assert_eq!(h.contains("set-cookie"), set_cookie == SetCookie::Store);
    }
    let rules = Rules { default_ttl: Span::from_secs(9), ..Rules::default() };
    assert_eq!(storability(&req, &ResponseHead::new(200, []), &rules), Store(Reason::DefaultTtl));
    assert_eq!(storability(&req, &ResponseHead::new(500, []), &rules), DoNotStore(Reason::StatusNotCacheable));
}

#[test]
fn a_stored_copy_lacks_hop_by_hop_and_qualified_fields() {
    let resp = ResponseHead::new(
        200,
        [
            ("Connection", "x"),
            ("X", "1"),
            ("A", "1"),
            ("B", "2"),
            ("C", "3"),
            ("Cache-Control", "no-cache=\"a\", private=b"),
        ],
    );
    let mut h = resp.headers.clone();
    strip_unstorable(&mut h, &Rules::default().directives(&resp), &Rules::default());
    assert_eq!(h.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["C", "Cache-Control"]);
}
