//! RFC 9110 §5: header fields, in order and as received, in one contiguous block of wire bytes.
//!
//! ```text
//! buf:    Host: a.example\r\nAccept: */*\r\n           (removed lines stay as dead bytes until the block is rebuilt)
//! fields: [{line 0..17, name 4, value 6..15}, …]        in order of appearance
//! ```
//!
//! Invariants: a stored name is a token; a stored value holds no CR, LF or NUL and no surrounding white space. So
//! nothing that passed through here can break framing. Names compare without regard to case, and keep their case.

use smallvec::SmallVec;
use std::borrow::Cow;
use thiserror::Error;

/// Why a field was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HeaderError {
    /// The name is empty, too long (over 65,535 bytes) or holds a byte that is not a token character (RFC 9110 §5.6.2).
    #[error("not a valid header field name")]
    Name,
    /// The value holds CR, LF, NUL or another control character other than TAB (RFC 9110 §5.5).
    #[error("not a valid header field value: it holds a control character")]
    Value,
    /// The block would exceed 4 GiB.
    #[error("too many header bytes")]
    Size,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    start: u32,
    name_len: u16,
    /// Bytes between the end of the name and the start of the value (": " is 2).
    gap: u16,
    value_len: u32,
}

impl Field {
    fn name<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.start as usize..self.start as usize + self.name_len as usize]
    }
    fn is_named(&self, buf: &[u8], name: &str) -> bool {
        self.name_len as usize == name.len() && self.name(buf).eq_ignore_ascii_case(name.as_bytes())
    }
    fn value_start(&self) -> usize {
        self.start as usize + self.name_len as usize + self.gap as usize
    }
    fn value<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        let at = self.value_start();
        &buf[at..at + self.value_len as usize]
    }
    fn line<'a>(&self, buf: &'a [u8]) -> &'a [u8] {
        &buf[self.start as usize..self.value_start() + self.value_len as usize + 2]
    }
}

/// A list of header fields. Cheap to clear and fill again; reading allocates nothing.
#[derive(Clone, Debug, Default)]
pub struct Headers {
    buf: Vec<u8>,
    fields: SmallVec<[Field; 24]>,
}

/// Is every byte a token character (RFC 9110 §5.6.2), and is there at least one?
#[must_use]
pub fn is_token(name: &[u8]) -> bool {
    // A table, as every name that is written passes here.
    const TOKEN: [bool; 256] = {
        let (mut table, mut b) = ([false; 256], 0);
        while b < 256 {
            table[b] = is_token_byte(b as u8);
            b += 1;
        }
        table
    };
    !name.is_empty() && name.iter().all(|&b| TOKEN[usize::from(b)])
}

