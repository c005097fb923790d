//! Tunnels: a connection to an origin that carries bytes in both directions, once a request has opened it.
//!
//! ```text
//! upgrade ─▶ head sent ─▶ 101, a protocol that was asked for ─▶ Tunnel
//!                      └▶ any other final head ───────────────▶ Exchange: an ordinary answer
//! open ────▶ head sent (framing as the client's) ─────────────▶ Tunnel: not one byte is read here
//! ```
//!
//! Invariants: a tunnel has a connection of its own, which was not used before and goes to no pool; its slot of
//! `max_connections` is held until both halves are gone; what came after the 101 in the same read is the tunnel's.

use crate::body::{Http1Body, NoBody, SendBody, Sent};
use crate::connection::Connection;
use crate::fault::{Fault, FaultKind, Phase};
use crate::fetch::{Exchange, Timeouts};
use crate::origin::Origin;
use crate::pool::Pool;
use crate::proxy_protocol::Ends;
use crate::request;
use crate::sending::Sending;
use crate::slots::{Class, Permit};
use crate::talk::Talk;
use bytes::{Buf, Bytes, BytesMut};
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_wire::{BodyFraming, encode, response_framing};
use pingora_core::protocols::Stream;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::Instant;

/// Room for one read of a tunnel: several messages of a chat, a fifth of a TLS record's worth of a download's speed.
const READ_BYTES: usize = 16 * 1024;

/// How an origin has answered a request to change protocols.
#[derive(Debug)]
pub enum Opened {
    /// 101: what follows is the protocol that its Upgrade field names.
    Switched(Box<ResponseHead>, Tunnel),
    /// Any other final answer: HTTP goes on.
    Answered(Box<Exchange>),
}

/// A connection to an origin that carries bytes both ways.
#[derive(Debug)]
pub struct Tunnel {
    /// What the origin says.
    pub reader: TunnelReader,
    /// What the origin is told.
    pub writer: TunnelWriter,
}

/// The origin's side of a tunnel. Dropping both halves closes the connection.
#[derive(Debug)]
pub struct TunnelReader {
    half: ReadHalf<Stream>,
    buf: BytesMut,
    _slot: Permit,
}

/// The client's side of a tunnel: bytes that wait for the socket to take them.
#[derive(Debug)]
pub struct TunnelWriter {
    half: WriteHalf<Stream>,
    out: BytesMut,
    /// The request's body, which goes first, is chunked.
    chunked: bool,
    flushed: bool,
}

impl Tunnel {
    fn new(connection: Connection, slot: Permit, unsent: &[u8], chunked: bool) -> Tunnel {
        let (stream, buf) = connection.into_raw();
        let (read, write) = tokio::io::split(stream);
        Tunnel {
            reader: TunnelReader { half: read, buf, _slot: slot },
            writer: TunnelWriter { half: write, out: BytesMut::from(unsent), chunked, flushed: true },
        }
    }
}

impl TunnelReader {
    /// The next bytes; `None` when the origin has closed its side. Cancel-safe.
    ///
    /// # Errors
    /// The connection was reset or broke in another way.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.buf.is_empty() {
            self.buf.reserve(READ_BYTES);
            if self.half.read_buf(&mut self.buf).await? == 0 {
                return Ok(None);
            }
        }
        Ok(Some(self.buf.split().freeze()))
    }
}

impl TunnelWriter {
    /// Is there nothing left to send?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.out.is_empty() && self.flushed
    }

    /// Takes a piece of the request's body, which is framed as its head has said.
    pub fn push_body(&mut self, piece: &[u8]) {
        if self.chunked {
            // An empty chunk would be the end.
            if piece.is_empty() {
                return;
            }
            let mut start = Vec::with_capacity(20);
            encode::chunk_start(piece.len(), &mut start);
            self.out.extend_from_slice(&start);
            self.out.extend_from_slice(piece);
            self.out.extend_from_slice(b"\r\n");
        } else {
            self.out.extend_from_slice(piece);
        }
    }

    /// The request's body is over.
    pub fn end_body(&mut self, trailers: &Headers) {
        if self.chunked {
            let mut end = Vec::with_capacity(8);
            encode::chunk_end(trailers, &mut end);
            self.out.extend_from_slice(&end);
        }
    }

    /// Takes bytes that go out as they are.
    pub fn push(&mut self, piece: &[u8]) {
        self.out.extend_from_slice(piece);
    }

    /// Sends some of what waits. Cancel-safe. Does nothing when nothing waits.
    ///
    /// # Errors
    /// The connection takes nothing more.
    pub async fn step(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            if !self.flushed {
                self.half.flush().await?;
                self.flushed = true;
            }
            return Ok(());
        }
        let n = self.half.write(&self.out).await?;
        if n == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.out.advance(n);
        self.flushed = false;
        Ok(())
    }

    /// Tells the origin that nothing more will come; it may go on sending. Cancel-safe.
    ///
    /// # Errors
    /// The connection is broken.
    pub async fn finish(&mut self) -> io::Result<()> {
        self.half.shutdown().await
    }
}

