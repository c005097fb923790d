//! Chores of the project: `tidy` checks the invariants of the architecture on the tree, `docs` writes the reference.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

mod code;
mod costs;
mod docs;
mod finding;
mod rules;
mod tidy;
mod tree;

#[cfg(test)]
mod planted_tests;

const USAGE: &str = "\
usage: cargo run -p copal-xtask -- COMMAND [--root DIR]

  tidy           check the invariants of the architecture; exit 1 and name file:line and rule for each violation
  docs           write the generated reference pages
  docs --check   exit 1 when one of them is stale
  rules          list the rules of tidy
  costs          count the instructions of hooks and of a hit (needs valgrind); exit 1 when one is above its limit
  costs --release   the same of the release build
  costs --table     count what each variable and function of the policy costs; writes docs/reference/policy-costs.md";

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let root = match words.iter().position(|word| word == "--root") {
        Some(at) if at + 1 < words.len() => PathBuf::from(words.drain(at..at + 2).nth(1).unwrap_or_default()),
        _ => workspace(),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => tidy::run(&root),
        ["docs"] => docs::write(&root),
        ["docs", "--check"] => docs::check(&root),
        ["costs"] => costs::run(&root, false),
        ["costs", "--release"] => costs::run(&root, true),
        ["costs", "--table"] => costs::table(&root),
        ["rules"] => {
            for rule in rules::RULES {
                println!("{:<14} {}", rule.name, rule.doc);
            }
            ExitCode::SUCCESS
        }
        _ => {
            eprintln!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// The workspace that this program was built in.
fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}
