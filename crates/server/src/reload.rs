//! Reload: the policy is read, checked and compiled anew, and put in force only when it is right; so are the files of TLS to
//! origins, and the names of users. Objects, connections and counters stay.

use crate::accounts::Accounts;
use crate::assemble::{self, Running};
use copal_config::{Address, Config};
use copal_observe::counters::Counter;
use copal_pipeline::Core;
use copal_policy::Policies;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// Can be asked for a reload from any thread; one at a time.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    config: Arc<Config>,
    config_file: Option<PathBuf>,
    accounts: Accounts,
    running: Mutex<()>,
}

/// "site.rhai", or "site.rhai, shop.rhai" where there are several.
fn names(policies: &Policies) -> String {
    policies.all().map(|policy| policy.name()).collect::<Vec<_>>().join(", ")
}

impl Reloader {
    pub(crate) fn new(core: Arc<Core>, config: Arc<Config>, config_file: Option<PathBuf>, accounts: Accounts) -> Self {
        Reloader(Arc::new(Inner { core, config, config_file, accounts, running: Mutex::new(()) }))
    }

    /// Reloads now. What went wrong is returned, counted and logged, and the old policy stays.
    pub(crate) fn reload(&self) -> Result<String, String> {
        let inner = &*self.0;
        let _one_at_a_time = inner.running.lock().map_err(|_| "an earlier reload has crashed".to_owned())?;
        if let Some(log) = &inner.core.access_log {
            log.reopen();
        }
        let tls = self.reload_tls();
        if inner.config.listen.iter().any(|listen| matches!(listen.address, Address::Unix(_))) {
            inner.accounts.read();
        }
        let running = Running::from(&*inner.core);
        match assemble::policies(&inner.config, running, Some(&inner.core.policies.load())) {
            Ok(policies) => {
                let name = names(&policies);
                inner.core.policies.store(policies);
                inner.core.counters.inc(Counter::PolicyReloads);
                let what = match &inner.config_file {
                    Some(_) => format!("reloaded policy {name}; the configuration file is read at start only"),
                    None => format!("reloaded policy {name}"),
                };
                tracing::info!(target: "copal", "{what}");
                tls.map(|()| what)
            }
            Err(error) => {
                inner.core.counters.inc(Counter::PolicyReloadFailures);
                tracing::error!(target: "copal", "reload refused, the old policy stays in force:\n{error}");
                Err(error.to_string())
            }
        }
    }

    /// Certificates, keys and authorities of origins are read again, for connections that are opened from now on.
    fn reload_tls(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        for origin in self.0.core.backends.origins() {
            if let Err(why) = origin.reload_tls() {
                tracing::error!(target: "copal", backend = origin.name(), %why, "TLS files refused, the old ones stay in force");
                wrong.push(format!("backend.{}.tls: {why}; the old files stay in force", origin.name()));
            }
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
    }

    /// The same without waiting for it: reading files is no work for a runtime's thread.
    pub(crate) fn reload_in_background(&self) {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.reload());
    }
}
