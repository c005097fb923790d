//! Stale objects: served at once while one fetch renews them, and served on when the origin is down or fails.

use super::{COPAL, SOON, builder, crowd, front, front_with, settled};
use copal_testkit::{Origin, Proxy, Reply, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

/// Stale from its birth: ten seconds old with a lifetime of ten seconds.
fn stale(body: impl Into<Vec<u8>>, more: &str) -> Reply {
    Reply::ok(body).header("Cache-Control", format!("max-age=10{more}")).header("Age", 10)
}

/// Numbers its answers: "1", "2", …
fn numbered(more: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |_| stale((count.fetch_add(1, Ordering::SeqCst) + 1).to_string(), more))
}

#[test]
fn stale_object_is_served_while_one_request_refreshes_it() {
    let origin = numbered(", stale-while-revalidate=600");
    let proxy = front(&origin);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "1");
    let held = origin.hold("/page");
    for mut client in crowd(&proxy, 20, "/page") {
        let response = client.read_response();
        assert_eq!(response.text(), "1", "at once, while the origin is held back");
        assert!(response.header("Age").unwrap().parse::<u32>().unwrap() >= 10, "{response:?}");
        assert!(response.header("Cache-Status").unwrap().contains("hit; ttl="), "{response:?}");
    }
    origin.wait_for(2, SOON);
    assert_eq!((origin.count(), proxy.stat("hits_grace"), proxy.stat("background_fetches")), (2, 20, 1));
    held.release();
    settled(&proxy);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "2");
}

#[test]
fn refreshes_that_a_full_backend_refuses_are_warned_of_once_and_not_with_each_hit() {
    let origin = numbered(", stale-while-revalidate=600");
    let toml = format!("threads = 1\n[backend.app]\naddress = \"{}\"\nmax_connections = 1\n", origin.addr());
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "1");
    let _held = origin.hold("/other");
    let mut other = proxy.client();
    other.send("POST", "/other", &[], b"");
    origin.wait_for(2, SOON);
    let mut client = proxy.client();
    for n in 1..=50 {
        assert_eq!(client.get("/page", &[]).text(), "1");
        // One after the other: each hit asks for a refresh of its own.
        proxy.wait_stat("fetch_failed_limit", |refused| refused == n, SOON);
    }
    let log = proxy.wait_log("refreshes in the background are refused");
    assert!(log.contains("backend=\"app\" count=1") && log.contains("1 in use of 1, 0 waiting"), "{log}");
    // All fifty may take longer than the ten seconds in which it is said once.
    let said = proxy.stderr().lines().filter(|line| line.contains("background are refused")).count();
    assert!(said <= 3 && !proxy.stderr().contains("connection_limit_reached"), "{}", proxy.stderr());
    // A client that is refused is told, and so is the log.
    assert_eq!(client.get("/third", &[]).status, 503);
    proxy.wait_log("connection_limit_reached");
}

#[test]
fn a_refresh_that_fails_keeps_the_stale_object_and_is_tried_again() {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => stale("old", ", stale-while-revalidate=600"),
        1 => Reply::hang_up(),
        2 => Reply::status(500, "broken").header("Cache-Control", "max-age=60"),
        3 => Reply::short_body("bro", 9).header("Cache-Control", "max-age=60"),
        _ => Reply::ok("new").header("Cache-Control", "max-age=60"),
    });
    let proxy = front(&origin);
    for _ in 0..3 {
        let response = copal_testkit::get(proxy.addr(), "/page", &[]);
        assert_eq!((response.status, response.text().as_str()), (200, "old"));
        settled(&proxy);
    }
    let found = wait::poll(SOON, || {
        let response = copal_testkit::get(proxy.addr(), "/page", &[]);
        // The refresh whose body broke off replaced the old object while it streamed; it is never served as whole.
        assert!(!response.complete || ["old", "new"].contains(&response.text().as_str()), "{response:?}");
        (response.text() == "new").then_some(())
    });
    assert!(found.is_some());
}

#[track_caller]
fn served_stale(proxy: &Proxy, body: &str) {
    let response = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((response.status, response.text().as_str()), (200, body), "{response:?}");
    assert!(response.header("Age").unwrap().parse::<u32>().unwrap() >= 10, "{response:?}");
}

