//! The conversation on one connection: the request goes out while an answer is listened for.
//!
//! ```text
//! head ──▶ body pieces ──▶ sent ──▶ await head ──▶ final head
//!   │           ├── final head: the conversation is over; what is left of the body goes with the response
//!   └───────────┴── close or write error: stop sending, await head
//! ```

use crate::body::{RequestBody, SendBody};
use crate::connection::{Connection, HEAD_READ_SIZE};
use crate::fault::{Fault, FaultKind, Phase};
use crate::fetch::{Timeouts, left};
use crate::origin::Origin;
use crate::sending::{Progress, Sending, Trouble};
use crate::tls::TlsFault;
use copal_semantics::{RequestHead, ResponseHead};
use copal_wire::{HeadScan, WireError, WireLimits, parse_response};
use std::io;
use tokio::time::{Instant, timeout_at};

/// Most interim responses before the final one: some servers send several 103, none needs more.
pub const INTERIM_MAX: usize = 16;
/// A response head: twice what a request may have, since origins pile up Set-Cookie and policy fields.
const RESPONSE_HEAD: WireLimits = WireLimits { head_bytes: 64 * 1024, url_bytes: 8 * 1024, header_count: 200 };
/// The state of one conversation.
pub(crate) struct Talk<'a> {
    connection: Connection,
    sending: Sending,
    origin: &'a Origin,
    timeouts: Timeouts,
    /// When all of it must be over.
    deadline: Option<Instant>,
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
    /// The request asks for another protocol: 101 is a final head.
    may_switch: bool,
}

impl<'a> Talk<'a> {
    pub(crate) fn new(
        (connection, sending): (Connection, Sending),
        origin: &'a Origin,
        (timeouts, deadline): (Timeouts, Option<Instant>),
        on_interim: &'a mut (dyn FnMut(ResponseHead) + Send + 'a),
    ) -> Self {
        Talk {
            connection,
            sending,
            origin,
            timeouts,
            deadline,
            on_interim,
            scan: HeadScan::default(),
            interims: 0,
            head: None,
            broken: None,
            heard: false,
            wrote: false,
            may_switch: false,
        }
    }

    /// For a request that asks for another protocol.
    pub(crate) fn that_may_switch(mut self) -> Self {
        self.may_switch = true;
        self
    }

    /// The same request from its start over another connection. Only while [`Talk::is_unheard_of`].
    pub(crate) fn start_over(&mut self, connection: Connection, sending: Sending) {
        (self.connection, self.sending) = (connection, sending);
        self.scan = HeadScan::default();
        (self.broken, self.wrote) = (None, false);
    }

    /// Has the origin not answered with a single byte?
    pub(crate) fn is_unheard_of(&self) -> bool {
        !self.heard
    }

    /// May the request be sent again: unseen by any origin or idempotent, and its body is all there?
    pub(crate) fn is_repeatable<B: RequestBody + 'static>(&self, head: &RequestHead, body: &mut SendBody<B>) -> bool {
        (!self.wrote || head.method.is_idempotent()) && (!self.sending.body_taken() || body.rewind())
    }

    /// The connection, what is left of the request, and why it could not be sent to its end.
    pub(crate) fn into_parts(self) -> (Connection, Sending, Option<io::Error>) {
        (self.connection, self.sending, self.broken)
    }

    fn fault(&self, phase: Phase, kind: FaultKind, detail: impl Into<String>) -> Fault {
        Fault::late(phase, kind, self.origin.name(), detail)
    }

    /// Sends the request and gives the final head as soon as it is there, also when the request is not out yet. What follows
    /// the head is in the connection's buffer.
    pub(crate) async fn converse<B: RequestBody + 'static>(
        &mut self,
        body: &mut SendBody<B>,
    ) -> Result<ResponseHead, Fault> {
        while self.head.is_none() && self.broken.is_none() && !self.connection.eof && !self.sending.is_over() {
            self.send(body).await?;
        }
        if self.sending.is_over()
            && let Err(e) = self.connection.flush().await
        {
            self.broken.get_or_insert(e);
        }
        self.await_head().await
    }

    async fn send<B: RequestBody + 'static>(&mut self, body: &mut SendBody<B>) -> Result<(), Fault> {
        let within = left(self.timeouts.between_bytes, self.deadline);
        let step = self.sending.step(&mut self.connection, body.source(), Some(HEAD_READ_SIZE), Some(within));
        match step.await {
            Ok(Progress::Wrote) => self.wrote = true,
            Ok(Progress::Filled) => {}
            Ok(Progress::Read) => self.parse()?,
            // A broken connection may hold an answer that was sent before it broke.
            Err(Trouble::Read(e) | Trouble::Write(e)) => {
                self.broken.get_or_insert(e);
            }
            Err(Trouble::Client(e, detail)) => return Err(self.fault(Phase::Send, FaultKind::Client(e), detail)),
            Err(Trouble::Stalled) => {
                return Err(self.fault(Phase::Send, FaultKind::Timeout, format!("nothing was taken for {within:?}")));
            }
        }
        Ok(())
    }

    async fn await_head(&mut self) -> Result<ResponseHead, Fault> {
        let mut deadline = Instant::now() + left(self.timeouts.first_byte, self.deadline);
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
                Ok(Err(e)) => return Err(self.refused(&e).unwrap_or_else(|| self.closed(&e.to_string()))),
                Err(_) => {
                    let over = self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
                    let detail = match over {
                        true => "the total time is over".to_owned(),
                        false => format!("no response head within {:?}", self.timeouts.first_byte),
                    };
                    return Err(self.fault(Phase::Head, FaultKind::Timeout, detail));
                }
            }
            if self.interims > interims {
                deadline = Instant::now() + left(self.timeouts.first_byte, self.deadline);
            }
        }
    }

    /// Over TLS 1.3 an origin refuses who it does not know after the handshake is over for us, with an alert.
    fn refused(&self, e: &io::Error) -> Option<Fault> {
        let why = TlsFault::of(e)?;
        Some(self.fault(Phase::Tls, FaultKind::Tls(why), e.to_string()))
    }

    fn closed(&self, why: &str) -> Fault {
        if let Some(refused) = self.broken.as_ref().and_then(|e| self.refused(e)) {
            return refused;
        }
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
                101 if self.may_switch => self.head = Some(head),
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
