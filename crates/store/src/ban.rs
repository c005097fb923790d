//! Bans: objects are dropped by an expression, lazily: when they are looked up, or when the lurker comes by.
//!
//! ```text
//!  ban 1   ban 2   ban 3   ban 4  ◀─ newest            every object knows the newest ban it was checked against
//!    │       └── the same expression as 4: collapsed
//!    └── all stored objects were checked: done, forgotten
//! ```
//!
//! An object is checked against the bans after its own stamp and nothing else; its stamp is then the newest. Without any
//! new ban a hit costs one relaxed load and a comparison. Which of the newer bans could be about an object is looked up
//! (`ban_index`), so ten thousand of them are not tried one by one.
//!
//! Invariants: an object stored before a ban, or asked for before it, is not offered after it without a check; stamps are
//! compared by their distance, so numbers may wrap; the lock of the list is held to take a few bans out, never while one is
//! evaluated; a ban is forgotten only when every stored object has been checked against it or is newer, and every request
//! under way too (see `lurker`).

use crate::ban_expr::{BanError, BanExpr, View};
use crate::ban_index::{BanIndex, Place, sources};
use crate::memory::Ledger;
use crate::object::Object;
use crate::snapshot::{Invalidation, SavedBan};
use crate::store::Store;
use copal_semantics::RequestHead;
use copal_semantics::time::Time;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Bans taken from the list at a time.
const BATCH: usize = 32;
/// Bytes of one ban beyond its expression: list, maps, index, reference counts.
const BAN_BYTES: u64 = 448;

/// One ban in force.
#[derive(Debug)]
pub(crate) struct Ban {
    /// What objects are stamped with: the low half of `serial`.
    number: u32,
    /// Counts up with every ban and never wraps.
    pub(crate) serial: u64,
    expr: BanExpr,
    /// Where in the index it stands.
    pub(crate) place: Place,
    at: Time,
    tests: AtomicU64,
    dropped: AtomicU64,
}

/// One line of the list of bans.
#[derive(Clone, Debug, PartialEq)]
pub struct BanRow {
    /// Counts up with every ban.
    pub number: u32,
    /// The expression.
    pub expression: String,
    /// When it was made.
    pub at: Time,
    /// Only a request can tell: it stays until every object that is older than it was asked for, or has left.
    pub needs_request: bool,
    /// Objects that were checked against it.
    pub tests: u64,
    /// Objects that it dropped.
    pub dropped: u64,
}

/// The bans in force, oldest first, and how far the lurker is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BanList {
    /// Those in force.
    pub bans: Vec<BanRow>,
    /// The part of the objects that the lurker has visited on its present round, from 0 to 1; `None` when it rests.
    pub round: Option<f64>,
    /// Bans that are done, collapsed ones included.
    pub completed: u64,
}

#[derive(Debug)]
pub(crate) struct Bans {
    newest: Arc<AtomicU32>,
    list: RwLock<List>,
    ledger: Arc<Ledger>,
    pub(crate) added: AtomicU64,
    pub(crate) completed: AtomicU64,
    pub(crate) dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct List {
    /// Those that the lurker can work off.
    plain: Lane,
    /// Those that need a request.
    needing: Lane,
    /// Serials by expression.
    by_text: HashMap<Box<str>, u64>,
    /// The serial of the newest ban.
    newest: u64,
    /// Every object was checked once against the plain ones up to this.
    lurked: u64,
    charged: u64,
}

/// Bans of one kind.
#[derive(Debug, Default)]
struct Lane {
    /// By serial: oldest first.
    all: BTreeMap<u64, Arc<Ban>>,
    index: BanIndex,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Free,
    Banned,
    /// A ban needs the request to be judged, and there is none.
    Unknown,
}

/// Is ban `a` as old as `b`, or older?
pub(crate) fn not_newer(a: u32, b: u32) -> bool {
    b.wrapping_sub(a) < 1 << 31
}

impl Bans {
    pub(crate) fn new(ledger: Arc<Ledger>) -> Self {
        let (added, completed, dropped) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        Bans { newest: Arc::default(), list: RwLock::default(), ledger, added, completed, dropped }
    }

    /// The number of the newest ban; 0 before the first.
    #[inline]
    pub(crate) fn newest(&self) -> u32 {
        self.newest.load(Ordering::Relaxed)
    }

    /// The same for those who stamp objects.
    pub(crate) fn newest_shared(&self) -> Arc<AtomicU32> {
        Arc::clone(&self.newest)
    }

