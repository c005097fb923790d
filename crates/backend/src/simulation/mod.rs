//! A world of virtual time: directors, health, ejection and ramps over scripted loads and outages, minutes in milliseconds.
//!
//! ```text
//! every 1/rate s: who is done leaves ─▶ probes that are due ─▶ pick_at(now) ─▶ refused, or under way until now + latency
//! ```
//!
//! What it finds is asserted here and printed as the tables of docs/guide/backends.md, which are compared with it:
//! `COPAL_BLESS=1 cargo test -p copal-backend simulation` writes them anew.

mod moves;
mod tables;

use crate::ask::Ask;
use crate::backends::{Backends, DirectorOptions};
use crate::dice::Chance;
use crate::director::{DirectorKind, MemberOptions};
use crate::origin::OriginOptions;
use crate::outlier::{EjectOptions, News};
use crate::probe::ProbeOptions;
use copal_semantics::RequestHead;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

const NAMES: [&str; 4] = ["app1", "app2", "app3", "app4"];

/// How a backend is at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Server {
    /// It answers, after so many milliseconds when nothing else is under way, and so much longer for each request that is.
    Up(f64, f64),
    /// It refuses, its probes too.
    Down,
    /// Its probes are good, and every request fails.
    Broken,
}

const UP: Server = Server::Up(10.0, 0.0);

/// One world before it begins.
struct Script {
    kind: DirectorKind,
    weights: Vec<u32>,
    slow_start: Duration,
    eject: Option<EjectOptions>,
    max_ejected_permille: u32,
    /// Requests per second.
    rate: u64,
    seconds: u64,
}

/// What happened, second by second.
struct Log {
    /// For each second, how many requests each backend was sent.
    sent: Vec<Vec<u64>>,
    /// For each second, how many failed.
    failed: Vec<u64>,
    /// For each second, the most backends that were ejected at a time.
    ejected: Vec<usize>,
    /// Milliseconds that all answers took together, and how many there were.
    took_ms: f64,
    answers: u64,
}

impl Log {
    /// The share of a backend in the seconds from one to the other, in percent.
    fn share(&self, backend: usize, seconds: std::ops::Range<usize>) -> f64 {
        let all: u64 = self.sent[seconds.clone()].iter().flatten().sum();
        let own: u64 = self.sent[seconds].iter().map(|sent| sent[backend]).sum();
        own as f64 * 100.0 / all.max(1) as f64
    }

    fn failed(&self, seconds: std::ops::Range<usize>) -> u64 {
        self.failed[seconds].iter().sum()
    }

    fn mean_ms(&self) -> f64 {
        self.took_ms / self.answers.max(1) as f64
    }
}

impl Script {
    /// A minute of a thousand requests a second for three equal backends.
    fn new(kind: DirectorKind) -> Script {
        let (weights, slow_start) = (vec![1; 3], Duration::ZERO);
        Script { kind, weights, slow_start, eject: None, max_ejected_permille: 500, rate: 1000, seconds: 60 }
    }

    fn backends(&self) -> Arc<Backends> {
        // A probe each second; three of the last eight must be good, and all were before the story begins.
        let probe = ProbeOptions { interval: Duration::from_secs(1), initial: 8, ..ProbeOptions::default() };
        let origin = |name: &&str| OriginOptions {
            probe: Some(probe.clone()),
            slow_start: self.slow_start,
            eject: self.eject.clone(),
            max_connections: 0,
            ..OriginOptions::new(*name, "127.0.0.1:1".parse().expect("valid"))
        };
        let names = &NAMES[..self.weights.len()];
        let members = names.iter().zip(&self.weights).map(|(name, weight)| MemberOptions::new(*name, *weight));
        let mut app = DirectorOptions::new("app", self.kind.clone(), members.collect());
        app.ejected_max_permille = self.max_ejected_permille;
        let built = Backends::with_chance(names.iter().map(origin).collect(), vec![app], &Chance::seeded(7));
        built.expect("a right configuration")
    }

    /// Runs it; `server` says how a backend is at that second.
    fn run(&self, server: impl Fn(usize, u64) -> Server) -> Log {
        let (backends, start) = (self.backends(), Instant::now());
        let n = self.weights.len();
        let seconds = usize::try_from(self.seconds).expect("few");
        let mut log = Log {
            sent: vec![vec![0; n]; seconds],
            failed: vec![0; seconds],
            ejected: vec![0; seconds],
            took_ms: 0.0,
            answers: 0,
        };
        let mut under_way: BinaryHeap<Reverse<(Duration, usize, Duration)>> = BinaryHeap::new();
        let mut head = RequestHead::default();
        let mut probed = None;
        for request in 0..self.rate * self.seconds {
            let since = Duration::from_nanos(request * 1_000_000_000 / self.rate);
            let (now, second) = (start + since, since.as_secs());
            while let Some(Reverse((done, i, took))) = under_way.peek().copied().filter(|next| next.0.0 <= since) {
                under_way.pop();
                let origin = &backends.origins()[i];
                origin.tally.running.fetch_sub(1, Relaxed);
                origin.observe(took, start + done);
                origin.heard(News::Good, start + done);
            }
            if probed != Some(second) {
                probed = Some(second);
                for (i, origin) in backends.origins().iter().enumerate() {
                    let outcome = if server(i, second) == Server::Down { Err("down".to_owned()) } else { Ok(()) };
                    origin.record_probe_at(outcome, now);
                }
            }
            let at = usize::try_from(second).expect("few");
            let out = backends.origins().iter().filter(|origin| origin.is_ejected(now)).count();
            log.ejected[at] = log.ejected[at].max(out);
            // Visitors and pages come in an order of their own.
            let page = request.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            head.url = format!("/{page}");
            let client = IpAddr::V4(Ipv4Addr::from(u32::try_from(page).expect("24 bits")));
            let Ok(picked) = backends.pick_at(
                Some("app"),
                &Ask { head: &head, key: b"", client, bound: b"", tried: &[] },
                now,
                false,
            ) else {
                log.failed[at] += 1;
                continue;
            };
            let (i, origin) = (picked.index, &picked.origin);
            log.sent[at][i] += 1;
            match server(i, second) {
                Server::Up(alone_ms, each_ms) => {
                    let took_ms = alone_ms + each_ms * origin.load(now) as f64;
                    origin.tally.running.fetch_add(1, Relaxed);
                    let took = Duration::from_secs_f64(took_ms / 1000.0);
                    under_way.push(Reverse((since + took, i, took)));
                    log.took_ms += took_ms;
                    log.answers += 1;
                }
                Server::Down | Server::Broken => {
                    log.failed[at] += 1;
                    origin.observe(Duration::from_secs(1), now);
                    origin.heard(News::Fault, now);
                }
            }
        }
        log
    }
}
