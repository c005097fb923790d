//! The tracer: where the two machines note what they do, when somebody wants it told: one request that is explained, or all
//! requests of a policy case. One seam for both.
//!
//! Off, it is an empty option: noting costs one test, and what would be noted is not even made. On, entries go to a
//! [`Sink`]. That of an explanation is a bounded channel; nothing waits for it, and what does not fit is left out.

mod changes;
mod notes;

pub(crate) use changes::{called, forwarded};
pub(crate) use notes::{answered, delivered, judged, key, lifetime, looked};

use copal_observe::trace::{ENTRIES_MAX, Entry, Event, Machine};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// Takes what is noted of one request.
pub trait Sink: Send + Sync {
    /// Something happened.
    fn note(&self, entry: Entry);
}

/// Has every request noted: the runner of policy cases. A process that serves has none, and then a request costs the test
/// of an option.
pub trait Witness: Send + Sync {
    /// A request of that client begins.
    fn begin(&self, client: SocketAddr) -> Tracer;
}

/// Notes entries, or nothing.
#[derive(Clone, Default)]
pub struct Tracer(Option<Box<On>>);

#[derive(Clone)]
struct On {
    started: Instant,
    machine: Machine,
    lines: bool,
    to: Arc<dyn Sink>,
}

/// The other end: gets what is noted, and learns when nobody notes any more.
#[derive(Debug)]
pub struct Noted(mpsc::Receiver<Entry>);

struct Channel(mpsc::Sender<Entry>);

impl Sink for Channel {
    fn note(&self, entry: Entry) {
        // A full channel drops the entry: a trace never holds a request up.
        let _full = self.0.try_send(entry);
    }
}

impl fmt::Debug for Tracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_on() { "Tracer(on)" } else { "Tracer(off)" })
    }
}

impl Tracer {
    /// A tracer that notes, for the client machine, and its other end.
    #[must_use]
    pub fn on() -> (Tracer, Noted) {
        let (entries, noted) = mpsc::channel(ENTRIES_MAX);
        (Tracer::to(Arc::new(Channel(entries)), true), Noted(noted))
    }

    /// A tracer that notes there, for the client machine. With `lines`, hooks run in the interpreter and tell what they read
    /// and wrote, line by line; without, they run as they always do.
    #[must_use]
    pub fn to(sink: Arc<dyn Sink>, lines: bool) -> Tracer {
        let started = copal_observe::clock::ticks();
        Tracer(Some(Box::new(On { started, machine: Machine::Client, lines, to: sink })))
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

    /// Are hooks to tell what they do line by line?
    pub(crate) fn wants_lines(&self) -> bool {
        self.0.as_ref().is_some_and(|on| on.lines)
    }

    /// Notes what `event` makes, which is made only if it is wanted.
    #[inline]
    pub fn note(&self, event: impl FnOnce() -> Event) {
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
        self.to.note(Entry { at_us, machine: self.machine, event });
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
