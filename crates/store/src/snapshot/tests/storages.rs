//! Objects of several storages go through a file, each back into its own, with their tags, bans and variants.

use super::{NOW, PurgeMode, Times, asks, at, done, find, new, options, read, saved, start, ttl};
use crate::{Eviction, NewObject, Object, StorageOptions, Store, StoreOptions};
use bytes::Bytes;
use copal_semantics::{RequestHead, ResponseHead};
use std::borrow::Cow;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn with(storages: &[(&str, u64, u64)]) -> StoreOptions {
    let storages = storages.iter().map(|(name, size, object_size_max)| StorageOptions {
        name: (*name).to_owned(),
        size: *size,
        object_size_max: *object_size_max,
        eviction: Eviction::Lru,
    });
    StoreOptions { storages: storages.collect(), ..options(4 * MIB) }
}

/// Stores an object of `body` bytes in the storage of that name, tagged with the name.
fn put(store: &Arc<Store>, key: &str, storage: &str, body: usize, times: Times) -> Arc<Object> {
    let (tags, head) = ([Cow::from(storage.as_bytes())], ResponseHead::new(200, [("X-In", storage)]).encode());
    let storage = store.storage(storage).expect("configured");
    let made = NewObject { storage, tags: &tags, head: &head, ..new(store, key.as_bytes(), times) };
    let (object, mut writer) = store.insert_streaming(made);
    done(writer.push(Bytes::from(vec![b'x'; body]))).expect("stored");
    writer.finish(None);
    object
}

fn is_in(store: &Store, key: &str) -> Option<String> {
    find(store, key, at(1)).map(|object| store.storage_name(object.storage()).to_owned())
}

fn objects(store: &Store) -> Vec<(String, u64)> {
    store.storages().into_iter().map(|storage| (storage.name, storage.objects)).collect()
}

#[test]
fn objects_come_back_each_into_its_own_storage_whatever_the_order_of_the_configuration() {
    let before = Store::new(with(&[("images", 2 * MIB, MIB), ("films", 3 * MIB, MIB)]));
    for (n, storage) in ["main", "images", "films"].into_iter().cycle().take(30).enumerate() {
        put(&before, &format!("/{n}"), storage, 10_000, ttl(100));
    }
    let file = saved(&before, NOW);
    let now = with(&[("films", 3 * MIB, MIB), ("new", MIB, MIB), ("images", 2 * MIB, MIB)]);
    let (after, loaded) = start(&file, now, at(1), |_| {}).expect("whole");
    assert_eq!((loaded.objects, loaded.moved, loaded.no_room), (30, 0, 0));
    for (n, storage) in ["main", "images", "films"].into_iter().cycle().take(30).enumerate() {
        assert_eq!(is_in(&after, &format!("/{n}")).as_deref(), Some(storage));
    }
    let counts = objects(&after);
    let counts: Vec<_> = counts.iter().map(|(name, n)| (name.as_str(), *n)).collect();
    assert_eq!(counts, [("main", 10), ("films", 10), ("new", 0), ("images", 10)]);
    let used: Vec<_> = after.storages().iter().map(|storage| storage.used > 100_000).collect();
    assert_eq!(used, [true, true, false, true], "each is charged where it is");
}

#[test]
fn what_was_in_a_storage_that_is_gone_goes_into_the_main_one_and_is_counted() {
    let before = Store::new(with(&[("images", 8 * MIB, MIB)]));
    put(&before, "/page", "main", 10_000, ttl(100));
    for n in 0..20 {
        put(&before, &format!("/image/{n}"), "images", 100_000, ttl(100));
    }
    let file = saved(&before, NOW);
    let (after, loaded) = start(&file, with(&[]), at(1), |_| {}).expect("whole");
    assert_eq!((loaded.objects, loaded.moved, loaded.no_room), (21, 20, 0));
    assert_eq!(is_in(&after, "/image/7").as_deref(), Some("main"));
    let found = find(&after, "/image/7", at(1)).expect("there");
    assert_eq!(
        (found.body().len_known(), found.head()),
        (Some(100_000), &ResponseHead::new(200, [("X-In", "images")]).encode()[..])
    );
    assert_eq!(after.purge_tags(&["images"], PurgeMode::Hard, at(2)), 20);
    // With no more room than the main one has, and nothing that was there goes for it.
    let small = StoreOptions { size: MIB, ..with(&[]) };
    let (after, loaded) =
        start(&file, small, at(1), |store| drop(put(store, "/fetched", "main", 100_000, ttl(100)))).expect("whole");
    assert!(after.stats().bytes <= MIB && loaded.no_room > 10 && loaded.moved < 10, "{loaded:?}");
    assert_eq!((after.stats().evictions, is_in(&after, "/fetched").as_deref()), (0, Some("main")));
}

