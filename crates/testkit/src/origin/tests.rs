//! Tests of the scripted origin, through the raw client: what the one sends, the other reads, faults included.

use super::*;
use crate::client::{self, Client};
use crate::response::Framing;

#[test]
fn requests_are_answered_by_the_script_on_one_connection_and_remembered() {
    let origin = Origin::start(|seen| Reply::ok(format!("{} {}", seen.method, seen.path)).header("X-A", 1));
    let mut client = Client::connect(origin.addr());
    let first = client.get("/a?b", &[("X-C", "d")]);
    assert_eq!((first.status, first.text().as_str(), first.header("x-a")), (200, "GET /a?b", Some("1")));
    assert_eq!(client.request("POST", "/p", &[], b"upload").text(), "POST /p");
    let head = client.request("HEAD", "/a?b", &[], b"");
    assert_eq!((head.header("Content-Length"), head.body.len()), (Some("9"), 0));

    let seen = origin.requests();
    assert_eq!((origin.count(), origin.count_of("/a?b"), origin.connections()), (3, 2, 1));
    assert_eq!(seen[0].header("x-c"), Some("d"));
    assert!(seen[0].head.starts_with(b"GET /a?b HTTP/1.1\r\nHost: test.example\r\n"));
    assert_eq!(seen[1].body, b"upload");
}

#[test]
fn chunked_and_cut_uploads_are_told_apart() {
    let origin = Origin::start(|_| Reply::ok("ok"));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = Client::connect(origin.addr());
    client.send_raw(format!("{head}3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    assert_eq!(client.read_response().status, 200);
    let mut cut = Client::connect(origin.addr());
    cut.send_raw(format!("{head}3\r\nabc\r\n"));
    cut.finish_sending();
    assert_eq!(cut.try_read_response(), None);
    let seen = origin.requests();
    assert_eq!((seen[0].body.as_slice(), seen[0].complete), (&b"abcde"[..], true));
    assert_eq!((seen[1].body.as_slice(), seen[1].complete), (&b"abc"[..], false));
}

#[test]
fn each_fault_looks_like_itself_to_a_client() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/short" => Reply::short_body("abc", 10),
        "/bad-chunk" => Reply::bad_chunk("abc"),
        "/reset" => Reply::head(200).header("Content-Length", 10).send("abc").pause(Duration::from_millis(50)).reset(),
        "/until-close" => Reply::until_close("abc"),
        "/chunked" => Reply::chunked(&["ab", "c"]),
        _ => Reply::hang_up(),
    });
    for path in ["/short", "/bad-chunk", "/reset"] {
        let response = client::get(origin.addr(), path, &[]);
        assert_eq!((response.text().as_str(), response.complete), ("abc", false), "{path}");
    }
    for (path, framing) in [("/until-close", Framing::Close), ("/chunked", Framing::Chunked)] {
        let response = client::get(origin.addr(), path, &[]);
        assert_eq!((response.text().as_str(), response.complete, response.framing), ("abc", true, framing), "{path}");
    }
    let mut client = Client::connect(origin.addr());
    client.send("GET", "/hang-up", &[], b"");
    assert_eq!(client.try_read_response(), None);
    client.assert_closed();
}

#[test]
fn a_held_path_is_seen_at_once_and_answered_after_its_release() {
    let origin = Origin::start(|_| Reply::ok("done"));
    let gate = origin.hold("/slow");
    let mut slow = Client::connect(origin.addr());
    slow.send("GET", "/slow", &[], b"");
    origin.wait_for(1, PATIENCE);
    assert_eq!(client::get(origin.addr(), "/other", &[]).text(), "done", "only that path is held");
    gate.release();
    assert_eq!(slow.read_response().text(), "done");
    assert_eq!(client::get(origin.addr(), "/slow", &[]).text(), "done", "a released gate stays open");
}

#[test]
fn a_stream_can_wait_in_the_middle_of_its_body() {
    let gate = Gate::closed();
    let reply = Reply::stream().chunk("first").wait(&gate).chunk("second").end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let mut client = Client::connect(origin.addr());
    client.send("GET", "/", &[], b"");
    let mut response = client.read_head();
    assert_eq!(client.peek_raw(10), b"5\r\nfirst\r\n");
    gate.release();
    client.read_body(&mut response);
    assert_eq!((response.text().as_str(), response.complete), ("firstsecond", true));
}

#[test]
fn a_stopped_origin_refuses_and_comes_back_on_the_same_port() {
    let mut origin = Origin::start(|_| Reply::ok("up"));
    let addr = origin.addr();
    let mut idle = Client::connect(addr);
    assert_eq!(idle.get("/", &[]).text(), "up");
    origin.stop();
    idle.assert_closed();
    assert!(std::net::TcpStream::connect(addr).is_err());
    origin.restart();
    assert_eq!(origin.addr(), addr);
    assert_eq!(client::get(addr, "/", &[]).text(), "up");
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_client_that_expects_it_is_told_to_continue() {
    let origin = Origin::start(|_| Reply::ok("got it"));
    let response = client::request(origin.addr(), "POST", "/", &[("Expect", "100-continue")], b"body");
    assert_eq!((response.interim, response.body), (vec![100], b"got it".to_vec()));
}
