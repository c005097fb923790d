//! From addresses to a connection: many of them raced, the PROXY protocol, and the total time.

use crate::support::*;
use copal_backend::{
    Ends, FaultKind, NoBody, Origin, OriginOptions, Phase, Pool, ProxyProtocol, ResolveOptions, SendBody, Timeouts,
    exchange,
};
use copal_semantics::RequestHead;
use copal_testkit::{NameServer, Says};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::Instant;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An address whose queue of connections is full: it answers to none, as a host that has gone does.
struct Blackhole {
    addr: SocketAddr,
    _held: (tokio::net::TcpListener, Vec<tokio::net::TcpStream>),
}

async fn blackhole(ip: IpAddr, port: u16) -> Blackhole {
    let socket = if ip.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.expect("a socket");
    socket.bind(SocketAddr::new(ip, port)).expect("binds");
    let listener = socket.listen(1).expect("listens");
    let addr = listener.local_addr().expect("bound");
    let mut held = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_millis(300), tokio::net::TcpStream::connect(addr)).await {
            Ok(Ok(stream)) => held.push(stream),
            Ok(Err(_)) | Err(_) => return Blackhole { addr, _held: (listener, held) },
        }
    }
}

fn named(name: &str, port: u16, dns: &NameServer) -> Arc<Origin> {
    let resolve = ResolveOptions { nameservers: vec![dns.addr()], ..ResolveOptions::default() };
    let address = copal_backend::Address::Tcp { host: name.to_owned(), port };
    Origin::new(OriginOptions { resolve, ..options(address) })
}

async fn answering_at(ip: IpAddr, port: u16) -> u16 {
    let listener = TcpListener::bind(SocketAddr::new(ip, port)).await.expect("binds");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        loop {
            let (mut s, _) = listener.accept().await.expect("accepts");
            tokio::spawn(async move {
                while read_head(&mut s).await.is_some() {
                    send(&mut s, OK).await;
                }
            });
        }
    });
    port
}

#[tokio::test]
async fn an_address_that_swallows_packets_costs_a_quarter_second_once() {
    let dns = NameServer::start();
    let (one, two): (IpAddr, IpAddr) = (Ipv4Addr::new(127, 0, 0, 1).into(), Ipv4Addr::new(127, 0, 0, 2).into());
    let hole = blackhole(one, 0).await;
    answering_at(two, hole.addr.port()).await;
    dns.say("app.example", Says::Addresses(vec![one, two], 60));
    let origin = named("app.example", hole.addr.port(), &dns);
    origin.resolve().await.expect("addresses");
    let mut slow = 0;
    for _ in 0..8 {
        let started = Instant::now();
        // A pool of its own each time: every request connects.
        get_whole(&Pool::default(), &origin).await;
        slow += usize::from(started.elapsed() >= Duration::from_millis(250));
    }
    assert_eq!(slow, 1, "the first one finds out, the others ask the other address first");
}

#[tokio::test]
async fn an_address_that_refuses_costs_nothing_and_families_take_turns() {
    let dns = NameServer::start();
    let v6: IpAddr = Ipv6Addr::LOCALHOST.into();
    let v4: IpAddr = Ipv4Addr::LOCALHOST.into();
    let port = answering_at(v4, 0).await;
    dns.say("app.example", Says::Addresses(vec![v6, v4], 60));
    let origin = named("app.example", port, &dns);
    origin.resolve().await.expect("addresses");
    let started = Instant::now();
    for _ in 0..4 {
        get_whole(&Pool::default(), &origin).await;
    }
    assert!(started.elapsed() < Duration::from_millis(240), "{:?}", started.elapsed());
    assert_eq!(origin.row().connections_opened, 4);

    let nobody = refusing().await;
    let copal_backend::Address::Tcp { port, .. } = nobody else { panic!("TCP") };
    let origin = named("app.example", port, &dns);
    let fault = get(&Pool::default(), &origin).await.expect_err("nobody listens");
    assert_eq!((fault.phase, fault.kind, fault.retry_safe), (Phase::Connect, FaultKind::Refused, true), "{fault}");
}

