//! Connections: kept or closed as the client's version and wishes have it, and answers in the order of the requests.

use super::{assert_in_step, echo, front};
use copal_testkit::{Framing, Origin, Reply};

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = echo();
    let proxy = front(&origin);
    let gate = origin.hold("/1");
    let mut client = proxy.client();
    let requests: String = (1..=5).map(|i| format!("GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send_raw(format!("{requests}POST /6 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi{requests}"));
    origin.wait_for(1, super::A_MOMENT * 100);
    gate.release();
    for path in ["/1", "/2", "/3", "/4", "/5", "/6", "/1", "/2", "/3", "/4", "/5"] {
        assert_eq!(client.read_response().text(), path);
    }
    assert_eq!(origin.count(), 6, "the second round came from the cache");
}

#[test]
fn http_1_1_keeps_the_connection_unless_told_to_close() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for path in ["/a", "/b", "/a"] {
        let response = client.get(path, &[]);
        assert_eq!((response.version.as_str(), response.text().as_str()), ("HTTP/1.1", path));
        assert_eq!(response.header("Connection"), None);
    }
    let last = client.get("/a", &[("Connection", "Close")]);
    assert_eq!(last.header("Connection"), Some("close"));
    client.assert_closed();
    assert_eq!(proxy.stat("client_connections"), 1);
}

#[test]
fn http_1_0_is_closed_unless_it_asks_to_be_kept() {
    let origin = echo();
    let proxy = front(&origin);
    let response = super::refused(&proxy, "GET /a HTTP/1.0\r\nHost: test.example\r\n\r\n");
    assert_eq!((response.text().as_str(), response.header("Connection")), ("/a", Some("close")));
    let mut kept = proxy.client();
    for _ in 0..2 {
        kept.send_raw("GET /a HTTP/1.0\r\nHost: test.example\r\nConnection: Keep-Alive\r\n\r\n");
        let response = kept.read_response();
        assert_eq!((response.text().as_str(), response.header("Connection")), ("/a", Some("keep-alive")));
    }
}

#[test]
fn http_1_0_may_come_without_a_host() {
    let origin = echo();
    let proxy = front(&origin);
    assert_eq!(super::refused(&proxy, "GET /a HTTP/1.0\r\n\r\n").text(), "/a");
    assert_eq!(origin.requests()[0].header("Host"), Some(origin.addr().to_string().as_str()));
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks_and_no_interim_response() {
    let raw = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
               5\r\nhello\r\n0\r\n\r\n";
    let origin = Origin::start(move |_| Reply::raw(raw));
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send_raw("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    let response = client.read_response();
    assert_eq!((response.text().as_str(), response.framing, response.interim), ("hello", Framing::Close, vec![]));
}

#[test]
fn one_empty_line_before_a_request_is_skipped() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send_raw("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_response().text(), "/a");
    client.send_raw("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\r\nGET /c HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((client.read_response().text(), client.read_response().text()), ("/b".into(), "/c".into()));
}

#[test]
fn a_client_that_has_finished_sending_still_gets_its_answer() {
    let origin = echo();
    let proxy = front(&origin);
    let gate = origin.hold("/a");
    let mut client = proxy.client();
    client.send("GET", "/a", &[], b"");
    client.finish_sending();
    origin.wait_for(1, super::A_MOMENT * 100);
    gate.release();
    assert_eq!(client.read_response().text(), "/a");
    client.assert_closed();
}

#[test]
fn connections_to_the_origin_are_kept_too() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for i in 0..10 {
        assert_eq!(client.get(&format!("/{i}"), &[]).status, 200);
    }
    assert_eq!((origin.count(), origin.connections()), (10, 1));
    assert_eq!(proxy.stat("backend_connections_reused"), 9);
}

#[test]
fn a_connection_beyond_the_limit_is_closed_and_the_others_live() {
    let origin = echo();
    let proxy = super::front_with(&origin, "[limits]\nconnections = 2");
    let (mut one, mut two) = (proxy.client(), proxy.client());
    assert_in_step(&mut one);
    assert_in_step(&mut two);
    proxy.client().assert_closed();
    assert_in_step(&mut one);
    assert_eq!(proxy.stat("client_connections_refused"), 1);
}
