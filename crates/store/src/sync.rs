//! Locks, counters and wake-ups of the waiting list and of bodies that are read while they are written: one seam, so that
//! with the feature `shuttle` the same code runs under a scheduler that tries interleavings (`src/tests/shuttle`).
//!
//! What moka calls back into (the wheel, the tags, the standing of an object) stays with the standard library: there a switch
//! to another thread inside of moka's own locks would be a deadlock that cannot be.

#[cfg(not(feature = "shuttle"))]
pub(crate) use crate::memory::locked;
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{Mutex, MutexGuard};
#[cfg(not(feature = "shuttle"))]
pub(crate) use tokio::sync::Notify;

#[cfg(feature = "shuttle")]
pub(crate) use model::{Notify, locked};
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::atomic::{AtomicU32, AtomicU64};
#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

#[cfg(feature = "shuttle")]
mod model {
    use super::{Mutex, MutexGuard};
    use std::collections::VecDeque;
    use std::pin::Pin;
    use std::sync::PoisonError;
    use std::task::{Context, Poll, Waker};

    pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tokio's `Notify` promises, on the scheduler's own lock: who was made before `notify_waiters` is woken by it, polled
    /// or not; `notify_one` wakes the first who is enabled, or leaves a permit; one who was chosen and goes away hands it on.
    #[derive(Debug, Default)]
    pub(crate) struct Notify(Mutex<State>);

    #[derive(Debug, Default)]
    struct State {
        /// Calls of `notify_waiters`.
        rounds: u64,
        permit: bool,
        ids: u64,
        waiting: VecDeque<(u64, Option<Waker>)>,
        chosen: Vec<u64>,
    }

    impl Notify {
        pub(crate) fn new() -> Notify {
            Notify::default()
        }

        pub(crate) fn notified(&self) -> Notified<'_> {
            let round = locked(&self.0).rounds;
            Notified { notify: self, round, id: None }
        }

        pub(crate) fn notify_waiters(&self) {
            let wakers: Vec<Waker> = {
                let mut s = locked(&self.0);
                s.rounds += 1;
                s.waiting.drain(..).filter_map(|(_, waker)| waker).collect()
            };
            wakers.into_iter().for_each(Waker::wake);
        }

        pub(crate) fn notify_one(&self) {
            let waker = {
                let mut s = locked(&self.0);
                match s.waiting.pop_front() {
                    None => {
                        s.permit = true;
                        None
                    }
                    Some((id, waker)) => {
                        s.chosen.push(id);
                        waker
                    }
                }
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    #[derive(Debug)]
    pub(crate) struct Notified<'a> {
        notify: &'a Notify,
        round: u64,
        id: Option<u64>,
    }

    impl Notified<'_> {
        pub(crate) fn enable(self: Pin<&mut Self>) -> bool {
            self.get_mut().look(None)
        }

        fn look(&mut self, waker: Option<&Waker>) -> bool {
            let mut s = locked(&self.notify.0);
            if s.rounds != self.round {
                return true;
            }
            match self.id {
                None if s.permit => {
                    s.permit = false;
                    // Later looks find it done too.
                    self.round = u64::MAX;
                    true
                }
                None => {
                    s.ids += 1;
                    let id = s.ids;
                    s.waiting.push_back((id, waker.cloned()));
                    self.id = Some(id);
                    false
                }
                Some(id) if s.chosen.contains(&id) => {
                    s.chosen.retain(|other| *other != id);
                    self.id = None;
                    self.round = u64::MAX;
                    true
                }
                Some(id) => {
                    if let Some((_, place)) = s.waiting.iter_mut().find(|(other, _)| *other == id) {
                        *place = waker.cloned();
                    }
                    false
                }
            }
        }
    }

    impl Future for Notified<'_> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if self.get_mut().look(Some(context.waker())) { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    impl Drop for Notified<'_> {
        fn drop(&mut self) {
            let Some(id) = self.id else { return };
            let was_chosen = {
                let mut s = locked(&self.notify.0);
                s.waiting.retain(|(other, _)| *other != id);
                let before = s.chosen.len();
                s.chosen.retain(|other| *other != id);
                before != s.chosen.len()
            };
            if was_chosen {
                self.notify.notify_one();
            }
        }
    }
}
