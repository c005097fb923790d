//! A response as the raw client reads it, with everything that a test may want to know about its framing.

use crate::head::{self, Chunk};
use std::io::{self, Read};

/// How a body's end is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is no body: to HEAD, or the status has none.
    None,
    /// By Content-Length.
    Length(usize),
    /// By chunks.
    Chunked,
    /// By the end of the connection.
    Close,
}

/// One response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The protocol: "HTTP/1.1".
    pub version: String,
    /// The status.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// The fields in order, as sent.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing; as much as arrived.
    pub body: Vec<u8>,
    /// Trailer fields after a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Statuses of the 1xx responses before this one.
    pub interim: Vec<u16>,
    /// How the body's end is told.
    pub framing: Framing,
    /// Has the body arrived whole? False when it was cut, reset, or badly framed.
    pub complete: bool,
    /// Why it is not complete.
    pub defect: Option<String>,
}

impl Response {
    /// The first field with that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        head::find(&self.headers, name)
    }

    /// All fields with that name, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as text; what is not UTF-8 is replaced.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Bytes that were read and not yet used.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    pub(crate) bytes: Vec<u8>,
}

impl Buffer {
    /// Reads more; `Ok(false)` at the end.
    pub(crate) fn fill(&mut self, stream: &mut impl Read) -> io::Result<bool> {
        let mut piece = [0; 16 * 1024];
        let n = stream.read(&mut piece)?;
        self.bytes.extend_from_slice(&piece[..n]);
        Ok(n > 0)
    }

    /// Reads a head, after the 1xx heads before it; `None` when the connection ends without a byte of it.
    pub(crate) fn head(&mut self, stream: &mut impl Read, to_head: bool) -> io::Result<Option<Response>> {
        let mut interim = Vec::new();
        loop {
            let len = loop {
                if let Some(len) = head::end(&self.bytes) {
                    break len;
                }
                match self.fill(stream) {
                    Ok(true) => {}
                    Ok(false) if self.bytes.is_empty() => return Ok(None),
                    Ok(false) => return Err(invalid(format!("cut in the head: {:?}", lossy(&self.bytes)))),
                    Err(error) if self.bytes.is_empty() && is_reset(&error) => return Ok(None),
                    Err(error) => return Err(error),
                }
            };
            let mut response = parse(&self.bytes[..len], to_head)?;
            self.bytes.drain(..len);
            if (100..200).contains(&response.status) && response.status != 101 {
                interim.push(response.status);
            } else {
                response.interim = interim;
                return Ok(Some(response));
            }
        }
    }

    /// Reads the body to its end, or to where it is cut.
    pub(crate) fn body(&mut self, stream: &mut impl Read, response: &mut Response) {
        let ended = match response.framing {
            Framing::None => Ok(()),
            Framing::Length(length) => self.sized(stream, length - response.body.len(), &mut response.body),
            Framing::Chunked => self.chunks(stream, response),
            Framing::Close => self.rest(stream, &mut response.body),
        };
        response.complete = ended.is_ok();
        response.defect = ended.err().map(|error| error.to_string());
    }

    fn sized(&mut self, stream: &mut impl Read, mut left: usize, body: &mut Vec<u8>) -> io::Result<()> {
        loop {
            let n = left.min(self.bytes.len());
            body.extend(self.bytes.drain(..n));
            left -= n;
            if left == 0 {
                return Ok(());
            }
            if !self.fill(stream)? {
                return Err(invalid(format!("{left} bytes of the body are missing")));
            }
        }
    }

    fn chunks(&mut self, stream: &mut impl Read, response: &mut Response) -> io::Result<()> {
        loop {
            match head::chunk(&self.bytes) {
                Chunk::Data(data, len) => {
                    response.body.extend(data);
                    self.bytes.drain(..len);
                }
                Chunk::Last(trailers, len) => {
                    response.trailers = trailers;
                    self.bytes.drain(..len);
                    return Ok(());
                }
                Chunk::Bad(what) => return Err(invalid(what)),
                Chunk::Partial => {
                    if !self.fill(stream)? {
                        return Err(invalid("the connection ended before the last chunk".to_owned()));
                    }
                }
            }
        }
    }

