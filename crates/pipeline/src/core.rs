//! What all requests share: the process-wide [`Core`] and the [`Worker`] of each thread.

use crate::jitter::Jitter;
use crate::protocols::Protocols;
use arc_swap::ArcSwap;
use copal_backend::{Backends, Pool};
use copal_observe::access_log::AccessLog;
use copal_observe::clock::Clock;
use copal_observe::counters::Counters;
use copal_observe::histogram::Latencies;
use copal_policy::{Acl, Policy};
use copal_semantics::Span;
use copal_semantics::rules::Rules;
use copal_store::Store;
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

/// What the owner has set, as far as the pipeline needs it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What this proxy calls itself in Cache-Status.
    pub name: Arc<str>,
    /// The same as an entry of Via: "1.1 NAME".
    pub via: Arc<str>,
    /// The ceiling on everything the store holds, in bytes; for the figures.
    pub size: u64,
    /// How often a request may start over. Beyond: 503.
    pub max_restarts: u32,
    /// How often a fetch may be retried by the policy. Beyond: the fetch has failed.
    pub max_retries: u32,
    /// How long an uncacheable answer is remembered, so that requests for it do not wait for each other.
    pub hit_for_miss: Span,
    /// How long a request waits for another one's fetch before it fetches by itself.
    pub coalesce_wait: Duration,
    /// The largest body that is stored, in bytes. Larger ones stream through.
    pub object_size_max: u64,
    /// How many body bytes of a response that is not stored may be ahead of the client.
    pub transit_window: usize,
    /// Who may PURGE; `None`: nobody, PURGE is off.
    pub purgers: Option<Acl>,
    /// How they may ask, and tags.
    pub invalidation: Invalidation,
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
    /// The policy in force; a reload swaps it.
    pub policy: ArcSwap<Policy>,
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
