//! 44-django-admin: the admin for the staff alone and never stored.

use super::{copal, is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "44-django-admin";

fn app() -> Origin {
    Origin::start(|seen| {
        let text = format!("{} {}", seen.path, seen.header("Cookie").unwrap_or("-"));
        Reply::ok(text).header("Cache-Control", "max-age=60").header("Vary", "Cookie")
    })
}

#[test]
fn the_admin_is_for_the_staff_and_not_stored() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for _ in 0..2 {
        let page = client::get(proxy.addr(), "/admin/", &[("Cookie", "sessionid=me")]);
        assert_eq!((page.text().as_str(), page.header("Cache-Control")), ("/admin/ sessionid=me", Some("no-store")));
        assert!(!is_hit(&page));
    }
    let proxy = copal(NAME).env("APP", origin.addr().to_string()).env("COPAL_ACL_STAFF", "10.0.0.0/8").start();
    assert_eq!(client::get(proxy.addr(), "/admin/", &[("Cookie", "sessionid=me")]).status, 404);
    assert_eq!(origin.count(), 2);
}

#[test]
fn pages_are_shared_until_a_log_in_and_files_always() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for (path, cookie, text, hit) in [
        ("/", "csrftoken=1", "/ -", false),
        ("/", "csrftoken=2; theme=x", "/ -", true),
        ("/", "csrftoken=2; messages=x", "/ csrftoken=2; messages=x", false),
        ("/", "csrftoken=1; sessionid=me", "/ csrftoken=1; sessionid=me", false),
        ("/static/a.css", "sessionid=me", "/static/a.css -", false),
        ("/static/a.css", "csrftoken=1", "/static/a.css -", true),
    ] {
        let page = client::get(proxy.addr(), path, &[("Cookie", cookie)]);
        assert_eq!((page.text().as_str(), is_hit(&page)), (text, hit), "{path} {cookie}");
    }
    let sent = client::request(proxy.addr(), "POST", "/contact/", &[("Cookie", "csrftoken=1")], b"x");
    assert_eq!(sent.text(), "/contact/ csrftoken=1");
}
