//! `copal explain`: a real request against a real server, told in sentences: what decided, and what would make it a hit.

use super::{COPAL, SOON, builder, echo, front, front_with, settled};
use copal_testkit::{Gate, Origin, Proxy, Reply};
use serde_json::Value;
use std::process::{Command, Output};

fn run(proxy: &Proxy, url: &str, more: &[&str]) -> Output {
    let admin = format!("unix:{}", proxy.admin().display());
    Command::new(COPAL).args(["explain", url, "--admin", &admin]).args(more).output().unwrap()
}

/// The explanation as data.
#[track_caller]
fn explain(proxy: &Proxy, path: &str, more: &[&str]) -> Value {
    // The host of the test client: the same key.
    let url = format!("http://test.example{path}");
    let output = run(proxy, &url, &[more, &["--json"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The texts of a list, and of its rules where it has any, in one piece.
fn told(explanation: &Value, list: &str) -> String {
    let line = |item: &Value| match item.as_str() {
        Some(text) => text.to_owned(),
        None => format!("{} [{}]", item["text"].as_str().unwrap(), item["rule"].as_str().unwrap_or("-")),
    };
    explanation[list].as_array().unwrap().iter().map(line).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn says(explanation: &Value, list: &str, parts: &[&str]) {
    let text = told(explanation, list);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {list}:\n{text}\n\n{explanation:#}");
    }
}

#[track_caller]
fn is(explanation: &Value, outcome: &str, status: u16, hit: bool) {
    let got = (explanation["outcome"].as_str(), explanation["status"].as_u64(), explanation["hit"].as_bool());
    assert_eq!(got, (Some(outcome), Some(u64::from(status)), Some(hit)), "{explanation:#}");
}

#[test]
fn an_error_page_after_a_restart_is_told_with_what_led_to_it() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/sorry" => Reply::status(503, "sorry").header("Cache-Control", "max-age=60"),
        _ => Reply::status(500, ""),
    });
    let rhai = "fn recv(req) { if req.restarts > 0 { req.url = \"/sorry\"; } }\n\
                fn deliver(req, resp) { if resp.status == 500 { return restart(); } }\n";
    let proxy = builder(&origin, "").policy(rhai).start();
    for outcome in ["miss", "hit"] {
        let told = explain(&proxy, "/page", &[]);
        is(&told, outcome, 503, outcome == "hit");
        says(
            &told,
            "why",
            &[
                "Backend `app` answered 500",
                "The policy's hook `deliver` returned `restart()`: the request began again at `recv`.",
                "policy.rhai:2:",
                "So this is an error page of the policy's making (503), not the page that was asked for.",
                "The policy's hook `recv` set `req.url` to /sorry.",
            ],
        );
    }
}

#[test]
fn a_miss_says_that_nothing_was_stored_and_that_the_next_one_is_a_hit_and_so_it_is() {
    let origin = echo();
    let proxy = front(&origin);
    let first = explain(&proxy, "/page", &[]);
    is(&first, "miss", 200, false);
    says(
        &first,
        "why",
        &["Nothing was stored under this key. [RFC 9211 §2.2]", "Backend `app` answered 200", "The response is stored"],
    );
    says(&first, "freshness", &["new response: lifetime 60 s (max-age, Cache-Control: max-age=60)"]);
    says(&first, "advice", &["Ask again: the response is stored now"]);
    assert_eq!(first["key"], serde_json::json!(["/page", "test.example"]));
    let second = explain(&proxy, "/page", &[]);
    is(&second, "hit", 200, true);
    says(&second, "why", &["The stored response is within its lifetime. It is served. [RFC 9111 §4.2]"]);
    says(&second, "freshness", &["stored response: lifetime 60 s - age "]);
    assert_eq!(told(&second, "advice"), "");
    // A visitor is given what explain had fetched: it is the same cache, and the same key.
    assert!(proxy.client().get("/page", &[]).header("Cache-Status").unwrap().contains("hit"));
    assert_eq!((origin.count(), proxy.stat("client_requests")), (1, 3));
}

#[test]
fn every_step_of_both_machines_is_told_in_its_order() {
    let origin = echo();
    let proxy = front(&origin);
    let explanation = explain(&proxy, "/page", &[]);
    let edges: Vec<(&str, &str)> = explanation["steps"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|step| {
            let entry = &step["entry"];
            (entry["event"] == "edge").then(|| (step["machine"].as_str().unwrap(), step["text"].as_str().unwrap()))
        })
        .collect();
    let of = |machine: &str| edges.iter().filter(|(m, _)| *m == machine).map(|(_, text)| *text).collect::<Vec<_>>();
    assert_eq!(
        of("client"),
        ["recv -> hash", "hash -> lookup", "lookup -> miss", "miss -> deliver", "deliver -> done"]
    );
    assert_eq!(
        of("fetch"),
        ["backend_fetch -> response", "response -> backend_response", "backend_response -> body", "body -> done"]
    );
    says_step(&explanation, "asked app: GET /page");
    says_step(&explanation, "bereq.http.via = 1.1 copal");
    says_step(&explanation, "; Cache-Control: max-age=60");
}

#[track_caller]
fn says_step(explanation: &Value, part: &str) {
    let steps = explanation["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["text"].as_str().unwrap().contains(part)), "no {part:?} in {steps:#?}");
}

#[test]
fn a_pass_by_cookie_names_the_line_of_the_policy_and_what_hooks_changed() {
    let policy = "fn recv(req) {\n    req.url = query::without(req.url, [\"utm_*\"]);\n    \
                  if req.cookie.has(\"sessionid\") {\n        return pass();\n    }\n    req.http.remove(\"cookie\");\n}\n";
    let origin = echo();
    let proxy = builder(&origin, "").policy(policy).start();
    let member = explain(&proxy, "/?utm_source=x", &["-H", "Cookie: sessionid=1"]);
    is(&member, "pass", 200, false);
    let place = format!("{}:4:16", proxy.dir().join("policy.rhai").display());
    says(&member, "why", &["The policy's hook `recv` returned `pass()`", &format!("[{place}]")]);
    says(&member, "advice", &["Let `recv` not return `pass()`", &place]);
    says_step(&member, "req.url = / (was /?utm_source=x)");
    let anonymous = explain(&proxy, "/", &["-H", "Cookie: theme=dark"]);
    is(&anonymous, "miss", 200, false);
    says_step(&anonymous, "hook recv returned nothing; req.http.cookie removed");
    says_step(&anonymous, "\n    reads req.cookie.sessionid = ()");
    says_step(&anonymous, "\n    writes req.http.cookie = ()");
}

#[test]
fn requests_that_are_explained_share_their_connections_to_the_origin() {
    let origin = echo();
    let proxy = front(&origin);
    for n in 0..3 {
        let explanation = explain(&proxy, &format!("/{n}"), &[]);
        says_step(&explanation, if n == 0 { "over a new connection" } else { "over a connection used before" });
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_method_that_is_never_cached_says_so() {
    let origin = echo();
    let proxy = front(&origin);
    let explanation = explain(&proxy, "/", &["-X", "DELETE"]);
    is(&explanation, "pass", 200, false);
    says(&explanation, "why", &["A DELETE request is never answered from the cache"]);
    says(&explanation, "advice", &["GET or HEAD"]);
}

#[test]
fn what_the_application_forbids_is_told_with_its_rule_and_the_marker_it_leaves() {
    let origin = Origin::start(|seen| {
        let reply = Reply::ok("x");
        match seen.path.as_str() {
            "/private" => reply.header("Cache-Control", "private, max-age=60"),
            "/cookie" => reply.header("Cache-Control", "max-age=60").header("Set-Cookie", "a=1"),
            "/star" => reply.header("Cache-Control", "max-age=60").header("Vary", "*"),
            _ => reply,
        }
    });
    let proxy = front(&origin);
    for (path, rule, advice) in [
        ("/private", "(private). [RFC 9111 §5.2.2.7]", "leave out `private`"),
        ("/cookie", "[configuration: cache.set_cookie]", "[cache] set_cookie"),
        ("/star", "(Vary: *), so no later request can match it. [RFC 9111 §4.1]", "name the fields in Vary"),
        ("/nothing", "[RFC 9111 §3]", "[cache] ttl"),
    ] {
        let first = explain(&proxy, path, &[]);
        is(&first, "miss", 200, false);
        says(&first, "why", &["The response is not stored: the response ", rule]);
        says(&first, "advice", &[advice]);
        let second = explain(&proxy, path, &[]);
        is(&second, "hit-for-miss", 200, false);
        says(
            &second,
            "why",
            &["An earlier response was not cacheable", "(for another 1", "The response is not stored", rule],
        );
        says(&second, "advice", &[advice]);
    }
}

#[test]
fn a_pass_for_a_time_is_a_hit_for_pass_and_names_the_hook() {
    let policy = "fn backend_response(bereq, beresp) {\n    return pass(duration(\"60s\"));\n}\n";
    let origin = echo();
    let proxy = builder(&origin, "").policy(policy).start();
    let first = explain(&proxy, "/", &[]);
    let place = format!("{}:2:12", proxy.dir().join("policy.rhai").display());
    says(&first, "why", &["The response is not stored: the policy's hook `backend_response` decided so.", &place]);
    let second = explain(&proxy, "/", &[]);
    is(&second, "hit-for-pass", 200, false);
    says(&second, "why", &["An earlier response showed that this URL is not cacheable"]);
}

#[test]
fn a_lifetime_that_the_policy_set_is_in_the_arithmetic() {
    let policy = "fn backend_response(bereq, beresp) { beresp.ttl = duration(\"90s\"); }";
    let origin = echo();
    let proxy = builder(&origin, "").policy(policy).start();
    let explanation = explain(&proxy, "/", &[]);
    says(&explanation, "why", &["The response is stored: the policy's hook `backend_response` decided so."]);
    says(&explanation, "freshness", &["the policy's backend_response sets its lifetime from now on: 90 s"]);
    says_step(&explanation, "beresp.ttl = 90 s (was ");
}

#[test]
fn another_variant_names_the_fields_and_how_many_there_are() {
    let origin =
        Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=60").header("Vary", "Accept-Language"));
    let proxy = front(&origin);
    for language in ["de", "en"] {
        proxy.client().get("/", &[("Accept-Language", language)]);
    }
    let explanation = explain(&proxy, "/", &["-H", "Accept-Language: fr"]);
    is(&explanation, "miss", 200, false);
    says(
        &explanation,
        "why",
        &["2 responses are stored under this key, but none for a request with `accept-language: fr`."],
    );
    says(&explanation, "advice", &["normalise them in `recv` (`req.http[\"accept-language\"]"]);
    assert!(told(&explanation, "response").contains("fwd=vary-miss"), "{explanation:#}");
    is(&explain(&proxy, "/", &["-H", "Accept-Language: de"]), "hit", 200, true);
}

#[test]
fn a_stale_response_shows_the_sum_and_the_windows_and_what_the_renewal_brought() {
    let origin = Origin::start(|_| {
        Reply::ok("x").header("Cache-Control", "max-age=60").header("Age", "100").header("ETag", "\"1\"")
    });
    let proxy = front(&origin);
    proxy.client().get("/", &[]);
    let stale = explain(&proxy, "/", &[]);
    is(&stale, "miss", 200, false);
    says(&stale, "why", &["[RFC 5861 §4]"]);
    says(
        &stale,
        "freshness",
        &[
            "stored response: lifetime 60 s - age 100",
            ": stale",
            "grace 0 s: it may not be served while",
            "stale-if-error 3600 s: it may be served if the origin fails, for another 3",
        ],
    );
    says(&stale, "advice", &["A lifetime above 100", "stale-while-revalidate"]);
    let graceful = front_with(&origin, "[cache]\ngrace = \"10m\"");
    graceful.client().get("/", &[]);
    let grace = explain(&graceful, "/", &[]);
    is(&grace, "hit-grace", 200, true);
    says(
        &grace,
        "why",
        &["served stale while a fetch renews it", "Meanwhile backend `app` answered 200", "The response is stored"],
    );
    settled(&graceful);
}

#[test]
fn a_confirmed_response_says_that_the_origin_confirmed_it() {
    let origin = Origin::start(|seen| {
        let reply = if seen.header("If-None-Match").is_some() { Reply::head(304) } else { Reply::ok("x") };
        reply.header("Cache-Control", "no-cache").header("ETag", "\"1\"")
    });
    let proxy = front(&origin);
    proxy.client().get("/", &[]);
    let explanation = explain(&proxy, "/", &[]);
    is(&explanation, "miss", 200, false);
    says(
        &explanation,
        "why",
        &[
            "revalidated before each use (no-cache)",
            "[RFC 9111 §5.2.2.4]",
            "answered 304",
            "what is stored is still good",
        ],
    );
    says(&explanation, "advice", &["instead of `no-cache`"]);
    assert!(told(&explanation, "response").contains("fwd=stale; fwd-status=304"), "{explanation:#}");
}

#[test]
fn a_dead_origin_is_told_with_the_error_type_and_a_stale_page_in_its_place() {
    let mut origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=60").header("Age", "100"));
    let proxy = front(&origin);
    proxy.client().get("/kept", &[]);
    origin.stop();
    let stale = explain(&proxy, "/kept", &[]);
    is(&stale, "hit-stale-error", 200, true);
    says(
        &stale,
        "why",
        &["The fetch failed: app: connect refused", "[RFC 9209 §2.3: connection_refused]", "[RFC 5861 §4]"],
    );
    let dead = explain(&proxy, "/other", &[]);
    is(&dead, "error", 502, false);
    says(&dead, "why", &["[RFC 9209 §2.3: connection_refused]"]);
    says(&dead, "response", &["Proxy-Status: copal; error=connection_refused"]);
}

#[test]
fn a_request_that_waits_for_another_ones_fetch_says_so() {
    let gate = Gate::closed();
    let held =
        Reply::raw("").wait(&gate).send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx");
    let origin = Origin::start(move |_| held.clone());
    let proxy = front(&origin);
    let mut first = proxy.client();
    first.send("GET", "/", &[], b"");
    origin.wait_for(1, SOON);
    let explanation = std::thread::scope(|scope| {
        let asking = scope.spawn(|| explain(&proxy, "/", &[]));
        proxy.wait_stat("coalesce_waits", |n| n == 1, SOON);
        gate.release();
        asking.join().unwrap()
    });
    is(&explanation, "coalesced", 200, true);
    says(&explanation, "why", &["Another request was fetching the same; it was waited for", "it brought a response"]);
    assert!(told(&explanation, "response").contains("fwd=uri-miss; ttl="), "{explanation:#}");
    assert!(first.read_response().complete && origin.count() == 1);
}

#[test]
fn a_page_of_the_policys_own_and_its_faults_name_their_lines() {
    let policy = "fn recv(req) {\n    if req.url == \"/synth\" { return synth(418, \"Tea\"); }\n    if req.url == \"/oops\" { throw \"oops\"; }\n}\n";
    let origin = echo();
    let proxy = builder(&origin, "").policy(policy).start();
    let made = explain(&proxy, "/synth", &[]);
    is(&made, "synth", 418, false);
    says(&made, "why", &["hook `recv` returned `synth(418, \"Tea\")`", "policy.rhai:2:37"]);
    let fault = explain(&proxy, "/oops", &[]);
    is(&fault, "error", 503, false);
    says(&fault, "why", &["hook `recv` failed", "policy.rhai:3:"]);
}

#[test]
fn the_text_has_the_answer_first_and_then_the_record() {
    let origin = echo();
    let proxy = front(&origin);
    let url = format!("http://{}/page", proxy.addr());
    let output = run(&proxy, &url, &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("GET {url} at {}: 200, miss\n  Nothing was stored", proxy.addr())), "{text}");
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part:?} in {text}"));
    assert!(at("To make it a hit") < at("\nKey\n") && at("\nKey\n") < at("\nFreshness\n"), "{text}");
    assert!(at("\nFreshness\n") < at("\nSteps\n") && at("\nSteps\n") < at("\nResponse\n"), "{text}");
}

#[test]
fn what_cannot_be_explained_says_why_and_how_to_mend_it() {
    let origin = echo();
    let proxy = front(&origin);
    let url = format!("http://{}/", proxy.addr());
    let long = format!("X: {}", "a".repeat(40_000));
    let plain = "http://a.example/";
    for (url, more, parts) in [
        ("http://a.example:1/", &[][..], &["no listener has port 1", "--listener"][..]),
        (plain, &["--listener", "127.0.0.1:1"], &["there is no listener 127.0.0.1:1"]),
        ("/path", &[], &["names no host"]),
        ("http://a/#top", &[], &["fragment"]),
        (plain, &["-H", "nonsense"], &["`nonsense` is no header line"]),
        (plain, &["-H", "X y: z"], &["would refuse this request with 400"]),
        (plain, &["-H", &long], &["would refuse this request with 431"]),
        (plain, &["-X", "G(T"], &["would refuse this request with 400"]),
        (plain, &["-H", "Content-Length: 5"], &["no request body"]),
        (plain, &["--client", "me"], &["`me` is no IP address"]),
        (&url, &["--listener", "nowhere"], &["there is no listener nowhere", &proxy.addr().to_string()]),
    ] {
        let output = run(&proxy, url, more);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{url} {said}");
        for part in parts {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
    }
    assert_eq!(proxy.stat("client_requests"), 0);
    let output = Command::new(COPAL).args(["explain", plain, "--admin", "unix:/nowhere/copal.sock"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(3) && said.contains("/nowhere/copal.sock") && said.contains("--admin"),
        "{said}"
    );
}
