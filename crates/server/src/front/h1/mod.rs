//! The HTTP/1 front: one task per connection, requests one after the other.
//!
//! ```text
//! (PROXY header) ─▶ wait for a head ─▶ parse (strict) ─▶ pipeline::serve ─▶ body drained? ─▶ next | linger and close
//! ```
//!
//! Invariants: a connection whose framing is in doubt carries no further request; a head has a deadline as a whole, not
//! per read; what one client can make us hold is bounded by the limits.

mod half;
pub(crate) mod introduction;
mod reject;
mod sink;
mod source;

use crate::drain::Drain;
use bytes::{Buf, BytesMut};
use copal_observe::counters::Counter;
use copal_pipeline::{Txn, Worker};
use copal_policy::Connection;
use copal_semantics::RequestHead;
use copal_semantics::cache_control::Obeyed;
use copal_wire::{BodyFraming, HeadScan, WireError, WireLimits, framing};
pub(crate) use half::Half;
use http::Version;
use introduction::{Notices, Proxies};
use sink::Sink;
use source::Source;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};

/// Read at once: holds most heads whole.
const READ_BYTES: usize = 8 * 1024;
/// A read buffer that has grown beyond this is given back between requests.
const BUFFER_KEPT_BYTES: usize = 16 * 1024;
/// Body bytes of a request that nobody wanted, read so that the connection can go on; beyond, it is closed.
const DRAIN_BYTES_MAX: u64 = 64 * 1024;
/// How long a closing connection is read from, so that the client gets our last words and not a reset.
const LINGER: Duration = Duration::from_secs(1);

/// The limits of a listener.
#[derive(Debug)]
pub(crate) struct FrontLimits {
    pub(crate) wire: WireLimits,
    /// Bytes of a request body; `None`: any number.
    pub(crate) body_bytes: Option<u64>,
    /// Between two requests.
    pub(crate) idle_timeout: Duration,
    /// For a whole head, from its first byte.
    pub(crate) head_timeout: Duration,
    /// Between two pieces of a request body.
    pub(crate) body_timeout: Duration,
    /// For the client to take something of a response.
    pub(crate) send_timeout: Duration,
    /// Has a client given up that closes its side while it waits?
    pub(crate) abort_on_close: bool,
    /// Connections of clients open at once, over all listeners.
    pub(crate) connections: usize,
    /// Which of a request's own cache directives count here.
    pub(crate) obeyed: Obeyed,
    /// Who has to begin with a PROXY header, and is believed; `None`: nobody.
    pub(crate) proxies: Option<Proxies>,
    /// For what begins otherwise.
    pub(crate) notices: Notices,
}

/// Who is at the two ends.
#[derive(Clone)]
pub(crate) struct Ends {
    /// The client, and where it connected: the connection's own ends unless a PROXY header tells others.
    pub(crate) client: SocketAddr,
    pub(crate) server: SocketAddr,
    /// The connection's own ends.
    pub(crate) remote: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) hostname: Arc<str>,
    /// What else is known of it.
    pub(crate) connection: Option<Arc<Connection>>,
}

impl Ends {
    /// Of a connection of which nothing else is known yet.
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr, hostname: Arc<str>) -> Self {
        Ends { client: remote, server: local, remote, local, hostname, connection: None }
    }
}

/// Serves a connection until it ends.
pub(crate) async fn connection<R, W>(
    mut reader: R,
    writer: W,
    mut ends: Ends,
    worker: Arc<Worker>,
    limits: Arc<FrontLimits>,
    drain: Drain,
) where
    R: AsyncRead + Unpin + Send,
    W: Half,
{
    let mut buf = BytesMut::with_capacity(READ_BYTES);
    if let Some(proxies) = &limits.proxies {
        let said = (&limits.notices, Instant::now() + limits.head_timeout);
        // Boxed: connections without it, and this one after it, need no room for it.
        if !Box::pin(introduction::introduce(&mut reader, &mut buf, &mut ends, proxies, &worker, said)).await {
            return;
        }
    }
    let mut txn = Txn::new(&worker.core, ends.remote, ends.local, Arc::clone(&ends.hostname));
    txn.stands_for(ends.client, ends.server, ends.connection.clone());
    txn.obeyed = limits.obeyed;
    let mut sink = Sink::new(writer, limits.send_timeout);
    let mut first = true;
    let mut timer = std::pin::pin!(sleep_until(Instant::now() + limits.head_timeout));
    loop {
        let end = match next_head(&mut reader, &mut buf, &limits, timer.as_mut(), first).await {
            Head::At(end) => end,
            Head::None => break,
            Head::Late => {
                worker.core.counters.inc(Counter::ClientTimeouts);
                reject::respond(&worker, &ends, &mut sink, 408, "the request head did not arrive in time").await;
                break;
            }
            Head::Bad(error) => {
                introduction::unexpected(&limits, &ends, &buf);
                reject::bad_request(&worker, &ends, &mut sink, error).await;
                break;
            }
        };
        first = false;
        let parsed = copal_wire::parse_request(&buf[..end], &limits.wire, txn.request_mut());
        if parsed.is_err() {
            introduction::unexpected(&limits, &ends, &buf[..end]);
        }
        worker.core.counters.add(Counter::BytesReceived, end as u64);
        buf.advance(end);
        let framing = match parsed.and_then(|()| framing::request_framing(txn.req())) {
            Ok(BodyFraming::Length(n)) if limits.body_bytes.is_some_and(|max| n > max) => {
                reject::respond(&worker, &ends, &mut sink, 413, "the request body is larger than the limit").await;
                break;
            }
            Ok(framing) => framing,
            Err(error) => {
                reject::bad_request(&worker, &ends, &mut sink, error).await;
                break;
            }
        };
        let persistent = framing::persistent(txn.req().version, &txn.req().headers);
        sink.begin(txn.req().version, persistent && !drain.is_on());
        if expects_continue(txn.req(), framing) {
            sink.await_continue();
        }
        let mut source = Source::new(&mut reader, &mut buf, framing, &limits);
        copal_pipeline::serve(&worker, &mut txn, &mut source, &mut sink).await;
        let body_over = source.skip_rest(DRAIN_BYTES_MAX, sink.closes()).await;
        if sink.closes() || !body_over || drain.is_on() {
            break;
        }
        if buf.is_empty() && buf.capacity() > BUFFER_KEPT_BYTES {
            buf = BytesMut::with_capacity(READ_BYTES);
        }
    }
    linger(&mut reader, sink).await;
}

