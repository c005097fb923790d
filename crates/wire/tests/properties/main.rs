//! Properties of HTTP/1 parsing: what is accepted is unambiguous, and how the bytes arrive makes no difference.
//!
//! The checks are those of the fuzz targets; here they are fed with near-valid messages on every run of the tests.

#[path = "../../../../fuzz/src/wire.rs"]
mod checks;
mod proxy_header;

use bytes::BytesMut;
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_wire::{BodyFraming, Chunked, HeadScan, Piece, WireLimits, encode, parse_request, parse_response};
use copal_wire::{request_framing, response_framing};
use http::{Method, Version};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// Mostly a proper line end.
fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![60 => Just("\r\n"), 1 => Just("\n"), 1 => Just("\r"), 1 => Just("\r\r\n"), 1 => Just(" \r\n"), 1 => Just("\r\n ")]
}

fn field() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        6 => "[A-Za-z-]{1,8}: [ -~]{0,12}",
        4 => select(&["Host: a", "Host: a.example:80", "Content-Length: 5", "Content-Length: 5, 5", "Content-Length: +5",
            "Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Connection: close"][..]).prop_map(str::to_owned),
        1 => "[ -~\t\u{0}-\u{1f}\u{80}-\u{ff}]{0,12}",
    ];
    (line, line_end()).prop_map(|(line, end)| line + end)
}

fn request_bytes() -> impl Strategy<Value = String> {
    let target = prop_oneof![6 => "/[!-~]{0,9}", 1 => Just("*".to_owned()), 2 => "http://[a-z@:]{0,4}[/?][!-~]{0,4}", 1 => "[ -~\u{80}-\u{ff}]{0,9}"];
    let version = prop_oneof![9 => Just("HTTP/1.1"), 3 => Just("HTTP/1.0"), 1 => select(&["HTTP/2.0", "HTTP/1.1 ", "http/1.1", ""][..])];
    let method = prop_oneof![9 => select(&["GET", "POST", "HEAD", "OPTIONS", "CONNECT"][..]).prop_map(str::to_owned), 1 => "[ -~]{0,4}"];
    (
        prop_oneof![12 => Just(""), 1 => Just("\r\n"), 1 => Just("\n")],
        method,
        target,
        version,
        line_end(),
        proptest::collection::vec(field(), 0..6),
        any::<bool>(),
        line_end(),
    )
        .prop_map(|(before, method, target, version, end, fields, host, last)| {
            let host = if host { "Host: x\r\n" } else { "" };
            format!("{before}{method} {target} {version}{end}{host}{}{last}", fields.concat())
        })
}

fn response_bytes() -> impl Strategy<Value = String> {
    let status = prop_oneof![9 => "[1-9][0-9]{2}", 1 => "[ -~]{0,4}"];
    let version =
        prop_oneof![9 => Just("HTTP/1.1"), 3 => Just("HTTP/1.0"), 1 => select(&["HTTP/2", "HTTP/1.1\t", ""][..])];
    (version, status, "( [ -~\u{e9}]{0,9})?", line_end(), proptest::collection::vec(field(), 0..6), line_end())
        .prop_map(|(version, status, reason, end, fields, last)| {
            format!("{version} {status}{reason}{end}{}{last}", fields.concat())
        })
}

fn chunk_bytes() -> impl Strategy<Value = Vec<u8>> {
    let data = proptest::collection::vec(any::<u8>(), 1..20);
    let extension = prop_oneof![9 => Just(String::new()), 1 => "[ -~]{0,6}"];
    let chunk = (data, extension, line_end(), line_end(), proptest::bool::weighted(0.03)).prop_map(
        |(data, extension, after_size, after_data, wrong)| {
            let size = format!("{:x}{extension}{after_size}", data.len() + usize::from(wrong));
            [size.as_bytes(), &data, after_data.as_bytes()].concat()
        },
    );
    let last = prop_oneof![9 => Just("0\r\n"), 1 => select(&["000;x\r\n", "0\n", ""][..])];
    let trailers = proptest::collection::vec(field(), 0..2);
    (proptest::collection::vec(chunk, 0..5), last, trailers, line_end(), "[ -~]{0,4}").prop_map(
        |(chunks, last, trailers, end, rest)| {
            [chunks.concat(), format!("{last}{}{end}{rest}", trailers.concat()).into_bytes()].concat()
        },
    )
}

