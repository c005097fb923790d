//! `copal serve`: binds, starts the workers, and runs until a signal ends it.
//!
//! pingora's `Server` is the chassis: it runs our one service and its runtime, and ends when our signal watch says so.
//! The workers are threads of our own (see [`crate::worker`] for why).

use crate::accounts::Accounts;
use crate::admin::{self, House, Listener};
use crate::assemble::{self, AssembleError, LOG_FLUSH};
use crate::drain::Drain;
use crate::front::h1::FrontLimits;
use crate::listen::{self, Bound, ListenError};
use crate::reload::Reloader;
use crate::signals::{Heard, Signals};
use crate::snapshot::{self, Snapshots};
use crate::worker::{self, Door, Socket};
use async_trait::async_trait;
use copal_backend::Pool;
use copal_config::Config;
use copal_observe::counters::Counter;
use copal_pipeline::{Core, Worker};
use pingora_core::server::configuration::ServerConf;
use pingora_core::server::{ListenFds, RunArgs, Server, ShutdownWatch};
use pingora_core::services::{ServiceReadyNotifier, ServiceWithDependents};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use thiserror::Error;

/// How often what has died is taken out of the store.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(1);
/// Tests and visits of the lurker in one slice: one to four milliseconds of a thread that also answers the admin API.
const LURK_WORK: u32 = 20_000;
/// Between two slices: the lurker takes a quarter of a core at most.
const LURK_PAUSE: Duration = Duration::from_millis(10);

/// Why the proxy cannot start.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The parts do not come together.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// An address is not to be had.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The admin or metrics listener cannot start.
    #[error("{what}: {error}")]
    Control {
        /// Which.
        what: String,
        /// Why.
        error: std::io::Error,
    },
    /// A thread cannot be started.
    #[error("cannot start a worker thread: {0}")]
    Thread(std::io::Error),
}

/// Runs the proxy until it is told to end. Prints one line per listener on `say`.
///
/// # Errors
/// Whatever keeps it from starting; nothing is left behind then.
pub fn serve(config: Config, config_file: Option<PathBuf>, say: &mut dyn FnMut(&str)) -> Result<(), ServeError> {
    let found = snapshot::open(&config);
    let core = assemble::core(&config, found.opened.as_ref().map(|opened| opened.preamble.clone()))?;
    found.count(&core.counters);
    let snapshots = Snapshots::of(&config, &core);
    crate::origins::must_resolve(&config, &core.backends)?;
    let heard = Heard::install().map_err(|error| ServeError::Control { what: "signals".to_owned(), error })?;
    let config = Arc::new(config);
    let drain = Drain::default();
    let mut bound = Vec::new();
    for entry in &config.listen {
        bound.push((listen::bind(&entry.address, config.threads)?, assemble::front_limits(&config, entry)?));
    }
    let controls = admin::bind(&config)?;
    let accounts = Accounts::default();
    if bound.iter().any(|(bound, _)| matches!(bound, Bound::Unix(..))) {
        accounts.read();
    }
    let mut unlink = Vec::new();
    let mut listeners = Vec::new();
    let mut doors: Vec<Vec<Door>> = (0..config.threads).map(|_| Vec::new()).collect();
    for (bound, limits) in bound {
        match bound {
            Bound::Tcp(sockets, local) => {
                say(&format!("copal: listening on http://{local}{}", behind(&limits)));
                listeners.push(Listener { name: local.to_string(), local, limits: Arc::clone(&limits) });
                for (doors, socket) in doors.iter_mut().zip(sockets) {
                    doors.push(Door { socket: Socket::Tcp(socket), limits: Arc::clone(&limits), local });
                }
            }
            Bound::Unix(sockets, path) => {
                say(&format!("copal: listening on unix:{}{}", path.display(), behind(&limits)));
                let local = worker::NOBODY;
                listeners.push(Listener {
                    name: format!("unix:{}", path.display()),
                    local,
                    limits: Arc::clone(&limits),
                });
                for (doors, socket) in doors.iter_mut().zip(sockets) {
                    doors.push(Door {
                        socket: Socket::Unix(socket, accounts.clone()),
                        limits: Arc::clone(&limits),
                        local,
                    });
                }
                unlink.push(path);
            }
        }
    }
    for line in controls.lines() {
        say(&line);
    }
    unlink.extend(controls.unix_paths());
    let hostname: Arc<str> = hostname().into();
    if let (Some(snapshots), Some(opened)) = (&snapshots, found.opened) {
        snapshots.load(opened);
    }
    let workers = start_workers(&core, doors, &hostname, &drain)?;
    let signals = Signals::new(
        heard,
        Reloader::new(Arc::clone(&core), Arc::clone(&config), config_file, accounts),
        drain,
        workers,
        config.drain_timeout,
    );
    let mut server = Server::new_with_opt_and_conf(None, chassis());
    let house = House { listeners, hostname };
    server.add_service(Control {
        core: Arc::clone(&core),
        controls: Some((controls, house)),
        reloader: signals.reloader(),
        snapshots: snapshots.clone(),
    });
    server.bootstrap();
    server.run(RunArgs { shutdown_signal: Box::new(signals) });
    for path in unlink {
        // Left over, it would only be replaced at the next start.
        let _gone = std::fs::remove_file(path);
    }
    if let Some(snapshots) = &snapshots {
        snapshots.end();
    }
    if let Some(log) = &core.access_log {
        log.flush_and_close(LOG_FLUSH);
    }
    Ok(())
}

