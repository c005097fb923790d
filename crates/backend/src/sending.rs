//! A request on its way out: what is framed for the wire, and how much of the client's body is still to come.
//!
//! ```text
//! head ──▶ out ──▶ taken by the socket ──▶ the client's next piece, framed ──▶ out … ──▶ over
//! ```
//!
//! Invariant: one piece of the body at a time is held here; the next is asked for when the socket has taken it.

use crate::body::{BodyError, RequestBody, SendBody};
use crate::connection::{Connection, Step};
use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use copal_semantics::Headers;
use copal_wire::encode;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::timeout;

/// A piece with what frames it, before and behind.
type Framed = Chain<Chain<Bytes, Bytes>, Bytes>;

/// What of the client's body has not been asked for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Its length was announced; so many bytes are missing.
    Length(u64),
    Chunked,
}

/// One request that is being sent.
#[derive(Debug)]
pub(crate) struct Sending {
    out: Framed,
    left: Left,
    /// The client's body was asked for a piece.
    body_taken: bool,
}

/// What [`Sending::step`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The socket has taken some of the request.
    Wrote,
    /// The client's next piece is ready to go out.
    Filled,
    /// The origin has sent something, or has closed its side.
    Read,
}

/// What ends the sending.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The connection cannot be read from any more.
    Read(io::Error),
    /// The connection takes nothing any more; what the origin sent before may be there all the same.
    Write(io::Error),
    /// The client's body has failed.
    Client(BodyError, String),
    /// Nothing went out, and nothing came in, for the time that was given.
    Stalled,
}

impl Sending {
    /// Begins with the head.
    pub(crate) fn new<B>(head: Bytes, body: &SendBody<B>) -> Self {
        let left = match body {
            SendBody::None | SendBody::Length(0, _) => Left::Nothing,
            SendBody::Length(n, _) => Left::Length(*n),
            SendBody::Chunked(_) => Left::Chunked,
        };
        Sending { out: framed(head, Bytes::new(), Bytes::new()), left, body_taken: false }
    }

    /// Has the socket taken all of it?
    pub(crate) fn is_over(&self) -> bool {
        !self.out.has_remaining() && self.left == Left::Nothing
    }

    /// Was the client's body asked for a piece, so that it cannot be sent again?
    pub(crate) fn body_taken(&self) -> bool {
        self.body_taken
    }

    /// One step: reads into room for `want` bytes, if asked to, before it writes; asks the client for its next piece when
    /// the one before has gone out. Cancel-safe. Must not be called when all is over.
    ///
    /// `within` bounds the wait for the origin only: the client has time limits of its own, and an origin that is silent
    /// while there is nothing to send it may be waiting for more.
    pub(crate) async fn step(
        &mut self,
        connection: &mut Connection,
        body: &mut dyn RequestBody,
        want: Option<usize>,
        within: Option<Duration>,
    ) -> Result<Progress, Trouble> {
        if self.out.has_remaining() {
            let step = connection.write_or_read(&mut self.out, want);
            let step = match within {
                Some(within) => timeout(within, step).await.map_err(|_| Trouble::Stalled)?,
                None => step.await,
            };
            return match step.map_err(Trouble::Read)? {
                Step::Wrote => Ok(Progress::Wrote),
                Step::Read => Ok(Progress::Read),
                Step::Refused(e) => Err(Trouble::Write(e)),
            };
        }
        tokio::select! {
            biased;
            filled = std::future::poll_fn(|cx| self.poll_fill(body, cx)) => match filled {
                Ok(()) => Ok(Progress::Filled),
                Err((error, detail)) => Err(Trouble::Client(error, detail)),
            },
            read = connection.read(want.unwrap_or_default()), if want.is_some() => match read {
                Ok(()) => Ok(Progress::Read),
                Err(e) => Err(Trouble::Read(e)),
            },
        }
    }

    fn poll_fill(&mut self, body: &mut dyn RequestBody, cx: &mut Context<'_>) -> Poll<Result<(), (BodyError, String)>> {
        self.body_taken = true;
        let piece = match ready!(body.poll_next(cx)) {
            Some(Ok(piece)) => Some(piece),
            Some(Err(error)) => return Poll::Ready(Err((error, String::new()))),
            None => None,
        };
        let trailers = if piece.is_none() { body.take_trailers() } else { Headers::new() };
        Poll::Ready(self.frame(piece, &trailers).map_err(|detail| (BodyError::Length, detail)))
    }

    /// Frames the next piece, or the end with its trailers; says what is wrong when it does not fit the length that was announced.
    fn frame(&mut self, piece: Option<Bytes>, trailers: &Headers) -> Result<(), String> {
        match (self.left, piece) {
            (Left::Length(left), Some(piece)) => {
                let Some(rest) = left.checked_sub(piece.len() as u64) else {
                    return Err(format!("more than the {left} bytes that were left to come"));
                };
                self.left = if rest == 0 { Left::Nothing } else { Left::Length(rest) };
                self.out = framed(Bytes::new(), piece, Bytes::new());
            }
            (Left::Length(left), None) => return Err(format!("{left} bytes are missing")),
            (Left::Chunked, Some(piece)) if piece.is_empty() => {}
            (Left::Chunked, Some(piece)) => {
                let mut start = Vec::with_capacity(20);
                encode::chunk_start(piece.len(), &mut start);
                self.out = framed(start.into(), piece, Bytes::from_static(b"\r\n"));
            }
            (Left::Chunked, None) => {
                let mut end = Vec::with_capacity(8);
                encode::chunk_end(trailers, &mut end);
                self.left = Left::Nothing;
                self.out = framed(end.into(), Bytes::new(), Bytes::new());
            }
            (Left::Nothing, _) => {}
        }
        Ok(())
    }
}

fn framed(before: Bytes, piece: Bytes, behind: Bytes) -> Framed {
    before.chain(piece).chain(behind)
}
