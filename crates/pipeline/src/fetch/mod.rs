//! The fetch machine: a task of its own, which outlives the client that caused it.
//!
//! ```text
//! backend_fetch ─▶ response ─┬─ 304 ─▶ backend_refresh ─┐
//!                            └─ other ──────────────────┴▶ backend_response ─▶ body ─▶ done
//!        any fault ─▶ backend_error ─▶ body | done
//! ```
//!
//! It tells the client that waits for it of interim responses and of the response head, then goes on with the body. A fetch
//! that nobody else can use (a pass, a body that is not stored) ends when that client leaves.
//! Everybody else who waits finds the object in the store. If the task ends by any way but these, its guard releases
//! the waiters and its body writer marks the body as cut off.

mod backend_error;
mod backend_fetch;
mod backend_refresh;
mod backend_response;
mod body;
mod failure;
mod head_update;
mod partial;
mod request;
mod response;
mod retry;
mod upload;

use failure::Failure;
pub(crate) use failure::words_of_body;
pub(crate) use request::backend_scene;
pub(crate) use response::{ends, timeouts};
pub(crate) use upload::{Keep, Outgoing, Pieces, Upload};

use crate::core::Worker;
use crate::io::{RequestSource, ResponseSink};
use crate::request_body::Kept;
use crate::step::{FetchStep, fetch_edge_is_legal};
use crate::steps::{Delivery, Page, Source, Step, client_left};
use crate::tracer::{Tracer, forwarded};
use crate::txn::{Txn, run_hook};
use copal_backend::Exchange;
use copal_observe::access_log::{FaultWords, Outcome};
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, Policy, Scene};
use copal_semantics::Time;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use copal_semantics::{Headers, ResponseHead, cache_tags};
use copal_store::{BodyWriter, FetchGuard, KeyBuf, Object, PurgeWatch, Reader};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Interim responses and the final head that may wait for the client; a full channel drops interim ones.
const EVENTS_MAX: usize = 8;
/// Steps that one fetch may take: more than the most retries that can be configured need.
const STEPS_MAX: u32 = 1000;

/// What a fetch is for.
pub(crate) enum Purpose {
    /// For the store, and for the client that waits.
    Miss { guard: Option<FetchGuard>, stale: Option<Arc<Object>> },
    /// For the store alone: a stale object is being served meanwhile.
    Background { guard: FetchGuard, stale: Arc<Object> },
    /// For one client alone; `keyed`: the key of the same URL's GET is made.
    Pass { keyed: bool },
}

/// What the waiting client hears of its fetch.
pub(crate) enum Event {
    /// An interim response.
    Interim(Box<ResponseHead>),
    /// The final head, and where the body comes from.
    Response(Box<Fetched>),
    /// The policy gave up without an answer.
    Abandoned(String),
}

/// The result of a fetch at the time of its response head.
pub(crate) struct Fetched {
    pub(crate) body: FetchedBody,
    pub(crate) stored: bool,
    pub(crate) outcome: Option<Outcome>,
    pub(crate) reason: Option<Reason>,
    pub(crate) fwd_status: Option<u16>,
    pub(crate) backend: String,
    pub(crate) error: Option<String>,
    /// Fields of the response that a stored copy must not have: for the client that caused the fetch alone.
    pub(crate) withheld: Headers,
    /// The fault that the response is made because of.
    pub(crate) fault: Option<ProxyError>,
    /// What may be told of it to everybody.
    pub(crate) details: Option<&'static str>,
    /// What went wrong, for the log.
    pub(crate) words: Option<FaultWords>,
    /// How often the request was sent again.
    pub(crate) retries: u32,
}

pub(crate) enum FetchedBody {
    Object(Arc<Object>, Option<Reader>),
    Transit { head: Box<ResponseHead>, reader: Reader, length: Option<u64> },
}

