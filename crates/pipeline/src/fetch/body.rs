//! body: what the origin sends is handed on piece by piece, to the store and to whoever reads.

use super::{From, Job, Next, Transfer};
use copal_backend::{Fault, FaultKind};
use copal_observe::counters::Counter;
use copal_store::BodyFault;

pub(super) async fn run(job: &mut Job, transfer: Transfer) -> Next {
    let Transfer { from, mut to, object } = transfer;
    let mut exchange = match from {
        From::Page(page) => {
            if page.is_empty() || to.push(page).await.is_ok() {
                to.finish(None);
            }
            return Next::Done;
        }
        From::Origin(exchange) => exchange,
    };
    loop {
        match exchange.body.next().await {
            Some(Ok(piece)) => {
                job.worker.core.counters.add(Counter::BodyBytesFetched, piece.len() as u64);
                if to.push(piece).await.is_err() {
                    // A body that nobody stores has lost its last reader; closing the connection stops the origin.
                    break;
                }
            }
            Some(Err(fault)) => {
                job.count(Counter::FetchesFailed);
                job.count(Counter::FetchFailedBody);
                tracing::warn!(target: "copal::fetch", url = %job.scene().bereq.url, "{fault}");
                to.abort(body_fault(&fault));
                if let Some(object) = object {
                    job.worker.core.store.unstore(&object);
                }
                break;
            }
            None => {
                job.count(Counter::FetchesOk);
                let trailers = exchange.body.take_trailers();
                to.finish((!trailers.is_empty()).then_some(trailers));
                break;
            }
        }
    }
    Next::Done
}

fn body_fault(fault: &Fault) -> BodyFault {
    match fault.kind {
        FaultKind::ShortBody => BodyFault::Truncated,
        FaultKind::Protocol(_) => BodyFault::Malformed,
        FaultKind::Timeout => BodyFault::TimedOut,
        _ => BodyFault::Broken,
    }
}
