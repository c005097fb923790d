//! Copies of requests for a backend that is only watched: which, how marked, and that nobody waits for them.

use super::SOON;
use super::directors::{before, named};
use copal_testkit::{Origin, Proxy, Reply, get, wait};
use std::time::Duration;

/// `app` serves, `next` is watched.
fn watched(app: &Origin, next: &Origin, rest: &str, policy: &str) -> Proxy {
    let rest = format!("[director.site]\nbackends = [\"app\"]\n[director.new]\nbackends = [\"next\"]\n{rest}");
    before(&[("app", app), ("next", next)], "", &rest).policy(policy).start()
}

#[test]
fn the_shadow_gets_what_the_origin_gets_with_a_mark_and_no_client_sees_its_answer() {
    let app = Origin::start(|_| Reply::ok("app").header("Cache-Control", "max-age=60"));
    let next = named("next");
    let proxy =
        watched(&app, &next, "[shadow]\nto = \"new\"\n[acl]\nall = [\"127.0.0.1\"]\n[purge]\nacl = \"all\"\n", "");
    assert_eq!(get(proxy.addr(), "/page?q=1", &[("X-A", "b")]).text(), "app");
    next.wait_for(1, SOON);
    let seen = next.requests()[0].clone();
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.header("X-A")), ("GET", "/page?q=1", Some("b")));
    assert_eq!((seen.header("Copal-Shadow"), app.requests()[0].header("Copal-Shadow")), (Some("1"), None));
    // A hit is no request to an origin, and no more is a purge.
    assert_eq!(get(proxy.addr(), "/page?q=1", &[]).text(), "app");
    let purged = copal_testkit::client::request(proxy.addr(), "PURGE", "/page?q=1", &[], b"");
    assert_eq!(purged.status, 200);
    let posted = copal_testkit::client::request(proxy.addr(), "POST", "/order", &[], b"two of them");
    assert_eq!(posted.text(), "app");
    next.wait_for(2, SOON);
    let seen = next.requests()[1].clone();
    assert_eq!((seen.method.as_str(), seen.body.as_slice(), app.count()), ("POST", &b"two of them"[..], 2));
    assert_eq!(app.requests()[1].body, b"two of them");
    // A copy is not copied again by a proxy further in.
    assert_eq!(get(proxy.addr(), "/copy", &[("Copal-Shadow", "1")]).text(), "app");
    assert_eq!((proxy.stat("shadows"), proxy.stat("shadows_skipped"), next.count()), (2, 0, 2));
}

#[test]
fn a_shadow_that_hangs_slows_nobody_and_is_bounded_in_number_and_time() {
    let app = named("app");
    let next = Origin::start(|_| Reply::silence());
    let proxy = watched(&app, &next, "[shadow]\nto = \"new\"\nrunning = 2\ntimeout = \"1s\"\n", "");
    let mut client = proxy.client();
    client.patience(Duration::from_secs(5));
    for _ in 0..50 {
        assert_eq!(client.get("/", &[]).text(), "app");
    }
    assert!(proxy.stat("shadows_skipped") >= 40, "{}", proxy.stats()["counters"]);
    proxy.wait_stat("shadows_failed", |n| n >= 2, SOON);
    wait::until(SOON, "there is room again", || {
        client.get("/", &[]);
        proxy.stat("shadows") > 2
    });
}

#[test]
fn a_body_beyond_the_limit_is_not_copied() {
    let (app, next) = (named("app"), named("next"));
    let proxy = watched(&app, &next, "[shadow]\nto = \"new\"\nbody_size = \"1KiB\"\n[retry]\nbody_size = \"0B\"\n", "");
    let post =
        |n: usize| copal_testkit::client::request(proxy.addr(), "POST", "/", &[], "x".repeat(n).as_bytes()).text();
    assert_eq!((post(1024), post(1025)), ("app".into(), "app".into()));
    next.wait_for(1, SOON);
    assert_eq!((next.requests()[0].body.len(), proxy.stat("shadows"), proxy.stat("shadows_skipped")), (1024, 1, 1));
    assert!(app.requests().iter().map(|seen| seen.body.len()).eq([1024, 1025]));
}

#[test]
fn a_long_answer_is_not_read_to_its_end_and_the_next_copy_is_made_all_the_same() {
    let app = named("app");
    let next = Origin::start(|_| Reply::ok(vec![b'x'; 4 << 20]));
    let proxy = watched(&app, &next, "[shadow]\nto = \"new\"\nresponse_size = \"1KiB\"\nrunning = 1\n", "");
    for n in 1..=3 {
        wait::until(SOON, "a place is free", || {
            assert_eq!(get(proxy.addr(), "/", &[]).text(), "app");
            proxy.stat("shadows") >= n
        });
    }
    assert_eq!(proxy.stat("shadows_failed"), 0);
}

#[test]
fn a_share_of_the_requests_is_copied_and_a_policy_chooses_its_own() {
    let (app, next) = (named("app"), named("next"));
    let proxy = watched(&app, &next, "[shadow]\nto = \"new\"\nshare = \"20%\"\nrunning = 10000\n", "");
    let mut client = proxy.client();
    for _ in 0..400 {
        client.get("/", &[]);
    }
    let copies = proxy.stat("shadows");
    // Six standard deviations of a fair draw.
    assert!((32..=128).contains(&copies), "about 80 of 400: {copies}");

    let policy =
        "fn backend_fetch(bereq) { if bereq.url.starts_with(\"/api/\") { bereq.shadow = director(\"new\"); } }";
    let proxy = watched(&app, &next, "", policy);
    let before = next.count();
    for path in ["/", "/api/1", "/x", "/api/2"] {
        assert_eq!(get(proxy.addr(), path, &[]).text(), "app");
    }
    next.wait_for(before + 2, SOON);
    assert_eq!((next.count_of("/api/1"), next.count_of("/api/2"), proxy.stat("shadows")), (1, 1, 2));
}

#[test]
fn check_knows_who_can_be_a_shadow() {
    let app = named("app");
    let exited = before(&[("app", &app)], "", "[shadow]\nto = \"ap\"\n").try_start().unwrap_err();
    assert!(exited.stderr.contains("unknown backend `ap`") && exited.stderr.contains("app"), "{exited:?}");
}
