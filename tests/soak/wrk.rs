//! The same load from wrk, whose Lua script verifies the bodies.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What wrk saw.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) right: u64,
    /// Right as well, behind the leftovers of a cut body: an oddity of wrk.
    pub(super) spliced: u64,
    pub(super) wrong: u64,
    /// Bodies that were visibly cut.
    pub(super) cut: u64,
    /// Answers that took longer than 20 s.
    pub(super) hung: u64,
    /// All that wrk printed.
    #[allow(dead_code, reason = "for the reader of the test's output")]
    pub(super) text: String,
}

/// `None` when wrk is not installed.
pub(super) fn run(addr: SocketAddr, connections: u64, during: Duration) -> Option<Report> {
    let output = Command::new("wrk")
        .args(["-t", "2", "-c", &connections.to_string(), "-d", &format!("{}s", during.as_secs()), "--timeout", "20s"])
        .args(["-s", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/soak/soak.lua"), &format!("http://{addr}/")])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("soak {name} ")));
        line.and_then(|n| n.trim().parse().ok()).unwrap_or_else(|| panic!("wrk said no {name}:\n{text}"))
    };
    Some(Report {
        right: number("right"),
        spliced: number("spliced"),
        wrong: number("wrong"),
        cut: number("cut"),
        hung: number("hung"),
        text: text.clone(),
    })
}
