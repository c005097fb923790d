//! The clock: the only file of the workspace that reads it (invariant 11, enforced by clippy.toml).

use copal_semantics::{Span, Time};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The wall-clock time now. A clock set before 1970 reads as the epoch.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one file that reads the clock")]
pub fn now() -> Time {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::EPOCH + Span::from_std(since_epoch)
}

/// The monotonic clock now: for durations and deadlines, which a step of the wall clock must not bend.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one file that reads the clock")]
pub fn ticks() -> Instant {
    Instant::now()
}

/// The time that this thread has had the processor: what others take of it meanwhile does not count. Reading it is a system call.
#[must_use]
pub fn processor_time() -> Duration {
    cpu_time::ThreadTime::now().as_duration()
}

/// Where a component takes its wall-clock time from: the system, a test that moves it by hand, or another clock that it
/// follows. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Clock(Source);

#[derive(Clone, Default)]
enum Source {
    #[default]
    System,
    Manual(Arc<AtomicI64>),
    Following(Arc<dyn Fn() -> Time + Send + Sync>),
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Source::System => "System",
            Source::Manual(_) => "Manual",
            Source::Following(_) => "Following",
        })
    }
}

impl Clock {
    /// The system's clock.
    #[must_use]
    pub fn system() -> Self {
        Clock(Source::System)
    }

    /// A clock that stands at `start` until it is advanced.
    #[must_use]
    pub fn manual(start: Time) -> Self {
        Clock(Source::Manual(Arc::new(AtomicI64::new(start.as_micros()))))
    }

    /// A clock that shows what `time` tells: for virtual time, which a runtime keeps.
    #[must_use]
    pub fn following(time: impl Fn() -> Time + Send + Sync + 'static) -> Self {
        Clock(Source::Following(Arc::new(time)))
    }

    /// Does it show the system's time?
    #[must_use]
    pub fn is_system(&self) -> bool {
        matches!(self.0, Source::System)
    }

    /// The time on this clock.
    #[must_use]
    pub fn now(&self) -> Time {
        match &self.0 {
            Source::System => now(),
            Source::Manual(micros) => Time::from_micros(micros.load(Ordering::SeqCst)),
            Source::Following(time) => time(),
        }
    }

    /// Moves a manual clock, and all its clones, by `span`. Panics on any other, which is not moved by hand.
    pub fn advance(&self, span: Span) {
        match &self.0 {
            Source::System | Source::Following(_) => panic!("only a manual clock can be advanced"),
            Source::Manual(micros) => {
                micros.fetch_add(span.as_micros(), Ordering::SeqCst);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand_and_for_all_its_clones() {
        let clock = Clock::manual(Time::from_secs(1000));
        let other = clock.clone();
        assert_eq!(clock.now(), Time::from_secs(1000));
        clock.advance(Span::from_secs(5));
        assert_eq!(other.now(), Time::from_secs(1005));
    }

    #[test]
    fn a_following_clock_shows_what_it_is_told() {
        let other = Clock::manual(Time::from_secs(7));
        let shown = other.clone();
        let clock = Clock::following(move || shown.now());
        other.advance(Span::from_secs(1));
        assert_eq!(clock.now(), Time::from_secs(8));
    }

    #[test]
    fn the_system_clock_is_after_2020() {
        assert!(Clock::system().now() > Time::from_secs(1_577_836_800));
    }
}
