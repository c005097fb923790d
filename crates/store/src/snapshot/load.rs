//! Loading a snapshot into a store that is in use already.
//!
//! ```text
//!  first pass:  every record is read and checked, purges are taken in      second pass:  objects are put where nothing stands
//! ```
//!
//! Invariants: nothing is loaded from a file that is not whole; what was fetched since the start stays, what was purged since
//! the snapshot was begun does not come back; nothing is evicted for what is loaded.

use super::record::{End, Invalidation, Item, Preamble, SavedObject, SavedVariant, SnapshotReader, whole};
use super::since::{ENTRIES_MAX, Spared, apply};
use super::{SnapshotFault, frame};
use crate::ban::not_newer;
use crate::body::Body;
use crate::live::Live;
use crate::memory::OBJECT_OVERHEAD_BYTES;
use crate::object::{Kind as ObjectKind, Object, Parts};
use crate::shelf::{Found, low};
use crate::storage::StorageId;
use crate::store::Store;
use crate::times::Times;
use crate::variants::{VaryIndex, VarySpec};
use bytes::Bytes;
use copal_semantics::headers::Headers;
use copal_semantics::time::Time;
use std::io::Read;
use std::sync::Arc;

/// What became of the objects of a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Objects that are stored now.
    pub objects: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Left out: past ttl, grace and keep.
    pub expired: u64,
    /// Left out: purged since the snapshot was begun.
    pub purged: u64,
    /// Left out: the same was fetched since the start.
    pub newer: u64,
    /// Left out: there is no room, or it is larger than an object may be now.
    pub no_room: u64,
    /// Of those that are stored: their storage is not configured any more, so they are in the main one.
    pub moved: u64,
    /// It was told to stop before the end.
    pub stopped: bool,
}

/// A snapshot on its way into a store made by [`Store::revived`]. Until it is dropped, no ban is done and purges reach what
/// is still to come.
#[derive(Debug)]
pub struct Loading {
    store: Arc<Store>,
    newest_ban: u32,
    /// Lists of fields of the snapshot have lower ones.
    next_salt: u64,
    created: Time,
    current: Option<Current>,
    loaded: Loaded,
}

/// The object whose body is coming.
#[derive(Debug)]
struct Current {
    meta: Meta,
    live: Arc<Live>,
    body: Arc<Body>,
    owed: u64,
}

#[derive(Debug)]
struct Meta {
    key: Box<[u8]>,
    head: Box<[u8]>,
    trailers: Option<Headers>,
    times: Times,
    hits: u32,
    last_hit_secs: u32,
    ban_stamp: u32,
    variant: Option<SavedVariant>,
    tags: Vec<Box<[u8]>>,
    storage: StorageId,
    /// The storage that it was in is not configured any more.
    moved: bool,
}

/// Why an object is not put on the shelf.
enum Left {
    Expired,
    Purged,
    Newer,
    NoRoom,
}

impl Store {
    /// The other end of [`Store::revived`]: loads what belongs to that preamble.
    #[must_use]
    pub fn loading(self: &Arc<Self>, preamble: &Preamble) -> Loading {
        Loading {
            store: Arc::clone(self),
            newest_ban: preamble.newest_ban,
            next_salt: preamble.next_salt,
            created: preamble.created(),
            current: None,
            loaded: Loaded::default(),
        }
    }

    /// Bytes that loading may fill: a little is left for what is fetched meanwhile, so that nothing is evicted for it.
    fn room_for_loading(&self, storage: StorageId) -> u64 {
        let size = self.storage_options()[storage.index()].size;
        (size - size / 32).saturating_sub(self.ledger_of(storage).used())
    }
}

impl Loading {
    /// The first pass: reads all of it, stores nothing, and takes in what was purged while it was written. How many objects
    /// there are; `None` when it was stopped.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn verify(
        &self,
        mut reader: SnapshotReader<impl Read>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Option<u64>, SnapshotFault> {
        let mut since = Vec::new();
        let End { objects, .. } = loop {
            if stop() {
                return Ok(None);
            }
            match reader.next()? {
                Item::Object(_) | Item::Body(_) => {}
                Item::Since(_) if since.len() >= ENTRIES_MAX => {
                    return Err(SnapshotFault::Damaged { at: 0, what: "more purges than there can be" });
                }
                Item::Since(what) => since.push(what),
                Item::End(end) => break end,
            }
        };
        reader.check_end()?;
        self.take_in(since)?;
        Ok(Some(objects))
    }

