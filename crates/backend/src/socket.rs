//! A socket to an origin, with TLS on it or without, in the form that pingora's pool keeps; counted while it is open.

use crate::tally::Tally;
use async_trait::async_trait;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
};
use std::io::{self, IoSlice};
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

/// What the kernel gives.
#[derive(Debug)]
pub(crate) enum Plain {
    Tcp(TcpStream),
    Unix(UnixStream),
}

#[derive(Debug)]
enum Carrier {
    Plain(Plain),
    Tls {
        stream: Box<TlsStream<Plain>>,
        /// rustls may hold encrypted bytes that the kernel had no room for: whatever is done next sends them on first, so that
        /// nobody waits for an answer to what never left.
        unsent: bool,
    },
}

/// A connected socket.
#[derive(Debug)]
pub(crate) struct Socket {
    carrier: Carrier,
    open: Option<Open>,
}

/// Counts a socket for as long as it is open, wherever it is dropped: in use, idle in the pool, evicted.
#[derive(Debug)]
pub(crate) struct Open {
    tally: Arc<Tally>,
    idle: AtomicBool,
}

impl Open {
    pub(crate) fn count(tally: &Arc<Tally>) -> Self {
        tally.connections_opened.fetch_add(1, Relaxed);
        tally.connections_open.fetch_add(1, Relaxed);
        Open { tally: Arc::clone(tally), idle: AtomicBool::new(false) }
    }

    fn set_idle(&self, idle: bool) {
        match (self.idle.swap(idle, Relaxed), idle) {
            (false, true) => drop(self.tally.connections_idle.fetch_add(1, Relaxed)),
            (true, false) => drop(self.tally.connections_idle.fetch_sub(1, Relaxed)),
            (true, true) | (false, false) => {}
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.set_idle(false);
        self.tally.connections_open.fetch_sub(1, Relaxed);
    }
}

impl Socket {
    pub(crate) fn plain(plain: Plain, open: Option<Open>) -> Self {
        Socket { carrier: Carrier::Plain(plain), open }
    }

    pub(crate) fn tls(stream: TlsStream<Plain>, open: Option<Open>) -> Self {
        Socket { carrier: Carrier::Tls { stream: Box::new(stream), unsent: false }, open }
    }

    /// It carries no request from now on, or one again.
    pub(crate) fn set_idle(&self, idle: bool) {
        if let Some(open) = &self.open {
            open.set_idle(idle);
        }
    }

    /// Did both sides choose HTTP/2 in the TLS handshake?
    pub(crate) fn chose_http2(&self) -> bool {
        match &self.carrier {
            Carrier::Plain(_) => false,
            Carrier::Tls { stream, .. } => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl Carrier {
    /// Sends on what rustls holds; never waits for it.
    fn push(&mut self, cx: &mut Context<'_>) {
        if let Carrier::Tls { stream, unsent: unsent @ true } = self
            && let Poll::Ready(sent) = Pin::new(stream.as_mut()).poll_flush(cx)
        {
            // An error shows again in what is done next.
            *unsent = sent.is_err();
        }
    }

    fn written(&mut self) {
        if let Carrier::Tls { unsent, .. } = self {
            *unsent = true;
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.carrier.push(cx);
        match &mut self.carrier {
            Carrier::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Carrier::Tls { stream, .. } => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.carrier.written();
        match &mut self.carrier {
            Carrier::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Carrier::Tls { stream, .. } => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.carrier.written();
        match &mut self.carrier {
            Carrier::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Carrier::Tls { stream, .. } => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(s) => Pin::new(s).poll_flush(cx),
            Carrier::Tls { stream, .. } => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.carrier {
            Carrier::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Carrier::Tls { stream, .. } => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

impl AsyncRead for Plain {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Plain::Unix(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Plain {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Plain::Unix(s) => Pin::new(s).poll_write(cx, buf),
        }
    }
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Plain::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Plain::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }
    fn is_write_vectored(&self) -> bool {
        true
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(s) => Pin::new(s).poll_flush(cx),
            Plain::Unix(s) => Pin::new(s).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Plain::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Plain::Unix(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}

impl UniqueID for Socket {
    fn id(&self) -> i32 {
        let plain = match &self.carrier {
            Carrier::Plain(plain) => plain,
            Carrier::Tls { stream, .. } => stream.get_ref().0,
        };
        match plain {
            Plain::Tcp(s) => s.as_raw_fd(),
            Plain::Unix(s) => s.as_raw_fd(),
        }
    }
}

// What else pingora can ask a connection, and its pool does not.
#[async_trait]
impl Shutdown for Socket {
    async fn shutdown(&mut self) {}
}
impl Ssl for Socket {}
impl GetTimingDigest for Socket {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}
impl GetProxyDigest for Socket {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        None
    }
    fn set_proxy_digest(&mut self, _: ProxyDigest) {}
}
impl GetSocketDigest for Socket {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        None
    }
    fn set_socket_digest(&mut self, _: SocketDigest) {}
}
impl Peek for Socket {}
