//! Commands that people look for and that are not in this version: each is refused with what does the same today.

use crate::Failed;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// What to use instead of each.
const LEFT_OUT: [(&str, &str); 6] = [
    ("log", "`[log] access` writes a line for each request, and `copal explain URL` tells all that one request did"),
    ("top", "`[log] access = { format = \"json\", path = \"FILE\" }` writes what it would rank: jq and sort read it"),
    ("hist", "`copal stat -1` shows latencies of hits and misses by percentile; `[metrics]` has them as histograms"),
    (
        "policy",
        "a policy is a file: `copal check` checks it, `copal reload` puts it in force if it is right, and the file as it was \
         before, with `copal reload` again, takes it back",
    ),
    ("completions", "`copal help` and `copal COMMAND --help` tell all commands and flags"),
    ("man", "`copal help` and `copal COMMAND --help` tell all commands and flags"),
];

/// The refusal, if that is what the parser has stumbled over.
pub(crate) fn refusal(error: &clap::Error) -> Option<Failed> {
    let ErrorKind::InvalidSubcommand = error.kind() else { return None };
    let Some(ContextValue::String(asked)) = error.get(ContextKind::InvalidSubcommand) else { return None };
    let (name, instead) = LEFT_OUT.iter().find(|(name, _)| name == asked)?;
    Some(missing(&format!("copal {name}"), instead))
}

/// Something is not in this version.
pub(crate) fn missing(what: &str, instead: &str) -> Failed {
    Failed::usage(format!("`{what}` is not in this version\n  instead: {instead}"))
}
