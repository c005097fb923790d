//! Bodies on their way: the client's towards the origin, the origin's towards whoever reads it.
//!
//! ```text
//! Length(n) ─┐                    ┌─▶ Done: clean end; the connection goes back to the pool when it may
//! Chunked ───┼─ next() ─ pieces ──┤
//! Close ─────┘                    └─▶ Fault: never followed by a clean end; the connection is closed
//! ```
//!
//! An origin may answer before it has the whole request (RFC 9110 §10.1.1). The rest of the client's body then goes with
//! the response, and every wait on it moves both directions: `next` reads and sends, `pump` sends while a piece that was
//! read waits for its readers, `finish_sending` sends what is left when the response is over.

use crate::connection::{Connection, HEAD_READ_SIZE, READ_SIZE};
use crate::fault::{Fault, FaultKind, Phase};
use crate::fetch::left;
use crate::origin::Origin;
use crate::pool::Pool;
use crate::sending::{Progress, Sending, Trouble};
use crate::slots::Permit;
use bytes::Bytes;
use copal_semantics::{Headers, hop_by_hop};
use copal_wire::{BodyFraming, Chunked, Piece, WireError};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;

/// Why a client's body could not be read to its end. The client's fault; the response goes to nobody or is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BodyError {
    /// The client hung up.
    #[error("the client closed the connection")]
    Closed,
    /// The client sent nothing for too long.
    #[error("the client was too slow")]
    Timeout,
    /// The body is malformed.
    #[error("{0}")]
    Malformed(WireError),
    /// The body is longer than the limit.
    #[error("longer than the limit")]
    TooLarge,
    /// The body has more or fewer bytes than its Content-Length said.
    #[error("not as long as its Content-Length")]
    Length,
}

impl BodyError {
    /// The status that the client is answered with, if it is still there.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            BodyError::Closed | BodyError::Malformed(_) | BodyError::Length => 400,
            BodyError::Timeout => 408,
            BodyError::TooLarge => 413,
        }
    }
}

/// A client's body, piece by piece.
pub trait RequestBody: Send {
    /// The next piece, or `None` at the end; after that it is not asked again. Time limits are the client side's own.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>>;
    /// Goes back to the first piece, for another attempt; false when that is gone.
    fn rewind(&mut self) -> bool {
        false
    }
    /// The trailer fields to send after the last piece of a body of unknown length; asked for once, after the end.
    fn take_trailers(&mut self) -> Headers {
        Headers::new()
    }
}

/// No body at all, to name the type in `SendBody::<NoBody>::None`.
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

impl RequestBody for NoBody {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(None)
    }
}

/// What is sent after the head.
#[derive(Debug)]
pub enum SendBody<B> {
    /// Nothing.
    None,
    /// So many bytes; more or fewer are a [`BodyError::Length`].
    Length(u64, B),
    /// A body of unknown length.
    Chunked(B),
}

impl<B: RequestBody + 'static> SendBody<B> {
    pub(crate) fn source(&mut self) -> &mut dyn RequestBody {
        match self {
            // Never asked, since there is nothing left to send. It has no size, so nothing is allocated.
            SendBody::None => Box::leak(Box::new(NoBody)),
            SendBody::Length(_, body) | SendBody::Chunked(body) => body,
        }
    }

    /// Goes back to its beginning; false when that is gone.
    pub fn rewind(&mut self) -> bool {
        match self {
            SendBody::None => true,
            SendBody::Length(_, body) | SendBody::Chunked(body) => body.rewind(),
        }
    }

    /// Takes the body out, to be sent on beside the response; leaves `None`.
    pub(crate) fn take(&mut self) -> Option<Box<dyn RequestBody>> {
        match std::mem::replace(self, SendBody::None) {
            SendBody::None => None,
            SendBody::Length(_, body) | SendBody::Chunked(body) => Some(Box::new(body)),
        }
    }
}

/// A request that the origin has answered before it had all of it.
pub(crate) struct Rest {
    pub(crate) sending: Sending,
    pub(crate) body: Box<dyn RequestBody>,
}

/// How the request stood when the head of its response came.
pub(crate) enum Sent {
    /// Whole.
    Whole,
    /// The rest goes out while the response comes in.
    Partly(Rest),
    /// It will not be finished.
    GivenUp {
        /// The connection broke while it was written to, which may have swallowed the news that the origin has reset it:
        /// an end that comes by closing means nothing.
        end_in_doubt: bool,
    },
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    Close,
    Done,
}

