//! 24-magento: patterns over tags, and the shop's pages.

use super::{is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, client};

const NAME: &str = "24-magento";

fn app() -> Origin {
    Origin::start(|seen| {
        let tags = match seen.path.as_str() {
            "/product/1" => "cat_p_1,cat_p,FPC",
            "/product/12" => "cat_p_12,cat_p,FPC",
            _ => "cat_c_2,cat_p_1,cat_p_12,FPC",
        };
        Reply::ok(seen.path.as_str())
            .header("Cache-Control", "max-age=60")
            .header("X-Magento-Tags", tags)
            .header("X-Pool", "a")
    })
}

const PATHS: [&str; 3] = ["/product/1", "/product/12", "/category/2"];

fn hits(proxy: &Proxy) -> [bool; 3] {
    PATHS.map(|path| {
        let page = client::get(proxy.addr(), path, &[]);
        assert_eq!((page.header("X-Magento-Tags"), page.header("X-Pool")), (None, None));
        is_hit(&page)
    })
}

fn purge(proxy: &Proxy, field: &str, pattern: &str) -> (u16, String) {
    let done = client::request(proxy.addr(), "PURGE", "/", &[(field, pattern)], b"");
    (done.status, done.text())
}

#[test]
fn patterns_of_whole_tags_are_exact_and_counted_and_others_are_bans() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(hits(&proxy), [false; 3]);
    let pattern = "X-Magento-Tags-Pattern";
    assert_eq!(purge(&proxy, pattern, "((^|,)cat_p_1(,|$))|((^|,)cat_c_9(,|$))"), (200, "purged 2\n".to_owned()));
    assert_eq!(hits(&proxy), [false, true, false]);
    assert_eq!(proxy.stat("bans_added"), 0);
    assert_eq!(purge(&proxy, pattern, "cat_p_1[0-9]"), (200, "banned\n".to_owned()));
    assert_eq!(hits(&proxy), [true, false, false]);
    assert_eq!(purge(&proxy, pattern, ".*"), (200, "banned\n".to_owned()));
    assert_eq!(hits(&proxy), [false; 3]);
    assert_eq!(purge(&proxy, "X-Pool", "^a$"), (200, "banned\n".to_owned()));
    assert_eq!(hits(&proxy), [false; 3]);
    assert_eq!(purge(&proxy, pattern, "((("), (400, "not a valid regular expression: unclosed group\n".to_owned()));
    assert_eq!(client::request(proxy.addr(), "PURGE", "/product/1", &[], b"").text(), "purged 1\n");
}

#[test]
fn each_customer_group_has_its_copy_and_baskets_none() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let get = |path, cookie| client::get(proxy.addr(), path, &[("Cookie", cookie)]);
    for cookie in ["X-Magento-Vary=aa; b=1", "X-Magento-Vary=bb", "b=2"] {
        assert!(!is_hit(&get("/product/1?gclid=3", cookie)), "{cookie}");
        assert!(is_hit(&get("/product/1", cookie)), "{cookie}");
    }
    assert!(!is_hit(&get("/checkout/cart", "")) && !is_hit(&get("/checkout/cart", "")));
}
