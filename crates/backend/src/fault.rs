//! RFC 9209 §2.3: what went wrong between Copal and an origin, whose fault it is, and whether a retry can help.

use crate::body::BodyError;
use crate::tls::TlsFault;
use copal_semantics::proxy_status::ProxyError;
use copal_wire::WireError;
use std::fmt;

/// How far a fetch had come when it failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Choosing an origin or a free connection slot.
    Pool,
    /// Looking its name up.
    Resolve,
    /// Connecting.
    Connect,
    /// Agreeing on keys, and checking who answers.
    Tls,
    /// Sending the request.
    Send,
    /// Waiting for and reading the response head.
    Head,
    /// Reading the response body.
    Body,
}

impl Phase {
    /// The word that logs and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Phase::Pool => "pool",
            Phase::Resolve => "resolve",
            Phase::Connect => "connect",
            Phase::Tls => "tls",
            Phase::Send => "send",
            Phase::Head => "head",
            Phase::Body => "body",
        }
    }
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Every origin that could serve is sick, or set sick by the owner.
    NoHealthyBackend,
    /// The policy or configuration named a backend that does not exist. The owner's fault.
    UnknownBackend,
    /// `max_connections` of the origin are in use.
    Busy,
    /// The name did not resolve to any address.
    Unresolved,
    /// Nobody listens there, or the connection was refused.
    Refused,
    /// There is no route to the address.
    Unroutable,
    /// TLS was not agreed on, or the origin is not who it should be.
    Tls(TlsFault),
    /// The phase took longer than its timeout.
    Timeout,
    /// The origin closed or reset the connection before the response head was whole, or while the body was read.
    Closed,
    /// What the origin sent is not HTTP/1 as RFC 9112 has it.
    Protocol(WireError),
    /// What the origin sent is not HTTP/2 as RFC 9113 has it, or it reset the stream with an error.
    Http2,
    /// The origin switched protocols (101) without being asked to.
    Upgrade,
    /// More interim (1xx) responses than [`crate::fetch::INTERIM_MAX`].
    TooManyInterim,
    /// The body ended before its declared end.
    ShortBody,
    /// The request body of the client failed. The client's fault.
    Client(BodyError),
    /// The request target or Host that a policy set holds bytes that would break the request. The policy's fault.
    BadRequest,
    /// The system refused a socket (descriptors, permissions). Our fault.
    Local,
}

/// A failed fetch. The response status is [`Fault::status`]; nothing of the origin's answer may be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// How far it had come.
    pub phase: Phase,
    /// What went wrong.
    pub kind: FaultKind,
    /// The origin's name, once one was chosen.
    pub origin: Option<String>,
    /// May the same request be sent again, here or elsewhere (RFC 9110 §9.2.2)? True when the client's body is
    /// untouched and either nothing of the request can have reached an origin or its method is idempotent.
    pub retry_safe: bool,
    /// For people: the address, the system's message, the limit.
    pub detail: String,
}

impl Fault {
    /// A fault before any byte of the request left; a retry elsewhere is safe.
    pub(crate) fn early(phase: Phase, kind: FaultKind, origin: Option<&str>, detail: impl Into<String>) -> Self {
        Fault { phase, kind, origin: origin.map(str::to_owned), retry_safe: true, detail: detail.into() }
    }

    /// A fault once the request was under way; a retry is not safe unless the caller finds that it is.
    pub(crate) fn late(phase: Phase, kind: FaultKind, origin: &str, detail: impl Into<String>) -> Self {
        Fault { retry_safe: false, ..Fault::early(phase, kind, Some(origin), detail) }
    }

