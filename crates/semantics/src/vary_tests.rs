//! Tests of RFC 9111 §4.1: what Vary names, and which requests are the same.

use super::*;
use proptest::prelude::*;

fn vary(lines: &[&str]) -> Vary {
    Vary::parse(&lines.iter().map(|v| ("Vary", *v)).collect())
}

fn fields(line: &str, normalise: Normalise) -> VaryFields {
    match Vary::parse_with(&[("Vary", line)].into_iter().collect(), normalise) {
        Vary::Fields(f) => f,
        other @ (Vary::None | Vary::Any) => panic!("{other:?}"),
    }
}

fn req(lines: &[(&str, &str)]) -> Headers {
    lines.iter().copied().collect()
}

#[test]
fn a_star_anywhere_means_that_nothing_matches() {
    for lines in [&["*"][..], &["*, *"], &["*", "*"], &[", *"], &["", "*"], &["*, Foo"], &["Foo, *"], &["Foo", "Bar,*"]]
    {
        assert_eq!(vary(lines), Vary::Any, "{lines:?}");
    }
    for lines in [&[][..], &[""], &[" , ,"]] {
        assert_eq!(vary(lines), Vary::None, "{lines:?}");
    }
}

#[test]
fn names_are_lower_case_sorted_and_unique() {
    let f = fields(" Foo,bar , FOO,Accept", Normalise::default());
    assert_eq!(f.names().collect::<Vec<_>>(), ["accept", "bar", "foo"]);
}

#[test]
fn requests_match_when_only_form_differs() {
    let f = fields("Foo", Normalise::default());
    for (a, b, same) in [
        (&[("Foo", "1")][..], &[("foo", "1"), ("Other", "2")][..], true),
        (&[("Foo", "1")], &[("Foo", "2")], false),
        (&[("Foo", "1")], &[], false),
        (&[], &[("Foo", "1")], false),
        (&[], &[("Foo", "")], false),
        (&[], &[("Bar", "1")], true),
        (&[("Foo", "1, 2")], &[("Foo", "1"), ("Foo", "2")], true),
        (&[("Foo", "1,2")], &[("Foo", " 1,  2 ")], true),
        (&[("Foo", "1, 2")], &[("Foo", "2, 1")], false),
        (&[("Foo", "a b")], &[("Foo", "a  b")], false),
        (&[("Foo", "\"a, b\"")], &[("Foo", "\"a,b\"")], false),
        (&[("Foo", "\"a\" , b")], &[("Foo", "\"a\",b")], true),
        (&[("Foo", "\"a, b")], &[("Foo", "\"a,b")], false),
        (&[("Foo", "A")], &[("Foo", "a")], false),
    ] {
        assert_eq!(f.matches(&req(a), &req(b)), same, "{a:?} {b:?}");
    }
}

#[test]
fn several_fields_do_not_run_into_each_other() {
    let f = fields("Foo, Bar, Baz", Normalise::default());
    let base = req(&[("Foo", "1"), ("Bar", "abc"), ("Baz", "789")]);
    assert!(f.matches(&base, &req(&[("Baz", "789"), ("Foo", "1"), ("Bar", "abc")])));
    for other in [
        &[("Foo", "1"), ("Baz", "789"), ("Bar", "abcde")][..],
        &[("Foo", "1"), ("Bar", "abc")],
        &[("Foo", "1"), ("Bar", "789"), ("Baz", "abc")],
        &[("Foo", "1,bar:abc"), ("Baz", "789")],
    ] {
        assert!(!f.matches(&base, &req(other)), "{other:?}");
    }
}

#[test]
fn accepted_codings_are_a_set_and_languages_a_list_without_case() {
    let off = Normalise { encoding: false, language: false, language_order: false };
    let set = Normalise { language_order: true, ..Normalise::default() };
    for (name, a, b, plain, default, as_set) in [
        ("Accept-Encoding", "gzip, br", "br,gzip", false, true, true),
        ("Accept-Encoding", "GZIP;q=1.0", "x-gzip", false, true, true),
        ("Accept-Encoding", "gzip, gzip", "gzip", false, true, true),
        ("Accept-Encoding", "gzip;q=0.5", "gzip;q=0.50", false, true, true),
        ("Accept-Encoding", "gzip;q=0", "gzip", false, false, false),
        ("Accept-Encoding", "gzip;q=0.5", "gzip;q=500", false, false, false),
        ("Accept-Encoding", "gzip;x=1, br", "br, gzip;x=1", false, false, false),
        ("Accept-Encoding", "gzip", "", false, false, false),
        ("Accept-Language", "en, de", "  en ,   de", true, true, true),
        ("Accept-Language", "en, de", "eN, De", false, true, true),
        ("Accept-Language", "en, de", "de, en", false, false, true),
        ("Accept-Language", "en, de;q=0.5", "en, de", false, false, false),
    ] {
        for (normalise, same) in [(off, plain), (Normalise::default(), default), (set, as_set)] {
            let f = fields(name, normalise);
            assert_eq!(f.matches(&req(&[(name, a)]), &req(&[(name, b)])), same, "{name}: {a} | {b} {normalise:?}");
        }
    }
}

proptest! {
    #[test]
    fn a_request_matches_itself_and_any_bytes_are_read_without_panic(v in "[ -~]{0,40}", w in "[a-z,;=q0-9. ]{0,30}") {
        let f = fields("Foo, Accept-Encoding, Accept-Language", Normalise { language_order: true, ..Normalise::default() });
        let a = req(&[("Foo", &v), ("Accept-Encoding", &w), ("Accept-Language", &w)]);
        prop_assert!(f.matches(&a, &a));
        let _any = vary(&[&v]);
    }

    #[test]
    fn different_simple_values_never_match(a in "[a-z]{0,5}", b in "[a-z]{0,5}") {
        let f = fields("Foo", Normalise::default());
        prop_assert_eq!(f.matches(&req(&[("Foo", &a)]), &req(&[("Foo", &b)])), a == b);
    }
}
