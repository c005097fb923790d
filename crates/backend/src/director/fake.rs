//! Members of a director that fare as a test says, and requests by the number.

use super::{Choice, Field};
use crate::ask::Ask;
use copal_semantics::RequestHead;
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};

/// Members with shares, loads and latencies.
pub(crate) struct Fake {
    pub(crate) shares: Vec<u64>,
    pub(crate) loads: Vec<Cell<u64>>,
    pub(crate) latencies_us: Vec<f64>,
}

impl Fake {
    /// All well and idle.
    pub(crate) fn well(n: usize) -> Fake {
        Fake { shares: vec![1000; n], loads: vec![Cell::new(0); n], latencies_us: vec![1000.0; n] }
    }

    /// Those with a share of 0 are sick.
    pub(crate) fn shares(shares: &[u64]) -> Fake {
        Fake { shares: shares.to_vec(), ..Fake::well(shares.len()) }
    }
}

impl Field for Fake {
    fn share(&self, member: usize) -> u64 {
        self.shares[member]
    }
    fn load(&self, member: usize) -> u64 {
        self.loads[member].get()
    }
    fn latency_us(&self, member: usize) -> f64 {
        self.latencies_us[member]
    }
}

/// The members' letters for `n` picks.
pub(crate) fn letters(n: usize, mut pick: impl FnMut() -> Choice) -> String {
    (0..n)
        .map(|_| match pick() {
            Choice::Member(i) => char::from(b'a' + u8::try_from(i).expect("few members")),
            Choice::NoneHealthy => '-',
        })
        .collect()
}

/// How many of the picks for the requests /0 to /n−1 went to each of the members; panics when one went nowhere.
pub(crate) fn spread(n: usize, members: usize, mut pick: impl FnMut(&Ask<'_>) -> Choice) -> Vec<usize> {
    let mut counts = vec![0; members];
    for i in homes(n, &mut pick) {
        counts[i] += 1;
    }
    counts
}

/// Where the requests /0 to /n−1 went.
pub(crate) fn homes(n: usize, mut pick: impl FnMut(&Ask<'_>) -> Choice) -> Vec<usize> {
    let mut head = RequestHead::default();
    (0..n)
        .map(|i| {
            head.url = format!("/{i}");
            let ip = Ipv4Addr::from(u32::try_from(i).expect("few requests"));
            match pick(&Ask { head: &head, key: &[], client: IpAddr::V4(ip), bound: b"", tried: &[] }) {
                Choice::Member(i) => i,
                Choice::NoneHealthy => panic!("nobody for {}", head.url),
            }
        })
        .collect()
}
