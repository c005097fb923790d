//! RFC 9112 §7.1: decoding the chunked transfer coding, strictly.
//!
//! ```text
//! Size ──▶ Data(n) ──▶ DataEnd ──▶ Size …      size 0 ──▶ Trailers ──▶ Done
//! ```
//!
//! Invariants: a size line is 1 to 16 hex digits, then nothing or an extension; every line ends with CRLF; there is no
//! way to `Done` other than a last chunk and a whole trailer section.

use crate::head::{HEADER_COUNT_MAX, WireError};
use bytes::{Buf, Bytes, BytesMut};
use copal_semantics::Headers;

/// Longest size line with its extension: extensions carry nothing of use, so this only bounds memory.
const SIZE_LINE_MAX: usize = 1024;
/// Longest trailer section, as Varnish bounds a whole head.
const TRAILERS_MAX: usize = 8 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Data(u64),
    DataEnd,
    Trailers,
    Done,
}

/// A decoder for one body.
#[derive(Debug)]
pub struct Chunked {
    state: State,
}

/// What [`Chunked::decode`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some body bytes, never empty.
    Data(Bytes),
    /// The buffer is used up; more input is needed.
    More,
    /// The body is over; the trailer fields, if there were any.
    End(Box<Headers>),
}

impl Default for Chunked {
    fn default() -> Self {
        Chunked { state: State::Size }
    }
}

impl Chunked {
    /// Takes the next piece off the front of `buf`. Call until it gives `More` or `End`.
    ///
    /// # Errors
    /// [`WireError::Chunk`] when the coding is malformed; the connection cannot be used on.
    pub fn decode(&mut self, buf: &mut BytesMut) -> Result<Piece, WireError> {
        loop {
            match self.state {
                State::Size => match line(buf, SIZE_LINE_MAX)? {
                    None => return Ok(Piece::More),
                    Some(end) => {
                        let size = chunk_size(&buf[..end])?;
                        buf.advance(end + 2);
                        self.state = if size == 0 { State::Trailers } else { State::Data(size) };
                    }
                },
                State::Data(left) => {
                    if buf.is_empty() {
                        return Ok(Piece::More);
                    }
                    let n = usize::try_from(left).map_or(buf.len(), |l| l.min(buf.len()));
                    let data = buf.split_to(n).freeze();
                    let left = left - n as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Piece::Data(data));
                }
                State::DataEnd => match buf.as_ref() {
                    [] | [b'\r'] => return Ok(Piece::More),
                    [b'\r', b'\n', ..] => {
                        buf.advance(2);
                        self.state = State::Size;
                    }
                    _ => return Err(WireError::Chunk),
                },
                State::Trailers => {
                    let Some(end) = trailers_end(buf)? else { return Ok(Piece::More) };
                    let section = buf.split_to(end);
                    self.state = State::Done;
                    return trailers(&section).map(|fields| Piece::End(Box::new(fields)));
                }
                State::Done => return Ok(Piece::End(Box::default())),
            }
        }
    }

    /// Has the whole body been decoded?
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

/// Where the line at the front ends (the index of its CR), if it is whole.
fn line(buf: &[u8], max: usize) -> Result<Option<usize>, WireError> {
    match memchr::memchr(b'\n', buf) {
        Some(0) => Err(WireError::Chunk),
        Some(lf) if buf[lf - 1] != b'\r' || lf > max => Err(WireError::Chunk),
        Some(lf) => Ok(Some(lf - 1)),
        None if buf.len() > max => Err(WireError::Chunk),
        None => Ok(None),
    }
}

fn chunk_size(line: &[u8]) -> Result<u64, WireError> {
    let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
    if !(1..=16).contains(&digits) {
        return Err(WireError::Chunk);
    }
    let ext = &line[digits..];
    // RFC 9112 §7.1.1: an extension starts with ';'. White space before it is "bad" white space: refused.
    if !(ext.is_empty() || ext[0] == b';') || ext.iter().any(|&b| b != b'\t' && (b < 0x20 || b == 0x7f)) {
        return Err(WireError::Chunk);
    }
    let text = std::str::from_utf8(&line[..digits]).map_err(|_| WireError::Chunk)?;
    u64::from_str_radix(text, 16).map_err(|_| WireError::Chunk)
}

