//! What every response carries, wherever it comes from: Via, Cache-Status, X-Request-Id, and Age from the cache.

use super::{builder, echo, front, refused};
use copal_testkit::{Origin, Proxy, Reply, Response};

/// The fields that there is exactly one of, whoever made the response.
#[track_caller]
fn complete_and_single(response: &Response, what: &str) {
    let cache_status = response.all("Cache-Status");
    assert!(cache_status.last().is_some_and(|line| line.starts_with("copal")), "{what}: {cache_status:?}");
    assert_eq!(response.all("Via").last(), Some(&"1.1 copal"), "{what}");
    for name in ["X-Request-Id", "Date"] {
        assert_eq!(response.all(name).len(), 1, "{what}: {name} in {:?}", response.headers);
    }
    for name in ["Content-Length", "Age", "Transfer-Encoding", "Content-Type"] {
        assert!(response.all(name).len() <= 1, "{what}: {name} in {:?}", response.headers);
    }
    assert!(response.header("Content-Length").is_none() || response.header("Transfer-Encoding").is_none(), "{what}");
}

fn everything() -> Origin {
    Origin::start(|seen| match seen.path.as_str() {
        "/dead" => Reply::hang_up(),
        "/private" => Reply::ok("mine").header("Cache-Control", "no-store"),
        "/dated" => {
            Reply::ok("old").header("Cache-Control", "max-age=60").header("Date", "Sun, 06 Nov 1994 08:49:37 GMT")
        }
        "/mixed" => {
            Reply::ok("x").header("Via", "1.0 inner").header("Cache-Status", "inner; hit").header("X-Request-Id", "no")
        }
        _ => Reply::ok("page").header("Cache-Control", "max-age=60").header("ETag", "\"1\""),
    })
}

fn proxied(origin: &Origin) -> Proxy {
    let policy = "fn recv(req) { if req.url == \"/synth\" { return synth(418, \"Tea\"); }\n\
                  if req.url == \"/moved\" { return redirect(301, \"/page\"); } if req.url == \"/oops\" { throw \"oops\"; } }";
    builder(origin, "[acl]\nlocal = [\"127.0.0.1\"]\n[purge]\nacl = \"local\"").policy(policy).start()
}

#[test]
fn via_cache_status_and_request_id_are_on_every_response() {
    let origin = everything();
    let proxy = proxied(&origin);
    let mut client = proxy.client();
    for (method, path, headers, status, cache_status) in [
        ("GET", "/page", &[][..], 200, "fwd=uri-miss"),
        ("GET", "/page", &[], 200, "hit"),
        ("HEAD", "/page", &[], 200, "hit"),
        ("GET", "/page", &[("If-None-Match", "\"1\"")], 304, "hit"),
        ("GET", "/page", &[("Range", "bytes=0-1")], 206, "hit"),
        ("GET", "/page", &[("Range", "bytes=0-0,2-3")], 206, "hit"),
        ("GET", "/page", &[("Range", "bytes=99-")], 416, "hit"),
        ("GET", "/page", &[("If-Match", "\"2\"")], 412, "hit"),
        ("POST", "/page", &[], 200, "fwd=method"),
        ("GET", "/private", &[], 200, "fwd=uri-miss"),
        ("GET", "/private", &[], 200, "fwd="),
        ("GET", "/dead", &[], 502, "fwd=uri-miss"),
        ("GET", "/synth", &[], 418, "detail=synth"),
        ("GET", "/moved", &[], 301, "detail=synth"),
        ("GET", "/oops", &[], 503, "detail=error"),
        ("PURGE", "/page", &[], 200, "detail=purge"),
    ] {
        let what = format!("{method} {path} {headers:?}");
        let response = client.request(method, path, headers, b"");
        assert_eq!((response.status, response.complete), (status, true), "{what}: {response:?}");
        complete_and_single(&response, &what);
        let line = response.header("Cache-Status").unwrap();
        assert!(line.contains(cache_status), "{what}: {line}");
    }
    for (bytes, status) in
        [("GET / HTTP/1.1\r\n\r\n", 400), ("\r\n\r\n\r\n\r\n", 400), ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 405)]
    {
        let mut client = proxy.client();
        client.send_raw(bytes);
        let response = client.read_response();
        assert_eq!(response.status, status);
        complete_and_single(&response, bytes);
    }
}

#[test]
fn age_comes_with_the_cache_and_counts_from_the_origins_date() {
    let origin = everything();
    let proxy = proxied(&origin);
    let mut client = proxy.client();
    client.get("/page", &[]);
    let age: u64 = client.get("/page", &[]).header("Age").unwrap().parse().unwrap();
    assert!(age < 60, "{age}");
    assert_eq!(client.get("/private", &[]).header("Age"), None);
    assert_eq!(client.get("/synth", &[]).header("Age"), None);
    assert_eq!(client.get("/dead", &[]).header("Age"), None);
    client.get("/dated", &[]);
    assert_eq!(client.get("/dated", &[]).status, 200);
    assert_eq!(origin.count_of("/dated"), 2, "thirty years old is not fresh");
}

#[test]
fn what_the_origin_said_of_itself_is_kept_and_added_to() {
    let origin = everything();
    let proxy = proxied(&origin);
    let response = copal_testkit::get(proxy.addr(), "/mixed", &[("X-Request-Id", "abc-1")]);
    assert_eq!(response.all("Via"), ["1.0 inner", "1.1 copal"]);
    assert_eq!(response.all("Cache-Status")[0], "inner; hit");
    assert_eq!(response.all("X-Request-Id"), ["abc-1"], "one id follows the request, and it is the client's");
}

#[test]
fn a_request_id_is_passed_on_or_made_and_the_origin_sees_the_same() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    assert_eq!(client.get("/a", &[("X-Request-Id", "given.by:me/1")]).header("X-Request-Id"), Some("given.by:me/1"));
    let made = client.get("/b", &[]).header("X-Request-Id").unwrap().to_owned();
    let other = client.get("/b", &[]).header("X-Request-Id").unwrap().to_owned();
    assert!(made.len() == 32 && made != other, "a hit has an id of its own: {made} {other}");
    let long = "x".repeat(500);
    let hostile = client.get("/c", &[("X-Request-Id", &long)]).header("X-Request-Id").unwrap().to_owned();
    assert_eq!(hostile.len(), 32);
    let seen: Vec<_> = origin.requests().iter().map(|seen| seen.header("X-Request-Id").unwrap().to_owned()).collect();
    assert_eq!(seen, ["given.by:me/1", &made, &hostile]);
}

#[test]
fn the_origin_is_told_of_the_client_and_of_the_proxy() {
    let origin = echo();
    let proxy = front(&origin);
    let _ = copal_testkit::get(proxy.addr(), "/a", &[("X-Forwarded-For", "192.0.2.1"), ("Via", "1.1 edge")]);
    let seen = &origin.requests()[0];
    assert_eq!(seen.header("X-Forwarded-For"), Some("192.0.2.1, 127.0.0.1"));
    let via: Vec<_> =
        seen.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case("via")).map(|(_, v)| v.as_str()).collect();
    assert_eq!(via, ["1.1 edge", "1.1 copal"]);
}

#[test]
fn errors_close_nothing_but_what_is_in_doubt() {
    let origin = everything();
    let proxy = proxied(&origin);
    let mut client = proxy.client();
    for path in ["/dead", "/synth", "/oops", "/page"] {
        assert!(client.get(path, &[]).complete, "{path}");
    }
    refused(&proxy, "GET / HTTP/1.1\r\n\r\n");
    assert_eq!(client.get("/page", &[]).text(), "page");
}
