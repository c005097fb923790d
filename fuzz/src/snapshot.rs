//! The snapshot's loader: as the bytes are, and as payloads of records whose framing is right, which no mutation would hit.

use copal_semantics::Time;
use copal_store::{FORMAT, SnapshotReader, Store, StoreOptions};

const SIZE: u64 = 1 << 20;
/// When the seeds were written, and a little later.
const NOW: Time = Time::from_secs(1_000_010);

pub(crate) fn snapshot(data: &[u8]) {
    load(data);
    load(&framed(data));
}

/// Kind, length in two bytes, payload; as often as there are bytes for it.
fn framed(mut data: &[u8]) -> Vec<u8> {
    let mut file = b"COPALSNP".to_vec();
    file.extend_from_slice(&FORMAT.to_le_bytes());
    for number in 0u64.. {
        let [kind, low, high, rest @ ..] = data else { break };
        let (payload, rest) = rest.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(rest.len()));
        let mut crc = crc32fast::Hasher::new();
        crc.update(&number.to_le_bytes());
        crc.update(&[*kind]);
        crc.update(payload);
        file.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(0).to_le_bytes());
        file.extend_from_slice(&crc.finalize().to_le_bytes());
        file.push(*kind);
        file.extend_from_slice(payload);
        data = rest;
    }
    file
}

/// What a start does with it: nothing is stored from what is refused, and what is loaded keeps to the store's size.
fn load(file: &[u8]) {
    let Ok((reader, preamble)) = SnapshotReader::begin(file) else { return };
    let _refused = preamble.check("", NOW);
    let store = Store::revived(StoreOptions { size: SIZE, ..StoreOptions::default() }, &preamble);
    let loading = store.loading(&preamble);
    let verified = loading.verify(reader, &|| false);
    assert_eq!(store.stats().objects, 0, "the first pass stores nothing");
    let Ok(Some(count)) = verified else { return };
    let Ok((reader, _)) = SnapshotReader::begin(file) else { panic!("it was read a moment ago") };
    let loaded = loading.load(reader, &|| NOW, &|| false);
    let loaded = loaded.unwrap_or_else(|fault| panic!("checked, and yet: {fault}"));
    let left = loaded.expired + loaded.purged + loaded.newer + loaded.no_room;
    assert_eq!(loaded.objects + left, count, "{loaded:?}");
    let stats = store.stats();
    // One that stands under another's hash, of a key that was made up, makes way for nobody.
    assert!(stats.objects <= loaded.objects && stats.objects + stats.evictions <= count, "{stats:?} {loaded:?}");
    store.run_expiry(NOW);
}
