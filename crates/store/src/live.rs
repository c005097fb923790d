//! The part of a body that changes: what has come so far, who reads it and how far they are.
//!
//! ```text
//!  Keep:    [chunk 64 KiB][chunk 64 KiB][tail, growing]           all stay; the writer never waits
//!  Window:  ░░░dropped░░░[piece][ block ][piece][tail, growing]   from the slowest reader on, at most `limit` ahead
//! ```
//!
//! In a window, a piece that finds all before it read is handed on as it is, and so is a large one. Small ones that have to
//! wait are gathered into blocks, because each piece costs [`PIECE_BYTES`] beside its bytes, were it of one.
//!
//! Invariants: everything from `base` to `len` is held; what is in the tail can be read at once; the lock is never held
//! while waiting; whoever changes the state notifies after unlocking.

use crate::body::{Body, BodyFault, Large, Many, Sealed};
use crate::sync::{Mutex, MutexGuard, Notify, locked};
use bytes::Bytes;
use copal_semantics::headers::Headers;
use std::collections::VecDeque;

/// Small reads are gathered into chunks of this size, and bodies up to it are one allocation. A large body then costs
/// 32 bytes of bookkeeping per 64 KiB, and a write to a client is worth its system call.
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// What a piece of a body in waiting costs beyond its bytes: its place in the list, its count of references, malloc's own.
pub const PIECE_BYTES: u64 = 128;

/// Blocks of a window have this share of its limit, up to [`CHUNK_BYTES`]: one that is partly read is held whole.
const BLOCKS_PER_WINDOW: u64 = 4;

/// Room that a block of a window begins with: single bytes do not come alone. From there it doubles.
const BLOCK_START_BYTES: usize = 256;

#[derive(Debug)]
pub(crate) struct Live {
    state: Mutex<State>,
    /// For readers: more bytes, or the end.
    pub(crate) readable: Notify,
    /// For the writer: room in the window, or the last reader has gone.
    pub(crate) writable: Notify,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<(u64, Bytes)>,
    tail: Vec<u8>,
    base: u64,
    len: u64,
    hint: usize,
    announced: Option<u64>,
    window: Option<u64>,
    readers: Vec<Option<u64>>,
    in_flight: u64,
    /// The bytes have moved to the body's sealed part.
    sealed: bool,
    end: Option<Result<Option<Headers>, BodyFault>>,
}

/// What the writer is told.
pub(crate) enum Offer {
    Taken,
    Wait,
    NoReaders,
}

/// What a reader is told.
pub(crate) enum Step {
    Data(Bytes),
    End,
    Fault(BodyFault),
    Wait,
}

