//! 42-hit-for-miss-carts: a full cart is private, an empty one is everybody's page.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "42-hit-for-miss-carts";

#[test]
fn a_full_cart_is_seen_by_its_owner_alone_and_an_empty_one_is_stored() {
    let origin = Origin::start(|seen| {
        let cart = seen.header("Cookie").unwrap_or("").trim_start_matches("cart=").to_owned();
        let reply = Reply::ok(format!("cart {cart}")).header("Cache-Control", "max-age=60");
        reply.header("X-Cart-Items", cart.len()).header("Set-Cookie", "seen=1")
    });
    let proxy = start(NAME, &origin);
    let get = |cookie: &str| client::get(proxy.addr(), "/shop", &[("Cookie", cookie)]);
    for cookie in ["cart=tree", "cart=resin; a=1", "cart=tree"] {
        let page = get(cookie);
        let owner = cookie.split(['=', ';']).nth(1).unwrap();
        assert_eq!((page.text(), is_hit(&page)), (format!("cart {owner}"), false));
        assert_eq!(page.header("X-Cart-Items"), None);
    }
    assert_eq!(proxy.stat("hit_for_miss"), 2, "the marker was found");
    let empty = get("a=1");
    assert_eq!((empty.text().as_str(), empty.header("Set-Cookie")), ("cart ", None));
    assert!(is_hit(&get("a=2")), "the page replaced the marker");
    assert_eq!(origin.count(), 4);
}
