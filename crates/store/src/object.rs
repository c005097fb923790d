//! One stored response, or the marker that there is nothing to store.
//!
//! ```text
//!  Arc<Object> (≤ 128 bytes) ─┬─▶ block: key ++ encoded head, one exact allocation; with tags also
//!                             │           ++ their ids (u32 le each) ++ how many (u32 le) ++ slot in the index (u32 le)
//!                             ├─▶ Arc<Body>, shared by all refreshed versions (304)
//!                             └─▶ Arc<VarySpec> when it is a variant
//! ```
//!
//! Invariants: key, head and body never change; a 304 makes a new object; the times change only by a soft purge, and only
//! to less. Once off the shelf an object never comes back to it (`Standing`), so nothing that holds it can offer it again.

use crate::body::Body;
use crate::memory::OBJECT_OVERHEAD_BYTES;
use crate::shelf::low;
use crate::storage::StorageId;
use crate::tags::TagSet;
use crate::times::{Times, pack, unpack};
use crate::variants::VarySpec;
use copal_semantics::time::Time;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A response that may be served.
    Cacheable,
    /// A part of a response: it may be served to requests for ranges that lie inside what is held (RFC 9111 §3.3).
    Partial,
    /// A marker: the response cannot be stored; requests go to the origin each on its own, and may store again.
    HitForMiss,
    /// A marker: requests go to the origin and what comes is not stored.
    HitForPass,
}

impl Kind {
    /// Is it a response, whole or in parts, and not a marker?
    #[must_use]
    pub fn is_response(self) -> bool {
        match self {
            Kind::Cacheable | Kind::Partial => true,
            Kind::HitForMiss | Kind::HitForPass => false,
        }
    }
}

/// A stored response: encoded head, body, times.
#[derive(Debug)]
pub struct Object {
    block: Box<[u8]>,
    body: Arc<Body>,
    spec: Option<Arc<VarySpec>>,
    // A u128 in two halves: its alignment of 16 would cost a padding word.
    slot: [u64; 2],
    /// Where it stands on the shelf: see `stands_at`.
    place: AtomicU64,
    response_time: Time,
    ttl: AtomicU32,
    initial_age: u32,
    grace: u32,
    stale_if_error: u32,
    keep: u32,
    last_hit_secs: AtomicU32,
    hits: AtomicU32,
    key_len: u32,
    pub(crate) standing: Standing,
    /// The number of the newest ban that it has been checked against.
    ban_stamp: AtomicU32,
    /// Position in its bucket of the expiry wheel; read and written under the wheel's lock.
    pub(crate) wheel_position: AtomicU32,
    /// Bucket of the expiry wheel; read and written under the wheel's lock.
    pub(crate) wheel_bucket: AtomicU16,
    /// Its storage, and `PURGED`.
    marks: AtomicU8,
    traits: u8,
}

const NO_CACHE: u8 = 1;
const MUST_REVALIDATE: u8 = 2;
const HIT_FOR_MISS: u8 = 4;
const HIT_FOR_PASS: u8 = 8;
const PARTIAL: u8 = 16;
const TAGGED: u8 = 32;
/// Among the marks.
const PURGED: u8 = 128;

/// Bytes at the end of a tagged object's block: how many tags, and the slot.
const TAGS_END: usize = 8;

/// What an object is made of.
pub(crate) struct Parts<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) head: &'a [u8],
    pub(crate) times: &'a Times,
    pub(crate) kind: Kind,
    pub(crate) slot: u128,
    /// Where on the shelf it is put: its slot, or the primary hash for a lone variant.
    pub(crate) place: u64,
    pub(crate) spec: Option<Arc<VarySpec>>,
    pub(crate) body: Arc<Body>,
    pub(crate) tags: Option<TagSet>,
    /// What it was checked against; the shelf sets it anew for what is not a renewal.
    pub(crate) ban_stamp: u32,
    pub(crate) storage: StorageId,
}

