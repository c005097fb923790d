//! What came of the cases in the XML of JUnit, which CI systems read: a suite per file, a test case per case.

use crate::run::{Outcome, Suite};
use copal_policy::Diagnostic;
use std::fmt::Write;
use std::time::Duration;

/// The whole document.
#[must_use]
pub fn junit(suite: &Suite) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<&Outcome> = suite.outcomes.iter().collect();
    let _infallible = writeln!(out, "<testsuites name=\"copal test\" {}>", figures(&all));
    for cases in suite.outcomes.chunk_by(|a, b| a.file == b.file) {
        let all: Vec<&Outcome> = cases.iter().collect();
        let _infallible = writeln!(out, "  <testsuite name=\"{}\" {}>", escape(&cases[0].file), figures(&all));
        for case in cases {
            write_case(&mut out, case);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// The document where pages are wrong and nothing ran: each finding is an error, so that no older document is taken for this
/// run's.
#[must_use]
pub fn junit_of_findings(wrong: &[Diagnostic]) -> String {
    let figures = format!("tests=\"{0}\" failures=\"0\" errors=\"{0}\" skipped=\"0\" time=\"0\"", wrong.len());
    let mut out = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"copal test\" {figures}>\n");
    let _infallible = writeln!(out, "  <testsuite name=\"pages\" {figures}>");
    for found in wrong {
        let (file, message) = (escape(&found.file), escape(&found.message));
        let name = format!("name=\"{file}:{0}\" classname=\"{file}\" file=\"{file}\" line=\"{0}\"", found.line);
        let _infallible = writeln!(out, "    <testcase {name} time=\"0\">");
        let text = escape(&found.to_string());
        let _infallible = writeln!(out, "      <error type=\"page\" message=\"{message}\">{text}</error>");
        out.push_str("    </testcase>\n");
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn figures(cases: &[&Outcome]) -> String {
    let failed = cases.iter().filter(|case| !case.holds()).count();
    let took: Duration = cases.iter().map(|case| case.took).sum();
    format!(
        "tests=\"{}\" failures=\"{failed}\" errors=\"0\" skipped=\"0\" time=\"{:.6}\"",
        cases.len(),
        took.as_secs_f64()
    )
}

fn write_case(out: &mut String, case: &Outcome) {
    let _infallible = write!(
        out,
        "    <testcase name=\"{}\" classname=\"{}\" file=\"{}\" line=\"{}\" time=\"{:.6}\"",
        escape(&case.name),
        escape(&case.file),
        escape(&case.file),
        case.line,
        case.took.as_secs_f64()
    );
    if case.holds() {
        out.push_str("/>\n");
        return;
    }
    out.push_str(">\n");
    let first = case.failures.first().map_or("", |failure| failure.what.lines().next().unwrap_or_default());
    let text = format!("{}\n{}", super::failures(case), case.story);
    let _infallible =
        writeln!(out, "      <failure type=\"expectation\" message=\"{}\">{}</failure>", escape(first), escape(&text));
    out.push_str("    </testcase>\n");
}

/// Text for an attribute or an element (XML 1.0 §2.2 and §2.4); what XML cannot say becomes U+FFFD.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn no_text_breaks_the_document() {
        assert_eq!(escape("a<b & \"c\">\u{1b}[0m\n"), "a&lt;b &amp; &quot;c&quot;&gt;\u{fffd}[0m\n");
    }
}
