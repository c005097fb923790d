//! backend_refresh: the origin says that the stale object is still good (RFC 9111 §4.3.4). Its head is renewed, its body
//! kept.

use super::{Answer, Failure, Job, Next};
use crate::steps::hit::object_vars;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, ObjectVars};
use copal_semantics::ResponseHead;
use copal_semantics::validation::{self, Freshening};

pub(super) fn run(job: &mut Job, mut answer: Answer) -> Next {
    job.count(Counter::Fetches304);
    let Some(stale) = job.stale.clone() else {
        return Next::BackendError(Failure::BadAnswer("a 304 without an object to renew"));
    };
    let mut stored = ResponseHead::default();
    stored.decode(stale.head());
    if job.policy.has(Hook::BackendRefresh) {
        let now = job.worker.core.clock.now();
        let mut vars = ObjectVars { head: stored.clone(), ..object_vars(now, &stale) };
        if job.policy.reads_lengths() {
            crate::words::show_length(&mut vars.head.headers, stale.body().len_known());
        }
        job.scene_mut().obj = Some(vars);
    }
    match validation::freshens(&stored, &job.scene().beresp) {
        Freshening::Update(_) => {}
        Freshening::Mismatch(_) => {
            // The 304 speaks of another response: once more, without a condition.
            job.stale = None;
            job.conditional = false;
            for name in ["if-none-match", "if-modified-since"] {
                job.scene_mut().bereq.headers.remove(name);
            }
            return Next::Retry;
        }
    }
    let action = match job.hook(Hook::BackendRefresh) {
        Ok(action) => action,
        Err(failure) => return Next::BackendError(failure),
    };
    let fresh = &job.scene().beresp;
    let head = match action {
        Action::Default | Action::Merge => validation::merge_304(&stored, fresh),
        Action::KeepStale => stored,
        Action::UseNew => use_new(&stored, fresh),
        Action::Retry => return Next::Retry,
        Action::Abandon => return job.abandon("backend_refresh"),
        Action::Error { status, reason } => {
            return Next::BackendError(Failure::Policy { status, reason, instead_of_fault: false });
        }
        other => return Next::BackendError(Failure::from_action(Hook::BackendRefresh, &other)),
    };
    let scene = job.scene_mut();
    scene.beresp = head;
    scene.beresp_vars.was_304 = true;
    answer.renewed = Some(stale);
    Next::BackendResponse(answer)
}

/// Only what the 304 says, and what describes the body, from the stored head.
fn use_new(stored: &ResponseHead, fresh: &ResponseHead) -> ResponseHead {
    let mut head = fresh.clone();
    head.status = stored.status;
    head.reason.clone_from(&stored.reason);
    for name in ["Content-Length", "Content-Encoding", "Content-Type", "ETag", "Last-Modified"] {
        if let (false, Some(value)) = (head.headers.contains(name), stored.headers.get(name)) {
            // It was stored, so it is valid.
            let _valid = head.headers.set(name, value);
        }
    }
    head
}
