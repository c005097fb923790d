//! Malformed and oversize heads: one answer, a closed connection, and nothing at the origin.

use super::{echo, front_with, refused};
use copal_testkit::Proxy;

/// Each of these gets `status` on a connection that is then closed, and none of them reaches the origin.
#[track_caller]
fn all_are_refused(toml: &str, requests: &[(&str, u16)]) {
    let origin = echo();
    let proxy = front_with(&origin, toml);
    for (request, status) in requests {
        let response = refused(&proxy, request);
        assert_eq!(response.status, *status, "{request:?}: {}", response.text());
        assert_eq!(response.header("Connection"), Some("close"), "{request:?}");
    }
    nothing_was_forwarded(&proxy, &origin, requests.len());
}

#[track_caller]
fn nothing_was_forwarded(proxy: &Proxy, origin: &copal_testkit::Origin, requests: usize) {
    assert_eq!((origin.count(), origin.connections()), (0, 0));
    assert_eq!(proxy.stat("client_bad_requests"), i64::try_from(requests).unwrap());
    assert_eq!(proxy.stat("client_requests"), 0);
}

#[test]
fn malformed_request_lines_are_refused() {
    all_are_refused(
        "",
        &[
            ("GARBAGE\r\n\r\n", 400),
            ("GET /\r\n\r\n", 400),
            ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1 more\r\nHost: a\r\n\r\n", 400),
            (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / http/1.1\r\nHost: a\r\n\r\n", 505),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
            ("\x16\x03\x01\x02\0 no TLS here\r\n\r\n", 400),
            ("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ],
    );
}

#[test]
fn malformed_targets_are_refused() {
    let head = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    let targets = ["foo", "*", "/a#b", "/a\x7fb", "http:///x", "http://user@h/", "ftp://h/", "//"];
    // "//" is odd, and a path all the same.
    let bad: Vec<String> = targets[..targets.len() - 1].iter().map(|t| head(t)).collect();
    all_are_refused("", &bad.iter().map(|request| (request.as_str(), 400)).collect::<Vec<_>>());
}

#[test]
fn malformed_header_lines_are_refused() {
    let lines = [
        "no colon",
        ": no name",
        "two words: x",
        "X-Space : x",
        "X-Tab\t: x",
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tb",
        " X-First-Folded: a",
        "X-Nul: a\0b",
        "X-Cr: a\rb",
        "X-Control: a\x01b",
        "X-Del: a\x7fb",
        "X(Y): a",
    ];
    let requests = lines.map(|line| format!("GET / HTTP/1.1\r\n{line}\r\nHost: a\r\n\r\n"));
    all_are_refused("", &requests.each_ref().map(|request| (request.as_str(), 400)));
    let last = lines.map(|line| format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n"));
    all_are_refused("", &last.each_ref().map(|request| (request.as_str(), 400)));
}

#[test]
fn a_bare_line_feed_ends_no_line() {
    all_are_refused(
        "",
        &[
            ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400),
            ("\n", 400),
        ],
    );
}

#[test]
fn a_request_has_exactly_one_good_host() {
    all_are_refused(
        "",
        &[
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
            ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a:port\r\n\r\n", 400),
        ],
    );
}

#[test]
fn a_head_beyond_its_size_is_431_whole_or_not() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(2048));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: yyyyyyyyyyyyyyyyyyyy\r\n".repeat(60));
    let endless = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(2048));
    all_are_refused("[limits]\nhead_size = \"1KiB\"", &[(&long, 431), (&many, 431), (&endless, 431)]);
}

#[test]
fn the_default_head_size_takes_30_kib_and_not_33() {
    let origin = echo();
    let proxy = front_with(&origin, "");
    let head =
        |n: usize| format!("GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: {}\r\n\r\n", "x".repeat(n * 1024));
    assert_eq!(refused(&proxy, head(30)).status, 200);
    assert_eq!(refused(&proxy, head(33)).status, 431);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_url_beyond_its_size_is_414_whole_or_not() {
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(200));
    let endless = format!("GET /{}", "x".repeat(300));
    all_are_refused("[limits]\nurl_size = \"128B\"", &[(&long, 414), (&endless, 414)]);
    all_are_refused("", &[(&format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(9000)), 414)]);
}

#[test]
fn too_many_header_lines_are_431() {
    let lines = |n: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(n));
    all_are_refused("[limits]\nheader_count = 8", &[(&lines(8), 431)]);
    all_are_refused("", &[(&lines(128), 431), (&lines(600), 431)]);
}

#[test]
fn ambiguous_or_malformed_framing_is_refused() {
    let framings = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 0\r\nTransfer-Encoding: chunked",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 5",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 5.0",
        "Content-Length:",
        "Content-Length: 99999999999999999999",
        "Content-Length: five",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: chunked;q=1",
    ];
    let requests = framings.map(|framing| format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\nhello"));
    all_are_refused("", &requests.each_ref().map(|request| (request.as_str(), 400)));
    all_are_refused("", &[("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400)]);
}
