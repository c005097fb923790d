//! A thousand clients that ask for the same slow page at the same moment: how often the origin is asked, and how long the
//! slowest client waits for its last byte, compared with what the origin itself takes.

use super::{SOON, builder, settled};
use copal_testkit::{Origin, Proxy, Reply};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::time::Instant;

/// What the origin takes for every answer. Long, so that a fifth of it is more than a thousand clients cost a busy machine.
const OWN_TIME: Duration = Duration::from_secs(8);
/// A thousand, or as many as the file descriptors of this process and the proxy allow: two for each.
fn clients() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).and_then(|n| n.parse().ok()).unwrap_or(usize::MAX);
    1000.min(soft.saturating_sub(200) / 2)
}

/// How long each client waited for its last byte, from the moment when the first of them asked. The slowest is last.
fn herd(addr: SocketAddr, n: usize, path: &str) -> Vec<Duration> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut streams = Vec::new();
        for _ in 0..n {
            streams.push(TcpSocket::new_v4().unwrap().connect(addr).await.unwrap());
        }
        let began = Instant::now();
        let request = format!("GET {path} HTTP/1.1\r\nHost: herd\r\nConnection: close\r\n\r\n");
        let tasks: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                let request = request.clone();
                tokio::spawn(async move {
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).await.unwrap();
                    let took = began.elapsed();
                    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("the whole page"), "{answer}");
                    took
                })
            })
            .collect();
        let mut all = Vec::new();
        for task in tasks {
            all.push(task.await.expect("every client got the page"));
        }
        all.sort();
        all
    })
}

/// Times of the origin that the slowest may take, and a fifth.
#[track_caller]
fn within(times: u32, waited: &[Duration], what: &str) {
    let (fastest, slowest) = (waited[0], waited[waited.len() - 1]);
    println!("{what}: {} clients, fastest {fastest:.2?}, slowest {slowest:.2?}, origin {OWN_TIME:?}", waited.len());
    let allowed = OWN_TIME * times + OWN_TIME * times.max(1) / 5;
    assert!(slowest <= allowed, "{what}: the slowest waited {slowest:?}, {allowed:?} is allowed");
}

/// All but the first were let go at once: the fastest and the slowest of them are a fifth of the origin's time apart at most.
#[track_caller]
fn together(waited: &[Duration], what: &str) {
    let (first, last) = (waited[1], waited[waited.len() - 1]);
    assert!(last - first <= OWN_TIME / 5, "{what}: one after the other, from {first:?} to {last:?}");
}

/// `wait` is how long one request waits for another's.
fn slow(cacheable: &Arc<AtomicBool>, wait: &str) -> (Origin, Proxy) {
    let cacheable = Arc::clone(cacheable);
    let origin = Origin::start(move |_| {
        let said = if cacheable.load(Ordering::SeqCst) { "max-age=600" } else { "private" };
        // Nothing at all is known before its time is over.
        let answer = format!("HTTP/1.1 200 OK\r\nCache-Control: {said}\r\nContent-Length: 14\r\n\r\nthe whole page");
        Reply::raw("").pause(OWN_TIME).send(answer)
    });
    let toml = format!(
        "[limits]\nconnections = 4000\n[backend.app]\naddress = \"{}\"\nmax_connections = 4000\n[cache]\nhit_for_miss = \"1h\"\ncoalesce_wait = \"{wait}\"\n",
        origin.addr()
    );
    let proxy = Proxy::builder(super::COPAL).config(&toml).start();
    (origin, proxy)
}

#[test]
fn a_herd_on_a_cold_slow_page_is_one_request_and_nobody_waits_longer_than_for_that() {
    let (origin, proxy) = slow(&Arc::new(AtomicBool::new(true)), "60s");
    let n = clients();
    let waited = herd(proxy.addr(), n, "/page");
    within(1, &waited, "cold and cacheable");
    assert_eq!(origin.count(), 1);
    let counted = ["misses", "coalesce_timeouts", "objects"].map(|name| proxy.stat(name));
    assert_eq!(counted, [1, 0, 1]);
    // Those who came in while the body was on its way were coalesced too.
    assert_eq!(proxy.stat("hits_coalesced"), n as i64 - 1);
    settled(&proxy);
    assert_eq!(proxy.stats()["counters"]["client_requests_running"], 0);
}

