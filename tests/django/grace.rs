//! Grace while the application is well: what is stale is served at once, and renewed behind the visitor's back.

use super::site::Site;
use super::{age, cache_status, front, made};
use copal_testkit::{get, wait};

#[test]
fn a_stale_page_is_served_at_once_and_the_next_visitors_see_the_new_one() {
    let site = Site::start();
    let proxy = front(&site);
    let old = made(&get(proxy.addr(), "/news/today/", &[]));
    let stale = wait::poll(wait::PATIENCE, || {
        let page = get(proxy.addr(), "/news/today/", &[]);
        assert_eq!(made(&page), old, "the first to come after its end still gets the old page");
        (proxy.stat("hits_grace") > 0).then_some(page)
    });
    let stale = stale.expect("the page, fresh for a second, is stale at last");
    assert!(age(&stale) >= 1, "{stale:?}");
    assert!(cache_status(&stale).starts_with("copal; hit; ttl="), "{}", cache_status(&stale));
    let renewed = || made(&get(proxy.addr(), "/news/today/", &[])) != old;
    wait::until(wait::PATIENCE, "the page was renewed", renewed);
    assert!(proxy.stat("background_fetches") >= 1);
    assert_eq!(proxy.stat("misses"), 1, "nobody has waited for the application but the first visitor");
}
