//! Faults of a policy in the background, and where they are counted: a refresh that a hook fails is dropped, the stale
//! object stays and serves on, and `/policy/faults` and the metrics say which line it was.

use super::{SOON, builder, settled};
use copal_testkit::{Client, Origin, Proxy, Reply};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Stale from its birth, served for ten minutes more. The second answer and those after it are what `again` makes.
fn origin(again: fn() -> Reply) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::start(move |_| {
        let reply = if count.fetch_add(1, Ordering::SeqCst) == 0 { Reply::ok("first") } else { again() };
        let reply = reply.header("Cache-Control", "max-age=10, stale-while-revalidate=600").header("Age", 10);
        reply.header("ETag", "\"a\"")
    })
}

fn faults(proxy: &Proxy) -> serde_json::Value {
    let mut client = Client::connect_unix(&proxy.admin()).expect("the admin socket answers");
    let response = client.request("GET", "/policy/faults", &[("Connection", "close")], b"");
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).expect("they are JSON")
}

fn metrics(proxy: &Proxy) -> String {
    let line = proxy.wait_log("metrics at http://");
    let at = line.split("metrics at http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    copal_testkit::get(at.parse().expect("an address"), "/metrics", &[]).text()
}

/// The hook fails each refresh in the background; the stale page is served all the same, and each fault counted.
#[track_caller]
fn dropped(hook: &str, kind: &str, statement: &str, again: fn() -> Reply, asked: usize) {
    let name = hook.split('(').next().unwrap_or(hook);
    let policy = format!("fn {hook} {{\n    if bereq.is_bgfetch {{\n        {statement}\n    }}\n}}\n");
    let origin = origin(again);
    let proxy = builder(&origin, "[metrics]\nlisten = \"127.0.0.1:0\"").policy(&policy).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/page", &[]).text(), "first");
    for round in 1..=3 {
        let stale = client.get("/page", &[]);
        assert_eq!((stale.status, stale.text().as_str(), stale.complete), (200, "first", true), "{name}: {stale:?}");
        assert!(stale.header("Cache-Status").is_some_and(|s| s.contains("hit; ttl=")), "{name}: {stale:?}");
        proxy.wait_stat("policy_errors", |n| n == round, SOON);
        settled(&proxy);
    }
    assert_eq!((proxy.stat("background_fetches"), proxy.stat("hits_grace")), (3, 3), "{name}");
    assert_eq!(origin.count(), 1 + asked, "{name}");
    let told = faults(&proxy);
    let fault = &told[0];
    assert_eq!(told.as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!((&fault["hook"], &fault["line"], &fault["count"]), (&name.into(), &3.into(), &3.into()), "{told}");
    assert_eq!(
        (&fault["kind"], proxy.stat("policy_limits_hit")),
        (&kind.into(), if kind == "operations" { 3 } else { 0 })
    );
    let page = metrics(&proxy);
    let line = page.lines().find(|l| l.starts_with("copal_policy_fault_lines_total")).expect("a series of its own");
    let labels = format!("line=\"3\",hook=\"{name}\",kind=\"{kind}\"}} 3");
    assert!(line.contains("policy.rhai") && line.ends_with(&labels), "{line}");
    proxy.wait_log("policy.rhai:3:");
}

#[test]
fn a_refresh_that_backend_fetch_fails_is_dropped_and_the_stale_page_serves_on() {
    dropped("backend_fetch(bereq)", "script", "throw \"planted\";", || Reply::ok("second"), 0);
}

#[test]
fn a_refresh_that_backend_response_fails_is_dropped_and_the_stale_page_serves_on() {
    let statement = "beresp.http.x_a = [\"a\\nb\"][0];";
    dropped("backend_response(bereq, beresp)", "framing", statement, || Reply::ok("second"), 3);
}

#[test]
fn a_refresh_that_backend_refresh_fails_is_dropped_and_the_stale_page_serves_on() {
    let statement = "let n = stale.status; n[7] = 1;";
    dropped("backend_refresh(bereq, beresp, stale)", "script", statement, || Reply::head(304), 3);
}

#[test]
fn a_refresh_whose_hook_runs_away_is_dropped_and_the_stale_page_serves_on() {
    let statement = "let n = 0; while n >= 0 { n += 1; }";
    dropped("backend_response(bereq, beresp)", "operations", statement, || Reply::ok("second"), 3);
}

#[test]
fn faults_are_counted_by_line_until_another_policy_is_in_force() {
    let origin = super::echo();
    let policy = "fn recv(req) {\n    if req.url == \"/a\" { throw \"a\"; }\n    if req.url == \"/b\" { req.url = [\"b\"][0]; }\n}\n\
                  fn deliver(req, resp) { if req.url == \"/c\" { throw \"c\"; } }\n";
    let proxy = builder(&origin, "").policy(policy).start();
    let mut client = proxy.client();
    for path in ["/a", "/b", "/a", "/c", "/fine"] {
        let status = if path == "/fine" { 200 } else { 503 };
        assert_eq!(client.get(path, &[]).status, status, "{path}");
    }
    let list = || -> Vec<String> {
        let told = faults(&proxy);
        let all = told.as_array().expect("a list").iter();
        all.map(|f| format!("{} {} {} {}", f["line"], f["hook"], f["kind"], f["count"])).collect()
    };
    assert_eq!(list(), ["2 \"recv\" \"script\" 2", "3 \"recv\" \"framing\" 1", "5 \"deliver\" \"script\" 1"]);
    assert_eq!(proxy.stat("policy_errors"), 4);
    std::fs::write(proxy.dir().join("policy.rhai"), "fn recv(req) { }").expect("written");
    proxy.signal(copal_testkit::Signal::Hup);
    copal_testkit::wait::until(SOON, "the new policy has no faults", || list().is_empty());
    assert_eq!(proxy.stat("policy_errors"), 4, "the total goes on");
}
