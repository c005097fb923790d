//! Tunnels: WebSocket and other protocols through `pipe`, over real sockets; what ends one, and what never gets into one.

use super::{A_MOMENT, COPAL};
use copal_testkit::{Client, Proxy, Signal, proxy};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;
use tungstenite::Message;

const SOON: Duration = Duration::from_secs(10);
const PIPE_ALL: &str = "fn recv(req) { return pipe(); }";
const WEBSOCKETS: &str = "[pipe]\nupgrades = [\"websocket\"]";
const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX-Kept: yes\r\n\r\n";

/// An origin that does with each connection what the test says; it counts them and keeps the heads that it has read.
struct Peer {
    addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
}

fn peer(with: impl Fn(TcpStream, &str) + Send + Sync + 'static) -> Peer {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let (connections, heads) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (counted, kept, with) = (Arc::clone(&connections), Arc::clone(&heads), Arc::new(with));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let (kept, with) = (Arc::clone(&kept), Arc::clone(&with));
            std::thread::spawn(move || {
                stream.set_read_timeout(Some(SOON)).unwrap();
                let head = head_of(&mut stream);
                kept.lock().unwrap().push(head.clone());
                with(stream, &head);
            });
        }
    });
    Peer { addr, connections, heads }
}

impl Peer {
    fn count(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
    fn head(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap_or_default()
    }
    fn builder(&self, toml: &str) -> proxy::Builder {
        let log = "[log]\naccess = { path = \"{dir}/access.log\" }";
        Proxy::builder(COPAL).config(&format!("[backend.app]\naddress = \"{}\"\n{toml}\n{log}\n", self.addr))
    }
}

/// Reads a head byte by byte, so that nothing behind it is taken.
fn head_of(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => head.push(byte[0]),
            Ok(_) | Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.addr()).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream
}

/// A connection that has changed protocols.
fn opened(proxy: &Proxy) -> TcpStream {
    let mut client = connect(proxy);
    client.write_all(ASK.as_bytes()).unwrap();
    let head = head_of(&mut client);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client
}

fn exactly<const N: usize>(stream: &mut TcpStream) -> String {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Everything until the end, and whether that was an orderly one.
fn rest(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    if let Err(error) = &end {
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
    }
    (String::from_utf8_lossy(&bytes).into_owned(), end.is_ok())
}

fn echo_all(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(n) = stream.read(&mut bytes) {
        if n == 0 || stream.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
}

fn switch(mut stream: TcpStream) -> TcpStream {
    stream.write_all(SWITCH.as_bytes()).unwrap();
    stream
}

fn log_line(proxy: &Proxy) -> serde_json::Value {
    let read = || std::fs::read_to_string(proxy.dir().join("access.log")).unwrap_or_default();
    let line = copal_testkit::wait::poll(SOON, || read().lines().next().map(str::to_owned)).unwrap();
    serde_json::from_str(&line).unwrap()
}

/// A WebSocket server that answers each message with the same.
fn websocket_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut socket = tungstenite::accept(stream).unwrap();
                while let Ok(message) = socket.read() {
                    if (message.is_text() || message.is_binary()) && socket.send(message).is_err() {
                        break;
                    }
                }
            });
        }
    });
    addr
}

fn websocket_through(proxy: &Proxy) {
    let url = format!("ws://{}/chat", proxy.addr());
    let (mut socket, response) = tungstenite::client(url, connect(proxy)).unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers()["via"].to_str().unwrap().ends_with("copal"));
    for text in ["hello", "and again"] {
        socket.send(Message::text(text)).unwrap();
        assert_eq!(socket.read().unwrap(), Message::text(text));
    }
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (copy, addr) = (large.clone(), proxy.addr());
    socket.send(Message::binary(copy)).unwrap();
    assert!(socket.read().unwrap() == Message::binary(large), "through {addr}");
    socket.send(Message::Ping(b"?"[..].into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong(b"?"[..].into()));
    socket.close(None).unwrap();
    while socket.read().is_ok() {}
    drop(socket);
    proxy.wait_stat("pipes_open", |n| n == 0, SOON);
}

