//! RFC 9111 §4.1: which request fields select a stored response, and when two requests select the same one.
//!
//! Requests are the same when their fields "can be transformed to match […] by: adding or removing whitespace, where
//! allowed in the header field's syntax; combining multiple header field lines; normalizing both header field values in a
//! way that is known to have identical semantics, according to the header field's specification". All three are done
//! here, in one canonical form that is compared and hashed:
//!
//! ```text
//! field name ':' canonical value '\n'   (absent: field name '\n'; no value holds '\n')
//! ```

use crate::headers::{Headers, trim_ows};
use smallvec::SmallVec;

/// What a response varies on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// Nothing: it answers every request for its URL.
    None,
    /// Something outside the request (`*` anywhere in the list): no request matches it.
    Any,
    /// These fields of the request.
    Fields(VaryFields),
}

/// Field names: lower case, sorted, each once. And how their values are normalised.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VaryFields {
    names: SmallVec<[Box<str>; 2]>,
    normalise: Normalise,
}

/// Normalisations beyond white space and lines. The default ones cannot give a client what it does not accept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Normalise {
    /// Accept-Encoding as a set: order, case and repetition do not count, `x-gzip` is `gzip`, `q=1` is no q at all
    /// (RFC 9110 §8.4.1, §12.5.3). On: the same codings are accepted with the same weights.
    pub encoding: bool,
    /// Accept-Language without regard to case (RFC 5646 §2.1.1) and with `q=1` left out. On, for the same reason.
    pub language: bool,
    /// Accept-Language as a set. Off: RFC 9110 §12.5.4 says that order "cannot be relied upon", but some applications do
    /// take the first of equals, so their users would read the other language.
    pub language_order: bool,
}

impl Default for Normalise {
    fn default() -> Self {
        Normalise { encoding: true, language: true, language_order: false }
    }
}

impl Vary {
    /// Reads all Vary lines, with the default normalisations.
    ///
    /// ```
    /// use copal_semantics::{Headers, vary::Vary};
    /// let parse = |v: &str| Vary::parse(&[("Vary", v)].into_iter().collect::<Headers>());
    /// assert_eq!(parse("Foo, *"), Vary::Any);
    /// assert_eq!(parse("Foo, Bar, foo"), parse("bar,foo"));
    /// ```
    #[must_use]
    pub fn parse(headers: &Headers) -> Self {
        Self::parse_with(headers, Normalise::default())
    }

    /// Reads all Vary lines, with these normalisations.
    #[must_use]
    pub fn parse_with(headers: &Headers, normalise: Normalise) -> Self {
        let mut names: SmallVec<[Box<str>; 2]> = SmallVec::new();
        for member in headers.list("vary") {
            if member == b"*" {
                return Vary::Any;
            }
            names.push(String::from_utf8_lossy(member).to_ascii_lowercase().into_boxed_str());
        }
        if names.is_empty() {
            return Vary::None;
        }
        names.sort_unstable();
        names.dedup();
        Vary::Fields(VaryFields { names, normalise })
    }
}

impl VaryFields {
    /// The field names: lower case, sorted, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|n| &**n)
    }

    /// Feeds the canonical form of the request's values to `feed`: equal requests give equal bytes, others different ones.
    /// How the bytes are cut into calls is not part of the form. Allocates nothing in the usual case.
    pub fn fingerprint(&self, request: &Headers, feed: &mut dyn FnMut(&[u8])) {
        for name in &self.names {
            feed_field(name, self.normalise, request, feed);
        }
    }

    /// Do two requests select the same response?
    #[must_use]
    pub fn matches(&self, a: &Headers, b: &Headers) -> bool {
        let (mut x, mut y) = (SmallVec::<[u8; 256]>::new(), SmallVec::<[u8; 256]>::new());
        self.fingerprint(a, &mut |bytes| x.extend_from_slice(bytes));
        self.fingerprint(b, &mut |bytes| y.extend_from_slice(bytes));
        x == y
    }
}

/// The canonical form of the request's values of these lower-case field names: what [`VaryFields::fingerprint`] feeds, for a
/// store that keeps the names alone.
pub fn fingerprint(names: &[Box<str>], normalise: Normalise, request: &Headers, feed: &mut dyn FnMut(&[u8])) {
    for name in names {
        feed_field(name, normalise, request, feed);
    }
}

