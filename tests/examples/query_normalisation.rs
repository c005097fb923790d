//! 30-query-normalisation: one copy of a page, however its address is written.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "30-query-normalisation";

#[test]
fn all_spellings_of_an_address_are_one_page() {
    let origin = Origin::start(|seen| Reply::ok(seen.path.clone()).header("Cache-Control", "max-age=60"));
    let proxy = start(NAME, &origin);
    for (i, path) in
        ["/shop?b=2&a=1", "/shop?a=1&b=2", "/shop?utm_source=mail&b=2&a=1&gclid=x", "/shop?&a=1&&b=2&mc_cid=7"]
            .into_iter()
            .enumerate()
    {
        let page = client::get(proxy.addr(), path, &[]);
        assert_eq!((page.text().as_str(), is_hit(&page)), ("/shop?a=1&b=2", i > 0), "{path}");
    }
    assert_eq!(client::get(proxy.addr(), "/shop?utm_source=x", &[]).text(), "/shop");
    assert_eq!(origin.count(), 2);
}

#[test]
fn a_search_is_known_by_what_it_reads() {
    let origin = Origin::start(|seen| Reply::ok(seen.path.clone()).header("Cache-Control", "max-age=60"));
    let proxy = start(NAME, &origin);
    for path in ["/search?q=tree&x=1", "/search?x=2&q=tree", "/search?q=tree"] {
        assert_eq!(client::get(proxy.addr(), path, &[]).text(), "/search?q=tree");
    }
    assert_eq!(client::get(proxy.addr(), "/search?page=2&q=tree", &[]).text(), "/search?page=2&q=tree");
    assert_eq!(origin.count(), 2);
}
