//! From the configuration to what runs: store, backends, rules, policy, one core for all workers.

use crate::chance::Chance;
use crate::front::h1::FrontLimits;
use crate::front::h1::introduction::{Notices, Proxies};
use crate::origins::backends;
use arc_swap::ArcSwap;
use copal_backend::{Backends, BackendsError};
use copal_config::{AccessFormat, AccessPath, Config, PurgeProtocol};
use copal_observe::access_log::{AccessLog, AccessLogOptions, Format, Target};
use copal_observe::clock::{Clock, processor_time, ticks};
use copal_observe::counters::{Counter, Counters};
use copal_observe::histogram::Latencies;
use copal_pipeline::Witness;
use copal_pipeline::{Core, Invalidation, Jitter, Pipes, Protocols, Retrying, Settings, Shadowing};
use copal_policy::{
    Acl, Coverage, Diagnostics, Environment, Geo, GeoError, Health, Invalidate, Limits, Named, Policies, Policy,
    ScriptValue, Stopwatch, StorageUsage, Storages, Throttle,
};
use copal_semantics::{Span, Time};
use copal_store::{BanExpr, Eviction, KeyBuf, MAIN_STORAGE, Preamble, PurgeMode, StorageOptions, Store, StoreOptions};
use copal_wire::WireLimits;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::sync::Semaphore;

