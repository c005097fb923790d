//! One connection to an origin with what has been read from it: reads, and writes that listen at the same time.

use crate::socket::Socket;
use bytes::{Buf, Bytes, BytesMut};
use pingora_core::protocols::Stream;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Room for one read while a body comes: a read of this size is one system call per 64 KiB, what the kernel hands over.
pub(crate) const READ_SIZE: usize = 64 * 1024;
/// Room for the first read of a response: most heads, with the body when that is small.
pub(crate) const HEAD_READ_SIZE: usize = 8 * 1024;
/// Pieces of which more than half of the memory would be slack are copied, so that what a store keeps is what it counts.
const SLACK_SHARE: usize = 2;

/// A connection with its read buffer.
pub(crate) struct Connection {
    stream: Stream,
    key: u64,
    /// Has it carried another request before?
    pub(crate) reused: bool,
    /// Read, not yet taken.
    pub(crate) buf: BytesMut,
    /// The origin has closed its side.
    pub(crate) eof: bool,
}

/// What [`Connection::write_or_read`] did.
pub(crate) enum Step {
    /// Some of what was to go out has gone.
    Wrote,
    /// Bytes, or the end, have come in.
    Read,
    /// The connection takes nothing more. What came in before can still be read.
    Refused(io::Error),
}

impl Connection {
    pub(crate) fn new(stream: Stream, key: u64, reused: bool) -> Self {
        Connection { stream, key, reused, buf: BytesMut::new(), eof: false }
    }

    /// The parts that the pool keeps. The buffer must be empty.
    pub(crate) fn into_stream(self) -> (Stream, u64) {
        debug_assert!(self.buf.is_empty() && !self.eof, "a connection with leftovers must be closed");
        (self.stream, self.key)
    }

    /// It lies in a pool from now on, or carries a request again. What is no socket (memory) is not counted.
    pub(crate) fn set_idle(&self, idle: bool) {
        if let Some(socket) = (*self.stream).as_any().downcast_ref::<Socket>() {
            socket.set_idle(idle);
        }
    }

    /// The stream and what has been read from it, for a tunnel: no pool takes it back.
    pub(crate) fn into_raw(self) -> (Stream, BytesMut) {
        (self.stream, self.buf)
    }

    fn make_room(&mut self, want: usize) {
        if self.buf.capacity() - self.buf.len() < want.min(HEAD_READ_SIZE / 2) {
            self.buf.reserve(want);
        }
    }

    /// Reads once, into room for `want` bytes or what is left of the buffer; at the end sets `eof`. Cancel-safe.
    pub(crate) async fn read(&mut self, want: usize) -> io::Result<()> {
        self.make_room(want);
        self.eof = self.stream.read_buf(&mut self.buf).await? == 0;
        Ok(())
    }

    /// Writes some of `out`; with `want`, whatever comes in goes first, into room for so many bytes. Cancel-safe.
    ///
    /// # Errors
    /// Those of reading.
    pub(crate) async fn write_or_read(&mut self, out: &mut (impl Buf + Send), want: Option<usize>) -> io::Result<Step> {
        if let Some(want) = want {
            self.make_room(want);
        }
        let Connection { stream, buf, eof, .. } = self;
        std::future::poll_fn(|cx| {
            if want.is_some()
                && let Poll::Ready(read) = pin!(stream.read_buf(buf)).poll(cx)
            {
                *eof = read? == 0;
                return Poll::Ready(Ok(Step::Read));
            }
            let mut slices = [io::IoSlice::new(&[]); 4];
            let used = out.chunks_vectored(&mut slices);
            match Pin::new(&mut *stream).poll_write_vectored(cx, &slices[..used]) {
                Poll::Ready(Ok(0)) => Poll::Ready(Ok(Step::Refused(io::ErrorKind::WriteZero.into()))),
                Poll::Ready(Ok(n)) => {
                    out.advance(n);
                    Poll::Ready(Ok(Step::Wrote))
                }
                Poll::Ready(Err(e)) => Poll::Ready(Ok(Step::Refused(e))),
                Poll::Pending => Poll::Pending,
            }
        })
        .await
    }

    /// Sends on what a layer below may still hold (TLS; plain sockets hold nothing).
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.stream.flush().await
    }

    /// Takes `n` bytes off the buffer, without a copy when they fill most of it.
    pub(crate) fn split(&mut self, n: usize) -> Bytes {
        if n * SLACK_SHARE >= self.buf.capacity() {
            return self.buf.split_to(n).freeze();
        }
        let piece = Bytes::copy_from_slice(&self.buf[..n]);
        self.buf.advance(n);
        piece
    }

    /// A piece that a decoder has cut out of the buffer, copied when it would hold much more memory than it has bytes.
    pub(crate) fn detach(piece: Bytes) -> Bytes {
        if piece.len() * SLACK_SHARE >= READ_SIZE { piece } else { Bytes::copy_from_slice(&piece) }
    }
}
