//! 04-redirects: old addresses lead to the new ones without the application.

use super::start;
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "04-redirects";

#[test]
fn every_old_address_leads_to_its_new_one() {
    let origin = Origin::start(|_| Reply::ok("page"));
    let proxy = start(NAME, &origin);
    let www = ("Host", "WWW.shop.example");
    let plain = ("X-Forwarded-Proto", "http");
    let other = ("Host", "shop.example");
    for (path, header, status, location) in [
        ("/page?a=1", www, 301, "https://shop.example/page?a=1"),
        ("/page?a=1", plain, 308, "https://shop.example/page?a=1"),
        ("/about.html", other, 301, "/about/"),
        ("/shop?x=1", other, 301, "/products/"),
        ("/blog/2019/07/hello-world", other, 301, "/posts/hello-world/"),
        ("/sale?from=mail", other, 302, "/offers/"),
    ] {
        let answer = client::get(proxy.addr(), path, &[header]);
        assert_eq!((answer.status, answer.header("Location")), (status, Some(location)), "{path}");
        let lasting = if status == 302 { None } else { Some("max-age=3600") };
        assert_eq!(answer.header("Cache-Control"), lasting, "{path}");
    }
    let posted = client::request(proxy.addr(), "POST", "/form", &[plain], b"x=1");
    assert_eq!(posted.status, 308, "a POST stays a POST");
    assert_eq!(origin.count(), 0, "the application is not asked");
}

#[test]
fn what_has_not_moved_is_the_applications() {
    let origin = Origin::start(|_| Reply::ok("page"));
    let proxy = start(NAME, &origin);
    for (path, host) in [
        ("/about/", "shop.example"),
        ("/blog/2019/7/hello", "shop.example"),
        ("/blog/2019/07/hello/comments", "shop.example"),
        ("/page", "www.elsewhere.example"),
        ("/page", "www.shop.example.evil.example"),
    ] {
        let answer = client::get(proxy.addr(), path, &[("Host", host), ("X-Forwarded-Proto", "https")]);
        assert_eq!((answer.status, answer.text().as_str()), (200, "page"), "{host}{path}");
    }
    assert_eq!(origin.count(), 5);
}
