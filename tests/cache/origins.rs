//! What stands behind a name or TLS: HTTP/2, files that are changed, names that move under load, and a thousand misses at once.

use super::{COPAL, SOON};
use copal_testkit::{Authority, Issued, NameServer, Proxy, Says, Signal, Validity, get, wait};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// An origin that answers each request with the version of HTTP it came in, `delay` later: over TLS, with those protocols
/// (ALPN), or without.
fn spoken(tls: Option<Arc<rustls::ServerConfig>>, delay: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // A burst of a thousand connections finds room.
    socket2::SockRef::from(&listener).listen(4096).unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let acceptor = tls.map(tokio_rustls::TlsAcceptor::from);
            loop {
                let (s, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    let Some(acceptor) = acceptor else { return http1(s, delay).await };
                    let Ok(s) = acceptor.accept(s).await else { return };
                    match s.get_ref().1.alpn_protocol() {
                        Some(b"h2") => http2(s, delay).await,
                        _ => http1(s, delay).await,
                    }
                });
            }
        });
    });
    addr
}

/// What is asked so is never answered.
const HELD: &[u8] = b"GET /held ";

async fn http1(mut s: impl AsyncRead + AsyncWrite + Unpin, delay: Duration) {
    let mut head = Vec::new();
    while let Ok(byte) = s.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            if head.starts_with(HELD) {
                return std::future::pending().await;
            }
            head.clear();
            tokio::time::sleep(delay).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nCache-Control: max-age=60\r\n\r\nHTTP/1";
            if s.write_all(answer).await.is_err() || s.flush().await.is_err() {
                return;
            }
        }
    }
}

async fn http2(s: impl AsyncRead + AsyncWrite + Unpin, delay: Duration) {
    let Ok(mut connection) = h2::server::handshake(s).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        tokio::spawn(async move {
            if request.uri().path() == "/held" {
                return std::future::pending().await;
            }
            tokio::time::sleep(delay).await;
            let head = http::Response::builder().header("cache-control", "max-age=60").body(()).unwrap();
            if let Ok(mut send) = respond.send_response(head, false) {
                let _gone = send.send_data("HTTP/2".into(), true);
            }
        });
    }
}

fn secure(authority: &Authority, issued: &Issued, alpn: &[&str]) -> SocketAddr {
    spoken(Some(authority.server(issued, alpn, false)), Duration::ZERO)
}

fn tls(authority: &Authority, addr: SocketAddr) -> String {
    let ca = authority.ca_file();
    format!(
        "threads = 1\n[backend.app]\naddress = \"https://{addr}\"\n\
         tls = {{ sni = \"app.example\", ca_file = \"{}\" }}\n",
        ca.display()
    )
}

#[test]
fn a_backend_over_tls_is_spoken_to_in_the_http_that_it_chooses() {
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    for (alpn, spoken) in [(&["h2", "http/1.1"][..], "HTTP/2"), (&["http/1.1"], "HTTP/1"), (&[], "HTTP/1")] {
        let addr = secure(&authority, &issued, alpn);
        let proxy = Proxy::builder(COPAL).config(&tls(&authority, addr)).start();
        for path in ["/a", "/b", "/a"] {
            assert_eq!(get(proxy.addr(), path, &[]).text(), spoken);
        }
        assert_eq!((proxy.stat("hits_fresh"), proxy.stat("backend_connections_opened")), (1, 1));
    }
}

