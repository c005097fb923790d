//! RFC 9111 §3.3 and §3.4: stored parts of a response, what they cover, and when they may be combined.
//!
//! Pure bookkeeping of byte positions: where the bytes lie is the store's business.

use crate::conditional::is_strong_date;
use crate::etag::EntityTag;
use crate::message::ResponseHead;
use crate::range::{Bounds, ContentRange, RangeOutcome, RangeSpec, resolve_specs};
use crate::reason::Reason;
use smallvec::SmallVec;

/// The parts held of one representation: sorted, apart from each other, within the length.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Extents {
    complete: Option<u64>,
    parts: SmallVec<[Bounds; 4]>,
}

/// Where a received part lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Where its Content-Range says.
    AsTold(ContentRange),
    /// At the first byte that its Content-Range tells, but it is shorter than told although its framing was complete. It
    /// claims to reach the end, so the end is where its bytes end: the bytes received count, not the numbers.
    Shortened(ContentRange),
    /// Nowhere: its length contradicts its Content-Range.
    Nowhere(Reason),
}

/// Where a 206 with this Content-Range lies, when `body_len` bytes arrived and its framing ended properly. (An aborted
/// transfer is not a case for this: what is held of it is `first .. first + body_len` of the length told.)
#[must_use]
pub fn place(told: ContentRange, body_len: u64) -> Placement {
    if body_len == told.len() {
        return Placement::AsTold(told);
    }
    let reaches_end = told.complete.is_some_and(|len| len == told.last + 1);
    if reaches_end && body_len > 0 && body_len < told.len() {
        let end = told.first + body_len;
        return Placement::Shortened(ContentRange { first: told.first, last: end - 1, complete: Some(end) });
    }
    Placement::Nowhere(Reason::PartialUnusable)
}

/// May two responses be combined?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Yes.
    Yes(Reason),
    /// No: the newer one replaces the stored one or stands alone.
    No(Reason),
}

/// §3.4: parts are combined "if they all share the same strong validator" and do not differ in length or coding.
#[must_use]
pub fn may_combine(stored: &ResponseHead, fresh: &ResponseHead) -> Combine {
    let same_tag = match (EntityTag::of(&stored.headers), EntityTag::of(&fresh.headers)) {
        (Some(a), Some(b)) => Some(a.strong_eq(b)),
        (Some(_), None) | (None, Some(_)) => Some(false),
        (None, None) => None,
    };
    let same_date = || {
        let (a, b) = (stored.headers.get("last-modified"), fresh.headers.get("last-modified"));
        a.is_some() && a == b && is_strong_date(stored) && is_strong_date(fresh)
    };
    let length = |head: &ResponseHead| ContentRange::of(&head.headers).and_then(|r| r.complete);
    let same_length = match (length(stored), length(fresh)) {
        (Some(a), Some(b)) => a == b,
        (None, _) | (_, None) => true,
    };
    let same_coding = stored.headers.combined("content-encoding") == fresh.headers.combined("content-encoding");
    if same_tag.unwrap_or_else(same_date) && same_length && same_coding {
        Combine::Yes(Reason::PartialCombined)
    } else {
        Combine::No(Reason::PartialMismatch)
    }
}

/// The validator with which a response can be asked for more of itself, for If-Range: "a client MUST NOT generate an If-Range
/// header field containing an entity tag that is marked as weak" (RFC 9110 §13.1.5), nor a date that is no strong validator.
#[must_use]
pub fn strong_validator(head: &ResponseHead) -> Option<&[u8]> {
    match EntityTag::of(&head.headers) {
        Some(tag) => head.headers.get("etag").filter(|_| tag.strong_eq(tag)),
        None => head.headers.get("last-modified").filter(|_| is_strong_date(head)),
    }
}

/// Bytes that a client may be made to wait for before the first one that it asked for, so that all of a response comes into
/// the cache with one fetch. 1 MiB: at 100 Mbit/s less than a tenth of a second.
pub const LEAD_BYTES_MAX: u64 = 1 << 20;

/// What is asked of the origin for a request that the parts held cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// The whole, although a range may be wanted: it is answered as soon as its bytes are there, and the rest is stored.
    Whole,
    /// Only this range: what lies before it is more than a client should wait for, or nobody knows how much it is.
    Range(RangeSpec),
    /// Only what is missing of the whole. With If-Range, so that the answer is the whole if it has changed.
    Rest(RangeSpec),
}

/// What to ask the origin for (RFC 9110 §14.2: Range is optional for a client, which a cache is here).
///
/// `specs`: what the client wants, empty for the whole. `held`: what is stored under a strong validator.
///
/// ```
/// use copal_semantics::{partial::*, range::RangeSpec};
/// assert_eq!(ask(&[RangeSpec::From(9)], None), Ask::Whole);
/// assert_eq!(ask(&[RangeSpec::Last(9)], None), Ask::Range(RangeSpec::Last(9)));
/// ```
#[must_use]
pub fn ask(specs: &[RangeSpec], held: Option<&Extents>) -> Ask {
    let rest = held.and_then(Extents::completion);
    let begins = match rest {
        Some(RangeSpec::FromTo(first, _) | RangeSpec::From(first)) => first,
        Some(RangeSpec::Last(_)) | None => 0,
    };
    if let [only] = specs {
        let first = match *only {
            RangeSpec::FromTo(first, _) | RangeSpec::From(first) => Some(first),
            RangeSpec::Last(n) => held.and_then(Extents::complete).map(|len| len.saturating_sub(n)),
        };
        if first.is_none_or(|first| first.saturating_sub(begins) > LEAD_BYTES_MAX) {
            return Ask::Range(*only);
        }
    }
    rest.map_or(Ask::Whole, Ask::Rest)
}

