//! HEAD that a policy sends past the cache (RFC 9111 §4.3.5): its answer renews what it describes and makes stale what it
//! contradicts.

use super::{builder, settled};
use copal_testkit::{Origin, Proxy, Reply, get, request};
use std::sync::{Arc, Mutex};

/// GET is cached, HEAD goes to the origin.
const POLICY: &str = r#"fn recv(req) { if req.method == "HEAD" { return pass(); } }"#;

/// The page is five bytes; HEAD is answered with these fields.
fn site(head: &'static [(&'static str, &'static str)]) -> (Origin, Proxy) {
    let page = [("Cache-Control", "max-age=60"), ("ETag", "\"v1\""), ("X-Rev", "1"), ("X-Kept", "yes")];
    let origin = Origin::start(move |seen| {
        let (reply, fields) = match seen.method.as_str() {
            "HEAD" => (Reply::head(200), head),
            _ => (Reply::ok("01234"), &page[..]),
        };
        fields.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    });
    let proxy = builder(&origin, "").policy(POLICY).start();
    assert_eq!(get(proxy.addr(), "/page", &[]).text(), "01234");
    settled(&proxy);
    (origin, proxy)
}

fn head(proxy: &Proxy, fields: &[(&str, &str)]) {
    assert_eq!(request(proxy.addr(), "HEAD", "/page", fields, b"").status, 200);
    settled(proxy);
}

#[test]
fn an_answer_with_the_same_length_and_validator_renews_the_stored_head() {
    let (origin, proxy) = site(&[
        ("Content-Length", "5"),
        ("ETag", "\"v1\""),
        ("X-Rev", "2"),
        ("Cache-Control", "max-age=600"),
        ("Age", "100"),
    ]);
    head(&proxy, &[]);
    let page = get(proxy.addr(), "/page", &[]);
    assert_eq!((page.text().as_str(), page.header("Content-Length"), origin.count()), ("01234", Some("5"), 2));
    assert_eq!((page.all("X-Rev"), page.header("X-Kept")), (vec!["2"], Some("yes")));
    let status = page.header("Cache-Status").unwrap();
    assert!(status.starts_with("copal; hit; ttl=500") || status.starts_with("copal; hit; ttl=499"), "{status}");
    assert!(page.header("Age").is_some_and(|age| ["100", "101"].contains(&age)), "{page:?}");
    assert_eq!((proxy.stat("head_updates"), proxy.stat("head_invalidations")), (1, 0));
}

#[test]
fn an_answer_that_contradicts_the_stored_response_makes_it_stale() {
    for fields in [&[("Content-Length", "6")][..], &[("ETag", "\"v2\""), ("Content-Length", "5")]] {
        let (origin, proxy) = site(fields);
        head(&proxy, &[]);
        assert_eq!((proxy.stat("head_updates"), proxy.stat("head_invalidations")), (0, 1), "{fields:?}");
        assert_eq!(get(proxy.addr(), "/page", &[]).status, 200);
        let conditional = origin.requests().pop().and_then(|seen| seen.header("If-None-Match").map(str::to_owned));
        assert_eq!((origin.count(), conditional.as_deref()), (3, Some("\"v1\"")), "{fields:?}");
    }
}

#[test]
fn an_answer_that_may_not_be_stored_or_is_for_one_user_changes_nothing() {
    let ours = ("Content-Length", "5");
    for (answer, request) in [
        (&[ours, ("X-Rev", "2"), ("Cache-Control", "private")][..], &[][..]),
        (&[ours, ("X-Rev", "2"), ("Cache-Control", "no-store")], &[]),
        (&[ours, ("X-Rev", "2"), ("Cache-Control", "max-age=9"), ("Set-Cookie", "a=1")], &[]),
        (&[ours, ("X-Rev", "2"), ("Cache-Control", "max-age=9")], &[("Cookie", "session=1")]),
        (&[("Content-Length", "6"), ("Cache-Control", "max-age=9")], &[("Authorization", "Basic eA==")]),
    ] {
        let answer: &'static [_] = answer.to_vec().leak();
        let (origin, proxy) = site(answer);
        head(&proxy, request);
        let page = get(proxy.addr(), "/page", &[]);
        assert_eq!((page.header("X-Rev"), origin.count()), (Some("1"), 2), "{answer:?}");
        assert_eq!((proxy.stat("head_updates"), proxy.stat("head_invalidations")), (0, 0), "{answer:?}");
    }
}

#[test]
fn head_is_answered_from_the_stored_page_where_no_policy_says_otherwise() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let methods = Arc::clone(&seen);
    let origin = Origin::start(move |request| {
        methods.lock().unwrap().push(request.method.clone());
        Reply::ok("01234").header("Cache-Control", "max-age=60")
    });
    let proxy = super::front(&origin);
    for _ in 0..2 {
        let response = request(proxy.addr(), "HEAD", "/page", &[("Range", "bytes=-2")], b"");
        assert_eq!((response.status, response.header("Content-Range")), (200, None));
        settled(&proxy);
    }
    assert_eq!(*seen.lock().unwrap(), ["GET"]);
    assert_eq!(origin.requests()[0].header("Range"), None);
}