#[test]
fn a_certificate_that_is_not_believed_is_told_and_a_reload_reads_the_authorities_again() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let addr = secure(&stranger, &stranger.issue("app.example", Validity::Good), &["h2"]);
    let proxy = Proxy::builder(COPAL).config(&tls(&authority, addr)).start();
    let response = get(proxy.addr(), "/", &[]);
    assert_eq!(response.status, 502);
    let told = response.header("proxy-status").unwrap();
    assert!(told.contains("error=tls_certificate_error"), "{told}");
    std::fs::copy(stranger.ca_file(), authority.ca_file()).unwrap();
    proxy.signal(Signal::Hup);
    wait::until(SOON, "the new authorities", || get(proxy.addr(), "/", &[]).status == 200);
    // A file that is broken changes nothing.
    std::fs::write(authority.ca_file(), "broken").unwrap();
    proxy.signal(Signal::Hup);
    proxy.wait_log("TLS files refused, the old ones stay in force");
    assert_eq!(get(proxy.addr(), "/another", &[]).status, 200);
}

#[test]
fn whoever_is_not_checked_is_warned_of_and_files_that_cannot_work_end_the_start() {
    let authority = Authority::new();
    let addr = secure(&authority, &authority.issue("other.example", Validity::Expired), &[]);
    let toml = format!("[backend.app]\naddress = \"https://{addr}\"\ntls = {{ verify = false }}\n");
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    assert_eq!(get(proxy.addr(), "/", &[]).status, 200);
    proxy.wait_log("tls.verify is false");
    let toml = format!("[backend.app]\naddress = \"https://{addr}\"\ntls = {{ ca_file = \"copal.toml\" }}\n");
    let told = Proxy::builder(COPAL).config(&toml).try_start().expect_err("no certificate in it").stderr;
    assert!(told.contains("backend.app.tls:") && told.contains("holds no CERTIFICATE"), "{told}");
}

/// Answers every request with its own address until it is told to stop, then closes everything.
struct Plain {
    stop: Arc<AtomicBool>,
    port: u16,
}

impl Plain {
    fn at(ip: [u8; 4], port: u16) -> Option<Plain> {
        let listener = TcpListener::bind((std::net::Ipv4Addr::from(ip), port)).ok()?;
        let port = listener.local_addr().ok()?.port();
        listener.set_nonblocking(true).ok()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        thread::spawn(move || {
            while !stopped.load(Ordering::SeqCst) {
                let Ok((s, _)) = listener.accept() else {
                    thread::sleep(Duration::from_millis(1));
                    continue;
                };
                let stopped = Arc::clone(&stopped);
                thread::spawn(move || Plain::answer(s, ip[3], &stopped));
            }
        });
        Some(Plain { stop, port })
    }

