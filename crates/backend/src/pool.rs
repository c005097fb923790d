//! Connections to origins: opened, kept while idle, used again. One pool per worker thread, on pingora's connector.
//!
//! A kept connection belongs to its origin (by name) and address, so two origins at one address do not share; and to its client
//! where the PROXY protocol has told the origin of one. The pool
//! looks at a connection before it hands it out: one that was closed, or on which the origin has talked, is thrown away.

use crate::connect::{For, dial};
use crate::connection::Connection;
use crate::dial::Dial;
use crate::fault::{Fault, FaultKind, Phase};
use crate::http2::{Sessions, Slot};
use crate::origin::Origin;
use crate::proxy_protocol::Ends;
use crate::resolve::{Endpoint, Unresolved};
use crate::tls::Http2;
use pingora_core::connectors::{ConnectorOptions, TransportConnector};
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddr;
use pingora_core::upstreams::peer::Peer;
use std::hash::{Hash, Hasher};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

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
    Sockets(Arc<Sockets>),
    /// In memory, for `copal test`; none is kept.
    Memory(Arc<dyn Dial>),
}

struct Sockets {
    /// Idle connections in HTTP/1.1.
    kept: TransportConnector,
    http2: Sessions,
}

/// What a request goes out on.
pub(crate) enum Line {
    Http1(Connection),
    Http2(Slot),
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
        let kept = TransportConnector::new(Some(ConnectorOptions::new(idle_max.max(1))));
        Pool(Way::Sockets(Arc::new(Sockets { kept, http2: Sessions::default() })))
    }

    /// A pool that opens connections through `dial` and keeps none.
    #[must_use]
    pub fn dialling(dial: Arc<dyn Dial>) -> Self {
        Pool(Way::Memory(dial))
    }

    /// A connection to the origin; looking its name up, connecting and agreeing on TLS take at most `within`. `ends` are those
    /// of the client for whom it is, which an origin with `proxy_protocol` is told.
    pub(crate) async fn take(
        &self,
        origin: &Arc<Origin>,
        within: Duration,
        how: Take,
        ends: Option<Ends>,
    ) -> Result<Line, Fault> {
        let sockets = match &self.0 {
            Way::Sockets(sockets) => sockets,
            Way::Memory(dial) => return from_memory(&**dial, origin, within).await.map(Line::Http1),
        };
        let deadline = Instant::now() + within;
        let endpoints = origin.resolver.endpoints(within).await.map_err(|why| unresolved(origin, why))?;
        let ends = ends.filter(|_| origin.options().proxy_protocol.is_some());
        let key = |endpoint: &Endpoint| key(origin, endpoint, ends);
        if origin.may_speak_http2() {
            return sockets.take_http2(origin, &endpoints, deadline, how, ends).await;
        }
        if how == Take::Kept
            && let Some(first) = endpoints.first()
            && let Some(connection) = sockets.kept(origin, key(first)).await
        {
            return Ok(Line::Http1(connection));
        }
        let dialled = dial(origin, &endpoints, deadline, ends, For::Requests).await?;
        Ok(Line::Http1(Connection::new(Box::new(dialled.socket), key(&dialled.endpoint), false)))
    }

    /// A new connection to the origin, in HTTP/1.1, for a tunnel.
    pub(crate) async fn take_for_tunnel(
        &self,
        origin: &Arc<Origin>,
        within: Duration,
        ends: Option<Ends>,
    ) -> Result<Connection, Fault> {
        if let Way::Memory(dial) = &self.0 {
            return from_memory(&**dial, origin, within).await;
        }
        let deadline = Instant::now() + within;
        let endpoints = origin.resolver.endpoints(within).await.map_err(|why| unresolved(origin, why))?;
        let ends = ends.filter(|_| origin.options().proxy_protocol.is_some());
        let dialled = dial(origin, &endpoints, deadline, ends, For::Tunnel).await?;
        if dialled.http2 {
            let why = "the backend speaks HTTP/2 only, which carries no tunnels: http2 = \"auto\" lets them through";
            return Err(Fault::early(Phase::Connect, FaultKind::Upgrade, Some(origin.name()), why));
        }
        Ok(Connection::new(Box::new(dialled.socket), key(origin, &dialled.endpoint, ends), false))
    }

    /// Keeps the connection for another request, unless its origin has as many idle ones as it may. The message on it must be
    /// over, in both directions.
    pub(crate) fn keep(&self, connection: Connection, origin: &Origin) {
        if let Way::Sockets(sockets) = &self.0 {
            connection.set_idle(true);
            let idle = origin.tally.connections_idle.load(Relaxed);
            if origin.options().idle_connections.is_some_and(|most| idle > u64::from(most)) {
                // Dropped, and so closed.
                return;
            }
            let (stream, key) = connection.into_stream();
            sockets.kept.release_stream(stream, key, Some(origin.options().idle_timeout));
        }
    }
}

