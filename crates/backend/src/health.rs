//! Whether an origin may be sent requests: what its probes say, and what its owner says over them.
//!
//! ```text
//! auto: the probes decide · healthy, sick: whatever they say · drain: sick, but for visitors bound by a session cookie
//! ```

use crate::probe::{ProbeOptions, ProbeWindow, Transition};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The owner's word on an origin's health, as Varnish's `backend.set_health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Admin {
    /// The probes decide.
    #[default]
    Auto,
    /// Healthy whatever the probes say.
    Healthy,
    /// Sick whatever the probes say.
    Sick,
    /// Nothing new: only visitors whose session cookie binds them to it, as the probes allow. HAProxy's `drain`.
    Drain,
}

impl std::str::FromStr for Admin {
    type Err = &'static str;
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "auto" => Ok(Admin::Auto),
            "healthy" => Ok(Admin::Healthy),
            "sick" => Ok(Admin::Sick),
            "drain" => Ok(Admin::Drain),
            _ => Err("write healthy, sick, auto or drain"),
        }
    }
}

/// The health of one origin. The hot path reads two atomics; the probe's window is behind a mutex of its own.
#[derive(Debug)]
pub(crate) struct Health {
    admin: AtomicU8,
    probed_healthy: AtomicBool,
    window: Option<Mutex<Probed>>,
}

#[derive(Debug)]
struct Probed {
    window: ProbeWindow,
    last: String,
    /// A probe has failed since the start.
    has_failed: bool,
}

impl Health {
    /// Without probes an origin is healthy; with them it starts as `initial` and `threshold` say.
    pub(crate) fn new(probe: Option<&ProbeOptions>) -> Self {
        let window = probe.map(|p| ProbeWindow::new(p.window, p.threshold, p.initial));
        Health {
            admin: AtomicU8::new(Admin::Auto as u8),
            probed_healthy: AtomicBool::new(window.as_ref().is_none_or(ProbeWindow::is_healthy)),
            window: window
                .map(|window| Mutex::new(Probed { window, last: "not probed yet".to_owned(), has_failed: false })),
        }
    }

    fn probed(&self) -> Option<MutexGuard<'_, Probed>> {
        Some(self.window.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn admin(&self) -> Admin {
        match self.admin.load(Ordering::Relaxed) {
            1 => Admin::Healthy,
            2 => Admin::Sick,
            3 => Admin::Drain,
            _ => Admin::Auto,
        }
    }

    pub(crate) fn set_admin(&self, admin: Admin) {
        self.admin.store(admin as u8, Ordering::Relaxed);
    }

    pub(crate) fn is_healthy(&self) -> bool {
        match self.admin() {
            Admin::Auto => self.probed_healthy.load(Ordering::Relaxed),
            Admin::Healthy => true,
            Admin::Sick | Admin::Drain => false,
        }
    }

    /// May a visitor that is bound to it still be sent to it?
    pub(crate) fn serves_the_bound(&self) -> bool {
        match self.admin() {
            Admin::Auto | Admin::Drain => self.probed_healthy.load(Ordering::Relaxed),
            Admin::Healthy => true,
            Admin::Sick => false,
        }
    }

    /// Has a probe ever failed? Not so at the start, when everybody is new at once.
    pub(crate) fn has_failed(&self) -> bool {
        self.probed().is_some_and(|p| p.has_failed)
    }

    /// Takes in the outcome of one probe; `Err` holds the reason of the failure.
    pub(crate) fn record(&self, outcome: Result<(), String>) -> Option<Transition> {
        let mut probed = self.probed()?;
        let ok = outcome.is_ok();
        probed.has_failed |= !ok;
        probed.last = outcome.err().unwrap_or_else(|| "ok".to_owned());
        let last = probed.last.clone();
        let transition =
            probed.window.record(ok).map(|t| Transition { reason: format!("{}; last: {last}", t.reason), ..t });
        self.probed_healthy.store(probed.window.is_healthy(), Ordering::Relaxed);
        transition
    }

    /// Why the origin is in its state, for people.
    pub(crate) fn reason(&self) -> String {
        match self.admin() {
            Admin::Healthy => "set healthy by the owner".to_owned(),
            Admin::Sick => "set sick by the owner".to_owned(),
            Admin::Drain => "set to drain by the owner".to_owned(),
            Admin::Auto => match self.probed() {
                Some(p) => format!("{}; last: {}", p.window.summary(), p.last),
                None => "no probe".to_owned(),
            },
        }
    }

    /// The probes as a strip, oldest first; empty without a probe.
    pub(crate) fn history(&self) -> String {
        self.probed().map(|p| p.window.strip()).unwrap_or_default()
    }
}