#[test]
fn websocket_goes_through_by_one_line_of_the_configuration() {
    let addr = websocket_server();
    let proxy = Proxy::builder(COPAL)
        .config(&format!(
            "[backend.app]\naddress = \"{addr}\"\n{WEBSOCKETS}\n[log]\naccess = {{ path = \"{{dir}}/access.log\" }}"
        ))
        .start();
    websocket_through(&proxy);
    let line = log_line(&proxy);
    assert_eq!((line["outcome"].as_str(), line["status"].as_u64()), (Some("pipe"), Some(101)), "{line}");
    assert_eq!((line["backend"].as_str(), line["error"].as_str()), (Some("app"), None), "{line}");
    assert!(
        line["body_bytes"].as_u64() > Some(3_000_000) && line["pipe_bytes_in"].as_u64() > Some(3_000_000),
        "{line}"
    );
    assert_eq!((proxy.stat("pipes"), proxy.stat("pipes_failed"), proxy.stat("pipes_timed_out")), (1, 0, 0));
    assert_eq!(proxy.stat("pipe_bytes_from_clients"), line["pipe_bytes_in"].as_i64().unwrap());
    assert_eq!(proxy.stat("pipe_bytes_to_clients"), line["body_bytes"].as_i64().unwrap());
}

#[test]
fn websocket_goes_through_by_a_line_of_the_policy() {
    let addr = websocket_server();
    let policy = r#"fn recv(req) { if (req.http.upgrade ?? "").matches("(?i)^websocket$") { return pipe(); } }
        // What VCL needs here does no harm.
        fn pipe(req, bereq) { bereq.http.upgrade = req.http.upgrade; bereq.http.connection = req.http.connection; }"#;
    let proxy = Proxy::builder(COPAL).config(&format!("[backend.app]\naddress = \"{addr}\"")).policy(policy).start();
    websocket_through(&proxy);
}

