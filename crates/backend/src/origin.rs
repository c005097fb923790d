//! One application server: how to reach it, whether it is healthy, and what has been counted of it.

use crate::address::Address;
use crate::fault::{Fault, FaultKind, Phase};
use crate::health::{Admin, Health};
use crate::probe::{ProbeOptions, Transition};
use crate::resolve::Resolver;
use crate::tally::Tally;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;

/// Requests that one origin carries at a time unless its owner says otherwise: far above what a usual application
/// server works on at once, far below what descriptors allow.
pub const CONNECTIONS_MAX: u32 = 1024;

/// What the owner says about an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginOptions {
    /// The name that configuration, policy, log and metrics use.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// Time for name lookup and connect together.
    pub connect_timeout: Duration,
    /// Time from the request being sent to the whole response head.
    pub first_byte_timeout: Duration,
    /// Time that one read of the body, or one write of the request, may wait.
    pub between_bytes_timeout: Duration,
    /// Requests at a time; beyond: [`FaultKind::Busy`]. 0 is no limit.
    pub max_connections: u32,
    /// How long an unused connection is kept. Should be less than the origin's own keep-alive time.
    pub idle_timeout: Duration,
    /// Replaces the Host field of every request.
    pub host_header: Option<String>,
    /// How its health is found out; without a probe it counts as healthy.
    pub probe: Option<ProbeOptions>,
}

impl OriginOptions {
    /// With Varnish's default times (3.5 s, 60 s, 60 s; idle 60 s) and [`CONNECTIONS_MAX`].
    #[must_use]
    pub fn new(name: impl Into<String>, address: Address) -> Self {
        OriginOptions {
            name: name.into(),
            address,
            connect_timeout: Duration::from_millis(3500),
            first_byte_timeout: Duration::from_secs(60),
            between_bytes_timeout: Duration::from_secs(60),
            max_connections: CONNECTIONS_MAX,
            idle_timeout: Duration::from_secs(60),
            host_header: None,
            probe: None,
        }
    }
}

/// One origin. Shared by all worker threads.
#[derive(Debug)]
pub struct Origin {
    options: OriginOptions,
    pub(crate) health: Health,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) tally: Arc<Tally>,
}

/// What is known of an origin, for `stat`, metrics and the admin interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OriginRow {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// May it be sent requests?
    pub healthy: bool,
    /// Why.
    pub state_reason: String,
    /// The owner's override.
    pub admin: Admin,
    /// Sockets open now, in use or idle in a pool.
    pub connections_open: u64,
    /// Sockets that carry a request now; what `max_connections` bounds.
    pub connections_in_use: u64,
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
    /// The failures by class; classes without any are left out.
    pub failures_by_kind: BTreeMap<&'static str, u64>,
    /// Microseconds from the start of the exchange to the response head, summed up.
    pub latency_us_sum: u64,
    /// How many response heads that sum is of.
    pub latency_count: u64,
    /// Health probes sent.
    pub probes: u64,
    /// Health probes that failed.
    pub probes_failed: u64,
    /// One character per place of the probe window, oldest first: `.` not probed yet, `x` failed, `X` good.
    pub probe_history: String,
}

impl Origin {
    /// An origin that has carried nothing yet. Its name is not looked up.
    #[must_use]
    pub fn new(options: OriginOptions) -> Arc<Self> {
        Arc::new(Origin {
            health: Health::new(options.probe.as_ref()),
            resolver: Resolver::new(&options.address),
            tally: Arc::default(),
            options,
        })
    }

    /// What the owner said about it.
    #[must_use]
    pub fn options(&self) -> &OriginOptions {
        &self.options
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.options.name
    }

    /// May it be sent requests?
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.health.is_healthy()
    }

    /// The owner's override.
    #[must_use]
    pub fn admin(&self) -> Admin {
        self.health.admin()
    }

    /// Sets the owner's override.
    pub fn set_admin(&self, admin: Admin) {
        self.health.set_admin(admin);
    }

    /// Takes in the outcome of one probe; `Err` holds the reason. Nothing happens when the origin has no probe.
    pub fn record_probe(&self, outcome: Result<(), String>) -> Option<Transition> {
        if self.options.probe.is_some() {
            self.tally.probes.fetch_add(1, Relaxed);
            self.tally.probes_failed.fetch_add(u64::from(outcome.is_err()), Relaxed);
        }
        self.health.record(outcome)
    }

    /// All that is known of it, now.
    #[must_use]
    pub fn row(&self) -> OriginRow {
        let t = &self.tally;
        OriginRow {
            name: self.options.name.clone(),
            address: self.options.address.to_string(),
            healthy: self.is_healthy(),
            state_reason: self.health.reason(),
            admin: self.admin(),
            connections_open: t.connections_open.load(Relaxed),
            connections_in_use: t.connections_in_use.load(Relaxed),
            connections_opened: t.connections_opened.load(Relaxed),
            connections_reused: t.connections_reused.load(Relaxed),
            reconnects: t.reconnects.load(Relaxed),
            requests: t.requests.load(Relaxed),
            failures: t.failures(),
            failures_by_kind: t.failures_by_kind(),
            latency_us_sum: t.latency_us_sum.load(Relaxed),
            latency_count: t.latency_count.load(Relaxed),
            probes: t.probes.load(Relaxed),
            probes_failed: t.probes_failed.load(Relaxed),
            probe_history: self.health.history(),
        }
    }

    /// A slot for one request, free again when it is dropped.
    pub(crate) fn permit(self: &Arc<Self>) -> Result<Permit, Fault> {
        let max = match self.options.max_connections {
            0 => u64::MAX,
            n => u64::from(n),
        };
        let in_use = &self.tally.connections_in_use;
        match in_use.fetch_update(AcqRel, Acquire, |n| (n < max).then_some(n + 1)) {
            Ok(_) => Ok(Permit(self.tally.clone())),
            Err(n) => Err(Fault::early(Phase::Pool, FaultKind::Busy, Some(self.name()), format!("{n} in use"))),
        }
    }
}

/// One of an origin's `max_connections`.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Tally>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.connections_in_use.fetch_sub(1, AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_overrides_the_probes() {
        let address: Address = "127.0.0.1:1".parse().expect("valid");
        let probe = Some(ProbeOptions { initial: 0, ..ProbeOptions::default() });
        let origin = Origin::new(OriginOptions { probe, ..OriginOptions::new("a", address) });
        assert!(!origin.is_healthy());
        origin.set_admin(Admin::Healthy);
        assert!(origin.is_healthy());
        assert_eq!(origin.row().state_reason, "set healthy by the owner");
        origin.set_admin(Admin::Auto);
        assert_eq!(origin.record_probe(Err("status 503".into())), None);
        let row = origin.row();
        assert_eq!(row.state_reason, "0 of the last 8 probes good, 3 needed; last: status 503");
        assert_eq!(row.probe_history, ".......x");
    }

    #[test]
    fn slots_come_back_when_they_are_dropped() {
        let address: Address = "127.0.0.1:1".parse().expect("valid");
        let origin = Origin::new(OriginOptions { max_connections: 1, ..OriginOptions::new("a", address) });
        let held = origin.permit().expect("free");
        assert_eq!(origin.permit().expect_err("full").kind, FaultKind::Busy);
        drop(held);
        assert!(origin.permit().is_ok());
    }
}
