//! The driver of the client machine: one loop, one step after the other, every edge checked against the table.

use crate::core::Worker;
use crate::io::{self, RequestSource, ResponseSink};
use crate::step::{ClientStep, client_edge_is_legal};
use crate::steps::{self, Step};
use crate::txn::Txn;
use copal_observe::access_log::{AccessLog, Outcome, Record};
use copal_observe::counters::{Counter, Counters};
use copal_observe::trace::Event;
use copal_policy::RequestBody;
use copal_semantics::RequestHead;
use std::sync::Arc;

/// Steps that one request may take: enough for the most restarts that can be configured. A bound, so that no mistake in
/// a step can spin.
const STEPS_MAX: u32 = 1000;

/// Serves the request that stands in `txn`: from recv until its response has been sent, or sending has failed.
pub async fn serve<R: RequestSource, W: ResponseSink>(
    worker: &Arc<Worker>,
    txn: &mut Txn,
    source: &mut R,
    sink: &mut W,
) {
    worker.count(Counter::ClientRequests);
    let running = Running::new(&worker.core.counters);
    txn.begin(worker);
    txn.scene_mut().req_body = match source.kind() {
        io::RequestBody::None => RequestBody::None,
        io::RequestBody::Length(n) => RequestBody::Unread(Some(n)),
        io::RequestBody::Unknown => RequestBody::Unread(None),
    };
    let mut step = Step::Recv;
    for _ in 0..STEPS_MAX {
        let from = step.name();
        step = match step {
            Step::Recv => steps::recv::run(worker, txn, source, sink).await,
            Step::Hash { purge } => steps::hash::run(worker, txn, purge),
            Step::Lookup => steps::lookup::run(worker, txn, source, sink).await,
            Step::Hit(found) => steps::hit::run(worker, txn, found),
            Step::Miss(missing) => steps::miss::run(worker, txn, missing, source, sink).await,
            Step::Pass { hit_for_pass, reason } => {
                steps::pass::run(worker, txn, hit_for_pass, reason, source, sink).await
            }
            Step::Pipe => steps::pipe::run(worker, txn, source, sink).await,
            Step::Purge => steps::purge::run(worker, txn),
            Step::Synth(page) => steps::synth::run(worker, txn, page),
            Step::Deliver(delivery) => steps::deliver::run(worker, txn, delivery, source, sink).await,
            Step::Restart => steps::restart::run(worker, txn),
            Step::Done => break,
        };
        assert!(client_edge_is_legal(from, step.name()), "no edge from {} to {}", from.name(), step.name().name());
        txn.trace.edge(from.name(), step.name().name());
        #[cfg(test)]
        crate::edge_tests::saw(from.name(), step.name().name());
        if step.name() == ClientStep::Done {
            break;
        }
    }
    drop(running);
    finish(worker, txn, sink.body_bytes());
}

/// Keeps the gauge of running requests right, also when a step panics. Borrows: an `Arc` cloned per request would be a
/// cache line that all threads write to.
struct Running<'a>(&'a Counters);

impl<'a> Running<'a> {
    fn new(counters: &'a Counters) -> Self {
        counters.inc(Counter::ClientRequestsRunning);
        Running(counters)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.dec(Counter::ClientRequestsRunning);
    }
}

/// Counts and logs a request that is over.
fn finish(worker: &Worker, txn: &mut Txn, body_bytes: u64) {
    let core = &worker.core;
    core.counters.add(Counter::BodyBytesSent, body_bytes);
    let ended = copal_observe::clock::ticks();
    let took = ended.saturating_duration_since(txn.started);
    let class = match txn.verdict.outcome {
        Outcome::Hit | Outcome::HitGrace | Outcome::HitStaleError | Outcome::Coalesced => &core.latencies.hit,
        Outcome::Miss | Outcome::HitForMiss => &core.latencies.miss,
        Outcome::Pass | Outcome::HitForPass => &core.latencies.pass,
        Outcome::Synth | Outcome::Purge | Outcome::Pipe | Outcome::Error => return log(worker, txn, body_bytes, took),
    };
    class.record(took);
    log(worker, txn, body_bytes, took);
}

/// All lines of a field; none when there is none.
fn joined(req: &RequestHead, name: &str) -> Option<String> {
    let lines: Vec<_> = req.headers.get_all(name).map(String::from_utf8_lossy).collect();
    (!lines.is_empty()).then(|| lines.join(", "))
}

fn log(worker: &Worker, txn: &mut Txn, body_bytes: u64, duration: std::time::Duration) {
    let log = worker.core.access_log.as_ref();
    if log.is_none() && !txn.trace.is_on() {
        return;
    }
    let text = |name: &str, txn: &Txn| txn.req().headers.get_str(name).map(std::borrow::Cow::into_owned);
    let wanted = log.map(AccessLog::headers).unwrap_or_default();
    let headers = wanted.iter().filter_map(|name| Some((name.clone(), joined(txn.req(), name)?))).collect();
    let log_lines = std::mem::take(&mut txn.scene_mut().log);
    let client = &txn.scene().client;
    let record = Record {
        time: txn.now,
        client: (!client.ip.is_unspecified()).then(|| (client.ip, client.port).into()),
        method: txn.method.clone(),
        url: txn.url.clone(),
        host: text("host", txn).unwrap_or_default(),
        protocol: "HTTP/1.1",
        status: txn.status,
        body_bytes,
        pipe_bytes_in: txn.pipe_bytes_in,
        duration,
        ttfb: txn.head_at.map_or(duration, |at| at.saturating_duration_since(txn.started)),
        outcome: txn.verdict.outcome,
        reason: txn.verdict.reason.map_or("", copal_semantics::reason::Reason::code),
        backend: (!txn.backend.is_empty()).then(|| txn.backend.clone()),
        request_id: txn.scene().req_vars.xid.clone(),
        referer: text("referer", txn),
        user_agent: text("user-agent", txn),
        headers,
        log_lines,
        retries: txn.retries,
        error: txn.error.take(),
        fault: txn.fault,
    };
    txn.trace.note(|| Event::finished(&record));
    if let Some(log) = log {
        log.log(record);
    }
}
