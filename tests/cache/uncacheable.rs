//! What turns out not to be cacheable holds nobody up: all waiters go at once, and the next ones do not wait at all.

use super::{SOON, builder, crowd, front, front_with};
use copal_testkit::{Gate, Origin, Proxy, Reply};
use std::sync::atomic::{AtomicUsize, Ordering};

const N: usize = 20;

/// Answers the first request when `first` opens and all others when `others` does; each with a body of its own.
fn gated(first: &Gate, others: &Gate, head: &'static str) -> Origin {
    let reply = |gate: &Gate| Reply::raw("").wait(gate);
    let (first, others) = (reply(first), reply(others));
    let count = AtomicUsize::new(0);
    Origin::start(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst);
        let reply = if n == 0 { first.clone() } else { others.clone() };
        reply.send(format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 5\r\n\r\n{n:05}"))
    })
}

/// The waiters are all at the origin at the same time, while none of them has been answered.
#[track_caller]
fn all_waiters_go_at_once(head: &'static str, policy: &str) -> Proxy {
    let (first, others) = (Gate::closed(), Gate::closed());
    let origin = gated(&first, &others, head);
    let proxy = builder(&origin, "").policy(policy).start();
    let mut clients = crowd(&proxy, N, "/own");
    proxy.wait_stat("coalesce_waits", |n| n == i64::try_from(N).unwrap() - 1, SOON);
    origin.wait_for(1, SOON);
    assert_eq!(origin.count(), 1);
    first.release();
    origin.wait_for(N, SOON);
    others.release();
    let mut bodies: Vec<String> = clients.iter_mut().map(|client| client.read_response().text()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!((bodies.len(), origin.count()), (N, N), "each has an answer of its own");
    proxy
}

#[test]
fn an_uncacheable_answer_releases_all_waiters_at_once() {
    let proxy = all_waiters_go_at_once("Cache-Control: no-store\r\n", "");
    let counted = ["hits_coalesced", "objects", "misses", "fetches_uncacheable"].map(|name| proxy.stat(name));
    assert_eq!(counted, [0, 0, 20, 20]);
    assert_eq!(proxy.stat("hit_for_miss"), 19);
}

#[test]
fn so_does_a_cookie_and_a_private_answer_and_one_without_a_lifetime() {
    all_waiters_go_at_once("Cache-Control: max-age=60\r\nSet-Cookie: a=b\r\n", "");
    all_waiters_go_at_once("Cache-Control: private, max-age=60\r\n", "");
    all_waiters_go_at_once("Vary: *\r\nCache-Control: max-age=60\r\n", "");
}

#[test]
fn so_does_a_policy_that_says_pass() {
    let policy = "fn backend_response(bereq, beresp) { return pass(duration(\"60s\")); }";
    all_waiters_go_at_once("Cache-Control: max-age=60\r\n", policy);
}

#[test]
fn after_that_nobody_waits_while_the_marker_lasts() {
    let (first, others) = (Gate::closed(), Gate::closed());
    let origin = gated(&first, &others, "Cache-Control: no-store\r\n");
    let proxy = front(&origin);
    first.release();
    assert_eq!(copal_testkit::get(proxy.addr(), "/own", &[]).text(), "00000");
    let mut clients = crowd(&proxy, N, "/own");
    origin.wait_for(N + 1, SOON);
    assert_eq!((proxy.stat("coalesce_waits"), proxy.stat("hit_for_miss")), (0, 20));
    others.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
}

#[test]
fn a_write_to_what_is_not_cacheable_makes_nobody_wait() {
    let origin = Origin::start(|_| Reply::ok("own").header("Cache-Control", "no-store"));
    let proxy = front(&origin);
    for method in ["GET", "POST", "DELETE"] {
        assert_eq!(copal_testkit::client::request(proxy.addr(), method, "/own", &[], b"").status, 200);
    }
    let held = origin.hold("/own");
    let mut clients = crowd(&proxy, N, "/own");
    origin.wait_for(N + 3, SOON);
    assert_eq!((proxy.stat("coalesce_waits"), proxy.stat("hit_for_miss")), (0, 20));
    held.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
}

#[test]
fn a_marker_goes_when_the_answer_has_become_cacheable() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let lifetime = if count.fetch_add(1, Ordering::SeqCst) == 0 { "no-store" } else { "max-age=60" };
        Reply::ok("x").header("Cache-Control", lifetime)
    });
    let proxy = front(&origin);
    for _ in 0..5 {
        let _ = copal_testkit::get(proxy.addr(), "/x", &[]);
    }
    assert_eq!((origin.count(), proxy.stat("objects")), (2, 1));
}

