//! /metrics: the statistics as OpenMetrics text, which Prometheus reads; names and help come from the counter table.

use crate::counter::{Counter, Kind};
use crate::histogram::HistogramSnapshot;
use crate::stats::{BackendRow, Stats, StorageRow};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::fmt;
use std::time::Duration;

/// The Content-Type of what [`render`] makes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The statistics as OpenMetrics text. Every name begins with `copal_`, those of counters end with `_total`.
#[must_use]
pub fn render(stats: Stats) -> String {
    let mut registry = Registry::with_prefix("copal");
    registry.register_collector(Box::new(Scrape(stats)));
    let mut out = String::with_capacity(16 * 1024);
    text::encode(&mut out, &registry).expect("a String takes every write");
    out
}

#[derive(Debug)]
struct Scrape(Stats);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Scrape(stats) = self;
        let build = [("version", stats.version.as_str()), ("policy", stats.policy.as_str())];
        descriptor(&mut encoder, "build", "The version and the policy in use.", MetricType::Info)?
            .encode_info(&build)?;
        descriptor(&mut encoder, "uptime_seconds", "Seconds since the start.", MetricType::Gauge)?
            .encode_gauge(&stats.uptime_secs)?;
        descriptor(&mut encoder, "store_bytes_max", "The configured size of the store.", MetricType::Gauge)?
            .encode_gauge(&(i64::try_from(stats.store.bytes_max).unwrap_or(i64::MAX)))?;
        storages(&stats.store.storages, &mut encoder)?;
        counters(stats, &mut encoder)?;
        latencies(stats, &mut encoder)?;
        backends(&stats.backends, &mut encoder)
    }
}

fn descriptor<'a>(
    encoder: &'a mut DescriptorEncoder<'_>,
    name: &'a str,
    help: &str,
    kind: MetricType,
) -> Result<MetricEncoder<'a>, fmt::Error> {
    encoder.encode_descriptor(name, help, None, kind)
}

fn counters(stats: &Stats, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, value) in stats.counters.iter() {
        let Some(info) = Counter::named(name).map(Counter::info) else { continue };
        match info.kind {
            Kind::Counter => descriptor(encoder, info.name, info.doc, MetricType::Counter)?
                .encode_counter::<NoLabelSet, _, f64>(&value.unsigned_abs(), None)?,
            Kind::Gauge => descriptor(encoder, info.name, info.doc, MetricType::Gauge)?.encode_gauge(&value)?,
        }
    }
    Ok(())
}

fn latencies(stats: &Stats, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let help = "Time from the request head received to the last byte sent.";
    let mut family = descriptor(encoder, "request_duration_seconds", help, MetricType::Histogram)?;
    for (name, histogram) in stats.latency.named() {
        let sum = Duration::from_nanos(histogram.sum_ns).as_secs_f64();
        family.encode_family(&[("outcome", name)])?.encode_histogram::<NoLabelSet>(
            sum,
            histogram.count(),
            &buckets(histogram),
            None,
        )?;
    }
    Ok(())
}

/// The bounds 1, 2, 5 × 10ⁿ from 10 µs to 10 s, each with the number of events since the bound before.
fn buckets(histogram: &HistogramSnapshot) -> Vec<(f64, u64)> {
    let micros =
        [10, 100, 1_000, 10_000, 100_000, 1_000_000].into_iter().flat_map(|decade| [1, 2, 5].map(|n| n * decade));
    let mut before = 0;
    let mut out = Vec::with_capacity(20);
    for bound in micros.chain([10_000_000]).map(Duration::from_micros) {
        let below = histogram.below(bound);
        out.push((bound.as_secs_f64(), below - before));
        before = below;
    }
    out.push((f64::INFINITY, histogram.count() - before));
    out
}

