//! The client's body on its way out over one stream: one piece in hand, taken as the origin's window allows (RFC 9113 §5.2).

use crate::body::{BodyError, RequestBody, SendBody};
use bytes::Bytes;
use copal_semantics::Headers;
use h2::SendStream;
use std::task::{Context, Poll, ready};

/// What is left to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Nothing,
    Length(u64),
    Unknown,
}

/// A body that is being sent.
#[derive(Debug)]
pub(super) struct Upload {
    send: SendStream<Bytes>,
    left: Left,
    piece: Bytes,
    /// The client's body was asked for a piece, so that it cannot be sent again.
    pub(super) body_taken: bool,
}

/// What ends the sending.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The origin takes nothing more; an answer may be there all the same.
    Refused,
    /// The client's body has failed.
    Client(BodyError, String),
}

impl Upload {
    /// After the head, which has ended the stream when there is nothing to send.
    pub(super) fn new<B>(send: SendStream<Bytes>, body: &SendBody<B>) -> Self {
        let left = match body {
            SendBody::None | SendBody::Length(0, _) => Left::Nothing,
            SendBody::Length(n, _) => Left::Length(*n),
            SendBody::Chunked(_) => Left::Unknown,
        };
        Upload { send, left, piece: Bytes::new(), body_taken: false }
    }

    pub(super) fn is_over(&self) -> bool {
        self.left == Left::Nothing && self.piece.is_empty()
    }

    /// Is it the origin that is waited for, not the client?
    pub(super) fn waits_for_origin(&self) -> bool {
        !self.piece.is_empty()
    }

    /// One step: some of the piece in hand goes out, or the client's next one comes. Not to be called when all is over.
    pub(super) fn poll_step(&mut self, body: &mut dyn RequestBody, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        if self.piece.is_empty() {
            return self.poll_fill(body, cx);
        }
        self.send.reserve_capacity(self.piece.len());
        let mut room = self.send.capacity();
        while room == 0 {
            match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(n)) => room = n,
                Some(Err(_)) | None => return Poll::Ready(Err(Trouble::Refused)),
            }
        }
        let out = self.piece.split_to(room.min(self.piece.len()));
        let last = self.is_over();
        Poll::Ready(self.send.send_data(out, last).map_err(|_| Trouble::Refused))
    }

    fn poll_fill(&mut self, body: &mut dyn RequestBody, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
        // A stream that was reset while nothing is in hand: no more of the client's body is asked for.
        if let Poll::Ready(reset) = self.send.poll_reset(cx) {
            let _reason = reset;
            return Poll::Ready(Err(Trouble::Refused));
        }
        self.body_taken = true;
        let piece = match ready!(body.poll_next(cx)) {
            Some(Err(e)) => return Poll::Ready(Err(Trouble::Client(e, String::new()))),
            Some(Ok(piece)) => Some(piece),
            None => None,
        };
        let wrong = |detail: String| Poll::Ready(Err(Trouble::Client(BodyError::Length, detail)));
        match (self.left, piece) {
            (Left::Length(left), Some(piece)) => match left.checked_sub(piece.len() as u64) {
                None => return wrong(format!("more than the {left} bytes that were left to come")),
                Some(rest) => {
                    self.left = if rest == 0 { Left::Nothing } else { Left::Length(rest) };
                    self.piece = piece;
                }
            },
            (Left::Length(left), None) => return wrong(format!("{left} bytes are missing")),
            (Left::Unknown, Some(piece)) => self.piece = piece,
            (Left::Unknown, None) => {
                self.left = Left::Nothing;
                return Poll::Ready(self.end(&body.take_trailers()).map_err(|_| Trouble::Refused));
            }
            (Left::Nothing, _) => {}
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self, trailers: &Headers) -> Result<(), h2::Error> {
        if trailers.iter().next().is_none() {
            return self.send.send_data(Bytes::new(), true);
        }
        self.send.send_trailers(super::head::trailers(trailers))
    }
}
