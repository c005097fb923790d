//! From the configuration to origins and directors.

use crate::assemble::AssembleError;
use copal_backend::{
    Backends, DirectorKind, DirectorOptions, EjectOptions, HttpProbe, MemberOptions, OriginOptions, Pattern, ProbeKind,
    ProbeOptions, SessionOptions,
};
use copal_config::Config;
use std::sync::Arc;

pub(crate) fn backends(config: &Config) -> Result<Arc<Backends>, AssembleError> {
    let origins = config.backends.iter().map(origin).collect::<Result<_, _>>()?;
    let directors = config.directors.iter().map(director).collect::<Result<_, _>>()?;
    let backends = Backends::new(origins, directors)?;
    match &config.default_target {
        Some(name) => Ok(backends.with_default(name)?),
        None => Ok(backends),
    }
}

fn origin(backend: &copal_config::Backend) -> Result<OriginOptions, AssembleError> {
    Ok(OriginOptions {
        name: backend.name.clone(),
        address: address(&backend.address),
        connect_timeout: backend.connect_timeout,
        first_byte_timeout: backend.first_byte_timeout,
        between_bytes_timeout: backend.between_bytes_timeout,
        max_connections: backend.max_connections,
        wait_limit: backend.wait_limit,
        wait_timeout: backend.wait_timeout,
        idle_timeout: backend.idle_timeout,
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
        Kind::PeakEwma => DirectorKind::PeakEwma,
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
        copal_config::Address::Host { host, port } => copal_backend::Address::Tcp { host: host.clone(), port: *port },
        copal_config::Address::Unix(path) => copal_backend::Address::Unix(path.clone()),
    }
}
