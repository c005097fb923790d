//! Hit ratios of the eviction policies on made-up traces: `cargo bench -p copal-store --bench traces [requests]`.
//!
//! ```text
//!  zipf s       popularity of rank k is 1/k^s; sites have 0.7 to 1.1
//!  scan         zipf 0.9, and between every three requests one for a page that nobody asks for twice (a crawler)
//!  burst scan   zipf 0.9, and now and then a run through 20,000 pages at once
//!  fashion      zipf 0.9, and every 20,000 requests the most popular thousand are others than before
//!  sizes        zipf 0.9 over bodies of 300 bytes to 1 MB, most of them small
//! ```
//!
//! The same seed gives the same trace. A miss stores what was asked for, as the proxy does. The first half warms up, the
//! second half counts. docs/decisions/eviction.md has the figures.

use bytes::Bytes;
use copal_semantics::time::{Span, Time};
use copal_store::{Eviction, NewObject, StorageId, Store, StoreOptions, Times};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

const NOW: Time = Time::from_secs(1_700_000_000);
/// Pages that a trace chooses from.
const PAGES: usize = 100_000;
const BODY: usize = 2000;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From 0 to 1.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are kept")]
    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Ranks by Zipf's law.
struct Zipf(Vec<f64>);

impl Zipf {
    #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
    fn new(pages: usize, s: f64) -> Zipf {
        let mut sum = 0.0;
        let mut sums: Vec<f64> = (1..=pages)
            .map(|k| {
                sum += (k as f64).powf(-s);
                sum
            })
            .collect();
        sums.iter_mut().for_each(|x| *x /= sum);
        Zipf(sums)
    }

    fn rank(&self, dice: &mut Dice) -> usize {
        let share = dice.share();
        self.0.partition_point(|sum| *sum < share).min(self.0.len() - 1)
    }
}

/// The pages that are asked for, one after the other.
type Trace = Box<dyn Iterator<Item = u64>>;

fn zipf(s: f64) -> Trace {
    let (ranks, mut dice) = (Zipf::new(PAGES, s), Dice(7));
    Box::new(std::iter::repeat_with(move || ranks.rank(&mut dice) as u64))
}

fn scan() -> Trace {
    let mut pages = zipf(0.9);
    Box::new((0u64..).map(move |n| if n % 4 == 3 { (1 << 40) + n } else { pages.next().unwrap_or(0) }))
}

fn burst_scan() -> Trace {
    let mut pages = zipf(0.9);
    Box::new((0u64..).map(move |n| {
        let in_burst = n % 100_000 >= 80_000;
        // Each burst reads pages that no other has.
        if in_burst { (1 << 40) + n } else { pages.next().unwrap_or(0) }
    }))
}

fn fashion() -> Trace {
    let mut pages = zipf(0.9);
    Box::new((0u64..).map(move |n| match pages.next().unwrap_or(0) {
        rank @ 0..1000 => (1 << 40) + (n / 20_000) * 1000 + rank,
        rank => rank,
    }))
}

/// Bytes of a page's body: most have some thousand, some have a hundred times as much.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 300 to a million")]
fn mixed(page: u64) -> usize {
    let share = Dice(mix(page)).share();
    (300.0 * (1.0 / (1.0 - share * 0.9995)).powf(1.07)).min(1e6) as usize
}

fn put(store: &Arc<Store>, key: &[u8], hash: u128, len: usize, zeros: &Bytes) {
    let (_, mut writer) = store.insert_streaming(NewObject {
        key,
        hash,
        vary_names: &[],
        vary: &|_, _| {},
        head: &[0; 70],
        times: Times::fresh(NOW, Span::from_secs(3600)),
        body_hint: Some(len as u64),
        tags: &[],
        storage: StorageId::MAIN,
    });
    for from in (0..len).step_by(64 << 10) {
        let piece = zeros.slice(0..(len - from).min(64 << 10));
        let mut push = pin!(writer.push(piece));
        // One that was turned down stops: nobody reads it.
        if !matches!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())), std::task::Poll::Ready(Ok(()))) {
            return;
        }
    }
    writer.finish(None);
}

struct Ratio {
    objects: f64,
    bytes: f64,
}

#[expect(clippy::cast_precision_loss, reason = "shares for people")]
fn play(trace: Trace, size: u64, len: fn(u64) -> usize, requests: usize, eviction: Eviction) -> Ratio {
    let store = Store::new(StoreOptions { size, eviction, ..StoreOptions::default() });
    let zeros = Bytes::from(vec![0; 64 << 10]);
    let (mut asked, mut hits, mut bytes_asked, mut bytes_hit) = (0u64, 0u64, 0u64, 0u64);
    for (n, page) in trace.take(requests).enumerate() {
        let key = page.to_le_bytes();
        let hash = store.hash(&key);
        let len = len(page);
        let hit = store.lookup(&key, hash, &|_, _| {}, NOW).is_some();
        if !hit {
            put(&store, &key, hash, len, &zeros);
        }
        if n >= requests / 2 {
            asked += 1;
            bytes_asked += len as u64;
            hits += u64::from(hit);
            bytes_hit += if hit { len as u64 } else { 0 };
        }
        if n % 1000 == 0 {
            store.run_expiry(NOW);
        }
    }
    assert!(store.stats().bytes <= size, "{:?}", store.stats());
    Ratio { objects: hits as f64 / asked as f64, bytes: bytes_hit as f64 / bytes_asked as f64 }
}

fn main() {
    let requests = std::env::args().find_map(|a| a.parse().ok()).unwrap_or(1_000_000);
    let same: fn(u64) -> usize = |_| BODY;
    type Kind = (&'static str, fn() -> Trace, fn(u64) -> usize);
    let kinds: [Kind; 7] = [
        ("zipf 0.7", || zipf(0.7), same),
        ("zipf 0.9", || zipf(0.9), same),
        ("zipf 1.1", || zipf(1.1), same),
        ("scan", scan, same),
        ("burst scan", burst_scan, same),
        ("fashion", fashion, same),
        ("sizes", || zipf(0.9), mixed),
    ];
    println!("| trace | room for | lru | tiny_lfu | bytes, lru | bytes, tiny_lfu |\n|---|---:|---:|---:|---:|---:|");
    for (name, trace, len) in kinds {
        let all: u64 = (0..PAGES as u64).map(|page| len(page) as u64 + 700).sum();
        for percent in [1, 5, 20] {
            let of = |eviction| play(trace(), (all * percent / 100).max(1 << 20), len, requests, eviction);
            let (lru, lfu) = (of(Eviction::Lru), of(Eviction::TinyLfu));
            println!(
                "| {name} | {percent} % | {:.1} % | {:.1} % | {:.1} % | {:.1} % |",
                100.0 * lru.objects,
                100.0 * lfu.objects,
                100.0 * lru.bytes,
                100.0 * lfu.bytes
            );
        }
    }
}
