//! Writing a snapshot, and the journal of one that stays valid.

use super::files::{Files, create, remove};
use super::pace::Paced;
use super::{Snapshots, Task, locked};
use copal_observe::counters::Counter;
use copal_store::{Journal, Saved, Saving};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use thiserror::Error;

/// Worth a system call, and a fraction of a second at the lowest rate.
const BUFFER: usize = 64 << 10;
/// How often the journal's thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

/// Why there is no snapshot. Nothing of it is left, and the store is as before.
#[derive(Debug, Error)]
pub(crate) enum SaveError {
    /// Trying again later helps.
    #[error("a snapshot is being written already")]
    Busy,
    /// Trying again later helps.
    #[error("the snapshot of the last run is still being loaded: a new one would lack what has not been")]
    Loading,
    /// The disk is full, or the folder cannot be written to.
    #[error("cannot write the snapshot {file}: {error}")]
    Io {
        /// Where.
        file: String,
        /// Why.
        error: io::Error,
    },
}

/// What was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Report {
    pub(crate) objects: u64,
    pub(crate) bytes: u64,
    pub(crate) took: Duration,
}

impl Snapshots {
    /// Where snapshots are written.
    pub(crate) fn file(&self) -> String {
        self.0.files.file.display().to_string()
    }

    /// Writes one now, on this thread. `goes_on`: the process does, so a journal is kept from here on.
    ///
    /// # Errors
    /// Why not; said and counted already.
    pub(crate) fn save(&self, goes_on: bool) -> Result<Report, SaveError> {
        let inner = &*self.0;
        let Ok(_one_at_a_time) = inner.writing.try_lock() else { return Err(SaveError::Busy) };
        if locked(&inner.loading).as_ref().is_some_and(|task| !task.thread.is_finished()) {
            return Err(SaveError::Loading);
        }
        if let Some(task) = locked(&inner.journal).take() {
            task.end();
        }
        let began = copal_observe::clock::ticks();
        let counters = &inner.core.counters;
        match self.write(goes_on) {
            Ok(Saved { objects, bytes }) => {
                let took = copal_observe::clock::ticks().saturating_duration_since(began);
                counters.inc(Counter::SnapshotsWritten);
                tracing::info!(target: "copal::snapshot", "snapshot written: {objects} objects, {bytes} bytes in {took:.1?} to {}", self.file());
                Ok(Report { objects, bytes, took })
            }
            Err(error) => {
                counters.inc(Counter::SnapshotsFailed);
                for left in [&inner.files.new, &inner.files.since] {
                    let _gone = remove(left);
                }
                let error = SaveError::Io { file: self.file(), error };
                tracing::error!(target: "copal::snapshot", "{error}");
                Err(error)
            }
        }
    }

    fn write(&self, goes_on: bool) -> io::Result<Saved> {
        let inner = &*self.0;
        let files = &inner.files;
        // The one before is not valid any more: from here on its journal is not kept.
        remove(&files.file)?;
        remove(&files.since)?;
        let never = AtomicBool::new(false);
        let mut out = BufWriter::with_capacity(BUFFER, Paced::new(create(&files.new)?, inner.rate, &never));
        let now = inner.core.clock.now();
        let mut saving = inner.core.store.save(&inner.settings, goes_on, now, &mut out)?;
        while saving.step(&mut out)? {}
        let saved = saving.finish(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.into_inner().sync_all()?;
        if goes_on {
            self.begin_journal(saving, files)?;
        }
        std::fs::rename(&files.new, &files.file)?;
        files.sync_folder()?;
        Ok(saved)
    }

    fn begin_journal(&self, saving: Saving, files: &Files) -> io::Result<()> {
        let mut out = BufWriter::new(create(&files.since)?);
        let journal = saving.journal(&mut out)?;
        out.flush()?;
        out.get_ref().sync_all()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (ending, files) = (Arc::clone(&stop), files.clone());
        let thread = std::thread::Builder::new()
            .name("copal-journal".to_owned())
            .spawn(move || keep(journal, out, &files, &ending))?;
        *locked(&self.0.journal) = Some(Task { thread, stop });
        Ok(())
    }
}

/// Writes down every purge at once. What cannot be written down takes the snapshot with it.
fn keep(mut journal: Journal, mut out: BufWriter<File>, files: &Files, stop: &AtomicBool) {
    loop {
        let last = stop.load(Ordering::Acquire);
        let why = match journal.step(&mut out, if last { Duration::ZERO } else { LOOK }) {
            Ok(true) if last => return,
            Ok(true) => continue,
            Ok(false) => "more was purged since than is kept in mind".to_owned(),
            Err(error) => error.to_string(),
        };
        tracing::warn!(target: "copal::snapshot", "the snapshot {} is not valid any more and was removed: {why}", files.file.display());
        for file in [&files.file, &files.since] {
            if let Err(error) = remove(file) {
                tracing::error!(target: "copal::snapshot", "cannot remove {}: {error}", file.display());
            }
        }
        return;
    }
}
