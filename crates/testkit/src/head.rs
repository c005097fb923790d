//! A head as both sides of the kit read it: start line and fields, deliberately by other code than Copal's own.

/// Start line and fields. Names and values are kept as sent, apart from spaces around values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Head {
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
}

/// Where the head at the start of `bytes` ends, after its empty line.
pub(crate) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads a head that ends with its empty line.
pub(crate) fn parse(bytes: &[u8]) -> Head {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.split("\r\n");
    let start = lines.next().unwrap_or_default().to_owned();
    Head { start, fields: lines.filter_map(field).collect() }
}

pub(crate) fn field(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_owned(), value.trim().to_owned()))
}

/// The first field with that name.
pub(crate) fn find<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Does a field say that the body is chunked?
pub(crate) fn is_chunked(fields: &[(String, String)]) -> bool {
    find(fields, "Transfer-Encoding").is_some_and(|value| value.to_ascii_lowercase().ends_with("chunked"))
}

/// What the start of some bytes is, read as a chunk.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Chunk {
    /// More bytes are needed.
    Partial,
    /// A chunk with that data, and how many bytes it took in all.
    Data(Vec<u8>, usize),
    /// The last chunk with the trailers, and how many bytes it took in all.
    Last(Vec<(String, String)>, usize),
    /// Not a chunk.
    Bad(String),
}

/// Reads one chunk, strictly (RFC 9112 §7.1): hexadecimal size, CRLF, data, CRLF.
pub(crate) fn chunk(bytes: &[u8]) -> Chunk {
    let Some(line_end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Chunk::Partial };
    let line = String::from_utf8_lossy(&bytes[..line_end]);
    let digits = line.split(';').next().unwrap_or_default();
    let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let Some(size) = valid.then(|| usize::from_str_radix(digits, 16).ok()).flatten() else {
        return Chunk::Bad(format!("bad chunk size {line:?}"));
    };
    let data = line_end + 2;
    if size == 0 {
        return last(bytes, data);
    }
    let Some(after) = bytes.get(data + size..data + size + 2) else { return Chunk::Partial };
    if after != b"\r\n" {
        return Chunk::Bad(format!("no CRLF after a chunk of {size} bytes, but {after:?}"));
    }
    Chunk::Data(bytes[data..data + size].to_vec(), data + size + 2)
}

fn last(bytes: &[u8], trailers: usize) -> Chunk {
    let rest = &bytes[trailers..];
    if rest.starts_with(b"\r\n") {
        return Chunk::Last(Vec::new(), trailers + 2);
    }
    match end(rest) {
        Some(len) => {
            Chunk::Last(String::from_utf8_lossy(&rest[..len]).split("\r\n").filter_map(field).collect(), trailers + len)
        }
        None => Chunk::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_split_into_start_line_and_fields() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nx-b:  c \r\n\r\nbody";
        let len = end(bytes).unwrap();
        assert_eq!(&bytes[len..], b"body");
        let head = parse(&bytes[..len]);
        assert_eq!(head.start, "GET / HTTP/1.1");
        assert_eq!(find(&head.fields, "X-B"), Some("c"));
        assert_eq!(end(b"GET / HTTP/1.1\r\nHost: a\r\n"), None);
    }

    #[test]
    fn chunks_are_read_strictly() {
        assert_eq!(chunk(b"3\r\nabc\r\n0\r\n"), Chunk::Data(b"abc".to_vec(), 8));
        assert_eq!(chunk(b"A;x=y\r\n0123456789\r\n"), Chunk::Data(b"0123456789".to_vec(), 19));
        assert_eq!(chunk(b"0\r\n\r\n"), Chunk::Last(vec![], 5));
        assert_eq!(chunk(b"0\r\na: b\r\n\r\nGET"), Chunk::Last(vec![("a".into(), "b".into())], 11));
        for partial in ["", "3", "3\r", "3\r\nab", "3\r\nabc\r", "0\r\n", "0\r\na: b\r\n"] {
            assert_eq!(chunk(partial.as_bytes()), Chunk::Partial, "{partial:?}");
        }
        for bad in ["x\r\n", "\r\n", "-1\r\n", " 3\r\nabc\r\n", "3\r\nabcd\r\n", "fffffffffffffffff\r\n"] {
            assert!(matches!(chunk(bad.as_bytes()), Chunk::Bad(_)), "{bad:?}");
        }
    }
}
