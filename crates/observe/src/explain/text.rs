//! The explanation as a person reads it in a terminal.

use super::{Explanation, Sentence};
use std::fmt::Write;

impl Explanation {
    /// The whole answer as text, with a line end. Nothing in it can command a terminal.
    #[must_use]
    pub fn render_text(&self) -> String {
        let mut out = String::new();
        self.write(&mut out).expect("a String takes every write");
        safe(&out)
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let Explanation { method, url, listener, status, outcome, .. } = self;
        writeln!(out, "{method} {url} at {listener}: {status}, {outcome}")?;
        for Sentence { text, rule } in &self.why {
            let rule = rule.as_ref().map(|rule| format!("  [{rule}]")).unwrap_or_default();
            writeln!(out, "  {text}{rule}")?;
        }
        if !self.advice.is_empty() {
            writeln!(out, "\nTo make it a hit")?;
            self.advice.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        if !self.key.is_empty() {
            writeln!(out, "\nKey\n  {}", super::steps::quoted(&self.key))?;
        }
        if !self.freshness.is_empty() {
            writeln!(out, "\nFreshness")?;
            self.freshness.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        writeln!(out, "\nSteps")?;
        for line in &self.steps {
            let (ms, tenths) = (line.at_us / 1000, line.at_us % 1000 / 100);
            // What belongs to a line stands below it.
            let text = line.text.replace('\n', "\n                     ");
            writeln!(out, "  {ms:>6}.{tenths} ms  {:<6}  {text}", line.machine)?;
        }
        if !self.response.is_empty() {
            writeln!(out, "\nResponse\n  {status}")?;
            self.response.iter().try_for_each(|line| writeln!(out, "  {line}"))?;
        }
        if let Some(why) = &self.incomplete {
            writeln!(out, "\nIncomplete: {why}")?;
        }
        Ok(())
    }
}

/// Control characters that are no line end, as escapes: what origins and clients send is shown here.
fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && (c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}
