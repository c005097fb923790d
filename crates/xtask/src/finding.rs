//! One violation: where, and of which rule.

use std::fmt;

/// What a rule found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Finding {
    pub(crate) rule: &'static str,
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    pub(crate) message: String,
    /// Printed, but no reason to fail.
    pub(crate) warning: bool,
}

impl Finding {
    pub(crate) fn new(rule: &'static str, file: &str, line: usize, message: impl Into<String>) -> Self {
        Finding { rule, file: file.to_owned(), line, message: message.into(), warning: false }
    }

    #[must_use]
    pub(crate) fn warning(mut self) -> Self {
        self.warning = true;
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = if self.warning { "warning" } else { "error" };
        write!(f, "{}:{}: {level}[{}]: {}", self.file, self.line, self.rule, self.message)
    }
}
