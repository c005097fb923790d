//! The body of a response, whichever HTTP it comes in.

use crate::body::Http1Body;
use crate::fault::Fault;
use crate::http2::Http2Body;
use bytes::Bytes;
use copal_semantics::Headers;

/// The body of a response. Dropping it before its end closes the connection, or resets the stream.
pub struct ResponseBody(Kind);

#[expect(clippy::large_enum_variant, reason = "HTTP/1.1 is the usual case, and should cost no allocation more")]
enum Kind {
    Http1(Http1Body),
    Http2(Box<Http2Body>),
}

impl std::fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Kind::Http1(body) => body.fmt(f),
            Kind::Http2(_) => f.write_str("Http2Body"),
        }
    }
}

impl From<Http1Body> for ResponseBody {
    fn from(body: Http1Body) -> Self {
        ResponseBody(Kind::Http1(body))
    }
}

impl From<Http2Body> for ResponseBody {
    fn from(body: Http2Body) -> Self {
        ResponseBody(Kind::Http2(Box::new(body)))
    }
}

impl ResponseBody {
    /// The next piece, never empty; `None` at the clean end. After a fault there is nothing more.
    ///
    /// A piece holds at most about twice its length in memory, so it can be stored as it is. What is left of the request
    /// goes out meanwhile. Cancel-safe.
    ///
    /// # Errors
    /// The body ended early, is malformed, or nothing came for the between-bytes timeout; the total time is over; or the
    /// client's body has failed, and with it the request that this answers.
    pub async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        match &mut self.0 {
            Kind::Http1(body) => body.next().await,
            Kind::Http2(body) => body.next().await,
        }
    }

    /// Is some of the request still to be sent?
    #[must_use]
    pub fn is_sending(&self) -> bool {
        match &self.0 {
            Kind::Http1(body) => body.is_sending(),
            Kind::Http2(body) => body.is_sending(),
        }
    }

    /// Sends the rest of the request without reading: while a piece of the response waits for its readers, so that two full
    /// directions never wait for each other. Ends when there is no more to send. Cancel-safe.
    ///
    /// Without a time limit: that the origin takes nothing may be because nobody reads its response.
    pub async fn pump(&mut self) {
        match &mut self.0 {
            Kind::Http1(body) => body.pump().await,
            Kind::Http2(body) => body.pump().await,
        }
    }

    /// After the end of the response: sends the rest of the request for as long as the origin takes it (it may have
    /// answered early and read on, as HAProxy lets it), then lets go of the connection.
    pub async fn finish_sending(&mut self) {
        match &mut self.0 {
            Kind::Http1(body) => body.finish_sending().await,
            Kind::Http2(body) => body.finish_sending().await,
        }
    }

    /// The trailer fields, once the body has come to its clean end; empty before and without any.
    pub fn take_trailers(&mut self) -> Headers {
        match &mut self.0 {
            Kind::Http1(body) => body.take_trailers(),
            Kind::Http2(body) => body.take_trailers(),
        }
    }
}
