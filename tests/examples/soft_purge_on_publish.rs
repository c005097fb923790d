//! 48-soft-purge-on-publish: what was published becomes stale, and nobody waits.

use super::{copal, is_hit, start};
use copal_testkit::{Origin, Reply, client, wait};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const NAME: &str = "48-soft-purge-on-publish";

fn app() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::ok(format!("article {n}")).header("Cache-Control", "max-age=3600").header("xkey", "article-7")
    })
}

#[test]
fn a_publication_gives_the_old_page_at_once_and_the_new_one_after_it() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let page = || client::get(proxy.addr(), "/article/7", &[]);
    assert_eq!(page().text(), "article 1");
    assert!(is_hit(&page()) && page().header("xkey").is_none());
    let published = client::request(proxy.addr(), "POST", "/_published", &[("xkey-softpurge", "article-7")], b"");
    assert_eq!((published.status, published.text().as_str()), (200, "Made stale: 1\n"));
    let old = page();
    assert_eq!((old.text().as_str(), is_hit(&old)), ("article 1", true));
    wait::until(Duration::from_secs(20), "the new page", || page().text() == "article 2");
    assert_eq!(origin.count(), 2);
}

#[test]
fn who_is_not_on_the_list_learns_of_no_such_address() {
    let origin = app();
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_EDITORS", "10.0.0.0/8").start();
    let refused = client::request(proxy.addr(), "POST", "/_published", &[("xkey-softpurge", "article-7")], b"");
    assert_eq!((refused.status, origin.count()), (404, 0));
}
