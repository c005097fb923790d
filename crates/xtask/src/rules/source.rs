//! Words that must not stand in code: the clock, `unsafe`, what panics.

use crate::code;
use crate::finding::Finding;
use crate::tree::{Tree, room};

/// The one file that reads the clock.
const CLOCK: &str = "crates/observe/src/clock.rs";

pub(crate) fn clock(tree: &Tree) -> Vec<Finding> {
    let mut out = Vec::new();
    for source in tree.sources().filter(|source| source.path != CLOCK && room(source.path) != "xtask") {
        // tokio's Instant is the runtime's timer, for deadlines; the one that tells the time is the standard library's.
        let timers =
            source.code().any(|(_, text, _)| text.starts_with("use tokio::time::") && code::has_word(text, "Instant"));
        for (line, text, test) in source.code() {
            let plain: String = text.split_whitespace().collect();
            for call in ["SystemTime::now", "Instant::now"] {
                let timer = call == "Instant::now" && (timers || plain.contains("tokio::time::Instant::now"));
                if !test && !timer && plain.contains(call) {
                    out.push(Finding::new("clock", source.path, line, format!("`{call}` outside of {CLOCK}")));
                }
            }
        }
    }
    out
}

pub(crate) fn panics(tree: &Tree) -> Vec<Finding> {
    let mut out = Vec::new();
    for source in tree.sources() {
        for (line, text, test) in source.code() {
            let mut found = |what: &str| out.push(Finding::new("panics", source.path, line, format!("`{what}`")));
            if code::has_word(text, "unsafe") {
                found("unsafe");
            }
            for mac in ["todo", "unimplemented", "dbg"] {
                if code::words(text, mac).any(|at| text[at + mac.len()..].starts_with('!')) {
                    found(&format!("{mac}!"));
                }
            }
            if !test && text.contains(".unwrap()") {
                found("unwrap() outside of tests: name the invariant with expect, or return the error");
            }
        }
    }
    out
}
