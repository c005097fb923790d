//! RFC 9112 §2 to §5: finding the end of a head and parsing it, strictly.

use copal_semantics::{Headers, RequestHead, ResponseHead};
use http::{Method, Version};
use std::mem::MaybeUninit;
use thiserror::Error;

/// Most header lines that any head may have; the stack array that the parser fills has this size.
pub const HEADER_COUNT_MAX: usize = 256;

/// Bytes that a start line may have beside its target: a method, two spaces and the version.
const START_LINE_MORE: usize = 64;

/// How much of a head is accepted.
#[derive(Clone, Copy, Debug)]
pub struct WireLimits {
    /// Bytes of a whole head, start line and field lines. Beyond: 431.
    pub head_bytes: usize,
    /// Bytes of the request target. Beyond: 414.
    pub url_bytes: usize,
    /// Field lines (at most [`HEADER_COUNT_MAX`]). Beyond: 431.
    pub header_count: usize,
}

impl Default for WireLimits {
    /// 32 KiB as Varnish's `http_req_size`, 8 KiB of target and 100 lines as Apache httpd (its lines: 100).
    fn default() -> Self {
        WireLimits { head_bytes: 32 * 1024, url_bytes: 8 * 1024, header_count: 100 }
    }
}

/// What is wrong with a message, in the words that logs and error pages use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WireError {
    /// A line ends with LF alone (RFC 9112 §2.2 lets a recipient refuse it).
    #[error("a line ends with a bare LF")]
    BareLf,
    /// The start line is not HTTP/1.
    #[error("the start line is malformed")]
    StartLine,
    /// Not HTTP/1.0 or HTTP/1.1.
    #[error("the HTTP version is not 1.0 or 1.1")]
    Version,
    /// A field line is malformed: bad name, white space before the colon, folding, control characters.
    #[error("a header field line is malformed")]
    HeaderLine,
    /// The request target is not origin, absolute or asterisk form, or holds bytes that no URL has.
    #[error("the request target is malformed")]
    Target,
    /// No Host field in HTTP/1.1, more than one, or not a host (RFC 9112 §3.2).
    #[error("the Host header field is missing, repeated or malformed")]
    Host,
    /// The head is larger than the limit.
    #[error("the head is larger than the limit")]
    HeadSize,
    /// The target is longer than the limit.
    #[error("the request target is longer than the limit")]
    UrlSize,
    /// More field lines than the limit.
    #[error("more header field lines than the limit")]
    HeaderCount,
    /// Content-Length is not one plain number, or several differ.
    #[error("Content-Length is malformed or repeated")]
    ContentLength,
    /// Content-Length and Transfer-Encoding together (RFC 9112 §6.1).
    #[error("both Content-Length and Transfer-Encoding")]
    LengthAndEncoding,
    /// A Transfer-Encoding other than a single `chunked`.
    #[error("the transfer coding is not a single \"chunked\"")]
    TransferEncoding,
    /// A chunk's size line, data end or the trailer section is malformed.
    #[error("the chunked body is malformed")]
    Chunk,
}

impl WireError {
    /// The status that a client's faulty request is answered with (RFC 9110 §15.5, RFC 6585 §5).
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            WireError::HeadSize | WireError::HeaderCount => 431,
            WireError::UrlSize => 414,
            WireError::Version => 505,
            WireError::BareLf
            | WireError::StartLine
            | WireError::HeaderLine
            | WireError::Target
            | WireError::Host
            | WireError::ContentLength
            | WireError::LengthAndEncoding
            | WireError::TransferEncoding
            | WireError::Chunk => 400,
        }
    }
}

/// Looks for the end of a head in a growing buffer; every byte is looked at once, however slowly they come.
#[derive(Clone, Copy, Debug, Default)]
pub struct HeadScan {
    at: usize,
    line_start: usize,
}

impl HeadScan {
    /// The length of the head with its empty line, once `buf` holds all of it. Call again with more bytes on `None`.
    ///
    /// # Errors
    /// Bare LF, and heads beyond `limits`, as soon as they show.
    pub fn find(&mut self, buf: &[u8], limits: &WireLimits) -> Result<Option<usize>, WireError> {
        while let Some(i) = memchr::memchr(b'\n', &buf[self.at..]) {
            let lf = self.at + i;
            // As below, so that a first line is too long however it arrives.
            if self.line_start == 0 && lf > limits.url_bytes + START_LINE_MORE {
                return Err(WireError::UrlSize);
            }
            if lf == self.line_start || buf[lf - 1] != b'\r' {
                return Err(WireError::BareLf);
            }
            let empty = lf == self.line_start + 1;
            self.at = lf + 1;
            if lf >= limits.head_bytes {
                return Err(WireError::HeadSize);
            }
            if empty && self.line_start > 0 {
                return Ok(Some(lf + 1));
            }
            self.line_start = lf + 1;
        }
        self.at = buf.len();
        if self.line_start == 0 && buf.len() > limits.url_bytes + START_LINE_MORE {
            return Err(WireError::UrlSize);
        }
        if buf.len() >= limits.head_bytes {
            return Err(WireError::HeadSize);
        }
        Ok(None)
    }
}

