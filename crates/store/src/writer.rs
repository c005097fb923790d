//! The one writer of a body: the fetch that brings it in.
//!
//! ```text
//!  stored ── pushes never wait ──▶ finish: sealed, stays
//!    │ evicted or purged meanwhile, or larger than the store takes
//!    └─▶ window ── pushes wait for the slowest reader ──▶ finish; no reader left ──▶ NoReaders
//! ```
//!
//! Invariants: dropped unfinished is a fault for every reader; a body with a fault is off the shelf before any reader can
//! see the fault.

use crate::body::{Body, BodyFault};
use crate::live::{Live, Offer};
use crate::object::Object;
use crate::store::Store;
use bytes::Bytes;
use copal_semantics::headers::Headers;
use std::pin::pin;
use std::sync::Arc;

/// Nobody reads a body that is not being stored: the fetch can stop. The caller drops or aborts the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads this body any more")]
pub struct NoReaders;

/// Writes one body. Dropping it unfinished is an [`BodyFault::Stopped`] for every reader.
#[derive(Debug)]
pub struct BodyWriter {
    body: Arc<Body>,
    live: Arc<Live>,
    store: Arc<Store>,
    /// The object on the shelf; `None` for a window.
    object: Option<Arc<Object>>,
    /// The object was never stored: all of its body is held until a window's length has come.
    beside: bool,
    ended: bool,
}

impl BodyWriter {
    pub(crate) fn new(body: Arc<Body>, live: Arc<Live>, store: Arc<Store>, object: Option<Arc<Object>>) -> Self {
        BodyWriter { body, live, store, object, beside: false, ended: false }
    }

    /// For an object that a purge has overtaken.
    pub(crate) fn off_the_shelf(mut self) -> Self {
        self.beside = true;
        self
    }

    /// Adds bytes. A stored body takes them at once, a window waits while its limit is buffered ahead of the slowest
    /// reader. Cancel-safe: a cancelled push has taken nothing.
    ///
    /// # Errors
    /// [`NoReaders`] when this is a window that nobody reads. A stored body never stops for lack of readers.
    pub async fn push(&mut self, data: Bytes) -> Result<(), NoReaders> {
        if data.is_empty() {
            return Ok(());
        }
        self.leave_the_shelf_if_due(data.len() as u64);
        loop {
            let mut room = pin!(self.live.writable.notified());
            room.as_mut().enable();
            match self.live.offer(&self.body, &data) {
                Offer::Taken => break,
                Offer::NoReaders => return Err(NoReaders),
                Offer::Wait => room.await,
            }
        }
        self.live.readable.notify_waiters();
        self.store.make_room();
        Ok(())
    }

    /// Comes when this is a window that nobody reads any more; never while the body is being stored. Cancel-safe.
    pub async fn deserted(&self) {
        loop {
            let mut left = pin!(self.live.writable.notified());
            left.as_mut().enable();
            if self.live.is_deserted() {
                return;
            }
            left.await;
        }
    }

    /// The body is complete. A stored one is sealed and weighed.
    pub fn finish(mut self, trailers: Option<Headers>) {
        self.ended = true;
        self.live.finish(&self.body, trailers);
        if let Some(object) = &self.object {
            self.store.settled(object);
        }
        self.store.make_room();
    }

    /// The body will not be complete: it leaves the store, and every reader sees `fault` after the bytes that came.
    pub fn abort(mut self, fault: BodyFault) {
        self.fail(fault);
    }

    /// Stops storing: from now on a window of `limit` bytes ahead of the slowest reader.
    ///
    /// Done by itself when the body outgrows `object_size_max`, and when the object leaves the shelf while it arrives
    /// (evicted, purged, replaced): then nobody new will ask for it, and holding all of it would only take room.
    pub fn switch_to_window(&mut self, limit: u64) {
        if let Some(object) = self.object.take() {
            self.store.unstore(&object);
        }
        self.live.switch_to_window(&self.body, limit);
    }

    /// Bytes written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.live.len()
    }

    /// The body that is written.
    #[must_use]
    pub fn body(&self) -> &Arc<Body> {
        &self.body
    }

    /// Will this body be kept when it is complete?
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.object.as_ref().is_some_and(|o| o.is_stored())
    }

    fn leave_the_shelf_if_due(&mut self, more: u64) {
        let Some(object) = &self.object else { return };
        let outgrown = self.live.len() + more > self.store.object_size_max(object.storage());
        if outgrown {
            self.store.count_outgrown();
        }
        let waits_for_readers = self.beside && self.live.len() + more <= self.store.window();
        if outgrown || !(object.is_stored() || waits_for_readers) {
            self.switch_to_window(self.store.window());
        }
    }

    fn fail(&mut self, fault: BodyFault) {
        self.ended = true;
        if let Some(object) = self.object.take() {
            self.store.unstore(&object);
        }
        self.live.fail(&self.body, fault);
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.fail(BodyFault::Stopped);
        }
    }
}
