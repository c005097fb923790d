//! 33-device-variants: one copy for telephones and one for all others.

use super::start;
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "33-device-variants";

#[test]
fn devices_of_one_class_share_a_page_and_caches_further_on_are_told() {
    let origin = Origin::start(|seen| {
        let device = seen.header("X-Device").unwrap_or("none").to_owned();
        Reply::ok(device).header("Cache-Control", "max-age=60").header("Vary", "X-Device")
    });
    let proxy = start(NAME, &origin);
    for (agent, hint, expected) in [
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) Mobile/15E148", "", "mobile"),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/120.0 Mobile Safari/537.36", "?1", "mobile"),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/120.0", "", "desktop"),
        ("Mozilla/5.0 (compatible; Googlebot/2.1)", "", "desktop"),
        ("Mozilla/5.0 (iPad; CPU OS 16_0 like Mac OS X) Mobile/15E148", "", "desktop"),
    ] {
        let headers = [("User-Agent", agent), ("Sec-CH-UA-Mobile", hint), ("X-Device", "toaster")];
        let page = client::get(proxy.addr(), "/", &headers);
        assert_eq!(
            (page.text().as_str(), page.header("Vary")),
            (expected, Some("User-Agent, Sec-CH-UA-Mobile")),
            "{agent}"
        );
    }
    assert_eq!(origin.count(), 2);
}