impl Object {
    #[expect(clippy::cast_possible_truncation, reason = "a u128 is taken apart into its halves")]
    pub(crate) fn new(p: Parts<'_>) -> Self {
        let tag_bytes = p.tags.as_ref().map_or(0, |tags| tags.ids.len() * 4 + TAGS_END);
        let mut block = Vec::with_capacity(p.key.len() + p.head.len() + tag_bytes);
        block.extend_from_slice(p.key);
        block.extend_from_slice(p.head);
        if let Some(tags) = &p.tags {
            tags.ids.iter().for_each(|id| block.extend_from_slice(&id.to_le_bytes()));
            block.extend_from_slice(&u32::try_from(tags.ids.len()).unwrap_or(u32::MAX).to_le_bytes());
            block.extend_from_slice(&tags.slot.to_le_bytes());
        }
        let traits = if p.tags.is_some() { TAGGED } else { 0 }
            | if p.times.no_cache { NO_CACHE } else { 0 }
            | if p.times.must_revalidate { MUST_REVALIDATE } else { 0 }
            | match p.kind {
                Kind::Cacheable => 0,
                Kind::Partial => PARTIAL,
                Kind::HitForMiss => HIT_FOR_MISS,
                Kind::HitForPass => HIT_FOR_PASS,
            };
        let object = Object {
            block: block.into_boxed_slice(),
            body: p.body,
            spec: p.spec,
            slot: [p.slot as u64, (p.slot >> 64) as u64],
            place: AtomicU64::new(p.place),
            response_time: p.times.response_time,
            ttl: AtomicU32::new(pack(p.times.ttl)),
            initial_age: pack(p.times.initial_age),
            grace: pack(p.times.grace),
            stale_if_error: pack(p.times.stale_if_error),
            keep: pack(p.times.keep),
            last_hit_secs: AtomicU32::new(0),
            hits: AtomicU32::new(0),
            key_len: u32::try_from(p.key.len()).unwrap_or(u32::MAX),
            standing: Standing::default(),
            ban_stamp: AtomicU32::new(p.ban_stamp),
            wheel_position: AtomicU32::new(0),
            wheel_bucket: AtomicU16::new(crate::expiry::NOWHERE),
            marks: AtomicU8::new(p.storage.as_u8() & !PURGED),
            traits,
        };
        object.body.ledger().charge(object.own_bytes());
        object
    }

    /// The full key.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.block[..self.key_len as usize]
    }

    /// The encoded head (`ResponseHead::decode` reads it); empty for a marker.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        let end = match self.tag_count() {
            None => self.block.len(),
            Some(count) => self.block.len() - TAGS_END - 4 * count,
        };
        &self.block[self.key_len as usize..end]
    }

    /// A number of the block, `back` bytes before its end.
    fn number_before_end(&self, back: usize) -> u32 {
        let at = self.block.len() - back;
        u32::from_le_bytes([self.block[at], self.block[at + 1], self.block[at + 2], self.block[at + 3]])
    }

    fn tag_count(&self) -> Option<usize> {
        (self.traits & TAGGED != 0).then(|| self.number_before_end(TAGS_END) as usize)
    }

    /// Its place in the index of tags; `None` without tags.
    pub(crate) fn tag_slot(&self) -> Option<u32> {
        (self.traits & TAGGED != 0).then(|| self.number_before_end(4))
    }

    /// The ids of its tags, in rising order; meaningful while it stands in the index.
    pub(crate) fn tag_ids(&self) -> impl Iterator<Item = u32> + '_ {
        let count = self.tag_count().unwrap_or(0);
        (0..count).map(move |n| self.number_before_end(TAGS_END + 4 * (count - n)))
    }

    pub(crate) fn ban_stamp(&self) -> u32 {
        self.ban_stamp.load(Ordering::Relaxed)
    }

    pub(crate) fn set_ban_stamp(&self, stamp: u32) {
        self.ban_stamp.store(stamp, Ordering::Relaxed);
    }

    /// The body; empty and complete for a marker.
    #[must_use]
    pub fn body(&self) -> &Arc<Body> {
        &self.body
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.traits & (HIT_FOR_MISS | HIT_FOR_PASS | PARTIAL) {
            0 => Kind::Cacheable,
            PARTIAL => Kind::Partial,
            HIT_FOR_MISS => Kind::HitForMiss,
            _ => Kind::HitForPass,
        }
    }

    /// Its times now. Spans come back rounded down to the millisecond, beyond 24 days to the second.
    #[must_use]
    pub fn times(&self) -> Times {
        Times {
            response_time: self.response_time,
            initial_age: unpack(self.initial_age),
            ttl: unpack(self.ttl.load(Ordering::Relaxed)),
            grace: unpack(self.grace),
            stale_if_error: unpack(self.stale_if_error),
            keep: unpack(self.keep),
            no_cache: self.traits & NO_CACHE != 0,
            must_revalidate: self.traits & MUST_REVALIDATE != 0,
        }
    }

    /// Lower-case names of the request fields that select this variant; empty when there are none.
    #[must_use]
    pub fn vary_names(&self) -> &[Box<str>] {
        self.spec.as_ref().map_or(&[], |s| s.names())
    }

    /// Counts one delivery from the cache; how many there are now.
    pub fn record_hit(&self, now: Time) -> u32 {
        self.last_hit_secs.store(u32::try_from(now.as_secs()).unwrap_or(0), Ordering::Relaxed);
        self.hits.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Deliveries from the cache so far.
    #[must_use]
    pub fn hits(&self) -> u32 {
        self.hits.load(Ordering::Relaxed)
    }

    /// When it was last delivered from the cache, to the second.
    #[must_use]
    pub fn last_hit(&self) -> Option<Time> {
        match self.last_hit_secs.load(Ordering::Relaxed) {
            0 => None,
            secs => Some(Time::from_secs(i64::from(secs))),
        }
    }

    /// Takes over the uses that were counted before a restart.
    pub(crate) fn set_use(&self, hits: u32, last_hit_secs: u32) {
        self.hits.store(hits, Ordering::Relaxed);
        self.last_hit_secs.store(last_hit_secs, Ordering::Relaxed);
    }

    /// Can a lookup find it? False before it is stored and for ever after it was evicted, purged, replaced or unstored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.standing.is_on_shelf()
    }

    /// Was it dropped by a hard purge or a ban?
    #[must_use]
    pub fn is_purged(&self) -> bool {
        self.marks.load(Ordering::Acquire) & PURGED != 0
    }

    pub(crate) fn mark_purged(&self) {
        self.marks.fetch_or(PURGED, Ordering::Release);
    }

    /// Where it is stored.
    #[must_use]
    pub fn storage(&self) -> StorageId {
        StorageId::from_u8(self.marks.load(Ordering::Relaxed) & !PURGED)
    }

    /// Stale from `now` on; grace, stale_if_error and keep count from there. Never makes it fresh for longer.
    pub(crate) fn make_stale(&self, now: Time) {
        let age = (now - self.response_time).non_negative() + unpack(self.initial_age);
        let (age, now_ttl) = (pack(age), self.ttl.load(Ordering::Relaxed));
        if unpack(age) < unpack(now_ttl) {
            self.ttl.store(age, Ordering::Relaxed);
        }
    }

    pub(crate) fn spec(&self) -> Option<&Arc<VarySpec>> {
        self.spec.as_ref()
    }

    /// The hash that says what it answers: the primary hash of its key, or of a variant the secondary one.
    pub(crate) fn slot(&self) -> u128 {
        u128::from(self.slot[0]) | (u128::from(self.slot[1]) << 64)
    }

    /// Where on the shelf it stands: a lone variant at the primary hash, everything else at its slot. Changes under the
    /// lock of the primary key only.
    pub(crate) fn place(&self) -> u64 {
        self.place.load(Ordering::Relaxed)
    }

    pub(crate) fn set_place(&self, place: u64) {
        self.place.store(place, Ordering::Relaxed);
    }

    /// A variant that stands at the primary hash, where it needs no index.
    pub(crate) fn is_lone(&self) -> bool {
        self.spec.is_some() && self.place() != low(self.slot())
    }

    /// When it was last of use: for choosing the variant that goes.
    pub(crate) fn last_use(&self) -> Time {
        self.last_hit().unwrap_or(Time::EPOCH).max(self.response_time)
    }

    fn own_bytes(&self) -> u64 {
        self.block.len() as u64 + OBJECT_OVERHEAD_BYTES + self.spec.as_ref().map_or(0, |s| s.bytes())
    }

    /// What it weighs on the shelf: itself and its body as far as it has come, in bytes.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.own_bytes() + self.body.weight_bytes()
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        self.body.ledger().release(self.own_bytes());
    }
}

