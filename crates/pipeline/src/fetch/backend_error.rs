//! backend_error: there is no response.
//!
//! ```text
//! hook ─┬─ retry ───▶ once more
//!       ├─ abandon ─▶ no answer
//!       └─ deliver, nothing ─┬─ a stale object may be served ─▶ that
//!                            └─ none ─▶ the page: the policy's, or a plain one ─┬─ given a ttl ─▶ stored
//!                                                                              └─ none ─▶ for this client
//! ```
//!
//! A stale object goes before every page: a policy that always makes one still survives its application going down.

use super::backend_response::storage;
use super::{Event, Failure, Fetched, FetchedBody, From, Job, Next, Transfer};
use bytes::Bytes;
use copal_backend::{FaultKind, Phase};
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_observe::trace::Event as Note;
use copal_policy::{Action, Hook, builtin};
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use copal_semantics::{Headers, Span};
use copal_store::{BodyWriter, Kind, Object, Times};
use std::sync::Arc;

pub(super) fn run(job: &mut Job, failure: Failure) -> Next {
    let text = failure.to_string();
    count(job, &failure);
    let words = failure.words();
    if !is_told_by_the_backend(job, &failure) {
        tracing::warn!(
            target: "copal::fetch",
            url = %job.scene().bereq.url,
            backend = %job.origin,
            phase = words.phase,
            error = words.error,
            by = words.by,
            retry_safe = words.retry_safe,
            "{text}"
        );
    }
    job.trace.note(|| Note::Failed { error: failure.error().token(), text: text.clone() });
    if let Failure::Status(_) = failure
        && let Some((stale, why)) = job.usable_stale()
    {
        // An answer, which nobody needs now. It would not have come here without the stale object, so the hook is not asked.
        return serve_stale(job, stale, why, &failure, text);
    }
    dress(job, &failure);
    let valid = match job.hook(Hook::BackendError) {
        Ok(Action::Retry) if !job.retries_over => return Next::Retry,
        Ok(Action::Abandon) => return job.abandon("backend_error"),
        Ok(Action::Default | Action::Deliver | Action::Retry) => true,
        Ok(_) | Err(_) => false,
    };
    if valid
        && failure.stale_covers()
        && let Some((stale, why)) = job.usable_stale()
    {
        return serve_stale(job, stale, why, &failure, text);
    }
    if !valid {
        let scene = job.scene_mut();
        scene.beresp.status = 503;
        scene.beresp.reason = "Policy fault".to_owned();
        scene.beresp_vars = copal_policy::BackendResponseVars::default();
    }
    page(job, &failure, text)
}

fn serve_stale(job: &mut Job, stale: Arc<Object>, why: Reason, failure: &Failure, text: String) -> Next {
    if let Some(guard) = job.guard.take() {
        guard.publish_stale(&stale);
    }
    let made = Made { body: FetchedBody::Object(stale, None), stored: false, withheld: Headers::new() };
    tell(job, made, (Outcome::HitStaleError, why), failure, None, text);
    Next::Done
}

/// A refresh that finds its backend full: every grace hit may be one, and the backend warns of them all together.
fn is_told_by_the_backend(job: &Job, failure: &Failure) -> bool {
    let full = matches!(failure, Failure::Origin(fault) if fault.kind == FaultKind::Busy);
    full && job.scene().bereq_vars.is_bgfetch
}

/// The head of the page, as `backend_error` finds it.
fn dress(job: &mut Job, failure: &Failure) {
    let now = job.worker.core.clock.now();
    let scene = job.scene_mut();
    scene.beresp.clear();
    scene.beresp.status = failure.status();
    scene.beresp.reason = crate::words::reason_phrase(&failure.reason_phrase());
    scene.beresp_vars = copal_policy::BackendResponseVars::default();
    // Our own words are never refused.
    let _valid = scene.beresp.headers.set("Date", copal_semantics::date::http_date(now));
    if scene.beresp.status == 503 {
        let _valid = scene.beresp.headers.set("Retry-After", "5");
    }
}

