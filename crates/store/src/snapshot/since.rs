//! What has been purged since: while a snapshot is loaded it reaches what is still to come, and while one is written, or is
//! valid on disk, it goes into the file and its journal.
//!
//! Invariants: a purge notes itself before it looks for what is stored, and what is loaded is entered where a purge finds it
//! before it looks here; so a purge meets every object in one place or the other. Without a snapshot in hand a purge pays one relaxed
//! load. Both lists are bounded by [`ENTRIES_MAX`]: beyond, loading stops and the journal says that it has lost something.

use super::record::{Invalidation, halves, whole};
use crate::memory::{Ledger, locked};
use crate::object::Object;
use crate::purge::PurgeMode;
use copal_semantics::time::Time;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Purges kept in mind. A snapshot of a site that purges more than that while it is written or loaded is not worth loading.
pub(crate) const ENTRIES_MAX: usize = 100_000;
/// Bytes charged for each, beyond the tag.
const ENTRY_BYTES: u64 = 96;

/// The purges since a moment.
#[derive(Debug)]
pub(crate) struct Since {
    on: AtomicBool,
    /// A snapshot is being loaded: no ban is done before it is.
    loading: AtomicBool,
    state: Mutex<State>,
    more: Condvar,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct State {
    filter: Option<Filter>,
    log: Option<Log>,
    charged: u64,
}

/// By key and tag, for what is loaded.
#[derive(Debug, Default)]
struct Filter {
    keys: HashMap<u128, Purged>,
    tags: HashMap<Box<[u8]>, Purged>,
    bytes: u64,
    overflown: bool,
}

/// In order, for the file.
#[derive(Debug, Default)]
struct Log {
    entries: Vec<Invalidation>,
    bytes: u64,
    overflown: bool,
}

/// The purges of one key or tag.
#[derive(Clone, Copy, Debug, Default)]
struct Purged {
    hard: bool,
    soft: Option<Time>,
}

/// What becomes of an object that is about to be loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spared {
    Untouched,
    /// Soft purged at that time.
    Stale(Time),
    Purged,
    /// Too many purges to know.
    Unknown,
}

impl Since {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Since {
        let (on, loading) = (AtomicBool::new(false), AtomicBool::new(false));
        Since { on, loading, state: Mutex::default(), more: Condvar::new(), ledger }
    }

    /// Notes a purge, if anybody wants to know.
    #[inline]
    pub(crate) fn note(&self, what: impl FnOnce() -> Invalidation) {
        if self.on.load(Ordering::Acquire) {
            self.take_in(what());
        }
    }

    pub(crate) fn note_key(&self, hash: u128, mode: PurgeMode, now: Time) {
        let (soft, at) = (mode == PurgeMode::Soft, now.as_micros());
        self.note(|| Invalidation::Key { hash: halves(hash), soft, at });
    }

    #[cold]
    fn take_in(&self, what: Invalidation) {
        let mut s = locked(&self.state);
        if let Some(filter) = &mut s.filter {
            filter.take_in(&what);
        }
        if let Some(log) = &mut s.log {
            log.take_in(what);
            self.more.notify_all();
        }
        self.account(&mut s);
    }

    fn account(&self, s: &mut State) {
        let now = s.filter.as_ref().map_or(0, |f| f.bytes) + s.log.as_ref().map_or(0, |l| l.bytes);
        self.ledger.adjust(s.charged, now);
        s.charged = now;
        self.on.store(s.filter.is_some() || s.log.is_some(), Ordering::Release);
    }

    /// From now on purges are kept for what is loaded.
    pub(crate) fn begin_loading(&self) {
        let mut s = locked(&self.state);
        s.filter = Some(Filter::default());
        self.account(&mut s);
        self.loading.store(true, Ordering::Release);
    }

    pub(crate) fn end_loading(&self) {
        let mut s = locked(&self.state);
        s.filter = None;
        self.account(&mut s);
        self.loading.store(false, Ordering::Release);
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.loading.load(Ordering::Acquire)
    }

