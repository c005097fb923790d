//! A response head as one small block of bytes, for keeping millions of them (RFC 9110 §5: names and values as received).
//!
//! ```text
//! version  status    reason       field …                         field = name value
//! u8       u16 le    len, bytes   name:  n < 96 → NAMES[n]        value: l < 240 → that many bytes follow
//!                    0: standard         n < 192 → NAMES[n-96],          240 → u32 le length, bytes
//!                    255: u32 le         in lower case                   241 → a date: u32 le seconds since 1970
//!                    length, bytes       255 → u16 le length, bytes      242 → VALUES[next byte]
//! ```
//!
//! Invariants: what is unpacked is what was packed, to the byte, in the same order; unpacking never panics, whatever the
//! block. A typical head of 300 bytes takes about 90.

use crate::date;
use crate::headers::Headers;
use crate::message::{ResponseHead, standard_reason};
use crate::time::Time;
use http::Version;

/// Field names that responses often have, in their usual spelling. New ones go to the end: places are the format.
const NAMES: &[&str] = &[
    "Accept-Ranges",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Age",
    "Allow",
    "Alt-Svc",
    "CDN-Cache-Control",
    "Cache-Control",
    "Cache-Tag",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-Range",
    "Content-Security-Policy",
    "Content-Type",
    "Cross-Origin-Embedder-Policy",
    "Cross-Origin-Opener-Policy",
    "Cross-Origin-Resource-Policy",
    "Date",
    "ETag",
    "Expires",
    "Last-Modified",
    "Link",
    "Location",
    "Origin-Agent-Cluster",
    "P3P",
    "Permissions-Policy",
    "Pragma",
    "Referrer-Policy",
    "Retry-After",
    "Server",
    "Server-Timing",
    "Set-Cookie",
    "Strict-Transport-Security",
    "Surrogate-Control",
    "Surrogate-Key",
    "Timing-Allow-Origin",
    "Vary",
    "Via",
    "WWW-Authenticate",
    "Warning",
    "X-Cache",
    "X-Content-Type-Options",
    "X-DNS-Prefetch-Control",
    "X-Download-Options",
    "X-Frame-Options",
    "X-Generator",
    "X-Permitted-Cross-Domain-Policies",
    "X-Powered-By",
    "X-Request-Id",
    "X-Robots-Tag",
    "X-Runtime",
    "X-UA-Compatible",
    "X-XSS-Protection",
    "xkey",
];

/// Values that responses often have. New ones go to the end.
const VALUES: &[&str] = &[
    "*",
    "0",
    "1; mode=block",
    "Accept",
    "Accept-Encoding",
    "Accept-Encoding, Cookie",
    "Accept-Language",
    "Cookie",
    "Cookie, Accept-Language",
    "DENY",
    "PHP",
    "SAMEORIGIN",
    "application/javascript",
    "application/json",
    "application/json; charset=utf-8",
    "br",
    "bytes",
    "en",
    "gunicorn",
    "gzip",
    "image/gif",
    "image/jpeg",
    "image/png",
    "image/svg+xml",
    "image/webp",
    "immutable",
    "max-age=0",
    "max-age=3600",
    "max-age=31536000",
    "max-age=60",
    "max-age=600",
    "max-age=86400",
    "nginx",
    "no-cache",
    "no-referrer-when-downgrade",
    "none",
    "nosniff",
    "noopen",
    "off",
    "origin",
    "public",
    "public, max-age=3600",
    "public, max-age=31536000",
    "public, max-age=31536000, immutable",
    "public, max-age=60",
    "public, max-age=86400",
    "same-origin",
    "strict-origin-when-cross-origin",
    "text/css",
    "text/css; charset=utf-8",
    "text/html",
    "text/html; charset=UTF-8",
    "text/html; charset=utf-8",
    "text/javascript",
    "text/plain",
    "text/plain; charset=utf-8",
    "text/xml; charset=utf-8",
    "zstd",
    "Apache",
    "Origin",
    "Vary",
    "Host",
];

const LOWER: u8 = 96;
const REASON_LONG: u8 = 255;
const NAME_BYTES: u8 = 255;
const VALUE_LONG: u8 = 240;
const VALUE_DATE: u8 = 241;
const VALUE_KNOWN: u8 = 242;

/// Packs a head.
#[must_use]
pub fn pack(head: &ResponseHead) -> Box<[u8]> {
    let mut out = Vec::with_capacity(16 + head.headers.wire_len());
    out.push(u8::from(head.version == Version::HTTP_10));
    out.extend_from_slice(&head.status.to_le_bytes());
    // The phrase that a policy's status of 1000 and more is sent with is that of its last three digits.
    let reason = if head.reason == standard_reason(head.status % 1000) { "" } else { &head.reason };
    pack_reason(reason.as_bytes(), &mut out);
    for (name, value) in head.headers.iter() {
        pack_name(name, &mut out);
        pack_value(value, &mut out);
    }
    out.into_boxed_slice()
}

