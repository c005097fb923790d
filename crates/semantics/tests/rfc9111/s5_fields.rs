//! RFC 9111 §5: the fields Age, Cache-Control, Expires, Pragma and Warning.

use crate::{NOW, at, fresh, headers, resp};
use copal_semantics::cache_control::{MaxStale, RequestDirectives, ResponseDirectives};
use copal_semantics::reuse::{Reuse, StoredTimes, reuse};
use copal_semantics::validation::merge_304;
use copal_semantics::{Reason, Span, age};

fn wishes(cc: &str) -> RequestDirectives {
    RequestDirectives::parse(&headers(&[("Cache-Control", cc)]))
}

/// "the recipient SHOULD use the first value and discard subsequent members", and "if it is invalid […], SHOULD ignore".
#[test]
fn s5_1_age_is_the_first_value_when_it_is_a_number() {
    for (value, secs) in
        [("0", Some(0)), ("7", Some(7)), ("7, 9", Some(7)), ("x", None), ("-7", None), ("7.5", None), ("", None)]
    {
        assert_eq!(age::parse(&headers(&[("Age", value)])).map(Span::as_secs), secs, "{value:?}");
    }
    let mut out = Vec::new();
    age::write(Span::from_millis(7900), &mut out);
    assert_eq!(out, b"7", "delta-seconds are whole");
}

/// "Cache directives are identified by a token, to be compared case-insensitively, and have an optional argument that can
/// use both token and quoted-string syntax."
#[test]
fn s5_2_directives_are_tokens_without_case_with_plain_or_quoted_arguments() {
    for (value, secs) in [
        ("max-age=5", Some(5)),
        ("MAX-Age=5", Some(5)),
        ("max-age=\"5\"", Some(5)),
        (" max-age=5 ,", Some(5)),
        ("x=\"a, max-age=9\", max-age=5", Some(5)),
        ("max-age", Some(0)),
        ("max-age =5", Some(0)),
        ("maxage=5", None),
        ("x-max-age=5", None),
    ] {
        let d = ResponseDirectives::parse(&headers(&[("Cache-Control", value)]));
        assert_eq!(d.max_age.map(Span::as_secs), secs, "{value}");
    }
}

/// max-age, max-stale, min-fresh, no-cache, no-store, no-transform, only-if-cached (§5.2.1.1 to §5.2.1.7).
#[test]
fn s5_2_1_request_directives_are_read_and_obeyed() {
    assert!(wishes("no-store").no_store && wishes("only-if-cached").only_if_cached && wishes("no-cache").no_cache);
    assert_eq!(wishes("max-stale").max_stale, Some(MaxStale::Any));
    assert_eq!(wishes("max-stale=5").max_stale, Some(MaxStale::For(Span::from_secs(5))));
    let times = StoredTimes::new(NOW, &fresh(&[("Cache-Control", "max-age=60, stale-if-error=0")]));
    for (cc, secs, expected) in [
        ("max-age=10", 10, Reuse::Fresh(Reason::Fresh)),
        ("max-age=10", 11, Reuse::Revalidate(Reason::RequestMaxAge)),
        ("min-fresh=10", 50, Reuse::Fresh(Reason::Fresh)),
        ("min-fresh=10", 51, Reuse::Revalidate(Reason::RequestMinFresh)),
        ("max-stale=10", 70, Reuse::Fresh(Reason::MaxStale)),
        ("max-stale=10", 71, Reuse::Revalidate(Reason::Stale)),
        ("max-stale", 3000, Reuse::Fresh(Reason::MaxStale)),
        ("no-cache", 0, Reuse::Revalidate(Reason::RequestNoCache)),
        ("no-transform, no-store, only-if-cached", 0, Reuse::Fresh(Reason::Fresh)),
    ] {
        assert_eq!(reuse(&times, NOW + Span::from_secs(secs), Some(&wishes(cc)), None, true), expected, "{cc} {secs}");
    }
}

