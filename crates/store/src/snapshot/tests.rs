//! A store goes through a file: everything that matters comes back, nothing that must not, and a harmed file is refused.

mod storages;

use crate::tests::{NOW, asks, at, find, new, ttl};
use crate::{Kind, Loaded, NewObject, Object, PurgeMode, SnapshotFault, SnapshotReader, Store, StoreOptions, Times};
use bytes::Bytes;
use copal_semantics::headers::Headers;
use copal_semantics::time::{Span, Time};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

const SETTINGS: &str = "language=ordered";
const SIZE: u64 = 16 << 20;

fn options(size: u64) -> StoreOptions {
    StoreOptions { size, ..StoreOptions::default() }
}

fn store() -> Arc<Store> {
    Store::new(options(SIZE))
}

fn saved(store: &Arc<Store>, now: Time) -> Vec<u8> {
    let mut file = Vec::new();
    let mut saving = store.save(SETTINGS, false, now, &mut file).expect("memory");
    while saving.step(&mut file).expect("memory") {}
    let sums = saving.finish(&mut file).expect("memory");
    assert_eq!(sums.bytes, file.len() as u64);
    file
}

/// What a start does with a file, and what there is to do between its passes.
fn start(
    file: &[u8],
    options: StoreOptions,
    now: Time,
    meanwhile: impl FnOnce(&Arc<Store>),
) -> Result<(Arc<Store>, Loaded), SnapshotFault> {
    let (reader, preamble) = SnapshotReader::begin(file)?;
    preamble.check(SETTINGS, now)?;
    let store = Store::revived(options, &preamble);
    let loading = store.loading(&preamble);
    loading.verify(reader, &|| false)?;
    meanwhile(&store);
    let (reader, _) = SnapshotReader::begin(file)?;
    let loaded = loading.load(reader, &|| now, &|| false)?;
    Ok((store, loaded))
}

fn revived(file: &[u8], now: Time) -> (Arc<Store>, Loaded) {
    start(file, options(SIZE), now, |_| {}).expect("a whole file")
}

fn read(object: &Arc<Object>) -> Vec<u8> {
    let mut reader = object.body().reader().expect("a complete body");
    let mut all = Vec::new();
    while let Some(Some(Ok(bytes))) = reader.try_next() {
        all.extend_from_slice(&bytes);
    }
    all
}

/// Bodies that are stored never wait, so a test needs no runtime around it.
fn done<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
}

fn put(store: &Arc<Store>, key: &str, body: &[u8], times: Times) -> Arc<Object> {
    done(crate::tests::put(store, key, body, times))
}

fn put_tagged(store: &Arc<Store>, key: &str, head: &[u8], tags: &[&str], times: Times) -> Arc<Object> {
    done(crate::tests::put_tagged(store, key, head, tags, times))
}

fn put_variant(store: &Arc<Store>, key: &str, names: &[&str], fields: &[(&str, &str)], body: &str, times: Times) {
    let names: Vec<Box<str>> = names.iter().map(|n| Box::from(*n)).collect();
    let vary = asks(fields);
    let new = NewObject { vary_names: &names, vary: &vary, ..new(store, key.as_bytes(), times) };
    let (_, mut writer) = store.insert_streaming(new);
    done(writer.push(Bytes::copy_from_slice(body.as_bytes()))).expect("stored");
    writer.finish(None);
}

fn find_variant(store: &Store, key: &str, fields: &[(&str, &str)], now: Time) -> Option<String> {
    let found = store.lookup(key.as_bytes(), store.hash(key.as_bytes()), &asks(fields), now)?;
    Some(String::from_utf8(read(&found)).expect("text"))
}

