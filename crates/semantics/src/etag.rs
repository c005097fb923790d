//! RFC 9110 §8.8.3: entity tags, their lists, and strong and weak comparison.

use crate::headers::{Headers, trim_ows};

/// One entity tag as received. A malformed one is kept as its raw bytes, which match only the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Marked with `W/`?
    pub weak: bool,
    /// The opaque part, with its quotes.
    pub opaque: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// Reads one entity tag; `None` when there is nothing.
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        let v = trim_ows(value);
        match v {
            [] => None,
            [b'W', b'/', rest @ ..] if rest.starts_with(b"\"") => Some(EntityTag { weak: true, opaque: rest }),
            _ => Some(EntityTag { weak: false, opaque: v }),
        }
    }

    /// The entity tag of a response.
    #[must_use]
    pub fn of(headers: &'a Headers) -> Option<Self> {
        Self::parse(headers.get("etag")?)
    }

    /// "strong comparison: two entity tags are equivalent if both are not weak and their opaque-tags match" (§8.8.3.2).
    #[must_use]
    pub fn strong_eq(self, other: EntityTag<'_>) -> bool {
        !self.weak && !other.weak && self.is_well_formed() && self.opaque == other.opaque
    }

    /// "weak comparison: […] equivalent if their opaque-tags match, regardless of either or both being weak" (§8.8.3.2).
    #[must_use]
    pub fn weak_eq(self, other: EntityTag<'_>) -> bool {
        self.opaque == other.opaque
    }

    fn is_well_formed(self) -> bool {
        self.opaque.len() >= 2 && self.opaque.starts_with(b"\"") && self.opaque.ends_with(b"\"")
    }
}

/// The members of a list such as If-None-Match has. Commas inside quotes belong to the tag.
pub fn list(value: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = value;
    std::iter::from_fn(move || {
        loop {
            if rest.is_empty() {
                return None;
            }
            let mut quoted = false;
            let end = rest.iter().position(|&b| {
                quoted ^= b == b'"';
                b == b',' && !quoted
            });
            let (member, after) = match end {
                Some(at) => (&rest[..at], &rest[at + 1..]),
                None => (rest, &rest[rest.len()..]),
            };
            rest = after;
            if let Some(tag) = EntityTag::parse(member) {
                return Some(tag);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_and_weak_comparison_follow_the_table_of_the_rfc() {
        for (a, b, strong, weak) in [
            ("W/\"1\"", "W/\"1\"", false, true),
            ("W/\"1\"", "W/\"2\"", false, false),
            ("W/\"1\"", "\"1\"", false, true),
            ("\"1\"", "\"1\"", true, true),
            ("\"1\"", "1", false, false),
            ("w/\"1\"", "w/\"1\"", false, true),
            ("abc", "abc", false, true),
        ] {
            let (x, y) = (EntityTag::parse(a.as_bytes()), EntityTag::parse(b.as_bytes()));
            let (x, y) = (x.expect("a tag"), y.expect("a tag"));
            assert_eq!((x.strong_eq(y), x.weak_eq(y)), (strong, weak), "{a} {b}");
        }
    }

    #[test]
    fn a_comma_inside_quotes_does_not_end_a_tag() {
        let tags: Vec<_> = list(b"\"a,b\", W/\"c\",, x , \"d").collect();
        assert_eq!(tags.iter().map(|t| t.opaque).collect::<Vec<_>>(), [&b"\"a,b\""[..], b"\"c\"", b"x", b"\"d"]);
        assert!(tags[1].weak && !tags[0].weak);
    }
}
