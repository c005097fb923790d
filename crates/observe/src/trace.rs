//! A trace: the steps that one request took, in order, for tests and `explain`.

use smallvec::SmallVec;
use std::fmt;

/// The most steps that a trace holds; restarts and retries are limited long before, so this only bounds what a fault
/// in those limits could cost.
pub const STEPS_MAX: usize = 256;

/// The steps so far. Off by default: then it records nothing. A usual request needs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    steps: SmallVec<[&'static str; 12]>,
    on: bool,
    truncated: bool,
}

impl Trace {
    /// A trace that records.
    #[must_use]
    pub fn on() -> Self {
        Trace { on: true, ..Trace::default() }
    }

    /// A trace that does not.
    #[must_use]
    pub fn off() -> Self {
        Trace::default()
    }

    /// Does it record?
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Enters `step`.
    #[inline]
    pub fn step(&mut self, step: &'static str) {
        if !self.on {
            return;
        }
        if self.steps.len() < STEPS_MAX {
            self.steps.push(step);
        } else {
            self.truncated = true;
        }
    }

    /// The steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[&'static str] {
        &self.steps
    }

    /// The edges: each step with the one after it.
    pub fn edges(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.steps.windows(2).map(|pair| (pair[0], pair[1]))
    }

    /// Were there more steps than it holds?
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }
}

/// "recv → hash → lookup → hit → deliver".
impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.steps.join(" → "))?;
        f.write_str(if self.truncated { " → …" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_holds_steps_and_edges_in_order() {
        let mut trace = Trace::on();
        ["recv", "hash", "lookup"].into_iter().for_each(|step| trace.step(step));
        assert_eq!(trace.to_string(), "recv → hash → lookup");
        assert_eq!(trace.edges().collect::<Vec<_>>(), [("recv", "hash"), ("hash", "lookup")]);
    }

    #[test]
    fn a_trace_that_is_off_records_nothing_and_one_that_is_on_is_bounded() {
        let mut off = Trace::off();
        off.step("recv");
        assert!(off.steps().is_empty());
        let mut on = Trace::on();
        (0..STEPS_MAX + 1).for_each(|_| on.step("restart"));
        assert_eq!(on.steps().len(), STEPS_MAX);
        assert!(on.is_truncated());
    }
}
