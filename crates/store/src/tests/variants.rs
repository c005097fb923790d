//! Tests of variants: selecting, bounds, purging all of them.

use super::{NOW, asks, at, new, plain, put, store, ttl};
use crate::shelf::Found;
use crate::variants::VaryIndex;
use crate::{Claim, NewObject, Object, PurgeMode, Store, StoreOptions, Times, VaryFn};
use bytes::Bytes;
use std::sync::Arc;

async fn put_variant(
    store: &Arc<Store>,
    key: &str,
    names: &[&str],
    vary: VaryFn<'_>,
    body: &str,
    times: Times,
) -> Arc<Object> {
    let vary_names: Vec<Box<str>> = names.iter().map(|n| Box::from(*n)).collect();
    let fresh = NewObject { vary_names: &vary_names, vary, ..new(store, key.as_bytes(), times) };
    let (object, mut writer) = store.insert_streaming(fresh);
    writer.push(Bytes::copy_from_slice(body.as_bytes())).await.expect("stored bodies never stop");
    writer.finish(None);
    object
}

fn body(store: &Store, vary: VaryFn<'_>) -> Option<String> {
    let object = store.lookup(b"k", store.hash(b"k"), vary, NOW)?;
    object.body().whole().map(|b| String::from_utf8_lossy(&b).into_owned())
}

fn index_of(store: &Store) -> Option<Arc<VaryIndex>> {
    match store.shelf().get(store.hash(b"k")) {
        Some(Found::Index(index)) => Some(index),
        Some(Found::Object(_)) | None => None,
    }
}

/// Purges another key that has the hash of "k".
fn purge_as(store: &Store, key: &[u8]) -> u64 {
    store.purge(key, store.hash(b"k"), PurgeMode::Hard, NOW)
}

fn purge(store: &Store, mode: PurgeMode) -> u64 {
    store.purge(b"k", store.hash(b"k"), mode, NOW)
}

#[tokio::test]
async fn a_variant_is_found_by_the_values_of_its_fields_only() {
    let store = store(1 << 20);
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo", ttl(10)).await;
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "en")]), "hello", ttl(10)).await;
    assert_eq!(body(&store, &asks(&[("lang", "de"), ("other", "1")])).as_deref(), Some("hallo"));
    assert_eq!(body(&store, &asks(&[("lang", "en")])).as_deref(), Some("hello"));
    assert_eq!(body(&store, &asks(&[("lang", "fr")])), None);
    assert_eq!(body(&store, &asks(&[])), None);
    assert_eq!(store.stats().objects, 2);
}

#[tokio::test]
async fn several_lists_of_fields_live_side_by_side_and_are_bounded() {
    let store = store(1 << 20);
    for n in 0..10 {
        let (name, value) = (format!("f{n}"), format!("v{n}"));
        put_variant(&store, "k", &[&name], &asks(&[(&name, &value)]), &format!("{n}"), ttl(10)).await;
    }
    assert_eq!(store.stats().objects, 4, "lists of names per key are bounded");
    assert_eq!(body(&store, &asks(&[("f9", "v9")])).as_deref(), Some("9"));
    assert_eq!(body(&store, &asks(&[("f6", "v6")])).as_deref(), Some("6"));
    assert_eq!(body(&store, &asks(&[("f5", "v5")])), None);
}

#[tokio::test]
async fn a_response_without_vary_at_a_varying_key_serves_all_and_spares_the_variants() {
    let store = store(1 << 20);
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo", ttl(10)).await;
    put_variant(&store, "k", &[], &plain, "for all", ttl(10)).await;
    assert_eq!(body(&store, &asks(&[("lang", "de")])).as_deref(), Some("for all"), "the newest that selects");
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "en")]), "hello", ttl(10)).await;
    assert_eq!(body(&store, &asks(&[("lang", "de")])).as_deref(), Some("hallo"));
    assert_eq!(body(&store, &asks(&[("lang", "fr")])).as_deref(), Some("for all"));
    assert_eq!(purge(&store, PurgeMode::Hard), 3);
}

#[tokio::test]
async fn a_plain_object_gives_way_when_the_response_begins_to_vary() {
    let store = store(1 << 20);
    let old = put(&store, "k", b"for all", ttl(10)).await;
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo", ttl(10)).await;
    assert!(!old.is_stored());
    assert_eq!(body(&store, &asks(&[("lang", "fr")])), None);
}