    fn read(&self) -> RwLockReadGuard<'_, List> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, List> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, expr: BanExpr, max: usize, now: Time) -> Result<(), BanError> {
        let mut list = self.write();
        let before = list.charged;
        let earlier = list.by_text.get(expr.as_str()).copied();
        if earlier.is_none() && list.len() >= max {
            return Err(BanError::TooMany(max));
        }
        let List { plain, needing, by_text, newest, charged, .. } = &mut *list;
        let lane = if expr.needs_request() { needing } else { plain };
        if let Some(same) = earlier.and_then(|serial| lane.remove(serial)) {
            // Whatever is older than that one is older than this one too.
            *charged -= same.bytes();
            self.completed.fetch_add(1, Ordering::Relaxed);
        }
        *newest += 1;
        let (serial, number) = (*newest, self.newest().wrapping_add(1));
        by_text.insert(expr.as_str().into(), serial);
        let place = lane.index.place_for(&expr);
        let (tests, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
        let ban = Arc::new(Ban { number, serial, expr, place, at: now, tests, dropped });
        *charged += ban.bytes();
        lane.index.enter(Arc::clone(&ban));
        lane.all.insert(serial, ban);
        self.ledger.adjust(before, list.charged);
        self.added.fetch_add(1, Ordering::Relaxed);
        // Under the lock: whoever sees the number finds the ban.
        self.newest.store(number, Ordering::Release);
        Ok(())
    }

    /// The bans of a store that this one goes on from, under their numbers.
    pub(crate) fn revive(&self, newest: u32, bans: &[SavedBan]) {
        let mut list = self.write();
        let before = list.charged;
        // Whatever has been numbered before is older, also where numbers have wrapped.
        list.newest = u64::from(newest) + (1 << 32);
        for saved in bans {
            let Ok(expr) = saved.text.parse::<BanExpr>() else { continue };
            let (number, serial) = (saved.number, list.serial_of(saved.number, newest));
            let List { plain, needing, by_text, charged, .. } = &mut *list;
            by_text.insert(expr.as_str().into(), serial);
            let lane = if expr.needs_request() { needing } else { plain };
            let place = lane.index.place_for(&expr);
            let (tests, dropped) = (AtomicU64::new(0), AtomicU64::new(0));
            let ban = Arc::new(Ban { number, serial, expr, place, at: Time::from_micros(saved.at), tests, dropped });
            *charged += ban.bytes();
            lane.index.enter(Arc::clone(&ban));
            lane.all.insert(serial, ban);
        }
        self.ledger.adjust(before, list.charged);
        self.newest.store(newest, Ordering::Release);
    }

    /// The number of the newest ban, and those in force, oldest first.
    pub(crate) fn saved(&self) -> (u32, Vec<SavedBan>) {
        let list = self.read();
        let newest = self.newest();
        let mut bans: Vec<_> = list.plain.all.values().chain(list.needing.all.values()).collect();
        bans.sort_by_key(|ban| ban.serial);
        let save = |ban: &&Arc<Ban>| SavedBan {
            number: ban.number,
            at: ban.at.as_micros(),
            text: ban.expr.as_str().to_owned(),
        };
        (newest, bans.iter().map(save).collect())
    }

    /// Checks an object against the bans that are newer than its stamp, and sets its stamp. Without a request those that
    /// need one are left open, and the stamp stays before the first of them. Also says how many tests that took.
    pub(crate) fn check(&self, object: &Object, request: Option<&RequestHead>) -> (Verdict, u32) {
        let (stamp, newest) = (object.ban_stamp(), self.newest());
        let view = View::new(object);
        let mut tests = 0;
        for needing in [false, true] {
            let (after, probes) = {
                let list = self.read();
                let after = list.serial_of(stamp, self.newest());
                let lane = list.lane(needing);
                let Some((_, open)) = lane.all.range(after + 1..).next() else { continue };
                if needing && request.is_none() {
                    object.set_ban_stamp(open.number.wrapping_sub(1));
                    return (Verdict::Unknown, tests);
                }
                (after, lane.index.probes())
            };
            for source in sources(&probes, &view, request) {
                let mut after = after;
                loop {
                    let batch = self.read().lane(needing).index.newer(source, after, BATCH);
                    let Some(last) = batch.last() else { break };
                    after = last.serial;
                    for ban in &batch {
                        tests += 1;
                        ban.tests.fetch_add(1, Ordering::Relaxed);
                        if ban.expr.matches(&view, request, ban.at) {
                            ban.dropped.fetch_add(1, Ordering::Relaxed);
                            return (Verdict::Banned, tests);
                        }
                    }
                    if batch.len() < BATCH {
                        break;
                    }
                }
            }
        }
        object.set_ban_stamp(newest);
        (Verdict::Free, tests)
    }

    /// Is there a ban that a round of the lurker would get on with, and is there any that only requests can?
    /// `under_way`: the newest ban when the oldest request under way was sent, if there is one.
    pub(crate) fn waiting(&self, under_way: Option<u32>) -> (bool, bool) {
        let list = self.read();
        let oldest = under_way.map_or(list.newest, |number| list.serial_of(number, self.newest()));
        let unseen = list.plain.all.last_key_value().is_some_and(|(serial, _)| *serial > list.lurked);
        let can_go = list.plain.all.first_key_value().is_some_and(|(serial, _)| *serial <= oldest);
        (unseen || can_go, !list.needing.all.is_empty())
    }

