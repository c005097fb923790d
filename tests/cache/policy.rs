//! Policies at work: restart and retry with their limits, pages and redirects, and faults that cost one request.

use super::{SOON, builder, echo};
use copal_testkit::{Origin, Reply};
use std::sync::atomic::{AtomicUsize, Ordering};

#[test]
fn a_request_may_start_over_and_only_so_often() {
    let origin = echo();
    let policy = "fn recv(req) { if req.url == \"/loop\" || req.restarts < 2 { req.http[\"x-round\"] = req.restarts; return restart(); } }";
    let proxy = builder(&origin, "[policy]\nmax_restarts = 3").policy(policy).start();
    let response = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((response.text().as_str(), proxy.stat("restarts")), ("/page", 2));
    assert_eq!(origin.requests()[0].header("X-Round"), Some("1"));
    let response = copal_testkit::get(proxy.addr(), "/loop", &[]);
    assert_eq!((response.status, proxy.stat("restarts"), origin.count()), (503, 5, 1));
}

#[test]
fn a_hit_may_purge_what_it_found_and_recv_take_back_what_it_changed() {
    let origin = echo();
    let policy = r#"
        fn recv(req) {
            req.url = "/changed";
            req.http.x_new = "1";
            if req.http.has("x-back") { std::rollback(); }
            if param.max_restarts != 4 || storage.free_space == 0 || req_top.url != req.url { return fail(); }
        }
        fn hit(req, obj) {
            if req.http.has("x-hard") { req.vars["gone"] = purge::hard(); return restart(); }
            if req.http.has("x-soft") { req.vars["gone"] = purge::soft(); }
        }
        fn deliver(req, resp) { resp.http.x_seen = `${req.vars["gone"] ?? "-"} ${req.http.x_new ?? "-"} ${req.time <= resp.time}`; }"#;
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    let mut seen = |fields: &[(&str, &str)]| {
        let response = client.get("/page", fields);
        (response.text(), response.header("X-Seen").unwrap_or_default().to_owned())
    };
    assert_eq!(seen(&[]), ("/changed".to_owned(), "- 1 true".to_owned()));
    assert_eq!(seen(&[("X-Back", "1")]), ("/page".to_owned(), "- - true".to_owned()));
    assert_eq!(origin.count(), 2);
    assert_eq!(seen(&[("X-Hard", "1")]), ("/changed".to_owned(), "1 1 true".to_owned()));
    assert_eq!(origin.count(), 3, "fetched anew");
    assert_eq!(seen(&[("X-Soft", "1")]), ("/changed".to_owned(), "1 1 true".to_owned()));
    assert_eq!(origin.count(), 3, "this one still had it");
    assert_eq!(seen(&[]), ("/changed".to_owned(), "- 1 true".to_owned()));
    assert_eq!(origin.count(), 4, "stale since");
}

#[test]
fn deliver_and_hit_may_start_over_too() {
    let origin = echo();
    let policy = "fn deliver(req, resp) { if req.url == \"/a\" { req.url = \"/b\"; return restart(); } }\n\
                  fn hit(req, obj) { if req.url == \"/c\" { req.url = \"/d\"; return restart(); } }";
    let proxy = builder(&origin, "").policy(policy).start();
    assert_eq!(copal_testkit::get(proxy.addr(), "/a", &[]).text(), "/b");
    assert_eq!(copal_testkit::get(proxy.addr(), "/c", &[]).text(), "/c");
    assert_eq!(copal_testkit::get(proxy.addr(), "/c", &[]).text(), "/d");
}

/// Fails that often and then answers.
fn failing(times: usize) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        n if n < times => Reply::status(503, "busy"),
        _ => Reply::ok("at last").header("Cache-Control", "max-age=60"),
    })
}

#[test]
fn a_fetch_may_be_retried_and_only_so_often() {
    let policy = "fn backend_response(bereq, beresp) { if beresp.status == 503 { return retry(); } }";
    let origin = failing(2);
    let proxy = builder(&origin, "").policy(policy).start();
    let response = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((response.status, response.text().as_str()), (200, "at last"));
    assert_eq!((origin.count(), proxy.stat("fetch_retries"), proxy.stat("fetches")), (3, 2, 1));

    let origin = failing(100);
    let proxy = builder(&origin, "[policy]\nmax_retries = 3").policy(policy).start();
    let response = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((response.status, origin.count(), proxy.stat("fetch_retries")), (503, 4, 3));
    assert_eq!(proxy.stat("objects"), 0);
}

#[test]
fn an_upload_that_is_spent_is_not_retried() {
    let origin = failing(1);
    let policy = "fn backend_response(bereq, beresp) { if beresp.status == 503 { return retry(); } }";
    let proxy = builder(&origin, "[retry]\nbody_size = \"0B\"").policy(policy).start();
    let response = copal_testkit::client::request(proxy.addr(), "POST", "/up", &[], b"once");
    assert_eq!((response.status, origin.count()), (503, 1));
}