#[test]
fn without_a_word_the_wish_is_not_passed_on() {
    let origin = peer(|mut stream, _| drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")));
    let proxy = origin.builder("").start();
    let mut client = proxy.client();
    client.send_raw(ASK);
    assert_eq!(client.read_response().text(), "ok");
    assert!(!origin.head().to_lowercase().contains("upgrade"), "{}", origin.head());
    assert_eq!(proxy.stat("pipes"), 0);
}

#[test]
fn http_2_is_never_what_a_tunnel_is_asked_for() {
    let origin = peer(|mut stream, _| drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")));
    let proxy = origin.builder(WEBSOCKETS).policy(PIPE_ALL).start();
    let mut client = proxy.client();
    client.send_raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n");
    assert_eq!(client.read_response().text(), "ok");
    let head = origin.head();
    assert!(!head.contains("h2c") && head.contains("Connection: close\r\n"), "{head}");
}

#[test]
fn what_is_buffered_on_either_side_is_not_lost_and_waits_for_the_switch() {
    // The origin says its first words with the 101, the client its own with the request.
    let (seen, asked) = channel();
    let seen = Mutex::new(seen);
    let origin = peer(move |mut stream, _| {
        // Nothing of the client may be here before the protocols have changed.
        stream.set_read_timeout(Some(A_MOMENT)).unwrap();
        let early = stream.read(&mut [0; 16]).map_err(|error| error.kind());
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream.write_all(format!("{SWITCH}welcome").as_bytes()).unwrap();
        let words = exactly::<5>(&mut stream);
        seen.lock().unwrap().send((early, words)).unwrap();
        echo_all(stream);
    });
    let proxy = origin.builder(WEBSOCKETS).start();
    let mut client = connect(&proxy);
    client.write_all(format!("{ASK}early").as_bytes()).unwrap();
    let head = head_of(&mut client);
    assert!(head.contains("X-Kept: yes\r\n") && head.contains("Upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("Connection: Upgrade\r\n") && !head.contains("Content-Length"), "{head}");
    assert_eq!(exactly::<7>(&mut client), "welcome");
    let (early, words) = asked.recv_timeout(SOON).unwrap();
    assert!(matches!(early, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)), "{early:?}");
    assert_eq!(words, "early");
    client.write_all(b"more").unwrap();
    assert_eq!(exactly::<4>(&mut client), "more");
    let asked = origin.head();
    assert!(asked.contains("Upgrade: websocket\r\n") && asked.contains("Connection: Upgrade\r\n"), "{asked}");
}

#[test]
fn an_origin_that_does_not_switch_answers_and_nothing_follows() {
    let origin = peer(|mut stream, _| {
        stream.write_all(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n").unwrap();
        // Kept open: what comes now would be a smuggled request.
        let mut more = Vec::new();
        let _end = stream.read_to_end(&mut more);
        assert!(more.is_empty(), "{more:?}");
    });
    let policy = "fn deliver(req, resp) { resp.http.x_by = \"policy\"; }";
    let proxy = origin.builder(WEBSOCKETS).policy(policy).start();
    let mut client = proxy.client();
    client.send_raw(format!("{ASK}GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"));
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (403, "bad", true));
    assert_eq!((response.header("Connection"), response.header("X-By")), (Some("close"), Some("policy")));
    client.assert_closed();
    assert_eq!(origin.count(), 1, "the second request went nowhere");
}

#[test]
fn each_side_may_be_done_before_the_other() {
    let origin = peer(|stream, _| {
        let mut stream = switch(stream);
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        stream.write_all(format!("got {all}, bye").as_bytes()).unwrap();
    });
    let proxy = origin.builder(WEBSOCKETS).start();
    let mut client = opened(&proxy);
    client.write_all(b"first").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(rest(&mut client), ("got first, bye".to_owned(), true));

    let (told, heard): (_, Receiver<(String, bool)>) = channel();
    let told = Mutex::new(told);
    let origin = peer(move |stream, _| {
        let mut stream = switch(stream);
        stream.write_all(b"that is all").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        told.lock().unwrap().send(rest(&mut stream)).unwrap();
    });
    let proxy = origin.builder(WEBSOCKETS).start();
    let mut client = opened(&proxy);
    assert_eq!(rest(&mut client), ("that is all".to_owned(), true));
    client.write_all(b"and mine").unwrap();
    drop(client);
    assert_eq!(heard.recv_timeout(SOON).unwrap(), ("and mine".to_owned(), true));
    proxy.wait_stat("pipes_open", |n| n == 0, SOON);
}

/// From now on, closing it is a reset.
fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn a_reset_on_one_side_is_a_reset_on_the_other() {
    let origin = peer(|stream, _| {
        let mut stream = switch(stream);
        exactly::<2>(&mut stream);
        reset(&stream);
    });
    let proxy = origin.builder(WEBSOCKETS).start();
    let mut client = opened(&proxy);
    client.write_all(b"go").unwrap();
    assert_eq!(rest(&mut client), (String::new(), false));
    assert!(log_line(&proxy)["error"].as_str().unwrap().contains("the origin broke the tunnel off"));

    let (told, heard) = channel();
    let told = Mutex::new(told);
    let origin = peer(move |stream, _| {
        let mut stream = switch(stream);
        told.lock().unwrap().send(stream.read(&mut [0; 8]).map_err(|error| error.kind())).unwrap();
    });
    let proxy = origin.builder(WEBSOCKETS).start();
    let client = opened(&proxy);
    reset(&client);
    drop(client);
    let end = heard.recv_timeout(SOON).unwrap();
    assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
    proxy.wait_stat("pipes_open", |n| n == 0, SOON);
    assert_eq!(proxy.stat("client_gone"), 1);
}

#[test]
fn a_tunnel_in_which_nothing_moves_is_cut_and_one_that_moves_is_not() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    let proxy = origin.builder(&format!("{WEBSOCKETS}\ntimeout = \"1s\"")).start();
    let mut client = opened(&proxy);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2500) {
        client.write_all(b".").unwrap();
        assert_eq!(exactly::<1>(&mut client), ".");
        std::thread::sleep(Duration::from_millis(50));
    }
    let silent = Instant::now();
    assert_eq!(rest(&mut client), (String::new(), false));
    assert!(silent.elapsed() >= Duration::from_millis(700), "{:?}", silent.elapsed());
    assert_eq!(proxy.wait_stat("pipes_timed_out", |n| n == 1, SOON), 1);
    assert!(log_line(&proxy)["error"].as_str().unwrap().contains("nothing moved for"));
}

#[test]
fn a_tunnel_lasts_no_longer_than_it_may() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    for (toml, policy) in [
        ("deadline = \"400ms\"", ""),
        ("deadline = \"1h\"", "fn pipe(req, bereq) { bereq.task_deadline = duration(\"400ms\"); }"),
    ] {
        let proxy = origin.builder(&format!("{WEBSOCKETS}\n{toml}")).policy(policy).start();
        let mut client = opened(&proxy);
        let began = Instant::now();
        let mut byte = [0];
        while client.write_all(b".").is_ok() && client.read(&mut byte).is_ok_and(|n| n == 1) {
            assert!(began.elapsed() < SOON);
            std::thread::sleep(Duration::from_millis(20));
        }
        // It began to count a moment before the client saw the 101.
        assert!(began.elapsed() >= Duration::from_millis(200), "{:?}", began.elapsed());
        proxy.wait_stat("pipes_timed_out", |n| n == 1, SOON);
    }
}

