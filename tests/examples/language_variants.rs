//! 32-language-variants: one copy of a page for each language, not for each browser.

use super::start;
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "32-language-variants";

#[test]
fn browsers_of_one_language_share_a_page() {
    let origin = Origin::start(|seen| {
        let language = seen.header("Accept-Language").unwrap_or("none").to_owned();
        Reply::ok(language).header("Cache-Control", "max-age=60").header("Vary", "Accept-Language")
    });
    let proxy = start(NAME, &origin);
    for (language, cookie, expected) in [
        ("de-CH, en;q=0.8", "", "de"),
        ("en;q=0.5, de", "", "de"),
        ("fr-CA,fr;q=0.9,en;q=0.1", "", "fr"),
        ("it, ja;q=0.9", "", "en"),
        ("it, *;q=0.1", "", "en"),
        ("de", "lang=fr; _ga=1", "fr"),
        ("de", "_ga=1", "de"),
        ("de", "lang=klingon", "en"),
    ] {
        let page = client::get(proxy.addr(), "/", &[("Accept-Language", language), ("Cookie", cookie)]);
        assert_eq!(page.text(), expected, "{language} {cookie}");
    }
    assert_eq!(client::get(proxy.addr(), "/", &[]).text(), "en");
    assert_eq!(origin.count(), 3);
}
