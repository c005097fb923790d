//! What invalidation costs: lookups beside bans and variants, first checks, purges by tag.
//! `cargo bench -p copal-store`; docs/performance.md has the growth.

use bytes::Bytes;
use copal_semantics::time::{Span, Time};
use copal_semantics::{RequestHead, ResponseHead};
use copal_store::{NewObject, PurgeMode, StorageId, Store, StoreOptions, Times};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use std::borrow::Cow;
use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

const NOW: Time = Time::from_secs(1_700_000_000);

fn store() -> Arc<Store> {
    Store::new(StoreOptions { size: 4 << 30, variants_max: 10_000, ..StoreOptions::default() })
}

fn put(store: &Arc<Store>, key: &str, lang: Option<&str>, tags: &[Cow<'_, [u8]>]) {
    let head = ResponseHead::new(200, [("Content-Type", "text/html"), ("X-Type", "page"), ("ETag", "\"1\"")]).encode();
    let names: &[Box<str>] = if lang.is_some() { &["accept-language".into()] } else { &[] };
    let (_, mut writer) = store.insert_streaming(NewObject {
        key: key.as_bytes(),
        hash: store.hash(key.as_bytes()),
        vary_names: names,
        vary: &|_, feed| feed(lang.unwrap_or_default().as_bytes()),
        head: &head,
        times: Times::fresh(NOW, Span::from_secs(3600)),
        body_hint: None,
        tags,
        storage: StorageId::MAIN,
    });
    {
        // A stored body takes what comes at once.
        let mut push = pin!(writer.push(Bytes::from_static(b"a body")));
        assert!(push.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    }
    writer.finish(None);
}

fn ban(store: &Store, n: usize) {
    for i in 0..n {
        // As sites make them: prefixes, pages, hosts, and some that need a regular expression.
        let expression = match i % 4 {
            0 => format!("req.url ~ ^/section-{i}/"),
            1 => format!("req.url == /page/{i} && req.http.host == www.example"),
            2 => format!("req.http.host == site-{i}.example && obj.http.x-type == page"),
            _ => format!("req.url ~ ^/a[0-9]+/{i}$"),
        };
        store.ban(expression.parse().expect("valid"), NOW).expect("room");
    }
}

/// Bans that no index can tell apart.
fn ban_by_parts(store: &Store, n: usize) {
    for i in 0..n {
        store.ban(format!("req.url ~ part-{i}-").parse().expect("valid"), NOW).expect("room");
    }
}

fn lookup(store: &Store, key: &str, hash: u128, lang: &str, request: &RequestHead) -> bool {
    let vary = |_: &[Box<str>], feed: &mut dyn FnMut(&[u8])| feed(lang.as_bytes());
    store.lookup_for(key.as_bytes(), hash, &vary, request, NOW).is_some()
}

fn lookups(c: &mut Criterion) {
    let request = RequestHead::get("/page", [("Host", "www.example")]);
    let mut group = c.benchmark_group("lookup, bans checked before");
    for bans in [0, 100, 10_000] {
        let store = store();
        put(&store, "/page", None, &[]);
        ban(&store, bans);
        let hash = store.hash(b"/page");
        assert!(lookup(&store, "/page", hash, "", &request));
        group.bench_function(BenchmarkId::from_parameter(bans), |b| {
            b.iter(|| assert!(lookup(&store, black_box("/page"), hash, "", &request)));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("lookup, variants");
    for variants in [1, 2, 1000] {
        let store = store();
        for n in 0..variants {
            put(&store, "/page", Some(&n.to_string()), &[]);
        }
        let hash = store.hash(b"/page");
        group.bench_function(BenchmarkId::from_parameter(variants), |b| {
            b.iter(|| assert!(lookup(&store, black_box("/page"), hash, "0", &request)));
        });
    }
    group.finish();
}

/// Pages in random order, as visitors ask for them: what grows is how much of the memory caches they miss.
fn among_many(c: &mut Criterion) {
    let request = RequestHead::get("/page", [("Host", "www.example")]);
    let mut group = c.benchmark_group("lookup, so many objects stored");
    group.sample_size(50);
    for objects in [1_000, 1_000_000] {
        let store = store();
        let keys: Vec<String> = (0..objects).map(|n| format!("/page/{n}")).collect();
        keys.iter().for_each(|key| put(&store, key, None, &[]));
        let mut n = 0usize;
        group.bench_function(BenchmarkId::from_parameter(objects), |b| {
            b.iter(|| {
                n = (n + 611_953) % objects;
                assert!(lookup(&store, &keys[n], store.hash(keys[n].as_bytes()), "", &request));
            });
        });
    }
    group.finish();
}

fn first_checks(c: &mut Criterion) {
    let request = RequestHead::get("/page", [("Host", "www.example")]);
    let mut group = c.benchmark_group("first lookup after so many bans");
    group.sample_size(10);
    type Kind = (&'static str, fn(&Store, usize));
    let kinds: [Kind; 2] = [("found by an index", ban), ("tried one by one", ban_by_parts)];
    for (kind, bans) in kinds.into_iter().flat_map(|kind| [1, 100, 10_000].map(|bans| (kind, bans))) {
        let (name, ban) = kind;
        group.bench_function(BenchmarkId::new(name, bans), |b| {
            let ready = || {
                let store = store();
                put(&store, "/page", None, &[]);
                ban(&store, bans);
                store
            };
            b.iter_batched_ref(
                ready,
                |store| assert!(lookup(store, "/page", store.hash(b"/page"), "", &request)),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn tags(c: &mut Criterion) {
    let mut group = c.benchmark_group("purge of so many objects with a tag");
    group.sample_size(10);
    for objects in [1_000, 10_000, 100_000] {
        group.bench_function(BenchmarkId::from_parameter(objects), |b| {
            let ready = || {
                let store = store();
                for n in 0..objects {
                    let own: Vec<Cow<'_, [u8]>> =
                        (0..9).map(|t| format!("tag-{}", (n * 7 + t) % 5000).into_bytes().into()).collect();
                    put(&store, &format!("/page/{n}"), None, &[&own[..], &[Cow::from(&b"all"[..])]].concat());
                }
                store
            };
            b.iter_batched_ref(
                ready,
                |store| assert_eq!(store.purge_tags(&["all"], PurgeMode::Hard, NOW), objects as u64),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
    let mut group = c.benchmark_group("purge of one URL among so many tagged objects");
    for objects in [1_000, 100_000] {
        let store = store();
        for n in 0..objects {
            put(&store, &format!("/page/{n}"), None, &[Cow::from(&b"all"[..])]);
        }
        group.bench_function(BenchmarkId::from_parameter(objects), |b| {
            b.iter_batched_ref(
                || put(&store, "/page/1", None, &[Cow::from(&b"all"[..])]),
                |()| assert_eq!(store.purge(b"/page/1", store.hash(b"/page/1"), PurgeMode::Hard, NOW), 1),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, lookups, among_many, first_checks, tags);
criterion_main!(benches);
