//! `copal test` as a command: exit status, reports, watching.

use copal_testkit::{TempDir, wait};
use serde_json::Value;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const COPAL: &str = env!("CARGO_BIN_EXE_copal");
const PATIENCE: Duration = Duration::from_secs(30);

const HOLDS: &str = "# It holds\n```origin\nGET / -> 200 cache-control:max-age=86400\n```\n```client\nGET /\n```\n\
                     ```advance 6h\n```\n```client\nGET /\n```\n```expect\noutcome hit\nage: 21600\n```\n";
const HOLDS_NOT: &str = "# It does <not> hold\n```client\nGET /\n```\n```expect\nstatus 200\n```\n";

fn run(dir: &TempDir, args: &[&str]) -> Output {
    Command::new(COPAL).arg("test").args(args).current_dir(dir.path()).output().unwrap()
}

fn stdout(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn the_exit_status_tells_whether_the_cases_hold() {
    let dir = TempDir::new();
    dir.write("good.md", HOLDS);
    std::fs::create_dir(dir.join("sub")).unwrap();
    dir.write("sub/bad.md", HOLDS_NOT);
    dir.write("sub/prose.md", "# No case here\n");
    dir.write("wrong.md", "# W\n```expcet\n```\n```expect\nstatus x\n```\n");
    let good = run(&dir, &["good.md"]);
    assert_eq!((good.status.code(), good.stderr.is_empty()), (Some(0), true));
    assert!(
        stdout(&good).contains("1 case ok") && stdout(&good).contains("6.0 h of virtual time"),
        "{}",
        stdout(&good)
    );
    let bad = run(&dir, &["good.md", "sub"]);
    assert_eq!(bad.status.code(), Some(1));
    assert!(
        stdout(&bad).contains("sub/bad.md:6: status 200\n    expected  200\n    got       501"),
        "{}",
        stdout(&bad)
    );
    let wrong = run(&dir, &["wrong.md"]);
    assert_eq!((wrong.status.code(), wrong.stdout.is_empty()), (Some(1), true));
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("wrong.md:2:4") && said.contains("did you mean `expect`?"), "{said}");
    assert!(said.contains("wrong.md:5:8"), "everything at once: {said}");
    assert_eq!(run(&dir, &[]).status.code(), Some(2));
    assert_eq!(run(&dir, &["good.md", "--junit", "no/such/folder.xml"]).status.code(), Some(3));
}

#[test]
fn six_hours_pass_in_no_time() {
    let dir = TempDir::new();
    dir.write("good.md", HOLDS);
    let began = copal_observe::clock::ticks();
    assert!(run(&dir, &["good.md"]).status.success());
    assert!(began.elapsed() < Duration::from_secs(60));
}

#[test]
fn results_come_as_json_and_as_junit() {
    let dir = TempDir::new();
    dir.write("good.md", HOLDS);
    dir.write("bad.md", HOLDS_NOT);
    dir.write("policy.rhai", "fn recv(req) {\n    if req.url == \"/never\" {\n        return pass();\n    }\n}\n");
    let out = run(&dir, &[".", "--json", "--coverage", "--junit", "out.xml"]);
    assert_eq!(out.status.code(), Some(1));
    let json: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(1), Some(1)));
    let failure = &json["cases"][0]["failures"][1];
    assert_eq!((failure["line"].as_u64(), failure["got"].as_str()), (Some(6), Some("501")));
    assert_eq!(json["cases"][1]["virtual_s"].as_f64(), Some(21_600.0));
    assert_eq!(json["coverage"][0]["missed"], serde_json::json!([3]));
    assert_eq!(json["coverage"][0]["partly"], serde_json::json!([]));
    let xml = std::fs::read_to_string(dir.path().join("out.xml")).unwrap();
    assert!(xml.contains("<testsuites name=\"copal test\" tests=\"2\" failures=\"1\" errors=\"0\""), "{xml}");
    assert!(
        xml.contains("<testcase name=\"It does &lt;not&gt; hold\"")
            && xml.contains("<failure type=\"expectation\" message="),
        "{xml}"
    );
    dir.write("wrong.md", "# W\n```expect\nstatus x\n```\n");
    let wrong = run(&dir, &["wrong.md", "--json", "--junit", "out.xml"]);
    let xml = std::fs::read_to_string(dir.path().join("out.xml")).unwrap();
    assert!(xml.contains("errors=\"1\"") && xml.contains("<testcase name=\"wrong.md:3\""), "not that of before: {xml}");
    let json: Value = serde_json::from_slice(&wrong.stdout).unwrap();
    assert_eq!((wrong.status.code(), json["findings"][0]["line"].as_u64()), (Some(1), Some(3)));
}

