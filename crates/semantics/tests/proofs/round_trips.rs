//! What is printed is read back as it was, by our own parsers and by the structured-fields library; and no bytes make a
//! parser panic.

use copal_semantics::cache_control::{MaxStale, RequestDirectives, ResponseDirectives, surrogate, targeted};
use copal_semantics::cache_status::{CacheStatus, Fwd};
use copal_semantics::conditional::{evaluate, if_range_holds};
use copal_semantics::etag::{self, EntityTag};
use copal_semantics::key::{normalise_host, same_origin_target};
use copal_semantics::negotiation::{best_encoding, best_language};
use copal_semantics::partial::Extents;
use copal_semantics::proxy_status::PROXY_ERRORS;
use copal_semantics::range::{RangeSpec, parse_specs};
use copal_semantics::vary::Vary;
use copal_semantics::{Headers, RequestHead, ResponseHead, Rules, Span, Time, age, date, query, via};
use proptest::prelude::*;
use proptest::sample::select;
use sfv::{BareItem, List, ListEntry, Parser};

const FWD: [Fwd; 8] =
    [Fwd::Bypass, Fwd::Method, Fwd::UriMiss, Fwd::VaryMiss, Fwd::Miss, Fwd::Request, Fwd::Stale, Fwd::Partial];

/// The one member of a list with the text of each parameter.
fn member(field: &[u8]) -> (String, Vec<(String, String)>) {
    let list: List = Parser::new(field).parse().unwrap();
    let [ListEntry::Item(item)] = list.as_slice() else { panic!("{list:?}") };
    let text = |b: &BareItem| match b {
        BareItem::String(s) => s.as_str().to_owned(),
        BareItem::Token(t) => t.as_str().to_owned(),
        BareItem::Integer(n) => n.to_string(),
        BareItem::Boolean(b) => b.to_string(),
        other => panic!("{other:?}"),
    };
    let params = item.params.iter().map(|(k, v)| (k.as_str().to_owned(), text(v))).collect();
    (text(&item.bare_item), params)
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| (' '..='~').contains(c)).collect()
}

