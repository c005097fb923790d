//! PROXY headers: near-valid ones, so that both what is taken and what is refused is met.

use crate::checks;
use copal_wire::proxy_header::{self, V2_SIGNATURE, crc32c};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
    [&[kind], &u16::try_from(value.len()).expect("short").to_be_bytes()[..], value].concat()
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..9)
}

fn any_tlv() -> impl Strategy<Value = Vec<u8>> {
    let inner = prop::collection::vec((select(&[0x21u8, 0x22, 0x23, 0x24, 0x25, 0x26][..]), value()), 0..4);
    let ssl = (value(), inner).prop_map(|(fixed, inner)| {
        let inner: Vec<u8> = inner.iter().flat_map(|(kind, value)| tlv(*kind, value)).collect();
        tlv(0x20, &[fixed, inner].concat())
    });
    prop_oneof![
        6 => (select(&[1u8, 2, 4, 5, 0x30, 0xe0][..]), value()).prop_map(|(kind, value)| tlv(kind, &value)),
        2 => ssl,
        1 => value(),
    ]
}

/// Command, family, addresses, TLVs, whether there is a checksum and whether it is right.
fn version_2() -> impl Strategy<Value = Vec<u8>> {
    let family = prop_oneof![
        4 => Just((0x11u8, 12)), 4 => Just((0x21, 36)), 1 => Just((0x31, 216)), 2 => Just((0, 0)), 1 => (any::<u8>(), 0usize..40),
    ];
    (
        prop_oneof![9 => Just(0x21u8), 2 => Just(0x20), 1 => any::<u8>()],
        family,
        prop::collection::vec(any_tlv(), 0..4),
        select(&["none", "none", "right", "wrong"][..]),
        "[ -~]{0,9}",
    )
        .prop_map(|(command, (family, addresses), tlvs, sum, rest)| {
            let mut block = vec![7; addresses];
            block.extend(tlvs.concat());
            let at = 16 + block.len() + 3;
            if sum != "none" {
                block.extend(tlv(3, &[0; 4]));
            }
            let len = u16::try_from(block.len()).expect("short").to_be_bytes();
            let mut bytes = [&V2_SIGNATURE[..], &[command, family], &len, &block].concat();
            if sum == "right" {
                let sum = crc32c(&[&bytes]);
                bytes[at..at + 4].copy_from_slice(&sum.to_be_bytes());
            }
            [bytes, rest.into_bytes()].concat()
        })
}

fn version_1() -> impl Strategy<Value = Vec<u8>> {
    let ip = || select(&["192.0.2.1", "198.51.100.255", "::1", "2001:db8::7", "::ffff:192.0.2.1", "1.2.3", ""][..]);
    let port = || prop_oneof![9 => (0u32..70_000).prop_map(|n| n.to_string()), 1 => "[ -~]{0,3}"];
    let family = select(&["TCP4", "TCP4", "TCP6", "UNKNOWN", "UDP4", "tcp4"][..]);
    let end = select(&["\r\n", "\r\n", "\r\n", "\n", " \r\n", "\r"][..]);
    (family, ip(), ip(), port(), port(), end, "[ -~]{0,120}")
        .prop_map(|(family, a, b, p, q, end, rest)| format!("PROXY {family} {a} {b} {p} {q}{end}{rest}").into_bytes())
}

fn header() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![version_1(), version_2()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn a_proxy_header_means_the_same_however_it_arrives(bytes in header()) {
        checks::proxy_header(&bytes);
    }

    #[test]
    fn any_bytes_are_a_proxy_header_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300), at in 0usize..16) {
        checks::proxy_header(&bytes);
        checks::proxy_header(&[&V2_SIGNATURE[..at.min(12)], &bytes].concat());
    }
}

#[test]
fn the_generated_headers_are_often_taken_and_often_refused() {
    let mut runner = TestRunner::deterministic();
    let (mut first, mut second) = (0, 0);
    for _ in 0..1000 {
        let line = version_1().new_tree(&mut runner).unwrap().current();
        first += usize::from(matches!(proxy_header::parse(&line), Ok(Some(_))));
        let bytes = version_2().new_tree(&mut runner).unwrap().current();
        second += usize::from(matches!(proxy_header::parse(&bytes), Ok(Some(_))));
    }
    for (what, n) in [("version 1", first), ("version 2", second)] {
        assert!((100..900).contains(&n), "{n} of 1000 of {what} are taken");
    }
}