/// Why the parts do not come together.
#[derive(Debug, Error)]
pub enum AssembleError {
    /// The policy is wrong.
    #[error("{0}")]
    Policy(Diagnostics),
    /// The backends are wrong; the configuration's checks let something through.
    #[error("{0}")]
    Backends(#[from] BackendsError),
    /// An ACL is wrong; the configuration's checks let something through.
    #[error("[acl] {0}")]
    Acl(String),
    /// A setting of a backend or director cannot be used.
    #[error("{0}")]
    Setting(String),
    /// The GeoIP database cannot be used.
    #[error("[policy] geoip: {0}")]
    Geo(#[from] GeoError),
    /// The access log cannot be opened.
    #[error("cannot open the access log: {0}")]
    Log(#[from] std::io::Error),
}

/// What stands around a core. By default that is the machine; where policy cases run, they are.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// Where wall-clock time comes from.
    pub clock: Clock,
    /// Where chance comes from.
    pub chance: Chance,
    /// Who has every request noted.
    pub witness: Option<Arc<dyn Witness>>,
    /// Where lines of the policy that run are noted.
    pub coverage: Option<Coverage>,
    /// What the store is to know that a snapshot will be loaded into.
    pub preamble: Option<Preamble>,
    /// A policy's name and text, in place of the configured file.
    pub policy: Option<(String, String)>,
}

/// Everything but listeners and threads.
pub(crate) fn core(config: &Config, preamble: Option<Preamble>) -> Result<Arc<Core>, AssembleError> {
    core_in(config, &Surroundings { preamble, ..Surroundings::default() })
}

pub(crate) fn core_in(config: &Config, around: &Surroundings) -> Result<Arc<Core>, AssembleError> {
    let backends = backends(config, &around.chance.backends)?;
    let options = StoreOptions {
        size: without_allocators_share(config.cache.size),
        object_size_max: config.cache.object_size,
        variants_max: config.limits.variants,
        waiters_max: u32::try_from(config.limits.waiters).unwrap_or(u32::MAX),
        bans_max: config.limits.bans,
        markers_max: config.limits.markers,
        eviction: eviction(config.cache.eviction),
        storages: config.storages.iter().map(storage).collect(),
        ..StoreOptions::default()
    };
    let store = match &around.preamble {
        None => Store::new(options),
        Some(preamble) => Store::revived(options, preamble),
    };
    let counters = Counters::new();
    let policies =
        policies_in(config, Running { backends: &backends, store: &store, counters: &counters }, around, None)?;
    let access_log = match &config.log.access {
        None => None,
        Some(log) => Some(AccessLog::open(
            AccessLogOptions {
                format: match log.format {
                    AccessFormat::Json => Format::Json,
                    AccessFormat::Ncsa => Format::Ncsa,
                },
                path: match &log.path {
                    AccessPath::Stdout => Target::Stdout,
                    AccessPath::File(path) => Target::File(path.clone()),
                },
                queue: config.limits.log_queue,
                headers: log.headers.clone(),
            },
            Arc::clone(&counters),
        )?),
    };
    let purgers = match &config.purge.acl {
        None => None,
        Some(name) => Some(acl(config, name)?),
    };
    Ok(Arc::new(Core {
        store,
        backends,
        counters,
        latencies: Arc::new(Latencies::default()),
        clock: around.clock.clone(),
        rules: config.cache.rules(),
        settings: Settings {
            name: Arc::from(config.name.as_str()),
            via: format!("1.1 {}", config.name).into(),
            size: sizes(config),
            max_restarts: config.policy.max_restarts,
            max_retries: config.policy.max_retries,
            retry: Retrying {
                attempts: config.retry.attempts,
                statuses: config.retry.statuses.clone(),
                body_bytes: config.retry.body_size,
            },
            shadow: Shadowing {
                to: config.shadow.to.clone(),
                share_permille: config.shadow.share_permille,
                body_bytes: config.shadow.body_size,
                response_bytes: config.shadow.response_size,
                timeout: config.shadow.timeout,
                places: Arc::new(Semaphore::new(config.shadow.running)),
                random: Arc::clone(&around.chance.shadows),
            },
            hit_for_miss: config.cache.hit_for_miss,
            coalesce_wait: config.cache.coalesce_wait,
            transit_window: config.limits.transit_size,
            purgers,
            invalidation: invalidation(config),
            pipe: Pipes {
                upgrades: config.pipe.upgrades.clone(),
                timeout: config.pipe.timeout,
                deadline: config.pipe.deadline,
                connections: config.pipe.connections,
            },
            jitter: Jitter { percent: config.cache.jitter, random: Arc::clone(&around.chance.lifetimes) },
            ranges_max: config.limits.ranges,
            status_key: config.cache.status_key,
        },
        policies: ArcSwap::new(policies),
        access_log,
        witness: around.witness.clone(),
    }))
}

fn eviction(configured: copal_config::Eviction) -> Eviction {
    match configured {
        copal_config::Eviction::Lru => Eviction::Lru,
        copal_config::Eviction::TinyLfu => Eviction::TinyLfu,
    }
}

/// From here on the allocator's own share, what it rounds up and the pages that are partly used, is taken off a storage. Below,
/// the constant that the process may have beside its store has room for it.
const SHARED_FROM: u64 = 64 << 20;

/// How much of a storage's size is for what is asked of the allocator: all but a sixteenth (`make churn`, docs/performance.md).
fn without_allocators_share(size: u64) -> u64 {
    if size < SHARED_FROM { size } else { size - size / 16 }
}

/// All storages together.
fn sizes(config: &Config) -> u64 {
    let named = config.storages.iter().map(|storage| without_allocators_share(storage.size));
    without_allocators_share(config.cache.size) + named.sum::<u64>()
}

fn storage(storage: &copal_config::Storage) -> StorageOptions {
    StorageOptions {
        name: storage.name.clone(),
        size: without_allocators_share(storage.size),
        object_size_max: storage.object_size,
        eviction: eviction(storage.eviction),
    }
}

fn invalidation(config: &Config) -> Invalidation {
    let mut on = Protocols::NONE;
    for protocol in &config.purge.protocols {
        *match protocol {
            PurgeProtocol::Purge => &mut on.purge,
            PurgeProtocol::Xkey => &mut on.xkey,
            PurgeProtocol::Ban => &mut on.ban,
            PurgeProtocol::FosHttpCache => &mut on.foshttpcache,
            PurgeProtocol::Wordpress => &mut on.wordpress,
            PurgeProtocol::Magento => &mut on.magento,
            PurgeProtocol::Drupal => &mut on.drupal,
            PurgeProtocol::Refresh => &mut on.refresh,
        } = true;
    }
    Invalidation {
        protocols: on,
        tag_fields: config.cache.tag_fields.clone(),
        hidden_fields: config.cache.tag_fields_hidden.clone(),
    }
}

fn acl(config: &Config, name: &str) -> Result<Acl, AssembleError> {
    let entries = config.acls.get(name).map(Vec::as_slice).unwrap_or_default();
    let text = entries.iter().map(|entry| format!("{}{}", if entry.negated { "!" } else { "" }, entry.net));
    Acl::parse(text).map_err(|error| AssembleError::Acl(format!("{name}: {error}")))
}

/// How long hooks run, from the moment it was made.
struct HookClock(Instant);

impl Stopwatch for HookClock {
    fn wall(&self) -> u64 {
        u64::try_from(ticks().saturating_duration_since(self.0).as_nanos()).unwrap_or(u64::MAX)
    }

    fn spent(&self) -> u64 {
        u64::try_from(processor_time().as_nanos()).unwrap_or(u64::MAX)
    }
}

struct BackendHealth(Arc<Backends>);

impl Health for BackendHealth {
    fn healthy(&self, name: Option<&str>) -> bool {
        self.0.is_healthy(name)
    }
}

struct FromStore(Arc<Store>);

impl Storages for FromStore {
    fn usage(&self, name: &str) -> StorageUsage {
        let storage = self.0.storages().into_iter().find(|storage| storage.name == name);
        storage.map_or_else(StorageUsage::default, |storage| StorageUsage {
            used: storage.used,
            free: storage.free(),
            happy: storage.is_happy(),
        })
    }
}

/// What policies purge and ban is counted as what clients do.
struct OfPolicies(Arc<Store>, Arc<Counters>);

impl OfPolicies {
    fn purged(&self, count: u64) -> u64 {
        self.1.inc(Counter::Purges);
        self.1.add(Counter::PurgedObjects, count);
        count
    }
}

impl Invalidate for OfPolicies {
    fn purge_tags(&self, tags: &[&[u8]], soft: bool, now: Time) -> u64 {
        self.purged(self.0.purge_tags(tags, if soft { PurgeMode::Soft } else { PurgeMode::Hard }, now))
    }

    fn purge_key(&self, key: &[u8], soft: Option<Span>, now: Time) -> u64 {
        // As the pipeline makes it of what the hooks have added.
        let mut whole = KeyBuf::default();
        whole.add(key);
        let (key, hash) = (whole.as_bytes(), self.0.hash(whole.as_bytes()));
        self.purged(match soft {
            None => self.0.purge(key, hash, PurgeMode::Hard, now),
            Some(Span::ZERO) => self.0.purge(key, hash, PurgeMode::Soft, now),
            Some(ttl) => self.0.stale_from(key, hash, now + ttl),
        })
    }

    fn ban(&self, expression: &str, now: Time) -> Result<(), String> {
        let parsed = expression.parse::<BanExpr>();
        let Err(refused) = parsed.and_then(|ban| self.0.ban(ban, now)) else { return Ok(()) };
        // A policy need not look at what `ban` says, and its client may have been told that all is well.
        self.1.inc(Counter::BansRefused);
        tracing::warn!(target: "copal::policy", %expression, "ban refused: {refused}");
        Err(refused.to_string())
    }
}

/// What `param` tells.
fn params(config: &Config) -> BTreeMap<&'static str, ScriptValue> {
    let span =
        |time: Duration| ScriptValue::Span(Span::from_micros(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)));
    let int = |n: u64| ScriptValue::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let rules = config.cache.rules();
    [
        ("default_ttl", ScriptValue::Span(rules.default_ttl)),
        ("default_grace", ScriptValue::Span(rules.grace)),
        ("default_keep", ScriptValue::Span(rules.keep)),
        ("uncacheable_ttl", ScriptValue::Span(config.cache.hit_for_miss)),
        ("max_restarts", int(u64::from(config.policy.max_restarts))),
        ("max_retries", int(u64::from(config.policy.max_retries))),
        ("pipe_timeout", span(config.pipe.timeout)),
        ("pipe_task_deadline", span(config.pipe.deadline)),
        ("transit_buffer", int(config.limits.transit_size as u64)),
    ]
    .into()
}

