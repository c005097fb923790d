//! Fetches in flight, and who waits for them: many requests for one object make one fetch.
//!
//! ```text
//!  claim ─┬─ Fetch ──▶ FetchGuard ── publish (or stale) │ uncacheable │ fail │ dropped ──┐
//!         ├─ Wait ───▶ Waiter ◀───────────────── all released at once ───────────────────┘
//!         ├─ Appeared: stored since the caller looked
//!         └─ Full: too many wait already; go on alone
//! ```
//!
//! Invariants: every way out of a guard releases all waiters, so a key is never stuck; waiters per key are bounded; whoever
//! was released without a usable object goes to the origin on its own and does not wait again: waiting is never serial.

use crate::memory::FLIGHT_OVERHEAD_BYTES;
use crate::object::Object;
use crate::overtaken::KeyWatch;
use crate::purge::PurgeMode;
use crate::shelf::Found;
use crate::store::{Store, VaryFn};
use crate::sync::{AtomicU32, AtomicU64, Mutex, Notify, locked};
use copal_semantics::time::Time;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};

/// Enough that two requests at the same moment rarely meet at one lock.
const SHARDS: usize = 64;

/// What a request may do that found nothing usable.
#[derive(Debug)]
pub enum Claim {
    /// Fetch it; others wait for this guard.
    Fetch(FetchGuard),
    /// It is being fetched.
    Wait(Waiter),
    /// It was stored between the caller's lookup and this claim.
    Appeared(Arc<Object>),
    /// It is being fetched and too many wait: fetch it without a guard.
    Full,
}

/// How waiting ended.
#[derive(Clone, Debug)]
pub enum Released {
    /// The response's head is there and its body streams. The waiter checks [`Store::selects`] before using it.
    Stored(Arc<Object>),
    /// There is no response, and this older object stands in for it (RFC 5861 §4). To be checked as that of `Stored`.
    Stale(Arc<Object>),
    /// The response is of no use to others.
    Uncacheable,
    /// There is a response that is not stored, and there was a purge by tag or a ban before this one came to wait: it may
    /// be what was purged. The waiter looks again.
    Overtaken,
    /// There is no response.
    Failed,
}

/// Flights by primary hash, or by the secondary hash of the newest list of fields.
type Shard = Mutex<HashMap<u128, Arc<Flight>>>;

/// The fetches of one store.
#[derive(Debug)]
pub(crate) struct Busy {
    shards: Box<[Shard]>,
    pub(crate) flights: AtomicU64,
    pub(crate) waiting: AtomicU64,
}

#[derive(Debug)]
struct Flight {
    key: Box<[u8]>,
    /// Of the purges since the fetch began: whoever comes after one does not wait for what was asked before it.
    watch: KeyWatch,
    /// When it began, in turns of [`crate::sent::Sent`].
    turn: u64,
    waiters: AtomicU32,
    outcome: OnceLock<Released>,
    landed: Notify,
}

impl Default for Busy {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Busy { shards, flights: AtomicU64::new(0), waiting: AtomicU64::new(0) }
    }
}

impl Busy {
    fn shard(&self, hash: u128) -> &Shard {
        &self.shards[(hash >> 64) as usize % SHARDS]
    }
}

