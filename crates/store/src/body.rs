//! A body: bytes that can be read while they are written, by any number of readers on any threads.
//!
//! ```text
//!            push                    finish: ≤ 64 KiB in one exact allocation, else chunks of 64 KiB
//!  BodyWriter ───▶ Live (locked) ─────────────────────▶ Sealed (read without a lock)
//!                   │ abort, or dropped unfinished
//!                   └────────────▶ every reader sees the fault after the bytes that did come
//! ```
//!
//! Invariants: only `finish` seals; a body that is not sealed is not complete; readers see bytes in order and whole.

use crate::live::Live;
use crate::memory::{Ledger, locked};
use crate::reader::Reader;
use bytes::Bytes;
use copal_semantics::headers::Headers;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Why a body has no proper end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyFault {
    /// The origin ended before the announced length or without the last chunk.
    #[error("the origin ended the body early")]
    Truncated,
    /// The origin's framing made no sense.
    #[error("the origin's body framing is malformed")]
    Malformed,
    /// The origin was silent for too long.
    #[error("the origin stopped sending")]
    TimedOut,
    /// The connection to the origin broke.
    #[error("the connection to the origin broke")]
    Broken,
    /// The fetch ended for a reason of its own: cancelled, or its writer was dropped.
    #[error("the fetch was stopped before the body was complete")]
    Stopped,
}

/// A response body in memory. Made by the store, written by one [`BodyWriter`](crate::BodyWriter).
#[derive(Debug)]
pub struct Body {
    sealed: OnceLock<Sealed>,
    live: Mutex<Option<Arc<Live>>>,
    ledger: Arc<Ledger>,
    charged: AtomicU64,
}

/// A complete body.
#[derive(Debug)]
pub(crate) enum Sealed {
    /// Small, the usual case: one exact allocation.
    One(Box<[u8]>),
    /// Larger than 64 KiB, or with trailers.
    Many(Box<Many>),
}

/// A complete body in several chunks.
#[derive(Debug)]
pub(crate) struct Many {
    /// Chunk and where it starts; in order, without gaps.
    pub(crate) chunks: Box<[(u64, Bytes)]>,
    pub(crate) len: u64,
    pub(crate) trailers: Option<Headers>,
}

impl Body {
    pub(crate) fn streaming(ledger: Arc<Ledger>, live: Arc<Live>) -> Arc<Self> {
        let (sealed, charged) = (OnceLock::new(), AtomicU64::new(0));
        Arc::new(Body { sealed, live: Mutex::new(Some(live)), ledger, charged })
    }

    /// An empty, complete body.
    pub(crate) fn empty(ledger: Arc<Ledger>) -> Arc<Self> {
        let sealed = OnceLock::from(Sealed::One(Box::default()));
        Arc::new(Body { sealed, live: Mutex::new(None), ledger, charged: AtomicU64::new(0) })
    }

    /// A reader from the first byte; `None` when the start is no longer there (see [`Body::reader_at`]).
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        self.reader_at(0)
    }

    /// A reader from byte `offset` on, which may be beyond what has come so far.
    ///
    /// `None` when the bytes there have been dropped: the body is a window (pass traffic, or it outgrew the store) and
    /// everyone who was reading has gone past them.
    #[must_use]
    pub fn reader_at(self: &Arc<Self>, offset: u64) -> Option<Reader> {
        if self.sealed.get().is_none() {
            let live = locked(&self.live).clone();
            if let Some(live) = live {
                let id = live.attach(offset)?;
                return Some(Reader::of_live(Arc::clone(self), live, id, offset));
            }
        }
        Some(Reader::of_sealed(Arc::clone(self), offset))
    }

    /// Has the whole body come, and is it held?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.sealed.get().is_some()
    }

    /// Its length in bytes, once it is complete.
    #[must_use]
    pub fn len_known(&self) -> Option<u64> {
        self.sealed.get().map(|sealed| match sealed {
            Sealed::One(bytes) => bytes.len() as u64,
            Sealed::Many(many) => many.len,
        })
    }

    /// The whole of a complete body that lies in one piece (all up to 64 KiB do), without a lock or a copy.
    #[must_use]
    pub fn whole(self: &Arc<Self>) -> Option<Bytes> {
        match self.sealed.get()? {
            Sealed::One(bytes) if bytes.is_empty() => Some(Bytes::new()),
            // An allocation of 40 bytes here, instead of a shared header of 32 in every stored body.
            Sealed::One(_) => Some(Bytes::from_owner(Whole(Arc::clone(self)))),
            Sealed::Many(many) => match &*many.chunks {
                [] => Some(Bytes::new()),
                [(_, only)] => Some(only.clone()),
                [..] => None,
            },
        }
    }

    /// Like [`Body::whole`], for those who copy the bytes into a buffer of their own.
    #[must_use]
    pub fn whole_slice(&self) -> Option<&[u8]> {
        match self.sealed.get()? {
            Sealed::One(bytes) => Some(bytes),
            Sealed::Many(many) => match &*many.chunks {
                [] => Some(&[]),
                [(_, only)] => Some(only),
                [..] => None,
            },
        }
    }

    /// The trailers of a complete body; for a window ask the reader.
    #[must_use]
    pub fn trailers(&self) -> Option<&Headers> {
        match self.sealed.get()? {
            Sealed::One(_) => None,
            Sealed::Many(many) => many.trailers.as_ref(),
        }
    }

    /// Why it will never be complete, if that is so.
    #[must_use]
    pub fn fault(&self) -> Option<BodyFault> {
        let live = locked(&self.live).clone();
        live.and_then(|live| live.fault())
    }

    pub(crate) fn sealed(&self) -> Option<&Sealed> {
        self.sealed.get()
    }

    /// Complete from now on. Readers find the bytes here before `live` is let go.
    pub(crate) fn seal(&self, sealed: Sealed) {
        let _only_the_writer_seals_and_once = self.sealed.set(sealed);
        *locked(&self.live) = None;
    }

    pub(crate) fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Bytes entered in the ledger for it.
    pub(crate) fn charged(&self) -> u64 {
        self.charged.load(Ordering::Relaxed)
    }

    pub(crate) fn set_charge(&self, bytes: u64) {
        self.ledger.adjust(self.charged.swap(bytes, Ordering::Relaxed), bytes);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.ledger.release(*self.charged.get_mut());
    }
}

/// Keeps the body while its bytes are on their way out.
struct Whole(Arc<Body>);

impl AsRef<[u8]> for Whole {
    fn as_ref(&self) -> &[u8] {
        self.0.whole_slice().unwrap_or_default()
    }
}
