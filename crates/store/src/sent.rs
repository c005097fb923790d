//! The requests that have been sent to origins and not been answered: what purges by tag and bans must reach although nothing
//! of it is stored yet.
//!
//! ```text
//!  turn 1 ── request A sent ── turn 2: purge of tag x ── turn 3: a ban ── A's response, tagged x: overtaken
//!                                   └ noted while a request of an earlier turn is under way
//! ```
//!
//! Invariants: a purge is noted before it looks for what is stored, and what is going to be stored looks at the notes after
//! it has entered its tags, so one of them sees the other; without requests under way nothing is noted; the notes are
//! bounded, and where they are not enough, whatever has tags counts as purged.

use crate::memory::{Ledger, locked};
use crate::purge::PurgeMode;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Tags noted at a time. Beyond, what is under way and tagged is not stored: a purger that names so many within one fetch has
/// purged nearly everything.
const NOTES_MAX: usize = 16 * 1024;
/// Fewer notes are not looked through for those that are of no use any more.
const NOTES_MIN: usize = 256;
/// Bytes of one place in the map of notes, as the standard library fills them.
const NOTE_BYTES: u64 = 64;

/// When a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    turn: u64,
    /// The newest ban then.
    pub(crate) ban: u32,
}

#[derive(Debug)]
pub(crate) struct Sent {
    /// Counts purges by tag and bans.
    turn: AtomicU64,
    newest_ban: Arc<AtomicU32>,
    state: Mutex<State>,
    ledger: Arc<Ledger>,
}

#[derive(Debug, Default)]
struct State {
    /// By turn: how many requests are under way, and a ban that is not newer than any of them.
    under_way: BTreeMap<u64, (usize, u32)>,
    /// By hash of the tag: the turns of its last hard and soft purges, 0 for none.
    notes: HashMap<u128, Turns>,
    /// For all tags.
    any: Turns,
    charged: u64,
    /// How many notes there may be before the useless ones are dropped.
    sweep_at: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Turns {
    hard: u64,
    soft: u64,
}

impl Turns {
    fn note(&mut self, mode: PurgeMode, turn: u64) {
        match mode {
            PurgeMode::Hard => self.hard = turn,
            PurgeMode::Soft => self.soft = turn,
        }
    }

    fn last(self) -> u64 {
        self.hard.max(self.soft)
    }

    fn since(self, turn: u64) -> Option<PurgeMode> {
        if self.hard > turn { Some(PurgeMode::Hard) } else { (self.soft > turn).then_some(PurgeMode::Soft) }
    }
}

impl Sent {
    pub(crate) fn new(ledger: Arc<Ledger>, newest_ban: Arc<AtomicU32>) -> Self {
        Sent { turn: AtomicU64::new(1), newest_ban, state: Mutex::default(), ledger }
    }

    /// Counts up with every purge by tag and every ban.
    pub(crate) fn now(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    /// A ban has been made.
    pub(crate) fn turn(&self) {
        self.turn.fetch_add(1, Ordering::AcqRel);
    }

    /// A request is about to be sent. To be given back to [`Sent::answered`].
    pub(crate) fn send(&self) -> Moment {
        let mut s = locked(&self.state);
        let ban = self.newest_ban.load(Ordering::Acquire);
        let turn = self.now();
        let (count, oldest) = s.under_way.entry(turn).or_insert((0, ban));
        *count += 1;
        if ban.wrapping_sub(*oldest) >= 1 << 31 {
            *oldest = ban;
        }
        Moment { turn, ban }
    }

    /// Its response has been stored, or there is none.
    pub(crate) fn answered(&self, moment: Moment) {
        let mut s = locked(&self.state);
        if let Some((count, _)) = s.under_way.get_mut(&moment.turn) {
            *count -= 1;
            if *count == 0 {
                s.under_way.remove(&moment.turn);
            }
        }
        if s.under_way.is_empty() {
            s.notes = HashMap::new();
            s.any = Turns::default();
            self.account(&mut s);
        }
    }

    /// The newest ban when the oldest request under way was sent.
    pub(crate) fn oldest(&self) -> Option<u32> {
        locked(&self.state).under_way.first_key_value().map(|(_, (_, ban))| *ban)
    }

    /// These tags are about to be purged.
    pub(crate) fn purge(&self, tags: impl Iterator<Item = u128>, mode: PurgeMode) {
        let mut s = locked(&self.state);
        let turn = self.turn.fetch_add(1, Ordering::AcqRel) + 1;
        let Some((&oldest, _)) = s.under_way.first_key_value() else { return };
        for tag in tags {
            s.notes.entry(tag).or_default().note(mode, turn);
            if s.notes.len() > s.sweep_at.max(NOTES_MIN) {
                s.notes.retain(|_, turns| turns.last() > oldest);
                s.sweep_at = 2 * s.notes.len();
            }
            if s.notes.len() > NOTES_MAX {
                s.notes = HashMap::new();
                s.any.note(mode, turn);
                if mode == PurgeMode::Soft {
                    // Among those that were noted there may have been hard ones.
                    s.any.note(PurgeMode::Hard, turn);
                }
            }
        }
        self.account(&mut s);
    }

    /// The hardest purge of any of these tags since that request was sent.
    pub(crate) fn purged_since(&self, moment: Moment, tags: impl Iterator<Item = u128>) -> Option<PurgeMode> {
        let s = locked(&self.state);
        let mut soft = None;
        for tag in tags {
            let noted = s.notes.get(&tag).copied().unwrap_or_default();
            for turns in [noted, s.any] {
                match turns.since(moment.turn) {
                    Some(PurgeMode::Hard) => return Some(PurgeMode::Hard),
                    Some(PurgeMode::Soft) => soft = Some(PurgeMode::Soft),
                    None => {}
                }
            }
        }
        soft
    }

    /// Has nothing been purged by tag or banned since?
    pub(crate) fn is_quiet_since(&self, moment: Moment) -> bool {
        self.now() == moment.turn
    }

    fn account(&self, s: &mut State) {
        let now = s.notes.capacity() as u64 * NOTE_BYTES;
        self.ledger.adjust(s.charged, now);
        s.charged = now;
    }
}

impl Drop for Sent {
    fn drop(&mut self) {
        self.ledger.release(locked(&self.state).charged);
    }
}
