//! 23-wordpress-purge: the three ways of Proxy Cache Purge.

use super::{is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, client};

const NAME: &str = "23-wordpress-purge";

fn app() -> Origin {
    Origin::start(|seen| Reply::ok(seen.path.as_str()).header("Cache-Control", "max-age=60"))
}

const PATHS: [&str; 4] = ["/post/", "/post/?page=2", "/post/comments/", "/"];

fn hits(proxy: &Proxy, host: &str) -> [bool; 4] {
    PATHS.map(|path| is_hit(&client::get(proxy.addr(), path, &[("Host", host)])))
}

fn purge(proxy: &Proxy, path: &str, how: &str) -> String {
    let fields = [("Host", "blog.example"), ("X-Purge-Method", how)];
    let done = client::request(proxy.addr(), "PURGE", path, &fields, b"");
    assert_eq!(done.status, 200, "{}", done.text());
    done.text()
}

#[test]
fn each_method_drops_what_it_says_on_its_own_host() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for host in ["blog.example", "shop.example"] {
        assert_eq!(hits(&proxy, host), [false; 4]);
    }
    assert_eq!(purge(&proxy, "/post/", "exact"), "purged 1\n");
    assert_eq!(hits(&proxy, "blog.example"), [false, true, true, true]);
    assert_eq!(purge(&proxy, "/post/", "default"), "purged 1\n");
    assert_eq!(hits(&proxy, "blog.example"), [false, false, true, true]);
    assert_eq!(purge(&proxy, "/post/.*", "regex"), "banned\n");
    assert_eq!(hits(&proxy, "blog.example"), [false, false, false, true]);
    assert_eq!(purge(&proxy, "/.*", "regex"), "banned\n");
    assert_eq!(hits(&proxy, "blog.example"), [false; 4]);
    assert_eq!(hits(&proxy, "shop.example"), [true; 4]);
    let plain = client::request(proxy.addr(), "PURGE", "/", &[("Host", "blog.example")], b"");
    assert_eq!(plain.text(), "purged 1\n");
}

#[test]
fn readers_share_pages_and_authors_do_not() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let get = |path, cookie| client::get(proxy.addr(), path, &[("Cookie", cookie)]);
    let _stored = get("/", "_ga=1");
    assert!(is_hit(&get("/?utm_source=x", "other=2")));
    assert!(!is_hit(&get("/", "wordpress_logged_in_abc=1")));
    assert!(!is_hit(&get("/wp-admin/", "")) && !is_hit(&get("/wp-admin/", "")));
}
