//! The store against a model: a plain map with times, tags, markers and a note of every ban. Whatever the order of operations, no
//! lookup gives a purged, banned, expired or wrong object, and none misses one that should be there.

use super::{NOW, asks, at, new};
use crate::{Kind, NewObject, PurgeMode, PurgeWatch, StorageId, StorageOptions, Store, StoreOptions, Times};
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
/// With bodies of so many bytes two or three fill a storage of a mebibyte.
const LARGE: usize = 300_000;
const TAGS: [&str; 4] = ["red", "green", "blue", "red-and-blue"];

#[derive(Clone, Debug)]
enum Op {
    /// Key, language if the key varies, ttl, grace, time for errors, keep, tags as bits, the value of its field `x-n`.
    Put {
        key: u8,
        lang: usize,
        ttl: i64,
        grace: i64,
        on_error: i64,
        keep: i64,
        tags: u8,
        n: u8,
    },
    /// A marker: the response could not be stored.
    Mark {
        key: u8,
        lang: usize,
        ttl: i64,
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
    /// A request for that key is sent to the origin.
    Send {
        key: u8,
    },
    /// The oldest of these is answered; the fields as for `Put`.
    Answer {
        lang: usize,
        ttl: i64,
        tags: u8,
        n: u8,
    },
    Lurk(u32),
    Advance(i64),
    Expire,
}

fn op() -> impl Strategy<Value = Op> {
    let (key, lang) = (0..KEYS, 0..LANGS.len());
    prop_oneof![
        6 => (key.clone(), lang.clone(), 0..100i64, (0..100i64, 0..100i64, 0..50i64), 0..16u8, 0..4u8)
            .prop_map(|(key, lang, ttl, (grace, on_error, keep), tags, n)| {
                Op::Put { key, lang, ttl, grace, on_error, keep, tags, n }
            }),
        1 => (key.clone(), lang.clone(), 0..100i64).prop_map(|(key, lang, ttl)| Op::Mark { key, lang, ttl }),
        2 => (key.clone(), lang.clone(), 0..100i64, prop::option::of(0..16u8))
            .prop_map(|(key, lang, ttl, tags)| Op::Refresh { key, lang, ttl, tags }),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, soft)| Op::Purge { key, soft }),
        1 => (1..16u8, any::<bool>()).prop_map(|(tags, soft)| Op::PurgeTags { tags, soft }),
        1 => (0..4u8).prop_map(Op::BanValue),
        1 => (key.clone(), 0..4u8).prop_map(|(key, n)| Op::BanUrl { key, n }),
        2 => key.clone().prop_map(|key| Op::Send { key }),
        2 => (lang.clone(), 0..100i64, 0..16u8, 0..4u8)
            .prop_map(|(lang, ttl, tags, n)| Op::Answer { lang, ttl, tags, n }),
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
    on_error: i64,
    keep: i64,
    tags: u8,
    /// `None`: it is a marker.
    n: Option<u8>,
}

impl Stored {
    fn new(version: usize, fresh_until: i64, tags: u8, n: u8) -> Stored {
        Stored { version, fresh_until, grace: 20, on_error: 0, keep: 0, tags, n: Some(n) }
    }

    fn lives(&self, now: i64) -> bool {
        now < self.fresh_until + self.grace.max(self.on_error) + self.keep
    }
}

fn names(tags: u8) -> Vec<&'static str> {
    (0..4).filter(|bit| tags & (1 << bit) != 0).map(|bit| TAGS[bit]).collect()
}

fn key_of(key: u8) -> String {
    format!("/{key}")
}

/// What was purged or banned while a request was under way.
#[derive(Clone, Debug)]
enum Gone {
    Key(u8, PurgeMode),
    Tags(u8, PurgeMode),
    /// Of that key or of all: with that value, or with any other.
    Banned(Option<u8>, u8, bool),
}

struct Sent {
    key: u8,
    watch: PurgeWatch,
    since: Vec<Gone>,
}

struct World {
    store: Arc<Store>,
    /// There is not room for everything: objects may be missing, but never be wrong.
    lossy: bool,
    /// Something had no room from the beginning.
    refused: bool,
    sent: Vec<Sent>,
    /// By key and language.
    model: HashMap<(u8, usize), Stored>,
    now: i64,
}

