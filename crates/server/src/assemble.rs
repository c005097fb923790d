//! From the configuration to what runs: store, backends, rules, policy, one core for all workers.

use crate::front::h1::FrontLimits;
use crate::origins::backends;
use arc_swap::ArcSwap;
use copal_backend::{Backends, BackendsError};
use copal_config::{AccessFormat, AccessPath, Config, PurgeProtocol};
use copal_observe::access_log::{AccessLog, AccessLogOptions, Format, Target};
use copal_observe::clock::Clock;
use copal_observe::counters::Counters;
use copal_observe::histogram::Latencies;
use copal_pipeline::Witness;
use copal_pipeline::{Core, Invalidation, Jitter, Protocols, Settings};
use copal_policy::{
    Acl, ActionKind, Coverage, Diagnostics, Environment, Geo, GeoError, Health, Invalidate, Limits, Policy, Random,
    Throttle,
};
use copal_semantics::Time;
use copal_store::{BanError, BanExpr, Preamble, PurgeMode, Store, StoreOptions};
use copal_wire::WireLimits;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

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
    /// Where random numbers of policies come from, if not from the system.
    pub random: Option<Arc<dyn Random>>,
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
    let backends = backends(config)?;
    let options = StoreOptions {
        size: config.cache.size,
        object_size_max: config.cache.object_size,
        variants_max: config.limits.variants,
        waiters_max: u32::try_from(config.limits.waiters).unwrap_or(u32::MAX),
        bans_max: config.limits.bans,
        ..StoreOptions::default()
    };
    let store = match &around.preamble {
        None => Store::new(options),
        Some(preamble) => Store::revived(options, preamble),
    };
    let policy = policy_in(config, (&backends, &store), around, None)?;
    let counters = Counters::new();
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
            size: config.cache.size,
            max_restarts: config.policy.max_restarts,
            max_retries: config.policy.max_retries,
            hit_for_miss: config.cache.hit_for_miss,
            coalesce_wait: config.cache.coalesce_wait,
            object_size_max: config.cache.object_size,
            transit_window: config.limits.transit_size,
            purgers,
            invalidation: invalidation(config),
            jitter: Jitter { percent: config.cache.jitter, random: Environment::default().random },
            ranges_max: config.limits.ranges,
            status_key: config.cache.status_key,
        },
        policy: ArcSwap::new(policy),
        access_log,
        witness: around.witness.clone(),
    }))
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

struct BackendHealth(Arc<Backends>);

impl Health for BackendHealth {
    fn healthy(&self, name: &str) -> bool {
        self.0.is_healthy(Some(name))
    }
}

struct FromStore(Arc<Store>);

impl Invalidate for FromStore {
    fn purge_tags(&self, tags: &[&[u8]], soft: bool, now: Time) -> u64 {
        self.0.purge_tags(tags, if soft { PurgeMode::Soft } else { PurgeMode::Hard }, now)
    }

    fn ban(&self, expression: &str, now: Time) -> Result<(), String> {
        let parsed = expression.parse::<BanExpr>();
        parsed.and_then(|ban| self.0.ban(ban, now)).map_err(|error: BanError| error.to_string())
    }
}

/// The world that a policy of this configuration is compiled against.
///
/// Without `running` it is only checked: every backend is healthy, and nothing is stored.
pub(crate) fn environment(
    config: &Config,
    running: Option<(&Arc<Backends>, &Arc<Store>)>,
) -> Result<Environment, AssembleError> {
    let mut acls = std::collections::BTreeMap::new();
    for name in config.acls.keys() {
        acls.insert(name.clone(), acl(config, name)?);
    }
    let limits = &config.policy.limits;
    let mut environment = Environment {
        acls,
        backends: config.backends.iter().map(|backend| backend.name.clone()).collect(),
        directors: config.directors.iter().map(|director| director.name.clone()).collect(),
        // The tunnel and the switch between policies are not in this version; a policy that wants them is told so at load.
        unavailable: vec![ActionKind::Pipe, ActionKind::Policy],
        limits: Limits {
            operations: limits.operations,
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
        geo: config.policy.geoip.as_deref().map(Geo::open).transpose()?.map(Arc::new),
        ..Environment::default()
    };
    if let Some((backends, store)) = running {
        environment.health = Arc::new(BackendHealth(Arc::clone(backends)));
        environment.invalidate = Arc::new(FromStore(Arc::clone(store)));
    }
    Ok(environment)
}

/// The configured policy, checked and compiled; the built-in one when no file is named. What the one `before` it has
/// counted of `throttle::` goes on.
pub(crate) fn policy(
    config: &Config,
    running: (&Arc<Backends>, &Arc<Store>),
    before: Option<&Policy>,
) -> Result<Arc<Policy>, AssembleError> {
    policy_in(config, running, &Surroundings::default(), before)
}

pub(crate) fn policy_in(
    config: &Config,
    running: (&Arc<Backends>, &Arc<Store>),
    around: &Surroundings,
    before: Option<&Policy>,
) -> Result<Arc<Policy>, AssembleError> {
    if around.policy.is_none() && config.policy.file.is_none() {
        return Ok(Policy::builtin());
    }
    let mut environment = environment(config, Some(running))?;
    environment.coverage.clone_from(&around.coverage);
    if let Some(random) = &around.random {
        environment.random = Arc::clone(random);
    }
    if let Some(before) = before {
        environment.throttle = Arc::clone(before.throttle());
    }
    let environment = Arc::new(environment);
    let loaded = match (&around.policy, &config.policy.file) {
        (Some((name, text)), _) => Policy::compile(name, text, environment),
        (None, Some(file)) => Policy::load(file, environment),
        (None, None) => return Ok(Policy::builtin()),
    };
    loaded.map_err(AssembleError::Policy)
}

/// Checks the policy of a configuration without running anything, for `copal check`.
///
/// # Errors
/// What is wrong with it.
pub fn check_policy(config: &Config) -> Result<(), AssembleError> {
    match &config.policy.file {
        None => Ok(()),
        Some(file) => Policy::load(file, Arc::new(environment(config, None)?)).map(drop).map_err(AssembleError::Policy),
    }
}

/// The limits of one listener.
pub(crate) fn front_limits(config: &Config, listen: &copal_config::Listen) -> Arc<FrontLimits> {
    Arc::new(FrontLimits {
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
    })
}

/// How long the access log may take to write what it holds when the process ends.
pub(crate) const LOG_FLUSH: Duration = Duration::from_secs(2);
