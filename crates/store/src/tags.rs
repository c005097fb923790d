//! The index of tags (surrogate keys): which objects carry a key, so that all of them can be purged at once.
//!
//! ```text
//!  name ─▶ tag id ─▶ Tag { live, list: [slot, slot, …] }      slot ─▶ Weak<Object>
//!                                        ▲                               │
//!                                        └───── the object's block: [tag id, …] and its slot
//! ```
//!
//! An object without tags has no part in it. One with tags costs 8 bytes per tag (its id in the block, its slot in the
//! list) and 16 for itself. When it leaves the shelf its slot is freed at once; its entries in the lists are left behind
//! and swept out when they outnumber the living, so leaving is cheap and no list is longer than twice what lives.
//!
//! Invariants: an entry counts only if the object in its slot carries the tag, so what was left behind by an earlier owner
//! of a slot is harmless; a tag without objects is forgotten; ids are reused, serials never; the lock is never held while
//! the shelf or a key's lock is wanted; every byte is in the ledger.

use crate::memory::{Ledger, locked};
use crate::object::Object;
use crate::purge::PurgeMode;
use crate::snapshot::Invalidation;
use crate::store::Store;
use copal_semantics::time::Time;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};

/// Bytes charged per known tag beyond its name, its list and its places in the tables: reference counts, malloc's own.
const TAG_BYTES: u64 = 64;
/// Bytes of one place in the map of names: the entry, its control byte, and the eighth that is always empty.
const ID_BYTES: usize = 28;
/// Shorter lists are not swept.
const SWEEP_MIN: usize = 16;
/// Objects purged between two looks at the index, so that its lock is never held for long.
const PURGE_BATCH: usize = 1024;

