//! Tests of claims: one fetches, all others are released together.

use super::{NOW, asks, find, new, plain, put, store, ttl};
use crate::{Claim, FetchGuard, Kind, NewObject, Released, Store, StoreOptions, Waiter};
use std::sync::Arc;
use std::time::Duration;

fn claim(store: &Arc<Store>, key: &str) -> Claim {
    store.claim(key.as_bytes(), store.hash(key.as_bytes()), &plain, None, NOW)
}

fn fetch(store: &Arc<Store>, key: &str) -> FetchGuard {
    match claim(store, key) {
        Claim::Fetch(guard) => guard,
        other => panic!("{other:?}"),
    }
}

fn wait(store: &Arc<Store>, key: &str) -> Waiter {
    match claim(store, key) {
        Claim::Wait(waiter) => waiter,
        other => panic!("{other:?}"),
    }
}

async fn all_are_released(end: impl FnOnce(FetchGuard, &Arc<Store>)) -> Vec<Released> {
    let store = store(16 << 20);
    let guard = fetch(&store, "k");
    let tasks: Vec<_> = (0..1000).map(|_| tokio::spawn(wait(&store, "k").wait())).collect();
    tokio::task::yield_now().await;
    assert_eq!((guard.waiters(), store.stats().waiting, store.stats().flights), (1000, 1000, 1));
    end(guard, &store);
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(tokio::time::timeout(Duration::from_secs(20), task).await.expect("in time").expect("no panic"));
    }
    assert_eq!((store.stats().waiting, store.stats().flights), (0, 0));
    outcomes
}

fn publish(guard: FetchGuard, store: &Arc<Store>) {
    let (object, _writer) = store.insert_streaming(new(store, b"k", ttl(10)));
    guard.publish(&object);
}

#[tokio::test]
async fn publishing_releases_all_waiters_on_one_thread() {
    let all = all_are_released(publish).await;
    assert!(all.iter().all(|r| matches!(r, Released::Stored(o) if o.key() == b"k")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn publishing_releases_all_waiters_on_many_threads() {
    let all = all_are_released(publish).await;
    assert!(all.iter().all(|r| matches!(r, Released::Stored(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_other_end_releases_all_waiters_too() {
    assert!(all_are_released(|g, _| g.uncacheable()).await.iter().all(|r| matches!(r, Released::Uncacheable)));
    assert!(all_are_released(|g, _| g.fail()).await.iter().all(|r| matches!(r, Released::Failed)));
    assert!(all_are_released(|g, _| drop(g)).await.iter().all(|r| matches!(r, Released::Failed)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_waiter_is_lost_when_waiting_and_landing_meet() {
    let store = store(16 << 20);
    for _ in 0..3000 {
        let guard = fetch(&store, "k");
        let waiters: Vec<_> = (0..3).map(|_| tokio::spawn(wait(&store, "k").wait())).collect();
        tokio::spawn(async move { guard.uncacheable() });
        for waiter in waiters {
            tokio::time::timeout(Duration::from_secs(20), waiter).await.expect("in time").expect("no panic");
        }
        while store.stats().flights > 0 {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_key_is_free_again_after_its_fetch() {
    let store = store(1 << 20);
    fetch(&store, "k").fail();
    let guard = fetch(&store, "k");
    assert!(matches!(claim(&store, "other"), Claim::Fetch(_)), "keys do not wait for each other");
    drop(guard);
    assert_eq!(store.stats().bytes, 0);
}

#[tokio::test]
async fn too_many_waiters_go_on_alone() {
    let store = Store::new(StoreOptions { waiters_max: 2, ..StoreOptions::default() });
    let _guard = fetch(&store, "k");
    let first = wait(&store, "k");
    let _second = wait(&store, "k");
    assert!(matches!(claim(&store, "k"), Claim::Full));
    drop(first);
    assert!(matches!(claim(&store, "k"), Claim::Wait(_)), "who gives up leaves the queue");
}

#[tokio::test]
async fn what_was_stored_between_lookup_and_claim_is_not_fetched_again() {
    let store = store(1 << 20);
    assert!(find(&store, "k", NOW).is_none());
    let object = put(&store, "k", b"x", ttl(10)).await;
    assert!(matches!(claim(&store, "k"), Claim::Appeared(o) if Arc::ptr_eq(&o, &object)));
    let hash = store.hash(b"k");
    assert!(
        matches!(store.claim(b"k", hash, &plain, Some(&object), NOW), Claim::Fetch(_)),
        "it was seen and found stale"
    );
    assert_eq!(store.stats().flights, 0);
}

#[tokio::test]
async fn requests_for_different_variants_do_not_wait_for_each_other() {
    let store = store(1 << 20);
    let names = [Box::from("lang")];
    let hash = store.hash(b"k");
    let (de, en) = ([("lang", "de")], [("lang", "en")]);
    let (de, en) = (asks(&de), asks(&en));
    store.insert_marker(NewObject { vary_names: &names, vary: &de, ..new(&store, b"k", ttl(0)) }, Kind::HitForMiss);
    let first = store.claim(b"k", hash, &de, None, NOW);
    assert!(matches!(first, Claim::Fetch(_)));
    assert!(matches!(store.claim(b"k", hash, &de, None, NOW), Claim::Wait(_)));
    assert!(matches!(store.claim(b"k", hash, &en, None, NOW), Claim::Fetch(_)));
}

#[test]
fn a_waiter_on_another_runtime_is_released() {
    let store = store(1 << 20);
    let guard = fetch(&store, "k");
    let waiter = wait(&store, "k");
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        runtime.block_on(waiter.wait())
    });
    guard.uncacheable();
    assert!(matches!(thread.join().expect("no panic"), Released::Uncacheable));
}
