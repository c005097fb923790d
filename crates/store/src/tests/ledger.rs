//! Everything that the store holds is in the ledger: each item by itself, what it must count at least, and that it goes again.

use super::{NOW, asks, new, plain, put, store, ttl};
use crate::memory::{FLIGHT_OVERHEAD_BYTES, INDEX_OVERHEAD_BYTES, OBJECT_OVERHEAD_BYTES, WATCH_OVERHEAD_BYTES};
use crate::parts::PART_OVERHEAD_BYTES;
use crate::shelf::Found;
use crate::{Claim, Kind, NewObject, Preamble, PurgeMode, SnapshotReader, Store, StoreOptions};
use bytes::Bytes;
use copal_semantics::range::ContentRange;
use std::borrow::Cow;
use std::sync::Arc;

/// What `hold` makes held counts as `least` bytes, and counts no more when it is dropped and all that is stored is purged.
#[track_caller]
fn counts<T>(what: &str, store: &Arc<Store>, least: u64, hold: impl FnOnce(&Arc<Store>) -> T) {
    let before = store.ledger().used();
    let held = hold(store);
    let now = store.ledger().used() - before;
    assert!(now >= least, "{what}: {now} bytes are counted, {least} are held");
    assert!(now <= least * 2 + 1000, "{what}: {now} bytes are counted for {least}");
    drop(held);
}

/// The work of writers of what is stored never waits.
fn done<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn purged(store: &Arc<Store>, key: &[u8]) {
    store.purge(key, store.hash(key), PurgeMode::Hard, NOW);
}

#[test]
fn keys_heads_bodies_and_what_each_object_costs_beside_them_count() {
    let store = store(64 << 20);
    for (key, head, body) in [(100_000, 1, 1), (1, 100_000, 1), (1, 1, 100_000), (1, 1, 0)] {
        let (key, head, body) = (vec![b'k'; key], vec![b'h'; head], vec![b'b'; body]);
        let least = (key.len() + head.len() + body.len()) as u64 + OBJECT_OVERHEAD_BYTES;
        counts("an object", &store, least, |store| {
            let (object, mut writer) = store.insert_streaming(NewObject { head: &head, ..new(store, &key, ttl(10)) });
            done(writer.push(Bytes::from(body))).expect("stored");
            writer.finish(None);
            object
        });
        purged(&store, &key);
        assert_eq!(store.ledger().used(), 0);
    }
}

#[test]
fn a_body_counts_while_it_comes_and_while_it_is_read_after_it_was_purged() {
    let store = store(64 << 20);
    counts("a stored body on its way", &store, 300_000, |store| {
        let (object, mut writer) = store.insert_streaming(new(store, b"k", ttl(10)));
        done(writer.push(Bytes::from(vec![0; 300_000]))).expect("stored");
        assert!(store.ledger().in_flight() >= 300_000);
        purged(store, b"k");
        (object, writer)
    });
    counts("a body that is not stored", &store, 300_000, |store| {
        let (reader, mut writer) = store.transit_body(1 << 20);
        done(writer.push(Bytes::from(vec![0; 300_000]))).expect("read");
        assert!(store.ledger().in_flight() >= 300_000);
        (reader, writer)
    });
    counts("a body that is read and no longer stored", &store, 300_000, |store| {
        let object = done(put(store, "k", &[0; 300_000], ttl(10)));
        let reader = object.body().reader().expect("complete");
        purged(store, b"k");
        reader
    });
    counts("a part", &store, 300_000 + OBJECT_OVERHEAD_BYTES + PART_OVERHEAD_BYTES, |store| {
        let part = ContentRange { first: 10, last: 300_009, complete: None };
        let (object, mut writer) = store.insert_part(new(store, b"k", ttl(10)), part, None, None).expect("room");
        done(writer.push(Bytes::from(vec![0; 300_000]))).expect("stored");
        writer.finish(None);
        purged(store, b"k");
        object
    });
    counts("what is held beside the store", &store, 300_000, |store| {
        let mut charge = store.charge();
        store.hold_in(&mut charge, 300_000);
        charge
    });
    assert_eq!((store.ledger().used(), store.ledger().in_flight()), (0, 0));
}

