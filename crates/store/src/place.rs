//! Putting objects on the shelf: new ones with a body to come, markers, and those that a 304 has renewed.
//!
//! ```text
//!  no Vary, nothing or a plain object there:     primary hash ─▶ Object      (replaces)
//!  Vary, nothing there or the same variant:      primary hash ─▶ Object      (replaces, with its spec)
//!  another variant or an index there:            primary hash ─▶ VaryIndex ─▶ secondary hash ─▶ Object
//!                        a response without Vary at a key that varies is a variant that every request selects
//! ```
//!
//! Invariants: all of it happens under the lock of the primary hash; what is replaced is off the shelf for good.

use crate::body::Body;
use crate::live::Live;
use crate::memory::locked;
use crate::object::{Kind, Object, Parts};
use crate::overtaken::PurgeWatch;
use crate::parts;
use crate::purge::PurgeMode;
use crate::shelf::{Found, low};
use crate::storage::StorageId;
use crate::store::{Store, VaryFn};
use crate::tags::TagSet;
use crate::times::Times;
use crate::variants::{VaryIndex, VarySpec};
use crate::writer::BodyWriter;
use copal_semantics::range::ContentRange;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is to be stored.
#[derive(Clone, Copy)]
pub struct NewObject<'a> {
    /// The full key.
    pub key: &'a [u8],
    /// [`Store::hash`] of the key.
    pub hash: u128,
    /// Lower-case names of the request fields that the response varies by; empty when it does not.
    pub vary_names: &'a [Box<str>],
    /// The values of such fields in the request that was answered.
    pub vary: VaryFn<'a>,
    /// The encoded head; copied.
    pub head: &'a [u8],
    /// How long it is of use.
    pub times: Times,
    /// The body's length in bytes if the origin has announced it: saves growing, is not trusted.
    pub body_hint: Option<u64>,
    /// The tags that it can be purged by, in any order.
    pub tags: &'a [Cow<'a, [u8]>],
    /// Where it is to be stored.
    pub storage: StorageId,
}

impl std::fmt::Debug for NewObject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewObject").field("hash", &self.hash).field("times", &self.times).finish_non_exhaustive()
    }
}

impl Store {
    /// Stores an object whose body comes in through the writer. Lookups find it at once and read along.
    ///
    /// Should it be evicted or purged before its end, or outgrow the store, the body goes on as a window for those who
    /// read it then. A caller that has readers in waiting attaches one (`object.body().reader()`) before the first push.
    #[must_use]
    pub fn insert_streaming(self: &Arc<Self>, new: NewObject<'_>) -> (Arc<Object>, BodyWriter) {
        let live = Arc::new(Live::new(None, new.body_hint));
        let body = Body::streaming(Arc::clone(self.ledger_of(new.storage)), Arc::clone(&live));
        let object = self.place(&new, Kind::Cacheable, Arc::clone(&body), None);
        let writer = BodyWriter::new(body, live, Arc::clone(self), Some(Arc::clone(&object)));
        (object, writer)
    }

    /// The same for a response to a request that was sent under `watch`. After a hard purge of its key or of one of its tags it
    /// serves those who have it or wait for it, and is not stored; after a soft one it is stale from the start. Bans since
    /// then hold for it.
    ///
    /// What is not stored is kept whole until a window's length of it has come, so that all who wait find its beginning.
    #[must_use]
    pub fn insert_watched(self: &Arc<Self>, new: NewObject<'_>, watch: &PurgeWatch) -> (Arc<Object>, BodyWriter) {
        let live = Arc::new(Live::new(None, new.body_hint));
        let body = Body::streaming(Arc::clone(self.ledger_of(new.storage)), Arc::clone(&live));
        let object = self.place(&new, Kind::Cacheable, Arc::clone(&body), Some(watch));
        let overtaken = !object.is_stored();
        let writer = BodyWriter::new(body, live, Arc::clone(self), Some(Arc::clone(&object)));
        (object, if overtaken { writer.off_the_shelf() } else { writer })
    }

