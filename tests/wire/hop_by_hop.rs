//! Fields for one hop cross in neither direction, on no way through the proxy (RFC 9110 §7.6.1).

use super::front;
use copal_testkit::{Origin, Reply};

const OF_A_CONNECTION: &[&str] =
    &["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Upgrade", "X-Named"];

fn origin() -> Origin {
    Origin::start(|seen| {
        let lifetime = if seen.path == "/stored" { "max-age=60" } else { "no-store" };
        let reply =
            Reply::ok("hello").header("Cache-Control", lifetime).header("Connection", "x-named, Keep-Alive, etag");
        let reply = reply.header("X-Named", "secret").header("Keep-Alive", "timeout=5").header("ETag", "\"1\"");
        let reply = reply.header("Proxy-Connection", "keep-alive").header("Trailer", "X").header("Upgrade", "h2c");
        reply.header("Proxy-Authenticate", "Basic").header("TE", "trailers").header("X-End-To-End", "kept")
    })
}

#[test]
fn the_clients_connection_fields_do_not_reach_the_origin() {
    let origin = origin();
    let proxy = front(&origin);
    let fields = [
        ("Connection", "x-named, Keep-Alive, TE, Upgrade, Host, Cookie, X-Forwarded-For"),
        ("X-Named", "secret"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("TE", "trailers"),
        ("Trailer", "X"),
        ("Upgrade", "websocket"),
        ("Cookie", "a=b"),
        ("X-End-To-End", "kept"),
    ];
    for (method, path) in [("GET", "/stored"), ("GET", "/passing"), ("POST", "/posted"), ("HEAD", "/head")] {
        copal_testkit::client::request(proxy.addr(), method, path, &fields, b"");
    }
    let seen = origin.requests();
    assert_eq!(seen.len(), 4);
    for seen in seen {
        for name in OF_A_CONNECTION.iter().chain(&["Proxy-Authorization"]) {
            assert_eq!(seen.header(name), None, "{name} of {} {}", seen.method, seen.path);
        }
        assert_eq!(seen.header("X-End-To-End"), Some("kept"));
        assert_eq!(
            (seen.header("Host"), seen.header("Cookie")),
            (Some("test.example"), Some("a=b")),
            "not by naming them"
        );
        assert!(seen.header("X-Forwarded-For").is_some());
    }
}

#[test]
fn the_origins_connection_fields_do_not_reach_the_client() {
    let origin = origin();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for (method, path) in
        [("GET", "/stored"), ("GET", "/stored"), ("HEAD", "/stored"), ("GET", "/passing"), ("POST", "/x")]
    {
        let response = client.request(method, path, &[], b"");
        for name in OF_A_CONNECTION.iter().chain(&["Proxy-Authenticate"]) {
            assert_eq!(response.header(name), None, "{name} in the answer to {method} {path}");
        }
        assert_eq!((response.header("X-End-To-End"), response.header("ETag")), (Some("kept"), Some("\"1\"")));
    }
}

#[test]
fn the_origin_is_asked_with_one_host_and_no_framing_of_the_client() {
    let origin = origin();
    let proxy = front(&origin);
    copal_testkit::client::request(proxy.addr(), "GET", "/stored", &[("Content-Length", "2")], b"hi");
    let seen = &origin.requests()[0];
    assert!(seen.head.starts_with(b"GET /stored HTTP/1.1\r\nHost: test.example\r\n"));
    assert_eq!((seen.header("Content-Length"), seen.header("Transfer-Encoding")), (None, None));
}

#[test]
fn trailers_of_a_response_come_through_after_its_body() {
    let origin = Origin::start(|_| {
        Reply::stream()
            .chunk("hi")
            .send("0\r\nX-Sum: 1\r\nContent-Length: 7\r\n\r\n")
            .header("Cache-Control", "no-store")
    });
    let proxy = front(&origin);
    let response = copal_testkit::get(proxy.addr(), "/x", &[]);
    assert_eq!((response.text().as_str(), response.complete), ("hi", true));
    assert_eq!(response.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
}

#[test]
fn trailers_are_stored_with_the_body_and_sent_with_it() {
    let origin = Origin::start(|_| {
        Reply::stream().chunk("hi").send("0\r\nX-Sum: 1\r\n\r\n").header("Cache-Control", "max-age=60")
    });
    let proxy = front(&origin);
    for _ in 0..3 {
        let response = copal_testkit::get(proxy.addr(), "/x", &[]);
        assert_eq!((response.text().as_str(), response.complete), ("hi", true));
        assert_eq!(response.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
    }
    assert_eq!(origin.count(), 1);
    let mut old = proxy.client();
    old.send_raw(b"GET /x HTTP/1.0\r\nHost: test.example\r\n\r\n");
    let response = old.read_response();
    assert_eq!((response.text().as_str(), response.header("Content-Length")), ("hi", Some("2")));
}

#[test]
fn trailers_of_a_request_come_through_but_for_those_that_belong_into_its_head() {
    let origin = Origin::start(|_| Reply::ok("thanks"));
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send_raw(
        "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\
         Content-Length: 5\r\nCookie: a=1\r\n\r\n",
    );
    assert_eq!(client.read_response().text(), "thanks");
    let seen = &origin.requests()[0];
    assert_eq!((seen.body.as_slice(), seen.complete), (&b"hi"[..], true));
    assert_eq!(seen.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
    assert_eq!(client.get("/next", &[]).text(), "thanks", "the connection is in step");
}