impl World {
    /// Stores a response, under a watch if it was sent before; whether it is stored.
    fn put(&mut self, version: usize, (key, lang): (u8, usize), new_one: &Stored, watch: Option<&PurgeWatch>) -> bool {
        let Stored { fresh_until, grace, on_error, keep, tags, n, .. } = *new_one;
        let head = n.map_or_else(Box::default, |n| ResponseHead::new(200, [("X-N", &*n.to_string())]).encode());
        let fields = [("lang", LANGS[lang])];
        let vary = asks(&fields);
        let vary_names = if key >= VARYING { vec![Box::from("lang")] } else { vec![] };
        let tag_list: Vec<_> = names(tags).into_iter().map(|t| t.as_bytes().into()).collect();
        let name = key_of(key);
        let times = Times {
            response_time: at(self.now),
            ttl: Span::from_secs(fresh_until - self.now),
            grace: Span::from_secs(grace),
            stale_if_error: Span::from_secs(on_error),
            keep: Span::from_secs(keep),
            ..Times::default()
        };
        let made = NewObject {
            vary_names: &vary_names,
            vary: &vary,
            head: &head,
            tags: &tag_list,
            storage: match n {
                Some(n) if n % 2 == 1 => self.store.storage("second").expect("it is there"),
                Some(_) | None => StorageId::MAIN,
            },
            ..new(&self.store, name.as_bytes(), times)
        };
        if n.is_none() {
            return self.store.insert_marker(made, Kind::HitForMiss).is_stored();
        }
        let (object, mut writer) = match watch {
            None => self.store.insert_streaming(made),
            Some(watch) => self.store.insert_watched(made, watch),
        };
        // A stored body never waits, so a runtime is not needed.
        {
            let mut body = format!("{version:<10}").into_bytes();
            body.resize(if self.lossy { LARGE } else { 10 }, b'.');
            let mut push = std::pin::pin!(writer.push(Bytes::from(body)));
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(push.as_mut().poll(&mut context).is_ready() || self.lossy);
        }
        writer.finish(None);
        object.is_stored()
    }

    fn note(&mut self, gone: &Gone) {
        self.sent.iter_mut().for_each(|sent| sent.since.push(gone.clone()));
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
        play(&ops, false)?;
    }

    #[test]
    fn what_is_evicted_is_missing_and_what_is_there_is_right(ops in prop::collection::vec(op(), 1..60)) {
        play(&ops, true)?;
    }
}

fn play(ops: &[Op], lossy: bool) -> Result<(), TestCaseError> {
    let size = if lossy { 1 << 20 } else { 256 << 20 };
    let second = StorageOptions {
        name: "second".to_owned(),
        size,
        object_size_max: u64::MAX,
        eviction: crate::Eviction::TinyLfu,
    };
    let store = Store::new(StoreOptions { size, storages: vec![second], ..StoreOptions::default() });
    let mut w = World { store, lossy, refused: false, sent: Vec::new(), model: HashMap::new(), now: 0 };
    for (version, op) in ops.iter().enumerate() {
        step(&mut w, version, op)?;
        prop_assert!(w.store.storages().iter().all(|s| s.used <= s.size), "{:?}", w.store.storages());
    }
    for key in 0..KEYS {
        for lang in 0..LANGS.len() {
            compare(&w, key, lang)?;
        }
    }
    w.sent.clear();
    w.store.run_expiry(at(w.now + 1000));
    for secs in [1000, 2000] {
        while w.store.lurk(1000, at(w.now + secs)) {}
    }
    // An index whose variants were evicted stays until it is evicted itself.
    let left = if lossy { u64::from(KEYS) * 1000 } else { 0 };
    prop_assert!(w.store.stats().bytes <= left, "{:?}", w.store.stats());
    Ok(())
}

/// The store's answer is the model's.
fn compare(w: &World, key: u8, lang: usize) -> Result<(), TestCaseError> {
    let found = w.find(key, lang);
    let stored = w.model.get(&World::place(key, lang)).filter(|s| s.lives(w.now));
    let Some(found) = found else {
        let may_miss = w.lossy && (w.refused || w.store.stats().evictions > 0);
        prop_assert!(may_miss || stored.is_none(), "key {} lang {} at {} is lost", key, lang, w.now);
        return Ok(());
    };
    prop_assert_eq!(
        found.kind() == Kind::HitForMiss,
        stored.is_some_and(|s| s.n.is_none()),
        "key {} lang {}",
        key,
        lang
    );
    if !found.kind().is_response() {
        return Ok(());
    }
    let wanted = stored.map(|s| (s.version.to_string(), s.fresh_until));
    let body = found.body().reader().and_then(|mut reader| reader.try_next()??.ok());
    let version = body.map(|b| String::from_utf8_lossy(&b[..10]).trim_end().to_owned());
    let fresh_until = (found.times().fresh_until() - NOW).as_micros() / 1_000_000;
    prop_assert_eq!(version.map(|v| (v, fresh_until)), wanted, "key {} lang {} at {}", key, lang, w.now);
    Ok(())
}

