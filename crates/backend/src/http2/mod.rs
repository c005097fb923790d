//! RFC 9113: HTTP/2 to origins that choose it. Frames and flow control are the h2 crate's; which requests share a
//! connection, when one is given up, and what a fault means are decided here.
//!
//! ```text
//! Pool ── Sessions ── Group (one address of one origin) ── Session ── Slot: one stream
//!                        │ turn: one connects, the others wait for it and share it
//!                        └ speaks: what the origin chose last, so that HTTP/1.1 origins are not waited for
//! ```
//!
//! Limits: [`STREAMS_MAX`] streams of a connection, each with [`WINDOW`] bytes that its reader has not taken yet. The
//! connection's window holds all of them at once, so that a reader who is slow holds up nobody else.

mod asking;
mod body;
mod head;
mod probe;
mod upload;

pub(crate) use asking::{Answer, Question, ask};
pub(crate) use body::Http2Body;
pub(crate) use head::request;
pub(crate) use probe::probe;

use crate::socket::Socket;
use crate::tally::Tally;
use bytes::Bytes;
use h2::client::{Connection, SendRequest};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Most requests that share a connection, whatever the origin allows: what nginx, HAProxy and Envoy allow their clients.
pub const STREAMS_MAX: usize = 100;
/// Bytes of one response that may wait for its reader: two of the reads that an HTTP/1.1 body is read in.
pub const WINDOW: u32 = 128 * 1024;
/// What all streams of a connection may hold together: as much as each may for itself.
const CONNECTION_WINDOW: u32 = WINDOW * 100;
/// Largest response head: that of HTTP/1.1 (see `talk`).
const HEAD_BYTES: u32 = 64 * 1024;
/// Bytes of a request that may wait for the socket, over all streams of a connection.
const SEND_BUFFER: usize = 256 * 1024;
/// Set in [`State`] once a session takes no more requests.
const GONE: usize = 1 << (usize::BITS - 1);

/// The HTTP/2 connections of one pool.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<u64, Arc<Group>>>);

/// Those to one address of one origin.
#[derive(Debug)]
pub(crate) struct Group {
    /// Held by who connects.
    pub(crate) turn: Semaphore,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sessions: Vec<Session>,
    speaks_http2: Option<bool>,
}

#[derive(Debug)]
struct Session {
    send: SendRequest<Bytes>,
    state: Arc<State>,
}

/// What a connection carries.
#[derive(Debug)]
struct State {
    /// Streams in use, and [`GONE`].
    streams: AtomicUsize,
    /// Counts it as idle while it has none and is not gone.
    tally: Arc<Tally>,
}

impl State {
    fn enter(&self, most: usize) -> bool {
        let free = |n: usize| (n & GONE == 0 && n < most).then_some(n + 1);
        let before = self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, free);
        if before == Ok(0) {
            self.tally.connections_idle.fetch_sub(1, Ordering::Relaxed);
        }
        before.is_ok()
    }

    fn leave(&self) {
        if self.streams.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.tally.connections_idle.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_idle(&self) -> bool {
        self.streams.load(Ordering::Acquire) == 0
    }

    /// Gone, unless somebody has come meanwhile.
    fn leave_if_idle(&self) -> bool {
        let left = self.streams.compare_exchange(0, GONE, Ordering::AcqRel, Ordering::Acquire).is_ok();
        if left {
            self.tally.connections_idle.fetch_sub(1, Ordering::Relaxed);
        }
        left
    }

    fn is_gone(&self) -> bool {
        self.streams.load(Ordering::Acquire) & GONE != 0
    }

    fn leave_for_good(&self) {
        if self.streams.fetch_or(GONE, Ordering::AcqRel) == 0 {
            self.tally.connections_idle.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The right to one stream.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) send: SendRequest<Bytes>,
    /// The connection has carried other requests before.
    pub(crate) reused: bool,
    state: Arc<State>,
}

impl Slot {
    /// The connection takes no further requests; those on it go on.
    pub(crate) fn retire(&self) {
        self.state.leave_for_good();
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.state.leave();
    }
}

impl Sessions {
    pub(crate) fn group(&self, key: u64) -> Arc<Group> {
        let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(group) = groups.get(&key) {
            return Arc::clone(group);
        }
        // Addresses come and go with their names: what nobody uses is swept out when something new comes.
        groups.retain(|_, group| Arc::strong_count(group) > 1 || group.has_sessions());
        let group = Arc::new(Group { turn: Semaphore::new(1), inner: Mutex::default() });
        groups.insert(key, Arc::clone(&group));
        group
    }
}

impl Group {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_sessions(&self) -> bool {
        let mut inner = self.inner();
        inner.sessions.retain(|s| !s.state.is_gone());
        !inner.sessions.is_empty()
    }

    /// A stream of a connection that has room.
    pub(crate) fn free(&self) -> Option<Slot> {
        let mut inner = self.inner();
        inner.sessions.retain(|s| !s.state.is_gone());
        inner.sessions.iter().find_map(|s| {
            let most = s.send.current_max_send_streams().min(STREAMS_MAX);
            s.state.enter(most).then(|| Slot { send: s.send.clone(), reused: true, state: Arc::clone(&s.state) })
        })
    }

    /// What the origin chose last; `None` before it was asked.
    pub(crate) fn speaks_http2(&self) -> Option<bool> {
        self.inner().speaks_http2
    }

    pub(crate) fn heard_http1(&self) {
        self.inner().speaks_http2 = Some(false);
    }

    /// A new session over this socket, and its first stream.
    ///
    /// # Errors
    /// The socket takes nothing.
    pub(crate) async fn begin(
        &self,
        socket: Socket,
        idle_timeout: Duration,
        tally: &Arc<Tally>,
    ) -> Result<Slot, h2::Error> {
        let (send, connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buffer_size(SEND_BUFFER)
            .handshake::<_, Bytes>(socket)
            .await?;
        let state = Arc::new(State { streams: AtomicUsize::new(1), tally: Arc::clone(tally) });
        tokio::spawn(drive(connection, Arc::clone(&state), idle_timeout));
        let slot = Slot { send: send.clone(), reused: false, state: Arc::clone(&state) };
        let mut inner = self.inner();
        inner.speaks_http2 = Some(true);
        inner.sessions.push(Session { send, state });
        Ok(slot)
    }
}

/// Moves the frames of a connection until it ends, or until nobody has used it for so long.
async fn drive(mut connection: Connection<Socket, Bytes>, state: Arc<State>, idle_timeout: Duration) {
    let mut was_idle = false;
    loop {
        tokio::select! {
            _ended = &mut connection => break,
            // Looked at twice a period: one that is found unused both times was unused for half of it at least.
            () = tokio::time::sleep(idle_timeout / 2) => {
                let idle = state.is_idle();
                if idle && was_idle && state.leave_if_idle() {
                    break;
                }
                was_idle = idle;
            }
        }
    }
    state.leave_for_good();
}
