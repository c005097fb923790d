//! Kept connections that have died: one safe second try, and never for what an origin may have done already.

use super::{COPAL, SOON};
use copal_testkit::{Origin, Proxy, Reply, client};

/// Answers the first request of its first connection, and hangs up on the second without an answer.
fn dies() -> Origin {
    Origin::start(|seen| match (seen.connection, seen.path.as_str()) {
        (0, "/first") => Reply::ok("first").header("Cache-Control", "no-store"),
        (0, _) => Reply::hang_up(),
        _ => Reply::ok("again").header("Cache-Control", "no-store"),
    })
}

fn one_thread(origin: &Origin) -> Proxy {
    Proxy::builder(COPAL).config(&format!("threads = 1\n[backend.app]\naddress = \"{}\"\n", origin.addr())).start()
}

#[test]
fn a_get_over_a_dead_kept_connection_is_sent_again_once() {
    let origin = dies();
    let proxy = one_thread(&origin);
    let mut client = proxy.client();
    assert_eq!(client.get("/first", &[]).text(), "first");
    assert_eq!(client.get("/second", &[]).text(), "again");
    assert_eq!((origin.count(), origin.connections(), proxy.stat("fetch_reconnects")), (3, 2, 1));
    assert_eq!(proxy.stat("fetches_failed"), 0);
}

#[test]
fn a_post_whose_body_was_sent_is_not_sent_again() {
    let origin = dies();
    let proxy = one_thread(&origin);
    let mut client = proxy.client();
    assert_eq!(client.get("/first", &[]).text(), "first");
    assert_eq!(client.request("POST", "/second", &[], b"pay").status, 502);
    assert_eq!((origin.count(), proxy.stat("fetch_reconnects")), (2, 0));
    assert_eq!(client.request("POST", "/third", &[], b"pay").text(), "again", "a new connection is fine");
}

#[test]
fn a_post_without_a_body_is_not_sent_again_either() {
    let origin = dies();
    let proxy = one_thread(&origin);
    let mut client = proxy.client();
    assert_eq!(client.get("/first", &[]).text(), "first");
    assert_eq!(client.request("POST", "/second", &[], b"").status, 502);
    assert_eq!(origin.count(), 2, "the origin may have obeyed before it hung up");
}

#[test]
fn a_new_connection_that_dies_is_not_tried_again() {
    let origin = Origin::start(|_| Reply::hang_up());
    let proxy = one_thread(&origin);
    assert_eq!(copal_testkit::get(proxy.addr(), "/x", &[]).status, 502);
    assert_eq!((origin.count(), proxy.stat("fetch_reconnects")), (1, 0));
}

#[test]
fn a_connection_that_the_origin_closed_while_idle_is_not_used() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "no-store").close());
    let proxy = one_thread(&origin);
    for n in 1..=5 {
        assert_eq!(client::request(proxy.addr(), "POST", "/x", &[], b"body").text(), "x");
        assert_eq!(origin.count(), n);
        proxy.wait_stat("backend_connections_open", |n| n == 0, SOON);
    }
}

#[test]
fn after_a_restart_of_the_origin_the_first_request_works() {
    let mut origin = super::echo();
    let proxy = one_thread(&origin);
    let mut client = proxy.client();
    for i in 0..5 {
        assert_eq!(client.request("POST", &format!("/{i}"), &[], b"body").status, 200);
        origin.restart();
        // The old connection's end must have reached the proxy: loopback, but another process.
        copal_testkit::wait::until(SOON, "the kept connection is seen to be dead", || {
            client.get(&format!("/seen/{i}"), &[]).status == 200
        });
    }
}
