//! What came of the cases: for people, as JSON, as JUnit's XML.

pub mod coverage;
mod json;
mod junit;

pub use json::json;
pub use junit::{junit, junit_of_findings};

use crate::run::{Failure, Outcome, Suite};
use copal_semantics::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

/// For people: a line for each file, and everything about a case that does not hold. With `stories`, what the requests did
/// is told of every case.
#[must_use]
pub fn text(suite: &Suite, stories: bool) -> String {
    let (mut out, mut told) = (String::new(), BTreeSet::new());
    for cases in suite.outcomes.chunk_by(|a, b| a.file == b.file) {
        let (file, failed) = (&cases[0].file, cases.iter().filter(|case| !case.holds()).count());
        let _infallible = match failed {
            0 => writeln!(out, "ok   {file} ({})", counted(cases.len())),
            _ => writeln!(out, "FAIL {file} ({failed} of {})", counted(cases.len())),
        };
        for case in cases.iter().filter(|case| stories || !case.holds()) {
            write_case(&mut out, case, &mut told);
        }
    }
    write_common(&mut out, suite);
    let failed = suite.outcomes.iter().filter(|outcome| !outcome.holds()).count();
    let all = counted(suite.outcomes.len());
    let took: Duration = suite.outcomes.iter().map(|outcome| outcome.took).sum();
    let virtually = suite.outcomes.iter().fold(Span::ZERO, |sum, outcome| sum + outcome.virtual_time);
    let verdict = if failed == 0 { format!("{all} ok") } else { format!("{failed} of {all} failed") };
    let _infallible =
        writeln!(out, "{verdict} in {} ms; {} of virtual time went by", took.as_millis(), long(virtually));
    out
}

/// Faults of a policy that several cases do not hold for: who mends one mends them all.
fn write_common(out: &mut String, suite: &Suite) {
    let mut common: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in suite.outcomes.iter().filter(|case| !case.holds()).flat_map(|case| &case.faults) {
        *common.entry(fault).or_default() += 1;
    }
    for (fault, cases) in common.into_iter().filter(|(_, cases)| *cases > 1) {
        let _infallible = writeln!(out, "in {cases} of the cases that failed: {fault}");
    }
}

/// A time for people: seconds, or hours when it is long.
fn long(span: Span) -> String {
    let seconds = span.as_secs_f64();
    if seconds < 3600.0 { format!("{seconds:.1} s") } else { format!("{:.1} h", seconds / 3600.0) }
}

fn counted(n: usize) -> String {
    format!("{n} case{}", if n == 1 { "" } else { "s" })
}

/// What one case said at length (a policy or a configuration that is wrong), the next ones say in a line.
fn write_case(out: &mut String, case: &Outcome, told: &mut BTreeSet<String>) {
    let verdict = if case.holds() { "holds" } else { "does not hold" };
    let _infallible = writeln!(out, "\n{}:{}: {}: {verdict}", case.file, case.line, case.name);
    let again = |failure: &Failure| failure.what.contains('\n') && told.contains(&failure.what);
    out.push_str(&written(case, again));
    told.extend(case.failures.iter().map(|failure| failure.what.clone()));
    if !case.story.is_empty() {
        out.push_str("  what happened:\n");
        for line in case.story.lines() {
            let _infallible = writeln!(out, "    {line}");
        }
    }
    out.push('\n');
}

/// The failures of a case, with the lines of the file.
#[must_use]
pub fn failures(case: &Outcome) -> String {
    written(case, |_| false)
}

fn written(case: &Outcome, again: impl Fn(&Failure) -> bool) -> String {
    let mut out = String::new();
    for failure in &case.failures {
        let mut lines = failure.what.lines();
        let first = lines.next().unwrap_or_default();
        let above = if again(failure) { ", as told above" } else { "" };
        let _infallible = writeln!(out, "  {}:{}: {first}{above}", case.file, failure.line);
        for line in lines.filter(|_| above.is_empty()) {
            let _infallible = writeln!(out, "    {line}");
        }
        for (name, value) in [("expected", &failure.expected), ("got", &failure.got), ("of", &failure.of)] {
            if !value.is_empty() {
                let _infallible = writeln!(out, "    {name:<8}  {value}");
            }
        }
    }
    out
}
