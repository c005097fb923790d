//! Words from policies made fit for the wire.

/// Longest reason phrase sent.
const REASON_MAX: usize = 200;

/// A reason phrase without what would break the status line (RFC 9112 §4: HTAB, SP, visible characters).
pub(crate) fn reason_phrase(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_phrase_never_breaks_the_line() {
        assert_eq!(reason_phrase("Busy\r\nX: y"), "Busy  X: y");
        assert_eq!(reason_phrase(&"a".repeat(999)).len(), REASON_MAX);
    }
}
