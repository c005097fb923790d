//! The PROXY protocol from clients: whose connection it is, and what happens to those that do not say it.

use super::{COPAL, echo};
use copal_testkit::{Client, Origin, Proxy, Reply};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

const LINE: &[u8] = b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n";
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
const IPV4: [u8; 12] = [203, 0, 113, 7, 198, 51, 100, 1, 0x12, 0x67, 1, 0xbb];

const ENDS: &str = r#"
fn recv(req) {
    if req.url.starts_with("/ends") {
        return synth(200, `${client.ip}:${client.port} ${server.ip}:${server.port} ${remote.ip} ${local.ip}:${local.port}`);
    }
}
fn synth(req, resp) { resp.body = resp.reason; return deliver(); }
"#;

/// A listener that expects a PROXY header; `toml` goes on within its table, sections may follow.
fn expecting(origin: &Origin, toml: &str) -> Proxy {
    let toml = format!(
        "backend.app.address = \"{}\"\n[[listen]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n{toml}\n",
        origin.addr()
    );
    Proxy::builder(COPAL).config(&toml).policy(ENDS).start()
}

fn version_2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[command, family], &len, block].concat()
}

fn client(proxy: &Proxy, header: &[u8]) -> Client {
    let mut client = proxy.client();
    client.send_raw(header);
    client
}

fn ends(proxy: &Proxy, header: &[u8]) -> String {
    client(proxy, header).get("/ends", &[]).text()
}

#[test]
fn the_header_says_where_the_client_is_and_the_connection_keeps_its_own_ends() {
    let origin = echo();
    let proxy = expecting(&origin, "");
    let own = format!("127.0.0.1 {}", proxy.addr());
    assert_eq!(ends(&proxy, LINE), format!("203.0.113.7:4711 198.51.100.1:443 {own}"));
    assert_eq!(ends(&proxy, &version_2(0x21, 0x11, &IPV4)), format!("203.0.113.7:4711 198.51.100.1:443 {own}"));
    let six = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n";
    assert_eq!(ends(&proxy, six), format!("2001:db8::7:4711 2001:db8::1:443 {own}"));
    for header in [&b"PROXY UNKNOWN\r\n"[..], &version_2(0x20, 0, b""), &version_2(0x21, 0, b"")] {
        let mut client = client(&proxy, header);
        let port = client.local_addr().port();
        assert_eq!(client.get("/ends", &[]).text(), format!("127.0.0.1:{port} {} {own}", proxy.addr()));
    }
    assert_eq!((proxy.stat("client_proxy_headers"), proxy.stat("client_proxy_broken")), (6, 0));
}

#[test]
fn what_goes_by_the_clients_address_goes_by_the_headers() {
    let origin = echo();
    let toml = "[acl]\npurgers = [\"203.0.113.0/24\"]\n[purge]\nacl = \"purgers\"\n[log]\naccess = { path = \"{dir}/access.log\" }";
    let proxy = expecting(&origin, toml);
    let mut client = client(&proxy, LINE);
    assert_eq!(client.get("/page", &[]).text(), "/page");
    assert_eq!(client.get("/other", &[("X-Forwarded-For", "192.0.2.9")]).text(), "/other", "the connection goes on");
    assert_eq!(origin.requests()[0].header("X-Forwarded-For"), Some("203.0.113.7"));
    assert_eq!(origin.requests()[1].header("X-Forwarded-For"), Some("192.0.2.9, 203.0.113.7"));
    assert_eq!(client.request("PURGE", "/page", &[], b"").status, 200);
    let mut other = self::client(&proxy, b"PROXY TCP4 192.0.2.1 198.51.100.1 1 443\r\n");
    assert_eq!(other.request("PURGE", "/page", &[], b"").status, 403, "the proxy's own address does not count");
    proxy.wait_stat("log_written", |n| n == 4, Duration::from_secs(10));
    let log = std::fs::read_to_string(proxy.dir().join("access.log")).unwrap();
    assert_eq!((log.matches("203.0.113.7").count(), log.matches("192.0.2.1:1\"").count()), (3, 1), "{log}");
    assert!(!log.contains("127.0.0.1"), "{log}");
}

