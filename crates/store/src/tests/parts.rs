//! RFC 9111 §3.3: objects of which only parts are held.

use super::{NOW, find, new, put, store, ttl};
use crate::{BodyFault, BodyWriter, Kind, Object, PARTS_MAX, PurgeMode, Store, StoreOptions};
use bytes::Bytes;
use copal_semantics::range::ContentRange;
use std::sync::Arc;

fn range(first: u64, last: u64) -> ContentRange {
    ContentRange { first, last, complete: Some(1000) }
}

fn begin(store: &Arc<Store>, part: ContentRange, before: Option<&Arc<Object>>) -> (Arc<Object>, BodyWriter) {
    store.insert_part(new(store, b"k", ttl(60)), part, before, None).expect("few and small")
}

/// The bytes of a representation in which each byte tells its place.
fn bytes_of(first: u64, last: u64) -> Vec<u8> {
    (first..=last).map(|at| u8::try_from(at % 251).expect("small")).collect()
}

async fn add(store: &Arc<Store>, first: u64, last: u64, before: Option<&Arc<Object>>) -> Arc<Object> {
    let (object, mut writer) = begin(store, range(first, last), before);
    writer.push(bytes_of(first, last).into()).await.expect("stored");
    writer.finish(None);
    object
}

/// What the stretches for these bounds give; `None` when not all is held.
async fn read(object: &Object, first: u64, last: u64) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for stretch in object.body().parts()?.stretches((first, last))? {
        let (mut reader, mut left) = (stretch.reader()?, stretch.len());
        while left > 0 {
            let mut piece = reader.next().await?.ok()?;
            piece.truncate(usize::try_from(left).expect("small"));
            left -= piece.len() as u64;
            out.extend_from_slice(&piece);
        }
    }
    Some(out)
}

#[tokio::test]
async fn a_part_is_never_a_whole_body() {
    let store = store(1 << 20);
    let object = add(&store, 0, 999, None).await;
    assert_eq!((object.kind(), find(&store, "k", NOW).map(|o| o.kind())), (Kind::Partial, Some(Kind::Partial)));
    let body = object.body();
    assert!(
        !body.is_complete() && body.len_known().is_none() && body.whole().is_none() && body.whole_slice().is_none()
    );
    assert!(body.reader().is_none() && body.reader_at(5).is_none() && body.trailers().is_none());
    assert_eq!(read(&object, 0, 999).await, Some(bytes_of(0, 999)));
}

#[tokio::test]
async fn later_parts_join_those_before_and_win_over_them_where_they_overlap() {
    let store = store(1 << 20);
    let a = add(&store, 100, 199, None).await;
    let b = add(&store, 400, 499, Some(&a)).await;
    let c = add(&store, 150, 449, Some(&b)).await;
    assert!(!a.is_stored() && !b.is_stored() && c.is_stored());
    assert_eq!(c.body().parts().expect("parts").extents().parts(), [(100, 499)]);
    let d = add(&store, 120, 130, Some(&c)).await;
    for (first, last) in [(100, 499), (119, 131), (125, 125), (448, 452)] {
        assert_eq!(read(&d, first, last).await, Some(bytes_of(first, last)), "{first}-{last}");
    }
    for (first, last) in [(99, 100), (499, 500), (0, 999), (600, 700)] {
        assert_eq!(read(&d, first, last).await, None, "{first}-{last}");
    }
    assert_eq!(store.stats().objects, 1);
}

#[tokio::test]
async fn a_part_is_read_while_it_arrives_and_goes_when_it_does_not_come_whole() {
    let store = store(1 << 20);
    let before = add(&store, 0, 99, None).await;
    let (object, mut writer) = begin(&store, range(100, 199), Some(&before));
    let parts = object.body().parts().expect("parts");
    assert_eq!((parts.extents().parts(), parts.arrived().parts()), (&[(0, 199)][..], &[(0, 99)][..]));
    let mut reader = parts.stretches((150, 160)).expect("on its way")[0].reader().expect("from its start");
    writer.push(bytes_of(100, 155).into()).await.expect("stored");
    assert_eq!(reader.next().await, Some(Ok(Bytes::from(bytes_of(150, 155)))));
    writer.abort(BodyFault::Truncated);
    assert_eq!(reader.next().await, Some(Err(BodyFault::Truncated)));
    assert!(find(&store, "k", NOW).is_none());
}

