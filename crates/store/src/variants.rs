//! Variants: what stands at the primary key when responses vary with the request (RFC 9111 §4.1).
//!
//! ```text
//!  one:      primary hash ─▶ Object, with its spec and its secondary hash
//!  several:  primary hash ─▶ VaryIndex ─┬─ spec ["accept-encoding"]  salt 7 ─┐   secondary hash(primary, salt, values)
//!                                       └─ spec ["cookie"]           salt 3 ─┴──────────▶ shelf ─▶ Object
//! ```
//!
//! A lone variant needs no index, which would cost as much as the object. When a second one comes, the first moves to its
//! secondary hash and keeps its spec.
//!
//! Invariants: at most `SPECS_MAX` specs, newest first, and at most `variants_max` variants; salts are never used twice, so
//! variants of an index that is gone cannot be found through a later one; the lock is never held over a call to the shelf.

use crate::memory::{INDEX_OVERHEAD_BYTES, Ledger, locked};
use crate::object::{Object, Standing};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// Different lists of field names per key. More means an origin whose Vary flaps; each one costs a probe per lookup.
pub(crate) const SPECS_MAX: usize = 4;

/// Lists of names that are kept once for all objects. A site has a handful; an origin that makes them up pays for its own.
const SHARED_NAMES_MAX: usize = 1024;

/// Longer lists, in bytes of all names, are not shared: the shared ones are not charged to anybody.
const SHARED_NAMES_BYTES_MAX: usize = 256;

/// Bytes of one spec: the structure, its reference counts, and malloc's own.
const SPEC_BYTES: u64 = 48;

/// Names of request fields, lower case.
pub(crate) type Names = Arc<[Box<str>]>;

/// The lists of names that objects share: the same few stand in front of a million objects.
#[derive(Debug, Default)]
pub(crate) struct SharedNames(Mutex<HashSet<Names>>);

impl SharedNames {
    /// A new spec of these names.
    pub(crate) fn spec(&self, names: &[Box<str>], salt: u64) -> Arc<VarySpec> {
        self.spec_ranked(names, salt, 0)
    }

    /// The same for one that was loaded, and how many of its key were newer.
    pub(crate) fn spec_ranked(&self, names: &[Box<str>], salt: u64, rank: u8) -> Arc<VarySpec> {
        let own_bytes = names.iter().map(|n| u32::try_from(n.len()).unwrap_or(u32::MAX).saturating_add(32)).sum();
        let own =
            |names: &[Box<str>]| Arc::new(VarySpec { names: names.into(), salt, own_bytes, rank: AtomicU8::new(rank) });
        if names.iter().map(|n| n.len()).sum::<usize>() > SHARED_NAMES_BYTES_MAX {
            return own(names);
        }
        let mut shared = locked(&self.0);
        if let Some(names) = shared.get(names) {
            return Arc::new(VarySpec { names: Arc::clone(names), salt, own_bytes: 0, rank: AtomicU8::new(rank) });
        }
        if shared.len() >= SHARED_NAMES_MAX {
            shared.retain(|names| Arc::strong_count(names) > 1);
            if shared.len() >= SHARED_NAMES_MAX {
                return own(names);
            }
        }
        let names: Names = names.into();
        shared.insert(Arc::clone(&names));
        Arc::new(VarySpec { names, salt, own_bytes: 0, rank: AtomicU8::new(rank) })
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        locked(&self.0).len()
    }
}

/// One list of request fields that select a response.
#[derive(Debug)]
pub(crate) struct VarySpec {
    names: Names,
    salt: u64,
    /// Bytes of the names if nobody shares them.
    own_bytes: u32,
    /// Of one that was loaded from a snapshot: how many of its key were newer there. 0 as soon as it is used for a response.
    rank: AtomicU8,
}

impl VarySpec {
    #[cfg(test)]
    pub(crate) fn new(names: &[Box<str>], salt: u64) -> Self {
        VarySpec { names: names.into(), salt, own_bytes: 0, rank: AtomicU8::new(0) }
    }

    pub(crate) fn names(&self) -> &[Box<str>] {
        &self.names
    }

    pub(crate) fn salt(&self) -> u64 {
        self.salt
    }

    pub(crate) fn bytes(&self) -> u64 {
        SPEC_BYTES + u64::from(self.own_bytes)
    }

    /// A response has come for it: it is newer than all that is loaded.
    pub(crate) fn is_new(&self) {
        self.rank.store(0, Ordering::Relaxed);
    }
}

/// Which specs a key has, and which variants.
#[derive(Debug)]
pub(crate) struct VaryIndex {
    hash: u128,
    key: Box<[u8]>,
    pub(crate) standing: Standing,
    ledger: Arc<Ledger>,
    charged: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    specs: Arc<[Arc<VarySpec>]>,
    variants: Vec<Weak<Object>>,
}

