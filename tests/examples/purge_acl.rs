//! 07-purge-acl: who may purge, and what a purge does.

use super::{COPAL, copal, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, Response, client};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "07-purge-acl";

/// Numbers its answers, one variant per language.
fn app() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |seen| {
        assert_ne!(seen.method, "PURGE", "the application never sees one");
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::ok(n.to_string()).header("Cache-Control", "max-age=60").header("Vary", "Accept-Language")
    })
}

fn get(proxy: &Proxy, path: &str, language: &str) -> Response {
    client::get(proxy.addr(), path, &[("Accept-Language", language)])
}

fn purge(proxy: &Proxy, path: &str) -> Response {
    client::request(proxy.addr(), "PURGE", path, &[], b"")
}

#[test]
fn a_purge_drops_all_variants_of_the_cleaned_url_and_says_how_many() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for language in ["de", "fr"] {
        let _stored = get(&proxy, "/news/1?b=2&a=1", language);
        assert!(is_hit(&get(&proxy, "/news/1?a=1&b=2&utm_source=x", language)));
    }
    let done = purge(&proxy, "/news/1?b=2&utm_source=y&a=1");
    assert_eq!((done.status, done.text().as_str()), (200, "purged 2\n"));
    assert_eq!(get(&proxy, "/news/1?a=1&b=2", "de").text(), "3");
    let nothing = purge(&proxy, "/nothing");
    assert_eq!((nothing.status, nothing.text().as_str()), (200, "purged 0\n"));
}

#[test]
fn who_is_not_on_the_list_is_refused_and_editors_may_purge_the_news() {
    let origin = app();
    let proxy = copal(NAME)
        .env("APP", origin.addr().to_string())
        .env("COPAL_ACL_PURGERS", "10.0.0.1")
        .env("COPAL_ACL_EDITORS", "127.0.0.0/8")
        .start();
    for path in ["/", "/news/1"] {
        let _stored = get(&proxy, path, "de");
    }
    assert_eq!(purge(&proxy, "/").status, 403);
    assert!(is_hit(&get(&proxy, "/", "de")), "nothing is dropped");
    assert_eq!(purge(&proxy, "/news/1").text(), "purged 1\n");
    assert!(!is_hit(&get(&proxy, "/news/1", "de")));
    assert_eq!((proxy.stat("purges"), proxy.stat("purges_refused")), (1, 1));
}

#[test]
fn an_exclamation_mark_takes_an_address_out_again() {
    let origin = app();
    let proxy =
        copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_PURGERS", "127.0.0.0/8, !127.0.0.1").start();
    assert_eq!(purge(&proxy, "/").status, 403);
}

#[test]
fn without_the_purge_section_it_is_405() {
    let origin = app();
    let proxy = start("01-anonymous-cookies", &origin);
    assert_eq!(purge(&proxy, "/").status, 405);
    assert_eq!(origin.count(), 0);
}

#[test]
fn copal_purge_does_the_same_through_the_admin_socket() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let _stored = get(&proxy, "/news/1", "de");
    let admin = format!("unix:{}", proxy.admin().display());
    let url = "http://test.example/news/1?utm_source=x";
    let out = Command::new(COPAL).args(["purge", "--admin", &admin, url]).output().unwrap();
    assert_eq!((String::from_utf8_lossy(&out.stdout).as_ref(), out.status.success()), ("1 object purged\n", true));
    assert!(!is_hit(&get(&proxy, "/news/1", "de")));
}