/// The body of a response over HTTP/1.1. Dropping it before its end closes the connection.
pub(crate) struct Http1Body {
    state: State,
    /// Gone once the body is over or has failed.
    link: Option<(Connection, Permit)>,
    pool: Pool,
    origin: Arc<Origin>,
    /// May the connection carry another request after this body?
    reusable: bool,
    /// What of the request is still to be sent.
    rest: Option<Rest>,
    /// The client's body has failed: the origin will not get the whole request.
    doomed: Option<(BodyError, String)>,
    /// The end of the connection may be a reset.
    end_in_doubt: bool,
    between_bytes: Duration,
    /// When all of it must be over.
    deadline: Option<Instant>,
    trailers: Headers,
}

impl std::fmt::Debug for Http1Body {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http1Body").field("state", &self.state).finish_non_exhaustive()
    }
}

impl Http1Body {
    /// A body that starts with what is in the connection's buffer. `persistent`: the two heads let the connection go on.
    pub(crate) fn new(
        framing: BodyFraming,
        (connection, permit): (Connection, Permit),
        (pool, origin): (&Pool, &Arc<Origin>),
        (sent, persistent): (Sent, bool),
        (between_bytes, deadline): (Duration, Option<Instant>),
    ) -> Self {
        let (rest, reusable, end_in_doubt) = match sent {
            Sent::Whole => (None, persistent, false),
            Sent::Partly(rest) => (Some(rest), persistent, false),
            Sent::GivenUp { end_in_doubt } => (None, false, end_in_doubt),
        };
        let state = match framing {
            BodyFraming::None => State::Length(0),
            BodyFraming::Length(n) => State::Length(n),
            BodyFraming::Chunked => State::Chunked(Chunked::default()),
            BodyFraming::Close => State::Close,
        };
        let mut body = Http1Body {
            state,
            link: Some((connection, permit)),
            pool: pool.clone(),
            origin: origin.clone(),
            reusable,
            rest,
            doomed: None,
            end_in_doubt,
            between_bytes,
            deadline,
            trailers: Headers::new(),
        };
        if matches!(body.state, State::Length(0)) {
            body.finish();
        }
        body
    }

