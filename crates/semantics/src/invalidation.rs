//! RFC 9111 §4.4: which stored responses a request may have made wrong.

use crate::key::same_origin_target;
use crate::message::{RequestHead, ResponseHead};
use smallvec::SmallVec;

/// Is the method one that asks for no change (RFC 9110 §9.2.1 and the IANA registry)?
///
/// Responses to unsafe methods invalidate, "including methods whose safety is unknown" (§4.4): so what is not on this list
/// is taken as unsafe.
#[must_use]
pub fn is_safe(method: &http::Method) -> bool {
    matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PROPFIND" | "REPORT" | "SEARCH" | "QUERY" | "PRI")
}

/// "a non-error response is one with a 2xx (Successful) or 3xx (Redirection) status code" (§4.4).
#[must_use]
pub const fn is_error(status: u16) -> bool {
    status < 200 || status >= 400
}

/// The URLs (path and query) on the request's own host to make invalid: the target, and what Location and
/// Content-Location name on the same origin. Empty when the method is safe or the response an error.
///
/// ```
/// use copal_semantics::{RequestHead, ResponseHead, invalidation};
/// let req = RequestHead { method: http::Method::PUT, ..RequestHead::get("/a", [("Host", "h")]) };
/// let resp = ResponseHead::new(201, [("Location", "/b"), ("Content-Location", "http://other/c")]);
/// assert_eq!(invalidation::targets(&req, &resp).as_slice(), ["/a", "/b"]);
/// ```
#[must_use]
pub fn targets(req: &RequestHead, resp: &ResponseHead) -> SmallVec<[String; 3]> {
    let mut urls: SmallVec<[String; 3]> = SmallVec::new();
    if is_safe(&req.method) || is_error(resp.status) {
        return urls;
    }
    urls.push(req.url.clone());
    for name in ["location", "content-location"] {
        let named = resp.headers.get(name).filter(|v| !v.is_empty()).and_then(|v| same_origin_target(req, v));
        if let Some(url) = named
            && !urls.contains(&url)
        {
            urls.push(url);
        }
    }
    urls
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;

    fn of(method: &str, status: u16, headers: &[(&str, &str)]) -> Vec<String> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let req = RequestHead { method, ..RequestHead::get("/a/b?q", [("Host", "h:80")]) };
        targets(&req, &ResponseHead::new(status, headers.iter().copied())).to_vec()
    }

    #[test]
    fn a_success_of_an_unsafe_or_unknown_method_invalidates_its_target() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FROBNICATE"] {
            for status in [200, 204, 303] {
                assert_eq!(of(method, status, &[]), ["/a/b?q"], "{method} {status}");
            }
            for status in [101, 400, 404, 500, 599] {
                assert!(of(method, status, &[]).is_empty(), "{method} {status}");
            }
        }
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND"] {
            assert!(of(method, 200, &[]).is_empty(), "{method}");
        }
    }

    #[test]
    fn locations_count_on_the_same_origin_only() {
        let two = [("Location", "c"), ("Content-Location", "https://H/d")];
        assert_eq!(of("POST", 201, &two), ["/a/b?q", "/a/c", "/d"]);
        let foreign = [("Location", "http://evil/c"), ("Content-Location", "//h:8080/d")];
        assert_eq!(of("POST", 201, &foreign), ["/a/b?q"]);
        assert_eq!(of("POST", 201, &[("Location", "/a/b?q"), ("Content-Location", "")]), ["/a/b?q"]);
    }
}
