//! 02-bypass-parameter: `?nocache` goes around, `?refresh` renews, tracking parameters do not count.

use super::{copal, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, client};
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "02-bypass-parameter";

/// Numbers its answers.
fn app() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |_| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        Reply::ok(n.to_string()).header("Cache-Control", "max-age=60")
    })
}

fn get(proxy: &Proxy, path: &str) -> String {
    client::get(proxy.addr(), path, &[]).text()
}

#[test]
fn nocache_shows_the_page_as_it_is_now_and_leaves_the_stored_one() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(get(&proxy, "/"), "1");
    assert_eq!(get(&proxy, "/?nocache"), "2");
    assert_eq!(get(&proxy, "/?nocache=1&page=3"), "3");
    assert_eq!(get(&proxy, "/"), "1", "stored as it was");
    let paths: Vec<String> = origin.requests().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/", "/", "/?page=3"], "the application never sees the parameter");
    assert_eq!(get(&proxy, "/?nocache2=1"), "4");
    assert_eq!(get(&proxy, "/?nocache2=1"), "4", "another parameter");
}

#[test]
fn refresh_replaces_the_page_for_everyone_when_an_editor_says_so() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(get(&proxy, "/"), "1");
    assert_eq!(get(&proxy, "/?refresh"), "2");
    let after = client::get(proxy.addr(), "/", &[]);
    assert_eq!((after.text().as_str(), is_hit(&after)), ("2", true));
    assert_eq!(origin.requests()[1].path, "/");
}

#[test]
fn refresh_is_refused_to_others_without_asking_the_application() {
    let origin = app();
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_EDITORS", "192.0.2.0/24").start();
    assert_eq!(get(&proxy, "/"), "1");
    let refused = client::get(proxy.addr(), "/?refresh", &[]);
    assert_eq!((refused.status, refused.reason.as_str()), (403, "Only editors may refresh"));
    assert_eq!(get(&proxy, "/"), "1");
    assert_eq!(origin.count(), 1);
}

#[test]
fn tracking_parameters_and_the_order_of_the_others_make_no_second_copy() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(get(&proxy, "/?b=2&a=1&utm_source=mail&utm_campaign=x"), "1");
    for same in ["/?a=1&b=2", "/?b=2&a=1", "/?a=1&gclid=9&b=2", "/?fbclid=7&b=2&a=1"] {
        assert_eq!(get(&proxy, same), "1", "{same}");
    }
    assert_eq!(origin.requests()[0].path, "/?a=1&b=2");
    assert_eq!(get(&proxy, "/?a=1"), "2", "the others do count");
}
