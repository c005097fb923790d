//! Connections to origins: opened, kept while idle, used again. One pool per worker thread, on pingora's connector.
//!
//! A kept connection belongs to its origin (by name) and address, so two origins at one address do not share. The pool
//! looks at a connection before it hands it out: one that was closed, or on which the origin has talked, is thrown away.

use crate::connection::Connection;
use crate::dial::Dial;
use crate::fault::{Fault, FaultKind, Phase};
use crate::origin::Origin;
use crate::resolve::{Endpoint, Unresolved};
use crate::tally::Tally;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::upstreams::peer::{HttpPeer, Peer, Tracer, Tracing};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

/// Idle connections that one pool keeps over all origins; beyond, the least recently used is closed. Enough for every
/// worker to hold its share of some thousand client connections' misses, at a few KiB each.
pub const IDLE_MAX: usize = 1024;

/// The connections of one worker thread. Clones share it.
///
/// Use it on the thread whose runtime opened the connections: a socket's readiness is reported there.
#[derive(Clone)]
pub struct Pool(Way);

/// How connections are opened.
#[derive(Clone)]
enum Way {
    Sockets(Arc<TransportConnector>),
    /// In memory, for `copal test`; none is kept.
    Memory(Arc<dyn Dial>),
}

/// Which connection to take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Take {
    /// A kept one, or a new one when there is none.
    Kept,
    /// A new one.
    New,
}

impl Default for Pool {
    fn default() -> Self {
        Pool::new(IDLE_MAX)
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pool")
    }
}

impl Pool {
    /// A pool that keeps up to `idle_max` unused connections (see [`IDLE_MAX`]).
    #[must_use]
    pub fn new(idle_max: usize) -> Self {
        Pool(Way::Sockets(Arc::new(TransportConnector::new(Some(ConnectorOptions::new(idle_max.max(1)))))))
    }

    /// A pool that opens connections through `dial` and keeps none.
    #[must_use]
    pub fn dialling(dial: Arc<dyn Dial>) -> Self {
        Pool(Way::Memory(dial))
    }

    /// A connection to the origin; looking its name up and connecting take at most `within`.
    pub(crate) async fn take(&self, origin: &Arc<Origin>, within: Duration, how: Take) -> Result<Connection, Fault> {
        let sockets = match &self.0 {
            Way::Sockets(connector) => connector,
            Way::Memory(dial) => return from_memory(&**dial, origin, within).await,
        };
        let deadline = Instant::now() + within;
        let endpoints = origin.resolver.endpoints(within).await.map_err(|why| unresolved(origin, why))?;
        if how == Take::Kept {
            for endpoint in endpoints.iter() {
                let Ok(peer) = peer(origin, endpoint) else { continue };
                if let Some(stream) = sockets.reused_stream(&peer).await {
                    origin.tally.connections_reused.fetch_add(1, Relaxed);
                    return Ok(Connection::new(stream, peer.reuse_hash(), true));
                }
            }
        }
        let mut last = Fault::early(Phase::Connect, FaultKind::Unroutable, Some(origin.name()), "no address");
        for (i, endpoint) in endpoints.iter().enumerate() {
            // Each address has its share of what time is left, so that one that swallows packets leaves some.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(endpoints.len() - i).unwrap_or(1);
            match connect(sockets, origin, endpoint, share).await {
                Ok(connection) => return Ok(connection),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// Keeps the connection for another request. The message on it must be over, in both directions.
    pub(crate) fn keep(&self, connection: Connection, idle_timeout: Duration) {
        if let Way::Sockets(connector) = &self.0 {
            let (stream, key) = connection.into_stream();
            connector.release_stream(stream, key, Some(idle_timeout));
        }
    }
}

async fn connect(
    sockets: &TransportConnector,
    origin: &Arc<Origin>,
    to: &Endpoint,
    within: Duration,
) -> Result<Connection, Fault> {
    let fault = |kind, why: &str| Fault::early(Phase::Connect, kind, Some(origin.name()), format!("{to}: {why}"));
    let peer = peer(origin, to).map_err(|why| fault(FaultKind::Unroutable, &why))?;
    match tokio::time::timeout(within, sockets.new_stream(&peer)).await {
        Err(_) => Err(fault(FaultKind::Timeout, &format!("not connected within {within:?}"))),
        Ok(Ok(stream)) => Ok(Connection::new(stream, peer.reuse_hash(), false)),
        Ok(Err(e)) => {
            let why = e.cause.as_ref().map_or_else(|| e.etype().as_str().to_owned(), ToString::to_string);
            Err(fault(connect_kind(e.etype()), &why))
        }
    }
}

async fn from_memory(dial: &dyn Dial, origin: &Origin, within: Duration) -> Result<Connection, Fault> {
    let fault = |kind, why: String| Fault::early(Phase::Connect, kind, Some(origin.name()), why);
    match tokio::time::timeout(within, dial.dial(origin.name())).await {
        Err(_) => Err(fault(FaultKind::Timeout, format!("not connected within {within:?}"))),
        Ok(Err(e)) => Err(fault(FaultKind::Refused, e.to_string())),
        Ok(Ok(wire)) => {
            origin.tally.connections_opened.fetch_add(1, Relaxed);
            Ok(Connection::new(Box::new(wire), 0, false))
        }
    }
}

fn unresolved(origin: &Origin, why: Unresolved) -> Fault {
    let address = &origin.options().address;
    let (kind, detail) = match why {
        Unresolved::Timeout => (FaultKind::Timeout, format!("{address}: no answer from the resolver")),
        Unresolved::Failed(e) => (FaultKind::Unresolved, format!("{address}: {e}")),
    };
    Fault::early(Phase::Resolve, kind, Some(origin.name()), detail)
}

fn connect_kind(e: &pingora_core::ErrorType) -> FaultKind {
    use pingora_core::ErrorType as E;
    match e {
        E::ConnectTimedout => FaultKind::Timeout,
        E::ConnectNoRoute => FaultKind::Unroutable,
        // Descriptors used up, no permission for the socket's path: the system said no to us, not the origin.
        E::InternalError | E::SocketError | E::BindError => FaultKind::Local,
        // A Unix socket that does not exist is among these: nobody listens.
        _ => FaultKind::Refused,
    }
}

/// The pool's key and pingora's instructions for one address. Timeouts are ours, around its calls.
fn peer(origin: &Origin, endpoint: &Endpoint) -> Result<HttpPeer, String> {
    let mut peer = match endpoint {
        Endpoint::Inet(addr) => HttpPeer::new(addr, false, String::new()),
        Endpoint::Unix(path) => {
            let path = path.to_str().ok_or("the path is not UTF-8")?;
            HttpPeer::new_uds(path, false, String::new()).map_err(|e| e.to_string())?
        }
    };
    let mut hasher = std::hash::DefaultHasher::new();
    origin.name().hash(&mut hasher);
    peer.group_key = hasher.finish();
    peer.options.tracer = Some(Tracer(Box::new(OpenCount(origin.tally.clone()))));
    Ok(peer)
}

/// Counts sockets as they open and close, wherever they are dropped: in use, idle in the pool, evicted.
#[derive(Debug)]
struct OpenCount(Arc<Tally>);

impl Tracing for OpenCount {
    fn on_connected(&self) {
        self.0.connections_opened.fetch_add(1, Relaxed);
        self.0.connections_open.fetch_add(1, Relaxed);
    }
    fn on_disconnected(&self) {
        self.0.connections_open.fetch_sub(1, Relaxed);
    }
    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(OpenCount(self.0.clone()))
    }
}
