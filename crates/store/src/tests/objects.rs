//! Tests of finding, replacing, refreshing, purging and expiry.

use super::{NOW, at, find, new, plain, put, store, ttl};
use crate::{Kind, NewObject, PurgeMode, Store, StoreOptions, Times};
use copal_semantics::time::Span;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

#[tokio::test]
async fn the_key_is_compared_and_a_colliding_hash_is_a_miss() {
    let store = store(1 << 20);
    let hash = store.hash(b"a");
    let a = put(&store, "a", b"body of a", ttl(10)).await;
    assert!(Arc::ptr_eq(&find(&store, "a", NOW).expect("stored"), &a));
    assert!(store.lookup(b"b", hash, &plain, NOW).is_none(), "same hash, other key");
    assert_eq!(store.purge(b"b", hash, PurgeMode::Hard, NOW), 0);
    assert!(find(&store, "a", NOW).is_some());
    // A colliding insert takes the place; what was there is off for good.
    let (b, _writer) = store.insert_streaming(NewObject { hash, ..new(&store, b"b", ttl(10)) });
    assert!(!a.is_stored() && b.is_stored());
    assert!(find(&store, "a", NOW).is_none());
    assert_eq!(store.stats().objects, 1);
}

#[tokio::test]
async fn a_replaced_object_is_never_offered_again() {
    let store = store(1 << 20);
    let old = put(&store, "a", b"old", ttl(10)).await;
    put(&store, "a", b"new", ttl(10)).await;
    assert!(!old.is_stored());
    let body = find(&store, "a", NOW).expect("stored").body().whole();
    assert_eq!(body.as_deref(), Some(&b"new"[..]));
    assert_eq!(store.stats().objects, 1);
}

#[tokio::test]
async fn a_refreshed_object_has_new_head_and_times_and_the_same_body() {
    let store = store(1 << 20);
    let old = put(&store, "a", b"body", ttl(10)).await;
    let times = Times { response_time: at(20), ..ttl(30) };
    assert!(find(&store, "a", at(20)).is_none(), "dead without grace and keep");
    let new = store.refresh(&old, b"new head", times, None);
    let found = find(&store, "a", at(49)).expect("renewed");
    assert!(Arc::ptr_eq(&found, &new) && Arc::ptr_eq(found.body(), old.body()));
    assert_eq!((found.head(), found.key(), found.times()), (&b"new head"[..], &b"a"[..], times));
    assert_eq!(store.stats().objects, 1);

    assert_eq!(store.purge(b"a", store.hash(b"a"), PurgeMode::Hard, at(21)), 1);
    let orphan = store.refresh(&new, b"x", times, None);
    assert!(!orphan.is_stored(), "a 304 does not bring back what was purged");
    assert!(find(&store, "a", at(21)).is_none());
}

#[tokio::test]
async fn a_soft_purge_leaves_grace_and_a_hard_one_nothing() {
    let store = store(1 << 20);
    let hash = store.hash(b"a");
    let held = put(&store, "a", b"x", Times { grace: Span::from_secs(5), ..ttl(100) }).await;
    assert_eq!(store.purge(b"a", hash, PurgeMode::Soft, at(10)), 1);
    assert_eq!(held.times().fresh_until(), at(10));
    assert!(find(&store, "a", at(14)).is_some());
    assert!(find(&store, "a", at(15)).is_none());
    assert_eq!(store.purge(b"a", hash, PurgeMode::Soft, at(12)), 1);
    assert_eq!(held.times().ttl, Span::from_secs(10), "a later soft purge does not make it fresh again");
    assert_eq!(store.purge(b"a", hash, PurgeMode::Hard, at(12)), 1);
    assert!(held.is_purged() && !held.is_stored());
    assert_eq!(store.purge(b"a", hash, PurgeMode::Hard, at(12)), 0);
    assert_eq!(store.stats().purged, 3);
}

#[tokio::test]
async fn a_marker_is_found_and_not_counted() {
    let store = store(1 << 20);
    let marker = store.insert_marker(new(&store, b"a", ttl(10)), Kind::HitForPass);
    assert_eq!(find(&store, "a", NOW).map(|m| m.kind()), Some(Kind::HitForPass));
    assert_eq!(marker.body().whole_slice(), Some(&b""[..]));
    assert_eq!((store.stats().objects, store.stats().markers), (0, 1));
    assert_eq!(store.purge(b"a", store.hash(b"a"), PurgeMode::Soft, NOW), 0);
    assert!(find(&store, "a", NOW).is_none(), "a purge takes markers along");
    store.insert_marker(new(&store, b"a", ttl(10)), Kind::HitForMiss);
    assert_eq!(store.invalidate(b"a", store.hash(b"a"), NOW), 0);
    assert_eq!(find(&store, "a", NOW).map(|m| m.kind()), Some(Kind::HitForMiss), "a change makes nothing cacheable");
    put(&store, "a", b"cacheable after all", ttl(10)).await;
    assert_eq!((store.stats().objects, store.stats().markers), (1, 0));
    assert_eq!(store.invalidate(b"a", store.hash(b"a"), NOW), 1);
    assert!(find(&store, "a", NOW).is_none(), "a response goes");
}

