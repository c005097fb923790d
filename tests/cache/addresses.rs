//! From a backend's name to the address that a connection goes to: both families, one of them dead, `/etc/hosts`, the start.

use super::{COPAL, SOON};
use copal_testkit::{NameServer, Proxy, Says, get, wait};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;
use tokio::time::Instant;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Answers every request with the address that it listens on, for as long as the test runs.
fn answering(ip: IpAddr, port: u16) -> u16 {
    let listener = TcpListener::bind(SocketAddr::new(ip, port)).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for s in listener.incoming().flatten() {
            thread::spawn(move || answer(s, ip));
        }
    });
    port
}

fn answer(mut s: TcpStream, ip: IpAddr) {
    let (mut head, mut buf) = (Vec::new(), [0; 4096]);
    while let Ok(n @ 1..) = s.read(&mut buf) {
        head.extend_from_slice(&buf[..n]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let ip = ip.to_string();
            let length = ip.len();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nCache-Control: no-store\r\n\r\n{ip}");
            if s.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Takes no connection and refuses none, as a host behind a broken network: its queue is full.
struct Silent {
    _listener: Socket,
    _held: Vec<TcpStream>,
}

/// `None`: somebody else has the port in this family.
fn silent(ip: IpAddr, port: u16) -> Option<Silent> {
    let domain = if ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let listener = Socket::new(domain, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::new(ip, port).into()).ok()?;
    listener.listen(1).unwrap();
    let mut held = Vec::new();
    while let Ok(s) = TcpStream::connect_timeout(&SocketAddr::new(ip, port), Duration::from_millis(300)) {
        held.push(s);
        assert!(held.len() < 100, "the queue has an end");
    }
    Some(Silent { _listener: listener, _held: held })
}

/// A proxy before `app.example`, which has these addresses.
fn before(port: u16, addresses: &[IpAddr], more: &str) -> (NameServer, Proxy) {
    let dns = NameServer::start();
    dns.say("app.example", Says::Addresses(addresses.to_vec(), 60));
    let toml = format!(
        "threads = 1\n[backend.app]\naddress = \"app.example:{port}\"\nconnect_timeout = \"10s\"\n\
         [resolver]\nnameservers = [\"{}\"]\n{more}\n",
        dns.addr()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    (dns, proxy)
}

#[test]
fn a_name_that_has_an_ipv6_address_alone_is_connected_to() {
    let port = answering(V6, 0);
    let (_dns, proxy) = before(port, &[V6], "");
    assert_eq!(get(proxy.addr(), "/", &[]).text(), "::1");
    let shown = format!("[::1]:{port}");
    assert_eq!(proxy.stats()["backends"][0]["addresses"][0], shown.as_str());
}

#[test]
fn where_nobody_listens_in_one_family_the_other_one_serves() {
    for (alive, dead) in [(V4, V6), (V6, V4)] {
        let port = answering(alive, 0);
        let (_dns, proxy) = before(port, &[dead, alive], "");
        for _ in 0..6 {
            assert_eq!(get(proxy.addr(), "/", &[]).text(), alive.to_string());
        }
        assert_eq!(proxy.stat("fetches_failed"), 0);
    }
}

#[test]
fn a_family_that_swallows_packets_costs_a_quarter_of_a_second_and_not_the_connect_timeout() {
    for (alive, dead) in [(V4, V6), (V6, V4)] {
        let both = || {
            let port = answering(alive, 0);
            silent(dead, port).map(|silent| (port, silent))
        };
        let (port, _silent) = (0..50).find_map(|_| both()).expect("a port that is free in both families");
        let (_dns, proxy) = before(port, &[dead, alive], "");
        let started = Instant::now();
        for _ in 0..6 {
            assert_eq!(get(proxy.addr(), "/", &[]).text(), alive.to_string());
        }
        // 250 ms once, since an address that has not connected comes last then; ten seconds are what it may take at most.
        assert!(started.elapsed() < Duration::from_secs(5), "{dead}: {:?}", started.elapsed());
    }
}

#[test]
fn a_policys_connect_timeout_goes_before_that_of_the_backend() {
    let port = answering(V4, 0);
    let (port, _silent) = (port..port + 50).find_map(|p| Some((p, silent(V4, p)?))).expect("a free port");
    let toml = format!("[backend.app]\naddress = \"127.0.0.1:{port}\"\nconnect_timeout = \"60s\"\n");
    let policy = "fn backend_fetch(bereq) { bereq.connect_timeout = duration(\"300ms\"); }";
    let proxy = Proxy::builder(COPAL).config(&toml).policy(policy).start();
    let started = Instant::now();
    assert_eq!(get(proxy.addr(), "/", &[]).status, 504);
    assert!(started.elapsed() >= Duration::from_millis(300), "{:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(proxy.stat("fetch_failed_connect"), 1);
}

#[test]
fn names_of_the_hosts_file_are_known_without_a_name_server() {
    let dns = NameServer::start();
    let port = answering(V4, 0);
    dns.say_v4("localhost", &[[127, 0, 0, 9]], 60);
    let toml = format!(
        "[backend.app]\naddress = \"localhost:{port}\"\n[resolver]\nnameservers = [\"{}\"]\nmust_resolve = true\n",
        dns.addr()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    assert_eq!(get(proxy.addr(), "/", &[]).text(), "127.0.0.1");
    assert_eq!(dns.asked(), 0);
}

#[test]
fn the_start_waits_for_names_that_must_resolve_and_says_which_do_not() {
    let port = answering(V4, 0);
    let (dns, proxy) = before(port, &[V4], "must_resolve = true");
    assert_eq!(
        proxy.stats()["backends"][0]["addresses"][0],
        format!("127.0.0.1:{port}").as_str(),
        "before any request"
    );
    assert_eq!(get(proxy.addr(), "/", &[]).text(), "127.0.0.1");
    drop(proxy);
    let toml = format!(
        "[backend.known]\naddress = \"app.example:1\"\n[backend.lost]\naddress = \"lost.example:1\"\n\
         [backend.gone]\naddress = \"gone.example:1\"\n[resolver]\nnameservers = [\"{}\"]\nmust_resolve = true\n",
        dns.addr()
    );
    let told = Proxy::builder(COPAL).config(&toml).try_start().expect_err("two have none").stderr;
    assert!(told.contains("resolver.must_resolve: backend lost at lost.example:1: no such name"), "{told}");
    assert!(told.contains("backend gone at gone.example:1: no such name") && !told.contains("backend known"), "{told}");
    // Without it the start does not wait, and the name is found as soon as it is there.
    let toml =
        format!("[backend.app]\naddress = \"later.example:{port}\"\n[resolver]\nnameservers = [\"{}\"]\n", dns.addr());
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    assert_eq!(get(proxy.addr(), "/", &[]).status, 502);
    dns.say_v4("later.example", &[[127, 0, 0, 1]], 60);
    wait::until(SOON, "the name is found", || get(proxy.addr(), "/", &[]).text() == "127.0.0.1");
}
