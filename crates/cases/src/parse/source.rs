//! The file that is read, and what was found wrong with it.

use copal_policy::Diagnostic;
use copal_policy::diagnostic::nearest;

/// A place: line and column from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl At {
    /// So many characters further right.
    pub(super) fn right(self, characters: usize) -> At {
        At { column: self.column + characters, ..self }
    }
}

/// A file under the parser.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    pub(super) list: Vec<Diagnostic>,
}

impl<'a> Source<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Self {
        Source { name, text, list: Vec::new() }
    }

    /// Something is wrong there.
    pub(super) fn wrong(&mut self, at: At, message: impl Into<String>, help: Option<String>) {
        self.list.push(Diagnostic::at(self.name, self.text, at.line, at.column, message).help(help));
    }

    /// A word that is none of the right ones: the nearest is suggested, or all are named.
    pub(super) fn unknown<const N: usize>(&mut self, at: At, what: &str, word: &str, right: [&str; N]) {
        self.unknown_of(at, what, word, &right);
    }

    /// The same for a list of any length.
    pub(super) fn unknown_of(&mut self, at: At, what: &str, word: &str, right: &[&str]) {
        let help = match nearest(word, right.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("there are: {}", right.join(", ")),
        };
        self.wrong(at, format!("there is no {what} `{word}`"), Some(help));
    }
}
