//! What each fuzz target does with the bytes it is given: feed a parser, and check what must hold of its answer.
//!
//! Two programs share these functions: the fuzzer (`make fuzz`, nightly), and the test that replays `fuzz/seeds` with
//! every `make test` on stable. An input that once broke something is kept there.
//!
//! A function panics when something does not hold; that is what a fuzzer calls a crash.
#![allow(unreachable_pub, reason = "the test that replays the seeds has this file as a module")]

mod files;
mod hosts;
mod semantics;
mod snapshot;
mod wire;

/// A fuzz target: its name, which is that of its seeds' folder too, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("request_head", wire::request_head),
    ("response_head", wire::response_head),
    ("chunked", wire::chunked),
    ("proxy_header", wire::proxy_header),
    ("cache_control", semantics::cache_control),
    ("date", semantics::date),
    ("etag", semantics::etag),
    ("range", semantics::range),
    ("vary", semantics::vary),
    ("key", semantics::key),
    ("packed", semantics::packed),
    ("lifecycle", semantics::lifecycle),
    ("snapshot", snapshot::snapshot),
    ("config", files::config),
    ("policy", hosts::policy),
    ("hosts", hosts::hosts),
];

/// Runs the target of that name.
///
/// # Panics
/// When there is none, and when what the target checks does not hold.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    target.unwrap_or_else(|| panic!("no fuzz target is called {name}")).1(data);
}