fn head_error(e: httparse::Error) -> WireError {
    match e {
        httparse::Error::HeaderName | httparse::Error::HeaderValue => WireError::HeaderLine,
        httparse::Error::TooManyHeaders => WireError::HeaderCount,
        httparse::Error::Version => WireError::Version,
        httparse::Error::NewLine | httparse::Error::Status | httparse::Error::Token => WireError::StartLine,
    }
}

fn fill(out: &mut Headers, head: &[u8], lines: &[httparse::Header<'_>], limits: &WireLimits) -> Result<(), WireError> {
    if lines.len() > limits.header_count {
        return Err(WireError::HeaderCount);
    }
    // All at once where they are written as they are kept, which is nearly always.
    let place = |part: *const u8| part.addr().wrapping_sub(head.as_ptr().addr());
    let places = lines.iter().map(|h| (place(h.name.as_ptr()), h.name.len(), place(h.value.as_ptr()), h.value.len()));
    if out.take_parsed(head, places) {
        return Ok(());
    }
    for h in lines {
        out.append_parsed(h.name, h.value).map_err(|_| WireError::HeaderLine)?;
    }
    Ok(())
}

/// Parses a whole request head (as [`HeadScan`] found it) into `out`, whose memory is reused.
///
/// Absolute-form targets become origin form and their authority the Host field (RFC 9112 §3.2.2).
///
/// # Errors
/// Whatever is malformed or beyond `limits`; `out` is then unspecified.
pub fn parse_request(head: &[u8], limits: &WireLimits, out: &mut RequestHead) -> Result<(), WireError> {
    out.clear();
    let mut lines = [const { MaybeUninit::uninit() }; HEADER_COUNT_MAX];
    let mut req = httparse::Request::new(&mut []);
    match req.parse_with_uninit_headers(head, &mut lines) {
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Ok(_) => return Err(WireError::StartLine),
        Err(e) => return Err(head_error(e)),
    }
    let (Some(method), Some(target), Some(minor)) = (req.method, req.path, req.version) else {
        return Err(WireError::StartLine);
    };
    out.method = Method::from_bytes(method.as_bytes()).map_err(|_| WireError::StartLine)?;
    out.version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    if target.len() > limits.url_bytes {
        return Err(WireError::UrlSize);
    }
    fill(&mut out.headers, head, req.headers, limits)?;
    // Before and after: an authority in the target replaces Host, it does not excuse a faulty one.
    check_host(out)?;
    read_target(target, out)?;
    if target.starts_with('/') { Ok(()) } else { check_host(out) }
}

fn read_target(target: &str, out: &mut RequestHead) -> Result<(), WireError> {
    // RFC 3986 §2: no space, no controls; '#' starts a fragment, which is never sent. Bytes above 0x7f are not legal
    // but common (raw UTF-8) and harmless; the parser has seen to it that they are UTF-8.
    if target.bytes().any(|b| b <= b' ' || b == 0x7f || b == b'#') {
        return Err(WireError::Target);
    }
    if target.starts_with('/') || (target == "*" && out.method == Method::OPTIONS) {
        out.url.push_str(target);
        return Ok(());
    }
    if out.method == Method::CONNECT {
        // Authority form: kept as it is, the pipeline answers CONNECT itself and never forwards it.
        out.url.push_str(target);
        return Ok(());
    }
    let rest = strip_scheme(target).ok_or(WireError::Target)?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') {
        return Err(WireError::Target);
    }
    out.headers.set("Host", authority).map_err(|_| WireError::Target)?;
    if !path.starts_with('/') {
        out.url.push('/');
    }
    out.url.push_str(path);
    Ok(())
}

fn strip_scheme(target: &str) -> Option<&str> {
    ["http://", "https://"].into_iter().find_map(|s| {
        let head = target.get(..s.len())?;
        head.eq_ignore_ascii_case(s).then(|| &target[s.len()..])
    })
}

/// RFC 9112 §3.2: exactly one valid Host in HTTP/1.1, at most one in HTTP/1.0.
fn check_host(out: &RequestHead) -> Result<(), WireError> {
    let mut hosts = out.headers.get_all("host");
    match (hosts.next(), hosts.next()) {
        (None, _) if out.version == Version::HTTP_10 => Ok(()),
        (Some(h), None) if is_host(h) => Ok(()),
        (None | Some(_), _) => Err(WireError::Host),
    }
}