#[test]
fn backend_error_may_retry_elsewhere_or_make_the_page() {
    let dead = Origin::start(|_| Reply::hang_up());
    let live = echo();
    let toml = format!("[backend.spare]\naddress = \"{}\"", live.addr());
    let policy = "fn backend_error(bereq, beresp) {\n if bereq.url == \"/page\" && bereq.retries == 0 { bereq.backend = \"spare\"; return retry(); }\n\
                  beresp.status = 500; beresp.http[\"x-own\"] = \"yes\"; beresp.body = \"our own page\"; }";
    let proxy = builder(&dead, &toml).policy(policy).start();
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "/page");
    let own = copal_testkit::get(proxy.addr(), "/other", &[]);
    assert_eq!((own.status, own.text().as_str(), own.header("X-Own")), (500, "our own page", Some("yes")));
    assert_eq!((dead.count(), live.count()), (2, 1));
}

#[test]
fn pages_and_redirects_are_made_without_the_origin() {
    let origin = echo();
    let policy = "fn recv(req) { if req.url == \"/tea\" { return synth(418, \"Tea\"); }\n if req.url == \"/old\" { return redirect(301, \"https://new.example/x\"); }\n\
                  if req.url == \"/own\" { return synth(1404); } }\n\
                  fn synth(req, resp) { if resp.status == 1404 { resp.body = \"gone fishing\"; resp.http[\"content-type\"] = \"text/x-own\"; } }";
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    let tea = client.get("/tea", &[]);
    assert_eq!((tea.status, tea.reason.as_str()), (418, "Tea"));
    let old = client.get("/old", &[]);
    assert_eq!((old.status, old.header("Location")), (301, Some("https://new.example/x")));
    let own = client.get("/own", &[]);
    assert_eq!(
        (own.status, own.text().as_str(), own.header("Content-Type")),
        (404, "gone fishing", Some("text/x-own"))
    );
    assert_eq!(client.request("HEAD", "/own", &[], b"").header("Content-Length"), Some("12"));
    assert_eq!((origin.count(), proxy.stat("synths")), (0, 4));
}

#[test]
fn a_fault_of_the_policy_is_503_for_its_own_request_counted_and_logged_with_its_place() {
    let origin = echo();
    let policy = "fn recv(req) {\n    if req.url == \"/divide\" {\n        let x = 1 / 0;\n    }\n    if req.url == \"/spin\" { while req.restarts == 0 { } }\n}\n\
                  fn backend_response(bereq, beresp) {\n    if bereq.url == \"/deep\" { throw \"no\"; }\n}\n\
                  fn deliver(req, resp) {\n    if req.url == \"/late\" { let a = [1]; return a[7]; }\n}\n";
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    for (path, place) in [
        ("/divide", "policy.rhai:3:"),
        ("/spin", "policy.rhai:5:"),
        ("/deep", "policy.rhai:8:"),
        ("/late", "policy.rhai:11:"),
    ] {
        let faults = proxy.stat("policy_errors");
        let response = client.get(path, &[]);
        assert_eq!((response.status, response.complete), (503, true), "{path}");
        proxy.wait_log(place);
        assert!(proxy.stat("policy_errors") > faults, "{path}");
        assert_eq!(client.get("/fine", &[]).text(), "/fine", "the connection and the others go on");
    }
    assert_eq!((proxy.stat("policy_limits_hit"), origin.count_of("/fine")), (1, 1));
    assert_eq!(origin.count_of("/divide") + origin.count_of("/spin"), 0);
}

#[test]
fn a_waiter_is_released_when_the_policy_fails_the_fetch() {
    let origin = echo();
    let held = origin.hold("/page");
    let proxy = builder(&origin, "").policy("fn backend_response(bereq, beresp) { throw \"no\"; }").start();
    let mut clients = super::crowd(&proxy, 5, "/page");
    proxy.wait_stat("coalesce_waits", |n| n == 4, SOON);
    held.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 503);
    }
}

#[test]
fn a_policy_cannot_break_the_framing() {
    let origin = echo();
    let policy = "fn recv(req) { if req.url == \"/in\" { req.http[\"x-bad\"] = [\"a\\r\\nX-Injected: 1\"][0]; } if req.url == \"/url\" { req.url = [\"/a b\\r\\nX: y\"][0]; } }\n\
                  fn deliver(req, resp) { if req.url == \"/out\" { resp.http[\"x-bad\"] = [\"a\\r\\nX-Injected: 1\"][0]; } resp.http.remove_matching(\"*\"); }\n\
                  fn backend_response(bereq, beresp) { if beresp.http.content_length == \"5\" { beresp.http[\"connection\"] = \"close\"; } }\n\
                  fn synth(req, resp) { if req.url == \"/length\" { let name = [\"content-length\"]; resp.http[name[0]] = 3; } }";
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    for path in ["/in", "/url", "/out", "/length", "/page", "/page"] {
        let response = client.get(path, &[]);
        assert!(response.complete && response.header("X-Injected").is_none(), "{path}: {response:?}");
        let framing = (response.all("Content-Length").len(), response.header("Transfer-Encoding"));
        assert_eq!(framing, (1, None), "{path}: {response:?}");
        assert!(response.status != 200 || response.text() == path, "{path}: {response:?}");
    }
    assert!(origin.requests().iter().all(|seen| seen.header("X-Injected").is_none() && seen.header("X").is_none()));
}

#[test]
fn a_policy_may_end_the_clients_connection() {
    let origin = echo();
    let proxy = builder(&origin, "").policy("fn deliver(req, resp) { resp.http.connection = \"close\"; }").start();
    let mut client = proxy.client();
    let response = client.get("/page", &[]);
    assert_eq!((response.text().as_str(), response.all("Connection").as_slice()), ("/page", &["close"][..]));
    client.assert_closed();
}
