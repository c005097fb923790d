//! Purging and banning on the owner's word: from the admin API, without a client and its address; and on a client's.

use crate::core::Core;
use crate::steps::hash;
use crate::txn::Txn;
use copal_backend::Pool;
use copal_observe::counters::Counter;
use copal_policy::Hook;
use copal_store::{BanExpr, PurgeMode};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// Purges what carries any of these tags; how many objects there were.
pub fn purge_tags<N: AsRef<[u8]>>(core: &Core, tags: &[N], mode: PurgeMode) -> u64 {
    let count = core.store.purge_tags(tags, mode, core.clock.now());
    core.counters.inc(Counter::Purges);
    core.counters.add(Counter::PurgedObjects, count);
    count
}

/// Bans what the expression is about.
///
/// # Errors
/// What is wrong with it, or that there are too many; in words for people.
pub fn ban(core: &Core, expression: &str) -> Result<(), String> {
    let expression: BanExpr = expression.parse().map_err(|error: copal_store::BanError| error.to_string())?;
    core.store.ban(expression, core.clock.now()).map_err(|error| error.to_string())
}

/// What a purge has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgedUrl {
    /// How many objects it was about.
    pub count: u64,
    /// The parts of the key under which they were looked for.
    pub key: Vec<String>,
}

/// Purges all variants of an absolute URL ("http://host/path?query"), or of "host/path". The policy's recv and hash hooks
/// see a PURGE of it with these headers (`Name: value`), so that the key is the one that visitors' requests get; what recv
/// returns is not asked for.
///
/// # Errors
/// When the URL has no host or path, a header is none, or the policy fails on it; in words for people.
pub fn purge_url(core: &Arc<Core>, url: &str, headers: &[String], mode: PurgeMode) -> Result<PurgedUrl, String> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(url);
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    if host.is_empty() || url.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(format!("`{url}` names no host: use http://host/path"));
    }
    let worker = crate::core::Worker { core: Arc::clone(core), pool: Arc::new(Pool::default()) };
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut txn = Txn::new(core, nobody, nobody, Arc::from(""));
    let req = txn.request_mut();
    req.method = http::Method::from_bytes(b"PURGE").map_err(|e| e.to_string())?;
    req.url = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    req.headers.set("Host", host).map_err(|e| format!("`{host}`: {e}"))?;
    let mut named_host = false;
    for line in headers {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{}` is no header line: use 'Name: value'", line.escape_debug()))?;
        // The first Host replaces the URL's.
        let replaces = name.eq_ignore_ascii_case("host") && !std::mem::replace(&mut named_host, true);
        let done = if replaces { req.headers.set(name, value) } else { req.headers.append(name, value) };
        done.map_err(|e| format!("`{}`: {e}", line.escape_debug()))?;
    }
    txn.begin(&worker);
    txn.hook(&worker, Hook::Recv).map_err(|fault| fault.to_string())?;
    hash::make_key(&worker, &mut txn).map_err(|fault| fault.to_string())?;
    let key = txn.scene().key.parts().map(|part| String::from_utf8_lossy(part).into_owned()).collect();
    Ok(PurgedUrl { count: core.store.purge(txn.key.as_bytes(), txn.hash, mode, txn.now), key })
}
