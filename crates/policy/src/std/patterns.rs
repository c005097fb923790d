//! Regular expressions, compiled once per policy and thread. Matching takes linear time; what can grow is bounded here.

use crate::current::{Res, charge_pattern};
use crate::fault::{FaultKind, HostError};
use crate::limits::Limit;
use regex::{Captures, Regex, RegexBuilder};
use regex_automata::hybrid::dfa::DFA;
use regex_automata::hybrid::regex::{Cache, Regex as Hybrid};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, OnceLock};

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
/// States times bytes of text from which on a match may take a part of a millisecond: the clock is looked at after it.
const HEAVY: usize = 1 << 16;
/// States times bytes from which on a match could take too long, if each state took part in each step. Whether it does
/// is found out first, by an automaton that gives up then.
const COSTLY: usize = 1 << 21;
/// The same for a match whose groups are asked for, and for expressions which that automaton cannot tell about: the rest
/// of the text that they match is walked through state by state.
const COSTLY_GROUPS: usize = 1 << 24;
/// Memory that this automaton may take, and how often it may be full before the text is said to be too costly.
const AUTOMATON_BYTES: usize = 1 << 19;
const AUTOMATON_FULL: usize = 3;
/// Bytes of text per state that it has to make: fewer, and it is no faster than the walk state by state.
const AUTOMATON_WORTH: usize = 16;

thread_local! {
    /// A match on this thread may have taken long since somebody last asked.
    static LONG: Cell<bool> = const { Cell::new(false) };
}

/// May a match have taken long since this was last asked?
pub(crate) fn took_long() -> bool {
    LONG.take()
}

/// An automaton that is made while a text is walked through.
#[derive(Debug)]
struct Automaton {
    of: Hybrid,
    cache: Mutex<Cache>,
}

/// An expression, and what it may cost.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    regex: Regex,
    states: usize,
    /// Made when a text first needs it; none when the expression is nothing for it.
    automaton: OnceLock<Option<Arc<Automaton>>>,
}

impl Pattern {
    /// Does it match anywhere?
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, HostError> {
        let cost = self.cost(text);
        if cost <= COSTLY {
            return Ok(self.regex.is_match(text));
        }
        match self.walk(text, 0, true) {
            Walk::Found(found) => Ok(found.is_some()),
            Walk::GaveUp => Err(self.too_costly(text)),
            Walk::Unknown if cost > COSTLY_GROUPS => Err(self.too_costly(text)),
            Walk::Unknown => Ok(self.regex.is_match(text)),
        }
    }

    /// The first match and its groups.
    pub(crate) fn captures<'t>(&self, text: &'t str) -> Result<Option<Captures<'t>>, HostError> {
        self.affordable(text, false)?;
        Ok(self.regex.captures(text))
    }

    /// The groups of an expression, the whole match among them.
    pub(crate) fn groups(&self) -> usize {
        self.regex.captures_len()
    }

    /// Its groups' names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }

    fn cost(&self, text: &str) -> usize {
        let cost = self.states.saturating_mul(text.len());
        if cost > HEAVY {
            LONG.set(true);
        }
        cost
    }

    /// Refuses a text whose first match, or all of them, would take too long to find.
    fn affordable(&self, text: &str, all: bool) -> Result<(), HostError> {
        let cost = self.cost(text);
        if cost <= COSTLY {
            return Ok(());
        }
        let mut from = 0;
        let fine = loop {
            match self.walk(text, from, false) {
                // What does not match is told by the walk; what matches is walked through once more, for the groups.
                Walk::Found(Some(found)) if self.states.saturating_mul(found.len()) > COSTLY_GROUPS => break false,
                Walk::Found(Some(found)) if all && found.end < text.len() => {
                    from = found.end.max(text.ceil_char_boundary(from + 1));
                }
                Walk::Found(_) => break true,
                Walk::GaveUp => break false,
                Walk::Unknown => break cost <= COSTLY_GROUPS,
            }
        };
        if fine { Ok(()) } else { Err(self.too_costly(text)) }
    }

    /// Through the text with an automaton that is made on the way; it gives up where that does not pay.
    fn walk(&self, text: &str, from: usize, earliest: bool) -> Walk {
        let Some(automaton) = self.automaton.get_or_init(|| automaton(self.regex.as_str())) else {
            return Walk::Unknown;
        };
        let input = Input::new(text).range(from..).anchored(Anchored::No).earliest(earliest);
        let found = match automaton.cache.try_lock() {
            Ok(mut cache) => automaton.of.try_search(&mut cache, &input),
            Err(_) => automaton.of.try_search(&mut automaton.of.create_cache(), &input),
        };
        match found {
            Ok(found) => Walk::Found(found.map(|m| m.range())),
            Err(e) if matches!(e.kind(), regex_automata::MatchErrorKind::GaveUp { .. }) => Walk::GaveUp,
            Err(_) => Walk::Unknown,
        }
    }

    fn too_costly(&self, text: &str) -> HostError {
        let message = format!(
            "the expression is too costly for a text of {} bytes: it has {} states; use smaller repetitions",
            text.len(),
            self.states
        );
        HostError::new(FaultKind::Limit(Limit::Time), message)
    }
}

