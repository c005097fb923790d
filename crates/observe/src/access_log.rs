//! The access log: requests hand their record to a bounded queue, one thread formats and writes.
//!
//! ```text
//! request ─▶ try_send ─▶ [queue] ─▶ writer thread ─▶ buffer ─▶ file or stdout
//!               │ full                                  │ cannot be written
//!               └──────────────▶ log_dropped ◀──────────┘
//! ```
//!
//! Invariant 10: no request waits for the log or fails because of it. What is lost is counted.

pub use crate::record::{BAD_REQUEST, FaultWords, Format, Outcome, Record};
use crate::{Counter, Counters};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The default of [`AccessLogOptions::queue`]. 8192 records are about 4 MB at worst, and at 50,000 requests a second
/// they bridge a disk that stands still for 160 ms.
pub const QUEUE_DEFAULT: usize = 8192;

/// The writer writes when it has this much or when the queue is empty: few system calls under load, no delay without.
const BUFFER_BYTES: usize = 64 * 1024;

/// Where the log goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// A file, which is appended to and made when missing.
    File(PathBuf),
}

/// How to open an [`AccessLog`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AccessLogOptions {
    /// How records are written.
    pub format: Format,
    /// Where they go.
    pub path: Target,
    /// How many records may wait for the writer; beyond that they are dropped and counted.
    pub queue: usize,
    /// Request fields that each record is to have.
    pub headers: Vec<String>,
}

impl Default for AccessLogOptions {
    fn default() -> Self {
        AccessLogOptions { format: Format::Json, path: Target::Stdout, queue: QUEUE_DEFAULT, headers: Vec::new() }
    }
}

/// An open access log. Dropping it lets the writer finish what is queued, without waiting for that.
#[derive(Debug)]
pub struct AccessLog {
    /// `None` only wakes the writer, so that it looks at the flags.
    queue: SyncSender<Option<Record>>,
    flags: Arc<Flags>,
    counters: Arc<Counters>,
    headers: Vec<String>,
    /// Disconnects when the writer has ended. The lock is taken by `flush_and_close` alone.
    ended: Mutex<Receiver<()>>,
}

/// Flags and not messages, so that a full queue cannot lose them.
#[derive(Debug, Default)]
struct Flags {
    reopen: AtomicBool,
    close: AtomicBool,
}

impl AccessLog {
    /// Opens the target and starts the writer thread.
    ///
    /// # Errors
    /// When the file cannot be opened for appending, or the thread not started.
    pub fn open(options: AccessLogOptions, counters: Arc<Counters>) -> io::Result<AccessLog> {
        let sink = open(&options.path)?;
        Self::start(options, sink, counters)
    }

    fn start(options: AccessLogOptions, sink: Sink, counters: Arc<Counters>) -> io::Result<AccessLog> {
        let (queue, records) = sync_channel(options.queue.max(1));
        let (_ending, ended) = sync_channel(0);
        let flags = Arc::new(Flags::default());
        let writer = Writer {
            records,
            flags: Arc::clone(&flags),
            counters: Arc::clone(&counters),
            format: options.format,
            target: options.path,
            sink,
            buffer: Vec::with_capacity(BUFFER_BYTES + 4096),
            buffered: 0,
            failing: false,
            _ending,
        };
        thread::Builder::new().name("copal-access-log".into()).spawn(move || writer.run())?;
        Ok(AccessLog { queue, flags, counters, headers: options.headers, ended: Mutex::new(ended) })
    }

    /// The request fields that a record is to have.
    #[must_use]
    pub fn headers(&self) -> &[String] {
        &self.headers
    }

    /// Hands over a record. Never waits: when the queue is full, or the log closed, it is dropped and counted.
    pub fn log(&self, record: Record) {
        if self.queue.try_send(Some(record)).is_err() {
            self.counters.inc(Counter::LogDropped);
        }
    }

    /// Lets the writer open the file anew, after a rotation has moved it away. What is queued by now may go to either
    /// file. When the file cannot be opened, the old one stays in use and an error is reported.
    pub fn reopen(&self) {
        self.flags.reopen.store(true, Ordering::SeqCst);
        let _ = self.queue.try_send(None); // full: then the writer is awake
    }

    /// Lets the writer write what is queued and end, and waits for that at most `within`. Later records are dropped.
    /// Returns whether all is written.
    pub fn flush_and_close(&self, within: Duration) -> bool {
        self.flags.close.store(true, Ordering::SeqCst);
        let _ = self.queue.try_send(None);
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(ended.recv_timeout(within), Err(RecvTimeoutError::Disconnected))
    }
}

type Sink = Box<dyn Write + Send>;

fn open(target: &Target) -> io::Result<Sink> {
    Ok(match target {
        Target::Stdout => Box::new(io::stdout()),
        Target::File(path) => Box::new(append(path)?),
    })
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

struct Writer {
    records: Receiver<Option<Record>>,
    flags: Arc<Flags>,
    counters: Arc<Counters>,
    format: Format,
    target: Target,
    sink: Sink,
    buffer: Vec<u8>,
    /// How many records the buffer holds.
    buffered: u64,
    /// The last write failed: reported once, until one succeeds.
    failing: bool,
    /// Dropped with the writer, which is how its end is seen.
    _ending: SyncSender<()>,
}

impl Writer {
    fn run(mut self) {
        while let Some(message) = self.next() {
            if self.flags.reopen.swap(false, Ordering::SeqCst) {
                self.reopen();
            }
            if let Some(record) = message {
                record.write(self.format, &mut self.buffer);
                self.buffered += 1;
            }
            if self.buffer.len() >= BUFFER_BYTES {
                self.write();
            }
        }
        self.write();
    }

    /// The next message; `None` when it is time to end. Writes before it waits.
    fn next(&mut self) -> Option<Option<Record>> {
        // Read before the queue is: an empty queue ends the writer only when it was found empty after closing.
        let closing = self.flags.close.load(Ordering::SeqCst);
        match self.records.try_recv() {
            Ok(message) => Some(message),
            Err(TryRecvError::Disconnected) => None,
            Err(TryRecvError::Empty) => {
                self.write();
                if closing { None } else { self.records.recv().ok() }
            }
        }
    }

    fn write(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        match self.sink.write_all(&self.buffer).and_then(|()| self.sink.flush()) {
            Ok(()) => {
                self.failing = false;
                self.counters.add(Counter::LogWritten, self.buffered);
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(%error, target = ?self.target, "the access log cannot be written; records are dropped");
                }
                self.failing = true;
                self.counters.add(Counter::LogDropped, self.buffered);
            }
        }
        self.buffer.clear();
        self.buffered = 0;
    }

    fn reopen(&mut self) {
        self.write();
        match open(&self.target) {
            Ok(sink) => self.sink = sink,
            Err(error) => {
                tracing::error!(%error, target = ?self.target, "the access log cannot be reopened; the old file stays");
            }
        }
    }
}

#[cfg(test)]
mod tests;