/// Everything that a fetch carries along.
pub(crate) struct Job {
    worker: Arc<Worker>,
    policy: Arc<Policy>,
    scene: Option<Box<Scene>>,
    key: KeyBuf,
    hash: u128,
    /// Fetch for the store? Passes are not.
    cacheable: bool,
    guard: Option<FetchGuard>,
    /// Of the purges since the request was sent.
    watch: Option<PurgeWatch>,
    stale: Option<Arc<Object>>,
    /// The stale object whose condition was sent.
    conditional: bool,
    events: Option<mpsc::Sender<Event>>,
    upload: Option<Pieces>,
    /// The request's body, where the policy has kept it: it can be sent any number of times.
    kept: Option<Arc<Kept>>,
    /// There was a request body, and some of it has gone: the request cannot be sent again.
    upload_spent: bool,
    upload_kind: crate::io::RequestBody,
    request_time: Time,
    response_time: Time,
    /// The most retries are used up: the next failure is final.
    retries_over: bool,
    /// The cookies of directors that the request came with.
    bound: Vec<u8>,
    /// The origins that it was sent to.
    tried: Vec<usize>,
    /// How often Copal itself has sent it to another one.
    sent_elsewhere: u32,
    /// It might have been sent again, but the budget for that is used up.
    budget_used_up: bool,
    origin: String,
    /// The Content-Length that the origin declared.
    declared_length: Option<u64>,
    /// What went wrong last, for the log.
    error: Option<String>,
    plan: partial::Plan,
    /// A pass whose key is made: its answer may say something of what is stored.
    keyed: bool,
    trace: Tracer,
}

/// A step of the fetch machine together with what it needs.
pub(crate) enum Next {
    BackendFetch,
    Response,
    BackendRefresh(Answer),
    BackendResponse(Answer),
    Body(Box<Transfer>),
    BackendError(Failure),
    Retry,
    Done,
}

/// An origin's answer; the head stands in `scene.beresp`.
pub(crate) struct Answer {
    /// `None`: there is no body to read (a 304 that renewed an object).
    exchange: Option<Box<Exchange>>,
    /// The stored object that a 304 has renewed.
    renewed: Option<Arc<Object>>,
}

/// A body on its way from an origin (or a page made here) to its writer.
pub(crate) struct Transfer {
    from: From,
    to: BodyWriter,
    object: Option<Arc<Object>>,
}

pub(crate) enum From {
    Origin(Box<Exchange>),
    Page(bytes::Bytes),
}

const SCENE_IS_HERE: &str = "the scene is away only while a hook runs";

impl Job {
    fn scene(&self) -> &Scene {
        self.scene.as_deref().expect(SCENE_IS_HERE)
    }
    fn scene_mut(&mut self) -> &mut Scene {
        self.scene.as_deref_mut().expect(SCENE_IS_HERE)
    }
    fn hook(&mut self, hook: Hook) -> Result<Action, Failure> {
        if self.policy.has(hook) {
            let now = self.worker.core.clock.now();
            self.scene_mut().now = now;
        }
        let result = run_hook(&self.worker, &self.policy, hook, &mut self.scene, &self.trace);
        if self.policy.has(hook) {
            // That the client's connection should end is for deliver to say.
            let _not_here = crate::words::leave_framing_to_the_front(&mut self.scene_mut().beresp.headers);
        }
        result.map_err(|fault| Failure::Script(fault.to_string()))
    }
    /// How often the request was sent again, by Copal or by the policy.
    fn retries(&self) -> u32 {
        self.scene().bereq_vars.retries + self.sent_elsewhere
    }

    /// What everybody may know of why there is no response, beside the error type.
    fn details(&self) -> Option<&'static str> {
        if self.budget_used_up {
            return Some("retry budget used up");
        }
        (self.retries() > 0).then_some("retried")
    }

    fn count(&self, counter: Counter) {
        self.worker.count(counter);
    }

    /// Tells the waiting client, if there is one and it is still there.
    fn tell(&mut self, event: Event) {
        if let Some(events) = self.events.take() {
            // The client may have left; the fetch goes on for the others.
            let _gone = events.try_send(event);
        }
    }
}

impl Next {
    fn name(&self) -> FetchStep {
        match self {
            Next::BackendFetch => FetchStep::BackendFetch,
            Next::Response => FetchStep::Response,
            Next::BackendRefresh(_) => FetchStep::BackendRefresh,
            Next::BackendResponse(_) => FetchStep::BackendResponse,
            Next::Body(_) => FetchStep::Body,
            Next::BackendError(_) => FetchStep::BackendError,
            Next::Retry => FetchStep::Retry,
            Next::Done => FetchStep::Done,
        }
    }
}

