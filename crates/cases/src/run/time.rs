//! Virtual time: the runtime's paused time, and the wall clock of the proxy that follows it.
//!
//! Waiting costs nothing: when every task waits, the runtime's time is that of the next timer. The runtime tells before
//! it does that, so that the runner can let everybody finish what needs no time, and no time goes by.

use copal_observe::clock::Clock;
use copal_semantics::{Span, Time};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

/// Every case begins on Thursday, 1 January 2026, 00:00:00 UTC: a moment like any other, and always the same.
const START: Time = Time::from_secs(1_767_225_600);

/// Who waits for everybody else to be idle.
#[derive(Default)]
struct Idle {
    waits: Mutex<Option<Waker>>,
    came: AtomicBool,
}

impl Idle {
    fn waits(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The runtime has nothing left to do.
    fn tell(&self) {
        if let Some(waker) = self.waits().take() {
            self.came.store(true, Ordering::Relaxed);
            waker.wake();
        }
    }
}

/// A runtime whose time is paused, and its time. Nothing touches a socket, so it needs no reactor.
pub(super) fn runtime() -> std::io::Result<(Runtime, VirtualTime)> {
    let idle = Arc::new(Idle::default());
    let told = Arc::clone(&idle);
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).on_thread_park(move || told.tell()).build()?;
    let began = runtime.block_on(async { Instant::now() });
    Ok((runtime, VirtualTime { began, idle }))
}

/// The time of one case. Clones share it.
#[derive(Clone)]
pub(super) struct VirtualTime {
    began: Instant,
    idle: Arc<Idle>,
}

impl VirtualTime {
    /// The proxy's clock.
    pub(super) fn clock(&self) -> Clock {
        let this = self.clone();
        Clock::following(move || START + this.passed())
    }

    /// How much time has passed.
    pub(super) fn passed(&self) -> Span {
        Span::from_std(self.began.elapsed())
    }

    /// Lets everybody finish what needs no time.
    pub(super) async fn settle(&self) {
        // Once more, for timers that are due at this very moment: they fire when the runtime is idle for the first time.
        for _ in 0..2 {
            self.idle.came.store(false, Ordering::Relaxed);
            std::future::poll_fn(|cx| {
                if self.idle.came.load(Ordering::Relaxed) {
                    return Poll::Ready(());
                }
                *self.idle.waits() = Some(cx.waker().clone());
                Poll::Pending
            })
            .await;
        }
    }

    /// Lets time pass; whatever is to happen meanwhile happens in its order.
    pub(super) async fn advance(&self, span: Span) {
        tokio::time::sleep(span.to_std()).await;
        self.settle().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn settling_takes_no_time_and_everybody_has_finished() {
        let (runtime, time) = runtime().expect("a runtime");
        runtime.block_on(async {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let far = tokio::spawn(tokio::time::sleep(Duration::from_secs(5)));
            let many = tokio::spawn(async move {
                for n in 0..1000 {
                    sender.send(n).await.expect("it is received");
                }
            });
            let all = tokio::spawn(async move {
                while receiver.recv().await.is_some() {}
                tokio::time::sleep(Duration::ZERO).await;
            });
            time.settle().await;
            assert!(many.is_finished() && all.is_finished() && !far.is_finished());
            assert_eq!(time.passed(), Span::ZERO);
            time.advance(Span::from_secs(5)).await;
            assert!(far.is_finished());
            assert_eq!(time.passed(), Span::from_secs(5));
        });
    }
}
