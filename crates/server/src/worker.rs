//! A worker: one thread, one single-threaded runtime, its own listening sockets and its own connections to origins.
//!
//! A connection lives and dies on the thread that accepted it, so no request wakes another thread.

use crate::accounts::Accounts;
use crate::drain::Drain;
use crate::front::h1::{self, Ends, FrontLimits};
use copal_observe::counters::Counter;
use copal_pipeline::Worker;
use copal_policy::Connection;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// After a failed accept (out of file descriptors, mostly): long enough not to spin, short enough not to be noticed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The address of a peer on a Unix socket.
pub(crate) const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// The sockets that one worker accepts from.
pub(crate) enum Socket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener, Accounts),
}

/// A listener's share of one worker.
pub(crate) struct Door {
    pub(crate) socket: Socket,
    pub(crate) limits: Arc<FrontLimits>,
    pub(crate) local: SocketAddr,
}

/// What a worker thread runs until `drain` says that it is over and what it serves has ended.
pub(crate) async fn run(worker: Arc<Worker>, doors: Vec<Door>, hostname: Arc<str>, drain: Drain) {
    let gauge = worker.core.counters.hold(Counter::Workers);
    let mut accepting = Vec::new();
    for door in doors {
        let (worker, hostname, drain) = (Arc::clone(&worker), Arc::clone(&hostname), drain.clone());
        accepting.push(tokio::spawn(accept(worker, door, hostname, drain)));
    }
    drain.wait().await;
    for task in accepting {
        task.abort();
    }
    drop(gauge);
}

async fn accept(worker: Arc<Worker>, door: Door, hostname: Arc<str>, drain: Drain) {
    let Door { socket, limits, local } = door;
    let Ok(listener) = Listener::of(socket) else { return };
    loop {
        let (stream, client) = match listener.accept().await {
            Ok(_) if full(&worker, &limits) => continue,
            Ok(accepted) => accepted,
            Err(error) => {
                accept_failed(&error).await;
                continue;
            }
        };
        let hostname = Arc::clone(&hostname);
        match stream {
            Stream::Tcp(stream) => {
                // Without it, a head and a body in two writes would wait for the client's acknowledgement.
                let _unsupported = stream.set_nodelay(true);
                let server = stream.local_addr().unwrap_or(local);
                let (reader, writer) = stream.into_split();
                let ends = Ends::new(client, server, hostname);
                let (limits, drain) = (Arc::clone(&limits), drain.clone());
                spawn(&worker, h1::connection(reader, writer, ends, Arc::clone(&worker), limits, drain));
            }
            Stream::Unix(stream, accounts) => {
                // What the system noted when the peer connected; without it the peer is nobody.
                let peer = stream.peer_cred().ok().map(|peer| accounts.peer(peer.uid(), peer.gid()));
                let connection = peer.map(|peer| Arc::new(Connection { peer: Some(peer), ..Connection::default() }));
                let (reader, writer) = stream.into_split();
                let ends = Ends { connection, ..Ends::new(client, NOBODY, hostname) };
                let (limits, drain) = (Arc::clone(&limits), drain.clone());
                spawn(&worker, h1::connection(reader, writer, ends, Arc::clone(&worker), limits, drain));
            }
        }
    }
}

enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener, Accounts),
}

enum Stream<'l> {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream, &'l Accounts),
}

impl Listener {
    fn of(socket: Socket) -> std::io::Result<Listener> {
        Ok(match socket {
            Socket::Tcp(socket) => Listener::Tcp(tokio::net::TcpListener::from_std(socket)?),
            Socket::Unix(socket, accounts) => Listener::Unix(tokio::net::UnixListener::from_std(socket)?, accounts),
        })
    }

    /// The next connection, and who is at its other end.
    async fn accept(&self) -> std::io::Result<(Stream<'_>, SocketAddr)> {
        Ok(match self {
            Listener::Tcp(listener) => {
                let (stream, client) = listener.accept().await?;
                (Stream::Tcp(stream), client)
            }
            Listener::Unix(listener, accounts) => (Stream::Unix(listener.accept().await?.0, accounts), NOBODY),
        })
    }
}

/// Are there as many connections as the limit allows? Then the new one is closed at once.
fn full(worker: &Worker, limits: &FrontLimits) -> bool {
    let counters = &worker.core.counters;
    let open = usize::try_from(counters.get(Counter::ClientConnectionsOpen)).unwrap_or(0);
    let full = open >= limits.connections;
    if full {
        counters.inc(Counter::ClientConnectionsRefused);
    }
    full
}

fn spawn(worker: &Arc<Worker>, connection: impl Future<Output = ()> + Send + 'static) {
    let counters = &worker.core.counters;
    counters.inc(Counter::ClientConnections);
    let open = counters.hold(Counter::ClientConnectionsOpen);
    tokio::spawn(async move {
        connection.await;
        drop(open);
    });
}

async fn accept_failed(error: &std::io::Error) {
    tracing::warn!(target: "copal::listen", "accepting a connection failed: {error}");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}
