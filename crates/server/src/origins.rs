//! From the configuration to origins and directors.

use crate::assemble::AssembleError;
use copal_backend::{
    AdaptiveOptions, Backends, BudgetOptions, Chance, DirectorKind, DirectorOptions, EjectOptions, Http2, HttpProbe,
    MemberOptions, OriginOptions, Pattern, ProbeKind, ProbeOptions, ProxyProtocol, ResolveOptions, Route,
    SessionOptions, TlsOptions, TlsVersion,
};
use copal_config::Config;
use std::sync::Arc;

pub(crate) fn backends(config: &Config, chance: &Chance) -> Result<Arc<Backends>, AssembleError> {
    let origins = config.backends.iter().map(|backend| origin(backend, &config.resolver)).collect::<Result<_, _>>()?;
    let directors = config.directors.iter().map(director).collect::<Result<_, _>>()?;
    let budget = BudgetOptions { share_permille: config.retry.budget_permille, per_second: config.retry.per_second };
    let backends = Backends::with_chance(origins, directors, chance)?.with_retry_budget(budget);
    let route = |route: &copal_config::Route| Route {
        host: route.host.clone(),
        path: route.path.clone(),
        to: route.to.clone(),
    };
    let backends = backends.with_routes(config.routes.iter().map(route).collect())?;
    match &config.default_target {
        Some(name) => Ok(backends.with_default(name)?),
        None => Ok(backends),
    }
}

fn origin(backend: &copal_config::Backend, resolver: &copal_config::Resolver) -> Result<OriginOptions, AssembleError> {
    if backend.tls.as_ref().is_some_and(|tls| !tls.verify) {
        tracing::warn!(
            target: "copal",
            backend = backend.name,
            "tls.verify is false: the backend's certificate is not checked, and anybody on the way can be the backend"
        );
    }
    Ok(OriginOptions {
        name: backend.name.clone(),
        address: address(&backend.address),
        resolve: ResolveOptions {
            nameservers: resolver.nameservers.clone(),
            min_ttl: resolver.min_ttl,
            max_ttl: resolver.max_ttl,
            timeout: resolver.timeout,
        },
        total_timeout: backend.total_timeout,
        tls: backend.tls.as_ref().map(tls),
        http2: match backend.http2 {
            copal_config::Http2::Auto => Http2::Auto,
            copal_config::Http2::Off => Http2::Off,
            copal_config::Http2::Only => Http2::Only,
        },
        proxy_protocol: backend.proxy_protocol.map(|version| match version {
            copal_config::ProxyProtocol::V1 => ProxyProtocol::V1,
            copal_config::ProxyProtocol::V2 => ProxyProtocol::V2,
        }),
        tcp_keepalive: backend.tcp_keepalive,
        connect_timeout: backend.connect_timeout,
        first_byte_timeout: backend.first_byte_timeout,
        between_bytes_timeout: backend.between_bytes_timeout,
        max_connections: backend.max_connections,
        adaptive: backend.adaptive.as_ref().map(|adaptive| AdaptiveOptions {
            min: adaptive.min,
            initial: adaptive.initial,
            tolerance_permille: adaptive.tolerance_permille,
        }),
        wait_limit: backend.wait_limit,
        wait_timeout: backend.wait_timeout,
        idle_timeout: backend.idle_timeout,
        idle_connections: backend.idle_connections,
        host_header: backend.host_header.clone(),
        probe: backend.probe.as_ref().map(|p| probe(&backend.name, p)).transpose()?,
        slow_start: backend.slow_start,
        eject: backend.eject.as_ref().map(|eject| EjectOptions {
            faults: eject.faults,
            fault_rate_permille: eject.fault_rate_permille,
            requests: eject.requests,
            window: eject.window,
            time: eject.time,
            max_time: eject.max_time,
        }),
        saint_mode: backend.saint_mode,
    })
}

fn tls(tls: &copal_config::BackendTls) -> TlsOptions {
    TlsOptions {
        sni: tls.sni.clone(),
        ca_file: tls.ca_file.clone(),
        verify: tls.verify,
        client: tls.client.clone(),
        min_version: if tls.only_tls13 { TlsVersion::Tls13 } else { TlsVersion::Tls12 },
    }
}