#[test]
fn markers_count_with_their_keys() {
    let store = store(64 << 20);
    counts("markers", &store, 1000 * (1000 + OBJECT_OVERHEAD_BYTES), |store| {
        for n in 0..1000 {
            let key = format!("{n:01000}");
            store.insert_marker(NewObject { head: &[], ..new(store, key.as_bytes(), ttl(10)) }, Kind::HitForMiss);
        }
    });
    store.run_expiry(super::at(20));
    assert_eq!(store.ledger().used(), 0);
}

#[test]
fn the_index_of_variants_counts_with_its_key_its_fields_and_its_variants() {
    let store = store(64 << 20);
    let key = [b'k'; 5000];
    // Longer than what is shared, so each list of fields has its own names.
    let names: Vec<Box<str>> = (0..20).map(|n| format!("x-{n:0>20}").into_boxed_str()).collect();
    let objects = 100 * (key.len() as u64 + 4 + OBJECT_OVERHEAD_BYTES);
    let fields: u64 = names.iter().map(|name| name.len() as u64).sum();
    counts("variants", &store, objects + INDEX_OVERHEAD_BYTES + key.len() as u64 + fields + 100 * 8, |store| {
        for n in 0..100 {
            let value = n.to_string();
            let fields = [(&*names[0], value.as_str())];
            let vary = asks(&fields);
            let (_, writer) =
                store.insert_streaming(NewObject { vary_names: &names, vary: &vary, ..new(store, &key, ttl(10)) });
            writer.finish(None);
        }
    });
    let Some(Found::Index(index)) = store.shelf().peek(store.hash(&key)) else { panic!("it has an index") };
    let alone = index.weight_bytes();
    assert!(alone >= INDEX_OVERHEAD_BYTES + key.len() as u64 + fields + 100 * 8, "the index alone: {alone}");
    drop(index);
    purged(&store, &key);
    assert_eq!(store.ledger().used(), 0);
}

#[test]
fn the_index_alone_counts() {
    let store = store(64 << 20);
    let index = crate::variants::VaryIndex::new(1, &[b'k'; 5000], Arc::clone(store.ledger()));
    let spec = store.names.spec(&[Box::from("accept-language")], 1);
    let _first = index.spec_for(&[Box::from("accept-language")], || spec);
    assert!(store.ledger().used() >= INDEX_OVERHEAD_BYTES + 5000, "{}", store.ledger().used());
    drop(index);
    assert_eq!(store.ledger().used(), 0);
}

#[test]
fn tags_count_with_their_names_and_who_carries_them() {
    let store = store(64 << 20);
    let objects = 1000 * (4 + OBJECT_OVERHEAD_BYTES);
    // Names of 200 bytes, kept once; for each object four bytes of each of its tags, and its slot.
    counts("tags", &store, objects + 1000 * 200 + 1000 * (4 * 2 + 8), |store| {
        for n in 0..1000 {
            let tags = [Cow::from(format!("{n:0200}").into_bytes()), Cow::from(&b"all"[..])];
            let key = format!("{n}");
            let (_, writer) = store.insert_streaming(NewObject { tags: &tags, ..new(store, key.as_bytes(), ttl(10)) });
            writer.finish(None);
        }
    });
    assert_eq!(store.purge_tags(&["all"], PurgeMode::Hard, NOW), 1000);
    store.run_expiry(NOW);
    assert!(store.ledger().used() < 100_000, "tables alone: {}", store.ledger().used());
}

#[test]
fn bans_count_with_their_text() {
    let store = store(64 << 20);
    let _keeps_them = done(put(&store, "k", b"x", ttl(1000)));
    counts("bans", &store, 100 * (1000 + 400), |store| {
        for n in 0..100 {
            store.ban(format!("obj.http.x == {n:01000}").parse().expect("valid"), NOW).expect("room");
        }
    });
}

