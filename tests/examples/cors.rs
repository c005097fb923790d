//! 38-cors: an interface for pages of other sites; preflights answered at the edge.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "38-cors";
const APP: (&str, &str) = ("Origin", "https://app.example");
const EVIL: (&str, &str) = ("Origin", "https://app.example.evil");

#[test]
fn preflights_are_answered_without_the_application() {
    let origin = Origin::start(|_| Reply::ok("never"));
    let proxy = start(NAME, &origin);
    let asked = [APP, ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "x-token")];
    let answer = client::request(proxy.addr(), "OPTIONS", "/api/cart", &asked, b"");
    assert_eq!((answer.status, answer.text().as_str()), (204, ""));
    for (name, value) in [
        ("Access-Control-Allow-Origin", "https://app.example"),
        ("Access-Control-Allow-Methods", "GET, POST, PUT"),
        ("Access-Control-Allow-Headers", "x-token"),
        ("Access-Control-Max-Age", "3600"),
        ("Vary", "Origin"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let asked = [EVIL, ("Access-Control-Request-Method", "PUT")];
    let answer = client::request(proxy.addr(), "OPTIONS", "/api/cart", &asked, b"");
    assert_eq!((answer.status, answer.header("Access-Control-Allow-Origin")), (204, None));
    assert_eq!(origin.count(), 0);
}

#[test]
fn one_stored_answer_names_the_origin_of_each_who_may_read_it() {
    let origin = Origin::start(|_| Reply::ok("cart").header("Cache-Control", "max-age=60"));
    let proxy = start(NAME, &origin);
    let allowed = |headers: &[(&str, &str)]| {
        let answer = client::get(proxy.addr(), "/api/cart", headers);
        (answer.header("Access-Control-Allow-Origin").map(str::to_owned), is_hit(&answer))
    };
    assert_eq!(allowed(&[APP]), (Some("https://app.example".into()), false));
    assert_eq!(allowed(&[("Origin", "https://admin.example")]), (Some("https://admin.example".into()), true));
    assert_eq!(allowed(&[EVIL]), (None, true));
    assert_eq!(allowed(&[]), (None, true));
    assert_eq!(client::get(proxy.addr(), "/page", &[APP]).header("Vary"), None);
    assert_eq!(client::request(proxy.addr(), "OPTIONS", "/api/cart", &[], b"").text(), "cart", "no preflight");
}
