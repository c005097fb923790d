//! 304: the body is kept and the head renewed.

use super::front;
use copal_testkit::{Origin, Reply};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A page that is always stale, with a validator; its second and later answers are 304 with a new head.
fn validated() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |seen| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let reply = match seen.header("If-None-Match") {
            Some("\"v1\"") => Reply::status(304, ""),
            Some(other) => Reply::status(400, other.to_owned()),
            None => Reply::ok("the body").header("X-Once", "kept").header("Content-Type", "text/x-test"),
        };
        reply.header("ETag", "\"v1\"").header("Cache-Control", "max-age=0").header("X-Rev", n)
    })
}

#[test]
fn a_304_keeps_the_body_and_renews_the_head() {
    let origin = validated();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for n in 1..=4 {
        let response = client.get("/page", &[]);
        assert_eq!((response.status, response.text().as_str()), (200, "the body"));
        assert_eq!(response.all("X-Rev"), [n.to_string().as_str()], "the new head");
        assert_eq!(
            (response.all("X-Once").as_slice(), response.header("Content-Type")),
            (&["kept"][..], Some("text/x-test"))
        );
        assert_eq!(
            (response.all("ETag").as_slice(), response.all("Content-Length").as_slice()),
            (&["\"v1\""][..], &["8"][..])
        );
    }
    assert_eq!((origin.count(), proxy.stat("fetches_304"), proxy.stat("objects")), (4, 3, 1));
    assert_eq!(origin.requests()[1].header("If-None-Match"), Some("\"v1\""));
}

#[test]
fn the_clients_own_conditions_are_answered_here_and_not_sent_on() {
    let origin = Origin::start(|seen| match seen.header("If-None-Match").or(seen.header("If-Modified-Since")) {
        Some(_) => Reply::status(304, ""),
        None => Reply::ok("body").header("ETag", "\"v1\"").header("Cache-Control", "max-age=60"),
    });
    let proxy = front(&origin);
    let mut client = proxy.client();
    assert_eq!(client.get("/page", &[("If-None-Match", "\"v1\"")]).status, 304);
    assert_eq!(client.get("/page", &[("If-None-Match", "\"v2\"")]).text(), "body");
    assert_eq!(client.get("/page", &[("If-None-Match", "\"v1\"")]).status, 304);
    assert_eq!(client.get("/page", &[("Range", "bytes=1-2")]).text(), "od");
    assert_eq!((origin.count(), origin.requests()[0].header("If-None-Match")), (1, None));
}

#[test]
fn what_has_changed_replaces_what_was_stored() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        Reply::ok(format!("v{n}")).header("ETag", format!("\"{n}\"")).header("Cache-Control", "max-age=0")
    });
    let proxy = front(&origin);
    for n in 0..4 {
        assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), format!("v{n}"));
    }
    assert_eq!((proxy.stat("objects"), proxy.stat("fetches_304")), (1, 0));
}
