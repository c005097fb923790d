//! Keys that a later version will have. Writing one is an error that says so, never ignored.

/// Key patterns, written as in the table of keys, and what to do until then.
pub(crate) const LATER: &[(&str, &str)] =
    &[("listen[].tls", "let a TLS proxy in front of Copal do it; with `proxy_protocol` it tells whom it stands for")];

/// What to do instead, when `pattern` is a key of a later version.
pub(crate) fn instead(pattern: &str) -> Option<&'static str> {
    LATER.iter().find(|(key, _)| *key == pattern).map(|(_, instead)| *instead)
}
