//! body: what the origin sends is handed on piece by piece, to the store and to whoever reads.

use super::{From, Job, Next, Transfer};
use bytes::Bytes;
use copal_backend::{Fault, FaultKind, ResponseBody};
use copal_observe::counters::Counter;
use copal_semantics::Headers;
use copal_store::{BodyFault, BodyWriter, NoReaders};
use std::pin::pin;

pub(super) async fn run(job: &mut Job, transfer: Transfer) -> Next {
    let Transfer { from, mut to, object } = transfer;
    // What purges can reach is in the store now, or never will be.
    job.watch = None;
    let mut exchange = match from {
        From::Page(page) => {
            if page.is_empty() || to.push(page).await.is_ok() {
                to.finish(None);
            }
            return Next::Done;
        }
        From::Origin(exchange) => exchange,
    };
    let mut joined = job.plan.take_joined();
    loop {
        let next = tokio::select! {
            biased;
            next = super::partial::next(&mut joined, &mut exchange.body) => next,
            // What nobody stores has lost its last reader; closing the connection stops the origin.
            () = to.deserted() => {
                job.count(Counter::FetchesCancelled);
                break;
            }
        };
        match next {
            Some(Ok(piece)) => {
                job.worker.core.counters.add(Counter::BodyBytesFetched, piece.len() as u64);
                if hand_on(&mut exchange.body, &mut to, piece).await.is_err() {
                    job.count(Counter::FetchesCancelled);
                    break;
                }
            }
            Some(Err(fault)) => {
                job.count(Counter::FetchesFailed);
                job.count(match fault.kind {
                    FaultKind::Client(_) => Counter::FetchFailedSend,
                    _ => Counter::FetchFailedBody,
                });
                tracing::warn!(
                    target: "copal::fetch",
                    url = %job.scene().bereq.url,
                    backend = %job.origin,
                    phase = fault.phase.as_str(),
                    error = fault.code(),
                    by = fault.blame().as_str(),
                    retry_safe = fault.retry_safe,
                    "{fault}"
                );
                to.abort(body_fault(&fault));
                if let Some(object) = object {
                    job.worker.core.store.unstore(&object);
                }
                break;
            }
            None => {
                job.count(Counter::FetchesOk);
                let trailers = if joined.is_some() { Headers::new() } else { exchange.body.take_trailers() };
                to.finish((!trailers.is_empty()).then_some(trailers));
                exchange.body.finish_sending().await;
                break;
            }
        }
    }
    Next::Done
}

/// Hands a piece on, waiting while its readers are slower. A request that is still being sent goes on meanwhile: its client
/// may be one that reads only when it has sent everything.
async fn hand_on(body: &mut ResponseBody, to: &mut BodyWriter, piece: Bytes) -> Result<(), NoReaders> {
    let mut pushing = pin!(to.push(piece));
    loop {
        tokio::select! {
            biased;
            pushed = &mut pushing => return pushed,
            () = body.pump(), if body.is_sending() => {}
        }
    }
}

fn body_fault(fault: &Fault) -> BodyFault {
    match fault.kind {
        FaultKind::ShortBody => BodyFault::Truncated,
        FaultKind::Protocol(_) => BodyFault::Malformed,
        FaultKind::Timeout => BodyFault::TimedOut,
        _ => BodyFault::Broken,
    }
}