fn step(w: &mut World, version: usize, op: &Op) -> Result<(), TestCaseError> {
    let now = w.now;
    match *op {
        Op::Put { key, lang, ttl, grace, on_error, keep, tags, n } => {
            let stored = Stored { grace, on_error, keep, ..Stored::new(version, now + ttl, tags, n) };
            let is_stored = w.put(version, (key, lang), &stored, None);
            prop_assert!(is_stored || w.lossy);
            w.refused |= !is_stored;
            w.model.insert(World::place(key, lang), stored);
        }
        Op::Mark { key, lang, ttl } => {
            let stored = Stored { grace: 0, n: None, ..Stored::new(version, now + ttl, 0, 0) };
            let is_stored = w.put(version, (key, lang), &stored, None);
            prop_assert!(is_stored || w.lossy);
            w.refused |= !is_stored;
            w.model.insert(World::place(key, lang), stored);
        }
        Op::Send { key } => {
            let watch = w.store.watch_purges(w.store.hash(key_of(key).as_bytes()));
            w.sent.push(Sent { key, watch, since: Vec::new() });
        }
        Op::Answer { .. } if w.sent.is_empty() => {}
        Op::Answer { lang, ttl, tags, n } => {
            let Sent { key, watch, since } = w.sent.remove(0);
            let mut stored = Stored::new(version, now + ttl, tags, n);
            let is_stored = w.put(version, (key, lang), &stored, Some(&watch));
            let (mut overtaken, mut banned) = (None, false);
            for gone in &since {
                match *gone {
                    Gone::Key(k, mode) if k == key => overtaken = overtaken.max(Some(mode == PurgeMode::Hard)),
                    Gone::Tags(t, mode) if t & tags != 0 => overtaken = overtaken.max(Some(mode == PurgeMode::Hard)),
                    Gone::Banned(k, value, same) => banned |= k.is_none_or(|k| k == key) && (value == n) == same,
                    Gone::Key(..) | Gone::Tags(..) => {}
                }
            }
            prop_assert!(is_stored == (overtaken != Some(true)) || w.lossy && !is_stored);
            w.refused |= !is_stored;
            if is_stored {
                if overtaken.is_some() {
                    stored.fresh_until = stored.fresh_until.min(now);
                }
                w.model.insert(World::place(key, lang), stored);
                if banned {
                    // It has taken the place of what was there, and is itself not to be found.
                    w.model.remove(&World::place(key, lang));
                }
            }
        }
        Op::Refresh { key, lang, ttl, tags } => {
            if let Some(old) = w.find(key, lang).filter(|old| old.kind().is_response()) {
                let times = Times {
                    response_time: at(now),
                    ttl: Span::from_secs(ttl),
                    grace: Span::from_secs(7),
                    ..Times::default()
                };
                let head = old.head().to_vec();
                let _renewed = match tags {
                    None => w.store.refresh(&old, &head, times, None),
                    Some(tags) => {
                        let list: Vec<_> = names(tags).into_iter().map(|t| t.as_bytes().into()).collect();
                        w.store.refresh_tagged(&old, &head, times, &list, None)
                    }
                };
                if let Some(stored) = w.model.get_mut(&World::place(key, lang)) {
                    (stored.fresh_until, stored.grace, stored.on_error, stored.keep) = (now + ttl, 7, 0, 0);
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
            let wanted = drop_from(w, soft, |k, _| k == key);
            prop_assert!(count == wanted || w.lossy && count < wanted, "{} {}", count, wanted);
            w.note(&Gone::Key(key, mode));
        }
        Op::PurgeTags { tags, soft } => {
            let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
            for key in 0..KEYS {
                (0..LANGS.len()).for_each(|lang| drop(w.find(key, lang)));
            }
            let count = w.store.purge_tags(&names(tags), mode, at(now));
            let wanted = drop_from(w, soft, |_, s| s.tags & tags != 0);
            // Where an index was evicted, a banned variant of it that nobody can find any more may still be counted.
            prop_assert!(count == wanted || w.lossy, "{} {}", count, wanted);
            w.note(&Gone::Tags(tags, mode));
        }
        Op::BanValue(n) => {
            let expression = format!("obj.http.x-n == {n}");
            prop_assert_eq!(w.store.ban(expression.parse().expect("valid"), at(now)), Ok(()));
            w.model.retain(|_, s| s.n != Some(n));
            w.note(&Gone::Banned(None, n, true));
        }
        Op::BanUrl { key, n } => {
            let expression = format!("req.url == {} && obj.http.x-n != {n}", key_of(key));
            prop_assert_eq!(w.store.ban(expression.parse().expect("valid"), at(now)), Ok(()));
            w.model.retain(|(k, _), s| *k != key || s.n == Some(n));
            w.note(&Gone::Banned(Some(key), n, false));
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
        let is_response = stored.n.is_some();
        count += u64::from(is_response && stored.lives(now));
        stored.fresh_until = stored.fresh_until.min(now);
        // Of a marker nothing stale is worth keeping.
        soft && is_response
    });
    count
}