#[tokio::test]
async fn a_purge_takes_all_variants_and_counts_them() {
    let store = store(16 << 20);
    let mut held = Vec::new();
    for n in 0..100 {
        let value = n.to_string();
        held.push(put_variant(&store, "k", &["c"], &asks(&[("c", &value)]), "x", ttl(10)).await);
    }
    put(&store, "other", b"stays", ttl(10)).await;
    assert_eq!(purge(&store, PurgeMode::Soft), 100);
    assert!(held.iter().all(|o| o.times().fresh_until() == NOW && !o.is_purged()));
    let times = Times { response_time: NOW, ..ttl(5) };
    for n in 0..100 {
        let value = n.to_string();
        held.push(put_variant(&store, "k", &["c"], &asks(&[("c", &value)]), "x", times).await);
    }
    assert_eq!(purge(&store, PurgeMode::Hard), 100);
    assert!(held.iter().all(|o| !o.is_stored()));
    assert_eq!(store.stats().objects, 1);
    assert_eq!(body(&store, &asks(&[("c", "7")])), None);
    assert_eq!(purge(&store, PurgeMode::Hard), 0);
}

#[tokio::test]
async fn the_least_used_variant_goes_when_there_are_too_many() {
    let store = Store::new(StoreOptions { variants_max: 3, ..StoreOptions::default() });
    for n in 0..5 {
        let value = n.to_string();
        let times = Times { response_time: at(n), ..ttl(100) };
        let object = put_variant(&store, "k", &["c"], &asks(&[("c", &value)]), &value, times).await;
        if n == 0 {
            object.record_hit(at(50));
        }
    }
    let left: Vec<_> = (0..5).filter(|n| body(&store, &asks(&[("c", &n.to_string())])).is_some()).collect();
    assert_eq!(left, [0, 3, 4]);
    assert_eq!(purge(&store, PurgeMode::Hard), 3);
}

#[tokio::test]
async fn variants_of_an_evicted_index_go_and_are_not_found_by_a_later_index() {
    let store = store(1 << 20);
    let de = put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "old", ttl(10)).await;
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "fr")]), "old", ttl(10)).await;
    let index = index_of(&store).expect("two variants have an index");
    // As the eviction listener does it.
    store.shelf().evict_index(&index);
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "en")]), "hello", ttl(10)).await;
    store.run_expiry(NOW);
    assert!(!de.is_stored());
    assert_eq!(body(&store, &asks(&[("lang", "de")])), None);
}

#[tokio::test]
async fn a_refreshed_variant_stays_a_variant_and_the_index_goes_with_the_last_one() {
    let store = store(1 << 20);
    let old = put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo", ttl(10)).await;
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "en")]), "hello", ttl(15)).await;
    let renewed = store.refresh(&old, b"h2", ttl(20), None);
    assert_eq!(body(&store, &asks(&[("lang", "de")])).as_deref(), Some("hallo"));
    assert_eq!(renewed.vary_names(), [Box::from("lang")]);
    let hash = store.hash(b"k");
    assert!(store.selects(&renewed, b"k", hash, &asks(&[("lang", "de")])));
    assert!(!store.selects(&renewed, b"k", hash, &asks(&[("lang", "en")])));
    assert!(!store.selects(&renewed, b"j", store.hash(b"j"), &asks(&[("lang", "de")])));
    assert!(index_of(&store).is_some());
    store.run_expiry(at(30));
    assert_eq!(store.stats().expiries, 2);
    assert!(store.shelf().get(hash).is_none(), "the empty index has gone");
}

#[tokio::test]
async fn the_index_of_another_key_with_the_same_hash_is_a_miss() {
    let store = store(1 << 20);
    let hash = store.hash(b"k");
    let de = [("lang", "de")];
    let held = put_variant(&store, "k", &["lang"], &asks(&de), "hallo", ttl(10)).await;
    assert!(store.lookup(b"j", hash, &asks(&de), NOW).is_none());
    assert_eq!(store.purge(b"j", hash, PurgeMode::Hard, NOW), 0);
    let (_object, _writer) = store.insert_streaming(NewObject { hash, ..new(&store, b"j", ttl(10)) });
    assert!(!held.is_stored(), "the index gave way, and its variants with it");
    assert_eq!(store.stats().objects, 1);
}

