//! The wheel: objects leave when they die, without anyone looking through the store.
//!
//! ```text
//!  level 0: 64 × 1 s │ level 1: 64 × 64 s │ level 2: 64 × 68 min │ level 3: 64 × 3 days
//!  an object stands in one bucket; when a bucket's time comes, each object in it is dead or moves to a finer one
//! ```
//!
//! The wheel is also what keeps stored objects alive. moka frees what has left it only when no thread can be looking any
//! more, which under load is late; so it holds objects weakly, and what leaves the wheel is free at once.
//!
//! It is also the list of all objects that the lurker goes through, in rounds.
//!
//! Invariants: a round visits every object that stands in the wheel from its beginning to its end: buckets are read from
//! their end, where leaving moves nothing unread, and who is entered or moves during a round is visited last. Every stored object stands in exactly one bucket and knows where, so leaving is O(1) and nothing stays
//! behind. Neither moka nor the last reference to an object is touched under the wheel's lock.

use crate::memory::locked;
use crate::object::Object;
use copal_semantics::time::Time;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, Weak};

/// Objects handled per call of `due`; the rest stay for the next. A second's worth of work for one thread at most.
pub(crate) const DUE_MAX: usize = 100_000;

/// The bucket of what is in none.
pub(crate) const NOWHERE: u16 = u16::MAX;

const LEVELS: usize = 4;
const SLOTS: i64 = 64;
/// Ticks walked one by one when time has jumped; beyond it every bucket is looked at once. A week.
const CATCH_UP_MAX: i64 = 604_800;

/// Bucket, and position in it.
pub(crate) type Place = (usize, usize);

#[derive(Debug)]
pub(crate) struct Wheel {
    state: Mutex<State>,
    /// The number of the newest ban: what is entered for the first time is as new as that.
    newest_ban: Arc<AtomicU32>,
}

#[derive(Debug, Default)]
struct State {
    /// The last second that was handled; `None` before the first object.
    tick: Option<i64>,
    buckets: Vec<Vec<Arc<Object>>>,
    due: Vec<Arc<Object>>,
    round: Option<Round>,
}

/// How far the lurker's round is.
#[derive(Debug)]
struct Round {
    target: u32,
    /// Buckets still to be read, the one being read included; the last one, which is read first, stands for `due`.
    bucket: usize,
    /// Entries of it still to be read.
    position: usize,
    /// Entered or moved since the beginning, with a stamp older than the target.
    moved: Vec<Weak<Object>>,
}

impl Wheel {
    pub(crate) fn new(newest_ban: Arc<AtomicU32>) -> Self {
        Wheel { state: Mutex::default(), newest_ban }
    }

    /// Enters a new object by the moment it dies. It is newer than every ban so far, unless it is stamped already.
    pub(crate) fn enter(&self, object: &Arc<Object>, stamped: bool) {
        self.put_in(object, !stamped);
    }

    /// Moves an object to where it belongs now.
    pub(crate) fn schedule(&self, object: &Arc<Object>) {
        self.put_in(object, false);
    }

    fn put_in(&self, object: &Arc<Object>, stamp: bool) {
        let times = object.times();
        let dies = times.dies_at().as_secs().saturating_add(1);
        let mut s = locked(&self.state);
        let newest = self.newest_ban.load(Relaxed);
        if stamp {
            // Under the lock, so that a round that begins later knows this object.
            object.set_ban_stamp(newest);
        } else if let Some(round) = s.round.as_mut().filter(|r| r.target != object.ban_stamp()) {
            round.moved.push(Arc::downgrade(object));
        }
        let _the_callers_keeps_it_alive = s.take_out(object);
        let tick = *s.tick.get_or_insert(times.response_time.as_secs());
        if s.buckets.is_empty() {
            s.buckets.resize_with(LEVELS * 64, Vec::new);
        }
        let bucket = bucket_of(tick, dies);
        object.wheel_bucket.store(u16::try_from(bucket).unwrap_or(NOWHERE), Relaxed);
        object.wheel_position.store(u32::try_from(s.buckets[bucket].len()).unwrap_or(u32::MAX), Relaxed);
        s.buckets[bucket].push(Arc::clone(object));
        drop(s);
        if !object.is_stored() {
            // Evicted while it was on its way in.
            self.remove(object);
        }
    }

    /// Takes an object out, if it is in.
    pub(crate) fn remove(&self, object: &Object) {
        let out = locked(&self.state).take_out(object);
        drop(out);
    }

    /// What may have died by `now`: each is out of the wheel, and is to be removed or scheduled again.
    pub(crate) fn due(&self, now: Time) -> Vec<Arc<Object>> {
        let mut s = locked(&self.state);
        s.advance(now.as_secs());
        let from = s.due.len().saturating_sub(DUE_MAX);
        s.due.split_off(from)
    }

    /// Begins a round through all entries; the newest ban at this moment.
    pub(crate) fn begin_round(&self) -> u32 {
        let mut s = locked(&self.state);
        let target = self.newest_ban.load(Relaxed);
        let (bucket, position) = (s.buckets.len() + 1, s.due.len());
        s.round = Some(Round { target, bucket, position, moved: Vec::new() });
        target
    }

