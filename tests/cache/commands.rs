//! The commands beside `serve`: check, stat, and the metrics page.

use super::{COPAL, builder, echo};
use copal_testkit::{Client, TempDir};
use std::process::{Command, Output};

fn check(dir: &TempDir, toml: &str, rhai: &str) -> Output {
    let config = dir.write("copal.toml", toml);
    let policy = dir.write("policy.rhai", rhai);
    Command::new(COPAL).arg("check").arg("--config").arg(config).arg("--policy").arg(policy).output().unwrap()
}

/// `copal check` ends with 1 and says on stderr all of `parts`.
#[track_caller]
fn is_wrong(toml: &str, rhai: &str, parts: &[&str]) {
    let output = check(&TempDir::new(), toml, rhai);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{toml}\n{rhai}\n{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in:\n{said}");
    }
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn a_command_that_is_not_in_this_version_says_so_and_what_to_use() {
    for (args, instead) in [
        (&["log"][..], "`copal explain URL`"),
        (&["log", "-q", "status >= 500"], "[log] access"),
        (&["top"], "jq"),
        (&["hist", "--help"], "`copal stat -1`"),
        (&["policy", "list"], "`copal reload`"),
        (&["completions", "bash"], "--help"),
        (&["man"], "--help"),
        (&["stat"], "`copal stat -1`"),
    ] {
        let output = Command::new(COPAL).args(args).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(said.contains("is not in this version") && said.contains(instead), "{args:?}: {said}");
    }
    let typo = Command::new(COPAL).arg("pruge").output().unwrap();
    assert_eq!(typo.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&typo.stderr).contains("purge"));
}

#[test]
fn the_reload_command_puts_a_right_policy_in_force_and_says_what_is_wrong_with_another() {
    let origin = echo();
    let proxy = builder(&origin, "").policy("fn recv(req) { return synth(201); }").start();
    let reload = |rhai: &str| {
        proxy.dir().write("policy.rhai", rhai);
        let admin = format!("unix:{}", proxy.admin().display());
        let output = Command::new(COPAL).args(["reload", "--admin", &admin]).output().unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), said(output.stdout), said(output.stderr))
    };
    let status = || proxy.client().get("/", &[]).status;
    let (code, out, _) = reload("fn recv(req) { return synth(202); }");
    assert!(code == Some(0) && out.starts_with("reloaded policy"), "{out}");
    assert_eq!(status(), 202);
    let (code, _, told) = reload("fn recv(req) { return synth(202) }; x");
    assert!(code == Some(1) && told.contains("policy.rhai:1:"), "{told}");
    assert_eq!(status(), 202);
}

const BACKEND: &str = "[backend.app]\naddress = \"127.0.0.1:8000\"\n";

#[test]
fn check_finds_faults_in_the_configuration_and_names_what_was_meant() {
    let with = |more: &str| format!("{BACKEND}{more}");
    for (toml, parts) in [
        (with("[cache]\nsise = \"1GiB\"\n"), &["copal.toml:4:1", "sise = \"1GiB\"", "`size`"][..]),
        (with("[cahce]\nsize = \"1GiB\"\n"), &["copal.toml:3:2", "`cache`"]),
        (with("[cache]\nsize = \"1GiBi\"\n"), &["copal.toml:4:8"]),
        (with("[cache]\nttl = \"5 parsecs\"\n"), &["copal.toml:4:7"]),
        (with("[cache]\nttl = 5\n"), &["copal.toml:4:7"]),
        (with("[director.d]\nbackends = [\"ap\"]\n"), &["copal.toml:4:13", "`app`"]),
        (with("[purge]\nacl = \"nobody\"\n"), &["copal.toml:4:7", "nobody"]),
        (with("[cache]\nsize = \"1GiB\"\nsize = \"2GiB\"\n"), &["copal.toml:5:1"]),
        (with("[backend.app]\naddress = \"127.0.0.1:1\"\n"), &["copal.toml:3:"]),
        (with("[acl]\na = [\"300.0.0.1\"]\n"), &["copal.toml:4:6"]),
        ("[backend.app]\n".to_owned(), &["copal.toml:1:", "address"]),
        (with("[[["), &["copal.toml:3:"]),
    ] {
        is_wrong(&toml, "", parts);
    }
}