#[test]
fn heads_bodies_times_uses_trailers_and_tags_come_back() {
    let before = store();
    let times = Times {
        initial_age: Span::from_secs(7),
        grace: Span::from_secs(5),
        stale_if_error: Span::from_secs(9),
        keep: Span::from_secs(11),
        no_cache: true,
        must_revalidate: true,
        ..ttl(100)
    };
    put_tagged(&before, "/tagged", b"a head", &["one", "two"], times);
    put(&before, "/empty", b"", ttl(100));
    let large: Vec<u8> = (0..300_000u32).map(|n| (n % 251) as u8).collect();
    let (object, mut writer) = before.insert_streaming(new(&before, b"/large", ttl(100)));
    done(writer.push(Bytes::from(large.clone()))).expect("stored");
    let mut trailers = Headers::new();
    trailers.append("x-sum", "42").expect("a field");
    writer.finish(Some(trailers));
    object.record_hit(at(3));
    object.record_hit(at(4));

    let (after, loaded) = revived(&saved(&before, at(5)), at(30));
    assert_eq!((loaded.objects, loaded.bytes), (3, 300_007));
    let tagged = find(&after, "/tagged", at(30)).expect("there");
    assert_eq!((tagged.head(), read(&tagged).as_slice(), tagged.times()), (&b"a head"[..], &b"/tagged"[..], times));
    assert_eq!(tagged.times().age(at(30)), Span::from_secs(37), "the time while nothing ran counts");
    assert_eq!(read(&find(&after, "/empty", at(30)).expect("there")), b"");
    let found = find(&after, "/large", at(30)).expect("there");
    assert_eq!((found.hits(), found.last_hit()), (2, Some(at(4))));
    assert!(read(&found) == large, "the body is another one");
    assert_eq!(found.body().trailers().and_then(|t| t.get("x-sum")), Some(&b"42"[..]));
    assert_eq!(after.purge_tags(&["two"], PurgeMode::Hard, at(31)), 1);
    assert!(find(&after, "/tagged", at(31)).is_none());
    assert_eq!(after.stats().bytes, after.ledger().used());
}

#[test]
fn variants_are_found_by_the_requests_that_they_answer() {
    let before = store();
    for (key, langs) in [("/one", &["de"][..]), ("/many", &["de", "en", "fr"])] {
        for lang in langs {
            put_variant(&before, key, &["accept-language"], &[("accept-language", lang)], lang, ttl(100));
        }
    }
    let (after, loaded) = revived(&saved(&before, NOW), at(1));
    assert_eq!(loaded.objects, 4);
    for (key, lang, there) in
        [("/one", "de", true), ("/one", "en", false), ("/many", "fr", true), ("/many", "it", false)]
    {
        let found = find_variant(&after, key, &[("accept-language", lang)], at(1));
        assert_eq!(found.as_deref(), there.then_some(lang), "{key} {lang}");
    }
    // What is fetched now joins those that were loaded.
    put_variant(&after, "/one", &["accept-language"], &[("accept-language", "en")], "en", ttl(100));
    for lang in ["de", "en"] {
        assert_eq!(find_variant(&after, "/one", &[("accept-language", lang)], at(1)).as_deref(), Some(lang));
    }
    assert_eq!(after.purge(b"/many", after.hash(b"/many"), PurgeMode::Hard, at(1)), 3);
}

#[test]
fn what_is_dead_a_marker_or_unfinished_stays_out() {
    let before = store();
    put(&before, "/short", b"x", ttl(10));
    put(&before, "/long", b"x", ttl(100));
    let marked = NewObject { head: b"", ..new(&before, b"/marked", ttl(100)) };
    before.insert_marker(marked, Kind::HitForMiss);
    let (_object, mut unfinished) = before.insert_streaming(new(&before, b"/coming", ttl(100)));
    done(unfinished.push(Bytes::from_static(b"half"))).expect("stored");
    let file = saved(&before, at(5));
    let (after, loaded) = revived(&file, at(20));
    assert_eq!(loaded, Loaded { objects: 1, bytes: 1, expired: 1, ..Loaded::default() });
    assert!(find(&after, "/long", at(20)).is_some());
    assert_eq!((after.stats().objects, after.stats().markers), (1, 0));
    // Dead already when it is written: not even in the file.
    assert_eq!(revived(&saved(&before, at(50)), at(51)).1, Loaded { objects: 1, bytes: 1, ..Loaded::default() });
}

const LANG: &[&str] = &["accept-language"];
const DE: &[(&str, &str)] = &[("accept-language", "de")];
const EN: &[(&str, &str)] = &[("accept-language", "en")];

