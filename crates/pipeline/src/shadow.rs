//! Shadows: copies of requests to origins for a backend that is only watched. The answer is thrown away.
//!
//! ```text
//! request to an origin ──▶ the origin ──▶ response ──▶ …
//!        └─ a share of them ─▶ a task of its own ─▶ the shadow ─▶ read a little, thrown away
//! ```
//!
//! Invariants: the request never waits for its copy; copies are bounded in number, body, answer and time, and what is beyond
//! is not made, and counted. Only what is fetched is copied, so no hit and no purge ever is; nor is a copy.

use crate::core::Worker;
use bytes::Bytes;
use copal_backend::{Ask, BodyError, Class, RequestBody, SendBody, Timeouts, exchange};
use copal_observe::counters::Counter;
use copal_policy::Random;
use copal_semantics::RequestHead;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The field that marks a copy.
pub(crate) const MARK: &str = "Copal-Shadow";

/// What is copied, and within which bounds.
#[derive(Clone)]
pub struct Shadowing {
    /// Who gets the copies, unless a policy says otherwise.
    pub to: Option<String>,
    /// Thousandths of the requests that are copied there.
    pub share_permille: u32,
    /// Largest request body that is copied, in bytes.
    pub body_bytes: usize,
    /// How many bytes of an answer are read.
    pub response_bytes: usize,
    /// How long one may take.
    pub timeout: Duration,
    /// One for each that may be under way.
    pub places: Arc<Semaphore>,
    /// Decides which requests are copied.
    pub random: Arc<dyn Random>,
}

impl Default for Shadowing {
    /// Nothing is copied but what a policy says, with the default bounds of the configuration.
    fn default() -> Self {
        Shadowing {
            to: None,
            share_permille: 1000,
            body_bytes: 64 * 1024,
            response_bytes: 1024 * 1024,
            timeout: Duration::from_secs(10),
            places: Arc::new(Semaphore::new(64)),
            random: Arc::new(copal_policy::SeededRandom::new(0)),
        }
    }
}

impl fmt::Debug for Shadowing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadowing")
            .field("to", &self.to)
            .field("share_permille", &self.share_permille)
            .finish_non_exhaustive()
    }
}

impl Shadowing {
    /// Who gets a copy of this request: whom the policy has named, else by chance whom the owner has.
    pub(crate) fn target(&self, by_policy: Option<&str>, head: &RequestHead) -> Option<String> {
        if by_policy.is_none() && self.to.is_none() || head.headers.contains(MARK) {
            return None;
        }
        let by_chance = || self.to.as_deref().filter(|_| self.random.next() % 1000 < u64::from(self.share_permille));
        by_policy.or_else(by_chance).map(str::to_owned)
    }
}

/// A copy that is to be sent.
pub(crate) struct Shadow {
    pub(crate) to: String,
    pub(crate) head: RequestHead,
    pub(crate) key: Vec<u8>,
    pub(crate) client: IpAddr,
    /// All of it, or no body.
    pub(crate) body: Option<Vec<Bytes>>,
}

impl Shadow {
    /// Sends it in a task of its own, if there is a place.
    pub(crate) fn send(self, worker: &Arc<Worker>) {
        let shadowing = &worker.core.settings.shadow;
        let bytes: usize = self.body.iter().flatten().map(Bytes::len).sum();
        let place = Arc::clone(&shadowing.places).try_acquire_owned();
        match place {
            Ok(place) if bytes <= shadowing.body_bytes => {
                worker.count(Counter::Shadows);
                tokio::spawn(run(Arc::clone(worker), self, place));
            }
            Ok(_) | Err(_) => worker.count(Counter::ShadowsSkipped),
        }
    }
}

async fn run(worker: Arc<Worker>, mut shadow: Shadow, place: OwnedSemaphorePermit) {
    // A literal: never refused.
    let _valid = shadow.head.headers.set(MARK, "1");
    let outcome = tokio::time::timeout(worker.core.settings.shadow.timeout, carry_out(&worker, &shadow)).await;
    let why = match outcome {
        Ok(Ok(())) => None,
        Ok(Err(fault)) => Some(fault.to_string()),
        Err(_) => Some("it took too long".to_owned()),
    };
    if let Some(why) = why {
        worker.count(Counter::ShadowsFailed);
        tracing::debug!(target: "copal::shadow", url = %shadow.head.url, to = %shadow.to, "{why}");
    }
    drop(place);
}

async fn carry_out(worker: &Worker, shadow: &Shadow) -> Result<(), copal_backend::Fault> {
    let ask = Ask { head: &shadow.head, key: &shadow.key, client: shadow.client, bound: b"", tried: &[] };
    let origin = worker.core.backends.pick(Some(&shadow.to), &ask)?.origin;
    let mut body = match &shadow.body {
        None => SendBody::None,
        Some(pieces) => {
            let length = pieces.iter().map(|piece| piece.len() as u64).sum();
            SendBody::Length(length, Kept(pieces.clone().into_iter()))
        }
    };
    let timeouts = Timeouts { class: Class::Background, ..Timeouts::of(&origin) };
    let mut answer = exchange(&worker.pool, &origin, &shadow.head, &mut body, (timeouts, None), &mut |_| {}).await?;
    let mut left = worker.core.settings.shadow.response_bytes;
    while let Some(piece) = answer.body.next().await {
        match left.checked_sub(piece?.len()) {
            Some(rest) => left = rest,
            // Dropping the rest closes its connection.
            None => break,
        }
    }
    Ok(())
}

/// A body that is all there.
struct Kept(std::vec::IntoIter<Bytes>);

impl RequestBody for Kept {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        Poll::Ready(self.0.next().map(Ok))
    }
}