    /// See [`crate::ResponseBody::next`].
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            let (connection, _) = self.link.as_mut()?;
            let want = match &mut self.state {
                State::Done => return None,
                State::Length(left) => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(connection.buf.len());
                    if here > 0 {
                        let piece = connection.split(here);
                        *left -= here as u64;
                        if *left == 0 {
                            self.finish();
                        }
                        return Some(Ok(piece));
                    }
                    usize::try_from(*left).map_or(READ_SIZE, |left| left.min(READ_SIZE))
                }
                State::Chunked(decoder) => match decoder.decode(&mut connection.buf) {
                    Ok(Piece::Data(piece)) => return Some(Ok(Connection::detach(piece))),
                    Ok(Piece::More) => READ_SIZE,
                    Ok(Piece::End(trailers)) => {
                        self.trailers = *trailers;
                        hop_by_hop::strip_trailers(&mut self.trailers);
                        self.finish();
                        return None;
                    }
                    Err(e) => return self.fail(FaultKind::Protocol(e), String::new()),
                },
                State::Close => {
                    if !connection.buf.is_empty() {
                        return Some(Ok(connection.split(connection.buf.len())));
                    }
                    if connection.eof && self.end_in_doubt {
                        return self.fail(FaultKind::Closed, "reset while the request was sent".to_owned());
                    }
                    if connection.eof {
                        self.finish();
                        return None;
                    }
                    READ_SIZE
                }
            };
            if connection.eof {
                let missing = match &self.state {
                    State::Length(left) => format!("{left} bytes are missing"),
                    State::Chunked(_) | State::Close | State::Done => "the last chunk is missing".to_owned(),
                };
                return self.fail(FaultKind::ShortBody, missing);
            }
            if let Some(fault) = self.wait(want).await {
                return Some(Err(fault));
            }
        }
    }

    /// Waits for more of the response while the request goes on; the fault, when there will be none.
    async fn wait(&mut self, want: usize) -> Option<Fault> {
        let (connection, _) = self.link.as_mut()?;
        let between = left(self.between_bytes, self.deadline);
        if between.is_zero() {
            return self.fail(FaultKind::Timeout, "the total time is over".to_owned()).and_then(Result::err);
        }
        let silent = || (FaultKind::Timeout, format!("nothing for {between:?}"));
        let (kind, detail) = match (&mut self.rest, &self.doomed) {
            (Some(Rest { sending, body }), _) => {
                match sending.step(connection, body.as_mut(), Some(want), Some(between)).await {
                    Ok(Progress::Read | Progress::Filled) => return None,
                    Ok(Progress::Wrote) => {
                        if sending.is_over() {
                            self.rest = None;
                        }
                        return None;
                    }
                    Err(Trouble::Read(e)) => (FaultKind::Closed, e.to_string()),
                    Err(Trouble::Stalled) => silent(),
                    Err(trouble @ (Trouble::Write(_) | Trouble::Client(..))) => {
                        self.stop_sending(trouble);
                        return None;
                    }
                }
            }
            // What has come already is not lost; more is not waited for. Yielding lets the runtime look at the socket once.
            (None, Some((error, detail))) => tokio::select! {
                biased;
                read = connection.read(want) => match read {
                    Ok(()) => return None,
                    Err(e) => (FaultKind::Closed, e.to_string()),
                },
                () = tokio::task::yield_now() => (FaultKind::Client(*error), detail.clone()),
            },
            (None, None) => match tokio::time::timeout(between, connection.read(want)).await {
                Ok(Ok(())) => return None,
                Ok(Err(e)) => (FaultKind::Closed, e.to_string()),
                Err(_) => silent(),
            },
        };
        self.fail(kind, detail).and_then(Result::err)
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.rest.is_some()
    }

    /// See [`crate::ResponseBody::pump`].
    pub(crate) async fn pump(&mut self) {
        while let (Some(Rest { sending, body }), Some((connection, _))) = (&mut self.rest, &mut self.link) {
            match sending.step(connection, body.as_mut(), None, None).await {
                Ok(_) if sending.is_over() => self.rest = None,
                Ok(_) => {}
                Err(trouble) => self.stop_sending(trouble),
            }
        }
    }

    /// See [`crate::ResponseBody::finish_sending`].
    pub(crate) async fn finish_sending(&mut self) {
        while let (State::Done, Some(Rest { sending, body }), Some((connection, _))) =
            (&self.state, &mut self.rest, &mut self.link)
        {
            let step = sending.step(connection, body.as_mut(), Some(HEAD_READ_SIZE), Some(self.between_bytes)).await;
            match step {
                Ok(Progress::Wrote | Progress::Filled) if !sending.is_over() => {}
                Ok(Progress::Wrote) => {
                    // TLS may hold the last of it. The origin may have gone: then there is nobody to tell.
                    let _gone = tokio::time::timeout(self.between_bytes, connection.flush()).await;
                    break;
                }
                // Over; or the origin has closed, takes nothing, talks out of turn; or the client has given up.
                Ok(_) | Err(_) => break,
            }
        }
        (self.rest, self.link) = (None, None);
    }

    fn stop_sending(&mut self, trouble: Trouble) {
        self.rest = None;
        self.reusable = false;
        match trouble {
            Trouble::Client(error, detail) => self.doomed = Some((error, detail)),
            Trouble::Write(e) => self.end_in_doubt = hides_a_reset(&e),
            Trouble::Read(_) | Trouble::Stalled => {}
        }
    }

    pub(crate) fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }

    fn finish(&mut self) {
        self.state = State::Done;
        if self.link.is_some() {
            self.origin.body_ended();
        }
        if self.rest.is_some() {
            // The origin may want what it has not read yet: see `finish_sending`.
            return;
        }
        if let Some((connection, _permit)) = self.link.take() {
            // Bytes after the message are an answer to nothing: the connection cannot be trusted with another request.
            if self.reusable && connection.buf.is_empty() && !connection.eof {
                self.pool.keep(connection, &self.origin);
            }
        }
    }

    fn fail(&mut self, kind: FaultKind, detail: String) -> Option<Result<Bytes, Fault>> {
        self.state = State::Done;
        (self.rest, self.link) = (None, None);
        let phase = if matches!(kind, FaultKind::Client(_)) { Phase::Send } else { Phase::Body };
        let fault = Fault::late(phase, kind, self.origin.name(), detail);
        self.origin.body_failed(&fault);
        Some(Err(fault))
    }
}

/// After a write has failed: would a read that follows take a reset for an end? The kernel tells of a reset once. A broken
/// pipe means that the origin had closed in order before.
pub(crate) fn hides_a_reset(error: &std::io::Error) -> bool {
    error.kind() != std::io::ErrorKind::BrokenPipe
}