fn backends(rows: &[BackendRow], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    for (name, help, value) in GAUGES {
        let mut family = descriptor(encoder, name, help, MetricType::Gauge)?;
        for row in rows {
            family.encode_family(&[("backend", row.name.as_str())])?.encode_gauge(&value(row))?;
        }
    }
    let help = "1 for the state that the backend is in.";
    let mut family = descriptor(encoder, "backend_state", help, MetricType::Gauge)?;
    for row in rows {
        for state in STATES {
            let labels = [("backend", row.name.as_str()), ("state", state)];
            family.encode_family(&labels)?.encode_gauge(&f64::from(u8::from(row.state == *state)))?;
        }
    }
    let help = "What decides the state of the backend: owner, faults (of requests), probes, unwatched.";
    let mut family = descriptor(encoder, "backend_cause", help, MetricType::Gauge)?;
    for row in rows {
        let labels = [("backend", row.name.as_str()), ("cause", row.cause.as_str())];
        family.encode_family(&labels)?.encode_gauge(&1)?;
    }
    for (name, help, value) in COUNTERS {
        let mut family = descriptor(encoder, name, help, MetricType::Counter)?;
        for row in rows {
            let labels = [("backend", row.name.as_str())];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&value(row), None)?;
        }
    }
    let help = "Faults on the way to the backend: how far the fetch had come, the error type of RFC 9209, whose fault it was, whether a retry was safe.";
    let mut family = descriptor(encoder, "backend_faults", help, MetricType::Counter)?;
    for row in rows {
        for fault in &row.faults {
            let labels = [
                ("backend", row.name.as_str()),
                ("phase", fault.phase.as_str()),
                ("error", fault.error.as_str()),
                ("by", fault.by.as_str()),
                ("retry_safe", if fault.retry_safe { "true" } else { "false" }),
            ];
            family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&fault.count, None)?;
        }
    }
    Ok(())
}

/// Nothing where there is one storage only: the figures of the store are its own.
fn storages(rows: &[StorageRow], encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    type Column = (&'static str, &'static str, fn(&StorageRow) -> u64);
    let columns: [Column; 3] = [
        ("storage_bytes", "Bytes that the storage holds.", |row| row.bytes),
        ("storage_bytes_max", "The configured size of the storage.", |row| row.bytes_max),
        ("storage_objects", "Objects in the storage.", |row| row.objects),
    ];
    for (name, help, value) in columns {
        let mut family = descriptor(encoder, name, help, MetricType::Gauge)?;
        for row in rows {
            let value = i64::try_from(value(row)).unwrap_or(i64::MAX);
            family.encode_family(&[("storage", row.name.as_str())])?.encode_gauge(&value)?;
        }
    }
    let help = "Objects evicted from the storage to make room.";
    let mut family = descriptor(encoder, "storage_evictions", help, MetricType::Counter)?;
    for row in rows {
        let labels = [("storage", row.name.as_str())];
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, f64>(&row.evictions, None)?;
    }
    Ok(())
}

/// A column of the backends: name, help, value.
type Column = (&'static str, &'static str, fn(&BackendRow) -> f64);

const GAUGES: &[Column] = &[
    ("backend_healthy", "1 when the backend may be chosen, else 0.", |row| f64::from(u8::from(row.healthy))),
    ("backend_open_connections", "Connections to the backend that are open now, in use or idle.", |row| {
        row.connections_open as f64
    }),
    ("backend_in_use_connections", "Those of them that carry a request; over HTTP/2 one may carry many.", |row| {
        row.connections_in_use as f64
    }),
    ("backend_idle_connections", "Those of them that wait for the next request.", |row| row.connections_idle as f64),
    ("backend_share", "How much of its share the backend gets now, from 0 to 1: less in its slow start.", |row| {
        row.share_percent / 100.0
    }),
    ("backend_running", "Requests to the backend that are under way.", |row| row.running as f64),
    (
        "backend_limit",
        "How many requests may be under way now; it adapts where `adaptive` is set. 0: as many as there are.",
        |row| f64::from(row.limit.unwrap_or_default()),
    ),
    ("backend_waiting", "Requests that wait for a connection of the backend.", |row| row.waiting as f64),
    ("backend_saint_objects", "Objects that the backend is not asked for since it failed them.", |row| {
        row.saint_objects as f64
    }),
    ("backend_addresses", "Addresses of the backend's name; 0 for one that has none.", |row| {
        row.addresses.len() as f64
    }),
];