/// What walking through a text has shown.
enum Walk {
    /// Where the match is, if there is one.
    Found(Option<Range<usize>>),
    /// Each byte needed a new state.
    GaveUp,
    /// The automaton is not made for this.
    Unknown,
}

fn automaton(pattern: &str) -> Option<Arc<Automaton>> {
    let config = DFA::config()
        .cache_capacity(AUTOMATON_BYTES)
        .skip_cache_capacity_check(true)
        .minimum_cache_clear_count(Some(AUTOMATON_FULL))
        .minimum_bytes_per_state(Some(AUTOMATON_WORTH))
        .unicode_word_boundary(true);
    let of = Hybrid::builder().dfa(config).build(pattern).ok()?;
    let cache = Mutex::new(of.create_cache());
    Some(Arc::new(Automaton { of, cache }))
}

/// Compiles an expression within the limits; what is wrong with it otherwise.
pub(crate) fn compile(pattern: &str) -> Result<Pattern, String> {
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
    Ok(Pattern { regex, states, automaton: OnceLock::new() })
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
    literal: HashMap<String, Pattern>,
    /// Texts of the policy that may become expressions: through a constant, a list, an argument of a function.
    own: RefCell<BTreeSet<String>>,
    /// Those of them that have.
    compiled: RefCell<HashMap<String, Pattern>>,
    /// Those that came up while hooks ran.
    made: RefCell<HashMap<String, Pattern>>,
}

impl Patterns {
    /// With the literals of a policy, which were checked when it was loaded.
    pub(crate) fn new(literals: &[String]) -> Self {
        let literal = literals.iter().filter_map(|p| Some((p.clone(), compile(p).ok()?))).collect();
        Patterns { literal, ..Patterns::default() }
    }

    /// These are the policy's own words: there are only so many of them, so they are compiled once, kept, and not counted.
    pub(crate) fn owns(&self, texts: impl IntoIterator<Item = String>) {
        self.own.borrow_mut().extend(texts);
    }

    /// Calls `f` with the compiled expression.
    pub(crate) fn with<R>(&self, pattern: &str, f: impl FnOnce(&Pattern) -> Res<R>) -> Res<R> {
        if let Some(regex) = self.literal.get(pattern) {
            return f(regex);
        }
        if let Some(regex) = self.made.borrow().get(pattern) {
            return f(regex);
        }
        if let Some(regex) = self.compiled.borrow().get(pattern) {
            return f(regex);
        }
        let own = self.own.borrow().contains(pattern);
        if !own {
            charge_pattern()?;
        }
        let regex = compile(pattern).map_err(|e| {
            HostError::value(format!("`{}` is not a valid regular expression: {e}", super::time::shown(pattern)))
        })?;
        let result = f(&regex);
        if own {
            self.compiled.borrow_mut().insert(pattern.to_owned(), regex);
            return result;
        }
        let mut made = self.made.borrow_mut();
        if made.len() >= KEPT {
            made.clear();
        }
        made.insert(pattern.to_owned(), regex);
        result
    }
}

