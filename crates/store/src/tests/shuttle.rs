//! The waiting list and bodies that are read while they are written, under a scheduler that tries interleavings: the store's own
//! code, with the locks, counters and wake-ups of `crate::sync` as the points where threads may change places.
//!
//! `make interleavings`, or `cargo test -p copal-store --features shuttle --lib shuttle`. `COPAL_INTERLEAVINGS` says how many are
//! tried per test. A thread that is never woken is a deadlock to the scheduler, and fails the test with the schedule to
//! replay.

use super::{NOW, at, new, plain, store, ttl};
use crate::live::CHUNK_BYTES;
use crate::{BodyFault, Claim, FetchGuard, NewObject, NoReaders, PurgeMode, Reader, Released, Store};
use bytes::Bytes;
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use shuttle::thread;
use std::sync::Arc;

const KEY: &[u8] = b"/page";

/// Half of the schedules by chance, half with few but well-placed changes (PCT, depth 3).
fn explore(test: impl Fn() + Send + Sync + Clone + 'static) {
    let n = std::env::var("COPAL_INTERLEAVINGS").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let config = || {
        let mut config = shuttle::Config::new();
        config.stack_size = 512 << 10;
        config
    };
    shuttle::Runner::new(RandomScheduler::new(n / 2), config()).run(test.clone());
    shuttle::Runner::new(PctScheduler::new(3, n / 2), config()).run(test);
}

fn claim(store: &Arc<Store>) -> Claim {
    store.claim(KEY, store.hash(KEY), &plain, None, NOW)
}

/// How the fetch ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Publish,
    Uncacheable,
    Fail,
    Drop,
}

fn finish(end: End, guard: FetchGuard, store: &Arc<Store>) {
    match end {
        End::Publish => {
            let (object, writer) = store.insert_streaming(new(store, KEY, ttl(60)));
            guard.publish(&object);
            writer.finish(None);
        }
        End::Uncacheable => guard.uncacheable(),
        End::Fail => guard.fail(),
        End::Drop => drop(guard),
    }
}

fn released(end: End, with: &Released) {
    match (with, end) {
        (Released::Stored(object), End::Publish) => assert_eq!(object.key(), KEY),
        (Released::Uncacheable, End::Uncacheable) | (Released::Failed, End::Fail | End::Drop) => {}
        (other, _) => panic!("released with {other:?}"),
    }
}

fn all_waiters_are_released(end: End) {
    explore(move || {
        let store = store(1 << 20);
        let fetches = Arc::new(Mutex::new(0));
        let ask = |store: Arc<Store>, fetches: Arc<Mutex<u32>>| {
            move || match claim(&store) {
                Claim::Fetch(guard) => {
                    *fetches.lock().expect("no panic") += 1;
                    finish(end, guard, &store);
                }
                Claim::Wait(waiter) => released(end, &block_on(waiter.wait())),
                Claim::Appeared(object) => assert!(end == End::Publish && object.key() == KEY),
                Claim::Full => panic!("there is room"),
            }
        };
        // One fetches and two wait from the beginning, one comes at any time.
        let Claim::Fetch(guard) = claim(&store) else { panic!("a free key") };
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                let Claim::Wait(waiter) = claim(&store) else { panic!("a key in flight") };
                thread::spawn(move || released(end, &block_on(waiter.wait())))
            })
            .collect();
        let filler = Arc::clone(&store);
        threads.push(thread::spawn(move || finish(end, guard, &filler)));
        threads.push(thread::spawn(ask(Arc::clone(&store), Arc::clone(&fetches))));
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let fetches = *fetches.lock().expect("no panic");
        assert!(end != End::Publish || fetches == 0, "{fetches} fetches more");
        nothing_is_stuck(&store, end == End::Publish);
    });
}

/// The key is free, nobody is counted as waiting, and the account is as it was.
fn nothing_is_stuck(store: &Arc<Store>, stored: bool) {
    let stats = store.stats();
    assert_eq!((stats.flights, stats.waiting, stats.in_flight_bytes), (0, 0, 0));
    match claim(store) {
        Claim::Fetch(guard) => {
            assert!(!stored);
            drop(guard);
        }
        Claim::Appeared(_) => assert!(stored),
        other => panic!("the key is stuck: {other:?}"),
    }
    if !stored {
        assert_eq!(store.ledger().used(), 0, "what was charged was released");
    }
}

#[test]
fn shuttle_publishing_releases_all_waiters() {
    all_waiters_are_released(End::Publish);
}

#[test]
fn shuttle_an_uncacheable_answer_releases_all_waiters() {
    all_waiters_are_released(End::Uncacheable);
}

#[test]
fn shuttle_a_failed_fetch_releases_all_waiters() {
    all_waiters_are_released(End::Fail);
}

#[test]
fn shuttle_a_fetch_that_dies_releases_all_waiters() {
    all_waiters_are_released(End::Drop);
}

