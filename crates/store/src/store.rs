//! The store: options, lookup, making room, expiry, figures. Storing is in `place`, purging in `purge`.
//!
//! Invariants: lookups take no lock of ours; every change of what stands at a key happens under that key's lock, except
//! eviction, which marks the object first; `size` bounds the ledger, and when it is passed room is made before going on.

use crate::ban::Bans;
use crate::body::Body;
use crate::busy::Busy;
use crate::key::KeyHasher;
use crate::live::Live;
use crate::lurker::Lurker;
use crate::memory::{Charge, Ledger, locked};
use crate::object::Object;
use crate::overtaken::Watched;
use crate::reader::Reader;
use crate::sent::Sent;
use crate::shelf::{Found, Shelf};
use crate::snapshot::{Preamble, Since};
use crate::storage::{Eviction, MAIN_STORAGE, STORAGES_MAX, StorageId, StorageOptions};
use crate::sync;
use crate::tags::Tags;
use crate::variants::SharedNames;
use crate::writer::BodyWriter;
use copal_semantics::RequestHead;
use copal_semantics::time::Time;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Feeds, for a list of lower-case field names, the request's values of these in canonical form, one call per name.
pub type VaryFn<'a> = &'a dyn Fn(&[Box<str>], &mut dyn FnMut(&[u8]));

/// What a store is told at the start.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Ceiling on everything the store holds, in bytes. 256 MiB: what a small machine can spare.
    pub size: u64,
    /// Larger bodies stream through without being stored, in bytes; never more than half of `size`.
    pub object_size_max: u64,
    /// Variants per key; the least used goes. 128, as many as languages × encodings × devices reasonably give.
    pub variants_max: usize,
    /// Requests that may wait for one fetch; more go on alone. 10,000.
    pub waiters_max: u32,
    /// Bytes buffered ahead of the slowest reader of a body that is not kept. 1 MiB.
    pub window: u64,
    /// Bans in force at a time; more are refused. 100,000: the lurker works off thousands a second, so that many are a
    /// purger that never stops, and every one costs every object a test.
    pub bans_max: usize,
    /// Markers at a time; the oldest goes when one more comes. 25,000: some 17 MB at most, and more URLs that cannot be stored
    /// than are asked for within the minutes that a marker lives.
    pub markers_max: usize,
    /// What goes from the main storage when room is needed. The least recently used: `docs/decisions/eviction.md`.
    pub eviction: Eviction,
    /// Storages beside the main one, at most [`STORAGES_MAX`](crate::STORAGES_MAX) together with it; more are left out.
    pub storages: Vec<StorageOptions>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions {
            size: 256 << 20,
            object_size_max: u64::MAX,
            variants_max: 128,
            waiters_max: 10_000,
            window: 1 << 20,
            bans_max: 100_000,
            markers_max: 25_000,
            eviction: Eviction::default(),
            storages: Vec::new(),
        }
    }
}

/// Figures at one moment; the counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Objects that a lookup can find, markers not counted. All figures are of all storages together.
    pub objects: u64,
    /// Hit-for-miss and hit-for-pass markers.
    pub markers: u64,
    /// Bytes that the store holds in all, in flight and overhead included.
    pub bytes: u64,
    /// Of these, bodies still being written.
    pub in_flight_bytes: u64,
    /// Fetches under way that others can wait for.
    pub flights: u64,
    /// Requests waiting for them.
    pub waiting: u64,
    /// Objects evicted to make room.
    pub evictions: u64,
    /// Objects gone at the end of ttl, grace and keep.
    pub expiries: u64,
    /// Objects purged, hard or soft.
    pub purged: u64,
    /// Bodies that outgrew `object_size_max` while they came.
    pub outgrown: u64,
    /// Tags that an object carries.
    pub tags: u64,
    /// Bans in force.
    pub bans: u64,
    /// Bans made.
    pub bans_added: u64,
    /// Objects that bans dropped.
    pub banned: u64,
}

/// Locks for changes of what stands at a key.
const KEY_LOCKS: usize = 256;
/// Rounds of eviction in one `make_room`. Each frees a batch; 64 are tens of thousands of objects.
const MAKE_ROOM_ROUNDS: u32 = 64;
/// Rounds of taking orphaned variants off, each of which may evict further indexes.
const ORPHAN_ROUNDS: u32 = 8;

