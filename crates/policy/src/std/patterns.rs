//! Regular expressions, compiled once per policy and thread. Matching takes linear time; what can grow is bounded here.

use crate::current::{Res, charge_pattern};
use crate::fault::{FaultKind, HostError};
use crate::limits::Limit;
use regex::{Captures, Regex, RegexBuilder};
use regex_automata::nfa::thompson;
use std::cell::RefCell;
use std::collections::HashMap;

/// Longer ones are a mistake.
const PATTERN_BYTES: usize = 4_096;
/// Memory that one compiled expression may take: the default of 10 MB is too much when requests can choose it.
const COMPILED_BYTES: usize = 1 << 20;
/// Groups inside groups: bounds the stack of the compiler.
const NESTING: u32 = 64;
/// States of one compiled expression. Matching takes a step for each byte of text, and at worst each state takes part in
/// each step: at 2,000 states and 8 KiB of text that is some tens of milliseconds, which is what one hook may take.
const STATES: usize = 4_000;
/// How many that are not written in the policy are kept.
const KEPT: usize = 64;

/// Compiles an expression within the limits; what is wrong with it otherwise.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    if pattern.len() > PATTERN_BYTES {
        return Err(format!("it is longer than {PATTERN_BYTES} bytes"));
    }
    let regex = RegexBuilder::new(pattern)
        .size_limit(COMPILED_BYTES)
        .dfa_size_limit(COMPILED_BYTES)
        .nest_limit(NESTING)
        .build()
        .map_err(|e| reason(&e))?;
    let states = states(pattern);
    if states > STATES {
        return Err(format!(
            "it is dangerous: it has {states} states, and {STATES} are allowed, as each can take part in every step \
             through the text: use smaller repetitions, and `[0-9]` or `[a-z]` instead of `\\d` or `\\w`"
        ));
    }
    Ok(regex)
}

/// The states of the automaton that the expression becomes.
fn states(pattern: &str) -> usize {
    let config = thompson::Config::new().which_captures(thompson::WhichCaptures::Implicit);
    // What the engine has just taken can be taken again.
    thompson::Compiler::new().configure(config).build(pattern).map_or(0, |nfa| nfa.states().len())
}

fn reason(error: &regex::Error) -> String {
    if let regex::Error::CompiledTooBig(_) = error {
        return "it is dangerous: it takes too much memory: use smaller repetitions".to_owned();
    }
    let text = error.to_string();
    let last = text.lines().last().unwrap_or("unknown error");
    last.trim_start_matches("error: ").to_owned()
}

/// The expressions of one policy on one thread.
#[derive(Default)]
pub(crate) struct Patterns {
    /// Those written in the policy.
    literal: HashMap<String, Regex>,
    /// Those that came up while hooks ran.
    made: RefCell<HashMap<String, Regex>>,
}

impl Patterns {
    /// With the literals of a policy, which were checked when it was loaded.
    pub(crate) fn new(literals: &[String]) -> Self {
        let literal = literals.iter().filter_map(|p| Some((p.clone(), compile(p).ok()?))).collect();
        Patterns { literal, made: RefCell::default() }
    }

    /// Calls `f` with the compiled expression.
    pub(crate) fn with<R>(&self, pattern: &str, f: impl FnOnce(&Regex) -> Res<R>) -> Res<R> {
        if let Some(regex) = self.literal.get(pattern) {
            return f(regex);
        }
        if let Some(regex) = self.made.borrow().get(pattern) {
            return f(regex);
        }
        charge_pattern()?;
        let regex = compile(pattern).map_err(|e| {
            HostError::value(format!("`{}` is not a valid regular expression: {e}", super::time::shown(pattern)))
        })?;
        let result = f(&regex);
        let mut made = self.made.borrow_mut();
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(pattern.to_owned(), regex);
        result
    }
}