/// The parts of a running proxy that policies reach.
#[derive(Clone, Copy)]
pub(crate) struct Running<'a> {
    pub(crate) backends: &'a Arc<Backends>,
    pub(crate) store: &'a Arc<Store>,
    pub(crate) counters: &'a Arc<Counters>,
}

impl<'a> From<&'a Core> for Running<'a> {
    fn from(core: &'a Core) -> Self {
        Running { backends: &core.backends, store: &core.store, counters: &core.counters }
    }
}

/// The world that a policy of this configuration is compiled against.
///
/// Without `running` it is only checked: every backend is healthy, and nothing is stored.
pub(crate) fn environment(config: &Config, running: Option<Running<'_>>) -> Result<Environment, AssembleError> {
    let mut acls = std::collections::BTreeMap::new();
    for name in config.acls.keys() {
        acls.insert(name.clone(), acl(config, name)?);
    }
    let limits = &config.policy.limits;
    let mut environment = Environment {
        acls,
        backends: config.backends.iter().map(|backend| backend.name.clone()).collect(),
        directors: config.directors.iter().map(|director| director.name.clone()).collect(),
        policies: config.policy.named.keys().cloned().collect(),
        storages: std::iter::once(MAIN_STORAGE)
            .chain(config.storages.iter().map(|storage| storage.name.as_str()))
            .map(str::to_owned)
            .collect(),
        limits: Limits {
            operations: limits.operations,
            time: Span::from_std(limits.time),
            call_depth: limits.call_depth,
            string_bytes: limits.string_bytes,
            array: limits.array,
            map: limits.map,
            variables: limits.variables,
            functions: limits.functions,
            modules: limits.modules,
            expression_depth: limits.expression_depth,
            written_bytes: limits.written_bytes,
            patterns: limits.patterns,
            throttle_keys: limits.throttle_keys,
        },
        throttle: Arc::new(Throttle::new(limits.throttle_keys)),
        read_ban: |text| text.parse::<BanExpr>().map(drop).map_err(|e| e.to_string()),
        params: params(config),
        geo: config.policy.geoip.as_deref().map(Geo::open).transpose()?.map(Arc::new),
        ..Environment::default()
    };
    if let Some(Running { backends, store, counters }) = running {
        environment.health = Arc::new(BackendHealth(Arc::clone(backends)));
        environment.invalidate = Arc::new(OfPolicies(Arc::clone(store), Arc::clone(counters)));
        environment.usage = Arc::new(FromStore(Arc::clone(store)));
        environment.variable = |name| std::env::var(name).ok();
    }
    Ok(environment)
}