#[tokio::test]
async fn a_lone_variant_needs_no_index_and_answers_only_its_own_requests() {
    let store = store(1 << 20);
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo", ttl(10)).await;
    assert!(index_of(&store).is_none());
    assert_eq!(body(&store, &asks(&[("lang", "de")])).as_deref(), Some("hallo"));
    assert_eq!(body(&store, &asks(&[("lang", "en")])), None);
    assert_eq!(body(&store, &asks(&[])), None);
    let again = put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo 2", ttl(10)).await;
    assert!(index_of(&store).is_none(), "the same variant takes its place");
    assert_eq!(store.stats().objects, 1);
    let renewed = store.refresh(&again, b"h2", ttl(20), None);
    assert!(renewed.is_stored() && index_of(&store).is_none());
    assert_eq!(body(&store, &asks(&[("lang", "de")])).as_deref(), Some("hallo 2"));
    assert_eq!(body(&store, &asks(&[("lang", "en")])), None);
    let other = purge_as(&store, b"j");
    assert_eq!((other, purge(&store, PurgeMode::Hard)), (0, 1));
    assert!(!renewed.is_stored());
    assert_eq!(body(&store, &asks(&[("lang", "de")])), None);
}

#[tokio::test]
async fn a_lone_variant_moves_aside_for_the_second_and_keeps_its_hits_and_its_writer() {
    let store = store(1 << 20);
    let names = [Box::from("lang")];
    let de = asks(&[("lang", "de")]);
    let fresh = NewObject { vary_names: &names, vary: &de, ..new(&store, b"k", ttl(10)) };
    let (first, mut writer) = store.insert_streaming(fresh);
    writer.push(Bytes::from_static(b"hal")).await.expect("stored bodies never stop");
    first.record_hit(NOW);
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "en")]), "hello", ttl(10)).await;
    assert!(index_of(&store).is_some());
    let found = store.lookup(b"k", store.hash(b"k"), &de, NOW).expect("the first is still there");
    assert!(Arc::ptr_eq(&found, &first) && found.hits() == 1);
    writer.push(Bytes::from_static(b"lo")).await.expect("stored bodies never stop");
    writer.finish(None);
    assert_eq!(body(&store, &de).as_deref(), Some("hallo"));
    store.unstore(&first);
    assert_eq!(body(&store, &de), None);
    assert_eq!(body(&store, &asks(&[("lang", "en")])).as_deref(), Some("hello"));
    assert_eq!(purge(&store, PurgeMode::Hard), 1);
    let left = store.stats();
    assert_eq!((left.objects, store.shelf().shelved_bytes(crate::StorageId::MAIN)), (0, 0));
}

#[tokio::test]
async fn requests_for_different_values_do_not_wait_for_the_refresh_of_a_lone_variant() {
    let store = store(1 << 20);
    put_variant(&store, "k", &["lang"], &asks(&[("lang", "de")]), "hallo", ttl(10)).await;
    let hash = store.hash(b"k");
    let seen = store.lookup(b"k", hash, &asks(&[("lang", "de")]), NOW);
    let first = store.claim(b"k", hash, &asks(&[("lang", "de")]), seen.as_ref(), NOW);
    assert!(matches!(first, Claim::Fetch(_)));
    assert!(matches!(store.claim(b"k", hash, &asks(&[("lang", "de")]), seen.as_ref(), NOW), Claim::Wait(_)));
    assert!(matches!(store.claim(b"k", hash, &asks(&[("lang", "en")]), None, NOW), Claim::Fetch(_)));
}

#[tokio::test]
async fn lists_of_names_are_shared_up_to_a_bound_and_forgotten_with_their_objects() {
    let store = store(64 << 20);
    for n in 0..3000 {
        let name = format!("f{n}");
        put_variant(&store, &format!("k{n}"), &[&name], &plain, "x", ttl(10)).await;
    }
    assert_eq!(store.names.len(), 1024);
    let long = "n".repeat(300);
    put_variant(&store, "long", &[&long], &plain, "x", ttl(10)).await;
    assert_eq!(store.names.len(), 1024);
    store.run_expiry(at(30));
    put_variant(&store, "k", &["lang"], &plain, "x", ttl(10)).await;
    assert_eq!(store.names.len(), 1);
    assert_eq!(store.stats().objects, 1);
}
