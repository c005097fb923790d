//! One application server: how to reach it, whether it is healthy, and what has been counted of it.

use crate::address::Address;
use crate::debt::Debt;
use crate::dice::{Chance, Dice};
use crate::ejection::Ejection;
use crate::fault::{Fault, FaultKind, Phase};
use crate::health::{Admin, Health};
use crate::latency::{FAULT, PeakEwma};
use crate::limit::AdaptiveOptions;
use crate::names::ResolveOptions;
use crate::outlier::{EjectOptions, News};
use crate::probe::{ProbeOptions, Transition};
use crate::proxy_protocol::ProxyProtocol;
use crate::ramp;
use crate::resolve::Resolver;
use crate::saint::Saint;
use crate::slots::{self, Class, Permit, Slots};
use crate::sparing::Sparing;
use crate::tally::Tally;
use crate::tls::{Http2, Tls, TlsError, TlsOptions};
use copal_semantics::RequestHead;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Requests that one origin carries at a time unless its owner says otherwise: far above what a usual application
/// server works on at once, far below what descriptors allow.
pub const CONNECTIONS_MAX: u32 = 1024;

/// How long a connection may be silent before the kernel asks whether the other side is still there: below the idle limits
/// of usual firewalls and load balancers (350 s at the shortest of the large ones).
pub const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What the owner says about an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginOptions {
    /// The name that configuration, policy, log and metrics use.
    pub name: String,
    /// Where it listens.
    pub address: Address,
    /// How its name becomes addresses.
    pub resolve: ResolveOptions,
    /// Time for name lookup, connect and TLS together.
    pub connect_timeout: Duration,
    /// Time from the request being sent to the whole response head.
    pub first_byte_timeout: Duration,
    /// Time that one read of the body, or one write of the request, may wait.
    pub between_bytes_timeout: Duration,
    /// Time for all of it, from the choice of the origin to the end of the response; no limit when none.
    pub total_timeout: Option<Duration>,
    /// TLS, when it is spoken.
    pub tls: Option<TlsOptions>,
    /// Which HTTP is spoken.
    pub http2: Http2,
    /// Whether the origin is told who the client is before the first request.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How long a TCP connection may be silent before the kernel probes it; never when none.
    pub tcp_keepalive: Option<Duration>,
    /// Requests at a time; beyond they wait. 0 is no limit.
    pub max_connections: u32,
    /// Below that the number follows the latency; it does not when none.
    pub adaptive: Option<AdaptiveOptions>,
    /// Requests that may wait for one of those; beyond: [`FaultKind::Busy`].
    pub wait_limit: u32,
    /// How long they may wait; beyond: [`FaultKind::Busy`].
    pub wait_timeout: Duration,
    /// How long an unused connection is kept. Should be less than the origin's own keep-alive time.
    pub idle_timeout: Duration,
    /// Unused connections in HTTP/1.1 that are kept over all pools; as many as the pools take when none.
    pub idle_connections: Option<u32>,
    /// Replaces the Host field of every request.
    pub host_header: Option<String>,
    /// How its health is found out; without a probe it counts as healthy.
    pub probe: Option<ProbeOptions>,
    /// How long it takes to its whole share once it has become healthy again.
    pub slow_start: Duration,
    /// When it is left out for failing requests; never when none.
    pub eject: Option<EjectOptions>,
    /// How long it is not asked again for what it has answered with a server error; zero: that is forgotten.
    pub saint_mode: Duration,
}

impl OriginOptions {
    /// With Varnish's default times (3.5 s, 60 s, 60 s; idle 60 s) and [`CONNECTIONS_MAX`].
    #[must_use]
    pub fn new(name: impl Into<String>, address: Address) -> Self {
        OriginOptions {
            name: name.into(),
            address,
            resolve: ResolveOptions::default(),
            connect_timeout: Duration::from_millis(3500),
            first_byte_timeout: Duration::from_secs(60),
            between_bytes_timeout: Duration::from_secs(60),
            total_timeout: None,
            tls: None,
            http2: Http2::Auto,
            proxy_protocol: None,
            tcp_keepalive: Some(TCP_KEEPALIVE),
            max_connections: CONNECTIONS_MAX,
            adaptive: None,
            wait_limit: 0,
            wait_timeout: Duration::from_secs(1),
            idle_timeout: Duration::from_secs(60),
            idle_connections: None,
            host_header: None,
            probe: None,
            slow_start: Duration::ZERO,
            eject: None,
            saint_mode: Duration::ZERO,
        }
    }
}

