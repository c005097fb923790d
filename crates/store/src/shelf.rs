//! The shelf: moka, which finds entries by hash and evicts by weight, the least recently used or the least often used.
//!
//! ```text
//!  u64 (low half of the hash) ─▶ Slot::Object │ Slot::Index │ Slot::Ballast
//!  capacity = size            weights: objects + indexes + ballast (what the ledger holds that is not on the shelf)
//!  one rack for each storage  looked through in turn; with one storage there is nothing to look through
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
use crate::storage::{Eviction, StorageId};
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

/// All storages: moka finds in each of them; a hash stands in one of them at a time.
pub(crate) struct Shelf {
    /// The storages, the main one first. Indexes stand in the main one.
    racks: Box<[Rack]>,
    books: Arc<Books>,
}

/// One storage.
struct Rack {
    cache: Cache<u64, Slot, PassThrough>,
    capacity_units: u32,
    eviction: Eviction,
    /// The key under which the ballast stands now.
    ballast: Mutex<u64>,
}

/// What is known of the shelf's content, kept by `put`, `remove` and the eviction listener.
pub(crate) struct Books {
    pub(crate) wheel: Wheel,
    pub(crate) tags: Tags,
    pub(crate) markers: AtomicU64,
    /// By storage.
    pages: Box<[Page]>,
    orphans: Mutex<Vec<Arc<Object>>>,
}

/// The figures of one storage.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Objects, markers not counted.
    pub(crate) objects: AtomicU64,
    pub(crate) evictions: AtomicU64,
    shelved_units: AtomicU64,
}

impl Shelf {
    /// `storages`: the size in bytes and the eviction policy of each.
    pub(crate) fn new(storages: &[(u64, Eviction)], tags: Tags, newest_ban: Arc<AtomicU32>) -> Self {
        let books = Arc::new(Books {
            wheel: Wheel::new(newest_ban),
            tags,
            markers: AtomicU64::new(0),
            pages: storages.iter().map(|_| Page::default()).collect(),
            orphans: Mutex::default(),
        });
        let racks = storages.iter().map(|(size, eviction)| Rack::new(*size, *eviction, Arc::clone(&books)));
        Shelf { racks: racks.collect(), books }
    }

    fn rack(&self, object: &Object) -> &Rack {
        &self.racks[object.storage().index()]
    }

    fn main(&self) -> &Rack {
        &self.racks[0]
    }

    /// What stands at that hash; counts as a use for the eviction policy. The caller compares the key.
    pub(crate) fn get(&self, hash: u128) -> Option<Found> {
        let key = low(hash);
        self.racks.iter().find_map(|rack| rack.get(key))
    }

    /// The same for those who do not use it: nothing that is missing counts as asked for once more.
    pub(crate) fn peek(&self, hash: u128) -> Option<Found> {
        let key = low(hash);
        self.racks.iter().filter(|rack| rack.cache.contains_key(&key)).find_map(|rack| rack.get(key))
    }

    /// Counts as a use of the object for the LRU order.
    pub(crate) fn touch(&self, object: &Object) {
        let _used = self.rack(object).cache.get(&object.place());
    }

    /// Puts a new object on the shelf, `more` bytes heavier than it is now because they are expected to come.
    pub(crate) fn put(&self, object: &Arc<Object>, more: u64) {
        self.put_on(object, more, false);
    }

    /// The same for an object that bans since its stamp are about: a 304 has made it of another, or it was asked for then.
    pub(crate) fn put_stamped(&self, object: &Arc<Object>, more: u64) {
        self.put_on(object, more, true);
    }

    fn put_on(&self, object: &Arc<Object>, more: u64, stamped: bool) {
        let Some(_zero) = object.standing.put_on(units(object.weight_bytes() + more)) else { return };
        self.books.page(object).weigh(0, object.standing.units());
        self.books.census(object).fetch_add(1, Ordering::Relaxed);
        self.books.wheel.enter(object, stamped);
        self.rack(object).cache.insert(object.place(), Slot::Object(Arc::downgrade(object)));
    }

