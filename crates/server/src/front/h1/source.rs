//! The body of a request, read off the connection piece by piece and decoded.

use super::FrontLimits;
use bytes::{Bytes, BytesMut};
use copal_pipeline::io::{RequestBody, RequestSource, SourceFault};
use copal_semantics::{Headers, hop_by_hop};
use copal_wire::{BodyFraming, Chunked, Piece};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Read at once while a body comes.
const READ_BYTES: usize = 16 * 1024;
/// Room for one read while a client that waits is watched: it rarely sends anything then.
const WATCH_READ_BYTES: usize = 4 * 1024;
/// Bytes of later requests that are kept while a client waits for its answer; beyond, it is not watched any more, and has
/// to wait with the rest.
const WATCHED_BYTES_MAX: usize = 16 * 1024;

enum Left {
    Length(u64),
    Chunked(Chunked),
    Over,
    /// Broken off or malformed: nothing that follows can be trusted.
    Broken,
}

/// One request's body.
pub(super) struct Source<'a, R> {
    reader: &'a mut R,
    buf: &'a mut BytesMut,
    left: Left,
    kind: RequestBody,
    seen: u64,
    trailers: Headers,
    /// Some of the body was asked for.
    touched: bool,
    /// The client has closed its side, and may read on.
    half_closed: bool,
    limits: &'a FrontLimits,
}

impl<'a, R: AsyncRead + Unpin + Send> Source<'a, R> {
    pub(super) fn new(reader: &'a mut R, buf: &'a mut BytesMut, framing: BodyFraming, limits: &'a FrontLimits) -> Self {
        let (kind, left) = match framing {
            BodyFraming::None | BodyFraming::Length(0) | BodyFraming::Close => (RequestBody::None, Left::Over),
            BodyFraming::Length(n) => (RequestBody::Length(n), Left::Length(n)),
            BodyFraming::Chunked => (RequestBody::Unknown, Left::Chunked(Chunked::default())),
        };
        Source {
            reader,
            buf,
            left,
            kind,
            seen: 0,
            trailers: Headers::new(),
            touched: false,
            half_closed: false,
            limits,
        }
    }

    /// Reads what nobody wanted, up to `max` bytes. Is the body over?
    pub(super) async fn skip_rest(&mut self, max: u64, closing: bool) -> bool {
        if matches!(self.left, Left::Over) {
            return true;
        }
        if closing {
            return false;
        }
        let mut skipped = 0;
        while skipped < max {
            match self.next().await {
                Some(Ok(piece)) => skipped += piece.len() as u64,
                Some(Err(_)) => return false,
                None => return true,
            }
        }
        false
    }

    async fn read_more(&mut self) -> Result<(), SourceFault> {
        self.buf.reserve(READ_BYTES);
        match timeout(self.limits.body_timeout, self.reader.read_buf(self.buf)).await {
            Ok(Ok(0)) | Ok(Err(_)) => Err(SourceFault::Gone),
            Ok(Ok(_)) => Ok(()),
            Err(_) => Err(SourceFault::Timeout),
        }
    }

    async fn step(&mut self) -> Result<Option<Bytes>, SourceFault> {
        loop {
            match &mut self.left {
                Left::Over => return Ok(None),
                Left::Broken => return Err(SourceFault::Malformed),
                Left::Length(left) => {
                    if !self.buf.is_empty() {
                        let n = usize::try_from(*left).map_or(self.buf.len(), |l| l.min(self.buf.len()));
                        *left -= n as u64;
                        if *left == 0 {
                            self.left = Left::Over;
                        }
                        return Ok(Some(self.buf.split_to(n).freeze()));
                    }
                }
                Left::Chunked(chunked) => match chunked.decode(self.buf) {
                    Ok(Piece::Data(data)) => return Ok(Some(data)),
                    Ok(Piece::End(trailers)) => {
                        self.left = Left::Over;
                        self.trailers = *trailers;
                        hop_by_hop::strip_trailers(&mut self.trailers);
                        return Ok(None);
                    }
                    Ok(Piece::More) => {}
                    Err(_) => return Err(SourceFault::Malformed),
                },
            }
            self.read_more().await?;
        }
    }
}

impl<R: AsyncRead + Unpin + Send> RequestSource for Source<'_, R> {
    fn kind(&self) -> RequestBody {
        self.kind
    }

    async fn next(&mut self) -> Option<Result<Bytes, SourceFault>> {
        self.touched = true;
        let piece = match self.step().await {
            Ok(None) => return None,
            Ok(Some(piece)) => piece,
            Err(fault) => {
                self.left = Left::Broken;
                return Some(Err(fault));
            }
        };
        self.seen += piece.len() as u64;
        if self.limits.body_bytes.is_some_and(|max| self.seen > max) {
            self.left = Left::Broken;
            return Some(Err(SourceFault::TooLarge));
        }
        Some(Ok(piece))
    }

    /// What arrives meanwhile is kept for the next request. An end that is met cannot be told from a half-close (RFC 9112
    /// has no word for it; `nc -N` and others do it and then read), so it is for the listener's owner to say what it means.
    fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }

    fn can_tunnel(&self) -> bool {
        !self.touched
    }

    async fn next_raw(&mut self) -> Option<Result<Bytes, SourceFault>> {
        if self.buf.is_empty() && !self.half_closed {
            self.buf.reserve(READ_BYTES);
            match self.reader.read_buf(self.buf).await {
                Ok(0) => self.half_closed = true,
                Ok(_) => {}
                Err(_) => return Some(Err(SourceFault::Gone)),
            }
        }
        if self.buf.is_empty() { None } else { Some(Ok(self.buf.split().freeze())) }
    }

    async fn gone(&mut self) {
        while !self.half_closed && self.buf.len() < WATCHED_BYTES_MAX {
            if self.buf.capacity() == self.buf.len() {
                self.buf.reserve(WATCH_READ_BYTES);
            }
            match self.reader.read_buf(self.buf).await {
                Ok(0) if self.limits.abort_on_close => return,
                Ok(0) => self.half_closed = true,
                Ok(_) => {}
                Err(_) => return,
            }
        }
        std::future::pending().await
    }
}