#[test]
fn shuttle_who_gives_up_waiting_leaves_nothing_behind() {
    explore(|| {
        let store = store(1 << 20);
        let Claim::Fetch(guard) = claim(&store) else { panic!("a free key") };
        let Claim::Wait(patient) = claim(&store) else { panic!("a key in flight") };
        let Claim::Wait(hasty) = claim(&store) else { panic!("a key in flight") };
        let patient = thread::spawn(move || assert!(matches!(block_on(patient.wait()), Released::Failed)));
        let hasty = thread::spawn(move || {
            // Polled once, so that it is in the queue, and then given up.
            let mut wait = Box::pin(hasty.wait());
            block_on(std::future::poll_fn(|context| {
                let _whatever = wait.as_mut().poll(context);
                std::task::Poll::Ready(())
            }));
        });
        let filler = thread::spawn(move || drop(guard));
        [patient, hasty, filler].into_iter().for_each(|thread| thread.join().expect("no panic"));
        nothing_is_stuck(&store, false);
    });
}

#[test]
fn shuttle_a_purge_is_never_overtaken() {
    explore(|| {
        let store = store(1 << 20);
        let purged = Arc::new(Mutex::new(false));
        let Claim::Fetch(guard) = claim(&store) else { panic!("a free key") };
        let watch = store.watch_purges(store.hash(KEY));
        let filler = {
            let store = Arc::clone(&store);
            thread::spawn(move || {
                let (object, writer) = store.insert_watched(new(&store, KEY, ttl(60)), &watch);
                guard.publish(&object);
                writer.finish(None);
            })
        };
        let purger = {
            let (store, purged) = (Arc::clone(&store), Arc::clone(&purged));
            thread::spawn(move || {
                store.purge(KEY, store.hash(KEY), PurgeMode::Hard, NOW);
                *purged.lock().expect("no panic") = true;
            })
        };
        let reader = {
            let (store, purged) = (Arc::clone(&store), Arc::clone(&purged));
            thread::spawn(move || {
                let after = *purged.lock().expect("no panic");
                let found = store.lookup(KEY, store.hash(KEY), &plain, NOW);
                assert!(!after || found.is_none(), "offered after the purge had returned");
                // Whoever comes after the purge does not wait for what was asked before it.
                if after && let Claim::Wait(_) = claim(&store) {
                    panic!("waits for what the purge was about");
                }
            })
        };
        [filler, purger, reader].into_iter().for_each(|thread| thread.join().expect("no panic"));
        nothing_is_stuck(&store, false);
    });
}

/// All that a reader gets, and how it ended.
fn read_all(mut reader: Reader) -> (Vec<u8>, Result<(), BodyFault>) {
    let mut all = Vec::new();
    block_on(async move {
        loop {
            match reader.next().await {
                None => return (all, Ok(())),
                Some(Ok(bytes)) => all.extend_from_slice(&bytes),
                Some(Err(fault)) => return (all, Err(fault)),
            }
        }
    })
}

#[test]
fn shuttle_readers_of_a_body_that_arrives_get_all_of_it_in_order() {
    explore(|| {
        let store = store(1 << 20);
        let (object, mut writer) = store.insert_streaming(new(&store, KEY, ttl(60)));
        let readers: Vec<_> = (0..2)
            .map(|_| {
                let object = Arc::clone(&object);
                thread::spawn(move || read_all(object.body().reader().expect("a kept body has its beginning")))
            })
            .collect();
        let filler = thread::spawn(move || {
            block_on(async move {
                for piece in [&b"one "[..], b"two ", b"three"] {
                    writer.push(Bytes::from_static(piece)).await.expect("kept bodies never stop");
                }
                writer.finish(None);
            });
        });
        for reader in readers {
            assert_eq!(reader.join().expect("no panic"), (b"one two three".to_vec(), Ok(())));
        }
        filler.join().expect("no panic");
        assert_eq!(store.stats().in_flight_bytes, 0);
        assert_eq!(object.body().len_known(), Some(13));
    });
}

#[test]
fn shuttle_a_body_that_breaks_off_is_a_fault_for_every_reader_and_never_an_end() {
    explore(|| {
        let store = store(1 << 20);
        let (object, mut writer) = store.insert_streaming(new(&store, KEY, ttl(60)));
        let reader = {
            let object = Arc::clone(&object);
            thread::spawn(move || object.body().reader().map(read_all))
        };
        let filler = thread::spawn(move || {
            block_on(async { writer.push(Bytes::from_static(b"half")).await.expect("kept") });
            drop(writer);
        });
        if let Some((bytes, end)) = reader.join().expect("no panic") {
            assert_eq!(end, Err(BodyFault::Stopped));
            assert!(b"half".starts_with(&bytes[..]));
        }
        filler.join().expect("no panic");
        assert!(store.lookup(KEY, store.hash(KEY), &plain, NOW).is_none(), "half a body is not offered");
        drop(object);
        nothing_is_stuck(&store, false);
    });
}

