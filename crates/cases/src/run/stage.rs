//! The stage on which a case is played: proxy, origins, clients, time; and the play, block by block.

use super::Failure;
use super::clients::{Connection, Response};
use super::judge::{self, Facts};
use super::origins::{Asker, Dialler, Origins};
use super::setup::{SetUp, in_file, set_up};
use super::time::VirtualTime;
use super::witness::Witness;
use crate::case::{Case, Client, Expect, File, Pace, State, Step, What};
use copal_backend::{Admin, ProbeKind, ProbeOptions, probe_through};
use copal_observe::counters::{Counter, Kind};
use copal_observe::snapshot::Snapshot;
use copal_policy::Coverage;
use copal_semantics::Span;
use copal_server::{AssembleError, Chance, InMemory, Introduction, Surroundings};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// How long a client waits for a response, in virtual time: longer than any timeout that Copal has by default.
const PATIENCE: Duration = Duration::from_secs(3600);
/// The seed of all chance: that of policies, directors, jitter and shadows, and of the request ids.
const SEED: u64 = 1;
/// The port of the first client; each connection has its own.
const FIRST_PORT: u16 = 40_000;

/// A client's last exchange.
struct Last {
    title: String,
    from: SocketAddr,
    response: Response,
    took: Span,
}

/// A client that is known by name, or the nameless one.
#[derive(Default)]
struct Visitor {
    connection: Option<Connection>,
    running: Option<JoinHandle<(Connection, Last)>>,
    last: Option<Last>,
}

