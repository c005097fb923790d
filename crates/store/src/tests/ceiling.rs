//! Tests of the ceiling on memory, under churn and with readers that hold on.

use super::{NOW, at, find, new, plain, put, store, ttl};
use crate::live::{CHUNK_BYTES, PIECE_BYTES};
use crate::{NewObject, PurgeMode, Store, StoreOptions};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What each writer may be ahead of the eviction it causes: the piece it has just pushed, the spare room of the chunk it
/// fills, and what moka frees a few epochs late.
const SLACK_PER_WRITER: u64 = 3 * CHUNK_BYTES as u64;

fn body_of(key: u64) -> Bytes {
    let len = usize::try_from(key * 7919 % 90_000).expect("small") + 10;
    (0..len).map(|i| (i as u64 + key) as u8).collect()
}

#[test]
fn eight_threads_of_churn_stay_within_the_ceiling_and_serve_no_wrong_byte() {
    const SIZE: u64 = 8 << 20;
    const THREADS: u64 = 8;
    let store = Store::new(StoreOptions { size: SIZE, ..StoreOptions::default() });
    let (peak, stop, hits) = (AtomicU64::new(0), AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (store, peak, hits) = (&store, &peak, &hits);
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
                    runtime.block_on(async {
                        let mut dice = thread + 1;
                        for _ in 0..3000 {
                            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                            let key = (dice >> 33) % 400;
                            let name = format!("key {key}");
                            if let Some(found) = find(store, &name, NOW) {
                                assert_eq!(found.key(), name.as_bytes());
                                if let Some(mut reader) = found.body().reader() {
                                    let mut got = Vec::new();
                                    while let Some(Some(Ok(bytes))) = reader.try_next() {
                                        got.extend_from_slice(&bytes);
                                    }
                                    assert!(body_of(key).starts_with(&got));
                                    hits.fetch_add(1, Ordering::Relaxed);
                                }
                            } else {
                                let (object, mut writer) =
                                    store.insert_streaming(new(store, name.as_bytes(), ttl(1000)));
                                let body = body_of(key);
                                let _reader = object.body().reader();
                                for part in body.chunks(16_000) {
                                    if writer.push(body.slice_ref(part)).await.is_err() {
                                        break;
                                    }
                                    peak.fetch_max(store.stats().bytes, Ordering::Relaxed);
                                    // A window would wait for the reader that this thread is itself.
                                    if !writer.is_stored() {
                                        break;
                                    }
                                }
                                if writer.written() == body.len() as u64 {
                                    writer.finish(None);
                                }
                            }
                            if dice % 50 == 0 {
                                store.purge(name.as_bytes(), store.hash(name.as_bytes()), PurgeMode::Hard, NOW);
                            }
                        }
                    });
                })
            })
            .collect();
        scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                store.run_expiry(at(n % 900));
                peak.fetch_max(store.stats().bytes, Ordering::Relaxed);
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
        });
        // The last scope thread ends when the workers have: their panics come out here.
        let results: Vec<_> = workers.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        stop.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "a worker failed");
    });
    let (peak, stats) = (peak.into_inner(), store.stats());
    println!("peak {peak} of {SIZE}, hits {}, {stats:?}", hits.load(Ordering::Relaxed));
    assert!(peak <= SIZE + THREADS * SLACK_PER_WRITER, "peak {peak}");
    assert!(peak > SIZE * 9 / 10, "the store was full");
    assert!(stats.evictions > 1000 && hits.into_inner() > 1000, "{stats:?}");
    assert!(stats.bytes > SIZE / 2, "eviction does not overshoot: {stats:?}");
    assert_eq!(stats.in_flight_bytes, 0);
    assert!(stats.bytes <= SIZE, "{stats:?}");
    store.shelf().set_ballast(crate::StorageId::MAIN, 0);
    assert_eq!(
        store.shelf().moka_bytes(),
        store.shelf().shelved_bytes(crate::StorageId::MAIN),
        "moka's sum has not drifted"
    );
    let objects = store.stats().objects;
    assert_eq!(store.shelf().books().wheel.len() as u64, objects, "what was evicted left the wheel");
}

#[tokio::test]
async fn an_evicted_object_that_is_still_read_counts_and_others_make_room_for_it() {
    let store = store(1 << 20);
    let held = put(&store, "held", &[1; 400_000], ttl(10)).await;
    let mut reader = held.body().reader().expect("there");
    drop(held);
    for n in 0..100 {
        put(&store, &n.to_string(), &[0; 50_000], ttl(10)).await;
        assert!(store.stats().bytes <= 1 << 20, "{n}: {:?}", store.stats());
    }
    assert!(find(&store, "held", NOW).is_none());
    let objects = store.stats().objects;
    assert!((8..13).contains(&objects), "room beside the held one: {objects}");
    assert_eq!(reader.next().await, Some(Ok(Bytes::from(vec![1; 400_000][..65_536].to_vec()))));
    drop(reader);
    for n in 0..50 {
        put(&store, &n.to_string(), &[0; 50_000], ttl(10)).await;
        store.run_expiry(NOW);
    }
    assert!(store.stats().objects >= 18, "the held bytes came back: {:?}", store.stats());
}

