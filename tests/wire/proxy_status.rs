//! Proxy-Status (RFC 9209) on every response that Copal makes because of a fault, and on no other.

use super::{builder, echo, front, front_with, refused};
use copal_testkit::{Origin, Proxy, Reply, Response, get};
use std::net::TcpListener;

#[track_caller]
fn blames(response: &Response, status: u16, error: &str) {
    assert_eq!(response.status, status, "{response:?}");
    let found = response.all("Proxy-Status");
    assert!(found.len() == 1 && found[0].starts_with(&format!("copal; error={error}")), "{error}: {found:?}");
    // What is said to anybody names nobody inside.
    assert!(!found[0].contains("127.0.0.1"), "{found:?}");
}

fn faulty() -> Origin {
    Origin::start(|seen| match seen.path.as_str() {
        "/gone" => Reply::hang_up(),
        "/garbage" => Reply::garbage(),
        "/silent" => Reply::silence(),
        "/coding" => Reply::raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: zip\r\n\r\nx"),
        "/switch" => Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"),
        "/unasked" => Reply::head(304),
        "/broken" => Reply::status(500, "broken"),
        _ => Reply::ok("fine"),
    })
}

#[test]
fn each_fault_of_an_origin_has_its_registered_error() {
    let origin = faulty();
    let proxy = front_with(&origin, "first_byte_timeout = \"200ms\"");
    for (path, status, error) in [
        ("/gone", 502, "connection_terminated"),
        ("/garbage", 502, "http_protocol_error"),
        ("/silent", 504, "http_response_timeout"),
        ("/coding", 502, "http_response_transfer_coding"),
        ("/switch", 502, "http_upgrade_failed"),
        ("/unasked", 502, "http_protocol_error"),
    ] {
        blames(&get(proxy.addr(), path, &[]), status, error);
    }
    for (path, status) in [("/fine", 200), ("/broken", 500)] {
        let response = get(proxy.addr(), path, &[]);
        assert_eq!((response.status, response.header("Proxy-Status")), (status, None), "what came is not our fault");
    }
}

#[test]
fn an_origin_that_is_not_there_is_refused_unknown_or_sick() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let with = |more: &str| {
        let toml = format!("[backend.app]\naddress = \"127.0.0.1:{port}\"\n{more}");
        Proxy::builder(super::COPAL).config(&toml).start()
    };
    blames(&get(with("").addr(), "/", &[]), 502, "connection_refused");
    let sick = with("probe = { path = \"/\", interval = \"1h\", initial = 0 }");
    blames(&get(sick.addr(), "/", &[]), 503, "destination_unavailable");
    let toml = "[backend.app]\naddress = \"no-such-host.invalid:80\"";
    let unknown = Proxy::builder(super::COPAL).config(toml).start();
    let response = get(unknown.addr(), "/", &[]);
    let error = response.header("Proxy-Status").unwrap_or_default();
    assert!(error.starts_with("copal; error=dns_"), "{response:?}");
}

#[test]
fn a_request_that_is_refused_says_what_is_wrong_with_it() {
    let origin = echo();
    let proxy = front_with(&origin, "[limits]\nhead_size = \"2KiB\"\nurl_size = \"1KiB\"\nbody_size = \"1KiB\"");
    let long = |n: usize| "a".repeat(n);
    for (bytes, status, details) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "the Host header field is missing"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(4000)), 431, "the head is larger"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(1500)), 414, "the request target is longer"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n".to_owned(), 413, "the request body is larger"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), 505, "the HTTP version"),
    ] {
        let response = refused(&proxy, bytes);
        blames(&response, status, "http_request_error");
        let line = response.header("Proxy-Status").unwrap();
        assert!(line.contains(&format!("; details=\"{details}")), "{line}");
    }
}

#[test]
fn a_fault_of_the_policy_is_ours_and_what_it_answers_on_purpose_is_no_fault() {
    let origin = echo();
    let policy = "fn recv(req) {\n    if req.url == \"/throw\" { throw \"oops\"; }\n    if req.url == \"/fail\" { return fail(); }\n    \
                  if req.url == \"/again\" { return restart(); }\n    if req.url == \"/synth\" { return synth(503, \"Busy\"); }\n}\n\
                  fn backend_fetch(bereq) {\n    if bereq.url == \"/error\" { return error(503, \"Not now\"); }\n    \
                  if bereq.url == \"/abandon\" { return abandon(); }\n}\n";
    let proxy = builder(&origin, "").policy(policy).start();
    for (path, error) in [
        ("/throw", "proxy_internal_error"),
        ("/fail", "proxy_internal_error"),
        ("/again", "proxy_internal_error"),
        ("/error", "proxy_internal_response"),
        ("/abandon", "proxy_internal_response"),
    ] {
        blames(&get(proxy.addr(), path, &[]), 503, error);
    }
    let made = get(proxy.addr(), "/synth", &[]);
    assert_eq!((made.status, made.header("Proxy-Status")), (503, None));
}

#[test]
fn a_purge_that_is_refused_is_denied() {
    let origin = echo();
    let proxy = front(&origin);
    let off = proxy.client().request("PURGE", "/", &[], b"");
    blames(&off, 405, "http_request_denied");
    assert!(off.header("Allow").is_some_and(|list| list.contains("GET")), "{off:?}");
    let proxy = front_with(&origin, "[acl]\nfar = [\"192.0.2.1\"]\n[purge]\nacl = \"far\"");
    blames(&proxy.client().request("PURGE", "/", &[], b""), 403, "http_request_denied");
}

#[test]
fn what_another_proxy_said_is_kept_and_a_stale_page_is_no_fault() {
    let mut origin = Origin::start(|_| {
        Reply::ok("x")
            .header("Proxy-Status", "inner; next-hop=a")
            .header("Cache-Control", "max-age=60")
            .header("Age", "90")
    });
    let proxy = front(&origin);
    assert_eq!(get(proxy.addr(), "/", &[]).all("Proxy-Status"), ["inner; next-hop=a"]);
    origin.stop();
    let stale = get(proxy.addr(), "/", &[]);
    assert_eq!((stale.status, stale.all("Proxy-Status")), (200, vec!["inner; next-hop=a"]));
}
