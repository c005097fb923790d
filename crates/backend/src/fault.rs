//! RFC 9209 §2.3: what went wrong between Copal and an origin, whose fault it is, and whether a retry can help.
//!
//! One type for every failure. Its words are the same in the log (`phase`, `error`, `by`, `retry_safe`), in the metrics
//! (`copal_backend_faults_total{phase,error,by,retry_safe}`) and, where the RFC has a place for them, in Proxy-Status (`error`).

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

/// Whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Blame {
    /// The origin's, or that of the way to it: it counts against its health.
    Origin,
    /// The client's, whose request body failed.
    Client,
    /// The owner's: configuration or policy.
    Owner,
    /// Copal's, or its machine's: a limit, or no socket to be had.
    Copal,
}

impl Blame {
    /// The word that logs and metrics use.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Blame::Origin => "origin",
            Blame::Client => "client",
            Blame::Owner => "owner",
            Blame::Copal => "copal",
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
    /// May the same request be sent again, here or elsewhere (RFC 9110 §9.2.2)? True when the client's body is there from
    /// its beginning and either nothing of the request can have reached an origin or its method is idempotent.
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

    /// Is it the origin that failed, so that it counts against it?
    #[must_use]
    pub fn is_origins(&self) -> bool {
        self.blame() == Blame::Origin
    }

