//! RFC 9111 §5.1: the Age field, read from a response and written to one.

use crate::headers::{Headers, trim_ows};
use crate::time::Span;

/// The age that a response says it has, or `None` when it says none that can be read.
///
/// §5.1: of several values the first counts, and one that is not a non-negative integer is ignored: a negative number, a
/// fraction, text. A parameter after `;` is cut off, which errs towards old.
///
/// ```
/// use copal_semantics::{Headers, Span, age};
/// let h: Headers = [("Age", "7200, 0")].into_iter().collect();
/// assert_eq!(age::parse(&h), Some(Span::from_secs(7200)));
/// ```
#[must_use]
pub fn parse(headers: &Headers) -> Option<Span> {
    let line = headers.get("age")?;
    let first = line.split(|&b| b == b',').next()?;
    let number = trim_ows(first.split(|&b| b == b';').next()?);
    delta_seconds(number)
}

/// `delta-seconds` (RFC 9111 §1.2.2): digits only; what does not fit saturates, as that section asks.
#[must_use]
pub fn delta_seconds(v: &[u8]) -> Option<Span> {
    if v.is_empty() || !v.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let secs = v.iter().fold(0i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    Some(Span::from_secs(secs))
}

/// Writes an age as delta-seconds: whole seconds, never negative.
pub fn write(age: Span, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(digits.format(age.non_negative().as_secs()).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_counts_and_an_unreadable_one_is_ignored() {
        for (lines, secs) in [
            (&["abc"][..], None),
            (&["-7200"], None),
            (&["7200.0"], None),
            (&[""], None),
            (&["2147483649"], Some(2_147_483_649)),
            (&["7200, 0"], Some(7200)),
            (&["0, 7200"], Some(0)),
            (&["7200", "0"], Some(7200)),
            (&["0", "7200"], Some(0)),
            (&["7200;foo=bar"], Some(7200)),
            (&[], None),
        ] {
            let h: Headers = lines.iter().map(|v| ("Age", *v)).collect();
            assert_eq!(parse(&h).map(Span::as_secs), secs, "{lines:?}");
        }
    }

    #[test]
    fn a_number_too_large_to_hold_is_very_old() {
        assert_eq!(delta_seconds(b"99999999999999999999999999"), Some(Span::MAX));
    }

    #[test]
    fn an_age_is_written_in_whole_seconds_and_never_negative() {
        let mut out = Vec::new();
        write(Span::from_millis(2999), &mut out);
        write(Span::from_secs(-5), &mut out);
        assert_eq!(out, b"20");
    }
}
