//! The regular expressions of bans, kept small: most are a literal with an anchor, and need no machine.
//!
//! ```text
//!  ^/news/ → begins with      \.css$ → ends with      ^/a$ → is      news → has      anything else → regex, bytes
//! ```
//!
//! A compiled expression takes ten kilobytes and more, a literal its own length; ten thousand bans are normal.

use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};

/// Memory that one compiled expression may take: what came in a request must not cost megabytes.
const COMPILED_BYTES: usize = 256 << 10;
/// Memory for the tables that matching builds up, per thread that matches; beyond it matching is slower.
const TABLE_BYTES: usize = 64 << 10;
/// Groups inside groups: bounds the stack of the compiler.
const NESTING: u32 = 64;
/// What an expression is charged with, beyond its text.
const REGEX_BYTES: u64 = 16 << 10;

#[derive(Debug)]
pub(crate) enum Pattern {
    Is(Box<[u8]>),
    Begins(Box<[u8]>),
    Ends(Box<[u8]>),
    Has(Box<memmem::Finder<'static>>),
    Regex(Box<Regex>),
}

impl Pattern {
    /// Reads an expression in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// What is wrong with it, in words for people.
    pub(crate) fn new(text: &str) -> Result<Pattern, String> {
        if let Some(simple) = simple(text) {
            return Ok(simple);
        }
        let compiled = RegexBuilder::new(text)
            .unicode(false)
            .size_limit(COMPILED_BYTES)
            .dfa_size_limit(TABLE_BYTES)
            .nest_limit(NESTING)
            .build();
        match compiled {
            Ok(regex) => Ok(Pattern::Regex(Box::new(regex))),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err("the regular expression takes too much memory: use smaller repetitions".to_owned())
            }
            Err(error) => {
                let text = error.to_string();
                let last = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(format!("not a valid regular expression: {last}"))
            }
        }
    }

    pub(crate) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Pattern::Is(text) => value == &**text,
            Pattern::Begins(text) => value.starts_with(text),
            Pattern::Ends(text) => value.ends_with(text),
            Pattern::Has(text) => text.find(value).is_some(),
            Pattern::Regex(regex) => regex.is_match(value),
        }
    }

    pub(crate) fn bytes(&self) -> u64 {
        match self {
            Pattern::Is(text) | Pattern::Begins(text) | Pattern::Ends(text) => text.len() as u64 + 16,
            Pattern::Has(text) => (text.needle().len() + size_of::<memmem::Finder<'_>>() + 16) as u64,
            Pattern::Regex(_) => REGEX_BYTES,
        }
    }
}

/// The expression without a machine, if it is a literal between optional anchors or `.*`. Values have no line ends, so
/// `.*` at an end says nothing.
fn simple(text: &str) -> Option<Pattern> {
    let (mut rest, mut from_start, mut to_end) = (text, false, false);
    if let Some(after) = rest.strip_prefix('^') {
        (rest, from_start) = (after, true);
    }
    while let Some(after) = rest.strip_prefix(".*") {
        (rest, from_start) = (after, false);
    }
    if let Some(before) = rest.strip_suffix('$').filter(|before| !ends_in_escape(before)) {
        (rest, to_end) = (before, true);
    }
    while let Some(before) = rest.strip_suffix(".*").filter(|before| !ends_in_escape(before)) {
        (rest, to_end) = (before, false);
    }
    let literal = literal(rest)?;
    Some(match (from_start, to_end) {
        (true, true) => Pattern::Is(literal),
        (true, false) => Pattern::Begins(literal),
        (false, true) => Pattern::Ends(literal),
        (false, false) => Pattern::Has(Box::new(memmem::Finder::new(&*literal).into_owned())),
    })
}

fn ends_in_escape(text: &str) -> bool {
    text.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 1
}

/// The text that the expression stands for, if it stands for one alone.
fn literal(text: &str) -> Option<Box<[u8]>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' => match bytes.next()? {
                escaped if escaped.is_ascii_punctuation() && !matches!(escaped, b'<' | b'>') => out.push(escaped),
                _ => return None,
            },
            b'.' | b'[' | b']' | b'(' | b')' | b'{' | b'}' | b'*' | b'+' | b'?' | b'|' | b'^' | b'$' => return None,
            byte => out.push(byte),
        }
    }
    Some(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn literals_need_no_machine_and_the_rest_does() {
        for text in ["^/news/", "^/a\\.css$", "a-b", ".*", "", "^.*$", ".*\\.png$", "/x.*", "^a.*", "\\$"] {
            assert!(!matches!(Pattern::new(text), Ok(Pattern::Regex(_))), "{text}");
        }
        for text in ["a.c", "a|b", "^(a)", "[ab]", "a\\d", "a+", "\\.*", "a\\.*", "(?i)a", "x\\\\.*y"] {
            assert!(matches!(Pattern::new(text), Ok(Pattern::Regex(_))), "{text}");
        }
        assert!(Pattern::new("a{1000}{1000}").is_err_and(|e| e.contains("memory")));
        assert!(Pattern::new("(a").is_err_and(|e| e.contains("unclosed")));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn with_and_without_a_machine_the_answer_is_the_same(text in r"[\^]?[ab/.*\\$|-]{0,6}[$]?", value in "[ab/.*-]{0,6}") {
            if let Ok(regex) = RegexBuilder::new(&text).unicode(false).build() {
                let pattern = Pattern::new(&text).expect("valid for one, valid for both");
                prop_assert_eq!(pattern.matches(value.as_bytes()), regex.is_match(value.as_bytes()), "{:?}", pattern);
            }
        }
    }
}
