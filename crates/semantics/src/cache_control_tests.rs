//! Tests of RFC 9111 §5.2 and RFC 9213: what directives are read from which bytes.

use super::*;
use proptest::prelude::*;

fn resp(lines: &[&str]) -> ResponseDirectives {
    ResponseDirectives::parse(&lines.iter().map(|v| ("Cache-Control", *v)).collect())
}

fn secs(s: Option<Span>) -> Option<i64> {
    s.map(Span::as_secs)
}

#[test]
fn max_age_is_read_from_all_that_is_clear_and_zero_from_all_that_is_not() {
    for (line, expected) in [
        ("max-age=3600", Some(3600)),
        ("MaX-aGe=3600", Some(3600)),
        ("max-age=\"3600\"", Some(3600)),
        ("max-age=003600", Some(3600)),
        ("max-age=2147483648", Some(2_147_483_648)),
        ("max-age=99999999999", Some(99_999_999_999)),
        ("foobar, max-age=3600", Some(3600)),
        ("a=b;c, ,max-age=3600 ,", Some(3600)),
        ("max-age='3600'", Some(0)),
        ("max-age=-3600", Some(0)),
        ("max-age=3600.5", Some(0)),
        ("max-age=a3600", Some(0)),
        ("max-age=3600a", Some(0)),
        ("max-age", Some(0)),
        ("max-age=", Some(0)),
        ("max-age =3600", Some(0)),
        ("max-age= 3600", Some(0)),
        ("extension=\"max-age=3600\", max-age=1", Some(1)),
        ("max-age=1, extension=\"max-age=3600\"", Some(1)),
        ("extension=\"a \\\" , max-age=3600\"", None),
        ("extension=\"max-age=3600", None),
        ("extension=\"x, max-age=3600", Some(0)),
        ("max-age=1800, max-age=1", Some(1)),
        ("max-age=1, max-age=1800", Some(1)),
        ("s-maxage=3600", None),
    ] {
        assert_eq!(secs(resp(&[line]).max_age), expected, "{line}");
    }
    assert_eq!(secs(resp(&["max-age=1800", "max-age=1"]).max_age), Some(1));
    let huge = format!("max-age={}", "9".repeat(60));
    assert_eq!(resp(&[&huge]).max_age, Some(Span::MAX));
}

#[test]
fn a_restriction_counts_however_it_is_written() {
    for line in ["no-store", "No-StOrE", "no-store=1", "no-store =x", "a=\"b, no-store", " ,no-store,"] {
        assert!(resp(&[line]).no_store, "{line}");
    }
    for line in ["private", "private=\"\"", "private=\"a b\"", "private =\"a\""] {
        assert!(resp(&[line]).private, "{line}");
    }
    assert!(!resp(&["public=1"]).public, "a permission counts only as the RFC writes it");
}

#[test]
fn qualified_forms_name_fields_and_do_not_set_the_flag() {
    let d = resp(&["no-cache=\"Set-Cookie, A\", private=b", "no-cache=c"]);
    assert!(!d.no_cache && !d.private);
    assert_eq!(d.no_cache_fields, ["set-cookie", "a", "c"]);
    assert_eq!(d.private_fields, ["b"]);
    assert!(resp(&["no-cache=\"a\", no-cache"]).no_cache);
}

#[test]
fn all_flags_are_recognised() {
    let d = resp(&["public, must-revalidate, proxy-revalidate", "must-understand, no-transform, immutable"]);
    assert!(d.public && d.must_revalidate && d.proxy_revalidate);
    assert!(d.must_understand && d.no_transform && d.immutable);
    let d = resp(&["s-maxage=1, stale-while-revalidate=2, stale-if-error=3"]);
    assert_eq!((secs(d.s_maxage), secs(d.stale_while_revalidate), secs(d.stale_if_error)), (Some(1), Some(2), Some(3)));
}

#[test]
fn request_directives_keep_the_strictest_of_several() {
    let parse = |v: &str| RequestDirectives::parse(&[("Cache-Control", v)].into_iter().collect());
    let d = parse("max-age=5, max-age=9, min-fresh=1, min-fresh=4, max-stale, max-stale=7, only-if-cached");
    assert_eq!((secs(d.max_age), secs(d.min_fresh)), (Some(5), Some(4)));
    assert_eq!(d.max_stale, Some(MaxStale::For(Span::from_secs(7))));
    assert!(d.only_if_cached && !d.no_cache && !d.no_store);
    assert_eq!(parse("max-stale").max_stale, Some(MaxStale::Any));
    assert!(parse("NO-CACHE, no-store").no_cache && parse("no-store").no_store);
    assert!(parse("x").is_empty());
}

