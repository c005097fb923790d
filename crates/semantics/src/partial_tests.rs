//! Tests of RFC 9111 §3.3 and §3.4: parts held, combined and asked for.

use super::*;
use crate::range::parse_specs;
use proptest::prelude::*;

fn held(complete: Option<u64>, parts: &[Bounds]) -> Extents {
    let mut e = Extents::new(complete);
    for p in parts {
        e.insert(*p);
    }
    e
}

fn answer(e: &Extents, range: &str) -> PartialAnswer {
    e.answer(&parse_specs(range.as_bytes(), 9).expect("a range"))
}

#[test]
fn parts_that_touch_or_overlap_become_one() {
    let e = held(Some(10), &[(8, 20), (0, 1), (4, 5), (2, 3), (30, 40), (7, 6)]);
    assert_eq!(e.parts(), [(0, 5), (8, 9)]);
    assert!(!e.is_complete());
    assert_eq!(e.missing((0, 9)).as_slice(), [(6, 7)]);
    assert!(held(Some(10), &[(0, 5), (6, 9)]).is_complete());
    assert!(!held(None, &[(0, 5)]).is_complete());
    assert!(held(Some(0), &[]).is_complete());
}

#[test]
fn a_range_is_answered_only_when_all_of_it_is_held() {
    let e = held(Some(10), &[(4, 9)]);
    let all = |a, b| PartialAnswer::Held(SmallVec::from_slice(&[(a, b)]));
    for (range, expected) in [
        ("bytes=-5", all(5, 9)),
        ("bytes=6-8", all(6, 8)),
        ("bytes=6-", all(6, 9)),
        ("bytes=-1", all(9, 9)),
        ("bytes=3-5", PartialAnswer::Missing),
        ("bytes=-7", PartialAnswer::Missing),
        ("bytes=4-4,0-0", PartialAnswer::Missing),
        ("bytes=10-", PartialAnswer::Unsatisfiable),
    ] {
        assert_eq!(answer(&e, range), expected, "{range}");
    }
    assert_eq!(e.answer(&[]), PartialAnswer::Missing);
    assert_eq!(held(Some(10), &[(0, 9)]).answer(&[]), all(0, 9));
    let unknown = held(None, &[(4, 9)]);
    assert_eq!(answer(&unknown, "bytes=5-6"), all(5, 6));
    for range in ["bytes=5-", "bytes=-1", "bytes=9-10"] {
        assert_eq!(answer(&unknown, range), PartialAnswer::Missing, "{range}");
    }
}

#[test]
fn what_is_missing_is_asked_for_with_one_range() {
    for (complete, parts, range) in [
        (Some(10), &[(0, 4)][..], Some("bytes=5-")),
        (Some(10), &[(0, 1), (8, 9)], Some("bytes=2-7")),
        (Some(10), &[(0, 1), (4, 5)], Some("bytes=2-")),
        (Some(10), &[(4, 9)], Some("bytes=0-3")),
        (Some(10), &[(4, 5)], None),
        (Some(10), &[(0, 9)], None),
        (None, &[(0, 4)], Some("bytes=5-")),
    ] {
        let got = held(complete, parts).completion().map(RangeSpec::to_field);
        assert_eq!(got.as_deref(), range, "{complete:?} {parts:?}");
    }
}

#[test]
fn a_part_shorter_than_told_ends_the_whole_where_its_bytes_end() {
    let told = ContentRange { first: 4, last: 9, complete: Some(10) };
    assert_eq!(place(told, 6), Placement::AsTold(told));
    let short = ContentRange { first: 4, last: 8, complete: Some(9) };
    assert_eq!(place(told, 5), Placement::Shortened(short));
    let nowhere = Placement::Nowhere(Reason::PartialUnusable);
    assert_eq!(place(told, 7), nowhere);
    assert_eq!(place(told, 0), nowhere);
    assert_eq!(place(ContentRange { complete: Some(20), ..told }, 5), nowhere);
    assert_eq!(place(ContentRange { complete: None, ..told }, 5), nowhere);
}

