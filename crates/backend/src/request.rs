//! RFC 9112 §3 and §6: a request head on the wire, with the framing fields that this fetch decides.

use crate::body::SendBody;
use crate::origin::Origin;
use copal_semantics::RequestHead;
use copal_semantics::headers::is_field_value;
use http::Method;

/// The whole head in wire form, or nothing when it could not be sent without changing its meaning.
///
/// Framing fields that the head holds are left out; those of `body` are written, never both. Host comes first
/// (RFC 9110 §7.2): the origin's `host_header`, else the head's, else the address.
pub(crate) fn encode<B>(head: &RequestHead, origin: &Origin, body: &SendBody<B>) -> Option<Vec<u8>> {
    // A policy may have put anything into the url: white space or a line end would make another request of it.
    if head.url.is_empty() || head.url.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return None;
    }
    let options = origin.options();
    let mut out = Vec::with_capacity(head.url.len() + head.headers.wire_len() + 128);
    for part in [head.method.as_str(), " ", &head.url, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let authority = options.address.authority();
    let own = options.host_header.as_deref().map(str::as_bytes);
    let host = own.or_else(|| head.headers.get("host")).unwrap_or(authority.as_bytes());
    if !is_field_value(host) {
        return None;
    }
    line(&mut out, b"Host", host);
    for (name, value) in head.headers.iter() {
        if !["host", "content-length", "transfer-encoding"].iter().any(|n| name.eq_ignore_ascii_case(n)) {
            line(&mut out, name.as_bytes(), value);
        }
    }
    match body {
        SendBody::Length(n, _) => line(&mut out, b"Content-Length", n.to_string().as_bytes()),
        SendBody::Chunked(_) => line(&mut out, b"Transfer-Encoding", b"chunked"),
        // RFC 9110 §8.6: methods that anticipate content say that there is none.
        SendBody::None if [Method::POST, Method::PUT, Method::PATCH].contains(&head.method) => {
            line(&mut out, b"Content-Length", b"0");
        }
        SendBody::None => {}
    }
    out.extend_from_slice(b"\r\n");
    Some(out)
}

fn line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::NoBody;
    use crate::origin::OriginOptions;

    fn wire(head: &RequestHead, host_header: Option<&str>, body: &SendBody<NoBody>) -> Option<String> {
        let options = OriginOptions::new("a", "127.0.0.1:8000".parse().expect("valid"));
        let origin = Origin::new(OriginOptions { host_header: host_header.map(str::to_owned), ..options });
        encode(head, &origin, body).map(|w| String::from_utf8(w).expect("text"))
    }

    #[test]
    fn framing_is_what_the_fetch_says_and_never_both() {
        let mut head = RequestHead::get("/", [("content-length", "9"), ("A", "b"), ("Transfer-Encoding", "x")]);
        head.method = Method::POST;
        let rest = "POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nA: b\r\n";
        for (body, framing) in [
            (SendBody::None, "Content-Length: 0"),
            (SendBody::Length(5, NoBody), "Content-Length: 5"),
            (SendBody::Chunked(NoBody), "Transfer-Encoding: chunked"),
        ] {
            assert_eq!(wire(&head, None, &body), Some(format!("{rest}{framing}\r\n\r\n")));
        }
    }

    #[test]
    fn one_host_is_sent_first() {
        let head = RequestHead::get("/x", [("A", "b"), ("host", "h")]);
        let want = |h: &str| Some(format!("GET /x HTTP/1.1\r\nHost: {h}\r\nA: b\r\n\r\n"));
        assert_eq!(wire(&head, None, &SendBody::None), want("h"));
        assert_eq!(wire(&head, Some("app"), &SendBody::None), want("app"));
    }

    #[test]
    fn a_target_that_would_break_the_request_is_not_sent() {
        for url in ["", "/a b", "/a\r\nX: y", "/a\tb"] {
            assert_eq!(wire(&RequestHead::get(url, []), None, &SendBody::None), None, "{url:?}");
        }
        assert_eq!(wire(&RequestHead::get("/", []), Some("a\r\nb"), &SendBody::None), None);
    }
}
