//! The shelf: moka, which finds entries by hash and evicts the least recently used by weight.
//!
//! ```text
//!  u64 (low half of the hash) ─▶ Slot::Object │ Slot::Index │ Slot::Ballast
//!  capacity = size            weights: objects + indexes + ballast (what the ledger holds that is not on the shelf)
//! ```
//!
//! Invariants: nothing outside this file knows moka. What has left is marked in its `Standing` before anyone can take it
//! for stored, and leaves the wheel and the index of tags with that. An entry's weight never changes: what is weighed again is taken off and put on as a new entry, because moka
//! (0.12.16) changes a weight in place, a removal at the same moment takes off the wrong one, and its sum drifts. The
//! eviction listener runs inside moka's own locks, so it neither calls moka nor takes a store lock: it marks, counts, and
//! leaves the variants of an evicted index for `take_orphans`.

use crate::expiry::Wheel;
use crate::memory::locked;
use crate::object::{Kind, Object, UNIT_BYTES, units};
use crate::tags::Tags;
use crate::variants::VaryIndex;
use moka::notification::RemovalCause;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// What stands at a hash.
pub(crate) enum Found {
    Object(Arc<Object>),
    Index(Arc<VaryIndex>),
}

/// What moka holds. Objects only weakly: see the wheel.
#[derive(Clone)]
enum Slot {
    Object(Weak<Object>),
    Index(Arc<VaryIndex>),
    /// Weighs as much as everything that is held beside the shelf, so that moka makes room for that too.
    Ballast(u32),
}

/// The ballast's own keys, used in turn. Should an object ever hash to one, it is not found and fetched each time.
const BALLAST_KEYS: u64 = 1024;

pub(crate) struct Shelf {
    cache: Cache<u64, Slot, PassThrough>,
    books: Arc<Books>,
    capacity_units: u32,
    /// The key under which the ballast stands now.
    ballast: Mutex<u64>,
}

/// What is known of the shelf's content, kept by `put`, `remove` and the eviction listener.
pub(crate) struct Books {
    pub(crate) wheel: Wheel,
    pub(crate) tags: Tags,
    pub(crate) objects: AtomicU64,
    pub(crate) markers: AtomicU64,
    pub(crate) evictions: AtomicU64,
    shelved_units: AtomicU64,
    orphans: Mutex<Vec<Arc<Object>>>,
}

impl Shelf {
    pub(crate) fn new(size: u64, tags: Tags, newest_ban: Arc<AtomicU32>) -> Self {
        let books = Arc::new(Books {
            wheel: Wheel::new(newest_ban),
            tags,
            objects: AtomicU64::new(0),
            markers: AtomicU64::new(0),
            evictions: AtomicU64::new(0),
            shelved_units: AtomicU64::new(0),
            orphans: Mutex::default(),
        });
        let capacity_units = units(size);
        let for_listener = Arc::clone(&books);
        let cache = Cache::builder()
            .max_capacity(u64::from(capacity_units))
            .eviction_policy(EvictionPolicy::lru())
            .weigher(|_, slot: &Slot| match slot {
                Slot::Object(o) => o.upgrade().map_or(0, |o| o.standing.units()),
                Slot::Index(i) => i.standing.units(),
                Slot::Ballast(units) => *units,
            })
            .eviction_listener(move |_, slot, cause| for_listener.has_left(&slot, cause))
            .build_with_hasher(PassThrough);
        Shelf { cache, books, capacity_units, ballast: Mutex::new(0) }
    }

    /// What stands at that hash; counts as a use for the LRU order. The caller compares the key.
    pub(crate) fn get(&self, hash: u128) -> Option<Found> {
        match self.cache.get(&low(hash))? {
            Slot::Object(object) => object.upgrade().map(Found::Object),
            Slot::Index(index) => Some(Found::Index(index)),
            Slot::Ballast(_) => None,
        }
    }