/// The tags of one object.
#[derive(Debug)]
pub(crate) struct TagSet {
    pub(crate) slot: u32,
    /// In rising order, each once.
    pub(crate) ids: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Tags {
    state: Mutex<State>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct State {
    ids: HashMap<Arc<[u8]>, u32>,
    tags: Vec<Option<Tag>>,
    free_ids: Vec<u32>,
    /// The objects; `None` in one that is free, a `Weak` of nothing in one that is not bound yet.
    slots: Vec<Option<Weak<Object>>>,
    free_slots: Vec<u32>,
    /// Bytes of names and lists.
    variable: u64,
    charged: u64,
    serials: u64,
}

#[derive(Debug)]
struct Tag {
    name: Arc<[u8]>,
    /// Tells this tag from others that had its id.
    serial: u64,
    /// Objects that carry it.
    live: u32,
    /// Slots of these, and of some that have left.
    list: Vec<u32>,
}

/// Those who carried any of some tags at one moment.
struct Holders {
    /// Each once.
    slots: Vec<u32>,
    /// Id and serial.
    tags: Vec<(u32, u64)>,
}

impl Tags {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Tags { state: Mutex::default(), ledger }
    }

    /// Enters an object that is about to be made, by its tags; nothing without any. It is bound to its slot when it is
    /// there, and leaves when it leaves the shelf.
    pub(crate) fn enter<N: AsRef<[u8]>>(&self, names: &[N]) -> Option<TagSet> {
        if names.is_empty() {
            return None;
        }
        let mut s = locked(&self.state);
        let mut ids: Vec<u32> = names.iter().map(|name| s.id_of(name.as_ref())).collect();
        ids.sort_unstable();
        ids.dedup();
        Some(self.enter_ids(&mut s, ids))
    }

    /// Enters the successor of an object with the same tags; nothing when that has none, or has left meanwhile.
    pub(crate) fn enter_successor(&self, old: &Arc<Object>) -> Option<TagSet> {
        let slot = old.tag_slot()?;
        let mut s = locked(&self.state);
        let there = s.slots.get(slot as usize)?.as_ref()?;
        if Weak::as_ptr(there) != Arc::as_ptr(old) {
            return None;
        }
        Some(self.enter_ids(&mut s, old.tag_ids().collect()))
    }

    /// The names of an object's tags; none when it has left the index meanwhile.
    pub(crate) fn names_of(&self, object: &Arc<Object>) -> Option<Vec<Arc<[u8]>>> {
        let Some(slot) = object.tag_slot() else { return Some(Vec::new()) };
        let s = locked(&self.state);
        let there = s.slots.get(slot as usize)?.as_ref()?;
        if Weak::as_ptr(there) != Arc::as_ptr(object) {
            return None;
        }
        object.tag_ids().map(|id| s.tags[id as usize].as_ref().map(|tag| Arc::clone(&tag.name))).collect()
    }

    fn enter_ids(&self, s: &mut State, ids: Vec<u32>) -> TagSet {
        let slot = match s.free_slots.pop() {
            Some(slot) => {
                s.slots[slot as usize] = Some(Weak::new());
                slot
            }
            None => {
                s.slots.push(Some(Weak::new()));
                u32::try_from(s.slots.len() - 1).expect("memory ends before four billion objects")
            }
        };
        for &id in &ids {
            let Some(tag) = s.tags[id as usize].as_mut() else { continue };
            let before = tag.list.capacity();
            tag.live += 1;
            tag.list.push(slot);
            s.variable += 4 * (tag.list.capacity() - before) as u64;
        }
        self.account(s);
        TagSet { slot, ids }
    }

    /// The object of a set is there.
    pub(crate) fn bind(&self, object: &Arc<Object>) {
        if let Some(slot) = object.tag_slot() {
            locked(&self.state).slots[slot as usize] = Some(Arc::downgrade(object));
        }
    }

    /// An object that was entered has left. To be called once for each.
    pub(crate) fn leave(&self, object: &Object) {
        let Some(slot) = object.tag_slot() else { return };
        let mut s = locked(&self.state);
        let gone = s.slots[slot as usize].take();
        s.free_slots.push(slot);
        for id in object.tag_ids() {
            s.drop_one(id);
        }
        s.shrink();
        self.account(&mut s);
        drop(s);
        drop(gone);
    }

    /// How many tags are known.
    pub(crate) fn len(&self) -> usize {
        locked(&self.state).ids.len()
    }

    /// The names of the tags of an object that is in the index.
    pub(crate) fn known_names_of(&self, object: &Object) -> Vec<Arc<[u8]>> {
        let s = locked(&self.state);
        let name = |id: u32| s.tags.get(id as usize)?.as_ref().map(|tag| Arc::clone(&tag.name));
        object.tag_ids().filter_map(name).collect()
    }

    fn holders<N: AsRef<[u8]>>(&self, names: &[N]) -> Holders {
        let s = locked(&self.state);
        let mut tags: Vec<(u32, u64)> = Vec::new();
        let mut slots = Vec::new();
        for name in names {
            let Some(&id) = s.ids.get(name.as_ref()) else { continue };
            let Some(tag) = &s.tags[id as usize] else { continue };
            tags.push((id, tag.serial));
            slots.extend_from_slice(&tag.list);
        }
        drop(s);
        slots.sort_unstable();
        slots.dedup();
        Holders { slots, tags }
    }

    /// The next of them that still carry one of the tags; nothing when all have been handed out.
    fn next_of(&self, holders: &mut Holders, max: usize) -> Option<Vec<Arc<Object>>> {
        if holders.slots.is_empty() {
            return None;
        }
        let from = holders.slots.len().saturating_sub(max);
        let slots = holders.slots.split_off(from);
        let s = locked(&self.state);
        // Meanwhile tags and objects may have left, and the tables shrunk.
        let tag = |id: u32| s.tags.get(id as usize).and_then(Option::as_ref);
        holders.tags.retain(|(id, serial)| tag(*id).is_some_and(|tag| tag.serial == *serial));
        let object = |slot: &u32| s.slots.get(*slot as usize)?.as_ref().and_then(Weak::upgrade);
        let carries = |o: &Arc<Object>| o.tag_ids().any(|id| holders.tags.iter().any(|(tag, _)| *tag == id));
        Some(slots.iter().filter_map(object).filter(carries).collect())
    }

    fn account(&self, s: &mut State) {
        let tables = s.ids.capacity() * ID_BYTES + s.tags.capacity() * size_of::<Option<Tag>>();
        let slots = s.slots.capacity() * size_of::<Option<Weak<Object>>>();
        let free = 4 * (s.free_slots.capacity() + s.free_ids.capacity());
        let now = s.variable + s.ids.len() as u64 * TAG_BYTES + (tables + slots + free) as u64;
        self.ledger.adjust(s.charged, now);
        s.charged = now;
    }
}

impl Drop for Tags {
    fn drop(&mut self) {
        self.ledger.release(locked(&self.state).charged);
    }
}

impl State {
    fn id_of(&mut self, name: &[u8]) -> u32 {
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        let name: Arc<[u8]> = name.into();
        self.variable += name.len() as u64;
        self.serials += 1;
        let tag = Some(Tag { name: Arc::clone(&name), serial: self.serials, live: 0, list: Vec::new() });
        let id = match self.free_ids.pop() {
            Some(id) => {
                self.tags[id as usize] = tag;
                id
            }
            None => {
                self.tags.push(tag);
                u32::try_from(self.tags.len() - 1).expect("memory ends before four billion tags")
            }
        };
        self.ids.insert(name, id);
        id
    }

