//! A request's own Cache-Control (RFC 9111 §5.2.1), as each listener obeys it.

use super::echo;
use copal_testkit::{Client, Origin, Proxy, Reply};

/// Three listeners, one after the other: the default, `all` and `none`.
fn listeners(origin: &Origin) -> Proxy {
    let listen = |more: &str| format!("[[listen]]\naddress = \"127.0.0.1:0\"\n{more}\n");
    let toml = [
        listen(""),
        listen("request_directives = \"all\""),
        listen("request_directives = \"none\""),
        format!("[backend.app]\naddress = \"{}\"", origin.addr()),
    ];
    Proxy::builder(super::COPAL).config(&toml.concat()).start()
}

#[track_caller]
fn cache_status(proxy: &Proxy, listener: usize, headers: &[(&str, &str)]) -> String {
    let response = Client::connect(proxy.addrs()[listener]).get("/", headers);
    format!("{} {}", response.status, response.header("Cache-Status").unwrap())
}

const DEFAULT: usize = 0;
const ALL: usize = 1;
const NONE: usize = 2;

#[test]
fn nobody_can_force_a_fetch_but_where_the_owner_lets_them() {
    let origin = echo();
    let proxy = listeners(&origin);
    proxy.client().get("/", &[]);
    let forcing: &[(&str, &str)] = &[
        ("Cache-Control", "no-cache"),
        ("Cache-Control", "max-age=0"),
        ("Cache-Control", "min-fresh=100"),
        ("Pragma", "no-cache"),
    ];
    for field in forcing {
        for listener in [DEFAULT, NONE] {
            let told = cache_status(&proxy, listener, &[*field]);
            assert!(told.starts_with("200 copal; hit"), "{field:?}: {told}");
        }
    }
    assert_eq!(origin.count(), 1);
    for (field, detail) in
        forcing.iter().zip(["request-no-cache", "request-max-age", "request-min-fresh", "request-no-cache"])
    {
        let stat = proxy.stat("fetches");
        let told = cache_status(&proxy, ALL, &[*field]);
        assert!(told.starts_with("200 copal; fwd=request; "), "{field:?} {detail}: {told}");
        assert_eq!(proxy.stat("fetches"), stat + 1, "{field:?}");
    }
    assert_eq!(origin.count(), 1 + forcing.len());
}

#[test]
fn what_only_spares_the_origin_is_obeyed_by_default() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=60").header("Age", "90"));
    let proxy = listeners(&origin);
    let only = [("Cache-Control", "only-if-cached")];
    for listener in [DEFAULT, ALL] {
        assert!(cache_status(&proxy, listener, &only).starts_with("504 "));
    }
    assert_eq!(origin.count(), 0);
    assert!(cache_status(&proxy, NONE, &only).starts_with("200 copal; fwd=uri-miss"));
    for (listener, value, wanted) in [
        (DEFAULT, "max-stale=600", "200 copal; hit; ttl=-"),
        (ALL, "max-stale", "200 copal; hit; ttl=-"),
        (DEFAULT, "max-stale=1", "200 copal; fwd=stale"),
        (DEFAULT, "max-stale, no-cache", "200 copal; fwd=stale"),
        (NONE, "max-stale=600", "200 copal; fwd=stale"),
    ] {
        let told = cache_status(&proxy, listener, &[("Cache-Control", value)]);
        assert!(told.starts_with(wanted), "{listener} {value}: {told}");
    }
}