/// RFC 9110 §10.1.1: in HTTP/1.0, and without a body, the expectation means nothing.
fn expects_continue(req: &RequestHead, framing: BodyFraming) -> bool {
    !framing.is_empty()
        && req.version == Version::HTTP_11
        && req.headers.list("expect").any(|e| e.eq_ignore_ascii_case(b"100-continue"))
}

enum Head {
    /// Whole, with its empty line, in that many bytes of the buffer.
    At(usize),
    /// The client is done, or gone.
    None,
    /// Begun and not finished in time.
    Late,
    Bad(WireError),
}

async fn next_head<R: AsyncRead + Unpin>(
    reader: &mut R,
    buf: &mut BytesMut,
    limits: &FrontLimits,
    mut timer: Pin<&mut Sleep>,
    first: bool,
) -> Head {
    let mut scan = HeadScan::default();
    let mut deadline = None;
    loop {
        if !buf.is_empty() {
            match scan.find(buf, &limits.wire) {
                Ok(Some(end)) => return Head::At(end),
                Ok(None) => {}
                Err(error) => return Head::Bad(error),
            }
            deadline.get_or_insert_with(|| Instant::now() + limits.head_timeout);
        }
        // A fresh connection has the time of a head for its first byte: connecting and saying nothing is no request.
        let until =
            deadline.unwrap_or_else(|| Instant::now() + if first { limits.head_timeout } else { limits.idle_timeout });
        buf.reserve(READ_BYTES);
        match read_until(reader, buf, timer.as_mut(), until).await {
            Some(Ok(0)) | Some(Err(_)) => return Head::None,
            Some(Ok(_)) => {}
            None if buf.is_empty() => return Head::None,
            None => return Head::Late,
        }
    }
}

/// Reads once; `None` when nothing came by `until`.
///
/// A connection has one timer. Setting it anew for every request would cost more than it tells, so it is left to fire
/// early, at the end of an older wait, and is only then moved to where it belongs.
async fn read_until<R: AsyncRead + Unpin>(
    reader: &mut R,
    buf: &mut BytesMut,
    mut timer: Pin<&mut Sleep>,
    until: Instant,
) -> Option<std::io::Result<usize>> {
    if timer.deadline() > until || timer.is_elapsed() {
        timer.as_mut().reset(until);
    }
    loop {
        tokio::select! {
            biased;
            read = reader.read_buf(buf) => return Some(read),
            () = timer.as_mut() => {
                if Instant::now() >= until {
                    return None;
                }
                timer.as_mut().reset(until);
            }
        }
    }
}

/// Closing with unread bytes makes the kernel send a reset, which can overtake our response: so we say that we are done,
/// then read on for a moment.
async fn linger<R: AsyncRead + Unpin, W: Half>(reader: &mut R, sink: Sink<W>) {
    let Some(mut writer) = sink.into_writer() else { return };
    if writer.shutdown().await.is_err() {
        return;
    }
    let until = Instant::now() + LINGER;
    let mut scrap = [0u8; 4096];
    let mut left = DRAIN_BYTES_MAX;
    while left > 0 {
        match timeout_at(until, reader.read(&mut scrap)).await {
            Ok(Ok(n)) if n > 0 => left = left.saturating_sub(n as u64),
            Ok(_) | Err(_) => break,
        }
    }
}