/// Sends a request whose head asks for another protocol (`Connection: Upgrade` and `Upgrade`), without a body, over a new
/// connection, and reads the response head.
///
/// # Errors
/// As of [`crate::exchange`]; a 101 that names a protocol which was not asked for is [`FaultKind::Upgrade`].
pub async fn upgrade(
    pool: &Pool,
    origin: &Arc<Origin>,
    head: &RequestHead,
    (timeouts, ends): (Timeouts, Option<Ends>),
    on_interim: &mut (dyn FnMut(ResponseHead) + Send),
) -> Result<Opened, Fault> {
    let started = Instant::now();
    origin.tally.requests.fetch_add(1, Relaxed);
    let result = switch(pool, origin, head, (timeouts, ends), on_interim).await;
    match &result {
        Ok(Opened::Switched(response, _)) => origin.answered(head, response.status, started),
        Ok(Opened::Answered(exchange)) => origin.answered(head, exchange.head.status, started),
        Err(fault) => origin.failed(fault, started),
    }
    result
}

/// A new connection for one request.
async fn connect(
    pool: &Pool,
    origin: &Arc<Origin>,
    head: &RequestHead,
    (timeouts, ends, body): (Timeouts, Option<Ends>, &SendBody<NoBody>),
) -> Result<(Bytes, Permit, Connection), Fault> {
    let Some(wire) = request::encode(head, origin, body) else {
        return Err(Fault::late(Phase::Send, FaultKind::BadRequest, origin.name(), format!("{:?}", head.url)));
    };
    let slot = origin.permit(Class::Client).await?;
    let connection = pool.take_for_tunnel(origin, timeouts.connect, ends).await?;
    Ok((wire.into(), slot, connection))
}

async fn switch(
    pool: &Pool,
    origin: &Arc<Origin>,
    head: &RequestHead,
    (timeouts, ends): (Timeouts, Option<Ends>),
    on_interim: &mut (dyn FnMut(ResponseHead) + Send),
) -> Result<Opened, Fault> {
    let mut body = SendBody::<NoBody>::None;
    let (wire, slot, connection) = connect(pool, origin, head, (timeouts, ends, &body)).await?;
    let mut talk =
        Talk::new((connection, Sending::new(wire, &body)), origin, (timeouts, None), on_interim).that_may_switch();
    let mut response = talk.converse(&mut body).await?;
    let (connection, _, _) = talk.into_parts();
    if response.status == 101 {
        if !was_asked_for(head, &response) {
            let named = response.headers.combined("upgrade").unwrap_or_default();
            let detail = format!("101 names {:?}, which was not asked for", String::from_utf8_lossy(&named));
            return Err(Fault::late(Phase::Head, FaultKind::Upgrade, origin.name(), detail));
        }
        return Ok(Opened::Switched(Box::new(response), Tunnel::new(connection, slot, b"", false)));
    }
    let framing = response_framing(&head.method, &response)
        .map_err(|e| Fault::late(Phase::Head, FaultKind::Protocol(e), origin.name(), ""))?;
    if framing == BodyFraming::Chunked {
        // RFC 9112 §6.3 rule 3; the connection is not used again in any case.
        response.headers.remove("content-length");
    }
    let link = (connection, slot);
    let limits = (timeouts.between_bytes, None);
    let body = Http1Body::new(framing, link, (pool, origin), (Sent::Whole, false), limits).into();
    Ok(Opened::Answered(Box::new(Exchange { head: response, framing, reused: false, reconnected: false, body })))
}

/// RFC 9110 §7.8: a server switches only to what the client has named, and says to what. Versions count.
fn was_asked_for(asked: &RequestHead, answer: &ResponseHead) -> bool {
    let mut named = answer.headers.list("upgrade").peekable();
    named.peek().is_some() && named.all(|one| asked.headers.list("upgrade").any(|want| want.eq_ignore_ascii_case(one)))
}

/// Opens a connection and puts the head of a request on it, to be sent with the tunnel's first bytes. `framing` is that of
/// the client's body, of which nothing may have been read.
///
/// # Errors
/// No slot, no connection, or a head that cannot be sent.
pub async fn open(
    pool: &Pool,
    origin: &Arc<Origin>,
    head: &RequestHead,
    framing: BodyFraming,
    (timeouts, ends): (Timeouts, Option<Ends>),
) -> Result<Tunnel, Fault> {
    let started = Instant::now();
    origin.tally.requests.fetch_add(1, Relaxed);
    let body = match framing {
        BodyFraming::None | BodyFraming::Close => SendBody::None,
        BodyFraming::Length(n) => SendBody::Length(n, NoBody),
        BodyFraming::Chunked => SendBody::Chunked(NoBody),
    };
    match connect(pool, origin, head, (timeouts, ends, &body)).await {
        Ok((wire, slot, connection)) => Ok(Tunnel::new(connection, slot, &wire, framing == BodyFraming::Chunked)),
        Err(fault) => {
            origin.failed(&fault, started);
            Err(fault)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_only_to_what_was_asked_for() {
        let asked = RequestHead::get("/", [("Upgrade", "websocket, chat/2")]);
        for (answer, fine) in
            [("websocket", true), ("WebSocket", true), ("chat/2", true), ("chat", false), ("h2c", false), ("", false)]
        {
            let mut head = ResponseHead { status: 101, ..ResponseHead::default() };
            head.headers.set("Upgrade", answer).expect("valid");
            assert_eq!(was_asked_for(&asked, &head), fine, "{answer}");
        }
        assert!(!was_asked_for(&asked, &ResponseHead::default()));
    }
}
