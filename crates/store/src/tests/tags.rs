//! Tests of tags: exact purges, and an index that is no larger than what it is about.

use super::{NOW, asks, at, find, new, put, put_tagged, store, ttl};
use crate::{Kind, NewObject, PurgeMode, Store, Times};
use bytes::Bytes;
use copal_semantics::time::Span;
use std::borrow::Cow;
use std::sync::Arc;

fn purge(store: &Store, tags: &[&str], mode: PurgeMode) -> u64 {
    store.purge_tags(tags, mode, NOW)
}

async fn tagged(store: &Arc<Store>, key: &str, tags: &[&str]) -> Arc<crate::Object> {
    put_tagged(store, key, b"head", tags, Times { grace: Span::from_secs(5), ..ttl(100) }).await
}

#[tokio::test]
async fn a_tag_purges_who_carries_it_and_nobody_else() {
    let store = store(1 << 20);
    let a = tagged(&store, "a", &["x", "y", "x"]).await;
    tagged(&store, "b", &["y", "z"]).await;
    tagged(&store, "c", &["xx"]).await;
    put(&store, "d", b"x", ttl(10)).await;
    assert_eq!((a.head(), a.key(), store.stats().tags), (&b"head"[..], &b"a"[..], 4));
    assert_eq!(purge(&store, &["nothing", ""], PurgeMode::Hard), 0);
    assert_eq!(purge(&store, &["x"], PurgeMode::Hard), 1);
    assert!(find(&store, "a", NOW).is_none() && a.is_purged());
    assert_eq!(purge(&store, &["x"], PurgeMode::Hard), 0);
    assert_eq!(purge(&store, &["z", "y", "x", "xx"], PurgeMode::Hard), 2);
    assert!(find(&store, "d", NOW).is_some());
    assert_eq!((store.stats().objects, store.stats().tags, store.stats().purged), (1, 0, 3));
}

#[tokio::test]
async fn an_object_with_several_of_the_tags_counts_once_and_soft_leaves_grace() {
    let store = store(1 << 20);
    for n in 0..100 {
        tagged(&store, &format!("{n}"), &["all", "even"][..1 + (n + 1) % 2]).await;
    }
    assert_eq!(store.purge_tags(&["all", "even"], PurgeMode::Soft, at(10)), 100);
    assert!(find(&store, "1", at(14)).is_some_and(|o| o.times().fresh_until() == at(10)));
    assert!(find(&store, "1", at(15)).is_none());
    assert_eq!(store.purge_tags(&["even"], PurgeMode::Hard, at(14)), 50);
    assert_eq!(store.purge_tags(&["all"], PurgeMode::Soft, at(14)), 50, "soft ones can be purged again");
    assert_eq!(store.purge_tags(&["all"], PurgeMode::Hard, at(20)), 0, "the dead are not counted");
}

#[tokio::test]
async fn every_variant_has_its_own_tags_and_a_marker_may_have_some() {
    let store = store(1 << 20);
    let names = [Box::from("lang")];
    for (lang, tags) in [("de", ["page", "german"]), ("en", ["page", "english"]), ("fr", ["page", "french"])] {
        let tags: Vec<Cow<'_, [u8]>> = tags.iter().map(|t| t.as_bytes().into()).collect();
        let fields = [("lang", lang)];
        let vary = asks(&fields);
        let object = NewObject { vary_names: &names, vary: &vary, tags: &tags, ..new(&store, b"k", ttl(10)) };
        let (_, mut writer) = store.insert_streaming(object);
        writer.push(Bytes::from_static(b"x")).await.expect("stored");
        writer.finish(None);
    }
    let tags = [Cow::from(&b"page"[..])];
    store.insert_marker(NewObject { tags: &tags, ..new(&store, b"m", ttl(10)) }, Kind::HitForPass);
    let has = |lang: &str| store.lookup(b"k", store.hash(b"k"), &asks(&[("lang", lang)]), NOW).is_some();
    assert_eq!(purge(&store, &["german"], PurgeMode::Hard), 1);
    assert!(!has("de") && has("en") && has("fr"));
    assert_eq!(purge(&store, &["page"], PurgeMode::Hard), 2);
    assert!(!has("en") && find(&store, "m", NOW).is_none());
    store.run_expiry(NOW);
    let stats = store.stats();
    assert_eq!((stats.objects, stats.markers, stats.tags), (0, 0, 0));
}

