//! Measures the memory per stored object: `cargo run --release -p copal-store --example rss [objects] [--hit] [--tags]`.
//!
//! Bodies of 1 KB, typical heads of 300 bytes, keys of about 50. Prints resident bytes per object beyond the body, what the
//! store's own ledger says, and the time per insert and lookup. `--hit` reads each object once before measuring. `--tags`
//! gives each object ten tags, eight of five thousand, one of a share of all, and one of its own, and purges by them at the end.

use bytes::Bytes;
use copal_semantics::ResponseHead;
use copal_semantics::time::{Span, Time};
use copal_store::{KeyBuf, NewObject, PurgeMode, StorageId, Store, StoreOptions, Times};
use std::borrow::Cow;
use std::sync::Arc;

const BODY: usize = 1024;
/// The tags of a hundredth and of a tenth of the objects.
const HUNDREDTH: &str = "a hundredth";
const TENTH: &str = "a tenth";

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::disallowed_methods, reason = "it measures time")]
pub(crate) async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let count = args.iter().find_map(|a| a.parse().ok()).unwrap_or(200_000u64);
    let store = Store::new(StoreOptions { size: 8 << 30, ..StoreOptions::default() });
    let mut key = KeyBuf::default();
    let (head, received) = head();
    let now = Time::from_secs(1_700_000_000);
    let mut keys = 0;
    let tagged = args.iter().any(|a| a == "--tags");
    fill(&store, &mut key, &head, now, u64::MAX, tagged).await;
    let before = resident();
    let start = std::time::Instant::now();
    for n in 0..count {
        keys += fill(&store, &mut key, &head, now, n, tagged).await;
    }
    let insert = start.elapsed().as_nanos() as u64 / count;
    store.run_expiry(now);
    let start = std::time::Instant::now();
    let mut found = 0;
    for n in 0..count {
        name(&mut key, n);
        let object = store.lookup(key.as_bytes(), store.hash(key.as_bytes()), &|_, _| {}, now);
        found += u64::from(object.is_some_and(|o| o.body().whole_slice().is_some_and(|b| b.len() == BODY)));
    }
    let lookup = start.elapsed().as_nanos() as u64 / count;
    if args.iter().any(|a| a == "--hit") {
        for n in 0..count {
            name(&mut key, n);
            let object = store.lookup(key.as_bytes(), store.hash(key.as_bytes()), &|_, _| {}, now);
            drop(object.and_then(|o| o.body().whole()));
        }
    }
    store.run_expiry(now);
    let per_object = (resident() - before) / count;
    let key_bytes = keys / count;
    let packed = head.len();
    println!("{count} objects, {found} found; body {BODY}, head {received} (packed {packed}), key {key_bytes} bytes");
    println!("resident beyond the body:           {} bytes per object", per_object as usize - BODY);
    println!(
        "resident beyond body, packed head and key: {} bytes",
        per_object as usize - BODY - packed - key_bytes as usize
    );
    println!("the ledger charges for that:        {} bytes", copal_store::OBJECT_OVERHEAD_BYTES);
    let beyond = per_object as usize - BODY - packed - key_bytes as usize;
    assert!(tagged || beyond as u64 <= copal_store::OBJECT_OVERHEAD_BYTES, "the ledger charges too little");
    println!("ledger in all: {} bytes per object; insert {insert} ns, lookup {lookup} ns", store.stats().bytes / count);
    if tagged {
        purge_by_tags(&store, now);
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures time")]
fn purge_by_tags(store: &Store, now: Time) {
    let mut each = Vec::new();
    for tag in ["own-77", "tag-7", HUNDREDTH, TENTH] {
        let start = std::time::Instant::now();
        let purged = store.purge_tags(&[tag], PurgeMode::Hard, now);
        let took = start.elapsed();
        println!("purged {purged} by {tag:?} in {took:?}");
        each.push(took.as_secs_f64() / purged.max(1) as f64);
    }
    println!("each of a tenth took {:.2} times as long as each of a hundredth", each[3] / each[2]);
    let start = std::time::Instant::now();
    let all = (0..5000).map(|n| store.purge_tags(&[format!("tag-{n}")], PurgeMode::Hard, now)).sum::<u64>();
    let (took, left) = (start.elapsed(), store.stats());
    println!("purged {all} in {took:?}; {} tags and {} bytes are left", left.tags, left.bytes);
}

/// A head as application servers send it, packed, and its length as received.
fn head() -> (Box<[u8]>, usize) {
    let head = ResponseHead::new(
        200,
        [
            ("Server", "gunicorn"),
            ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "max-age=3600"),
            ("ETag", "\"d41d8cd98f00b204e9800998ecf8427e\""),
            ("Last-Modified", "Fri, 20 Nov 2026 08:30:00 GMT"),
            ("Vary", "Accept-Encoding"),
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "same-origin"),
        ],
    );
    (head.encode(), head.headers.wire_len())
}

fn name(key: &mut KeyBuf, n: u64) {
    key.clear();
    key.add(b"www.example.org");
    key.add(format!("/articles/{n:08}/index.html").as_bytes());
}

async fn fill(store: &Arc<Store>, key: &mut KeyBuf, head: &[u8], now: Time, n: u64, tagged: bool) -> u64 {
    let tags: Vec<Cow<'_, [u8]>> = if tagged {
        let share = if n.is_multiple_of(100) {
            HUNDREDTH
        } else if n % 10 == 5 {
            TENTH
        } else {
            "most"
        };
        let of_many = (0..8).map(|t| format!("tag-{}", (n % 5000 * 7 + t * 541) % 5000));
        of_many.chain([share.to_owned(), format!("own-{n}")]).map(|tag| tag.into_bytes().into()).collect()
    } else {
        Vec::new()
    };
    name(key, n);
    let times = Times { keep: Span::from_secs(3600), ..Times::fresh(now, Span::from_secs(120)) };
    let (_, mut writer) = store.insert_streaming(NewObject {
        key: key.as_bytes(),
        hash: store.hash(key.as_bytes()),
        vary_names: &[],
        vary: &|_, _| {},
        head,
        times,
        body_hint: Some(BODY as u64),
        tags: &tags,
        storage: StorageId::MAIN,
    });
    writer.push(Bytes::from(vec![b'b'; BODY])).await.expect("stored bodies never stop");
    writer.finish(None);
    key.as_bytes().len() as u64
}

/// Resident bytes of this process; pages are 4 KiB on the machines this runs on.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = statm.split(' ').nth(1).and_then(|n| n.parse().ok()).expect("a number");
    pages * 4096
}
