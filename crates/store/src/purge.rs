//! Purging: by key all variants at once, with the exact number; and single objects for tags and bans.
//!
//! Invariants: after a hard purge returns, nothing that was stored under the key before is offered again, also not by
//! those who hold it (`Object::is_purged`); markers go too, and are not counted. What was asked of an origin before is not
//! stored when it comes (`overtaken`), and who asks after the purge does not wait for it.

use crate::object::Object;
use crate::shelf::Found;
use crate::store::Store;
use copal_semantics::time::Time;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// How to purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeMode {
    /// Stale from now on; grace, stale-if-error and keep stay, counted from now.
    Soft,
    /// Gone.
    Hard,
}

/// What becomes of markers where nothing else is stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Markers {
    Go,
    Stay,
}

impl Store {
    /// Purges every variant of that key; how many objects there were, those dead at `now` not counted.
    ///
    /// A fetch whose head has not come yet goes on for those who wait for it already. What it brings is not stored, since
    /// the origin may have made it before the purge; after a soft purge it is stored stale.
    pub fn purge(&self, key: &[u8], hash: u128, mode: PurgeMode, now: Time) -> u64 {
        self.purge_key(key, hash, (mode, Markers::Go), now)
    }

    /// As a hard purge, after an unsafe request (RFC 9111 §4.4): where nothing is stored but markers, they stay. That what comes
    /// from there is not cacheable is as true as before, and without them all readers would wait for one of them again.
    pub fn invalidate(&self, key: &[u8], hash: u128, now: Time) -> u64 {
        self.purge_key(key, hash, (PurgeMode::Hard, Markers::Stay), now)
    }

    fn purge_key(&self, key: &[u8], hash: u128, (mode, markers): (PurgeMode, Markers), now: Time) -> u64 {
        let stay = |objects: &[Arc<Object>]| {
            markers == Markers::Stay && objects.iter().all(|object| !object.kind().is_response())
        };
        let count = {
            let _lock = self.lock(hash);
            self.watched().purged(hash, mode);
            self.since().note_key(hash, mode, now);
            match self.shelf().peek(hash) {
                Some(Found::Object(o)) if o.key() == key && stay(std::slice::from_ref(&o)) => 0,
                Some(Found::Object(o)) if o.key() == key => self.purge_all(&[o], mode, now),
                Some(Found::Index(index)) if index.is_for(hash, key) && stay(&index.variants()) => 0,
                Some(Found::Index(index)) if index.is_for(hash, key) => {
                    let all = match mode {
                        PurgeMode::Hard => self.shelf().remove_index(&index),
                        PurgeMode::Soft => index.variants(),
                    };
                    let count = self.purge_all(&all, mode, now);
                    // Markers go in either mode, and an index of nothing with them.
                    all.iter().filter(|o| !o.is_stored()).for_each(|gone| self.drop_index_after(hash, gone));
                    count
                }
                Some(Found::Object(_) | Found::Index(_)) | None => 0,
            }
        };
        self.purged.fetch_add(count, Ordering::Relaxed);
        count
    }

    /// Every variant of that key is stale from `at` on, or from earlier; how many responses there are.
    pub fn stale_from(&self, key: &[u8], hash: u128, at: Time) -> u64 {
        let all = self.variants(key, hash);
        let responses = all.iter().filter(|object| object.kind().is_response() && !object.is_purged());
        responses.inspect(|object| self.make_stale(object, at)).count() as u64
    }

    /// One object is stale from `now` on, as after a soft purge.
    pub fn make_stale(&self, object: &Arc<Object>, now: Time) {
        let hash = self.hasher().primary(object.key());
        let _lock = self.lock(hash);
        self.since().note_key(hash, PurgeMode::Soft, now);
        object.make_stale(now);
    }

    /// Purges one object, wherever it stands; 1 if it counts.
    pub(crate) fn purge_object(&self, object: &Arc<Object>, mode: PurgeMode, now: Time) -> u64 {
        let hash = self.hasher().primary(object.key());
        let _lock = self.lock(hash);
        let count = self.purge_all(std::slice::from_ref(object), mode, now);
        if !object.is_stored() {
            self.drop_index_after(hash, object);
        }
        count
    }

    /// Drops one object for good; true when it was stored.
    pub(crate) fn drop_object(&self, object: &Arc<Object>) -> bool {
        let hash = self.hasher().primary(object.key());
        let _lock = self.lock(hash);
        object.mark_purged();
        let was_stored = self.shelf().remove(object);
        self.drop_index_after(hash, object);
        was_stored
    }

    fn purge_all(&self, objects: &[Arc<Object>], mode: PurgeMode, now: Time) -> u64 {
        let mut count = 0;
        for object in objects {
            let counts = object.kind().is_response() && now < object.times().dies_at();
            let was_stored = match mode {
                PurgeMode::Soft if object.kind().is_response() => {
                    object.make_stale(now);
                    object.is_stored()
                }
                PurgeMode::Soft | PurgeMode::Hard => {
                    object.mark_purged();
                    self.shelf().remove(object)
                }
            };
            count += u64::from(counts && was_stored);
        }
        count
    }
}