fn probe(backend: &str, probe: &copal_config::Probe) -> Result<ProbeOptions, AssembleError> {
    let kind = match &probe.http {
        None => ProbeKind::Tcp,
        Some(http) => {
            let pattern = |text: &String| {
                Pattern::new(text).map_err(|why| AssembleError::Setting(format!("backend.{backend}.probe: {why}")))
            };
            ProbeKind::Http(HttpProbe {
                method: http.method.clone(),
                path: http.path.clone(),
                host: http.host.clone(),
                request: http.request.clone(),
                expected_status: http.expected_status.clone(),
                expected_body: http.expected_body.as_ref().map(pattern).transpose()?,
            })
        }
    };
    Ok(ProbeOptions {
        kind,
        interval: probe.interval,
        jitter_permille: probe.jitter_permille,
        timeout: probe.timeout,
        window: probe.window,
        threshold: probe.threshold,
        initial: probe.initial,
    })
}

fn director(director: &copal_config::Director) -> Result<DirectorOptions, AssembleError> {
    let member = |member: &copal_config::Member| MemberOptions {
        name: member.backend.clone(),
        weight: member.weight,
        when: member.when.as_ref().map(|when| copal_backend::When { what: by(&when.what), value: when.value.clone() }),
    };
    Ok(DirectorOptions {
        name: director.name.clone(),
        kind: kind(&director.kind),
        members: director.members.iter().map(member).collect(),
        session: director.cookie.as_ref().map(|cookie| session(&director.name, cookie)).transpose()?,
        ejected_max_permille: director.max_ejected_permille,
    })
}

fn kind(kind: &copal_config::DirectorKind) -> DirectorKind {
    use copal_config::DirectorKind as Kind;
    match kind {
        Kind::RoundRobin => DirectorKind::RoundRobin,
        Kind::Random => DirectorKind::Random,
        Kind::Fallback { sticky } => DirectorKind::Fallback { sticky: *sticky },
        Kind::Hash { by: what } => DirectorKind::Hash { by: by(what) },
        Kind::Shard { by: what, replicas, warmup_permille } => {
            DirectorKind::Shard { by: by(what), replicas: *replicas, warmup_permille: *warmup_permille }
        }
        Kind::LeastConnections => DirectorKind::LeastConnections,
        Kind::PeakEwma { decay } => DirectorKind::PeakEwma { decay: *decay },
        Kind::Split { by: what } => DirectorKind::Split { by: by(what) },
    }
}

fn by(by: &copal_config::By) -> copal_backend::By {
    match by {
        copal_config::By::Key => copal_backend::By::Key,
        copal_config::By::Url => copal_backend::By::Url,
        copal_config::By::Client => copal_backend::By::Client,
        copal_config::By::Header(name) => copal_backend::By::Header(name.clone()),
        copal_config::By::Cookie(name) => copal_backend::By::Cookie(name.clone()),
    }
}

fn session(director: &str, cookie: &copal_config::Cookie) -> Result<SessionOptions, AssembleError> {
    let wrong = |why: String| AssembleError::Setting(format!("director.{director}.cookie.secret_file: {why}"));
    let secret = match &cookie.secret_file {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file).map_err(|why| wrong(format!("{}: {why}", file.display())))?;
            // That it is long enough the configuration has checked.
            let line = text.lines().next().unwrap_or_default().trim();
            Some(line.as_bytes().to_vec())
        }
    };
    let (name, max_age, secure) = (cookie.name.clone(), cookie.max_age, cookie.secure);
    Ok(SessionOptions { name, max_age, secure, secret })
}

fn address(address: &copal_config::Address) -> copal_backend::Address {
    match address {
        copal_config::Address::Tcp(addr) => {
            copal_backend::Address::Tcp { host: addr.ip().to_string(), port: addr.port() }
        }
        copal_config::Address::Host { host, port } | copal_config::Address::Https { host, port } => {
            copal_backend::Address::Tcp { host: host.clone(), port: *port }
        }
        copal_config::Address::Srv(name) => copal_backend::Address::Srv(name.clone()),
        copal_config::Address::Unix(path) => copal_backend::Address::Unix(path.clone()),
    }
}

/// Looks all names up, where the owner wants the start to fail when one has no address.
///
/// # Errors
/// The names that have none, and why.
pub(crate) fn must_resolve(config: &Config, backends: &Backends) -> Result<(), AssembleError> {
    if !config.resolver.must_resolve {
        return Ok(());
    }
    let wrong = |why: String| AssembleError::Setting(format!("resolver.must_resolve: {why}"));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| wrong(e.to_string()))?;
    let failed = runtime.block_on(async {
        let mut failed = Vec::new();
        for origin in backends.origins() {
            if let Err(why) = origin.resolve().await {
                failed.push(format!("backend {} at {}: {why}", origin.name(), origin.options().address));
            }
        }
        failed
    });
    if failed.is_empty() { Ok(()) } else { Err(wrong(failed.join("; "))) }
}