#[test]
fn only_parts_with_the_same_strong_validator_are_combined() {
    let head = |headers: &[(&str, &str)]| ResponseHead::new(206, headers.iter().copied());
    let (yes, no) = (Combine::Yes(Reason::PartialCombined), Combine::No(Reason::PartialMismatch));
    let (a, b, w) = (("ETag", "\"a\""), ("ETag", "\"b\""), ("ETag", "W/\"a\""));
    let lm = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let later = ("Date", "Sun, 06 Nov 1994 09:49:37 GMT");
    let r = |len: &'static str| ("Content-Range", len);
    for (old, new, expected) in [
        (&[a][..], &[a][..], yes),
        (&[a], &[b], no),
        (&[w], &[w], no),
        (&[a], &[], no),
        (&[], &[], no),
        (&[lm, later], &[lm, later], yes),
        (&[lm], &[lm], no),
        (&[a, r("bytes 0-1/9")], &[a, r("bytes 2-3/9")], yes),
        (&[a, r("bytes 0-1/9")], &[a, r("bytes 2-3/8")], no),
        (&[a, ("Content-Encoding", "gzip")], &[a], no),
    ] {
        assert_eq!(may_combine(&head(old), &head(new)), expected, "{old:?} {new:?}");
    }
}

#[test]
fn the_origin_is_asked_for_no_more_than_is_missing_and_no_client_waits_for_a_long_lead() {
    use RangeSpec::{From, FromTo, Last};
    let far = LEAD_BYTES_MAX + 1;
    let start = held(Some(4 * far), &[(0, 2 * far)]);
    let end = held(Some(4 * far), &[(3 * far, 4 * far - 1)]);
    let middle = held(Some(4 * far), &[(far, 2 * far)]);
    for (specs, held, expected) in [
        (&[][..], None, Ask::Whole),
        (&[FromTo(0, 9)], None, Ask::Whole),
        (&[From(LEAD_BYTES_MAX)], None, Ask::Whole),
        (&[From(far)], None, Ask::Range(From(far))),
        (&[FromTo(far, far)], None, Ask::Range(FromTo(far, far))),
        (&[Last(1)], None, Ask::Range(Last(1))),
        (&[From(far), Last(1)], None, Ask::Whole),
        (&[], Some(&start), Ask::Rest(From(2 * far + 1))),
        (&[], Some(&end), Ask::Rest(FromTo(0, 3 * far - 1))),
        (&[], Some(&middle), Ask::Whole),
        (&[From(3 * far)], Some(&start), Ask::Rest(From(2 * far + 1))),
        (&[From(3 * far + 2)], Some(&start), Ask::Range(From(3 * far + 2))),
        (&[Last(2 * far)], Some(&start), Ask::Rest(From(2 * far + 1))),
        (&[Last(9)], Some(&start), Ask::Range(Last(9))),
        (&[FromTo(far, 2 * far)], Some(&end), Ask::Range(FromTo(far, 2 * far))),
        (&[FromTo(5, 3 * far)], Some(&end), Ask::Rest(FromTo(0, 3 * far - 1))),
    ] {
        assert_eq!(ask(specs, held), expected, "{specs:?} {held:?}");
    }
}

#[test]
fn only_a_strong_validator_can_ask_for_the_rest() {
    let lm = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
    let later = ("Date", "Sun, 06 Nov 1994 09:49:37 GMT");
    for (fields, expected) in [
        (&[("ETag", "\"a\""), lm][..], Some(&b"\"a\""[..])),
        (&[("ETag", "W/\"a\""), lm, later], None),
        (&[("ETag", "a")], None),
        (&[lm, later], Some(lm.1.as_bytes())),
        (&[lm], None),
        (&[], None),
    ] {
        assert_eq!(strong_validator(&ResponseHead::new(206, fields.iter().copied())), expected, "{fields:?}");
    }
}

proptest! {
    #[test]
    fn extents_know_exactly_the_bytes_that_were_put_in(
        parts in proptest::collection::vec((0u64..40, 0u64..40), 0..12), len in proptest::option::of(0u64..40), learnt in 0u64..40
    ) {
        let mut e = Extents::new(len);
        let mut bytes = [false; 64];
        for (a, b) in parts {
            e.insert((a, b));
            for i in a..=b {
                if len.is_none_or(|l| i < l) {
                    bytes[usize::try_from(i).expect("small")] = true;
                }
            }
        }
        if len.is_none() {
            e.learn_length(learnt);
            bytes[usize::try_from(learnt).expect("small")..].fill(false);
        }
        for (i, held) in bytes.iter().enumerate().take(40) {
            let i = i as u64;
            prop_assert_eq!(e.covers((i, i)), *held);
            prop_assert_eq!(e.missing((i, i)).is_empty(), *held);
        }
        for pair in e.parts().windows(2) {
            prop_assert!(pair[0].1 + 1 < pair[1].0);
        }
    }
}
