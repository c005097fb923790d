//! `std::` on text from outside: patterns of names, numbers and dates with a fallback, negotiation, stable buckets.

use crate::current::Res;
use crate::fault::HostError;
use crate::library::ModuleFunction;
use crate::library::query::checked;
use crate::library::time::parse_time;
use copal_semantics::Time;
use rhai::{Array, ImmutableString, Module};

/// Does the shell pattern match the text? `*` stands for anything, `?` for one character, `[a-z]` and `[!a-z]` for one
/// of a set, `\` takes the next character as it is. With `pathname`, which is VCL's default, none of them but a `/` itself
/// stands for a `/`.
pub(crate) fn fnmatch(pattern: &str, text: &str, pathname: bool) -> bool {
    let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // The usual two-pointer walk: after a mismatch the last star takes one more. Quadratic at worst, and both are short.
    let (mut pi, mut ti, mut star) = (0, 0, None);
    while ti < t.len() {
        let slash = pathname && t[ti] == '/';
        if p.get(pi) == Some(&'*') {
            star = Some((pi, ti));
            pi += 1;
        } else if let Some(next) = one(&p, pi, t[ti]).filter(|_| !slash || matches!(p[pi], '/' | '\\')) {
            pi = next;
            ti += 1;
        } else if let Some((sp, st)) = star.filter(|(_, st)| !pathname || t[*st] != '/') {
            star = Some((sp, st + 1));
            pi = sp + 1;
            ti = st + 1;
        } else {
            return false;
        }
    }
    p[pi..].iter().all(|c| *c == '*')
}

/// Where the pattern goes on after matching one character; none when it does not match.
fn one(p: &[char], at: usize, c: char) -> Option<usize> {
    match *p.get(at)? {
        '?' => Some(at + 1),
        '\\' => p.get(at + 1).filter(|e| **e == c).map(|_| at + 2),
        '[' => {
            let negated = matches!(p.get(at + 1), Some('!' | '^'));
            let start = at + 1 + usize::from(negated);
            // A `]` that comes first is a member.
            let Some(len) = p.get(start + 1..).and_then(|rest| rest.iter().position(|e| *e == ']')) else {
                return (c == '[').then_some(at + 1);
            };
            let set = &p[start..=start + len];
            let mut found = false;
            let mut i = 0;
            while i < set.len() {
                if i + 2 < set.len() && set[i + 1] == '-' {
                    found |= (set[i]..=set[i + 2]).contains(&c);
                    i += 3;
                } else {
                    found |= set[i] == c;
                    i += 1;
                }
            }
            (found != negated).then_some(start + len + 2)
        }
        literal => (literal == c).then_some(at + 1),
    }
}

/// The one of `offered` that an Accept, Accept-Language or Accept-Encoding field likes best (RFC 9110 §12.5); the first
/// one when it likes none. A language range also stands for its sub-tags, and a longer one for its parents (RFC 4647 §3).
pub(crate) fn accept<'a>(field: &str, offered: &[&'a str]) -> Option<&'a str> {
    let mut best = (0_u32, *offered.first()?);
    for offer in offered {
        // The most specific range decides about an offer.
        let mut found: Option<(usize, u32)> = None;
        for entry in field.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let range = parts.next().unwrap_or("");
            let Some(closeness) = closeness(range, offer) else { continue };
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q=")));
            let quality = q.map_or(1_000, thousandths);
            if found.is_none_or(|(c, _)| closeness > c) {
                found = Some((closeness, quality));
            }
        }
        let quality = found.map_or(0, |(_, q)| q);
        if quality > best.0 {
            best = (quality, offer);
        }
    }
    Some(best.1)
}

/// How well a range of the field fits an offer; none when it does not.
fn closeness(range: &str, offer: &str) -> Option<usize> {
    if range.eq_ignore_ascii_case(offer) {
        return Some(1_000);
    }
    if range == "*" || range == "*/*" {
        return Some(1);
    }
    let starts = |long: &str, short: &str| {
        long.len() > short.len()
            && long.as_bytes()[short.len()] == b'-'
            && long.is_char_boundary(short.len())
            && long[..short.len()].eq_ignore_ascii_case(short)
    };
    if let Some(kind) = range.strip_suffix("/*") {
        return offer.split('/').next().is_some_and(|k| k.eq_ignore_ascii_case(kind)).then_some(2);
    }
    // "de" likes "de-CH"; "de-CH" would take "de", if there is nothing nearer.
    if starts(offer, range) {
        return Some(500 + range.len());
    }
    starts(range, offer).then_some(10 + offer.len())
}

