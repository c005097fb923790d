//! What all requests share: the process-wide [`Core`] and the [`Worker`] of each thread.

use crate::jitter::Jitter;
use crate::protocols::Protocols;
use arc_swap::ArcSwap;
use copal_backend::{Backends, Pool};
use copal_observe::access_log::AccessLog;
use copal_observe::clock::Clock;
use copal_observe::counters::Counters;
use copal_observe::histogram::Latencies;
use copal_policy::{Acl, Policies};
use copal_semantics::Span;
use copal_semantics::rules::Rules;
use copal_store::Store;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// How clients may ask for a purge, and what objects are tagged with.
#[derive(Clone, Debug, Default)]
pub struct Invalidation {
    /// The purge protocols that are on, for those whom `Settings::purgers` lets.
    pub protocols: Protocols,
    /// Response fields that hold tags.
    pub tag_fields: Vec<String>,
    /// Response fields that are not sent to clients.
    pub hidden_fields: Vec<String>,
}

impl Invalidation {
    /// Are responses tagged with their groups (RFC 9875)?
    pub(crate) fn has_groups(&self) -> bool {
        self.tag_fields.iter().any(|name| name.eq_ignore_ascii_case("cache-groups"))
    }
}

/// When a request is sent to another backend.
#[derive(Clone, Debug, Default)]
pub struct Retrying {
    /// How often at most.
    pub attempts: u32,
    /// Answers after which an idempotent one is.
    pub statuses: Vec<RangeInclusive<u16>>,
    /// How many bytes of a request's body are kept so that it can be sent again.
    pub body_bytes: usize,
}

/// Tunnels: which requests become one without a word of the policy, and what one may use.
#[derive(Clone, Debug)]
pub struct Pipes {
    /// Protocols that a request may change to (its Upgrade field) where the policy decides nothing.
    pub upgrades: Vec<String>,
    /// How long nothing may move in either direction.
    pub timeout: Duration,
    /// How long one may last; zero: as long as it moves.
    pub deadline: Duration,
    /// How many may be open at a time. Beyond: 503.
    pub connections: u64,
}

impl Default for Pipes {
    fn default() -> Self {
        Pipes { upgrades: Vec::new(), timeout: Duration::from_secs(60), deadline: Duration::ZERO, connections: 10_000 }
    }
}

/// What the owner has set, as far as the pipeline needs it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this proxy calls itself in Cache-Status.
    pub name: Arc<str>,
    /// The same as an entry of Via: "1.1 NAME".
    pub via: Arc<str>,
    /// The ceiling on everything the storages hold together, in bytes; for the figures.
    pub size: u64,
    /// How often a request may start over. Beyond: 503.
    pub max_restarts: u32,
    /// How often a fetch may be retried by the policy. Beyond: the fetch has failed.
    pub max_retries: u32,
    /// When Copal retries by itself.
    pub retry: Retrying,
    /// Copies of requests for a backend that is only watched.
    pub shadow: crate::shadow::Shadowing,
    /// How long an uncacheable answer is remembered, so that requests for it do not wait for each other.
    pub hit_for_miss: Span,
    /// How long a request waits for another one's fetch before it fetches by itself.
    pub coalesce_wait: Duration,
    /// How many body bytes of a response that is not stored may be ahead of the client.
    pub transit_window: usize,
    /// Who may PURGE; `None`: nobody, PURGE is off.
    pub purgers: Option<Acl>,
    /// How they may ask, and tags.
    pub invalidation: Invalidation,
    /// Tunnels.
    pub pipe: Pipes,
    /// How much earlier than said objects may expire.
    pub jitter: Jitter,
    /// Byte ranges answered in one response; more get the whole body.
    pub ranges_max: usize,
    /// Whether Cache-Status tells the cache key to everybody (RFC 9211 §2.7).
    pub status_key: bool,
}

/// What the whole process shares.
pub struct Core {
    /// The objects in memory.
    pub store: Arc<Store>,
    /// The origins and directors.
    pub backends: Arc<Backends>,
    /// All counters.
    pub counters: Arc<Counters>,
    /// How long responses take, by outcome.
    pub latencies: Arc<Latencies>,
    /// The clock.
    pub clock: Clock,
    /// The caching rules as configured.
    pub rules: Rules,
    /// Everything else that is set.
    pub settings: Settings,
    /// The policies in force; a reload swaps all of them at once.
    pub policies: ArcSwap<Policies>,
    /// Where finished requests are logged, if anywhere.
    pub access_log: Option<AccessLog>,
    /// Who has every request noted: nobody but where policy cases run.
    pub witness: Option<Arc<dyn crate::tracer::Witness>>,
}

/// What one thread has for itself: its connections to origins stay on its own reactor.
pub struct Worker {
    /// The shared part.
    pub core: Arc<Core>,
    /// This thread's idle connections to origins.
    pub pool: Arc<Pool>,
}

impl Worker {
    /// One more of that.
    pub(crate) fn count(&self, counter: copal_observe::counters::Counter) {
        self.core.counters.inc(counter);
    }
}