fn feed_field(name: &str, normalise: Normalise, request: &Headers, feed: &mut dyn FnMut(&[u8])) {
    feed(name.as_bytes());
    if request.contains(name) {
        feed(b":");
        match name {
            "accept-encoding" if normalise.encoding => weighted(request, name, true, feed),
            "accept-language" if normalise.language => weighted(request, name, normalise.language_order, feed),
            _ => plain(request, name, feed),
        }
    }
    feed(b"\n");
}

/// All lines as one list; white space around commas outside quotes is left out.
fn plain(request: &Headers, name: &str, feed: &mut dyn FnMut(&[u8])) {
    for (i, line) in request.get_all(name).enumerate() {
        if i > 0 {
            feed(b",");
        }
        let balanced = line.iter().filter(|&&b| b == b'"').count() % 2 == 0 && memchr::memchr(b'\\', line).is_none();
        if !balanced {
            // Whether a comma is inside quotes cannot be told: nothing is changed.
            feed(line);
            continue;
        }
        let (mut start, mut quoted) = (0, false);
        for at in memchr::memchr2_iter(b',', b'"', line) {
            if line[at] == b'"' {
                quoted = !quoted;
            } else if !quoted {
                feed(trim_ows(&line[start..at]));
                feed(b",");
                start = at + 1;
            }
        }
        feed(trim_ows(&line[start..]));
    }
}

/// A member of Accept-Encoding or Accept-Language: what is accepted, and its weight in thousandths.
pub(crate) type Weighted<'a> = (&'a [u8], u16);

/// A list with weights: lower case, without `q=1`, and sorted when `as_set`. Taken as it is when a member is odd.
fn weighted(request: &Headers, name: &str, as_set: bool, feed: &mut dyn FnMut(&[u8])) {
    let mut members: SmallVec<[Weighted<'_>; 16]> = SmallVec::new();
    for member in request.list(name) {
        match weigh(member) {
            Some(w) => members.push(w),
            None => return plain(request, name, feed),
        }
    }
    if as_set {
        members.sort_unstable_by(|a, b| folded(a.0).cmp(folded(b.0)).then(a.1.cmp(&b.1)));
        members.dedup_by(|a, b| a.1 == b.1 && folded(a.0).eq(folded(b.0)));
    }
    // No field value holds this byte, so this form is never taken for the plain one of an odd value (`q=500`).
    feed(b"\x01");
    for (i, (what, weight)) in members.iter().enumerate() {
        if i > 0 {
            feed(b",");
        }
        if what.iter().any(u8::is_ascii_uppercase) || *what == b"x-gzip" {
            for byte in folded(what) {
                feed(&[byte]);
            }
        } else {
            feed(what);
        }
        if *weight != 1000 {
            feed(b";q=");
            feed(itoa::Buffer::new().format(*weight).as_bytes());
        }
    }
}

pub(crate) fn folded(what: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let what = if what.eq_ignore_ascii_case(b"x-gzip") { b"gzip" } else { what };
    what.iter().map(u8::to_ascii_lowercase)
}

/// `token [ OWS ";" OWS "q=" qvalue ]` (RFC 9110 §12.4.2); `None` for anything else.
pub(crate) fn weigh(member: &[u8]) -> Option<Weighted<'_>> {
    let Some(semicolon) = memchr::memchr(b';', member) else { return Some((member, 1000)) };
    let what = trim_ows(&member[..semicolon]);
    let [b'q' | b'Q', b'=', value @ ..] = trim_ows(&member[semicolon + 1..]) else { return None };
    let (whole, fraction) = match value {
        [d @ (b'0' | b'1')] => (*d, &b""[..]),
        [d @ (b'0' | b'1'), b'.', fraction @ ..] if fraction.len() <= 3 => (*d, fraction),
        _ => return None,
    };
    let mut weight = u16::from(whole - b'0') * 1000;
    for (digit, unit) in fraction.iter().zip([100, 10, 1]) {
        weight += digit.is_ascii_digit().then(|| u16::from(digit - b'0') * unit)?;
    }
    (weight <= 1000).then_some((what, weight))
}

#[cfg(test)]
#[path = "vary_tests.rs"]
mod tests;
