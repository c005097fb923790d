//! 21-ban: by expression, from a client, the policy and the command; the list and the lurker.

use super::{COPAL, copal, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, Response, client};
use std::process::Command;
use std::time::Duration;

const NAME: &str = "21-ban";

fn app() -> Origin {
    Origin::start(|seen| {
        let kind = if seen.path.ends_with(".png") { "image/png" } else { "text/html" };
        Reply::ok(seen.path.as_str())
            .header("Cache-Control", "max-age=600")
            .header("Content-Type", kind)
            .header("Age", "5")
    })
}

fn get(proxy: &Proxy, path: &str) -> Response {
    client::get(proxy.addr(), path, &[("Host", "www.example")])
}

fn ban(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> Response {
    let fields: Vec<_> = fields.iter().copied().chain([("Host", "www.example")]).collect();
    client::request(proxy.addr(), "BAN", path, &fields, b"")
}

fn fill(proxy: &Proxy) {
    for path in ["/news/1", "/news/2", "/shop/1", "/a.png"] {
        let stored = get(proxy, path);
        assert_eq!((stored.status, stored.header("X-Url"), stored.header("X-Host")), (200, None, None));
        assert!(is_hit(&get(proxy, path)));
    }
    let elsewhere = client::get(proxy.addr(), "/news/1", &[("Host", "other.example")]);
    assert_eq!(elsewhere.status, 200);
}

#[test]
fn a_pattern_bans_the_urls_of_its_host() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    let done = ban(&proxy, "/news/", &[]);
    assert_eq!((done.status, done.reason.as_str(), done.text().as_str()), (200, "Ban added", "banned\n"));
    assert!(!is_hit(&get(&proxy, "/news/1")) && is_hit(&get(&proxy, "/news/1")), "what is fetched after it stays");
    assert!(is_hit(&get(&proxy, "/shop/1")));
    assert!(is_hit(&client::get(proxy.addr(), "/news/1", &[("Host", "other.example")])));
    // The lurker finds the other one, and the ban is done.
    proxy.wait_stat("bans", |n| n == 0, Duration::from_secs(20));
    assert_eq!((proxy.stat("banned_objects"), proxy.stat("bans_added"), proxy.stat("objects")), (2, 1, 4));
}

#[test]
fn expressions_are_obeyed_or_refused_with_the_reason() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    assert_eq!(ban(&proxy, "/", &[("X-Ban", "obj.http.content-type ~ ^image/ && req.http.host ~ www")]).status, 200);
    assert!(!is_hit(&get(&proxy, "/a.png")) && is_hit(&get(&proxy, "/news/1")));
    let refused = ban(&proxy, "/", &[("X-Ban", "obj.size > 1")]);
    assert_eq!((refused.status, refused.text().contains("no field `obj.size`")), (400, true), "{}", refused.text());
    assert_eq!(ban(&proxy, "/(", &[]).status, 400);
    assert!(is_hit(&get(&proxy, "/shop/1")));
}

#[test]
fn the_policy_bans_too() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    let done = client::request(proxy.addr(), "DELETE", "/cache/images", &[], b"");
    assert_eq!((done.status, done.reason.as_str()), (200, "Images banned"));
    assert!(!is_hit(&get(&proxy, "/a.png")) && is_hit(&get(&proxy, "/news/1")));
}

#[test]
fn who_is_not_on_the_list_may_not() {
    let origin = app();
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_PURGERS", "10.0.0.1").start();
    fill(&proxy);
    assert_eq!(ban(&proxy, "/", &[]).status, 403);
    assert_eq!(client::request(proxy.addr(), "DELETE", "/cache/images", &[], b"").status, 403);
    assert!(is_hit(&get(&proxy, "/a.png")));
    assert_eq!((proxy.stat("purges_refused"), origin.requests().iter().filter(|s| s.method != "GET").count()), (1, 0));
}

#[test]
fn copal_ban_adds_and_lists() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    let admin = format!("unix:{}", proxy.admin().display());
    let run = |args: &[&str]| Command::new(COPAL).arg("ban").args(args).args(["--admin", &admin]).output().unwrap();
    let text = |args: &[&str]| String::from_utf8(run(args).stdout).unwrap();
    assert!(run(&["req.url ~ ^/news/ && obj.http.content-type ~ html"]).status.success());
    assert!(!is_hit(&get(&proxy, "/news/1")) && is_hit(&get(&proxy, "/shop/1")));
    let list = text(&["--list"]);
    let line =
        list.lines().find(|l| l.contains("req.url ~ ^/news/ && obj.http.content-type ~ html")).unwrap_or_default();
    assert_eq!(line.split_whitespace().nth(4), Some("1"), "one object went: {list}");
    assert!(list.starts_with("1 in force, 0 done\n") && line.contains("request"), "{list}");
    let json: serde_json::Value = serde_json::from_str(&text(&["--list", "--json"])).unwrap();
    assert_eq!(json["bans"][0]["needs_request"], true);
    let wrong = run(&["obj.stat == 1"]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(wrong.status.code() == Some(1) && said.contains("no field `obj.stat`"), "{said}");
    assert!(!run(&[]).status.success());
}