/// There is nothing else to serve: the policy's page, or a plain one.
fn page(job: &mut Job, failure: &Failure, text: String) -> Next {
    let scene = job.scene_mut();
    // Says nothing but deliver; what it does is the plain page, where the policy has made none.
    let _deliver = builtin::backend_error(scene);
    let body = Bytes::from(scene.beresp_vars.body.take().unwrap_or_default());
    let (fault, verdict) = (Some(failure.error()), (Outcome::Error, Reason::FetchFailed));
    if let Some(((object, to), withheld)) = keep(job, body.len() as u64) {
        let reader = object.body().reader();
        let of_store = FetchedBody::Object(Arc::clone(&object), reader);
        let made = Made { body: of_store, stored: object.is_stored(), withheld };
        tell(job, made, verdict, failure, fault, text);
        return Next::Body(Box::new(Transfer { from: From::Page(body), to, object: Some(object) }));
    }
    if let Some(guard) = job.guard.take() {
        guard.fail();
    }
    let head = Box::new(job.scene().beresp.clone());
    let core = &job.worker.core;
    let (reader, to) = core.store.transit_body(core.settings.transit_window as u64);
    let in_transit = FetchedBody::Transit { head, reader, length: Some(body.len() as u64) };
    let made = Made { body: in_transit, stored: false, withheld: Headers::new() };
    tell(job, made, verdict, failure, fault, text);
    Next::Body(Box::new(Transfer { from: From::Page(body), to, object: None }))
}

/// A page that the policy has given a lifetime is stored like a response, as in VCL: an origin that is down is then not
/// asked again by every request. With `uncacheable`, that it is not stored is what is remembered.
fn keep(job: &mut Job, length: u64) -> Option<((Arc<Object>, BodyWriter), Headers)> {
    let vars = &job.scene().beresp_vars;
    let lives = vars.ttl + vars.grace.max(vars.stale_if_error).non_negative();
    // Asked for although there may be an object: an error does not take its place.
    if !job.cacheable || lives <= Span::ZERO || job.scene().req_vars.hash_always_miss {
        return None;
    }
    if vars.uncacheable {
        super::backend_response::leave_marker(job, Kind::HitForMiss, vars.ttl);
        if let Some(guard) = job.guard.take() {
            guard.uncacheable();
        }
        return None;
    }
    if length > job.worker.core.store.object_size_max(storage(job)) {
        job.count(Counter::StoreRefused);
        return None;
    }
    let times = Times {
        grace: vars.grace.non_negative(),
        stale_if_error: vars.stale_if_error.non_negative(),
        keep: vars.keep.non_negative(),
        ..Times::fresh(job.worker.core.clock.now(), vars.ttl.non_negative())
    };
    let ((object, writer), withheld) = super::backend_response::store(job, times, Some(length));
    if object.is_stored() {
        job.count(Counter::Stores);
    }
    if let Some(guard) = job.guard.take() {
        guard.publish(&object);
    }
    Some(((object, writer), withheld))
}

/// What is served instead of a response.
struct Made {
    body: FetchedBody,
    stored: bool,
    withheld: Headers,
}

fn tell(
    job: &mut Job,
    made: Made,
    (outcome, why): (Outcome, Reason),
    failure: &Failure,
    fault: Option<ProxyError>,
    text: String,
) {
    let event = Event::Response(Box::new(Fetched {
        body: made.body,
        stored: made.stored,
        outcome: Some(outcome),
        reason: Some(why),
        fwd_status: failure.answered(),
        backend: job.origin.clone(),
        error: Some(text),
        withheld: made.withheld,
        fault,
        words: Some(failure.words()),
        retries: job.retries(),
        details: fault.and_then(|_| job.details()),
    }));
    job.tell(event);
}

fn count(job: &Job, failure: &Failure) {
    job.count(Counter::FetchesFailed);
    job.count(match failure {
        Failure::Policy { .. } | Failure::Script(_) | Failure::NoRetry(_) => Counter::FetchFailedPolicy,
        Failure::BadAnswer(_) | Failure::Status(_) => Counter::FetchFailedProtocol,
        Failure::Origin(fault) => match (&fault.kind, fault.phase) {
            (FaultKind::NoHealthyBackend, _) => Counter::FetchFailedNoBackend,
            (FaultKind::Busy, _) => Counter::FetchFailedLimit,
            (FaultKind::Client(_) | FaultKind::BadRequest, _) => Counter::FetchFailedSend,
            (_, Phase::Resolve | Phase::Connect | Phase::Tls | Phase::Pool) => Counter::FetchFailedConnect,
            (FaultKind::Timeout, _) => Counter::FetchFailedTimeout,
            (_, Phase::Send) => Counter::FetchFailedSend,
            (_, Phase::Head) => Counter::FetchFailedProtocol,
            (_, Phase::Body) => Counter::FetchFailedBody,
        },
    });
}