fn pack_reason(reason: &[u8], out: &mut Vec<u8>) {
    match u8::try_from(reason.len()) {
        Ok(len) if len < REASON_LONG => {
            out.push(len);
            out.extend_from_slice(reason);
        }
        Ok(_) | Err(_) => {
            out.push(REASON_LONG);
            long(reason, out);
        }
    }
}

/// Four bytes of length and that many; a head never comes near their limit.
fn long(bytes: &[u8], out: &mut Vec<u8>) {
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&bytes[..len as usize]);
}

fn pack_name(name: &str, out: &mut Vec<u8>) {
    let known = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name)).and_then(|n| u8::try_from(n).ok());
    match known {
        Some(n) if NAMES[usize::from(n)] == name => out.push(n),
        Some(n) if !name.bytes().any(|b| b.is_ascii_uppercase()) => out.push(n + LOWER),
        Some(_) | None => {
            out.push(NAME_BYTES);
            let len = u16::try_from(name.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&name.as_bytes()[..usize::from(len)]);
        }
    }
}

fn pack_value(value: &[u8], out: &mut Vec<u8>) {
    if let Some(n) = VALUES.iter().position(|known| known.as_bytes() == value).and_then(|n| u8::try_from(n).ok()) {
        out.extend_from_slice(&[VALUE_KNOWN, n]);
    } else if let Some(secs) = canonical_date(value) {
        out.push(VALUE_DATE);
        out.extend_from_slice(&secs.to_le_bytes());
    } else if let Some(len) = u8::try_from(value.len()).ok().filter(|len| *len < VALUE_LONG) {
        out.push(len);
        out.extend_from_slice(value);
    } else {
        out.push(VALUE_LONG);
        long(value, out);
    }
}

/// Seconds since 1970, when writing them as a date gives these bytes again (RFC 9110 §5.6.7, IMF-fixdate).
fn canonical_date(value: &[u8]) -> Option<u32> {
    const LENGTH: usize = 29;
    if value.len() != LENGTH || !value.ends_with(b" GMT") {
        return None;
    }
    let secs = u32::try_from(date::parse(value)?.as_secs()).ok()?;
    (date::to_imf_fixdate(Time::from_secs(i64::from(secs))) == value).then_some(secs)
}

/// Unpacks a head into `out`, whose memory is reused.
pub fn unpack(block: &[u8], out: &mut ResponseHead) {
    out.clear();
    let mut block = Block(block);
    let Some([version, lo, hi]) = block.take::<3>() else { return };
    out.version = if version == 1 { Version::HTTP_10 } else { Version::HTTP_11 };
    out.status = u16::from_le_bytes([lo, hi]);
    if let Some(reason) = unpack_reason(&mut block).filter(|reason| !reason.is_empty()) {
        out.reason.push_str(&String::from_utf8_lossy(reason));
    }
    while unpack_field(&mut block, &mut out.headers).is_some() {}
}

fn unpack_reason<'a>(block: &mut Block<'a>) -> Option<&'a [u8]> {
    match block.byte()? {
        REASON_LONG => {
            let len = u32::from_le_bytes(block.take::<4>()?);
            block.bytes(len as usize)
        }
        len => block.bytes(usize::from(len)),
    }
}

fn unpack_field(block: &mut Block<'_>, headers: &mut Headers) -> Option<()> {
    let mut lower = [0u8; 64];
    let name = match block.byte()? {
        NAME_BYTES => {
            let len = u16::from_le_bytes(block.take::<2>()?);
            std::str::from_utf8(block.bytes(usize::from(len))?).ok()?
        }
        n if n < LOWER => NAMES.get(usize::from(n))?,
        n => {
            let name = NAMES.get(usize::from(n - LOWER))?;
            let lower = lower.get_mut(..name.len())?;
            lower.copy_from_slice(name.as_bytes());
            lower.make_ascii_lowercase();
            std::str::from_utf8(lower).ok()?
        }
    };
    let date;
    let value = match block.byte()? {
        VALUE_KNOWN => VALUES.get(usize::from(block.byte()?))?.as_bytes(),
        VALUE_DATE => {
            let secs = u32::from_le_bytes(block.take::<4>()?);
            date = date::to_imf_fixdate(Time::from_secs(i64::from(secs)));
            &date[..]
        }
        VALUE_LONG => {
            let len = u32::from_le_bytes(block.take::<4>()?);
            block.bytes(len as usize)?
        }
        len => block.bytes(usize::from(len))?,
    };
    // It was in a head before, so it is valid.
    headers.append_trusted(name, value).ok()
}

struct Block<'a>(&'a [u8]);