/// The configured policies, checked and compiled; the built-in one where no file is named. What those `before` them have
/// counted of `throttle::` goes on.
pub(crate) fn policies(
    config: &Config,
    running: Running<'_>,
    before: Option<&Policies>,
) -> Result<Arc<Policies>, AssembleError> {
    policies_in(config, running, &Surroundings::default(), before)
}

pub(crate) fn policies_in(
    config: &Config,
    running: Running<'_>,
    around: &Surroundings,
    before: Option<&Policies>,
) -> Result<Arc<Policies>, AssembleError> {
    if around.policy.is_none() && !has_policy(config) {
        return Ok(Policies::of_one(Policy::builtin()));
    }
    let mut environment = environment(config, Some(running))?;
    environment.coverage.clone_from(&around.coverage);
    if around.clock.is_system() {
        environment.stopwatch = Arc::new(HookClock(ticks()));
    }
    environment.random = Arc::clone(&around.chance.policies);
    if let Some(before) = before {
        environment.throttle = Arc::clone(before.throttle());
    }
    load(config, around.policy.as_ref(), &Arc::new(environment))
}

fn has_policy(config: &Config) -> bool {
    let set = &config.policy;
    set.file.is_some() || !set.named.is_empty() || !set.hosts.is_empty()
}

/// Loads all of them, or tells what is wrong with each. A file that is named twice is loaded once.
fn load(
    config: &Config,
    given: Option<&(String, String)>,
    environment: &Arc<Environment>,
) -> Result<Arc<Policies>, AssembleError> {
    let set = &config.policy;
    let (mut loaded, mut wrong) = (BTreeMap::<&Path, Arc<Policy>>::new(), Vec::new());
    let files = set.file.iter().filter(|_| given.is_none()).chain(set.named.values()).chain(set.hosts.values());
    for file in files.collect::<BTreeSet<_>>() {
        match Policy::load(file, Arc::clone(environment)) {
            Ok(policy) => drop(loaded.insert(file, policy)),
            Err(found) => wrong.extend(found.list),
        }
    }
    let main = match (given, &set.file) {
        (Some((name, text)), _) => Policy::compile(name, text, Arc::clone(environment)),
        (None, Some(file)) => Ok(loaded.get(file.as_path()).map_or_else(Policy::builtin, Arc::clone)),
        (None, None) => Ok(Policy::builtin()),
    };
    let main = main.unwrap_or_else(|found| {
        wrong.extend(found.list);
        Policy::builtin()
    });
    if !wrong.is_empty() {
        return Err(AssembleError::Policy(Diagnostics { list: wrong }));
    }
    let of = |files: &BTreeMap<String, PathBuf>| {
        let found =
            files.iter().filter_map(|(name, file)| Some((name.clone(), Arc::clone(loaded.get(file.as_path())?))));
        found.collect()
    };
    Ok(Policies::new(main, of(&set.named), of(&set.hosts)))
}

