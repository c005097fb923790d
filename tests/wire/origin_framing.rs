//! Answers whose framing is odd but sound: the client gets them well framed, and the next one is not confused.

use super::{assert_in_step, front};
use copal_testkit::{Framing, Gate, Origin, Reply};

fn odd(path: &str) -> Reply {
    match path {
        "/until-close" => Reply::until_close("hello").header("Cache-Control", "max-age=60"),
        "/http-1-0" => Reply::raw("HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nhello").close(),
        "/both" => Reply::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nCache-Control: max-age=60\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
        ),
        "/twice" => Reply::raw(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nhello",
        ),
        "/list" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\nCache-Control: max-age=60\r\n\r\nhello"),
        "/too-much" => Reply::ok("hello")
            .header("Cache-Control", "max-age=60")
            .send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        "/204" => Reply::raw("HTTP/1.1 204 No Content\r\nContent-Length: 4\r\nCache-Control: max-age=60\r\n\r\nevil"),
        "/204-chunked" => {
            Reply::raw("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n")
        }
        "/304" => Reply::raw("HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"),
        "/head" => Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        other => Reply::ok(other.to_owned()).header("Cache-Control", "no-store"),
    }
}

#[test]
fn every_sound_framing_comes_out_whole_once_from_the_origin_and_once_from_the_cache() {
    let origin = Origin::start(|seen| odd(&seen.path));
    let proxy = front(&origin);
    let mut client = proxy.client();
    for path in ["/until-close", "/http-1-0", "/both", "/twice", "/list", "/too-much"] {
        for from in ["origin", "cache"] {
            let response = client.get(path, &[]);
            assert_eq!((response.status, response.text().as_str()), (200, "hello"), "{path} from the {from}");
            assert!(response.complete && response.framing != Framing::Close, "{path}: {response:?}");
            assert!(response.all("Content-Length").len() <= 1, "{path}: {response:?}");
            assert_in_step(&mut client);
        }
        assert_eq!(origin.count_of(path), 1, "{path}");
    }
}

#[test]
fn a_connection_with_more_bytes_than_its_answer_is_not_used_again() {
    for path in ["/too-much", "/204", "/204-chunked", "/304", "/both"] {
        let origin = Origin::start(|seen| odd(&seen.path));
        let proxy = super::builder(&origin, "").policy("fn recv(req) { return pass(); }").start();
        let mut client = proxy.client();
        assert!(client.get(path, &[]).complete, "{path}");
        for _ in 0..3 {
            assert_in_step(&mut client);
        }
        assert!(origin.connections() >= 2, "{path}: {} connections", origin.connections());
    }
}

#[test]
fn a_204_has_no_body_whatever_the_origin_sends() {
    let origin = Origin::start(|seen| odd(&seen.path));
    let proxy = front(&origin);
    let mut client = proxy.client();
    for path in ["/204", "/204", "/204-chunked"] {
        let response = client.get(path, &[]);
        assert_eq!((response.status, response.framing, response.body.len()), (204, Framing::None, 0));
        assert_eq!((response.header("Content-Length"), response.header("Transfer-Encoding")), (None, None), "{path}");
        assert_in_step(&mut client);
    }
}

#[test]
fn a_304_to_the_clients_own_condition_passes_without_a_body() {
    let origin = Origin::start(|seen| odd(&seen.path));
    let proxy = super::builder(&origin, "").policy("fn recv(req) { return pass(); }").start();
    let mut client = proxy.client();
    let response = client.get("/304", &[("If-None-Match", "\"1\"")]);
    assert_eq!((response.status, response.body.len()), (304, 0));
    assert_in_step(&mut client);
}

#[test]
fn a_body_in_answer_to_head_is_not_taken_for_the_next_answer() {
    let origin = Origin::start(|seen| odd(&seen.path));
    let proxy = super::builder(&origin, "").policy("fn recv(req) { return pass(); }").start();
    let mut client = proxy.client();
    let head = client.request("HEAD", "/head", &[], b"");
    assert_eq!((head.status, head.body.len()), (200, 0));
    for _ in 0..3 {
        assert_in_step(&mut client);
    }
}

#[test]
fn a_length_that_the_origin_announced_is_told_while_the_body_arrives() {
    let gate = Gate::closed();
    let reply = Reply::head(200).header("Content-Length", 10).header("Cache-Control", "max-age=60");
    let reply = reply.send("01234").wait(&gate).send("56789");
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send("GET", "/file", &[], b"");
    let mut response = client.read_head();
    assert_eq!(response.header("Content-Length"), Some("10"), "{response:?}");
    gate.release();
    client.read_body(&mut response);
    assert!(response.complete && response.text() == "0123456789", "{response:?}");
}