async fn ask(pool: &Pool, origin: &Arc<Origin>, client: Option<&str>) -> bool {
    let head = RequestHead::get("/", [("Host", "a")]);
    let ends = client
        .map(|client| Ends { client: client.parse().expect("valid"), server: "192.0.2.9:80".parse().expect("valid") });
    let terms = (Timeouts::of(origin), ends);
    let mut x =
        exchange::<NoBody>(pool, origin, &head, &mut SendBody::None, terms, &mut |_| {}).await.expect("an answer");
    assert_eq!(read(&mut x.body).await, ("ok".to_owned(), None));
    x.reused
}

#[tokio::test]
async fn an_origin_is_told_the_client_and_its_connection_is_nobody_elses() {
    let (told, mut heads) = tokio::sync::mpsc::unbounded_channel::<Vec<u8>>();
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let told = told.clone();
        let address = serve(move |mut s, _| {
            let told = told.clone();
            async move {
                let mut head = Vec::new();
                // What follows is the request, which begins with its method.
                while !head.ends_with(b"GET ") {
                    head.push(s.read_u8().await.expect("more"));
                }
                head.truncate(head.len() - 4);
                told.send(head).expect("the test waits");
                read_head(&mut s).await;
                send(&mut s, OK).await;
                while read_head(&mut s).await.is_some() {
                    send(&mut s, OK).await;
                }
            }
        })
        .await;
        let origin = Origin::new(OriginOptions { proxy_protocol: Some(version), ..options(address) });
        let pool = Pool::default();
        let (a, b) = (Some("192.0.2.1:1000"), Some("192.0.2.1:1001"));
        for (client, reused) in [(a, false), (a, true), (b, false), (None, false), (a, true), (b, true), (None, true)] {
            assert_eq!(ask(&pool, &origin, client).await, reused, "{client:?}");
        }
        assert_eq!(origin.row().connections_opened, 3);
        for client in [a, b, None] {
            let ends = client
                .map(|c| Ends { client: c.parse().expect("valid"), server: "192.0.2.9:80".parse().expect("valid") });
            assert_eq!(heads.recv().await, Some(version.head(ends)));
        }
    }
}

#[tokio::test]
async fn without_the_proxy_protocol_clients_share_connections() {
    let (pool, origin) = (Pool::default(), answering(OK).await);
    assert!(!ask(&pool, &origin, Some("192.0.2.1:1000")).await);
    assert!(ask(&pool, &origin, Some("192.0.2.2:1000")).await);
}

#[tokio::test]
async fn the_total_time_ends_what_no_other_limit_does() {
    // A byte every few milliseconds, for ever: in the head, or in the body.
    for (first, phase) in [("", Phase::Head), ("HTTP/1.1 200 OK\r\n\r\n", Phase::Body)] {
        let address = serve(move |mut s, _| async move {
            read_head(&mut s).await;
            send(&mut s, first).await;
            for _ in 0..10_000 {
                send(&mut s, "H").await;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        let origin = Origin::new(OriginOptions { total_timeout: Some(SHORT), ..options(address) });
        let started = Instant::now();
        let fault = match get(&Pool::default(), &origin).await {
            Err(fault) => fault,
            Ok(mut x) => read(&mut x.body).await.1.expect("it ends"),
        };
        assert_eq!((fault.phase, fault.kind, fault.status()), (phase, FaultKind::Timeout, 504), "{fault}");
        assert!(started.elapsed() >= SHORT && started.elapsed() < LONG / 2, "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_thousand_misses_at_once_open_as_many_connections_as_there_may_be_and_go_on_over_them() {
    static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let address = serve(|mut s, _| async move {
        while read_head(&mut s).await.is_some() {
            let now = UNDER_WAY.fetch_add(1, Ordering::SeqCst) + 1;
            MOST.fetch_max(now, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
            send(&mut s, OK).await;
        }
    })
    .await;
    let origin =
        Origin::new(OriginOptions { max_connections: 50, wait_limit: 1000, wait_timeout: LONG, ..options(address) });
    let pool = Pool::default();
    let asks: Vec<_> = (0..1000)
        .map(|_| {
            let (pool, origin) = (pool.clone(), origin.clone());
            tokio::spawn(async move { get_whole(&pool, &origin).await.1 })
        })
        .collect();
    for ask in asks {
        assert_eq!(ask.await.expect("no panic"), "ok");
    }
    let row = origin.row();
    assert_eq!((row.connections_opened, row.connections_reused, row.waited), (50, 950, 950));
    assert_eq!(MOST.load(Ordering::SeqCst), 50);
}
