//! 34-ab-test: a fifth of the visitors see the new page, always the same fifth.

use super::start;
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "34-ab-test";

fn app() -> Origin {
    Origin::start(|seen| {
        let variant = seen.header("X-Variant").unwrap_or("none").to_owned();
        Reply::ok(variant).header("Cache-Control", "max-age=60").header("Vary", "X-Variant")
    })
}

#[test]
fn a_new_visitor_gets_a_number_and_stays_in_the_group() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for _ in 0..5 {
        let first = client::get(proxy.addr(), "/", &[]);
        let cookie = first.header("Set-Cookie").and_then(|c| c.split(';').next()).expect("a number").to_owned();
        let again = client::get(proxy.addr(), "/", &[("Cookie", &cookie)]);
        assert_eq!((again.text(), again.header("Set-Cookie")), (first.text(), None));
    }
}

#[test]
fn a_fifth_see_the_new_page_and_both_are_from_the_cache() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let mut client = proxy.client();
    let variant = |n: i32, client: &mut copal_testkit::Client| {
        let cookie = format!("_ga=1; visitor={n}");
        client.get("/", &[("Cookie", &cookie)]).text()
    };
    let new = (0..500).filter(|n| variant(*n, &mut client) == "b").count();
    assert!((70..130).contains(&new), "{new} of 500");
    assert_eq!(origin.count(), 2);
}