#[test]
fn a_slow_reader_holds_its_sender_back_and_loses_nothing() {
    const ALL: usize = 64 << 20;
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let origin = peer(move |stream, _| {
        let mut stream = switch(stream);
        let piece = vec![b'x'; 1 << 16];
        for _ in 0..ALL / piece.len() {
            stream.write_all(&piece).unwrap();
            counted.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let proxy = origin.builder(WEBSOCKETS).start();
    let mut client = opened(&proxy);
    // The sockets' buffers fill, and then nothing more is taken.
    let stands = || {
        let before = sent.load(Ordering::SeqCst);
        std::thread::sleep(A_MOMENT * 3);
        before > 0 && before == sent.load(Ordering::SeqCst)
    };
    copal_testkit::wait::until(SOON, "the origin is held back", stands);
    assert!(sent.load(Ordering::SeqCst) < ALL / 2, "{}", sent.load(Ordering::SeqCst));
    assert!(proxy.rss_kib() < 200 * 1024, "{} KiB", proxy.rss_kib());
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), ALL);
}

#[test]
fn until_the_first_byte_a_fault_is_503() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refusing = Peer { addr: closed, connections: Arc::default(), heads: Arc::default() };
    let hanging_up = peer(|stream, _| drop(stream));
    let garbled = peer(|mut stream, _| drop(stream.write_all(b"\x16\x03\x01 no HTTP\r\n\r\n")));
    let other = peer(|mut stream, _| {
        drop(stream.write_all(b"HTTP/1.1 101 S\r\nUpgrade: other\r\nConnection: upgrade\r\n\r\n"))
    });
    let silent = peer(|mut stream, _| drop(stream.read(&mut [0; 1])));
    let raw = "GET /raw HTTP/1.1\r\nHost: a\r\n\r\n";
    for (origin, asks) in [
        (&refusing, &[ASK, raw][..]),
        (&hanging_up, &[ASK, raw]),
        (&garbled, &[ASK]),
        (&other, &[ASK]),
        (&silent, &[ASK, raw]),
    ] {
        for ask in asks {
            let toml = "first_byte_timeout = \"300ms\"\n[pipe]\ntimeout = \"300ms\"";
            let proxy = origin.builder(toml).policy(PIPE_ALL).start();
            let response = super::refused(&proxy, ask);
            assert_eq!(response.status, 503, "{ask} {response:?}");
            assert!(response.header("Proxy-Status").is_some(), "{response:?}");
            assert_eq!((proxy.stat("pipes"), proxy.stat("pipes_failed")), (1, 1));
            assert!(log_line(&proxy)["error"].as_str().unwrap().starts_with("no tunnel: "));
        }
    }
}