    /// The status the client gets: 502 for a broken origin, 503 for none available, 504 for a slow one (RFC 9110 §15.6),
    /// and the client's own status when its body was the fault.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self.kind {
            FaultKind::NoHealthyBackend | FaultKind::UnknownBackend | FaultKind::Busy | FaultKind::Local => 503,
            FaultKind::Timeout => 504,
            FaultKind::Unresolved
            | FaultKind::Refused
            | FaultKind::Unroutable
            | FaultKind::Tls(_)
            | FaultKind::Closed
            | FaultKind::Protocol(_)
            | FaultKind::Http2
            | FaultKind::Upgrade
            | FaultKind::TooManyInterim
            | FaultKind::ShortBody => 502,
            FaultKind::Client(e) => e.status(),
            FaultKind::BadRequest => 500,
        }
    }

    /// The proxy error type (RFC 9209 §2.3).
    #[must_use]
    pub fn error(&self) -> ProxyError {
        match self.kind {
            FaultKind::NoHealthyBackend => ProxyError::DestinationUnavailable,
            FaultKind::UnknownBackend => ProxyError::DestinationNotFound,
            FaultKind::Busy => ProxyError::ConnectionLimitReached,
            FaultKind::Unresolved => ProxyError::DnsError,
            FaultKind::Refused => ProxyError::ConnectionRefused,
            FaultKind::Unroutable => ProxyError::DestinationIpUnroutable,
            FaultKind::Tls(TlsFault::Alert) => ProxyError::TlsAlertReceived,
            FaultKind::Tls(TlsFault::Protocol) => ProxyError::TlsProtocolError,
            FaultKind::Tls(_) => ProxyError::TlsCertificateError,
            FaultKind::Timeout => match self.phase {
                Phase::Resolve => ProxyError::DnsTimeout,
                Phase::Pool | Phase::Connect | Phase::Tls => ProxyError::ConnectionTimeout,
                Phase::Send => ProxyError::ConnectionWriteTimeout,
                Phase::Head => ProxyError::HttpResponseTimeout,
                Phase::Body => ProxyError::ConnectionReadTimeout,
            },
            FaultKind::Closed => ProxyError::ConnectionTerminated,
            FaultKind::Protocol(WireError::HeadSize | WireError::HeaderCount) => {
                ProxyError::HttpResponseHeaderSectionSize
            }
            FaultKind::Protocol(WireError::TransferEncoding | WireError::Chunk) => {
                ProxyError::HttpResponseTransferCoding
            }
            FaultKind::Protocol(_) | FaultKind::Http2 | FaultKind::TooManyInterim => ProxyError::HttpProtocolError,
            FaultKind::Upgrade => ProxyError::HttpUpgradeFailed,
            FaultKind::ShortBody => ProxyError::HttpResponseIncomplete,
            FaultKind::Client(_) => ProxyError::HttpRequestError,
            FaultKind::BadRequest | FaultKind::Local => ProxyError::ProxyInternalError,
        }
    }

    /// The token of that type.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.error().token()
    }

    /// Is it the origin that failed, so that it counts against it? Not when the client, a policy or Copal itself did.
    #[must_use]
    pub fn is_origins(&self) -> bool {
        match self.kind {
            FaultKind::Unresolved
            | FaultKind::Refused
            | FaultKind::Unroutable
            | FaultKind::Tls(_)
            | FaultKind::Timeout
            | FaultKind::Closed
            | FaultKind::Protocol(_)
            | FaultKind::Http2
            | FaultKind::Upgrade
            | FaultKind::TooManyInterim
            | FaultKind::ShortBody => true,
            FaultKind::NoHealthyBackend
            | FaultKind::UnknownBackend
            | FaultKind::Busy
            | FaultKind::Client(_)
            | FaultKind::BadRequest
            | FaultKind::Local => false,
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FaultKind::NoHealthyBackend => f.write_str("no healthy backend"),
            FaultKind::UnknownBackend => f.write_str("no such backend"),
            FaultKind::Busy => f.write_str("max_connections reached"),
            FaultKind::Unresolved => f.write_str("name does not resolve"),
            FaultKind::Refused => f.write_str("connect refused"),
            FaultKind::Unroutable => f.write_str("no route"),
            FaultKind::Tls(why) => f.write_str(why.as_str()),
            FaultKind::Timeout => f.write_str("timeout"),
            FaultKind::Closed => f.write_str("connection closed"),
            FaultKind::Protocol(e) => write!(f, "malformed response: {e}"),
            FaultKind::Http2 => f.write_str("broken HTTP/2"),
            FaultKind::Upgrade => f.write_str("unasked-for protocol switch"),
            FaultKind::TooManyInterim => f.write_str("too many interim responses"),
            FaultKind::ShortBody => f.write_str("body ended early"),
            FaultKind::Client(e) => write!(f, "request body: {e}"),
            FaultKind::BadRequest => f.write_str("request target or Host cannot be sent"),
            FaultKind::Local => f.write_str("no socket"),
        }
    }
}

/// "app1: connect refused (connect: 127.0.0.1:8000: Connection refused)".
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        write!(f, "{} ({}", self.kind, self.phase.as_str())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        f.write_str(")")
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_has_a_status_an_rfc_9209_word_and_a_sentence() {
        let fault = |phase, kind| Fault::late(phase, kind, "app1", "x");
        for (phase, kind, status, code) in [
            (Phase::Pool, FaultKind::NoHealthyBackend, 503, "destination_unavailable"),
            (Phase::Pool, FaultKind::Busy, 503, "connection_limit_reached"),
            (Phase::Connect, FaultKind::Refused, 502, "connection_refused"),
            (Phase::Connect, FaultKind::Timeout, 504, "connection_timeout"),
            (Phase::Tls, FaultKind::Timeout, 504, "connection_timeout"),
            (Phase::Tls, FaultKind::Tls(TlsFault::Expired), 502, "tls_certificate_error"),
            (Phase::Tls, FaultKind::Tls(TlsFault::Protocol), 502, "tls_protocol_error"),
            (Phase::Tls, FaultKind::Tls(TlsFault::Alert), 502, "tls_alert_received"),
            (Phase::Head, FaultKind::Timeout, 504, "http_response_timeout"),
            (Phase::Body, FaultKind::Timeout, 504, "connection_read_timeout"),
            (Phase::Head, FaultKind::Protocol(WireError::StartLine), 502, "http_protocol_error"),
            (Phase::Body, FaultKind::Protocol(WireError::Chunk), 502, "http_response_transfer_coding"),
            (Phase::Body, FaultKind::ShortBody, 502, "http_response_incomplete"),
        ] {
            let f = fault(phase, kind);
            assert_eq!((f.status(), f.code()), (status, code), "{f}");
        }
        assert_eq!(fault(Phase::Connect, FaultKind::Refused).to_string(), "app1: connect refused (connect: x)");
    }
}
