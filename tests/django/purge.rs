//! PURGE: from an address that may, from one that may not, and where it is off.

use super::site::Site;
use super::{builder, front, front_with, made};
use copal_testkit::{Client, Response, get};
use std::net::Ipv4Addr;

const ACL: &str = "[acl]\npurgers = [\"127.0.0.1\"]\n[purge]\nacl = \"purgers\"";

/// The number that the answer to a PURGE tells.
#[track_caller]
fn purged(answer: &Response) -> u64 {
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = answer.text().to_lowercase();
    let (_, rest) = text.split_once("purged ").unwrap_or_else(|| panic!("no answer to a PURGE: {text}"));
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

#[test]
fn an_allowed_address_purges_a_page_and_the_next_visitor_gets_a_new_one() {
    let site = Site::start();
    let proxy = front_with(&site, ACL);
    let old = made(&get(proxy.addr(), "/", &[]));
    assert_eq!(made(&get(proxy.addr(), "/", &[])), old);
    let mut purger = proxy.client();
    let answer = purger.request("PURGE", "/", &[], b"");
    assert_eq!(purged(&answer), 1);
    let new = get(proxy.addr(), "/", &[]);
    assert_eq!(new.header("x-cache"), Some("MISS"));
    assert_ne!(made(&new), old);
    let nothing = purger.request("PURGE", "/news/never-asked-for/", &[], b"");
    assert_eq!(purged(&nothing), 0);
    assert_eq!((proxy.stat("purges"), proxy.stat("purged_objects")), (2, 1));
    assert_eq!(site.runs("front"), 2);
}

#[test]
fn an_address_that_is_not_on_the_list_is_refused_and_the_page_stays() {
    let site = Site::start();
    let proxy = front_with(&site, ACL);
    let page = made(&get(proxy.addr(), "/", &[]));
    let mut stranger = Client::connect_from(Ipv4Addr::new(127, 0, 0, 2), proxy.addr());
    assert_eq!(stranger.request("PURGE", "/", &[], b"").status, 403);
    // What a client says of its own address counts for nothing.
    assert_eq!(stranger.request("PURGE", "/", &[("X-Forwarded-For", "127.0.0.1")], b"").status, 403);
    assert_eq!(made(&get(proxy.addr(), "/", &[])), page);
    assert_eq!((proxy.stat("purges_refused"), proxy.stat("purged_objects")), (2, 0));
}

#[test]
fn a_purge_takes_all_variants_of_a_page() {
    let site = Site::start();
    let policy = r#"fn recv(req) { req.cookie.keep(["theme"]); }"#;
    let proxy = builder(&site, ACL).policy(policy).start();
    let ask = || {
        for theme in ["theme=dark", "theme=light"] {
            assert_eq!(get(proxy.addr(), "/theme/", &[("Cookie", theme)]).status, 200);
        }
    };
    ask();
    let answer = proxy.client().request("PURGE", "/theme/", &[], b"");
    assert_eq!(purged(&answer), 2);
    ask();
    assert_eq!(site.runs("theme"), 4);
}

#[test]
fn where_purging_is_off_the_method_is_not_allowed_and_does_not_reach_the_application() {
    let site = Site::start();
    let proxy = front(&site);
    let page = made(&get(proxy.addr(), "/", &[]));
    assert_eq!(proxy.client().request("PURGE", "/", &[], b"").status, 405);
    assert_eq!(made(&get(proxy.addr(), "/", &[])), page);
    assert_eq!((site.runs("front"), proxy.stat("fetches")), (1, 1));
}