/// Begins a fetch for the client of `txn`; what it has to say comes through the channel.
pub(crate) fn start(
    worker: &Arc<Worker>,
    txn: &Txn,
    purpose: Purpose,
    upload: Option<(Pieces, crate::io::RequestBody)>,
) -> mpsc::Receiver<Event> {
    let (events, listener) = mpsc::channel(EVENTS_MAX);
    let mut job = job(worker, txn, purpose);
    job.events = Some(events);
    if let Some((pieces, kind)) = upload {
        job.upload = Some(pieces);
        job.upload_kind = kind;
    }
    tokio::spawn(run(job));
    listener
}

/// Renews a stale object that is being served meanwhile.
pub(crate) fn refresh_in_background(worker: &Arc<Worker>, txn: &Txn, guard: FetchGuard, stale: Arc<Object>) {
    tokio::spawn(run(job(worker, txn, Purpose::Background { guard, stale })));
}

fn job(worker: &Arc<Worker>, txn: &Txn, purpose: Purpose) -> Job {
    let keyed = matches!(purpose, Purpose::Pass { keyed: true });
    let (cacheable, background, guard, stale) = match purpose {
        Purpose::Miss { guard, stale } => (true, false, guard, stale),
        Purpose::Background { guard, stale } => (true, true, Some(guard), Some(stale)),
        Purpose::Pass { .. } => (false, false, None, None),
    };
    let mut scene = request::backend_scene(txn.scene(), cacheable, &worker.core.settings.via);
    scene.bereq_vars.is_bgfetch = background;
    scene.bereq_vars.time = worker.core.clock.now();
    scene.bereq_vars.uncacheable = !cacheable;
    txn.trace.note(|| forwarded(&scene));
    Job {
        worker: Arc::clone(worker),
        policy: Arc::clone(&txn.policy),
        scene: Some(scene),
        key: txn.key.clone(),
        hash: txn.hash,
        cacheable,
        guard,
        watch: None,
        stale,
        conditional: false,
        events: None,
        upload: None,
        kept: txn.kept.clone().filter(|_| !cacheable || txn.req().method != http::Method::HEAD),
        upload_spent: false,
        upload_kind: crate::io::RequestBody::None,
        request_time: txn.now,
        response_time: txn.now,
        retries_over: false,
        bound: txn.bound.clone(),
        tried: Vec::new(),
        sent_elsewhere: 0,
        budget_used_up: false,
        origin: String::new(),
        declared_length: None,
        error: None,
        plan: partial::Plan::default(),
        keyed,
        trace: txn.trace.of_fetch(),
    }
}

/// The driver: one step after the other, every edge checked against the table.
async fn run(mut job: Job) {
    job.count(Counter::Fetches);
    let running = job.worker.core.counters.hold(Counter::FetchesRunning);
    let mut next = Next::BackendFetch;
    for _ in 0..STEPS_MAX {
        let from = next.name();
        next = match next {
            Next::BackendFetch => backend_fetch::run(&mut job),
            Next::Response => response::run(&mut job).await,
            Next::BackendRefresh(answer) => backend_refresh::run(&mut job, answer),
            Next::BackendResponse(answer) => backend_response::run(&mut job, answer),
            Next::Body(transfer) => body::run(&mut job, *transfer).await,
            Next::BackendError(failure) => backend_error::run(&mut job, failure),
            Next::Retry => retry::run(&mut job),
            Next::Done => break,
        };
        assert!(fetch_edge_is_legal(from, next.name()), "no edge from {} to {}", from.name(), next.name().name());
        job.trace.edge(from.name(), next.name().name());
        #[cfg(test)]
        crate::edge_tests::saw(from.name(), next.name().name());
        if next.name() == FetchStep::Done {
            break;
        }
    }
    drop(running);
}