    /// Stores a part whose bytes come in through the writer, together with those that `before` holds: the caller has made
    /// sure that they may be combined (RFC 9111 §3.4). `new.body_hint` counts for nothing, the part's length does.
    ///
    /// Should the part not come whole, the object goes as a whole: abort the writer then. `None`, with nothing changed, when
    /// all parts together would be more than an object may have ([`parts::PARTS_MAX`]) or be larger than one may be.
    #[must_use]
    pub fn insert_part(
        self: &Arc<Self>,
        new: NewObject<'_>,
        part: ContentRange,
        before: Option<&Arc<Object>>,
        watch: Option<&PurgeWatch>,
    ) -> Option<(Arc<Object>, BodyWriter)> {
        let len = Some(part.len());
        // What is one object is in one storage.
        let new = NewObject { storage: before.map_or(new.storage, |before| before.storage()), ..new };
        let live = Arc::new(Live::new(None, len));
        let body = Body::streaming(Arc::clone(self.ledger_of(new.storage)), Arc::clone(&live));
        let held = match before.and_then(|before| before.body().parts()) {
            Some(held) => held.with(part, Arc::clone(&body))?,
            None => parts::Parts::one(part, Arc::clone(&body)),
        };
        if held.covered() > self.object_size_max(new.storage) {
            return None;
        }
        let all = Body::of_parts(Arc::clone(self.ledger_of(new.storage)), held);
        let object = self.place(&NewObject { body_hint: len, ..new }, Kind::Partial, all, watch);
        let writer = BodyWriter::new(body, live, Arc::clone(self), Some(Arc::clone(&object)));
        Some((object, writer))
    }

    /// Stores a marker that says what to do instead of waiting for an object: `new.head` is usually empty, and `new.times`
    /// says for how long. Beyond `markers_max` the oldest marker goes.
    pub fn insert_marker(&self, new: NewObject<'_>, kind: Kind) -> Arc<Object> {
        // Markers stand in the main storage: the empty body is its own.
        let marker = self.place(&NewObject { storage: StorageId::MAIN, ..new }, kind, Arc::clone(&self.empty), None);
        let mut surplus = Vec::new();
        {
            let mut markers = locked(&self.markers);
            markers.push_back(Arc::downgrade(&marker));
            // Those that have left in front cost nothing to forget; with them gone, one goes for each that comes.
            while let Some(oldest) = markers.front() {
                match oldest.upgrade().filter(|marker| marker.is_stored()) {
                    Some(_) if markers.len() <= self.options().markers_max => break,
                    left => surplus.extend(left),
                }
                markers.pop_front();
            }
        }
        surplus.iter().for_each(|marker| self.unstore(marker));
        marker
    }

    /// The object that a 304 makes of `old`: new head and times, same key, variant and body.
    ///
    /// It takes the place of `old` if that is still stored; if `old` has left the store meanwhile (purged, replaced,
    /// evicted), the new one is not stored and serves only the one who has it. Bans since `old` was stored hold for it,
    /// because the body is the same. The tags are those of `old`.
    ///
    /// `watch` is that of the request that was answered with the 304: after a soft purge since then the new one is stale.
    #[must_use]
    pub fn refresh(&self, old: &Arc<Object>, head: &[u8], times: Times, watch: Option<&PurgeWatch>) -> Arc<Object> {
        let tags = self.tags().enter_successor(old);
        self.renew(old, head, times, tags, watch)
    }

