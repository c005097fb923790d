//! Tests of bodies: read while written, faults, windows.

use super::{NOW, find, new, store, ttl};
use crate::live::{CHUNK_BYTES, PIECE_BYTES};
use crate::{BodyFault, BodyWriter, NewObject, NoReaders, Object, Reader, Store, StoreOptions};
use bytes::Bytes;
use copal_semantics::headers::Headers;
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;

fn begin(store: &Arc<Store>) -> (Arc<Object>, BodyWriter) {
    store.insert_streaming(new(store, b"k", ttl(10)))
}

fn pattern(len: usize) -> Bytes {
    (0..len).map(|i| u8::try_from(i % 251).expect("small")).collect()
}

/// `len` bytes in pieces that each begin the pattern anew.
fn pattern_of(len: u64, piece: usize) -> Vec<u8> {
    pattern(piece).iter().copied().cycle().take(usize::try_from(len).expect("small")).collect()
}

async fn drain(mut reader: Reader) -> Result<Vec<u8>, (Vec<u8>, BodyFault)> {
    let mut all = Vec::new();
    while let Some(next) = reader.next().await {
        match next {
            Ok(bytes) => all.extend_from_slice(&bytes),
            Err(fault) => return Err((all, fault)),
        }
    }
    Ok(all)
}