    fn rest(&mut self, stream: &mut impl Read, body: &mut Vec<u8>) -> io::Result<()> {
        let ended = loop {
            match self.fill(stream) {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        body.append(&mut self.bytes);
        ended
    }
}

pub(crate) fn is_reset(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}

fn invalid(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parse(bytes: &[u8], to_head: bool) -> io::Result<Response> {
    let head = head::parse(bytes);
    let mut words = head.start.splitn(3, ' ');
    let version = words.next().filter(|v| v.starts_with("HTTP/")).map(str::to_owned);
    let status = words.next().filter(|s| s.len() == 3).and_then(|s| s.parse().ok());
    let (Some(version), Some(status)) = (version, status) else {
        return Err(invalid(format!("not a status line: {:?}", head.start)));
    };
    let length = match head::find(&head.fields, "Content-Length") {
        Some(text) => Some(text.parse().map_err(|_| invalid(format!("bad Content-Length {text:?}")))?),
        None => None,
    };
    let chunked = head::is_chunked(&head.fields);
    if chunked && length.is_some() {
        return Err(invalid("both Content-Length and Transfer-Encoding".to_owned()));
    }
    let framing = match (status, length) {
        _ if to_head => Framing::None,
        (100..200 | 204 | 304, _) => Framing::None,
        _ if chunked => Framing::Chunked,
        (_, Some(length)) => Framing::Length(length),
        (_, None) => Framing::Close,
    };
    Ok(Response {
        version,
        status,
        reason: words.next().unwrap_or_default().to_owned(),
        headers: head.fields,
        body: Vec::new(),
        trailers: Vec::new(),
        interim: Vec::new(),
        framing,
        complete: false,
        defect: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut bytes: &[u8], to_head: bool) -> Response {
        let mut buffer = Buffer::default();
        let mut response = buffer.head(&mut bytes, to_head).unwrap().unwrap();
        buffer.body(&mut bytes, &mut response);
        response
    }

    #[test]
    fn each_framing_is_read_to_its_end() {
        let sized = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\na: 2\r\n\r\nhi", false);
        assert_eq!(
            (sized.status, sized.reason.as_str(), sized.text().as_str(), sized.complete),
            (200, "OK", "hi", true)
        );
        assert_eq!(sized.all("A"), ["1", "2"]);
        let chunked = read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nT: 1\r\n\r\n", false);
        assert_eq!((chunked.text().as_str(), chunked.complete), ("hi", true));
        assert_eq!(chunked.trailers, [("T".to_owned(), "1".to_owned())]);
        let close = read(b"HTTP/1.0 200\r\n\r\nhi", false);
        assert_eq!((close.text().as_str(), close.complete, close.framing), ("hi", true, Framing::Close));
        let to_head = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", true);
        assert_eq!((to_head.complete, to_head.framing), (true, Framing::None));
    }

    #[test]
    fn a_body_that_is_cut_or_badly_framed_is_not_complete() {
        for bytes in [
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n",
        ] {
            let response = read(bytes.as_bytes(), false);
            assert!(!response.complete && response.defect.is_some(), "{bytes:?}");
            assert_eq!(response.text(), "hi");
        }
    }

    #[test]
    fn interim_responses_come_before_the_one_that_counts() {
        let response = read(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n", false);
        assert_eq!((response.status, response.interim), (204, vec![100]));
    }

    #[test]
    fn what_is_no_response_is_an_error_and_the_end_is_nothing() {
        let mut buffer = Buffer::default();
        assert!(buffer.head(&mut &b""[..], false).unwrap().is_none());
        assert!(Buffer::default().head(&mut &b"garbage\r\n\r\n"[..], false).is_err());
        assert!(Buffer::default().head(&mut &b"HTTP/1.1 200 OK\r\nA"[..], false).is_err());
        let both = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(Buffer::default().head(&mut &both[..], false).is_err());
    }
}
