//! 45-graphql-get: queries by GET from the cache, mutations by POST to the application.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "45-graphql-get";
const POSTS: &str = "/graphql?query=%7Bposts%7Bid%7D%7D&variables=%7B%7D";

#[test]
fn a_query_is_stored_however_it_is_spelled() {
    let origin = Origin::start(|_| Reply::ok("{}"));
    let proxy = start(NAME, &origin);
    for (path, hit) in [
        (POSTS, false),
        ("/graphql?variables=%7B%7D&query=%7Bposts%7Bid%7D%7D", true),
        ("/graphql?_=123&query=%7Bposts%7Bid%7D%7D&variables=%7B%7D", true),
        ("/graphql?query=%7Busers%7Bid%7D%7D", false),
    ] {
        assert_eq!(is_hit(&client::get(proxy.addr(), path, &[("Cookie", "a=1")])), hit, "{path}");
    }
    assert!(!is_hit(&client::get(proxy.addr(), POSTS, &[("Authorization", "Bearer x")])));
    assert_eq!(origin.count(), 3);
}

#[test]
fn what_changes_something_comes_by_post() {
    let origin = Origin::start(|_| Reply::ok("{}"));
    let proxy = start(NAME, &origin);
    for query in ["mutation%7Bbuy%7D", "%0A+mutation+Buy%7Bbuy%7D", "subscription%7Bnews%7D"] {
        let refused = client::get(proxy.addr(), &format!("/graphql?query={query}"), &[]);
        assert_eq!((refused.status, refused.header("Allow")), (405, Some("POST")), "{query}");
    }
    assert_eq!(origin.count(), 0);
    for _ in 0..2 {
        assert_eq!(client::request(proxy.addr(), "POST", "/graphql", &[], b"mutation").status, 200);
    }
    assert_eq!(origin.count(), 2);
}