impl<'a> Block<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (first, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn back(head: &ResponseHead) -> (usize, ResponseHead) {
        let block = pack(head);
        let mut out = ResponseHead::default();
        unpack(&block, &mut out);
        (block.len(), out)
    }

    /// Equal to the byte, the case of names included.
    fn wire(head: &ResponseHead) -> Vec<u8> {
        let mut out = Vec::new();
        head.headers.write_wire(&mut out);
        out
    }

    #[test]
    fn the_tables_fit_the_format_and_have_no_entry_twice() {
        assert!(NAMES.len() <= usize::from(LOWER));
        assert!(VALUES.len() <= 256);
        assert!(NAMES.iter().all(|n| n.len() <= 64));
        for list in [NAMES, VALUES] {
            let set: std::collections::HashSet<_> = list.iter().collect();
            assert_eq!(set.len(), list.len());
        }
    }

    #[test]
    fn a_head_comes_back_to_the_byte() {
        let mut head = ResponseHead::new(
            299,
            [
                ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
                ("date", "sat, 21 nov 2026 10:00:00 GMT"),
                ("LAST-modified", "Sat, 21 Nov 2026 10:00:00 UTC"),
                ("Expires", "0"),
                ("Content-Type", "text/html; charset=utf-8"),
                ("content-type", "Text/HTML"),
                ("X-Own", ""),
                ("Set-Cookie", "a=1"),
                ("Set-Cookie", "b=2"),
            ],
        );
        head.headers.append("X-Long", vec![b'a'; 70_000]).expect("valid");
        head.headers.append(&"n".repeat(300), "v").expect("valid");
        head.reason = "Odd but fine".into();
        head.version = Version::HTTP_10;
        let (_, again) = back(&head);
        assert_eq!(again, head);
        assert_eq!(wire(&again), wire(&head));
    }

    #[test]
    fn a_reason_comes_back_however_long_it_is_and_whatever_the_status() {
        // Found by property test: beyond 255 bytes it was cut, and 1404 "Unknown" came back as "Not Found".
        for (status, reason) in [
            (200, "r".repeat(254)),
            (200, "r".repeat(255)),
            (200, "\u{e9}".repeat(200)),
            (1404, "Unknown".into()),
            (1404, "Not Found".into()),
        ] {
            let head = ResponseHead { status, reason, ..ResponseHead::default() };
            assert_eq!(back(&head).1.reason_phrase(), head.reason_phrase());
        }
    }

    #[test]
    fn a_block_that_nobody_packed_is_unpacked_without_panic() {
        // Found by the fuzz target `packed`: a name with a space, a value with a line end.
        let mut out = ResponseHead::default();
        for block in [&b"\0\xc8\0\0\xff\x02\0 x\x01\n"[..], b"\0\xc8\0\0\x06\x03a\r\n"] {
            unpack(block, &mut out);
        }
    }

    #[test]
    fn a_typical_head_shrinks_to_a_third() {
        let head = ResponseHead::new(
            200,
            [
                ("Server", "gunicorn"),
                ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
                ("Content-Type", "text/html; charset=utf-8"),
                ("Cache-Control", "max-age=3600"),
                ("ETag", "\"d41d8cd98f00b204e9800998ecf8427e\""),
                ("Last-Modified", "Fri, 20 Nov 2026 08:30:00 GMT"),
                ("Vary", "Accept-Encoding"),
                ("X-Frame-Options", "DENY"),
                ("X-Content-Type-Options", "nosniff"),
                ("Referrer-Policy", "same-origin"),
            ],
        );
        let (len, again) = back(&head);
        assert_eq!(wire(&again), wire(&head));
        assert!(len * 3 <= head.headers.wire_len(), "{len} of {}", head.headers.wire_len());
    }

    proptest! {
        #[test]
        fn any_head_comes_back(fields in proptest::collection::vec(("[!-9;-~]{1,20}", "[ -~]{0,300}"), 0..20), status in 100u16..2000) {
            let mut head = ResponseHead { status, ..ResponseHead::default() };
            for (name, value) in &fields {
                let _refused = head.headers.append(name, value);
            }
            let (_, again) = back(&head);
            prop_assert_eq!(wire(&again), wire(&head));
            prop_assert_eq!(again.status, status);
        }

        #[test]
        fn a_block_that_is_cut_off_gives_what_there_is(cut in 0usize..200) {
            let head = ResponseHead::new(200, [("Date", "Sat, 21 Nov 2026 10:00:00 GMT"), ("X-A", "b"), ("content-type", "text/html"), ("X-B", "long value")]);
            let block = pack(&head);
            let mut out = ResponseHead::default();
            unpack(&block[..cut.min(block.len())], &mut out);
            prop_assert!(out.headers.iter().zip(head.headers.iter()).all(|(a, b)| a == b));
        }
    }
}
