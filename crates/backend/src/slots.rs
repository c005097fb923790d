//! `max_connections`: a number of slots per origin, and a bounded queue in front of them, first come first served.

use crate::tally::Tally;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The slots of one origin.
#[derive(Debug)]
pub(crate) struct Slots {
    free: Arc<Semaphore>,
    max: u32,
    wait_limit: u32,
    wait_timeout: Duration,
}

/// One of an origin's `max_connections`; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    tally: Arc<Tally>,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.tally.connections_in_use.fetch_sub(1, AcqRel);
    }
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Full {
    /// All slots are in use, and as many wait as may.
    Queue,
    /// It waited as long as it may.
    Waited,
}

/// One that waits: counted for as long as it does, also when it is dropped while waiting.
struct Waiting<'a>(&'a Tally);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, AcqRel);
    }
}

impl Slots {
    /// `max` of 0 is no limit: no slots.
    pub(crate) fn new(max: u32, wait_limit: u32, wait_timeout: Duration) -> Option<Self> {
        let free = Arc::new(Semaphore::new(usize::try_from(max).unwrap_or(Semaphore::MAX_PERMITS)));
        (max > 0).then_some(Slots { free, max, wait_limit, wait_timeout })
    }

    /// Would a request now be turned away at once?
    pub(crate) fn is_full(&self, tally: &Tally) -> bool {
        self.free.available_permits() == 0 && tally.waiting.load(Relaxed) >= u64::from(self.wait_limit)
    }

    /// "2 in use, 0 waiting".
    pub(crate) fn describe(&self, tally: &Tally) -> String {
        format!("{} in use of {}, {} waiting", tally.in_use(), self.max, tally.waiting.load(Relaxed))
    }

    async fn take(&self, tally: &Tally) -> Result<OwnedSemaphorePermit, Full> {
        if let Ok(slot) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(slot);
        }
        let limit = u64::from(self.wait_limit);
        if tally.waiting.fetch_update(AcqRel, Acquire, |n| (n < limit).then_some(n + 1)).is_err() {
            return Err(Full::Queue);
        }
        let waiting = Waiting(tally);
        tally.waited.fetch_add(1, Relaxed);
        let slot = tokio::time::timeout(self.wait_timeout, Arc::clone(&self.free).acquire_owned()).await;
        drop(waiting);
        // The semaphore is never closed.
        slot.ok().and_then(Result::ok).ok_or(Full::Waited)
    }
}

/// A slot for one request, at once or after a while.
pub(crate) async fn permit(slots: Option<&Slots>, tally: &Arc<Tally>) -> Result<Permit, Full> {
    let slot = match slots {
        None => None,
        Some(slots) => Some(slots.take(tally).await?),
    };
    tally.connections_in_use.fetch_add(1, AcqRel);
    Ok(Permit { tally: Arc::clone(tally), _slot: slot })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn start(max: u32, wait_limit: u32, wait: Duration) -> (Slots, Arc<Tally>) {
        (Slots::new(max, wait_limit, wait).expect("a limit"), Arc::default())
    }

    #[tokio::test]
    async fn slots_come_back_when_they_are_dropped() {
        let (slots, tally) = start(1, 0, LONG);
        let held = permit(Some(&slots), &tally).await.expect("free");
        assert!(slots.is_full(&tally));
        assert_eq!(permit(Some(&slots), &tally).await.map(drop), Err(Full::Queue));
        drop(held);
        assert!(permit(Some(&slots), &tally).await.is_ok());
        assert_eq!((tally.in_use(), tally.waited.load(Relaxed)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_may_in_their_order_and_not_longer_than_they_may() {
        let (slots, tally) = start(1, 2, LONG);
        let (slots, order) = (Arc::new(slots), Arc::new(std::sync::Mutex::new(Vec::new())));
        let held = permit(Some(&slots), &tally).await.expect("free");
        let mut waiters = Vec::new();
        for n in 0..2 {
            let (slots, tally, order) = (slots.clone(), tally.clone(), order.clone());
            waiters.push(tokio::spawn(async move {
                let slot = permit(Some(&slots), &tally).await;
                order.lock().expect("no panic").push(n);
                slot.map(drop)
            }));
            tokio::task::yield_now().await;
        }
        assert_eq!(tally.waiting.load(Relaxed), 2);
        assert!(slots.is_full(&tally));
        assert_eq!(permit(Some(&slots), &tally).await.map(drop), Err(Full::Queue));
        drop(held);
        for waiter in waiters {
            assert_eq!(waiter.await.expect("no panic"), Ok(()));
        }
        assert_eq!(*order.lock().expect("no panic"), [0, 1]);

        let _held = permit(Some(&slots), &tally).await.expect("free");
        let began = tokio::time::Instant::now();
        assert_eq!(permit(Some(&slots), &tally).await.map(drop), Err(Full::Waited));
        assert!(began.elapsed() >= LONG && began.elapsed() < LONG * 2);
        assert_eq!((tally.waiting.load(Relaxed), tally.waited.load(Relaxed)), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_waiting_leaves_its_place() {
        let (slots, tally) = start(1, 1, LONG);
        let _held = permit(Some(&slots), &tally).await.expect("free");
        let left = tokio::time::timeout(Duration::from_secs(1), permit(Some(&slots), &tally)).await;
        assert!(left.is_err() && tally.waiting.load(Relaxed) == 0);
    }
}