    /// Weighs an object again, if its weight has changed. The caller holds the lock of its primary key. For a moment a
    /// lookup does not find it; a claim looks again.
    pub(crate) fn weigh_again(&self, object: &Arc<Object>) {
        let now = units(object.weight_bytes());
        if !object.is_stored() || object.standing.units() == now {
            return;
        }
        let Some(before) = object.standing.put_on(now) else { return };
        let cache = &self.rack(object).cache;
        self.books.page(object).weigh(before, now);
        cache.invalidate(&object.place());
        cache.insert(object.place(), Slot::Object(Arc::downgrade(object)));
        if !object.is_stored() {
            // Evicted meanwhile: the insert has brought it back.
            cache.invalidate(&object.place());
        }
    }

    /// Moves a lone variant from the primary hash to its own, for an index to take its place. The caller holds the lock of
    /// its primary key. For a moment a lookup does not find it; a claim looks again.
    pub(crate) fn move_aside(&self, object: &Arc<Object>) {
        let cache = &self.rack(object).cache;
        cache.invalidate(&object.place());
        object.set_place(low(object.slot()));
        cache.insert(object.place(), Slot::Object(Arc::downgrade(object)));
        if !object.is_stored() {
            // Evicted meanwhile: the insert has brought it back.
            cache.invalidate(&object.place());
        }
    }

    /// Puts an index on the shelf, or weighs it again; false when it has left for good.
    pub(crate) fn put_index(&self, index: &Arc<VaryIndex>) -> bool {
        let now = units(index.weight_bytes());
        if index.standing.units() == now {
            return index.standing.is_on_shelf();
        }
        let Some(before) = index.standing.put_on(now) else { return false };
        let cache = &self.main().cache;
        self.books.pages[0].weigh(before, now);
        cache.invalidate(&low(index.hash()));
        cache.insert(low(index.hash()), Slot::Index(Arc::clone(index)));
        index.standing.is_on_shelf()
    }

    /// Takes an object off; true when it was on. The caller holds the lock of its primary key.
    pub(crate) fn remove(&self, object: &Arc<Object>) -> bool {
        let was_on = self.books.take_off(object);
        let cache = &self.rack(object).cache;
        if let Some(Slot::Object(there)) = cache.get(&object.place())
            && Weak::as_ptr(&there) == Arc::as_ptr(object)
        {
            cache.invalidate(&object.place());
        }
        was_on
    }

    /// Takes an index off and returns its variants, which the caller takes off. It holds the lock of their primary key.
    pub(crate) fn remove_index(&self, index: &Arc<VaryIndex>) -> Vec<Arc<Object>> {
        let left = self.books.take_index_off(index);
        if let Some(Found::Index(there)) = self.main().get(low(index.hash()))
            && Arc::ptr_eq(&there, index)
        {
            self.main().cache.invalidate(&low(index.hash()));
        }
        left
    }

    /// Lets moka work off what it has noted in that storage: evictions, order of use, memory to free.
    pub(crate) fn run_pending(&self, storage: StorageId) {
        self.racks[storage.index()].cache.run_pending_tasks();
    }

    /// Sets the weight of what is held beside the shelf.
    pub(crate) fn set_ballast(&self, storage: StorageId, bytes: u64) {
        self.racks[storage.index()].set_ballast(bytes);
    }

    /// What moka takes the weight on the shelf to be, ballast included, in bytes.
    #[cfg(test)]
    pub(crate) fn moka_bytes(&self) -> u64 {
        self.run_pending(StorageId::MAIN);
        self.main().cache.weighted_size() * UNIT_BYTES
    }

    /// Weight of all objects and indexes on the shelf in that storage, in bytes.
    pub(crate) fn shelved_bytes(&self, storage: StorageId) -> u64 {
        self.books.pages[storage.index()].shelved_units.load(Ordering::Relaxed) * UNIT_BYTES
    }