#[test]
fn an_origin_with_the_proxy_protocol_is_told_of_the_client() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let toml = format!(
        "[[listen]]\naddress = \"127.0.0.1:0\"\nproxy_protocol = true\n[backend.app]\naddress = \"{}\"\nproxy_protocol = \"v1\"",
        listener.local_addr().unwrap()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    let asks = thread::spawn(move || client(&proxy, LINE).get("/", &[]).status);
    listener.set_nonblocking(true).unwrap();
    let accepted = copal_testkit::wait::poll(Duration::from_secs(10), || listener.accept().ok());
    let (mut stream, _) = accepted.expect("nobody asked the origin");
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut line = [0; 46];
    stream.read_exact(&mut line).unwrap();
    assert_eq!(line, LINE);
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!(asks.join().unwrap(), 200);
}

#[test]
fn a_header_is_the_same_however_it_arrives() {
    let origin = echo();
    let proxy = expecting(&origin, "");
    let block = [&IPV4[..], &[1, 0, 2, b'h', b'2'], &[4, 1, 0], &[0; 256]].concat();
    for header in [LINE.to_vec(), version_2(0x21, 0x11, &block)] {
        // With the first request, and the one behind it, in one segment.
        let both = b"GET /ends HTTP/1.1\r\nHost: a\r\n\r\nGET /ends HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut together = client(&proxy, &[&header[..], both].concat());
        for _ in 0..2 {
            assert!(together.read_response().text().starts_with("203.0.113.7:4711 "));
        }
        // Byte for byte, and in two segments cut at any place near what could be taken for an end.
        let mut drop_by_drop = proxy.client();
        for byte in header.iter().chain(both) {
            drop_by_drop.send_raw([*byte]);
        }
        assert!(drop_by_drop.read_response().text().starts_with("203.0.113.7:4711 "));
        for cut in [1, 5, 12, 15, 16, 17, 28, header.len() - 1] {
            let mut client = client(&proxy, &header[..cut]);
            thread::sleep(Duration::from_millis(5));
            client.send_raw(&header[cut..]);
            assert!(client.get("/ends", &[]).text().starts_with("203.0.113.7:4711 "), "cut at {cut}");
        }
    }
    assert_eq!(proxy.stat("client_proxy_headers"), 2 * 10);
}