/// How a request can be answered from the parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartialAnswer {
    /// These bytes are held: 206, or 200 when it is everything.
    Held(SmallVec<[Bounds; 4]>),
    /// Not all that was asked for is held: fetch.
    Missing,
    /// Nothing that was asked for exists: 416.
    Unsatisfiable,
}

impl Extents {
    /// Nothing held yet of a representation of this length, if it is known.
    #[must_use]
    pub fn new(complete: Option<u64>) -> Self {
        Extents { complete, parts: SmallVec::new() }
    }

    /// The length of the whole, when it is known.
    #[must_use]
    pub fn complete(&self) -> Option<u64> {
        self.complete
    }

    /// The parts held: sorted, apart from each other.
    #[must_use]
    pub fn parts(&self) -> &[Bounds] {
        &self.parts
    }

    /// Notes a part, cut to the length; an empty one (`last < first`) is nothing.
    pub fn insert(&mut self, (first, last): Bounds) {
        let last = self.complete.map_or(last, |len| last.min(len.saturating_sub(1)));
        if last < first || self.complete.is_some_and(|len| first >= len) {
            return;
        }
        let (mut first, mut last) = (first, last);
        self.parts.retain(|p| {
            let meets = p.0 <= last.saturating_add(1) && first <= p.1.saturating_add(1);
            if meets {
                (first, last) = (first.min(p.0), last.max(p.1));
            }
            !meets
        });
        let at = self.parts.partition_point(|p| p.0 < first);
        self.parts.insert(at, (first, last));
    }

    /// Notes the length of the whole; parts beyond it are given up.
    pub fn learn_length(&mut self, len: u64) {
        self.complete = Some(len);
        for p in std::mem::take(&mut self.parts) {
            self.insert(p);
        }
    }

    /// Is the whole held? Never, while its length is unknown.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.complete {
            Some(0) => true,
            Some(len) => self.covers((0, len - 1)),
            None => false,
        }
    }

    /// Are all bytes from the first to the last held?
    #[must_use]
    pub fn covers(&self, (first, last): Bounds) -> bool {
        self.parts.iter().any(|p| p.0 <= first && last <= p.1)
    }

    /// What is missing between two positions.
    #[must_use]
    pub fn missing(&self, (first, last): Bounds) -> SmallVec<[Bounds; 4]> {
        let mut gaps = SmallVec::new();
        let mut next = first;
        for p in self.parts.iter().filter(|p| p.1 >= first && p.0 <= last) {
            if p.0 > next {
                gaps.push((next, p.0 - 1));
            }
            next = p.1.saturating_add(1);
        }
        if next <= last {
            gaps.push((next, last));
        }
        gaps
    }

    /// §3.3: "a cache MUST NOT use an incomplete response to answer requests unless the response has been made complete, or
    /// the request is partial and specifies a range wholly within the incomplete response". No specs: the whole is asked for.
    #[must_use]
    pub fn answer(&self, specs: &[RangeSpec]) -> PartialAnswer {
        let Some(len) = self.complete else { return self.answer_of_unknown_length(specs) };
        if specs.is_empty() {
            return match len.checked_sub(1) {
                Some(last) if self.covers((0, last)) => PartialAnswer::Held(SmallVec::from_slice(&[(0, last)])),
                Some(_) | None => PartialAnswer::Missing,
            };
        }
        let asked = match resolve_specs(specs, len) {
            RangeOutcome::One(first, last) => SmallVec::from_slice(&[(first, last)]),
            RangeOutcome::Many(parts) => parts,
            RangeOutcome::Unsatisfiable => return PartialAnswer::Unsatisfiable,
            RangeOutcome::Whole => return PartialAnswer::Missing,
        };
        if asked.iter().all(|b| self.covers(*b)) { PartialAnswer::Held(asked) } else { PartialAnswer::Missing }
    }

    /// Without the length only positions counted from the start can be found.
    fn answer_of_unknown_length(&self, specs: &[RangeSpec]) -> PartialAnswer {
        let mut held = SmallVec::new();
        for spec in specs {
            match *spec {
                RangeSpec::FromTo(first, last) if self.covers((first, last)) => held.push((first, last)),
                RangeSpec::FromTo(..) | RangeSpec::From(_) | RangeSpec::Last(_) => return PartialAnswer::Missing,
            }
        }
        if held.is_empty() { PartialAnswer::Missing } else { PartialAnswer::Held(held) }
    }

    /// The one Range that fetches what is missing of the whole: from the first gap on, to its end or to the very end.
    /// `None`: nothing is missing, or so much that a plain fetch is as good.
    ///
    /// Send it with If-Range and the strong validator where there is one: without, an answer 206 cannot be combined.
    #[must_use]
    pub fn completion(&self) -> Option<RangeSpec> {
        let end = match self.complete {
            Some(len) => len.checked_sub(1)?,
            None => u64::MAX,
        };
        let gaps = self.missing((0, end));
        let (first, last) = (gaps.first()?, gaps.last()?);
        match (first.0, last.1) {
            (0, l) if l == end => None,
            (f, l) if l == end => Some(RangeSpec::From(f)),
            (f, l) => Some(RangeSpec::FromTo(f, l)),
        }
    }
}

impl RangeSpec {
    /// `bytes=…`, the value of a Range field that asks for this.
    #[must_use]
    pub fn to_field(self) -> String {
        match self {
            RangeSpec::FromTo(first, last) => format!("bytes={first}-{last}"),
            RangeSpec::From(first) => format!("bytes={first}-"),
            RangeSpec::Last(n) => format!("bytes=-{n}"),
        }
    }
}

#[cfg(test)]
#[path = "partial_tests.rs"]
mod tests;
