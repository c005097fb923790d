//! The access log, in both formats, to a file that can be moved away.

use super::{SOON, builder};
use copal_testkit::{Origin, Proxy, Reply, Signal, wait};
use std::fs;
use std::path::Path;

fn origin() -> Origin {
    Origin::start(|seen| match seen.path.as_str() {
        "/dead" => Reply::hang_up(),
        "/cut" => Reply::short_body("abc", 9).header("Cache-Control", "max-age=60"),
        _ => Reply::ok("hello").header("Cache-Control", "max-age=60"),
    })
}

fn lines(path: &Path, n: usize) -> Vec<String> {
    let read = || fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect::<Vec<_>>();
    wait::poll(SOON, || (read().len() >= n).then_some(())).unwrap_or_else(|| panic!("not {n} lines: {:?}", read()));
    read()
}

fn logging(origin: &Origin, format: &str) -> Proxy {
    let toml = format!("[log]\naccess = {{ format = \"{format}\", path = \"{{dir}}/access.log\" }}");
    builder(origin, &toml)
        .policy("fn recv(req) { if req.url == \"/tea\" { std::log(\"a note\"); return synth(418); } }")
        .start()
}

#[test]
fn json_tells_all_that_is_known_of_a_request() {
    let origin = origin();
    let proxy = logging(&origin, "json");
    let mut client = proxy.client();
    client
        .get("/page?q=1", &[("X-Request-Id", "id-1"), ("User-Agent", "test \"quoted\" \\"), ("Referer", "http://a/")]);
    client.get("/page?q=1", &[]);
    client.get("/tea", &[]);
    client.get("/dead", &[]);
    client.request("POST", "/page?q=1", &[], b"x");
    let log: Vec<serde_json::Value> =
        lines(&proxy.dir().join("access.log"), 5).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |i: usize, name: &str| log[i][name].as_str().unwrap_or_default().to_owned();
    let outcomes: Vec<_> = (0..5).map(|i| (text(i, "outcome"), log[i]["status"].as_u64().unwrap())).collect();
    let wanted = [("miss", 200), ("hit", 200), ("synth", 418), ("error", 502), ("pass", 200)];
    assert_eq!(outcomes, wanted.map(|(outcome, status)| (outcome.to_owned(), status)));
    assert_eq!(
        (text(0, "url"), text(0, "host"), text(0, "request_id")),
        ("/page?q=1".into(), "test.example".into(), "id-1".into())
    );
    assert_eq!((text(0, "method"), text(4, "method"), text(0, "backend")), ("GET".into(), "POST".into(), "app".into()));
    assert_eq!((log[0]["body_bytes"].as_u64(), text(0, "referer")), (Some(5), "http://a/".into()));
    assert!(text(0, "client").starts_with("127.0.0.1:") && text(0, "user_agent").starts_with("test \"quoted\""));
    assert_eq!(log[2]["log"][0].as_str(), Some("a note"));
    assert!(!text(3, "error").is_empty() && log[0].get("error").is_none());
}

#[test]
fn ncsa_is_one_line_a_request_that_no_client_can_break() {
    let origin = origin();
    let proxy = logging(&origin, "ncsa");
    let mut client = proxy.client();
    client.get("/page", &[("User-Agent", "evil\" 200 0 \"-\""), ("Referer", "http://a/")]);
    client.get("/page", &[]);
    client.request("HEAD", "/page", &[], b"");
    let log = lines(&proxy.dir().join("access.log"), 3);
    assert!(
        log[0].starts_with("127.0.0.1 - - [")
            && log[0].contains("] \"GET /page HTTP/1.1\" 200 5 \"http://a/\" \"evil\\x22"),
        "{log:?}"
    );
    assert!(log[1].ends_with("\"GET /page HTTP/1.1\" 200 5 \"-\" \"-\""), "{log:?}");
    assert!(log[2].ends_with("\"HEAD /page HTTP/1.1\" 200 0 \"-\" \"-\""), "{log:?}");
}

#[test]
fn refused_and_broken_requests_are_logged_too() {
    let origin = origin();
    let proxy = logging(&origin, "json");
    let mut bad = proxy.client();
    bad.send_raw("GET / HTTP/1.1\r\n\r\n");
    assert_eq!(bad.read_response().status, 400);
    // Two connections may be served by two workers: the second begins when the first is in the log.
    lines(&proxy.dir().join("access.log"), 1);
    let cut = copal_testkit::get(proxy.addr(), "/cut", &[]);
    assert!(!cut.complete);
    let log: Vec<serde_json::Value> =
        lines(&proxy.dir().join("access.log"), 2).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((log[0]["status"].as_u64(), log[0]["reason"].as_str()), (Some(400), Some("bad-request")));
    assert_eq!((log[1]["status"].as_u64(), log[1]["body_bytes"].as_u64()), (Some(200), Some(3)));
    assert!(log[1]["error"].is_string(), "{}", log[1]);
}

#[test]
fn a_log_that_was_moved_away_is_opened_anew_on_sighup() {
    let origin = origin();
    let proxy = logging(&origin, "json");
    let (path, moved) = (proxy.dir().join("access.log"), proxy.dir().join("access.log.1"));
    let _ = copal_testkit::get(proxy.addr(), "/1", &[]);
    lines(&path, 1);
    fs::rename(&path, &moved).unwrap();
    proxy.signal(Signal::Hup);
    proxy.wait_log("reloaded policy");
    let _ = copal_testkit::get(proxy.addr(), "/2", &[]);
    assert!(lines(&path, 1)[0].contains("\"/2\""));
    assert_eq!(lines(&moved, 1).len(), 1);
}

#[test]
fn what_is_queued_is_written_before_the_end() {
    let origin = origin();
    let mut proxy = logging(&origin, "ncsa");
    let mut client = proxy.client();
    for _ in 0..200 {
        client.get("/page", &[]);
    }
    drop(client);
    assert!(proxy.stop(SOON).success());
    assert_eq!(lines(&proxy.dir().join("access.log"), 200).len(), 200);
}

#[test]
fn request_fields_that_the_owner_names_are_in_the_json_line_as_the_policy_left_them() {
    let origin = origin();
    let toml = "[log.access]\npath = \"{dir}/access.log\"\nheaders = [\"X-Real-IP\", \"X-Group\", \"X-None\"]\n";
    let proxy = builder(&origin, toml).policy("fn recv(req) { req.http[\"x-group\"] = \"b\"; }").start();
    let mut client = proxy.client();
    client.get("/page", &[("X-Real-IP", "192.0.2.7"), ("X-Real-IP", "192.0.2.8"), ("X-Group", "a")]);
    client.get("/page", &[]);
    let log: Vec<serde_json::Value> =
        lines(&proxy.dir().join("access.log"), 2).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(log[0]["headers"], serde_json::json!({ "x-real-ip": "192.0.2.7, 192.0.2.8", "x-group": "b" }));
    assert_eq!(log[1]["headers"], serde_json::json!({ "x-group": "b" }));
}
