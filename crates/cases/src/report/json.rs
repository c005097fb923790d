//! What came of the cases, for programs.

use super::coverage::covered;
use crate::run::{Outcome, Suite};
use serde_json::{Value, json};

/// One object: `passed`, `failed`, `cases`, and `coverage` where it was asked for.
#[must_use]
pub fn json(suite: &Suite) -> Value {
    let held = suite.outcomes.iter().filter(|outcome| outcome.holds()).count();
    let mut all = json!({
        "passed": held,
        "failed": suite.outcomes.len() - held,
        "cases": suite.outcomes.iter().map(case).collect::<Vec<_>>(),
    });
    if suite.coverage.is_some() {
        all["coverage"] = covered(suite)
            .iter()
            .map(|policy| {
                json!({
                    "file": policy.file,
                    "lines": policy.lines,
                    "lines_ran": policy.lines - policy.missed.len(),
                    "missed": policy.missed,
                    "partly": policy.partly,
                    "hooks": policy.hooks,
                    "hooks_missed": policy.hooks_missed,
                })
            })
            .collect();
    }
    all
}

fn case(outcome: &Outcome) -> Value {
    json!({
        "file": outcome.file,
        "line": outcome.line,
        "name": outcome.name,
        "ok": outcome.holds(),
        "failures": outcome.failures.iter().map(|failure| json!({
            "line": failure.line,
            "what": failure.what,
            "expected": failure.expected,
            "got": failure.got,
            "request": failure.of,
        })).collect::<Vec<_>>(),
        "trace": outcome.story.lines().collect::<Vec<_>>(),
        "virtual_s": outcome.virtual_time.as_secs_f64(),
        "took_us": u64::try_from(outcome.took.as_micros()).unwrap_or(u64::MAX),
    })
}
