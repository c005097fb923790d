//! What the pure crate is linked with, all the way down: so that it could run in a browser, without building it for one.

use std::process::Command;

use crate::finding::Finding;
use crate::tree::Tree;

const RULE: &str = "pure-closure";
const PACKAGE: &str = "copal-semantics";
const MANIFEST: &str = "crates/semantics/Cargo.toml";

/// How the names of crates begin that bring a runtime, a socket, a thread pool or an engine with them. None of them runs on
/// `wasm32-unknown-unknown`, or none has a place in rules that are pure functions.
const IMPURE: &[&str] = &[
    "tokio",
    "mio",
    "socket2",
    "async-",
    "futures",
    "pingora",
    "hyper",
    "rhai",
    "moka",
    "parking_lot",
    "libc",
    "getrandom",
];

/// No impure crate among all that the package depends on, tests apart, whatever the target.
pub(crate) fn pure(tree: &Tree) -> Vec<Finding> {
    // Without a lock file this is no workspace of cargo's: a planted tree.
    if tree.file("Cargo.lock").is_none() || tree.file(MANIFEST).is_none() {
        return Vec::new();
    }
    match closure(tree) {
        Ok(crates) => violations(&crates),
        Err(why) => vec![Finding::new(RULE, MANIFEST, 1, format!("cargo cannot tell the dependencies: {why}"))],
    }
}

fn violations(crates: &[String]) -> Vec<Finding> {
    let impure = |name: &&String| IMPURE.iter().any(|start| name.starts_with(start));
    let found = crates.iter().filter(impure);
    found.map(|name| Finding::new(RULE, MANIFEST, 1, format!("{PACKAGE} is linked with `{name}`"))).collect()
}

/// The names of all crates that the package is built with, itself first, each once.
fn closure(tree: &Tree) -> Result<Vec<String>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let out = Command::new(cargo)
        .args(["tree", "--package", PACKAGE, "--edges", "normal", "--target", "all", "--prefix", "none", "--no-dedupe"])
        .args(["--format", "{p}", "--offline", "--locked"])
        .current_dir(&tree.root)
        .output()
        .map_err(|why| why.to_string())?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let mut names: Vec<String> = text.lines().filter_map(|l| l.split_whitespace().next()).map(str::to_owned).collect();
    if names.first().is_none_or(|first| first != PACKAGE) {
        return Err(format!("unexpected answer: {text}"));
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}
