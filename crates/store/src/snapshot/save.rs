//! Writing a snapshot: what is stored, whole and alive, the most used first.
//!
//! Invariants: the objects are held weakly, so that a snapshot keeps no memory that eviction wants back; what leaves meanwhile is not written, and a
//! purge meanwhile is written after the objects; nothing is locked while the file is written.

use super::frame::{BODY_MAX, FrameWriter, Kind, RECORD_MAX};
use super::record::{End, Invalidation, Preamble, SavedObject, SavedTimes, SavedVariant, halves};
use crate::body::{Large, Sealed};
use crate::object::{Kind as ObjectKind, Object};
use crate::shelf::Found;
use crate::storage::StorageId;
use crate::store::Store;
use crate::variants::VarySpec;
use copal_semantics::time::Time;
use std::io::{Error, Write};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Objects taken from the wheel at a time: its lock is held for some tens of microseconds.
const PAGE: usize = 512;

/// A snapshot that is being written. One at a time per store.
#[derive(Debug)]
pub struct Saving {
    store: Arc<Store>,
    /// The least used first: they are taken from the end.
    objects: Vec<Weak<Object>>,
    /// Bytes of that list in the ledger.
    charged: u64,
    frames: FrameWriter,
    preamble: Preamble,
    now: Time,
    end: End,
    /// The log of purges goes on: the journal has it.
    handed_over: bool,
}

/// What a snapshot holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// Objects; each variant is one.
    pub objects: u64,
    /// Size of the file in bytes.
    pub bytes: u64,
}

/// The purges after a snapshot that stays valid while the process goes on.
#[derive(Debug)]
pub struct Journal {
    store: Arc<Store>,
    frames: FrameWriter,
}

fn wrong(error: postcard::Error) -> Error {
    Error::other(error)
}

impl Store {
    /// Begins a snapshot: writes what a store must know before it is made. From now on until it is dropped, purges are kept
    /// in mind for it. `settings` name what keys and variants depend on beside the request; `journaled`: the process goes on
    /// after it, so it will be valid only with its [`Journal`].
    ///
    /// # Errors
    /// What `out` says.
    pub fn save(
        self: &Arc<Self>,
        settings: &str,
        journaled: bool,
        now: Time,
        out: &mut dyn Write,
    ) -> std::io::Result<Saving> {
        // First of all: what is purged from here on is noted, so that nothing falls between.
        self.since().begin_log();
        let mut saving = Saving {
            store: Arc::clone(self),
            objects: Vec::new(),
            charged: 0,
            preamble: self.preamble((now, settings, journaled)),
            frames: FrameWriter::begin(out)?,
            now,
            end: End { objects: 0, body_bytes: 0 },
            handed_over: false,
        };
        let payload = postcard::to_stdvec(&saving.preamble).map_err(wrong)?;
        saving.frames.write(out, Kind::Preamble, &payload)?;
        for ban in &saving.preamble.bans {
            saving.frames.write(out, Kind::Ban, &postcard::to_stdvec(ban).map_err(wrong)?)?;
        }
        saving.objects = self.by_use();
        saving.charged = (saving.objects.capacity() * size_of::<Weak<Object>>()) as u64;
        self.ledger().charge(saving.charged);
        Ok(saving)
    }

    /// How many lists of fields of that variant's key are newer than its own.
    fn rank_of(&self, object: &Object, spec: &Arc<VarySpec>) -> u8 {
        let hash = self.hasher().primary(object.key());
        let newer = match self.shelf().peek(hash) {
            Some(Found::Index(index)) if index.is_for(hash, object.key()) => {
                index.specs().iter().position(|s| Arc::ptr_eq(s, spec))
            }
            _ => None,
        };
        newer.and_then(|n| u8::try_from(n).ok()).unwrap_or(0)
    }

    /// All stored objects, the least used first. What moves meanwhile may be missing.
    pub(crate) fn by_use(&self) -> Vec<Weak<Object>> {
        let wheel = &self.shelf().books().wheel;
        let mut uses: Vec<(Time, Weak<Object>)> = Vec::new();
        let mut at = (0, 0);
        while let Some((page, next)) = wheel.page(at, PAGE) {
            at = next;
            uses.extend(page.into_iter().map(|object| (object.last_use(), Arc::downgrade(&object))));
        }
        uses.sort_by_key(|(used, _)| *used);
        uses.into_iter().map(|(_, object)| object).collect()
    }
}

