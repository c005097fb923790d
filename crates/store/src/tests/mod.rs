//! Tests of the store as a whole, by area.

mod bans;
mod bodies;
mod ceiling;
mod ledger;
mod model;
mod objects;
mod overtaken;
mod parts;
#[cfg(feature = "shuttle")]
mod shuttle;
mod storages;
mod tags;
mod variants;
mod waiting;

use crate::{NewObject, Object, StorageId, Store, StoreOptions, Times};
use bytes::Bytes;
use copal_semantics::time::{Span, Time};
use std::sync::Arc;

pub(crate) const NOW: Time = Time::from_secs(1_000_000);

pub(crate) fn at(secs: i64) -> Time {
    NOW + Span::from_secs(secs)
}

pub(crate) fn store(size: u64) -> Arc<Store> {
    Store::new(StoreOptions { size, ..StoreOptions::default() })
}

pub(crate) fn ttl(secs: i64) -> Times {
    Times::fresh(NOW, Span::from_secs(secs))
}

pub(crate) fn plain(_: &[Box<str>], _: &mut dyn FnMut(&[u8])) {}

#[expect(clippy::type_complexity, reason = "it is what VaryFn refers to")]
/// A request whose fields have these values.
pub(crate) fn asks<'a>(fields: &'a [(&'a str, &'a str)]) -> impl Fn(&[Box<str>], &mut dyn FnMut(&[u8])) + 'a {
    move |names, feed| {
        for name in names {
            feed(fields.iter().find(|(n, _)| *n == &**name).map_or(b"", |(_, v)| v.as_bytes()));
        }
    }
}

pub(crate) fn new<'a>(store: &Store, key: &'a [u8], times: Times) -> NewObject<'a> {
    NewObject {
        key,
        hash: store.hash(key),
        vary_names: &[],
        vary: &plain,
        head: b"head",
        times,
        body_hint: None,
        tags: &[],
        storage: StorageId::MAIN,
    }
}

/// Stores a complete object with that head and these tags.
pub(crate) async fn put_tagged(store: &Arc<Store>, key: &str, head: &[u8], tags: &[&str], times: Times) -> Arc<Object> {
    let tags: Vec<_> = tags.iter().map(|t| t.as_bytes().into()).collect();
    let (object, mut writer) =
        store.insert_streaming(NewObject { head, tags: &tags, ..new(store, key.as_bytes(), times) });
    writer.push(Bytes::copy_from_slice(key.as_bytes())).await.expect("stored bodies never stop");
    writer.finish(None);
    object
}

/// Stores a complete object.
pub(crate) async fn put(store: &Arc<Store>, key: &str, body: &[u8], times: Times) -> Arc<Object> {
    let (object, mut writer) = store.insert_streaming(new(store, key.as_bytes(), times));
    writer.push(Bytes::copy_from_slice(body)).await.expect("stored bodies never stop");
    writer.finish(None);
    object
}

pub(crate) fn find(store: &Store, key: &str, now: Time) -> Option<Arc<Object>> {
    store.lookup(key.as_bytes(), store.hash(key.as_bytes()), &plain, now)
}