/// Everything that takes part.
pub(super) struct Stage<'a> {
    file: &'a File,
    set_up: SetUp,
    around: Surroundings,
    proxy: Arc<InMemory>,
    origins: Arc<Origins>,
    witness: Arc<Witness>,
    time: VirtualTime,
    visitors: HashMap<String, Visitor>,
    /// Of whom an `expect` without a name speaks.
    latest: String,
    ports: u16,
    probing: BTreeSet<String>,
    /// Where the last `expect` left off.
    counted: Option<Snapshot>,
    fetched: usize,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        file: &'a File,
        case: &Case,
        coverage: Option<Coverage>,
        lines: bool,
        time: VirtualTime,
    ) -> Result<Stage<'a>, Failure> {
        let set_up = set_up(file, case)?;
        copal_observe::request_id::start_over(SEED);
        let (origins, witness) = (Arc::new(Origins::default()), Witness::new(&time, lines));
        let around = Surroundings {
            preamble: None,
            clock: time.clock(),
            chance: Chance::seeded(SEED),
            witness: Some(witness.clone()),
            coverage,
            policy: set_up.policy.clone(),
        };
        let dial = Arc::new(Dialler(Arc::clone(&origins), Asker::Fetch));
        let proxy = InMemory::new(&set_up.config, &around, dial).map_err(|why| wrong_policy(case.line, &why))?;
        let mut stage = Stage {
            file,
            set_up,
            around,
            proxy: Arc::new(proxy),
            origins,
            witness,
            time,
            visitors: HashMap::new(),
            latest: String::new(),
            ports: FIRST_PORT,
            probing: BTreeSet::new(),
            counted: None,
            fetched: 0,
        };
        stage.mark();
        Ok(stage)
    }

    pub(super) fn story(&self) -> String {
        self.witness.story()
    }

    pub(super) fn passed(&self) -> Span {
        self.time.passed()
    }

    /// The policy in force and the hooks that it defines.
    pub(super) fn policy(&self) -> (String, Vec<&'static str>) {
        let policies = self.proxy.core().policies.load();
        let policy = policies.main();
        (policy.name().to_owned(), policy.defined())
    }

    pub(super) fn hooks_that_ran(&self) -> BTreeSet<&'static str> {
        self.witness.hooks()
    }

    pub(super) fn faults(&self) -> BTreeSet<String> {
        self.witness.faults()
    }

    /// Plays the blocks until one does not hold.
    pub(super) async fn play(&mut self, steps: &[Step]) -> Vec<Failure> {
        let set_up = steps.iter().take_while(|step| matches!(step.what, What::Origin(_) | What::Backends(_))).count();
        for (i, step) in steps.iter().enumerate() {
            if i == set_up {
                self.start_probes();
            }
            let failures = match &step.what {
                What::Origin(script) => {
                    self.origins.take(script);
                    self.more_probes(i < set_up);
                    Vec::new()
                }
                What::Backends(states) => {
                    self.backends(states);
                    self.more_probes(i < set_up);
                    Vec::new()
                }
                What::Advance(span) => {
                    self.time.advance(*span).await;
                    self.proxy.core().store.run_expiry(self.proxy.core().clock.now());
                    Vec::new()
                }
                What::Reload(text) => {
                    self.around.policy = Some(in_file(self.file, text));
                    let loaded = self.proxy.load_policy(&self.set_up.config, &self.around);
                    loaded.err().map(|why| wrong_policy(step.line, &why)).into_iter().collect()
                }
                What::Client(client) => self.client(step.line, client).await,
                What::Expect(expect) => self.expect(step.line, expect).await,
            };
            if !failures.is_empty() {
                return failures;
            }
        }
        Vec::new()
    }

    /// Origins are well from the start but those that say otherwise; as if they had been probed long before.
    fn start_probes(&mut self) {
        for origin in self.proxy.core().backends.origins() {
            if let Some(probe) = &origin.options().probe
                && self.origins.starts_well(origin.name(), asked_path(probe), &expected(probe))
            {
                for _ in 0..probe.window {
                    let _healthy = origin.record_probe(Ok(()));
                }
            }
        }
        self.more_probes(false);
        self.mark();
    }

    /// Begins to probe what now has something to say to probes.
    fn more_probes(&mut self, early: bool) {
        if early {
            return;
        }
        for origin in self.proxy.core().backends.origins() {
            let Some(probe) = origin.options().probe.clone() else { continue };
            if self.origins.is_telling(origin.name(), asked_path(&probe))
                && self.probing.insert(origin.name().to_owned())
            {
                let (origin, origins) = (Arc::clone(origin), Arc::clone(&self.origins));
                // At whole intervals since the case began, as if they had been sent all the time.
                let interval = Span::from_std(probe.interval).as_micros().max(1);
                let into = self.time.passed().as_micros() % interval;
                let first = Span::from_micros(if into == 0 { 0 } else { interval - into });
                let again = Duration::from_micros(u64::try_from(interval).unwrap_or(u64::MAX));
                tokio::spawn(async move {
                    let dial = Dialler(Arc::clone(&origins), Asker::Probe);
                    tokio::time::sleep(first.to_std()).await;
                    loop {
                        let next = tokio::time::Instant::now() + again;
                        if origins.is_telling(origin.name(), asked_path(&probe)) {
                            probe_through(&dial, &origin).await;
                        } else {
                            let _change = origin.record_probe(Ok(()));
                        }
                        tokio::time::sleep_until(next).await;
                    }
                });
            }
        }
    }

    fn backends(&self, states: &[(String, State)]) {
        for (name, state) in states {
            let admin = match state {
                State::Sick => Admin::Sick,
                State::Healthy => Admin::Healthy,
                State::Auto => Admin::Auto,
                State::Down | State::Up => {
                    self.origins.set_down(name, *state == State::Down);
                    continue;
                }
            };
            self.proxy.core().backends.set_admin(name, admin).expect("names were checked before anything began");
        }
    }

    async fn client(&mut self, line: usize, client: &Client) -> Vec<Failure> {
        let key = client.name.clone().unwrap_or_default();
        self.latest.clone_from(&key);
        let mut visitor = self.visitors.remove(&key).unwrap_or_default();
        if let Some(running) = visitor.running.take() {
            match tokio::time::timeout(PATIENCE, running).await {
                Ok(Ok((connection, last))) => (visitor.connection, visitor.last) = (Some(connection), Some(last)),
                Ok(Err(_)) | Err(_) => return vec![Failure::plain(line, "this client still waits for a response")],
            }
        }
        let kept = visitor.connection.take().filter(|_| client.name.is_some() && client.keeps());
        let running = self.begin(client, kept);
        match client.pace {
            Pace::Waits => match tokio::time::timeout(PATIENCE, running).await {
                Ok(Ok((connection, last))) => {
                    visitor.connection = Some(connection).filter(|_| client.name.is_some());
                    visitor.last = Some(last);
                }
                Ok(Err(why)) => return vec![Failure::plain(line, format!("this is a fault of Copal: {why}"))],
                Err(_) => {
                    return vec![Failure::plain(line, "no response within an hour of virtual time")];
                }
            },
            Pace::Meanwhile => visitor.running = Some(running),
            Pace::Leaves(after) => {
                self.time.advance(after).await;
                if running.is_finished() {
                    visitor.last = running.await.ok().map(|(_, last)| last);
                } else {
                    running.abort();
                }
            }
        }
        self.time.settle().await;
        self.visitors.insert(key, visitor);
        Vec::new()
    }

    /// Begins to send, as a task of its own.
    fn begin(&mut self, client: &Client, kept: Option<Connection>) -> JoinHandle<(Connection, Last)> {
        let asked = Introduction {
            from: client.from.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
            client: client.ends.map(|ends| ends.client),
            server: client.ends.and_then(|ends| ends.server),
            connection: client.connection.clone(),
        };
        let (proxy, time, sends) = (Arc::clone(&self.proxy), self.time.clone(), client.sends.clone());
        let first_port = self.ports;
        // One for each connection that may be needed.
        self.ports = self.ports.saturating_add(u16::try_from(sends.len()).unwrap_or(u16::MAX).saturating_add(1));
        tokio::spawn(async move {
            let mut port = first_port;
            // The ports that were asked for stay; each connection has others of its own.
            let mut open = |asked: &Introduction, before: Option<&Introduction>| {
                let mut who = before.unwrap_or(asked).clone();
                let wanted = [asked.from.port(), asked.client.map_or(0, |client| client.port())];
                for (end, wanted) in [Some(&mut who.from), who.client.as_mut()].into_iter().zip(wanted) {
                    if let Some(end) = end.filter(|_| wanted == 0) {
                        end.set_port(port);
                    }
                }
                port = port.saturating_add(1);
                Connection::new(proxy.connect(who.clone()), who)
            };
            let mut connection = match kept {
                Some(kept) => kept,
                None => open(&asked, None),
            };
            let mut last = None;
            for sent in &sends {
                if !connection.is_open().await {
                    connection = open(&asked, Some(&connection.who));
                }
                let started = time.passed();
                let response = connection.exchange(sent).await;
                let took = time.passed() - started;
                last = Some(Last { title: sent.title.clone(), from: connection.who.from, response, took });
            }
            (connection, last.expect("a client sends something"))
        })
    }

    async fn expect(&mut self, line: usize, expect: &Expect) -> Vec<Failure> {
        let key = expect.client.clone().unwrap_or_else(|| self.latest.clone());
        let fresh = self.visitors.is_empty();
        match self.visitors.get_mut(&key) {
            None if expect.client.is_none() && fresh => {}
            None => return vec![Failure::plain(line, format!("there was no client `{key}`"))],
            Some(visitor) => {
                if let Some(running) = visitor.running.take() {
                    match tokio::time::timeout(PATIENCE, running).await {
                        Ok(Ok((connection, last))) => {
                            (visitor.connection, visitor.last) = (Some(connection), Some(last));
                        }
                        Ok(Err(_)) | Err(_) => {
                            return vec![Failure::plain(line, "the client that this speaks of gets no response")];
                        }
                    }
                }
            }
        }
        self.time.settle().await;
        let mut failures: Vec<Failure> =
            self.origins.take_unscripted().into_iter().map(|what| unscripted(line, &what)).collect();
        failures.extend(self.origins.take_unreadable().into_iter().map(|what| unreadable(line, &what)));
        let last = self.visitors.get(&key).and_then(|visitor| visitor.last.as_ref());
        let told = last.and_then(|last| self.witness.last_of(last.from));
        let counters = self.proxy.counters();
        let facts = Facts {
            title: last.map(|last| last.title.as_str()),
            response: last.map(|last| &last.response),
            took: last.map(|last| last.took),
            told: told.as_ref(),
            seen: self.origins.seen_after(self.fetched),
            backends: &self.proxy.core().backends,
            counter: &|counter| self.grown(&counters, counter),
        };
        failures.extend(expect.lines.iter().filter_map(|line| judge::judge(line, &facts)));
        self.mark();
        failures
    }

    fn grown(&self, now: &Snapshot, counter: Counter) -> i64 {
        let before = self.counted.as_ref().map_or(0, |before| before.get(counter));
        match counter.info().kind {
            Kind::Gauge => now.get(counter),
            Kind::Counter => now.get(counter) - before,
        }
    }

    /// The next `expect` speaks of what happens from here on.
    fn mark(&mut self) {
        self.counted = Some(self.proxy.counters());
        self.fetched = self.origins.count();
    }
}