#[tokio::test]
async fn a_304_keeps_the_tags_or_brings_new_ones() {
    let store = store(1 << 20);
    let first = tagged(&store, "a", &["x"]).await;
    let second = store.refresh(&first, b"new head", ttl(50), None);
    assert_eq!((second.head(), second.tag_ids().count()), (&b"new head"[..], 1));
    let third = store.refresh_tagged(&second, b"h", ttl(60), &[Cow::from(&b"y"[..])], None);
    assert_eq!((store.stats().tags, purge(&store, &["x"], PurgeMode::Hard)), (1, 0));
    assert_eq!(purge(&store, &["y"], PurgeMode::Hard), 1);
    // What has left stays out, and leaves nothing in the index.
    let orphan = store.refresh(&third, b"h", ttl(60), None);
    let other = store.refresh_tagged(&third, b"h", ttl(60), &[Cow::from(&b"y"[..])], None);
    assert!(!orphan.is_stored() && !other.is_stored());
    assert_eq!(store.stats().tags, 0);
}

#[tokio::test]
async fn a_slot_that_is_used_again_does_not_carry_the_old_tag() {
    let store = store(1 << 20);
    tagged(&store, "keeper", &["old"]).await;
    for n in 0..200 {
        tagged(&store, &format!("{n}"), &["old"]).await;
        assert_eq!(
            store.purge(format!("{n}").as_bytes(), store.hash(format!("{n}").as_bytes()), PurgeMode::Hard, NOW),
            1
        );
        tagged(&store, &format!("new {n}"), &["new"]).await;
    }
    assert_eq!(purge(&store, &["old"], PurgeMode::Soft), 1);
    assert_eq!(purge(&store, &["new"], PurgeMode::Hard), 200);
    assert!(find(&store, "keeper", NOW).is_some());
}

#[tokio::test]
async fn the_index_shrinks_with_eviction_and_gives_every_byte_back() {
    let store = store(256 << 10);
    let plain = store.stats().bytes;
    for n in 0..20_000 {
        let own = format!("own-{n}");
        tagged(&store, &format!("{n}"), &["everywhere", "p1", "p2", &own]).await;
    }
    store.run_expiry(NOW);
    let stats = store.stats();
    assert!(stats.evictions > 15_000 && stats.objects > 50, "{stats:?}");
    assert!(stats.bytes <= 256 << 10, "{stats:?}");
    assert_eq!(stats.tags, stats.objects + 3);
    assert_eq!(purge(&store, &["everywhere"], PurgeMode::Hard), stats.objects);
    store.run_expiry(NOW);
    assert_eq!((store.stats().tags, store.stats().objects), (0, 0));
    let left = store.stats().bytes - plain;
    assert!(left < 64 << 10, "tables of the index only: {left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn purges_count_every_object_once_while_others_store_and_purge() {
    let store = store(64 << 20);
    let mut tasks = Vec::new();
    for task in 0..4 {
        let store = Arc::clone(&store);
        tasks.push(tokio::spawn(async move {
            let mut purged = 0;
            for n in 0..2000 {
                let (key, tags) = (format!("{task} {n}"), [&b"all"[..], b"some"].map(Cow::from));
                let (_, mut writer) =
                    store.insert_streaming(NewObject { tags: &tags, ..new(&store, key.as_bytes(), ttl(10)) });
                // Purged by another task already, it is a window that nobody reads.
                let _purged = writer.push(Bytes::from_static(b"x")).await;
                writer.finish(None);
                if n % 100 == 99 {
                    purged += purge(&store, &["all", "some"], PurgeMode::Hard);
                }
            }
            purged
        }));
    }
    let mut purged = 0;
    for task in tasks {
        purged += task.await.expect("no panic");
    }
    purged += purge(&store, &["some"], PurgeMode::Hard);
    assert_eq!((purged, store.stats().objects, store.stats().tags), (8000, 0, 0));
}
