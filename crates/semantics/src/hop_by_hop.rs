//! RFC 9110 §7.6.1: fields that are for one connection only, taken out before a message is stored or forwarded.

use crate::headers::Headers;
use smallvec::SmallVec;

/// Fields for one hop whether Connection names them or not. Proxy-Connection is no standard but is sent.
const BOTH: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"];
/// For the next proxy, which Copal is (RFC 9110 §11.7.2); an origin has no use for it.
const REQUEST: &[&str] = &["proxy-authorization"];
/// From the next proxy to its client (RFC 9110 §11.7.1, §11.7.3); RFC 9111 §3.1 excludes them from storage too.
const RESPONSE: &[&str] = &["proxy-authenticate", "proxy-authentication-info"];

/// End-to-end fields that a Connection field cannot take out.
///
/// §7.6.1: "A sender MUST NOT send a connection option corresponding to a field that is intended for all recipients of the
/// content." Were one obeyed, `Connection: Authorization` or `Connection: X-Forwarded-For` would let a client remove what
/// the origin's safety, or the framing and the caching here, depend on.
const PROTECTED: &[&str] = &[
    "age",
    "authorization",
    "cache-control",
    "cdn-cache-control",
    "content-encoding",
    "content-length",
    "content-location",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "etag",
    "expires",
    "forwarded",
    "host",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "last-modified",
    "location",
    "origin",
    "pragma",
    "range",
    "set-cookie",
    "surrogate-control",
    "vary",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-real-ip",
    "x-request-id",
];

/// Takes out what is for one hop in both directions, and what Connection names unless it is protected.
///
/// ```
/// use copal_semantics::{Headers, hop_by_hop};
/// let mut h: Headers = [("Connection", "x, host"), ("X", "1"), ("Host", "a")].into_iter().collect();
/// hop_by_hop::strip(&mut h);
/// assert_eq!(h.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["Host"]);
/// ```
pub fn strip(headers: &mut Headers) {
    strip_with(headers, &[]);
}

/// As [`strip`], and what a request carries for its next proxy only.
pub fn strip_request(headers: &mut Headers) {
    strip_with(headers, REQUEST);
}

/// As [`strip`], and what a response carries from its last proxy only. This is also what is never stored (RFC 9111 §3.1).
pub fn strip_response(headers: &mut Headers) {
    strip_with(headers, RESPONSE);
}

fn strip_with(headers: &mut Headers, more: &[&str]) {
    if headers.contains("connection") {
        let named: SmallVec<[String; 4]> = headers
            .list("connection")
            .filter(|n| !PROTECTED.iter().any(|p| n.eq_ignore_ascii_case(p.as_bytes())))
            .map(|n| String::from_utf8_lossy(n).into_owned())
            .collect();
        if !named.is_empty() {
            headers.retain(|n, _| !named.iter().any(|x| x.eq_ignore_ascii_case(n)));
        }
    }
    headers.retain(|n, _| !is_any(n, BOTH) && !is_any(n, more));
}

/// Beside the fields of a connection and the protected ones, what a trailer section must not carry.
const NOT_IN_TRAILERS: &[&str] =
    &["expect", "max-forwards", "retry-after", "set-cookie2", "warning", "www-authenticate", "x-http-method-override"];

/// Takes out of a trailer section what its receiver might take for a field of the head: framing, routing, caching,
/// credentials and conditions come before the content or not at all (RFC 9110 §6.5.1). What is left may be passed on.
pub fn strip_trailers(trailers: &mut Headers) {
    let lists = [BOTH, REQUEST, RESPONSE, PROTECTED, NOT_IN_TRAILERS];
    trailers.retain(|n, _| !lists.iter().any(|list| is_any(n, list)));
}

fn is_any(name: &str, list: &[&str]) -> bool {
    list.iter().any(|l| l.eq_ignore_ascii_case(name))
}

/// Is a field of this name never stored nor forwarded in a response, whatever Connection says?
#[must_use]
pub fn is_response_hop(name: &str) -> bool {
    is_any(name, BOTH) || is_any(name, RESPONSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(lines: &[(&str, &str)], f: impl Fn(&mut Headers)) -> Vec<String> {
        let mut h: Headers = lines.iter().copied().collect();
        f(&mut h);
        h.iter().map(|(n, _)| n.to_owned()).collect()
    }

    #[test]
    fn trailers_carry_nothing_that_belongs_into_the_head() {
        let lines = [
            ("X-Sum", "1"),
            ("Content-Length", "5"),
            ("transfer-encoding", "chunked"),
            ("Host", "b"),
            ("Authorization", "x"),
            ("Proxy-Authorization", "x"),
            ("Set-Cookie", "a=1"),
            ("Cache-Control", "max-age=60"),
            ("X-Forwarded-For", "10.0.0.1"),
            ("Expect", "100-continue"),
            ("Server-Timing", "db;dur=5"),
        ];
        assert_eq!(left(&lines, strip_trailers), ["X-Sum", "Server-Timing"]);
    }

    #[test]
    fn what_connection_names_goes_with_it() {
        let lines = [("Connection", "a, B"), ("connection", "close"), ("A", "1"), ("b", "2"), ("C", "3")];
        assert_eq!(left(&lines, strip), ["C"]);
    }

    #[test]
    fn standard_hop_by_hop_fields_always_go() {
        let lines = [
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("TE", "trailers"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "x"),
            ("Trailer", "x"),
            ("Proxy-Authenticate", "Basic"),
            ("Proxy-Authorization", "Basic x"),
            ("Proxy-Authentication-Info", "x"),
            ("Server", "x"),
        ];
        assert_eq!(left(&lines, strip_response), ["Proxy-Authorization", "Server"]);
        assert_eq!(left(&lines, strip_request), ["Proxy-Authenticate", "Proxy-Authentication-Info", "Server"]);
    }

    #[test]
    fn connection_cannot_take_out_what_safety_depends_on() {
        let lines = [
            ("Connection", "Host, authorization, X-Forwarded-For, Cache-Control, Content-Length, x"),
            ("Host", "a"),
            ("Authorization", "b"),
            ("X-Forwarded-For", "c"),
            ("Cache-Control", "private"),
            ("Content-Length", "0"),
            ("X", "1"),
        ];
        assert_eq!(
            left(&lines, strip),
            ["Host", "Authorization", "X-Forwarded-For", "Cache-Control", "Content-Length"]
        );
    }
}