impl Live {
    /// `hint` is the length that the origin announced.
    pub(crate) fn new(window: Option<u64>, hint: Option<u64>) -> Self {
        let announced = hint;
        let start = if window.is_some() { BLOCK_START_BYTES } else { 0 };
        let hint = hint.map_or(start, |h| usize::try_from(h).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES));
        let state = State { window, hint, announced, ..State::default() };
        Live { state: Mutex::new(state), readable: Notify::new(), writable: Notify::new() }
    }

    /// Registers a reader; `None` when the bytes at `offset` are gone.
    pub(crate) fn attach(&self, offset: u64) -> Option<usize> {
        let mut s = locked(&self.state);
        if offset < s.base && !s.sealed {
            return None;
        }
        let id = s.readers.iter().position(Option::is_none).unwrap_or(s.readers.len());
        if id == s.readers.len() {
            s.readers.push(None);
        }
        s.readers[id] = Some(offset);
        Some(id)
    }

    /// The reader has gone.
    pub(crate) fn detach(&self, body: &Body, id: usize) {
        let mut s = locked(&self.state);
        s.readers[id] = None;
        self.trim(body, s);
    }

    /// What there is for reader `id` at `offset`; its position moves past it.
    pub(crate) fn step(&self, body: &Body, id: usize, offset: u64) -> Step {
        let mut s = locked(&self.state);
        if let Some(data) = s.at(offset) {
            s.readers[id] = Some(offset + data.len() as u64);
            self.trim(body, s);
            return Step::Data(data);
        }
        match &s.end {
            None => Step::Wait,
            Some(Ok(_)) => Step::End,
            Some(Err(fault)) => Step::Fault(*fault),
        }
    }

    /// Takes `data` in, unless it is a window with no room or no reader.
    pub(crate) fn offer(&self, body: &Body, data: &Bytes) -> Offer {
        let mut s = locked(&self.state);
        match s.window {
            None => s.gather(data),
            Some(limit) => {
                let Some(slowest) = s.slowest() else { return Offer::NoReaders };
                let ahead = s.len - slowest.min(s.len);
                // Nobody wants what lies before the place where the first of them begins.
                let begins_later = slowest > s.len;
                if ahead > 0 && ahead + data.len() as u64 > limit {
                    return Offer::Wait;
                }
                if ahead == 0 || data.len() >= s.block_bytes() / 2 {
                    s.append(data);
                } else {
                    s.gather(data);
                }
                if begins_later {
                    self.trim(body, s);
                    return Offer::Taken;
                }
            }
        }
        s.account(body);
        Offer::Taken
    }

    /// Is only a part of it held at a time?
    pub(crate) fn is_window(&self) -> bool {
        locked(&self.state).window.is_some()
    }

    /// Is this a window that nobody reads?
    pub(crate) fn is_deserted(&self) -> bool {
        let s = locked(&self.state);
        s.window.is_some() && s.slowest().is_none()
    }

    /// From now on a window of `limit` bytes: what every reader has read goes, and the writer waits for the slowest.
    pub(crate) fn switch_to_window(&self, body: &Body, limit: u64) {
        let mut s = locked(&self.state);
        s.close_tail();
        s.hint = BLOCK_START_BYTES;
        s.window = Some(limit);
        self.trim(body, s);
    }

    /// The writer is done. A body that keeps everything is sealed; a window has only an end.
    pub(crate) fn finish(&self, body: &Body, trailers: Option<Headers>) {
        let mut s = locked(&self.state);
        if s.window.is_some() {
            s.end = Some(Ok(trailers));
            s.account(body);
        } else {
            let sealed = s.seal(trailers);
            let held = s.len;
            body.ledger().adjust_in_flight(std::mem::take(&mut s.in_flight), 0);
            s.sealed = true;
            s.end = Some(Ok(None));
            // Still under the lock: a reader that is told `End` here must find the bytes there.
            body.seal(sealed);
            body.set_charge(held);
        }
        drop(s);
        self.readable.notify_waiters();
    }

    /// There will be no proper end. What has come stays for those who read it.
    pub(crate) fn fail(&self, body: &Body, fault: BodyFault) {
        let mut s = locked(&self.state);
        s.end = Some(Err(fault));
        s.account(body);
        drop(s);
        self.readable.notify_waiters();
    }

    pub(crate) fn fault(&self) -> Option<BodyFault> {
        match locked(&self.state).end {
            Some(Err(fault)) => Some(fault),
            _ => None,
        }
    }

    /// The trailers of a finished window.
    pub(crate) fn trailers(&self) -> Option<Headers> {
        match &locked(&self.state).end {
            Some(Ok(trailers)) => trailers.clone(),
            _ => None,
        }
    }

    /// The length that was announced at the beginning.
    pub(crate) fn announced(&self) -> Option<u64> {
        locked(&self.state).announced
    }

    /// Bytes written so far.
    pub(crate) fn len(&self) -> u64 {
        locked(&self.state).len
    }

    /// Drops what every reader has read, when this is a window, and wakes the writer.
    fn trim(&self, body: &Body, mut s: MutexGuard<'_, State>) {
        if s.window.is_none() {
            return;
        }
        // Without any reader nobody will come for the bytes: a new one is refused, the writer is told.
        let keep_from = s.slowest().unwrap_or(s.len);
        while s.chunks.front().is_some_and(|(at, c)| at + c.len() as u64 <= keep_from) {
            if let Some((at, gone)) = s.chunks.pop_front() {
                s.base = at + gone.len() as u64;
            }
        }
        if keep_from >= s.len {
            s.tail = Vec::new();
            s.base = s.len;
        }
        s.account(body);
        drop(s);
        self.writable.notify_one();
    }
}

