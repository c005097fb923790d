//! The sign that the process is about to end: connections finish what runs and take nothing new.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[derive(Default)]
struct State {
    on: AtomicBool,
    wake: Notify,
}

/// A flag that goes up once. Asking costs one relaxed load.
#[derive(Clone, Default)]
pub(crate) struct Drain(Arc<State>);

impl Drain {
    pub(crate) fn begin(&self) {
        self.0.on.store(true, Ordering::Release);
        self.0.wake.notify_waiters();
    }

    pub(crate) fn is_on(&self) -> bool {
        self.0.on.load(Ordering::Relaxed)
    }

    /// Until it goes up.
    pub(crate) async fn wait(&self) {
        let mut woken = std::pin::pin!(self.0.wake.notified());
        woken.as_mut().enable();
        if !self.is_on() {
            woken.await;
        }
    }
}
