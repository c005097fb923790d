//! Bodies of requests that the policy has kept: looked at, part of the key, sent again after a restart or a retry.

use super::{builder, settled};
use copal_testkit::{Origin, Reply};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers with method and body; `/flaky` fails every other time.
fn origin() -> Origin {
    let flaky = AtomicUsize::new(0);
    Origin::start(move |seen| {
        if seen.path == "/flaky" && flaky.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
            return Reply::status(503, "not now");
        }
        Reply::ok(format!("{} {}", seen.method, String::from_utf8_lossy(&seen.body)))
    })
}

const KEEP: &str = r#"
    fn recv(req) {
        req.http.append("x-once", "1");
        if req.http.has("x-keep") {
            req.http.x_kept = std::cache_req_body("1KiB");
            req.http.x_size = req.body_size;
        }
        if req.body_cached && req.body_matches("(?i)<script") { return synth(403, "No Scripts"); }
        if req.http.has("x-lookup") { return lookup(); }
        return pass();
    }
    fn backend_fetch(bereq) { if bereq.http.has("x-without") { bereq.body = (); } }
    fn backend_response(bereq, beresp) {
        if beresp.status == 503 && bereq.retries == 0 { return retry(); }
        beresp.ttl = duration("1m");
        return deliver();
    }
    fn deliver(req, resp) {
        if req.http.has("x-restart") && req.restarts == 0 { return restart(); }
        resp.http.x_seen = `${req.http.x_kept} ${req.http.x_size} ${req.http.all("x-once").len()}`;
    }"#;

#[test]
fn what_is_asked_by_a_body_is_cached_by_it() {
    let origin = origin();
    let proxy = builder(&origin, "").policy(KEEP).start();
    let mut client = proxy.client();
    let fields = [("X-Keep", "1"), ("X-Lookup", "1")];
    for (body, count) in [("q=1", 1), ("q=1", 1), ("q=2", 2), ("q=1", 2), ("q=2", 2)] {
        let response = client.request("POST", "/graph", &fields, body.as_bytes());
        assert_eq!(response.text(), format!("POST {body}"));
        settled(&proxy);
        assert_eq!(origin.count(), count, "{body}");
    }
    assert_eq!(client.get("/graph", &fields).text(), "GET ", "another thing than what was POSTed");
    let search = client.request("GET", "/graph", &fields, b"{\"query\": 1}");
    assert_eq!(search.text(), "GET {\"query\": 1}");
    assert_eq!(client.request("GET", "/graph", &fields, b"{\"query\": 1}").text(), "GET {\"query\": 1}");
    assert_eq!((origin.count(), proxy.stat("hits_fresh")), (4, 4));
}

#[test]
fn a_kept_body_is_sent_again_after_a_retry_and_after_a_restart() {
    let origin = origin();
    let proxy = builder(&origin, "[retry]\nbody_size = \"0B\"").policy(KEEP).start();
    let mut client = proxy.client();
    let kept = client.request("POST", "/flaky", &[("X-Keep", "1")], b"again");
    assert_eq!((kept.status, kept.text().as_str()), (200, "POST again"));
    assert_eq!((origin.count(), proxy.stat("fetch_retries")), (2, 1));
    let streamed = client.request("POST", "/flaky", &[], b"once");
    assert_eq!(streamed.status, 503, "what has streamed cannot be sent again");
    let restarted = client.request("POST", "/page", &[("X-Keep", "1"), ("X-Restart", "1")], b"twice");
    assert_eq!(restarted.text(), "POST twice");
    assert_eq!(origin.count_of("/page"), 2);
}

#[test]
fn the_hook_sees_the_body_and_begins_as_if_for_the_first_time() {
    let origin = origin();
    let proxy = builder(&origin, "").policy(KEEP).start();
    let mut client = proxy.client();
    let response = client.request("POST", "/page", &[("X-Keep", "1")], b"twelve bytes");
    assert_eq!(response.header("X-Seen"), Some("true 12 1"));
    let refused = client.request("POST", "/page", &[("X-Keep", "1")], b"a <SCRIPT> b");
    assert_eq!((refused.status, origin.count()), (403, 1));
    assert_eq!(client.request("POST", "/page", &[], b"a <SCRIPT> b").status, 200, "not asked for, not looked at");
}

