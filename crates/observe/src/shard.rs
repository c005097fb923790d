//! Which shard this thread counts in: threads get them round robin, so that they do not write to one cache line.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Shards per set of counters. More threads than this share shards, which is still right, only slower; beyond 64
/// busy threads the sum over the shards would be what costs.
pub(crate) const SHARDS: usize = 64;

const UNASSIGNED: usize = usize::MAX;
static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static MINE: Cell<usize> = const { Cell::new(UNASSIGNED) };
}

/// This thread's shard, below [`SHARDS`].
#[inline]
pub(crate) fn index() -> usize {
    MINE.with(|mine| {
        let shard = mine.get();
        if shard != UNASSIGNED {
            return shard;
        }
        let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        mine.set(shard);
        shard
    })
}