impl Store {
    /// Asks to fetch what a lookup at `now` did not find fresh. `seen` is what that lookup gave, if anything.
    ///
    /// Where the key is known to vary, requests meet by the newest list of fields, so those for different variants do not
    /// wait for each other. A caller that was released without a usable object must fetch on its own, without claiming.
    #[must_use]
    pub fn claim(
        self: &Arc<Self>,
        key: &[u8],
        hash: u128,
        vary: VaryFn<'_>,
        seen: Option<&Arc<Object>>,
        now: Time,
    ) -> Claim {
        let hash_of_flight = match self.shelf().peek(hash) {
            Some(Found::Index(index)) if index.is_for(hash, key) => {
                index.specs().first().map_or(hash, |spec| self.hasher().secondary(hash, spec, vary))
            }
            Some(Found::Object(lone)) if lone.key() == key => {
                lone.spec().map_or(hash, |spec| self.hasher().secondary(hash, spec, vary))
            }
            _ => hash,
        };
        let flight = {
            let mut shard = locked(self.busy().shard(hash_of_flight));
            let overtaken = |flight: &Arc<Flight>| flight.watch.seen() == Some(PurgeMode::Hard);
            if let Some(flight) = shard.get(&hash_of_flight).filter(|flight| !overtaken(flight)) {
                if *flight.key != *key || flight.waiters.load(Ordering::Relaxed) >= self.waiters_max() {
                    return Claim::Full;
                }
                flight.waiters.fetch_add(1, Ordering::Relaxed);
                self.busy().waiting.fetch_add(1, Ordering::Relaxed);
                let later = self.sent().now() != flight.turn;
                return Claim::Wait(Waiter { flight: Arc::clone(flight), later, store: Arc::clone(self) });
            }
            let (waiters, outcome, landed) = (AtomicU32::new(0), OnceLock::new(), Notify::new());
            let (watch, turn) = (self.watch_key(hash), self.sent().now());
            let flight = Arc::new(Flight { key: key.into(), watch, turn, waiters, outcome, landed });
            shard.insert(hash_of_flight, Arc::clone(&flight));
            flight
        };
        self.ledger().charge(FLIGHT_OVERHEAD_BYTES + key.len() as u64);
        self.busy().flights.fetch_add(1, Ordering::Relaxed);
        let guard = FetchGuard { flight, hash: hash_of_flight, store: Arc::clone(self) };
        // The fetch before may have landed after the caller had looked; its flight was gone when the lock was taken.
        match self.look_again(key, hash, vary, now) {
            Some(object) if !seen.is_some_and(|s| Arc::ptr_eq(s, &object)) => {
                guard.land(Released::Stored(Arc::clone(&object)));
                Claim::Appeared(object)
            }
            _ => Claim::Fetch(guard),
        }
    }
}

/// The right and duty to fetch. However it ends, all waiters are released.
#[derive(Debug)]
pub struct FetchGuard {
    flight: Arc<Flight>,
    hash: u128,
    store: Arc<Store>,
}

impl FetchGuard {
    /// The head has come and the object is stored or streams: all waiters get it, also when it is not fresh for long.
    pub fn publish(self, object: &Arc<Object>) {
        self.land(Released::Stored(Arc::clone(object)));
    }

    /// There is no response, and this stored object serves all waiters instead.
    pub fn publish_stale(self, object: &Arc<Object>) {
        self.land(Released::Stale(Arc::clone(object)));
    }

    /// The response serves only the one who asked. Insert the marker first, so that nobody new waits.
    pub fn uncacheable(self) {
        self.land(Released::Uncacheable);
    }

    /// There is no response.
    pub fn fail(self) {
        self.land(Released::Failed);
    }

    /// How many wait now.
    #[must_use]
    pub fn waiters(&self) -> u32 {
        self.flight.waiters.load(Ordering::Relaxed)
    }

    fn land(&self, outcome: Released) {
        let _first_one_counts = self.flight.outcome.set(outcome);
    }
}

impl Drop for FetchGuard {
    fn drop(&mut self) {
        self.land(Released::Failed);
        {
            let mut shard = locked(self.store.busy().shard(self.hash));
            // A fetch that was begun after a purge may have taken the place of this one.
            if shard.get(&self.hash).is_some_and(|flight| Arc::ptr_eq(flight, &self.flight)) {
                shard.remove(&self.hash);
            }
        }
        self.flight.landed.notify_waiters();
        self.store.busy().flights.fetch_sub(1, Ordering::Relaxed);
        self.store.ledger().release(FLIGHT_OVERHEAD_BYTES + self.flight.key.len() as u64);
    }
}

/// A place in the queue for what another is fetching. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Waiter {
    flight: Arc<Flight>,
    /// Something was purged by tag or banned between the fetch's beginning and this.
    later: bool,
    store: Arc<Store>,
}

impl Waiter {
    /// Waits until the outcome is known. The caller sets its own time limit; giving up is dropping.
    pub async fn wait(self) -> Released {
        let mut landed = pin!(self.flight.landed.notified());
        // Enabled before looking, so that a landing in between is not missed.
        landed.as_mut().enable();
        if self.flight.outcome.get().is_none() {
            landed.await;
        }
        match self.flight.outcome.get().cloned().unwrap_or(Released::Failed) {
            Released::Stored(object) if self.later && !object.is_stored() => Released::Overtaken,
            outcome => outcome,
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.flight.waiters.fetch_sub(1, Ordering::Relaxed);
        self.store.busy().waiting.fetch_sub(1, Ordering::Relaxed);
    }
}