#[test]
fn what_is_too_large_streams_whole() {
    let origin = origin();
    let proxy = builder(&origin, "").policy(KEEP).start();
    let large = "x".repeat(5000);
    let mut client = proxy.client();
    let by_length = client.request("POST", "/page", &[("X-Keep", "1")], large.as_bytes());
    assert_eq!((by_length.text(), by_length.header("X-Seen")), (format!("POST {large}"), Some("false 5000 1")));
    let chunks: String =
        large.as_bytes().chunks(700).map(|c| format!("{:x}\r\n{}\r\n", c.len(), "x".repeat(c.len()))).collect();
    client.send_raw(format!(
        "POST /page HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    ));
    let by_chunks = client.read_response();
    assert_eq!((by_chunks.text(), by_chunks.header("X-Seen")), (format!("POST {large}"), Some("false  1")));
    assert_eq!(client.get("/page", &[]).status, 200, "the connection is in step");
}

#[test]
fn a_body_that_does_not_come_reaches_no_origin() {
    let origin = origin();
    let proxy =
        builder(&origin, "[[listen]]\naddress = \"127.0.0.1:0\"\nbody_timeout = \"300ms\"").policy(KEEP).start();
    let head = "POST /page HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\n";
    for (rest, status) in [("Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400), ("Content-Length: 10\r\n\r\nabc", 408)] {
        let mut client = proxy.client();
        client.send_raw(format!("{head}{rest}"));
        let response = client.read_response();
        assert_eq!((response.status, response.header("Connection")), (status, Some("close")));
        client.assert_closed();
    }
    let mut leaving = proxy.client();
    leaving.send_raw(format!("{head}Content-Length: 10\r\n\r\nabc"));
    drop(leaving);
    proxy.wait_stat("client_gone", |n| n == 1, super::SOON);
    assert_eq!(origin.count(), 0);
    // What was held for them has been given back.
    assert!(proxy.stat("bytes") < 4096, "{}", proxy.stat("bytes"));
}

#[test]
fn what_is_kept_of_a_body_counts_while_it_comes_also_in_single_bytes() {
    const BYTES: i64 = 100_000;
    let origin = origin();
    let keep = r#"fn recv(req) { std::cache_req_body("1MiB"); return pass(); }"#;
    let proxy = builder(&origin, "").policy(keep).start();
    let before = proxy.stat("bytes");
    let mut client = proxy.client();
    client.send_raw("POST /page HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send_raw("1\r\nx\r\n".repeat(100_000));
    let held = proxy.wait_stat("bytes", |n| n >= before + BYTES, super::SOON) - before;
    assert!(held <= 2 * BYTES + 4096, "{held} bytes for {BYTES}");
    client.send_raw("0\r\n\r\n");
    assert_eq!(client.read_response().body.len(), 5 + 100_000);
    proxy.wait_stat("bytes", |n| n <= before + 4096, super::SOON);
}

#[test]
fn a_client_that_waits_for_a_word_gets_it_once() {
    let origin = origin();
    let proxy = builder(&origin, "").policy(KEEP).start();
    let mut client = proxy.client();
    client.send_raw("POST /page HTTP/1.1\r\nHost: a\r\nX-Keep: 1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert!(client.peek_raw(25).starts_with(b"HTTP/1.1 100 Continue\r\n\r\n"));
    client.send_raw("hello");
    let response = client.read_response();
    assert_eq!((response.text().as_str(), response.interim.len()), ("POST hello", 1));
}

#[test]
fn a_request_can_be_sent_without_its_body() {
    let origin = origin();
    let proxy = builder(&origin, "").policy(KEEP).start();
    let mut client = proxy.client();
    for keep in ["x-keep", "x-not"] {
        let response = client.request("POST", "/page", &[(keep, "1"), ("X-Without", "1")], b"secret");
        assert_eq!(response.text(), "POST ");
    }
    assert_eq!(client.get("/page", &[]).status, 200);
}
