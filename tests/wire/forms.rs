//! Methods and forms of request: HEAD, Expect, absolute targets, TRACE, CONNECT, and methods that nobody knows.

use super::{assert_in_step, echo, front};
use copal_testkit::{Framing, Origin, Reply};

#[test]
fn head_is_answered_from_a_stored_get_and_leaves_the_connection_in_step() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.get("/page", &[]);
    let head = client.request("HEAD", "/page", &[], b"");
    assert_eq!((head.status, head.header("Content-Length"), head.body.len()), (200, Some("5"), 0));
    assert_eq!(client.get("/page", &[]).text(), "/page");
    assert_eq!(origin.count(), 1);
}

#[test]
fn head_for_what_is_not_stored_fetches_it_once_for_all() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    let head = client.request("HEAD", "/page", &[], b"");
    assert_eq!((head.status, head.framing), (200, Framing::None));
    assert_eq!(client.get("/page", &[]).text(), "/page");
    let methods: Vec<_> = origin.requests().into_iter().map(|seen| seen.method).collect();
    assert_eq!(methods, ["GET"]);
}

#[test]
fn head_that_passes_tells_the_length_that_the_origin_declared() {
    let origin = Origin::start(|_| Reply::ok("secret").header("Cache-Control", "no-store"));
    let proxy = super::builder(&origin, "").policy("fn recv(req) { return pass(); }").start();
    let mut client = proxy.client();
    let head = client.request("HEAD", "/x", &[], b"");
    assert_eq!((head.status, head.header("Content-Length"), head.body.len()), (200, Some("6"), 0));
    assert_eq!(client.get("/x", &[]).text(), "secret");
    assert_eq!(origin.requests()[0].method, "HEAD");
}

#[test]
fn a_client_that_expects_100_is_told_to_continue_and_then_answered() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send("POST", "/up", &[("Expect", "100-continue"), ("Content-Length", "5")], b"");
    assert_eq!(client.peek_raw(25), b"HTTP/1.1 100 Continue\r\n\r\n", "before a byte of the body was sent");
    client.send_raw("hello");
    let response = client.read_response();
    assert_eq!((response.interim.as_slice(), response.text().as_str()), (&[100][..], "/up"));
    let seen = &origin.requests()[0];
    assert_eq!((seen.body.as_slice(), seen.header("Expect")), (&b"hello"[..], None));
    assert_in_step(&mut client);
}

#[test]
fn an_absolute_target_is_that_of_its_host_and_path() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send_raw("GET http://other.example/page?q=1 HTTP/1.1\r\nHost: ignored\r\n\r\n");
    assert_eq!(client.read_response().text(), "/page?q=1");
    assert_eq!(client.get("/page?q=1", &[("Host", "Other.Example")]).header("Age"), Some("0"));
    client.send_raw("GET HTTP://other.example HTTP/1.1\r\nHost: other.example\r\n\r\n");
    assert_eq!(client.read_response().text(), "/");
    let seen = origin.requests();
    assert_eq!(seen.iter().map(|seen| seen.header("Host")).collect::<Vec<_>>(), [Some("other.example"); 2]);
}

#[test]
fn connect_is_refused_and_never_forwarded() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send_raw("CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n");
    assert_eq!(client.read_response().status, 405);
    client.send_raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert!(matches!(client.read_response().status, 400 | 405 | 505));
    client.assert_closed();
    assert_eq!(origin.count(), 0);
}

#[test]
fn other_methods_pass_to_the_origin_and_are_never_stored() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "REPORT", "X-OWN"] {
        for _ in 0..2 {
            assert_eq!(client.request(method, "/x", &[], b"").status, 200, "{method}");
        }
    }
    client.send_raw("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.read_response().text(), "*");
    assert_eq!((origin.count(), proxy.stat("objects")), (17, 0));
}

#[test]
fn an_upgrade_is_not_forwarded_and_the_request_answered_without_it() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    let response = client.get("/ws", &[("Connection", "Upgrade"), ("Upgrade", "websocket")]);
    assert_eq!((response.status, response.text().as_str()), (200, "/ws"));
    assert_eq!(origin.requests()[0].header("Upgrade"), None);
}

#[test]
fn an_unsafe_method_drops_what_is_stored_under_its_url() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.get("/page", &[]);
    client.request("POST", "/page", &[], b"new");
    client.get("/page", &[]);
    assert_eq!(origin.count_of("/page"), 3);
}
