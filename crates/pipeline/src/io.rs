//! The seam to the HTTP fronts: where request bodies come from and where responses go.
//!
//! The pipeline sees a request head, a [`RequestSource`] and a [`ResponseSink`]; which protocol the client speaks is the
//! front's affair.

use bytes::Bytes;
use copal_semantics::{Headers, ResponseHead};
use std::future::Future;
use thiserror::Error;

/// How the body of a request is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none.
    None,
    /// That many bytes.
    Length(u64),
    /// Chunked; the length shows when it is over.
    Unknown,
}

/// Why a request body ended before its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SourceFault {
    /// The client closed or reset the connection.
    #[error("the client left before its request body was complete")]
    Gone,
    /// The client sent nothing for too long.
    #[error("the client's request body stalled")]
    Timeout,
    /// The body's framing is broken.
    #[error("the client's request body is malformed")]
    Malformed,
    /// The body is larger than the limit.
    #[error("the client's request body is larger than the limit")]
    TooLarge,
}

/// The client could not be sent its response: it left, or did not read for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the client left before its response was complete")]
pub struct ClientGone;

/// The body of the request that is being served.
pub trait RequestSource: Send {
    /// How it is delimited.
    fn kind(&self) -> RequestBody;
    /// The next piece; `None` after the last one. Dropping the future loses nothing.
    fn next(&mut self) -> impl Future<Output = Option<Result<Bytes, SourceFault>>> + Send;
    /// The trailer fields that came with the end of the body, once, without those that a trailer section must not carry
    /// ([`copal_semantics::hop_by_hop::strip_trailers`]).
    fn take_trailers(&mut self) -> Headers {
        Headers::new()
    }
    /// Comes when the client is known to have left, and never otherwise: for watching it while nothing is read from it and
    /// nothing sent to it. Dropping the future loses nothing.
    fn gone(&mut self) -> impl Future<Output = ()> + Send;
    /// Can this request's connection become a tunnel? Only where it carries one request at a time, and while nothing of the
    /// request's body has been read.
    fn can_tunnel(&self) -> bool {
        false
    }
    /// For a tunnel, once the request's body is over: the next bytes, whatever they mean; `None` when the client has closed
    /// its side. Dropping the future loses nothing.
    fn next_raw(&mut self) -> impl Future<Output = Option<Result<Bytes, SourceFault>>> + Send {
        async { Some(Err(SourceFault::Gone)) }
    }
}

/// What will follow a response head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyPlan {
    /// No body and no length: 204, 304 and the like.
    None,
    /// No body, but the head tells the length that a GET would get: the answer to HEAD.
    HeadOnly(Option<u64>),
    /// Exactly that many bytes.
    Length(u64),
    /// As many as come; framing by chunks or by closing.
    Unknown,
}

/// Where the response goes.
pub trait ResponseSink: Send {
    /// Sends an interim (1xx) response.
    fn interim(&mut self, head: &ResponseHead) -> impl Future<Output = Result<(), ClientGone>> + Send;
    /// Takes the final head; it goes out with the first bytes of the body. The front adds what belongs to the
    /// connection: Content-Length or Transfer-Encoding, Connection.
    fn start(&mut self, head: &ResponseHead, plan: BodyPlan);
    /// Sends a piece of the body, waiting while the client is slower.
    fn data(&mut self, piece: &[u8]) -> impl Future<Output = Result<(), ClientGone>> + Send;
    /// The body is complete: sends what is still held back.
    fn end(&mut self, trailers: &Headers) -> impl Future<Output = Result<(), ClientGone>> + Send;
    /// The body cannot be completed: the client must see that (a cut connection), never a clean end.
    fn abort(&mut self) -> impl Future<Output = ()> + Send;
    /// Nothing can follow this response on the connection.
    fn close_after(&mut self);
    /// A tunnel begins: no request and no response follows it, and what ends it early must be seen to.
    fn start_raw(&mut self) {}
    /// For a tunnel: sends some of these bytes as they are, and tells how many. Dropping the future sends nothing.
    fn write_raw(&mut self, bytes: &[u8]) -> impl Future<Output = Result<usize, ClientGone>> + Send {
        let _none = bytes;
        async { Err(ClientGone) }
    }
    /// For a tunnel: nothing more will be sent; the client may go on sending.
    fn finish_raw(&mut self) -> impl Future<Output = Result<(), ClientGone>> + Send {
        async { Err(ClientGone) }
    }
    /// Body bytes taken so far for this response.
    fn body_bytes(&self) -> u64;
}
