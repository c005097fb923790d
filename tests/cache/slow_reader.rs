//! A client that reads slowly holds a bounded buffer, and not the whole body: what is larger than the store streams through,
//! and the origin waits.

use super::SOON;
use copal_testkit::wait;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

const BODY: u64 = 200_000_000;
const SIZE: u64 = 32 << 20;
const WINDOW: u64 = 1 << 20;
/// What the kernel's buffers on both sides hold at most, with what is being copied: loopback's grow to some megabytes each.
const SOCKETS: u64 = 24 << 20;
/// The time in which millions of pieces pass a proxy that was compiled for tests: 5 s alone, a minute beside builds.
const LONG: Duration = Duration::from_secs(300);

/// An origin of one large body, which notes how much of it the proxy has taken.
fn origin(cache_control: &'static str, chunked: bool) -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, count) = (stream.unwrap(), Arc::clone(&count));
            thread::spawn(move || {
                let mut head = [0; 4096];
                let mut got = 0;
                while !head[..got].ends_with(b"\r\n\r\n") {
                    match stream.read(&mut head[got..]) {
                        Ok(0) | Err(_) => return,
                        Ok(n) => got += n,
                    }
                }
                let framing =
                    if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {BODY}") };
                let head = format!("HTTP/1.1 200 OK\r\nCache-Control: {cache_control}\r\n{framing}\r\n\r\n");
                if stream.write_all(head.as_bytes()).is_err() {
                    return;
                }
                let piece = vec![b'x'; 100_000];
                let framed = if chunked { [b"186a0\r\n", &piece[..], b"\r\n"].concat() } else { piece.clone() };
                for _ in 0..BODY / piece.len() as u64 {
                    if stream.write_all(&framed).is_err() {
                        return;
                    }
                    count.fetch_add(piece.len() as u64, Ordering::SeqCst);
                }
                if chunked {
                    let _gone = stream.write_all(b"0\r\n\r\n");
                }
            });
        }
    });
    (addr, sent)
}

/// An origin that sends single bytes, each a chunk of its own, for as long as they are taken.
fn origin_of_single_bytes() -> (SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _request = stream.read(&mut [0; 4096]).unwrap();
        let head = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunks = b"1\r\nx\r\n".repeat(1000);
        let mut going = stream.write_all(head.as_bytes()).is_ok();
        while going {
            going = stream.write_all(&chunks).is_ok();
            count.fetch_add(1000, Ordering::SeqCst);
        }
    });
    (addr, sent)
}

/// A client that has read the head and then stands still.
fn stalled(proxy: SocketAddr) -> (TcpStream, usize) {
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut some = [0; 64];
    let n = stream.read(&mut some).unwrap();
    (stream, n)
}

/// Waits until nothing more is taken from the origin.
fn at_rest(sent: &AtomicU64) -> u64 {
    let mut last = u64::MAX;
    let rest = wait::poll(SOON, || {
        let now = sent.load(Ordering::SeqCst);
        let rests = now == last && now > 0;
        last = now;
        thread::sleep(Duration::from_millis(300));
        rests.then_some(now)
    });
    rest.expect("the origin is held back")
}

