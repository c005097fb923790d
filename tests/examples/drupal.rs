//! 25-drupal: whole tags, not what begins like them.

use super::{is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, client};

const NAME: &str = "25-drupal";

fn app() -> Origin {
    Origin::start(|seen| {
        let tags = if seen.path == "/" { "node:1 node:12 node_list" } else { &seen.path[1..] };
        Reply::ok(seen.path.as_str()).header("Cache-Control", "max-age=60").header("Cache-Tags", tags)
    })
}

fn hits(proxy: &Proxy) -> [bool; 3] {
    ["/", "/node:1", "/node:12"].map(|path| {
        let page = client::get(proxy.addr(), path, &[("Cookie", "_ga=1")]);
        assert_eq!(page.header("Cache-Tags"), None);
        is_hit(&page)
    })
}

fn ban(proxy: &Proxy, fields: &[(&str, &str)]) -> (u16, String) {
    let done = client::request(proxy.addr(), "BAN", "/", fields, b"");
    (done.status, done.text())
}

#[test]
fn a_ban_by_tags_drops_what_carries_them() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(hits(&proxy), [false; 3]);
    assert_eq!(ban(&proxy, &[("Cache-Tags", "node:12")]), (200, "purged 2\n".to_owned()));
    assert_eq!(hits(&proxy), [false, true, false]);
    assert_eq!(ban(&proxy, &[("Cache-Tags", "node:1|node:12 node:3")]), (200, "purged 3\n".to_owned()));
    assert_eq!(ban(&proxy, &[("Cache-Tags", "node")]), (200, "purged 0\n".to_owned()));
    let (status, why) = ban(&proxy, &[]);
    assert!(status == 400 && why.contains("Cache-Tags"), "{why}");
}

#[test]
fn sessions_pass_and_a_purge_drops_the_url() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(hits(&proxy), [false; 3]);
    assert!(!is_hit(&client::get(proxy.addr(), "/", &[("Cookie", "SSESSabc=1")])));
    assert_eq!(client::request(proxy.addr(), "PURGE", "/", &[], b"").text(), "purged 1\n");
    assert_eq!(hits(&proxy), [false, true, true]);
}
