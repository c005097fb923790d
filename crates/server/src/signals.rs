//! Signals: SIGHUP reloads, SIGTERM drains, SIGINT and SIGQUIT end at once after what runs for a moment.

use crate::drain::Drain;
use crate::reload::Reloader;
use async_trait::async_trait;
use pingora_core::server::{ShutdownSignal, ShutdownSignalWatch};
use std::sync::Mutex;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What SIGINT leaves for what runs: somebody sits at a terminal and waits.
const INTERRUPT_DRAIN: Duration = Duration::from_secs(1);
/// How often the draining looks whether the workers are done.
const LOOK: Duration = Duration::from_millis(10);

/// The signals that are listened for, from [`Heard::install`] on.
pub(crate) struct Heard {
    hangup: Option<Signal>,
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
    quit: Option<Signal>,
}

impl Heard {
    /// Installs the handlers. To be done before anybody is told that the proxy listens: until then a SIGHUP would end it
    /// and a SIGTERM cut off what runs. What comes before [`Signals`] waits is kept for it.
    pub(crate) fn install() -> std::io::Result<Heard> {
        // Handlers are the process's and not a runtime's; this one is only asked for its signal driver.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let _within = runtime.enter();
        Ok(Heard {
            hangup: listen_for(SignalKind::hangup()),
            terminate: listen_for(SignalKind::terminate()),
            interrupt: listen_for(SignalKind::interrupt()),
            quit: listen_for(SignalKind::quit()),
        })
    }
}

/// Waits for signals on pingora's main runtime and carries them out.
pub(crate) struct Signals {
    heard: Mutex<Option<Heard>>,
    reloader: Reloader,
    drain: Drain,
    workers: Mutex<Vec<JoinHandle<()>>>,
    drain_timeout: Duration,
}

impl Signals {
    pub(crate) fn new(
        heard: Heard,
        reloader: Reloader,
        drain: Drain,
        workers: Vec<JoinHandle<()>>,
        drain_timeout: Duration,
    ) -> Self {
        Signals { heard: Mutex::new(Some(heard)), reloader, drain, workers: Mutex::new(workers), drain_timeout }
    }

    pub(crate) fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    async fn drain(&self, within: Duration) {
        self.drain.begin();
        let until = tokio::time::Instant::now() + within;
        loop {
            let running = match self.workers.lock() {
                Ok(workers) => workers.iter().any(|worker| !worker.is_finished()),
                Err(_) => false,
            };
            if !running {
                tracing::info!(target: "copal", "drained");
                return;
            }
            if tokio::time::Instant::now() >= until {
                tracing::warn!(target: "copal", "the drain deadline of {within:?} has passed: ending what still runs");
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

fn listen_for(kind: SignalKind) -> Option<Signal> {
    signal(kind).inspect_err(|error| tracing::error!(target: "copal", "cannot listen for signals: {error}")).ok()
}

async fn next(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => {
            let _closed = signal.recv().await;
        }
        None => std::future::pending().await,
    }
}

#[async_trait]
impl ShutdownSignalWatch for Signals {
    async fn recv(&self) -> ShutdownSignal {
        let heard = self.heard.lock().ok().and_then(|mut heard| heard.take());
        let Heard { mut hangup, mut terminate, mut interrupt, mut quit } =
            heard.unwrap_or(Heard { hangup: None, terminate: None, interrupt: None, quit: None });
        let within = loop {
            tokio::select! {
                () = next(&mut hangup) => self.reloader.reload_in_background(),
                () = next(&mut terminate) => break self.drain_timeout,
                () = next(&mut interrupt) => break INTERRUPT_DRAIN,
                () = next(&mut quit) => {
                    tracing::warn!(target: "copal", "SIGQUIT: handing over to a new binary is not in this version; draining instead");
                    break self.drain_timeout;
                }
            }
        };
        tracing::info!(target: "copal", "draining: no new connections, finishing what runs");
        self.drain(within).await;
        ShutdownSignal::FastShutdown
    }
}