#[test]
fn a_herd_on_an_uncacheable_page_waits_at_most_once_and_then_never_and_its_marker_goes_when_it_is_cacheable() {
    uncacheable_then_cacheable(clients().min(250));
}

#[test]
#[ignore = "make herd: a thousand connections to the origin at a time, which other tests would feel"]
fn herd_of_a_thousand_on_an_uncacheable_page() {
    uncacheable_then_cacheable(clients());
}

fn uncacheable_then_cacheable(n: usize) {
    let cacheable = Arc::new(AtomicBool::new(false));
    let (origin, proxy) = slow(&cacheable, "10s");
    // Nobody can know that it is not for all before the first answer: one time of the origin for that, one for their own.
    let waited = herd(proxy.addr(), n, "/page");
    within(2, &waited, "cold and uncacheable, for the first time");
    together(&waited, "released by the first answer");
    assert_eq!(origin.count(), n, "everybody's own, and none twice");
    assert_eq!(proxy.stat("coalesce_waits"), n as i64 - 1);

    let waited = herd(proxy.addr(), n, "/page");
    within(1, &waited, "known as uncacheable");
    assert_eq!(origin.count(), 2 * n);
    assert_eq!(proxy.stat("coalesce_waits"), n as i64 - 1, "nobody waited for another");

    cacheable.store(true, Ordering::SeqCst);
    let waited = herd(proxy.addr(), n, "/page");
    within(1, &waited, "cacheable now, and nobody knows yet");
    assert_eq!(origin.count(), 3 * n);
    settled(&proxy);
    let kept = ["objects", "markers"].map(|name| proxy.stat(name));
    assert_eq!(kept, [1, 0], "the object has taken the marker's place");

    let waited = herd(proxy.addr(), n, "/page");
    within(0, &waited, "stored");
    assert_eq!(origin.count(), 3 * n, "the origin was not asked");
    assert_eq!(proxy.stat("fetches_failed"), 0);

    // Another page, of which nothing was ever known: one request, as for any that is cacheable.
    let waited = herd(proxy.addr(), n, "/another");
    within(1, &waited, "another, cold and cacheable");
    assert_eq!(origin.count(), 3 * n + 1);
}

#[test]
fn with_a_short_wait_a_herd_on_an_unknown_uncacheable_page_takes_little_more_than_the_origin() {
    let (origin, proxy) = slow(&Arc::new(AtomicBool::new(false)), "500ms");
    let n = clients().min(250);
    let waited = herd(proxy.addr(), n, "/page");
    within(1, &waited, "cold and uncacheable, waiting for 0.5 s at most");
    together(&waited, "released by the limit");
    assert_eq!(origin.count(), n);
    let counted = ["coalesce_waits", "coalesce_timeouts"].map(|name| proxy.stat(name));
    assert_eq!(counted, [n as i64 - 1; 2]);
}

#[test]
fn waiters_beyond_the_limit_go_on_alone_and_are_not_stored_twice() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=60"));
    let held = origin.hold("/page");
    let proxy = builder(&origin, "[limits]\nwaiters = 3").start();
    let mut clients = super::crowd(&proxy, 10, "/page");
    // One fetches, three wait, six go on alone.
    origin.wait_for(7, SOON);
    assert_eq!(proxy.stat("coalesce_waits"), 3);
    held.release();
    for client in &mut clients {
        assert_eq!(client.read_response().text(), "x");
    }
    settled(&proxy);
    assert_eq!((origin.count(), proxy.stat("objects")), (7, 1));
}

#[test]
fn an_answer_that_is_stale_at_once_serves_all_who_waited_for_it() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=0").header("ETag", "\"1\""));
    let held = origin.hold("/page");
    let proxy = builder(&origin, "").start();
    let mut clients = super::crowd(&proxy, 10, "/page");
    proxy.wait_stat("coalesce_waits", |n| n == 9, SOON);
    held.release();
    let mut collapsed = 0;
    for client in &mut clients {
        let response = client.read_response();
        assert_eq!(response.text(), "x");
        collapsed += usize::from(response.header("Cache-Status").unwrap().contains("; collapsed"));
    }
    assert_eq!((origin.count(), collapsed, proxy.stat("hits_coalesced")), (1, 9, 9));
    // The next one asks again.
    let _renewed = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!(origin.count(), 2);
}
