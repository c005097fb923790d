//! Passive health in use: the window of one origin behind a lock of its own, and the cap on how many of a director's
//! backends may be ejected at a time.

use crate::outlier::{EjectOptions, News, Outlier};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Whether one origin is ejected.
#[derive(Debug)]
pub(crate) struct Ejection {
    born: Instant,
    /// Microseconds after `born`; 0: never.
    until_us: AtomicU64,
    /// `None`: ejection is off, and nothing is remembered.
    outlier: Option<Mutex<Watched>>,
    groups: OnceLock<Vec<Arc<Group>>>,
    /// Told when an ejection begins, or ends before its time.
    changed: OnceLock<Arc<Notify>>,
    pub(crate) ejections: AtomicU64,
    /// Those that the cap has prevented.
    pub(crate) refused: AtomicU64,
}

#[derive(Debug)]
struct Watched {
    outlier: Outlier,
    reason: String,
}

/// The backends that a director can reach.
#[derive(Debug)]
pub(crate) struct Group {
    members: Vec<Arc<Ejection>>,
    ejected_max: usize,
    /// One decision at a time, over all groups of a configuration, so that two threads do not both take the last place.
    deciding: Arc<Mutex<()>>,
}

impl Group {
    /// At most `permille` of the members, rounded down.
    pub(crate) fn new(members: Vec<Arc<Ejection>>, permille: u32, deciding: Arc<Mutex<()>>) -> Arc<Self> {
        let ejected_max = members.len() * usize::try_from(permille).unwrap_or(0) / 1000;
        Arc::new(Group { members, ejected_max, deciding })
    }
}

impl Ejection {
    pub(crate) fn new(options: Option<&EjectOptions>, born: Instant) -> Arc<Self> {
        let watched =
            |o: &EjectOptions| Mutex::new(Watched { outlier: Outlier::new(o.clone()), reason: String::new() });
        Arc::new(Ejection {
            born,
            until_us: AtomicU64::new(0),
            outlier: options.map(watched),
            groups: OnceLock::new(),
            changed: OnceLock::new(),
            ejections: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// The directors that it is reached by. One that is in none is never ejected: nobody else would serve.
    pub(crate) fn join(&self, groups: Vec<Arc<Group>>, changed: Arc<Notify>) {
        // Called once, by who builds the directors.
        let _once = (self.groups.set(groups), self.changed.set(changed));
    }

    fn tell(&self) {
        if let Some(changed) = self.changed.get() {
            changed.notify_one();
        }
    }

    /// When the last ejection has ended or will; `None`: there was none.
    pub(crate) fn until(&self) -> Option<Instant> {
        let until = self.until_us.load(Relaxed);
        (until > 0).then(|| self.born + Duration::from_micros(until))
    }

    fn watched(&self) -> Option<MutexGuard<'_, Watched>> {
        Some(self.outlier.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        let until = self.until_us.load(Relaxed);
        until > 0 && self.micros(now) < until
    }

    /// When the last ejection has ended or will, in microseconds after the origin was born; 0: there was none.
    pub(crate) fn until_us(&self) -> u64 {
        self.until_us.load(Relaxed)
    }

    /// "ejected for 30s: 5 faults in a row".
    pub(crate) fn reason(&self, now: Instant) -> Option<String> {
        let left = self.until_us.load(Relaxed).checked_sub(self.micros(now)).filter(|left| *left > 0)?;
        let reason = self.watched()?.reason.clone();
        Some(format!("ejected for {} s more: {reason}", left.div_ceil(1_000_000)))
    }

    /// Ends an ejection now. The next one is still longer.
    pub(crate) fn pardon(&self, now: Instant) {
        if self.is_ejected(now) {
            self.until_us.store(self.micros(now).max(1), Relaxed);
            self.tell();
        }
    }

    /// Takes in what the origin did. Why and for how many seconds it is ejected, when it is, to be logged.
    pub(crate) fn record(&self, news: News, now: Instant) -> Option<(String, u64)> {
        let mut watched = self.watched()?;
        // What was under way when it was ejected says nothing new.
        if self.is_ejected(now) {
            return None;
        }
        let since = now.saturating_duration_since(self.born);
        let reason = watched.outlier.record(news, since)?;
        let groups = self.groups.get().map(Vec::as_slice).unwrap_or_default();
        let first = groups.first()?;
        let _one_at_a_time = first.deciding.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = |g: &Arc<Group>| g.members.iter().filter(|m| m.is_ejected(now)).count() < g.ejected_max;
        if !groups.iter().all(has_room) {
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        let until = watched.outlier.eject(since);
        self.until_us.store(u64::try_from(until.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.ejections.fetch_add(1, Relaxed);
        watched.reason.clone_from(&reason);
        self.tell();
        Some((reason, (until - since).as_secs()))
    }
}
