//! Fields that are for one client, or for this cache, alone (RFC 9111 §5.2.2.4 and §5.2.2.7, Surrogate-Control).

use super::{front, settled};
use copal_testkit::{Origin, Reply, get};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_private_field_reaches_the_client_that_caused_the_fetch_and_nobody_else() {
    let control = "max-age=60, private=\"x-user, set-cookie\", no-cache=\"x-once\"";
    let origin = Origin::start(move |_| {
        let reply = Reply::ok("page").header("Cache-Control", control).header("X-For-All", "1");
        reply.header("X-User", "ann").header("X-User", "bob").header("Set-Cookie", "a=1").header("X-Once", "1")
    });
    let proxy = front(&origin);
    let mut client = proxy.client();
    let first = client.get("/page", &[]);
    assert_eq!((first.all("X-User"), first.header("Set-Cookie")), (vec!["ann", "bob"], Some("a=1")));
    assert_eq!((first.header("X-Once"), first.header("X-For-All")), (Some("1"), Some("1")));
    settled(&proxy);
    for _ in 0..2 {
        let later = client.get("/page", &[]);
        assert_eq!((later.text().as_str(), later.header("X-For-All")), ("page", Some("1")));
        for field in ["X-User", "Set-Cookie", "X-Once"] {
            assert_eq!(later.header(field), None, "{field}");
        }
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_private_field_of_a_304_does_not_get_into_the_stored_head() {
    let n = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let reply = match n.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::ok("page").header("Cache-Control", "max-age=0"),
            _ => {
                Reply::status(304, "").header("Cache-Control", "max-age=60, private=\"x-user\"").header("X-User", "ann")
            }
        };
        reply.header("ETag", "\"v1\"")
    });
    let proxy = front(&origin);
    assert_eq!(get(proxy.addr(), "/page", &[]).header("X-User"), None);
    settled(&proxy);
    assert_eq!(get(proxy.addr(), "/page", &[]).header("X-User"), Some("ann"));
    settled(&proxy);
    let later = get(proxy.addr(), "/page", &[]);
    assert_eq!((later.header("X-User"), later.text().as_str(), origin.count()), (None, "page", 2));
}

#[test]
fn surrogate_control_is_obeyed_and_stays_here() {
    let origin = Origin::start(|_| {
        let reply = Reply::ok("page").header("Surrogate-Control", "max-age=60");
        reply.header("Cache-Control", "no-store").header("CDN-Cache-Control-X", "1")
    });
    let proxy = front(&origin);
    for _ in 0..2 {
        let page = get(proxy.addr(), "/page", &[]);
        assert_eq!((page.header("Surrogate-Control"), page.header("Cache-Control")), (None, Some("no-store")));
        settled(&proxy);
    }
    assert_eq!(origin.count(), 1);
    let posted = copal_testkit::request(proxy.addr(), "POST", "/page", &[], b"x");
    assert_eq!(posted.header("Surrogate-Control"), None);
}