#[test]
fn what_was_fetched_since_the_start_is_not_replaced() {
    let before = store();
    put(&before, "/page", b"old", ttl(100));
    put_variant(&before, "/lang", LANG, DE, "old de", ttl(100));
    put_variant(&before, "/lang", LANG, EN, "old en", ttl(100));
    put(&before, "/now-varies", b"old", ttl(100));
    put_variant(&before, "/no-longer", LANG, DE, "old", ttl(100));
    let meanwhile = |store: &Arc<Store>| {
        put(store, "/page", b"new", ttl(100));
        put_variant(store, "/lang", LANG, DE, "new de", ttl(20));
        put_variant(store, "/now-varies", LANG, DE, "new", ttl(100));
        put(store, "/no-longer", b"new", ttl(100));
    };
    let (after, loaded) = start(&saved(&before, NOW), options(SIZE), at(1), meanwhile).expect("whole");
    assert_eq!((loaded.objects, loaded.newer), (0, 5));
    assert_eq!(read(&find(&after, "/page", at(1)).expect("there")), b"new");
    assert_eq!(find_variant(&after, "/lang", DE, at(1)).as_deref(), Some("new de"));
    assert_eq!(
        find_variant(&after, "/lang", DE, at(50)),
        None,
        "the older one does not come forth when the newer is dead"
    );
    assert_eq!(find_variant(&after, "/now-varies", DE, at(1)).as_deref(), Some("new"));
    assert_eq!(find_variant(&after, "/now-varies", EN, at(1)), None);
    assert_eq!(find_variant(&after, "/no-longer", DE, at(1)).as_deref(), Some("new"));
}

#[test]
fn a_purge_during_the_load_reaches_what_is_still_to_come() {
    let before = store();
    for key in ["/hard", "/soft", "/stays"] {
        put(&before, key, b"x", Times { grace: Span::from_secs(50), ..ttl(100) });
    }
    put_tagged(&before, "/tag", b"", &["t", "u"], ttl(100));
    put_tagged(&before, "/soft-tag", b"", &["s"], Times { grace: Span::from_secs(50), ..ttl(100) });
    put(&before, "/banned", b"x", ttl(100));
    put_variant(&before, "/lang", LANG, DE, "de", ttl(100));
    put_variant(&before, "/lang", LANG, EN, "en", ttl(100));
    let meanwhile = |store: &Arc<Store>| {
        assert_eq!(store.purge(b"/hard", store.hash(b"/hard"), PurgeMode::Hard, at(2)), 0);
        store.purge(b"/soft", store.hash(b"/soft"), PurgeMode::Soft, at(2));
        store.purge(b"/lang", store.hash(b"/lang"), PurgeMode::Hard, at(2));
        store.purge_tags(&["u"], PurgeMode::Hard, at(2));
        store.purge_tags(&["s"], PurgeMode::Soft, at(2));
        store.ban("obj.status == 200".parse().expect("a ban"), at(2)).expect("room");
        // The lurker finds nothing to do, and must not think that the ban is done.
        while store.lurk(1000, at(3)) {}
    };
    let (after, loaded) = start(&saved(&before, NOW), options(SIZE), at(4), meanwhile).expect("whole");
    assert_eq!((loaded.objects, loaded.purged), (4, 4));
    assert_eq!(after.ban_list().bans.len(), 1, "the ban is still in force");
    for key in ["/hard", "/tag"] {
        assert!(find(&after, key, at(4)).is_none(), "{key}");
    }
    for key in ["/soft", "/soft-tag"] {
        let object = find(&after, key, at(4)).expect("kept for its grace");
        assert_eq!(object.times().fresh_until(), at(2), "{key}");
    }
    assert_eq!(find_variant(&after, "/lang", DE, at(4)), None);
    assert!(find(&after, "/stays", at(4)).is_some());
}

