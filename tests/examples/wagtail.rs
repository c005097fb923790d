//! 49-wagtail: pages stay until Wagtail purges them.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "49-wagtail";

#[test]
fn a_page_stays_until_it_is_purged_and_editors_see_their_own() {
    let origin = Origin::start(|seen| Reply::ok(seen.header("Cookie").unwrap_or("-")));
    let proxy = start(NAME, &origin);
    let get = |path: &str, cookie: &str| client::get(proxy.addr(), path, &[("Cookie", cookie)]);
    assert!(!is_hit(&get("/blog/", "csrftoken=1")));
    let shared = get("/blog/?utm_source=x", "csrftoken=2; _ga=1");
    assert_eq!((shared.text().as_str(), is_hit(&shared)), ("-", true));
    let editor = get("/blog/", "sessionid=me");
    assert_eq!((editor.text().as_str(), is_hit(&editor)), ("sessionid=me", false));
    for path in ["/cms/", "/%63ms/", "/documents/1/a.pdf", "/blog/?in_preview_panel=true"] {
        for _ in 0..2 {
            assert!(!is_hit(&get(path, "csrftoken=1")), "{path}");
        }
    }
    assert_eq!(client::request(proxy.addr(), "PURGE", "/blog/", &[], b"").status, 200);
    assert!(!is_hit(&get("/blog/", "csrftoken=1")));
}
