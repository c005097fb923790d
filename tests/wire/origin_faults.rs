//! Origins that fail: the client gets 502, 503 or 504, or a body that is visibly cut; never a clean end, and nothing is
//! stored.

use super::{builder, front_with};
use copal_testkit::{Client, Origin, Proxy, Reply, Response};
use std::time::Duration;

const IMPATIENT: &str = "first_byte_timeout = \"300ms\"\nbetween_bytes_timeout = \"300ms\"";
const STORED: &str = "Cache-Control: max-age=60\r\n";

/// Asks twice for the same: for the second, too, the origin is asked, and there is no object.
#[track_caller]
fn twice(origin: &Origin, proxy: &Proxy, path: &str) -> Response {
    let before = origin.count_of(path);
    let first = copal_testkit::get(proxy.addr(), path, &[]);
    proxy.wait_stat("fetches_running", |n| n == 0, super::A_MOMENT * 100);
    let second = copal_testkit::get(proxy.addr(), path, &[]);
    proxy.wait_stat("fetches_running", |n| n == 0, super::A_MOMENT * 100);
    assert_eq!((first.status, first.complete), (second.status, second.complete), "{path}: {first:?} {second:?}");
    assert!(origin.count_of(path) >= before + 2, "{path} was served from the cache: {second:?}");
    assert_eq!(proxy.stat("objects"), 0, "{path} was stored");
    assert!(second.header("Age").is_none_or(|age| age == "0"), "{path} has aged: {second:?}");
    first
}

fn head_faults(path: &str) -> Reply {
    let many = "X: y\r\n".repeat(300);
    let raw = |head: &str| Reply::raw(format!("{head}{STORED}\r\nhello")).close();
    match path {
        "/hang-up" => Reply::hang_up(),
        "/reset" => Reply::raw("").reset(),
        "/garbage" => Reply::garbage(),
        "/half-head" => Reply::raw(format!("HTTP/1.1 200 OK\r\n{STORED}Content-Le")).close(),
        "/http-0-9" => Reply::raw("hello, no head at all").close(),
        "/bare-lf" => Reply::raw("HTTP/1.1 200 OK\nCache-Control: max-age=60\nContent-Length: 5\n\nhello").close(),
        "/space-colon" => raw("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n"),
        "/folded" => raw("HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n"),
        "/nul" => raw("HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n"),
        "/status" => raw("HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n"),
        "/status-word" => raw("HTTP/1.1 abc OK\r\nContent-Length: 5\r\n"),
        "/version" => raw("HTTP/3.1 200 OK\r\nContent-Length: 5\r\n"),
        "/two-lengths" => raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 4\r\n"),
        "/negative" => raw("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n"),
        "/not-a-length" => raw("HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n"),
        "/coding" => raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n"),
        "/chunked-1-0" => raw("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n"),
        "/headers" => raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n{many}")),
        "/huge-head" => raw(&format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: {}\r\n", "x".repeat(70_000))),
        "/interims" => Reply::raw("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(50)).close(),
        "/switch" => Reply::raw("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").close(),
        "/304" => raw("HTTP/1.1 304 Not Modified\r\n"),
        other => Reply::ok(other.to_owned()),
    }
}

const HEAD_FAULTS: &[&str] = &[
    "/hang-up",
    "/reset",
    "/garbage",
    "/half-head",
    "/http-0-9",
    "/bare-lf",
    "/space-colon",
    "/folded",
    "/nul",
    "/status",
    "/status-word",
    "/version",
    "/two-lengths",
    "/negative",
    "/not-a-length",
    "/coding",
    "/chunked-1-0",
    "/headers",
    "/huge-head",
    "/interims",
    "/switch",
    "/304",
];

#[test]
fn an_answer_that_is_no_http_is_502_and_not_stored() {
    let origin = Origin::start(|seen| head_faults(&seen.path));
    let proxy = front_with(&origin, IMPATIENT);
    for path in HEAD_FAULTS {
        let response = twice(&origin, &proxy, path);
        assert_eq!((response.status, response.complete), (502, true), "{path}: {response:?}");
        assert!(!response.text().contains("hello"), "{path}: {}", response.text());
    }
    let n = i64::try_from(HEAD_FAULTS.len()).unwrap() * 2;
    assert_eq!(proxy.stat("fetches_failed"), n);
}

#[test]
fn a_pass_that_fails_is_502_too_and_the_connection_goes_on() {
    let origin = Origin::start(|seen| head_faults(&seen.path));
    let proxy = front_with(&origin, IMPATIENT);
    let mut client = proxy.client();
    for path in HEAD_FAULTS.iter().filter(|path| **path != "/304") {
        assert_eq!(client.request("POST", path, &[], b"body").status, 502, "{path}");
    }
    assert_eq!(client.get("/in-step", &[]).text(), "/in-step");
}

#[test]
fn an_origin_that_never_answers_is_504_and_not_stored() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/drip" => {
            Reply::raw("").send_slowly("HTTP/1.1 200 OK\r\nX: and so on, ", 3, Duration::from_millis(100)).never()
        }
        _ => Reply::silence(),
    });
    let proxy = front_with(&origin, IMPATIENT);
    for path in ["/silence", "/drip"] {
        let response = twice(&origin, &proxy, path);
        assert_eq!((response.status, response.complete), (504, true), "{path}");
    }
    assert_eq!(proxy.stat("fetch_failed_timeout"), 4);
}

