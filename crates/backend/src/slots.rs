//! `max_connections`: a number of slots per origin, and a bounded queue in front of them. Who waits is served first come
//! first served, refreshes in the background after everybody whom a client waits for. The number may follow the origin's
//! latency ([`crate::limit`]).
//!
//! ```text
//! free slot ─▶ taken at once                      (in the background: only while nobody waits)
//! no slot   ─▶ place in the queue ─▶ slot         (a client takes the newest background place when the queue is full)
//!           ─▶ no place, or waited too long: Full
//! ```

use crate::limit::{AdaptiveOptions, Gradient};
use crate::tally::Tally;
use std::collections::VecDeque;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// For whom a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// A client waits for it.
    #[default]
    Client,
    /// Nobody does: a refresh, a copy.
    Background,
}

/// The slots of one origin.
#[derive(Debug)]
pub(crate) struct Slots {
    queue: Mutex<Queue>,
    /// That of the queue, to be read without its lock.
    limit: AtomicU32,
    wait_limit: usize,
    wait_timeout: Duration,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct Queue {
    in_use: u32,
    limit: u32,
    gradient: Option<Gradient>,
    clients: VecDeque<Place>,
    background: VecDeque<Place>,
    /// The number of the next place.
    next: u64,
}

#[derive(Debug)]
struct Place {
    id: u64,
    slot: oneshot::Sender<Permit>,
}

/// One of an origin's `max_connections`; free again when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    tally: Arc<Tally>,
    slots: Option<Arc<Slots>>,
    since: Instant,
}

impl Permit {
    fn new(tally: &Arc<Tally>, slots: Option<&Arc<Slots>>) -> Self {
        tally.running.fetch_add(1, AcqRel);
        Permit { tally: Arc::clone(tally), slots: slots.cloned(), since: Instant::now() }
    }

    /// What the limit learns from, also when the permit has been handed on.
    pub(crate) fn meter(&self) -> Meter {
        Meter { slots: self.slots.clone(), since: self.since }
    }
}

/// Tells an adaptive limit how a request went.
#[derive(Debug)]
pub(crate) struct Meter {
    slots: Option<Arc<Slots>>,
    since: Instant,
}

impl Meter {
    /// The head of the response has come; 503 says that the origin is overloaded.
    pub(crate) fn answered(&self, status: u16) {
        match &self.slots {
            Some(slots) if status != 503 => {
                slots.adapt(|gradient, running| gradient.answered(self.since.elapsed(), running));
            }
            Some(_) => self.failed(),
            None => {}
        }
    }

    /// No response has come, or one that says that it is overloaded.
    pub(crate) fn failed(&self) {
        if let Some(slots) = &self.slots {
            slots.adapt(|gradient, _| gradient.failed());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.tally.running.fetch_sub(1, AcqRel);
        if let Some(slots) = self.slots.take() {
            slots.locked().in_use -= 1;
            slots.hand_out();
        }
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

/// One that waits: counted for as long as it does, and gone from the queue when it is dropped.
struct Waiting<'a> {
    slots: &'a Slots,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.slots.tally.waiting.fetch_sub(1, AcqRel);
        let mut queue = self.slots.locked();
        queue.clients.retain(|place| place.id != self.id);
        queue.background.retain(|place| place.id != self.id);
    }
}

impl Slots {
    /// `max` of 0 is no limit: no slots.
    pub(crate) fn new(
        max: u32,
        adaptive: Option<AdaptiveOptions>,
        (wait_limit, wait_timeout): (u32, Duration),
        tally: &Arc<Tally>,
    ) -> Option<Arc<Self>> {
        let gradient = adaptive.map(|options| Gradient::new(options, max));
        let limit = gradient.as_ref().map_or(max, Gradient::limit);
        let (clients, background) = (VecDeque::new(), VecDeque::new());
        let slots = || Slots {
            queue: Mutex::new(Queue { in_use: 0, limit, gradient, clients, background, next: 0 }),
            limit: AtomicU32::new(limit),
            wait_limit: usize::try_from(wait_limit).unwrap_or(usize::MAX),
            wait_timeout,
            tally: Arc::clone(tally),
        };
        (max > 0).then(|| Arc::new(slots()))
    }

    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many requests there may be at a time now.
    pub(crate) fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// Would a client's request now be turned away at once?
    pub(crate) fn is_full(&self) -> bool {
        self.tally.running() >= u64::from(self.limit()) && self.tally.waiting.load(Relaxed) >= self.wait_limit as u64
    }

