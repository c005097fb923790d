//! Health beside the probes' window: slow start, ejection, saint mode, the queue, what probes look at, and the commands.

use super::directors::{before, named, set};
use super::{COPAL, SOON};
use copal_testkit::{Client, Origin, Proxy, Reply, wait};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const APP: &str = "[director.app]\nbackends = [\"a\", \"b\"]\n";

/// What the figures say of a backend.
fn row(proxy: &Proxy, name: &str) -> serde_json::Value {
    let stats = proxy.stats();
    let rows = stats["backends"].as_array().unwrap();
    rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name} in {stats}")).clone()
}

fn asked(proxy: &Proxy, n: usize, path: &str) -> String {
    let mut client = proxy.client();
    (0..n).map(|_| client.get(path, &[]).text()).collect()
}

#[test]
fn a_backend_that_comes_back_starts_with_a_tenth_of_its_share() {
    let (a, b) = (named("a"), named("b"));
    let proxy = before(&[("a", &a), ("b", &b)], "slow_start = \"1h\"", APP).start();
    assert_eq!(asked(&proxy, 4, "/"), "abab", "no ramp at the start");
    set(&proxy, "a", "sick");
    assert_eq!(asked(&proxy, 2, "/"), "bb");
    set(&proxy, "a", "auto");
    // The tenth lasts for the first six minutes of an hour.
    assert_eq!(asked(&proxy, 110, "/").matches('a').count(), 10);
    let of_a = row(&proxy, "a");
    assert_eq!((of_a["state"].as_str(), of_a["share_percent"].as_f64()), (Some("slow_start"), Some(10.0)));
    assert_eq!(row(&proxy, "b")["state"], "healthy");
}

/// An origin that answers with its name, or with 503 while `ill`.
fn sickly(name: &'static str, ill: &Arc<AtomicBool>) -> Origin {
    let ill = Arc::clone(ill);
    Origin::start(move |_| match ill.load(Ordering::SeqCst) {
        true => Reply::status(503, "!"),
        false => Reply::ok(name).header("Cache-Control", "no-store"),
    })
}

#[test]
fn a_backend_that_fails_requests_is_ejected_and_comes_back_after_its_time() {
    let ill = Arc::new(AtomicBool::new(true));
    let (a, b) = (sickly("a", &ill), named("b"));
    let each = "eject = { faults = 3, time = \"1s\", max_time = \"1s\" }";
    let proxy = before(&[("a", &a), ("b", &b)], each, APP).start();
    assert_eq!(asked(&proxy, 6, "/"), "!b!b!b");
    let log = proxy.wait_log("backend is ejected");
    assert!(log.contains("3 faults in a row") && log.contains("backend=\"a\""), "{log}");
    assert_eq!(asked(&proxy, 6, "/"), "bbbbbb");
    let of_a = row(&proxy, "a");
    assert_eq!((&of_a["state"], &of_a["healthy"], &of_a["ejections"]), (&"ejected".into(), &false.into(), &1.into()));
    assert!(of_a["state_reason"].as_str().unwrap().ends_with("3 faults in a row"), "{of_a}");
    ill.store(false, Ordering::SeqCst);
    assert!(proxy.wait_log("backend is no longer ejected").contains("backend=\"a\""));
    wait::until(SOON, "a serves again", || asked(&proxy, 2, "/").contains('a'));
    assert_eq!(row(&proxy, "a")["state"], "healthy");
}

#[test]
fn no_more_are_ejected_than_the_cap_allows_and_the_owner_can_pardon() {
    let ill = Arc::new(AtomicBool::new(true));
    let (a, b) = (sickly("a", &ill), sickly("b", &ill));
    let proxy = before(&[("a", &a), ("b", &b)], "eject = { faults = 2, time = \"1h\" }", APP).start();
    assert_eq!(asked(&proxy, 10, "/"), "!".repeat(10));
    assert_eq!((row(&proxy, "a")["ejections"].as_u64(), row(&proxy, "b")["ejections"].as_u64()), (Some(1), Some(0)));
    ill.store(false, Ordering::SeqCst);
    assert_eq!(asked(&proxy, 3, "/"), "bbb", "the last one is asked on");
    set(&proxy, "a", "auto");
    assert_eq!(asked(&proxy, 4, "/").matches('a').count(), 2);
}

