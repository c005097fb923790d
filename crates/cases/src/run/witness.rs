//! What each request did: its path through both machines, the hooks that ran, what they logged, its record.

use super::time::VirtualTime;
use copal_observe::access_log::Record;
use copal_pipeline::step::{ClientStep, FetchStep};
use copal_pipeline::watch::{Event, Watch};
use copal_policy::{Action, Fault, Hook};
use copal_semantics::Span;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) client: SocketAddr,
    pub(super) steps: Vec<ClientStep>,
    /// One after the other, where it began several fetches.
    pub(super) fetch: Vec<FetchStep>,
    pub(super) edges: Vec<(&'static str, &'static str)>,
    pub(super) hooks: Vec<&'static str>,
    pub(super) log: Vec<String>,
    pub(super) record: Option<Record>,
    lines: Vec<(Span, String)>,
}

/// Takes down what the machines tell.
pub(super) struct Witness {
    time: VirtualTime,
    requests: Mutex<Vec<Told>>,
}

impl Witness {
    pub(super) fn new(time: &VirtualTime) -> Arc<Witness> {
        Arc::new(Witness { time: time.clone(), requests: Mutex::default() })
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Told>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The last request of that client.
    pub(super) fn last_of(&self, client: SocketAddr) -> Option<Told> {
        self.requests().iter().rev().find(|told| told.client == client).cloned()
    }

    /// The hooks that ran for any of them; `init` runs at load.
    pub(super) fn hooks(&self) -> BTreeSet<&'static str> {
        self.requests().iter().flat_map(|told| told.hooks.iter().copied()).chain([Hook::Init.name()]).collect()
    }

    /// All of them, told for people.
    pub(super) fn story(&self) -> String {
        self.requests().iter().map(Told::story).collect()
    }
}

impl Watch for Witness {
    fn begin(&self, client: SocketAddr) -> u64 {
        let mut requests = self.requests();
        requests.push(Told {
            client,
            steps: Vec::new(),
            fetch: Vec::new(),
            edges: Vec::new(),
            hooks: Vec::new(),
            log: Vec::new(),
            record: None,
            lines: Vec::new(),
        });
        requests.len() as u64 - 1
    }

    fn tell(&self, request: u64, event: Event<'_>) {
        let now = self.time.passed();
        let mut requests = self.requests();
        let Some(told) = usize::try_from(request).ok().and_then(|n| requests.get_mut(n)) else { return };
        match event {
            Event::Client(from, to) => {
                if told.steps.is_empty() {
                    told.steps.push(from);
                }
                told.steps.push(to);
                told.edges.push((from.name(), to.name()));
                told.lines.push((now, format!("client  {} -> {}", from.name(), to.name())));
            }
            Event::Fetch(from, to) => {
                if told.fetch.last() != Some(&from) {
                    told.fetch.push(from);
                }
                told.fetch.push(to);
                told.edges.push((from.name(), to.name()));
                told.lines.push((now, format!("fetch   {} -> {}", from.name(), to.name())));
            }
            Event::Hook { hook, result, logged } => {
                told.hooks.push(hook.name());
                told.lines.push((now, format!("hook    {} {}", hook.name(), decided(result))));
                for line in logged {
                    told.log.push(line.clone());
                    told.lines.push((now, format!("log     {line}")));
                }
            }
            Event::Finished(record) => {
                let mut line = format!("done    {} {}", record.status, record.outcome.as_str());
                if !record.reason.is_empty() {
                    let _infallible = write!(line, " ({})", record.reason);
                }
                if let Some(backend) = &record.backend {
                    let _infallible = write!(line, " from {backend}");
                }
                if let Some(error) = &record.error {
                    let _infallible = write!(line, ": {error}");
                }
                told.lines.push((now, line));
                told.record = Some(record.clone());
            }
        }
    }
}

/// What a hook decided, as a policy writes it.
fn decided(result: Result<&Action, &Fault>) -> String {
    match result {
        Ok(Action::Default) => "returned nothing".to_owned(),
        Ok(Action::Synth { status, reason }) if reason.is_empty() => format!("returned synth({status})"),
        Ok(Action::Synth { status, reason }) => format!("returned synth({status}, {reason:?})"),
        Ok(Action::Redirect { status, location }) => format!("returned redirect({status}, {location:?})"),
        Ok(Action::Error { status, reason }) if reason.is_empty() => format!("returned error({status})"),
        Ok(Action::Error { status, reason }) => format!("returned error({status}, {reason:?})"),
        Ok(Action::PassFor(span)) => format!("returned pass({span})"),
        Ok(Action::Fail { reason }) => format!("returned fail({reason:?})"),
        Ok(Action::Policy(name)) => format!("returned policy({name:?})"),
        Ok(other) => format!("returned {}", other.kind().map_or("nothing", |kind| kind.written())),
        Err(fault) => format!("failed: {fault}"),
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
            let _infallible = writeln!(out, "  {:>10.3}s  {line}", at.as_secs_f64());
        }
        out
    }

    /// The path of a machine as `steps` writes it.
    pub(super) fn path<'a, S: Copy + 'a>(steps: &'a [S], name: impl Fn(S) -> &'static str) -> String {
        steps.iter().map(|step| name(*step)).collect::<Vec<_>>().join(" ")
    }
}