    /// The next entries of the round, at most `max`; nothing when it is over. The caller sees to it that what `due` has
    /// handed out is back or gone before it asks.
    pub(crate) fn next_of_round(&self, max: usize) -> Option<Vec<Arc<Object>>> {
        let mut s = locked(&self.state);
        let State { buckets, due, round: running, .. } = &mut *s;
        let round = running.as_mut()?;
        let mut out = Vec::new();
        while out.len() < max && round.bucket > 0 {
            let entries = buckets.get(round.bucket - 1).unwrap_or(due);
            let end = round.position.min(entries.len());
            let from = end.saturating_sub(max - out.len());
            out.extend_from_slice(&entries[from..end]);
            round.position = from;
            if from == 0 {
                round.bucket -= 1;
                round.position = usize::MAX;
            }
        }
        while out.len() < max
            && let Some(moved) = round.moved.pop()
        {
            out.extend(moved.upgrade());
        }
        if out.is_empty() {
            *running = None;
            return None;
        }
        Some(out)
    }

    /// Some entries from bucket and position `at` on, at most `max`, and where to go on; nothing at the end. What moves
    /// meanwhile may be missed.
    pub(crate) fn page(&self, at: Place, max: usize) -> Option<(Vec<Arc<Object>>, Place)> {
        let s = locked(&self.state);
        let (mut bucket, mut position) = at;
        while let Some(entries) = s.buckets.get(bucket) {
            if position < entries.len() {
                let end = entries.len().min(position + max);
                return Some((entries[position..end].to_vec(), (bucket, end)));
            }
            (bucket, position) = (bucket + 1, 0);
        }
        None
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        let s = locked(&self.state);
        s.buckets.iter().map(Vec::len).sum::<usize>() + s.due.len()
    }
}

/// The finest level that reaches `dies`; what is past comes up next, what is beyond the last level is looked at there.
fn bucket_of(tick: i64, dies: i64) -> usize {
    let dies = dies.max(tick.saturating_add(1));
    let mut width = 1;
    for level in 0..LEVELS {
        // Buckets of this width between the current one and its own.
        let ahead = dies / width - tick / width;
        if ahead < SLOTS || level == LEVELS - 1 {
            let slot = (tick / width + ahead.clamp(1, SLOTS - 1)).rem_euclid(SLOTS);
            return level * 64 + usize::try_from(slot).unwrap_or(0);
        }
        width *= SLOTS;
    }
    0
}

impl State {
    fn take_out(&mut self, object: &Object) -> Option<Arc<Object>> {
        let bucket = object.wheel_bucket.swap(NOWHERE, Relaxed);
        let entries = self.buckets.get_mut(usize::from(bucket))?;
        let position = object.wheel_position.load(Relaxed);
        let out = entries.swap_remove(position as usize);
        if let Some(moved) = entries.get(position as usize) {
            moved.wheel_position.store(position, Relaxed);
        }
        if entries.capacity() > 64 && entries.len() < entries.capacity() / 4 {
            let room = entries.len() * 2;
            entries.shrink_to(room);
        }
        Some(out)
    }

    fn advance(&mut self, now: i64) {
        let Some(tick) = self.tick else { return };
        if now <= tick {
            return;
        }
        self.tick = Some(now);
        if now - tick > CATCH_UP_MAX {
            (0..self.buckets.len()).for_each(|b| self.pour_out(b));
            return;
        }
        for second in tick + 1..=now {
            let mut width = 1;
            for level in 0..LEVELS {
                if second % width != 0 {
                    break;
                }
                let slot = usize::try_from((second / width).rem_euclid(SLOTS)).unwrap_or(0);
                self.pour_out(level * 64 + slot);
                width *= SLOTS;
            }
        }
    }

    fn pour_out(&mut self, bucket: usize) {
        let entries = std::mem::take(&mut self.buckets[bucket]);
        for object in &entries {
            object.wheel_bucket.store(NOWHERE, Relaxed);
        }
        if let Some(round) = &mut self.round {
            let target = round.target;
            round.moved.extend(entries.iter().filter(|o| o.ban_stamp() != target).map(Arc::downgrade));
        }
        self.due.extend(entries);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The seconds at which the bucket is poured out, from `tick` on.
    fn poured_at(bucket: usize, tick: i64) -> i64 {
        let width = 64i64.pow(u32::try_from(bucket / 64).expect("four levels"));
        let slot = i64::try_from(bucket % 64).expect("small");
        let mut n = tick / width + 1;
        while n.rem_euclid(64) != slot {
            n += 1;
        }
        n * width
    }

    proptest! {
        #[test]
        fn an_entry_comes_up_at_its_second_or_earlier_for_another_look(tick in 0i64..4_000_000_000, ahead in 0i64..100_000_000) {
            let at = poured_at(bucket_of(tick, tick + ahead), tick);
            prop_assert!(at > tick);
            prop_assert!(at <= tick + ahead.max(1), "due in {ahead}, poured after {}", at - tick);
            prop_assert!(ahead > 63 || at == tick + ahead.max(1));
        }
    }
}