impl State {
    fn slowest(&self) -> Option<u64> {
        self.readers.iter().flatten().copied().min()
    }

    /// The bytes at `offset`, up to the end of what lies together there.
    fn at(&self, offset: u64) -> Option<Bytes> {
        let tail_at = self.len - self.tail.len() as u64;
        if offset >= self.len || self.sealed {
            return None;
        }
        if offset >= tail_at {
            let from = usize::try_from(offset - tail_at).unwrap_or(usize::MAX);
            return Some(Bytes::copy_from_slice(&self.tail[from..]));
        }
        let (at, chunk) = &self.chunks[self.chunks.partition_point(|(at, _)| *at <= offset) - 1];
        Some(chunk.slice(usize::try_from(offset - at).unwrap_or(usize::MAX)..))
    }

    /// Size at which the tail is closed.
    fn block_bytes(&self) -> usize {
        let of_window = self.window.and_then(|limit| usize::try_from(limit / BLOCKS_PER_WINDOW).ok());
        of_window.map_or(CHUNK_BYTES, |block| block.clamp(1, CHUNK_BYTES))
    }

    /// Takes `data` as it is, behind what is in the tail.
    fn append(&mut self, data: &Bytes) {
        self.close_tail();
        self.chunks.push_back((self.len, data.clone()));
        self.len += data.len() as u64;
    }

    /// Copies `data` to the tail, closing it at each full chunk. The copy gives exact allocations: a buffer from the
    /// network may be much larger than the part of it that was used.
    fn gather(&mut self, mut data: &[u8]) {
        let block = self.block_bytes();
        while !data.is_empty() {
            let (now, later) = data.split_at(data.len().min(block - self.tail.len()));
            let wanted = self.tail.len() + now.len();
            if wanted > self.tail.capacity() {
                let capacity = wanted.max(self.tail.capacity() * 2).max(self.hint).min(block);
                self.tail.reserve_exact(capacity - self.tail.len());
            }
            self.tail.extend_from_slice(now);
            self.len += now.len() as u64;
            if self.tail.len() == block {
                self.close_tail();
            }
            data = later;
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            let at = self.len - self.tail.len() as u64;
            self.chunks.push_back((at, Bytes::from(std::mem::take(&mut self.tail).into_boxed_slice())));
        }
    }

    fn seal(&mut self, trailers: Option<Headers>) -> Sealed {
        if self.chunks.is_empty() && trailers.is_none() {
            return Sealed::One(std::mem::take(&mut self.tail).into_boxed_slice());
        }
        self.close_tail();
        let chunks = std::mem::take(&mut self.chunks).into_iter().collect();
        Sealed::Large(Box::new(Large::Whole(Many { chunks, len: self.len, trailers: trailers.map(Box::new) })))
    }

    /// Enters what is held now into the ledger.
    fn account(&mut self, body: &Body) {
        // The chunks have no gaps, so no walk over them is needed.
        let in_chunks = match self.chunks.front() {
            None => 0,
            Some((at, _)) => self.len - self.tail.len() as u64 - at,
        };
        let held = in_chunks + self.tail.capacity() as u64 + self.chunks.len() as u64 * PIECE_BYTES;
        body.set_charge(held);
        let in_flight = if self.end.is_none() { held } else { 0 };
        body.ledger().adjust_in_flight(self.in_flight, in_flight);
        self.in_flight = in_flight;
    }
}