#[test]
fn bans_go_on_where_they_were() {
    let before = store();
    put(&before, "/old-a", b"x", ttl(1000));
    put(&before, "/old-b", b"x", ttl(1000));
    let about = |secs: i64| format!("obj.age >= {secs}s").parse().expect("a ban");
    before.ban(about(3), at(3)).expect("room");
    before.ban("req.url ~ ^/old".parse().expect("a ban"), at(3)).expect("room");
    let late = Times { response_time: at(4), ..ttl(1000) };
    put(&before, "/after", b"x", late);
    let (after, loaded) = revived(&saved(&before, at(5)), at(6));
    assert_eq!((loaded.objects, after.ban_list().bans.len()), (3, 2));
    let rows = after.ban_list().bans;
    assert_eq!(rows.iter().map(|r| r.expression.as_str()).collect::<Vec<_>>(), ["obj.age >= 3s", "req.url ~ ^/old"]);
    assert_eq!((rows[0].number, rows[0].at), (1, at(3)));
    assert!(find(&after, "/old-a", at(6)).is_none());
    assert!(find(&after, "/after", at(6)).is_some(), "it is newer than the bans");
    // A new one has a number of its own, and holds for all that was loaded.
    after.ban(about(2), at(7)).expect("room");
    assert!(find(&after, "/after", at(7)).is_none());
    while after.lurk(1000, at(8)) {}
    assert_eq!(after.stats().objects, 0);
}

#[test]
fn a_ban_made_while_it_was_written_is_in_the_file() {
    let before = store();
    put_tagged(&before, "/a", b"", &["t"], ttl(100));
    put(&before, "/b", b"x", ttl(100));
    put(&before, "/c", b"x", ttl(100));
    let mut file = Vec::new();
    let mut saving = before.save(SETTINGS, false, NOW, &mut file).expect("memory");
    while saving.step(&mut file).expect("memory") {}
    before.purge_tags(&["t"], PurgeMode::Hard, at(1));
    before.purge(b"/b", before.hash(b"/b"), PurgeMode::Hard, at(1));
    before.ban("obj.age > 0s".parse().expect("a ban"), at(1)).expect("room");
    saving.finish(&mut file).expect("memory");
    drop(saving);
    let (after, loaded) = revived(&file, at(2));
    assert_eq!((loaded.objects, loaded.purged), (1, 2));
    assert!(find(&after, "/c", at(2)).is_none(), "banned");
    assert_eq!(before.since_is_on(), (false, false));
}

#[test]
fn a_ban_of_the_new_process_is_not_taken_for_one_of_the_old_with_its_number() {
    let before = store();
    put(&before, "/a", b"x", ttl(100));
    let mut file = Vec::new();
    let mut saving = before.save(SETTINGS, false, NOW, &mut file).expect("memory");
    // Checked against a ban that the snapshot's preamble does not know.
    before.ban("obj.status == 999".parse().expect("a ban"), at(1)).expect("room");
    assert!(find(&before, "/a", at(1)).is_some());
    while saving.step(&mut file).expect("memory") {}
    saving.finish(&mut file).expect("memory");
    let (reader, preamble) = SnapshotReader::begin(&file[..]).expect("whole");
    let after = Store::revived(options(SIZE), &preamble);
    // The first ban of the new process has the number that the other had.
    after.ban("obj.age > 1s".parse().expect("a ban"), at(10)).expect("room");
    let loading = after.loading(&preamble);
    loading.verify(reader, &|| false).expect("whole");
    let loaded = loading.load(SnapshotReader::begin(&file[..]).expect("whole").0, &|| at(11), &|| false);
    assert_eq!(loaded.expect("whole").objects, 1);
    assert!(find(&after, "/a", at(11)).is_none(), "it is banned");
}