/// §5.2.2.1 to §5.2.2.10, each by its flag.
#[test]
fn s5_2_2_response_directives_are_all_recognised() {
    let parse = |cc: &str| ResponseDirectives::parse(&headers(&[("Cache-Control", cc)]));
    type Flag = fn(&ResponseDirectives) -> bool;
    let flags: [(&str, Flag); 8] = [
        ("must-revalidate", |d| d.must_revalidate),
        ("must-understand", |d| d.must_understand),
        ("no-cache", |d| d.no_cache),
        ("no-store", |d| d.no_store),
        ("no-transform", |d| d.no_transform),
        ("private", |d| d.private),
        ("proxy-revalidate", |d| d.proxy_revalidate),
        ("public", |d| d.public),
    ];
    for (name, flag) in flags {
        assert!(
            flag(&parse(name)) && flag(&parse(&name.to_uppercase())) && flag(&parse(&format!("a, {name} ,b"))),
            "{name}"
        );
        let others = flags.iter().filter(|(other, _)| *other != name);
        assert!(others.into_iter().all(|(_, other)| !other(&parse(name))), "{name} sets another flag");
    }
    assert_eq!(parse("max-age=1, s-maxage=2").s_maxage, Some(Span::from_secs(2)));
    let d = parse("private=\"a, B\", no-cache=c");
    assert_eq!(
        (d.private, d.private_fields, d.no_cache, d.no_cache_fields),
        (false, vec!["a".into(), "b".into()], false, vec!["c".into()])
    );
}

/// "A cache MUST ignore unrecognized cache directives."
#[test]
fn s5_2_3_unknown_directives_change_nothing() {
    for cc in ["community=\"UCI\"", "x", "no-storex", "max-ages=1", "pre-check=0, post-check=0"] {
        assert_eq!(
            ResponseDirectives::parse(&headers(&[("Cache-Control", cc)])),
            ResponseDirectives::default(),
            "{cc}"
        );
        assert!(wishes(cc).is_empty(), "{cc}");
    }
}

/// "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time in the past".
#[test]
fn s5_3_expires_counts_from_date_and_an_invalid_one_is_past() {
    let (date, soon) = (at(-10), at(20));
    for (expires, dated, cc, ttl) in [
        (&*soon, Some(&*date), "", 20),
        (&*soon, None, "", 20),
        ("0", None, "", 0),
        ("-1", None, "", 0),
        ("tomorrow", None, "", 0),
        (&*date, None, "", 0),
        (&*soon, None, "max-age=5", 5),
        (&*soon, None, "s-maxage=6", 6),
        (&*soon, None, "public", 20),
    ] {
        let mut lines = vec![("Expires", expires), ("Cache-Control", cc)];
        lines.extend(dated.map(|d| ("Date", d)));
        assert_eq!(fresh(&lines).ttl.as_secs(), ttl, "{lines:?}");
    }
}

/// "treat […] a request with Pragma: no-cache as if Cache-Control: no-cache was present", when there is no Cache-Control.
#[test]
fn s5_4_pragma_counts_in_requests_without_cache_control() {
    for (lines, no_cache) in [
        (&[("Pragma", "no-cache")][..], true),
        (&[("Pragma", "x, No-Cache")], true),
        (&[("Pragma", "x")], false),
        (&[("Pragma", "no-cache"), ("Cache-Control", "max-age=5")], false),
    ] {
        assert_eq!(RequestDirectives::parse(&headers(lines)).no_cache, no_cache, "{lines:?}");
    }
    assert!(!fresh(&[("Pragma", "no-cache"), ("Cache-Control", "max-age=5")]).no_cache, "no meaning in responses");
}

/// Warning is obsolete: a field like any other, neither made nor read, replaced by a 304's as §3.2 says.
#[test]
fn s5_5_warning_is_a_field_like_any_other() {
    let stored = resp(200, &[("Warning", "110 - \"stale\""), ("A", "1")]);
    assert_eq!(merge_304(&stored, &resp(304, &[])).headers.get("warning"), Some(&b"110 - \"stale\""[..]));
    let merged = merge_304(&stored, &resp(304, &[("Warning", "199 - \"new\"")]));
    assert_eq!(merged.headers.get_all("warning").collect::<Vec<_>>(), [b"199 - \"new\""]);
    assert_eq!(fresh(&[("Warning", "110 - \"stale\""), ("Cache-Control", "max-age=9")]).ttl.as_secs(), 9);
}