    /// Takes in what was purged after the snapshot was written.
    ///
    /// # Errors
    /// Why journal and snapshot are refused: it is another snapshot's, or it does not end with a whole record.
    pub fn journal(&self, input: impl Read) -> Result<(), SnapshotFault> {
        let mut frames = frame::FrameReader::begin(input)?;
        let whose: Option<Preamble> = match frames.next()? {
            (frame::Kind::Preamble, payload) => postcard::from_bytes(payload).ok(),
            _ => None,
        };
        if whose.is_none_or(|whose| whose.created() != self.created) {
            return Err(frames.damaged("the journal belongs to another snapshot"));
        }
        let mut since = Vec::new();
        while let Some((kind, payload)) = frames.next_or_end()? {
            let what = (kind == frame::Kind::Since && since.len() < ENTRIES_MAX).then(|| postcard::from_bytes(payload));
            match what {
                Some(Ok(what)) => since.push(what),
                Some(Err(_)) | None => return Err(frames.damaged("the journal holds what is no purge")),
            }
        }
        self.take_in(since)
    }

    fn take_in(&self, since: Vec<Invalidation>) -> Result<(), SnapshotFault> {
        for what in since {
            if let Invalidation::Ban { text, at } = &what {
                let refused = SnapshotFault::Damaged { at: 0, what: "a ban made after it cannot be made again" };
                let Ok(expr) = text.parse() else { return Err(refused) };
                if self.store.ban(expr, Time::from_micros(*at)).is_err() {
                    return Err(refused);
                }
            } else {
                self.store.since().note(|| what);
            }
        }
        Ok(())
    }

    /// The second pass: puts the objects on the shelf. `now` is asked for each of them.
    ///
    /// # Errors
    /// The file has changed since the first pass: what is loaded by then was whole and stays.
    pub fn load(
        mut self,
        mut reader: SnapshotReader<impl Read>,
        now: &dyn Fn() -> Time,
        stop: &dyn Fn() -> bool,
    ) -> Result<Loaded, SnapshotFault> {
        loop {
            if stop() {
                self.loaded.stopped = true;
                break;
            }
            match reader.next()? {
                Item::Object(object) => self.begin(&object, now()),
                Item::Body(bytes) => self.body(bytes, now),
                Item::Since(_) => {}
                Item::End(_) => break,
            }
        }
        if self.loaded.objects > 0 {
            self.put_in_order();
        }
        Ok(self.loaded)
    }

    fn begin(&mut self, saved: &SavedObject<'_>, now: Time) {
        let times = saved.times.times();
        // What was in a storage that is not configured any more goes into the main one.
        let named = if saved.class.is_empty() { Some(StorageId::MAIN) } else { self.store.storage(saved.class) };
        let storage = named.unwrap_or(StorageId::MAIN);
        let weight = saved.body_len + (saved.key.len() + saved.head.len()) as u64 + OBJECT_OVERHEAD_BYTES;
        if now >= times.dies_at() {
            self.left(&Left::Expired);
        } else if weight > self.store.room_for_loading(storage) || saved.body_len > self.store.object_size_max(storage)
        {
            self.left(&Left::NoRoom);
        } else {
            let mut trailers = Headers::new();
            trailers.read_wire(saved.trailers);
            let meta = Meta {
                key: saved.key.into(),
                head: saved.head.into(),
                trailers: (!trailers.is_empty()).then_some(trailers),
                times,
                hits: saved.hits,
                last_hit_secs: saved.last_hit_secs,
                // A number that was given after the snapshot was begun means another ban now.
                ban_stamp: if not_newer(saved.ban_stamp, self.newest_ban) { saved.ban_stamp } else { self.newest_ban },
                variant: saved.variant.as_ref().map(|v| SavedVariant {
                    names: v.names.clone(),
                    salt: v.salt,
                    rank: v.rank,
                    slot: v.slot,
                }),
                storage,
                moved: named.is_none(),
                tags: saved.tags.iter().map(|tag| Box::from(*tag)).collect(),
            };
            let live = Arc::new(Live::new(None, Some(saved.body_len)));
            let body = Body::streaming(Arc::clone(self.store.ledger_of(storage)), Arc::clone(&live));
            self.current = Some(Current { meta, live, body, owed: saved.body_len });
            if saved.body_len == 0 {
                self.put(now);
            }
        }
    }

    fn body(&mut self, bytes: &[u8], now: &dyn Fn() -> Time) {
        let Some(current) = &mut self.current else { return };
        // A body that keeps everything takes everything.
        let _taken = current.live.offer(&current.body, &Bytes::copy_from_slice(bytes));
        current.owed = current.owed.saturating_sub(bytes.len() as u64);
        if current.owed == 0 {
            self.put(now());
        }
    }

    /// The object is whole.
    fn put(&mut self, now: Time) {
        let Some(Current { meta, live, body, .. }) = self.current.take() else { return };
        live.finish(&body, meta.trailers.clone());
        let len = body.len_known().unwrap_or(0);
        match self.store.put_loaded(&meta, body, now, self.next_salt) {
            Ok(()) => {
                self.loaded.objects += 1;
                self.loaded.bytes += len;
                self.loaded.moved += u64::from(meta.moved);
            }
            Err(why) => self.left(&why),
        }
    }

