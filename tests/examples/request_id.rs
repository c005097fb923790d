//! 10-request-id: one id through proxy, application and logs.

use super::{is_hit, start};
use copal_testkit::{Origin, Reply, client};

const NAME: &str = "10-request-id";

fn app() -> Origin {
    Origin::start(|_| Reply::ok("page").header("Cache-Control", "max-age=60"))
}

#[test]
fn a_usable_id_goes_through_everything() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let page = client::get(proxy.addr(), "/a?b=1", &[("X-Request-Id", "order-42")]);
    assert_eq!(page.all("X-Request-Id"), ["order-42"]);
    for name in ["X-Request-Id", "X-Correlation-Id"] {
        assert_eq!(origin.requests()[0].header(name), Some("order-42"), "{name}");
    }
    let line = proxy.wait_log("\"request_id\":\"order-42\"");
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(json["log"][0], "request order-42 for /a?b=1");
}

#[test]
fn without_a_usable_one_a_new_id_is_made() {
    let origin = app();
    let proxy = start(NAME, &origin);
    let mut ids = Vec::new();
    for (path, headers) in
        [("/1", &[][..]), ("/2", &[("X-Request-Id", "<script>")]), ("/3", &[("X-Request-Id", "a b")])]
    {
        let page = client::get(proxy.addr(), path, headers);
        let id = page.header("X-Request-Id").unwrap().to_owned();
        assert!(id.len() >= 16 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id:?}");
        let seen = origin.requests();
        let last = seen.last().unwrap();
        assert_eq!((last.header("X-Request-Id"), last.header("X-Correlation-Id")), (Some(&*id), Some(&*id)));
        assert!(!ids.contains(&id));
        ids.push(id);
    }
}

#[test]
fn a_hit_carries_the_id_of_its_own_request() {
    let origin = app();
    let proxy = start(NAME, &origin);
    for id in ["first", "second"] {
        let page = client::get(proxy.addr(), "/", &[("X-Request-Id", id)]);
        assert_eq!((page.header("X-Request-Id"), is_hit(&page)), (Some(id), id == "second"));
    }
    assert_eq!(origin.count(), 1);
}