#[test]
fn coverage_and_trace_are_told_when_asked_for() {
    let dir = TempDir::new();
    dir.write("good.md", HOLDS);
    dir.write(
        "policy.rhai",
        "fn recv(req) {\n    if req.url == \"/never\" {\n        return pass();\n    }\n    \
                              if req.url == \"/nor\" { return pass(); }\n}\nfn synth(req, resp) {\n    resp.status = 200;\n}\n",
    );
    let plain = stdout(&run(&dir, &["good.md"]));
    assert!(!plain.contains("lines ran") && !plain.contains("recv -> hash"), "{plain}");
    let told = stdout(&run(&dir, &["good.md", "--coverage", "--trace"]));
    assert!(told.contains("policy.rhai: 2 of 4 lines ran, 1 of 2 hooks"), "{told}");
    let partly = told.contains("lines that ran in part: 5\n");
    assert!(
        partly && told.contains("lines that did not run: 3, 8") && told.contains("hooks that did not run: synth"),
        "{told}"
    );
    assert!(told.contains("21600.000s  client  lookup -> hit"), "{told}");
}

#[test]
fn cases_are_chosen_by_what_reports_call_them() {
    let dir = TempDir::new();
    dir.write("good.md", HOLDS);
    dir.write("bad.md", HOLDS_NOT);
    for (filter, told) in [("It holds", "1 case ok"), ("good.md:1: It", "1 case ok"), ("It", "1 of 2 cases failed")] {
        let out = stdout(&run(&dir, &[".", "--filter", filter]));
        assert!(out.contains(told), "{filter}: {out}");
    }
    let none = run(&dir, &[".", "--filter", "It hodls"]);
    let said = String::from_utf8_lossy(&none.stderr);
    assert_eq!((none.status.code(), none.stdout.is_empty()), (Some(1), true));
    assert!(said.contains("no case has `It hodls`") && said.contains("did you mean `It holds`?"), "{said}");
}

/// A child that is ended with the test, and what it has said.
struct Watching {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Watching {
    fn start(dir: &Path) -> Watching {
        let mut child = Command::new(COPAL)
            .args(["test", "--watch", "good.md"])
            .current_dir(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (mut stdout, to) = (child.stdout.take().unwrap(), Arc::clone(&said));
        std::thread::spawn(move || {
            let mut piece = [0; 1024];
            while let Ok(n @ 1..) = stdout.read(&mut piece) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..n]));
            }
        });
        Watching { child, said }
    }

    fn wait(&self, what: &str, times: usize) {
        wait::until(PATIENCE, what, || self.said.lock().unwrap().matches(what).count() == times);
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself, which the test has noticed by then.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

#[test]
fn watching_runs_them_again_when_a_page_or_a_policy_changes() {
    let dir = TempDir::new();
    dir.write("good.md", HOLDS);
    dir.write("policy.rhai", "fn recv(req) { }");
    let watching = Watching::start(dir.path());
    watching.wait("1 case ok", 1);
    // A change within the same tick of the file system's clock could not be seen: so it is made until it is.
    let mut n = 0;
    wait::until(PATIENCE, "the policy's change", || {
        n += 1;
        dir.write("policy.rhai", format!("fn recv(req) {{ return pass(); }} // {n}"));
        watching.said.lock().unwrap().contains("1 of 1 case failed")
    });
    wait::until(PATIENCE, "the page's change", || {
        n += 1;
        dir.write("good.md", format!("{}<!-- {n} -->\n", HOLDS.replace("outcome hit\nage: 21600", "outcome pass")));
        watching.said.lock().unwrap().matches("1 case ok").count() >= 2
    });
}

#[test]
fn watching_sees_what_mends_a_broken_policy_its_imports_and_its_configuration() {
    let dir = TempDir::new();
    let policy = "import \"lib/u\" as u;\nfn recv(req) { u::look(req); }\n";
    dir.write("good.md", HOLDS);
    std::fs::create_dir(dir.join("lib")).unwrap();
    dir.write("lib/u.rhai", "fn look(req) { }\n");
    dir.write("policy.rhai", "fn recv(req) { oops(");
    let watching = Watching::start(dir.path());
    watching.wait("1 of 1 case failed", 1);
    let (mut ok, mut failed) = (0, 1);
    // As editors do it: a new file in the place of the old one. Lengths differ, so that a change within one tick of the file
    // system's clock is seen too.
    let replace = |name: &str, text: &str| {
        let new = dir.write("new.tmp", text);
        std::fs::rename(new, dir.join(name)).unwrap();
    };
    let mut breaks = |name: &str, broken: &str, mended: &str| {
        if !broken.is_empty() {
            replace(name, broken);
            failed += 1;
            watching.wait("1 of 1 case failed", failed);
        }
        replace(name, mended);
        ok += 1;
        watching.wait("1 case ok", ok);
    };
    breaks("policy.rhai", "", policy);
    breaks("policy.rhai", "fn recv(req) { oops(1", policy);
    breaks("lib/u.rhai", "fn look(", "fn look(req) { } // mended\n");
    let config = "[backend.app]\naddress = \"127.0.0.1:8000\"\n";
    breaks("copal.toml", "[bakcend]\n", config);
}
