//! RFC 9112 §3, §4, §7.1: writing heads and chunks.

use copal_semantics::{Headers, RequestHead, ResponseHead};

/// Writes a request head up to and with its empty line. The version on the wire is always 1.1.
pub fn request_head(head: &RequestHead, out: &mut Vec<u8>) {
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.url.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    head.headers.write_wire(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the status line. The status is sent modulo 1000, the version is always 1.1.
pub fn status_line(head: &ResponseHead, out: &mut Vec<u8>) {
    out.extend_from_slice(b"HTTP/1.1 ");
    let status = head.status % 1000;
    let digit = |n: u16| b'0' + u8::try_from(n % 10).unwrap_or(0);
    out.extend_from_slice(&[digit(status / 100), digit(status / 10), digit(status), b' ']);
    out.extend_from_slice(head.reason_phrase().as_bytes());
    out.extend_from_slice(b"\r\n");
}

/// Writes a response head up to and with its empty line.
pub fn response_head(head: &ResponseHead, out: &mut Vec<u8>) {
    status_line(head, out);
    head.headers.write_wire(out);
    out.extend_from_slice(b"\r\n");
}

/// Writes the size line of a chunk of `len` bytes; CRLF must follow the data.
pub fn chunk_start(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len > 0, "an empty chunk would end the body");
    let mut digits = [0u8; 16];
    let mut n = len;
    let mut at = digits.len();
    while n > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[n & 15];
        n >>= 4;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk and the trailer section.
pub fn chunk_end(trailers: &Headers, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    trailers.write_wire(out);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_written_as_the_grammar_says() {
        let mut out = Vec::new();
        request_head(&RequestHead::get("/a", [("Host", "b")]), &mut out);
        assert_eq!(out, b"GET /a HTTP/1.1\r\nHost: b\r\n\r\n");
        out.clear();
        response_head(&ResponseHead::new(1404, [("A", "b")]), &mut out);
        assert_eq!(out, b"HTTP/1.1 404 Not Found\r\nA: b\r\n\r\n");
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        let mut out = Vec::new();
        for n in [1, 15, 16, 255, 4096] {
            chunk_start(n, &mut out);
        }
        assert_eq!(out, b"1\r\nf\r\n10\r\nff\r\n1000\r\n");
    }
}
