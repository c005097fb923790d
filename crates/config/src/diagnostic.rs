//! One problem in the configuration: for a person (like rustc prints it) and for a program (JSON).

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use crate::source::Source;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, and probably does not do what was meant.
    Warning,
}

/// One problem, where it is and how to mend it. Lines and columns count from 1, columns in characters.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, in one sentence. Problems of flags and variables begin with their name.
    pub message: String,
    /// The file, as the user named it; none for flags and environment variables.
    pub file: Option<String>,
    /// Line in the file.
    pub line: Option<usize>,
    /// First column of what is wrong.
    pub column: Option<usize>,
    /// The column after what is wrong.
    pub end_column: Option<usize>,
    /// How to mend it.
    pub help: Option<String>,
    #[serde(skip)]
    shown: Option<Shown>,
}

/// What is printed of the file: the spot, and a second one that explains it.
#[derive(Clone, Debug)]
struct Shown {
    source: Arc<Source>,
    span: Range<usize>,
    related: Option<(Range<usize>, String)>,
}

impl Diagnostic {
    /// An error without a place in a file.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            message: message.into(),
            file: None,
            line: None,
            column: None,
            end_column: None,
            help: None,
            shown: None,
        }
    }

    /// An error at `span` of `source`.
    pub(crate) fn at(source: &Arc<Source>, span: Range<usize>, message: impl Into<String>) -> Self {
        let (line, column) = source.position(span.start);
        Diagnostic {
            file: Some(source.name.clone()),
            line: Some(line),
            column: Some(column),
            end_column: Some(source.end_column(&span)),
            shown: Some(Shown { source: Arc::clone(source), span, related: None }),
            ..Diagnostic::error(message)
        }
    }

    #[must_use]
    pub(crate) fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help = help.into();
        self
    }

    #[must_use]
    pub(crate) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Points at a second spot of the same file, such as the first of two that clash.
    #[must_use]
    pub(crate) fn related(mut self, span: Range<usize>, label: impl Into<String>) -> Self {
        if let Some(shown) = &mut self.shown {
            shown.related = Some((span, label.into()));
        }
        self
    }

    /// As text for a terminal, with the line shown; `color` adds ANSI escapes. Ends without a newline.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if let Some(shown) = &self.shown {
            let mut snippet = Snippet::source(shown.source.text.as_str())
                .path(shown.source.name.as_str())
                .annotation(AnnotationKind::Primary.span(clamp(&shown.span, &shown.source.text)));
            if let Some((span, label)) = &shown.related {
                let span = clamp(span, &shown.source.text);
                snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.as_str()));
            }
            group = group.element(snippet);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        renderer.render(&[group])
    }
}

/// The part of `span` on its first line: a table that spans twenty lines is marked by its beginning.
fn clamp(span: &Range<usize>, text: &str) -> Range<usize> {
    let start = span.start.min(text.len());
    let end = span.end.clamp(start, text.len());
    let line_end = text.get(start..end).and_then(|t| t.find('\n')).map_or(end, |at| start + at);
    start..line_end
}

/// All problems of one load, in the order of the file. Its `Display` is every one rendered without colour.
#[derive(Clone, Debug)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl Diagnostics {
    /// All of them as text for a terminal, a blank line between two.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        self.0.iter().map(|d| d.render(color)).collect::<Vec<_>>().join("\n\n")
    }

    /// A JSON array of objects `{severity, message, file, line, column, end_column, help}`.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        self.0.iter().map(|d| serde_json::to_value(d).unwrap_or_default()).collect()
    }

    /// Sorts by place: flags and variables first, then by line and column.
    pub(crate) fn sorted(mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|d| (d.line, d.column));
        Diagnostics(list)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