/// Waits for the head of the response while the request's body streams to the fetch; the next client step.
pub(crate) async fn await_head<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    mut events: mpsc::Receiver<Event>,
    mut upload: Option<Upload>,
    source: &mut R,
    sink: &mut W,
) -> Step {
    loop {
        let event = match &mut upload {
            Some(sending) => tokio::select! {
                biased;
                event = events.recv() => event,
                () = sending.pump(source) => {
                    upload = None;
                    continue;
                }
            },
            None => tokio::select! {
                biased;
                event = events.recv() => event,
                // The channel closes with this step: a fetch that is for this client alone ends by it.
                () = source.gone() => return client_left(worker, txn, sink).await,
            },
        };
        match event {
            Some(Event::Interim(head)) => {
                if sink.interim(&head).await.is_err() {
                    return client_left(worker, txn, sink).await;
                }
            }
            Some(Event::Response(fetched)) => return accept(worker, txn, *fetched, upload),
            Some(Event::Abandoned(why)) => {
                txn.error = Some(why);
                return Step::Synth(Page::fault(503, "The request was abandoned", ProxyError::ProxyInternalResponse));
            }
            None => {
                // Only a panic ends a fetch without a word.
                txn.error = Some("the fetch ended without an answer".to_owned());
                return Step::Synth(Page::fault(503, "The fetch failed", ProxyError::ProxyInternalError));
            }
        }
    }
}

fn accept(worker: &Worker, txn: &mut Txn, fetched: Fetched, upload: Option<Upload>) -> Step {
    let Fetched { body, stored, outcome, reason, fwd_status, backend, error, withheld, .. } = fetched;
    let now = worker.core.clock.now();
    txn.now = now;
    txn.scene_mut().now = now;
    txn.verdict.stored = stored;
    (txn.verdict.fault, txn.verdict.details) = (fetched.fault, fetched.details);
    (txn.fault, txn.retries) = (fetched.words, fetched.retries);
    txn.verdict.fwd_status = fwd_status;
    txn.withheld = withheld;
    if let Some(outcome) = outcome {
        txn.verdict.outcome = outcome;
        if outcome == Outcome::HitStaleError {
            worker.count(Counter::HitsStaleError);
        }
    }
    if reason.is_some()
        && (stored || !(txn.verdict.outcome == Outcome::Pass || txn.verdict.outcome == Outcome::HitForPass))
    {
        txn.verdict.reason = reason;
    }
    txn.backend = backend;
    txn.error = error;
    let body = match body {
        FetchedBody::Object(object, reader) => {
            txn.verdict.ttl = Some(crate::times::stored(&object.times()).ttl_left(txn.now));
            if !txn.req().method.is_safe() {
                // For the URLs that it names.
                txn.scene_mut().resp.decode(object.head());
            }
            Source::Object(object, reader)
        }
        FetchedBody::Transit { head, reader, length } => {
            txn.verdict.ttl = None;
            let scene = txn.scene_mut();
            scene.resp = *head;
            scene.obj = None;
            scene.resp_vars.hits = 0;
            Source::Transit { reader, length }
        }
    };
    if !invalidate(worker, txn) {
        return Step::Synth(Page::fault(503, "Policy fault", ProxyError::ProxyInternalError));
    }
    Step::Deliver(Delivery { body, upload })
}

/// RFC 9875 §3: an answer to an unsafe method drops what is stored of the groups that it names, of the same origin alone.
fn invalidate_groups(worker: &Worker, txn: &Txn) {
    let core = &worker.core;
    let groups = cache_tags::groups(&txn.scene().resp.headers, "cache-group-invalidation");
    if groups.is_empty() || !core.settings.invalidation.has_groups() {
        return;
    }
    let host = crate::protocols::host(txn.req());
    let keys: Vec<_> = groups.iter().map(|group| cache_tags::of_origin(&host, group)).collect();
    let count = core.store.purge_tags(&keys, copal_store::PurgeMode::Hard, txn.now);
    core.counters.add(Counter::PurgedObjects, count);
}

/// RFC 9111 §4.4: a non-error answer to an unsafe method drops what is stored under the same URL, and under the URLs that
/// it names. False when the policy's hash hook failed on the way.
fn invalidate(worker: &Worker, txn: &mut Txn) -> bool {
    if txn.req().method.is_safe() || txn.verdict.outcome != Outcome::Pass {
        return true;
    }
    invalidate_groups(worker, txn);
    let targets = copal_semantics::invalidation::targets(txn.req(), &txn.scene().resp);
    let url = txn.req().url.clone();
    let mut ok = true;
    for target in targets {
        if txn.verdict.stored && target == url {
            // What was stored there went before this answer took its place.
            continue;
        }
        txn.scene_mut().req.url = target;
        if crate::steps::hash::make_key(worker, txn).is_err() {
            ok = false;
            break;
        }
        worker.core.store.invalidate(txn.key.as_bytes(), txn.hash, txn.now);
    }
    txn.scene_mut().req.url = url;
    ok
}
