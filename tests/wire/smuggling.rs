//! Two requests where one side could see one: exactly one answer, and the hidden request is seen by nobody.

use super::{echo, front, refused};

const HIDDEN: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn a_hidden_request_is_never_answered_nor_forwarded() {
    let origin = echo();
    let proxy = front(&origin);
    let n = HIDDEN.len();
    for framing in [
        // CL.TE: who reads the length takes all for one body, who reads the chunks sees a second request.
        format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", n + 5),
        // TE.CL: the other way round.
        format!("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{n:x}\r\n"),
        // TE.TE: codings that one side may not know as chunked.
        "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n".into(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n".into(),
        "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n".into(),
        "Transfer-Encoding: x\r\n chunked\r\n\r\n0\r\n\r\n".into(),
        "X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into(),
        "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n".into(),
        // CL.CL.
        format!("Content-Length: 0\r\nContent-Length: {n}\r\n\r\n"),
        format!("Content-Length: 0, {n}\r\n\r\n"),
        "Content-Length: \r\n 0\r\n\r\n".into(),
        // Chunks that one side may read otherwise.
        "Transfer-Encoding: chunked\r\n\r\n0\n\r\n".into(),
        "Transfer-Encoding: chunked\r\n\r\n0 \r\n\r\n".into(),
        "Transfer-Encoding: chunked\r\n\r\n5;\nxxxxx\r\n0\r\n\r\n".into(),
        "Transfer-Encoding: chunked\r\n\r\n1\r\nZZ\r\n0\r\n\r\n".into(),
    ] {
        let response = refused(&proxy, format!("POST /outer HTTP/1.1\r\nHost: a\r\n{framing}{HIDDEN}"));
        assert_eq!(response.status, 400, "{framing:?}");
    }
    proxy.wait_stat("fetches_running", |n| n == 0, super::A_MOMENT * 100);
    let whole: Vec<_> = origin.requests().into_iter().filter(|seen| seen.complete).collect();
    assert!(whole.is_empty(), "{whole:?}");
    assert_eq!(origin.count_of("/smuggled"), 0);
}

#[test]
fn nothing_is_read_after_a_request_that_was_refused() {
    let origin = echo();
    let proxy = front(&origin);
    refused(&proxy, format!("GET / HTTP/1.1\r\nbad line\r\n\r\n{HIDDEN}"));
    refused(&proxy, format!("GET / HTTP/1.1\r\n\r\n{HIDDEN}"));
    assert_eq!((origin.count(), proxy.stat("client_requests")), (0, 0));
}

#[test]
fn a_request_inside_a_body_stays_a_body() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for method in ["POST", "GET", "HEAD", "DELETE", "PURGE", "OPTIONS"] {
        client.request(method, "/outer", &[], HIDDEN.as_bytes());
        client.send_raw(format!(
            "{method} /outer HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{HIDDEN}\r\n0\r\n\r\n",
            HIDDEN.len()
        ));
        client.read_response();
        super::assert_in_step(&mut client);
    }
    assert_eq!(origin.count_of("/smuggled"), 0);
}

#[test]
fn a_client_that_expected_100_and_got_a_refusal_is_not_read_on_from() {
    // RFC 9110 §10.1.1: such a client may send its body or leave it out. What comes next is either, so nothing is taken.
    let origin = echo();
    let proxy =
        super::builder(&origin, "").policy("fn recv(req) { if req.method == \"POST\" { return synth(403); } }").start();
    let mut client = proxy.client();
    client.send("POST", "/refused", &[("Expect", "100-continue"), ("Content-Length", "37")], b"");
    assert_eq!(client.read_response().status, 403);
    client.send_raw(HIDDEN);
    client.assert_closed();
    assert_eq!(origin.count(), 0);
}
