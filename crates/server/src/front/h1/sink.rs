//! The response on its way out: the head is held back until the first bytes of the body, so that a small response is one
//! system call.

use super::half::Half;
use copal_pipeline::io::{BodyPlan, ClientGone, ResponseSink};
use copal_semantics::{Headers, ResponseHead};
use copal_wire::encode;
use http::Version;
use std::io::IoSlice;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

/// An output buffer that has grown beyond this is given back between responses.
const BUFFER_KEPT_BYTES: usize = 16 * 1024;

/// A body of at most that many bytes is copied behind its head: one plain write costs the kernel less than a gathering one.
const COPIED_BYTES: usize = 4 * 1024;

/// The writing half of a connection.
pub(super) struct Sink<W> {
    writer: Option<W>,
    /// Bytes that wait for company.
    out: Vec<u8>,
    send_timeout: Duration,
    version: Version,
    chunked: bool,
    /// No request can follow.
    close: bool,
    /// The client waits for 100 before it sends its body.
    awaits_continue: bool,
    /// The client takes the end of the connection for the end of the body.
    until_close: bool,
    /// The connection must be cut, not closed: its body is not complete.
    cut: bool,
    /// A write was given up half-way: what is held back must not be sent again.
    torn: bool,
    body_bytes: u64,
}

impl<W: Half> Sink<W> {
    pub(super) fn new(writer: W, send_timeout: Duration) -> Self {
        Sink {
            writer: Some(writer),
            out: Vec::with_capacity(1024),
            send_timeout,
            version: Version::HTTP_11,
            chunked: false,
            close: false,
            awaits_continue: false,
            until_close: false,
            cut: false,
            torn: false,
            body_bytes: 0,
        }
    }

    /// For the next request.
    pub(super) fn begin(&mut self, version: Version, persistent: bool) {
        self.version = version;
        self.close = !persistent;
        self.awaits_continue = false;
        self.chunked = false;
        self.until_close = false;
        self.body_bytes = 0;
        self.out.clear();
        if self.out.capacity() > BUFFER_KEPT_BYTES {
            self.out = Vec::with_capacity(1024);
        }
    }

    /// The client sends its body after a 100. Answered without one, it may send the body or leave it out (RFC 9110
    /// §10.1.1): what it sends next could be either, so nothing more is read from it.
    pub(super) fn await_continue(&mut self) {
        self.awaits_continue = true;
    }

    pub(super) fn closes(&self) -> bool {
        self.close || self.writer.is_none()
    }

    /// The writer, for the last words; `None` when it is lost, or has been cut here.
    pub(super) fn into_writer(self) -> Option<W> {
        match self.writer {
            Some(writer) if self.cut => {
                writer.cut();
                None
            }
            writer => writer,
        }
    }

    /// Writes what is held back, then `rest`.
    async fn write(&mut self, rest: &[u8], tail: &[u8]) -> Result<(), ClientGone> {
        let Some(writer) = &mut self.writer else { return Err(ClientGone) };
        self.torn = true;
        let mut parts = [&self.out[..], rest, tail];
        while parts.iter().any(|part| !part.is_empty()) {
            let slices = parts.map(IoSlice::new);
            let first = parts.iter().position(|part| !part.is_empty()).unwrap_or(0);
            let alone = parts[first + 1..].iter().all(|part| part.is_empty());
            let writing = async {
                if alone { writer.write(parts[first]).await } else { writer.write_vectored(&slices[first..]).await }
            };
            let written = match timeout(self.send_timeout, writing).await {
                Ok(Ok(n)) if n > 0 => n,
                Ok(_) | Err(_) => {
                    self.writer = None;
                    self.close = true;
                    return Err(ClientGone);
                }
            };
            let mut left = written;
            for part in &mut parts {
                let n = left.min(part.len());
                *part = &part[n..];
                left -= n;
            }
        }
        self.out.clear();
        self.torn = false;
        Ok(())
    }
}

impl<W: Half> ResponseSink for Sink<W> {
    async fn interim(&mut self, head: &ResponseHead) -> Result<(), ClientGone> {
        if self.version == Version::HTTP_10 {
            // RFC 9110 §15.2: HTTP/1.0 has no interim responses.
            return Ok(());
        }
        self.awaits_continue &= head.status != 100;
        encode::response_head(head, &mut self.out);
        self.write(&[], &[]).await
    }

    fn start(&mut self, head: &ResponseHead, plan: BodyPlan) {
        self.close |= self.awaits_continue;
        encode::status_line(head, &mut self.out);
        head.headers.write_wire(&mut self.out);
        match plan {
            BodyPlan::None | BodyPlan::HeadOnly(None) => {}
            BodyPlan::HeadOnly(Some(n)) | BodyPlan::Length(n) => {
                self.out.extend_from_slice(b"Content-Length: ");
                self.out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
                self.out.extend_from_slice(b"\r\n");
            }
            BodyPlan::Unknown if self.version == Version::HTTP_10 => {
                self.until_close = true;
                self.close = true;
            }
            BodyPlan::Unknown => {
                self.chunked = true;
                self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
        }
        if self.close {
            self.out.extend_from_slice(b"Connection: close\r\n");
        } else if self.version == Version::HTTP_10 {
            self.out.extend_from_slice(b"Connection: keep-alive\r\n");
        }
        self.out.extend_from_slice(b"\r\n");
    }

    async fn data(&mut self, piece: &[u8]) -> Result<(), ClientGone> {
        if piece.is_empty() {
            return Ok(());
        }
        self.body_bytes += piece.len() as u64;
        if self.chunked {
            encode::chunk_start(piece.len(), &mut self.out);
            self.write(piece, b"\r\n").await
        } else if piece.len() <= COPIED_BYTES && !self.out.is_empty() {
            self.out.extend_from_slice(piece);
            self.write(&[], &[]).await
        } else {
            self.write(piece, &[]).await
        }
    }

    async fn end(&mut self, trailers: &Headers) -> Result<(), ClientGone> {
        if self.chunked {
            encode::chunk_end(trailers, &mut self.out);
        }
        if self.out.is_empty() { Ok(()) } else { self.write(&[], &[]).await }
    }

    async fn abort(&mut self) {
        // The head and what came so far are the client's; that there is no end is what tells it of the fault. Where the
        // end of the connection would pass for the end of the body, it must be cut.
        if !self.torn {
            let _gone = self.write(&[], &[]).await;
        }
        self.cut = self.until_close || self.torn;
        self.close = true;
    }

    fn close_after(&mut self) {
        self.close = true;
    }

    fn start_raw(&mut self) {
        (self.close, self.until_close) = (true, true);
    }

    async fn write_raw(&mut self, bytes: &[u8]) -> Result<usize, ClientGone> {
        self.start_raw();
        let Some(writer) = &mut self.writer else { return Err(ClientGone) };
        match writer.write(bytes).await {
            Ok(n) if n > 0 => {
                self.body_bytes += n as u64;
                Ok(n)
            }
            Ok(_) | Err(_) => {
                self.writer = None;
                Err(ClientGone)
            }
        }
    }

    async fn finish_raw(&mut self) -> Result<(), ClientGone> {
        let Some(writer) = &mut self.writer else { return Err(ClientGone) };
        writer.shutdown().await.map_err(|_| ClientGone)
    }

    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}