fn unscripted(line: usize, what: &str) -> Failure {
    Failure {
        line,
        what: "an origin was asked for what its script does not have".to_owned(),
        expected: "a line in an `origin` block, or no such request".to_owned(),
        got: what.to_owned(),
        of: String::new(),
    }
}

fn unreadable(line: usize, what: &str) -> Failure {
    Failure {
        line,
        what: "an origin was sent what is no request, and closed the connection".to_owned(),
        expected: "a request in HTTP/1.1: look at what the policy has written to it".to_owned(),
        got: what.to_owned(),
        of: String::new(),
    }
}

fn wrong_policy(line: usize, why: &AssembleError) -> Failure {
    match why {
        AssembleError::Policy(found) => Failure::plain(line, format!("the policy is wrong\n{found}")),
        other => Failure::plain(line, other.to_string()),
    }
}

/// The statuses that a probe takes for good.
fn expected(probe: &ProbeOptions) -> RangeInclusive<u16> {
    match &probe.kind {
        ProbeKind::Tcp => 0..=u16::MAX,
        ProbeKind::Http(http) => http.expected_status.clone(),
    }
}

/// The target that a probe asks for; none for one that only connects.
fn asked_path(probe: &ProbeOptions) -> &str {
    match &probe.kind {
        ProbeKind::Tcp => "",
        ProbeKind::Http(http) => match &http.request {
            None => &http.path,
            Some(lines) => lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or(""),
        },
    }
}