    /// Counts as a use of the object for the LRU order.
    pub(crate) fn touch(&self, object: &Object) {
        let _used = self.cache.get(&object.place());
    }

    /// Puts a new object on the shelf, `more` bytes heavier than it is now because they are expected to come.
    pub(crate) fn put(&self, object: &Arc<Object>, more: u64) {
        self.put_on(object, more, false);
    }

    /// The same for an object that a 304 has made of another.
    pub(crate) fn put_renewed(&self, object: &Arc<Object>) {
        self.put_on(object, 0, true);
    }

    fn put_on(&self, object: &Arc<Object>, more: u64, renewed: bool) {
        let Some(_zero) = object.standing.put_on(units(object.weight_bytes() + more)) else { return };
        self.books.weigh(0, object.standing.units());
        self.books.census(object.kind()).fetch_add(1, Ordering::Relaxed);
        self.books.wheel.enter(object, renewed);
        self.cache.insert(object.place(), Slot::Object(Arc::downgrade(object)));
    }

    /// Weighs an object again, if its weight has changed. The caller holds the lock of its primary key. For a moment a
    /// lookup does not find it; a claim looks again.
    pub(crate) fn weigh_again(&self, object: &Arc<Object>) {
        let now = units(object.weight_bytes());
        if !object.is_stored() || object.standing.units() == now {
            return;
        }
        let Some(before) = object.standing.put_on(now) else { return };
        self.books.weigh(before, now);
        self.cache.invalidate(&object.place());
        self.cache.insert(object.place(), Slot::Object(Arc::downgrade(object)));
        if !object.is_stored() {
            // Evicted meanwhile: the insert has brought it back.
            self.cache.invalidate(&object.place());
        }
    }

    /// Moves a lone variant from the primary hash to its own, for an index to take its place. The caller holds the lock of
    /// its primary key. For a moment a lookup does not find it; a claim looks again.
    pub(crate) fn move_aside(&self, object: &Arc<Object>) {
        self.cache.invalidate(&object.place());
        object.set_place(low(object.slot()));
        self.cache.insert(object.place(), Slot::Object(Arc::downgrade(object)));
        if !object.is_stored() {
            // Evicted meanwhile: the insert has brought it back.
            self.cache.invalidate(&object.place());
        }
    }

    /// Puts an index on the shelf, or weighs it again; false when it has left for good.
    pub(crate) fn put_index(&self, index: &Arc<VaryIndex>) -> bool {
        let now = units(index.weight_bytes());
        if index.standing.units() == now {
            return index.standing.is_on_shelf();
        }
        let Some(before) = index.standing.put_on(now) else { return false };
        self.books.weigh(before, now);
        self.cache.invalidate(&low(index.hash()));
        self.cache.insert(low(index.hash()), Slot::Index(Arc::clone(index)));
        index.standing.is_on_shelf()
    }

    /// Takes an object off; true when it was on. The caller holds the lock of its primary key.
    pub(crate) fn remove(&self, object: &Arc<Object>) -> bool {
        let was_on = self.books.take_off(object);
        if let Some(Slot::Object(there)) = self.cache.get(&object.place())
            && Weak::as_ptr(&there) == Arc::as_ptr(object)
        {
            self.cache.invalidate(&object.place());
        }
        was_on
    }

    /// Takes an index off and returns its variants, which the caller takes off. It holds the lock of their primary key.
    pub(crate) fn remove_index(&self, index: &Arc<VaryIndex>) -> Vec<Arc<Object>> {
        let left = self.books.take_index_off(index);
        if let Some(Found::Index(there)) = self.get(index.hash())
            && Arc::ptr_eq(&there, index)
        {
            self.cache.invalidate(&low(index.hash()));
        }
        left
    }

    /// Lets moka work off what it has noted: evictions, LRU order, memory to free.
    pub(crate) fn run_pending(&self) {
        self.cache.run_pending_tasks();
    }