#[tokio::test]
async fn uncacheable_bodies_in_flight_take_their_room_from_the_shelf() {
    let store = store(1 << 20);
    for n in 0..20 {
        put(&store, &n.to_string(), &[0; 50_000], ttl(10)).await;
    }
    let mut streams = Vec::new();
    for _ in 0..8 {
        let (reader, mut writer) = store.transit_body(100_000);
        writer.push(Bytes::from(vec![0; 100_000])).await.expect("read");
        assert!(store.stats().bytes <= 1 << 20, "{:?}", store.stats());
        streams.push((reader, writer));
    }
    assert_eq!(store.stats().in_flight_bytes, 800_000 + 8 * PIECE_BYTES);
    assert!(store.stats().objects >= 3, "{:?}", store.stats());
}

#[tokio::test]
async fn an_object_evicted_while_it_comes_becomes_a_window() {
    let store = Store::new(StoreOptions { size: 1 << 20, window: 50_000, ..StoreOptions::default() });
    let (object, mut writer) = store.insert_streaming(new(&store, b"k", ttl(10)));
    let mut reader = object.body().reader().expect("there");
    writer.push(Bytes::from(vec![7; 10_000])).await.expect("stored");
    for n in 0..40 {
        put(&store, &n.to_string(), &[0; 50_000], ttl(10)).await;
    }
    assert!(!object.is_stored(), "the least recently used one was in flight");
    for _ in 0..30 {
        reader.next().await.expect("more").expect("no fault");
        writer.push(Bytes::from(vec![7; 40_000])).await.expect("read");
        assert!(store.stats().in_flight_bytes <= 110_000, "{:?}", store.stats());
    }
    writer.finish(None);
    while let Some(next) = reader.next().await {
        next.expect("no fault");
    }
    assert_eq!(reader.offset(), 10_000 + 30 * 40_000);
    assert!(find(&store, "k", NOW).is_none());
}

#[tokio::test]
async fn when_nothing_can_go_nothing_is_refused() {
    let store = store(100_000);
    let streams: Vec<_> = (0..20).map(|_| store.transit_body(50_000)).collect();
    let mut kept = Vec::new();
    for (reader, mut writer) in streams {
        writer.push(Bytes::from(vec![0; 50_000])).await.expect("never refused");
        kept.push((reader, writer));
    }
    let (object, mut writer) = store.insert_streaming(new(&store, b"k", ttl(10)));
    let mut reader = object.body().reader().expect("there");
    writer.push(Bytes::from_static(b"small")).await.expect("read");
    writer.finish(None);
    assert!(!object.is_stored(), "there is no room for it now");
    assert_eq!(reader.next().await, Some(Ok(Bytes::from_static(b"small"))), "who has it reads it");
    assert_eq!(reader.next().await, None);
    drop(kept);
    store.run_expiry(NOW);
    put(&store, "k", b"small", ttl(10)).await;
    assert!(find(&store, "k", NOW).is_some());
}

#[test]
fn many_variants_at_one_key_from_many_threads_keep_their_bodies_apart() {
    let store = store(2 << 20);
    let names = [Box::from("v")];
    std::thread::scope(|scope| {
        for thread in 0..4u64 {
            let (store, names) = (Arc::clone(&store), &names);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
                for n in 0..2000u64 {
                    let value = ((n * 31 + thread * 17) % 300).to_string();
                    let vary = |_: &[Box<str>], feed: &mut dyn FnMut(&[u8])| feed(value.as_bytes());
                    let hash = store.hash(b"k");
                    if let Some(found) = store.lookup(b"k", hash, &vary, NOW) {
                        if let Some(body) = found.body().whole() {
                            assert_eq!(&body[..value.len() + 1], format!("{value}.").as_bytes());
                        }
                        continue;
                    }
                    let fresh = NewObject { vary_names: names, vary: &vary, ..new(&store, b"k", ttl(100)) };
                    let (_, mut writer) = store.insert_streaming(fresh);
                    let body = Bytes::from(format!("{value}.{}", "x".repeat(30_000)));
                    if runtime.block_on(writer.push(body)).is_ok() {
                        writer.finish(None);
                    }
                    if n % 500 == 499 {
                        store.purge(b"k", hash, PurgeMode::Hard, NOW);
                    }
                }
            });
        }
    });
    store.purge(b"k", store.hash(b"k"), PurgeMode::Hard, NOW);
    assert!(store.lookup(b"k", store.hash(b"k"), &plain, NOW).is_none());
    for n in 0..50 {
        store.run_expiry(at(n));
    }
    let stats = store.stats();
    assert_eq!((stats.objects, stats.bytes), (0, 0), "{stats:?}");
}