/// A token character (RFC 9110 §5.6.2).
#[must_use]
pub const fn is_token_byte(b: u8) -> bool {
    matches!(b, b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z')
}

/// May these bytes be a field value (RFC 9110 §5.5: visible characters, SP, TAB, obs-text)?
#[must_use]
pub fn is_field_value(value: &[u8]) -> bool {
    // To the end, as that is done many bytes at once; a value that is refused is rare.
    value.iter().fold(true, |valid, &b| valid & ((b == b'\t') | ((b >= 0x20) & (b != 0x7f))))
}

/// Optional white space (SP and TAB) cut off at both ends.
#[must_use]
pub fn trim_ows(mut v: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = v {
        v = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = v {
        v = rest;
    }
    v
}

impl Headers {
    /// An empty list; allocates nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets all fields, keeps the memory.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.fields.clear();
    }

    /// How many field lines.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// No field at all?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Bytes that the fields take on the wire.
    #[must_use]
    pub fn wire_len(&self) -> usize {
        self.fields.iter().map(|f| f.line(&self.buf).len()).sum()
    }

    /// Adds a field line at the end. Surrounding white space of the value is cut off.
    ///
    /// # Errors
    /// When name or value could break framing; nothing is changed then.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let value = trim_ows(value.as_ref());
        if !is_token(name.as_bytes()) {
            return Err(HeaderError::Name);
        }
        if !is_field_value(value) {
            return Err(HeaderError::Value);
        }
        let field = self.push_line(name.as_bytes(), value)?;
        self.fields.push(field);
        Ok(())
    }

    /// Adds a field line that a strict parser has already checked; surrounding white space is cut off.
    ///
    /// # Errors
    /// [`HeaderError::Size`] when the block would exceed 4 GiB, [`HeaderError::Name`] over 65,535 bytes of name.
    pub fn append_parsed(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        debug_assert!(is_token(name.as_bytes()) && is_field_value(value), "the parser let {name:?} through");
        self.append_trusted(name, value)
    }

    /// As [`append_parsed`](Self::append_parsed), for what was in a list before and comes back from a packed block.
    pub(crate) fn append_trusted(&mut self, name: &str, value: &[u8]) -> Result<(), HeaderError> {
        let field = self.push_line(name.as_bytes(), trim_ows(value))?;
        self.fields.push(field);
        Ok(())
    }

    /// Takes over the lines of a head that a strict parser has checked, as they stand in `block`: `lines` gives the places of
    /// each name and value there, in order. False, and nothing is changed, where a line is not written as it would be here
    /// (`name: value` and CRLF); those are for [`append_parsed`](Self::append_parsed).
    pub fn take_parsed(
        &mut self,
        block: &[u8],
        lines: impl Iterator<Item = (usize, usize, usize, usize)> + Clone,
    ) -> bool {
        let start = self.buf.len();
        let Some((first, ..)) = lines.clone().next() else { return true };
        if u32::try_from(start + block.len()).is_err() {
            return false;
        }
        let mut next = first;
        let fields_before = self.fields.len();
        for (name, name_len, value, value_len) in lines {
            let end = value + value_len;
            let plain = name == next
                && value == name + name_len + 2
                && block.get(name + name_len..value) == Some(b": ")
                && block.get(end..end + 2) == Some(b"\r\n");
            let (Ok(name_len), true) = (u16::try_from(name_len), plain) else {
                self.fields.truncate(fields_before);
                return false;
            };
            // All of it is below 4 GiB, as was seen above.
            let at = (start + name - first) as u32;
            self.fields.push(Field { start: at, name_len, gap: 2, value_len: value_len as u32 });
            next = end + 2;
        }
        self.buf.extend_from_slice(&block[first..next]);
        true
    }

    fn push_line(&mut self, name: &[u8], value: &[u8]) -> Result<Field, HeaderError> {
        let name_len = u16::try_from(name.len()).map_err(|_| HeaderError::Name)?;
        let start = u32::try_from(self.buf.len()).map_err(|_| HeaderError::Size)?;
        let value_len = u32::try_from(value.len()).map_err(|_| HeaderError::Size)?;
        u32::try_from(self.buf.len() + name.len() + value.len() + 4).map_err(|_| HeaderError::Size)?;
        self.buf.reserve(name.len() + value.len() + 4);
        self.buf.extend_from_slice(name);
        self.buf.extend_from_slice(b": ");
        self.buf.extend_from_slice(value);
        self.buf.extend_from_slice(b"\r\n");
        Ok(Field { start, name_len, gap: 2, value_len })
    }

    /// Replaces every line of that name by one, at the place of the first; appends it when there was none.
    ///
    /// # Errors
    /// When name or value could break framing; nothing is changed then.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        let value = trim_ows(value.as_ref());
        let Some(first) = self.position(name) else {
            return self.append(name, value);
        };
        if !is_field_value(value) {
            return Err(HeaderError::Value);
        }
        let field = self.push_line(name.as_bytes(), value)?;
        self.fields[first] = field;
        let (buf, fields) = (&self.buf, &mut self.fields);
        let mut i = 0;
        fields.retain(|f| {
            i += 1;
            i <= first + 1 || !f.is_named(buf, name)
        });
        Ok(())
    }

    /// Removes every line of that name; how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let Some(first) = self.position(name) else { return 0 };
        let (before, mut i, buf) = (self.fields.len(), 0, &self.buf);
        self.fields.retain(|f| {
            i += 1;
            i <= first || !f.is_named(buf, name)
        });
        before - self.fields.len()
    }

    /// Keeps the lines for which `keep(name, value)` holds; how many went.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &[u8]) -> bool) -> usize {
        let before = self.fields.len();
        let buf = &self.buf;
        self.fields.retain(|f| keep(as_str(f.name(buf)), f.value(buf)));
        before - self.fields.len()
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.is_named(&self.buf, name))
    }

    /// The value of the first line of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.position(name).map(|i| self.fields[i].value(&self.buf))
    }

    /// The value of the first line of that name as text; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(String::from_utf8_lossy)
    }

    /// Is there a line of that name?
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// The values of all lines of that name, in order.
    pub fn get_all<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.fields.iter().filter(move |f| f.is_named(&self.buf, name)).map(|f| f.value(&self.buf))
    }

    /// All lines of that name as one comma-separated list (RFC 9110 §5.3). Not for Set-Cookie.
    #[must_use]
    pub fn combined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let mut all = self.get_all(name);
        let first = all.next()?;
        let Some(second) = all.next() else {
            return Some(Cow::Borrowed(first));
        };
        let mut joined = first.to_vec();
        for v in std::iter::once(second).chain(all) {
            joined.extend_from_slice(b", ");
            joined.extend_from_slice(v);
        }
        Some(Cow::Owned(joined))
    }

    /// The members of the comma-separated list in all lines of that name, trimmed, empty ones left out.
    /// Commas inside quoted strings are not seen: for lists of tokens only.
    pub fn list<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.get_all(name).flat_map(|v| v.split(|&b| b == b',')).map(trim_ows).filter(|m| !m.is_empty())
    }

    /// All lines as (name, value), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.fields.iter().map(|f| (as_str(f.name(&self.buf)), f.value(&self.buf)))
    }

    /// Writes every line in wire form, without the empty line that ends a head.
    pub fn write_wire(&self, out: &mut Vec<u8>) {
        // Neighbouring lines are one copy: untouched heads, the usual case, go out in a single memcpy.
        let mut run: Option<(usize, usize)> = None;
        for f in &self.fields {
            let (start, end) = (f.start as usize, f.value_start() + f.value_len as usize + 2);
            run = match run {
                Some((s, e)) if e == start => Some((s, end)),
                Some((s, e)) => {
                    out.extend_from_slice(&self.buf[s..e]);
                    Some((start, end))
                }
                None => Some((start, end)),
            };
        }
        if let Some((s, e)) = run {
            out.extend_from_slice(&self.buf[s..e]);
        }
    }

    /// Replaces the content with the lines of `block`, which [`Headers::write_wire`] has made.
    pub fn read_wire(&mut self, block: &[u8]) {
        self.clear();
        self.buf.extend_from_slice(block);
        let mut at = 0;
        while let Some(end) = memchr::memchr(b'\n', &block[at..]) {
            let line = &block[at..at + end - 1];
            if let Some(colon) = memchr::memchr(b':', line) {
                self.fields.push(Field {
                    start: u32::try_from(at).unwrap_or(u32::MAX),
                    name_len: u16::try_from(colon).unwrap_or(u16::MAX),
                    gap: 2,
                    value_len: u32::try_from(line.len().saturating_sub(colon + 2)).unwrap_or(u32::MAX),
                });
            }
            at += end + 1;
        }
    }

    /// Appends all lines of `other`.
    ///
    /// # Errors
    /// [`HeaderError::Size`] when the block would exceed 4 GiB.
    pub fn extend(&mut self, other: &Headers) -> Result<(), HeaderError> {
        for f in &other.fields {
            let field = self.push_line(f.name(&other.buf), f.value(&other.buf))?;
            self.fields.push(field);
        }
        Ok(())
    }
}