    fn answer(mut s: TcpStream, own: u8, stopped: &AtomicBool) {
        s.set_nonblocking(false).unwrap();
        s.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (mut head, mut buf) = (Vec::new(), [0; 4096]);
        // One that is asked when it is told to stop still answers.
        while !(head.is_empty() && stopped.load(Ordering::SeqCst)) {
            match s.read(&mut buf) {
                Ok(0) => return,
                Ok(n) => head.extend_from_slice(&buf[..n]),
                Err(e) if matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => continue,
                Err(_) => return,
            }
            let whole = match head.starts_with(b"PUT") {
                true => head.ends_with(b"content"),
                false => head.ends_with(b"\r\n\r\n"),
            };
            if whole {
                head.clear();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nCache-Control: no-store\r\n\r\n{own}");
                if s.write_all(answer.as_bytes()).is_err() {
                    return;
                }
            }
        }
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

/// At the same time.
const CLIENTS: usize = 16;

#[test]
fn a_name_that_moves_under_load_takes_every_request_with_it() {
    let dns = NameServer::start();
    let (one, two) = loop {
        let one = Plain::at([127, 0, 0, 1], 0).unwrap();
        if let Some(two) = Plain::at([127, 0, 0, 2], one.port) {
            break (one, two);
        }
    };
    dns.say_v4("app.example", &[[127, 0, 0, 1]], 0);
    let proxy = Proxy::builder(COPAL)
        .config(&format!(
            "threads = 2\n[backend.app]\naddress = \"app.example:{}\"\n\
             [resolver]\nnameservers = [\"{}\"]\nmin_ttl = \"100ms\"\n",
            one.port,
            dns.addr()
        ))
        .start();
    let (end, asked, bad) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    let from = [AtomicUsize::new(0), AtomicUsize::new(0)];
    thread::scope(|scope| {
        for n in 0..CLIENTS {
            let (end, asked, bad, from, proxy) = (&end, &asked, &bad, &from, &proxy);
            scope.spawn(move || {
                let mut client = proxy.client();
                // Reads, and writes that may be repeated.
                let (method, body) = if n % 4 == 3 { ("PUT", &b"content"[..]) } else { ("GET", &b""[..]) };
                while !end.load(Ordering::SeqCst) {
                    let response = client.request(method, "/", &[], body);
                    asked.fetch_add(1, Ordering::SeqCst);
                    match (response.status, response.text().as_str()) {
                        (200, "1") => from[0].fetch_add(1, Ordering::SeqCst),
                        (200, "2") => from[1].fetch_add(1, Ordering::SeqCst),
                        _ => bad.fetch_add(1, Ordering::SeqCst),
                    };
                }
            });
        }
        wait::until(SOON, "the first address serves", || from[0].load(Ordering::SeqCst) > 50);
        // The name moves, and then its old address goes away for good.
        dns.say_v4("app.example", &[[127, 0, 0, 2]], 0);
        wait::until(SOON, "the second address serves", || from[1].load(Ordering::SeqCst) > 50);
        let before = from[0].load(Ordering::SeqCst);
        drop(one);
        let then = asked.load(Ordering::SeqCst);
        wait::until(SOON, "more requests", || asked.load(Ordering::SeqCst) > then + 200);
        // Nobody goes to the old one any more, but for who was on the way.
        assert!(from[0].load(Ordering::SeqCst) <= before + CLIENTS);
        // The answer is empty, the name server broken, the name lost altogether: what was known stays in use.
        for says in [Says::Nothing, Says::Failure, Says::NoSuchName] {
            dns.say("app.example", says);
            let questions = dns.asked();
            wait::until(SOON, "it is asked again", || dns.asked() > questions + 1);
            let then = asked.load(Ordering::SeqCst);
            wait::until(SOON, "more requests", || asked.load(Ordering::SeqCst) > then + 200);
        }
        proxy.wait_log("backend's name does not resolve; the last known addresses stay in use");
        assert!(from[0].load(Ordering::SeqCst) <= before + CLIENTS, "all of them at the new one");
        end.store(true, Ordering::SeqCst);
    });
    assert_eq!(bad.load(Ordering::SeqCst), 0, "of {} requests", asked.load(Ordering::SeqCst));
    proxy.wait_log("addresses of backend have changed");
    let backend = proxy.stats()["backends"][0].clone();
    assert_eq!(
        (&backend["address_changes"], &backend["addresses"][0]),
        (&1.into(), &format!("127.0.0.2:{}", two.port).into())
    );
    let admin = format!("unix:{}", proxy.admin().display());
    let list = std::process::Command::new(COPAL).args(["backend", "list", "--admin", &admin]).output().unwrap();
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains(&format!("127.0.0.2:{} (last answer: no such name)", two.port)), "{list}");
}

#[test]
fn a_name_without_an_address_fails_its_requests_and_the_start_only_where_it_must_resolve() {
    let dns = NameServer::start();
    let toml = |rest: &str| {
        format!(
            "[backend.app]\naddress = \"later.example:1\"\n[resolver]\nnameservers = [\"{}\"]\n{rest}\n",
            dns.addr()
        )
    };
    let proxy = Proxy::builder(COPAL).config(&toml("")).start();
    let response = get(proxy.addr(), "/", &[]);
    assert_eq!(response.status, 502);
    assert!(response.header("proxy-status").unwrap().contains("error=dns_error"));
    let exited = Proxy::builder(COPAL).config(&toml("must_resolve = true")).try_start().expect_err("it has none");
    let told = exited.stderr;
    assert!(told.contains("backend app at later.example:1: no such name"), "{told}");
}

/// Everybody at once, each for something else; what it took, in numbers.
fn thousand(name: &str, backend: &str, opened_max: i64) {
    let toml = format!(
        "threads = 1\n[backend.app]\n{backend}\nwait_limit = 1000\nwait_timeout = \"60s\"\nfirst_byte_timeout = \"60s\"\n\
         connect_timeout = \"30s\"\n"
    );
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    assert_eq!(get(proxy.addr(), "/hit", &[]).status, 200);
    // One that is never answered: it holds up its own client and nobody else.
    let mut held = proxy.client();
    held.send("GET", "/held", &[], b"");
    let row = |name: &str| proxy.stats()["backends"][0][name].as_i64().unwrap();
    wait::until(SOON, "it is under way", || row("running") == 1);
    let mut clients: Vec<_> = (0..1000).map(|_| proxy.client()).collect();
    let end = AtomicBool::new(false);
    let (took, slowest_hit) = thread::scope(|scope| {
        let hits = scope.spawn(|| {
            let (mut client, mut slowest) = (proxy.client(), Duration::ZERO);
            while !end.load(Ordering::SeqCst) {
                let started = Instant::now();
                assert_eq!(client.get("/hit", &[]).status, 200);
                slowest = slowest.max(started.elapsed());
                thread::sleep(Duration::from_millis(1));
            }
            slowest
        });
        let started = Instant::now();
        for (n, client) in clients.iter_mut().enumerate() {
            client.send("GET", &format!("/{n}"), &[], b"");
        }
        let mut took = Vec::new();
        for client in &mut clients {
            assert_eq!(client.read_response().status, 200);
            took.push(started.elapsed());
        }
        end.store(true, Ordering::SeqCst);
        (took, hits.join().unwrap())
    });
    let opened = proxy.stat("backend_connections_opened");
    let reused = row("connections_reused");
    wait::until(SOON, "that one alone is under way still", || row("running") == 1);
    let mean = took.iter().sum::<Duration>() / 1000;
    println!(
        "| {name} | {opened} | {:.1} % | {} ms, {} ms | {:.1} ms |",
        100.0 * f64::from(u32::try_from(reused).unwrap()) / 1002.0,
        mean.as_millis(),
        took.iter().max().unwrap().as_millis(),
        slowest_hit.as_secs_f64() * 1e3
    );
    assert!(opened <= opened_max, "{name}: {opened} connections");
    assert_eq!((proxy.stat("fetches_failed"), reused), (0, 1002 - opened), "{name}");
}

#[test]
fn a_thousand_misses_at_once_open_no_more_connections_than_they_need_and_hold_up_no_hit() {
    const DELAY: Duration = Duration::from_millis(20);
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    let ca = authority.ca_file();
    let with = |alpn: &[&str], max: u32| {
        let addr = spoken(Some(authority.server(&issued, alpn, false)), DELAY);
        format!(
            "address = \"https://{addr}\"\nmax_connections = {max}\ntls = {{ sni = \"app.example\", ca_file = \"{}\" }}",
            ca.display()
        )
    };
    let plain = |max: u32| format!("address = \"{}\"\nmax_connections = {max}", spoken(None, DELAY));
    thousand("HTTP/1.1, `max_connections = 50`", &plain(50), 50);
    thousand("HTTP/1.1, `max_connections = 200` (the default)", &plain(200), 200);
    thousand("HTTP/1.1, `max_connections = 1000`", &plain(1000), 1000);
    thousand("HTTP/1.1 over TLS, `max_connections = 200`", &with(&["http/1.1"], 200), 200);
    thousand("HTTP/2 over TLS, `max_connections = 200`", &with(&["h2"], 200), 4);
    thousand("HTTP/2 over TLS, `max_connections = 1000`", &with(&["h2"], 1000), 12);
}
