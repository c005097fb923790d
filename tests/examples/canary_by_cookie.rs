//! 40-canary-by-cookie: a new release for testers and a few others, beside the old one.

use super::{copal, is_hit};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "40-canary-by-cookie";

#[test]
fn each_release_has_its_visitors_and_its_copies() {
    let [stable, canary] = ["stable", "canary"].map(|name| {
        Origin::start(move |seen| {
            assert_eq!(seen.header("Cookie"), None);
            Reply::ok(name).header("Cache-Control", "max-age=60")
        })
    });
    let proxy = copal(NAME).env("APP", stable.addr().to_string()).env("CANARY", canary.addr().to_string()).start();
    for round in 0..2 {
        for (cookie, expected) in [("canary=yes; a=1", "canary"), ("canary=no", "stable"), ("canary=maybe", "stable")] {
            let page = client::get(proxy.addr(), "/", &[("Cookie", cookie)]);
            assert_eq!((page.text().as_str(), page.header("X-Release")), (expected, Some(expected)), "{cookie}");
            assert!(round == 0 || is_hit(&page), "{cookie}");
        }
    }
    assert_eq!((stable.count_of("/"), canary.count_of("/")), (1, 1));
}

#[test]
fn an_address_stays_with_its_release() {
    let [stable, canary] = ["stable", "canary"].map(|name| Origin::start(move |_| Reply::ok(name)));
    let proxy = copal(NAME).env("APP", stable.addr().to_string()).env("CANARY", canary.addr().to_string()).start();
    let first = client::get(proxy.addr(), "/", &[]).text();
    for _ in 0..5 {
        assert_eq!(client::get(proxy.addr(), "/", &[]).text(), first);
    }
}