/// uri-host [ ":" port ] by its characters (RFC 3986 §3.2.2); an empty one names nothing.
fn is_host(host: &[u8]) -> bool {
    let (name, port) = match host {
        [b'[', ..] => match memchr::memchr(b']', host) {
            Some(end) => (&host[..=end], &host[end + 1..]),
            None => return false,
        },
        _ => match memchr::memchr(b':', host) {
            Some(colon) => host.split_at(colon),
            None => (host, &host[..0]),
        },
    };
    let name_ok = match name {
        [b'[', inner @ .., b']'] => {
            !inner.is_empty()
                && inner.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'.' | b'-' | b'_' | b'~'))
        }
        _ => {
            !name.is_empty()
                && name.iter().all(|b| {
                    b.is_ascii_alphanumeric()
                        || matches!(
                            b,
                            b'-' | b'.'
                                | b'_'
                                | b'~'
                                | b'%'
                                | b'!'
                                | b'$'
                                | b'&'
                                | b'\''
                                | b'('
                                | b')'
                                | b'*'
                                | b'+'
                                | b','
                                | b';'
                                | b'='
                        )
                })
        }
    };
    let port_ok = match port {
        [] => true,
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    name_ok && port_ok
}

/// Parses a whole response head (as [`HeadScan`] found it) into `out`, whose memory is reused.
///
/// # Errors
/// Whatever is malformed or beyond `limits`; `out` is then unspecified.
pub fn parse_response(head: &[u8], limits: &WireLimits, out: &mut ResponseHead) -> Result<(), WireError> {
    out.clear();
    let mut lines = [const { MaybeUninit::uninit() }; HEADER_COUNT_MAX];
    let mut resp = httparse::Response::new(&mut []);
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut resp, head, &mut lines) {
        Ok(httparse::Status::Complete(n)) if n == head.len() => {}
        Ok(_) => return Err(WireError::StartLine),
        Err(e) => return Err(head_error(e)),
    }
    let (Some(status), Some(minor)) = (resp.code, resp.version) else {
        return Err(WireError::StartLine);
    };
    if !(100..=999).contains(&status) {
        return Err(WireError::StartLine);
    }
    out.status = status;
    out.version = if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 };
    let reason = resp.reason.unwrap_or_default();
    if reason != copal_semantics::message::standard_reason(status) {
        out.reason.push_str(reason);
    }
    fill(&mut out.headers, head, resp.headers, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(head: &[u8]) -> Result<RequestHead, WireError> {
        let limits = WireLimits::default();
        let end = HeadScan::default().find(head, &limits)?.expect("a whole head");
        let mut out = RequestHead::default();
        parse_request(&head[..end], &limits, &mut out).map(|()| out)
    }

    #[test]
    fn a_plain_request_is_read_as_it_is() {
        let r = request(b"GET /a?b=c HTTP/1.1\r\nHost: a.example:8080\r\nX-Y:  z \r\n\r\n").expect("valid");
        assert_eq!((r.method, r.url.as_str(), r.version), (Method::GET, "/a?b=c", Version::HTTP_11));
        assert_eq!(r.headers.get("x-y"), Some(&b"z"[..]));
    }

    #[test]
    fn lines_are_kept_in_one_spelling_however_they_were_spaced() {
        let same = "Host: a\r\nX-Y: z\r\nX-Empty: \r\nX-Last: 1 2\r\n";
        for lines in [
            "Host: a\r\nX-Y: z\r\nX-Empty: \r\nX-Last: 1 2\r\n",
            "Host:a\r\nX-Y: z\r\nX-Empty:\r\nX-Last: 1 2\r\n",
            "Host: a\r\nX-Y:   z\r\nX-Empty: \r\nX-Last: 1 2\r\n",
            "Host: a\r\nX-Y: z \r\nX-Empty:  \t\r\nX-Last: 1 2\r\n",
            "Host: a\r\nX-Y: z\r\nX-Empty:\t\r\nX-Last:\t1 2\t\r\n",
        ] {
            let r = request(format!("GET / HTTP/1.1\r\n{lines}\r\n").as_bytes()).expect("valid");
            let (mut wire, mut h) = (Vec::new(), r.headers);
            h.write_wire(&mut wire);
            assert_eq!(String::from_utf8_lossy(&wire), same, "{lines:?}");
            assert_eq!(h.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>(), 25, "{lines:?}");
            assert_eq!((h.remove("x-y"), h.get("x-last"), h.wire_len()), (1, Some(&b"1 2"[..]), same.len() - 8));
        }
    }

    #[test]
    fn absolute_form_gives_the_host() {
        let r = request(b"GET http://b.example?q HTTP/1.1\r\nHost: a.example\r\n\r\n").expect("valid");
        assert_eq!((r.url.as_str(), r.headers.get("host")), ("/?q", Some(&b"b.example"[..])));
    }

    #[test]
    fn what_is_ambiguous_or_broken_is_refused() {
        let table: [(&[u8], WireError); 26] = [
            (b"GET / HTTP/1.1\r\n\r\n", WireError::Host),
            (b"GET / HTTP/1.1\r\nHost:\r\n\r\n", WireError::Host),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", WireError::Host),
            (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", WireError::Host),
            (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", WireError::Host),
            (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", WireError::Host),
            (b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", WireError::Host),
            // Found by property test: the authority of an absolute target hid what was wrong with Host.
            (b"GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", WireError::Host),
            (b"GET http://a/ HTTP/1.1\r\n\r\n", WireError::Host),
            (b"GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n", WireError::Host),
            (b"GET http://a b/ HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Version),
            (b"GET / HTTP/1.1\nHost: a\n\n", WireError::BareLf),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\n", WireError::BareLf),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", WireError::HeaderLine),
            (b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", WireError::HeaderLine),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", WireError::HeaderLine),
            (b"GET / HTTP/1.1\r\nHost: a\r\nX\0: 1\r\n\r\n", WireError::HeaderLine),
            (b"GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n", WireError::HeaderLine),
            (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", WireError::Version),
            (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Version),
            (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Target),
            (b"GET a HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Target),
            (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Target),
            (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Target),
            (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", WireError::Target),
            (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", WireError::StartLine),
        ];
        for (bytes, want) in table {
            assert_eq!(request(bytes).err(), Some(want), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn limits_show_before_the_head_is_whole() {
        let limits = WireLimits { head_bytes: 200, url_bytes: 50, header_count: 3 };
        let find = |b: &[u8]| HeadScan::default().find(b, &limits);
        assert_eq!(find(format!("GET /{}", "a".repeat(200)).as_bytes()), Err(WireError::UrlSize));
        assert_eq!(find(format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(200)).as_bytes()), Err(WireError::HeadSize));
        let mut out = RequestHead::default();
        let many = b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 1\r\nC: 1\r\n\r\n";
        assert_eq!(parse_request(many, &limits, &mut out), Err(WireError::HeaderCount));
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(60));
        assert_eq!(parse_request(long.as_bytes(), &limits, &mut out), Err(WireError::UrlSize));
    }

    #[test]
    fn a_head_that_comes_byte_by_byte_is_found_once_it_is_whole() {
        let head = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nrest";
        let (mut scan, limits) = (HeadScan::default(), WireLimits::default());
        for n in 0..head.len() - 4 {
            assert_eq!(scan.find(&head[..n], &limits), Ok(None), "{n}");
        }
        assert_eq!(scan.find(head, &limits), Ok(Some(head.len() - 4)));
    }

    #[test]
    fn a_start_line_is_too_long_however_it_arrives() {
        // Found by the fuzz target `request_head`: all at once it was accepted, byte by byte it was not.
        let limits = WireLimits { url_bytes: 50, ..WireLimits::default() };
        for (line, expected) in [(50 + 63, None), (50 + 64, Some(WireError::UrlSize))] {
            let head = format!("{} /a HTTP/1.1\r\n\r\n", "M".repeat(line - " /a HTTP/1.1".len()));
            let whole = HeadScan::default().find(head.as_bytes(), &limits);
            let mut scan = HeadScan::default();
            let cut = (1..=head.len()).find_map(|n| scan.find(&head.as_bytes()[..n], &limits).transpose());
            assert_eq!(cut, whole.transpose(), "{line}");
            assert_eq!(whole.err(), expected, "{line}");
        }
    }

    #[test]
    fn one_empty_line_before_the_request_line_is_forgiven() {
        let r = request(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("RFC 9112 §2.2");
        assert_eq!(r.url, "/");
    }

    #[test]
    fn responses_are_read_with_odd_statuses_and_reasons() {
        let mut out = ResponseHead::default();
        let limits = WireLimits::default();
        parse_response(b"HTTP/1.0 599 Very odd\r\nA: b\r\n\r\n", &limits, &mut out).expect("valid");
        assert_eq!((out.status, out.reason.as_str(), out.version), (599, "Very odd", Version::HTTP_10));
        for bad in [
            &b"HTTP/1.1 99 X\r\n\r\n"[..],
            b"HTTP/3 200 OK\r\n\r\n",
            b"garbage\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        ] {
            assert!(parse_response(bad, &limits, &mut out).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
