//! The body of a request on its way from the client's connection to the fetch, piece by piece.

use crate::io::{RequestBody, RequestSource, SourceFault};
use bytes::Bytes;
use copal_backend::BodyError;
use copal_semantics::Headers;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// Pieces under way: enough to keep both sides busy, little enough to hold a fast client back.
const PIECES_MAX: usize = 4;

/// What goes from the client to the fetch.
enum Moved {
    Piece(Bytes),
    /// The body is whole. A channel that closes without it was cut off.
    End(Box<Headers>),
}

type Piece = Result<Moved, SourceFault>;

/// The client's end.
pub(crate) struct Upload {
    /// What was read of it before, to see how large it is.
    prefix: Option<Bytes>,
    pieces: Option<mpsc::Sender<Piece>>,
}

/// The fetch's end.
pub(crate) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    /// Has the fetch taken any? Then the body cannot be sent again.
    touched: bool,
    trailers: Headers,
}

impl Upload {
    /// Both ends for a body of that kind; nothing for no body.
    pub(crate) fn new(kind: RequestBody, prefix: Option<Bytes>) -> (Option<Upload>, Option<(Pieces, RequestBody)>) {
        if kind == RequestBody::None {
            return (None, None);
        }
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        (
            Some(Upload { prefix, pieces: Some(sender) }),
            Some((Pieces { pieces: receiver, touched: false, trailers: Headers::new() }, kind)),
        )
    }

    /// Moves pieces until the body is over or the fetch wants no more. Dropping the future loses nothing.
    pub(crate) async fn pump<R: RequestSource>(&mut self, source: &mut R) {
        while let Some(pieces) = &self.pieces {
            // The place is taken first: a piece once read can always be handed on.
            let Ok(place) = pieces.reserve().await else { break };
            if let Some(piece) = self.prefix.take() {
                place.send(Ok(Moved::Piece(piece)));
                continue;
            }
            match source.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => place.send(Ok(Moved::Piece(piece))),
                Some(Err(fault)) => {
                    place.send(Err(fault));
                    break;
                }
                None => {
                    place.send(Ok(Moved::End(Box::new(source.take_trailers()))));
                    break;
                }
            }
        }
        self.pieces = None;
    }
}

impl Pieces {
    pub(crate) fn touched(&self) -> bool {
        self.touched
    }
}

/// A body on its way out.
pub(crate) enum Outgoing {
    /// As the client sends it.
    Pieces(Box<Pieces>),
    /// One that was kept.
    Kept(Bytes),
}

impl copal_backend::RequestBody for Outgoing {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Outgoing::Pieces(pieces) => pieces.poll_next(cx),
            Outgoing::Kept(bytes) => {
                let all = std::mem::take(bytes);
                Poll::Ready((!all.is_empty()).then_some(Ok(all)))
            }
        }
    }

    fn take_trailers(&mut self) -> Headers {
        match self {
            Outgoing::Pieces(pieces) => pieces.take_trailers(),
            Outgoing::Kept(_) => Headers::new(),
        }
    }
}

impl copal_backend::RequestBody for Pieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.touched = true;
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Ok(Moved::Piece(piece))) => Some(Ok(piece)),
            Some(Ok(Moved::End(trailers))) => {
                self.trailers = *trailers;
                None
            }
            Some(Err(fault)) => Some(Err(match fault {
                SourceFault::Gone => BodyError::Closed,
                SourceFault::Timeout => BodyError::Timeout,
                SourceFault::Malformed => BodyError::Malformed(copal_backend::WireError::Chunk),
                SourceFault::TooLarge => BodyError::TooLarge,
            })),
            None => Some(Err(BodyError::Closed)),
        })
    }

    fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }
}
