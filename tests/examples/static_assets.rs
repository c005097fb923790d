//! 46-static-assets: files with a fingerprint for a year, others for an hour.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "46-static-assets";

#[test]
fn files_are_kept_by_their_names() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/gone.css" => Reply::status(404, "gone"),
        _ => Reply::ok("file").header("Set-Cookie", "a=1").header("Cache-Control", "no-cache"),
    });
    let proxy = start(NAME, &origin);
    for (path, control, fonts) in [
        ("/app.3f2a9c1b.js", "public, max-age=31536000, immutable", None),
        ("/app.CSS?v=7", "public, max-age=3600", None),
        ("/a/font.woff2", "public, max-age=3600", Some("*")),
    ] {
        for hit in [false, true] {
            let file = client::get(proxy.addr(), path, &[("Cookie", "sessionid=me")]);
            assert_eq!((file.header("Cache-Control"), is_hit(&file)), (Some(control), hit), "{path}");
            assert_eq!((file.header("Set-Cookie"), file.header("Access-Control-Allow-Origin")), (None, fonts));
        }
        assert!(is_hit(&client::get(proxy.addr(), &format!("{}?other", path.split('?').next().unwrap()), &[])));
    }
    assert!(origin.requests().iter().all(|seen| seen.header("Cookie").is_none()));
}

#[test]
fn pages_and_missing_files_are_left_as_they_are() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/gone.css" => Reply::status(404, "gone"),
        _ => Reply::ok(seen.path.clone()).header("Cache-Control", "no-store"),
    });
    let proxy = start(NAME, &origin);
    for _ in 0..2 {
        let page = client::get(proxy.addr(), "/page?x=a.css", &[("Cookie", "a=1")]);
        assert_eq!((page.text().as_str(), page.header("Cache-Control")), ("/page?x=a.css", Some("no-store")));
        assert_eq!(client::get(proxy.addr(), "/gone.css", &[]).header("Cache-Control"), None);
    }
    assert_eq!(origin.count(), 4);
}
