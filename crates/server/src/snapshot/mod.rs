//! Warm restart: the store is written to a file when the process ends, or on command, and loaded at the next start while
//! requests are served.
//!
//! ```text
//!  FILE.new ──written, on disk──▶ FILE [+ FILE.since, the purges after it] ──at the start──▶ FILE.loading ──▶ gone
//!                                                                              └──▶ FILE.refused
//! ```
//!
//! A snapshot is used once: what is loaded has left the folder's name before the first request, so that nothing purged later can
//! come back by it after a crash. One that was written on command is valid together with its journal.
//!
//! Invariants: what stands under FILE is whole and on disk; all of it happens on threads of its own, none of which a request
//! waits for; what goes wrong is said once, counted, and leaves the proxy with a cold store and nothing else.

mod files;
mod load;
mod pace;
mod save;

pub(crate) use load::open;
pub(crate) use save::SaveError;

use copal_config::Config;
use copal_pipeline::Core;
use files::Files;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Writes and loads the snapshots of one store; clones share it.
#[derive(Clone)]
pub(crate) struct Snapshots(Arc<Inner>);

struct Inner {
    core: Arc<Core>,
    files: Files,
    settings: String,
    rate: u64,
    on_drain: bool,
    /// What runs: told to end by its flag.
    loading: Mutex<Option<Task>>,
    journal: Mutex<Option<Task>>,
    /// One is written at a time.
    writing: Mutex<()>,
}

struct Task {
    thread: JoinHandle<()>,
    stop: Arc<AtomicBool>,
}

impl Task {
    fn end(self) {
        self.stop.store(true, Ordering::Release);
        // A thread that has panicked has ended too.
        let _panicked = self.thread.join();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What keys and variants depend on beside the request: a snapshot made under other settings would find the wrong ones.
fn settings(config: &Config) -> String {
    format!("vary_language = \"{}\"", if config.cache.vary_language_as_set { "set" } else { "ordered" })
}

impl Snapshots {
    /// Nothing when no file is configured.
    pub(crate) fn of(config: &Config, core: &Arc<Core>) -> Option<Snapshots> {
        let file = config.snapshot.file.as_ref()?;
        Some(Snapshots(Arc::new(Inner {
            core: Arc::clone(core),
            files: Files::of(file),
            settings: settings(config),
            rate: config.snapshot.rate,
            on_drain: config.snapshot.on_drain,
            loading: Mutex::new(None),
            journal: Mutex::new(None),
            writing: Mutex::new(()),
        })))
    }

    /// At the end of the process, when no request runs any more.
    pub(crate) fn end(&self) {
        let inner = &*self.0;
        if let Some(task) = locked(&inner.loading).take() {
            if !task.thread.is_finished() {
                tracing::warn!(target: "copal::snapshot", "the snapshot is still being loaded: what has not been is lost");
            }
            task.end();
        }
        if inner.on_drain {
            // Said and counted there.
            let _failed = self.save(false);
        } else if let Some(task) = locked(&inner.journal).take() {
            task.end();
        }
    }
}