#[test]
fn refused_connections_and_bodies_that_break_off_eject_too() {
    let mut a = Origin::start(|_| Reply::short_body("ab", 10).header("Cache-Control", "no-store"));
    let b = named("b");
    let each = "eject = { faults = 2, time = \"1h\" }";
    let proxy = before(&[("a", &a), ("b", &b)], each, APP).start();
    for _ in 0..4 {
        let mut client = proxy.client();
        client.send("GET", "/", &[], b"");
        let mut answer = client.read_head();
        if answer.header("Content-Length") != Some("10") {
            client.read_body(&mut answer);
        }
    }
    wait::until(SOON, "a is ejected", || row(&proxy, "a")["state"] == "ejected");
    assert!(row(&proxy, "a")["state_reason"].as_str().unwrap().contains("faults in a row"));
    a.stop();
    let proxy = before(&[("a", &a), ("b", &b)], each, APP).start();
    wait::until(SOON, "a is ejected", || {
        asked(&proxy, 4, "/");
        row(&proxy, "a")["state"] == "ejected"
    });
    assert_eq!(asked(&proxy, 5, "/"), "bbbbb");
}

#[test]
fn saint_mode_asks_somebody_else_for_what_one_backend_has_failed() {
    let a = Origin::start(|seen| match seen.path.as_str() {
        "/bad" => Reply::status(500, "!").header("Cache-Control", "no-store"),
        _ => Reply::ok("a").header("Cache-Control", "no-store"),
    });
    let b = named("b");
    let proxy = before(&[("a", &a), ("b", &b)], "saint_mode = \"1h\"", APP).start();
    assert_eq!(asked(&proxy, 1, "/bad"), "!");
    assert_eq!(asked(&proxy, 5, "/bad"), "bbbbb");
    assert_eq!(asked(&proxy, 4, "/good").matches('a').count(), 2);
    assert_eq!(row(&proxy, "a")["saint_objects"], 1);
    set(&proxy, "b", "sick");
    assert_eq!(asked(&proxy, 1, "/bad"), "!", "with nobody else it is asked after all");
}

#[test]
fn requests_wait_for_a_full_backend_as_the_owner_allows() {
    let origin = named("a");
    let held = origin.hold("/slow");
    let settings = "max_connections = 1\nwait_limit = 1\nwait_timeout = \"1h\"";
    let proxy = before(&[("a", &origin)], settings, "").start();
    let mut first = proxy.client();
    first.send("POST", "/slow", &[], b"");
    origin.wait_for(1, SOON);
    let mut second = proxy.client();
    second.send("POST", "/next", &[], b"");
    wait::until(SOON, "the second waits", || row(&proxy, "a")["waiting"] == 1);
    assert_eq!(copal_testkit::get(proxy.addr(), "/third", &[]).status, 503);
    held.release();
    assert_eq!((first.read_response().text(), second.read_response().text()), ("a".into(), "a".into()));
    assert_eq!((row(&proxy, "a")["waiting"].as_u64(), origin.count()), (Some(0), 2));
}

#[test]
fn who_waits_too_long_gets_503() {
    let origin = named("a");
    let held = origin.hold("/slow");
    let settings = "max_connections = 1\nwait_limit = 10\nwait_timeout = \"50ms\"";
    let proxy = before(&[("a", &origin)], settings, "").start();
    let mut first = proxy.client();
    first.send("POST", "/slow", &[], b"");
    origin.wait_for(1, SOON);
    assert_eq!(copal_testkit::get(proxy.addr(), "/second", &[]).status, 503);
    assert_eq!((proxy.stat("fetch_failed_limit"), origin.count()), (1, 1));
    held.release();
    assert_eq!(first.read_response().status, 200);
}

/// /page is stale at once, and may be served so.
fn page(control: &'static str) -> Origin {
    Origin::start(move |seen| match seen.path.as_str() {
        "/page" => Reply::ok("page").header("Cache-Control", control),
        _ => Reply::ok("a").header("Cache-Control", "no-store"),
    })
}

