//! The conversation on one connection: the request goes out while an answer is listened for.
//!
//! ```text
//! head ──▶ body pieces ──▶ sent ──▶ await head ──▶ final head
//!   └───────────┴── final head ≥ 400, close or write error: stop sending ──┘
//! ```

use crate::body::{BodyError, RequestBody, SendBody};
use crate::connection::{Connection, HEAD_READ_SIZE, Step};
use crate::fault::{Fault, FaultKind, Phase};
use crate::fetch::Timeouts;
use crate::origin::Origin;
use bytes::{Buf, Bytes};
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_wire::{HeadScan, WireError, WireLimits, encode, parse_response};
use std::io;
use std::pin::pin;
use tokio::time::{Instant, timeout, timeout_at};

/// Most interim responses before the final one: some servers send several 103, none needs more.
pub const INTERIM_MAX: usize = 16;
/// A response head: twice what a request may have, since origins pile up Set-Cookie and policy fields.
const RESPONSE_HEAD: WireLimits = WireLimits { head_bytes: 64 * 1024, url_bytes: 8 * 1024, header_count: 200 };
/// How much of an early response is read while the request is still being sent; beyond, the origin has to wait.
const EARLY_BYTES_MAX: usize = 256 * 1024;

/// Is there any use in sending on?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flow {
    Go,
    Stop,
}

/// One piece of the client's body, or news from the origin that makes it pointless.
enum Next {
    Piece(Option<Result<Bytes, BodyError>>),
    Stop,
}