#[test]
fn fetches_under_way_and_their_watches_count() {
    let store = store(64 << 20);
    let key = [b'k'; 5000];
    counts("a flight", &store, FLIGHT_OVERHEAD_BYTES + 5000 + WATCH_OVERHEAD_BYTES, |store| {
        let claim = store.claim(&key, store.hash(&key), &plain, None, NOW);
        assert!(matches!(claim, Claim::Fetch(_)));
        claim
    });
    counts("watches", &store, 1000 * WATCH_OVERHEAD_BYTES, |store| {
        (0..1000u128).map(|n| store.watch_purges(n)).collect::<Vec<_>>()
    });
    counts("purges since a request was sent", &store, 1000 * 64, |store| {
        let watch = store.watch_purges(1);
        let tags: Vec<_> = (0..1000).map(|n| format!("{n}")).collect();
        store.purge_tags(&tags, PurgeMode::Hard, NOW);
        watch
    });
    assert_eq!(store.ledger().used(), 0);
}

#[test]
fn a_snapshot_counts_while_it_is_written_and_loaded_with_the_purges_meanwhile() {
    let before = store(64 << 20);
    for n in 0..1000 {
        done(put(&before, &format!("{n}"), b"x", ttl(1000)));
    }
    let mut file = Vec::new();
    let used = before.ledger().used();
    let mut saving = before.save("", false, NOW, &mut file).expect("memory");
    let listed = before.ledger().used() - used;
    assert!(listed >= 1000 * 8, "the list of what is to be written: {listed} bytes");
    let some = before.ledger().used();
    before.purge_tags(&["t".repeat(10_000)], PurgeMode::Hard, NOW);
    assert!(before.ledger().used() - some >= 10_000, "the purges for the file");
    while saving.step(&mut file).expect("memory") {}
    saving.finish(&mut file).expect("memory");
    drop(saving);
    assert_eq!(before.ledger().used(), used);

    let (_, preamble): (_, Preamble) = SnapshotReader::begin(&file[..]).expect("whole");
    let after = Store::revived(StoreOptions::default(), &preamble);
    let loading = after.loading(&preamble);
    counts("the purges for what is still to come", &after, 10_000, |store| {
        store.purge_tags(&["t".repeat(10_000)], PurgeMode::Hard, NOW);
    });
    drop(loading);
    assert_eq!(after.ledger().used(), 0);
}

#[test]
fn all_of_it_together_stays_within_the_size_and_what_is_stored_gives_way() {
    const SIZE: u64 = 8 << 20;
    let store = store(SIZE);
    for n in 0..2000 {
        done(put(&store, &format!("page {n}"), &[0; 10_000], ttl(1000)));
    }
    let stored = store.stats().objects;
    assert!(stored > 600, "{:?}", store.stats());
    let mut held: Vec<Box<dyn std::any::Any>> = Vec::new();
    for n in 0..100 {
        let key = format!("{n:01000}");
        store.insert_marker(NewObject { head: &[], ..new(&store, key.as_bytes(), ttl(10)) }, Kind::HitForPass);
        let fetched = &key.as_bytes()[1..];
        held.push(Box::new(store.claim(fetched, store.hash(fetched), &plain, None, NOW)));
        held.push(Box::new(store.watch_purges(n)));
        store.ban(format!("obj.http.x == {n:01000}").parse().expect("valid"), NOW).expect("room");
        let mut charge = store.charge();
        store.hold_in(&mut charge, 5000);
        held.push(Box::new(charge));
        let (reader, mut writer) = store.transit_body(1 << 20);
        done(writer.push(Bytes::from(vec![0; 40_000]))).expect("read");
        held.push(Box::new((reader, writer)));
        store.run_expiry(NOW);
        assert!(store.stats().bytes <= SIZE, "{n}: {:?}", store.stats());
    }
    let left = store.stats().objects;
    assert!(left < stored - 300 && left > 100, "{left} of {stored} are left");
}
