//! The ledger: every byte that the store holds is entered here, and leaves when the last holder lets go.
//!
//! ```text
//!  used = on the shelf + evicted but still held by a reader + bodies in flight + indexes + flights
//! ```
//!
//! Invariants: what enters leaves exactly once (on drop of what it pays for), so an evicted object that is still being
//! sent counts; nothing is ever refused here, making room is the shelf's work.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes charged for each object beyond its key, head and body: structures, the moka entry, the expiry wheel and
/// malloc's own. Measured by `examples/rss.rs` with the system allocator.
pub const OBJECT_OVERHEAD_BYTES: u64 = 576;

/// Bytes charged for each Vary index beyond key, names and variants: the same moka entry and the index itself.
pub(crate) const INDEX_OVERHEAD_BYTES: u64 = 560;

/// Bytes charged for each watch over the purges of a key: the watch, its share of the map, the counts.
pub(crate) const WATCH_OVERHEAD_BYTES: u64 = 128;

/// Bytes charged for each fetch in flight beyond its key.
pub(crate) const FLIGHT_OVERHEAD_BYTES: u64 = 256;

/// The sums. All in bytes; relaxed atomics, because each is only ever read as a total.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    used: AtomicU64,
    in_flight: AtomicU64,
}

impl Ledger {
    pub(crate) fn charge(&self, bytes: u64) {
        self.used.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn release(&self, bytes: u64) {
        sub(&self.used, bytes);
    }

    /// The charge of one thing goes from `old` to `new`.
    pub(crate) fn adjust(&self, old: u64, new: u64) {
        move_by(&self.used, old, new);
    }

    pub(crate) fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }

    /// The part of `used` that bodies hold which are still being written.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn adjust_in_flight(&self, old: u64, new: u64) {
        move_by(&self.in_flight, old, new);
    }
}

/// Bytes that somebody else holds and that count as the store's: the ceiling is over both. Released when it is dropped.
#[derive(Debug)]
pub struct Charge {
    ledger: Arc<Ledger>,
    bytes: u64,
}

impl Charge {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        Charge { ledger, bytes: 0 }
    }

    /// So many bytes are held now.
    pub fn set(&mut self, bytes: u64) {
        self.ledger.adjust(self.bytes, bytes);
        self.bytes = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.ledger.release(self.bytes);
    }
}

fn move_by(sum: &AtomicU64, old: u64, new: u64) {
    if new >= old {
        sum.fetch_add(new - old, Ordering::Relaxed);
    } else {
        sub(sum, old - new);
    }
}

fn sub(sum: &AtomicU64, bytes: u64) {
    let before = sum.fetch_sub(bytes, Ordering::Relaxed);
    debug_assert!(before >= bytes, "the ledger released {bytes} of {before} bytes");
}

/// Locks, also after a panic elsewhere: no critical section of this crate leaves its data half changed.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
