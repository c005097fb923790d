//! What each request did: its path through both machines, the hooks that ran, what they logged, its record; and all of it
//! in words.

use super::time::VirtualTime;
use copal_observe::access_log::Record;
use copal_observe::explain::in_words;
use copal_observe::trace::{Entry, Event, Machine};
use copal_pipeline::{Sink, Tracer};
use copal_policy::Hook;
use copal_semantics::Span;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) client: SocketAddr,
    pub(super) steps: Vec<&'static str>,
    /// One after the other, where it began several fetches.
    pub(super) fetch: Vec<&'static str>,
    pub(super) edges: Vec<(&'static str, &'static str)>,
    pub(super) hooks: Vec<&'static str>,
    pub(super) log: Vec<String>,
    faults: Vec<String>,
    pub(super) record: Option<Record>,
    lines: Vec<(Span, String)>,
}

type Requests = Arc<Mutex<Vec<Told>>>;

/// Takes down what the machines tell.
pub(super) struct Witness {
    time: VirtualTime,
    /// Also what hooks read and write, line by line?
    lines: bool,
    requests: Requests,
}

/// The notes of one request.
struct Page {
    time: VirtualTime,
    requests: Requests,
    number: usize,
}

fn open(requests: &Requests) -> MutexGuard<'_, Vec<Told>> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Witness {
    pub(super) fn new(time: &VirtualTime, lines: bool) -> Arc<Witness> {
        Arc::new(Witness { time: time.clone(), lines, requests: Requests::default() })
    }

    /// The last request of that client.
    pub(super) fn last_of(&self, client: SocketAddr) -> Option<Told> {
        open(&self.requests).iter().rev().find(|told| told.client == client).cloned()
    }

    /// The hooks that ran for any of them; `init` runs at load.
    pub(super) fn hooks(&self) -> BTreeSet<&'static str> {
        let requests = open(&self.requests);
        requests.iter().flat_map(|told| told.hooks.iter().copied()).chain([Hook::Init.name()]).collect()
    }

    /// How hooks failed.
    pub(super) fn faults(&self) -> BTreeSet<String> {
        open(&self.requests).iter().flat_map(|told| told.faults.iter().cloned()).collect()
    }

    /// All of them, told for people.
    pub(super) fn story(&self) -> String {
        open(&self.requests).iter().map(Told::story).collect()
    }
}

impl copal_pipeline::Witness for Witness {
    fn begin(&self, client: SocketAddr) -> Tracer {
        let mut requests = open(&self.requests);
        requests.push(Told {
            client,
            steps: Vec::new(),
            fetch: Vec::new(),
            edges: Vec::new(),
            hooks: Vec::new(),
            log: Vec::new(),
            faults: Vec::new(),
            record: None,
            lines: Vec::new(),
        });
        let number = requests.len() - 1;
        let page = Page { time: self.time.clone(), requests: Arc::clone(&self.requests), number };
        Tracer::to(Arc::new(page), self.lines)
    }
}

impl Sink for Page {
    fn note(&self, entry: Entry) {
        let now = self.time.passed();
        let mut requests = open(&self.requests);
        let Some(told) = requests.get_mut(self.number) else { return };
        told.take(now, entry);
    }
}

impl Told {
    fn take(&mut self, now: Span, Entry { machine, event, at_us: _ }: Entry) {
        match &event {
            Event::Edge { from, to } => {
                let path = if machine == Machine::Client { &mut self.steps } else { &mut self.fetch };
                if path.last() != Some(from) {
                    path.push(from);
                }
                path.push(to);
                self.edges.push((from, to));
            }
            Event::Hook { hook, logged, fault, .. } => {
                self.faults.extend(fault.clone());
                self.hooks.push(hook);
                self.log.extend(logged.iter().cloned());
            }
            Event::Finished { record, .. } => self.record = Some((**record).clone()),
            Event::Key { .. }
            | Event::Lookup { .. }
            | Event::Judged { .. }
            | Event::Waited { .. }
            | Event::Forwarded { .. }
            | Event::Routed { .. }
            | Event::Elsewhere { .. }
            | Event::NotElsewhere { .. }
            | Event::Asked { .. }
            | Event::Answered { .. }
            | Event::Lifetime(_)
            | Event::Storing(_)
            | Event::Failed { .. }
            | Event::Delivered { .. } => {}
        }
        self.lines.push((now, format!("{:<6}  {}", machine.as_str(), words(&event))));
    }
}

/// In the words of `explain`, but for durations: those of the real clock are others each time.
fn words(event: &Event) -> String {
    match event {
        Event::Waited { result, .. } => format!("waited for another request's fetch: {result}"),
        Event::Answered { status, fields, .. } => {
            let fields: Vec<String> = fields.iter().map(|field| format!("{}: {}", field.name, field.value)).collect();
            format!("the origin answered {status}; {}", fields.join("; "))
        }
        Event::Finished { record, .. } => {
            let mut line = format!("done: {} {}", record.status, record.outcome.as_str());
            if !record.reason.is_empty() {
                let _infallible = write!(line, " ({})", record.reason);
            }
            if let Some(backend) = &record.backend {
                let _infallible = write!(line, " from {backend}");
            }
            if let Some(error) = &record.error {
                let _infallible = write!(line, ": {error}");
            }
            line
        }
        other => in_words(other),
    }
}

impl Told {
    /// Each thing with its time, one a line.
    pub(super) fn story(&self) -> String {
        let mut out = match &self.record {
            Some(record) => format!("{} {} from {}\n", record.method, record.url, self.client),
            None => format!("a request from {}, not finished\n", self.client),
        };
        for (at, line) in &self.lines {
            // What belongs to a line stands below it.
            let line = line.replace('\n', "\n                       ");
            let _infallible = writeln!(out, "  {:>10.3}s  {line}", at.as_secs_f64());
        }
        out
    }
}
