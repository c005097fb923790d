//! Mistakes in the TOML itself, said so that they can be mended.

use std::ops::Range;
use std::sync::Arc;

use toml::de::Error;

use crate::diagnostic::Diagnostic;
use crate::source::Source;

/// The mistakes of a file, the first of each line, and whether the rest can still be trusted.
pub(crate) struct Mistakes {
    pub(crate) errors: Vec<Diagnostic>,
    /// All of them lie within a value or are duplicates: what else was read is what was meant.
    pub(crate) contained: bool,
}

pub(crate) fn mistakes(found: &[Error], source: &Arc<Source>) -> Mistakes {
    let mut errors: Vec<Diagnostic> = Vec::new();
    let mut contained = true;
    let mut ordered: Vec<_> = found.iter().map(|error| (span_of(error, source), error.message())).collect();
    ordered.sort_by_key(|(span, _)| span.start);
    for (span, message) in ordered {
        let line = source.position(span.start).0;
        let unquoted = message.starts_with("string values must be quoted");
        let duplicate = message.starts_with("duplicate key");
        contained &= unquoted || duplicate;
        if errors.iter().any(|earlier| earlier.line == Some(line)) {
            continue;
        }
        errors.push(if duplicate {
            duplicate_name(span, source)
        } else if unquoted {
            unquoted_value(span, source)
        } else {
            Diagnostic::at(source, span, format!("not TOML: {message}"))
        });
    }
    Mistakes { errors: drop_echoes(errors, source), contained }
}

fn span_of(error: &Error, source: &Source) -> Range<usize> {
    let span = error.span().unwrap_or(0..0);
    // At the very end there is nothing to point at: point at the last character.
    let start = span.start.min(source.text.trim_end().len());
    start..span.end.max(start).min(source.text.len())
}

/// `[backend.a]` twice makes a second error for each key under it: the first one says it all.
fn drop_echoes(errors: Vec<Diagnostic>, source: &Source) -> Vec<Diagnostic> {
    let mut kept: Vec<Diagnostic> = Vec::new();
    let mut table: Option<usize> = None;
    for error in errors {
        let line = error.line.unwrap_or_default();
        let in_repeated = table.is_some_and(|from| !headers_between(source, from, line));
        if in_repeated && error.message.starts_with("duplicate") {
            continue;
        }
        if line_text(source, line).trim_start().starts_with('[') {
            table = Some(line);
        }
        kept.push(error);
    }
    kept
}

fn headers_between(source: &Source, from: usize, to: usize) -> bool {
    (from + 1..=to).any(|line| line_text(source, line).trim_start().starts_with('['))
}

fn line_text(source: &Source, line: usize) -> &str {
    source.text.lines().nth(line.saturating_sub(1)).unwrap_or_default()
}

fn unquoted_value(span: Range<usize>, source: &Arc<Source>) -> Diagnostic {
    let text = source.slice(&span).trim();
    if text.is_empty() {
        return Diagnostic::at(source, span, "the value is missing")
            .help("every key has a value: key = \"text\", 1, true, [\"a\"]".to_owned());
    }
    let help = format!("write \"{text}\" in quotes");
    Diagnostic::at(source, span.clone(), format!("`{text}` needs quotes")).help(help)
}

/// A key or table that is there twice; shows the first when it is written the same way.
fn duplicate_name(span: Range<usize>, source: &Arc<Source>) -> Diagnostic {
    let key = source.slice(&span).to_owned();
    let diagnostic = Diagnostic::at(source, span.clone(), format!("duplicate name `{key}`"));
    let spots = spots(&source.text);
    let here = spots.iter().find(|(_, at)| at.contains(&span.start)).map(|(id, _)| id.clone());
    let first = here.and_then(|id| spots.iter().find(|(other, at)| *other == id && at.end <= span.start).cloned());
    match first {
        Some((_, at)) => diagnostic.related(at, "first here"),
        None => diagnostic,
    }
    .help("names are given once; remove or rename one of the two".to_owned())
}

/// Every table header and key of the text with the table it stands in, read line by line.
fn spots(text: &str) -> Vec<(String, Range<usize>)> {
    let mut out = Vec::new();
    let mut table = String::new();
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset + (line.len() - line.trim_start().len());
        let trimmed = line.trim();
        if trimmed.starts_with("[[") {
            // Each is a table of its own.
            table = format!("{trimmed}{offset}");
        } else if trimmed.starts_with('[') {
            let end = trimmed.find(']').map_or(trimmed.len(), |at| at + 1);
            table = trimmed[..end].to_owned();
            out.push((table.clone(), start..start + end));
        } else if let Some((key, _)) = trimmed.split_once('=') {
            out.push((format!("{table} {}", key.trim()), start..start + key.trim_end().len()));
        }
        offset += line.len();
    }
    out
}