#[test]
fn the_journal_brings_what_was_purged_after_it_and_its_torn_end_refuses_all() {
    let before = store();
    put(&before, "/a", b"x", ttl(100));
    put(&before, "/b", b"x", ttl(100));
    let mut file = Vec::new();
    let mut saving = before.save(SETTINGS, true, NOW, &mut file).expect("memory");
    while saving.step(&mut file).expect("memory") {}
    saving.finish(&mut file).expect("memory");
    let mut journal_file = Vec::new();
    // Between the end of the file and the beginning of the journal nothing is lost.
    before.purge(b"/a", before.hash(b"/a"), PurgeMode::Hard, at(1));
    let mut journal = saving.journal(&mut journal_file).expect("memory");
    assert!(journal.step(&mut journal_file, Duration::ZERO).expect("memory"));
    let load = |journal: &[u8]| -> Result<Loaded, SnapshotFault> {
        let (reader, preamble) = SnapshotReader::begin(&file[..])?;
        assert!(preamble.is_journaled());
        let store = Store::revived(options(SIZE), &preamble);
        let loading = store.loading(&preamble);
        loading.verify(reader, &|| false)?;
        loading.journal(journal)?;
        loading.load(SnapshotReader::begin(&file[..])?.0, &|| at(2), &|| false)
    };
    let loaded = load(&journal_file).expect("whole");
    assert_eq!((loaded.objects, loaded.purged), (1, 1));
    let whole = journal_file.len();
    before.purge(b"/b", before.hash(b"/b"), PurgeMode::Hard, at(1));
    assert!(journal.step(&mut journal_file, Duration::ZERO).expect("memory"));
    for end in whole + 1..journal_file.len() {
        assert!(load(&journal_file[..end]).is_err(), "cut after {end}");
    }
    assert_eq!(load(&journal_file).expect("whole").purged, 2);
    let other = saved(&before, at(1));
    assert!(load(&other).is_err(), "another's");
    drop(journal);
    assert_eq!(before.since_is_on(), (false, false));
}

#[test]
fn a_site_that_purges_without_end_loses_the_snapshot_and_not_the_purges() {
    let before = store();
    put(&before, "/a", b"x", ttl(100));
    let file = saved(&before, NOW);
    let meanwhile = |store: &Arc<Store>| {
        for n in 0..=super::since::ENTRIES_MAX as u128 {
            store.since().note_key(n, PurgeMode::Hard, NOW);
        }
    };
    let (after, loaded) = start(&file, options(64 << 20), at(1), meanwhile).expect("whole");
    assert_eq!((loaded.objects, loaded.purged), (0, 1));
    assert_eq!(after.ledger().used(), 0, "the purges are forgotten when loading is over");
    let mut out = Vec::new();
    let mut saving = before.save(SETTINGS, false, NOW, &mut out).expect("memory");
    (0..=super::since::ENTRIES_MAX as u128).for_each(|n| before.since().note_key(n, PurgeMode::Hard, NOW));
    assert!(saving.finish(&mut out).is_err());
}

#[test]
fn a_smaller_store_takes_the_most_used_and_evicts_nothing_for_it() {
    let before = store();
    let body = vec![b'x'; 64 << 10];
    for n in 0..100 {
        put(&before, &format!("/{n}"), &body, ttl(1000)).record_hit(at(n));
    }
    let meanwhile = |store: &Arc<Store>| {
        put(store, "/new", &body, ttl(1000));
    };
    let (after, loaded) = start(&saved(&before, at(100)), options(2 << 20), at(101), meanwhile).expect("whole");
    assert!(loaded.objects > 20 && loaded.no_room == 100 - loaded.objects, "{loaded:?}");
    assert_eq!(after.stats().evictions, 0);
    assert!(after.stats().bytes <= 2 << 20);
    assert!(find(&after, "/new", at(101)).is_some());
    for n in 0..100 {
        assert_eq!(find(&after, &format!("/{n}"), at(101)).is_some(), n >= 100 - loaded.objects as i64, "{n}");
    }
}

#[test]
fn the_least_used_is_the_first_to_go_after_a_restart_too() {
    let before = store();
    let body = vec![b'x'; 64 << 10];
    for n in 0..20 {
        // The order of use is not that of storing.
        put(&before, &format!("/{n}"), &body, ttl(1000)).record_hit(at((n * 7) % 20));
    }
    let (after, _) = start(&saved(&before, at(100)), options(2 << 20), at(101), |_| {}).expect("whole");
    for n in 0..21 {
        put(&after, &format!("/new/{n}"), &body, ttl(1000));
    }
    after.run_expiry(at(102));
    let left: Vec<i64> = (0..20).filter(|n| find(&after, &format!("/{n}"), at(102)).is_some()).collect();
    let least_used_of_left = left.iter().map(|n| (n * 7) % 20).min().expect("some are left");
    assert!(left.len() < 20, "some had to go");
    assert_eq!(least_used_of_left, 20 - left.len() as i64, "{left:?}");
}