#[test]
fn a_storage_that_is_smaller_now_takes_the_most_used_and_the_others_stay_whole() {
    let before = Store::new(with(&[("images", 8 * MIB, 2 * MIB)]));
    let pages: Vec<_> = (0..10).map(|n| put(&before, &format!("/{n}"), "main", 10_000, ttl(100))).collect();
    for n in 0..40 {
        put(&before, &format!("/image/{n}"), "images", 100_000, ttl(100)).record_hit(at(n));
    }
    put(&before, "/image/large", "images", 800_000, ttl(100)).record_hit(at(50));
    let file = saved(&before, at(60));
    let (after, loaded) = start(&file, with(&[("images", MIB, 500_000)]), at(61), |_| {}).expect("whole");
    let kept: Vec<_> = (0..40).filter(|n| find(&after, &format!("/image/{n}"), at(61)).is_some()).collect();
    assert_eq!(kept, (30..40).collect::<Vec<_>>(), "ten of 100 kB have room in 1 MiB, with a little left free");
    assert!(find(&after, "/image/large", at(61)).is_none(), "larger than an object may be there now");
    assert_eq!((loaded.objects, loaded.no_room, loaded.moved), (pages.len() as u64 + 10, 31, 0));
    let [main, images] = &after.storages()[..] else { panic!("two of them") };
    assert!(images.used <= MIB && images.evictions == 0, "{images:?}");
    assert_eq!((main.objects, images.objects), (10, 10));
}

#[test]
fn variants_tags_and_bans_of_a_named_storage_come_back_with_it() {
    let before = Store::new(with(&[("images", 2 * MIB, MIB)]));
    let names = [Box::from("accept-language")];
    for (lang, storage) in [("de", "main"), ("en", "images"), ("fr", "images")] {
        let fields = [("accept-language", lang)];
        let (vary, tags) = (asks(&fields), [Cow::from(format!("tag-{lang}").into_bytes())]);
        let head = ResponseHead::new(200, [("X-Lang", lang)]).encode();
        let storage = before.storage(storage).expect("configured");
        let made = NewObject {
            vary_names: &names,
            vary: &vary,
            tags: &tags,
            head: &head,
            storage,
            ..new(&before, b"/k", ttl(100))
        };
        let (_, mut writer) = before.insert_streaming(made);
        done(writer.push(Bytes::from(lang.to_owned()))).expect("stored");
        writer.finish(None);
    }
    put(&before, "/image", "images", 10, ttl(100));
    put(&before, "/banned", "images", 10, ttl(100));
    before.ban("req.url == /banned && obj.http.x-in == images".parse().expect("a ban"), NOW).expect("room");
    let file = saved(&before, NOW);
    for storages in [with(&[("images", 2 * MIB, MIB)]), with(&[])] {
        let (after, loaded) = start(&file, storages, at(1), |_| {}).expect("whole");
        let counts: Vec<u64> = objects(&after).into_iter().map(|(_, n)| n).collect();
        assert_eq!((loaded.objects, &counts[..]), (5, if counts.len() == 2 { &[1, 4][..] } else { &[5] }));
        let asked = |url: &str, lang: &str| {
            let (request, fields) =
                (RequestHead { url: url.to_owned(), ..RequestHead::default() }, [("accept-language", lang)]);
            after
                .lookup_for(url.as_bytes(), after.hash(url.as_bytes()), &asks(&fields), &request, at(1))
                .map(|object| read(&object))
        };
        let lang = |lang: &str| asked("/k", lang).map(|body| String::from_utf8(body).expect("text"));
        for there in ["de", "en", "fr"] {
            assert_eq!(lang(there).as_deref(), Some(there));
        }
        assert_eq!(lang("it"), None);
        assert_eq!(after.purge_tags(&["tag-fr"], PurgeMode::Hard, at(1)), 1);
        assert_eq!((lang("fr"), lang("en").as_deref()), (None, Some("en")), "the tag of one variant");
        assert_eq!(asked("/banned", ""), None, "banned before the restart");
        assert_eq!(asked("/image", ""), Some(vec![b'x'; 10]));
        after.ban("obj.http.x-lang == en".parse().expect("a ban"), at(1)).expect("room");
        while after.lurk(100, at(1)) {}
        assert_eq!((lang("en"), lang("de").as_deref()), (None, Some("de")), "a new ban reaches what was loaded");
        assert_eq!(after.purge(b"/k", after.hash(b"/k"), PurgeMode::Hard, at(1)), 1);
    }
}

#[test]
fn a_purge_while_it_is_loaded_reaches_every_storage() {
    let before = Store::new(with(&[("images", 2 * MIB, MIB)]));
    for n in 0..4 {
        put(&before, &format!("/{n}"), if n % 2 == 0 { "images" } else { "main" }, 10, ttl(100));
    }
    let file = saved(&before, NOW);
    let (after, loaded) = start(&file, with(&[("images", 2 * MIB, MIB)]), at(1), |store| {
        store.purge(b"/0", store.hash(b"/0"), PurgeMode::Hard, at(1));
        store.purge_tags(&["main"], PurgeMode::Hard, at(1));
    })
    .expect("whole");
    assert_eq!((loaded.objects, loaded.purged), (1, 3));
    assert_eq!(is_in(&after, "/2").as_deref(), Some("images"));
}
