//! Tests of the access log: a full queue, rotation, closing, a sink that fails.

use super::*;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};

const LONG: Duration = Duration::from_secs(10);

/// A sink that tells when a write begins, holds it until the test lets it go on, and then shows what was written.
struct Gated {
    begun: Sender<()>,
    gate: Receiver<()>,
    written: Sender<Vec<u8>>,
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.begun.send(());
        let _ = self.gate.recv();
        let _ = self.written.send(bytes.to_vec());
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn record(url: &str) -> Record {
    Record { url: url.into(), protocol: "HTTP/1.1", ..Record::default() }
}

fn options(path: Target, queue: usize) -> AccessLogOptions {
    AccessLogOptions { format: Format::Ncsa, path, queue, headers: Vec::new() }
}

fn scratch(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("copal-observe-{}-{name}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    dir
}

fn wait_for_lines(path: &Path, lines: usize) -> String {
    for _ in 0..1000 {
        let text = fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= lines {
            return text;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{} never had {lines} lines", path.display());
}

#[test]
fn a_full_queue_drops_and_counts_and_never_blocks() {
    let counters = Counters::new();
    let (begun, has_begun) = channel();
    let (open_gate, gate) = channel();
    let (written, seen) = channel();
    let sink = Box::new(Gated { begun, gate, written });
    let log = AccessLog::start(options(Target::Stdout, 4), sink, Arc::clone(&counters)).unwrap();
    log.log(record("/first"));
    has_begun.recv_timeout(LONG).unwrap();
    // The writer stands still in its first write, so of what follows only the queue's length can be kept.
    (0..100).for_each(|i| log.log(record(&format!("/{i}"))));
    assert_eq!(counters.get(Counter::LogDropped), 96);
    assert!(!log.flush_and_close(Duration::from_millis(20)), "the sink stands still, so this must give up");

    drop(open_gate);
    assert!(log.flush_and_close(LONG));
    let written: Vec<u8> = seen.iter().flatten().collect();
    assert_eq!(written.iter().filter(|b| **b == b'\n').count(), 5, "what was queued is written");
    assert_eq!(counters.get(Counter::LogWritten), 5);

    log.log(record("/late"));
    assert_eq!(counters.get(Counter::LogDropped), 97, "a record after the end is counted as dropped");
}

#[test]
fn an_idle_log_is_written_at_once_and_reopened_after_rotation() {
    let dir = scratch("rotate");
    let path = dir.join("access.log");
    let log = AccessLog::open(options(Target::File(path.clone()), 64), Counters::new()).unwrap();
    log.log(record("/before"));
    assert!(wait_for_lines(&path, 1).contains("/before"));

    fs::rename(&path, dir.join("access.log.1")).unwrap();
    log.reopen();
    for _ in 0..1000 {
        if path.exists() {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    log.log(record("/after"));
    assert!(wait_for_lines(&path, 1).contains("/after"));
    assert!(log.flush_and_close(LONG));
    assert_eq!(fs::read_to_string(dir.join("access.log.1")).unwrap().lines().count(), 1);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn closing_writes_all_that_was_queued() {
    let dir = scratch("close");
    let path = dir.join("access.log");
    let counters = Counters::new();
    let log = AccessLog::open(options(Target::File(path.clone()), 5000), Arc::clone(&counters)).unwrap();
    (0..5000).for_each(|i| log.log(record(&format!("/{i}"))));
    assert!(log.flush_and_close(LONG));
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 5000);
    assert_eq!(counters.get(Counter::LogDropped), 0);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn records_that_cannot_be_written_are_counted_as_dropped() {
    let counters = Counters::new();
    let log = AccessLog::start(options(Target::Stdout, 64), Box::new(Broken), Arc::clone(&counters)).unwrap();
    (0..3).for_each(|_| log.log(record("/")));
    assert!(log.flush_and_close(LONG));
    assert_eq!(counters.get(Counter::LogDropped), 3);
    assert_eq!(counters.get(Counter::LogWritten), 0);
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    let target = Target::File("/nonexistent/dir/access.log".into());
    assert!(AccessLog::open(options(target, 1), Counters::new()).is_err());
}