/// The length of the trailer section with its empty line.
fn trailers_end(buf: &[u8]) -> Result<Option<usize>, WireError> {
    let mut start = 0;
    while let Some(i) = memchr::memchr(b'\n', &buf[start..]) {
        let lf = start + i;
        if lf == start || buf[lf - 1] != b'\r' || lf > TRAILERS_MAX {
            return Err(WireError::Chunk);
        }
        if lf == start + 1 {
            return Ok(Some(lf + 1));
        }
        start = lf + 1;
    }
    if buf.len() > TRAILERS_MAX { Err(WireError::Chunk) } else { Ok(None) }
}

fn trailers(section: &[u8]) -> Result<Headers, WireError> {
    let mut out = Headers::new();
    if section.len() > 2 {
        let mut lines = [httparse::EMPTY_HEADER; HEADER_COUNT_MAX];
        match httparse::parse_headers(section, &mut lines) {
            Ok(httparse::Status::Complete((_, lines))) => {
                for h in lines {
                    out.append_parsed(h.name, h.value).map_err(|_| WireError::Chunk)?;
                }
            }
            Ok(httparse::Status::Partial) | Err(_) => return Err(WireError::Chunk),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `wire` in pieces of `step` bytes; the body and the trailers once it is whole.
    fn decode(wire: &[u8], step: usize) -> Result<Option<(Vec<u8>, Headers)>, WireError> {
        let (mut dec, mut buf, mut body) = (Chunked::default(), BytesMut::new(), Vec::new());
        for part in wire.chunks(step.max(1)) {
            buf.extend_from_slice(part);
            loop {
                match dec.decode(&mut buf)? {
                    Piece::Data(d) => body.extend_from_slice(&d),
                    Piece::More => break,
                    Piece::End(t) => return Ok(Some((body, *t))),
                }
            }
        }
        Ok(None)
    }

    #[test]
    fn chunks_extensions_and_trailers_are_read_however_they_are_cut() {
        let wire = b"3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n";
        for step in 1..wire.len() {
            let (body, trailers) = decode(wire, step).expect("valid").expect("whole");
            assert_eq!(body, b"abc0123456789");
            assert_eq!(trailers.get("x-t"), Some(&b"1"[..]));
        }
    }

    #[test]
    fn malformed_chunks_are_refused() {
        for bad in [
            &b"\r\nabc"[..],
            b";x\r\nabc",
            b"3\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"3\r\nabcd\r\n",
            b"3\r\nabc\n",
            b"0x3\r\nabc\r\n",
            b"-1\r\n",
            b"11111111111111111\r\n",
            b"3;\x01\r\nabc\r\n",
            b"3;a\nb\r\nabc\r\n",
            b"0\r\nbad line\r\n\r\n",
            b"0\r\nX: 1\n\r\n",
            b"zz\r\n",
        ] {
            assert_eq!(decode(bad, 1).err(), Some(WireError::Chunk), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn a_body_that_stops_early_never_ends() {
        let wire = b"3\r\nabc\r\n0\r\n\r\n";
        for n in 0..wire.len() {
            assert_eq!(decode(&wire[..n], 1), Ok(None), "{n}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics_or_makes_bytes_up(wire in proptest::collection::vec(any::<u8>(), 0..200), step in 1usize..50) {
            if let Ok(Some((body, _))) = decode(&wire, step) {
                prop_assert!(body.len() <= wire.len());
            }
        }

        #[test]
        fn what_is_encoded_decodes_to_itself(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..8), step in 1usize..20) {
            let mut wire = Vec::new();
            for p in &parts {
                crate::encode::chunk_start(p.len(), &mut wire);
                wire.extend_from_slice(p);
                wire.extend_from_slice(b"\r\n");
            }
            crate::encode::chunk_end(&Headers::new(), &mut wire);
            let (body, _) = decode(&wire, step).expect("valid").expect("whole");
            prop_assert_eq!(body, parts.concat());
        }
    }
}