#[test]
fn when_the_origin_is_down_the_stale_object_serves_and_the_new_one_when_it_is_back() {
    for (more, toml) in [
        (", stale-if-error=600", "[cache]\nstale_if_error = \"0s\""),
        ("", "[cache]\nstale_if_error = \"1h\""),
        (", stale-while-revalidate=600", "[cache]\nstale_if_error = \"0s\""),
        ("", "[cache]\nstale_if_error = \"0s\"\ngrace = \"1h\""),
    ] {
        let mut origin = numbered(more);
        let proxy = front_with(&origin, toml);
        assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "1");
        origin.stop();
        for _ in 0..3 {
            served_stale(&proxy, "1");
            settled(&proxy);
        }
        origin.restart();
        let fresh = wait::poll(SOON, || (copal_testkit::get(proxy.addr(), "/page", &[]).text() == "2").then_some(()));
        assert!(fresh.is_some(), "{more:?} {toml:?}");
    }
}

#[test]
fn an_answer_of_5xx_is_covered_by_the_stale_object_and_one_of_404_is_not() {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let origin = Origin::start(move |_| match now.load(Ordering::SeqCst) {
        200 => stale("good", ""),
        other => Reply::status(other, "bad"),
    });
    let proxy = front(&origin);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "good");
    for failing in [500, 502, 503, 504] {
        status.store(failing, Ordering::SeqCst);
        served_stale(&proxy, "good");
    }
    assert_eq!((origin.count(), proxy.stat("hits_stale_error")), (5, 4));
    status.store(404, Ordering::SeqCst);
    let gone = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((gone.status, gone.text().as_str()), (404, "bad"));
}

#[test]
fn beyond_its_time_or_where_the_origin_forbids_it_nothing_stale_is_served() {
    for (more, toml) in [
        ("", "[cache]\nstale_if_error = \"0s\""),
        (", must-revalidate", ""),
        (", proxy-revalidate", ""),
        (", s-maxage=10", ""),
        (", stale-if-error=0", ""),
    ] {
        let mut origin = numbered(more);
        let proxy = front_with(&origin, toml);
        assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "1");
        origin.stop();
        let response = copal_testkit::get(proxy.addr(), "/page", &[]);
        assert_eq!(response.status, 502, "{more:?} {toml:?}: {response:?}");
    }
}

#[test]
fn a_backend_known_to_be_sick_is_not_asked_and_stale_is_served_at_once() {
    let origin = numbered(", stale-if-error=600");
    let proxy = front(&origin);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "1");
    let mut admin = copal_testkit::Client::connect_unix(&proxy.admin()).unwrap();
    assert_eq!(admin.request("POST", "/backends/app?state=sick", &[], b"").status, 200);
    served_stale(&proxy, "1");
    let other = copal_testkit::get(proxy.addr(), "/never-stored", &[]);
    assert_eq!((other.status, other.header("Retry-After")), (503, Some("5")));
    assert_eq!(origin.count(), 1);
    assert_eq!(admin.request("POST", "/backends/app?state=auto", &[], b"").status, 200);
    let _ = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_policy_sets_grace_and_may_give_up_a_refresh_that_failed() {
    let status = Arc::new(AtomicU16::new(200));
    let now = Arc::clone(&status);
    let origin = Origin::start(move |_| {
        Reply::status(now.load(Ordering::SeqCst), "page").header("Cache-Control", "max-age=10").header("Age", 10)
    });
    let policy = "fn backend_response(bereq, beresp) {\n if bereq.is_bgfetch && beresp.status >= 500 { return abandon(); }\n\
                  beresp.grace = duration(\"6h\"); }";
    let proxy = builder(&origin, "").policy(policy).start();
    for (n, wanted) in [(1, 200), (2, 500), (3, 500), (4, 500)] {
        status.store(wanted, Ordering::SeqCst);
        let response = copal_testkit::get(proxy.addr(), "/page", &[]);
        assert_eq!(response.status, 200);
        origin.wait_for(n, SOON);
        settled(&proxy);
    }
    assert_eq!((proxy.stat("hits_grace"), origin.count()), (3, 4));
}
