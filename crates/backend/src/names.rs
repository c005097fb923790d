//! RFC 1035, RFC 2782: one question to the DNS, by hickory-resolver: the addresses of a host, or of a service and its hosts.
//!
//! `/etc/hosts` comes first, then the name servers of the owner or of `/etc/resolv.conf`. Both files are read anew for each
//! question: names are asked for once in their TTL, and a change of either shows without a restart. Where there is no
//! `/etc/resolv.conf` the C library is asked, which tells no TTL.

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver, system_conf};
use std::net::SocketAddr;
use std::time::Duration;

/// Most addresses of a name that are used: more than any name has that fits the answer of a usual server.
pub(crate) const ADDRESSES_MAX: usize = 64;
/// Most hosts of a service that are looked up.
const TARGETS_MAX: usize = 32;
/// How long an answer of the C library counts as fresh: HAProxy's `hold valid`.
const NO_TTL: Duration = Duration::from_secs(10);

/// How names become addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveOptions {
    /// The name servers; those of `/etc/resolv.conf` when empty.
    pub nameservers: Vec<SocketAddr>,
    /// A name is not asked for again before that, however short its TTL.
    pub min_ttl: Duration,
    /// A name is asked for again after that, however long its TTL.
    pub max_ttl: Duration,
    /// How long one question may take; it is asked twice.
    pub timeout: Duration,
}

impl Default for ResolveOptions {
    fn default() -> Self {
        ResolveOptions {
            nameservers: Vec::new(),
            min_ttl: Duration::from_secs(1),
            max_ttl: Duration::from_secs(3600),
            timeout: Duration::from_secs(2),
        }
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// A host, and the port that goes with it.
    Host(String, u16),
    /// A service, such as `_http._tcp.example.com`.
    Service(String),
}

/// One address, and how a service wants it used; all the same for those of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Found {
    /// The lowest that answers is used (RFC 2782).
    pub(crate) priority: u16,
    /// The share among those of one priority.
    pub(crate) weight: u16,
    pub(crate) addr: SocketAddr,
}

/// The addresses, none of them twice, and for how long they hold.
pub(crate) async fn ask(question: &Question, options: &ResolveOptions) -> Result<(Vec<Found>, Duration), String> {
    let settings = options.clone();
    let built = tokio::task::spawn_blocking(move || resolver(&settings)).await.map_err(|e| e.to_string())?;
    let (mut found, ttl) = match (built, question) {
        (Some(resolver), Question::Host(host, port)) => host_addresses(&resolver?, host, *port).await?,
        (Some(resolver), Question::Service(name)) => service_addresses(&resolver?, name).await?,
        (None, Question::Host(host, port)) => {
            let all = tokio::net::lookup_host((host.as_str(), *port)).await.map_err(|e| e.to_string())?;
            (all.map(|addr| Found { priority: 0, weight: 1, addr }).collect(), NO_TTL)
        }
        (None, Question::Service(_)) => return Err("no /etc/resolv.conf: set resolver.nameservers".to_owned()),
    };
    // Servers turn their answers round; what counts is whether the set has changed.
    found.sort_unstable();
    found.dedup();
    found.truncate(ADDRESSES_MAX);
    match found.is_empty() {
        true => Err("no address".to_owned()),
        false => Ok((found, ttl.clamp(options.min_ttl, options.max_ttl))),
    }
}

/// None where the system has no settings of its own and the owner has given none.
fn resolver(options: &ResolveOptions) -> Option<Result<TokioResolver, String>> {
    let (config, mut opts) = if options.nameservers.is_empty() {
        system_conf::read_system_conf().ok().filter(|(config, _)| !config.name_servers().is_empty())?
    } else {
        let servers = options.nameservers.iter().map(|addr| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = addr.port();
                connection
            });
            NameServerConfig::new(addr.ip(), true, connections.to_vec())
        });
        (ResolverConfig::from_parts(None, Vec::new(), servers.collect()), ResolverOpts::default())
    };
    opts.timeout = options.timeout;
    opts.attempts = 1;
    // What is remembered, and for how long, is `resolve`'s.
    opts.cache_size = 0;
    opts.ip_strategy = hickory_resolver::config::LookupIpStrategy::Ipv4AndIpv6;
    let built = Resolver::builder_with_config(config, TokioRuntimeProvider::default()).with_options(opts).build();
    Some(built.map_err(|e| e.to_string()))
}

async fn host_addresses(resolver: &TokioResolver, host: &str, port: u16) -> Result<(Vec<Found>, Duration), String> {
    let answer = resolver.lookup_ip(host).await.map_err(|e| reason(&e))?;
    let ttl = answer.as_lookup().answers().iter().map(|record| record.ttl).min().unwrap_or(0);
    let found = answer.iter().map(|ip| Found { priority: 0, weight: 1, addr: SocketAddr::new(ip, port) });
    Ok((found.collect(), Duration::from_secs(u64::from(ttl))))
}

async fn service_addresses(resolver: &TokioResolver, name: &str) -> Result<(Vec<Found>, Duration), String> {
    let answer = resolver.lookup(name, RecordType::SRV).await.map_err(|e| reason(&e))?;
    let (mut found, mut ttl, mut last) = (Vec::new(), Duration::MAX, None);
    for record in answer.answers().iter().take(TARGETS_MAX) {
        let RData::SRV(srv) = &record.data else { continue };
        ttl = ttl.min(Duration::from_secs(u64::from(record.ttl)));
        // RFC 2782: a target of "." says that there is no such service here.
        if srv.target.is_root() {
            continue;
        }
        match host_addresses(resolver, &srv.target.to_utf8(), srv.port).await {
            Ok((addresses, its_ttl)) => {
                ttl = ttl.min(its_ttl);
                found.extend(addresses.into_iter().map(|f| Found { priority: srv.priority, weight: srv.weight, ..f }));
            }
            Err(why) => last = Some(format!("{}: {why}", srv.target)),
        }
    }
    // Hosts that do not resolve are as if they were not there, while others are.
    match last.filter(|_| found.is_empty()) {
        Some(why) => Err(why),
        None => Ok((found, ttl)),
    }
}

fn reason(e: &NetError) -> String {
    match e {
        _ if e.is_nx_domain() => "no such name".to_owned(),
        _ if e.is_no_records_found() => "no address".to_owned(),
        NetError::Timeout => "no answer from the name servers".to_owned(),
        other => other.to_string(),
    }
}
