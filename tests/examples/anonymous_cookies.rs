//! 01-anonymous-cookies: visitors share pages, logged-in users never do.

use super::{cache_status, is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "01-anonymous-cookies";

/// Pages say who asked; `/login/` sets a cookie; static files set one too, and forbid nothing.
fn app() -> Origin {
    Origin::start(|seen| {
        let body = format!("{} for {}", seen.path, seen.header("Cookie").unwrap_or("anybody"));
        let reply = Reply::ok(body).header("Cache-Control", "max-age=60").header("Vary", "Cookie");
        match seen.path.as_str() {
            "/login/" => reply.header("Set-Cookie", "csrftoken=1"),
            "/static/app.css" => Reply::ok("css").header("Set-Cookie", "csrftoken=1"),
            _ => reply,
        }
    })
}

#[test]
fn visitors_with_different_cookies_share_one_page() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let first = client::get(proxy.addr(), "/", &[("Cookie", "_ga=1; theme=dark")]);
    assert_eq!((first.text().as_str(), first.header("X-Cache")), ("/ for anybody", Some("MISS")));
    // Neither the name nor the value of another cookie makes a session.
    for cookie in ["_ga=2", "xsessionid=1", "note=sessionid", "a=sessionid=1"] {
        let next = client::get(proxy.addr(), "/", &[("Cookie", cookie)]);
        assert_eq!((next.text().as_str(), next.header("X-Cache")), ("/ for anybody", Some("HIT")), "{cookie}");
        assert!(is_hit(&next));
    }
    assert_eq!(origin.count(), 1);
    assert_eq!(origin.requests()[0].header("Cookie"), None);
}

#[test]
fn who_is_logged_in_gets_pages_of_their_own_that_nobody_else_gets() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for user in ["me", "you", "me"] {
        let cookie = format!("_ga=1; sessionid={user}");
        let page = client::get(proxy.addr(), "/", &[("Cookie", &cookie)]);
        assert_eq!(page.text(), format!("/ for _ga=1; sessionid={user}"));
        assert_eq!(page.header("X-Cache"), Some("MISS"));
        assert!(cache_status(&page).starts_with("copal; fwd=bypass"), "{}", cache_status(&page));
    }
    assert_eq!(client::get(proxy.addr(), "/", &[]).text(), "/ for anybody");
    assert_eq!(origin.count(), 4, "three passes and a miss");
    assert_eq!(proxy.stat("objects"), 1);
}

#[test]
fn forms_keep_their_cookies_and_pages_that_set_one_are_not_shared() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let sent = client::request(proxy.addr(), "POST", "/login/", &[("Cookie", "csrftoken=7")], b"user=me");
    assert_eq!(sent.text(), "/login/ for csrftoken=7");
    for _ in 0..2 {
        let form = client::get(proxy.addr(), "/login/", &[]);
        assert_eq!((form.header("Set-Cookie"), is_hit(&form)), (Some("csrftoken=1"), false));
    }
    assert_eq!(origin.count_of("/login/"), 3);
}

#[test]
fn static_files_are_shared_for_a_day_by_everyone_and_set_no_cookie() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let first = client::get(proxy.addr(), "/static/app.css", &[("Cookie", "sessionid=me")]);
    assert_eq!((first.header("Set-Cookie"), first.text().as_str()), (None, "css"));
    let second = client::get(proxy.addr(), "/static/app.css", &[]);
    assert!(is_hit(&second) && second.header("Set-Cookie").is_none());
    let ttl = cache_status(&second).split("ttl=").nth(1).and_then(|rest| rest.split(';').next()).unwrap();
    assert!((86_000..=86_400).contains(&ttl.parse().unwrap()), "{ttl}");
    assert_eq!(origin.count(), 1);
    assert_eq!(origin.requests()[0].header("Cookie"), None);
}
