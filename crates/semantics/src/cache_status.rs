//! RFC 9211: the Cache-Status field, which tells how a cache handled a request.

/// Why a request was forwarded (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fwd {
    /// The cache was configured not to handle it.
    Bypass,
    /// Its method must be forwarded.
    Method,
    /// Nothing is stored for its URL.
    UriMiss,
    /// Nothing stored for its URL matches its header fields.
    VaryMiss,
    /// Nothing usable is stored.
    Miss,
    /// A fresh response is stored, but the request's own directives forbid it.
    Request,
    /// What is stored is stale.
    Stale,
    /// Only a part of what is asked for is stored.
    Partial,
}

impl Fwd {
    /// The token on the wire.
    #[must_use]
    pub const fn token(self) -> &'static str {
        match self {
            Fwd::Bypass => "bypass",
            Fwd::Method => "method",
            Fwd::UriMiss => "uri-miss",
            Fwd::VaryMiss => "vary-miss",
            Fwd::Miss => "miss",
            Fwd::Request => "request",
            Fwd::Stale => "stale",
            Fwd::Partial => "partial",
        }
    }
}

/// One member of the field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Answered from the cache without forwarding; then `fwd` is not told.
    pub hit: bool,
    /// Why it was forwarded.
    pub fwd: Option<Fwd>,
    /// The status of the next hop's response, when it is another than the one sent.
    pub fwd_status: Option<u16>,
    /// Lifetime left in seconds; negative when stale.
    pub ttl: Option<i64>,
    /// The response was stored.
    pub stored: bool,
    /// The request waited for one that was under way.
    pub collapsed: bool,
    /// The cache key, where the owner wants it shown; not sent unless it is printable ASCII.
    pub key: Option<String>,
    /// [`crate::Reason::code`] or another token.
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// Appends this member to `out`, without a comma before it. Allocates nothing but room in `out`.
    ///
    /// ```
    /// use copal_semantics::cache_status::CacheStatus;
    /// let mut out = Vec::new();
    /// CacheStatus { hit: true, ttl: Some(117), ..CacheStatus::default() }.write("copal", &mut out);
    /// assert_eq!(out, b"copal; hit; ttl=117");
    /// ```
    pub fn write(&self, name: &str, out: &mut Vec<u8>) {
        let mut digits = itoa::Buffer::new();
        write_token_or_string(name, out);
        if self.hit {
            out.extend_from_slice(b"; hit");
        } else if let Some(fwd) = self.fwd {
            out.extend_from_slice(b"; fwd=");
            out.extend_from_slice(fwd.token().as_bytes());
        }
        if let Some(status) = self.fwd_status {
            out.extend_from_slice(b"; fwd-status=");
            out.extend_from_slice(digits.format(status).as_bytes());
        }
        if let Some(ttl) = self.ttl {
            // Integers of structured fields have 15 digits (RFC 9651 §3.3.1).
            let ttl = ttl.clamp(-999_999_999_999_999, 999_999_999_999_999);
            out.extend_from_slice(b"; ttl=");
            out.extend_from_slice(digits.format(ttl).as_bytes());
        }
        if self.stored {
            out.extend_from_slice(b"; stored");
        }
        if self.collapsed {
            out.extend_from_slice(b"; collapsed");
        }
        if let Some(key) = self.key.as_deref().filter(|k| k.bytes().all(|b| (0x20..0x7f).contains(&b))) {
            out.extend_from_slice(b"; key=");
            write_string(key, out);
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            write_token_or_string(detail, out);
        }
    }
}

/// A token where RFC 9651 §3.3.4 allows it, else a string without what a string cannot hold.
pub(crate) fn write_token_or_string(text: &str, out: &mut Vec<u8>) {
    let starts = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'*');
    let all = text.bytes().all(|b| crate::headers::is_token_byte(b) || matches!(b, b':' | b'/'));
    if starts && all {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_string(text, out);
    }
}

/// A string (RFC 9651 §3.3.3); what it cannot hold is left out.
pub(crate) fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for b in text.bytes().filter(|b| (0x20..0x7f).contains(b)) {
        if matches!(b, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(b);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{REASONS, Reason};
    use proptest::prelude::*;
    use sfv::{List, Parser};

    fn text(s: &CacheStatus, name: &str) -> String {
        let mut out = Vec::new();
        s.write(name, &mut out);
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn members_are_written_as_the_interface_promises() {
        let d = CacheStatus::default;
        let detail = Some(Reason::MaxAge.code());
        for (status, expected) in [
            (CacheStatus { hit: true, ttl: Some(-3), ..d() }, "copal; hit; ttl=-3"),
            (CacheStatus { hit: true, fwd: Some(Fwd::Miss), ..d() }, "copal; hit"),
            (
                CacheStatus { fwd: Some(Fwd::Miss), stored: true, detail, ..d() },
                "copal; fwd=miss; stored; detail=max-age",
            ),
            (
                CacheStatus { fwd: Some(Fwd::Stale), fwd_status: Some(304), collapsed: true, ..d() },
                "copal; fwd=stale; fwd-status=304; collapsed",
            ),
            (CacheStatus { key: Some("a\"b\\".into()), ..d() }, "copal; key=\"a\\\"b\\\\\""),
            (CacheStatus { key: Some("ä".into()), ..d() }, "copal"),
            (CacheStatus { detail: Some("two words"), ..d() }, "copal; detail=\"two words\""),
        ] {
            assert_eq!(text(&status, "copal"), expected);
        }
        assert_eq!(text(&d(), "1 x"), "\"1 x\"");
    }

    #[test]
    fn every_reason_is_a_valid_detail() {
        for r in REASONS {
            let s = CacheStatus { fwd: Some(Fwd::Bypass), detail: Some(r.code), ..CacheStatus::default() };
            assert!(Parser::new(&text(&s, "copal")).parse::<List>().is_ok(), "{}", r.code);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_a_structured_field(name in ".{0,12}", key in ".{0,20}", ttl in any::<i64>()) {
            let s = CacheStatus { key: Some(key), ttl: Some(ttl), ..CacheStatus::default() };
            prop_assert!(Parser::new(&text(&s, &name)).parse::<List>().is_ok());
        }
    }
}