/// The objects in memory. Shared by all threads.
#[derive(Debug)]
pub struct Store {
    options: StoreOptions,
    hasher: KeyHasher,
    shelf: Shelf,
    /// By storage.
    ledgers: Box<[Arc<Ledger>]>,
    /// By storage, the main one with its part of `options`.
    storages: Box<[StorageOptions]>,
    busy: Busy,
    watched: Watched,
    sent: Sent,
    locks: Box<[sync::Mutex<()>]>,
    pub(crate) empty: Arc<Body>,
    pub(crate) salts: AtomicU64,
    pub(crate) names: SharedNames,
    pub(crate) purged: AtomicU64,
    /// In the order in which they were made; some have left.
    pub(crate) markers: Mutex<VecDeque<Weak<Object>>>,
    bans: Bans,
    since: Since,
    upkeep: Mutex<Lurker>,
    expiries: AtomicU64,
    outgrown: AtomicU64,
}

impl Store {
    /// A new, empty store.
    #[must_use]
    pub fn new(options: StoreOptions) -> Arc<Self> {
        Store::with_hasher(options, KeyHasher::random(), 1)
    }

    /// An empty store into which a snapshot can be loaded: it finds by the same hash, and the bans of then are in force. It
    /// keeps purges in mind until [`Store::loading`] has come to its end.
    #[must_use]
    pub fn revived(options: StoreOptions, preamble: &Preamble) -> Arc<Self> {
        let store = Store::with_hasher(options, KeyHasher::with_keys(preamble.hash_keys), preamble.next_salt.max(1));
        store.bans.revive(preamble.newest_ban, &preamble.bans);
        store.since.begin_loading();
        store
    }

    /// What a store must know that goes on from this one.
    pub(crate) fn preamble(&self, of: (Time, &str, bool)) -> Preamble {
        let (newest, bans) = self.bans.saved();
        Preamble::new(of, self.hasher.keys(), self.salts.load(Ordering::Relaxed), newest, bans)
    }

    fn with_hasher(options: StoreOptions, hasher: KeyHasher, first_salt: u64) -> Arc<Self> {
        let StoreOptions { size, object_size_max, eviction, .. } = options;
        let main = StorageOptions { name: MAIN_STORAGE.to_owned(), size, object_size_max, eviction };
        let storages: Box<[_]> =
            std::iter::once(main).chain(options.storages.iter().cloned()).take(STORAGES_MAX).collect();
        let ledgers: Box<[_]> = storages.iter().map(|_| Arc::new(Ledger::default())).collect();
        let ledger = Arc::clone(&ledgers[0]);
        let bans = Bans::new(Arc::clone(&ledger));
        let racks: Vec<_> = storages.iter().map(|storage| (storage.size, storage.eviction)).collect();
        Arc::new(Store {
            hasher,
            since: Since::new(Arc::clone(&ledger)),
            shelf: Shelf::new(&racks, Tags::new(Arc::clone(&ledger)), bans.newest_shared()),
            sent: Sent::new(Arc::clone(&ledger), bans.newest_shared()),
            bans,
            upkeep: Mutex::default(),
            busy: Busy::default(),
            watched: Watched::default(),
            locks: (0..KEY_LOCKS).map(|_| sync::Mutex::default()).collect(),
            empty: Body::empty(Arc::clone(&ledger)),
            salts: AtomicU64::new(first_salt),
            names: SharedNames::default(),
            purged: AtomicU64::new(0),
            markers: Mutex::default(),
            expiries: AtomicU64::new(0),
            outgrown: AtomicU64::new(0),
            ledgers,
            storages,
            options,
        })
    }

    /// The hash by which a key is found in this store; different in every process.
    #[must_use]
    pub fn hash(&self, key: &[u8]) -> u128 {
        self.hasher.primary(key)
    }

    /// What is stored for that key and request, and counts as used: fresh, stale or a marker, the caller judges by its
    /// times. Never what was purged or banned, or is dead at `now`. `hash` is [`Store::hash`] of `key`.
    ///
    /// Where a ban needs the request to be judged, the object is not found: see [`Store::lookup_for`].
    #[must_use]
    pub fn lookup(&self, key: &[u8], hash: u128, vary: VaryFn<'_>, now: Time) -> Option<Arc<Object>> {
        self.find(key, hash, vary, None, now, Shelf::get)
    }

