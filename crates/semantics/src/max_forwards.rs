//! RFC 9110 §7.6.2: Max-Forwards, which bounds how often a TRACE or OPTIONS request is forwarded.
//!
//! "A recipient MAY ignore a Max-Forwards header field received with any other request methods": for those it means nothing
//! here. Nor does a value that is no number, or a field that is there twice.

use crate::age::delta_seconds;
use crate::message::RequestHead;
use crate::time::Span;
use http::Method;

/// "If the received value is zero (0), the intermediary MUST NOT forward the request; instead, the intermediary MUST
/// respond as the final recipient."
///
/// ```
/// use copal_semantics::{RequestHead, max_forwards};
/// let mut req = RequestHead::get("/", [("Max-Forwards", "0")]);
/// assert!(!max_forwards::is_final(&req));
/// req.method = http::Method::OPTIONS;
/// assert!(max_forwards::is_final(&req));
/// ```
#[must_use]
pub fn is_final(req: &RequestHead) -> bool {
    received(req) == Some(0)
}

/// "the intermediary MUST generate an updated Max-Forwards field in the forwarded message" with the value less one.
pub fn decrement(req: &mut RequestHead) {
    if let Some(left) = received(req) {
        let mut digits = itoa::Buffer::new();
        // Digits never break framing.
        let _valid = req.headers.set("Max-Forwards", digits.format((left - 1).max(0)));
    }
}

/// The grammar is that of delta-seconds, `1*DIGIT`, and so is what is done about numbers that are too large.
fn received(req: &RequestHead) -> Option<i64> {
    if req.method != Method::OPTIONS && req.method != Method::TRACE {
        return None;
    }
    let mut lines = req.headers.get_all("max-forwards");
    let (line, None) = (lines.next()?, lines.next()) else { return None };
    delta_seconds(line).map(Span::as_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_goes_down_by_one_and_what_is_no_number_is_left_alone() {
        for (method, before, after) in [
            (Method::OPTIONS, "1", "0"),
            (Method::TRACE, "10", "9"),
            (Method::TRACE, "0", "0"),
            (Method::OPTIONS, "-1", "-1"),
            (Method::OPTIONS, "one", "one"),
            (Method::GET, "3", "3"),
        ] {
            let mut req = RequestHead::get("/", [("Max-Forwards", before)]);
            req.method = method.clone();
            decrement(&mut req);
            assert_eq!(req.headers.get_str("max-forwards").as_deref(), Some(after), "{method} {before}");
        }
    }

    #[test]
    fn a_number_too_large_to_hold_is_large_and_two_fields_are_none() {
        let mut req = RequestHead::get("/", [("Max-Forwards", "99999999999999999999999")]);
        req.method = Method::TRACE;
        assert!(!is_final(&req));
        decrement(&mut req);
        assert!(!is_final(&req));
        let mut twice = RequestHead::get("/", [("Max-Forwards", "0"), ("Max-Forwards", "0")]);
        twice.method = Method::TRACE;
        assert!(!is_final(&twice));
    }
}
