//! Storages: parts of the store with a size of their own, so that what fills one cannot push out what is in another.
//!
//! ```text
//!  main (`size`) ── tags, bans, indexes of variants, markers, what passes by, and every object that says nothing else
//!  images, videos, … ── the objects that say so, with their bodies
//! ```
//!
//! One key can have variants in several storages; an object is found wherever it stands.
//!
//! Invariants: an object stays in its storage for life, and its renewed versions too; every byte is in the ledger of one
//! storage, and each storage makes room for itself.

use crate::store::Store;
use std::sync::atomic::Ordering;

/// What goes when room is needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// What was not asked for the longest. A scan of things that are read once pushes out everything else.
    #[default]
    Lru,
    /// What is asked for least often; something new comes in only if it is asked for more often than what would go (TinyLFU,
    /// Einziger, Friedman, Manes 2017). A scan changes little; a large object competes with all those that it would push out
    /// together.
    TinyLfu,
}

/// A storage of one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageId(u8);

/// Storages in one store, the main one included. Each costs a lookup a probe; sites have two or three.
pub const STORAGES_MAX: usize = 16;

/// The name of the main storage.
pub const MAIN_STORAGE: &str = "main";

/// A storage beside the main one.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// What policies call it.
    pub name: String,
    /// Ceiling on everything it holds, in bytes.
    pub size: u64,
    /// Larger bodies stream through without being stored, in bytes; never more than half of `size`.
    pub object_size_max: u64,
    /// What goes when room is needed.
    pub eviction: Eviction,
}

/// Figures of one storage at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageStats {
    /// Its name.
    pub name: String,
    /// Its ceiling in bytes.
    pub size: u64,
    /// Bytes that it holds in all, overhead included.
    pub used: u64,
    /// Objects, markers not counted.
    pub objects: u64,
    /// Objects evicted to make room.
    pub evictions: u64,
}

impl StorageStats {
    /// Bytes up to the ceiling.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.size.saturating_sub(self.used)
    }

    /// Is it within its ceiling? It is not while readers hold more than that of what was evicted, or fetches bring it in.
    #[must_use]
    pub fn is_happy(&self) -> bool {
        self.used <= self.size
    }
}

impl StorageId {
    /// The one that is always there.
    pub const MAIN: StorageId = StorageId(0);

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    pub(crate) fn as_u8(self) -> u8 {
        self.0
    }

    pub(crate) fn from_u8(id: u8) -> StorageId {
        StorageId(id)
    }
}

impl Store {
    /// The storage of that name.
    #[must_use]
    pub fn storage(&self, name: &str) -> Option<StorageId> {
        self.storage_ids().zip(self.storage_options()).find(|(_, options)| options.name == name).map(|(id, _)| id)
    }

    /// Figures of all storages, the main one first.
    #[must_use]
    pub fn storages(&self) -> Vec<StorageStats> {
        let figures = |(id, options): (StorageId, &StorageOptions)| {
            let page = self.shelf().books().of(id);
            StorageStats {
                name: options.name.clone(),
                size: options.size,
                used: self.ledger_of(id).used(),
                objects: page.objects.load(Ordering::Relaxed),
                evictions: page.evictions.load(Ordering::Relaxed),
            }
        };
        self.storage_ids().zip(self.storage_options()).map(figures).collect()
    }

    /// Larger bodies are not stored there, in bytes.
    #[must_use]
    pub fn object_size_max(&self, storage: StorageId) -> u64 {
        let options = &self.storage_options()[storage.index()];
        options.object_size_max.min(options.size / 2)
    }

    pub(crate) fn storage_name(&self, storage: StorageId) -> &str {
        &self.storage_options()[storage.index()].name
    }

    pub(crate) fn storage_ids(&self) -> impl Iterator<Item = StorageId> + use<> {
        (0..u8::try_from(self.storage_options().len()).unwrap_or(u8::MAX)).map(StorageId)
    }
}
