//! RFC 9211: the Cache-Status field, which tells how a cache handled a request.

use crate::structured::{parameter, token_or_string};
use sfv::{StringRef, key_ref, token_ref};

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
    /// let mut out = String::new();
    /// CacheStatus { hit: true, ttl: Some(117), ..CacheStatus::default() }.write("copal", &mut out);
    /// assert_eq!(out, "copal; hit; ttl=117");
    /// ```
    pub fn write(&self, name: &str, out: &mut String) {
        token_or_string(name, out);
        if self.hit {
            parameter(key_ref("hit"), true, out);
        } else if let Some(fwd) = self.fwd {
            parameter(key_ref("fwd"), token_ref(fwd.token()), out);
        }
        if let Some(status) = self.fwd_status {
            parameter(key_ref("fwd-status"), i64::from(status), out);
        }
        if let Some(ttl) = self.ttl {
            parameter(key_ref("ttl"), ttl, out);
        }
        if self.stored {
            parameter(key_ref("stored"), true, out);
        }
        if self.collapsed {
            parameter(key_ref("collapsed"), true, out);
        }
        if let Some(key) = self.key.as_deref().and_then(|key| StringRef::from_str(key).ok()) {
            parameter(key_ref("key"), key, out);
        }
        if let Some(detail) = self.detail {
            out.push_str("; detail=");
            token_or_string(detail, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::{REASONS, Reason};
    use proptest::prelude::*;
    use sfv::{List, Parser};

    fn text(s: &CacheStatus, name: &str) -> String {
        let mut out = String::new();
        s.write(name, &mut out);
        out
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