#[test]
fn pragma_counts_only_without_cache_control() {
    let h: Headers = [("Pragma", "x, No-Cache")].into_iter().collect();
    assert!(RequestDirectives::parse(&h).no_cache);
    let h: Headers = [("Pragma", "no-cache"), ("Cache-Control", "max-age=1")].into_iter().collect();
    assert!(!RequestDirectives::parse(&h).no_cache);
}

#[test]
fn the_first_valid_targeted_field_wins_and_an_invalid_one_is_ignored_whole() {
    let targets = ["Copal-Cache-Control".to_owned(), "CDN-Cache-Control".to_owned()];
    for (lines, expected) in [
        (&[("CDN-Cache-Control", "max-age=10")][..], Some((1, Some(10)))),
        (&[("CDN-Cache-Control", "max-age=10"), ("Copal-Cache-Control", "max-age=5")], Some((0, Some(5)))),
        (&[("CDN-Cache-Control", "max-age=10"), ("Copal-Cache-Control", "&&")], Some((1, Some(10)))),
        (&[("CDN-Cache-Control", "max-age=10, &&&&&")], None),
        (&[("CDN-Cache-Control", "MaX-aGe=10")], None),
        (&[("CDN-Cache-Control", "max-age =10")], None),
        (&[("CDN-Cache-Control", "")], None),
        (&[("CDN-Cache-Control", "max-age=\"10\"")], Some((1, Some(0)))),
        (&[("CDN-Cache-Control", "max-age=1.5")], Some((1, Some(0)))),
        (&[("CDN-Cache-Control", "max-age=-1")], Some((1, Some(0)))),
        (&[("CDN-Cache-Control", "max-age=(1 2)")], Some((1, Some(0)))),
        (&[("CDN-Cache-Control", "max-age=99999999999")], Some((1, Some(99_999_999_999)))),
        (&[("CDN-Cache-Control", "foo")], Some((1, None))),
        (&[("CDN-Cache-Control", "foo"), ("CDN-Cache-Control", "max-age=3")], Some((1, Some(3)))),
        (&[("Cache-Control", "max-age=10")], None),
    ] {
        let got = targeted(&lines.iter().copied().collect(), &targets);
        assert_eq!(got.map(|(i, d)| (i, secs(d.max_age))), expected, "{lines:?}");
    }
    let one = |v: &str| targeted(&[("CDN-Cache-Control", v)].into_iter().collect(), &targets).map(|t| t.1);
    let d = one("private, no-cache=?0, no-store;x=1").expect("valid");
    assert!(d.private && !d.no_cache && d.no_store);
    assert_eq!(one("private=\"A, b\"").expect("valid").private_fields, ["a", "b"]);
}

#[test]
fn surrogate_control_tells_lifetime_and_stale_time() {
    let one = |v: &str| surrogate(&[("Surrogate-Control", v)].into_iter().collect());
    let d = one("content=\"ESI/1.0\", max-age=60+30").expect("about caching");
    assert_eq!((secs(d.max_age), secs(d.stale_while_revalidate)), (Some(60), Some(30)));
    assert_eq!(one("content=\"ESI/1.0\""), None);
    assert_eq!(one("max-age=60;elsewhere"), None);
    assert!(one("no-store").expect("about caching").no_store);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic_and_numbers_are_never_negative(v in "[ -~]{0,60}", w in "[a-z=\", \\\\0-9-]{0,40}") {
        for line in [&v, &w] {
            let h: Headers = [("Cache-Control", line.as_str()), ("CDN-Cache-Control", line), ("Surrogate-Control", line)]
                .into_iter().collect();
            let d = ResponseDirectives::parse(&h);
            for n in [d.max_age, d.s_maxage, d.stale_while_revalidate, d.stale_if_error].into_iter().flatten() {
                prop_assert!(!n.is_negative());
            }
            let _any = (RequestDirectives::parse(&h), targeted(&h, &["CDN-Cache-Control".into()]), surrogate(&h));
        }
    }
}