#[test]
fn any_other_request_is_a_tunnel_from_its_first_byte() {
    let origin = peer(|mut stream, _| {
        let body = exactly::<24>(&mut stream);
        assert_eq!(body, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\nraw!");
        stream.write_all(b"ANY/0.1 thing at all\r\n\r\n\x00\xff and more").unwrap();
    });
    let proxy = origin.builder("").policy(PIPE_ALL).start();
    let mut client = connect(&proxy);
    client
        .write_all(b"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\nraw!")
        .unwrap();
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    assert_eq!(all, b"ANY/0.1 thing at all\r\n\r\n\x00\xff and more");
    let head = origin.head();
    assert!(head.contains("Connection: close\r\n") && head.contains("Transfer-Encoding: chunked\r\n"), "{head}");
    assert!(!head.contains("Content-Length") && !head.contains("Upgrade"), "{head}");
    assert_eq!(proxy.stat("backend_connections_reused"), 0);
}

#[test]
fn hostile_framing_never_reaches_a_tunnel() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    let proxy = origin.builder(WEBSOCKETS).policy(PIPE_ALL).start();
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    for fields in [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\nY: b\r\n",
    ] {
        let mut client = proxy.client();
        client.send_raw(format!("POST /x HTTP/1.1\r\nHost: a\r\n{upgrade}{fields}\r\nabc"));
        let response = client.read_response();
        assert!(matches!(response.status, 400 | 501), "{fields:?} {response:?}");
    }
    assert_eq!((origin.count(), proxy.stat("pipes")), (0, 0));
    // A body that is malformed under way breaks the tunnel off; nothing of it is passed on as the end.
    let mut client = connect(&proxy);
    client.write_all(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").unwrap();
    rest(&mut client);
    proxy.wait_stat("pipes_open", |n| n == 0, SOON);
    assert_eq!(proxy.stat("client_gone"), 1);
}

#[test]
fn the_hook_may_change_the_request_and_refuse_it() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    let policy = r#"
        fn recv(req) { return pipe(); }
        fn pipe(req, bereq) {
            if req.url == "/no" { return synth(403, "Not you"); }
            if req.url == "/fail" { return fail("no reason"); }
            bereq.url = "/socket";
            bereq.http.x_user = client.identity;
            bereq.http.remove("x-secret");
        }"#;
    let proxy = origin.builder("").policy(policy).start();
    let mut client = connect(&proxy);
    client.write_all(ASK.replace("\r\n\r\n", "\r\nX-Secret: s\r\n\r\n").as_bytes()).unwrap();
    assert!(head_of(&mut client).starts_with("HTTP/1.1 101"));
    let head = origin.head();
    assert!(head.starts_with("GET /socket HTTP/1.1\r\n") && head.contains("x-user: 127.0.0.1\r\n"), "{head}");
    assert!(!head.contains("ecret"), "{head}");
    let mut other = Client::connect(proxy.addr());
    assert_eq!(other.get("/no", &[]).status, 403);
    assert_eq!(other.get("/fail", &[]).status, 503);
    assert_eq!(origin.count(), 1);
}

#[test]
fn there_are_no_more_tunnels_than_may_be() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    let proxy = origin.builder(&format!("{WEBSOCKETS}\nconnections = 1")).start();
    let first = opened(&proxy);
    assert_eq!(super::refused(&proxy, ASK).status, 503);
    drop(first);
    proxy.wait_stat("pipes_open", |n| n == 0, SOON);
    drop(opened(&proxy));
}

#[test]
fn a_slot_of_the_backend_is_held_as_long_as_the_tunnel() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    let proxy = origin.builder(&format!("max_connections = 1\n{WEBSOCKETS}")).start();
    let first = opened(&proxy);
    assert_eq!(super::refused(&proxy, ASK).status, 503);
    drop(first);
    proxy.wait_stat("pipes_open", |n| n == 0, SOON);
    drop(opened(&proxy));
}

#[test]
fn draining_lets_a_tunnel_go_on_and_cuts_it_at_the_deadline() {
    let origin = peer(|stream, _| echo_all(switch(stream)));
    let toml = format!("{WEBSOCKETS}\n[log]\naccess = {{ path = \"{{dir}}/access.log\" }}");
    let toml = format!("drain_timeout = \"2s\"\n[backend.app]\naddress = \"{}\"\n{toml}", origin.addr);
    let mut proxy = Proxy::builder(COPAL).config(&toml).start();
    let mut client = opened(&proxy);
    proxy.signal(Signal::Term);
    let stopped = || TcpStream::connect(proxy.addr()).is_err();
    copal_testkit::wait::until(SOON, "it accepts no more", stopped);
    client.write_all(b"still here").unwrap();
    assert_eq!(exactly::<10>(&mut client), "still here");
    let began = Instant::now();
    let (text, _) = rest(&mut client);
    assert_eq!(text, "");
    proxy.wait_exit(SOON);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
