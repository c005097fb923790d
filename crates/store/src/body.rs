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
use crate::memory::Ledger;
use crate::parts::Parts;
use crate::reader::Reader;
use crate::sync::{Mutex, locked};
use bytes::Bytes;
use copal_semantics::headers::Headers;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

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

/// What is not going to change any more.
#[derive(Debug)]
pub(crate) enum Sealed {
    /// Small, the usual case: one exact allocation.
    One(Box<[u8]>),
    /// Everything else. One variant, so that a body stays small.
    Large(Box<Large>),
}

/// A body that is not one piece.
#[derive(Debug)]
pub(crate) enum Large {
    /// Complete, and larger than 64 KiB or with trailers.
    Whole(Many),
    /// Never complete: only parts are held.
    Parts(Parts),
}

/// A complete body in several chunks.
#[derive(Debug)]
pub(crate) struct Many {
    /// Chunk and where it starts; in order, without gaps.
    pub(crate) chunks: Box<[(u64, Bytes)]>,
    pub(crate) len: u64,
    /// Boxed: they are rare, and a list of fields takes more room than all the rest of this.
    pub(crate) trailers: Option<Box<Headers>>,
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

    /// A body of which only parts are held.
    pub(crate) fn of_parts(ledger: Arc<Ledger>, parts: Parts) -> Arc<Self> {
        let overhead = parts.overhead();
        let sealed = OnceLock::from(Sealed::Large(Box::new(Large::Parts(parts))));
        let body = Body { sealed, live: Mutex::new(None), ledger, charged: AtomicU64::new(0) };
        body.set_charge(overhead);
        Arc::new(body)
    }

    /// The parts held, when that is all there is.
    #[must_use]
    pub fn parts(&self) -> Option<&Parts> {
        match self.sealed.get()? {
            Sealed::Large(large) => match &**large {
                Large::Parts(parts) => Some(parts),
                Large::Whole(_) => None,
            },
            Sealed::One(_) => None,
        }
    }

    /// A reader from the first byte; `None` when the start is no longer there (see [`Body::reader_at`]).
    #[must_use]
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        self.reader_at(0)
    }

    /// A reader from byte `offset` on, which may be beyond what has come so far.
    ///
    /// `None` when the bytes there have been dropped: the body is a window (pass traffic, or it outgrew the store) and
    /// everyone who was reading has gone past them; or only parts are held ([`Body::parts`]).
    #[must_use]
    pub fn reader_at(self: &Arc<Self>, offset: u64) -> Option<Reader> {
        if self.sealed.get().is_none() {
            let live = locked(&self.live).clone();
            if let Some(live) = live {
                let id = live.attach(offset)?;
                return Some(Reader::of_live(Arc::clone(self), live, id, offset));
            }
        }
        self.is_complete().then(|| Reader::of_sealed(Arc::clone(self), offset))
    }

    /// Has the whole body come, and is it held?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        match self.sealed.get() {
            Some(Sealed::One(_)) => true,
            Some(Sealed::Large(large)) => matches!(**large, Large::Whole(_)),
            None => false,
        }
    }

    /// Its length in bytes, once it is complete.
    #[must_use]
    pub fn len_known(&self) -> Option<u64> {
        match self.sealed.get()? {
            Sealed::One(bytes) => Some(bytes.len() as u64),
            Sealed::Large(large) => large.whole().map(|many| many.len),
        }
    }

    /// The length that the origin has announced, while the body is arriving. Readers see a fault if it does not come true.
    #[must_use]
    pub fn len_announced(&self) -> Option<u64> {
        let live = locked(&self.live).clone();
        live.and_then(|live| live.announced())
    }

    /// Does every byte that comes stay, as far as can be known now? So it is with what is complete, and with what arrives
    /// and is going to be stored; not with a window ([`Body::reader_at`]).
    #[must_use]
    pub fn keeps_all(&self) -> bool {
        let live = locked(&self.live).clone();
        live.map_or_else(|| self.is_complete(), |live| !live.is_window())
    }

    /// The whole of a complete body that lies in one piece (all up to 64 KiB do), without a lock or a copy.
    #[must_use]
    pub fn whole(self: &Arc<Self>) -> Option<Bytes> {
        match self.sealed.get()? {
            Sealed::One(bytes) if bytes.is_empty() => Some(Bytes::new()),
            // An allocation of 40 bytes here, instead of a shared header of 32 in every stored body.
            Sealed::One(_) => Some(Bytes::from_owner(Whole(Arc::clone(self)))),
            Sealed::Large(large) => match &*large.whole()?.chunks {
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
            Sealed::Large(large) => match &*large.whole()?.chunks {
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
            Sealed::Large(large) => large.whole()?.trailers.as_deref(),
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

    /// Bytes that go when this body goes from the shelf: its own and those of its parts.
    pub(crate) fn weight_bytes(&self) -> u64 {
        self.charged() + self.parts().map_or(0, Parts::charged)
    }

    pub(crate) fn set_charge(&self, bytes: u64) {
        self.ledger.adjust(self.charged.swap(bytes, Ordering::Relaxed), bytes);
    }
}

impl Large {
    /// The complete body, when it is one.
    pub(crate) fn whole(&self) -> Option<&Many> {
        match self {
            Large::Whole(many) => Some(many),
            Large::Parts(_) => None,
        }
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
