//! Tests of storages: what fills one leaves the others alone, and everything reaches into all of them.

use super::{NOW, asks, find, new, plain, ttl};
use crate::{Eviction, NewObject, Object, PurgeMode, StorageId, StorageOptions, Store, StoreOptions};
use bytes::Bytes;
use std::borrow::Cow;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn with_images(eviction: Eviction) -> (Arc<Store>, StorageId) {
    let images = StorageOptions { name: "images".to_owned(), size: 2 * MIB, object_size_max: 500_000, eviction };
    let store = Store::new(StoreOptions { size: 4 * MIB, eviction, storages: vec![images], ..StoreOptions::default() });
    let id = store.storage("images").expect("it is there");
    (store, id)
}

async fn put(store: &Arc<Store>, made: NewObject<'_>, body: usize) -> Arc<Object> {
    let (object, mut writer) = store.insert_streaming(made);
    let _reader = object.body().reader();
    for piece in vec![7; body].chunks(50_000) {
        writer.push(Bytes::copy_from_slice(piece)).await.expect("read or stored");
    }
    writer.finish(None);
    object
}

#[tokio::test]
async fn what_fills_a_storage_pushes_nothing_out_of_another() {
    for eviction in [Eviction::Lru, Eviction::TinyLfu] {
        let (store, images) = with_images(eviction);
        for n in 0..100 {
            put(&store, new(&store, format!("page-{n}").as_bytes(), ttl(100)), 10_000).await;
        }
        for n in 0..1000 {
            let key = format!("image-{n}");
            put(&store, NewObject { storage: images, ..new(&store, key.as_bytes(), ttl(100)) }, 20_000).await;
        }
        store.run_expiry(NOW);
        assert!((0..100).all(|n| find(&store, &format!("page-{n}"), NOW).is_some()), "{eviction:?}");
        let [main, second] = &store.storages()[..] else { panic!("two of them") };
        assert_eq!((main.name.as_str(), main.objects, main.evictions), ("main", 100, 0));
        assert_eq!(second.name, "images");
        assert!(
            second.used <= 2 * MIB && second.is_happy() && second.objects > 50 && second.evictions > 800,
            "{second:?}"
        );
        assert_eq!(second.objects + second.evictions, 1000);
        assert!(main.used > MIB && main.free() == 4 * MIB - main.used);
        assert_eq!(store.stats().bytes, main.used + second.used);
    }
}

#[tokio::test]
async fn variants_in_two_storages_are_found_purged_tagged_and_banned_as_one() {
    let names = [Box::from("lang")];
    for way in 0..3 {
        let (store, images) = with_images(Eviction::Lru);
        for (lang, storage) in [("de", StorageId::MAIN), ("en", images), ("fr", images)] {
            let fields = [("lang", lang)];
            let vary = asks(&fields);
            let head = copal_semantics::ResponseHead::new(200, [("X-A", "1")]).encode();
            let tags = [Cow::from(&b"t"[..])];
            let made = NewObject { vary_names: &names, vary: &vary, tags: &tags, storage, ..new(&store, b"k", ttl(9)) };
            put(&store, NewObject { head: &head, ..made }, 100).await;
        }
        let found = |lang: &str| {
            let fields = [("lang", lang)];
            store.lookup(b"k", store.hash(b"k"), &asks(&fields), NOW)
        };
        assert!(["de", "en", "fr"].iter().all(|lang| found(lang).is_some()));
        assert_eq!(found("en").expect("it is there").storage(), images);
        match way {
            0 => assert_eq!(store.purge(b"k", store.hash(b"k"), PurgeMode::Hard, NOW), 3),
            1 => assert_eq!(store.purge_tags(&["t"], PurgeMode::Hard, NOW), 3),
            _ => {
                store.ban("obj.http.x-a == 1".parse().expect("valid"), NOW).expect("room");
                while store.lurk(100, NOW) {}
            }
        }
        assert!(["de", "en", "fr"].iter().all(|lang| found(lang).is_none()), "{way}");
        store.run_expiry(NOW);
        assert!(store.storages().iter().all(|storage| storage.used == 0), "{:?}", store.storages());
    }
}

