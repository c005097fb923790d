//! A proxy without sockets, for `copal test`: the same core and the same HTTP front, with clients and origins in memory.
//!
//! ```text
//! ClientEnd ══ duplex ══ front ── machines ── fetch ══ duplex ══ scripted origin (Dial)
//! ```
//!
//! It runs on the runtime that calls it and starts no thread: probes, expiry and time are the caller's affair.

use crate::assemble::{self, AssembleError, Running, Surroundings};
use crate::drain::Drain;
use crate::front::h1::{self, Ends, FrontLimits, Half};
use copal_backend::{Dial, Pool};
use copal_config::Config;
use copal_observe::counters::Counter;
use copal_observe::snapshot::Snapshot;
use copal_pipeline::{Core, Worker};
use copal_policy::Connection;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncWrite, DuplexStream, WriteHalf};

/// Bytes under way in one direction: what a socket's buffer holds.
const BUFFER_BYTES: usize = 64 * 1024;

/// A proxy whose connections are in memory.
pub struct InMemory {
    worker: Arc<Worker>,
    limits: Arc<FrontLimits>,
    server: SocketAddr,
    hostname: Arc<str>,
}

/// Whose connection it is. What a PROXY header would tell is told here: no bytes of one are sent.
#[derive(Clone, Debug)]
pub struct Introduction {
    /// The other end of the connection.
    pub from: SocketAddr,
    /// The client for whom a proxy has opened it; none: its other end.
    pub client: Option<SocketAddr>,
    /// Where that client connected; none: to the listener.
    pub server: Option<SocketAddr>,
    /// What else is known of it.
    pub connection: Option<Arc<Connection>>,
}

/// A client's end of a connection.
pub struct ClientEnd {
    /// Its bytes. Dropping it hangs up.
    pub stream: DuplexStream,
    cut: Arc<AtomicBool>,
}

impl ClientEnd {
    /// Once the stream has ended: was the connection reset, not closed?
    #[must_use]
    pub fn was_reset(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }
}

impl InMemory {
    /// A proxy of that configuration. Its listeners are not opened; the limits are those of the first one.
    ///
    /// # Errors
    /// The same as of a proxy that serves, but for what has to do with listeners.
    pub fn new(config: &Config, around: &Surroundings, dial: Arc<dyn Dial>) -> Result<InMemory, AssembleError> {
        let mut config = config.clone();
        config.log.access = None;
        let listen = config.listen.first().expect("a configuration has at least one listener");
        let core = assemble::core_in(&config, around)?;
        let worker = Arc::new(Worker { core, pool: Arc::new(Pool::dialling(dial)) });
        let server = match &listen.address {
            copal_config::Address::Tcp(address) => *address,
            // A listener is never one of the others.
            _ => SocketAddr::from(([0, 0, 0, 0], 0)),
        };
        // Clients are introduced when they connect: nobody sends a header.
        let listen = copal_config::Listen { proxy_protocol: false, ..listen.clone() };
        let limits = assemble::front_limits(&config, &listen)?;
        Ok(InMemory { worker, limits, server, hostname: Arc::from("localhost") })
    }

    /// What all requests share.
    #[must_use]
    pub fn core(&self) -> &Arc<Core> {
        &self.worker.core
    }

    /// A connection. Serving it is a task of the current runtime.
    #[must_use]
    pub fn connect(&self, who: Introduction) -> ClientEnd {
        let (theirs, ours) = tokio::io::duplex(BUFFER_BYTES);
        let (reader, writer) = tokio::io::split(ours);
        let cut = Arc::new(AtomicBool::new(false));
        let writer = MemoryHalf { writer, cut: Arc::clone(&cut) };
        let ends = Ends {
            client: who.client.unwrap_or(who.from),
            server: who.server.unwrap_or(self.server),
            connection: who.connection,
            ..Ends::new(who.from, self.server, Arc::clone(&self.hostname))
        };
        let worker = Arc::clone(&self.worker);
        worker.core.counters.inc(Counter::ClientConnections);
        let open = worker.core.counters.hold(Counter::ClientConnectionsOpen);
        let limits = Arc::clone(&self.limits);
        tokio::spawn(async move {
            h1::connection(reader, writer, ends, worker, limits, Drain::default()).await;
            drop(open);
        });
        ClientEnd { stream: theirs, cut }
    }

    /// All counters as `copal stat` shows them.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        crate::stats::collect(self.core(), "", Duration::ZERO).counters
    }

    /// Puts another policy in force, as a reload does.
    ///
    /// # Errors
    /// What is wrong with it; the old one stays.
    pub fn load_policy(&self, config: &Config, around: &Surroundings) -> Result<(), AssembleError> {
        let before = self.core().policies.load();
        let policies = assemble::policies_in(config, Running::from(&**self.core()), around, Some(&before))?;
        self.core().policies.store(policies);
        self.core().counters.inc(Counter::PolicyReloads);
        Ok(())
    }
}

/// The front's writing half.
struct MemoryHalf {
    writer: WriteHalf<DuplexStream>,
    cut: Arc<AtomicBool>,
}

impl Half for MemoryHalf {
    fn cut(self) {
        self.cut.store(true, Ordering::Release);
    }
}

impl AsyncWrite for MemoryHalf {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(cx)
    }
}
