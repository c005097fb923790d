//! RFC 9111 §3.3: a body of which only parts are held.
//!
//! ```text
//!  Parts ─┬─▶ bytes 0–99   Arc<Body>     each part is a body of its own, in the ledger by itself,
//!         └─▶ bytes 700–799 Arc<Body>    shared by the object that comes after this one
//! ```
//!
//! Invariants: parts are sorted and no byte is in two of them; a body of parts is never complete, has no length, no
//! reader and no whole: its bytes are reached only through [`Parts::stretches`], which gives nothing that is not held.

use crate::body::Body;
use crate::reader::Reader;
use copal_semantics::partial::Extents;
use copal_semantics::range::{Bounds, ContentRange};
use std::sync::Arc;

/// Parts that one object may have: enough for a gigabyte in steps of a megabyte, and the list stays below 128 KiB.
/// What would be one more is not stored.
pub const PARTS_MAX: usize = 1024;

/// Bytes charged for each part beyond its bytes: the list's entry and the body's own structures.
pub(crate) const PART_OVERHEAD_BYTES: u64 = 192;

/// The parts held of one representation.
#[derive(Debug)]
pub struct Parts {
    complete: Option<u64>,
    list: Vec<Part>,
}

/// Bytes `first..=last` of the representation are the bytes of `body` from `skip` on.
#[derive(Clone, Debug)]
struct Part {
    first: u64,
    last: u64,
    skip: u64,
    body: Arc<Body>,
}

/// Bytes that lie together in one part.
#[derive(Clone, Debug)]
pub struct Stretch {
    body: Arc<Body>,
    start: u64,
    len: u64,
}

impl Stretch {
    /// How many bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// A reader at its first byte; it does not stop at the last. `None` when these bytes are no longer held.
    #[must_use]
    pub fn reader(&self) -> Option<Reader> {
        self.body.reader_at(self.start)
    }
}

impl Parts {
    /// One part, whose bytes `body` holds or will hold.
    pub(crate) fn one(part: ContentRange, body: Arc<Body>) -> Parts {
        let only = Part { first: part.first, last: part.last, skip: 0, body };
        Parts { complete: part.complete, list: vec![only] }
    }

    /// These parts and a newer one, which goes before what they have of the same bytes. Parts that are still arriving are
    /// left behind: should their fetch fail, only those who read them are to know. `None`: more than [`PARTS_MAX`].
    pub(crate) fn with(&self, part: ContentRange, body: Arc<Body>) -> Option<Parts> {
        let mut list = Vec::with_capacity(self.list.len() + 1);
        for old in self.list.iter().filter(|p| p.body.is_complete()) {
            if old.first < part.first {
                list.push(Part { last: old.last.min(part.first - 1), ..old.clone() });
            }
            if old.last > part.last {
                let cut = (part.last + 1).saturating_sub(old.first);
                list.push(Part { first: old.first.max(part.last + 1), skip: old.skip + cut, ..old.clone() });
            }
        }
        list.push(Part { first: part.first, last: part.last, skip: 0, body });
        list.sort_unstable_by_key(|p| p.first);
        (list.len() <= PARTS_MAX).then_some(Parts { complete: part.complete.or(self.complete), list })
    }

    /// The length of the whole, when it is known.
    #[must_use]
    pub fn complete(&self) -> Option<u64> {
        self.complete
    }

    /// What is held, what is still arriving included: those who read it wait, or learn that it does not come.
    #[must_use]
    pub fn extents(&self) -> Extents {
        self.extents_of(|_| true)
    }

    /// What has arrived.
    #[must_use]
    pub fn arrived(&self) -> Extents {
        self.extents_of(|part| part.body.is_complete())
    }

    fn extents_of(&self, which: impl Fn(&Part) -> bool) -> Extents {
        let mut extents = Extents::new(self.complete);
        self.list.iter().filter(|part| which(part)).for_each(|part| extents.insert((part.first, part.last)));
        extents
    }

    /// Where the bytes of these bounds lie, in order. `None` when not all of them are held.
    #[must_use]
    pub fn stretches(&self, (first, last): Bounds) -> Option<Vec<Stretch>> {
        let mut stretches = Vec::new();
        let mut next = first;
        for part in self.list.iter().filter(|p| p.last >= first && p.first <= last) {
            if part.first > next {
                return None;
            }
            let (start, end) = (next - part.first + part.skip, part.last.min(last));
            stretches.push(Stretch { body: Arc::clone(&part.body), start, len: end - next + 1 });
            next = end + 1;
        }
        (next > last).then_some(stretches)
    }

    /// Bytes held, all parts together, as they are in the ledger.
    pub(crate) fn charged(&self) -> u64 {
        self.list.iter().map(|part| part.body.charged()).sum()
    }

    /// Bytes that the parts cover.
    pub(crate) fn covered(&self) -> u64 {
        self.list.iter().map(|part| part.last - part.first + 1).sum()
    }

    /// Bytes for the list itself.
    pub(crate) fn overhead(&self) -> u64 {
        self.list.len() as u64 * PART_OVERHEAD_BYTES
    }
}