#[test]
fn an_origin_that_refuses_connections_is_502_or_503_and_comes_back() {
    let mut origin = super::echo();
    let proxy = super::front(&origin);
    origin.stop();
    let response = copal_testkit::get(proxy.addr(), "/x", &[]);
    assert!(matches!(response.status, 502 | 503), "{response:?}");
    assert_eq!(proxy.stat("fetch_failed_connect"), 1);
    origin.restart();
    assert_eq!(copal_testkit::get(proxy.addr(), "/x", &[]).text(), "/x");
}

/// Bodies that do not come to their end, each after "hello".
fn body_faults(path: &str) -> Reply {
    let sized = || Reply::head(200).header("Cache-Control", "max-age=60").header("Content-Length", 100).send("hello");
    let chunked = || Reply::stream().header("Cache-Control", "max-age=60").chunk("hello");
    let pause = Duration::from_millis(50);
    match path {
        "/sized/short" => sized().close(),
        "/sized/reset" => sized().pause(pause).reset(),
        "/sized/stall" => sized().never(),
        "/chunked/short" => chunked().close(),
        "/chunked/half-end" => chunked().send("0\r\n").close(),
        "/chunked/cut-chunk" => chunked().send("64\r\nonly this").close(),
        "/chunked/reset" => chunked().pause(pause).reset(),
        "/chunked/stall" => chunked().never(),
        "/chunked/bad-size" => chunked().send("zz\r\nbad\r\n0\r\n\r\n"),
        "/chunked/bad-end" => chunked().send("3\r\nabcd\r\n0\r\n\r\n"),
        "/chunked/bare-lf" => chunked().send("3\nabc\n0\n\n"),
        "/chunked/bad-trailer" => chunked().send("0\r\nno trailer\r\n\r\n"),
        "/close/reset" => Reply::head(200).header("Cache-Control", "max-age=60").send("hello").pause(pause).reset(),
        "/close/stall" => Reply::head(200).header("Cache-Control", "max-age=60").send("hello").never(),
        other => Reply::ok(other.to_owned()),
    }
}

const BODY_FAULTS: &[&str] = &[
    "/sized/short",
    "/sized/reset",
    "/sized/stall",
    "/chunked/short",
    "/chunked/half-end",
    "/chunked/cut-chunk",
    "/chunked/reset",
    "/chunked/stall",
    "/chunked/bad-size",
    "/chunked/bad-end",
    "/chunked/bare-lf",
    "/chunked/bad-trailer",
    "/close/reset",
    "/close/stall",
];

#[track_caller]
fn is_cut(response: &Response, path: &str) {
    let visible = matches!(response.status, 502 | 504) || (response.status == 200 && !response.complete);
    assert!(visible, "{path} looks whole: {response:?}");
}

#[test]
fn a_body_that_breaks_off_reaches_the_client_as_broken_and_is_not_stored() {
    let origin = Origin::start(|seen| body_faults(&seen.path));
    let proxy = front_with(&origin, IMPATIENT);
    for path in BODY_FAULTS {
        is_cut(&twice(&origin, &proxy, path), path);
    }
    assert_eq!((proxy.stat("objects"), proxy.stat("fetches_ok")), (0, 0));
}

#[test]
fn a_body_that_breaks_off_while_passing_is_broken_for_its_client_too() {
    let origin = Origin::start(|seen| body_faults(&seen.path));
    let proxy = builder(&origin, IMPATIENT).policy("fn recv(req) { return pass(); }").start();
    for path in BODY_FAULTS {
        is_cut(&twice(&origin, &proxy, path), path);
    }
}

#[test]
fn a_client_of_http_1_0_gets_a_reset_where_an_end_would_look_whole() {
    let origin = Origin::start(|seen| body_faults(&seen.path));
    for policy in ["", "fn recv(req) { return pass(); }"] {
        let proxy = builder(&origin, IMPATIENT).policy(policy).start();
        for path in BODY_FAULTS {
            let mut client = proxy.client();
            client.send_raw(format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n"));
            is_cut(&client.read_response(), path);
        }
    }
}

#[test]
fn everyone_who_shares_a_broken_fetch_sees_it_broken() {
    let gate = copal_testkit::Gate::closed();
    let reply = Reply::stream().header("Cache-Control", "max-age=60").chunk("hello").wait(&gate).close();
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front_with(&origin, "");
    let mut clients: Vec<Client> = (0..10).map(|_| proxy.client()).collect();
    let mut heads = Vec::new();
    for client in &mut clients {
        client.send("GET", "/shared", &[], b"");
        heads.push(client.read_head());
        client.peek_raw(10);
    }
    gate.release();
    for (client, mut response) in clients.iter_mut().zip(heads) {
        client.read_body(&mut response);
        assert_eq!((response.text().as_str(), response.complete), ("hello", false));
        client.assert_closed();
    }
    assert_eq!((origin.count(), proxy.stat("objects")), (1, 0));
}

#[test]
fn a_fault_counts_once_in_its_class() {
    let origin = Origin::start(|seen| body_faults(&seen.path));
    let proxy = front_with(&origin, IMPATIENT);
    let _ = copal_testkit::get(proxy.addr(), "/sized/short", &[]);
    proxy.wait_stat("fetch_failed_body", |n| n == 1, Duration::from_secs(10));
    assert_eq!((proxy.stat("fetches"), proxy.stat("fetches_failed"), proxy.stat("fetches_ok")), (1, 1, 0));
    assert_eq!(proxy.stat("aborted_deliveries"), 1);
}
