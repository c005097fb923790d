//! Bodies of requests that a policy wants to see (`std::cache_req_body`): read before the hook goes on, within limits, and
//! kept for as long as the request and its fetches live.

use crate::core::Worker;
use crate::io::{self, RequestSource, ResponseSink, SourceFault};
use crate::txn::Txn;
use bytes::{Bytes, BytesMut};
use copal_semantics::ResponseHead;
use copal_store::{Charge, StorageId};

/// A body in memory. It counts in the store's ledger.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) bytes: Bytes,
    _held: Charge,
}

/// What came of reading.
pub(crate) enum Read {
    /// All of it.
    Whole(Kept),
    /// It is larger than it may be; what had been read when that showed goes to the origin before the rest.
    TooLarge(Kept),
    /// The client broke off, was too slow, or sent nonsense.
    Failed(SourceFault),
}

/// Reads the body up to `max` bytes. One that is too large by its own word is not touched.
pub(crate) async fn read<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &Txn,
    max: u64,
    source: &mut R,
    sink: &mut W,
) -> Read {
    // Never more than an object may have: one request must not push out everything else.
    let max = max.min(worker.core.store.object_size_max(StorageId::MAIN));
    let (mut bytes, mut held) = (BytesMut::new(), worker.core.store.charge());
    let mut counted = 0;
    if let io::RequestBody::Length(n) = source.kind() {
        if n > max {
            return Read::TooLarge(Kept { bytes: Bytes::new(), _held: held });
        }
        counted = n;
        worker.core.store.hold_in(&mut held, n);
    }
    if awaits_continue(txn) {
        let go_on = ResponseHead { status: 100, ..ResponseHead::default() };
        if sink.interim(&go_on).await.is_err() {
            return Read::Failed(SourceFault::Gone);
        }
    }
    loop {
        match source.next().await {
            Some(Ok(piece)) => {
                bytes.extend_from_slice(&piece);
                if bytes.capacity() as u64 > counted {
                    counted = bytes.capacity() as u64;
                    worker.core.store.hold_in(&mut held, counted);
                }
                if bytes.len() as u64 > max {
                    return Read::TooLarge(Kept { bytes: bytes.freeze(), _held: held });
                }
            }
            Some(Err(fault)) => return Read::Failed(fault),
            None => return Read::Whole(Kept { bytes: bytes.freeze(), _held: held }),
        }
    }
}

/// RFC 9110 §10.1.1: the client waits for a word before it sends its body.
pub(crate) fn awaits_continue(txn: &Txn) -> bool {
    txn.req().headers.list("expect").any(|e| e.eq_ignore_ascii_case(b"100-continue"))
}

/// The status that a client is answered with whose body could not be read.
pub(crate) fn status(fault: SourceFault) -> u16 {
    match fault {
        SourceFault::Gone | SourceFault::Malformed => 400,
        SourceFault::Timeout => 408,
        SourceFault::TooLarge => 413,
    }
}