fn with_step(step: u8, bytes: &[u8]) -> Vec<u8> {
    [&[step], bytes].concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn an_accepted_request_head_holds_nothing_that_another_parser_reads_otherwise(bytes in request_bytes(), step in 1u8..40) {
        checks::request_head(&with_step(step, bytes.as_bytes()));
    }

    #[test]
    fn an_accepted_response_head_holds_nothing_that_another_parser_reads_otherwise(bytes in response_bytes(), step in 1u8..40) {
        checks::response_head(&with_step(step, bytes.as_bytes()));
    }

    #[test]
    fn a_chunked_body_is_the_same_however_it_is_cut(bytes in chunk_bytes(), cut in any::<proptest::sample::Index>()) {
        checks::chunked(&bytes);
        // In two parts at any byte, too.
        let at = cut.index(bytes.len() + 1);
        let run = |parts: &[&[u8]]| {
            let (mut decoder, mut buf, mut body) = (Chunked::default(), BytesMut::new(), Vec::new());
            for part in parts {
                buf.extend_from_slice(part);
                loop {
                    match decoder.decode(&mut buf) {
                        Ok(Piece::Data(data)) => body.extend_from_slice(&data),
                        Ok(Piece::More) => break,
                        Ok(Piece::End(trailers)) => return Ok(Some((body, *trailers))),
                        Err(e) => return Err(e),
                    }
                }
            }
            Ok(None)
        };
        prop_assert_eq!(run(&[&bytes[..at], &bytes[at..]]), run(&[&bytes]));
    }

    #[test]
    fn a_request_that_was_written_is_read_as_it_was(method in "[A-Z]{1,7}", url in "/[!-\"$-~]{0,20}", fields in proptest::collection::vec(("[A-Za-z-]{1,9}", "([!-~]([ -~]{0,9}[!-~])?)?"), 0..9)) {
        let mut head = RequestHead { method: Method::from_bytes(method.as_bytes()).unwrap(), ..RequestHead::get(&url, [("Host", "a")]) };
        for (name, value) in fields.iter().filter(|(n, _)| !n.eq_ignore_ascii_case("host")) {
            head.headers.append(name, value).unwrap();
        }
        let mut out = Vec::new();
        encode::request_head(&head, &mut out);
        let limits = WireLimits::default();
        prop_assert_eq!(HeadScan::default().find(&out, &limits), Ok(Some(out.len())));
        let mut back = RequestHead::default();
        prop_assert_eq!(parse_request(&out, &limits, &mut back), Ok(()));
        prop_assert_eq!(back, head);
    }

    #[test]
    fn a_response_that_was_written_is_read_as_it_was(status in 100u16..1000, reason in "([!-~]([ -~]{0,9}[!-~])?)?", fields in proptest::collection::vec(("[A-Za-z-]{1,9}", "([!-~]([ -~]{0,9}[!-~])?)?"), 0..9)) {
        let mut head = ResponseHead::new(status, []);
        head.reason = reason;
        for (name, value) in &fields {
            head.headers.append(name, value).unwrap();
        }
        let mut out = Vec::new();
        encode::response_head(&head, &mut out);
        let mut back = ResponseHead::default();
        prop_assert_eq!(parse_response(&out, &WireLimits::default(), &mut back), Ok(()));
        prop_assert_eq!(back.reason_phrase(), head.reason_phrase());
        back.reason.clone_from(&head.reason);
        prop_assert_eq!(back, head);
    }

    /// RFC 9112 §6.3, from its text: which combinations leave no doubt.
    #[test]
    fn framing_is_accepted_only_when_one_field_says_one_thing(
        lengths in proptest::collection::vec(select(&["5", "6", "05", "5,5", "+5", "-5", "5 5", "0x5", "", "18446744073709551616"][..]), 0..3),
        codings in proptest::collection::vec(select(&["chunked", "CHUNKED", "gzip", "gzip, chunked", "chunked, chunked", "identity", "chunked;x", "", "\u{b}chunked"][..]), 0..3),
        old in any::<bool>(),
    ) {
        let mut headers = Headers::new();
        for (name, value) in lengths.iter().map(|v| ("Content-Length", v)).chain(codings.iter().map(|v| ("Transfer-Encoding", v))) {
            let _refused = headers.append(name, value);
        }
        let version = if old { Version::HTTP_10 } else { Version::HTTP_11 };
        let codings = headers.get_all("transfer-encoding").count();
        let one_length = match headers.get_all("content-length").collect::<Vec<_>>()[..] {
            [v] if !v.is_empty() && v.iter().all(u8::is_ascii_digit) => std::str::from_utf8(v).unwrap().parse().ok(),
            _ => None,
        };
        let chunked = codings == 1 && headers.get("transfer-encoding").unwrap().eq_ignore_ascii_case(b"chunked");
        let expected = match (lengths.len(), codings) {
            (0, 0) => Some(BodyFraming::None),
            (0, 1) if chunked && !old => Some(BodyFraming::Chunked),
            (1, 0) => one_length.map(BodyFraming::Length),
            _ => None,
        };
        let req = RequestHead { version, headers: headers.clone(), ..RequestHead::get("/", []) };
        prop_assert_eq!(request_framing(&req).ok(), expected);
        // A response may repeat a length, and chunked overrides it; nothing else is more lenient.
        let resp = ResponseHead { version, headers, ..ResponseHead::default() };
        match response_framing(&Method::GET, &resp) {
            Ok(BodyFraming::Chunked) => prop_assert!(chunked && !old),
            Ok(BodyFraming::Length(n)) => prop_assert!(codings == 0 && lengths.iter().all(|l| l.split(',').all(|m| m.trim().parse() == Ok(n)))),
            Ok(BodyFraming::Close) => prop_assert!(lengths.is_empty() && codings == 0),
            Ok(BodyFraming::None) => prop_assert!(false, "a 200 to GET has a body"),
            Err(_) => {}
        }
    }
}

