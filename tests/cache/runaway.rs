//! A policy that runs away: its request gets 503 soon, and every other request goes on.

use super::{builder, echo};
use std::time::Duration;
use tokio::time::Instant;

/// Each turn of the loop searches 4,000 members: without the limit on time it went on for ten seconds and more.
const POLICY: &str = r#"
fn search(list) {
    while list.index_of("y") < 0 { }
}

fn recv(req) {
    if req.url == "/runaway" {
        let list = [];
        list.pad(4000, "x");
        search(list);
    }
}
"#;

#[test]
fn operations_that_take_long_end_a_hook_by_its_time() {
    let origin = echo();
    let proxy = builder(&origin, "").policy(POLICY).start();
    let mut client = proxy.client();
    for round in 1..=3 {
        let start = Instant::now();
        assert_eq!(client.get("/runaway", &[]).status, 503);
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert_eq!(client.get("/page", &[]).status, 200);
        assert_eq!((proxy.stat("policy_errors"), proxy.stat("policy_limits_hit")), (round, round));
    }
    assert_eq!(origin.count(), 1, "no such request got there");
    let log = proxy.wait_log("took too much time");
    let line = log.lines().find(|line| line.contains("took too much time")).expect("a line of the log");
    assert!(line.contains("policy.rhai:3:11") && line.contains("in `search` called at "), "{line}");
}
