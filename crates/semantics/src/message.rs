//! RFC 9112 §2 and RFC 9110 §6: request and response heads, and the compact block that a stored response head is.

use crate::headers::Headers;
use http::{Method, Version};

/// The head of a request, with its target in origin form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method; extension methods are allowed.
    pub method: Method,
    /// Path and query as received ("/a?b"), or "*" for a server-wide OPTIONS.
    pub url: String,
    /// The version that the peer speaks.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
}

impl Default for RequestHead {
    fn default() -> Self {
        RequestHead { method: Method::GET, url: String::new(), version: Version::HTTP_11, headers: Headers::new() }
    }
}

impl RequestHead {
    /// A GET of `url` with these fields: for tests and for requests that Copal makes itself.
    #[must_use]
    pub fn get<'a>(url: &str, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        RequestHead { url: url.to_owned(), headers: headers.into_iter().collect(), ..RequestHead::default() }
    }

    /// Back to an empty GET; the memory is kept.
    pub fn clear(&mut self) {
        self.method = Method::GET;
        self.url.clear();
        self.version = Version::HTTP_11;
        self.headers.clear();
    }
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code. Policies may use 1000 and more; it is sent modulo 1000.
    pub status: u16,
    /// The reason phrase; empty means the standard one of the status.
    pub reason: String,
    /// The version that the origin spoke.
    pub version: Version,
    /// The header fields.
    pub headers: Headers,
}

impl Default for ResponseHead {
    fn default() -> Self {
        ResponseHead { status: 200, reason: String::new(), version: Version::HTTP_11, headers: Headers::new() }
    }
}

impl ResponseHead {
    /// A head with that status and these fields.
    #[must_use]
    pub fn new<'a>(status: u16, headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        ResponseHead { status, headers: headers.into_iter().collect(), ..ResponseHead::default() }
    }

    /// Back to an empty 200; the memory is kept.
    pub fn clear(&mut self) {
        self.status = 200;
        self.reason.clear();
        self.version = Version::HTTP_11;
        self.headers.clear();
    }

    /// The reason phrase to send: the one set, else the standard one, else "Unknown".
    #[must_use]
    pub fn reason_phrase(&self) -> &str {
        if self.reason.is_empty() { standard_reason(self.status % 1000) } else { &self.reason }
    }

    /// This head as one compact block: see [`crate::packed`].
    #[must_use]
    pub fn encode(&self) -> Box<[u8]> {
        crate::packed::pack(self)
    }

    /// Replaces this head with the one in `block`, which [`ResponseHead::encode`] has made. Reuses this head's memory.
    pub fn decode(&mut self, block: &[u8]) {
        crate::packed::unpack(block, self);
    }

    /// The status of an encoded block, without reading the rest.
    #[must_use]
    pub fn status_of(block: &[u8]) -> u16 {
        match block {
            [_, lo, hi, ..] => u16::from_le_bytes([*lo, *hi]),
            _ => 0,
        }
    }
}

/// The standard reason phrase of a status code (IANA registry), "Unknown" when there is none.
#[must_use]
pub fn standard_reason(status: u16) -> &'static str {
    http::StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason()).unwrap_or("Unknown")
}

/// A Host field's host, without port and final dot (RFC 9110 §7.2).
///
/// ```
/// use copal_semantics::host_without_port;
/// assert_eq!(["[::1]:80", "a.example:80", "a.example."].map(host_without_port), ["[::1]", "a.example", "a.example"]);
/// ```
#[must_use]
pub fn host_without_port(host: &str) -> &str {
    let end = host.rfind(']').map_or(0, |at| at + 1);
    let host = host[end..].find(':').map_or(host, |at| &host[..end + at]);
    host.strip_suffix('.').unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_its_compact_block() {
        let mut head = ResponseHead::new(299, [("ETag", "\"a\""), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]);
        head.reason = "Odd but fine".into();
        head.version = Version::HTTP_10;
        let block = head.encode();
        let mut back = ResponseHead::default();
        back.decode(&block);
        assert_eq!(back, head);
        assert_eq!(ResponseHead::status_of(&block), 299);
    }

    #[test]
    fn a_standard_reason_takes_no_room() {
        let mut head = ResponseHead::new(200, []);
        head.reason = "OK".into();
        assert_eq!(head.encode().len(), 4, "version, status and a length of 0");
    }
}