    /// May that object be loaded?
    pub(crate) fn spares(&self, hash: u128, tags: &[Box<[u8]>]) -> Spared {
        let s = locked(&self.state);
        let Some(filter) = &s.filter else { return Spared::Unknown };
        if filter.overflown {
            return Spared::Unknown;
        }
        let by_tag = tags.iter().filter_map(|tag| filter.tags.get(tag));
        let mut stale: Option<Time> = None;
        for purged in filter.keys.get(&hash).into_iter().chain(by_tag) {
            if purged.hard {
                return Spared::Purged;
            }
            // The earliest: what is stale from then on is stale later too.
            stale = match (stale, purged.soft) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        stale.map_or(Spared::Untouched, Spared::Stale)
    }

    /// From now on purges are kept for a file.
    pub(crate) fn begin_log(&self) {
        let mut s = locked(&self.state);
        s.log = Some(Log::default());
        self.account(&mut s);
    }

    pub(crate) fn end_log(&self) {
        let mut s = locked(&self.state);
        s.log = None;
        self.account(&mut s);
        self.more.notify_all();
    }

    /// What was noted since the last call; waits for some at most that long. `None` when some was lost.
    pub(crate) fn take_log(&self, wait: Duration) -> Option<Vec<Invalidation>> {
        let mut s = locked(&self.state);
        if s.log.as_ref().is_some_and(|log| log.entries.is_empty() && !log.overflown) && !wait.is_zero() {
            s = self.more.wait_timeout(s, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
        let log = s.log.as_mut()?;
        if log.overflown {
            return None;
        }
        log.bytes = 0;
        let entries = std::mem::take(&mut log.entries);
        self.account(&mut s);
        Some(entries)
    }
}

impl Filter {
    fn take_in(&mut self, what: &Invalidation) {
        if self.keys.len() + self.tags.len() >= ENTRIES_MAX {
            self.overflown = true;
            return;
        }
        let (purged, soft, at, bytes) = match what {
            Invalidation::Key { hash, soft, at } => {
                (self.keys.entry(whole(*hash)).or_default(), *soft, *at, ENTRY_BYTES)
            }
            Invalidation::Tag { tag, soft, at } => {
                (self.tags.entry(tag.clone()).or_default(), *soft, *at, ENTRY_BYTES + tag.len() as u64)
            }
            // The bans themselves are in force: what is loaded is older than they are.
            Invalidation::Ban { .. } => return,
        };
        if !purged.hard && purged.soft.is_none() {
            self.bytes += bytes;
        }
        if soft {
            let at = Time::from_micros(at);
            purged.soft = Some(purged.soft.map_or(at, |before| before.min(at)));
        } else {
            purged.hard = true;
        }
    }
}

impl Log {
    fn take_in(&mut self, what: Invalidation) {
        if self.overflown {
            return;
        }
        if self.entries.len() >= ENTRIES_MAX {
            *self = Log { overflown: true, ..Log::default() };
            return;
        }
        self.bytes += ENTRY_BYTES
            + match &what {
                Invalidation::Key { .. } => 0,
                Invalidation::Tag { tag, .. } => tag.len() as u64,
                Invalidation::Ban { text, .. } => text.len() as u64,
            };
        self.entries.push(what);
    }
}

impl Drop for Since {
    fn drop(&mut self) {
        self.ledger.release(locked(&self.state).charged);
    }
}

#[cfg(test)]
impl crate::store::Store {
    /// Are purges kept in mind, and is a snapshot being loaded?
    pub(crate) fn since_is_on(&self) -> (bool, bool) {
        (self.since().on.load(Ordering::Acquire), self.since().is_loading())
    }
}

/// Makes an object that is about to be loaded stale, as the soft purge did.
pub(crate) fn apply(spared: Spared, object: &Object) {
    if let Spared::Stale(at) = spared {
        object.make_stale(at);
    }
}
