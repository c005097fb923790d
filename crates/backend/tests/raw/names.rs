//! Names of origins: asked of a DNS server, again when their TTL is over, and the last good answer kept.

use crate::support::*;
use copal_backend::{Address, Backends, FaultKind, Origin, OriginOptions, Phase, Pool, ResolveOptions, run_probes};
use copal_testkit::{NameServer, Says};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

const SOON: Duration = Duration::from_millis(100);

fn named(address: &str, dns: &NameServer) -> OriginOptions {
    let resolve = ResolveOptions {
        nameservers: vec![dns.addr()],
        min_ttl: SOON,
        timeout: Duration::from_secs(5),
        ..ResolveOptions::default()
    };
    OriginOptions { resolve, ..options(address.parse().expect("valid")) }
}

/// The same port on several addresses of this machine, each of which answers with its own.
async fn at(addresses: &[[u8; 4]]) -> u16 {
    'port: loop {
        let mut port = 0;
        let mut listeners = Vec::new();
        for ip in addresses {
            let Ok(listener) = TcpListener::bind((std::net::Ipv4Addr::from(*ip), port)).await else { continue 'port };
            port = listener.local_addr().expect("bound").port();
            listeners.push(listener);
        }
        for listener in listeners {
            tokio::spawn(async move {
                let ip = listener.local_addr().expect("bound").ip().to_string();
                loop {
                    let (mut s, _) = listener.accept().await.expect("accepts");
                    let ip = ip.clone();
                    tokio::spawn(async move {
                        while read_head(&mut s).await.is_some() {
                            let length = ip.len();
                            send(&mut s, &format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{ip}")).await;
                        }
                    });
                }
            });
        }
        return port;
    }
}

async fn who(pool: &Pool, origin: &Arc<Origin>) -> String {
    get_whole(pool, origin).await.1
}

#[tokio::test]
async fn a_name_is_asked_for_again_when_its_ttl_is_over_and_a_change_is_followed() {
    let dns = NameServer::start();
    let port = at(&[[127, 0, 0, 1], [127, 0, 0, 2]]).await;
    dns.say_v4("app.example", &[[127, 0, 0, 1]], 0);
    let backends = Backends::new(vec![named(&format!("app.example:{port}"), &dns)], vec![]).expect("valid");
    let (pool, origin) = (Pool::default(), backends.origins()[0].clone());
    assert_eq!(who(&pool, &origin).await, "127.0.0.1");
    let keeping = tokio::spawn(run_probes(backends.clone(), std::future::pending()));
    let row = || origin.row().resolved.expect("a name");
    dns.say_v4("app.example", &[[127, 0, 0, 2]], 0);
    // Without a request.
    until("the change is known", || row().changes == 1).await;
    assert_eq!(row().addresses, [format!("127.0.0.2:{port}")]);
    // The connection that is kept belongs to the address that is gone.
    assert_eq!(who(&pool, &origin).await, "127.0.0.2");
    for (says, why) in [(Says::NoSuchName, "no such name"), (Says::Nothing, "no address"), (Says::Failure, "")] {
        let failures = row().failures;
        dns.say("app.example", says);
        until("it fails", || row().failures > failures).await;
        assert!(row().error.expect("why").contains(why), "{why}");
        assert_eq!(row().addresses, [format!("127.0.0.2:{port}")]);
        assert_eq!(who(&pool, &origin).await, "127.0.0.2");
        dns.say_v4("app.example", &[[127, 0, 0, 2]], 0);
        until("it has recovered", || row().error.is_none()).await;
    }
    assert_eq!(row().changes, 1);
    keeping.abort();
}

#[tokio::test]
async fn a_ttl_is_kept_to_within_its_bounds() {
    let dns = NameServer::start();
    dns.say_v4("app.example", &[[127, 0, 0, 1]], 86_400);
    let mut options = named("app.example:1", &dns);
    options.resolve.max_ttl = Duration::from_millis(200);
    let backends = Backends::new(vec![options], vec![]).expect("valid");
    let keeping = tokio::spawn(run_probes(backends.clone(), std::future::pending()));
    until("no longer than max_ttl", || dns.asked() >= 6).await;
    keeping.abort();

    let dns = NameServer::start();
    dns.say_v4("app.example", &[[127, 0, 0, 1]], 0);
    let mut options = named("app.example:1", &dns);
    options.resolve.min_ttl = LONG * 100;
    options.resolve.max_ttl = LONG * 100;
    let backends = Backends::new(vec![options], vec![]).expect("valid");
    let origin = &backends.origins()[0];
    origin.resolve().await.expect("an address");
    let asked = dns.asked();
    for _ in 0..20 {
        assert!(get(&Pool::default(), origin).await.is_err(), "nobody listens");
    }
    assert_eq!(dns.asked(), asked, "not before min_ttl");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_yet_is_a_fault_of_one_request_and_found_later() {
    let dns = NameServer::start();
    let port = at(&[[127, 0, 0, 1]]).await;
    let backends = Backends::new(vec![named(&format!("later.example:{port}"), &dns)], vec![]).expect("valid");
    let (pool, origin) = (Pool::default(), backends.origins()[0].clone());
    let fault = get(&pool, &origin).await.expect_err("no such name");
    assert_eq!((fault.phase, fault.kind, fault.code()), (Phase::Resolve, FaultKind::Unresolved, "dns_error"));
    assert!(fault.retry_safe && fault.to_string().ends_with("no such name)"), "{fault}");
    let asked = dns.asked();
    for _ in 0..20 {
        assert!(get(&pool, &origin).await.is_err());
    }
    assert_eq!(dns.asked(), asked, "a storm of misses asks once");
    dns.say_v4("later.example", &[[127, 0, 0, 1]], 60);
    let keeping = tokio::spawn(run_probes(backends.clone(), std::future::pending()));
    until("it is found", || origin.row().resolved.expect("a name").addresses.len() == 1).await;
    assert_eq!(who(&pool, &origin).await, "127.0.0.1");
    keeping.abort();
}

#[tokio::test]
async fn a_resolver_that_is_silent_is_a_timeout() {
    let dns = NameServer::start();
    dns.say("app.example", Says::Silence);
    let origin = Origin::new(OriginOptions { connect_timeout: SHORT, ..named("app.example:1", &dns) });
    let fault = get(&Pool::default(), &origin).await.expect_err("silent");
    assert_eq!((fault.phase, fault.kind, fault.code()), (Phase::Resolve, FaultKind::Timeout, "dns_timeout"), "{fault}");
}

#[tokio::test]
async fn many_addresses_share_the_requests() {
    let dns = NameServer::start();
    let all = [[127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]];
    let port = at(&all).await;
    dns.say_v4("app.example", &all, 60);
    let (pool, origin) = (Pool::default(), Origin::new(named(&format!("app.example:{port}"), &dns)));
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..30 {
        *seen.entry(who(&pool, &origin).await).or_insert(0) += 1;
    }
    assert_eq!(seen.into_values().collect::<Vec<_>>(), [10, 10, 10]);
    assert_eq!(origin.row().connections_opened, 3);
}

#[tokio::test]
async fn services_bring_their_ports_priorities_and_weights() {
    let dns = NameServer::start();
    let port = at(&[[127, 0, 0, 1], [127, 0, 0, 2]]).await;
    let spare = at(&[[127, 0, 0, 3]]).await;
    dns.say_v4("a.example", &[[127, 0, 0, 1]], 60);
    dns.say_v4("b.example", &[[127, 0, 0, 2]], 60);
    dns.say_v4("c.example", &[[127, 0, 0, 3]], 60);
    let services = [(10, 3, port, "a.example"), (10, 1, port, "b.example"), (20, 1, spare, "c.example")];
    let services = |n: std::ops::Range<usize>| {
        Says::Services(services[n].iter().map(|(p, w, port, h)| (*p, *w, *port, (*h).to_owned())).collect(), 60)
    };
    dns.say("_http._tcp.app.example", services(0..3));
    let address: Address = "srv:_http._tcp.app.example".parse().expect("valid");
    let (pool, origin) = (Pool::default(), Origin::new(named(&address.to_string(), &dns)));
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..400 {
        *seen.entry(who(&pool, &origin).await).or_insert(0) += 1;
    }
    assert_eq!(seen.values().sum::<i32>(), 400);
    assert!((240..360).contains(&seen["127.0.0.1"]) && seen["127.0.0.2"] > 40, "{seen:?}");
    assert!(!seen.contains_key("127.0.0.3"), "of a lower rank: {seen:?}");
    // Nobody listens at what ranks first: the next one answers.
    let gone = refusing().await;
    let Address::Tcp { port: gone, .. } = gone else { panic!("TCP") };
    dns.say(
        "_http._tcp.app.example",
        Says::Services(vec![(1, 1, gone, "a.example".into()), (2, 1, spare, "c.example".into())], 60),
    );
    origin.resolve().await.expect("addresses");
    assert_eq!(who(&pool, &origin).await, "127.0.0.3");
    // RFC 2782: "." says that there is no such service; what was known stays.
    dns.say("_http._tcp.app.example", Says::Services(vec![(0, 0, 0, String::new())], 60));
    assert!(origin.resolve().await.is_err());
    assert_eq!(who(&pool, &origin).await, "127.0.0.3");
}

#[tokio::test]
async fn the_hosts_file_comes_before_the_name_servers() {
    let dns = NameServer::start();
    let port = at(&[[127, 0, 0, 1]]).await;
    dns.say_v4("localhost", &[[127, 0, 0, 9]], 60);
    let origin = Origin::new(named(&format!("localhost:{port}"), &dns));
    assert_eq!(who(&Pool::default(), &origin).await, "127.0.0.1");
    assert_eq!(dns.asked(), 0);
}