    /// The same with the tags that the renewed head names.
    #[must_use]
    pub fn refresh_tagged(
        &self,
        old: &Arc<Object>,
        head: &[u8],
        times: Times,
        tags: &[Cow<'_, [u8]>],
        watch: Option<&PurgeWatch>,
    ) -> Arc<Object> {
        let tags = self.tags().enter(tags);
        self.renew(old, head, times, tags, watch)
    }

    fn renew(
        &self,
        old: &Arc<Object>,
        head: &[u8],
        times: Times,
        tags: Option<TagSet>,
        watch: Option<&PurgeWatch>,
    ) -> Arc<Object> {
        let parts = Parts {
            key: old.key(),
            head,
            times: &times,
            kind: old.kind(),
            slot: old.slot(),
            place: old.place(),
            spec: old.spec().cloned(),
            body: Arc::clone(old.body()),
            tags,
            ban_stamp: old.ban_stamp(),
            storage: old.storage(),
        };
        let new = Arc::new(Object::new(parts));
        self.tags().bind(&new);
        let hash = self.hasher().primary(old.key());
        {
            let _lock = self.lock(hash);
            // A lone variant may have moved since.
            new.set_place(old.place());
            // A check since may have moved it on; what it did not pass, it has been dropped for.
            new.set_ban_stamp(old.ban_stamp());
            let overtaken = watch.and_then(|watch| harder(watch.seen(), watch.seen_by_tags(&new)));
            if overtaken.is_some() {
                new.make_stale(times.response_time);
            }
            let replaces = self.shelf().remove(old);
            if replaces && overtaken != Some(PurgeMode::Hard) {
                self.shelf().put_stamped(&new, 0);
                if new.spec().is_some() && !new.is_lone() {
                    match self.shelf().peek(hash) {
                        Some(Found::Index(index)) if index.is_for(hash, new.key()) => self.enter(&index, &new),
                        // The index was evicted meanwhile: nobody would find the variant.
                        _ => {
                            self.shelf().remove(&new);
                        }
                    }
                }
            } else {
                new.standing.take_off();
                self.tags().leave(&new);
            }
        }
        self.make_room();
        new
    }

    /// Takes an object out of the store; those who read it go on.
    pub fn unstore(&self, object: &Arc<Object>) {
        let _lock = self.lock(self.hasher().primary(object.key()));
        self.shelf().remove(object);
    }

    /// Weighs an object again whose body is complete.
    pub(crate) fn settled(&self, object: &Arc<Object>) {
        let _lock = self.lock(self.hasher().primary(object.key()));
        self.shelf().weigh_again(object);
    }

    fn place(&self, new: &NewObject<'_>, kind: Kind, body: Arc<Body>, watch: Option<&PurgeWatch>) -> Arc<Object> {
        let object = {
            let _lock = self.lock(new.hash);
            let spec = || (!new.vary_names.is_empty()).then(|| self.new_spec(new.vary_names));
            if watch.and_then(PurgeWatch::seen) == Some(PurgeMode::Hard) {
                return self.make(new, kind, body, spec(), None, watch);
            }
            match self.shelf().peek(new.hash) {
                Some(Found::Index(index)) if index.is_for(new.hash, new.key) && index.standing.is_on_shelf() => {
                    self.place_variant(&index, new, kind, body, watch)
                }
                Some(Found::Object(lone)) if lone.spec().is_some() && lone.key() == new.key && lone.is_stored() => {
                    self.place_beside(&lone, new, kind, body, watch)
                }
                other => {
                    let object = self.make(new, kind, body, spec(), Some(low(new.hash)), watch);
                    self.put_instead(other, &object, expected(new), watch);
                    object
                }
            }
        };
        self.take_orphans_off();
        self.make_room();
        object
    }

    fn new_spec(&self, names: &[Box<str>]) -> Arc<VarySpec> {
        self.names.spec(names, self.salts.fetch_add(1, Ordering::Relaxed))
    }

    /// Puts an object where `other` stands, which goes; an object that was overtaken changes nothing.
    fn put_instead(&self, other: Option<Found>, object: &Arc<Object>, more: u64, watch: Option<&PurgeWatch>) {
        if object.standing.is_off() {
            return;
        }
        self.clear(other);
        if watch.is_some() {
            self.shelf().put_stamped(object, more);
        } else {
            self.shelf().put(object, more);
        }
    }

    /// Where a lone variant stands: in its place if it is the same variant, else both under a new index.
    fn place_beside(
        &self,
        lone: &Arc<Object>,
        new: &NewObject<'_>,
        kind: Kind,
        body: Arc<Body>,
        watch: Option<&PurgeWatch>,
    ) -> Arc<Object> {
        if let Some(spec) = lone.spec().filter(|spec| spec.names() == new.vary_names)
            && self.hasher().secondary(new.hash, spec, new.vary) == lone.slot()
        {
            spec.is_new();
            let object = self.make(new, kind, body, Some(Arc::clone(spec)), Some(low(new.hash)), watch);
            self.put_instead(Some(Found::Object(Arc::clone(lone))), &object, expected(new), watch);
            return object;
        }
        let index = Arc::new(VaryIndex::new(new.hash, new.key, Arc::clone(self.ledger())));
        if let Some(spec) = lone.spec() {
            let _nothing_lost = index.spec_for(spec.names(), || Arc::clone(spec));
        }
        self.shelf().move_aside(lone);
        self.enter(&index, lone);
        self.place_variant(&index, new, kind, body, watch)
    }

    fn place_variant(
        &self,
        index: &Arc<VaryIndex>,
        new: &NewObject<'_>,
        kind: Kind,
        body: Arc<Body>,
        watch: Option<&PurgeWatch>,
    ) -> Arc<Object> {
        let (spec, lost) = index.spec_for(new.vary_names, || self.new_spec(new.vary_names));
        lost.iter().for_each(|o| {
            self.shelf().remove(o);
        });
        let object = self.make(new, kind, body, Some(spec), None, watch);
        self.put_instead(self.shelf().peek(object.slot()), &object, expected(new), watch);
        if object.is_stored() {
            self.enter(index, &object);
        }
        object
    }

    /// Enters a variant that is on the shelf into its index.
    pub(crate) fn enter(&self, index: &Arc<VaryIndex>, object: &Arc<Object>) {
        for surplus in index.add(object, self.options().variants_max) {
            self.shelf().remove(&surplus);
        }
        if !self.shelf().put_index(index) {
            // The index was evicted meanwhile: nobody would find the variant.
            self.shelf().remove(object);
        }
    }

    /// Takes off what stands where something else is going to.
    pub(crate) fn clear(&self, slot: Option<Found>) {
        match slot {
            Some(Found::Object(object)) => {
                self.shelf().remove(&object);
            }
            Some(Found::Index(index)) => {
                for object in self.shelf().remove_index(&index) {
                    self.shelf().remove(&object);
                }
            }
            None => {}
        }
    }

    /// Makes an object that is to stand at `place`, or at its slot, and enters its tags. One that a hard purge of its key or
    /// of a tag has overtaken is off the shelf before it was on it; after a soft one it is stale.
    fn make(
        &self,
        new: &NewObject<'_>,
        kind: Kind,
        body: Arc<Body>,
        spec: Option<Arc<VarySpec>>,
        place: Option<u64>,
        watch: Option<&PurgeWatch>,
    ) -> Arc<Object> {
        let (key, head, times) = (new.key, new.head, &new.times);
        let tags = self.tags().enter(new.tags);
        let slot = spec.as_ref().map_or(new.hash, |spec| self.hasher().secondary(new.hash, spec, new.vary));
        let place = place.unwrap_or(low(slot));
        let ban_stamp = watch.map_or(0, PurgeWatch::ban_stamp);
        let storage = new.storage;
        let object =
            Arc::new(Object::new(Parts { key, head, times, kind, slot, place, spec, body, tags, ban_stamp, storage }));
        self.tags().bind(&object);
        // Bound before it looks: a purge that comes later finds it by its tags.
        match watch.and_then(|watch| harder(watch.seen(), watch.seen_by_tags(&object))) {
            None => {}
            Some(PurgeMode::Soft) => object.make_stale(new.times.response_time),
            Some(PurgeMode::Hard) => {
                object.standing.take_off();
                self.tags().leave(&object);
            }
        }
        object
    }
}

fn harder(one: Option<PurgeMode>, other: Option<PurgeMode>) -> Option<PurgeMode> {
    match (one, other) {
        (Some(PurgeMode::Hard), _) | (_, Some(PurgeMode::Hard)) => Some(PurgeMode::Hard),
        (Some(PurgeMode::Soft), _) | (_, Some(PurgeMode::Soft)) => Some(PurgeMode::Soft),
        (None, None) => None,
    }
}

/// Weighing in what was announced saves weighing again at the end. Not trusted beyond 1 MiB: an announcement costs nothing.
fn expected(new: &NewObject<'_>) -> u64 {
    new.body_hint.map_or(0, |hint| hint.min(1 << 20))
}