/// Where something stands with the shelf: not yet on it, on it with a weight, or off it for ever.
///
/// Weights are in units of 16 bytes, so 31 bits reach to 32 GiB; moka counts weights in 32 bits.
#[derive(Debug, Default)]
pub(crate) struct Standing(AtomicU32);

pub(crate) const UNIT_BYTES: u64 = 16;
const OFF: u32 = 1 << 31;

impl Standing {
    /// On the shelf with that weight; the weight before, or `None` when it is off for ever.
    pub(crate) fn put_on(&self, units: u32) -> Option<u32> {
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, |old| (old & OFF == 0).then_some(units & !OFF)).ok()
    }

    /// Off for ever; its last weight the first time, `None` after that.
    pub(crate) fn take_off(&self) -> Option<u32> {
        let old = self.0.fetch_or(OFF, Ordering::AcqRel);
        (old & OFF == 0).then_some(old)
    }

    pub(crate) fn is_on_shelf(&self) -> bool {
        let now = self.0.load(Ordering::Acquire);
        now & OFF == 0 && now > 0
    }

    pub(crate) fn is_off(&self) -> bool {
        self.0.load(Ordering::Acquire) & OFF != 0
    }

    pub(crate) fn units(&self) -> u32 {
        self.0.load(Ordering::Acquire) & !OFF
    }
}

/// Bytes as units, rounded up, cut off at what a standing can hold.
pub(crate) fn units(bytes: u64) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).map_or(OFF - 1, |u| u.min(OFF - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_stay_small() {
        // Two counters of an Arc are 16 bytes more. docs/performance.md has the sum.
        assert!(size_of::<Object>() <= 112, "{}", size_of::<Object>());
        assert!(size_of::<Body>() <= 56, "{}", size_of::<Body>());
    }

    #[test]
    fn what_is_off_the_shelf_stays_off() {
        let s = Standing::default();
        assert!(!s.is_on_shelf());
        assert_eq!(s.put_on(5), Some(0));
        assert_eq!(s.put_on(7), Some(5));
        assert!(s.is_on_shelf());
        assert_eq!(s.take_off(), Some(7));
        assert_eq!(s.take_off(), None);
        assert_eq!(s.put_on(9), None);
        assert!(!s.is_on_shelf());
    }
}
