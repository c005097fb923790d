//! 26-refresh: fetched now, replaced when it is there, kept when it is not; and lifetimes that are spread.

use super::{cache_status, copal, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, client};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const NAME: &str = "26-refresh";

fn app(broken: &Arc<AtomicBool>) -> Origin {
    let (count, broken) = (AtomicUsize::new(0), Arc::clone(broken));
    Origin::start(move |seen| {
        assert_eq!((seen.method.as_str(), seen.header("X-Refresh")), ("GET", None));
        if broken.load(Ordering::SeqCst) {
            return Reply::status(503, "down");
        }
        Reply::ok((count.fetch_add(1, Ordering::SeqCst) + 1).to_string()).header("Cache-Control", "max-age=1000")
    })
}

fn ask(proxy: &Proxy, method: &str, fields: &[(&str, &str)]) -> String {
    client::request(proxy.addr(), method, "/page", fields, b"").text()
}

#[test]
fn a_refresh_replaces_the_page_and_a_failed_one_leaves_it() {
    let broken = Arc::default();
    let origin = app(&broken);
    let proxy = start(NAME, &origin);
    assert_eq!(ask(&proxy, "GET", &[]), "1");
    assert_eq!(ask(&proxy, "REFRESH", &[]), "2");
    assert_eq!(ask(&proxy, "GET", &[]), "2");
    assert_eq!((proxy.stat("objects"), proxy.stat("refreshes")), (1, 1));
    broken.store(true, Ordering::SeqCst);
    assert_eq!(client::request(proxy.addr(), "REFRESH", "/page", &[], b"").status, 503);
    let page = client::get(proxy.addr(), "/page", &[]);
    assert!(is_hit(&page) && page.text() == "2", "{page:?}");
}

#[test]
fn editors_refresh_what_they_look_at_and_nobody_else() {
    let broken = Arc::default();
    let origin = app(&broken);
    let proxy = start(NAME, &origin);
    assert_eq!(ask(&proxy, "GET", &[]), "1");
    assert_eq!(ask(&proxy, "GET", &[("X-Refresh", "1")]), "1");
    assert_eq!(ask(&proxy, "GET", &[("X-Refresh", "1"), ("Cookie", "editor=7")]), "2");
    assert_eq!(ask(&proxy, "GET", &[]), "2");
}

#[test]
fn who_is_not_on_the_list_may_not() {
    let broken = Arc::default();
    let origin = app(&broken);
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_PURGERS", "10.0.0.1").start();
    assert_eq!(ask(&proxy, "GET", &[("Cookie", "editor=7"), ("X-Refresh", "1")]), "1");
    assert_eq!(client::request(proxy.addr(), "REFRESH", "/page", &[], b"").status, 403);
    assert_eq!((ask(&proxy, "GET", &[]).as_str(), origin.count()), ("1", 1));
}

#[test]
fn lifetimes_are_up_to_a_tenth_shorter_each_by_its_own_share() {
    let broken = Arc::default();
    let origin = app(&broken);
    let proxy = start(NAME, &origin);
    let mut seen = BTreeSet::new();
    for n in 0..40 {
        let page = client::get(proxy.addr(), &format!("/{n}"), &[]);
        let (_, ttl) = cache_status(&page).split_once("ttl=").unwrap();
        let ttl: i64 = ttl.split(';').next().unwrap().parse().unwrap();
        assert!((899..=1000).contains(&ttl), "{ttl}");
        seen.insert(ttl);
    }
    assert!(seen.len() > 10, "{seen:?}");
}
