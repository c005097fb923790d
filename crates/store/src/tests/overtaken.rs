//! Tests of purges that overtake a fetch.

use super::{NOW, asks, at, find, new, plain, put, store, ttl};
use crate::{Claim, NewObject, PurgeMode};
use bytes::Bytes;
use copal_semantics::time::Span;

#[tokio::test]
async fn what_was_asked_for_before_a_hard_purge_is_read_but_not_found() {
    let store = store(16 << 20);
    let hash = store.hash(b"k");
    let watch = store.watch_purges(hash);
    assert_eq!(store.purge(b"k", hash, PurgeMode::Hard, NOW), 0);
    let newer = put(&store, "k", b"new", ttl(10)).await;
    let (object, mut writer) = store.insert_watched(new(&store, b"k", ttl(10)), &watch);
    assert!(!object.is_stored() && !object.is_purged());
    let mut first = object.body().reader().expect("nothing has come");
    writer.push(Bytes::from_static(b"old")).await.expect("read");
    // Who was released with it takes its place a little later, and misses nothing.
    let mut second = object.body().reader().expect("its beginning is there");
    for reader in [&mut first, &mut second] {
        assert_eq!(reader.next().await, Some(Ok(Bytes::from_static(b"old"))));
    }
    writer.finish(None);
    assert_eq!(first.next().await, None);
    let found = find(&store, "k", at(1)).expect("what came after the purge");
    assert!(std::sync::Arc::ptr_eq(&found, &newer), "it has not taken the place of what is newer");
    drop((watch, first, second, object, found, newer));
    store.purge(b"k", hash, PurgeMode::Hard, NOW);
    store.run_expiry(NOW);
    assert_eq!(store.stats().bytes, 0, "nothing is left");
}

#[tokio::test]
async fn beyond_a_window_what_was_overtaken_passes_by() {
    let store = store(16 << 20);
    let hash = store.hash(b"k");
    let watch = store.watch_purges(hash);
    store.purge(b"k", hash, PurgeMode::Hard, NOW);
    let (object, mut writer) = store.insert_watched(new(&store, b"k", ttl(10)), &watch);
    let mut reader = object.body().reader().expect("nothing has come");
    for _ in 0..40 {
        writer.push(Bytes::from(vec![0; 100_000])).await.expect("read");
        assert!(reader.next().await.is_some_and(|piece| piece.is_ok()));
        while let Some(Some(Ok(_))) = reader.try_next() {}
    }
    assert!(store.stats().in_flight_bytes < 2 << 20, "{}", store.stats().in_flight_bytes);
    assert!(object.body().reader().is_none(), "its beginning is gone");
    drop(reader);
    assert!(writer.push(Bytes::from_static(b"x")).await.is_err(), "nobody reads it any more");
}

#[test]
fn a_watch_knows_of_purges_of_its_key_since_it_began_and_of_no_others() {
    let store = store(1 << 20);
    let (hash, other) = (store.hash(b"k"), store.hash(b"other"));
    let early = store.watch_purges(hash);
    store.purge(b"other", other, PurgeMode::Hard, NOW);
    assert_eq!(early.seen(), None);
    store.purge(b"k", hash, PurgeMode::Soft, NOW);
    assert_eq!(early.seen(), Some(PurgeMode::Soft));
    let late = store.watch_purges(hash);
    assert_eq!(late.seen(), None);
    store.purge(b"k", hash, PurgeMode::Hard, NOW);
    store.purge(b"k", hash, PurgeMode::Soft, NOW);
    assert_eq!((early.seen(), late.seen()), (Some(PurgeMode::Hard), Some(PurgeMode::Hard)));
    drop((early, late));
    assert_eq!(store.watch_purges(hash).seen(), None);
    assert_eq!(store.stats().bytes, 0);
}

#[test]
fn who_asks_after_a_purge_begins_a_fetch_of_its_own() {
    let store = store(1 << 20);
    let hash = store.hash(b"k");
    let claim = || store.claim(b"k", hash, &plain, None, NOW);
    let Claim::Fetch(before) = claim() else { panic!("nobody fetches it") };
    assert!(matches!(claim(), Claim::Wait(_)));
    store.purge(b"k", hash, PurgeMode::Soft, NOW);
    assert!(matches!(claim(), Claim::Wait(_)), "what is stale already may be waited for");
    store.purge(b"k", hash, PurgeMode::Hard, NOW);
    let Claim::Fetch(after) = claim() else { panic!("it waits for what was asked before the purge") };
    before.fail();
    assert!(matches!(claim(), Claim::Wait(_)), "the end of the first leaves the second alone");
    after.fail();
    assert_eq!((store.stats().flights, store.stats().bytes), (0, 0));
}

#[test]
fn what_was_overtaken_is_a_variant_for_those_it_suits_and_stale_after_a_soft_purge() {
    let store = store(1 << 20);
    let hash = store.hash(b"k");
    let names = [Box::from("lang")];
    let (de, en) = ([("lang", "de")], [("lang", "en")]);
    let (de, en) = (asks(&de), asks(&en));
    let variant = || NewObject { vary_names: &names, vary: &de, ..new(&store, b"k", ttl(10)) };
    let watch = store.watch_purges(hash);
    store.purge(b"k", hash, PurgeMode::Soft, NOW);
    let (soft, _writer) = store.insert_watched(variant(), &watch);
    assert!(soft.is_stored() && soft.times().fresh_until() == NOW && soft.times().ttl == Span::ZERO);
    store.purge(b"k", hash, PurgeMode::Hard, NOW);
    let (hard, _writer) = store.insert_watched(variant(), &watch);
    assert!(!hard.is_stored());
    assert!(store.selects(&hard, b"k", hash, &de) && !store.selects(&hard, b"k", hash, &en));
}