#[tokio::test]
async fn what_is_stored_elsewhere_the_next_time_stands_there_alone() {
    let (store, images) = with_images(Eviction::Lru);
    let first = put(&store, new(&store, b"k", ttl(9)), 100).await;
    let second = put(&store, NewObject { storage: images, ..new(&store, b"k", ttl(9)) }, 200).await;
    assert!(!first.is_stored() && second.is_stored());
    let renewed = store.refresh(&second, b"head 2", ttl(50), None);
    assert_eq!(find(&store, "k", NOW).map(|o| (o.storage(), o.body().len_known())), Some((images, Some(200))));
    let third = put(&store, new(&store, b"k", ttl(9)), 300).await;
    assert!(!renewed.is_stored() && third.is_stored());
    drop((first, second, renewed));
    let counts: Vec<_> = store.storages().iter().map(|storage| storage.objects).collect();
    assert_eq!((counts, store.storages()[1].used), (vec![1, 0], 0));
    assert_eq!(find(&store, "k", NOW).and_then(|o| o.body().len_known()), Some(300));
    store.purge(b"k", store.hash(b"k"), PurgeMode::Hard, NOW);
    assert_eq!(store.lookup(b"k", store.hash(b"k"), &plain, NOW).map(|_| ()), None);
}

#[tokio::test]
async fn a_storage_has_a_largest_object_of_its_own() {
    let (store, images) = with_images(Eviction::Lru);
    assert_eq!((store.object_size_max(StorageId::MAIN), store.object_size_max(images)), (2 * MIB, 500_000));
    let (object, mut writer) = store.insert_streaming(NewObject { storage: images, ..new(&store, b"k", ttl(9)) });
    let mut reader = object.body().reader().expect("nothing has come");
    for _ in 0..11 {
        writer.push(Bytes::from(vec![0; 50_000])).await.expect("read");
        while let Some(Some(Ok(_))) = reader.try_next() {}
    }
    assert!(!object.is_stored() && !writer.is_stored());
    assert_eq!(store.stats().outgrown, 1);
}

#[tokio::test]
async fn what_is_held_beside_the_shelf_makes_room_whatever_the_eviction() {
    for eviction in [Eviction::Lru, Eviction::TinyLfu] {
        let store = Store::new(StoreOptions { size: 4 * MIB, eviction, ..StoreOptions::default() });
        // Everything is asked for often, so nothing new would be let in.
        for round in 0..20 {
            for n in 0..150 {
                let key = format!("{n}");
                if round == 0 {
                    put(&store, new(&store, key.as_bytes(), ttl(1000)), 20_000).await;
                }
                let _used = find(&store, &key, NOW);
            }
        }
        store.run_expiry(NOW);
        let mut held = Vec::new();
        for _ in 0..20 {
            let (mut reader, mut writer) = store.transit_body(MIB);
            writer.push(Bytes::from(vec![0; 100_000])).await.expect("read");
            let _some = reader.try_next();
            writer.push(Bytes::from(vec![0; 100_000])).await.expect("read");
            held.push((reader, writer));
            assert!(store.stats().bytes <= 4 * MIB, "{eviction:?} {:?}", store.stats());
        }
        assert!(store.stats().evictions > 10, "{eviction:?}");
        drop(held);
        for n in 1000..2000 {
            put(&store, new(&store, format!("{n}").as_bytes(), ttl(1000)), 20_000).await;
            assert!(store.stats().bytes <= 4 * MIB, "{eviction:?} {n} {:?}", store.stats());
        }
    }
}

#[tokio::test]
async fn a_scan_washes_out_what_is_often_asked_for_with_lru_and_not_with_tiny_lfu() {
    let mut kept = Vec::new();
    for eviction in [Eviction::Lru, Eviction::TinyLfu] {
        let store = Store::new(StoreOptions { size: 4 * MIB, eviction, ..StoreOptions::default() });
        for _ in 0..10 {
            for n in 0..150 {
                let key = format!("hot-{n}");
                if find(&store, &key, NOW).is_none() {
                    put(&store, new(&store, key.as_bytes(), ttl(1000)), 20_000).await;
                }
            }
            store.run_expiry(NOW);
        }
        for n in 0..2000 {
            let key = format!("once-{n}");
            assert!(find(&store, &key, NOW).is_none());
            put(&store, new(&store, key.as_bytes(), ttl(1000)), 20_000).await;
        }
        store.run_expiry(NOW);
        kept.push((0..150).filter(|n| find(&store, &format!("hot-{n}"), NOW).is_some()).count());
    }
    assert!(kept[0] == 0 && kept[1] > 75, "{kept:?}");
}
