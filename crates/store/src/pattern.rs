//! The regular expressions of bans, kept small: most are a literal with an anchor, and need no machine.
//!
//! ```text
//!  ^/news/ → begins with      \.css$ → ends with      ^/a$ → is      news → has      anything else → regex, bytes
//! ```
//!
//! A compiled expression takes ten kilobytes and more, a literal its own length; ten thousand bans are normal.

use crate::ban_index::Part;
use memchr::memmem;
use regex::bytes::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Look;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

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
    Regex(Box<Machine>),
}

#[derive(Debug)]
pub(crate) struct Machine {
    regex: Regex,
    /// What every value that matches begins or ends with, if the expression is tied to that end.
    sure: Option<(Part, Box<[u8]>)>,
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
            Ok(regex) => Ok(Pattern::Regex(Box::new(Machine { regex, sure: sure(text) }))),
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
            Pattern::Regex(machine) => machine.regex.is_match(value),
        }
    }

    /// A part of every value that matches, if that is known.
    pub(crate) fn sure(&self) -> Option<(Part, &[u8])> {
        let (part, text) = match self {
            Pattern::Is(text) => (Part::Whole, text),
            Pattern::Begins(text) => (Part::First(text.len()), text),
            Pattern::Ends(text) => (Part::Last(text.len()), text),
            Pattern::Has(_) => return None,
            Pattern::Regex(machine) => machine.sure.as_ref().map(|(part, text)| (*part, text))?,
        };
        (part == Part::Whole || !text.is_empty()).then_some((part, text))
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

/// The longer of what all that matches begins with and ends with.
fn sure(text: &str) -> Option<(Part, Box<[u8]>)> {
    let hir = ParserBuilder::new().unicode(false).utf8(false).nest_limit(NESTING).build().parse(text).ok()?;
    let looks = hir.properties();
    let mut first: &[u8] = &[];
    let mut last: &[u8] = &[];
    let (firsts, lasts) = (Extractor::new().extract(&hir), Extractor::new().kind(ExtractKind::Suffix).extract(&hir));
    if looks.look_set_prefix().contains(Look::Start) {
        first = firsts.longest_common_prefix().unwrap_or_default();
    }
    if looks.look_set_suffix().contains(Look::End) {
        last = lasts.longest_common_suffix().unwrap_or_default();
    }
    let (part, text) =
        if first.len() >= last.len() { (Part::First(first.len()), first) } else { (Part::Last(last.len()), last) };
    (!text.is_empty()).then(|| (part, text.into()))
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

    #[test]
    fn what_is_sure_of_an_expression_is_known() {
        let sure = |text: &str| {
            let pattern = Pattern::new(text).expect("valid");
            pattern.sure().map(|(part, text)| (part, String::from_utf8_lossy(text).into_owned()))
        };
        for (text, part, value) in [
            ("^/a$", Part::Whole, "/a"),
            ("^/news/", Part::First(6), "/news/"),
            ("\\.css$", Part::Last(4), ".css"),
            ("^/news/[0-9]+", Part::First(6), "/news/"),
            ("^/news/([0-9]+|archive)/$", Part::First(6), "/news/"),
            ("^/(news|new)/", Part::First(4), "/new"),
            ("[0-9]\\.jpe?g\\?x$", Part::Last(3), "g?x"),
            ("^/a[0-9]+/12345$", Part::Last(6), "/12345"),
        ] {
            assert_eq!(sure(text), Some((part, value.to_owned())), "{text}");
        }
        for text in ["news", ".*", "", "a|^b", "^/?", "^(a|b)", "(?i)^News", "^a*", "(?m)^/a.", "[ab]"] {
            assert_eq!(sure(text), None, "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        #[test]
        fn what_matches_has_what_is_sure(text in r"[\^]?[ab/.*+?()|$^]{0,8}[$]?", value in "[ab/]{0,6}") {
            let Ok(pattern) = Pattern::new(&text) else { return Ok(()) };
            if let (Some((part, sure)), true) = (pattern.sure(), pattern.matches(value.as_bytes())) {
                prop_assert!(match part {
                    Part::Whole => value.as_bytes() == sure,
                    Part::First(_) => value.as_bytes().starts_with(sure),
                    Part::Last(_) => value.as_bytes().ends_with(sure),
                }, "{part:?} {sure:?}");
            }
        }
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
