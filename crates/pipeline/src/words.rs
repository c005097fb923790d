//! Words from policies made fit for the wire.

use copal_semantics::Headers;

/// Longest reason phrase sent.
const REASON_MAX: usize = 200;

/// A reason phrase without what would break the status line (RFC 9112 §4: HTAB, SP, visible characters).
pub(crate) fn reason_phrase(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(REASON_MAX).collect()
}

/// Fields that say where a body or a connection ends. They are the front's to write, for the body that it sends.
const FRAMING: [&str; 3] = ["content-length", "transfer-encoding", "connection"];

/// Takes out of a response what a policy has put there about framing and the connection. True when it asked for the
/// connection to be closed, as VCL has it.
pub(crate) fn leave_framing_to_the_front(headers: &mut Headers) -> bool {
    if !FRAMING.iter().any(|name| headers.contains(name)) {
        return false;
    }
    let close = headers.list("connection").any(|token| token.eq_ignore_ascii_case(b"close"));
    for name in FRAMING {
        headers.remove(name);
    }
    close
}

/// Lets a hook see how long the body is, where that is known; afterwards it is taken out again.
pub(crate) fn show_length(headers: &mut Headers, length: Option<u64>) {
    if let Some(length) = length {
        // A number is never refused.
        let _valid = headers.set("Content-Length", length.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_writes_no_framing_but_may_ask_for_the_end_of_the_connection() {
        let mut headers: Headers =
            [("Content-length", "1"), ("X", "y"), ("Connection", "x, Close"), ("transfer-encoding", "z")]
                .into_iter()
                .collect();
        assert!(leave_framing_to_the_front(&mut headers));
        assert_eq!(headers.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["X"]);
        assert!(!leave_framing_to_the_front(&mut headers));
    }

    #[test]
    fn a_reason_phrase_never_breaks_the_line() {
        assert_eq!(reason_phrase("Busy\r\nX: y"), "Busy  X: y");
        assert_eq!(reason_phrase(&"a".repeat(999)).len(), REASON_MAX);
    }
}
