//! RFC 9110 §4.2.3 and RFC 3986 §6.2: the host as part of the cache key, and references resolved to the same origin.

use crate::message::RequestHead;
use std::borrow::Cow;

/// The host in one form: lower case, without a default port (80, 443, or an empty one) and without the trailing dot.
/// Allocates only when letters change.
///
/// The scheme is not known where keys are made (TLS may end before Copal), so both default ports are dropped: the same
/// host on 80 and 443 is one site here, unless the policy adds the port to the key.
///
/// ```
/// use copal_semantics::key::normalise_host;
/// assert_eq!(&*normalise_host(b"WWW.Example.com.:80"), b"www.example.com");
/// assert_eq!(&*normalise_host(b"[::1]:8080"), b"[::1]:8080");
/// ```
#[must_use]
pub fn normalise_host(host: &[u8]) -> Cow<'_, [u8]> {
    let after_literal = memchr::memrchr(b']', host).map_or(0, |at| at + 1);
    let colon = memchr::memchr(b':', &host[after_literal..]).map(|at| at + after_literal);
    let (name, port) = match colon {
        Some(at) => (&host[..at], &host[at + 1..]),
        None => (host, &b""[..]),
    };
    let bare = match name {
        [rest @ .., b'.'] if !rest.is_empty() => rest,
        _ => name,
    };
    let default_port = matches!(port, b"" | b"80" | b"443");
    if !default_port && bare.len() != name.len() {
        let mut joined = bare.to_vec();
        joined.push(b':');
        joined.extend_from_slice(port);
        joined.make_ascii_lowercase();
        return Cow::Owned(joined);
    }
    let kept = if default_port { bare } else { host };
    if kept.iter().any(u8::is_ascii_uppercase) { Cow::Owned(kept.to_ascii_lowercase()) } else { Cow::Borrowed(kept) }
}

/// The path and query that `reference` (a Location, a Content-Location) names, when it is on the origin of `req`.
///
/// Relative references are resolved as RFC 3986 §5.3 tells; a fragment is cut off. `None`: another origin, another
/// scheme, or not a reference.
#[must_use]
pub fn same_origin_target(req: &RequestHead, reference: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(reference).ok()?;
    if !text.bytes().all(|b| b.is_ascii_graphic()) {
        return None;
    }
    let text = text.split('#').next().unwrap_or("");
    let without_scheme = match scheme(text) {
        Some(s) if s.eq_ignore_ascii_case("http") || s.eq_ignore_ascii_case("https") => {
            let rest = &text[s.len() + 1..];
            if !rest.starts_with("//") {
                return None;
            }
            rest
        }
        Some(_) => return None,
        None => text,
    };
    if let Some(rest) = without_scheme.strip_prefix("//") {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let host = req.headers.get("host")?;
        if authority.is_empty() || normalise_host(authority.as_bytes()) != normalise_host(host) {
            return None;
        }
        return Some(if path.starts_with('/') { remove_dots(path) } else { format!("/{path}") });
    }
    let base_path = req.url.split('?').next().unwrap_or("/");
    if without_scheme.is_empty() {
        Some(req.url.clone())
    } else if without_scheme.starts_with('/') {
        Some(remove_dots(without_scheme))
    } else if without_scheme.starts_with('?') {
        Some(format!("{base_path}{without_scheme}"))
    } else {
        let folder = &base_path[..base_path.rfind('/').map_or(0, |at| at + 1)];
        Some(remove_dots(&format!("{folder}{without_scheme}")))
    }
}

/// The scheme of an absolute reference (RFC 3986 §3.1).
fn scheme(text: &str) -> Option<&str> {
    let end = text.find([':', '/', '?'])?;
    let s = &text[..end];
    let well_formed = s.starts_with(|c: char| c.is_ascii_alphabetic())
        && s.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    (text.as_bytes()[end] == b':' && well_formed).then_some(s)
}

/// RFC 3986 §5.2.4 on the path; the query stays as it is.
fn remove_dots(url: &str) -> String {
    let (path, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    if !path.contains("/.") {
        return url.to_owned();
    }
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            other => kept.push(other),
        }
    }
    let mut out = String::with_capacity(url.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() || ((path.ends_with("/.") || path.ends_with("/..")) && !out.ends_with('/')) {
        out.push('/');
    }
    out.push_str(query);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_host_has_one_form() {
        for (host, form) in [
            ("a.example", "a.example"),
            ("A.Example:443", "a.example"),
            ("a.example.", "a.example"),
            ("a.example.:8080", "a.example:8080"),
            // Found by the fuzz target `key`: a policy can set a Host that the wire would refuse.
            ("A.:X", "a:x"),
            ("a.example:", "a.example"),
            ("[::1]", "[::1]"),
            ("[2001:DB8::1]:80", "[2001:db8::1]"),
            ("", ""),
            (".", "."),
        ] {
            assert_eq!(String::from_utf8_lossy(&normalise_host(host.as_bytes())), form, "{host}");
        }
    }

    #[test]
    fn references_resolve_against_the_request_and_stay_on_its_origin() {
        let req = RequestHead::get("/a/b?x=1", [("Host", "A.example:80")]);
        for (reference, target) in [
            ("", Some("/a/b?x=1")),
            ("#top", Some("/a/b?x=1")),
            ("c", Some("/a/c")),
            ("../d?e", Some("/d?e")),
            ("..", Some("/")),
            (".", Some("/a/")),
            ("?y", Some("/a/b?y")),
            ("/z", Some("/z")),
            ("/z/../y", Some("/y")),
            ("http://a.example/q", Some("/q")),
            ("https://A.example", Some("/")),
            ("//a.example?k", Some("/?k")),
            ("//evil.example/q", None),
            ("http://user@a.example/q", None),
            ("http://a.example:8080/q", None),
            ("mailto:x@a.example", None),
            ("http:/q", None),
            ("/a b", None),
        ] {
            assert_eq!(same_origin_target(&req, reference.as_bytes()).as_deref(), target, "{reference}");
        }
    }

    proptest! {
        #[test]
        fn any_reference_resolves_to_a_path_or_nothing(r in "[ -~]{0,40}", base in "/[a-z./?]{0,12}") {
            let req = RequestHead::get(&base, [("Host", "a")]);
            if let Some(t) = same_origin_target(&req, r.as_bytes()) {
                prop_assert!(t.starts_with('/'), "{}", t);
            }
        }
    }
}
