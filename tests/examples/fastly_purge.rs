//! 28-fastly-purge: `PURGE` of a URL, by keys, softly; and a lifetime for the edge alone.

use super::{cache_status, copal, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, Response, client};
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "28-fastly-purge";

fn app() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |seen| {
        assert_eq!(seen.method, "GET", "the application never sees a purge");
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let page = Reply::ok(n.to_string()).header("Cache-Control", "max-age=60");
        match seen.path.as_str() {
            "/edge" => page.header("Surrogate-Control", "content=\"ESI/1.0\", max-age=600"),
            target => page.header("Surrogate-Key", format!("all {}", target.trim_start_matches('/'))),
        }
    })
}

fn get(proxy: &Proxy, path: &str) -> Response {
    client::get(proxy.addr(), path, &[])
}

fn purge(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let done = client::request(proxy.addr(), "PURGE", path, fields, b"");
    (done.status, done.text())
}

#[test]
fn urls_and_keys_go_hard_or_softly() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let first = get(&proxy, "/a");
    assert_eq!((first.text().as_str(), first.header("Surrogate-Key")), ("1", None));
    assert_eq!(purge(&proxy, "/a", &[]), (200, "purged 1\n".to_owned()));
    assert_eq!(get(&proxy, "/a").text(), "2");
    assert_eq!(get(&proxy, "/b").text(), "3");
    assert_eq!(purge(&proxy, "/", &[("Surrogate-Key", "a b")]), (200, "purged 2\n".to_owned()));
    assert_eq!((get(&proxy, "/a").text(), get(&proxy, "/b").text()), ("4".to_owned(), "5".to_owned()));
    assert_eq!(purge(&proxy, "/", &[("Surrogate-Key", "all"), ("Fastly-Soft-Purge", "1")]).1, "purged 2\n");
    let stale = get(&proxy, "/a");
    assert!(is_hit(&stale) && stale.text() == "4", "{stale:?}");
    assert_eq!(purge(&proxy, "/b", &[("Fastly-Soft-Purge", "1")]), (200, "purged 1\n".to_owned()));
    assert_eq!(get(&proxy, "/b").text(), "5");
}

#[test]
fn the_edge_has_a_lifetime_of_its_own() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let page = get(&proxy, "/edge");
    assert_eq!(page.header("Surrogate-Control"), None);
    let (_, ttl) = cache_status(&page).split_once("ttl=").unwrap();
    let ttl: i64 = ttl.split(';').next().unwrap().parse().unwrap();
    assert!((590..=600).contains(&ttl), "{page:?}");
}

#[test]
fn who_is_not_on_the_list_purges_nothing() {
    let origin = app();
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_PURGERS", "10.0.0.1").start();
    assert_eq!(get(&proxy, "/a").text(), "1");
    assert_eq!(purge(&proxy, "/a", &[]).0, 403);
    assert_eq!(get(&proxy, "/a").text(), "1");
}
