//! RFC 9113 §8: heads and trailers between Copal's form and HTTP/2's.
//!
//! Fields of one connection (§8.2.2) never go out, whatever a policy has written, and Host becomes `:authority` (§8.3.1). A
//! response is held to what one of HTTP/1.1 is held to: names and values that could break framing do not come in.

use crate::body::SendBody;
use crate::origin::Origin;
use copal_semantics::headers::is_field_value;
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_wire::WireError;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Method, Request, Uri, Version};

/// What belongs to one connection, or is said otherwise in HTTP/2.
const LEFT_OUT: [&str; 8] = [
    "connection",
    "host",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

/// The request, or nothing when it could not be sent without changing its meaning.
pub(crate) fn request<B>(head: &RequestHead, origin: &Origin, body: &SendBody<B>) -> Option<Request<()>> {
    if head.url.is_empty() || head.url.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#') {
        return None;
    }
    let options = origin.options();
    let authority = options.address.authority();
    let own = options.host_header.as_deref().map(str::as_bytes);
    let host = own.or_else(|| head.headers.get("host")).unwrap_or(authority.as_bytes());
    if !is_field_value(host) {
        return None;
    }
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if origin.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(host).ok()?);
    parts.path_and_query = Some(path(&head.url)?);
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_parts(parts).ok()?;
    *request.method_mut() = head.method.clone();
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = fields(&head.headers)?;
    let length = match body {
        SendBody::Length(n, _) => Some(*n),
        // RFC 9110 §8.6: methods that anticipate content say that there is none.
        SendBody::None if [Method::POST, Method::PUT, Method::PATCH].contains(&head.method) => Some(0),
        SendBody::None | SendBody::Chunked(_) => None,
    };
    if let Some(n) = length {
        request.headers_mut().insert(http::header::CONTENT_LENGTH, HeaderValue::from(n));
    }
    Some(request)
}

/// The target. What RFC 3986 has no place for and HTTP/1.1 lets pass is written as browsers write it.
fn path(url: &str) -> Option<PathAndQuery> {
    let escaped;
    let url = if url.bytes().any(|b| matches!(b, b'<' | b'>' | b'`')) {
        escaped = url.replace('<', "%3C").replace('>', "%3E").replace('`', "%60");
        &escaped
    } else {
        url
    };
    let path = PathAndQuery::try_from(url).ok()?;
    (path.as_str() == url).then_some(path)
}

fn fields(headers: &Headers) -> Option<HeaderMap> {
    let mut out = HeaderMap::with_capacity(16);
    for (name, value) in headers.iter() {
        if LEFT_OUT.iter().any(|left_out| name.eq_ignore_ascii_case(left_out)) {
            continue;
        }
        // §8.2.2: TE may say `trailers` and nothing else.
        if name.eq_ignore_ascii_case("te") && !value.eq_ignore_ascii_case(b"trailers") {
            continue;
        }
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        out.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(out)
}

/// Trailers to send; what cannot be sent is left out, as an intermediary may (RFC 9110 §6.5.1).
pub(super) fn trailers(headers: &Headers) -> HeaderMap {
    fields(headers).unwrap_or_default()
}

/// What came, as Copal has it.
pub(super) fn headers(map: &HeaderMap) -> Result<Headers, WireError> {
    let mut out = Headers::new();
    for (name, value) in map {
        out.append(name.as_str(), value.as_bytes()).map_err(|_| WireError::HeaderLine)?;
    }
    Ok(out)
}

/// A response head.
pub(super) fn response<T>(response: &http::Response<T>) -> Result<ResponseHead, WireError> {
    let mut head =
        ResponseHead { status: response.status().as_u16(), version: Version::HTTP_2, ..ResponseHead::default() };
    head.headers = headers(response.headers())?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::NoBody;
    use crate::origin::OriginOptions;

    fn of(url: &str, fields: &[(&str, &str)], body: &SendBody<NoBody>) -> Option<Request<()>> {
        let origin = Origin::new(OriginOptions::new("a", "127.0.0.1:8000".parse().expect("valid")));
        let mut head = RequestHead::get(url, fields.iter().copied());
        head.method = Method::POST;
        request(&head, &origin, body)
    }

    #[test]
    fn what_belongs_to_one_connection_stays_behind() {
        let sent = of(
            "/x?y",
            &[
                ("Host", "a.example"),
                ("Connection", "close"),
                ("Transfer-Encoding", "chunked"),
                ("Content-Length", "9"),
                ("Upgrade", "x"),
                ("Keep-Alive", "1"),
                ("TE", "gzip"),
                ("X-A", "b"),
                ("Cookie", "c"),
            ],
            &SendBody::None,
        );
        let sent = sent.expect("can be sent");
        assert_eq!(sent.uri().to_string(), "http://a.example/x?y");
        let mut names: Vec<_> = sent.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "cookie", "x-a"]);
        assert_eq!(sent.headers()["content-length"], "0");
        assert!(of("/", &[("TE", "trailers")], &SendBody::None).expect("sent").headers().contains_key("te"));
        let unknown = of("/", &[], &SendBody::Chunked(NoBody)).expect("can be sent");
        assert!(!unknown.headers().contains_key("content-length"));
    }

    #[test]
    fn targets_are_sent_as_they_are_or_not_at_all() {
        let target = |url| of(url, &[], &SendBody::None).map(|r| r.uri().path_and_query().expect("one").to_string());
        for url in ["/", "/a%20b?c=d&e", "/{x}|\"^\\~", "/ä", "/?q=a//b"] {
            assert_eq!(target(url).as_deref(), Some(url));
        }
        assert_eq!(target("/<a>?`b`").as_deref(), Some("/%3Ca%3E?%60b%60"));
        for url in ["", "/a b", "/a#b", "/a\r\nX: y"] {
            assert_eq!(target(url), None, "{url:?}");
        }
        assert!(of("/", &[("Host", "a b")], &SendBody::None).is_none());
    }
}
