//! RFC 9111 §4.3: asking the origin whether a stored response still holds, and taking over what it answers.

use crate::etag::EntityTag;
use crate::headers::Headers;
use crate::hop_by_hop;
use crate::message::ResponseHead;
use crate::reason::Reason;

/// Preconditions that a client sent for its own copy, which must not reach the origin in a request about ours.
const PRECONDITIONS: [&str; 5] = ["if-none-match", "if-modified-since", "if-match", "if-unmodified-since", "if-range"];

/// Can the response be revalidated: does it have an ETag or a Last-Modified?
#[must_use]
pub fn has_validator(resp: &ResponseHead) -> bool {
    ["etag", "last-modified"].iter().any(|n| resp.headers.get(n).is_some_and(|v| !v.is_empty()))
}

/// Makes `out` a conditional request about the stored response (§4.3.1): If-None-Match and If-Modified-Since with its
/// validators byte by byte, in place of the client's own preconditions. `false`, with `out` unchanged, without a validator.
pub fn conditional_headers(stored: &ResponseHead, out: &mut Headers) -> bool {
    if !has_validator(stored) {
        return false;
    }
    for name in PRECONDITIONS {
        out.remove(name);
    }
    for (from, to) in [("etag", "If-None-Match"), ("last-modified", "If-Modified-Since")] {
        if let Some(v) = stored.headers.get(from).filter(|v| !v.is_empty()) {
            // A stored value is a valid field value, so this cannot fail.
            let _infallible = out.append(to, v);
        }
    }
    true
}

/// Does a 304 speak about the stored response?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshening {
    /// Yes: update it.
    Update(Reason),
    /// No: its validator is another one's. Fetch without preconditions.
    Mismatch(Reason),
}

/// §4.3.4: a strong validator in the 304 must be that of the stored response; a weak one or a Last-Modified too when the
/// response has one to compare with; without any validator the one response asked about is meant.
#[must_use]
pub fn freshens(stored: &ResponseHead, fresh: &ResponseHead) -> Freshening {
    let same = match (EntityTag::of(&stored.headers), EntityTag::of(&fresh.headers)) {
        (Some(old), Some(new)) if !old.weak && !new.weak => old.opaque == new.opaque,
        (Some(old), Some(new)) => old.weak_eq(new),
        (None, Some(_)) => false,
        (_, None) => match (stored.headers.get("last-modified"), fresh.headers.get("last-modified")) {
            (Some(old), Some(new)) => old == new,
            (_, None) | (None, Some(_)) => true,
        },
    };
    if same { Freshening::Update(Reason::Revalidated) } else { Freshening::Mismatch(Reason::ValidatorMismatch) }
}

/// The stored head, updated with a 304 (§3.2, §4.3.4): every field of the 304 replaces the stored ones of that name, but for
///
/// * fields that are never stored (§3.1), and those that the 304's Connection names;
/// * Content-Length, and Content-Encoding and Content-Range, on which the stored body depends;
/// * Set-Cookie, unless the stored response has one: a cookie for who caused the revalidation is for nobody else.
///
/// A stored Age, or a stored Date that the 304 does not replace, is dropped: time counts from the 304 on.
#[must_use]
pub fn merge_304(stored: &ResponseHead, fresh: &ResponseHead) -> ResponseHead {
    let mut update = fresh.headers.clone();
    hop_by_hop::strip_response(&mut update);
    let mut merged = merge(stored, &update);
    for name in ["age", "date"] {
        if !update.contains(name) {
            merged.headers.remove(name);
        }
    }
    merged
}

fn merge(stored: &ResponseHead, update: &Headers) -> ResponseHead {
    let mut merged = stored.clone();
    let taken = |name: &str| {
        let is_one_of = |list: &[&str]| list.iter().any(|n| n.eq_ignore_ascii_case(name));
        if is_one_of(&["set-cookie", "set-cookie2"]) {
            return stored.headers.contains(name);
        }
        !is_one_of(&["content-length", "content-encoding", "content-range"])
    };
    merged.headers.retain(|name, _| !(update.contains(name) && taken(name)));
    for (name, value) in update.iter().filter(|(n, _)| taken(n)) {
        // Both came out of a list of valid fields; only 4 GiB of them could fail.
        let _infallible = merged.headers.append(name, value);
    }
    merged
}

/// What a response to HEAD does to a stored response to GET (§4.3.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadUpdate {
    /// It describes the stored response: this is the updated head.
    Update(Box<ResponseHead>, Reason),
    /// It describes another representation: "SHOULD consider the stored response to be stale".
    Invalidate(Reason),
    /// It says nothing about it: it is not a 200, or forbids storing what it says.
    Ignore(Reason),
}

