//! Purges that overtake a fetch: what was asked of an origin before a purge may be what the purge was about.
//!
//! ```text
//!  watch ──▶ request sent … purge of the key … response ──▶ seen() = Hard: not stored; Soft: stored stale
//! ```
//!
//! Purges by tag and bans are about whatever carries the tag or matches: those are noted in [`crate::sent`], and looked for
//! when the response's tags are known; a ban finds what was asked for before it when that is looked up, as everything else.
//!
//! Invariants: a purge marks under the lock of the key, and storing looks under the same lock, so a response is either
//! stored before the purge (and dropped by it) or knows of it; a key that nobody watches costs a purge one look.

use crate::memory::WATCH_OVERHEAD_BYTES;
use crate::object::Object;
use crate::purge::PurgeMode;
use crate::sent::Moment;
use crate::store::Store;
use crate::sync::{AtomicU32, Mutex, locked};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Enough that two fetches at the same moment rarely meet at one lock.
const SHARDS: usize = 64;

/// How often a key was purged since the first of those who watch it began. A turn of 2^32 purges during one fetch is not to be feared.
#[derive(Debug, Default)]
struct Purges {
    hard: AtomicU32,
    soft: AtomicU32,
}

/// By primary hash: the purges, and how many watch.
type Shard = Mutex<HashMap<u128, (Arc<Purges>, u32)>>;

/// All keys that are watched.
#[derive(Debug)]
pub(crate) struct Watched(Box<[Shard]>);

impl Default for Watched {
    fn default() -> Self {
        Watched((0..SHARDS).map(|_| Mutex::default()).collect())
    }
}

impl Watched {
    fn shard(&self, hash: u128) -> &Shard {
        &self.0[(hash >> 64) as usize % SHARDS]
    }

    /// Notes a purge of that key. The caller holds the key's lock.
    pub(crate) fn purged(&self, hash: u128, mode: PurgeMode) {
        if let Some((purges, _)) = locked(self.shard(hash)).get(&hash) {
            let count = match mode {
                PurgeMode::Hard => &purges.hard,
                PurgeMode::Soft => &purges.soft,
            };
            count.fetch_add(1, Ordering::Release);
        }
    }
}

/// Knows of the purges of one key since it was made.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    purges: Arc<Purges>,
    hard: u32,
    soft: u32,
    hash: u128,
    store: Arc<Store>,
}

/// Knows of the purges and bans that may be about the answer to one request, however they are made. To be made before the
/// request is sent, and dropped when its response is stored or not going to be: bans are not forgotten before that.
#[derive(Debug)]
pub struct PurgeWatch {
    key: KeyWatch,
    moment: Moment,
}

impl Store {
    /// Watches for what may be about the answer to a request for the key with that [`Store::hash`], from now on.
    #[must_use]
    pub fn watch_purges(self: &Arc<Self>, hash: u128) -> PurgeWatch {
        PurgeWatch { key: self.watch_key(hash), moment: self.sent().send() }
    }

    pub(crate) fn watch_key(self: &Arc<Self>, hash: u128) -> KeyWatch {
        let purges = {
            let mut shard = locked(self.watched().shard(hash));
            let (purges, watchers) = shard.entry(hash).or_default();
            *watchers += 1;
            Arc::clone(purges)
        };
        self.ledger().charge(WATCH_OVERHEAD_BYTES);
        let (hard, soft) = (purges.hard.load(Ordering::Acquire), purges.soft.load(Ordering::Acquire));
        KeyWatch { purges, hard, soft, hash, store: Arc::clone(self) }
    }
}

impl PurgeWatch {
    /// The purge of the key that has come since, the harder of them.
    #[must_use]
    pub fn seen(&self) -> Option<PurgeMode> {
        self.key.seen()
    }

    /// The purge by one of the object's tags that has come since, the harder of them. The object has been entered by them.
    pub(crate) fn seen_by_tags(&self, object: &Object) -> Option<PurgeMode> {
        let store = &self.key.store;
        object.tag_slot()?;
        if store.sent().is_quiet_since(self.moment) {
            return None;
        }
        let names = store.tags().known_names_of(object);
        store.sent().purged_since(self.moment, names.iter().map(|name| store.hasher().primary(name)))
    }

    /// The newest ban when the request was sent.
    pub(crate) fn ban_stamp(&self) -> u32 {
        self.moment.ban
    }
}

impl Drop for PurgeWatch {
    fn drop(&mut self) {
        self.key.store.sent().answered(self.moment);
    }
}

impl KeyWatch {
    /// The purge that has come since, the harder of them.
    pub(crate) fn seen(&self) -> Option<PurgeMode> {
        if self.purges.hard.load(Ordering::Acquire) != self.hard {
            return Some(PurgeMode::Hard);
        }
        (self.purges.soft.load(Ordering::Acquire) != self.soft).then_some(PurgeMode::Soft)
    }
}

impl Drop for KeyWatch {
    fn drop(&mut self) {
        let mut shard = locked(self.store.watched().shard(self.hash));
        if let Some((_, watchers)) = shard.get_mut(&self.hash) {
            *watchers -= 1;
            if *watchers == 0 {
                shard.remove(&self.hash);
            }
        }
        drop(shard);
        self.store.ledger().release(WATCH_OVERHEAD_BYTES);
    }
}
