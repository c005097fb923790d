//! What goes wrong while a hook runs. A fault concerns its own request alone: 503, counted, logged.

use crate::hooks::Hook;
use crate::limits::Limit;
use rhai::{Dynamic, EvalAltResult, Position};
use serde::Serialize;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Whose doing it is, for counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The script raised an error or made one.
    Script,
    /// A limit was hit.
    Limit(Limit),
    /// It returned an action that this hook does not allow.
    IllegalAction,
    /// It returned something that is neither an action nor nothing.
    NotAnAction,
    /// It wrote a value that would break the framing of HTTP.
    Framing,
    /// It wrote what can only be read, or can only be read here.
    ReadOnly,
    /// It named a backend, director or ACL that the configuration does not have.
    UnknownName,
    /// It gave a value of the wrong type or range.
    Value,
    /// Copal's own code panicked.
    Panic,
}

impl FaultKind {
    /// The name in counters.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            FaultKind::Script => "script",
            FaultKind::Limit(limit) => limit.name(),
            FaultKind::IllegalAction => "illegal_action",
            FaultKind::NotAnAction => "not_an_action",
            FaultKind::Framing => "framing",
            FaultKind::ReadOnly => "read_only",
            FaultKind::UnknownName => "unknown_name",
            FaultKind::Value => "value",
            FaultKind::Panic => "panic",
        }
    }
}

/// A fault of a policy, with the place where it arose.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// What went wrong, without the place.
    pub message: String,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: usize,
    /// The column in characters, from 1; 0 when it is not known.
    pub column: usize,
    /// The hook that ran.
    pub hook: Hook,
    /// The calls that led there, innermost first: "`helper` called at site.rhai:4:9".
    pub trace: Vec<String>,
}

/// How often a line of a policy was at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultCount {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: usize,
    /// The hook that ran.
    pub hook: &'static str,
    /// The kind: `script`, `framing`, the name of a limit …
    pub kind: &'static str,
    /// How often.
    pub count: u64,
}

/// Different lines and kinds that are told apart; what comes beyond is counted under no line. A policy of that many broken
/// lines has another problem.
const PLACES_MAX: usize = 256;

/// What faults there were since the policy was loaded, by line. Only a fault takes the lock.
#[derive(Debug, Default)]
pub(crate) struct FaultCounts(Mutex<Vec<FaultCount>>);

impl FaultCounts {
    pub(crate) fn note(&self, fault: &Fault) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (hook, kind) = (fault.hook.name(), fault.kind.name());
        let known =
            |c: &&mut FaultCount| c.line == fault.line && c.hook == hook && c.kind == kind && c.file == fault.file;
        if let Some(known) = all.iter_mut().find(known) {
            known.count += 1;
        } else if all.len() < PLACES_MAX {
            all.push(FaultCount { file: fault.file.clone(), line: fault.line, hook, kind, count: 1 });
        } else if let Some(rest) = all.iter_mut().find(|c| c.file.is_empty()) {
            rest.count += 1;
        } else {
            all.push(FaultCount { file: String::new(), line: 0, hook, kind, count: 1 });
        }
    }

    pub(crate) fn list(&self) -> Vec<FaultCount> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file)?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " in hook `{}`: {}", self.hook.name(), self.message)?;
        self.trace.iter().try_for_each(|t| write!(f, "; {t}"))
    }
}

/// An error that Copal's own functions raise inside a script; a script can catch it, as it can its own.
#[derive(Debug, Clone)]
pub(crate) struct HostError {
    pub(crate) kind: FaultKind,
    pub(crate) message: String,
}

impl HostError {
    pub(crate) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        HostError { kind, message: message.into() }
    }
    pub(crate) fn value(message: impl Into<String>) -> Self {
        Self::new(FaultKind::Value, message)
    }
}

impl From<HostError> for Box<EvalAltResult> {
    fn from(e: HostError) -> Self {
        let at = Position::NONE;
        let limit = matches!(e.kind, FaultKind::Limit(_));
        let value = Dynamic::from(e);
        // Limits end the hook: `try` does not catch a termination.
        Box::new(if limit { EvalAltResult::ErrorTerminated(value, at) } else { EvalAltResult::ErrorRuntime(value, at) })
    }
}

