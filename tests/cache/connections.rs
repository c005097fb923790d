//! Connections to a backend as its owner sets them: how many idle ones are kept and for how long, the timeouts of a policy, Host.

use super::directors::before;
use super::{SOON, crowd};
use copal_testkit::{Origin, Proxy, Reply, get, wait};
use std::time::Duration;
use tokio::time::Instant;

fn row(proxy: &Proxy, name: &str) -> i64 {
    proxy.stats()["backends"][0][name].as_i64().unwrap()
}

/// Five at the same time, all answered.
fn five(proxy: &Proxy, origin: &Origin) {
    let asked = origin.count();
    let held = origin.hold("/page");
    let mut clients = crowd(proxy, 5, "/page");
    origin.wait_for(asked + 5, SOON);
    held.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
    wait::until(SOON, "nobody is under way", || row(proxy, "running") == 0);
}

#[test]
fn no_more_idle_connections_are_kept_than_the_owner_allows() {
    for (setting, kept) in [("", 5), ("idle_connections = 2", 2), ("idle_connections = 0", 0)] {
        let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "no-store"));
        let proxy = before(&[("app", &origin)], setting, "").start();
        // From then on nobody waits for anybody.
        assert_eq!(get(proxy.addr(), "/page", &[]).status, 200);
        let first = i64::from(kept > 0);
        assert_eq!((row(&proxy, "connections_idle"), row(&proxy, "connections_open")), (first, first), "{setting}");
        five(&proxy, &origin);
        assert_eq!((row(&proxy, "connections_idle"), row(&proxy, "connections_open")), (kept, kept), "{setting}");
        let opened = row(&proxy, "connections_opened");
        five(&proxy, &origin);
        assert_eq!(row(&proxy, "connections_opened") - opened, 5 - kept, "{setting}: the others are new");
    }
}

#[test]
fn an_idle_connection_is_closed_after_its_time() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "no-store"));
    let proxy = before(&[("app", &origin)], "idle_timeout = \"300ms\"", "").start();
    assert_eq!(get(proxy.addr(), "/page", &[]).status, 200);
    wait::until(SOON, "it is closed", || (row(&proxy, "connections_idle"), row(&proxy, "connections_open")) == (0, 0));
    assert_eq!(get(proxy.addr(), "/page", &[]).status, 200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn a_policy_sets_the_timeouts_of_one_request() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/first" => Reply::silence(),
        "/between" | "/total" => Reply::stream().header("Cache-Control", "no-store").chunk("a").pause(SOON * 2),
        _ => Reply::ok("x").header("Cache-Control", "no-store"),
    });
    let policy = "fn backend_fetch(bereq) {\n\
        if bereq.url == \"/first\" { bereq.first_byte_timeout = duration(\"200ms\"); }\n\
        if bereq.url == \"/between\" { bereq.between_bytes_timeout = duration(\"200ms\"); }\n\
        if bereq.url == \"/total\" { bereq.total_timeout = duration(\"200ms\"); }\n}";
    // The backend's own are a minute each.
    let proxy = before(&[("app", &origin)], "", "").policy(policy).start();
    let started = Instant::now();
    let first = get(proxy.addr(), "/first", &[]);
    assert_eq!((first.status, first.header("Proxy-Status")), (504, Some("copal; error=http_response_timeout")));
    for path in ["/between", "/total"] {
        let answer = get(proxy.addr(), path, &[]);
        assert_eq!((answer.status, answer.complete), (200, false), "{path} breaks off");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_eq!(get(proxy.addr(), "/", &[]).status, 200);
}

#[test]
fn a_backend_is_sent_the_host_that_its_owner_wants() {
    for (setting, wanted) in [("", "www.example"), ("host_header = \"app.internal:81\"", "app.internal:81")] {
        let origin = Origin::start(|_| Reply::ok("x"));
        let proxy = before(&[("app", &origin)], setting, "").start();
        assert_eq!(proxy.client().get("/", &[("Host", "www.example")]).status, 200);
        assert_eq!(origin.requests()[0].header("Host"), Some(wanted));
    }
}