/// What is to be known of a listener beside its address.
fn behind(limits: &FrontLimits) -> &'static str {
    if limits.proxies.is_some() { " behind a proxy (PROXY protocol)" } else { "" }
}

/// pingora's own settings: no daemon, no files; draining is ours, so it need not wait.
fn chassis() -> ServerConf {
    ServerConf {
        threads: 1,
        grace_period_seconds: Some(0),
        graceful_shutdown_timeout_seconds: Some(0),
        ..ServerConf::default()
    }
}

fn start_workers(
    core: &Arc<Core>,
    doors: Vec<Vec<Door>>,
    hostname: &Arc<str>,
    drain: &Drain,
) -> Result<Vec<JoinHandle<()>>, ServeError> {
    let mut threads = Vec::new();
    for (i, doors) in doors.into_iter().enumerate() {
        let (core, hostname, drain) = (Arc::clone(core), Arc::clone(hostname), drain.clone());
        let thread = std::thread::Builder::new().name(format!("copal-worker-{i}")).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(target: "copal", "a worker has no runtime: {error}"),
            };
            runtime.block_on(async {
                let worker = Arc::new(Worker { core: Arc::clone(&core), pool: Arc::new(Pool::default()) });
                worker::run(worker, doors, hostname, drain.clone()).await;
                // What runs is finished; idle connections end with the runtime.
                finished(&core).await;
            });
        });
        threads.push(thread.map_err(ServeError::Thread)?);
    }
    Ok(threads)
}

/// Until no request and no fetch runs any more, in any worker. The deadline is kept by who drains.
async fn finished(core: &Core) {
    const LOOK: Duration = Duration::from_millis(10);
    while core.counters.get(Counter::ClientRequestsRunning) > 0 || core.counters.get(Counter::FetchesRunning) > 0 {
        tokio::time::sleep(LOOK).await;
    }
}

fn hostname() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").map(|name| name.trim().to_owned()).unwrap_or_default()
}

/// The service on pingora's chassis: probes, expiry, admin and metrics.
struct Control {
    core: Arc<Core>,
    controls: Option<(admin::Controls, House)>,
    reloader: Reloader,
    snapshots: Option<Snapshots>,
}

#[async_trait]
impl ServiceWithDependents for Control {
    async fn start_service(
        &mut self,
        _fds: Option<ListenFds>,
        mut shutdown: ShutdownWatch,
        _listeners_per_fd: usize,
        ready: ServiceReadyNotifier,
    ) {
        ready.notify_ready();
        if let Some((controls, house)) = self.controls.take() {
            controls.start(&self.core, &self.reloader, self.snapshots.clone(), house);
        }
        let mut probes_end = shutdown.clone();
        let ended = async move {
            let _closed = probes_end.changed().await;
        };
        let probes = tokio::spawn(copal_backend::run_probes(Arc::clone(&self.core.backends), ended));
        let mut tick = tokio::time::interval(EXPIRY_INTERVAL);
        let mut lurking = false;
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    self.core.store.run_expiry(self.core.clock.now());
                    lurking = self.core.store.lurk(LURK_WORK, self.core.clock.now());
                }
                () = tokio::time::sleep(LURK_PAUSE), if lurking => {
                    lurking = self.core.store.lurk(LURK_WORK, self.core.clock.now());
                }
                _ = shutdown.changed() => break,
            }
        }
        probes.abort();
    }

    fn name(&self) -> &str {
        "copal"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }
}
