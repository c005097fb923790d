//! What is wrong with a policy, found before it runs: shown as rustc shows it, or as plain data for `--json`.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;
use std::fmt;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// What is wrong.
    pub message: String,
    /// The file.
    pub file: String,
    /// The line, from 1; 0 when the finding concerns the whole file.
    pub line: usize,
    /// The column in characters, from 1; 0 when the finding concerns the whole line.
    pub column: usize,
    /// How to mend it.
    pub help: Option<String>,
    /// The line itself, and how many characters of it to underline.
    #[serde(skip)]
    pub(crate) shown: Option<(String, usize)>,
}

/// All findings of one policy, in the order of files and lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct Diagnostics {
    /// At least one.
    pub list: Vec<Diagnostic>,
}

impl Diagnostic {
    /// A finding about a file as a whole.
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        let (message, file) = (message.into(), file.to_owned());
        Diagnostic { message, file, line: 0, column: 0, help: None, shown: None }
    }

    /// A finding at a place; the word that begins there is underlined.
    #[must_use]
    pub fn at(file: &str, source: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        let mut new = Diagnostic { line, column, ..Diagnostic::of_file(file, message) };
        if let Some(text) = line.checked_sub(1).and_then(|n| source.lines().nth(n)) {
            new.shown = Some((text.to_owned(), word(text, column)));
        }
        new
    }

    /// With advice.
    #[must_use]
    pub fn help(mut self, help: Option<String>) -> Self {
        self.help = help;
        self
    }
}

/// How many characters the word, or the string literal, at that column has; at least one.
fn word(text: &str, column: usize) -> usize {
    let mut rest = text.chars().skip(column.saturating_sub(1)).peekable();
    match rest.peek().copied() {
        Some(quote @ ('"' | '`')) => {
            let (mut count, mut escaped) = (1, false);
            rest.next();
            for c in rest {
                count += 1;
                if c == quote && !escaped {
                    return count;
                }
                escaped = c == '\\' && !escaped;
            }
            1
        }
        _ => rest.take_while(|c| c.is_alphanumeric() || *c == '_').count().max(1),
    }
}

/// The right name that is nearest to a wrong one, if one is near enough to be meant.
#[must_use]
pub fn nearest<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = wrong.chars().count();
    // To one letter anything is near.
    let limit = if length < 2 { 0 } else { (length / 3).clamp(1, 3) };
    right
        .into_iter()
        .map(|r| (strsim::damerau_levenshtein(wrong, r), r))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, r)| r)
}

/// "did you mean `x`?", when there is a near name.
pub(crate) fn did_you_mean<'a>(wrong: &str, right: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest(wrong, right).map(|r| format!("did you mean `{r}`?"))
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = Level::ERROR.primary_title(self.message.as_str());
        let mut groups: Vec<Group<'_>> = Vec::new();
        match &self.shown {
            Some((text, width)) => {
                let byte = |chars: usize| text.char_indices().nth(chars).map_or(text.len(), |(i, _)| i);
                let start = self.column.saturating_sub(1);
                let span = byte(start)..byte(start + width);
                let mark = AnnotationKind::Primary.span(span);
                let snippet =
                    Snippet::source(text.as_str()).line_start(self.line).path(self.file.as_str()).annotation(mark);
                groups.push(title.element(snippet));
            }
            None => groups.push(Group::with_title(title).element(annotate_snippets::Origin::path(self.file.as_str()))),
        }
        if let Some(help) = &self.help {
            groups.push(Group::with_title(Level::HELP.secondary_title(help.as_str())));
        }
        f.write_str(&Renderer::plain().render(&groups))
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, d) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{d}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_shown_with_the_word_underlined() {
        let d = Diagnostic::at("site.rhai", "fn recv(req) {\n    é(req.uri)\n}", 2, 11, "no `uri`")
            .help(Some("did you mean `url`?".into()));
        let text = d.to_string();
        assert!(text.contains("error: no `uri`") && text.contains("site.rhai:2:11"), "{text}");
        assert!(text.contains("    é(req.uri)") && text.contains("          ^^^"), "{text}");
        assert!(text.contains("help: did you mean `url`?"), "{text}");
    }

    #[test]
    fn only_near_names_are_suggested() {
        assert_eq!(nearest("recieve", ["recv", "receive"]), Some("receive"));
        assert_eq!(nearest("uri", ["url", "xid"]), Some("url"));
        assert_eq!(nearest("zebra", ["url", "xid"]), None);
        assert_eq!(word("a \"b\\\"c\" d", 3), 6);
    }
}
