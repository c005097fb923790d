//! Answers to POST that say that they are what GET would bring (RFC 9110 §9.3.3, RFC 9111 §4).

use super::{builder, front, settled};
use copal_testkit::{Origin, Proxy, Reply, get, request};

fn origin(fields: &'static [(&'static str, &'static str)]) -> Origin {
    Origin::start(move |seen| {
        let reply = Reply::ok(format!("{} {}", seen.method, String::from_utf8_lossy(&seen.body)));
        fields.iter().fold(reply, |reply, (name, value)| reply.header(name, value))
    })
}

#[track_caller]
fn post(proxy: &Proxy, body: &str) -> copal_testkit::Response {
    let response = request(proxy.addr(), "POST", "/form", &[("Content-Type", "text/plain")], body.as_bytes());
    assert_eq!((response.status, response.text()), (200, format!("POST {body}")));
    settled(proxy);
    response
}

#[test]
fn an_answer_that_is_what_get_would_bring_is_stored_for_get_and_head() {
    let origin = origin(&[("Cache-Control", "max-age=60"), ("Content-Location", "/form")]);
    let proxy = front(&origin);
    let mut client = proxy.client();
    // A key is left over from another request on the same connection.
    assert_eq!(client.get("/other", &[]).text(), "GET ");
    let response = client.request("POST", "/form", &[], b"one");
    // A part of a second may have passed since the origin's Date.
    let status = response.header("Cache-Status").unwrap().replace("ttl=59", "ttl=60");
    assert_eq!(status, "copal; fwd=method; ttl=60; stored; detail=post-content-location");
    settled(&proxy);
    let page = client.get("/form", &[]);
    assert_eq!((page.status, page.text().as_str(), origin.count()), (200, "POST one", 2));
    assert_eq!(client.request("HEAD", "/form", &[], b"").header("Content-Length"), Some("8"));
    assert_eq!(client.get("/other", &[]).text(), "GET ");
    assert_eq!(origin.count(), 2);
    // Never for POST itself.
    assert_eq!((post(&proxy, "two").status, origin.count()), (200, 3));
    assert_eq!((get(proxy.addr(), "/form", &[]).text().as_str(), origin.count()), ("POST two", 3));
}

#[test]
fn it_takes_the_place_of_all_that_was_stored_there() {
    let origin = Origin::start(|seen| match seen.method.as_str() {
        "POST" => Reply::ok("POST").header("Cache-Control", "max-age=60").header("Content-Location", "/form"),
        _ => Reply::ok("GET").header("Cache-Control", "max-age=60").header("Vary", "X-Kind"),
    });
    let proxy = front(&origin);
    for kind in ["a", "b"] {
        assert_eq!(get(proxy.addr(), "/form", &[("X-Kind", kind)]).text(), "GET");
    }
    assert_eq!(request(proxy.addr(), "POST", "/form", &[], b"x").text(), "POST");
    settled(&proxy);
    for kind in ["a", "b"] {
        assert_eq!(get(proxy.addr(), "/form", &[("X-Kind", kind)]).text(), "POST");
    }
    assert_eq!((origin.count(), proxy.stat("objects")), (3, 1));
}

#[test]
fn an_answer_that_says_less_is_not_stored() {
    for fields in [
        &[("Cache-Control", "max-age=60")][..],
        &[("Content-Location", "/form")],
        &[("Cache-Control", "max-age=60"), ("Content-Location", "/other")],
        &[("Cache-Control", "max-age=60"), ("Content-Location", "http://elsewhere.example/form")],
        &[("Cache-Control", "max-age=60, private"), ("Content-Location", "/form")],
        &[("Cache-Control", "max-age=60"), ("Content-Location", "/form"), ("Set-Cookie", "a=1")],
    ] {
        let origin = origin(fields.to_vec().leak());
        let proxy = front(&origin);
        post(&proxy, "x");
        assert_eq!((get(proxy.addr(), "/form", &[]).text().as_str(), origin.count()), ("GET ", 2), "{fields:?}");
    }
}

#[test]
fn a_policy_that_passes_the_request_or_the_response_has_its_way() {
    for policy in [
        r#"fn recv(req) { if req.method == "POST" { return pass(); } }"#,
        r#"fn backend_response(bereq, beresp) { if bereq.method == "POST" { beresp.uncacheable = true; } }"#,
        r#"fn backend_response(bereq, beresp) { if bereq.method == "POST" { return pass(duration("0s")); } }"#,
    ] {
        let origin = origin(&[("Cache-Control", "max-age=60"), ("Content-Location", "/form")]);
        let proxy = builder(&origin, "").policy(policy).start();
        post(&proxy, "x");
        assert_eq!((get(proxy.addr(), "/form", &[]).text().as_str(), origin.count()), ("GET ", 2), "{policy}");
    }
}