impl Sockets {
    async fn kept(&self, origin: &Origin, key: u64) -> Option<Connection> {
        let stream = self.kept.reused_stream(&Key(key)).await?;
        origin.tally.connections_reused.fetch_add(1, Relaxed);
        let connection = Connection::new(stream, key, true);
        connection.set_idle(false);
        Some(connection)
    }

    /// Where HTTP/2 may be spoken: a stream of a connection that is there, or a new connection. One request connects and the
    /// others wait for what it finds out; an origin that has chosen HTTP/1.1 is not waited for.
    async fn take_http2(
        &self,
        origin: &Arc<Origin>,
        endpoints: &[Endpoint],
        deadline: Instant,
        how: Take,
        ends: Option<Ends>,
    ) -> Result<Line, Fault> {
        let late = || Fault::early(Phase::Connect, FaultKind::Timeout, Some(origin.name()), "no connection in time");
        let Some(first) = endpoints.first() else {
            return Err(Fault::early(Phase::Connect, FaultKind::Unroutable, Some(origin.name()), "no address"));
        };
        let key_of_first = key(origin, first, ends);
        let group = self.http2.group(key_of_first);
        let taken = |slot: Slot| {
            origin.tally.connections_reused.fetch_add(1, Relaxed);
            Ok(Line::Http2(slot))
        };
        if let Some(slot) = group.free() {
            return taken(slot);
        }
        let only = origin.options().http2 == Http2::Only;
        if how == Take::Kept
            && !only
            && let Some(connection) = self.kept(origin, key_of_first).await
        {
            return Ok(Line::Http1(connection));
        }
        let mut turn = None;
        if group.speaks_http2() != Some(false) {
            // The semaphore is never closed.
            turn = timeout_at(deadline, group.turn.acquire()).await.map_err(|_| late())?.ok();
            if let Some(slot) = group.free() {
                return taken(slot);
            }
            if group.speaks_http2() == Some(false) {
                turn = None;
            }
        }
        let dialled = dial(origin, endpoints, deadline, ends, For::Requests).await?;
        let key = key(origin, &dialled.endpoint, ends);
        if !dialled.http2 {
            group.heard_http1();
            return Ok(Line::Http1(Connection::new(Box::new(dialled.socket), key, false)));
        }
        let group = self.http2.group(key);
        let begun = group.begin(dialled.socket, origin.options().idle_timeout, &origin.tally);
        let slot = timeout_at(deadline, begun).await.map_err(|_| late())?;
        drop(turn);
        slot.map(Line::Http2)
            .map_err(|e| Fault::early(Phase::Connect, FaultKind::Closed, Some(origin.name()), e.to_string()))
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

/// Whose a kept connection is: an origin's (by name), at one address, and where it stands for a client that client's.
fn key(origin: &Origin, endpoint: &Endpoint, ends: Option<Ends>) -> u64 {
    let mut hasher = std::hash::DefaultHasher::new();
    (origin.name(), endpoint, ends).hash(&mut hasher);
    hasher.finish()
}

/// What pingora's pool is asked with: a key, and nothing that it could connect to by itself.
#[derive(Clone)]
struct Key(u64);

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0)
    }
}

impl Peer for Key {
    fn address(&self) -> &PingoraAddr {
        /// Never connected to: connections are opened in `connect`.
        static NOWHERE: PingoraAddr = PingoraAddr::Inet(std::net::SocketAddr::V4(std::net::SocketAddrV4::new(
            std::net::Ipv4Addr::UNSPECIFIED,
            0,
        )));
        &NOWHERE
    }
    fn tls(&self) -> bool {
        false
    }
    fn sni(&self) -> &str {
        ""
    }
    fn reuse_hash(&self) -> u64 {
        self.0
    }
    /// The key has the address in it.
    fn matches_fd<V: AsRawFd>(&self, _: V) -> bool {
        true
    }
}
