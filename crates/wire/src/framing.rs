//! RFC 9112 §6: where the body of a message ends.

use crate::head::WireError;
use copal_semantics::headers::trim_ows;
use copal_semantics::{Headers, RequestHead, ResponseHead};
use http::{Method, Version};

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFraming {
    /// There is none.
    None,
    /// That many bytes.
    Length(u64),
    /// The chunked transfer coding.
    Chunked,
    /// Until the connection closes (responses only).
    Close,
}

impl BodyFraming {
    /// No body bytes will come.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self, BodyFraming::None | BodyFraming::Length(0))
    }
}

/// The framing of a request (RFC 9112 §6.3), stricter than the RFC asks: both fields together are refused.
///
/// # Errors
/// Ambiguous or malformed framing.
pub fn request_framing(req: &RequestHead) -> Result<BodyFraming, WireError> {
    let chunked = is_chunked(&req.headers)?;
    let length = content_length(&req.headers, false)?;
    match (chunked, length) {
        (true, Some(_)) => Err(WireError::LengthAndEncoding),
        (true, None) if req.version == Version::HTTP_10 => Err(WireError::TransferEncoding),
        (true, None) => Ok(BodyFraming::Chunked),
        (false, Some(n)) => Ok(BodyFraming::Length(n)),
        (false, None) => Ok(BodyFraming::None),
    }
}

/// The framing of a response to a request with that method (RFC 9112 §6.3).
///
/// # Errors
/// Malformed Content-Length, an unknown transfer coding, or one from an HTTP/1.0 origin.
pub fn response_framing(method: &Method, resp: &ResponseHead) -> Result<BodyFraming, WireError> {
    let chunked = is_chunked(&resp.headers)?;
    let length = content_length(&resp.headers, true)?;
    if method == Method::HEAD || matches!(resp.status, 100..=199 | 204 | 304) {
        return Ok(BodyFraming::None);
    }
    match (chunked, length) {
        (true, _) if resp.version == Version::HTTP_10 => Err(WireError::TransferEncoding),
        // RFC 9112 §6.3 rule 3: Transfer-Encoding overrides; the connection is not used again (see `reusable`).
        (true, _) => Ok(BodyFraming::Chunked),
        (false, Some(n)) => Ok(BodyFraming::Length(n)),
        (false, None) => Ok(BodyFraming::Close),
    }
}

/// May the connection carry another message after this one (RFC 9112 §9.3)?
#[must_use]
pub fn persistent(version: Version, headers: &Headers) -> bool {
    let mut close = false;
    let mut keep = false;
    for token in headers.list("connection") {
        close |= token.eq_ignore_ascii_case(b"close");
        keep |= token.eq_ignore_ascii_case(b"keep-alive");
    }
    !close && (version == Version::HTTP_11 || keep)
}

fn is_chunked(headers: &Headers) -> Result<bool, WireError> {
    let mut lines = headers.get_all("transfer-encoding");
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(v), None) if v.eq_ignore_ascii_case(b"chunked") => Ok(true),
        (Some(_), _) => Err(WireError::TransferEncoding),
    }
}

/// The declared length. `lists`: equal repetitions are one (RFC 9112 §6.3 rule 5), for responses only.
fn content_length(headers: &Headers, lists: bool) -> Result<Option<u64>, WireError> {
    let mut found = None;
    for line in headers.get_all("content-length") {
        if !lists && found.is_some() {
            return Err(WireError::ContentLength);
        }
        for member in line.split(|&b| b == b',') {
            let member = if lists { trim_ows(member) } else { line };
            let n = decimal(member).ok_or(WireError::ContentLength)?;
            if found.is_some_and(|f| f != n) {
                return Err(WireError::ContentLength);
            }
            found = Some(n);
        }
    }
    Ok(found)
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 19 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(digits.iter().fold(0, |n, d| n * 10 + u64::from(d - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn req(fields: &[(&str, &str)]) -> Result<BodyFraming, WireError> {
        request_framing(&RequestHead::get("/", fields.iter().copied()))
    }
    fn resp(status: u16, fields: &[(&str, &str)]) -> Result<BodyFraming, WireError> {
        response_framing(&Method::GET, &ResponseHead::new(status, fields.iter().copied()))
    }

    #[test]
    fn request_framing_is_unambiguous_or_refused() {
        assert_eq!(req(&[]), Ok(BodyFraming::None));
        assert_eq!(req(&[("Content-Length", "5")]), Ok(BodyFraming::Length(5)));
        assert_eq!(req(&[("Transfer-Encoding", "Chunked")]), Ok(BodyFraming::Chunked));
        for bad in [
            &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")][..],
            &[("Content-Length", "5"), ("Content-Length", "5")],
            &[("Content-Length", "5, 5")],
            &[("Content-Length", "+5")],
            &[("Content-Length", "0x5")],
            &[("Content-Length", "")],
            &[("Content-Length", "99999999999999999999")],
            &[("Transfer-Encoding", "gzip, chunked")],
            &[("Transfer-Encoding", "chunked, chunked")],
            &[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")],
            &[("Transfer-Encoding", "identity")],
            &[("Transfer-Encoding", "xchunked")],
        ] {
            assert!(req(bad).is_err(), "{bad:?}");
        }
        let mut old = RequestHead::get("/", [("Transfer-Encoding", "chunked")]);
        old.version = Version::HTTP_10;
        assert_eq!(request_framing(&old), Err(WireError::TransferEncoding));
    }

    #[test]
    fn response_framing_follows_status_and_fields() {
        assert_eq!(resp(200, &[]), Ok(BodyFraming::Close));
        assert_eq!(resp(204, &[("Content-Length", "5")]), Ok(BodyFraming::None));
        assert_eq!(resp(304, &[("Transfer-Encoding", "chunked")]), Ok(BodyFraming::None));
        assert_eq!(resp(200, &[("Content-Length", "5, 5")]), Ok(BodyFraming::Length(5)));
        assert_eq!(resp(200, &[("Content-Length", "5, 6")]), Err(WireError::ContentLength));
        assert_eq!(resp(200, &[("Content-Length", "5"), ("Transfer-Encoding", "chunked")]), Ok(BodyFraming::Chunked));
        assert_eq!(resp(200, &[("Transfer-Encoding", "gzip")]), Err(WireError::TransferEncoding));
        let head = ResponseHead::new(200, [("Content-Length", "5")]);
        assert_eq!(response_framing(&Method::HEAD, &head), Ok(BodyFraming::None));
    }

    #[test]
    fn persistence_follows_version_and_connection() {
        let h = |v: &str| -> Headers { [("Connection", v)].into_iter().collect() };
        assert!(persistent(Version::HTTP_11, &Headers::new()));
        assert!(!persistent(Version::HTTP_10, &Headers::new()));
        assert!(persistent(Version::HTTP_10, &h("Keep-Alive")));
        assert!(!persistent(Version::HTTP_11, &h("x, CLOSE")));
    }
}
