//! RFC 9875 §2 (Cache-Groups), and the fields that surrogates use for the same: what a stored response is tagged with.
//!
//! | field | its value |
//! |---|---|
//! | `Cache-Groups` | a list of strings (RFC 9651 §3.1); what is no string is left out |
//! | every other: `Surrogate-Key`, `xkey`, `Cache-Tag`, `Cache-Tags`, `X-Magento-Tags` … | keys between white space and commas |
//!
//! Keys are bytes and compare by case, as in RFC 9875 §2 and the modules for `xkey`.

use crate::headers::Headers;
use sfv::{BareItem, List, ListEntry, Parser};
use std::borrow::Cow;

/// The keys in these fields of a response, in order; one that stands twice comes twice.
///
/// ```
/// use copal_semantics::{ResponseHead, cache_tags};
/// let head = ResponseHead::new(200, [("xkey", "a b"), ("xkey", "c,d"), ("Cache-Groups", "\"e f\"")]);
/// let tags = cache_tags::of(&head.headers, &["xkey", "cache-groups"]);
/// assert_eq!(tags.iter().map(|t| &**t).collect::<Vec<_>>(), [&b"a"[..], b"b", b"c", b"d", b"e f"]);
/// ```
#[must_use]
pub fn of<'a, N: AsRef<str>>(headers: &'a Headers, fields: &[N]) -> Vec<Cow<'a, [u8]>> {
    let mut tags = Vec::new();
    for name in fields {
        let name = name.as_ref();
        if name.eq_ignore_ascii_case("cache-groups") {
            tags.extend(groups(headers, name).into_iter().map(Cow::Owned));
        } else {
            tags.extend(headers.get_all(name).flat_map(split).map(Cow::Borrowed));
        }
    }
    tags
}

/// The keys of one value: what stands between white space, commas and, as purgers write them, vertical bars.
pub fn split(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| matches!(b, b' ' | b'\t' | b',' | b'|')).filter(|key| !key.is_empty())
}

/// A group as a key that only responses of that origin carry: RFC 9875 §2.1, two responses are in one group when they share
/// its name and their origin. `host` is the Host field of the request, in lower case. No key of another field is like it.
///
/// ```
/// use copal_semantics::cache_tags::of_origin;
/// assert_ne!(of_origin("a.example", b"news"), of_origin("b.example", b"news"));
/// ```
#[must_use]
pub fn of_origin(host: &str, group: &[u8]) -> Vec<u8> {
    [b"\0", host.as_bytes(), b"\0", group].concat()
}

/// RFC 9875 §2 and §3: the groups in `Cache-Groups`, or those that `Cache-Group-Invalidation` names. A field that is no list
/// has none.
#[must_use]
pub fn groups(headers: &Headers, field: &str) -> Vec<Vec<u8>> {
    let list = headers.combined(field).and_then(|value| Parser::new(&*value).parse::<List>().ok());
    let text = |entry: ListEntry| match entry {
        ListEntry::Item(item) => match item.bare_item {
            BareItem::String(text) => Some(text.as_str().as_bytes().to_vec()),
            _ => None,
        },
        ListEntry::InnerList(_) => None,
    };
    list.unwrap_or_default().into_iter().filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResponseHead;

    fn tags(fields: &[(&str, &str)], names: &[&str]) -> Vec<String> {
        let head = ResponseHead::new(200, fields.iter().copied());
        of(&head.headers, names).iter().map(|t| String::from_utf8_lossy(t).into_owned()).collect()
    }

    #[test]
    fn keys_are_what_stands_between_white_space_and_commas() {
        assert_eq!(
            tags(&[("X-Magento-Tags", "cat_p_1,cat_c_2,FPC")], &["x-magento-tags"]),
            ["cat_p_1", "cat_c_2", "FPC"]
        );
        assert_eq!(tags(&[("Surrogate-Key", " a\t b ,, ")], &["surrogate-key"]), ["a", "b"]);
        assert_eq!(tags(&[("Surrogate-Key", "a")], &["xkey"]), [""; 0]);
        assert_eq!(split(b"node:1|node_list|").count(), 2);
    }

    #[test]
    fn groups_are_strings_of_a_structured_list() {
        let groups = |value| tags(&[("Cache-Groups", value)], &["Cache-Groups"]);
        assert_eq!(groups("\"a b\", \"c,d\";x=1"), ["a b", "c,d"]);
        assert_eq!(groups("\"a\", token, 3, (\"b\"), \"c\""), ["a", "c"]);
        assert_eq!(groups("\"a"), [""; 0]);
        assert_eq!(tags(&[("Cache-Groups", "\"a\""), ("Cache-Groups", "\"b\"")], &["cache-groups"]), ["a", "b"]);
    }
}