fn as_str(name: &[u8]) -> &str {
    // A token is ASCII (the invariant above), so this never takes the fallback.
    std::str::from_utf8(name).unwrap_or("")
}

/// Equal when they have the same lines in the same order, names without regard to case.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.iter().zip(other.iter()).all(|((n, v), (m, w))| n.eq_ignore_ascii_case(m) && v == w)
    }
}
impl Eq for Headers {}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    /// Builds a list; fields that could break framing are left out (use [`Headers::append`] for untrusted ones).
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(iter: T) -> Self {
        let mut h = Headers::new();
        for (n, v) in iter {
            let _refused = h.append(n, v);
        }
        h
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Headers {
        [("Host", "a.example"), ("Vary", "a"), ("X-A", "1"), ("vary", " b , c ")].into_iter().collect()
    }

    #[test]
    fn names_compare_without_case_and_lists_join() {
        let h = sample();
        assert_eq!(h.get("hOST"), Some(&b"a.example"[..]));
        assert_eq!(h.combined("Vary").as_deref(), Some(&b"a, b , c"[..]));
        assert_eq!(h.list("vary").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    }

    #[test]
    fn set_replaces_all_lines_at_the_place_of_the_first() {
        let mut h = sample();
        h.set("VARY", "x").expect("valid");
        assert_eq!(h.iter().map(|(n, _)| n).collect::<Vec<_>>(), ["Host", "VARY", "X-A"]);
        assert_eq!(h.remove("x-a"), 1);
        let mut out = Vec::new();
        h.write_wire(&mut out);
        assert_eq!(out, b"Host: a.example\r\nVARY: x\r\n");
        assert_eq!(h.wire_len(), out.len());
    }

    #[test]
    fn what_would_break_framing_is_refused_and_changes_nothing() {
        let mut h = sample();
        assert_eq!(h.append("x y", "1"), Err(HeaderError::Name));
        assert_eq!(h.append("", "1"), Err(HeaderError::Name));
        assert_eq!(h.set("Vary", "a\r\nEvil: 1"), Err(HeaderError::Value));
        assert_eq!(h.set("Vary", "a\0"), Err(HeaderError::Value));
        assert_eq!(h, sample());
    }

    #[test]
    fn a_block_read_back_is_the_same_list() {
        let mut h = sample();
        h.append("Empty", "").expect("valid");
        h.remove("host");
        let mut block = Vec::new();
        h.write_wire(&mut block);
        let mut back = Headers::new();
        back.read_wire(&block);
        assert_eq!(back, h);
        let mut again = Vec::new();
        back.write_wire(&mut again);
        assert_eq!(again, block);
    }
}