    /// The same for a request by which bans on `req.…` are judged.
    #[must_use]
    pub fn lookup_for(
        &self,
        key: &[u8],
        hash: u128,
        vary: VaryFn<'_>,
        request: &RequestHead,
        now: Time,
    ) -> Option<Arc<Object>> {
        self.find(key, hash, vary, Some(request), now, Shelf::get)
    }

    /// The same for those who have looked before: it counts as no use.
    pub(crate) fn look_again(&self, key: &[u8], hash: u128, vary: VaryFn<'_>, now: Time) -> Option<Arc<Object>> {
        self.find(key, hash, vary, None, now, Shelf::peek)
    }

    fn find(
        &self,
        key: &[u8],
        hash: u128,
        vary: VaryFn<'_>,
        request: Option<&RequestHead>,
        now: Time,
        get: fn(&Shelf, u128) -> Option<Found>,
    ) -> Option<Arc<Object>> {
        let usable = |o: &Arc<Object>| o.is_stored() && now < o.times().dies_at() && self.passes_bans(o, request);
        let found = |slot: u128| match get(&self.shelf, slot) {
            Some(Found::Object(o)) if o.slot() == slot && o.key() == key && usable(&o) => Some(o),
            Some(Found::Object(_) | Found::Index(_)) | None => None,
        };
        match get(&self.shelf, hash)? {
            Found::Object(o) if self.selects(&o, key, hash, vary) && usable(&o) => Some(o),
            Found::Index(index) if index.is_for(hash, key) => {
                index.specs().iter().find_map(|spec| found(self.hasher.secondary(hash, spec, vary)))
            }
            Found::Object(_) | Found::Index(_) => None,
        }
    }

    /// Is `object` what that request may be given: same key, and the same values of the fields it varies by? For those who
    /// were handed an object instead of finding it. `hash` is [`Store::hash`] of `key`.
    #[must_use]
    pub fn selects(&self, object: &Object, key: &[u8], hash: u128, vary: VaryFn<'_>) -> bool {
        object.key() == key && object.slot() == object.spec().map_or(hash, |s| self.hasher.secondary(hash, s, vary))
    }

    /// An account of bytes that are held outside of the store and count as its own; empty at first.
    #[must_use]
    pub fn charge(&self) -> Charge {
        Charge::new(Arc::clone(self.ledger()))
    }

    /// A body that is not stored: at most `window` bytes are held ahead of the slowest reader. The reader comes with it,
    /// because without one there is nobody to write for; `reader.body()` gives more.
    #[must_use]
    pub fn transit_body(self: &Arc<Self>, window: u64) -> (Reader, BodyWriter) {
        let live = Arc::new(Live::new(Some(window), None));
        let body = Body::streaming(Arc::clone(self.ledger()), Arc::clone(&live));
        let id = live.attach(0).unwrap_or(0);
        let reader = Reader::of_live(Arc::clone(&body), Arc::clone(&live), id, 0);
        (reader, BodyWriter::new(body, live, Arc::clone(self), None))
    }

    /// Enters into `charge` so many bytes that are kept beside the store (the bodies of requests), and makes room for them.
    pub fn hold_in(&self, charge: &mut Charge, bytes: u64) {
        charge.set(bytes);
        self.make_room();
    }

    /// Removes what has died by `now` and tidies up. To be called every second; at most 100,000 objects per call, the
    /// rest the next time.
    pub fn run_expiry(&self, now: Time) {
        // Not beside a slice of the lurker's round, which must find in the wheel what is taken out here.
        let _upkeep = locked(&self.upkeep);
        for object in self.shelf.books().wheel.due(now) {
            let hash = self.hasher.primary(object.key());
            let _lock = self.lock(hash);
            if !object.is_stored() {
                continue;
            }
            if now < object.times().dies_at() {
                self.shelf.books().wheel.schedule(&object);
                continue;
            }
            if self.shelf.remove(&object) && object.kind().is_response() {
                self.expiries.fetch_add(1, Ordering::Relaxed);
            }
            self.drop_index_after(hash, &object);
        }
        for storage in self.storage_ids() {
            self.shelf.set_ballast(storage, self.beside_the_shelf(storage));
            self.shelf.run_pending(storage);
        }
        self.take_orphans_off();
        self.make_room();
    }

