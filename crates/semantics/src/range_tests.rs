//! Tests of RFC 9110 §14: tables of Range and Content-Range values.

use super::*;
use proptest::prelude::*;

fn many(parts: &[Bounds]) -> RangeOutcome {
    RangeOutcome::Many(parts.iter().copied().collect())
}

#[test]
fn ranges_are_resolved_against_the_length() {
    use RangeOutcome::{One, Unsatisfiable, Whole};
    for (range, len, expected) in [
        ("bytes=0-1", 11, One(0, 1)),
        ("bytes=1-", 11, One(1, 10)),
        ("bytes=-1", 11, One(10, 10)),
        ("bytes=-99", 11, One(0, 10)),
        ("bytes=5-999", 11, One(5, 10)),
        ("BYTES = 0-1", 11, One(0, 1)),
        ("bytes=0-99999999999999999999999", 11, One(0, 10)),
        ("bytes= 0-0 , 5-5 ,", 11, many(&[(0, 0), (5, 5)])),
        ("bytes=5-6,0-1", 11, many(&[(5, 6), (0, 1)])),
        ("bytes=0-5,3-8", 11, One(0, 8)),
        ("bytes=0-1,2-3", 11, One(0, 3)),
        ("bytes=0-1,5-6,1-5", 11, One(0, 6)),
        ("bytes=8-9,0-1,3-4,1-3", 11, many(&[(8, 9), (0, 4)])),
        ("bytes=20-30,0-1", 11, One(0, 1)),
        ("bytes=11-", 11, Unsatisfiable),
        ("bytes=-0", 11, Unsatisfiable),
        ("bytes=0-", 0, Unsatisfiable),
        ("bytes=-1", 0, Unsatisfiable),
        ("bytes=2-1", 11, Whole),
        ("bytes=0-1,x", 11, Whole),
        ("bytes=-", 11, Whole),
        ("bytes=", 11, Whole),
        ("bytes", 11, Whole),
        ("lines=0-1", 11, Whole),
        ("bytes=+1-2", 11, Whole),
        ("bytes=1 - 2", 11, Whole),
        ("bytes=0-0,2-2,4-4,6-6,8-8", 11, Whole),
    ] {
        assert_eq!(resolve(range.as_bytes(), len, 4), expected, "{range} of {len}");
    }
}

#[test]
fn content_range_is_read_and_an_invalid_one_is_not() {
    let range = |first, last, complete| Some(ContentRange { first, last, complete });
    for (value, expected) in [
        ("bytes 4-9/10", range(4, 9, Some(10))),
        ("Bytes  0-0/*", range(0, 0, None)),
        ("bytes */10", None),
        ("bytes 9-4/10", None),
        ("bytes 4-9/9", None),
        ("bytes 4-9", None),
        ("bytes=4-9/10", None),
        ("lines 4-9/10", None),
        ("bytes 0-18446744073709551615/*", None),
        ("", None),
    ] {
        assert_eq!(ContentRange::parse(value.as_bytes()), expected, "{value}");
    }
    let two: Headers = [("Content-Range", "bytes 0-1/9"), ("Content-Range", "bytes 2-3/9")].into_iter().collect();
    assert_eq!(ContentRange::of(&two), None);
    assert_eq!(unsatisfied_range(7), b"bytes */7");
    assert_eq!(content_range(1, 2, None), b"bytes 1-2/*");
}

#[test]
fn a_multipart_answer_is_as_long_as_it_was_calculated() {
    let parts = [(0, 1), (5, 9)];
    let body = b"0123456789";
    let mut out = Vec::new();
    for (a, b) in parts {
        part_head("XX", Some(b"text/plain"), (a, b), 10, &mut out);
        out.extend_from_slice(&body[usize::try_from(a).expect("small")..=usize::try_from(b).expect("small")]);
    }
    parts_end("XX", &mut out);
    assert_eq!(out.len() as u64, parts_len("XX", Some(b"text/plain"), &parts, 10));
    assert!(
        out.starts_with(b"\r\n--XX\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--XX\r\n")
    );
    assert!(out.ends_with(b"56789\r\n--XX--\r\n"));
}

proptest! {
    #[test]
    fn parts_are_within_the_length_apart_from_each_other_and_no_more_than_allowed(
        range in "bytes=[0-9, -]{0,40}", len in 0u64..200
    ) {
        let parts = match resolve(range.as_bytes(), len, 5) {
            RangeOutcome::One(a, b) => vec![(a, b)],
            RangeOutcome::Many(parts) => parts.to_vec(),
            RangeOutcome::Whole | RangeOutcome::Unsatisfiable => vec![],
        };
        prop_assert!(parts.len() <= 5);
        for (i, (a, b)) in parts.iter().enumerate() {
            prop_assert!(a <= b && *b < len);
            for (c, d) in &parts[i + 1..] {
                prop_assert!(b + 1 < *c || d + 1 < *a);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(v in proptest::collection::vec(any::<u8>(), 0..40), len in any::<u64>()) {
        let _any = (resolve(&v, len, 9), ContentRange::parse(&v));
    }

    #[test]
    fn a_content_range_written_is_read_back(a in 0..u64::MAX / 4, n in 0..u64::MAX / 4, more in 1..u64::MAX / 4) {
        let len = Some(a + n + more);
        let expected = ContentRange { first: a, last: a + n, complete: len };
        prop_assert_eq!(ContentRange::parse(&content_range(a, a + n, len)), Some(expected));
    }
}