#[tokio::test]
async fn objects_leave_when_ttl_grace_and_keep_are_over() {
    let store = store(16 << 20);
    // Spans of every level of the wheel, and a start that is not the wheel's.
    for secs in [0, 1, 63, 64, 65, 4000, 5000, 300_000, 20_000_000] {
        put(&store, &format!("{secs}"), b"x", Times { keep: Span::from_secs(2), ..ttl(secs) }).await;
    }
    let mut gone = Vec::new();
    for now in (0..6000).chain([299_999, 300_001, 300_003, 19_999_999, 20_000_003]) {
        let before = store.stats();
        store.run_expiry(at(now));
        let after = store.stats();
        assert_eq!(after.expiries - before.expiries, before.objects - after.objects);
        (0..after.expiries - before.expiries).for_each(|_| gone.push(now));
    }
    // Checked once a second, an object goes in the second after its last.
    assert_eq!(gone, [3, 4, 66, 67, 68, 4003, 5003, 300_003, 20_000_003]);
    assert_eq!(store.stats().expiries, 9);
}

#[tokio::test]
async fn expiry_looks_at_what_dies_and_not_at_all_that_is_stored() {
    const STORED: i64 = 20_000;
    let store = store(256 << 20);
    for n in 0..STORED {
        put(&store, &format!("long {n}"), b"x", ttl(100_000 + n)).await;
    }
    for n in 0..10 {
        put(&store, &format!("short {n}"), b"x", ttl(20)).await;
    }
    // What came up without dying goes back: it moves to a finer level of the wheel, once for each of them.
    let (mut looks, mut most, mut secs) = (0, 0, 0);
    while secs < 3600 {
        secs += 1;
        let due = store.shelf().books().wheel.due(at(secs));
        (looks, most) = (looks + due.len(), most.max(due.len()));
        for object in due {
            assert!(secs >= 20 || object.times().dies_at() > at(secs), "nothing is late");
            store.shelf().books().wheel.schedule(&object);
        }
        if secs == 30 {
            assert!((10..=200).contains(&looks), "{looks} of 20,000 were looked at for ten that died");
        }
    }
    assert!(looks < 3600 * 10 + 2 * 20_000, "{looks} looks in an hour, {most} at a time");
    assert_eq!(store.stats().objects, STORED as u64 + 10);
}

#[tokio::test]
async fn the_wheel_holds_one_entry_per_stored_object_whatever_happens() {
    let store = store(64 << 10);
    let mut object = put(&store, "a", b"x", ttl(1000)).await;
    let wheel = |store: &Store| store.shelf().books().wheel.len();
    for _ in 0..1000 {
        object = store.refresh(&object, b"head", ttl(5000), None);
    }
    assert_eq!(wheel(&store), 1);
    for n in 0..5000 {
        put(&store, &format!("{}", n % 500), b"some body", ttl(100_000)).await;
    }
    store.run_expiry(at(1));
    let stats = store.stats();
    assert!(stats.evictions > 1000, "{stats:?}");
    assert_eq!(wheel(&store) as u64, stats.objects);
    store.run_expiry(at(10_000_000));
    assert_eq!((wheel(&store), store.stats().objects), (0, 0));
}

#[tokio::test]
async fn the_least_recently_used_object_goes_first() {
    let store = store(1 << 20);
    for n in 0..10 {
        put(&store, &format!("{n}"), &[0; 90_000], ttl(10)).await;
        store.run_expiry(NOW);
    }
    for n in [0, 1, 2] {
        assert!(find(&store, &format!("{n}"), NOW).is_some());
    }
    store.run_expiry(NOW);
    for n in 10..14 {
        put(&store, &format!("{n}"), &[0; 90_000], ttl(10)).await;
    }
    store.run_expiry(NOW);
    let left: Vec<_> = (0..14).filter(|n| find(&store, &format!("{n}"), NOW).is_some()).collect();
    assert_eq!(left, [0, 1, 2, 6, 7, 8, 9, 10, 11, 12, 13]);
    assert_eq!(store.stats().evictions, 3);
}