    /// One object less carries that tag. A tag that nobody carries is forgotten; a list that is mostly of the dead is swept.
    fn drop_one(&mut self, id: u32) {
        let Some(tag) = self.tags[id as usize].as_mut() else { return };
        tag.live -= 1;
        if tag.live == 0 {
            self.variable -= tag.name.len() as u64 + 4 * tag.list.capacity() as u64;
            if let Entry::Occupied(known) = self.ids.entry(Arc::clone(&tag.name)) {
                known.remove();
            }
            self.tags[id as usize] = None;
            self.free_ids.push(id);
            return;
        }
        if tag.list.len() > SWEEP_MIN && tag.list.len() > 2 * tag.live as usize {
            let before = tag.list.capacity();
            let slots = &self.slots;
            tag.list.sort_unstable();
            tag.list.dedup();
            tag.list.retain(|slot| {
                // One that is not bound yet is on its way in, and may be of this tag.
                let carries = |o: Arc<Object>| o.tag_ids().any(|tag| tag == id);
                let there = slots[*slot as usize].as_ref();
                there.is_some_and(|o| o.ptr_eq(&Weak::new()) || o.upgrade().is_some_and(carries))
            });
            tag.list.shrink_to(tag.list.len() * 2);
            self.variable -= 4 * (before - tag.list.capacity()) as u64;
        }
    }

    /// What has become much too large for what is in it gives its memory back. Places in the middle stay where they are.
    fn shrink(&mut self) {
        if self.ids.capacity() > 64 && self.ids.len() < self.ids.capacity() / 8 {
            self.ids.shrink_to(self.ids.len() * 2);
        }
        if self.free_slots.len() == self.slots.len() {
            self.slots = Vec::new();
            self.free_slots = Vec::new();
        }
        if self.ids.is_empty() {
            let serials = self.serials;
            let (slots, free_slots) = (std::mem::take(&mut self.slots), std::mem::take(&mut self.free_slots));
            *self = State { slots, free_slots, serials, charged: self.charged, ..State::default() };
        }
    }
}

impl Store {
    fn note_tags<N: AsRef<[u8]>>(&self, tags: &[N], mode: PurgeMode, now: Time) {
        for tag in tags {
            let (soft, at) = (mode == PurgeMode::Soft, now.as_micros());
            self.since().note(|| Invalidation::Tag { tag: tag.as_ref().into(), soft, at });
        }
    }

    /// Purges every object that carries any of these tags, all variants; how many there were, each counted once, those dead
    /// at `now` not counted.
    ///
    /// What was asked for before and turns out to carry one is not stored either, or stored stale after a soft purge, if it
    /// is stored under a [`PurgeWatch`](crate::PurgeWatch). Takes time in proportion to the objects that carry the tags;
    /// lookups go on meanwhile.
    pub fn purge_tags<N: AsRef<[u8]>>(&self, tags: &[N], mode: PurgeMode, now: Time) -> u64 {
        self.note_tags(tags, mode, now);
        // Before looking for them: who enters after this sees it there.
        self.sent().purge(tags.iter().map(|tag| self.hasher().primary(tag.as_ref())), mode);
        let mut holders = self.tags().holders(tags);
        let mut count = 0;
        while let Some(objects) = self.tags().next_of(&mut holders, PURGE_BATCH) {
            for object in objects {
                count += self.purge_object(&object, mode, now);
            }
        }
        self.purged.fetch_add(count, Ordering::Relaxed);
        count
    }
}
