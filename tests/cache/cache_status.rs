//! Cache-Status (RFC 9211), parameter by parameter.

use super::{SOON, front, front_with, settled};
use copal_testkit::{Gate, Origin, Proxy, Reply, Response};

#[track_caller]
fn told(response: &Response) -> &str {
    let lines = response.all("Cache-Status");
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines[0]
}

#[track_caller]
fn starts(proxy: &Proxy, path: &str, headers: &[(&str, &str)], wanted: &str) {
    let response = proxy.client().get(path, headers);
    assert!(told(&response).starts_with(wanted), "{path} {headers:?}: {} instead of {wanted}", told(&response));
}

fn origin() -> Origin {
    Origin::start(|seen| match seen.path.as_str() {
        "/vary" => Reply::ok("x").header("Cache-Control", "max-age=60").header("Vary", "X-Kind"),
        "/none" => Reply::ok("x").header("Cache-Control", "no-store"),
        "/valid" if seen.header("If-None-Match").is_some() => Reply::head(304).header("Cache-Control", "no-cache"),
        "/valid" => Reply::ok("x").header("Cache-Control", "no-cache").header("ETag", "\"1\""),
        _ => Reply::ok("0123456789").header("Cache-Control", "max-age=60").header("ETag", "\"1\""),
    })
}

#[test]
fn the_reason_for_forwarding_is_exact() {
    let origin = origin();
    let proxy = front(&origin);
    starts(&proxy, "/", &[], "copal; fwd=uri-miss; ttl=");
    starts(&proxy, "/", &[], "copal; hit; ttl=");
    starts(&proxy, "/vary", &[("X-Kind", "a")], "copal; fwd=uri-miss; ");
    starts(&proxy, "/vary", &[("X-Kind", "b")], "copal; fwd=vary-miss; ");
    starts(&proxy, "/vary", &[("X-Kind", "a")], "copal; hit; ");
    starts(&proxy, "/none", &[], "copal; fwd=uri-miss; detail=no-store");
    starts(&proxy, "/none", &[], "copal; fwd=miss; detail=no-store");
    starts(&proxy, "/valid", &[], "copal; fwd=uri-miss; ");
    starts(&proxy, "/valid", &[], "copal; fwd=stale; fwd-status=304; ");
    assert_eq!(told(&proxy.client().request("POST", "/", &[], b"")), "copal; fwd=method; detail=method");
}

#[test]
fn the_status_that_came_is_told_where_another_one_is_sent() {
    let origin = origin();
    let proxy = front(&origin);
    starts(&proxy, "/a", &[("Range", "bytes=0-1")], "copal; fwd=uri-miss; fwd-status=200; ttl=");
    starts(&proxy, "/b", &[("If-None-Match", "\"1\"")], "copal; fwd=uri-miss; fwd-status=200; ttl=");
    starts(&proxy, "/c", &[], "copal; fwd=uri-miss; ttl=");
    starts(&proxy, "/c", &[("Range", "bytes=0-1")], "copal; hit; ttl=");
}

#[test]
fn who_waited_was_forwarded_together_with_the_one_that_fetched() {
    let gate = Gate::closed();
    let held =
        Reply::raw("").wait(&gate).send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx");
    let origin = Origin::start(move |_| held.clone());
    let proxy = front(&origin);
    let mut clients = [proxy.client(), proxy.client()];
    for client in &mut clients {
        client.send("GET", "/", &[], b"");
    }
    proxy.wait_stat("coalesce_waits", |n| n == 1, SOON);
    gate.release();
    let mut lines = clients.map(|mut client| told(&client.read_response()).to_owned());
    lines.sort_by_key(|line| line.contains("collapsed"));
    assert!(lines[0].starts_with("copal; fwd=uri-miss; ttl=") && lines[0].contains("; stored"), "{lines:?}");
    assert!(lines[1].starts_with("copal; fwd=uri-miss; ttl=") && lines[1].contains("; collapsed"), "{lines:?}");
    assert!(!lines[1].contains("stored") && !lines[1].contains("hit"), "{lines:?}");
}

#[test]
fn a_stale_page_in_place_of_an_error_was_forwarded_and_one_in_grace_was_not() {
    let mut origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=60").header("Age", "90"));
    let proxy = front_with(&origin, "[cache]\nstale_if_error = \"1h\"");
    proxy.client().get("/", &[]);
    let graceful = front_with(&origin, "[cache]\ngrace = \"1h\"");
    graceful.client().get("/", &[]);
    starts(&graceful, "/", &[], "copal; hit; ttl=-");
    settled(&graceful);
    origin.stop();
    starts(&proxy, "/", &[], "copal; fwd=stale; ttl=-");
}

#[test]
fn the_key_is_told_only_where_the_owner_wants_it() {
    let origin = origin();
    let proxy = front_with(&origin, "[cache]\nstatus_key = true");
    for _ in 0..2 {
        let response = proxy.client().get("/a?b=1", &[]);
        assert!(told(&response).contains("; key=\"/a?b=1 test.example\""), "{response:?}");
    }
    // What passes has no key, and is not given that of the request before it.
    let mut client = proxy.client();
    client.get("/a", &[]);
    assert!(!told(&client.request("POST", "/a", &[], b"")).contains("key"));
    let quiet = front(&origin);
    assert!(!told(&quiet.client().get("/", &[])).contains("key"));
}