#[test]
fn check_takes_files_by_their_kind_and_a_policy_without_a_configuration() {
    let dir = TempDir::new();
    let toml = dir.write("copal.toml", BACKEND);
    let rhai = dir.write(
        "site.rhai",
        r#"fn recv(req) { if client.ip.within("purgers") { req.backend = backend("app"); } else { return policy("shop"); } }"#,
    );
    let vcl = dir.write("default.vcl", "vcl 4.1;\nsub vcl_recv {\n  set req.url = \"/\";\n}\n");
    let run = |args: &[&std::path::Path]| {
        let output = Command::new(COPAL).arg("check").args(args).output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), said)
    };
    let (code, said) = run(&[&toml]);
    assert!(code == Some(0) && said.contains("1 backend"), "{said}");
    let (code, said) = run(&[&rhai]);
    let names = "only a configuration has it: ACL \"purgers\", backend \"app\", policy \"shop\"";
    assert!(code == Some(0) && said.contains(names) && said.contains("recv: native"), "{said}");
    let (code, said) = run(&[&rhai, std::path::Path::new("--json")]);
    assert!(code == Some(0) && said.contains(r#""unchecked":[{"kind":"ACL","name":"purgers"}"#), "{said}");
    let (code, said) = run(&[&toml, &rhai]);
    assert!(code == Some(1) && said.contains("no ACL \"purgers\"") && !said.contains("\"app\"\n"), "{said}");
    let (code, said) = run(&[&vcl]);
    assert!(code == Some(1) && said.contains("VCL") && said.contains("default.vcl:2:1"), "{said}");
    let (code, said) = run(&[&rhai, &vcl]);
    assert!(code == Some(2) && said.contains("two files for one policy"), "{said}");
}

#[test]
fn check_finds_faults_in_the_policy_and_names_what_was_meant() {
    for (rhai, parts) in [
        ("fn recv(req) {\n    req.http.remove(\"a\"\n}\n", &["policy.rhai:3:1"][..]),
        ("fn recve(req) { }\n", &["policy.rhai:1:", "recv"]),
        ("fn recv(req, more) { }\n", &["policy.rhai:1:"]),
        ("fn recv(req) {\n    req.ulr = \"/\";\n}\n", &["policy.rhai:2:9", "url"]),
        ("fn recv(req) { return deliver(); }\n", &["policy.rhai:1:"]),
        ("fn recv(req) { req.backend = backend(\"ap\"); }\n", &["policy.rhai:1:", "app"]),
        ("fn recv(req) { if req.url.matches(\"(\") { } }\n", &["policy.rhai:1:"]),
    ] {
        is_wrong(BACKEND, rhai, parts);
    }
}

#[test]
fn check_is_silent_about_what_is_right_but_for_one_line() {
    let output = check(&TempDir::new(), BACKEND, "fn recv(req) { }");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("ok: "));
}

