//! RFC 9110 §12.5: a request's preferences reduced to what the origin can answer in.
//!
//! Browsers write Accept-Encoding and Accept-Language in many ways that come to the same answer. Where the owner says which
//! codings and languages there are, each is reduced to the one that the answer will have, before the policy and the cache see
//! it and on the way to the origin alike; then a URL has at most one variant for each. A client never gets what it refuses.

use crate::headers::Headers;
use crate::vary::{folded, weigh};

/// What the origin can answer in. Empty lists leave the fields alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offered {
    /// Content codings in lower case, the best first.
    pub encodings: Vec<String>,
    /// Language tags, the default first.
    pub languages: Vec<String>,
}

impl Offered {
    /// Is there anything to do?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.encodings.is_empty() && self.languages.is_empty()
    }

    /// Reduces Accept-Encoding to the best coding, or to `identity`, and Accept-Language to the best language; without one
    /// that suits, the latter goes, and the origin uses its default.
    ///
    /// ```
    /// use copal_semantics::{Headers, negotiation::Offered};
    /// let offered = Offered { encodings: vec!["br".into(), "gzip".into()], languages: vec!["en".into(), "de".into()] };
    /// let sent = [("Accept-Encoding", "gzip, deflate, br"), ("Accept-Language", "de-AT, de;q=0.9, en;q=0.8")];
    /// let mut request: Headers = sent.into_iter().collect();
    /// offered.reduce(&mut request);
    /// assert_eq!(request.get("accept-encoding"), Some(&b"br"[..]));
    /// assert_eq!(request.get("accept-language"), Some(&b"de"[..]));
    /// ```
    pub fn reduce(&self, request: &mut Headers) {
        if !self.encodings.is_empty() {
            // RFC 9110 §12.5.3: without the field any coding would do; those who send none seldom mean that.
            let best = match request.contains("accept-encoding") {
                true => best_encoding(request, &self.encodings),
                false => None,
            };
            put(request, "Accept-Encoding", Some(best.unwrap_or("identity")));
        }
        if !self.languages.is_empty() && request.contains("accept-language") {
            let best = best_language(request, &self.languages);
            put(request, "Accept-Language", best);
        }
    }
}

fn put(request: &mut Headers, name: &str, value: Option<&str>) {
    match value {
        // One line that says it already needs no rewriting.
        Some(value) if request.get_all(name).eq([value.as_bytes()]) => {}
        Some(value) => {
            // The configuration has checked that these are tokens.
            let _valid = request.set(name, value);
        }
        None => {
            request.remove(name);
        }
    }
}

/// The best of `known` (best first) that the request accepts (§12.5.3): by its weight, then by our order. `None`: only the
/// identity coding is acceptable.
///
/// ```
/// use copal_semantics::{Headers, negotiation::best_encoding};
/// let h: Headers = [("Accept-Encoding", "gzip, deflate, br;q=0.5")].into_iter().collect();
/// assert_eq!(best_encoding(&h, &["br", "gzip"]), Some("gzip"));
/// ```
#[must_use]
pub fn best_encoding<'k, K: AsRef<str>>(request: &Headers, known: &'k [K]) -> Option<&'k str> {
    let weight_of = |coding: &str| {
        let mut any = None;
        for (what, weight) in request.list("accept-encoding").filter_map(weigh) {
            if folded(what).eq(coding.bytes()) {
                return weight;
            }
            if what == b"*" {
                any = Some(weight);
            }
        }
        any.unwrap_or(0)
    };
    let mut best = None;
    for coding in known.iter().map(AsRef::as_ref) {
        let weight = weight_of(coding);
        if weight > 0 && best.is_none_or(|(_, w)| weight > w) {
            best = Some((coding, weight));
        }
    }
    best.map(|(coding, _)| coding)
}