/// A date in each of the three formats of RFC 9110 §5.6.7, by a calendar of its own: days counted from 1 January 1970.
fn three_formats(secs: i64) -> [String; 3] {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (mut days, time) = (secs / 86_400, secs % 86_400);
    let weekday = DAYS[usize::try_from(days % 7).unwrap()];
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while days >= lengths[month] {
        days -= lengths[month];
        month += 1;
    }
    let (day, month, short) = (days + 1, MONTHS[month], &weekday[..3]);
    let clock = format!("{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60);
    [
        format!("{short}, {day:02} {month} {year} {clock} GMT"),
        format!("{weekday}, {day:02}-{month}-{:02} {clock} GMT", year % 100),
        format!("{short} {month} {day:2} {clock} {year}"),
    ]
}

prop_compose! {
    fn spec()(a in any::<u64>(), b in any::<u64>(), kind in 0..3) -> RangeSpec {
        match kind {
            0 => RangeSpec::FromTo(a.min(b), a.max(b)),
            1 => RangeSpec::From(a),
            _ => RangeSpec::Last(a),
        }
    }
}

proptest! {
    #![proptest_config(crate::cases(1024))]

    #[test]
    fn cache_status_is_read_back_by_the_library(
        name in "[a-zA-Z*][a-z0-9.:/-]{0,9}|.{0,12}", key in proptest::option::of(".{0,20}"), hit in any::<bool>(),
        fwd in proptest::option::of(select(&FWD[..])), fwd_status in proptest::option::of(100u16..1000),
        ttl in proptest::option::of(any::<i64>()), stored in any::<bool>(), collapsed in any::<bool>(),
        detail in proptest::option::of(select(&["max-age", "two words", "quote\"d"][..])),
    ) {
        let status = CacheStatus { hit, fwd, fwd_status, ttl, stored, collapsed, key: key.clone(), detail };
        let mut out = String::new();
        status.write(&name, &mut out);
        let (said, params) = member(out.as_bytes());
        prop_assert_eq!(said, printable(&name));
        let mut expected: Vec<(&str, String)> = Vec::new();
        if hit {
            expected.push(("hit", "true".into()));
        } else if let Some(fwd) = fwd {
            expected.push(("fwd", fwd.token().into()));
        }
        let most = 999_999_999_999_999;
        expected.extend(fwd_status.map(|s| ("fwd-status", s.to_string())));
        expected.extend(ttl.map(|t| ("ttl", t.clamp(-most, most).to_string())));
        expected.extend(stored.then(|| ("stored", "true".into())));
        expected.extend(collapsed.then(|| ("collapsed", "true".into())));
        expected.extend(key.filter(|k| printable(k) == *k).map(|k| ("key", k)));
        expected.extend(detail.map(|d| ("detail", d.to_owned())));
        let params: Vec<(&str, String)> = params.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
        prop_assert_eq!(params, expected);
    }

    #[test]
    fn proxy_status_is_read_back_by_the_library(name in ".{0,12}", details in proptest::option::of(".{0,30}"), i in 0..PROXY_ERRORS.len()) {
        let (error, token, _) = PROXY_ERRORS[i];
        let mut out = String::new();
        error.write(&name, details.as_deref(), &mut out);
        let (said, params) = member(out.as_bytes());
        prop_assert_eq!(said, printable(&name));
        let mut expected = vec![("error".to_owned(), token.to_owned())];
        expected.extend(details.map(|d| ("details".to_owned(), printable(&d))));
        prop_assert_eq!(params, expected);
    }

    #[test]
    fn the_three_date_formats_name_the_same_second(secs in 0i64..3_300_000_000) {
        let [imf, rfc850, asctime] = three_formats(secs);
        let at = Some(Time::from_secs(secs));
        prop_assert_eq!(date::parse(imf.as_bytes()), at, "{}", imf);
        prop_assert_eq!(date::parse(asctime.as_bytes()), at, "{}", asctime);
        prop_assert_eq!(date::http_date(Time::from_secs(secs)), imf);
        // Its two digits are of the years 1970 to 2069, which 36,525 days end.
        prop_assert_eq!(date::parse(rfc850.as_bytes()) == at, secs < 3_155_760_000, "{}", rfc850);
    }

    #[test]
    fn one_flipped_byte_makes_another_date_or_none(secs in 0i64..3_000_000_000, at in 0usize..29, byte in any::<u8>()) {
        let right = date::to_imf_fixdate(Time::from_secs(secs));
        let mut wrong = right;
        wrong[at] = byte;
        let same = wrong.eq_ignore_ascii_case(&right) || at < 3;
        prop_assert!(same || date::parse(&wrong) != Some(Time::from_secs(secs)), "{}", String::from_utf8_lossy(&wrong));
    }

    #[test]
    fn an_age_is_read_back(secs in 0i64..i64::MAX / 1_000_000) {
        let mut out = Vec::new();
        age::write(Span::from_secs(secs), &mut out);
        prop_assert_eq!(age::delta_seconds(&out), Some(Span::from_secs(secs)));
    }

    #[test]
    fn a_list_of_entity_tags_is_read_back(tags in proptest::collection::vec((any::<bool>(), "\"[!#-~\u{80}-\u{ff}]{0,9}\""), 0..6), space in "[ \t]{0,2}") {
        let tags: Vec<EntityTag<'_>> = tags.iter().map(|(weak, o)| EntityTag { weak: *weak, opaque: o.as_bytes() }).collect();
        let mut out = Vec::new();
        for t in &tags {
            out.extend_from_slice(if t.weak { b"W/" } else { b"" });
            out.extend_from_slice(t.opaque);
            out.extend_from_slice(space.as_bytes());
            out.extend_from_slice(b",");
        }
        prop_assert_eq!(etag::list(&out).collect::<Vec<_>>(), tags);
    }

    #[test]
    fn ranges_are_read_back_and_a_stored_part_covers_what_was_put_in(specs in proptest::collection::vec(spec(), 1..8), len in any::<u64>()) {
        let printed: Vec<String> = specs.iter().map(|s| s.to_field().replace("bytes=", "")).collect();
        let read = parse_specs(format!("bytes={}", printed.join(",")).as_bytes(), 8);
        prop_assert_eq!(read.as_deref(), Some(&specs[..]));
        let mut held = Extents::new(Some(len));
        for bounds in specs.iter().filter_map(|s| s.bounds(len)) {
            held.insert(bounds);
            prop_assert!(held.covers(bounds));
        }
        prop_assert!(held.parts().iter().all(|p| p.0 <= p.1 && p.1 < len));
        prop_assert_eq!(held.is_complete(), len == 0 || held.missing((0, len - 1)).is_empty());
    }

    #[test]
    fn directives_are_read_as_they_were_meant(max_age in proptest::option::of(0i64..1 << 40), s_maxage in proptest::option::of(0i64..1 << 40),
        flags in proptest::collection::hash_set(select(&["no-store", "no-cache", "private", "public", "must-revalidate", "proxy-revalidate", "must-understand", "no-transform", "immutable"][..]), 0..9),
        fields in proptest::collection::vec("[a-z-]{1,9}", 0..3), upper in any::<bool>(), lines in any::<bool>(), quoted in any::<bool>(),
    ) {
        let number = |n: i64| if quoted { format!("\"{n}\"") } else { n.to_string() };
        let mut all: Vec<String> = flags.iter().map(|f| (*f).to_owned()).collect();
        all.extend(max_age.map(|n| format!("max-age={}", number(n))));
        all.extend(s_maxage.map(|n| format!("s-maxage={}", number(n))));
        if !fields.is_empty() {
            all.push(format!("private=\"{}\"", fields.join(" , ")));
        }
        all.push("ext=\"a, no-store, \\\", private\"".to_owned());
        let all: Vec<String> = all.into_iter().map(|d| if upper { d.to_ascii_uppercase() } else { d }).collect();
        let all = if lines { all } else { vec![all.join(" ,, ")] };
        let headers: Headers = all.iter().map(|v| ("cache-control", v.as_str())).collect();
        let expected = ResponseDirectives {
            no_store: flags.contains("no-store"),
            no_cache: flags.contains("no-cache"),
            private: flags.contains("private"),
            public: flags.contains("public"),
            must_revalidate: flags.contains("must-revalidate"),
            proxy_revalidate: flags.contains("proxy-revalidate"),
            must_understand: flags.contains("must-understand"),
            no_transform: flags.contains("no-transform"),
            immutable: flags.contains("immutable"),
            private_fields: fields,
            max_age: max_age.map(Span::from_secs),
            s_maxage: s_maxage.map(Span::from_secs),
            ..ResponseDirectives::default()
        };
        prop_assert_eq!(ResponseDirectives::parse(&headers), expected);
    }

    #[test]
    fn wishes_are_read_as_they_were_meant(max_age in proptest::option::of(0i64..1 << 40), stale in proptest::option::of(proptest::option::of(0i64..1 << 40)), no_cache in any::<bool>()) {
        let mut all: Vec<String> = max_age.iter().map(|n| format!("max-age={n}")).collect();
        all.extend(stale.map(|s| s.map_or("Max-Stale".to_owned(), |n| format!("max-stale=\"{n}\""))));
        all.extend(no_cache.then(|| "NO-CACHE".to_owned()));
        let headers: Headers = [("Cache-Control", all.join(",").as_str())].into_iter().collect();
        let max_stale = stale.map(|s| s.map_or(MaxStale::Any, |n| MaxStale::For(Span::from_secs(n))));
        let expected = RequestDirectives { no_cache, max_age: max_age.map(Span::from_secs), max_stale, ..RequestDirectives::default() };
        prop_assert_eq!(RequestDirectives::parse(&headers), expected);
    }

    #[test]
    fn headers_survive_edits_and_their_own_wire_form(edits in proptest::collection::vec(("[A-Ca-c]", "[ -~]{0,6}", 0..3), 0..20)) {
        let (mut headers, mut model) = (Headers::new(), Vec::<(String, String)>::new());
        for (name, value, kind) in &edits {
            let value = value.trim_matches(' ').to_owned();
            let same = |n: &str| n.eq_ignore_ascii_case(name);
            match kind {
                0 => {
                    headers.append(name, &value).unwrap();
                    model.push((name.clone(), value));
                }
                1 => {
                    headers.set(name, &value).unwrap();
                    let first = model.iter().position(|(n, _)| same(n)).unwrap_or(model.len());
                    model.retain(|(n, _)| !same(n));
                    model.insert(first, (name.clone(), value));
                }
                _ => {
                    prop_assert_eq!(headers.remove(name), model.iter().filter(|(n, _)| same(n)).count());
                    model.retain(|(n, _)| !same(n));
                }
            }
        }
        let read: Vec<(String, String)> = headers.iter().map(|(n, v)| (n.to_owned(), String::from_utf8_lossy(v).into_owned())).collect();
        prop_assert_eq!(&read, &model);
        let mut wire = Vec::new();
        headers.write_wire(&mut wire);
        prop_assert_eq!(wire.len(), headers.wire_len());
        let mut back = Headers::new();
        back.read_wire(&wire);
        let mut again = Vec::new();
        back.write_wire(&mut again);
        prop_assert_eq!(again, wire);
    }

    #[test]
    fn any_reason_phrase_survives_the_compact_block(reason in "[ -~\u{a1}-\u{17f}]{0,300}", status in 100u16..3000) {
        let head = ResponseHead { status, reason, ..ResponseHead::default() };
        let mut back = ResponseHead::default();
        back.decode(&head.encode());
        prop_assert_eq!(back.reason_phrase(), head.reason_phrase());
        prop_assert_eq!(back.status, status);
    }

    #[test]
    fn white_space_and_lines_do_not_select_another_variant(values in proptest::collection::vec("[a-z]{1,4}", 1..5), space in "[ \t]{0,2}") {
        let one: Headers = [("X-A", values.join(",").as_str())].into_iter().collect();
        let spaced: Headers = [("x-a", values.join(&format!("{space},{space}")).as_str())].into_iter().collect();
        let lines: Headers = values.iter().map(|v| ("X-A", v.as_str())).collect();
        let mut other = values.clone();
        other[0].push('x');
        let other: Headers = [("X-A", other.join(",").as_str())].into_iter().collect();
        let resp: Headers = [("Vary", "x-a")].into_iter().collect();
        let Vary::Fields(fields) = Vary::parse(&resp) else { panic!("it varies") };
        prop_assert!(fields.matches(&one, &spaced) && fields.matches(&one, &lines) && fields.matches(&lines, &spaced));
        prop_assert!(!fields.matches(&one, &other) && !fields.matches(&one, &Headers::new()));
    }

    #[test]
    fn a_parameter_that_is_set_is_found_and_the_others_stay(url in "/[a-c]{0,2}(\\?[a-c=&]{0,9})?", name in "[d-f]{1,2}", value in "[a-z%0-9]{0,4}") {
        let set = query::set(&url, &name, &value);
        prop_assert_eq!(query::get(&set, &name), Some(value.as_str()));
        prop_assert_eq!(query::remove(&set, &[&name]), query::remove::<&str>(&url, &[]));
        prop_assert_eq!(query::keep(&set, &[&name]), format!("{}?{name}={value}", url.split('?').next().unwrap()));
    }

    #[test]
    fn one_host_has_one_key(host in "[a-zA-Z0-9-]{1,8}(\\.[a-z]{1,3})?", port in select(&["", ":", ":80", ":443"][..]), dot in select(&["", "."][..])) {
        let spelled = format!("{}{dot}{port}", host.to_ascii_uppercase());
        prop_assert_eq!(normalise_host(spelled.as_bytes()).into_owned(), host.to_ascii_lowercase().into_bytes());
        let req = RequestHead::get("/a/b", [("Host", host.as_str())]);
        let own = format!("http://{spelled}/x/../y");
        prop_assert_eq!(same_origin_target(&req, own.as_bytes()), Some("/y".to_owned()));
        let foreign = format!("http://x{spelled}/y");
        prop_assert_eq!(same_origin_target(&req, foreign.as_bytes()), None);
    }

    #[test]
    fn each_passage_is_counted(n in 0usize..6, name in "[a-z][a-z.-]{0,8}") {
        let mut headers = Headers::new();
        for _ in 0..n {
            via::append(&mut headers, http::Version::HTTP_11, &name).unwrap();
        }
        prop_assert_eq!(via::passages(&headers, &name), n);
    }

    #[test]
    fn no_field_value_makes_a_parser_panic(value in "[ -~\t\u{80}-\u{ff}]{0,60}", other in "[a-z=\",;*W/ 0-9.-]{0,40}") {
        for v in [&value, &other] {
            let mut req = RequestHead::get("/a", []);
            for name in ["Cache-Control", "Pragma", "If-None-Match", "If-Match", "If-Range", "If-Modified-Since",
                "Accept-Encoding", "Accept-Language", "Range", "Host", "Via"] {
                let _refused = req.headers.append(name, v);
            }
            let mut resp = ResponseHead::default();
            for name in ["Cache-Control", "CDN-Cache-Control", "Surrogate-Control", "Vary", "ETag", "Last-Modified",
                "Date", "Expires", "Age", "Content-Range", "Location", "Content-Language"] {
                let _refused = resp.headers.append(name, v);
            }
            let _any = (RequestDirectives::parse(&req.headers), surrogate(&resp.headers), age::parse(&resp.headers));
            let _any = targeted(&resp.headers, &Rules::default().targeted);
            let _any = (evaluate(&req, 200, &resp, Time::EPOCH), if_range_holds(&req, &resp));
            let _any = (best_encoding(&req.headers, &["br", "gzip"]), best_language(&req.headers, &["en", "de-AT"]));
            let _any = (parse_specs(v.as_bytes(), 16), same_origin_target(&req, v.as_bytes()), via::passages(&req.headers, "copal"));
            if let Vary::Fields(fields) = Vary::parse(&resp.headers) {
                prop_assert!(fields.matches(&req.headers, &req.headers));
            }
        }
    }
}