impl VaryIndex {
    pub(crate) fn new(hash: u128, key: &[u8], ledger: Arc<Ledger>) -> Self {
        let (standing, charged, state) = (Standing::default(), AtomicU64::new(0), Mutex::default());
        let index = VaryIndex { hash, key: key.into(), standing, ledger, charged, state };
        index.account(&locked(&index.state));
        index
    }

    /// Is it the index of that key? The key is compared, not trusted.
    pub(crate) fn is_for(&self, hash: u128, key: &[u8]) -> bool {
        self.hash == hash && *self.key == *key
    }

    pub(crate) fn hash(&self) -> u128 {
        self.hash
    }

    /// Newest first.
    pub(crate) fn specs(&self) -> Arc<[Arc<VarySpec>]> {
        Arc::clone(&locked(&self.state).specs)
    }

    /// The spec of these names, which is the newest from now on, and the variants of a spec that had to go for it.
    pub(crate) fn spec_for(
        &self,
        names: &[Box<str>],
        new: impl FnOnce() -> Arc<VarySpec>,
    ) -> (Arc<VarySpec>, Vec<Arc<Object>>) {
        let mut state = locked(&self.state);
        let known = state.specs.iter().find(|s| s.names() == names).cloned();
        let spec = known.unwrap_or_else(new);
        spec.is_new();
        let others = state.specs.iter().filter(|s| s.names() != names).cloned();
        let mut specs: Vec<_> = std::iter::once(Arc::clone(&spec)).chain(others).collect();
        let gone = if specs.len() > SPECS_MAX { specs.pop() } else { None };
        state.specs = specs.into();
        let lost = match gone {
            None => Vec::new(),
            Some(old) => state.living().filter(|o| o.spec().is_some_and(|s| Arc::ptr_eq(s, &old))).collect(),
        };
        self.account(&state);
        (spec, lost)
    }

    /// The spec of these names for a variant of a snapshot: the one that has them with the same salt, else a new one in its
    /// order. `None` when a newer one has these names, or there are as many as there can be.
    pub(crate) fn spec_loaded(
        &self,
        names: &[Box<str>],
        salt: u64,
        new: impl FnOnce() -> Arc<VarySpec>,
    ) -> Option<Arc<VarySpec>> {
        let mut state = locked(&self.state);
        if let Some(known) = state.specs.iter().find(|s| s.names() == names) {
            return (known.salt() == salt).then(|| Arc::clone(known));
        }
        if state.specs.len() >= SPECS_MAX {
            return None;
        }
        let spec = new();
        let mut specs = state.specs.to_vec();
        let rank = |spec: &VarySpec| spec.rank.load(Ordering::Relaxed);
        let after = specs.iter().rposition(|s| rank(s) <= rank(&spec)).map_or(0, |last| last + 1);
        specs.insert(after, Arc::clone(&spec));
        state.specs = specs.into();
        self.account(&state);
        Some(spec)
    }

    /// Enters a variant; the least used ones beyond `max` are returned for removal.
    pub(crate) fn add(&self, object: &Arc<Object>, max: usize) -> Vec<Arc<Object>> {
        let mut state = locked(&self.state);
        state.variants.retain(|v| v.upgrade().is_some_and(|o| o.is_stored()));
        let mut surplus = Vec::new();
        while state.variants.len() >= max.max(1) {
            let uses = state.variants.iter().enumerate();
            let least = uses.min_by_key(|(_, v)| v.upgrade().map(|o| (o.last_use(), o.hits()))).map(|(i, _)| i);
            let Some(least) = least else { break };
            surplus.extend(state.variants.swap_remove(least).upgrade());
        }
        state.variants.push(Arc::downgrade(object));
        self.account(&state);
        surplus
    }

    /// The variants that are on the shelf.
    pub(crate) fn variants(&self) -> Vec<Arc<Object>> {
        locked(&self.state).living().collect()
    }

    pub(crate) fn weight_bytes(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    /// Off the shelf: its bytes leave the ledger now, since moka frees with a delay. Returns the variants.
    pub(crate) fn close(&self) -> Vec<Arc<Object>> {
        let mut state = locked(&self.state);
        let left = state.living().collect();
        *state = State::default();
        self.ledger.adjust(self.charged.swap(0, Ordering::Relaxed), 0);
        left
    }

    fn account(&self, state: &State) {
        let specs: u64 = state.specs.iter().map(|s| s.bytes()).sum();
        let variants = state.variants.capacity() * size_of::<Weak<Object>>();
        let bytes = INDEX_OVERHEAD_BYTES + self.key.len() as u64 + specs + variants as u64;
        self.ledger.adjust(self.charged.swap(bytes, Ordering::Relaxed), bytes);
    }
}

impl Drop for VaryIndex {
    fn drop(&mut self) {
        self.ledger.release(*self.charged.get_mut());
    }
}

impl State {
    fn living(&self) -> impl Iterator<Item = Arc<Object>> + '_ {
        self.variants.iter().filter_map(Weak::upgrade).filter(|o| o.is_stored())
    }
}
