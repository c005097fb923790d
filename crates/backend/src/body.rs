//! Bodies on their way: the client's towards the origin, the origin's towards whoever reads it.
//!
//! ```text
//! Length(n) ─┐                    ┌─▶ Done: clean end; the connection goes back to the pool when it may
//! Chunked ───┼─ next() ─ pieces ──┤
//! Close ─────┘                    └─▶ Fault: never followed by a clean end; the connection is closed
//! ```

use crate::connection::{Connection, READ_SIZE};
use crate::fault::{Fault, FaultKind, Phase};
use crate::origin::{Origin, Permit};
use crate::pool::Pool;
use bytes::Bytes;
use copal_semantics::Headers;
use copal_wire::{BodyFraming, Chunked, Piece, WireError};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;

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
    /// The next piece, or `None` at the end. Need not be cancel-safe: it is dropped unfinished only when the rest of
    /// the body is no longer wanted.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, BodyError>>> + Send;
}

/// No body at all, to name the type in `SendBody::<NoBody>::None`.
#[derive(Clone, Copy, Debug)]
pub struct NoBody;

impl RequestBody for NoBody {
    async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        None
    }
}

/// What is sent after the head. Trailers of requests are not forwarded.
#[derive(Debug)]
pub enum SendBody<B> {
    /// Nothing.
    None,
    /// So many bytes; more or fewer are a [`BodyError::Length`].
    Length(u64, B),
    /// A body of unknown length.
    Chunked(B),
}

#[derive(Debug)]
enum State {
    Length(u64),
    Chunked(Chunked),
    Close,
    Done,
}

/// The body of a response. Dropping it before its end closes the connection.
pub struct ResponseBody {
    state: State,
    /// Gone once the body is over or has failed.
    link: Option<(Connection, Permit)>,
    pool: Pool,
    origin: Arc<Origin>,
    /// May the connection carry another request after this body?
    reusable: bool,
    between_bytes: Duration,
    trailers: Headers,
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ResponseBody").field("state", &self.state).finish_non_exhaustive()
    }
}

impl ResponseBody {
    /// A body that starts with what is in the connection's buffer.
    pub(crate) fn new(
        framing: BodyFraming,
        (connection, permit): (Connection, Permit),
        (pool, origin): (&Pool, &Arc<Origin>),
        reusable: bool,
        between_bytes: Duration,
    ) -> Self {
        let state = match framing {
            BodyFraming::None => State::Length(0),
            BodyFraming::Length(n) => State::Length(n),
            BodyFraming::Chunked => State::Chunked(Chunked::default()),
            BodyFraming::Close => State::Close,
        };
        let mut body = ResponseBody {
            state,
            link: Some((connection, permit)),
            pool: pool.clone(),
            origin: origin.clone(),
            reusable,
            between_bytes,
            trailers: Headers::new(),
        };
        if matches!(body.state, State::Length(0)) {
            body.finish();
        }
        body
    }

    /// The next piece, never empty; `None` at the clean end. After a fault there is nothing more.
    ///
    /// A piece holds at most about twice its length in memory, so it can be stored as it is.
    ///
    /// # Errors
    /// The body ended early, is malformed, or nothing came for the between-bytes timeout.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
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
                        self.finish();
                        return None;
                    }
                    Err(e) => return self.fail(FaultKind::Protocol(e), String::new()),
                },
                State::Close => {
                    if !connection.buf.is_empty() {
                        return Some(Ok(connection.split(connection.buf.len())));
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
            match tokio::time::timeout(self.between_bytes, connection.read(want)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => return self.fail(FaultKind::Closed, e.to_string()),
                Err(_) => return self.fail(FaultKind::Timeout, format!("nothing for {:?}", self.between_bytes)),
            }
        }
    }

    /// The trailer fields, once the body has come to its clean end; empty before and without any.
    pub fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }

    fn finish(&mut self) {
        self.state = State::Done;
        if let Some((connection, _permit)) = self.link.take() {
            // Bytes after the message are an answer to nothing: the connection cannot be trusted with another request.
            if self.reusable && connection.buf.is_empty() && !connection.eof {
                self.pool.keep(connection, self.origin.options().idle_timeout);
            }
        }
    }

    fn fail(&mut self, kind: FaultKind, detail: String) -> Option<Result<Bytes, Fault>> {
        self.state = State::Done;
        self.link = None;
        let fault = Fault::late(Phase::Body, kind, self.origin.name(), detail);
        self.origin.tally.failed(&fault);
        Some(Err(fault))
    }
}
