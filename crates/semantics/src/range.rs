//! RFC 9110 §14: byte ranges asked for, resolved against a length, and described in an answer.

use crate::headers::{Headers, trim_ows};
use smallvec::SmallVec;

/// Byte positions, both included.
pub type Bounds = (u64, u64);

/// One range as asked for (§14.1.2), before the length is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeSpec {
    /// From a position to a position, both included.
    FromTo(u64, u64),
    /// From a position to the end.
    From(u64),
    /// The last so many bytes.
    Last(u64),
}

/// What a Range field comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RangeOutcome {
    /// Send the whole with 200: no byte ranges, malformed, or more of them than allowed.
    Whole,
    /// Send this part.
    One(u64, u64),
    /// Send these parts as multipart/byteranges, in this order.
    Many(SmallVec<[Bounds; 4]>),
    /// 416: no part of it exists.
    Unsatisfiable,
}

/// Reads a Range field; `None` when it is to be ignored ("A server […] MAY ignore the Range header field", §14.2): another
/// unit, a syntax error, no range at all, or more than `ranges_max`.
#[must_use]
pub fn parse_specs(range: &[u8], ranges_max: usize) -> Option<SmallVec<[RangeSpec; 4]>> {
    let eq = memchr::memchr(b'=', range)?;
    if !trim_ows(&range[..eq]).eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let mut specs = SmallVec::new();
    for member in range[eq + 1..].split(|&b| b == b',').map(trim_ows).filter(|m| !m.is_empty()) {
        if specs.len() == ranges_max {
            return None;
        }
        specs.push(spec(member)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(member: &[u8]) -> Option<RangeSpec> {
    let dash = memchr::memchr(b'-', member)?;
    match (&member[..dash], &member[dash + 1..]) {
        (b"", last) => Some(RangeSpec::Last(number(last)?)),
        (first, b"") => Some(RangeSpec::From(number(first)?)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            // "An int-range is invalid if the last-pos value is present and less than first-pos."
            (first <= last).then_some(RangeSpec::FromTo(first, last))
        }
    }
}

/// Digits only; a number too large to hold is as good as the largest.
fn number(v: &[u8]) -> Option<u64> {
    if v.is_empty() || !v.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(v.iter().fold(0, |n: u64, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0'))))
}

impl RangeSpec {
    /// The bytes it means in a representation of `len` bytes; `None` when there are none.
    #[must_use]
    pub fn bounds(self, len: u64) -> Option<Bounds> {
        let end = len.checked_sub(1)?;
        match self {
            RangeSpec::FromTo(first, last) => (first <= end).then(|| (first, last.min(end))),
            RangeSpec::From(first) => (first <= end).then_some((first, end)),
            RangeSpec::Last(0) => None,
            RangeSpec::Last(n) => Some((len.saturating_sub(n), end)),
        }
    }
}

/// Resolves a Range field against a length. Allocates nothing for up to four ranges.
///
/// Ranges that overlap or touch are joined, as §14.2 and §15.3.7.2 allow, so that no request makes a byte be sent twice.
///
/// ```
/// use copal_semantics::range::{RangeOutcome, resolve};
/// assert_eq!(resolve(b"bytes=-5", 11, 16), RangeOutcome::One(6, 10));
/// assert_eq!(resolve(b"bytes=11-", 11, 16), RangeOutcome::Unsatisfiable);
/// assert_eq!(resolve(b"lines=1-2", 11, 16), RangeOutcome::Whole);
/// ```
#[must_use]
pub fn resolve(range: &[u8], len: u64, ranges_max: usize) -> RangeOutcome {
    match parse_specs(range, ranges_max) {
        Some(specs) => resolve_specs(&specs, len),
        None => RangeOutcome::Whole,
    }
}

/// As [`resolve`], for specs that were read before the length was known.
#[must_use]
pub fn resolve_specs(specs: &[RangeSpec], len: u64) -> RangeOutcome {
    let mut parts: SmallVec<[Bounds; 4]> = SmallVec::new();
    for bounds in specs.iter().filter_map(|s| s.bounds(len)) {
        join(&mut parts, bounds);
    }
    match parts.as_slice() {
        [] => RangeOutcome::Unsatisfiable,
        [(first, last)] => RangeOutcome::One(*first, *last),
        _ => RangeOutcome::Many(parts),
    }
}

/// Adds a part at the place of the first one that it overlaps or touches, swallowing the others.
fn join(parts: &mut SmallVec<[Bounds; 4]>, mut new: Bounds) {
    let meets = |a: Bounds, b: Bounds| a.0 <= b.1.saturating_add(1) && b.0 <= a.1.saturating_add(1);
    let mut place = None;
    // Growing may make it meet a part that it did not meet before, hence the loop.
    while let Some(i) = parts.iter().position(|p| meets(*p, new)) {
        let old = parts.remove(i);
        new = (old.0.min(new.0), old.1.max(new.1));
        place = Some(place.map_or(i, |p: usize| p.min(i)));
    }
    parts.insert(place.unwrap_or(parts.len()), new);
}

/// `bytes <first>-<last>/<len>`, the value of Content-Range in a 206.
///
/// ```
/// assert_eq!(copal_semantics::range::content_range(0, 4, Some(10)), b"bytes 0-4/10");
/// ```
#[must_use]
pub fn content_range(first: u64, last: u64, len: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(40);
    let mut digits = itoa::Buffer::new();
    out.extend_from_slice(b"bytes ");
    out.extend_from_slice(digits.format(first).as_bytes());
    out.push(b'-');
    out.extend_from_slice(digits.format(last).as_bytes());
    out.push(b'/');
    match len {
        Some(len) => out.extend_from_slice(digits.format(len).as_bytes()),
        None => out.push(b'*'),
    }
    out
}

/// `bytes */<len>`, the value of Content-Range in a 416.
#[must_use]
pub fn unsatisfied_range(len: u64) -> Vec<u8> {
    let mut out = b"bytes */".to_vec();
    out.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
    out
}

/// A Content-Range as received (§14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte.
    pub first: u64,
    /// The last byte, included.
    pub last: u64,
    /// The length of the whole, when it is told.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Reads `bytes <first>-<last>/<length or *>`; `None` when it is something else, or invalid: "a last-pos value less than
    /// its first-pos value, or a complete-length value less than or equal to its last-pos value" (§14.4).
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let [b'b' | b'B', b'y' | b'Y', b't' | b'T', b'e' | b'E', b's' | b'S', b' ', rest @ ..] = trim_ows(value) else {
            return None;
        };
        let rest = trim_ows(rest);
        let slash = memchr::memchr(b'/', rest)?;
        let dash = memchr::memchr(b'-', &rest[..slash])?;
        let (first, last) = (number(&rest[..dash])?, number(&rest[dash + 1..slash])?);
        let complete = match &rest[slash + 1..] {
            b"*" => None,
            digits => Some(number(digits)?),
        };
        let valid = first <= last && last < u64::MAX && complete.is_none_or(|len| len > last);
        valid.then_some(ContentRange { first, last, complete })
    }

    /// The one Content-Range of a head; `None` also when there are several lines.
    #[must_use]
    pub fn of(headers: &Headers) -> Option<Self> {
        let mut lines = headers.get_all("content-range");
        match (lines.next(), lines.next()) {
            (Some(v), None) => Self::parse(v),
            (None | Some(_), _) => None,
        }
    }

    /// How many bytes it covers.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub const fn len(&self) -> u64 {
        self.last - self.first + 1
    }
}

/// Writes what stands before a part of multipart/byteranges (§15.3.7.2), its CRLF included.
pub fn part_head(boundary: &str, content_type: Option<&[u8]>, bounds: Bounds, len: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary.as_bytes());
    if let Some(t) = content_type {
        out.extend_from_slice(b"\r\nContent-Type: ");
        out.extend_from_slice(t);
    }
    out.extend_from_slice(b"\r\nContent-Range: ");
    out.extend_from_slice(&content_range(bounds.0, bounds.1, Some(len)));
    out.extend_from_slice(b"\r\n\r\n");
}

/// Writes what stands after the last part.
pub fn parts_end(boundary: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n--");
    out.extend_from_slice(boundary.as_bytes());
    out.extend_from_slice(b"--\r\n");
}

/// The Content-Length of a multipart/byteranges answer with these parts; saturates.
#[must_use]
pub fn parts_len(boundary: &str, content_type: Option<&[u8]>, parts: &[Bounds], len: u64) -> u64 {
    let mut buf = Vec::new();
    let mut total = 0u64;
    for part in parts {
        buf.clear();
        part_head(boundary, content_type, *part, len, &mut buf);
        total = total.saturating_add(buf.len() as u64).saturating_add(part.1 - part.0 + 1);
    }
    buf.clear();
    parts_end(boundary, &mut buf);
    total.saturating_add(buf.len() as u64)
}

#[cfg(test)]
#[path = "range_tests.rs"]
mod tests;