#[test]
fn what_is_evicted_or_purged_while_it_is_written_is_left_out_or_dropped() {
    let before = store();
    for n in 0..10 {
        put(&before, &format!("/{n}"), b"x", ttl(100));
    }
    let mut file = Vec::new();
    let mut saving = before.save(SETTINGS, false, NOW, &mut file).expect("memory");
    let written = AtomicUsize::new(0);
    while saving.step(&mut file).expect("memory") {
        let n = written.fetch_add(1, Ordering::Relaxed);
        before.purge(format!("/{n}").as_bytes(), before.hash(format!("/{n}").as_bytes()), PurgeMode::Hard, NOW);
    }
    saving.finish(&mut file).expect("memory");
    let (after, loaded) = revived(&file, at(1));
    assert_eq!((loaded.objects, after.stats().objects), (0, 0));
}

fn small_file() -> Vec<u8> {
    let before = store();
    put_tagged(&before, "/tagged", b"head", &["one"], ttl(100));
    put(&before, "/a", b"some body", ttl(100));
    put_variant(&before, "/lang", LANG, DE, "de", ttl(100));
    before.ban("obj.http.x == y".parse().expect("a ban"), NOW).expect("room");
    before.ban("req.url == /q".parse().expect("a ban"), NOW).expect("room");
    let mut file = Vec::new();
    let mut saving = before.save(SETTINGS, false, NOW, &mut file).expect("memory");
    while saving.step(&mut file).expect("memory") {}
    before.purge_tags(&["two"], PurgeMode::Hard, at(1));
    saving.finish(&mut file).expect("memory");
    file
}

/// A file of this format, kept beside the fuzz targets: if it is no longer read as it was written, `FORMAT` must be raised.
/// `COPAL_BLESS=1` writes it anew then.
#[test]
fn the_file_that_is_kept_is_still_read() {
    let kept = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/snapshot/whole");
    if std::env::var_os("COPAL_BLESS").is_some() {
        let before = store();
        let mut head = copal_semantics::ResponseHead::default();
        head.headers.append("content-type", "text/html").expect("a field");
        head.headers.append("x-own", "value").expect("a field");
        let packed = copal_semantics::packed::pack(&head);
        put_tagged(&before, "/tagged", &packed, &["one"], ttl(100_000));
        put_variant(&before, "/lang", LANG, DE, "de", ttl(100_000));
        before.ban("obj.http.x == y".parse().expect("a ban"), NOW).expect("room");
        std::fs::write(&kept, saved(&before, at(1))).expect("the seeds' folder");
    }
    let file = std::fs::read(kept).expect("it is part of the repository");
    assert_eq!(file[8..12], super::FORMAT.to_le_bytes(), "written anew with COPAL_BLESS=1?");
    let (after, loaded) = revived(&file, at(2));
    assert_eq!((loaded.objects, after.ban_list().bans.len()), (2, 1));
    let mut head = copal_semantics::ResponseHead::default();
    head.decode(find(&after, "/tagged", at(2)).expect("there").head());
    assert_eq!(head.headers.get("x-own"), Some(&b"value"[..]));
    assert_eq!(head.headers.get("content-type"), Some(&b"text/html"[..]));
    assert_eq!(find_variant(&after, "/lang", DE, at(2)).as_deref(), Some("de"));
}

#[test]
fn a_file_cut_off_at_any_byte_is_refused() {
    let file = small_file();
    for end in 0..file.len() {
        let fault = start(&file[..end], options(SIZE), at(1), |_| {}).err();
        assert!(matches!(fault, Some(SnapshotFault::Truncated(at)) if at == end as u64), "{end}: {fault:?}");
    }
    assert!(start(&[&file[..], b"x"].concat(), options(SIZE), at(1), |_| {}).is_err(), "something follows");
}

