//! The store against a model: a plain map with times, tags and a note of every ban. Whatever the order of operations, no
//! lookup gives a purged, banned, expired or wrong object, and none misses one that should be there.

use super::{asks, at, new};
use crate::{NewObject, PurgeMode, Store, StoreOptions, Times};
use bytes::Bytes;
use copal_semantics::time::Span;
use copal_semantics::{RequestHead, ResponseHead};
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;

/// The first two have one response for all, the others one for each language.
const KEYS: u8 = 4;
const VARYING: u8 = 2;
const LANGS: [&str; 3] = ["", "de", "en"];
const TAGS: [&str; 4] = ["red", "green", "blue", "red-and-blue"];

#[derive(Clone, Debug)]
enum Op {
    /// Key, language if the key varies, ttl, grace, tags as bits, the value of its field `x-n`.
    Put {
        key: u8,
        lang: usize,
        ttl: i64,
        grace: i64,
        tags: u8,
        n: u8,
    },
    Refresh {
        key: u8,
        lang: usize,
        ttl: i64,
        tags: Option<u8>,
    },
    Purge {
        key: u8,
        soft: bool,
    },
    PurgeTags {
        tags: u8,
        soft: bool,
    },
    /// `obj.http.x-n == n`
    BanValue(u8),
    /// `req.url == /key && obj.http.x-n != n`
    BanUrl {
        key: u8,
        n: u8,
    },
    Ask {
        key: u8,
        lang: usize,
    },
    Lurk(u32),
    Advance(i64),
    Expire,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, lang) = (0..KEYS, 0..LANGS.len());
    prop_oneof![
        6 => (key.clone(), lang.clone(), 0..100i64, 0..100i64, 0..16u8, 0..4u8)
            .prop_map(|(key, lang, ttl, grace, tags, n)| Op::Put { key, lang, ttl, grace, tags, n }),
        2 => (key.clone(), lang.clone(), 0..100i64, prop::option::of(0..16u8))
            .prop_map(|(key, lang, ttl, tags)| Op::Refresh { key, lang, ttl, tags }),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, soft)| Op::Purge { key, soft }),
        1 => (1..16u8, any::<bool>()).prop_map(|(tags, soft)| Op::PurgeTags { tags, soft }),
        1 => (0..4u8).prop_map(Op::BanValue),
        1 => (key.clone(), 0..4u8).prop_map(|(key, n)| Op::BanUrl { key, n }),
        2 => (key, lang).prop_map(|(key, lang)| Op::Ask { key, lang }),
        2 => (1..6u32).prop_map(Op::Lurk),
        2 => (0..70i64).prop_map(Op::Advance),
        1 => Just(Op::Expire),
    ]
}

#[derive(Clone, Debug)]
struct Stored {
    version: usize,
    fresh_until: i64,
    grace: i64,
    tags: u8,
    n: u8,
}

impl Stored {
    fn lives(&self, now: i64) -> bool {
        now < self.fresh_until + self.grace
    }
}

fn names(tags: u8) -> Vec<&'static str> {
    (0..4).filter(|bit| tags & (1 << bit) != 0).map(|bit| TAGS[bit]).collect()
}

fn key_of(key: u8) -> String {
    format!("/{key}")
}

struct World {
    store: Arc<Store>,
    /// By key and language.
    model: HashMap<(u8, usize), Stored>,
    now: i64,
}

impl World {
    fn put(&mut self, version: usize, op: &Op) {
        let Op::Put { key, lang, ttl, grace, tags, n } = *op else { return };
        let head = ResponseHead::new(200, [("X-N", &*n.to_string())]).encode();
        let fields = [("lang", LANGS[lang])];
        let vary = asks(&fields);
        let vary_names = if key >= VARYING { vec![Box::from("lang")] } else { vec![] };
        let vary_names = &*vary_names;
        let tag_list: Vec<_> = names(tags).into_iter().map(|t| t.as_bytes().into()).collect();
        let name = key_of(key);
        let times = Times {
            response_time: at(self.now),
            ttl: Span::from_secs(ttl),
            grace: Span::from_secs(grace),
            ..Times::default()
        };
        let made = NewObject {
            vary_names,
            vary: &vary,
            head: &head,
            tags: &tag_list,
            ..new(&self.store, name.as_bytes(), times)
        };
        let (_, mut writer) = self.store.insert_streaming(made);
        // A stored body never waits, so a runtime is not needed.
        {
            let mut push = std::pin::pin!(writer.push(Bytes::from(version.to_string())));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(push.as_mut().poll(&mut context).is_ready());
        }
        writer.finish(None);
        self.model.insert(Self::place(key, lang), Stored { version, fresh_until: self.now + ttl, grace, tags, n });
    }