#[test]
fn check_as_json_and_with_the_resolved_values() {
    let dir = TempDir::new();
    let run = |toml: &str, flag: &str| {
        let config = dir.write("copal.toml", toml);
        let output = Command::new(COPAL).args(["check", flag, "--config"]).arg(config).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = run("[cahce]\n", "--json");
    let found: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(code == Some(1) && found["findings"].as_array().is_some_and(|list| !list.is_empty()), "{text}");
    let (code, text) = run(BACKEND, "--resolved");
    assert!(code == Some(0) && text.contains("cache.size = ") && text.contains("backend.app.address"), "{text}");
}

#[test]
fn check_says_which_hooks_run_natively_and_why_the_others_do_not() {
    let dir = TempDir::new();
    let policy = "fn recv(req) { let path = url::path(req.url); if path == \"/x\" { return pass(); } }\n\
                  fn deliver(req, resp) {\n    while resp.hits > 9 { return; }\n}\nfn hash(req, key) { }\nfn init() { }\n";
    let output = check(&dir, BACKEND, policy);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\n  recv: native\n") && text.contains("\n  hash: empty, costs nothing\n"), "{text}");
    assert!(text.contains("policy.rhai:3:5: a loop whose rounds are not known at load\n"), "{text}");
    let (config, file) = (dir.path().join("copal.toml"), dir.path().join("policy.rhai"));
    let mut command = Command::new(COPAL);
    let output = command.args(["check", "--json", "--config"]).arg(config).arg("--policy").arg(file).output().unwrap();
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hook = |name: &str| found["hooks"].as_array().and_then(|l| l.iter().find(|h| h["hook"] == name)).cloned();
    assert_eq!(found["findings"], serde_json::json!([]));
    assert!(hook("recv").is_some_and(|h| h["how"] == "native" && h.get("line").is_none()), "{found}");
    assert!(hook("deliver").is_some_and(|h| h["how"] == "interpreted" && h["line"] == 3), "{found}");
}

#[test]
fn serve_refuses_to_start_with_what_check_refuses() {
    let origin = echo();
    let exited = builder(&origin, "[cahce]").try_start().unwrap_err();
    assert_eq!(exited.status.and_then(|status| status.code()), Some(1));
    assert!(exited.stderr.contains("`cache`") && exited.stderr.contains("copal.toml:"), "{}", exited.stderr);
    let exited = builder(&origin, "").policy("fn recv(req) { oops }").try_start().unwrap_err();
    assert_eq!(exited.status.and_then(|status| status.code()), Some(1));
    assert!(exited.stderr.contains("policy.rhai:1:"), "{}", exited.stderr);
}

#[test]
fn stat_prints_the_hit_ratio_and_every_counter() {
    let origin = echo();
    let proxy = super::front(&origin);
    let mut client = proxy.client();
    for _ in 0..4 {
        client.get("/page", &[]);
    }
    let stat = |more: &[&str]| {
        let admin = format!("unix:{}", proxy.admin().display());
        let output = Command::new(COPAL).args(["stat", "-1", "--admin", &admin]).args(more).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = stat(&[]);
    assert!(text.contains("75.0 % (3 hits, 1 misses)"), "{text}");
    for (name, value) in [("hits_fresh", "3"), ("misses", "1"), ("objects", "1"), ("stores", "1")] {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
        assert_eq!(line.split_whitespace().nth(1), Some(value), "{name}: {line}");
    }
    let json: serde_json::Value = serde_json::from_str(&stat(&["--json"])).unwrap();
    assert_eq!(json["counters"]["hits_fresh"].as_i64(), Some(3));
}

#[test]
fn stat_without_a_proxy_says_so_and_how_to_name_one() {
    let output = Command::new(COPAL).args(["stat", "-1", "--admin", "unix:/nowhere/copal.sock"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(3) && said.contains("/nowhere/copal.sock") && said.contains("--admin"),
        "{said}"
    );
}

#[test]
fn metrics_are_prometheus_text_of_the_same_counters() {
    let origin = echo();
    let proxy = builder(&origin, "[metrics]\nlisten = \"127.0.0.1:0\"").start();
    let line = proxy.wait_log("metrics at http://");
    let (_, rest) = line.split_once("http://").unwrap();
    let addr = rest.split('/').next().unwrap().parse().unwrap();
    let mut client = proxy.client();
    for _ in 0..3 {
        client.get("/page", &[]);
    }
    let page = copal_testkit::get(addr, "/metrics", &[]);
    let text = page.text();
    assert!(
        page.status == 200 && page.header("Content-Type").is_some_and(|kind| kind.contains("openmetrics")),
        "{page:?}"
    );
    for wanted in
        ["copal_hits_fresh_total 2\n", "copal_misses_total 1\n", "copal_objects 1\n", "copal_fetches_total 1\n"]
    {
        assert!(text.contains(wanted), "no {wanted:?} in:\n{text}");
    }
    assert!(text.contains("copal_request_duration_seconds") && text.contains("backend=\"app\""), "{text}");
    assert_eq!(copal_testkit::get(addr, "/other", &[]).status, 404);
}

#[test]
fn the_admin_socket_takes_nonsense_without_harm() {
    let origin = echo();
    let proxy = super::front(&origin);
    for nonsense in [
        "\x16\x03\x01\r\n\r\n",
        "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
        "DELETE /stats HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut client = Client::connect_unix(&proxy.admin()).unwrap();
        client.send_raw(nonsense);
        assert!(client.read_response().status >= 400);
    }
    assert_eq!(proxy.stat("client_requests"), 0);
}
