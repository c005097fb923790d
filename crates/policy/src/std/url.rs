//! `url::`: the parts of a request target, percent-encoding.

use crate::library::ModuleFunction;
use crate::value::text;
use rhai::{Engine, ImmutableString, Module};

/// Path and query; the query without its "?".
pub(crate) fn split(url: &str) -> (&str, Option<&str>) {
    url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)))
}

/// Percent-decoded; `+` is a space when `plus`. A "%" that begins no escape stands for itself.
pub(crate) fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut i) = (Vec::with_capacity(bytes.len()), 0);
    while i < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (bytes[i], hex(i + 1), hex(i + 2)) {
            (b'%', Some(hi), Some(lo)) => {
                out.push(u8::try_from(hi * 16 + lo).unwrap_or(b'?'));
                i += 2;
            }
            (b'+', ..) if plus => out.push(b' '),
            (b, ..) => out.push(b),
        }
        i += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Percent-encoded but for the unreserved characters (RFC 3986 §2.3).
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push('%');
            for digit in [b >> 4, b & 15] {
                out.push(char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase());
            }
        }
    }
    out
}

/// "css" of "/a/b.css?x".
pub(crate) fn extension(url: &str) -> String {
    let file = split(url).0.rsplit('/').next().unwrap_or("");
    file.rsplit_once('.').map_or(String::new(), |(_, ext)| ext.to_ascii_lowercase())
}

/// Gives scripts the module.
pub(crate) fn register(e: &mut Engine) {
    let mut m = Module::new();
    ModuleFunction::new("path").set_into_module(&mut m, |url: &str| text(split(url).0));
    ModuleFunction::new("query").set_into_module(&mut m, |url: &str| text(split(url).1.unwrap_or("")));
    ModuleFunction::new("extension").set_into_module(&mut m, |url: &str| text(&extension(url)));
    ModuleFunction::new("decode").set_into_module(&mut m, |t: &str| ImmutableString::from(decode(t, false)));
    ModuleFunction::new("encode").set_into_module(&mut m, |t: &str| ImmutableString::from(encode(t)));
    // Of a field that is not there, a Referer for example: the empty text.
    for name in ["path", "query", "extension", "decode", "encode"] {
        ModuleFunction::new(name).set_into_module(&mut m, |(): ()| ImmutableString::new());
    }
    super::digest::add_to_url(&mut m);
    e.register_static_module("url", m.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_percent_encoding() {
        assert_eq!(split("/a?b?c"), ("/a", Some("b?c")));
        assert_eq!(extension("/a.b/c.CSS?x=y.z"), "css");
        assert_eq!(extension("/a.b/c"), "");
        assert_eq!(decode("a%20b+c%", true), "a b c%");
        assert_eq!(decode("%c3%A9%zz+", false), "é%zz+");
        assert_eq!(encode("a b/é~"), "a%20b%2F%C3%A9~");
    }
}