/// Replaces the first match, or all, by `by`, where `\1`, `$1`, `${1}` and `${name}` stand for groups and `$$` for "$".
pub(crate) fn replace(regex: &Pattern, text: &str, by: &str, all: bool, max: usize) -> Res<Option<String>> {
    Ok(replaced(regex, text, by, all, max)?)
}

/// The same with the error as data.
pub(crate) fn replaced(
    regex: &Pattern,
    text: &str,
    by: &str,
    all: bool,
    max: usize,
) -> Result<Option<String>, HostError> {
    regex.affordable(text, all)?;
    let (mut out, mut at) = (String::new(), 0);
    for caps in regex.regex.captures_iter(text).take(if all { usize::MAX } else { 1 }) {
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

/// The groups that a substitution names, by number or name: what [`expand`] looks up.
pub(crate) fn named_groups(by: &str) -> Vec<&str> {
    let (mut all, mut rest) = (Vec::new(), by);
    while let Some(i) = rest.find(['\\', '$']) {
        let (sign, tail) = (rest.as_bytes()[i], &rest[i + 1..]);
        rest = tail;
        match tail.as_bytes().first() {
            Some(d) if d.is_ascii_digit() => {
                all.push(&tail[..1]);
                rest = &tail[1..];
            }
            Some(c) if *c == sign => rest = &tail[1..],
            Some(b'{') if sign == b'$' => {
                if let Some(end) = tail.find('}') {
                    all.push(&tail[1..end]);
                    rest = &tail[end + 1..];
                }
            }
            _ => {}
        }
    }
    all
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

    /// So mixed that nearly each byte needs a new state of the automaton.
    fn mixed(bytes: usize) -> String {
        let mut seed = 12_345_u32;
        let mut next = || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if seed >> 31 == 0 { 'a' } else { 'b' }
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        // 450 ms for the whole text, and that in a loop, before.
        let costly = compile("[ab]*a[ab]{900}c").expect("pattern");
        let text = mixed(60_000);
        let refused = costly.is_match(&text).expect_err("too costly");
        assert_eq!(refused.kind, FaultKind::Limit(Limit::Time));
        assert!(refused.message.contains("a text of 60000 bytes"), "{}", refused.message);
        assert!(costly.captures(&text).is_err());
        assert!(replaced(&costly, &text, "", true, 100_000).is_err());
        let late = compile("X|[ab]*a[ab]{900}c").expect("pattern");
        assert!(replaced(&late, &format!("X{text}"), "", true, 100_000).is_err());
        assert_eq!(costly.is_match(&text[..100]).ok(), Some(false));
        // What looks as large and is quick goes on.
        let quick = compile("[ab]*a[ab]{40}c").expect("pattern");
        assert_eq!(quick.is_match(&"ab".repeat(30_000)).ok(), Some(false));
        let mail = compile(r"(?i)\b[\w.]+@\w+\.(com|org)\b").expect("pattern");
        let words = "word ".repeat(6_000);
        let text = format!("{words} anna@shop.example anna@shop.org {}", "é".repeat(8_000));
        assert_eq!(mail.is_match(&text).ok(), Some(true));
        assert!(took_long());
        assert!(!took_long());
        assert_eq!(mail.is_match(&words).ok(), Some(false));
        let out = replaced(&mail, text.trim_end_matches('é'), "x", true, 100_000);
        assert!(out.ok().flatten().is_some_and(|t| t.contains(" x ")));
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