/// Fails instead of hanging when a wake-up is lost.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_readers_at_different_times_get_every_byte_once() {
    let store = store(64 << 20);
    for (len, piece) in [(10, 1), (1000, 7), (CHUNK_BYTES, 1000), (CHUNK_BYTES + 1, 4096), (3_000_000, 8192)] {
        let (object, mut writer) = begin(&store);
        let all = pattern(len);
        let early: Vec<_> = (0..4).map(|_| tokio::spawn(drain(object.body().reader().expect("there")))).collect();
        let mut late = Vec::new();
        for (n, part) in all.chunks(piece).enumerate() {
            writer.push(all.slice_ref(part)).await.expect("stored");
            if n % 50 == 1 {
                late.push(tokio::spawn(drain(object.body().reader().expect("all is kept"))));
                tokio::task::yield_now().await;
            }
        }
        assert!(!object.body().is_complete() && object.body().whole().is_none());
        writer.finish(None);
        for reader in early.into_iter().chain(late) {
            assert!(soon(reader).await.expect("no panic").as_deref() == Ok(&all[..]));
        }
        assert_eq!(object.body().len_known(), Some(len as u64));
        assert_eq!(object.body().whole().is_some(), len <= CHUNK_BYTES);
        assert_eq!(object.body().charged(), len as u64, "no spare capacity is kept");
        let from = len as u64 / 2;
        let rest = drain(object.body().reader_at(from).expect("complete")).await;
        assert!(rest.as_deref() == Ok(&all[len / 2..]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn finishing_while_readers_look_loses_nothing() {
    let store = store(64 << 20);
    for round in 0..2000 {
        let (object, mut writer) = begin(&store);
        let readers: Vec<_> = (0..3).map(|_| tokio::spawn(drain(object.body().reader().expect("there")))).collect();
        writer.push(Bytes::from_static(b"hello ")).await.expect("stored");
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        writer.push(Bytes::from_static(b"world")).await.expect("stored");
        writer.finish(None);
        for reader in readers {
            assert_eq!(soon(reader).await.expect("no panic").as_deref(), Ok(&b"hello world"[..]));
        }
    }
}

#[tokio::test]
async fn every_reader_of_an_aborted_body_sees_the_fault_and_the_object_is_gone() {
    let store = store(1 << 20);
    let (object, mut writer) = begin(&store);
    let waiting = tokio::spawn(drain(object.body().reader().expect("there")));
    tokio::task::yield_now().await;
    writer.push(Bytes::from_static(b"half")).await.expect("stored");
    assert!(find(&store, "k", NOW).is_some(), "readable while it comes");
    let mut early = object.body().reader().expect("there");
    writer.abort(BodyFault::Truncated);
    assert_eq!(soon(waiting).await.expect("no panic"), Err((b"half".to_vec(), BodyFault::Truncated)));
    assert_eq!(early.next().await, Some(Ok(Bytes::from_static(b"half"))));
    assert_eq!(early.next().await, Some(Err(BodyFault::Truncated)));
    assert_eq!(early.next().await, Some(Err(BodyFault::Truncated)), "and again, never a clean end");
    assert_eq!(object.body().fault(), Some(BodyFault::Truncated));
    assert!(!object.body().is_complete() && find(&store, "k", NOW).is_none());
    assert_eq!(store.stats().in_flight_bytes, 0);
}

#[tokio::test]
async fn a_writer_dropped_unfinished_is_a_fault() {
    let store = store(1 << 20);
    let (object, mut writer) = begin(&store);
    writer.push(Bytes::from_static(b"all of it, perhaps")).await.expect("stored");
    drop(writer);
    let (_, fault) = drain(object.body().reader().expect("there")).await.expect_err("a fault");
    assert_eq!(fault, BodyFault::Stopped);
    assert!(!object.is_stored());
}

#[tokio::test]
async fn a_window_holds_the_writer_until_the_slowest_reader_has_room() {
    let store = store(1 << 20);
    let (mut slow, mut writer) = store.transit_body(1000);
    let mut fast = slow.body().reader().expect("from the start");
    for _ in 0..10 {
        writer.push(pattern(100)).await.expect("read");
    }
    while fast.offset() < 1000 {
        fast.next().await.expect("more").expect("no fault");
    }
    assert!((1000..2000).contains(&store.stats().bytes), "{:?}", store.stats());
    let pushed = tokio::time::timeout(Duration::from_millis(20), writer.push(pattern(100))).await;
    assert!(pushed.is_err(), "the window is full for the slow reader");
    let writer = tokio::spawn(async move { writer.push(pattern(100)).await.map(|()| writer) });
    tokio::task::yield_now().await;
    let first = slow.next().await.expect("more").expect("no fault");
    let writer = soon(writer).await.expect("no panic").expect("read");
    assert_eq!(writer.written(), 1100);
    assert!(slow.body().reader().is_none(), "the start is gone");
    assert!(slow.body().reader_at(first.len() as u64).is_some());
    writer.finish(None);
    assert_eq!(drain(slow).await.map(|b| b.len()), Ok(1100 - first.len()));
    assert_eq!(drain(fast).await.map(|b| b.len()), Ok(100));
    assert_eq!(store.stats().bytes, 0);
}

#[tokio::test]
async fn a_piece_larger_than_the_window_passes_when_it_is_empty() {
    let (mut reader, mut writer) = store(1 << 20).transit_body(10);
    writer.push(pattern(100)).await.expect("read");
    assert_eq!(reader.next().await, Some(Ok(pattern(100))));
    writer.push(pattern(100)).await.expect("read");
}

/// Pushes pieces of `piece` bytes until the window is full; how many bytes it took, and the most that it counted as held.
async fn filled(store: &Store, writer: &mut BodyWriter, piece: usize) -> (u64, u64) {
    let mut most = 0;
    while tokio::time::timeout(Duration::ZERO, writer.push(pattern(piece))).await.is_ok_and(|pushed| pushed.is_ok()) {
        most = most.max(store.ledger().used());
        assert!(writer.written() < 10 << 20, "it never fills");
    }
    (writer.written(), most)
}

#[tokio::test]
async fn a_window_of_single_bytes_holds_little_more_than_its_limit() {
    const LIMIT: u64 = 200_000;
    for piece in [1, 2, 7, 100, 5_000, 24_999, 25_000, 60_000] {
        let store = store(1 << 20);
        let (reader, mut writer) = store.transit_body(LIMIT);
        let (taken, most) = filled(&store, &mut writer, piece).await;
        assert!(taken + piece as u64 > LIMIT && taken <= LIMIT, "{taken} bytes in pieces of {piece}");
        assert!(most <= LIMIT + LIMIT / 4 + 16 * PIECE_BYTES, "{most} bytes held for {taken} in pieces of {piece}");
        writer.finish(None);
        assert!(drain(reader).await.as_deref() == Ok(&pattern_of(taken, piece)[..]));
        assert_eq!(store.ledger().used(), 0, "pieces of {piece}");
    }
}

#[tokio::test]
async fn what_waits_in_a_window_is_counted_with_the_room_it_takes() {
    let store = store(1 << 20);
    let (_reader, mut writer) = store.transit_body(400_000);
    let (mut counted, mut capacity) = (0, 0);
    for n in 0..100_000u64 {
        writer.push(pattern(1)).await.expect("read");
        let used = store.ledger().used();
        assert!(used > n, "{used} bytes for {n}");
        if used != counted {
            (counted, capacity) = (used, capacity + 1);
        }
    }
    assert!(capacity < 30, "the account moves with the room, not with each byte: {capacity} steps");
}

#[tokio::test]
async fn a_piece_is_read_at_once_also_when_others_wait_for_a_slower_reader() {
    let store = store(1 << 20);
    let (slow, mut writer) = store.transit_body(1000);
    let mut fast = slow.body().reader().expect("from the start");
    for n in 0..900 {
        assert_eq!(fast.try_next(), None, "nothing yet");
        writer.push(Bytes::from(vec![u8::try_from(n % 251).expect("small")])).await.expect("read");
        let first = fast.try_next().expect("there").expect("more").expect("no fault");
        assert_eq!(first[..], [u8::try_from(n % 251).expect("small")], "byte {n}");
    }
    drop(fast);
    writer.finish(None);
    assert!(drain(slow).await.as_deref() == Ok(&pattern(900)[..]));
}

#[tokio::test]
async fn a_window_holds_nothing_before_the_place_where_its_readers_begin() {
    let store = store(8 << 20);
    let (first, mut writer) = store.transit_body(1000);
    let mut late = first.body().reader_at(500_000).expect("it may come");
    drop(first);
    let all = pattern(500_300);
    for part in all.chunks(100) {
        soon(writer.push(all.slice_ref(part))).await.expect("somebody waits for it");
        assert!(store.stats().bytes < 2000, "{:?}", store.stats());
    }
    assert_eq!(late.try_next(), Some(Some(Ok(all.slice(500_000..500_100)))));
    writer.finish(None);
    assert_eq!(drain(late).await.map(|rest| rest.len()), Ok(200));
}

#[tokio::test]
async fn a_window_that_nobody_reads_stops_the_writer_even_while_it_waits() {
    let store = store(1 << 20);
    let (reader, mut writer) = store.transit_body(10);
    writer.push(pattern(10)).await.expect("read");
    let waiting = tokio::spawn(async move { writer.push(pattern(10)).await });
    tokio::task::yield_now().await;
    drop(reader);
    assert_eq!(soon(waiting).await.expect("no panic"), Err(NoReaders));
    assert_eq!(store.stats().bytes, 0);
}

#[tokio::test]
async fn a_stored_body_goes_on_without_readers() {
    let store = store(1 << 20);
    let (object, mut writer) = begin(&store);
    drop(object.body().reader());
    writer.push(pattern(100_000)).await.expect("nobody reads, all the same");
    writer.finish(None);
    assert_eq!(find(&store, "k", NOW).and_then(|o| o.body().len_known()), Some(100_000));
}

#[tokio::test]
async fn a_body_that_outgrows_the_store_streams_on_through_a_window() {
    let store = Store::new(StoreOptions {
        size: 4 << 20,
        object_size_max: 200_000,
        window: 100_000,
        ..StoreOptions::default()
    });
    let (object, mut writer) = begin(&store);
    let reader = tokio::spawn(drain(object.body().reader().expect("there")));
    let all = pattern(5_000_000);
    for part in all.chunks(10_000) {
        soon(writer.push(all.slice_ref(part))).await.expect("read");
        assert!(store.stats().bytes < 320_000, "{:?}", store.stats());
    }
    assert!(!writer.is_stored());
    writer.finish(None);
    assert!(soon(reader).await.expect("no panic").as_deref() == Ok(&all[..]));
    assert!(!object.is_stored() && !object.body().is_complete() && find(&store, "k", NOW).is_none());
    assert_eq!(store.stats().outgrown, 1);
}

#[tokio::test]
async fn a_body_purged_while_it_comes_goes_on_for_its_readers_and_stops_without() {
    let store = store(4 << 20);
    let (object, mut writer) = begin(&store);
    let reader = tokio::spawn(drain(object.body().reader().expect("there")));
    writer.push(pattern(1000)).await.expect("stored");
    assert_eq!(store.purge(b"k", store.hash(b"k"), crate::PurgeMode::Hard, NOW), 1);
    writer.push(pattern(1000)).await.expect("still read");
    writer.finish(None);
    assert_eq!(soon(reader).await.expect("no panic").map(|b| b.len()), Ok(2000));
    assert!(find(&store, "k", NOW).is_none(), "finishing does not bring it back");

    let (object, mut writer) = begin(&store);
    store.unstore(&object);
    assert_eq!(writer.push(pattern(1)).await, Err(NoReaders));
}

#[tokio::test]
async fn trailers_are_kept() {
    let store = store(1 << 20);
    let trailers: Headers = [("Checksum", "1")].into_iter().collect();
    let (object, mut writer) = begin(&store);
    let mut reader = object.body().reader().expect("there");
    writer.push(Bytes::from_static(b"x")).await.expect("stored");
    writer.finish(Some(trailers.clone()));
    assert_eq!(reader.next().await, Some(Ok(Bytes::from_static(b"x"))));
    assert_eq!(reader.next().await, None);
    assert_eq!((reader.trailers().as_ref(), object.body().trailers()), (Some(&trailers), Some(&trailers)));
    let (mut reader, writer) = store.transit_body(10);
    writer.finish(Some(trailers.clone()));
    assert_eq!(reader.next().await, None);
    assert_eq!(reader.trailers(), Some(trailers));
}

#[tokio::test]
async fn a_wrong_length_hint_does_no_harm() {
    let store = store(1 << 20);
    for hint in [0, 3, u64::MAX] {
        let (object, mut writer) =
            store.insert_streaming(NewObject { body_hint: Some(hint), ..new(&store, b"k", ttl(9)) });
        writer.push(Bytes::from_static(b"12345")).await.expect("stored");
        writer.finish(None);
        assert_eq!(object.body().whole_slice(), Some(&b"12345"[..]));
        assert_eq!(object.body().charged(), 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn any_interleaving_of_writing_reading_and_switching_gives_the_bytes_in_order(
        steps in proptest::collection::vec((0..6u8, 1..40_000usize), 1..60),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        runtime.block_on(async {
            let store = store(64 << 20);
            let (object, mut writer) = begin(&store);
            let mut readers = vec![(0, object.body().reader().expect("there"), Vec::new())];
            let mut written = Vec::new();
            for (what, n) in steps {
                match what {
                    0..=2 => {
                        let bytes: Bytes = (written.len()..written.len() + n).map(|i| (i % 253) as u8).collect();
                        if let Ok(pushed) = tokio::time::timeout(Duration::ZERO, writer.push(bytes.clone())).await {
                            pushed.expect("somebody reads");
                            written.extend_from_slice(&bytes);
                        }
                    }
                    3 => {
                        let from = (n % (written.len() + 1)) as u64;
                        readers.extend(object.body().reader_at(from).map(|r| (from, r, Vec::new())));
                    }
                    4 => {
                        let which = n % readers.len();
                        while let Some(Some(Ok(bytes))) = readers[which].1.try_next() {
                            readers[which].2.extend_from_slice(&bytes);
                        }
                    }
                    _ if n % 10 == 0 => writer.switch_to_window(50_000),
                    _ => {}
                }
            }
            writer.finish(None);
            for (from, mut reader, mut got) in readers {
                while let Some(next) = reader.next().await {
                    got.extend_from_slice(&next.expect("no fault"));
                }
                assert!(got == written[usize::try_from(from).expect("small")..]);
            }
            drop(object);
            let held = store.ledger().used();
            assert!(held < 64 << 20);
        });
    }
}
