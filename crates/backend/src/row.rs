//! What is known of origins and directors, for `stat`, metrics and the admin interface.

use crate::health::Admin;
use crate::origin::Origin;
use crate::resolve::NameRow;
use crate::tally::FaultCount;
use serde::Serialize;
use std::sync::atomic::Ordering::Relaxed;
use tokio::time::Instant;

/// What is known of an origin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginRow {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// What is known of its name; none when its address is one already.
    pub resolved: Option<NameRow>,
    /// May it be sent requests? Not while it is sick, draining or ejected.
    pub healthy: bool,
    /// In one word: `healthy`, `slow_start`, `sick`, `draining`, `ejected`.
    pub state: &'static str,
    /// Why.
    pub state_reason: String,
    /// What decides that, in one word: `owner`, `faults` (of requests), `probes`, `unwatched`.
    pub cause: &'static str,
    /// The owner's override.
    pub admin: Admin,
    /// Thousandths of its share that directors give it now.
    pub share_permille: u64,
    /// Sockets open now, in use or idle in a pool.
    pub connections_open: u64,
    /// Those that carry a request now.
    pub connections_in_use: u64,
    /// Those that carry none.
    pub connections_idle: u64,
    /// Requests under way, over HTTP/2 many over one socket; what `max_connections` bounds.
    pub running: u64,
    /// How many those may be now; `None`: as many as there are.
    pub limit: Option<u32>,
    /// Requests that wait for one of those.
    pub waiting: u64,
    /// Requests that have waited.
    pub waited: u64,
    /// Sockets opened so far.
    pub connections_opened: u64,
    /// Requests that went over a kept connection.
    pub connections_reused: u64,
    /// Requests sent a second time because the kept connection had died.
    pub reconnects: u64,
    /// Requests sent to it, or tried.
    pub requests: u64,
    /// Requests that failed, but for those that failed through the client.
    pub failures: u64,
    /// The faults by phase, error type and blame, those of clients among them; what has not happened is left out.
    pub faults: Vec<FaultCount>,
    /// Microseconds from the start of the exchange to the response head, summed up.
    pub latency_us_sum: u64,
    /// How many response heads that sum is of.
    pub latency_count: u64,
    /// How often it was ejected.
    pub ejections: u64,
    /// How often the cap on ejected backends has prevented that.
    pub ejections_refused: u64,
    /// Objects that it is not asked for, since it failed them.
    pub saint_objects: u64,
    /// Health probes sent.
    pub probes: u64,
    /// Health probes that failed.
    pub probes_failed: u64,
    /// One character per place of the probe window, oldest first: `.` not probed yet, `x` failed, `X` good.
    pub probe_history: String,
}

/// What is known of a director.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DirectorRow {
    /// Its name.
    pub name: String,
    /// How it chooses.
    pub kind: &'static str,
    /// Can one of its members serve?
    pub healthy: bool,
    /// The names of its members.
    pub members: Vec<String>,
}

impl Origin {
    /// All that is known of it, now.
    #[must_use]
    pub fn row(&self) -> OriginRow {
        let (t, now) = (&self.tally, Instant::now());
        let ejected = if self.is_ejected(now) { self.ejection.reason(now) } else { None };
        let share_permille = if ejected.is_some() { 0 } else { self.share(now) };
        let (open, idle) = (t.connections_open.load(Relaxed), t.connections_idle.load(Relaxed));
        let state = match (self.is_healthy(), &ejected) {
            (false, _) if self.admin() == Admin::Drain => "draining",
            (false, _) => "sick",
            (true, Some(_)) => "ejected",
            (true, None) if share_permille < crate::ramp::WHOLE => "slow_start",
            (true, None) => "healthy",
        };
        let cause = match (self.admin(), &ejected) {
            (Admin::Healthy | Admin::Sick | Admin::Drain, _) => "owner",
            (Admin::Auto, Some(_)) if self.is_healthy() => "faults",
            (Admin::Auto, _) if self.options().probe.is_some() => "probes",
            (Admin::Auto, _) => "unwatched",
        };
        OriginRow {
            cause,
            name: self.name().to_owned(),
            address: self.options().address.to_string(),
            resolved: self.resolver.row(),
            healthy: self.is_healthy() && ejected.is_none(),
            state,
            state_reason: ejected.filter(|_| self.is_healthy()).unwrap_or_else(|| self.health.reason()),
            admin: self.admin(),
            share_permille,
            connections_open: open,
            connections_in_use: open.saturating_sub(idle),
            connections_idle: idle,
            running: t.running(),
            limit: self.slots.as_ref().map(|slots| slots.limit()),
            waiting: t.waiting.load(Relaxed),
            waited: t.waited.load(Relaxed),
            connections_opened: t.connections_opened.load(Relaxed),
            connections_reused: t.connections_reused.load(Relaxed),
            reconnects: t.reconnects.load(Relaxed),
            requests: t.requests.load(Relaxed),
            failures: t.failures(),
            faults: t.fault_counts(),
            latency_us_sum: t.latency_us_sum.load(Relaxed),
            latency_count: t.latency_count.load(Relaxed),
            ejections: self.ejection.ejections.load(Relaxed),
            ejections_refused: self.ejection.refused.load(Relaxed),
            saint_objects: self.saint.len(self.since_born(now)),
            probes: t.probes.load(Relaxed),
            probes_failed: t.probes_failed.load(Relaxed),
            probe_history: self.health.history(),
        }
    }
}
