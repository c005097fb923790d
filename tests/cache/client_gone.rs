//! Clients that leave while they wait: it is noticed at once, and what nobody else can use ends.

use super::{SOON, crowd, settled};
use copal_testkit::{Gate, Origin, Proxy, Reply};
use std::io::Write;
use std::net::TcpStream;

const PASS: &str = "fn recv(req) { return pass(); }";

/// An end is taken for leaving.
fn strict(origin: &Origin, policy: &str) -> Proxy {
    let toml = "[[listen]]\naddress = \"127.0.0.1:0\"\nabort_on_close = true";
    crate::wire::builder(origin, toml).policy(policy).start()
}

fn lax(origin: &Origin, policy: &str) -> Proxy {
    crate::wire::builder(origin, "").policy(policy).start()
}

/// Sends a GET, waits for the first bytes of an answer, and closes without reading them, which the kernel makes a reset of.
fn ask_and_reset(proxy: &Proxy, path: &str) {
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert!(stream.peek(&mut [0]).unwrap() > 0);
}

#[track_caller]
fn cancelled(proxy: &Proxy) {
    proxy.wait_stat("fetches_cancelled", |n| n == 1, SOON);
    settled(proxy);
    proxy.wait_stat("backend_connections_open", |n| n == 0, SOON);
    let counted = ["client_gone", "fetches_ok", "fetches_failed"].map(|name| proxy.stat(name));
    assert_eq!(counted, [1, 0, 0]);
}

#[test]
fn a_pass_ends_when_its_client_leaves_before_the_head() {
    let origin = crate::wire::echo();
    let _held = origin.hold("/page");
    let proxy = strict(&origin, PASS);
    let clients = crowd(&proxy, 1, "/page");
    origin.wait_for(1, SOON);
    drop(clients);
    cancelled(&proxy);
}

#[test]
fn a_pass_ends_when_its_client_leaves_while_the_body_pauses() {
    let gate = Gate::closed();
    let reply = Reply::stream().chunk("first").wait(&gate).end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let proxy = strict(&origin, PASS);
    let mut client = proxy.client();
    client.send("GET", "/page", &[], b"");
    client.read_head();
    client.peek_raw(10);
    drop(client);
    cancelled(&proxy);
    assert_eq!(proxy.stat("aborted_deliveries"), 1);
}

#[test]
fn a_reset_is_seen_before_the_head_whatever_an_end_means() {
    let gate = Gate::closed();
    let reply = Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n").wait(&gate);
    let origin = Origin::start(move |_| reply.clone());
    let proxy = lax(&origin, PASS);
    ask_and_reset(&proxy, "/page");
    cancelled(&proxy);
}

#[test]
fn a_reset_is_seen_while_the_body_pauses_whatever_an_end_means() {
    let gate = Gate::closed();
    let reply = Reply::stream().header("Cache-Control", "no-store").chunk("first").wait(&gate).end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let proxy = lax(&origin, "");
    ask_and_reset(&proxy, "/page");
    cancelled(&proxy);
}

#[test]
fn a_fetch_for_the_store_goes_on_without_the_client_that_caused_it() {
    let origin = crate::wire::echo();
    let held = origin.hold("/page");
    let proxy = strict(&origin, "");
    let clients = crowd(&proxy, 1, "/page");
    origin.wait_for(1, SOON);
    drop(clients);
    proxy.wait_stat("client_gone", |n| n == 1, SOON);
    held.release();
    proxy.wait_stat("fetches_ok", |n| n == 1, SOON);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "/page");
    assert_eq!((origin.count(), proxy.stat("fetches_cancelled")), (1, 0));
}

#[test]
fn a_body_that_is_stored_comes_in_whole_though_its_only_reader_leaves() {
    let gate = Gate::closed();
    let reply =
        Reply::stream().header("Cache-Control", "max-age=60").chunk("first").wait(&gate).chunk("last").end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let proxy = strict(&origin, "");
    let mut client = proxy.client();
    client.send("GET", "/page", &[], b"");
    client.read_head();
    drop(client);
    proxy.wait_stat("client_gone", |n| n == 1, SOON);
    gate.release();
    proxy.wait_stat("fetches_ok", |n| n == 1, SOON);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "firstlast");
    assert_eq!(origin.count(), 1);
}

#[test]
fn who_leaves_while_it_waits_for_anothers_fetch_leaves_the_queue() {
    let origin = crate::wire::echo();
    let held = origin.hold("/page");
    let proxy = strict(&origin, "");
    let mut first = crowd(&proxy, 1, "/page");
    origin.wait_for(1, SOON);
    let second = crowd(&proxy, 1, "/page");
    proxy.wait_stat("coalesce_waits", |n| n == 1, SOON);
    drop(second);
    proxy.wait_stat("client_gone", |n| n == 1, SOON);
    proxy.wait_stat("client_requests_running", |n| n == 1, SOON);
    held.release();
    assert_eq!(first[0].read_response().text(), "/page");
    assert_eq!((origin.count(), proxy.stat("hits_coalesced")), (1, 0));
}

#[test]
fn who_has_only_finished_sending_gets_its_answer() {
    let gate = Gate::closed();
    let slow = Reply::stream().chunk("first").wait(&gate).chunk("last").end_chunks();
    let origin =
        Origin::start(move |seen| if seen.path == "/slow" { slow.clone() } else { Reply::ok(seen.path.clone()) });
    let held = origin.hold("/held");
    let proxy = lax(&origin, "fn recv(req) { if req.http.has(\"x-pass\") { return pass(); } }");
    let mut passes = proxy.client();
    passes.send("GET", "/held", &[("X-Pass", "1")], b"");
    let mut coalesces = crowd(&proxy, 2, "/held");
    let mut pauses = proxy.client();
    pauses.send("GET", "/slow", &[], b"");
    origin.wait_for(3, SOON);
    proxy.wait_stat("coalesce_waits", |n| n == 1, SOON);
    pauses.peek_raw(1);
    for client in [&passes, &coalesces[0], &coalesces[1], &pauses] {
        client.finish_sending();
    }
    // Each has been seen: a watcher that took it for leaving would have ended the request by the time this is answered.
    assert_eq!(copal_testkit::get(proxy.addr(), "/other", &[]).text(), "/other");
    held.release();
    gate.release();
    assert_eq!(passes.read_response().text(), "/held");
    for client in &mut coalesces {
        assert_eq!(client.read_response().text(), "/held");
    }
    assert_eq!(pauses.read_response().text(), "firstlast");
    assert_eq!(proxy.stat("client_gone"), 0);
}

#[test]
fn requests_that_arrive_while_one_is_awaited_are_answered_in_their_order() {
    const LATER: usize = 2000;
    let origin = crate::wire::echo();
    let held = origin.hold("/held");
    let proxy = strict(&origin, "fn recv(req) { if req.url == \"/held\" { return pass(); } }");
    let mut client = proxy.client();
    client.send("GET", "/held", &[], b"");
    origin.wait_for(1, SOON);
    // In two parts, and far more than is kept while the first is awaited.
    let later: String = (0..LATER).map(|i| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", i % 10)).collect();
    let (some, rest) = later.split_at(40);
    client.send_raw(some);
    client.send_raw(rest);
    held.release();
    assert_eq!(client.read_response().text(), "/held");
    for i in 0..LATER {
        assert_eq!(client.read_response().text(), format!("/{}", i % 10));
    }
    assert_eq!(proxy.stat("client_gone"), 0);
}