#[test]
fn what_a_full_backend_cannot_renew_is_served_stale() {
    let origin = page("max-age=0, stale-if-error=3600");
    let proxy = before(&[("a", &origin)], "max_connections = 1", "").start();
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "page");
    let held = origin.hold("/slow");
    let mut first = proxy.client();
    first.send("POST", "/slow", &[], b"");
    origin.wait_for(2, SOON);
    let stale = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((stale.status, stale.text(), proxy.stat("hits_stale_error")), (200, "page".into(), 1));
    let busy = copal_testkit::get(proxy.addr(), "/other", &[]);
    assert_eq!((busy.status, busy.header("Retry-After")), (503, Some("5")));
    held.release();
    assert_eq!((first.read_response().status, origin.count()), (200, 2));
}

#[test]
fn a_refresh_in_the_background_gives_its_place_to_a_client() {
    let origin = page("max-age=0, stale-while-revalidate=3600");
    let settings = "max_connections = 1\nwait_limit = 1\nwait_timeout = \"1h\"";
    let proxy = before(&[("a", &origin)], settings, "").start();
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "page");
    let held = origin.hold("/slow");
    let mut first = proxy.client();
    first.send("POST", "/slow", &[], b"");
    origin.wait_for(2, SOON);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "page");
    wait::until(SOON, "its refresh waits", || row(&proxy, "a")["waiting"] == 1);
    let mut second = proxy.client();
    second.send("POST", "/next", &[], b"");
    proxy.wait_stat("fetch_failed_limit", |n| n == 1, SOON);
    wait::until(SOON, "the client waits in its place", || row(&proxy, "a")["waiting"] == 1);
    held.release();
    assert_eq!((first.read_response().text(), second.read_response().text()), ("a".into(), "a".into()));
    assert_eq!(origin.count_of("/page"), 1, "the refresh was not made");
    // With room again the next one is.
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "page");
    wait::until(SOON, "it is refreshed", || origin.count_of("/page") == 2);
}

#[test]
fn an_adaptive_limit_comes_down_for_faults_and_is_seen() {
    let ill = Arc::new(AtomicBool::new(true));
    let a = sickly("a", &ill);
    let rest = "[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let proxy = before(&[("a", &a)], "adaptive = { min = 2, initial = 10 }", rest).start();
    assert_eq!(row(&proxy, "a")["limit"], 10);
    asked(&proxy, 30, "/");
    assert_eq!(row(&proxy, "a")["limit"], 2);
    let line = proxy.wait_log("/metrics");
    let at = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let text = copal_testkit::get(at, "/metrics", &[]).text();
    assert!(text.contains("copal_backend_limit{backend=\"a\"} "), "{text}");
    assert!(text.contains("copal_backend_cause{backend=\"a\",cause=\"unwatched\"} 1"), "{text}");
    let listed = String::from_utf8(backend(&proxy, &["list"]).stdout).unwrap();
    assert!(listed.contains("running") && listed.contains("0/"), "{listed}");
}

#[test]
fn probes_look_at_what_they_are_told_to() {
    let well = Arc::new(AtomicBool::new(true));
    let health = Arc::clone(&well);
    let page = Origin::start(move |seen| {
        let right = seen.method == "OPTIONS" && seen.path == "/up" && seen.header("X-Probe") == Some("1");
        let text = if health.load(Ordering::SeqCst) { "database: up" } else { "database: down" };
        if right { Reply::status(202, text) } else { Reply::status(404, "?") }
    });
    let mut tcp = Origin::start(|_| Reply::silence());
    let common = "interval = \"20ms\", jitter = \"50%\", timeout = \"5s\", window = 2, threshold = 1, initial = 0";
    let toml = format!(
        "threads = 1\n[backend.page]\naddress = \"{}\"\nprobe = {{ request = [\"OPTIONS /up HTTP/1.1\", \"Host: x\", \
         \"X-Probe: 1\", \"Connection: close\"], expected_status = \"200-299\", expected_body = \"^database: up$\", {common} }}\n\
         [backend.tcp]\naddress = \"{}\"\nprobe = {{ kind = \"tcp\", {common} }}\n",
        page.addr(),
        tcp.addr()
    );
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    let becomes = |name: &str, state: &str| wait::until(SOON, state, || row(&proxy, name)["state"] == state);
    becomes("page", "healthy");
    becomes("tcp", "healthy");
    well.store(false, Ordering::SeqCst);
    becomes("page", "sick");
    let reason = row(&proxy, "page")["state_reason"].as_str().unwrap().to_owned();
    assert!(reason.ends_with("last: status 202, body not as expected"), "{reason}");
    assert_eq!(row(&proxy, "page")["probe_history"], "xx");
    tcp.stop();
    becomes("tcp", "sick");
    let log = proxy.wait_log("backend is sick");
    assert!(log.contains("probes good"), "{log}");
}