/// The state of one conversation.
pub(crate) struct Talk<'a> {
    connection: Connection,
    origin: &'a Origin,
    timeouts: Timeouts,
    on_interim: &'a mut (dyn FnMut(ResponseHead) + Send + 'a),
    scan: HeadScan,
    interims: usize,
    /// The final head, once it is there.
    head: Option<ResponseHead>,
    /// Why the request could not be sent to its end; the answer may be there all the same.
    broken: Option<io::Error>,
    /// A byte of a response has come.
    heard: bool,
    /// The socket has accepted a byte of the request.
    wrote: bool,
    /// The client's body was asked for a piece.
    body_taken: bool,
    /// The request went out whole.
    whole: bool,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(
        connection: Connection,
        origin: &'a Origin,
        timeouts: Timeouts,
        on_interim: &'a mut (dyn FnMut(ResponseHead) + Send + 'a),
    ) -> Self {
        Talk {
            connection,
            origin,
            timeouts,
            on_interim,
            scan: HeadScan::default(),
            interims: 0,
            head: None,
            broken: None,
            heard: false,
            wrote: false,
            body_taken: false,
            whole: false,
        }
    }

    /// The same request from its start over another connection. Only while [`Talk::is_unheard_of`].
    pub(crate) fn start_over(&mut self, connection: Connection) {
        self.connection = connection;
        self.scan = HeadScan::default();
        (self.broken, self.wrote, self.whole) = (None, false, false);
    }

    /// Has the origin not answered with a single byte?
    pub(crate) fn is_unheard_of(&self) -> bool {
        !self.heard
    }

    /// May the request be sent again: body untouched, and unseen by any origin or idempotent?
    pub(crate) fn is_repeatable(&self, head: &RequestHead) -> bool {
        !self.body_taken && (!self.wrote || head.method.is_idempotent())
    }

    /// Did the request go out whole, so that the connection is in step?
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }

    pub(crate) fn into_connection(self) -> Connection {
        self.connection
    }

    fn fault(&self, phase: Phase, kind: FaultKind, detail: impl Into<String>) -> Fault {
        Fault::late(phase, kind, self.origin.name(), detail)
    }

    /// Sends the request and gives the final head. What follows it is in the connection's buffer.
    pub(crate) async fn converse<B: RequestBody>(
        &mut self,
        wire: &[u8],
        body: &mut SendBody<B>,
    ) -> Result<ResponseHead, Fault> {
        self.whole = self.send(wire, body).await? == Flow::Go;
        self.await_head().await
    }

    async fn send<B: RequestBody>(&mut self, wire: &[u8], body: &mut SendBody<B>) -> Result<Flow, Fault> {
        if self.write(wire).await? == Flow::Stop {
            return Ok(Flow::Stop);
        }
        match body {
            SendBody::None => Ok(Flow::Go),
            SendBody::Length(length, body) => self.send_length(*length, body).await,
            SendBody::Chunked(body) => self.send_chunks(body).await,
        }
    }

    async fn send_length<B: RequestBody>(&mut self, length: u64, body: &mut B) -> Result<Flow, Fault> {
        let client = |e| FaultKind::Client(e);
        let mut left = length;
        while left > 0 {
            let piece = match self.next_piece(body).await? {
                Next::Stop => return Ok(Flow::Stop),
                Next::Piece(Some(Ok(piece))) => piece,
                Next::Piece(Some(Err(e))) => return Err(self.fault(Phase::Send, client(e), "")),
                Next::Piece(None) => {
                    let detail = format!("{left} bytes are missing");
                    return Err(self.fault(Phase::Send, client(BodyError::Length), detail));
                }
            };
            let Some(rest) = left.checked_sub(piece.len() as u64) else {
                return Err(self.fault(Phase::Send, client(BodyError::Length), format!("more than {length} bytes")));
            };
            left = rest;
            if self.write(piece).await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        Ok(Flow::Go)
    }

    async fn send_chunks<B: RequestBody>(&mut self, body: &mut B) -> Result<Flow, Fault> {
        let mut framing = Vec::with_capacity(20);
        loop {
            let piece = match self.next_piece(body).await? {
                Next::Stop => return Ok(Flow::Stop),
                Next::Piece(Some(Ok(piece))) if piece.is_empty() => continue,
                Next::Piece(Some(Ok(piece))) => piece,
                Next::Piece(Some(Err(e))) => return Err(self.fault(Phase::Send, FaultKind::Client(e), "")),
                Next::Piece(None) => break,
            };
            framing.clear();
            encode::chunk_start(piece.len(), &mut framing);
            if self.write(framing.as_slice().chain(piece).chain(&b"\r\n"[..])).await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
        framing.clear();
        encode::chunk_end(&Headers::new(), &mut framing);
        self.write(framing.as_slice()).await
    }

    /// Waits for the client, who has timeouts of its own, and listens to the origin meanwhile.
    async fn next_piece<B: RequestBody>(&mut self, body: &mut B) -> Result<Next, Fault> {
        self.body_taken = true;
        let mut next = pin!(body.next());
        loop {
            let listen = self.may_listen();
            tokio::select! {
                biased;
                piece = &mut next => return Ok(Next::Piece(piece)),
                read = self.connection.read(HEAD_READ_SIZE), if listen => {
                    if self.heard(read)? == Flow::Stop {
                        return Ok(Next::Stop);
                    }
                }
            }
        }
    }

    fn may_listen(&self) -> bool {
        !self.connection.eof && self.connection.buf.len() < EARLY_BYTES_MAX
    }

    /// Writes all of `out` unless the origin's answer makes that pointless.
    async fn write(&mut self, mut out: impl Buf + Send) -> Result<Flow, Fault> {
        while out.has_remaining() {
            let listen = self.may_listen();
            match timeout(self.timeouts.between_bytes, self.connection.write_or_read(&mut out, listen)).await {
                Ok(Ok(Step::Wrote)) => self.wrote = true,
                Ok(Ok(Step::Read)) => {
                    if self.heard(Ok(()))? == Flow::Stop {
                        return Ok(Flow::Stop);
                    }
                }
                Ok(Err(e)) => return self.heard(Err(e)),
                Err(_) if self.head.is_some() => return Ok(Flow::Stop),
                Err(_) => {
                    let detail = format!("nothing was taken for {:?}", self.timeouts.between_bytes);
                    return Err(self.fault(Phase::Send, FaultKind::Timeout, detail));
                }
            }
        }
        match self.connection.flush().await {
            Ok(()) => Ok(Flow::Go),
            Err(e) => self.heard(Err(e)),
        }
    }

    /// Takes in what the connection did. A broken one may hold an answer that was sent before it broke.
    fn heard(&mut self, news: io::Result<()>) -> Result<Flow, Fault> {
        if let Err(e) = news {
            self.broken.get_or_insert(e);
            return Ok(Flow::Stop);
        }
        self.parse()?;
        let refused = self.head.as_ref().is_some_and(|h| h.status >= 400);
        Ok(if refused || self.connection.eof { Flow::Stop } else { Flow::Go })
    }

    async fn await_head(&mut self) -> Result<ResponseHead, Fault> {
        let mut deadline = Instant::now() + self.timeouts.first_byte;
        loop {
            if let Some(head) = self.head.take() {
                return Ok(head);
            }
            if self.connection.eof {
                return Err(self.closed("the origin closed the connection"));
            }
            let interims = self.interims;
            match timeout_at(deadline, self.connection.read(HEAD_READ_SIZE)).await {
                Ok(Ok(())) => self.parse()?,
                Ok(Err(e)) => return Err(self.closed(&e.to_string())),
                Err(_) => {
                    let detail = format!("no response head within {:?}", self.timeouts.first_byte);
                    return Err(self.fault(Phase::Head, FaultKind::Timeout, detail));
                }
            }
            if self.interims > interims {
                deadline = Instant::now() + self.timeouts.first_byte;
            }
        }
    }

    fn closed(&self, why: &str) -> Fault {
        match &self.broken {
            Some(e) => self.fault(Phase::Send, FaultKind::Closed, e.to_string()),
            None if self.heard => self.fault(Phase::Head, FaultKind::Closed, format!("{why} within the head")),
            None => self.fault(Phase::Head, FaultKind::Closed, format!("{why} before it answered")),
        }
    }

    /// Takes heads off the buffer until the final one.
    fn parse(&mut self) -> Result<(), Fault> {
        self.heard |= !self.connection.buf.is_empty();
        while self.head.is_none() {
            let end = self.scan.find(&self.connection.buf, &RESPONSE_HEAD).map_err(|e| self.malformed(e))?;
            let Some(end) = end else { break };
            let bytes = self.connection.buf.split_to(end);
            self.scan = HeadScan::default();
            let mut head = ResponseHead::default();
            parse_response(&bytes, &RESPONSE_HEAD, &mut head).map_err(|e| self.malformed(e))?;
            match head.status {
                101 => return Err(self.fault(Phase::Head, FaultKind::Upgrade, "101 Switching Protocols")),
                100..=199 => {
                    self.interims += 1;
                    if self.interims > INTERIM_MAX {
                        return Err(self.fault(Phase::Head, FaultKind::TooManyInterim, format!("over {INTERIM_MAX}")));
                    }
                    (self.on_interim)(head);
                }
                _ => self.head = Some(head),
            }
        }
        Ok(())
    }

    fn malformed(&self, e: WireError) -> Fault {
        // A first line without end is measured as a request target would be; for a response it is no status line.
        let e = if e == WireError::UrlSize { WireError::StartLine } else { e };
        self.fault(Phase::Head, FaultKind::Protocol(e), "")
    }
}
