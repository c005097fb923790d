//! Methods with rules of their own: CONNECT, and OPTIONS and TRACE with Max-Forwards.

use super::{builder, echo, front};
use copal_testkit::{Origin, Reply};

#[test]
fn connect_is_not_allowed_and_the_405_says_what_is() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send_raw("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n");
    let response = client.read_response();
    let allow = response.header("Allow").unwrap_or_default();
    assert_eq!(response.status, 405);
    assert!(allow.split(", ").any(|method| method == "GET") && !allow.contains("CONNECT"), "{response:?}");
    assert_eq!(origin.count(), 0);
}

#[test]
fn max_forwards_goes_down_on_its_way_to_the_origin() {
    let origin = Origin::start(|_| Reply::ok("here"));
    let proxy = front(&origin);
    let mut client = proxy.client();
    for (method, sent, got) in
        [("OPTIONS", "3", "2"), ("TRACE", "1", "0"), ("OPTIONS", "many", "many"), ("POST", "0", "0")]
    {
        assert_eq!(client.request(method, "/", &[("Max-Forwards", sent)], b"").status, 200);
        let seen = origin.requests().pop().unwrap();
        assert_eq!((seen.method.as_str(), seen.header("Max-Forwards")), (method, Some(got)));
    }
}

#[test]
fn max_forwards_0_is_answered_here_whatever_the_policy_says() {
    let origin = Origin::start(|_| Reply::ok("here"));
    for policy in ["", "fn recv(req) { return pass(); }"] {
        let proxy = builder(&origin, "").policy(policy).start();
        let mut client = proxy.client();
        let options = client.request("OPTIONS", "/", &[("Max-Forwards", "0")], b"");
        assert_eq!((options.status, options.text().as_str()), (200, ""), "{options:?}");
        let trace = client.request("TRACE", "/", &[("Max-Forwards", "0"), ("Cookie", "secret")], b"");
        assert!(trace.status == 405 && !trace.text().contains("secret"), "{trace:?}");
        for response in [options, trace] {
            assert!(response.header("Allow").is_some_and(|list| list.contains("OPTIONS")), "{response:?}");
        }
    }
    assert_eq!(origin.count(), 0);
}