/// Checks the policies of a configuration without running anything, for `copal check`.
///
/// # Errors
/// What is wrong with them.
pub fn check_policy(config: &Config) -> Result<Option<Arc<Policies>>, AssembleError> {
    if !has_policy(config) {
        return Ok(None);
    }
    load(config, None, &Arc::new(environment(config, None)?)).map(Some)
}

/// Checks the policy of a file as if the configuration had every name that it uses; these names.
///
/// # Errors
/// What is wrong with it.
pub fn check_policy_alone(config: &Config, file: &Path) -> Result<(Arc<Policy>, Vec<Named>), AssembleError> {
    let mut environment = environment(config, None)?;
    environment.backends.clear();
    Policy::load_alone(file, environment).map_err(AssembleError::Policy)
}

/// The limits of one listener.
pub(crate) fn front_limits(config: &Config, listen: &copal_config::Listen) -> Result<Arc<FrontLimits>, AssembleError> {
    let proxies = match (listen.proxy_protocol, &listen.proxy_acl) {
        (false, _) => None,
        (true, None) => Some(Proxies::All),
        (true, Some(name)) => Some(Proxies::On(name.clone(), acl(config, name)?)),
    };
    Ok(Arc::new(FrontLimits {
        wire: WireLimits {
            head_bytes: config.limits.head_size,
            url_bytes: config.limits.url_size,
            header_count: config.limits.header_count,
        },
        body_bytes: config.limits.body_size,
        idle_timeout: listen.idle_timeout,
        head_timeout: listen.head_timeout,
        body_timeout: listen.body_timeout,
        send_timeout: listen.send_timeout,
        abort_on_close: listen.abort_on_close,
        connections: config.limits.connections,
        obeyed: listen.request_directives,
        proxies,
        notices: Notices::of(&listen.address),
    }))
}

/// How long the access log may take to write what it holds when the process ends.
pub(crate) const LOG_FLUSH: Duration = Duration::from_secs(2);