/// Replaces the first match, or all, by `by`, where `\1`, `$1`, `${1}` and `${name}` stand for groups and `$$` for "$".
pub(crate) fn replace(regex: &Regex, text: &str, by: &str, all: bool, max: usize) -> Res<Option<String>> {
    Ok(replaced(regex, text, by, all, max)?)
}

/// The same with the error as data.
pub(crate) fn replaced(
    regex: &Regex,
    text: &str,
    by: &str,
    all: bool,
    max: usize,
) -> Result<Option<String>, HostError> {
    let (mut out, mut at) = (String::new(), 0);
    for caps in regex.captures_iter(text).take(if all { usize::MAX } else { 1 }) {
        let whole = caps.get_match();
        out.push_str(&text[at..whole.start()]);
        expand(&caps, by, &mut out);
        at = whole.end();
        if out.len() > max {
            return Err(HostError::new(FaultKind::Limit(Limit::StringBytes), "a string grew too long"));
        }
        if at == text.len() && whole.is_empty() && at == 0 {
            break;
        }
    }
    if out.is_empty() && at == 0 {
        return Ok(None);
    }
    out.push_str(&text[at..]);
    Ok(Some(out))
}

fn expand(caps: &Captures<'_>, by: &str, out: &mut String) {
    let mut rest = by;
    while let Some(i) = rest.find(['\\', '$']) {
        out.push_str(&rest[..i]);
        let (sign, tail) = (rest.as_bytes()[i], &rest[i + 1..]);
        rest = tail;
        match tail.as_bytes().first() {
            Some(d) if d.is_ascii_digit() => {
                out.push_str(caps.get(usize::from(d - b'0')).map_or("", |m| m.as_str()));
                rest = &tail[1..];
            }
            Some(c) if *c == sign => {
                out.push(char::from(sign));
                rest = &tail[1..];
            }
            Some(b'{') if sign == b'$' && tail.contains('}') => {
                let end = tail.find('}').unwrap_or(tail.len());
                let name = &tail[1..end];
                let group = name.parse().map_or_else(|_| caps.name(name), |n: usize| caps.get(n));
                out.push_str(group.map_or("", |m| m.as_str()));
                rest = &tail[end + 1..];
            }
            _ => out.push(char::from(sign)),
        }
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sub(pattern: &str, text: &str, by: &str, all: bool) -> Option<String> {
        replace(&compile(pattern).expect("pattern"), text, by, all, 1_000).expect("fits")
    }

    #[test]
    fn groups_are_written_as_in_vcl_or_as_in_rust() {
        assert_eq!(sub("^/(..)/(.*)", "/en/x", r"/\2-\1", false).as_deref(), Some("/x-en"));
        assert_eq!(sub("(a)(?P<n>b)", "ab ab", "$2${n}${1}$$\\\\", true).as_deref(), Some(r"bba$\ bba$\"));
        assert_eq!(sub("z", "ab", "c", true), None);
        assert_eq!(sub("^", "ab", "c", false).as_deref(), Some("cab"));
        assert_eq!(sub("b*", "ab", "", true).as_deref(), Some("a"));
        assert_eq!(sub(".", "é", "x$", true).as_deref(), Some("x$"));
    }

    #[test]
    fn what_grows_is_bounded() {
        assert!(compile(&"a".repeat(5_000)).is_err());
        assert!(compile("(a{1000}){1000}").is_err_and(|e| e.contains("memory")));
        assert!(compile("(x").is_err_and(|e| e == "unclosed group"));
        assert!(compile("([0-9a-f]{400}){20}").is_err_and(|e| e.contains("8005 states")));
        for (usual, most) in
            [(r"^/blog/\d{4}/\d{2}/([a-z0-9-]+)$", 1_500), (r"(?i)\w+@\w+\.\w+", 2_500), ("^text/", 20)]
        {
            assert!(compile(usual).is_ok() && states(usual) <= most, "{usual}: {}", states(usual));
        }
        let any = compile(".").expect("pattern");
        assert!(replace(&any, &"a".repeat(100), &"b".repeat(100), true, 1_000).is_err());
    }
}