/// §4.3.5: a 200 to HEAD updates a stored 200 when its Content-Length and validators, where given, are the stored ones.
#[must_use]
pub fn head_update(stored: &ResponseHead, head: &ResponseHead) -> HeadUpdate {
    if head.status != 200 || stored.status != 200 {
        return HeadUpdate::Ignore(Reason::Head);
    }
    let cc = crate::cache_control::ResponseDirectives::parse(&head.headers);
    if cc.no_store || cc.private {
        return HeadUpdate::Ignore(if cc.no_store { Reason::NoStore } else { Reason::Private });
    }
    let agrees = |name: &str| match (stored.headers.get(name), head.headers.get(name)) {
        (Some(old), Some(new)) => old == new,
        // A stored chunked body has no Content-Length to compare; a validator that appears is a new one.
        (None, Some(_)) => name == "content-length",
        (_, None) => true,
    };
    if ["content-length", "etag", "last-modified"].iter().all(|n| agrees(n)) {
        HeadUpdate::Update(Box::new(merge_304(stored, head)), Reason::HeadUpdated)
    } else {
        HeadUpdate::Invalidate(Reason::HeadMismatch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(status: u16, headers: &[(&str, &str)]) -> ResponseHead {
        ResponseHead::new(status, headers.iter().copied())
    }

    #[test]
    fn the_stored_validators_replace_the_clients_preconditions() {
        let mut out: Headers = [("If-None-Match", "\"x\""), ("If-Range", "\"y\""), ("A", "1")].into_iter().collect();
        let before = out.clone();
        assert!(!conditional_headers(&head(200, &[("ETag", "")]), &mut out));
        assert_eq!(out, before);
        assert!(conditional_headers(&head(200, &[("ETag", "W/\"a\""), ("Last-Modified", "then")]), &mut out));
        let expected = [("A", "1"), ("If-None-Match", "W/\"a\""), ("If-Modified-Since", "then")];
        assert_eq!(out, expected.into_iter().collect());
    }

    #[test]
    fn a_304_with_another_validator_is_about_something_else() {
        let update = Freshening::Update(Reason::Revalidated);
        let mismatch = Freshening::Mismatch(Reason::ValidatorMismatch);
        let (a, b, wa) = (("ETag", "\"a\""), ("ETag", "\"b\""), ("ETag", "W/\"a\""));
        let (l, m) = (("Last-Modified", "l"), ("Last-Modified", "m"));
        for (stored, fresh, expected) in [
            (&[a][..], &[][..], update),
            (&[a], &[a], update),
            (&[a], &[wa], update),
            (&[a], &[b], mismatch),
            (&[l], &[a], mismatch),
            (&[l], &[l], update),
            (&[l], &[m], mismatch),
            (&[a, l], &[a, m], update),
        ] {
            assert_eq!(freshens(&head(200, stored), &head(304, fresh)), expected, "{stored:?} {fresh:?}");
        }
    }

    #[test]
    fn a_304_replaces_all_fields_but_those_the_stored_body_depends_on() {
        let stored = head(
            200,
            &[
                ("A", "1"),
                ("A", "2"),
                ("Keep", "k"),
                ("Content-Length", "36"),
                ("Content-Encoding", "gzip"),
                ("Age", "9"),
                ("Date", "d1"),
                ("Vary", "x"),
            ],
        );
        let fresh = head(
            304,
            &[
                ("a", "3"),
                ("Content-Foo", "f"),
                ("Content-Length", "10"),
                ("Content-Encoding", "br"),
                ("Content-Type", "t"),
                ("Connection", "hop"),
                ("Hop", "1"),
                ("Transfer-Encoding", "chunked"),
                ("Set-Cookie", "s=1"),
                ("Vary", "y"),
            ],
        );
        let merged = merge_304(&stored, &fresh);
        assert_eq!(merged.status, 200);
        let expected = [
            ("Keep", "k"),
            ("Content-Length", "36"),
            ("Content-Encoding", "gzip"),
            ("a", "3"),
            ("Content-Foo", "f"),
            ("Content-Type", "t"),
            ("Vary", "y"),
        ];
        assert_eq!(merged.headers, expected.into_iter().collect());
    }

    #[test]
    fn a_cookie_in_a_304_replaces_only_a_stored_cookie() {
        let merged = merge_304(
            &head(200, &[("Set-Cookie", "a=1"), ("Set-Cookie", "b=1")]),
            &head(304, &[("Set-Cookie", "a=2")]),
        );
        assert_eq!(merged.headers.get_all("set-cookie").collect::<Vec<_>>(), [b"a=2"]);
    }

    #[test]
    fn a_head_response_updates_what_it_describes_and_invalidates_what_it_contradicts() {
        let stored = head(200, &[("ETag", "\"a\""), ("Content-Length", "5"), ("A", "1")]);
        let updated = head_update(&stored, &head(200, &[("Content-Length", "5"), ("A", "2")]));
        let HeadUpdate::Update(merged, Reason::HeadUpdated) = updated else { panic!("{updated:?}") };
        assert_eq!(merged.headers.get("a"), Some(&b"2"[..]));
        for (headers, expected) in [
            (&[("Content-Length", "6")][..], HeadUpdate::Invalidate(Reason::HeadMismatch)),
            (&[("ETag", "\"b\"")], HeadUpdate::Invalidate(Reason::HeadMismatch)),
            (&[("Last-Modified", "new")], HeadUpdate::Invalidate(Reason::HeadMismatch)),
            (&[("Cache-Control", "no-store")], HeadUpdate::Ignore(Reason::NoStore)),
        ] {
            assert_eq!(head_update(&stored, &head(200, headers)), expected, "{headers:?}");
        }
        assert_eq!(head_update(&stored, &head(410, &[])), HeadUpdate::Ignore(Reason::Head));
    }
}
