//! 36-basic-auth: a password at the edge for a site that is not public yet.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "36-basic-auth";

#[test]
fn only_who_has_the_password_sees_the_site_and_then_from_the_cache() {
    let origin = Origin::start(|seen| {
        assert_eq!(seen.header("Authorization"), None, "the application does not see the password");
        Reply::ok(seen.header("X-User").unwrap_or("nobody").to_owned()).header("Cache-Control", "max-age=60")
    });
    let proxy = start(NAME, &origin);
    // anna:resin, bert:amber; then wrong ones: anna:amber, carl:resin, another scheme, no base64.
    let (anna, bert) = ("Basic YW5uYTpyZXNpbg==", "basic YmVydDphbWJlcg==");
    for field in ["", "Basic YW5uYTphbWJlcg==", "Basic Y2FybDpyZXNpbg==", "Bearer YW5uYTpyZXNpbg==", "Basic !"] {
        let refused = client::get(proxy.addr(), "/staging/", &[("Authorization", field)]);
        assert_eq!(refused.status, 401, "{field}");
        assert_eq!(refused.header("WWW-Authenticate"), Some("Basic realm=\"Staging\", charset=\"UTF-8\""));
    }
    assert_eq!(origin.count(), 0);
    let page = client::get(proxy.addr(), "/staging/", &[("Authorization", anna)]);
    assert_eq!((page.status, page.text().as_str()), (200, "anna"));
    assert!(is_hit(&client::get(proxy.addr(), "/staging/", &[("Authorization", bert)])));
    assert_eq!(client::get(proxy.addr(), "/", &[("X-User", "root")]).text(), "nobody");
}
