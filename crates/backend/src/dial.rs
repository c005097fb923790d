//! Connections from memory in place of the network: through this seam `copal test` puts scripted origins behind the real
//! fetches. A pool that dials keeps no connection, so each request has one of its own.

use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Bytes under way in one direction: what a socket's buffer holds.
const BUFFER_BYTES: usize = 64 * 1024;

/// What [`Dial::dial`] gives.
pub type Dialling<'a> = Pin<Box<dyn Future<Output = io::Result<Wire>> + Send + 'a>>;

/// Opens connections to origins by their names.
pub trait Dial: Send + Sync {
    /// A new connection to the origin of that name, or what connecting to it gives: `ConnectionRefused`, say. A future
    /// that is never ready is an origin that cannot be reached.
    fn dial<'a>(&'a self, origin: &'a str) -> Dialling<'a>;
}

/// Copal's end of a connection in memory.
#[derive(Debug)]
pub struct Wire {
    stream: DuplexStream,
    reset: Arc<AtomicBool>,
}

/// The origin's end.
#[derive(Debug)]
pub struct OriginEnd {
    /// Its bytes. Dropping it is an orderly close.
    pub stream: DuplexStream,
    reset: Arc<AtomicBool>,
}

impl Wire {
    /// A connection: both ends.
    #[must_use]
    pub fn pair() -> (Wire, OriginEnd) {
        let (ours, theirs) = tokio::io::duplex(BUFFER_BYTES);
        let reset = Arc::new(AtomicBool::new(false));
        (Wire { stream: ours, reset: Arc::clone(&reset) }, OriginEnd { stream: theirs, reset })
    }
}

impl OriginEnd {
    /// Closes it so that the other end sees a reset once it has read what was sent.
    pub fn reset(self) {
        self.reset.store(true, Ordering::Release);
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        let ended = matches!(read, Poll::Ready(Ok(()))) && buf.filled().len() == before && buf.remaining() > 0;
        if ended && self.reset.load(Ordering::Acquire) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

// What pingora wants of a connection beyond its bytes: nothing that memory has.
#[async_trait]
impl Shutdown for Wire {
    async fn shutdown(&mut self) {}
}
impl UniqueID for Wire {
    fn id(&self) -> i32 {
        0
    }
}
impl Ssl for Wire {}
impl GetTimingDigest for Wire {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}
impl GetProxyDigest for Wire {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
}
impl GetSocketDigest for Wire {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
}
impl Peek for Wire {}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reset_shows_after_what_was_sent_and_a_close_is_an_orderly_end() {
        for reset in [true, false] {
            let (mut ours, mut theirs) = Wire::pair();
            theirs.stream.write_all(b"last words").await.expect("room");
            if reset {
                theirs.reset();
            } else {
                drop(theirs);
            }
            let mut got = [0; 10];
            ours.read_exact(&mut got).await.expect("what was sent");
            let end = ours.read(&mut got).await;
            assert_eq!(end.map_err(|e| e.kind()), if reset { Err(io::ErrorKind::ConnectionReset) } else { Ok(0) });
        }
    }
}
