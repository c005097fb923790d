//! Statistics: what the admin socket answers to `GET /stats`, and `copal stat` and /metrics show.

use crate::histogram::{Latencies, LatenciesSnapshot};
use crate::{Counter, Counters, Snapshot};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Everything at one moment. Goes through JSON; fields that another version lacks read as their default.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Stats {
    /// The version of the Copal that runs.
    pub version: String,
    /// Seconds since it started.
    pub uptime_secs: f64,
    /// The name of the policy in use.
    pub policy: String,
    /// Hits / (hits + misses), from 0 to 1; null before the first lookup.
    pub hit_ratio: Option<f64>,
    /// The counters.
    pub counters: Snapshot,
    /// How long requests took.
    pub latency: LatenciesSnapshot,
    /// The store.
    pub store: StoreRow,
    /// The backends, in the order of the configuration.
    pub backends: Vec<BackendRow>,
}

/// How full the store is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StoreRow {
    /// Objects; each variant is one.
    pub objects: i64,
    /// All bytes held.
    pub bytes: i64,
    /// The configured size, of all storages together.
    pub bytes_max: u64,
    /// The storages, the main one first; empty when there is no other.
    pub storages: Vec<StorageRow>,
}

/// How full one storage is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct StorageRow {
    /// Its name in the configuration; `main` is that of `[cache]`.
    pub name: String,
    /// Objects; each variant is one.
    pub objects: u64,
    /// All bytes held.
    pub bytes: u64,
    /// The configured size.
    pub bytes_max: u64,
    /// Objects evicted to make room.
    pub evictions: u64,
}

/// One backend.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BackendRow {
    /// Its name in the configuration.
    pub name: String,
    /// May it be chosen?
    pub healthy: bool,
    /// In one word: healthy, slow_start, sick, draining, ejected.
    pub state: String,
    /// What decides that: owner, faults, probes, unwatched.
    pub cause: String,
    /// How much of its share directors give it now: less than 100 in its slow start.
    pub share_percent: f64,
    /// Requests under way.
    pub running: u64,
    /// How many that may be now: what `max_connections` says, or less where it adapts.
    pub limit: Option<u32>,
    /// Requests that wait for one of its connections.
    pub waiting: u64,
    /// How often it was ejected for failing requests.
    pub ejections: u64,
    /// Objects that it is not asked for since it failed them.
    pub saint_objects: u64,
    /// Why: "probe: 6 of 8", "set sick by the owner", "no probe".
    pub state_reason: String,
    /// Connections open now, in use or idle.
    pub connections_open: u64,
    /// Those that carry a request now; over HTTP/2 one may carry many.
    pub connections_in_use: u64,
    /// Those that wait for the next one.
    pub connections_idle: u64,
    /// Requests sent to it.
    pub requests: u64,
    /// Requests that it failed.
    pub failures: u64,
    /// Connections opened so far.
    pub connections_opened: u64,
    /// Requests that went over a connection that was open already.
    pub connections_reused: u64,
    /// The addresses of its name; empty when its address is one already.
    pub addresses: Vec<String>,
    /// How often those have changed.
    pub address_changes: u64,
    /// Questions for them that got none.
    pub resolve_failures: u64,
    /// Its faults by kind; what has not happened is left out.
    pub faults: Vec<FaultRow>,
    /// The sum of its times to the first byte, in milliseconds.
    pub latency_ms_sum: f64,
    /// How many requests that sum is of.
    pub latency_count: u64,
    /// The last probes, the newest last: "X" good, "x" failed, "." not probed yet.
    pub probe_history: String,
}

/// How often a kind of fault happened, in the words of log and Proxy-Status ([`crate::record::FaultWords`]).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FaultRow {
    /// How far the fetch had come.
    pub phase: String,
    /// The error type of RFC 9209.
    pub error: String,
    /// Whose fault it was.
    pub by: String,
    /// Whether the request could be sent again without being done twice.
    pub retry_safe: bool,
    /// So often.
    pub count: u64,
}

impl BackendRow {
    /// The mean time to the first byte in milliseconds; `None` before the first answer.
    #[must_use]
    pub fn latency_ms_avg(&self) -> Option<f64> {
        (self.latency_count > 0).then(|| self.latency_ms_sum / self.latency_count as f64)
    }
}

impl Stats {
    /// Reads all counters and latencies now. `bytes_max` is the configured size of the store.
    #[must_use]
    pub fn collect(
        counters: &Counters,
        latencies: &Latencies,
        uptime: Duration,
        policy: &str,
        bytes_max: u64,
        backends: Vec<BackendRow>,
    ) -> Stats {
        let counters = counters.snapshot();
        Stats {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_secs: uptime.as_secs_f64(),
            policy: policy.to_owned(),
            hit_ratio: counters.hit_ratio(),
            latency: latencies.snapshot(),
            store: StoreRow {
                objects: counters.get(Counter::Objects),
                bytes: counters.get(Counter::Bytes),
                bytes_max,
                storages: Vec::new(),
            },
            counters,
            backends,
        }
    }

    /// Puts in what somebody else counts by itself: the store its objects, the backends their connections.
    pub fn set(&mut self, counter: Counter, value: i64) {
        self.counters.set(counter, value);
        match counter {
            Counter::Objects => self.store.objects = value,
            Counter::Bytes => self.store.bytes = value,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stats_go_through_json() {
        let counters = Counters::new();
        counters.add(Counter::HitsFresh, 3);
        counters.add(Counter::Misses, 1);
        counters.add(Counter::Bytes, 4096);
        let latencies = Latencies::default();
        latencies.hit.record(Duration::from_micros(12));
        let backends = vec![BackendRow { name: "app".into(), healthy: true, ..BackendRow::default() }];
        let stats = Stats::collect(&counters, &latencies, Duration::from_secs(60), "site.rhai", 1 << 30, backends);
        assert_eq!(stats.hit_ratio, Some(0.75));
        assert_eq!(stats.store.bytes, 4096);
        let json = serde_json::to_string(&stats).unwrap();
        assert!(json.contains("\"hits_fresh\":3"), "{json}");
        assert_eq!(serde_json::from_str::<Stats>(&json).unwrap(), stats);
    }

    #[test]
    fn stats_of_another_version_still_read() {
        let stats: Stats = serde_json::from_str(r#"{"counters":{"new_counter":7},"new_field":[]}"#).unwrap();
        assert_eq!(stats.counters.named("new_counter"), Some(7));
    }
}