    /// Where in the model it stands.
    fn place(key: u8, lang: usize) -> (u8, usize) {
        (key, if key >= VARYING { lang } else { 0 })
    }

    fn request(key: u8) -> RequestHead {
        RequestHead::get(&key_of(key), [])
    }

    /// What the store gives to that request, as the version in the body.
    fn find(&self, key: u8, lang: usize) -> Option<Arc<crate::Object>> {
        let name = key_of(key);
        let (hash, fields) = (self.store.hash(name.as_bytes()), [("lang", LANGS[lang])]);
        self.store.lookup_for(name.as_bytes(), hash, &asks(&fields), &Self::request(key), at(self.now))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]
    #[test]
    fn no_sequence_of_operations_tells_the_store_from_the_model(ops in prop::collection::vec(op(), 1..60)) {
        let store = Store::new(StoreOptions::default());
        let mut w = World { store, model: HashMap::new(), now: 0 };
        for (version, op) in ops.iter().enumerate() {
            step(&mut w, version, op)?;
        }
        for key in 0..KEYS {
            for lang in 0..LANGS.len() {
                compare(&w, key, lang)?;
            }
        }
    }
}

/// The store's answer is the model's.
fn compare(w: &World, key: u8, lang: usize) -> Result<(), TestCaseError> {
    let found = w.find(key, lang).and_then(|o| o.body().whole());
    let stored = w.model.get(&World::place(key, lang)).filter(|s| s.lives(w.now));
    let wanted = stored.map(|s| s.version.to_string());
    prop_assert_eq!(found.as_deref(), wanted.as_deref().map(str::as_bytes), "key {} lang {} at {}", key, lang, w.now);
    Ok(())
}

fn step(w: &mut World, version: usize, op: &Op) -> Result<(), TestCaseError> {
    let now = w.now;
    match *op {
        Op::Put { .. } => w.put(version, op),
        Op::Refresh { key, lang, ttl, tags } => {
            if let Some(old) = w.find(key, lang) {
                let times = Times {
                    response_time: at(now),
                    ttl: Span::from_secs(ttl),
                    grace: Span::from_secs(7),
                    ..Times::default()
                };
                let head = old.head().to_vec();
                let _renewed = match tags {
                    None => w.store.refresh(&old, &head, times),
                    Some(tags) => {
                        let list: Vec<_> = names(tags).into_iter().map(|t| t.as_bytes().into()).collect();
                        w.store.refresh_tagged(&old, &head, times, &list)
                    }
                };
                if let Some(stored) = w.model.get_mut(&World::place(key, lang)) {
                    (stored.fresh_until, stored.grace) = (now + ttl, 7);
                    stored.tags = tags.unwrap_or(stored.tags);
                }
            }
        }
        Op::Purge { key, soft } => {
            let name = key_of(key);
            let hash = w.store.hash(name.as_bytes());
            let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
            // Bans are judged first, so that the count can be foretold.
            (0..LANGS.len()).for_each(|lang| drop(w.find(key, lang)));
            let count = w.store.purge(name.as_bytes(), hash, mode, at(now));
            prop_assert_eq!(count, drop_from(w, soft, |k, _| k == key));
        }
        Op::PurgeTags { tags, soft } => {
            let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
            for key in 0..KEYS {
                (0..LANGS.len()).for_each(|lang| drop(w.find(key, lang)));
            }
            let count = w.store.purge_tags(&names(tags), mode, at(now));
            prop_assert_eq!(count, drop_from(w, soft, |_, s| s.tags & tags != 0));
        }
        Op::BanValue(n) => {
            let expression = format!("obj.http.x-n == {n}");
            prop_assert_eq!(w.store.ban(expression.parse().expect("valid"), at(now)), Ok(()));
            w.model.retain(|_, s| s.n != n);
        }
        Op::BanUrl { key, n } => {
            let expression = format!("req.url == {} && obj.http.x-n != {n}", key_of(key));
            prop_assert_eq!(w.store.ban(expression.parse().expect("valid"), at(now)), Ok(()));
            w.model.retain(|(k, _), s| *k != key || s.n == n);
        }
        Op::Ask { key, lang } => compare(w, key, lang)?,
        Op::Lurk(work) => drop(w.store.lurk(work, at(now))),
        Op::Advance(secs) => w.now += secs,
        Op::Expire => w.store.run_expiry(at(now)),
    }
    Ok(())
}

/// Takes from the model what a purge is about; how many lived.
fn drop_from(w: &mut World, soft: bool, about: impl Fn(u8, &Stored) -> bool) -> u64 {
    let now = w.now;
    let mut count = 0;
    w.model.retain(|(key, _), stored| {
        if !about(*key, stored) {
            return true;
        }
        count += u64::from(stored.lives(now));
        stored.fresh_until = stored.fresh_until.min(now);
        soft
    });
    count
}
