//! Which lines and hooks of the policies ran, and which did not.

use crate::run::Suite;
use copal_policy::coverage::Lines;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// One policy file, or one of its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Covered {
    /// The file.
    pub file: String,
    /// How many of its lines have a statement.
    pub lines: usize,
    /// Those that did not run.
    pub missed: Vec<usize>,
    /// Those of which some statements ran and some did not: `if c { return pass(); }` whose condition never held.
    pub partly: Vec<usize>,
    /// How many hooks it defines.
    pub hooks: usize,
    /// Those that did not run.
    pub hooks_missed: Vec<&'static str>,
}

/// All policies that the cases ran; empty when coverage was not asked for.
#[must_use]
pub fn covered(suite: &Suite) -> Vec<Covered> {
    let Some(coverage) = &suite.coverage else { return Vec::new() };
    let mut hooks: BTreeMap<&str, BTreeMap<&'static str, bool>> = BTreeMap::new();
    for outcome in &suite.outcomes {
        let known = hooks.entry(&outcome.policy).or_default();
        for hook in &outcome.hooks {
            *known.entry(hook).or_default() |= outcome.ran.contains(hook);
        }
    }
    let lines = coverage.lines();
    let files: BTreeSet<&str> = lines.keys().map(String::as_str).collect();
    files
        .into_iter()
        .map(|file| {
            let lines = &lines[file];
            let own = hooks.get(file);
            Covered {
                file: file.to_owned(),
                lines: lines.len(),
                missed: those(lines, |ran, _| ran == 0),
                partly: those(lines, |ran, all| ran > 0 && ran < all),
                hooks: own.map_or(0, BTreeMap::len),
                hooks_missed: own.into_iter().flatten().filter(|(_, ran)| !**ran).map(|(hook, _)| *hook).collect(),
            }
        })
        .collect()
}

/// The lines of which so many statements ran, of so many.
fn those(lines: &Lines, which: impl Fn(usize, usize) -> bool) -> Vec<usize> {
    let ran = |times: &[u64]| times.iter().filter(|times| **times > 0).count();
    lines.iter().filter(|(_, times)| which(ran(times), times.len())).map(|(line, _)| *line).collect()
}

/// For people.
#[must_use]
pub fn text(suite: &Suite) -> String {
    let mut out = String::new();
    for policy in covered(suite) {
        let ran = policy.lines - policy.missed.len();
        let hooks = policy.hooks - policy.hooks_missed.len();
        let _infallible =
            writeln!(out, "{}: {ran} of {} lines ran, {hooks} of {} hooks", policy.file, policy.lines, policy.hooks);
        if !policy.missed.is_empty() {
            let _infallible = writeln!(out, "  lines that did not run: {}", ranges(&policy.missed));
        }
        if !policy.partly.is_empty() {
            let _infallible = writeln!(out, "  lines that ran in part: {}", ranges(&policy.partly));
        }
        if !policy.hooks_missed.is_empty() {
            let _infallible = writeln!(out, "  hooks that did not run: {}", policy.hooks_missed.join(", "));
        }
    }
    out
}

/// "3, 5-7".
fn ranges(lines: &[usize]) -> String {
    let mut parts = Vec::new();
    for run in lines.chunk_by(|a, b| a + 1 == *b) {
        parts.push(match run {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => continue,
        });
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_told_in_ranges() {
        assert_eq!(super::ranges(&[3, 5, 6, 7, 9]), "3, 5-7, 9");
    }
}