#[test]
fn shuttle_a_window_waits_for_its_reader_and_ends_with_it() {
    explore(|| {
        let store = store(1 << 20);
        let (reader, mut writer) = store.transit_body(2);
        let whole = thread::spawn(move || read_all(reader));
        let filler = thread::spawn(move || {
            block_on(async move {
                for piece in [&b"ab"[..], b"cd", b"ef"] {
                    writer.push(Bytes::from_static(piece)).await.expect("it is read");
                }
                writer.finish(None);
            });
        });
        assert_eq!(whole.join().expect("no panic"), (b"abcdef".to_vec(), Ok(())));
        filler.join().expect("no panic");
        assert_eq!(store.ledger().used(), 0);
    });
}

#[test]
fn shuttle_single_bytes_that_are_joined_in_a_window_reach_both_readers_in_order() {
    explore(|| {
        let store = store(1 << 20);
        // Blocks of four bytes, in a window that they do not all fit in.
        let (first, mut writer) = store.transit_body(16);
        let second = first.body().reader().expect("from the start");
        let readers = [first, second].map(|reader| thread::spawn(move || read_all(reader)));
        let filler = thread::spawn(move || {
            block_on(async move {
                for byte in b"twenty single bytes." {
                    writer.push(Bytes::copy_from_slice(&[*byte])).await.expect("it is read");
                }
                writer.finish(None);
            });
        });
        for reader in readers {
            assert_eq!(reader.join().expect("no panic"), (b"twenty single bytes.".to_vec(), Ok(())));
        }
        filler.join().expect("no panic");
        assert_eq!(store.ledger().used(), 0);
    });
}

#[test]
fn shuttle_the_last_reader_that_leaves_stops_the_writer() {
    explore(|| {
        let store = store(1 << 20);
        let (reader, mut writer) = store.transit_body(2);
        let leaver = thread::spawn(move || {
            let mut reader = reader;
            block_on(async { assert!(matches!(reader.next().await, Some(Ok(_)))) });
        });
        let filler = thread::spawn(move || {
            block_on(async move {
                // More than the window holds: it must be told, not wait for ever.
                for _ in 0..4 {
                    if writer.push(Bytes::from_static(b"ab")).await == Err(NoReaders) {
                        break;
                    }
                }
                writer.deserted().await;
            });
        });
        [leaver, filler].into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert_eq!(store.ledger().used(), 0);
    });
}

#[test]
fn shuttle_a_body_that_leaves_the_store_while_it_comes_reaches_its_reader_whole() {
    explore(|| {
        let store = store(1 << 20);
        let wanted = vec![b'x'; CHUNK_BYTES + 10];
        let (object, mut writer) = store.insert_streaming(new(&store, KEY, ttl(60)));
        let reader = object.body().reader().expect("its beginning");
        let reading = thread::spawn(move || read_all(reader));
        let purger = {
            let store = Arc::clone(&store);
            thread::spawn(move || store.purge(KEY, store.hash(KEY), PurgeMode::Hard, NOW))
        };
        let filler = {
            let body = wanted.clone();
            thread::spawn(move || {
                block_on(async move {
                    for piece in body.chunks(CHUNK_BYTES / 2 + 1) {
                        writer.push(Bytes::copy_from_slice(piece)).await.expect("it is read");
                    }
                    writer.finish(None);
                });
            })
        };
        let (bytes, end) = reading.join().expect("no panic");
        assert_eq!((bytes.len(), end), (wanted.len(), Ok(())));
        purger.join().expect("no panic");
        filler.join().expect("no panic");
        assert!(store.lookup(KEY, store.hash(KEY), &plain, at(1)).is_none());
        drop(object);
        nothing_is_stuck(&store, false);
    });
}

#[test]
fn shuttle_an_answer_that_varies_is_found_by_those_it_is_for() {
    explore(|| {
        let store = store(1 << 20);
        let names: Vec<Box<str>> = vec!["a".into()];
        let put = |value: &'static [u8]| {
            let (store, names) = (Arc::clone(&store), names.clone());
            thread::spawn(move || {
                let vary = |_: &[Box<str>], feed: &mut dyn FnMut(&[u8])| feed(value);
                let new = NewObject { vary_names: &names, vary: &vary, ..new(&store, KEY, ttl(60)) };
                let (_, mut writer) = store.insert_streaming(new);
                block_on(async { writer.push(Bytes::from_static(value)).await.expect("kept") });
                writer.finish(None);
            })
        };
        [put(b"x"), put(b"y")].into_iter().for_each(|thread| thread.join().expect("no panic"));
        for value in [&b"x"[..], b"y"] {
            let vary = |_: &[Box<str>], feed: &mut dyn FnMut(&[u8])| feed(value);
            let found = store.lookup(KEY, store.hash(KEY), &vary, NOW).expect("each has its own");
            assert_eq!(found.body().whole_slice(), Some(value));
        }
    });
}
