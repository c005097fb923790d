//! 41-stale-on-error-per-path: old news are better than none, old prices are not.

use super::start;
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "41-stale-on-error-per-path";

#[test]
fn an_application_that_is_gone_leaves_its_news_and_not_its_prices() {
    let mut origin =
        Origin::start(|seen| Reply::ok(seen.path.clone()).header("Cache-Control", "max-age=60").header("Age", 75));
    let proxy = start(NAME, &origin);
    for path in ["/news/1", "/prices/1", "/other"] {
        assert_eq!(client::get(proxy.addr(), path, &[]).text(), path);
    }
    origin.stop();
    let news = client::get(proxy.addr(), "/news/1", &[]);
    assert_eq!((news.status, news.text().as_str()), (200, "/news/1"));
    assert_eq!(client::get(proxy.addr(), "/prices/1", &[]).status, 502);
    assert_eq!(client::get(proxy.addr(), "/other", &[]).status, 200, "an hour unless a policy says otherwise");
}