#[tokio::test]
async fn all_bytes_come_back_when_all_is_gone() {
    let store = store(1 << 20);
    for n in 0..200 {
        put(&store, &format!("{n}"), &vec![0; n * 100], ttl(n as i64)).await;
        let names = [Box::from("x")];
        let _half = store.insert_streaming(NewObject { vary_names: &names, ..new(&store, b"varies", ttl(5)) });
    }
    for n in 0..200 {
        store.purge(format!("{n}").as_bytes(), store.hash(format!("{n}").as_bytes()), PurgeMode::Hard, NOW);
    }
    for n in 0..50 {
        store.run_expiry(at(1000 + n));
    }
    let stats = store.stats();
    assert_eq!((stats.objects, stats.in_flight_bytes), (0, 0));
    assert!(stats.bytes < 2000, "only an index may be left: {stats:?}");
    assert_eq!(store.purge(b"varies", store.hash(b"varies"), PurgeMode::Hard, NOW), 0);
    for _ in 0..50 {
        store.run_expiry(at(2000));
    }
    assert_eq!((store.stats().bytes, store.shelf().shelved_bytes(crate::StorageId::MAIN)), (0, 0));
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, i64, i64),
    Purge(u8),
    Soft(u8),
    Refresh(u8, i64),
    Advance(i64),
    Expire,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        (0..6u8, 0..100i64, 0..100i64).prop_map(|(k, t, g)| Op::Put(k, t, g)),
        (0..6u8).prop_map(Op::Purge),
        (0..6u8).prop_map(Op::Soft),
        (0..6u8, 0..100i64).prop_map(|(k, t)| Op::Refresh(k, t)),
        (0..70i64).prop_map(Op::Advance),
        Just(Op::Expire),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// The model: a map from key to (version, fresh until, grace).
    #[test]
    fn the_store_is_a_map_with_times(ops in proptest::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let store = Store::new(StoreOptions::default());
        let mut model: HashMap<u8, (usize, i64, i64)> = HashMap::new();
        let mut now = 0;
        for (version, op) in ops.iter().enumerate() {
            let times = |ttl, grace| Times {
                response_time: at(now), ttl: Span::from_secs(ttl), grace: Span::from_secs(grace), ..Times::default()
            };
            let name = |k: u8| format!("key {k}");
            let purge = |k: u8, mode| store.purge(name(k).as_bytes(), store.hash(name(k).as_bytes()), mode, at(now));
            let alive = |m: &HashMap<u8, (usize, i64, i64)>, k: u8| m.get(&k).is_some_and(|(_, f, g)| now < f + g);
            match *op {
                Op::Put(k, ttl, grace) => {
                    runtime.block_on(put(&store, &name(k), version.to_string().as_bytes(), times(ttl, grace)));
                    model.insert(k, (version, now + ttl, grace));
                }
                Op::Purge(k) => {
                    prop_assert_eq!(purge(k, PurgeMode::Hard), u64::from(alive(&model, k)));
                    model.remove(&k);
                }
                Op::Soft(k) => {
                    prop_assert_eq!(purge(k, PurgeMode::Soft), u64::from(alive(&model, k)));
                    if let Some((_, fresh_until, _)) = model.get_mut(&k) {
                        *fresh_until = now.min(*fresh_until);
                    }
                }
                Op::Refresh(k, ttl) => {
                    if let Some(old) = find(&store, &name(k), at(now)) {
                        let _new = store.refresh(&old, b"h", times(ttl, 7), None);
                        if let Some(m) = model.get_mut(&k) {
                            (m.1, m.2) = (now + ttl, 7);
                        }
                    }
                }
                Op::Advance(secs) => now += secs,
                Op::Expire => store.run_expiry(at(now)),
            }
            for k in 0..6u8 {
                let wanted = model.get(&k).filter(|(_, fresh, grace)| now < fresh + grace).map(|(v, ..)| v.to_string());
                let found = find(&store, &name(k), at(now)).and_then(|o| o.body().whole());
                prop_assert_eq!(found.as_deref(), wanted.as_deref().map(str::as_bytes));
            }
        }
    }
}

#[tokio::test]
async fn markers_are_bounded_and_the_oldest_goes() {
    let store = Store::new(StoreOptions { markers_max: 10, ..StoreOptions::default() });
    put(&store, "page", b"x", ttl(100)).await;
    let key = |n: usize| format!("m-{n}");
    for n in 0..100 {
        store.insert_marker(new(&store, key(n).as_bytes(), ttl(10)), Kind::HitForMiss);
        // Some are replaced by what can be stored.
        if n % 3 == 0 {
            put(&store, &key(n), b"x", ttl(100)).await;
        }
        assert!(store.stats().markers <= 10, "{n} {:?}", store.stats());
    }
    let marked: Vec<usize> =
        (0..100).filter(|n| find(&store, &key(*n), NOW).is_some_and(|o| !o.kind().is_response())).collect();
    assert!(marked.len() >= 6 && marked.iter().all(|n| *n > 80), "{marked:?}");
    assert_eq!(store.stats().objects, 1 + 34, "objects are none of its business");
}
