//! HTTP/1 on the wire: heads, chunks and PROXY headers, whole and in pieces, and what no accepted message may hold.

use bytes::BytesMut;
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_wire::{
    BodyFraming, Chunked, HeadScan, Piece, WireError, WireLimits, encode, parse_request, parse_response, proxy_header,
    request_framing, response_framing,
};
use http::{Method, Version};

/// Small, so that the limits are met too.
const LIMITS: WireLimits = WireLimits { head_bytes: 600, url_bytes: 100, header_count: 12 };

/// The first byte says how the rest is cut; the head's length, when one was found.
fn found(data: &[u8]) -> Option<&[u8]> {
    let (&step, wire) = data.split_first()?;
    let whole = HeadScan::default().find(wire, &LIMITS);
    let mut scan = HeadScan::default();
    let mut cut = Ok(None);
    let mut end = 0;
    while cut == Ok(None) && end < wire.len() {
        end = (end + usize::from(step).max(1)).min(wire.len());
        cut = scan.find(&wire[..end], &LIMITS);
    }
    match (whole, cut) {
        (Ok(a), Ok(b)) => assert_eq!(a, b, "where a head ends depends on how it arrives"),
        // Which of two faults is told may depend on it; that there is one may not.
        (a, b) => assert!(a.is_err() && b.is_err(), "whole {a:?}, in pieces of {step} {b:?}"),
    }
    let head = &wire[..whole.ok()??];
    assert!(head.len() <= LIMITS.head_bytes);
    Some(head)
}

/// The lines of an accepted head, none of which may be one to another parser and two to this one.
fn lines(head: &[u8]) -> Vec<&[u8]> {
    let text = head.strip_prefix(b"\r\n").unwrap_or(head);
    let text = text.strip_suffix(b"\r\n\r\n").expect("an accepted head ends with an empty line");
    for (i, &b) in text.iter().enumerate() {
        assert!(b != b'\n' || (i > 0 && text[i - 1] == b'\r'), "a bare LF was accepted");
        assert!(b != b'\r' || text.get(i + 1) == Some(&b'\n'), "a bare CR was accepted");
        assert!(b != 0, "a NUL was accepted");
    }
    let mut rest = text;
    let mut out = Vec::new();
    while let Some(at) = rest.iter().position(|&b| b == b'\n') {
        out.push(&rest[..at - 1]);
        rest = &rest[at + 1..];
    }
    out.push(rest);
    out
}

/// Field lines as a naive reader sees them: name up to the first colon, value without surrounding white space.
fn naive_fields<'a>(lines: &[&'a [u8]]) -> Vec<(&'a [u8], &'a [u8])> {
    let field = |line: &&'a [u8]| {
        let colon = line.iter().position(|&b| b == b':').expect("an accepted line has a colon");
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
        assert!(!name.is_empty() && name.iter().all(is_token), "{name:?} was accepted as a name");
        (name, trim(value))
    };
    lines.iter().map(field).collect()
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

fn count(fields: &[(&[u8], &[u8])], name: &str) -> usize {
    fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes())).count()
}

fn wire_of(headers: &Headers) -> Vec<u8> {
    let mut out = Vec::new();
    headers.write_wire(&mut out);
    out
}

