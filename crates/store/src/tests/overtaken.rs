//! Tests of purges that overtake a fetch.

use super::{NOW, asks, at, find, new, plain, put, store, ttl};
use crate::{Claim, NewObject, Object, PurgeMode, PurgeWatch, Released, Store};
use bytes::Bytes;
use copal_semantics::ResponseHead;
use copal_semantics::time::Span;
use std::borrow::Cow;
use std::sync::Arc;

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

/// Stores a response that was asked for under `watch`: tagged `a` and `b`, and with a field `x-a: 1`.
fn answer(store: &Arc<Store>, key: &str, watch: &PurgeWatch) -> Arc<Object> {
    let tags = [Cow::from(&b"a"[..]), Cow::from(&b"b"[..])];
    let head = ResponseHead::new(200, [("X-A", "1")]).encode();
    let made = NewObject { tags: &tags, head: &head, ..new(store, key.as_bytes(), ttl(100)) };
    let (object, writer) = store.insert_watched(made, watch);
    writer.finish(None);
    object
}

fn watch(store: &Arc<Store>, key: &str) -> PurgeWatch {
    store.watch_purges(store.hash(key.as_bytes()))
}

#[test]
fn a_purge_by_tag_reaches_what_is_being_fetched() {
    let store = store(16 << 20);
    let (early, other) = (watch(&store, "early"), watch(&store, "other"));
    assert_eq!(store.purge_tags(&["b", "c"], PurgeMode::Hard, NOW), 0);
    let late = watch(&store, "late");
    let overtaken = answer(&store, "early", &early);
    assert!(!overtaken.is_stored() && !overtaken.is_purged() && find(&store, "early", NOW).is_none());
    assert!(answer(&store, "late", &late).is_stored(), "it was asked for after the purge");
    store.purge_tags(&["a"], PurgeMode::Soft, NOW);
    let stale = answer(&store, "late", &late);
    assert!(stale.is_stored() && stale.times().fresh_until() == NOW, "a soft purge makes it stale");
    let made = NewObject { tags: &[Cow::from(&b"d"[..])], ..new(&store, b"other", ttl(100)) };
    let (untouched, _writer) = store.insert_watched(made, &other);
    assert!(untouched.is_stored() && untouched.times().fresh_until() == at(100), "it has none of these tags");
    drop((early, late, other));
    // Nothing is noted while nothing is under way.
    let before = store.stats().bytes;
    store.purge_tags(&["x"], PurgeMode::Hard, NOW);
    assert_eq!(store.stats().bytes, before);
}

#[test]
fn more_purges_by_tag_than_are_noted_count_for_all_that_is_tagged() {
    let store = store(64 << 20);
    let (tagged, untagged) = (watch(&store, "tagged"), watch(&store, "untagged"));
    let before = store.stats().bytes;
    for n in 0..40_000 {
        store.purge_tags(&[format!("t{n}")], PurgeMode::Hard, NOW);
    }
    assert!(store.stats().bytes - before < 4 << 20, "{}", store.stats().bytes - before);
    assert!(!answer(&store, "tagged", &tagged).is_stored());
    let (free, _writer) = store.insert_watched(new(&store, b"untagged", ttl(9)), &untagged);
    assert!(free.is_stored());
    let now = watch(&store, "tagged");
    assert!(answer(&store, "tagged", &now).is_stored());
    drop((tagged, untagged, now));
    store.purge_tags(&["a"], PurgeMode::Hard, NOW);
}

#[test]
fn a_ban_reaches_what_is_being_fetched_also_when_the_lurker_has_been_round() {
    let store = store(16 << 20);
    let ban = |text: &str| store.ban(text.parse().expect("valid"), NOW).expect("room");
    let lurk = || (0..100).take_while(|_| store.lurk(1000, NOW)).count();
    let early = watch(&store, "early");
    ban("obj.http.x-a == 1");
    let late = watch(&store, "late");
    assert!(lurk() < 5, "it does not go round for what it cannot get done");
    assert_eq!(store.stats().bans, 1, "a request from before it is under way");
    let (banned, free) = (answer(&store, "early", &early), answer(&store, "late", &late));
    assert!(banned.is_stored(), "its own client may have it");
    assert!(find(&store, "early", NOW).is_none() && !banned.is_stored());
    assert!(find(&store, "late", NOW).is_some() && free.is_stored(), "it was asked for after the ban");
    // And without anybody who looks.
    let unseen = answer(&store, "early", &early);
    drop((early, late));
    lurk();
    assert!(!unseen.is_stored() && free.is_stored());
    assert_eq!(store.stats().bans, 0, "nothing older is left");
}

#[test]
fn requests_that_overlap_for_ever_do_not_hold_bans_back() {
    let store = store(16 << 20);
    let mut under_way = vec![watch(&store, "k")];
    for n in 0..20 {
        store.ban(format!("obj.http.x-a == {n}").parse().expect("valid"), NOW).expect("room");
        under_way.push(watch(&store, "k"));
        under_way.remove(0);
        while store.lurk(1000, NOW) {}
        assert_eq!(store.stats().bans, 0, "{n}");
    }
}

#[test]
fn a_304_that_a_purge_by_tag_overtakes_is_stale_or_gone() {
    let store = store(16 << 20);
    let first = watch(&store, "k");
    let old = answer(&store, "k", &first);
    let soft = watch(&store, "k");
    store.purge_tags(&["a"], PurgeMode::Soft, NOW);
    let renewed = store.refresh(&old, old.head(), ttl(100), Some(&soft));
    assert!(renewed.is_stored() && renewed.times().fresh_until() == NOW);
    let fresh = watch(&store, "k");
    let renewed = store.refresh(&renewed, old.head(), ttl(100), Some(&fresh));
    assert_eq!(renewed.times().fresh_until(), at(100));
    // The 304 names a tag that was purged since it was asked for, and that the old one had not.
    store.purge_tags(&["new"], PurgeMode::Hard, NOW);
    let tagged = store.refresh_tagged(&renewed, old.head(), ttl(100), &[Cow::from(&b"new"[..])], Some(&fresh));
    assert!(!tagged.is_stored() && find(&store, "k", NOW).is_none());
}

#[tokio::test]
async fn who_comes_to_wait_after_a_purge_by_tag_is_not_given_what_was_asked_for_before_it() {
    let store = store(16 << 20);
    let hash = store.hash(b"k");
    let claim = || store.claim(b"k", hash, &plain, None, NOW);
    let Claim::Fetch(guard) = claim() else { panic!("nobody fetches it") };
    let asked = watch(&store, "k");
    let Claim::Wait(before) = claim() else { panic!("it is being fetched") };
    store.purge_tags(&["a"], PurgeMode::Hard, NOW);
    let Claim::Wait(after) = claim() else { panic!("it is being fetched, by all that is known") };
    guard.publish(&answer(&store, "k", &asked));
    assert!(matches!(before.wait().await, Released::Stored(_)));
    assert!(matches!(after.wait().await, Released::Overtaken));
}