impl Saving {
    /// Writes the next object; false when there are no more.
    ///
    /// # Errors
    /// What `out` says; the snapshot is of no use then.
    pub fn step(&mut self, out: &mut dyn Write) -> std::io::Result<bool> {
        let Some(object) = self.objects.pop() else { return Ok(false) };
        let Some(object) = object.upgrade() else { return Ok(true) };
        let alive = object.is_stored() && !object.is_purged() && self.now < object.times().dies_at();
        if alive && object.kind() == ObjectKind::Cacheable && object.body().is_complete() {
            self.write(out, &object)?;
        }
        Ok(true)
    }

    fn write(&mut self, out: &mut dyn Write, object: &Arc<Object>) -> std::io::Result<()> {
        let Some(tags) = self.store.tags().names_of(object) else { return Ok(()) };
        let mut trailers = Vec::new();
        if let Some(fields) = object.body().trailers() {
            fields.write_wire(&mut trailers);
        }
        let variant = object.spec().map(|spec| SavedVariant {
            names: spec.names().to_vec(),
            salt: spec.salt(),
            rank: self.store.rank_of(object, spec),
            slot: halves(object.slot()),
        });
        let saved = SavedObject {
            key: object.key(),
            head: object.head(),
            trailers: &trailers,
            body_len: object.body().len_known().unwrap_or(0),
            times: SavedTimes::of(object),
            hits: object.hits(),
            last_hit_secs: object.last_hit().map_or(0, |t| u32::try_from(t.as_secs()).unwrap_or(0)),
            ban_stamp: object.ban_stamp(),
            variant,
            tags: tags.iter().map(|tag| &**tag).collect(),
            class: if object.storage() == StorageId::MAIN { "" } else { self.store.storage_name(object.storage()) },
        };
        let payload = postcard::to_stdvec(&saved).map_err(wrong)?;
        if payload.len() > RECORD_MAX {
            return Ok(());
        }
        self.frames.write(out, Kind::Object, &payload)?;
        self.end.objects += 1;
        match object.body().sealed() {
            Some(Sealed::One(bytes)) => self.body(out, bytes)?,
            Some(Sealed::Large(large)) => {
                if let Large::Whole(many) = &**large {
                    for (_, chunk) in &many.chunks {
                        self.body(out, chunk)?;
                    }
                }
            }
            None => {}
        }
        Ok(())
    }

    fn body(&mut self, out: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
        for part in bytes.chunks(BODY_MAX) {
            self.frames.write(out, Kind::Body, part)?;
            self.end.body_bytes += part.len() as u64;
        }
        Ok(())
    }

    /// Writes the purges since it was begun, and the end. The caller sees to it that the file is on disk before it takes the
    /// place of the one before.
    ///
    /// # Errors
    /// What `out` says, and that there were more purges than are kept in mind.
    pub fn finish(&mut self, out: &mut dyn Write) -> std::io::Result<Saved> {
        let since = self.store.since().take_log(Duration::ZERO);
        let since = since.ok_or_else(|| Error::other("too many purges while the snapshot was written"))?;
        write_since(&mut self.frames, out, &since)?;
        self.frames.write(out, Kind::End, &postcard::to_stdvec(&self.end).map_err(wrong)?)?;
        out.flush()?;
        Ok(Saved { objects: self.end.objects, bytes: self.frames.bytes })
    }

    /// The journal of a finished snapshot: without it the snapshot must not be used once something else is purged. Writes
    /// its beginning.
    ///
    /// # Errors
    /// What `out` says.
    pub fn journal(mut self, out: &mut dyn Write) -> std::io::Result<Journal> {
        let mut frames = FrameWriter::begin(out)?;
        let whose = Preamble { bans: Vec::new(), bans_count: 0, ..self.preamble.clone() };
        frames.write(out, Kind::Preamble, &postcard::to_stdvec(&whose).map_err(wrong)?)?;
        self.handed_over = true;
        Ok(Journal { store: Arc::clone(&self.store), frames })
    }
}

impl Drop for Saving {
    fn drop(&mut self) {
        self.store.ledger().release(self.charged);
        if !self.handed_over {
            self.store.since().end_log();
        }
    }
}

impl Journal {
    /// Writes what has been purged since the last call; waits for some at most that long. False when some was lost: the
    /// snapshot must go.
    ///
    /// # Errors
    /// What `out` says; the snapshot must go then too.
    pub fn step(&mut self, out: &mut dyn Write, wait: Duration) -> std::io::Result<bool> {
        let Some(since) = self.store.since().take_log(wait) else { return Ok(false) };
        write_since(&mut self.frames, out, &since)?;
        if !since.is_empty() {
            out.flush()?;
        }
        Ok(true)
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.store.since().end_log();
    }
}

fn write_since(frames: &mut FrameWriter, out: &mut dyn Write, since: &[Invalidation]) -> std::io::Result<()> {
    since.iter().try_for_each(|s| frames.write(out, Kind::Since, &postcard::to_stdvec(s).map_err(wrong)?))
}