/// RFC 9110 §12.4.2: at most three digits after the point; what is not a number counts nothing.
fn thousandths(q: &str) -> u32 {
    let value: f64 = q.trim().parse().unwrap_or(0.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1000 after the clamp")]
    {
        (value.clamp(0.0, 1.0) * 1_000.0).round() as u32
    }
}

/// A number from 0 to `buckets` - 1 that is the same for the same key on every machine and in every version: FNV-1a of
/// 64 bits, then the finish of SplitMix64, as FNV alone leaves the upper bits of short keys alike.
pub(crate) fn bucket(key: &str, buckets: u32) -> u32 {
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let z = (hash ^ (hash >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    u32::try_from((u128::from(z ^ (z >> 31)) * u128::from(buckets)) >> 64).unwrap_or(0)
}

/// Adds to `std::`.
pub(crate) fn add(m: &mut Module) {
    ModuleFunction::new("fnmatch").set_into_module(m, |p: &str, t: &str| fnmatch(p, t, true));
    ModuleFunction::new("fnmatch").set_into_module(m, fnmatch);
    ModuleFunction::new("fnmatch").set_into_module(m, |_: &str, (): ()| false);
    ModuleFunction::new("fnmatch").set_into_module(m, |_: &str, (): (), _: bool| false);
    ModuleFunction::new("integer")
        .set_into_module(m, |t: &str, fallback: i64| t.trim().parse::<i64>().unwrap_or(fallback));
    ModuleFunction::new("integer").set_into_module(m, |(): (), fallback: i64| fallback);
    // What `req.vars` carries may have the type already.
    ModuleFunction::new("integer").set_into_module(m, |n: i64, _: i64| n);
    ModuleFunction::new("real").set_into_module(m, |t: &str, fallback: f64| {
        t.trim().parse::<f64>().ok().filter(|f| f.is_finite()).unwrap_or(fallback)
    });
    ModuleFunction::new("real").set_into_module(m, |(): (), fallback: f64| fallback);
    ModuleFunction::new("real").set_into_module(m, |n: f64, _: f64| n);
    ModuleFunction::new("time").set_into_module(m, |t: &str, fallback: Time| parse_time(t).unwrap_or(fallback));
    ModuleFunction::new("time").set_into_module(m, |(): (), fallback: Time| fallback);
    ModuleFunction::new("time").set_into_module(m, |time: Time, _: Time| time);
    let pick = |field: &str, offered: Array| -> Res<ImmutableString> {
        let offered: Vec<ImmutableString> =
            checked(offered)?.into_iter().filter_map(|v| v.into_immutable_string().ok()).collect();
        let names: Vec<&str> = offered.iter().map(ImmutableString::as_str).collect();
        let best = accept(field, &names);
        Ok(best.ok_or_else(|| HostError::value("`std::accept` needs something to offer"))?.into())
    };
    ModuleFunction::new("accept").set_into_module(m, move |field: &str, offered: Array| pick(field, offered));
    ModuleFunction::new("accept").set_into_module(m, move |(): (), offered: Array| pick("", offered));
    ModuleFunction::new("bucket").set_into_module(m, |key: &str, buckets: i64| -> Res<i64> {
        let wanted = u32::try_from(buckets).ok().filter(|n| *n > 0);
        let n =
            wanted.ok_or_else(|| HostError::value("`std::bucket` takes a number of buckets from 1 to 4294967295"))?;
        Ok(i64::from(bucket(key, n)))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_patterns_match_as_in_a_shell() {
        for (pattern, text, expected) in [
            ("*.css", "a/b.css", true),
            ("*.css", "a.css.map", false),
            ("/img/*/[0-9]?.png", "/img/x/y/4a.png", true),
            ("/img/[!0-9]*", "/img/4", false),
            ("/img/[!0-9]*", "/img/a", true),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[^a-c]x", "bx", false),
            (r"\*", "*", true),
            (r"\*", "x", false),
            ("a*b*c", "aXbYbZc", true),
            ("", "", true),
            ("?", "", false),
            ("é?", "éü", true),
        ] {
            assert_eq!(fnmatch(pattern, text, false), expected, "{pattern} {text}");
        }
        // As fnmatch(3) with FNM_PATHNAME; a pattern with two stars needs the last one alone to give way.
        for (pattern, text, expected) in [
            ("*.css", "/a/b.css", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/*/*.css", "/a/b.css", true),
            ("/*/*.css", "/a/b/c.css", false),
            ("/a?b", "/a/b", false),
            ("/a[!x]b", "/a/b", false),
            (r"/a\/b", "/a/b", true),
            ("**", "a/b", false),
            ("*/b", "/b", true),
            ("*b/*c", "abb/xc", true),
        ] {
            assert_eq!(fnmatch(pattern, text, true), expected, "{pattern} {text}");
        }
        // Many stars and no match: still quick.
        assert!(!fnmatch(&format!("{}c", "a*".repeat(100)), &"a".repeat(1_000), false));
    }

    #[test]
    fn the_visitors_favourite_among_the_offers_is_found() {
        for (field, offered, expected) in [
            ("de-CH, en;q=0.8, *;q=0.1", &["en", "de", "fr"][..], "de"),
            ("en;q=0.5, fr;q=0.9", &["en", "de", "fr"], "fr"),
            ("", &["en", "de"], "en"),
            ("it", &["en", "de"], "en"),
            ("en, de;q=0", &["de", "en"], "en"),
            ("*, en;q=0", &["en", "de"], "de"),
            ("de", &["de-AT", "en"], "de-AT"),
            ("den", &["de", "en"], "de"),
            ("den", &["en", "de"], "en"),
            ("text/html, image/*;q=0.8", &["image/webp", "text/html"], "text/html"),
            ("image/*", &["text/html", "image/webp"], "image/webp"),
            ("DE;Q=0.3, en;q=x", &["en", "de"], "de"),
        ] {
            assert_eq!(accept(field, offered), Some(expected), "{field}");
        }
        assert_eq!(accept("de", &[]), None);
    }

    #[test]
    fn a_bucket_is_stable_and_buckets_are_even() {
        assert_eq!([bucket("", 1), bucket("visitor-1", 100), bucket("visitor-2", 100)], [0, 38, 66]);
        let mut counts = [0_u32; 10];
        for i in 0..10_000 {
            counts[bucket(&format!("visitor-{i}"), 10) as usize] += 1;
        }
        assert!(counts.iter().all(|n| (880..1_120).contains(n)), "{counts:?}");
    }
}
