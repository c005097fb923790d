//! The generated reference pages: written from the tables in the crates, and checked to be what is in the tree.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use crate::finding::Finding;
use crate::tree::Tree;

/// A generated file and what makes it.
type Page = (&'static str, fn() -> String);

/// All generated files. A new page is one line here.
#[rustfmt::skip]
pub(crate) const PAGES: &[Page] = &[
    ("docs/reference/config.md", copal_config::reference_markdown),
    ("docs/reference/policy.md", copal_policy::reference_markdown),
    ("docs/reference/copal.d.rhai", copal_policy::definitions),
    ("docs/reference/counters.md", counters),
    ("docs/reference/log.md", copal_observe::log_reference_markdown),
    ("docs/reference/steps.md", copal_pipeline::step::reference_markdown),
];

/// The table of counters with a heading over it.
fn counters() -> String {
    let table = copal_observe::reference_markdown();
    format!("# Counters\n\nGenerated from `crates/observe/src/counter.rs`; do not edit.\n\n{table}")
}

/// Writes all pages.
pub(crate) fn write(root: &Path) -> ExitCode {
    for (path, make) in PAGES {
        let target = root.join(path);
        let folder = target.parent().unwrap_or(root);
        if let Err(why) = fs::create_dir_all(folder).and_then(|()| fs::write(&target, make())) {
            eprintln!("docs: cannot write {}: {why}", target.display());
            return ExitCode::FAILURE;
        }
        println!("docs: wrote {path}");
    }
    ExitCode::SUCCESS
}

/// Prints which pages are stale; fails when one is.
pub(crate) fn check(root: &Path) -> ExitCode {
    let findings: Vec<Finding> = PAGES.iter().filter_map(|(path, make)| differs(root, path, &make())).collect();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The pages that are stale, as a rule of `tidy`.
pub(crate) fn stale(tree: &Tree) -> Vec<Finding> {
    PAGES.iter().filter_map(|(path, make)| differs(&tree.root, path, &make())).collect()
}

fn differs(root: &Path, path: &str, wanted: &str) -> Option<Finding> {
    let found = fs::read_to_string(root.join(path)).unwrap_or_default();
    if found == wanted {
        return None;
    }
    let line = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count() + 1;
    Some(Finding::new("docs", path, line, "stale: run `cargo run -p copal-xtask -- docs`"))
}
