//! The tracer: where the two machines note what they do, when somebody wants one request explained.
//!
//! Off, it is an empty option: noting costs one test, and what would be noted is not even made. On, entries go through a
//! bounded channel to whoever asked; nothing waits for them, and what does not fit is left out.

mod changes;
mod notes;

pub(crate) use changes::{forwarded, traced_call};
pub(crate) use notes::{answered, delivered, judged, key, lifetime, looked};

use copal_observe::trace::{ENTRIES_MAX, Entry, Event, Machine};
use std::time::Instant;
use tokio::sync::mpsc;

/// Notes entries, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Box<On>>);

#[derive(Clone, Debug)]
struct On {
    started: Instant,
    machine: Machine,
    entries: mpsc::Sender<Entry>,
}

/// The other end: gets what is noted, and learns when nobody notes any more.
#[derive(Debug)]
pub struct Noted(mpsc::Receiver<Entry>);

impl Tracer {
    /// A tracer that notes, for the client machine, and its other end.
    #[must_use]
    pub fn on() -> (Tracer, Noted) {
        let (entries, noted) = mpsc::channel(ENTRIES_MAX);
        let on = On { started: copal_observe::clock::ticks(), machine: Machine::Client, entries };
        (Tracer(Some(Box::new(on))), Noted(noted))
    }

    /// The same for the fetch that the request causes.
    pub(crate) fn of_fetch(&self) -> Tracer {
        Tracer(self.0.as_ref().map(|on| Box::new(On { machine: Machine::Fetch, ..(**on).clone() })))
    }

    /// Does it note?
    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Notes what `event` makes, which is made only if it is wanted.
    #[inline]
    pub(crate) fn note(&self, event: impl FnOnce() -> Event) {
        if let Some(on) = &self.0 {
            on.note(event());
        }
    }

    /// A step was left for another.
    #[inline]
    pub(crate) fn edge(&self, from: &'static str, to: &'static str) {
        self.note(|| Event::Edge { from, to });
    }
}

impl On {
    #[cold]
    fn note(&self, event: Event) {
        let at = copal_observe::clock::ticks().saturating_duration_since(self.started);
        let at_us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
        // A full channel drops the entry: a trace never holds a request up.
        let _full = self.entries.try_send(Entry { at_us, machine: self.machine, event });
    }
}

impl Noted {
    /// All entries; ready when the request and every fetch that it caused are over.
    pub async fn all(&mut self, into: &mut Vec<Entry>) {
        while let Some(entry) = self.0.recv().await {
            into.push(entry);
        }
    }
}
