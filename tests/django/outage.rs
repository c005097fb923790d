//! gunicorn is killed: what is stored goes on being served for as long as grace lasts, and all recovers by itself.

use super::site::Site;
use super::{POLICY, age, assert_hit, builder, cache_status, front, front_with, made};
use copal_observe::clock::ticks;
use copal_testkit::{Proxy, Response, get, wait};
use std::time::{Duration, Instant};

const PAGE: &str = "/news/today/"; // fresh for a second

/// Probes that see an outage, and its end, within a fraction of a second.
const PROBE: &str =
    r#"probe = { path = "/healthz/", interval = "200ms", timeout = "2s", window = 4, threshold = 2, initial = 2 }"#;

/// So that the policy's grace alone decides how long what is stale may be served.
const GRACE_ALONE: &str = "\n[cache]\nstale_if_error = \"0s\"";

/// A second after `max-age`, as an `Age` that no rounding can explain away.
const STALE_AGE: u64 = 2;

#[test]
fn with_the_application_killed_stale_pages_are_served_with_their_true_age() {
    let mut site = Site::start();
    let proxy = front_with(&site, &format!("{PROBE}{GRACE_ALONE}"));
    let (begun, fresh) = (ticks(), get(proxy.addr(), PAGE, &[]));
    site.kill();
    wait_health(&proxy, false);
    let stale = wait_stale(&proxy, begun);
    assert_eq!(made(&stale), made(&fresh));
    assert!(cache_status(&stale).contains("; detail=origin-sick"), "{}", cache_status(&stale));
    assert!(proxy.stat("hits_stale_error") + proxy.stat("hits_grace") > 0);
    let cold = get(proxy.addr(), "/", &[]);
    assert_error_page(&cold);
}

#[test]
fn without_probes_stale_pages_are_served_and_renewed_too() {
    let mut site = Site::start();
    let proxy = front_with(&site, GRACE_ALONE);
    let (begun, fresh) = (ticks(), get(proxy.addr(), PAGE, &[]));
    site.kill();
    let stale = wait_stale(&proxy, begun);
    assert_eq!(made(&stale), made(&fresh));
    proxy.wait_stat("fetches_failed", |n| n > 0, wait::PATIENCE);
    assert_eq!(made(&get(proxy.addr(), PAGE, &[])), made(&fresh), "a failed refresh takes nothing away");
    site.restart();
    wait::until(wait::PATIENCE, "the page is renewed", || made(&get(proxy.addr(), PAGE, &[])) != made(&fresh));
}

#[test]
fn past_grace_there_is_an_error_page() {
    let mut site = Site::start();
    let policy = POLICY.replace("6h", "2s");
    let proxy = builder(&site, &format!("{PROBE}{GRACE_ALONE}")).policy(&policy).start();
    let (begun, fresh) = (ticks(), get(proxy.addr(), PAGE, &[]));
    site.kill();
    let error = wait::poll(wait::PATIENCE, || {
        let page = get(proxy.addr(), PAGE, &[]);
        if page.status != 200 {
            return Some(page);
        }
        assert_eq!(made(&page), made(&fresh));
        assert!(age(&page) <= 3, "past grace: {page:?}");
        None
    });
    // A second of max-age and two of grace, less what Date in whole seconds may take away.
    assert!(begun.elapsed() >= Duration::from_secs(2), "grace was cut short");
    assert_error_page(&error.expect("grace ends"));
}

#[test]
fn when_the_application_comes_back_it_recovers_by_itself() {
    let mut site = Site::start();
    let proxy = front_with(&site, &format!("{PROBE}{GRACE_ALONE}"));
    let (begun, fresh) = (ticks(), get(proxy.addr(), PAGE, &[]));
    site.kill();
    wait_health(&proxy, false);
    wait_stale(&proxy, begun);
    assert_error_page(&get(proxy.addr(), "/", &[]));
    site.restart();
    wait_health(&proxy, true);
    wait::until(wait::PATIENCE, "the page is renewed", || made(&get(proxy.addr(), PAGE, &[])) != made(&fresh));
    assert_eq!(get(proxy.addr(), "/", &[]).status, 200);
    assert_eq!(get(proxy.addr(), "/", &[]).header("x-cache"), Some("HIT"));
}

#[test]
fn a_restart_of_the_application_between_two_requests_is_not_seen_by_visitors() {
    let mut site = Site::start();
    let proxy = front(&site);
    // Passes: each takes the pooled connection, which the restart has closed.
    let pass = |n: u32| get(proxy.addr(), &format!("/news/{n}/"), &[("Cookie", "sessionid=none")]);
    for n in 0..3 {
        assert_eq!(pass(n).status, 200);
        site.restart();
        assert_eq!(pass(n).status, 200);
    }
}

/// Asks until the page is well past its lifetime, with `Age` and `Cache-Status` right each time.
#[track_caller]
fn wait_stale(proxy: &Proxy, begun: Instant) -> Response {
    let stale = wait::poll(wait::PATIENCE, || {
        let page = get(proxy.addr(), PAGE, &[]);
        let age = age(&page);
        assert!(age <= begun.elapsed().as_secs() + 1, "older than it can be: {page:?}"); // Date has whole seconds
        assert_hit(&page, 1);
        (age >= STALE_AGE).then_some(page)
    });
    assert!(begun.elapsed() >= Duration::from_secs(STALE_AGE - 1), "younger than that");
    stale.expect("the page grows old")
}

#[track_caller]
fn wait_health(proxy: &Proxy, healthy: bool) {
    let what = if healthy { "healthy" } else { "sick" };
    let seen = || proxy.stats()["backends"][0]["healthy"] == healthy;
    wait::until(wait::PATIENCE, &format!("the backend is {what}"), seen);
}

#[track_caller]
fn assert_error_page(response: &Response) {
    assert_eq!((response.status, response.complete), (503, true), "{response:?}");
    assert!(response.header("Retry-After").is_some(), "{response:?}");
    assert!(response.text().contains("<h1>503 "), "{}", response.text());
    assert_eq!(response.header("Age"), None);
}
