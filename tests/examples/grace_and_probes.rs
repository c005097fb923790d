//! 05-grace-and-probes: a little grace when all is well, a day when the application is down.
//!
//! Old pages need no waiting: an origin that says `Age: 65` to `max-age=60` has sent one that is 5 s past its ttl.

use super::{cache_status, copal, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, Response, client, wait};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NAME: &str = "05-grace-and-probes";
const PATIENCE: Duration = Duration::from_secs(20);

fn page(version: usize, age: u32) -> Reply {
    Reply::ok(format!("version {version}")).header("Cache-Control", "max-age=60").header("Age", age)
}

/// The first page is that old, later ones are new; with `broken`, the second answer is 500.
fn app(age: u32, broken: bool) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |seen| {
        if seen.path == "/healthz/" {
            return Reply::ok("well");
        }
        match count.fetch_add(1, Ordering::SeqCst) + 1 {
            1 => page(1, age),
            2 if broken => Reply::status(500, "broken"),
            version => page(version, 0),
        }
    })
}

fn get(proxy: &Proxy) -> Response {
    client::get(proxy.addr(), "/page", &[])
}

fn text(proxy: &Proxy) -> String {
    get(proxy).text()
}

/// With probes so fast that a test can wait for them.
fn probing(origin: &Origin) -> Proxy {
    let proxy =
        copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_BACKEND_APP_PROBE_INTERVAL", "50ms").start();
    proxy.wait_log("backend is healthy");
    proxy
}

/// With the probes of `copal.toml`; the first is sent at once.
fn slowly_probing(origin: &Origin) -> Proxy {
    let proxy = start(NAME, origin);
    proxy.wait_log("backend is healthy");
    proxy
}

#[test]
fn a_page_just_past_its_ttl_is_served_at_once_while_one_fetch_renews_it() {
    let origin = app(65, false);
    let proxy = slowly_probing(&origin);
    assert_eq!(text(&proxy), "version 1");
    let gate = origin.hold("/page");
    for _ in 0..3 {
        let stale = get(&proxy);
        assert_eq!(stale.text(), "version 1");
        assert!(cache_status(&stale).contains("hit") && cache_status(&stale).contains("stale-while-revalidate"));
        assert!(stale.header("Age").unwrap().parse::<u32>().unwrap() >= 65);
    }
    wait::until(PATIENCE, "the refresh", || origin.count_of("/page") == 2);
    gate.release();
    wait::until(PATIENCE, "the new page", || text(&proxy) == "version 2");
    assert_eq!(origin.count_of("/page"), 2, "one refresh for all");
}

#[test]
fn a_refresh_that_fails_leaves_the_stale_page() {
    let origin = app(65, true);
    let proxy = slowly_probing(&origin);
    assert_eq!(text(&proxy), "version 1");
    assert_eq!(text(&proxy), "version 1", "and begins the refresh that gets a 500");
    wait::until(PATIENCE, "the refresh", || origin.count_of("/page") == 2);
    proxy.wait_stat("fetches_running", |n| n == 0, PATIENCE);
    let still = get(&proxy);
    assert_eq!((still.status, still.text().as_str()), (200, "version 1"), "and tries again");
    wait::until(PATIENCE, "the new page", || text(&proxy) == "version 3");
}

#[test]
fn a_page_long_past_its_ttl_is_waited_for_while_the_application_is_well() {
    let origin = app(3660, false);
    let proxy = slowly_probing(&origin);
    assert_eq!(text(&proxy), "version 1");
    let renewed = get(&proxy);
    assert_eq!((renewed.text().as_str(), is_hit(&renewed)), ("version 2", false));
}

#[test]
fn an_old_page_is_served_when_the_fetch_fails_before_the_probe_knows() {
    let mut origin = app(3660, false);
    let proxy = slowly_probing(&origin);
    assert_eq!(text(&proxy), "version 1");
    origin.stop();
    let old = get(&proxy);
    assert_eq!((old.status, old.text().as_str()), (200, "version 1"));
    assert!(old.header("Age").unwrap().parse::<u32>().unwrap() >= 3660, "its true age");
}

#[test]
fn while_the_application_is_down_old_pages_are_served_and_it_recovers_by_itself() {
    let mut origin = app(3660, false);
    let proxy = probing(&origin);
    assert_eq!(text(&proxy), "version 1");
    origin.stop();
    proxy.wait_log("backend is sick");
    let fetches = proxy.stat("fetches");
    for _ in 0..3 {
        let old = get(&proxy);
        assert_eq!((old.status, old.text().as_str()), (200, "version 1"));
        assert!(old.header("Age").unwrap().parse::<u32>().unwrap() >= 3660, "its true age");
    }
    assert_eq!(proxy.stat("fetches"), fetches, "nothing but probes goes out");
    let cold = client::get(proxy.addr(), "/never-stored", &[]);
    assert_eq!((cold.status, cold.header("Retry-After").is_some()), (503, true));
    origin.restart();
    wait::until(PATIENCE, "fresh pages", || text(&proxy) == "version 2");
}

#[test]
fn a_page_older_than_a_day_is_not_served_even_then() {
    let mut origin = app(60 + 86_400, false);
    let proxy = probing(&origin);
    assert_eq!(text(&proxy), "version 1");
    origin.stop();
    proxy.wait_log("backend is sick");
    assert_eq!(get(&proxy).status, 503);
}
