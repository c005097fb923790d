//! All figures at one moment: the counters, and what store and backends count by themselves.

use crate::admin::backend_row;
use copal_observe::counters::Counter;
use copal_observe::stats::{Stats, StorageRow};
use copal_pipeline::Core;
use copal_store::StorageStats;
use std::time::Duration;

/// The figures of a process that has been up for `uptime`.
pub(crate) fn collect(core: &Core, policy: &str, uptime: Duration) -> Stats {
    let rows = core.backends.rows();
    let (mut opened, mut open, mut idle, mut probes, mut probes_failed) = (0, 0, 0, 0, 0);
    for row in &rows {
        opened += row.connections_opened;
        open += row.connections_open;
        idle += row.connections_idle;
        probes += row.probes;
        probes_failed += row.probes_failed;
    }
    let store = core.store.stats();
    let backends = rows.into_iter().map(backend_row).collect();
    // Known by its length before it came, or only as it grew.
    let refused = u64::try_from(core.counters.get(Counter::StoreRefused)).unwrap_or(0) + store.outgrown;
    let mut stats = Stats::collect(&core.counters, &core.latencies, uptime, policy, core.settings.size, backends);
    for (counter, value) in [
        (Counter::Objects, store.objects),
        (Counter::Bytes, store.bytes),
        (Counter::InFlightBytes, store.in_flight_bytes),
        (Counter::CoalesceWaiting, store.waiting),
        (Counter::Evictions, store.evictions),
        (Counter::Expiries, store.expiries),
        (Counter::BansAdded, store.bans_added),
        (Counter::BannedObjects, store.banned),
        (Counter::Bans, store.bans),
        (Counter::Tags, store.tags),
        (Counter::Markers, store.markers),
        (Counter::BackendConnectionsOpen, open),
        (Counter::BackendConnectionsInUse, open.saturating_sub(idle)),
        (Counter::BackendConnectionsIdle, idle),
        (Counter::BackendConnectionsOpened, opened),
        (Counter::Probes, probes),
        (Counter::ProbesFailed, probes_failed),
        (Counter::StoreRefused, refused),
        (Counter::ThrottleKeysForgotten, core.policies.load().throttle().forgotten()),
    ] {
        stats.set(counter, i64::try_from(value).unwrap_or(i64::MAX));
    }
    let storages = core.store.storages();
    if storages.len() > 1 {
        let row = |s: StorageStats| StorageRow {
            name: s.name,
            objects: s.objects,
            bytes: s.used,
            bytes_max: s.size,
            evictions: s.evictions,
        };
        stats.store.storages = storages.into_iter().map(row).collect();
    }
    stats
}
