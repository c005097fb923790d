//! A bounded rate of I/O: whoever reads or writes through it waits when it is ahead.

use std::io::{self, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The longest wait in one piece, so that who is told to stop does not wait for long.
const NAP: Duration = Duration::from_millis(50);
/// Not worth waiting for.
const SLACK: Duration = Duration::from_millis(2);

/// A file through which at most so many bytes a second go.
pub(super) struct Paced<'s, F> {
    file: F,
    rate: u64,
    bytes: u64,
    began: Instant,
    stop: &'s AtomicBool,
}

impl<'s, F> Paced<'s, F> {
    /// `rate` in bytes per second. When `stop` says so it no longer waits.
    pub(super) fn new(file: F, rate: u64, stop: &'s AtomicBool) -> Self {
        Paced { file, rate: rate.max(1), bytes: 0, began: copal_observe::clock::ticks(), stop }
    }

    pub(super) fn into_inner(self) -> F {
        self.file
    }

    fn spend(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        let micros = u128::from(self.bytes) * 1_000_000 / u128::from(self.rate);
        let due = Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        loop {
            let spent = copal_observe::clock::ticks().saturating_duration_since(self.began);
            let ahead = due.saturating_sub(spent);
            if ahead <= SLACK || self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(ahead.min(NAP));
        }
    }
}

impl<F: Read> Read for Paced<'_, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        self.spend(n);
        Ok(n)
    }
}

impl<F: Write> Write for Paced<'_, F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.spend(n);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_and_a_stop_ends_the_waiting() {
        let go_on = AtomicBool::new(false);
        let began = copal_observe::clock::ticks();
        let mut paced = Paced::new(io::sink(), 1 << 20, &go_on);
        for _ in 0..16 {
            paced.write_all(&[0; 16 << 10]).expect("a sink");
        }
        assert!(began.elapsed() >= Duration::from_millis(245), "{:?}", began.elapsed());
        let stop = AtomicBool::new(true);
        let began = copal_observe::clock::ticks();
        Paced::new(io::sink(), 1, &stop).write_all(&[0; 1 << 20]).expect("a sink");
        assert!(began.elapsed() < Duration::from_secs(5));
    }
}
