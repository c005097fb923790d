//! Statistics as text for people: what `copal stat -1` prints.

use crate::counter::{Counter, Kind};
use crate::stats::{BackendRow, Stats, StorageRow};
use std::time::Duration;

impl Stats {
    /// Hit ratio and store on top, then latencies, backends and all counters with their doc text. Ends with a newline.
    #[must_use]
    pub fn render_text(&self) -> String {
        let blocks = [
            self.summary(),
            storages(&self.store.storages),
            self.latencies(),
            backends(&self.backends),
            self.counter_table(),
        ];
        let blocks: Vec<String> = blocks.into_iter().filter(|block| !block.is_empty()).collect();
        blocks.join("\n")
    }

    fn summary(&self) -> String {
        let hits = self.counters.hits();
        let misses = self.counters.get(Counter::Misses);
        let ratio = match self.hit_ratio {
            Some(ratio) => format!("{:.1} % ({hits} hits, {misses} misses)", ratio * 100.0),
            None => "nothing looked up yet".to_owned(),
        };
        let store = &self.store;
        let (bytes, bytes_max) = (size(store.bytes.unsigned_abs()), size(store.bytes_max));
        format!(
            "copal {}, up {}, policy {}\nhit ratio  {ratio}\nstore      {bytes} of {bytes_max}, {} objects\n",
            self.version,
            age(self.uptime_secs),
            self.policy,
            store.objects
        )
    }

    fn latencies(&self) -> String {
        let mut rows = vec![["latency", "requests", "mean", "p50", "p90", "p99", "p99.9"].map(str::to_owned)];
        for (name, histogram) in self.latency.named() {
            if histogram.count() == 0 {
                continue;
            }
            let quantile = |q| histogram.quantile(q).map_or_else(String::new, short);
            rows.push([
                name.to_owned(),
                histogram.count().to_string(),
                histogram.mean().map_or_else(String::new, short),
                quantile(0.5),
                quantile(0.9),
                quantile(0.99),
                quantile(0.999),
            ]);
        }
        table(&rows, [Left, Right, Right, Right, Right, Right, Right])
    }

    fn counter_table(&self) -> String {
        let mut rows = vec![["counter", "value", "per second", "what it counts"].map(str::to_owned)];
        for (name, value) in self.counters.iter() {
            // A name that this version does not know has no doc text here; its value is shown all the same.
            let info = Counter::named(name).map(Counter::info);
            let rate = match info.map(|info| info.kind) {
                Some(Kind::Counter) if self.uptime_secs > 0.0 => format!("{:.2}", value as f64 / self.uptime_secs),
                Some(Kind::Counter | Kind::Gauge) | None => String::new(),
            };
            rows.push([name.to_owned(), value.to_string(), rate, info.map_or("", |info| info.doc).to_owned()]);
        }
        table(&rows, [Left, Right, Right, Left])
    }
}

fn storages(rows: &[StorageRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let mut lines = vec![["storage", "bytes", "of", "objects", "evictions"].map(str::to_owned)];
    for row in rows {
        lines.push([
            row.name.clone(),
            size(row.bytes),
            size(row.bytes_max),
            row.objects.to_string(),
            row.evictions.to_string(),
        ]);
    }
    table(&lines, [Left, Right, Right, Right, Right])
}

fn backends(backends: &[BackendRow]) -> String {
    let head = ["backend", "health", "why", "probes", "open", "requests", "failures", "mean ms"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(backends.iter().map(|backend| {
        [
            backend.name.clone(),
            health(backend),
            backend.state_reason.clone(),
            backend.probe_history.clone(),
            backend.connections_open.to_string(),
            backend.requests.to_string(),
            backend.failures.to_string(),
            backend.latency_ms_avg().map_or_else(String::new, |ms| format!("{ms:.1}")),
        ]
    }));
    table(&rows, [Left, Left, Left, Left, Right, Right, Right, Right])
}

/// "healthy", "slow_start 40 %", "sick".
fn health(backend: &BackendRow) -> String {
    match backend.state.as_str() {
        "" if backend.healthy => "healthy".to_owned(),
        "" => "sick".to_owned(),
        "slow_start" => format!("slow_start {:.0} %", backend.share_percent),
        state => state.to_owned(),
    }
}

#[derive(Clone, Copy)]
enum Align {
    Left,
    Right,
}
use Align::{Left, Right};

/// Columns as wide as their widest cell, two spaces apart; nothing when there is only the head.
fn table<const N: usize>(rows: &[[String; N]], align: [Align; N]) -> String {
    if rows.len() < 2 {
        return String::new();
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    let mut out = String::new();
    for row in rows {
        let cells = row.iter().zip(align).zip(widths).map(|((cell, align), width)| match align {
            Left => format!("{cell:<width$}"),
            Right => format!("{cell:>width$}"),
        });
        out.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    }
    out
}

/// "12.3 MiB".
fn size(bytes: u64) -> String {
    let steps = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match steps.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None => format!("{bytes} bytes"),
    }
}

/// "12 µs", "1.5 ms", "2.0 s": two digits are what a histogram can tell.
fn short(duration: Duration) -> String {
    let secs = duration.as_secs_f64();
    match secs {
        s if s < 1e-3 => format!("{:.0} µs", s * 1e6),
        s if s < 1.0 => format!("{:.1} ms", s * 1e3),
        s => format!("{s:.1} s"),
    }
}

/// "2d 03:04:05".
fn age(secs: f64) -> String {
    let secs = secs as u64;
    let (days, hours, minutes) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60);
    format!("{days}d {hours:02}:{minutes:02}:{:02}", secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Latencies;
    use crate::{Counter, Counters};

    fn stats() -> Stats {
        let counters = Counters::new();
        counters.add(Counter::HitsFresh, 300);
        counters.add(Counter::Misses, 100);
        counters.add(Counter::Objects, 7);
        let latencies = Latencies::default();
        latencies.miss.record(Duration::from_millis(30));
        let backend = BackendRow {
            name: "app1".into(),
            state: "sick".into(),
            state_reason: "probe: 2 of 8".into(),
            probe_history: "XXxxxxxx".into(),
            latency_ms_sum: 30.0,
            latency_count: 2,
            ..BackendRow::default()
        };
        Stats::collect(&counters, &latencies, Duration::from_secs(100), "site.rhai", 256 << 20, vec![backend])
    }

    #[test]
    fn the_hit_ratio_is_on_top_and_every_counter_has_value_rate_and_doc() {
        let text = stats().render_text();
        assert!(text.contains("hit ratio  75.0 % (300 hits, 100 misses)"), "{text}");
        assert!(text.contains("0 bytes of 256.0 MiB, 7 objects"), "{text}");
        let row = text.lines().find(|line| line.starts_with("hits_fresh ")).unwrap();
        let cells: Vec<&str> = row.split_whitespace().take(4).collect();
        assert_eq!(cells, ["hits_fresh", "300", "3.00", "Requests"]);
        assert!(text.contains("app1     sick    probe: 2 of 8  XXxxxxxx"), "{text}");
        assert!(text.contains("15.0\n"), "{text}");
        assert!(text.lines().all(|line| line == line.trim_end()));
    }

    #[test]
    fn a_fresh_start_prints_without_dividing_by_zero() {
        let stats = Stats { uptime_secs: 0.0, ..Stats::default() };
        assert!(stats.render_text().contains("nothing looked up yet"));
    }
}