pub(crate) fn request_head(data: &[u8]) {
    let Some(head) = found(data) else { return };
    let mut req = RequestHead::default();
    if parse_request(head, &LIMITS, &mut req).is_err() {
        return;
    }
    let lines = lines(head);
    let fields = naive_fields(&lines[1..]);
    assert!(fields.len() <= LIMITS.header_count && req.url.len() <= LIMITS.url_bytes);
    assert!(!req.url.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#'), "{:?}", req.url);
    let hosts = count(&fields, "host");
    assert!(hosts == 1 || (hosts == 0 && req.version == Version::HTTP_10), "{hosts} Host fields were accepted");
    for (name, value) in &fields {
        let name = std::str::from_utf8(name).expect("a token");
        if !name.eq_ignore_ascii_case("host") {
            assert!(req.headers.get_all(name).any(|v| v == *value), "the line {name} got lost");
        }
    }
    request_body(&req, &fields);
    if req.headers.contains("host") {
        written_is_read_back(&req);
    }
}

/// RFC 9112 §6: no accepted request leaves a doubt about where its body ends.
fn request_body(req: &RequestHead, fields: &[(&[u8], &[u8])]) {
    let Ok(framing) = request_framing(req) else { return };
    let (lengths, codings) = (count(fields, "content-length"), count(fields, "transfer-encoding"));
    assert!(lengths + codings <= 1, "ambiguous framing was accepted");
    match framing {
        BodyFraming::None => assert_eq!(lengths + codings, 0),
        BodyFraming::Chunked => assert!(codings == 1 && req.version == Version::HTTP_11),
        BodyFraming::Length(n) => {
            let text = req.headers.get_str("content-length").expect("there is one");
            assert_eq!(text.trim_start_matches('0'), n.to_string().trim_start_matches('0'));
        }
        BodyFraming::Close => panic!("a request cannot end with the connection"),
    }
}

fn written_is_read_back(req: &RequestHead) {
    let mut out = Vec::new();
    encode::request_head(req, &mut out);
    // The version line and an authority moved into Host may have made it longer.
    let wide = WireLimits { head_bytes: 2000, url_bytes: 300, header_count: 20 };
    assert_eq!(HeadScan::default().find(&out, &wide), Ok(Some(out.len())));
    let mut again = RequestHead::default();
    assert_eq!(parse_request(&out, &wide, &mut again), Ok(()), "{:?}", String::from_utf8_lossy(&out));
    again.version = req.version;
    assert_eq!(&again, req);
    assert_eq!(wire_of(&again.headers), wire_of(&req.headers));
}

pub(crate) fn response_head(data: &[u8]) {
    let Some(head) = found(data) else { return };
    let mut resp = ResponseHead::default();
    if parse_response(head, &LIMITS, &mut resp).is_err() {
        return;
    }
    let lines = lines(head);
    let fields = naive_fields(&lines[1..]);
    assert!((100..=999).contains(&resp.status));
    assert_eq!(fields.len(), resp.headers.len());
    for ((name, value), (n, v)) in fields.iter().zip(resp.headers.iter()) {
        assert_eq!((*name, *value), (n.as_bytes(), v));
    }
    for method in [Method::GET, Method::HEAD] {
        match response_framing(&method, &resp) {
            Ok(BodyFraming::Chunked) => assert!(count(&fields, "transfer-encoding") == 1 && method == Method::GET),
            Ok(BodyFraming::Close) => assert_eq!(count(&fields, "transfer-encoding"), 0),
            Ok(BodyFraming::None | BodyFraming::Length(_)) | Err(_) => {}
        }
    }
    let mut out = Vec::new();
    encode::response_head(&resp, &mut out);
    let mut again = ResponseHead::default();
    assert_eq!(parse_response(&out, &LIMITS, &mut again), Ok(()));
    again.version = resp.version;
    assert_eq!(again, resp);
}

type Body = Result<Option<(Vec<u8>, Headers, Vec<u8>)>, WireError>;

/// Body, trailers and what is left over; `None` while it is not whole.
fn decode(wire: &[u8], step: usize) -> Body {
    let (mut decoder, mut buf, mut body) = (Chunked::default(), BytesMut::new(), Vec::new());
    let mut fed = 0;
    loop {
        match decoder.decode(&mut buf)? {
            Piece::Data(data) => {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
            Piece::End(trailers) => {
                buf.extend_from_slice(&wire[fed..]);
                return Ok(Some((body, *trailers, buf.to_vec())));
            }
            Piece::More if fed == wire.len() => return Ok(None),
            Piece::More => {
                let end = (fed + step.max(1)).min(wire.len());
                buf.extend_from_slice(&wire[fed..end]);
                fed = end;
            }
        }
    }
}

pub(crate) fn chunked(data: &[u8]) {
    let whole = decode(data, data.len());
    for step in [1, 2, 3, 7] {
        assert_eq!(decode(data, step), whole, "in pieces of {step}");
    }
    let Ok(Some((body, trailers, rest))) = whole else { return };
    assert!(body.len() + rest.len() + 5 <= data.len(), "bytes were made up");
    let mut out = Vec::new();
    if !body.is_empty() {
        encode::chunk_start(body.len(), &mut out);
        out.extend_from_slice(&body);
        out.extend_from_slice(b"\r\n");
    }
    encode::chunk_end(&trailers, &mut out);
    assert_eq!(decode(&out, out.len()), Ok(Some((body, trailers, Vec::new()))));
}

pub(crate) fn proxy_header(data: &[u8]) {
    let whole = proxy_header::parse(data);
    for end in 0..data.len() {
        match proxy_header::parse(&data[..end]) {
            Ok(None) => {}
            sure => assert_eq!(sure, whole, "the first {end} bytes say what all of them do not"),
        }
    }
    let Ok(Some((header, len))) = whole else { return };
    assert!(proxy_header::is_proxy_header(data) && len <= data.len() && len <= proxy_header::V2_BYTES_MAX);
    assert_eq!(proxy_header::parse(&data[..len]), whole, "what follows a header changes it");
    if let Some((client, server)) = header.ends {
        for end in [client, server] {
            assert_eq!(end.ip(), end.ip().to_canonical(), "an address in a form that an access list does not know");
        }
    }
    let ssl = header.told.ssl.unwrap_or_default();
    let told = [header.told.alpn, header.told.authority, ssl.version, ssl.cn, ssl.cipher, ssl.sig_alg, ssl.key_alg];
    assert!(told.into_iter().flatten().map(<[u8]>::len).sum::<usize>() <= len, "bytes were made up");
}
