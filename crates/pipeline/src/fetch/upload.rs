//! The body of a request on its way from the client's connection to the fetch, piece by piece. Up to a limit it is kept, so
//! that the request can be sent again.
//!
//! ```text
//! client ──▶ channel (4 pieces) ──▶ kept ──▶ origin        rewind: kept from its first piece, then the channel
//!                                     └── beyond the limit: let go, and the request is not sent again
//! ```

use crate::io::{RequestBody, RequestSource, SourceFault};
use bytes::{Bytes, BytesMut};
use copal_backend::BodyError;
use copal_semantics::Headers;
use copal_store::{Charge, PIECE_BYTES, Store};
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// Pieces under way: enough to keep both sides busy, little enough to hold a fast client back.
const PIECES_MAX: usize = 4;
/// Kept pieces are joined up to this size: a client may send single bytes, and each by itself would cost 40 times as much.
const JOINED_MAX: usize = 4 * 1024;

/// What goes from the client to the fetch.
enum Moved {
    Piece(Bytes),
    /// The body is whole. A channel that closes without it was cut off.
    End(Box<Headers>),
}

type Piece = Result<Moved, SourceFault>;

/// How much of a body is kept, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keep {
    /// For sending it again.
    pub(crate) again: usize,
    /// For sending a copy of it.
    pub(crate) copy: usize,
}

/// The client's end.
pub(crate) struct Upload {
    /// What was read of it before, to see how large it is.
    prefix: Option<Bytes>,
    pieces: Option<mpsc::Sender<Piece>>,
}

/// The fetch's end.
pub(crate) struct Pieces {
    pieces: mpsc::Receiver<Piece>,
    /// All that has come so far; `None`: some of it was let go.
    kept: Option<Kept>,
    trailers: Headers,
}

/// The body from its beginning.
struct Kept {
    pieces: Vec<Bytes>,
    bytes: usize,
    /// How many there will be, where that was said.
    length: Option<usize>,
    bytes_max: usize,
    /// With more than that it is not sent again.
    again_max: usize,
    /// How many of the pieces this attempt has had.
    given: usize,
    /// It is whole, with these trailers.
    end: Option<Headers>,
    /// They count as memory of the store.
    charge: Charge,
}

