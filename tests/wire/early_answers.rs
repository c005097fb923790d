//! Answers before their time: interim responses, and final ones while the upload is still on its way.

use super::{assert_in_step, front};
use copal_testkit::{Origin, Proxy, Reply};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread::{self, JoinHandle};
use std::time::Duration;

#[test]
fn early_hints_reach_the_client_before_the_final_answer() {
    let gate = copal_testkit::Gate::closed();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    let reply = Reply::raw(hints)
        .wait(&gate)
        .send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: max-age=60\r\n\r\nhello");
    let origin = Origin::start(move |seen| if seen.path == "/in-step" { Reply::ok("/in-step") } else { reply.clone() });
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send("GET", "/page", &[], b"");
    let first = String::from_utf8_lossy(client.peek_raw(40)).into_owned();
    assert!(first.starts_with("HTTP/1.1 103 ") && first.contains("Link: "), "{first}");
    gate.release();
    let response = client.read_response();
    assert_eq!((response.interim.as_slice(), response.text().as_str()), (&[103][..], "hello"));
    let hit = client.get("/page", &[]);
    assert_eq!((hit.interim.as_slice(), hit.text().as_str()), (&[][..], "hello"));
    assert_in_step(&mut client);
}

#[test]
fn a_flood_of_hints_does_not_lose_the_answer() {
    let hints = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(14);
    let origin =
        Origin::start(move |_| Reply::raw(format!("{hints}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")));
    let proxy = front(&origin);
    for method in ["GET", "POST"] {
        let response = copal_testkit::client::request(proxy.addr(), method, "/", &[], b"");
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert!((1..=14).contains(&response.interim.len()));
    }
}

/// Answers as soon as a head has come, and then reads on (or not) until the peer closes. How many bytes came after it.
fn hasty(answer: &'static str, read_on: bool) -> (SocketAddr, JoinHandle<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
        while !bytes.windows(4).any(|four| four == b"\r\n\r\n") {
            let n = stream.read(&mut piece).unwrap();
            assert!(n > 0, "the proxy hung up within its request head");
            bytes.extend_from_slice(&piece[..n]);
        }
        stream.write_all(answer.as_bytes()).unwrap();
        let mut more = 0;
        if read_on {
            while let Ok(n @ 1..) = stream.read(&mut piece) {
                more += n;
            }
        }
        more
    });
    (addr, thread)
}

fn to(addr: SocketAddr) -> Proxy {
    Proxy::builder(super::COPAL).to(addr).start()
}

#[test]
fn a_refusal_before_the_upload_is_over_reaches_the_client() {
    for read_on in [true, false] {
        let (addr, thread) = hasty("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig", read_on);
        let proxy = to(addr);
        let mut client = proxy.client();
        client.send("POST", "/up", &[("Content-Length", "100000000")], b"");
        client.send_raw(vec![b'x'; 10_000]);
        let response = client.read_response();
        assert_eq!(
            (response.status, response.text().as_str(), response.complete),
            (413, "big", true),
            "reads on: {read_on}"
        );
        drop(client);
        assert!(thread.join().unwrap() < 100_000_000);
    }
}

#[test]
fn a_client_that_sends_and_sends_gets_the_early_refusal_too() {
    let (addr, _thread) = hasty("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig", false);
    let proxy = to(addr);
    let mut client = proxy.client();
    client.send("POST", "/up", &[("Transfer-Encoding", "chunked")], b"");
    let chunk = [b"2710\r\n".as_slice(), &[b'x'; 10_000], b"\r\n"].concat();
    for _ in 0..20 {
        client.send_raw(&chunk);
    }
    let response = client.read_response();
    assert_eq!((response.status, response.complete), (413, true));
}

#[test]
fn an_origin_that_hangs_up_in_the_middle_of_an_upload_is_502() {
    let (addr, thread) = hasty("", false);
    let proxy = to(addr);
    let mut client = proxy.client();
    client.send("POST", "/up", &[("Content-Length", "100000000")], b"");
    client.send_raw(vec![b'x'; 10_000]);
    thread.join().unwrap();
    assert_eq!(client.read_response().status, 502);
}

#[test]
fn an_early_success_is_delivered_and_the_upload_goes_on() {
    let (addr, thread) = hasty("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nCache-Control: no-store\r\n\r\nhello", true);
    let proxy = to(addr);
    let mut client = proxy.client();
    client.send("POST", "/up", &[("Content-Length", "300000")], b"");
    client.send_raw(vec![b'x'; 300_000]);
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "hello", true));
    // The answer may be there before the upload has gone out.
    proxy.wait_stat("fetches_running", |n| n == 0, super::A_MOMENT * 100);
    drop((client, proxy));
    assert!(thread.join().unwrap() >= 290_000, "what came with the head is not counted");
}