#[test]
fn the_generated_messages_are_often_accepted_and_often_refused() {
    let mut runner = TestRunner::deterministic();
    let limits = WireLimits::default();
    let (mut requests, mut responses, mut bodies) = (0, 0, 0);
    for _ in 0..1000 {
        let request = request_bytes().new_tree(&mut runner).unwrap().current();
        let ok =
            |head: &str| matches!(HeadScan::default().find(head.as_bytes(), &limits), Ok(Some(n)) if n == head.len());
        requests += usize::from(
            ok(&request) && parse_request(request.as_bytes(), &limits, &mut RequestHead::default()).is_ok(),
        );
        let response = response_bytes().new_tree(&mut runner).unwrap().current();
        responses += usize::from(
            ok(&response) && parse_response(response.as_bytes(), &limits, &mut ResponseHead::default()).is_ok(),
        );
        let mut body = BytesMut::from(&chunk_bytes().new_tree(&mut runner).unwrap().current()[..]);
        let mut decoder = Chunked::default();
        while let Ok(Piece::Data(_)) = decoder.decode(&mut body) {}
        bodies += usize::from(decoder.is_done());
    }
    for (what, n) in [("requests", requests), ("responses", responses), ("bodies", bodies)] {
        assert!((100..900).contains(&n), "{n} of 1000 {what} are accepted");
    }
}
