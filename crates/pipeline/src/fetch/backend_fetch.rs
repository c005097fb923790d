//! backend_fetch: the request to the origin is made ready; the policy may change it.

use super::{Failure, Job, Next};
use copal_policy::{Action, Hook};
use copal_semantics::ResponseHead;
use copal_semantics::validation;

pub(super) fn run(job: &mut Job) -> Next {
    // Conditions and ranges are for GET (RFC 9110 §13.1.2, §14.2); another method is here with a body that was kept.
    if job.scene().bereq.method == http::Method::GET {
        add_condition(job);
        super::partial::plan(job);
    }
    match job.hook(Hook::BackendFetch) {
        Ok(Action::Default | Action::Fetch) => Next::Response,
        Ok(Action::Abandon) => job.abandon("backend_fetch"),
        Ok(Action::Error { status, reason }) => {
            Next::BackendError(Failure::Policy { status, reason, instead_of_fault: false })
        }
        Ok(other) => Next::BackendError(Failure::from_action(Hook::BackendFetch, &other)),
        Err(failure) => Next::BackendError(failure),
    }
}

/// A stale object with a validator and a whole body is renewed by a condition (RFC 9111 §4.3.1).
fn add_condition(job: &mut Job) {
    let Some(stale) = job.stale.clone() else { return };
    if job.scene().bereq_vars.retries > 0 || !stale.body().is_complete() || stale.is_purged() {
        return;
    }
    let mut head = ResponseHead::default();
    head.decode(stale.head());
    let conditional = validation::conditional_headers(&head, &mut job.scene_mut().bereq.headers);
    job.conditional = conditional;
}
