//! backend_error: there is no response. First a stale object, then the policy's page, then a plain one.

use super::{Event, Failure, Fetched, FetchedBody, From, Job, Next, Transfer};
use bytes::Bytes;
use copal_backend::{FaultKind, Phase};
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_observe::trace::Event as Note;
use copal_policy::{Action, Hook, builtin};
use copal_semantics::Headers;
use copal_semantics::reason::Reason;

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
    let stale = if failure.stale_covers() { job.usable_stale() } else { None };
    let Some((stale, why)) = stale else { return page(job, &failure, text) };
    if let Some(guard) = job.guard.take() {
        guard.publish_stale(&stale);
    }
    let event = Event::Response(Box::new(Fetched {
        body: FetchedBody::Object(stale, None),
        stored: false,
        outcome: Some(Outcome::HitStaleError),
        reason: Some(why),
        fwd_status: failure.answered(),
        backend: job.origin.clone(),
        error: Some(text),
        withheld: Headers::new(),
        fault: None,
        words: Some(words),
        retries: job.retries(),
        details: None,
    }));
    job.tell(event);
    Next::Done
}

/// A refresh that finds its backend full: every grace hit may be one, and the backend warns of them all together.
fn is_told_by_the_backend(job: &Job, failure: &Failure) -> bool {
    let full = matches!(failure, Failure::Origin(fault) if fault.kind == FaultKind::Busy);
    full && job.scene().bereq_vars.is_bgfetch
}

fn page(job: &mut Job, failure: &Failure, text: String) -> Next {
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
    match job.hook(Hook::BackendError) {
        Ok(Action::Retry) if !job.retries_over => return Next::Retry,
        Ok(Action::Abandon) => return job.abandon("backend_error"),
        Ok(Action::Default | Action::Deliver | Action::Retry) => {}
        Ok(_) | Err(_) => {
            let scene = job.scene_mut();
            scene.beresp.status = 503;
            scene.beresp.reason = "Policy fault".to_owned();
            scene.beresp_vars.body = None;
        }
    }
    if let Some(guard) = job.guard.take() {
        guard.fail();
    }
    job.error = Some(text);
    let scene = job.scene_mut();
    // Says nothing but deliver; what it does is the plain page, where the policy has made none.
    let _deliver = builtin::backend_error(scene);
    let body = scene.beresp_vars.body.take().unwrap_or_default();
    let (head, length) = (scene.beresp.clone(), body.len() as u64);
    let core = &job.worker.core;
    let (reader, writer) = core.store.transit_body(core.settings.transit_window as u64);
    let event = Event::Response(Box::new(Fetched {
        body: FetchedBody::Transit { head: Box::new(head), reader, length: Some(length) },
        stored: false,
        outcome: Some(Outcome::Error),
        reason: Some(Reason::FetchFailed),
        fwd_status: failure.answered(),
        backend: job.origin.clone(),
        error: job.error.take(),
        withheld: Headers::new(),
        fault: Some(failure.error()),
        words: Some(failure.words()),
        retries: job.retries(),
        details: job.details(),
    }));
    job.tell(event);
    Next::Body(Box::new(Transfer { from: From::Page(Bytes::from(body)), to: writer, object: None }))
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
