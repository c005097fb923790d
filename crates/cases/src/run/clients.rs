//! Clients: bytes out, responses in, over connections in memory.

use crate::case::{Ending, Sent};
use bytes::{Buf, BytesMut};
use copal_semantics::ResponseHead;
use copal_server::{ClientEnd, Introduction};
use copal_wire::{BodyFraming, Chunked, HeadScan, Piece, WireLimits, parse_response, response_framing};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What a client takes: more than Copal sends.
const HEADS: WireLimits = WireLimits { head_bytes: 1 << 20, url_bytes: 1 << 20, header_count: 10_000 };
/// After bytes as they were written, another answer is awaited for so long; nobody knows how many there will be.
const ANOTHER: Duration = Duration::from_millis(100);

/// A response as the client got it.
#[derive(Clone, Debug)]
pub(super) struct Response {
    /// Statuses of interim responses before it.
    pub(super) interim: Vec<u16>,
    /// None: the connection ended without one, or what came is not HTTP.
    pub(super) head: Option<ResponseHead>,
    pub(super) body: Vec<u8>,
    pub(super) ending: Ending,
}

/// A connection to the proxy.
pub(super) struct Connection {
    end: ClientEnd,
    buf: BytesMut,
    /// Who it is; its requests are known by its end of the connection.
    pub(super) who: Introduction,
    over: bool,
}

impl Connection {
    pub(super) fn new(end: ClientEnd, who: Introduction) -> Connection {
        Connection { end, buf: BytesMut::new(), who, over: false }
    }

    /// Can another request be sent on it?
    pub(super) async fn is_open(&mut self) -> bool {
        if self.over {
            return false;
        }
        // What is there already is taken; nothing is waited for.
        let read = self.end.stream.read_buf(&mut self.buf);
        tokio::select! {
            biased;
            read = read => self.over = !matches!(read, Ok(n) if n > 0),
            () = std::future::ready(()) => {}
        }
        !self.over
    }

    /// Sends a request and reads what comes back; several responses to raw bytes, of which the last one counts.
    pub(super) async fn exchange(&mut self, sent: &Sent) -> Response {
        // A proxy that has closed already may have said why.
        let _closed = self.end.stream.write_all(&sent.bytes).await;
        let mut last = self.response(sent.head).await;
        while sent.raw && !self.over {
            match tokio::time::timeout(ANOTHER, self.response(sent.head)).await {
                Ok(Response { head: None, .. }) | Err(_) => break,
                Ok(another) => last = another,
            }
        }
        last
    }

    async fn response(&mut self, to_head: bool) -> Response {
        let mut response = Response { interim: Vec::new(), head: None, body: Vec::new(), ending: Ending::None };
        let head = loop {
            let Some(head) = self.head().await else { return response };
            if (100..200).contains(&head.status) {
                response.interim.push(head.status);
            } else {
                break head;
            }
        };
        let method = if to_head { http::Method::HEAD } else { http::Method::GET };
        let framing = response_framing(&method, &head);
        self.over |= !copal_wire::framing::persistent(head.version, &head.headers);
        response.head = Some(head);
        response.ending = match framing {
            Ok(framing) => self.body(framing, &mut response.body).await,
            Err(_) => Ending::Cut,
        };
        if response.ending == Ending::Cut {
            self.over = true;
        }
        response
    }

    async fn head(&mut self) -> Option<ResponseHead> {
        let mut scan = HeadScan::default();
        loop {
            match scan.find(&self.buf, &HEADS) {
                Ok(Some(at)) => {
                    let mut head = ResponseHead::default();
                    let bytes = self.buf.split_to(at);
                    return parse_response(&bytes, &HEADS, &mut head).is_ok().then_some(head);
                }
                Ok(None) if self.read().await => {}
                Ok(None) | Err(_) => {
                    self.over = true;
                    return None;
                }
            }
        }
    }

    async fn read(&mut self) -> bool {
        matches!(self.end.stream.read_buf(&mut self.buf).await, Ok(n) if n > 0)
    }

    async fn body(&mut self, framing: BodyFraming, body: &mut Vec<u8>) -> Ending {
        match framing {
            BodyFraming::None => Ending::Complete,
            BodyFraming::Length(length) => {
                let mut left = usize::try_from(length).unwrap_or(usize::MAX);
                loop {
                    let here = left.min(self.buf.len());
                    body.extend_from_slice(&self.buf[..here]);
                    self.buf.advance(here);
                    left -= here;
                    if left == 0 {
                        return Ending::Complete;
                    }
                    if !self.read().await {
                        return Ending::Cut;
                    }
                }
            }
            BodyFraming::Chunked => {
                let mut chunks = Chunked::default();
                loop {
                    match chunks.decode(&mut self.buf) {
                        Ok(Piece::Data(piece)) => body.extend_from_slice(&piece),
                        Ok(Piece::End(_)) => return Ending::Complete,
                        Ok(Piece::More) if self.read().await => {}
                        Ok(Piece::More) | Err(_) => return Ending::Cut,
                    }
                }
            }
            BodyFraming::Close => {
                while self.read().await {}
                body.extend_from_slice(&self.buf.split());
                if self.end.was_reset() { Ending::Cut } else { Ending::Complete }
            }
        }
    }
}