impl OriginOptions {
    /// What is offered: a connection that stands for one client cannot be shared by many, so that HTTP/2 gains nothing.
    pub(crate) fn offered_http2(&self) -> Http2 {
        match (self.http2, self.proxy_protocol) {
            (Http2::Auto, Some(_)) => Http2::Off,
            (http2, _) => http2,
        }
    }
}

/// One origin. Shared by all worker threads.
#[derive(Debug)]
pub struct Origin {
    options: OriginOptions,
    born: Instant,
    pub(crate) health: Health,
    /// When it last became healthy, in microseconds after `born`; 0: it has always been.
    healthy_since_us: AtomicU64,
    pub(crate) ejection: Arc<Ejection>,
    pub(crate) saint: Saint,
    latency: Mutex<PeakEwma>,
    debt: Mutex<Debt>,
    /// Of refreshes in the background that found it full.
    refused: Mutex<Sparing>,
    /// When it is probed.
    pub(crate) dice: Dice,
    pub(crate) slots: Option<Arc<Slots>>,
    pub(crate) tls: Option<Tls>,
    pub(crate) resolver: Arc<Resolver>,
    pub(crate) tally: Arc<Tally>,
}

impl Origin {
    /// An origin that has carried nothing yet. Its name is not looked up.
    #[must_use]
    pub fn new(options: OriginOptions) -> Arc<Self> {
        Origin::with_chance(options, &Chance::of_the_system())
    }

    pub(crate) fn with_chance(options: OriginOptions, chance: &Chance) -> Arc<Self> {
        let born = Instant::now();
        let tally = Arc::default();
        let wait = (options.wait_limit, options.wait_timeout);
        Arc::new(Origin {
            born,
            health: Health::new(options.probe.as_ref()),
            healthy_since_us: AtomicU64::new(0),
            ejection: Ejection::new(options.eject.as_ref(), born),
            saint: Saint::default(),
            latency: Mutex::default(),
            debt: Mutex::default(),
            refused: Mutex::default(),
            dice: chance.dice(),
            slots: Slots::new(options.max_connections, options.adaptive, wait, &tally),
            tls: options.tls.as_ref().map(|tls| Tls::new(tls, options.address.host(), options.offered_http2())),
            resolver: Resolver::new(&options.name, &options.address, &options.resolve, chance.dice()),
            tally,
            options,
        })
    }

    /// What the owner said about it.
    #[must_use]
    pub fn options(&self) -> &OriginOptions {
        &self.options
    }

    /// Looks its name up, so that the first request need not.
    ///
    /// # Errors
    /// Why it has no address; it is asked for again when one is needed.
    pub async fn resolve(&self) -> Result<(), String> {
        self.resolver.look_up().await.map_err(|why| why.to_string())
    }

