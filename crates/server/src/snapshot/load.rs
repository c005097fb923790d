//! Finding a snapshot at the start, and loading it while requests are served.

use super::files::{Files, remove};
use super::pace::Paced;
use super::{Snapshots, Task, locked, settings};
use copal_config::Config;
use copal_observe::counters::{Counter, Counters};
use copal_store::{Loaded, Preamble, SnapshotFault, SnapshotReader};
use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Worth a system call.
const BUFFER: usize = 256 << 10;

/// A snapshot whose beginning is sound: the store is made for it, the rest is loaded later.
pub(crate) struct Opened {
    pub(crate) preamble: Preamble,
    file: File,
    files: Files,
}

/// What a look for a snapshot has found.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) opened: Option<Opened>,
    /// There was one that cannot be used; why was said.
    pub(crate) refused: bool,
}

/// Looks for a snapshot. What cannot be used is put aside, with a word on why: the proxy starts cold.
pub(crate) fn open(config: &Config) -> Found {
    let Some(file) = &config.snapshot.file else { return Found::default() };
    let files = Files::of(file);
    let found = match begin(&files, config) {
        Ok(opened) => Found { opened, refused: false },
        Err(fault) => {
            put_aside(&files, &files.file, &fault.to_string());
            Found { opened: None, refused: true }
        }
    };
    found.with_leftovers(&files)
}

fn begin(files: &Files, config: &Config) -> Result<Option<Opened>, SnapshotFault> {
    let file = match File::open(&files.file) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let (_, preamble) = SnapshotReader::begin(BufReader::new(&file))?;
    preamble.check(&settings(config), copal_observe::clock::now())?;
    Ok(Some(Opened { preamble, file, files: files.clone() }))
}

/// Says that the proxy starts cold and why, and keeps the file for whoever wants to look at it.
fn put_aside(files: &Files, which: &std::path::Path, why: &str) {
    let kept = match std::fs::rename(which, &files.refused) {
        Ok(()) => format!("it was kept as {}", files.refused.display()),
        Err(error) => format!("and it cannot be put aside: {error}"),
    };
    for journal in [&files.since, &files.loading_since] {
        let _gone = remove(journal);
    }
    tracing::warn!(target: "copal::snapshot", "starting cold: the snapshot {} cannot be used: {why}; {kept}", files.file.display());
}

impl Found {
    /// What a process has left behind that was killed while it wrote or loaded one.
    fn with_leftovers(mut self, files: &Files) -> Found {
        for (left, what) in [
            (&files.new, "was never finished: the process ended while it wrote it"),
            (&files.loading, "was in use when the process ended: what was purged since is not known"),
        ] {
            if !left.exists() {
                continue;
            }
            let cold = if self.opened.is_none() { "starting cold: " } else { "" };
            let gone = match remove(left) {
                Ok(()) => "it was removed".to_owned(),
                Err(error) => format!("and it cannot be removed: {error}"),
            };
            tracing::warn!(target: "copal::snapshot", "{cold}the snapshot {} {what}; {gone}", left.display());
            self.refused = true;
        }
        let _gone = remove(&files.loading_since);
        if self.opened.is_none() {
            let _gone = remove(&files.since);
        }
        self
    }

    /// Counts what was found.
    pub(crate) fn count(&self, counters: &Counters) {
        if self.refused {
            counters.inc(Counter::SnapshotsRefused);
        }
    }
}

impl Snapshots {
    /// Loads what was found, on a thread of its own. To be called before the first request is served: from here on no
    /// start finds this snapshot again.
    pub(crate) fn load(&self, opened: Opened) {
        let inner = &self.0;
        let loading = inner.core.store.loading(&opened.preamble);
        let files = opened.files.clone();
        if let Err(error) = take(&opened) {
            inner.core.counters.inc(Counter::SnapshotsRefused);
            // What cannot be taken away would be found again, with all that was purged meanwhile.
            tracing::warn!(target: "copal::snapshot", "starting cold: the snapshot {} cannot be taken into use: {error}", files.file.display());
            return;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, this) = (Arc::clone(&stop), self.clone());
        let gauge = inner.core.counters.hold(Counter::SnapshotLoading);
        let thread = std::thread::Builder::new().name("copal-snapshot".to_owned()).spawn(move || {
            match this.run(&opened, loading, &ending) {
                Ok(loaded) => this.tell(&loaded, &opened),
                Err(fault) => {
                    this.0.core.counters.inc(Counter::SnapshotsRefused);
                    put_aside(&files, &files.loading, &fault.to_string());
                }
            }
            for left in [&files.loading, &files.loading_since] {
                if let Err(error) = remove(left) {
                    tracing::error!(target: "copal::snapshot", "cannot remove {}: {error}", left.display());
                }
            }
            drop(gauge);
        });
        match thread {
            Ok(thread) => *locked(&inner.loading) = Some(Task { thread, stop }),
            Err(error) => {
                tracing::error!(target: "copal::snapshot", "starting cold: no thread to load the snapshot: {error}")
            }
        }
    }

    fn run(&self, opened: &Opened, loading: copal_store::Loading, stop: &AtomicBool) -> Result<Loaded, SnapshotFault> {
        let core = &self.0.core;
        let ending = || stop.load(Ordering::Relaxed);
        let read = || {
            let mut file = &opened.file;
            file.seek(SeekFrom::Start(0))?;
            Ok::<_, io::Error>(BufReader::with_capacity(BUFFER, Paced::new(file, self.0.rate, stop)))
        };
        let stopped = Loaded { stopped: true, ..Loaded::default() };
        let Some(_objects) = loading.verify(SnapshotReader::begin(read()?)?.0, &ending)? else { return Ok(stopped) };
        if opened.preamble.is_journaled() {
            loading.journal(BufReader::new(File::open(&opened.files.loading_since)?))?;
        }
        loading.load(SnapshotReader::begin(read()?)?.0, &|| core.clock.now(), &ending)
    }

    fn tell(&self, loaded: &Loaded, opened: &Opened) {
        let Loaded { objects, bytes, expired, purged, newer, no_room, moved, stopped } = *loaded;
        let counters = &self.0.core.counters;
        counters.add(Counter::SnapshotObjectsLoaded, objects);
        counters.add(Counter::SnapshotObjectsLeftOut, expired + purged + newer + no_room);
        let age = (self.0.core.clock.now() - opened.preamble.created()).as_secs();
        let how = if stopped { "stopped after" } else { "loaded:" };
        if moved > 0 {
            tracing::warn!(
                target: "copal::snapshot",
                "{moved} objects of the snapshot were in a storage that is not configured any more: they are in the main one now, as far as there is room"
            );
        }
        tracing::info!(
            target: "copal::snapshot",
            "snapshot of {age} s ago {how} {objects} objects with {bytes} bytes of bodies; left out: {expired} expired, {purged} purged, {newer} fetched since, {no_room} without room"
        );
    }
}

/// Takes the file out of the way of the next start.
fn take(opened: &Opened) -> io::Result<()> {
    let files = &opened.files;
    std::fs::rename(&files.file, &files.loading)?;
    if opened.preamble.is_journaled() {
        // Missing, it is missed when it is read.
        let _missing = std::fs::rename(&files.since, &files.loading_since);
    }
    files.sync_folder()
}