    /// All stored objects have been checked against the bans up to `lurked` that need no request, and none is stamped
    /// older than `stamped`. Neither is what is going to be stored older than `under_way`.
    pub(crate) fn complete(&self, lurked: u32, stamped: u32, under_way: Option<u32>) {
        let mut list = self.write();
        let newest = self.newest();
        let serial = |number| list.serial_of(number, newest);
        let oldest = under_way.map_or(u64::MAX, serial);
        let (lurked, stamped) = (serial(lurked), serial(stamped));
        let (count, before) = (list.len(), list.charged);
        list.lurked = lurked;
        let List { plain, needing, by_text, charged, .. } = &mut *list;
        for (lane, upto) in [(plain, lurked), (needing, stamped)] {
            let left = lane.all.split_off(&(upto.min(oldest) + 1));
            for ban in std::mem::replace(&mut lane.all, left).into_values() {
                lane.index.remove(&ban);
                by_text.remove(ban.expr.as_str());
                *charged -= ban.bytes();
            }
        }
        if by_text.capacity() > 64 && by_text.len() < by_text.capacity() / 8 {
            by_text.shrink_to(by_text.len() * 2);
        }
        self.completed.fetch_add((count - list.len()) as u64, Ordering::Relaxed);
        self.ledger.adjust(before, list.charged);
    }

    /// How many are in force.
    pub(crate) fn len(&self) -> usize {
        self.read().len()
    }

    pub(crate) fn rows(&self) -> Vec<BanRow> {
        let mut bans: Vec<Arc<Ban>> = {
            let list = self.read();
            list.plain.all.values().chain(list.needing.all.values()).cloned().collect()
        };
        bans.sort_by_key(|ban| ban.serial);
        let row = |ban: &Arc<Ban>| BanRow {
            number: ban.number,
            expression: ban.expr.as_str().to_owned(),
            at: ban.at,
            needs_request: ban.expr.needs_request(),
            tests: ban.tests.load(Ordering::Relaxed),
            dropped: ban.dropped.load(Ordering::Relaxed),
        };
        bans.iter().map(row).collect()
    }
}

impl List {
    fn len(&self) -> usize {
        self.plain.all.len() + self.needing.all.len()
    }

    fn lane(&self, needing: bool) -> &Lane {
        if needing { &self.needing } else { &self.plain }
    }

    /// The serial of a number that is not newer than `newest`, which is that of the newest ban.
    fn serial_of(&self, number: u32, newest: u32) -> u64 {
        self.newest.saturating_sub(u64::from(newest.wrapping_sub(number)))
    }
}

impl Lane {
    fn remove(&mut self, serial: u64) -> Option<Arc<Ban>> {
        let ban = self.all.remove(&serial)?;
        self.index.remove(&ban);
        Some(ban)
    }
}

impl Drop for Bans {
    fn drop(&mut self) {
        self.ledger.release(self.read().charged);
    }
}

impl Ban {
    fn bytes(&self) -> u64 {
        BAN_BYTES + self.expr.bytes()
    }
}

impl Store {
    /// Bans what the expression is about: no object that is stored now is offered again without having been checked.
    ///
    /// A response that was asked for before the ban and comes after it counts as stored before it, if it is stored under a
    /// [`PurgeWatch`](crate::PurgeWatch). The same expression made again takes the place of the earlier one.
    ///
    /// # Errors
    /// [`BanError::TooMany`] when as many are in force as the options allow.
    pub fn ban(&self, expr: BanExpr, now: Time) -> Result<(), BanError> {
        let text = expr.as_str().to_owned();
        self.bans().add(expr, self.options().bans_max, now)?;
        self.since().note(|| Invalidation::Ban { text, at: now.as_micros() });
        self.sent().turn();
        self.make_room();
        Ok(())
    }

    /// May this object, found earlier, still be used for this request? Drops it when a ban since then says no.
    pub fn passes_bans(&self, object: &Arc<Object>, request: Option<&RequestHead>) -> bool {
        // The one load that a hit pays for bans.
        self.bans().newest() == object.ban_stamp() || self.passes_newer_bans(object, request)
    }

    #[cold]
    fn passes_newer_bans(&self, object: &Arc<Object>, request: Option<&RequestHead>) -> bool {
        match self.bans().check(object, request).0 {
            Verdict::Free => true,
            Verdict::Unknown => false,
            Verdict::Banned => {
                self.drop_banned(object);
                false
            }
        }
    }

    pub(crate) fn drop_banned(&self, object: &Arc<Object>) {
        if self.drop_object(object) {
            self.bans().dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The bans in force, and how far they are.
    #[must_use]
    pub fn ban_list(&self) -> BanList {
        BanList {
            bans: self.bans().rows(),
            round: self.lurker_round(),
            completed: self.bans().completed.load(Ordering::Relaxed),
        }
    }
}