    /// "2 in use of 2, 0 waiting".
    pub(crate) fn describe(&self) -> String {
        let (in_use, waiting) = (self.tally.running(), self.tally.waiting.load(Relaxed));
        format!("{in_use} in use of {}, {waiting} waiting", self.limit())
    }

    fn adapt(self: &Arc<Self>, learn: impl FnOnce(&mut Gradient, u32)) {
        {
            let mut queue = self.locked();
            let running = queue.in_use;
            let Some(gradient) = &mut queue.gradient else { return };
            learn(gradient, running);
            let limit = gradient.limit();
            queue.limit = limit;
            self.limit.store(limit, Relaxed);
        }
        self.hand_out();
    }

    /// Gives free slots to those who wait.
    fn hand_out(self: &Arc<Self>) {
        loop {
            let next = {
                let mut queue = self.locked();
                if queue.in_use >= queue.limit {
                    return;
                }
                let Some(next) = queue.clients.pop_front().or_else(|| queue.background.pop_front()) else { return };
                queue.in_use += 1;
                next
            };
            if let Err(mut unwanted) = next.slot.send(Permit::new(&self.tally, Some(self))) {
                // Who waited has just left. Without its slots the permit gives nothing back, so it is done here.
                unwanted.slots = None;
                self.locked().in_use -= 1;
            }
        }
    }

    async fn take(self: &Arc<Self>, class: Class) -> Result<Permit, Full> {
        let (slot, id) = {
            let mut queue = self.locked();
            let idle = queue.clients.is_empty() && (class == Class::Client || queue.background.is_empty());
            if queue.in_use < queue.limit && idle {
                queue.in_use += 1;
                drop(queue);
                return Ok(Permit::new(&self.tally, Some(self)));
            }
            if queue.clients.len() + queue.background.len() >= self.wait_limit {
                // Its sender is dropped with the place: that one is told that the queue is full.
                let gives_way = class == Class::Client && queue.background.pop_back().is_some();
                if !gives_way {
                    return Err(Full::Queue);
                }
            }
            let (sender, slot) = oneshot::channel();
            let id = queue.next;
            queue.next += 1;
            let place = Place { id, slot: sender };
            match class {
                Class::Client => queue.clients.push_back(place),
                Class::Background => queue.background.push_back(place),
            }
            (slot, id)
        };
        self.tally.waiting.fetch_add(1, AcqRel);
        self.tally.waited.fetch_add(1, Relaxed);
        let _waiting = Waiting { slots: self, id };
        match tokio::time::timeout(self.wait_timeout, slot).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_gave_way)) => Err(Full::Queue),
            Err(_) => Err(Full::Waited),
        }
    }
}