    /// Figures at this moment.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let books = self.shelf.books();
        let read = |n: &AtomicU64| n.load(Ordering::Relaxed);
        StoreStats {
            objects: books.objects(),
            markers: read(&books.markers),
            bytes: self.ledgers.iter().map(|ledger| ledger.used()).sum(),
            in_flight_bytes: self.ledgers.iter().map(|ledger| ledger.in_flight()).sum(),
            flights: self.busy.flights.load(Ordering::Relaxed),
            waiting: self.busy.waiting.load(Ordering::Relaxed),
            evictions: books.evictions(),
            expiries: read(&self.expiries),
            purged: read(&self.purged),
            outgrown: read(&self.outgrown),
            tags: self.tags().len() as u64,
            bans: self.bans.len() as u64,
            bans_added: read(&self.bans.added),
            banned: read(&self.bans.dropped),
        }
    }

    /// Evicts until every ledger is within its size, or nothing is left that could go. Refuses nothing and never waits.
    pub(crate) fn make_room(&self) {
        for storage in self.storage_ids() {
            self.make_room_in(storage);
        }
    }

    fn make_room_in(&self, storage: StorageId) {
        let (size, ledger) = (self.storages[storage.index()].size, self.ledger_of(storage));
        for _ in 0..MAKE_ROOM_ROUNDS {
            if ledger.used() <= size {
                return;
            }
            self.take_orphans_off();
            if self.shelf.shelved_bytes(storage) == 0 {
                return;
            }
            // A little more than is needed, so that the next objects find room without another round.
            let headroom = (size / 256).min(1 << 20);
            self.shelf.set_ballast(storage, self.beside_the_shelf(storage) + headroom);
            self.shelf.run_pending(storage);
        }
    }

    /// Bytes held that are not on the shelf: what readers still hold of evicted objects, bodies in flight, flights.
    fn beside_the_shelf(&self, storage: StorageId) -> u64 {
        self.ledger_of(storage).used().saturating_sub(self.shelf.shelved_bytes(storage))
    }

    /// Removes the variants of indexes that moka has evicted. No lock is needed: nobody can find them any more.
    pub(crate) fn take_orphans_off(&self) {
        for _ in 0..ORPHAN_ROUNDS {
            let orphans = self.shelf.take_orphans();
            if orphans.is_empty() {
                return;
            }
            for object in orphans {
                self.shelf.remove(&object);
            }
        }
    }

    /// Drops the index that a variant has left, if it was the last. The caller holds the key's lock.
    pub(crate) fn drop_index_after(&self, hash: u128, object: &Object) {
        if object.spec().is_some()
            && !object.is_lone()
            && let Some(Found::Index(index)) = self.shelf.peek(hash)
            && index.is_for(hash, object.key())
            && index.variants().is_empty()
        {
            let _none = self.shelf.remove_index(&index);
        }
    }

    /// The lock for changes of what stands at that primary hash.
    pub(crate) fn lock(&self, hash: u128) -> sync::MutexGuard<'_, ()> {
        sync::locked(&self.locks[(hash >> 64) as usize % KEY_LOCKS])
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.options
    }

    pub(crate) fn storage_options(&self) -> &[StorageOptions] {
        &self.storages
    }

    pub(crate) fn window(&self) -> u64 {
        self.options.window
    }

    pub(crate) fn waiters_max(&self) -> u32 {
        self.options.waiters_max
    }

    pub(crate) fn count_outgrown(&self) {
        self.outgrown.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn hasher(&self) -> &KeyHasher {
        &self.hasher
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Of the main storage.
    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledgers[0]
    }

    pub(crate) fn ledger_of(&self, storage: StorageId) -> &Arc<Ledger> {
        &self.ledgers[storage.index()]
    }

    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    pub(crate) fn sent(&self) -> &Sent {
        &self.sent
    }

    pub(crate) fn tags(&self) -> &Tags {
        &self.shelf.books().tags
    }

    pub(crate) fn bans(&self) -> &Bans {
        &self.bans
    }

    pub(crate) fn since(&self) -> &Since {
        &self.since
    }

    pub(crate) fn upkeep(&self) -> &Mutex<Lurker> {
        &self.upkeep
    }

    pub(crate) fn busy(&self) -> &Busy {
        &self.busy
    }
}