fn backend(proxy: &Proxy, args: &[&str]) -> Output {
    let admin = format!("unix:{}", proxy.admin().display());
    Command::new(COPAL).arg("backend").args(args).args(["--admin", &admin]).output().unwrap()
}

/// Is there a line with all of these?
fn lines_have(text: &str, parts: &[&str]) -> bool {
    text.lines().any(|line| parts.iter().all(|part| line.contains(part)))
}

#[test]
fn backend_list_shows_states_and_reasons_and_backend_set_changes_them() {
    let (a, b) = (named("a"), named("b"));
    let proxy = before(&[("a", &a), ("b", &b)], "probe = { path = \"/healthz\", initial = 8 }", APP).start();
    wait::until(SOON, "both are probed", || ["a", "b"].iter().all(|n| row(&proxy, n)["probe_history"] == ".......X"));
    let list = |args: &[&str]| {
        let output = backend(&proxy, args);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let cells = |line: &str| line.split_whitespace().take(4).map(str::to_owned).collect::<Vec<_>>().join(" ");
    let text = list(&["list"]);
    let lines: Vec<String> = text.lines().map(cells).collect();
    assert_eq!(lines[1], format!("a {} healthy auto", a.addr()), "{text}");
    assert_eq!(lines.last().unwrap(), "app round_robin healthy a", "{text}");
    assert!(lines_have(&text, &[".......X", "8 of the last 8 probes good, 3 needed; last: ok"]), "{text}");
    for (state, shown) in [("sick", "sick sick"), ("drain", "draining drain"), ("healthy", "healthy healthy")] {
        assert_eq!(list(&["set", "a", state]), format!("a is set to {state}\n"));
        let text = list(&["list"]);
        assert_eq!(cells(text.lines().nth(1).unwrap()), format!("a {} {shown}", a.addr()));
    }
    list(&["set", "app", "auto"]);
    let json: serde_json::Value = serde_json::from_str(&list(&["list", "--json"])).unwrap();
    assert_eq!((&json["backends"][0]["admin"], &json["directors"][0]["kind"]), (&"auto".into(), &"round_robin".into()));
    let unknown = backend(&proxy, &["set", "nobody", "sick"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no backend or director \"nobody\""), "{unknown:?}");
    assert!(!backend(&proxy, &["set", "a", "well"]).status.success());
    let mut admin = Client::connect_unix(&proxy.admin()).unwrap();
    let wrong = admin.request("POST", "/backends/a?state=well", &[("Connection", "close")], b"");
    assert_eq!(wrong.status, 400);
}

#[test]
fn the_metrics_have_a_series_for_every_state() {
    let (a, b) = (named("a"), named("b"));
    let rest = format!("{APP}[metrics]\nlisten = \"127.0.0.1:0\"\n");
    let proxy = before(&[("a", &a), ("b", &b)], "", &rest).start();
    set(&proxy, "a", "drain");
    let line = proxy.wait_log("/metrics");
    let at = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    let text = copal_testkit::get(at, "/metrics", &[]).text();
    for wanted in [
        "copal_backend_state{backend=\"a\",state=\"draining\"} 1.0",
        "copal_backend_state{backend=\"a\",state=\"healthy\"} 0.0",
        "copal_backend_state{backend=\"b\",state=\"healthy\"} 1.0",
        "copal_backend_share{backend=\"b\"} 1.0",
        "copal_backend_ejections_total{backend=\"a\"} 0.0",
    ] {
        assert!(text.contains(wanted), "no {wanted} in\n{text}");
    }
}

#[test]
fn check_refuses_directors_within_themselves_and_says_where() {
    let dir = copal_testkit::TempDir::new();
    let toml = "[backend.a]\naddress = \"127.0.0.1:1\"\n[director.x]\nbackends = [\"a\", \"y\"]\n\
        [director.y]\nbackends = [\"x\"]\n";
    let config = dir.write("copal.toml", toml);
    let output = Command::new(COPAL).arg("check").arg("--config").arg(config).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("copal.toml:6:13") && said.contains("member of itself"), "{said}");
}