#[tokio::test]
async fn a_part_still_arriving_is_not_taken_over_by_the_next_object() {
    let store = store(1 << 20);
    let (first, mut arriving) = begin(&store, range(0, 99), None);
    let second = add(&store, 100, 199, Some(&first)).await;
    assert_eq!(second.body().parts().expect("parts").extents().parts(), [(100, 199)]);
    // Its readers still get all of it, as a window.
    let mut reader = first.body().parts().expect("parts").stretches((0, 99)).expect("held")[0].reader().expect("there");
    arriving.push(bytes_of(0, 99).into()).await.expect("read");
    arriving.finish(None);
    assert_eq!(reader.next().await, Some(Ok(Bytes::from(bytes_of(0, 99)))));
    assert!(second.is_stored() && find(&store, "k", NOW).is_some_and(|o| Arc::ptr_eq(&o, &second)));
}

#[tokio::test]
async fn every_byte_of_parts_leaves_the_ledger_when_they_go() {
    let store = store(1 << 20);
    put(&store, "other", b"x", ttl(60)).await;
    let empty = store.stats().bytes;
    let a = add(&store, 0, 499, None).await;
    let one = store.stats().bytes;
    assert!(one >= empty + 500, "{one} {empty}");
    let b = add(&store, 500, 899, Some(&a)).await;
    // The old object is still held here: its part is shared, and counted once.
    let two = store.stats().bytes;
    assert!(two >= one + 400, "{two} {one}");
    drop(a);
    let two = store.stats().bytes;
    assert!((one + 400..one + 400 + 512).contains(&two), "{two} {one}: the first part is counted twice, or not at all");
    assert_eq!(store.purge(b"k", store.hash(b"k"), PurgeMode::Hard, NOW), 1);
    drop(b);
    assert_eq!((store.stats().bytes, store.stats().in_flight_bytes), (empty, 0));
}

#[tokio::test]
async fn parts_give_way_when_room_is_needed() {
    let store = store(300_000);
    let mut last = None;
    for n in 0..100u64 {
        let part = ContentRange { first: n * 5000, last: n * 5000 + 4999, complete: None };
        let next = store.insert_part(new(&store, b"k", ttl(60)), part, last.as_ref(), None);
        let Some((object, mut writer)) = next else { break };
        writer.push(vec![0; 5000].into()).await.expect("stored");
        writer.finish(None);
        last = Some(object);
        assert!(store.stats().bytes <= 300_000, "{}", store.stats().bytes);
    }
    // No object may be larger than half of the store.
    let held = last.as_ref().and_then(|o| o.body().parts()).map(|p| p.extents().parts()[0].1 + 1);
    assert_eq!(held, Some(150_000));
    drop(last);
    for n in 0..300 {
        put(&store, &format!("other-{n}"), &[0; 1000], ttl(60)).await;
    }
    assert!(find(&store, "k", NOW).is_none() && store.stats().bytes <= 300_000);
}

#[tokio::test]
async fn one_part_too_many_is_refused_and_nothing_is_changed() {
    let store = Store::new(StoreOptions::default());
    let mut last = None;
    for n in 0..PARTS_MAX as u64 {
        let part = ContentRange { first: n * 2, last: n * 2, complete: None };
        let (object, mut writer) =
            store.insert_part(new(&store, b"k", ttl(60)), part, last.as_ref(), None).expect("not too many");
        writer.push(Bytes::from_static(b"x")).await.expect("stored");
        writer.finish(None);
        last = Some(object);
    }
    let part = ContentRange { first: 1_000_000, last: 1_000_001, complete: None };
    assert!(store.insert_part(new(&store, b"k", ttl(60)), part, last.as_ref(), None).is_none());
    assert!(last.is_some_and(|o| o.is_stored()));
}

#[tokio::test]
async fn a_renewed_part_is_still_a_part_and_a_soft_purge_makes_it_stale() {
    let store = store(1 << 20);
    let part = add(&store, 0, 99, None).await;
    let renewed = store.refresh(&part, b"head 2", ttl(120), None);
    assert_eq!((renewed.kind(), renewed.head()), (Kind::Partial, &b"head 2"[..]));
    assert_eq!(read(&renewed, 10, 20).await, Some(bytes_of(10, 20)));
    assert_eq!(store.purge(b"k", store.hash(b"k"), PurgeMode::Soft, NOW), 1);
    assert!(renewed.times().fresh_until() <= NOW && renewed.is_stored());
}
