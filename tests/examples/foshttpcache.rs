//! 22-foshttpcache: every request that the library makes.

use super::{is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, Response, client};
use std::sync::atomic::{AtomicUsize, Ordering};

const NAME: &str = "22-foshttpcache";

fn app() -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |seen| {
        let n = count.fetch_add(1, Ordering::SeqCst) + 1;
        let (kind, tags) = match seen.path.as_str() {
            "/posts" => ("text/html", "posts,post-1,post-2"),
            "/posts/1" => ("text/html", "post-1"),
            _ => ("application/json", "post-10"),
        };
        Reply::ok(n.to_string())
            .header("Cache-Control", "max-age=60")
            .header("Content-Type", kind)
            .header("X-Cache-Tags", tags)
    })
}

const PATHS: [&str; 3] = ["/posts", "/posts/1", "/posts/10.json"];

fn start_full(origin: &Origin) -> Proxy {
    let proxy = start(NAME, origin);
    for path in PATHS {
        let stored = get(&proxy, path);
        assert_eq!(["X-Cache-Tags", "X-Url", "X-Host"].map(|name| stored.header(name)), [None; 3]);
    }
    proxy
}

fn get(proxy: &Proxy, path: &str) -> Response {
    client::get(proxy.addr(), path, &[])
}

fn send(proxy: &Proxy, method: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
    let done = client::request(proxy.addr(), method, path, fields, b"");
    (done.status, done.text())
}

fn hits(proxy: &Proxy) -> [bool; 3] {
    PATHS.map(|path| is_hit(&get(proxy, path)))
}

#[test]
fn a_ban_drops_what_matches_host_url_and_type() {
    let origin = app();
    let proxy = start_full(&origin);
    let banned = |fields: &[(&str, &str)]| assert_eq!(send(&proxy, "BAN", "/", fields), (200, "banned\n".to_owned()));
    banned(&[("X-Host", ".*"), ("X-Url", "^/posts"), ("X-Content-Type", "html")]);
    assert_eq!(hits(&proxy), [false, false, true]);
    banned(&[("X-Host", "^other\\."), ("X-Url", ".*"), ("X-Content-Type", ".*")]);
    assert_eq!(hits(&proxy), [true; 3]);
    banned(&[("X-Host", ".*"), ("X-Url", ".*"), ("X-Content-Type", ".*")]);
    assert_eq!(hits(&proxy), [false; 3]);
    assert_eq!(send(&proxy, "BAN", "/", &[]).0, 400);
}

#[test]
fn tags_go_by_ban_and_by_keys() {
    let origin = app();
    let proxy = start_full(&origin);
    let all = [("X-Host", ".*"), ("X-Url", ".*"), ("X-Content-Type", ".*")];
    let with = |tags| [&all[..], &[("X-Cache-Tags", tags)]].concat();
    assert_eq!(send(&proxy, "BAN", "/", &with("(^|,)(post\\-1)(,|$)")), (200, "purged 2\n".to_owned()));
    assert_eq!(hits(&proxy), [false, false, true], "post-10 is another tag");
    assert_eq!(send(&proxy, "BAN", "/", &with("post-1.*")), (200, "banned\n".to_owned()));
    assert_eq!(hits(&proxy), [false; 3]);
    assert_eq!(send(&proxy, "PURGEKEYS", "/", &[("xkey-purge", "post-2 post-10")]), (200, "purged 2\n".to_owned()));
    assert_eq!(send(&proxy, "PURGEKEYS", "/", &[("xkey-softpurge", "post-1")]), (200, "purged 1\n".to_owned()));
    assert_eq!(send(&proxy, "PURGEKEYS", "/", &[]).0, 400);
}

#[test]
fn a_purge_drops_the_url_and_a_refresh_replaces_it() {
    let origin = app();
    let proxy = start_full(&origin);
    assert_eq!(send(&proxy, "PURGE", "/posts", &[]), (200, "purged 1\n".to_owned()));
    assert_eq!(get(&proxy, "/posts").text(), "4");
    assert_eq!(send(&proxy, "GET", "/posts", &[("Cache-Control", "no-cache")]), (200, "5".to_owned()));
    assert_eq!(send(&proxy, "REFRESH", "/posts", &[]), (200, "6".to_owned()));
    let after = get(&proxy, "/posts");
    assert_eq!((is_hit(&after), after.text().as_str(), proxy.stat("objects")), (true, "6", 3));
}

#[test]
fn who_has_a_session_passes() {
    let origin = app();
    let proxy = start_full(&origin);
    let own = client::get(proxy.addr(), "/posts", &[("Cookie", "PHPSESSID=1")]);
    assert!(!is_hit(&own) && is_hit(&get(&proxy, "/posts")));
}
