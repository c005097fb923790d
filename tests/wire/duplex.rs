//! Both directions at once: origins that answer while the request is still on its way.

use super::{assert_in_step, echo};
use copal_testkit::Proxy;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What is sent through; far more than all buffers on the way together.
const LARGE: usize = 20_000_000;

/// A byte that tells its place.
fn at(i: usize) -> u8 {
    (i % 251) as u8
}

fn large() -> Vec<u8> {
    (0..LARGE).map(at).collect()
}

/// An origin for one connection, whose request head has been read.
fn origin<T: Send + 'static>(talk: impl FnOnce(TcpStream) -> T + Send + 'static) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_nodelay(true).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        talk(stream)
    });
    (addr, thread)
}

/// An echo service: what has come goes back at once, in the same framing, until `n` bytes have passed.
fn echoes(n: usize) -> (SocketAddr, JoinHandle<()>) {
    origin(move |mut stream| {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n").as_bytes()).unwrap();
        let (mut left, mut piece) = (n, vec![0; 50_000]);
        while left > 0 {
            match stream.read(&mut piece) {
                Ok(got @ 1..) => {
                    left -= got;
                    if stream.write_all(&piece[..got]).is_err() {
                        return;
                    }
                }
                Ok(_) | Err(_) => return,
            }
        }
    })
}

fn to(addr: SocketAddr) -> Proxy {
    Proxy::builder(super::COPAL).to(addr).start()
}

#[test]
fn an_echo_of_twenty_megabytes_comes_back_while_it_is_sent() {
    let (addr, thread) = echoes(LARGE);
    let proxy = to(addr);
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {LARGE}\r\nConnection: close\r\n\r\n").unwrap();
    let body = large();
    stream.write_all(&body[..5]).unwrap();
    let (mut got, mut piece) = (Vec::new(), vec![0; 65536]);
    while !got.ends_with(&body[..5]) {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "closed after {:?}", String::from_utf8_lossy(&got));
        got.extend_from_slice(&piece[..n]);
    }
    assert!(got.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&got));
    let mut writer = stream.try_clone().unwrap();
    let sending = thread::spawn(move || writer.write_all(&body[5..]).unwrap());
    let mut n = 5;
    loop {
        let more = stream.read(&mut piece).unwrap();
        if more == 0 {
            break;
        }
        assert!(piece[..more].iter().enumerate().all(|(i, byte)| *byte == at(n + i)), "a wrong byte after {n}");
        n += more;
    }
    assert_eq!(n, LARGE);
    sending.join().unwrap();
    thread.join().unwrap();
    assert_eq!((proxy.stat("fetches_ok"), proxy.stat("aborted_deliveries")), (1, 0));
}

#[test]
fn a_client_that_sends_all_before_it_reads_is_not_held_up_by_a_response_that_waits_for_it() {
    // What the kernel takes in both directions is less than this, so that somebody has to read before the client does.
    const UPLOAD: usize = 3 * LARGE;
    let (addr, thread) = origin(|mut stream| {
        stream.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n").as_bytes()).unwrap();
        let mut writer = stream.try_clone().unwrap();
        let writing = thread::spawn(move || writer.write_all(&large()).unwrap());
        let (mut n, mut piece) = (0, vec![0; 65536]);
        while n < UPLOAD {
            n += stream.read(&mut piece).unwrap();
        }
        writing.join().unwrap();
        n
    });
    let proxy = to(addr);
    let mut client = proxy.client();
    client.send("POST", "/up", &[], &vec![b'x'; UPLOAD]);
    let response = client.read_response();
    assert_eq!((response.status, response.complete, response.body == large()), (200, true, true));
    assert_eq!(thread.join().unwrap(), UPLOAD);
}

#[test]
fn after_an_early_answer_and_the_whole_upload_the_connection_goes_on() {
    let (addr, thread) = echoes(300_000);
    let other = echo();
    let toml =
        format!("[backend.first]\naddress = \"{addr}\"\n[backend.then]\naddress = \"{}\"\n[policy]\n", other.addr());
    let policy = "fn recv(req) { if req.url == \"/in-step\" { req.backend = backend(\"then\"); } }";
    let proxy = Proxy::builder(super::COPAL).config(&toml).policy(policy).start();
    let mut client = proxy.client();
    client.send("POST", "/echo", &[("Content-Length", "300000")], b"hello");
    let mut response = client.read_head();
    assert_eq!(response.status, 200);
    client.peek_raw(5);
    client.send_raw(vec![b'x'; 299_995]);
    client.read_body(&mut response);
    assert!(response.complete && response.body.starts_with(b"helloxxx") && response.body.len() == 300_000);
    thread.join().unwrap();
    assert_in_step(&mut client);
}

#[test]
fn an_upload_that_breaks_off_cuts_the_response_that_was_streaming() {
    for leave in [false, true] {
        let (addr, thread) = echoes(100_000);
        let proxy = to(addr);
        let mut client = proxy.client();
        client.send("POST", "/echo", &[("Content-Length", "100000")], b"hello");
        let mut response = client.read_head();
        client.peek_raw(5);
        if leave {
            drop(client);
        } else {
            client.finish_sending();
            client.read_body(&mut response);
            assert_eq!((response.status, response.text().as_str(), response.complete), (200, "hello", false));
            client.assert_closed();
        }
        thread.join().unwrap();
        proxy.wait_stat("fetches_running", |n| n == 0, super::A_MOMENT * 100);
        let counted = ["fetches_ok", "fetch_failed_send", "aborted_deliveries", "backend_connections_open"];
        assert_eq!(counted.map(|name| proxy.stat(name)), [0, 1, 1, 0], "leaves: {leave}");
    }
}

#[test]
fn an_origin_that_answers_early_and_closes_is_not_used_again_and_the_client_gets_all_of_it() {
    let (addr, thread) =
        origin(|mut stream| stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap());
    let proxy = to(addr);
    let mut client = proxy.client();
    client.send("POST", "/up", &[("Content-Length", "1000000000")], b"");
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "hello", true));
    thread.join().unwrap();
    client.send_raw(vec![b'x'; 200_000]);
    client.assert_closed();
    assert_eq!((proxy.stat("fetches_ok"), proxy.stat("backend_connections_open")), (1, 0));
}
