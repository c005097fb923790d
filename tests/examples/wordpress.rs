//! 43-wordpress: visitors from the cache, authors from the application.

use super::{cache_status, is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "43-wordpress";

#[test]
fn visitors_share_pages_and_authors_do_not() {
    let origin = Origin::start(|seen| Reply::ok(seen.header("Cookie").unwrap_or("anybody").to_owned()));
    let proxy = start(NAME, &origin);
    for (n, path) in ["/2024/a-post/", "/2024/a-post/?utm_source=x", "/2024/a-post/?replytocom=7"].iter().enumerate() {
        let cookie = format!("_ga={n}; wp-settings-1=x; woocommerce_items_in_cart=0");
        let page = client::get(proxy.addr(), path, &[("Cookie", &cookie)]);
        assert_eq!((page.text().as_str(), is_hit(&page)), ("anybody", n > 0), "{path}");
    }
    for (path, cookie) in [
        ("/2024/a-post/", "wordpress_logged_in_1a2b=me"),
        ("/2024/a-post/", "a=1; comment_author_1a2b=me"),
        ("/2024/a-post/", "woocommerce_items_in_cart=3"),
        ("/2024/a-post/?preview=true", "a=1"),
        ("/wp-admin/", "a=1"),
        ("/wp-login.php", "a=1"),
    ] {
        let page = client::get(proxy.addr(), path, &[("Cookie", cookie)]);
        assert_eq!(page.text(), cookie, "{path}");
        assert!(cache_status(&page).starts_with("copal; fwd=bypass"), "{path}: {}", cache_status(&page));
    }
    assert_eq!(client::request(proxy.addr(), "POST", "/2024/a-post/", &[("Cookie", "a=1")], b"x").text(), "a=1");
}

#[test]
fn files_are_kept_for_a_week_and_a_plug_in_is_listened_to() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/private/" => Reply::ok("x").header("Cache-Control", "no-store"),
        _ => Reply::ok("x").header("Set-Cookie", "wordpress_test_cookie=1"),
    });
    let proxy = start(NAME, &origin);
    for (path, kept) in [("/wp-content/a.css?ver=6", true), ("/private/", false), ("/page/", false)] {
        let _first = client::get(proxy.addr(), path, &[]);
        assert_eq!(is_hit(&client::get(proxy.addr(), path, &[])), kept, "{path}");
    }
}