/// The fault that an error of the interpreter is.
pub(crate) fn from_rhai(hook: Hook, file: &str, error: EvalAltResult) -> Fault {
    let (mut error, mut file, mut trace) = (error, file.to_owned(), Vec::new());
    let mut called = Position::NONE;
    let error = loop {
        error = match error {
            EvalAltResult::ErrorInFunctionCall(name, source, inner, at) => {
                trace.push(format!("in {} called at {}", named(&name), place(&file, at)));
                called = at;
                if !source.is_empty() {
                    file = source;
                }
                *inner
            }
            EvalAltResult::ErrorInModule(name, inner, at) => {
                trace.push(format!("in module `{name}` imported at {}", place(&file, at)));
                *inner
            }
            found => break found,
        };
    };
    trace.reverse();
    // Some errors of Rhai's own functions have none: then it is that of the call.
    let at = if error.position().is_none() { called } else { error.position() };
    let (kind, message) = describe(&error);
    Fault { kind, message, file, line: at.line().unwrap_or(0), column: at.position().unwrap_or(0), hook, trace }
}

fn place(file: &str, at: Position) -> String {
    match (at.line(), at.position()) {
        (Some(l), Some(c)) => format!("{file}:{l}:{c}"),
        _ => file.to_owned(),
    }
}

/// What is said of the limits that `watch` looks at, too.
pub(crate) const OPERATIONS: &str = "too many operations: a loop that does not end?";
pub(crate) const CALL_DEPTH: &str = "calls are nested too deep: a recursion?";

/// What a script throws goes into the log: the beginning of it.
fn shortened(mut text: String) -> String {
    if text.len() > MESSAGE_BYTES {
        text.truncate(text.floor_char_boundary(MESSAGE_BYTES));
        text.push('…');
    }
    text
}

/// Longer messages are cut.
const MESSAGE_BYTES: usize = 1_024;

/// The name of a type as scripts know it; Rhai has some of Rust's.
fn plain(ty: &str) -> &str {
    match ty {
        "i64" => "int",
        "f64" => "float",
        "core::ops::range::Range<i64>" => "range",
        "core::ops::range::RangeInclusive<i64>" => "range=",
        other => other,
    }
}

/// The function of the script; closures have names that nobody gave them.
fn named(function: &str) -> String {
    if function.starts_with("anon$") { "a closure".to_owned() } else { format!("`{function}`") }
}

fn describe(error: &EvalAltResult) -> (FaultKind, String) {
    let limit = |l: Limit, m: &str| (FaultKind::Limit(l), m.to_owned());
    match error {
        EvalAltResult::ErrorTooManyOperations(..) => limit(Limit::Operations, OPERATIONS),
        EvalAltResult::ErrorStackOverflow(..) => limit(Limit::CallDepth, CALL_DEPTH),
        EvalAltResult::ErrorTooManyVariables(..) => limit(Limit::Variables, "too many variables"),
        EvalAltResult::ErrorTooManyModules(..) => limit(Limit::Modules, "too many modules"),
        EvalAltResult::ErrorDataTooLarge(what, _) => match what {
            w if w.contains("string") => limit(Limit::StringBytes, "a string grew too long"),
            w if w.contains("map") => limit(Limit::Map, "a map grew too large"),
            _ => limit(Limit::Array, "an array grew too large"),
        },
        EvalAltResult::ErrorRuntime(value, _) | EvalAltResult::ErrorTerminated(value, _) => {
            match value.read_lock::<HostError>() {
                Some(e) => (e.kind, e.message.clone()),
                None if value.is_unit() => (FaultKind::Script, "error raised by the script".to_owned()),
                None => (FaultKind::Script, shortened(value.to_string())),
            }
        }
        // Rhai says so of elements that `sort` cannot compare.
        EvalAltResult::ErrorFunctionNotFound(text, _) if text.contains("cannot be sorted") => {
            (FaultKind::Script, text.clone())
        }
        EvalAltResult::ErrorFunctionNotFound(signature, _) => {
            (FaultKind::Script, format!("there is no function `{signature}`"))
        }
        EvalAltResult::ErrorVariableNotFound(name, _) => (FaultKind::Script, format!("there is no variable `{name}`")),
        EvalAltResult::ErrorIndexingType(types, _) if types.starts_with("()") => {
            (FaultKind::Script, "`()` has no elements: something is missing here; ask `… != ()` first".to_owned())
        }
        EvalAltResult::ErrorMismatchDataType(want, got, _) => {
            let (want, got) = (plain(want), plain(got));
            (FaultKind::Script, format!("a value of type {want} is needed here, not {got}"))
        }
        other => {
            let text = other.to_string();
            let end = text.rfind(" (line ").unwrap_or(text.len());
            (FaultKind::Script, shortened(text[..end].to_owned()))
        }
    }
}