#[test]
fn a_connection_without_a_valid_header_is_closed_and_reaches_nobody() {
    let origin = echo();
    let proxy = expecting(&origin, "");
    let checked = [&IPV4[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
    let request = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n";
    let broken = [
        request.to_vec(),
        [&b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\n"[..], request].concat(),
        [&b"PROXY TCP4 203.0.113.7\r\n"[..], request].concat(),
        [&version_2(0x21, 0x12, &IPV4)[..], request].concat(),
        [&version_2(0x21, 0x11, &checked)[..], request].concat(),
        [SIGNATURE, &[0x21, 0x11, 0xff, 0xff]].concat(),
        [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\0".to_vec(),
    ];
    for bytes in &broken {
        client(&proxy, bytes).assert_closed();
    }
    // Cut short.
    let cut = client(&proxy, &LINE[..20]);
    cut.finish_sending();
    let wanted = i64::try_from(broken.len() + 1).unwrap();
    proxy.wait_stat("client_proxy_broken", |n| n == wanted, Duration::from_secs(10));
    // Somebody who only looks whether the port is open is no fault.
    drop(proxy.client());
    assert_eq!((origin.connections(), proxy.stat("client_requests"), proxy.stat("client_bad_requests")), (0, 0, 0));
    assert_eq!(proxy.stat("client_proxy_broken"), wanted);
    let log = proxy.wait_log("PROXY header");
    assert!(log.contains("does not begin with a PROXY header, and this listener has proxy_protocol = true"), "{log}");
    assert_eq!(proxy.stderr().matches("connection closed").count(), 1, "once a minute: {}", proxy.stderr());
    assert_eq!(ends(&proxy, LINE).split(' ').next(), Some("203.0.113.7:4711"), "those that say it are served");
}

#[test]
fn a_header_has_the_time_of_a_head_as_a_whole() {
    let origin = echo();
    let proxy = expecting(&origin, "head_timeout = \"300ms\"");
    client(&proxy, &LINE[..20]).assert_closed();
    let mut stream = TcpStream::connect(proxy.addr()).unwrap();
    let long = version_2(0x21, 0x11, &[0; 500]);
    let closed = long[..100].iter().any(|byte| {
        thread::sleep(Duration::from_millis(30));
        stream.write_all(&[*byte]).is_err()
    });
    assert!(closed, "each byte had its own time");
    assert_eq!((proxy.stat("client_timeouts"), origin.connections()), (2, 0));
    proxy.wait_log("its PROXY header was not whole within head_timeout");
    // The head of the request has its own time.
    let mut slow = client(&proxy, LINE);
    thread::sleep(Duration::from_millis(200));
    slow.send_raw("GET /ends HTTP/1.1\r\n");
    thread::sleep(Duration::from_millis(200));
    slow.send_raw("Host: a\r\n\r\n");
    assert_eq!(slow.read_response().status, 200);
}

#[test]
fn only_those_on_the_access_list_are_believed() {
    let origin = echo();
    let list = |nets: &str| format!("proxy_acl = \"balancers\"\n[acl]\nbalancers = [{nets}]");
    let proxy = expecting(&origin, &list("\"127.0.0.1\""));
    assert_eq!(ends(&proxy, LINE).split(' ').next(), Some("203.0.113.7:4711"));
    let stranger = expecting(&origin, &list("\"10.0.0.0/8\", \"203.0.113.7\""));
    let mut client = client(&stranger, LINE);
    client.assert_closed();
    assert_eq!((stranger.stat("client_proxy_refused"), stranger.stat("client_proxy_headers")), (1, 0));
    let log = stranger.wait_log("access list");
    assert!(log.contains("`balancers`") && log.contains("proxy_acl"), "{log}");
}

#[test]
fn where_none_is_expected_a_header_is_a_malformed_request() {
    let origin = echo();
    let proxy = super::front(&origin);
    // The third word of a request line is its version.
    for (header, status) in [(LINE.to_vec(), 505), (version_2(0x21, 0x11, &IPV4), 400)] {
        let request = [&header[..], b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        assert_eq!(super::refused(&proxy, request).status, status);
    }
    assert_eq!((origin.connections(), proxy.stat("client_bad_requests")), (0, 2));
    let log = proxy.wait_log("this listener expects none");
    assert!(log.contains("proxy_protocol = true"), "{log}");
}

#[test]
fn a_unix_socket_takes_it_too() {
    let origin = Origin::start(|_| Reply::ok("from the origin"));
    let toml = format!(
        "backend.app.address = \"{}\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n[[listen]]\naddress = \"unix:{{dir}}/web.sock\"\n\
         proxy_protocol = true",
        origin.addr()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).policy(ENDS).listeners(1).start();
    proxy.wait_log("listening on unix:");
    let mut local = Client::connect_unix(&proxy.dir().join("web.sock")).unwrap();
    local.send_raw(LINE);
    let ends = local.get("/ends", &[]).text();
    assert_eq!(ends, "203.0.113.7:4711 198.51.100.1:443 0.0.0.0 0.0.0.0:0");
    assert_eq!(local.get("/", &[]).text(), "from the origin");
    assert_eq!(origin.requests()[0].header("X-Forwarded-For"), Some("203.0.113.7"));
}
