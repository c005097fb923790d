//! Lines and words of a block with their places; values with units.

use super::source::{At, Source};
use crate::markdown::Block;
use copal_semantics::Span;

/// A line of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    number: usize,
    indent: usize,
}

impl Line<'_> {
    /// Where it begins.
    pub(super) fn at(&self) -> At {
        At { line: self.number, column: self.indent + 1 }
    }
}

/// A word without its quotes.
#[derive(Clone, Debug)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) at: At,
}

/// The lines of a block.
pub(super) fn lines(block: &Block) -> Vec<Line<'_>> {
    let number = |i| block.line + 1 + i;
    block.text.lines().enumerate().map(|(i, text)| Line { text, number: number(i), indent: block.indent }).collect()
}

/// The words of a text that begins at `at`. White space separates them, but within double quotes; `\"` is a quote there.
pub(super) fn words(source: &mut Source<'_>, text: &str, at: At) -> Vec<Word> {
    let mut list: Vec<Word> = Vec::new();
    let (mut within, mut quote, mut escaped) = (false, None, false);
    for (i, c) in text.chars().enumerate() {
        let here = at.right(i);
        if quote.is_none() && c.is_whitespace() {
            within = false;
            continue;
        }
        if !within {
            list.push(Word { text: String::new(), at: here });
            within = true;
        }
        let word = list.last_mut().expect("a word has just been begun");
        match (quote, c) {
            (Some(_), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (None, '"') => quote = Some(here),
            (Some(_), '"') if !escaped => quote = None,
            (Some(_), 'n') if escaped => word.text.push('\n'),
            (..) => word.text.push(c),
        }
        escaped = false;
    }
    if let Some(at) = quote {
        source.wrong(at, "this quote is not closed", None);
    }
    list
}

/// A duration: `30s`, `1h30m`.
pub(super) fn duration(source: &mut Source<'_>, word: &Word) -> Option<Span> {
    let found = copal_config::read_duration(&word.text).filter(|span| !span.is_negative());
    if found.is_none() {
        let help = Some("write `250ms`, `30s`, `5m`, `6h`, `1d` or `1h30m`".to_owned());
        source.wrong(word.at, format!("`{}` is not a duration", word.text), help);
    }
    found
}

/// The first word of a text and what follows it, with its place.
pub(super) fn split_first(text: &str, at: At) -> (&str, &str, At) {
    let text_at = |rest: &str| at.right(text.chars().count() - rest.chars().count());
    let start = text.trim_start();
    let end = start.find(char::is_whitespace).unwrap_or(start.len());
    let rest = start[end..].trim_start();
    (&start[..end], rest, text_at(rest))
}
