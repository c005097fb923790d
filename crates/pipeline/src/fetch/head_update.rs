//! RFC 9111 §4.3.5: an answer to HEAD that passes by renews the stored response that it describes, or makes it stale.
//!
//! Invariant: nothing that was said to one user gets into what others are served.

use super::Job;
use crate::times::to_store;
use copal_observe::counters::Counter;
use copal_semantics::freshness::{Freshness, freshness};
use copal_semantics::storability::{Storability, storability, strip_unstorable};
use copal_semantics::validation::{HeadUpdate, head_update};
use copal_semantics::{Headers, ResponseHead};
use copal_store::{Kind, Object};
use http::Method;
use std::sync::Arc;

/// `fresh`: how long the answer would be fresh by the rules; the policy has had its word in the scene.
pub(super) fn run(job: &Job, fresh: &Freshness) {
    let scene = job.scene();
    if !job.keyed || scene.req.method != Method::HEAD || !is_anonymous(&scene.req.headers) {
        return;
    }
    let store = &job.worker.core.store;
    let vary = crate::selecting::values(&job.worker.core, &scene.req.headers);
    let found = store.lookup(job.key.as_bytes(), job.hash, &vary, job.response_time);
    let Some(object) = found.filter(|object| object.kind() == Kind::Cacheable && object.body().is_complete()) else {
        return;
    };
    let (stored, told) = (stored_head(&object), with_length(&scene.beresp, job.declared_length));
    match head_update(&stored, &told) {
        HeadUpdate::Update(mut head, _) if may_be_stored(job) => {
            head.headers.remove("content-length");
            let rules = &job.worker.core.rules;
            let as_get = freshness(&scene.req, &head, rules, job.request_time, job.response_time);
            let vars = &scene.beresp_vars;
            let by_policy = vars.ttl != fresh.ttl;
            let mut times = to_store(vars, &as_get, by_policy, job.response_time);
            if !by_policy {
                // What the answer does not say, the stored head does.
                times.ttl = (as_get.ttl + times.initial_age).non_negative();
            }
            let effective = rules.directives(&head);
            strip_unstorable(&mut head.headers, &effective, rules);
            let _renewed = store.refresh(&object, &head.encode(), times, None);
            job.count(Counter::HeadUpdates);
        }
        HeadUpdate::Invalidate(_) => {
            store.make_stale(&object, job.response_time);
            job.count(Counter::HeadInvalidations);
        }
        HeadUpdate::Update(..) | HeadUpdate::Ignore(_) => {}
    }
}

/// What an origin says to one user is not what it says to all.
fn is_anonymous(request: &Headers) -> bool {
    !request.contains("cookie") && !request.contains("authorization")
}

/// Would the same answer to GET be stored?
fn may_be_stored(job: &Job) -> bool {
    let mut req = job.scene().req.clone();
    req.method = Method::GET;
    matches!(storability(&req, &job.scene().beresp, &job.worker.core.rules), Storability::Store(_))
}

fn stored_head(object: &Arc<Object>) -> ResponseHead {
    let mut head = ResponseHead::default();
    head.decode(object.head());
    with_length(&head, object.body().len_known())
}

/// Content-Length is kept beside the head, with the framing.
fn with_length(head: &ResponseHead, length: Option<u64>) -> ResponseHead {
    let mut head = head.clone();
    crate::words::show_length(&mut head.headers, length);
    head
}
