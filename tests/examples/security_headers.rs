//! 08-security-headers: what every response says, and what none does.

use super::{copal, folder, is_hit, start};
use copal_testkit::{Origin, Reply, Response, Signal, client};
use std::fs;

const NAME: &str = "08-security-headers";
const POLICY: &str = "default-src 'self'; frame-ancestors 'none'";

fn app() -> Origin {
    Origin::start(|seen| {
        let reply = Reply::ok("page")
            .header("Cache-Control", "max-age=60")
            .header("Server", "app/1.0")
            .header("X-Powered-By", "app")
            .header("X-Debug-Sql", "17 queries")
            .header("X-Debug-Anything", "at all")
            .header("Referrer-Policy", "unsafe-url");
        match seen.path.as_str() {
            "/own" => reply.header("Content-Type", "text/html").header("Content-Security-Policy", "default-src *"),
            "/api" => reply.header("Content-Type", "application/json"),
            "/bare" => reply,
            _ => reply.header("Content-Type", "text/html; charset=utf-8"),
        }
    })
}

fn assert_hardened(response: &Response) {
    for gone in ["Server", "X-Powered-By", "X-Debug-Sql", "X-Debug-Anything"] {
        assert_eq!(response.header(gone), None, "{gone}");
    }
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "strict-origin-when-cross-origin"),
        ("Strict-Transport-Security", "max-age=31536000; includeSubDomains"),
    ] {
        assert_eq!(response.all(name), [value], "{name}");
    }
}

#[test]
fn misses_hits_passes_errors_and_own_pages_are_hardened() {
    let mut origin = app();
    let proxy = start(NAME, &origin);
    for hit in [false, true] {
        let page = client::get(proxy.addr(), "/", &[]);
        assert_eq!((is_hit(&page), page.header("Content-Security-Policy")), (hit, Some(POLICY)));
        assert_hardened(&page);
    }
    assert_hardened(&client::request(proxy.addr(), "POST", "/", &[], b"x"));
    let own = client::get(proxy.addr(), "/.git/config", &[]);
    assert_eq!((own.status, own.header("Content-Security-Policy")), (404, Some(POLICY)));
    assert_hardened(&own);
    origin.stop();
    let error = client::get(proxy.addr(), "/other", &[]);
    assert_eq!(error.status, 502);
    assert_hardened(&error);
}

#[test]
fn an_own_content_security_policy_stays_and_only_pages_get_one() {
    let origin = app();
    let proxy = start(NAME, &origin);
    assert_eq!(client::get(proxy.addr(), "/own", &[]).all("Content-Security-Policy"), ["default-src *"]);
    for path in ["/api", "/bare"] {
        assert_eq!(client::get(proxy.addr(), path, &[]).header("Content-Security-Policy"), None, "{path}");
    }
}

#[test]
fn a_change_of_the_policy_shows_at_once_also_for_what_is_stored() {
    let origin = app();
    let builder = copal(NAME).env("APP", origin.addr().to_string());
    let policy = fs::read_to_string(folder(NAME).join("policy.rhai")).unwrap();
    let proxy = builder.policy(&policy).start();
    let _stored = client::get(proxy.addr(), "/", &[]);
    proxy.dir().write("policy.rhai", policy.replace("nosniff", "changed"));
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, copal_testkit::wait::PATIENCE);
    let page = client::get(proxy.addr(), "/", &[]);
    assert_eq!((is_hit(&page), page.header("X-Content-Type-Options")), (true, Some("changed")));
}
