//! Clients that send too slowly, or nothing, or do not read.

use super::echo;
use copal_testkit::{Origin, Proxy, Reply};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

fn impatient(origin: &Origin) -> Proxy {
    super::front_with(
        origin,
        "[[listen]]\naddress = \"127.0.0.1:0\"\nhead_timeout = \"300ms\"\nidle_timeout = \"300ms\"\nbody_timeout = \"300ms\"\n\
         send_timeout = \"300ms\"",
    )
}

#[test]
fn a_head_that_does_not_arrive_in_time_is_408() {
    let origin = echo();
    let proxy = impatient(&origin);
    let response = super::refused(&proxy, "GET / HTTP/1.1\r\nHost: a\r\nX-Slow:");
    assert_eq!(response.status, 408);
    assert_eq!((origin.connections(), proxy.stat("client_timeouts")), (0, 1));
}

#[test]
fn a_head_has_a_deadline_as_a_whole_and_not_per_byte() {
    let origin = echo();
    let proxy = impatient(&origin);
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let drip = thread::spawn(move || {
        for _ in 0..200 {
            if writer.write_all(b"X").is_err() {
                return true;
            }
            thread::sleep(Duration::from_millis(50));
        }
        false
    });
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
    assert!(drip.join().unwrap(), "the connection was not closed");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn silence_is_closed_without_a_word_before_and_between_requests() {
    let origin = echo();
    let proxy = impatient(&origin);
    proxy.client().assert_closed();
    let mut client = proxy.client();
    super::assert_in_step(&mut client);
    client.assert_closed();
}

#[test]
fn an_upload_that_stalls_is_408_and_never_a_whole_request() {
    let origin = echo();
    let proxy = impatient(&origin);
    let response = super::refused(&proxy, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello");
    assert_eq!(response.status, 408);
    proxy.wait_stat("fetches_running", |n| n == 0, Duration::from_secs(10));
    assert!(origin.requests().iter().all(|seen| !seen.complete));
}

#[test]
fn a_client_that_does_not_read_is_left_and_its_fetch_completed() {
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; 30_000_000]).header("Cache-Control", "max-age=60"));
    let proxy = impatient(&origin);
    let mut client = proxy.client();
    client.send("GET", "/large", &[], b"");
    proxy.wait_stat("aborted_deliveries", |n| n == 1, Duration::from_secs(20));
    proxy.wait_stat("fetches_ok", |n| n == 1, Duration::from_secs(20));
    assert_eq!(copal_testkit::get(proxy.addr(), "/large", &[]).body.len(), 30_000_000);
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_head_may_come_byte_by_byte_within_its_time() {
    let origin = echo();
    let proxy = super::front(&origin);
    let mut client = proxy.client();
    for byte in b"GET /bytes HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.send_raw([*byte]);
        thread::yield_now();
    }
    assert_eq!(client.read_response().text(), "/bytes");
}