fn a_slow_client_holds_a_window(cache_control: &'static str, chunked: bool) {
    let (addr, sent) = origin(cache_control, chunked);
    let origin = format!("[cache]\nsize = \"{}MiB\"\n[backend.app]\naddress = \"{addr}\"", SIZE >> 20);
    let proxy = copal_testkit::Proxy::builder(super::COPAL).config(&origin).start();
    let before = proxy.rss_kib() * 1024;
    let (mut stream, first) = stalled(proxy.addr());
    let taken = at_rest(&sent);
    let held = u64::try_from(proxy.stat("bytes")).unwrap();
    let grown = (proxy.rss_kib() * 1024).saturating_sub(before);
    println!(
        "{cache_control}, chunked {chunked}: {taken} bytes taken of {BODY}, {held} in the account, {grown} resident more"
    );
    // What outgrows a quarter of the store becomes a window; before that it is held.
    let stored = if cache_control == "no-store" { 0 } else { SIZE / 4 };
    assert!(held <= stored + 2 * WINDOW, "{held} bytes in the account");
    assert!(taken <= stored + 2 * WINDOW + SOCKETS, "{taken} bytes were taken ahead of a client that reads nothing");
    assert!(grown <= stored + SOCKETS, "{grown} bytes more are resident");
    // Then it goes on, and gets all of it.
    let mut buffer = vec![0; 1 << 20];
    let (mut got, mut peak) = (first as u64, 0);
    loop {
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            n => got += n as u64,
        }
        if got % (16 << 20) < (1 << 20) {
            peak = peak.max(proxy.rss_kib() * 1024);
        }
    }
    assert!(got > BODY, "head and body: {got} bytes");
    assert!(
        peak.saturating_sub(before) <= stored + SOCKETS,
        "{peak} bytes resident while it streamed, {before} before"
    );
    proxy.wait_stat("in_flight_bytes", |n| n == 0, SOON);
    assert_eq!(proxy.stat("objects"), 0);
}

#[test]
fn a_slow_client_of_a_body_that_is_not_cacheable_holds_a_window() {
    a_slow_client_holds_a_window("no-store", false);
}

#[test]
fn a_slow_client_of_a_cacheable_body_larger_than_the_store_holds_a_window() {
    a_slow_client_holds_a_window("max-age=600", false);
}

#[test]
fn so_it_does_when_the_length_is_not_known_before() {
    a_slow_client_holds_a_window("max-age=600", true);
}

#[test]
fn ten_slow_clients_of_as_many_large_bodies_stay_within_the_store() {
    let (addr, sent) = origin("no-store", false);
    let origin = format!("[cache]\nsize = \"{}MiB\"\n[backend.app]\naddress = \"{addr}\"", SIZE >> 20);
    let proxy = copal_testkit::Proxy::builder(super::COPAL).config(&origin).start();
    let before = proxy.rss_kib() * 1024;
    let clients: Vec<_> = (0..10).map(|_| stalled(proxy.addr())).collect();
    at_rest(&sent);
    let held = u64::try_from(proxy.stat("bytes")).unwrap();
    let grown = (proxy.rss_kib() * 1024).saturating_sub(before);
    println!("ten: {held} in the account, {grown} resident more");
    assert!(held <= 10 * 2 * WINDOW, "{held} bytes in the account");
    assert!(grown <= 10 * 2 * WINDOW + SOCKETS, "{grown} bytes more are resident");
    drop(clients);
    proxy.wait_stat("client_requests_running", |n| n == 0, SOON);
}

#[test]
fn single_bytes_that_wait_for_a_slow_client_take_little_more_than_the_window() {
    let (addr, sent) = origin_of_single_bytes();
    let proxy =
        copal_testkit::Proxy::builder(super::COPAL).config(&format!("[backend.app]\naddress = \"{addr}\"")).start();
    let before = proxy.rss_kib() * 1024;
    let (client, _) = stalled(proxy.addr());
    // Until the socket of the client is full, nothing waits here.
    let full = i64::try_from(WINDOW).unwrap();
    let held = proxy.wait_stat("bytes", |n| n >= full, LONG);
    at_rest(&sent);
    let at_last = proxy.stat("bytes");
    let grown = (proxy.rss_kib() * 1024).saturating_sub(before);
    println!("single bytes: {held} in the account, then {at_last}; {grown} resident more");
    assert!(held.max(at_last) <= full * 5 / 4, "{held} bytes in the account, then {at_last}");
    // Each by itself they would be 40 times as much. The rest is what the first request makes a process touch.
    assert!(grown <= 16 << 20, "{grown} bytes more are resident");
    drop(client);
    proxy.wait_stat("bytes", |n| n < full / 4, SOON);
}