/// The states of a backend, each a series of `backend_state` of which one is 1.
const STATES: &[&str] = &["healthy", "slow_start", "sick", "draining", "ejected"];

const COUNTERS: &[Column] = &[
    ("backend_requests", "Requests sent to the backend.", |row| row.requests as f64),
    ("backend_ejections", "How often the backend was ejected for failing requests.", |row| row.ejections as f64),
    ("backend_failures", "Requests that the backend failed.", |row| row.failures as f64),
    ("backend_opened_connections", "Connections opened to the backend.", |row| row.connections_opened as f64),
    (
        "backend_reused_connections",
        "Requests that went over a connection to the backend that was open already.",
        |row| row.connections_reused as f64,
    ),
    ("backend_address_changes", "How often the addresses of the backend's name have changed.", |row| {
        row.address_changes as f64
    }),
    ("backend_resolve_failures", "Questions for the backend's name that got no address; the last ones stay.", |row| {
        row.resolve_failures as f64
    }),
    ("backend_latency_seconds", "Sum of the times to the first byte.", |row| row.latency_ms_sum / 1e3),
    ("backend_latency_requests", "Requests that backend_latency_seconds is the sum of.", |row| {
        row.latency_count as f64
    }),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Latencies;
    use crate::stats::FaultRow;
    use crate::{Counters, counters::COUNTERS as TABLE};

    fn sample() -> String {
        let counters = Counters::new();
        counters.add(Counter::HitsFresh, 3);
        counters.add(Counter::Bytes, 4096);
        let latencies = Latencies::default();
        latencies.hit.record(Duration::from_micros(15));
        latencies.hit.record(Duration::from_secs(50));
        let (name, state) = ("a\"b".into(), "ejected".into());
        let fault = FaultRow {
            phase: "connect".into(),
            error: "connection_refused".into(),
            by: "origin".into(),
            retry_safe: true,
            count: 4,
        };
        let (connections_open, connections_in_use, connections_idle) = (5, 3, 2);
        let connections =
            BackendRow { connections_open, connections_in_use, connections_idle, ..BackendRow::default() };
        let row = BackendRow { name, state, requests: 9, ejections: 2, faults: vec![fault], ..connections };
        render(Stats::collect(&counters, &latencies, Duration::from_secs(1), "site.rhai", 1 << 20, vec![row]))
    }

    #[test]
    fn counters_gauges_backends_and_latencies_are_exposed() {
        let text = sample();
        for line in [
            "# HELP copal_hits_fresh Requests served from a fresh object.",
            "# TYPE copal_hits_fresh counter",
            "copal_hits_fresh_total 3",
            "# TYPE copal_bytes gauge",
            "copal_bytes 4096",
            "copal_backend_requests_total{backend=\"a\\\"b\"} 9.0",
            "copal_backend_open_connections{backend=\"a\\\"b\"} 5.0",
            "copal_backend_in_use_connections{backend=\"a\\\"b\"} 3.0",
            "copal_backend_idle_connections{backend=\"a\\\"b\"} 2.0",
            "copal_backend_ejections_total{backend=\"a\\\"b\"} 2.0",
            "copal_backend_state{backend=\"a\\\"b\",state=\"ejected\"} 1.0",
            "copal_backend_state{backend=\"a\\\"b\",state=\"healthy\"} 0.0",
            "copal_request_duration_seconds_count{outcome=\"hit\"} 2",
            "copal_request_duration_seconds_bucket{le=\"10.0\",outcome=\"hit\"} 1",
            "copal_request_duration_seconds_bucket{le=\"+Inf\",outcome=\"hit\"} 2",
            "copal_backend_faults_total{backend=\"a\\\"b\",phase=\"connect\",error=\"connection_refused\",by=\"origin\",retry_safe=\"true\"} 4",
            "# EOF",
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line:?} in\n{text}");
        }
    }

    #[test]
    fn every_counter_of_the_table_is_exposed_once() {
        let text = sample();
        for info in TABLE {
            let head = format!("# TYPE copal_{} ", info.name);
            assert_eq!(text.lines().filter(|line| line.starts_with(&head)).count(), 1, "{}", info.name);
        }
    }
}