    /// Variants of the indexes that were evicted since the last call; they are to be removed.
    pub(crate) fn take_orphans(&self) -> Vec<Arc<Object>> {
        std::mem::take(&mut *locked(&self.books.orphans))
    }

    pub(crate) fn books(&self) -> &Books {
        &self.books
    }
}

impl Rack {
    fn new(size: u64, eviction: Eviction, books: Arc<Books>) -> Self {
        let capacity_units = units(size);
        let cache = Cache::builder()
            .max_capacity(u64::from(capacity_units))
            .eviction_policy(match eviction {
                Eviction::Lru => EvictionPolicy::lru(),
                Eviction::TinyLfu => EvictionPolicy::tiny_lfu(),
            })
            .weigher(|_, slot: &Slot| match slot {
                Slot::Object(o) => o.upgrade().map_or(0, |o| o.standing.units()),
                Slot::Index(i) => i.standing.units(),
                Slot::Ballast(units) => *units,
            })
            .eviction_listener(move |_, slot, cause| books.has_left(&slot, cause))
            .build_with_hasher(PassThrough);
        Rack { cache, capacity_units, eviction, ballast: Mutex::new(0) }
    }

    fn get(&self, key: u64) -> Option<Found> {
        match self.cache.get(&key)? {
            Slot::Object(object) => object.upgrade().map(Found::Object),
            Slot::Index(index) => Some(Found::Index(index)),
            Slot::Ballast(_) => None,
        }
    }

    fn set_ballast(&self, bytes: u64) {
        let units = units(bytes).min(self.capacity_units);
        let mut key = locked(&self.ballast);
        match self.eviction {
            Eviction::Lru => {
                self.cache.invalidate(&*key);
                *key = (*key + 1) % BALLAST_KEYS;
            }
            Eviction::TinyLfu => {
                // What is new and heavy would be turned down, what is there only grows: so it comes in weighing nothing.
                // It moves to the end of the queue each time, so it is not evicted but with everything else.
                if !self.cache.contains_key(&*key) {
                    self.cache.insert(*key, Slot::Ballast(0));
                    self.cache.run_pending_tasks();
                }
            }
        }
        self.cache.insert(*key, Slot::Ballast(units));
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
                    self.page(&object).evictions.fetch_add(1, Ordering::Relaxed);
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
        self.page(object).weigh(weight, 0);
        self.census(object).fetch_sub(1, Ordering::Relaxed);
        self.tags.leave(object);
        self.wheel.remove(object);
        true
    }

    fn take_index_off(&self, index: &VaryIndex) -> Vec<Arc<Object>> {
        self.pages[0].weigh(index.standing.take_off().unwrap_or(0), 0);
        index.close()
    }

    /// The figures of that storage.
    pub(crate) fn of(&self, storage: StorageId) -> &Page {
        &self.pages[storage.index()]
    }

    fn page(&self, object: &Object) -> &Page {
        self.of(object.storage())
    }

    /// Objects in all storages, markers not counted.
    pub(crate) fn objects(&self) -> u64 {
        self.pages.iter().map(|page| page.objects.load(Ordering::Relaxed)).sum()
    }

    /// Evictions from all storages.
    pub(crate) fn evictions(&self) -> u64 {
        self.pages.iter().map(|page| page.evictions.load(Ordering::Relaxed)).sum()
    }

    /// Everything that lookups can find, markers too.
    pub(crate) fn stored(&self) -> u64 {
        self.objects() + self.markers.load(Ordering::Relaxed)
    }

    fn census(&self, object: &Object) -> &AtomicU64 {
        match object.kind() {
            Kind::Cacheable | Kind::Partial => &self.page(object).objects,
            Kind::HitForMiss | Kind::HitForPass => &self.markers,
        }
    }
}

impl Page {
    fn weigh(&self, before: u32, after: u32) {
        self.shelved_units.fetch_add(u64::from(after), Ordering::Relaxed);
        self.shelved_units.fetch_sub(u64::from(before), Ordering::Relaxed);
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
        f.debug_struct("Shelf").field("pages", &self.books.pages).finish_non_exhaustive()
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