impl Upload {
    /// Both ends for a body of that kind, of which `keep` is kept; nothing for no body. `prefix` was read before.
    pub(crate) fn new(
        kind: RequestBody,
        prefix: Option<Bytes>,
        keep: Keep,
        store: &Store,
    ) -> (Option<Upload>, Option<(Pieces, RequestBody)>) {
        if kind == RequestBody::None {
            return (None, None);
        }
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        // Of what is known to be too long nothing is kept.
        let bytes_max = keep.again.max(keep.copy);
        let bytes_max = match kind {
            RequestBody::Length(n) if usize::try_from(n).is_ok_and(|n| n <= bytes_max) => bytes_max,
            RequestBody::Unknown => bytes_max,
            RequestBody::None | RequestBody::Length(_) => 0,
        };
        let length = match kind {
            RequestBody::Length(n) => usize::try_from(n).ok(),
            RequestBody::None | RequestBody::Unknown => None,
        };
        let kept = Kept {
            length,
            pieces: Vec::new(),
            bytes: 0,
            bytes_max,
            again_max: keep.again,
            given: 0,
            end: None,
            charge: store.charge(),
        };
        (
            Some(Upload { prefix, pieces: Some(sender) }),
            Some((Pieces { pieces: receiver, kept: Some(kept), trailers: Headers::new() }, kind)),
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
    /// The whole body, if it has all come and is kept.
    pub(crate) fn whole(&self) -> Option<Vec<Bytes>> {
        let kept = self.kept.as_ref()?;
        // Of a known length, the end is not asked for.
        let whole = kept.end.is_some() || kept.length == Some(kept.bytes);
        whole.then(|| kept.pieces.clone())
    }

    /// What comes now, from the client.
    fn poll_new(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(match ready!(self.pieces.poll_recv(cx)) {
            Some(Ok(Moved::Piece(piece))) => {
                if self.kept.as_ref().is_some_and(|kept| kept.bytes + piece.len() > kept.bytes_max) {
                    self.kept = None;
                }
                if let Some(kept) = &mut self.kept {
                    kept.add(&piece);
                }
                Some(Ok(piece))
            }
            Some(Ok(Moved::End(trailers))) => {
                self.trailers = *trailers;
                if let Some(kept) = &mut self.kept {
                    kept.end = Some(self.trailers.clone());
                }
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
}

impl Kept {
    /// Keeps a piece that is given out now.
    fn add(&mut self, piece: &Bytes) {
        match self.pieces.last_mut() {
            Some(last) if last.len() + piece.len() <= JOINED_MAX => {
                // Ours alone after the first time, so that this copies nothing but the new piece.
                let mut joined = BytesMut::from(std::mem::take(last));
                joined.extend_from_slice(piece);
                *last = joined.freeze();
            }
            Some(_) | None => self.pieces.push(piece.clone()),
        }
        self.bytes += piece.len();
        self.given = self.pieces.len();
        self.charge.set(self.bytes as u64 + self.pieces.len() as u64 * PIECE_BYTES);
    }
}

/// A body on its way out.
pub(crate) enum Outgoing {
    /// As the client sends it.
    Pieces(Box<Pieces>),
    /// One that was kept for the policy, and whether this attempt has had it.
    Kept {
        /// The whole of it.
        bytes: Bytes,
        /// Has this attempt had it?
        given: bool,
    },
}

impl Outgoing {
    /// A body that was kept for the policy.
    pub(crate) fn kept(bytes: Bytes) -> Self {
        Outgoing::Kept { bytes, given: false }
    }

    /// The whole body, if it is all here.
    pub(crate) fn whole(&self) -> Option<Vec<Bytes>> {
        match self {
            Outgoing::Pieces(pieces) => pieces.whole(),
            Outgoing::Kept { bytes, .. } => Some(vec![bytes.clone()]),
        }
    }
}

impl copal_backend::RequestBody for Outgoing {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        match self {
            Outgoing::Pieces(pieces) => pieces.poll_next(cx),
            Outgoing::Kept { bytes, given } => {
                let all = (!std::mem::replace(given, true) && !bytes.is_empty()).then(|| Ok(bytes.clone()));
                Poll::Ready(all)
            }
        }
    }

    fn rewind(&mut self) -> bool {
        match self {
            Outgoing::Pieces(pieces) => pieces.rewind(),
            Outgoing::Kept { given, .. } => {
                *given = false;
                true
            }
        }
    }

    fn take_trailers(&mut self) -> Headers {
        match self {
            Outgoing::Pieces(pieces) => pieces.take_trailers(),
            Outgoing::Kept { .. } => Headers::new(),
        }
    }
}

impl copal_backend::RequestBody for Pieces {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if let Some(kept) = &mut self.kept {
            if let Some(piece) = kept.pieces.get(kept.given) {
                kept.given += 1;
                return Poll::Ready(Some(Ok(piece.clone())));
            }
            if let Some(trailers) = &kept.end {
                self.trailers.clone_from(trailers);
                return Poll::Ready(None);
            }
        }
        self.poll_new(cx)
    }

    fn rewind(&mut self) -> bool {
        match &mut self.kept {
            Some(kept) if kept.bytes <= kept.again_max => {
                kept.given = 0;
                true
            }
            Some(_) | None => false,
        }
    }

    fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copal_backend::RequestBody as _;
    use copal_store::StoreOptions;

    /// What comes next without waiting.
    fn next(pieces: &mut Pieces) -> Option<Result<Bytes, BodyError>> {
        match pieces.poll_next(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(piece) => piece,
            Poll::Pending => Some(Ok(Bytes::from_static(b"(later)"))),
        }
    }

    fn ends(kind: RequestBody, bytes_max: usize, store: &Store) -> (mpsc::Sender<Piece>, Pieces) {
        let (upload, pieces) = Upload::new(kind, None, Keep { again: bytes_max, copy: 0 }, store);
        let (upload, (pieces, _)) = (upload.expect("a body"), pieces.expect("a body"));
        (upload.pieces.expect("open"), pieces)
    }

    fn piece(text: &'static str) -> Piece {
        Ok(Moved::Piece(Bytes::from_static(text.as_bytes())))
    }

    #[test]
    fn what_is_kept_comes_again_from_its_first_piece_with_its_trailers() {
        let store = Store::new(StoreOptions::default());
        let before = store.stats().bytes;
        let (client, mut pieces) = ends(RequestBody::Unknown, 6, &store);
        for sent in [piece("abc"), piece("def")] {
            assert!(client.try_send(sent).is_ok());
        }
        assert_eq!(next(&mut pieces), Some(Ok("abc".into())));
        assert!(pieces.rewind() && pieces.whole().is_none());
        assert_eq!([next(&mut pieces), next(&mut pieces)], [Some(Ok("abc".into())), Some(Ok("def".into()))]);
        assert_eq!(store.stats().bytes - before, 6 + PIECE_BYTES, "what is kept counts");
        let mut trailers = Headers::new();
        trailers.set("X-Sum", "1").expect("valid");
        assert!(client.try_send(Ok(Moved::End(Box::new(trailers.clone())))).is_ok());
        for _ in 0..2 {
            assert!(next(&mut pieces).is_none());
            assert_eq!(pieces.take_trailers(), trailers);
            assert!(pieces.rewind());
            assert_eq!(next(&mut pieces), Some(Ok("abcdef".into())));
        }
        assert_eq!(pieces.whole(), Some(vec!["abcdef".into()]));
        drop(pieces);
        assert_eq!(store.stats().bytes, before);
    }

    #[test]
    fn a_body_of_single_bytes_is_kept_in_few_pieces() {
        let store = Store::new(StoreOptions::default());
        let before = store.stats().bytes;
        let (client, mut pieces) = ends(RequestBody::Unknown, 100_000, &store);
        for n in 0..50_000 {
            assert!(client.try_send(piece(["x", "y"][n % 2])).is_ok());
            assert!(next(&mut pieces).is_some_and(|given| given.is_ok_and(|given| given.len() == 1)), "as it came");
        }
        let held = store.stats().bytes - before;
        assert!((50_001..55_000).contains(&held), "{held} bytes for 50,000");
        assert!(pieces.rewind());
        let mut again = Vec::new();
        while again.len() < 50_000 {
            again.extend_from_slice(&next(&mut pieces).expect("more").expect("no fault"));
        }
        assert!(again == b"xy".repeat(25_000));
    }

    #[test]
    fn a_body_beyond_the_limit_is_let_go_and_goes_on_all_the_same() {
        let store = Store::new(StoreOptions::default());
        for (kind, bytes_max) in [(RequestBody::Unknown, 5), (RequestBody::Length(6), 5), (RequestBody::Unknown, 0)] {
            let (client, mut pieces) = ends(kind, bytes_max, &store);
            assert!(pieces.rewind(), "nothing has come yet");
            assert!(client.try_send(piece("abc")).is_ok() && client.try_send(piece("def")).is_ok());
            assert_eq!([next(&mut pieces), next(&mut pieces)], [Some(Ok("abc".into())), Some(Ok("def".into()))]);
            assert!(!pieces.rewind() && pieces.whole().is_none());
        }
    }

    #[test]
    fn what_is_kept_for_a_copy_alone_is_not_sent_again() {
        let store = Store::new(StoreOptions::default());
        let (upload, pieces) = Upload::new(RequestBody::Length(3), None, Keep { again: 2, copy: 3 }, &store);
        let (client, (mut pieces, _)) =
            (upload.and_then(|upload| upload.pieces).expect("open"), pieces.expect("a body"));
        assert!(client.try_send(piece("abc")).is_ok());
        assert_eq!(next(&mut pieces), Some(Ok("abc".into())));
        assert_eq!((pieces.rewind(), pieces.whole()), (false, Some(vec!["abc".into()])));
    }
}
