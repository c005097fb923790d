//! The invariants of docs/ARCHITECTURE.md that a program can check, one function each.

use crate::docs;
use crate::finding::Finding;
use crate::tree::Tree;

pub(crate) mod closure;
mod dependencies;
mod files;
mod imports;
mod names;
mod source;

/// One invariant.
pub(crate) struct Rule {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) check: fn(&Tree) -> Vec<Finding>,
}

const fn rule(name: &'static str, doc: &'static str, check: fn(&Tree) -> Vec<Finding>) -> Rule {
    Rule { name, doc, check }
}

/// All rules. A rule's name is what its findings carry.
#[rustfmt::skip]
pub(crate) const RULES: &[Rule] = &[
    rule("pure-semantics", "semantics is synchronous and imports nothing from this workspace", imports::pure_semantics),
    rule("pure-closure", "no runtime, socket or engine among all that semantics is linked with, tests apart", closure::pure),
    rule("confined", "pingora* only in backend and server, rhai only in policy, moka only in store, clap only in cli", imports::confined),
    rule("direction", "a crate imports only the crates that the architecture lets it", imports::direction),
    rule("clock", "the clock is read in crates/observe/src/clock.rs alone, tests apart", source::clock),
    rule("panics", "no unsafe, no todo! or unimplemented!, no unwrap() outside tests", source::panics),
    rule("first-line", "line 1 of a Rust file is a `//!` comment that says what it is", files::first_line),
    rule("length", "at most 500 lines before the tests; 800 is an error", files::length),
    rule("name", "no product, crate, file, item or header has another product's name", names::other_product),
    rule("machine-path", "no path of one machine in a tracked file", files::machine_path),
    rule("dependencies", "each dependency has its line in docs/decisions/dependencies.md", dependencies::explained),
    rule("docs", "the generated reference pages are up to date", docs::stale),
];