#[test]
fn a_file_with_any_bit_turned_is_refused() {
    let file = small_file();
    for byte in 0..file.len() {
        for bit in 0..8 {
            let mut harmed = file.clone();
            harmed[byte] ^= 1 << bit;
            assert!(start(&harmed, options(SIZE), at(1), |_| {}).is_err(), "byte {byte} bit {bit}");
        }
    }
}

#[test]
fn records_that_are_missing_doubled_or_moved_are_noticed() {
    let file = small_file();
    // Where each record begins: after the preamble of the file, by the lengths.
    let mut cuts = vec![12];
    while let Some(len) = file.get(cuts[cuts.len() - 1]..).filter(|rest| rest.len() >= 9) {
        let len = u32::from_le_bytes([len[0], len[1], len[2], len[3]]) as usize;
        cuts.push(cuts[cuts.len() - 1] + 9 + len);
    }
    let record = |n: usize| &file[cuts[n]..cuts[n + 1]];
    for n in 0..cuts.len() - 1 {
        let (before, after) = (&file[..cuts[n]], &file[cuts[n + 1]..]);
        assert!(start(&[before, after].concat(), options(SIZE), at(1), |_| {}).is_err(), "without record {n}");
        let doubled = [before, record(n), record(n), after].concat();
        assert!(start(&doubled, options(SIZE), at(1), |_| {}).is_err(), "record {n} twice");
    }
}

#[test]
fn foreign_files_other_formats_other_settings_and_the_future_are_refused_in_words() {
    let file = small_file();
    let told = |file: &[u8], now| start(file, options(SIZE), now, |_| {}).expect_err("refused").to_string();
    assert_eq!(told(b"PNG and so on, and so on", NOW), "it is no snapshot of Copal");
    assert_eq!(told(b"", NOW), "it is cut off after 0 bytes");
    let mut other = file.clone();
    other[8..12].copy_from_slice(&7u32.to_le_bytes());
    assert_eq!(told(&other, NOW), "it has format 7, and this version of Copal reads format 1");
    assert_eq!(told(&file, at(-60)), "it is from the future: the clock was set back by 60.000 s");
    let (_, preamble) = SnapshotReader::begin(&file[..]).expect("whole");
    let other = preamble.check("language=set", at(1)).expect_err("refused").to_string();
    assert_eq!(other, "it was written with language=ordered, and now there is language=set");
}

proptest! {
    /// Whatever was stored and done before, the store after a restart answers as the one before would.
    #[test]
    fn a_restart_changes_no_answer(
        steps in proptest::collection::vec((0u8..6, 0u8..8, 0u8..3, 1i64..60), 1..60),
        down in 0i64..40,
    ) {
        let store = store();
        let mut now = NOW;
        for (n, (what, key, lang, secs)) in steps.into_iter().enumerate() {
            now = now + Span::from_secs(1);
            let key = format!("/{key}");
            let times = Times { response_time: now, grace: Span::from_secs(3), ..ttl(secs) };
            let fields = [("accept-language", ["de", "en", "fr"][usize::from(lang)])];
            let body = format!("{n}");
            match what {
                0 => drop(put(&store, &key, body.as_bytes(), times)),
                1 | 2 => put_variant(&store, &key, LANG, &fields, &body, times),
                3 => {
                    let mode = if lang == 0 { PurgeMode::Soft } else { PurgeMode::Hard };
                    store.purge(key.as_bytes(), store.hash(key.as_bytes()), mode, now);
                }
                4 => drop(put_tagged(&store, &key, b"", &[["a", "b", "c"][usize::from(lang)]], times)),
                _ => store.ban(format!("obj.ttl > {secs}s").parse().expect("a ban"), now).expect("room"),
            }
        }
        let file = saved(&store, now);
        now = now + Span::from_secs(down);
        let (after, _) = revived(&file, now);
        for later in 0..30 {
            let now = now + Span::from_secs(later);
            for key in 0..8 {
                let key = format!("/{key}");
                for lang in ["de", "en", "fr"] {
                    let fields = [("accept-language", lang)];
                    let (a, b) = (find_variant(&store, &key, &fields, now), find_variant(&after, &key, &fields, now));
                    prop_assert_eq!(a, b, "{} {} {}", key, lang, later);
                }
            }
        }
    }
}