    /// Can another backend do better with the same request? After any fault of the origin's that a retry is safe after, and
    /// when it had no free connection.
    #[must_use]
    pub fn another_may_help(&self) -> bool {
        self.retry_safe && (self.is_origins() || self.kind == FaultKind::Busy)
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
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
            | FaultKind::ShortBody
            // Its probes have failed, or its owner has taken it out.
            | FaultKind::NoHealthyBackend => Blame::Origin,
            FaultKind::UnknownBackend | FaultKind::BadRequest => Blame::Owner,
            FaultKind::Client(_) => Blame::Client,
            FaultKind::Busy | FaultKind::Local => Blame::Copal,
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

    const PHASES: [Phase; 7] =
        [Phase::Pool, Phase::Resolve, Phase::Connect, Phase::Tls, Phase::Send, Phase::Head, Phase::Body];

    /// Every kind, each with its phases, its status, and its error type in each of these phases. A new kind does not compile
    /// until it has a line here.
    fn rows(kind: FaultKind) -> (Blame, u16, &'static [(Phase, &'static str)]) {
        use Phase::{Body, Connect, Head, Pool, Resolve, Send, Tls};
        match kind {
            FaultKind::NoHealthyBackend => (Blame::Origin, 503, &[(Pool, "destination_unavailable")]),
            FaultKind::UnknownBackend => (Blame::Owner, 503, &[(Pool, "destination_not_found")]),
            FaultKind::Busy => (Blame::Copal, 503, &[(Pool, "connection_limit_reached")]),
            FaultKind::Unresolved => (Blame::Origin, 502, &[(Resolve, "dns_error")]),
            FaultKind::Refused => (Blame::Origin, 502, &[(Connect, "connection_refused")]),
            FaultKind::Unroutable => (Blame::Origin, 502, &[(Connect, "destination_ip_unroutable")]),
            FaultKind::Tls(TlsFault::Alert) => (Blame::Origin, 502, &[(Tls, "tls_alert_received")]),
            FaultKind::Tls(TlsFault::Protocol) => (Blame::Origin, 502, &[(Tls, "tls_protocol_error")]),
            FaultKind::Tls(_) => (Blame::Origin, 502, &[(Tls, "tls_certificate_error")]),
            FaultKind::Http2 => (Blame::Origin, 502, &[(Head, "http_protocol_error"), (Body, "http_protocol_error")]),
            FaultKind::Timeout => (
                Blame::Origin,
                504,
                &[
                    (Resolve, "dns_timeout"),
                    (Connect, "connection_timeout"),
                    (Tls, "connection_timeout"),
                    (Send, "connection_write_timeout"),
                    (Head, "http_response_timeout"),
                    (Body, "connection_read_timeout"),
                ],
            ),
            FaultKind::Closed => (
                Blame::Origin,
                502,
                &[(Send, "connection_terminated"), (Head, "connection_terminated"), (Body, "connection_terminated")],
            ),
            FaultKind::Protocol(WireError::HeadSize | WireError::HeaderCount) => {
                (Blame::Origin, 502, &[(Head, "http_response_header_section_size")])
            }
            FaultKind::Protocol(WireError::Chunk | WireError::TransferEncoding) => (
                Blame::Origin,
                502,
                &[(Head, "http_response_transfer_coding"), (Body, "http_response_transfer_coding")],
            ),
            FaultKind::Protocol(_) => {
                (Blame::Origin, 502, &[(Head, "http_protocol_error"), (Body, "http_protocol_error")])
            }
            FaultKind::Upgrade => (Blame::Origin, 502, &[(Head, "http_upgrade_failed")]),
            FaultKind::TooManyInterim => (Blame::Origin, 502, &[(Head, "http_protocol_error")]),
            FaultKind::ShortBody => (Blame::Origin, 502, &[(Body, "http_response_incomplete")]),
            FaultKind::Client(BodyError::Timeout) => (Blame::Client, 408, &[(Send, "http_request_error")]),
            FaultKind::Client(BodyError::TooLarge) => (Blame::Client, 413, &[(Send, "http_request_error")]),
            FaultKind::Client(_) => (Blame::Client, 400, &[(Send, "http_request_error")]),
            FaultKind::BadRequest => (Blame::Owner, 500, &[(Send, "proxy_internal_error")]),
            FaultKind::Local => (Blame::Copal, 503, &[(Connect, "proxy_internal_error")]),
        }
    }

    const KINDS: [FaultKind; 30] = [
        FaultKind::NoHealthyBackend,
        FaultKind::UnknownBackend,
        FaultKind::Busy,
        FaultKind::Unresolved,
        FaultKind::Refused,
        FaultKind::Unroutable,
        FaultKind::Timeout,
        FaultKind::Closed,
        FaultKind::Protocol(WireError::StartLine),
        FaultKind::Protocol(WireError::HeadSize),
        FaultKind::Protocol(WireError::HeaderCount),
        FaultKind::Protocol(WireError::Chunk),
        FaultKind::Protocol(WireError::TransferEncoding),
        FaultKind::Tls(TlsFault::Expired),
        FaultKind::Tls(TlsFault::NotYetValid),
        FaultKind::Tls(TlsFault::UnknownIssuer),
        FaultKind::Tls(TlsFault::NameMismatch),
        FaultKind::Tls(TlsFault::Certificate),
        FaultKind::Tls(TlsFault::Alert),
        FaultKind::Tls(TlsFault::Protocol),
        FaultKind::Http2,
        FaultKind::Upgrade,
        FaultKind::TooManyInterim,
        FaultKind::ShortBody,
        FaultKind::Client(BodyError::Closed),
        FaultKind::Client(BodyError::Timeout),
        FaultKind::Client(BodyError::TooLarge),
        FaultKind::Client(BodyError::Length),
        FaultKind::BadRequest,
        FaultKind::Local,
    ];

    #[test]
    fn every_fault_says_phase_blame_and_retry_in_the_words_of_rfc_9209() {
        let mut phases = std::collections::BTreeSet::new();
        for kind in KINDS {
            let (blame, status, words) = rows(kind);
            for (phase, token) in words {
                let fault = Fault::late(*phase, kind, "app1", "why");
                assert_eq!((fault.blame(), fault.status(), fault.code()), (blame, status, *token), "{fault}");
                let text = fault.to_string();
                assert!(text.starts_with("app1: ") && text.contains(&format!("({}: why)", phase.as_str())), "{text}");
                assert!(
                    !fault.retry_safe && !fault.another_may_help(),
                    "late faults are safe only where that was found"
                );
                let early = Fault::early(*phase, kind, Some("app1"), "");
                let others_help = early.is_origins() || kind == FaultKind::Busy;
                assert_eq!((early.retry_safe, early.another_may_help()), (true, others_help), "{early}");
                // RFC 9209 recommends a status for each type. Where ours differs, it is the client's own fault, a limit, or
                // what is asked for later may work.
                let recommended = fault.error().status();
                let reasoned = matches!(
                    kind,
                    FaultKind::UnknownBackend | FaultKind::Client(_) | FaultKind::Local | FaultKind::Busy
                );
                assert!(recommended == status || reasoned, "{fault}: {status}, the RFC has {recommended}");
                phases.insert(phase.as_str());
            }
        }
        assert_eq!(phases.len(), PHASES.len());
        assert_eq!(PHASES.map(Phase::as_str), ["pool", "resolve", "connect", "tls", "send", "head", "body"]);
    }
}