    /// Sets the weight of what is held beside the shelf.
    pub(crate) fn set_ballast(&self, bytes: u64) {
        let units = units(bytes).min(self.capacity_units);
        let mut key = locked(&self.ballast);
        self.cache.invalidate(&*key);
        *key = (*key + 1) % BALLAST_KEYS;
        self.cache.insert(*key, Slot::Ballast(units));
    }

    /// What moka takes the weight on the shelf to be, ballast included, in bytes.
    #[cfg(test)]
    pub(crate) fn moka_bytes(&self) -> u64 {
        self.run_pending();
        self.cache.weighted_size() * UNIT_BYTES
    }

    /// Weight of all objects and indexes on the shelf, in bytes.
    pub(crate) fn shelved_bytes(&self) -> u64 {
        self.books.shelved_units.load(Ordering::Relaxed) * UNIT_BYTES
    }

    /// Variants of the indexes that were evicted since the last call; they are to be removed.
    pub(crate) fn take_orphans(&self) -> Vec<Arc<Object>> {
        std::mem::take(&mut *locked(&self.books.orphans))
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }
}

impl Books {
    /// The eviction listener. What we remove or replace ourselves was taken off before, or is put on again.
    fn has_left(&self, slot: &Slot, cause: RemovalCause) {
        match (slot, cause) {
            (_, RemovalCause::Replaced | RemovalCause::Explicit) | (Slot::Ballast(_), _) => {}
            (Slot::Object(object), _) => {
                // Not there any more: it was taken off before.
                let Some(object) = object.upgrade() else { return };
                if self.take_off(&object) && object.kind().is_response() {
                    self.evictions.fetch_add(1, Ordering::Relaxed);
                }
            }
            (Slot::Index(index), _) => {
                let left = self.take_index_off(index);
                if !left.is_empty() {
                    locked(&self.orphans).extend(left);
                }
            }
        }
    }

    fn take_off(&self, object: &Object) -> bool {
        let weight = object.standing.take_off().unwrap_or(0);
        if weight == 0 {
            return false;
        }
        self.weigh(weight, 0);
        self.census(object.kind()).fetch_sub(1, Ordering::Relaxed);
        self.tags.leave(object);
        self.wheel.remove(object);
        true
    }

    fn take_index_off(&self, index: &VaryIndex) -> Vec<Arc<Object>> {
        self.weigh(index.standing.take_off().unwrap_or(0), 0);
        index.close()
    }

    fn weigh(&self, before: u32, after: u32) {
        self.shelved_units.fetch_add(u64::from(after), Ordering::Relaxed);
        self.shelved_units.fetch_sub(u64::from(before), Ordering::Relaxed);
    }

    /// Everything that lookups can find, markers too.
    pub(crate) fn stored(&self) -> u64 {
        self.objects.load(Ordering::Relaxed) + self.markers.load(Ordering::Relaxed)
    }

    fn census(&self, kind: Kind) -> &AtomicU64 {
        match kind {
            Kind::Cacheable | Kind::Partial => &self.objects,
            Kind::HitForMiss | Kind::HitForPass => &self.markers,
        }
    }
}

#[cfg(test)]
impl Shelf {
    /// Evicts an index as moka would, before the entry has gone from the map.
    pub(crate) fn evict_index(&self, index: &Arc<VaryIndex>) {
        self.books.has_left(&Slot::Index(Arc::clone(index)), RemovalCause::Size);
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("shelved_bytes", &self.shelved_bytes()).finish_non_exhaustive()
    }
}

/// moka's key: half of the hash is enough to find the place, since the whole of it and the key are compared there. It
/// saves 16 bytes per entry.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is wanted")]
pub(crate) fn low(hash: u128) -> u64 {
    hash as u64
}

/// The key is a keyed hash already.
#[derive(Clone, Default)]
struct PassThrough;

struct Passed(u64);

impl BuildHasher for PassThrough {
    type Hasher = Passed;
    fn build_hasher(&self) -> Passed {
        Passed(0)
    }
}

impl Hasher for Passed {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &b in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(b);
        }
    }
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}