/// The language of `known` (the default first) that suits the request best (§12.5.4): for its ranges from the greatest weight
/// down, and among equals in the order sent, the first that RFC 4647 finds: by lookup (§3.4: `de-AT` finds `de`), else by basic
/// filtering (§3.3.1: `pt` finds `pt-BR`). `*` finds the default. What the request gives a weight of 0 is never found by
/// another range. `None`: none suits.
///
/// ```
/// use copal_semantics::{Headers, negotiation::best_language};
/// let h: Headers = [("Accept-Language", "fr;q=0.9, de-AT")].into_iter().collect();
/// assert_eq!(best_language(&h, &["en", "de"]), Some("de"));
/// ```
#[must_use]
pub fn best_language<'k, K: AsRef<str>>(request: &Headers, known: &'k [K]) -> Option<&'k str> {
    let ranges = || request.list("accept-language").filter_map(weigh);
    let refused = |tag: &str| ranges().any(|(range, weight)| weight == 0 && range.eq_ignore_ascii_case(tag.as_bytes()));
    let mut best: Option<(&str, u16)> = None;
    for (range, weight) in ranges() {
        if weight == 0 || best.is_some_and(|(_, w)| weight <= w) {
            continue;
        }
        let tags = || known.iter().map(AsRef::as_ref).filter(|tag| !refused(tag));
        let found = if range == b"*" {
            tags().next()
        } else {
            truncations(range)
                .find_map(|cut| tags().find(|tag| tag.as_bytes().eq_ignore_ascii_case(cut)))
                .or_else(|| tags().find(|tag| starts_with_range(tag.as_bytes(), range)))
        };
        if let Some(tag) = found {
            best = Some((tag, weight));
        }
    }
    best.map(|(tag, _)| tag)
}

/// RFC 4647 §3.4: the range, and what is left as subtags go from its end; a single letter or digit goes with its successor.
fn truncations(range: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(range), |range| {
        let cut = &range[..memchr::memrchr(b'-', range)?];
        Some(match cut {
            [rest @ .., b'-', _] => rest,
            _ => cut,
        })
    })
}

fn starts_with_range(tag: &[u8], range: &[u8]) -> bool {
    tag.len() > range.len() && tag[range.len()] == b'-' && tag[..range.len()].eq_ignore_ascii_case(range)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn req(name: &str, value: &str) -> Headers {
        [(name, value)].into_iter().collect()
    }

    #[test]
    fn the_best_known_coding_is_chosen_by_weight_then_by_our_order() {
        for (accept, best) in [
            ("gzip, deflate, br", Some("br")),
            ("br;q=0.1, gzip;q=0.2", Some("gzip")),
            ("br;q=0, *", Some("gzip")),
            ("*;q=0", None),
            ("identity", None),
            ("x-gzip", Some("gzip")),
            ("", None),
        ] {
            assert_eq!(best_encoding(&req("Accept-Encoding", accept), &["br", "gzip"]), best, "{accept}");
        }
    }

    #[test]
    fn the_best_known_language_is_chosen_by_weight_then_by_the_clients_order() {
        for (accept, best) in [
            ("de, en", Some("de")),
            ("en;q=0.8, de;q=0.9", Some("de")),
            ("DE-at", Some("de")),
            ("zh-Hant-x-a", Some("zh-Hant")),
            ("pt", Some("pt-BR")),
            ("fr, *;q=0.1", Some("en")),
            ("fr, *;q=0.1, en;q=0", Some("de")),
            ("de-AT, de;q=0", None),
            ("fr", None),
            ("de;q=x, en", Some("en")),
            ("", None),
        ] {
            let known = ["en", "de", "pt-BR", "zh-Hant"];
            assert_eq!(best_language(&req("Accept-Language", accept), &known), best, "{accept}");
        }
    }

    #[test]
    fn a_request_without_the_fields_asks_for_no_coding_and_no_language() {
        let offered = Offered { encodings: vec!["gzip".into()], languages: vec!["en".into()] };
        let mut request = Headers::new();
        offered.reduce(&mut request);
        assert_eq!((request.get("accept-encoding"), request.get("accept-language")), (Some(&b"identity"[..]), None));
        let mut request = req("Accept-Language", "fr");
        Offered::default().reduce(&mut request);
        assert_eq!(request, req("Accept-Language", "fr"));
        offered.reduce(&mut request);
        assert!(!request.contains("accept-language"));
    }

    proptest! {
        #[test]
        fn what_is_reduced_stays_as_it_is_and_was_not_refused(accept in "[a-z*,;=q0-9. -]{0,40}") {
            let offered = Offered {
                encodings: vec!["br".into(), "gzip".into()],
                languages: vec!["en".into(), "de".into()],
            };
            let sent: Headers = [("Accept-Encoding", &*accept), ("Accept-Language", &*accept)].into_iter().collect();
            let mut once = sent.clone();
            offered.reduce(&mut once);
            let mut twice = once.clone();
            offered.reduce(&mut twice);
            prop_assert_eq!(&once, &twice);
            for name in ["accept-encoding", "accept-language"] {
                if let Some(tag) = once.get(name) {
                    let refused = sent.list(name).filter_map(weigh).any(|(what, weight)| weight == 0 && what == tag);
                    let allowed = sent.list(name).filter_map(weigh).any(|(what, weight)| weight > 0 && what == tag);
                    prop_assert!(!refused || allowed, "{:?} of {:?}", String::from_utf8_lossy(tag), accept);
                }
            }
        }
    }
}