/// A slot for one request, at once or after a while.
pub(crate) async fn permit(slots: Option<&Arc<Slots>>, class: Class, tally: &Arc<Tally>) -> Result<Permit, Full> {
    match slots {
        None => Ok(Permit::new(tally, None)),
        Some(slots) => slots.take(class).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::JoinHandle;

    const LONG: Duration = Duration::from_secs(60);

    fn start(max: u32, wait_limit: u32, wait: Duration) -> Arc<Slots> {
        Slots::new(max, None, (wait_limit, wait), &Arc::default()).expect("a limit")
    }

    async fn take(slots: &Arc<Slots>, class: Class) -> Result<Permit, Full> {
        permit(Some(slots), class, &slots.tally).await
    }

    async fn client(slots: &Arc<Slots>) -> Result<Permit, Full> {
        take(slots, Class::Client).await
    }

    /// One that waits in a task of its own, and notes its name when it has its slot.
    async fn wait(
        slots: &Arc<Slots>,
        class: Class,
        name: &'static str,
        order: &Arc<Mutex<Vec<&'static str>>>,
    ) -> JoinHandle<Result<(), Full>> {
        let (slots, order) = (Arc::clone(slots), Arc::clone(order));
        let task = tokio::spawn(async move {
            let slot = take(&slots, class).await?;
            order.lock().expect("no panic").push(name);
            drop(slot);
            Ok(())
        });
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn slots_come_back_when_they_are_dropped() {
        let slots = start(1, 0, LONG);
        let held = client(&slots).await.expect("free");
        assert!(slots.is_full());
        assert_eq!(client(&slots).await.map(drop), Err(Full::Queue));
        drop(held);
        assert!(client(&slots).await.is_ok());
        assert_eq!((slots.tally.running(), slots.tally.waited.load(Relaxed)), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_may_in_their_order_and_not_longer_than_they_may() {
        let (slots, order) = (start(1, 2, LONG), Arc::default());
        let held = client(&slots).await.expect("free");
        let waiters =
            [wait(&slots, Class::Client, "first", &order).await, wait(&slots, Class::Client, "second", &order).await];
        assert_eq!(slots.tally.waiting.load(Relaxed), 2);
        assert!(slots.is_full());
        assert_eq!(client(&slots).await.map(drop), Err(Full::Queue));
        drop(held);
        for waiter in waiters {
            assert_eq!(waiter.await.expect("no panic"), Ok(()));
        }
        assert_eq!(*order.lock().expect("no panic"), ["first", "second"]);

        let _held = client(&slots).await.expect("free");
        let began = Instant::now();
        assert_eq!(client(&slots).await.map(drop), Err(Full::Waited));
        assert!(began.elapsed() >= LONG && began.elapsed() < LONG * 2);
        assert_eq!((slots.tally.waiting.load(Relaxed), slots.tally.waited.load(Relaxed)), (0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_while_waiting_leaves_its_place() {
        let slots = start(1, 1, LONG);
        let held = client(&slots).await.expect("free");
        let left = tokio::time::timeout(Duration::from_secs(1), client(&slots)).await;
        assert!(left.is_err() && slots.tally.waiting.load(Relaxed) == 0);
        drop(held);
        assert!(client(&slots).await.is_ok() && slots.locked().in_use == 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_background_gives_way_to_clients_that_came_after_it() {
        let (slots, order) = (start(1, 3, LONG), Arc::default());
        let held = client(&slots).await.expect("free");
        let refresh = wait(&slots, Class::Background, "refresh", &order).await;
        let newer = wait(&slots, Class::Background, "newer refresh", &order).await;
        let first = wait(&slots, Class::Client, "first", &order).await;
        // The queue is full: the newer refresh goes, and no refresh makes a client go.
        let second = wait(&slots, Class::Client, "second", &order).await;
        assert_eq!(newer.await.expect("no panic"), Err(Full::Queue));
        assert_eq!(take(&slots, Class::Background).await.map(drop), Err(Full::Queue));
        drop(held);
        for waiter in [first, second, refresh] {
            assert_eq!(waiter.await.expect("no panic"), Ok(()));
        }
        assert_eq!(*order.lock().expect("no panic"), ["first", "second", "refresh"]);
        assert_eq!((slots.locked().in_use, slots.tally.running()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_that_rises_lets_those_who_wait_in_and_one_that_falls_waits_for_those_who_are() {
        let options = AdaptiveOptions { min: 1, initial: 2, tolerance_permille: 1500 };
        let slots = Slots::new(100, Some(options), (10, LONG), &Arc::default()).expect("a limit");
        let held = [client(&slots).await.expect("free"), client(&slots).await.expect("free")];
        let order = Arc::default();
        let third = wait(&slots, Class::Client, "third", &order).await;
        assert!(order.lock().expect("no panic").is_empty());
        for _ in 0..10 {
            held[0].meter().answered(200);
        }
        assert!(slots.limit() > 2, "{}", slots.limit());
        assert_eq!(third.await.expect("no panic"), Ok(()));
        for _ in 0..100 {
            held[0].meter().failed();
        }
        assert_eq!((slots.limit(), slots.tally.running()), (1, 2));
        let [a, b] = held;
        drop(a);
        let order = Arc::default();
        let waits = wait(&slots, Class::Client, "fourth", &order).await;
        assert!(order.lock().expect("no panic").is_empty(), "one is still there, and that is the limit");
        drop(b);
        assert_eq!(waits.await.expect("no panic"), Ok(()));
    }
}
