//! The index of bans: which of them could be about an object is found by the values of a few fields, not by trying each.
//!
//! ```text
//!  req.url == /a            ─▶ probe (req.url, all of it)     ─ hash of "/a"     ─▶ [ban 3, ban 9]
//!  req.url ~ ^/news/[0-9]+  ─▶ probe (req.url, its first 6)   ─ hash of "/news/" ─▶ [ban 4]
//!  obj.http.x ~ \.css$      ─▶ probe (obj.http.x, its last 4) ─ hash of ".css"   ─▶ [ban 5]
//!  obj.age > 1h, req.url ~ news                               ─▶ the rest, which is tried one by one
//! ```
//!
//! A ban stands in one place: of the tests that it could be found by, the one that has the fewest bans with it.
//!
//! Invariants: every ban in force stands in exactly one bucket or in the rest; a bucket is in the order of the bans' age;
//! what is found here could match, the expression alone says whether it does.

use crate::ban::Ban;
use crate::ban_expr::{BanExpr, Subject, View};
use copal_semantics::RequestHead;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// Different probes, each of which costs an object one look. A site bans by a field or two, and by paths of some lengths.
const PROBES_MAX: usize = 32;

/// The part of a value that a test is sure of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Whole,
    First(usize),
    Last(usize),
}

/// A part of a field's value, by which bans are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Probe {
    pub(crate) subject: Subject,
    pub(crate) part: Part,
}

#[derive(Debug, Default)]
pub(crate) struct BanIndex {
    hasher: RandomState,
    /// And how many bans stand behind each.
    probes: Vec<(Probe, usize)>,
    buckets: HashMap<u64, VecDeque<Arc<Ban>>>,
    rest: VecDeque<Arc<Ban>>,
}

/// Where a ban stands; `None`: with the rest.
pub(crate) type Place = Option<(Probe, u64)>;

impl BanIndex {
    /// Where a ban with that expression would stand best.
    pub(crate) fn place_for(&self, expr: &BanExpr) -> Place {
        let known = |probe: &Probe| self.probes.len() < PROBES_MAX || self.probes.iter().any(|(p, _)| p == probe);
        let places = expr.probes().filter(|(probe, _)| known(probe));
        let places = places.map(|(probe, value)| {
            let hash = self.hasher.hash_one((&probe, &*value));
            (probe, hash)
        });
        places.min_by_key(|(_, hash)| self.buckets.get(hash).map_or(0, VecDeque::len))
    }

    /// Enters the newest ban.
    pub(crate) fn enter(&mut self, ban: Arc<Ban>) {
        let Some((probe, hash)) = &ban.place else {
            self.rest.push_back(ban);
            return;
        };
        match self.probes.iter_mut().find(|(p, _)| p == probe) {
            Some((_, count)) => *count += 1,
            None => self.probes.push((probe.clone(), 1)),
        }
        self.buckets.entry(*hash).or_default().push_back(ban);
    }

    pub(crate) fn remove(&mut self, ban: &Ban) {
        let Some((probe, hash)) = &ban.place else {
            take_out(&mut self.rest, ban.serial);
            return;
        };
        if let Some(at) = self.probes.iter().position(|(p, _)| p == probe) {
            self.probes[at].1 -= 1;
            if self.probes[at].1 == 0 {
                self.probes.swap_remove(at);
            }
        }
        if let Some(bucket) = self.buckets.get_mut(hash) {
            take_out(bucket, ban.serial);
            if bucket.is_empty() {
                self.buckets.remove(hash);
            }
        }
        if self.buckets.capacity() > 64 && self.buckets.len() < self.buckets.capacity() / 8 {
            self.buckets.shrink_to(self.buckets.len() * 2);
        }
    }

    /// The probes in use, and how their values are hashed: enough to say [`sources`] without holding the list.
    pub(crate) fn probes(&self) -> (Vec<Probe>, RandomState) {
        (self.probes.iter().map(|(probe, _)| probe.clone()).collect(), self.hasher.clone())
    }

    /// The oldest `max` bans of a source that are newer than `after`.
    pub(crate) fn newer(&self, source: Option<u64>, after: u64, max: usize) -> Vec<Arc<Ban>> {
        let bans = match source {
            None => &self.rest,
            Some(hash) => match self.buckets.get(&hash) {
                Some(bucket) => bucket,
                None => return Vec::new(),
            },
        };
        let first = bans.partition_point(|ban| ban.serial <= after);
        bans.range(first..).take(max).cloned().collect()
    }
}

/// Where the bans are to be looked for that could be about that object and request: the rest, and a bucket for each probe.
pub(crate) fn sources<'a>(
    (probes, hasher): &'a (Vec<Probe>, RandomState),
    view: &'a View<'_>,
    request: Option<&'a RequestHead>,
) -> impl Iterator<Item = Option<u64>> + 'a {
    let buckets = probes.iter().filter_map(move |probe| {
        let value = probe.subject.text(view, request)?;
        let part = match probe.part {
            Part::Whole => &*value,
            Part::First(len) => value.get(..len)?,
            Part::Last(len) => value.get(value.len().checked_sub(len)?..)?,
        };
        Some(Some(hasher.hash_one((probe, part))))
    });
    std::iter::once(None).chain(buckets)
}

fn take_out(bans: &mut VecDeque<Arc<Ban>>, serial: u64) {
    // Bans are done from the oldest on, so this is nearly always the first.
    if let Ok(at) = bans.binary_search_by_key(&serial, |ban| ban.serial) {
        bans.remove(at);
    }
}