    /// Can the settings of TLS be used? The files were read by [`Origin::new`].
    ///
    /// # Errors
    /// What is wrong with them. The owner's fault; requests would fail.
    pub fn check_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.settings().map(drop))
    }

    /// Reads the files of TLS again, for connections that are opened from now on.
    ///
    /// # Errors
    /// What is wrong with them; what was in force stays.
    pub fn reload_tls(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), Tls::reload)
    }

    /// May its connections be in HTTP/2?
    pub(crate) fn may_speak_http2(&self) -> bool {
        match self.options.offered_http2() {
            Http2::Off => false,
            Http2::Auto => self.tls.is_some(),
            Http2::Only => true,
        }
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

    /// Sets the owner's override. Whatever it is, an ejection ends: the owner has looked.
    pub fn set_admin(&self, admin: Admin) {
        self.set_admin_at(admin, Instant::now());
    }

    pub(crate) fn set_admin_at(&self, admin: Admin, now: Instant) {
        let before = self.is_healthy();
        self.health.set_admin(admin);
        self.ejection.pardon(now);
        if self.is_healthy() && !before {
            self.came_back(now);
        }
    }

    /// Takes in the outcome of one probe; `Err` holds the reason. Nothing happens when the origin has no probe.
    pub fn record_probe(&self, outcome: Result<(), String>) -> Option<Transition> {
        self.record_probe_at(outcome, Instant::now())
    }

    pub(crate) fn record_probe_at(&self, outcome: Result<(), String>, now: Instant) -> Option<Transition> {
        if self.options.probe.is_some() {
            self.tally.probes.fetch_add(1, Relaxed);
            self.tally.probes_failed.fetch_add(u64::from(outcome.is_err()), Relaxed);
        }
        let transition = self.health.record(outcome);
        // At the start everybody is new at once: a ramp would only shift the shares to who was probed first.
        if transition.as_ref().is_some_and(|t| t.now_healthy) && self.health.has_failed() {
            self.came_back(now);
        }
        transition
    }

    fn came_back(&self, now: Instant) {
        self.healthy_since_us.store(self.micros(now).max(1), Relaxed);
    }

    fn micros(&self, now: Instant) -> u64 {
        u64::try_from(self.since_born(now).as_micros()).unwrap_or(u64::MAX)
    }

    pub(crate) fn since_born(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.born)
    }

    /// Thousandths of its share that it may have now: less than all on its ramp, none while it is sick.
    pub(crate) fn share(&self, now: Instant) -> u64 {
        if !self.is_healthy() {
            return 0;
        }
        if self.options.slow_start.is_zero() {
            return ramp::WHOLE;
        }
        let since = self.healthy_since_us.load(Relaxed).max(self.ejection.until_us());
        if since == 0 {
            return ramp::WHOLE;
        }
        ramp::share(Duration::from_micros(self.micros(now).saturating_sub(since)), self.options.slow_start)
    }

    /// Is it left out for now, though it counts as healthy?
    pub(crate) fn is_ejected(&self, now: Instant) -> bool {
        self.admin() != Admin::Healthy && self.ejection.is_ejected(now)
    }

    /// Would a request now be turned away at once, since all slots and places to wait are taken?
    pub(crate) fn is_full(&self) -> bool {
        self.slots.as_ref().is_some_and(|slots| slots.is_full())
    }

    /// Requests under way or waiting, and what its latest faults weigh.
    pub(crate) fn load(&self, now: Instant) -> u64 {
        let debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner).weight(self.since_born(now));
        self.tally.running() + self.tally.waiting.load(Relaxed) + debt
    }

    fn latency(&self) -> MutexGuard<'_, PeakEwma> {
        self.latency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A director goes by its latency, and wants the past to fade within that; the shortest of all directors' counts.
    pub(crate) fn decay_within(&self, decay: Duration) {
        self.latency().decay_within(decay);
    }

    pub(crate) fn latency_us(&self) -> f64 {
        self.latency().micros()
    }

    /// Is so little known of its latency that it should be asked, and nobody asks it now?
    pub(crate) fn is_to_be_tried(&self, now: Instant) -> bool {
        self.latency().is_old(self.since_born(now)) && self.load(now) == 0
    }

    pub(crate) fn observe(&self, took: Duration, now: Instant) {
        self.latency().observe(took, self.since_born(now));
    }

    /// A response head has come for `head`, asked for at `started`.
    pub(crate) fn answered(&self, head: &RequestHead, status: u16, started: Instant) {
        let now = Instant::now();
        let took = now.saturating_duration_since(started);
        self.tally.head_arrived(took);
        self.observe(took, now);
        if (500..600).contains(&status) && !self.options.saint_mode.is_zero() {
            self.spare(head, self.options.saint_mode, now);
        }
        self.heard(if matches!(status, 502..=504) { News::Fault } else { News::Good }, now);
    }

    /// What `head` asks for it is not asked for that long, while another can be.
    pub(crate) fn spare(&self, head: &RequestHead, time: Duration, now: Instant) {
        self.saint.failed(crate::ask::object(head), self.since_born(now), time);
    }

    /// No response head has come.
    pub(crate) fn failed(&self, fault: &Fault, started: Instant) {
        self.tally.failed(fault);
        if fault.is_origins() {
            let now = Instant::now();
            self.observe(now.saturating_duration_since(started).max(FAULT), now);
            self.heard(News::Fault, now);
        }
    }

    /// A body broke off.
    pub(crate) fn body_failed(&self, fault: &Fault) {
        self.tally.failed(fault);
        // A client that breaks off its upload says nothing of the origin.
        if !matches!(fault.kind, FaultKind::Client(_)) {
            self.heard(News::BodyFault, Instant::now());
        }
    }

    /// A body came to its end.
    pub(crate) fn body_ended(&self) {
        if self.options.eject.is_some() {
            self.heard(News::BodyGood, Instant::now());
        }
    }

    fn owe(&self, news: News, now: Instant) {
        let mut debt = self.debt.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::Fault => debt.failed(self.since_born(now)),
            News::Good => debt.answered(),
            News::BodyGood | News::BodyFault => {}
        }
    }

    pub(crate) fn heard(&self, news: News, now: Instant) {
        self.owe(news, now);
        if let Some((reason, seconds)) = self.ejection.record(news, now) {
            tracing::warn!(backend = self.name(), %reason, seconds, "backend is ejected");
        }
    }

    /// Each grace hit may ask for one: whoever has been served does not care, and the owner wants to know it once.
    fn refused_in_background(&self, detail: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = refused.happened(self.since_born(Instant::now())) else { return };
        drop(refused);
        tracing::warn!(
            backend = self.name(),
            count,
            "backend is full, refreshes in the background are refused: {detail}"
        );
    }

    /// A slot for one request, free again when it is dropped; waits for one as the owner allows.
    pub(crate) async fn permit(&self, class: Class) -> Result<Permit, Fault> {
        let permit = slots::permit(self.slots.as_ref(), class, &self.tally).await;
        permit.map_err(|_full| {
            let detail = self.slots.as_ref().map_or_else(String::new, |slots| slots.describe());
            if class == Class::Background {
                self.refused_in_background(&detail);
            }
            Fault::early(Phase::Pool, FaultKind::Busy, Some(self.name()), detail)
        })
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
    fn who_comes_back_gets_its_share_over_a_ramp_and_who_is_new_all_of_it() {
        let address: Address = "127.0.0.1:1".parse().expect("valid");
        let probe = Some(ProbeOptions { window: 2, threshold: 1, initial: 0, ..ProbeOptions::default() });
        let slow_start = Duration::from_secs(30);
        let origin = Origin::new(OriginOptions { probe, slow_start, ..OriginOptions::new("a", address) });
        let at = |secs| origin.born + Duration::from_secs(secs);
        assert_eq!(origin.share(at(0)), 0);
        origin.record_probe_at(Ok(()), at(1));
        assert_eq!(origin.share(at(1)), 1000, "healthy at the start: no ramp");
        for _ in 0..2 {
            origin.record_probe_at(Err("down".into()), at(10));
        }
        assert_eq!(origin.share(at(10)), 0);
        origin.record_probe_at(Ok(()), at(20));
        assert_eq!([20, 23, 35, 50, 99].map(|s| origin.share(at(s))), [100, 100, 500, 1000, 1000]);
        origin.set_admin_at(Admin::Sick, at(100));
        origin.set_admin_at(Admin::Auto, at(110));
        assert_eq!([110, 125, 140].map(|s| origin.share(at(s))), [100, 500, 1000]);
    }

    #[test]
    fn a_draining_origin_serves_only_who_is_bound_to_it() {
        let origin = Origin::new(OriginOptions::new("a", "127.0.0.1:1".parse().expect("valid")));
        origin.set_admin(Admin::Drain);
        assert!(!origin.is_healthy() && origin.health.serves_the_bound());
        assert_eq!((origin.row().state_reason.as_str(), origin.row().state), ("set to drain by the owner", "draining"));
        origin.set_admin(Admin::Sick);
        assert!(!origin.health.serves_the_bound());
    }
}
