//! Runs cases: each in a runtime of its own whose time is paused, one after the other.

mod clients;
mod judge;
mod origins;
mod setup;
mod stage;
mod time;
mod witness;

use crate::case::{Case, File};
use copal_policy::Coverage;
use copal_semantics::Span;
use stage::Stage;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

/// Something that was not as expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The line of the file.
    pub line: usize,
    /// The expectation as it was written, or what went wrong.
    pub what: String,
    /// What would have been right; empty where `what` says it all.
    pub expected: String,
    /// What there was.
    pub got: String,
    /// The request that it is about, where it is about one.
    pub of: String,
}

impl Failure {
    fn plain(line: usize, what: impl Into<String>) -> Failure {
        Failure { line, what: what.into(), expected: String::new(), got: String::new(), of: String::new() }
    }
}

/// What came of one case.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The file.
    pub file: String,
    /// The line of its heading.
    pub line: usize,
    /// Its headings.
    pub name: String,
    /// Nothing: it holds. The lines of the first `expect` that does not.
    pub failures: Vec<Failure>,
    /// What the requests did, for people.
    pub story: String,
    /// How much virtual time went by.
    pub virtual_time: Span,
    /// How long it took.
    pub took: Duration,
    /// The policy by its name.
    pub policy: String,
    /// The hooks that the policy defines.
    pub hooks: Vec<&'static str>,
    /// Those that ran.
    pub ran: BTreeSet<&'static str>,
    /// How hooks failed, with file, line and column.
    pub faults: BTreeSet<String>,
}

impl Outcome {
    /// Is all as expected?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.failures.is_empty()
    }
}

/// What came of all cases.
#[derive(Debug, Default)]
pub struct Suite {
    /// In the order in which they ran.
    pub outcomes: Vec<Outcome>,
    /// Which lines of which policy ran, if that was asked for.
    pub coverage: Option<Coverage>,
}

impl Suite {
    /// Does every case hold?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.outcomes.iter().all(Outcome::holds)
    }
}

/// What is wanted beside the verdict.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    /// Which lines of the policies ran.
    pub coverage: bool,
    /// What requests did also where a case holds, with what hooks read and wrote.
    pub trace: bool,
}

/// Runs all cases of these files.
#[must_use]
pub fn run(files: &[File], wanted: Wanted) -> Suite {
    let coverage = wanted.coverage.then(Coverage::default);
    let cases = files.iter().flat_map(|file| file.cases.iter().map(move |case| (file, case)));
    let outcomes = cases.map(|(file, case)| one(file, case, coverage.as_ref(), wanted.trace)).collect();
    Suite { outcomes, coverage }
}

/// The files that the cases of this one are made of beside it; with those that it would read if they were there, and scripts
/// that a policy could import.
#[must_use]
pub fn depends(file: &File) -> BTreeSet<PathBuf> {
    file.cases.iter().flat_map(|case| setup::depends(file, case)).collect()
}

/// Runs one case; and once more where its story is to be told line by line, because it does not hold or because that is asked
/// for. The verdict is that of the first time, in which hooks run as they do in production.
#[must_use]
pub fn one(file: &File, case: &Case, coverage: Option<&Coverage>, trace: bool) -> Outcome {
    let started = copal_observe::clock::ticks();
    let mut outcome = play(file, case, coverage.cloned(), false);
    if trace || !outcome.holds() {
        let again = play(file, case, None, true);
        let lines = |outcome: &Outcome| outcome.failures.iter().map(|failure| failure.line).collect::<Vec<_>>();
        if lines(&again) != lines(&outcome) {
            let what = "the same case came out otherwise when its hooks were traced; this is a fault of Copal";
            outcome.failures.push(Failure::plain(case.line, what));
        }
        outcome.story = again.story;
    }
    outcome.took = copal_observe::clock::ticks().saturating_duration_since(started);
    outcome
}

/// Plays a case; `lines`: hooks tell what they read and write.
fn play(file: &File, case: &Case, coverage: Option<Coverage>, lines: bool) -> Outcome {
    let mut outcome = Outcome {
        file: file.name.clone(),
        line: case.line,
        name: case.name.clone(),
        failures: Vec::new(),
        story: String::new(),
        virtual_time: Span::ZERO,
        took: Duration::ZERO,
        policy: String::new(),
        hooks: Vec::new(),
        ran: BTreeSet::new(),
        faults: BTreeSet::new(),
    };
    match time::runtime() {
        Err(why) => outcome.failures.push(Failure::plain(case.line, format!("no runtime: {why}"))),
        Ok((runtime, time)) => runtime.block_on(async {
            match Stage::new(file, case, coverage, lines, time) {
                Err(failure) => outcome.failures.push(failure),
                Ok(mut stage) => {
                    outcome.failures = stage.play(&case.steps).await;
                    outcome.story = stage.story();
                    outcome.virtual_time = stage.passed();
                    (outcome.policy, outcome.hooks) = stage.policy();
                    outcome.ran = stage.hooks_that_ran();
                    outcome.faults = stage.faults();
                }
            }
        }),
    }
    outcome
}
