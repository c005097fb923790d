//! The text of a configuration file, and where in it a byte is.

use std::ops::Range;
use std::path::PathBuf;

/// One configuration file as read.
#[derive(Debug)]
pub(crate) struct Source {
    /// The name shown in messages: the path as the user wrote it.
    pub(crate) name: String,
    /// The folder that relative paths in the file start from.
    pub(crate) folder: PathBuf,
    pub(crate) text: String,
}

impl Source {
    /// Line and column (both from 1, columns in characters) of the byte at `offset`.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The column after the end of `span`, cut off at the end of the span's first line.
    pub(crate) fn end_column(&self, span: &Range<usize>) -> usize {
        let start = self.floor(span.start);
        let end = self.floor(span.end.max(start));
        let on_line = self.text[start..end].split('\n').next().unwrap_or_default();
        self.position(start).1 + on_line.chars().count().max(1)
    }

    /// The bytes of `span`, or nothing when it lies outside the text.
    pub(crate) fn slice(&self, span: &Range<usize>) -> &str {
        self.text.get(span.clone()).unwrap_or_default()
    }

    /// The nearest character boundary at or before `offset`.
    fn floor(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_from_one() {
        let source = Source { name: "x".into(), folder: PathBuf::new(), text: "é = 1\nab = \"ü\"\n".into() };
        assert_eq!(source.position(0), (1, 1));
        assert_eq!(source.position(3), (1, 3));
        assert_eq!(source.position(7), (2, 1));
        assert_eq!(source.end_column(&(12..16)), 9);
    }
}