    fn left(&mut self, why: &Left) {
        *match why {
            Left::Expired => &mut self.loaded.expired,
            Left::Purged => &mut self.loaded.purged,
            Left::Newer => &mut self.loaded.newer,
            Left::NoRoom => &mut self.loaded.no_room,
        } += 1;
    }

    /// The most used were loaded first, so that they are there soonest; now they are made the most used again.
    fn put_in_order(&self) {
        const BATCH: usize = 32;
        // What moka has not yet taken in cannot be touched.
        let settle = || self.store.storage_ids().for_each(|storage| self.store.shelf().run_pending(storage));
        settle();
        for some in self.store.by_use().chunks(BATCH) {
            for object in some.iter().filter_map(std::sync::Weak::upgrade) {
                self.store.shelf().touch(&object);
            }
            // moka keeps a few uses in mind at a time, and forgets those beyond.
            settle();
        }
    }
}

impl Drop for Loading {
    fn drop(&mut self) {
        self.store.since().end_loading();
    }
}

impl Store {
    /// Puts a whole object where nothing stands; never in the place of anything.
    fn put_loaded(&self, meta: &Meta, body: Arc<Body>, now: Time, next_salt: u64) -> Result<(), Left> {
        if now >= meta.times.dies_at() {
            return Err(Left::Expired);
        }
        let hash = self.hasher().primary(&meta.key);
        let _lock = self.lock(hash);
        let standing = self.shelf().peek(hash);
        let Some(saved) = &meta.variant else {
            // Anything there is newer, or another key's with half of the hash in common.
            if standing.is_some() {
                return Err(Left::Newer);
            }
            let object = self.make_loaded(meta, body, hash, low(hash), None)?;
            self.shelf().put_stamped(&object, 0);
            return Ok(());
        };
        let slot = whole(saved.slot);
        let spec = || self.names.spec_ranked(&saved.names, saved.salt, saved.rank.saturating_add(1));
        let index = match standing {
            None => {
                let object = self.make_loaded(meta, body, slot, low(hash), Some(spec()))?;
                self.shelf().put_stamped(&object, 0);
                return Ok(());
            }
            Some(Found::Index(index)) if index.is_for(hash, &meta.key) && index.standing.is_on_shelf() => index,
            // A variant that was loaded before this one.
            Some(Found::Object(lone)) if is_sibling(&lone, meta, next_salt) && lone.slot() != slot => {
                let index = Arc::new(VaryIndex::new(hash, &meta.key, Arc::clone(self.ledger())));
                if let Some(spec) = lone.spec() {
                    let _the_first = index.spec_loaded(spec.names(), spec.salt(), || Arc::clone(spec));
                }
                self.shelf().move_aside(&lone);
                self.enter(&index, &lone);
                index
            }
            Some(_) => return Err(Left::Newer),
        };
        if index.variants().len() >= self.options().variants_max || self.shelf().peek(slot).is_some() {
            return Err(Left::Newer);
        }
        let spec = index.spec_loaded(&saved.names, saved.salt, spec).ok_or(Left::Newer)?;
        let object = self.make_loaded(meta, body, slot, low(slot), Some(spec))?;
        self.shelf().put_stamped(&object, 0);
        self.enter(&index, &object);
        Ok(())
    }

    /// The object, entered where purges by tag find it, unless a purge has met it before.
    fn make_loaded(
        &self,
        meta: &Meta,
        body: Arc<Body>,
        slot: u128,
        place: u64,
        spec: Option<Arc<VarySpec>>,
    ) -> Result<Arc<Object>, Left> {
        let tags = self.tags().enter(&meta.tags);
        let object = Arc::new(Object::new(Parts {
            key: &meta.key,
            head: &meta.head,
            times: &meta.times,
            kind: ObjectKind::Cacheable,
            slot,
            place,
            spec,
            body,
            tags,
            ban_stamp: meta.ban_stamp,
            storage: meta.storage,
        }));
        object.set_use(meta.hits, meta.last_hit_secs);
        self.tags().bind(&object);
        let spared = self.since().spares(self.hasher().primary(&meta.key), &meta.tags);
        match spared {
            Spared::Untouched | Spared::Stale(_) => {
                apply(spared, &object);
                Ok(object)
            }
            Spared::Purged | Spared::Unknown => {
                object.standing.take_off();
                self.tags().leave(&object);
                Err(Left::Purged)
            }
        }
    }
}

/// A variant of the same key, by a list of fields that the snapshot has brought.
fn is_sibling(lone: &Arc<Object>, meta: &Meta, next_salt: u64) -> bool {
    lone.is_stored() && *lone.key() == *meta.key && lone.spec().is_some_and(|spec| spec.salt() < next_salt)
}