#[test]
fn a_marker_ends_after_its_time() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "no-store"));
    let proxy = front_with(&origin, "[cache]\nhit_for_miss = \"0s\"");
    for _ in 0..3 {
        let _ = copal_testkit::get(proxy.addr(), "/x", &[]);
    }
    assert_eq!((origin.count(), proxy.stat("hit_for_miss")), (3, 0));
}

#[test]
fn when_a_marker_ends_one_asks_anew_and_nobody_waits_for_that() {
    let (first, others) = (Gate::closed(), Gate::closed());
    let origin = gated(&first, &others, "Cache-Control: no-store\r\n");
    let proxy = front_with(&origin, "[cache]\nhit_for_miss = \"3s\"");
    let marked = tokio::time::Instant::now();
    first.release();
    assert_eq!(copal_testkit::get(proxy.addr(), "/own", &[]).text(), "00000");
    // Three seconds are over: what is found is no marker in force any more.
    std::thread::sleep(std::time::Duration::from_millis(3_100).saturating_sub(marked.elapsed()));
    let mut clients = crowd(&proxy, N, "/own");
    // All of them are at the origin before any has an answer.
    origin.wait_for(N + 1, SOON);
    assert_eq!((proxy.stat("coalesce_waits"), proxy.stat("hit_for_miss")), (0, 19));
    others.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
    // Each of the answers has left a marker anew.
    let _own = copal_testkit::get(proxy.addr(), "/own", &[]);
    assert_eq!((proxy.stat("hit_for_miss"), proxy.stat("markers")), (20, 1));
}

#[test]
fn when_a_marker_ends_and_the_answer_has_become_cacheable_it_is_stored() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let lifetime = if count.fetch_add(1, Ordering::SeqCst) == 0 { "no-store" } else { "max-age=60" };
        Reply::ok("x").header("Cache-Control", lifetime)
    });
    let proxy = front_with(&origin, "[cache]\nhit_for_miss = \"1s\"");
    let marked = tokio::time::Instant::now();
    let _marks = copal_testkit::get(proxy.addr(), "/x", &[]);
    std::thread::sleep(std::time::Duration::from_millis(1_100).saturating_sub(marked.elapsed()));
    for _ in 0..5 {
        let _ = copal_testkit::get(proxy.addr(), "/x", &[]);
    }
    let counted = ["objects", "markers", "hit_for_miss"].map(|name| proxy.stat(name));
    assert_eq!((origin.count(), counted), (2, [1, 0, 0]));
}

#[test]
fn pass_for_a_time_passes_for_that_time() {
    let origin = super::echo();
    let policy = "fn backend_response(bereq, beresp) { if bereq.url == \"/p\" { return pass(duration(\"60s\")); } }";
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!(client.get("/p", &[]).text(), "/p");
    }
    assert_eq!(client.get("/other", &[]).text(), "/other");
    assert_eq!(origin.count_of("/p"), 3);
    let counted = ["hit_for_pass", "passes", "misses", "objects"].map(|name| proxy.stat(name));
    assert_eq!(counted, [2, 2, 2, 1]);
}

#[test]
fn that_one_client_wants_nothing_stored_concerns_nobody_else() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=60"));
    let proxy = front(&origin);
    let mut client = proxy.client();
    // On a cold URL it leaves no marker …
    client.get("/cold", &[("Cache-Control", "no-store")]);
    super::settled(&proxy);
    assert_eq!((proxy.stat("markers"), proxy.stat("objects")), (0, 0));
    client.get("/cold", &[]);
    assert!(client.get("/cold", &[]).header("Cache-Status").unwrap().contains("hit"));
    // … and what is stored stays where it is.
    client.get("/cold", &[("Cache-Control", "no-store, no-cache")]);
    super::settled(&proxy);
    assert!(client.get("/cold", &[]).header("Cache-Status").unwrap().contains("hit"));
    assert_eq!((proxy.stat("hit_for_miss"), proxy.stat("markers")), (0, 0));
}

#[test]
fn nobody_waits_for_a_response_that_its_own_request_keeps_from_being_stored() {
    let gate = copal_testkit::Gate::closed();
    let slow =
        Reply::raw("").wait(&gate).send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nCache-Control: max-age=60\r\n\r\nold");
    let first = std::sync::atomic::AtomicBool::new(true);
    let origin = Origin::start(move |_| {
        if first.swap(false, Ordering::SeqCst) {
            slow.clone()
        } else {
            Reply::ok("new").header("Cache-Control", "max-age=60")
        }
    });
    let proxy = front(&origin);
    let mut private = proxy.client();
    private.send("GET", "/page", &[("Cache-Control", "no-store")], b"");
    origin.wait_for(1, super::SOON);
    assert_eq!(proxy.client().get("/page", &[]).text(), "new");
    assert_eq!(proxy.stat("coalesce_waits"), 0);
    gate.release();
    assert_eq!(private.read_response().text(), "old");
}
