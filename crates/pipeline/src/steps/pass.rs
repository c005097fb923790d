//! pass: a fetch for this request alone, stored nowhere. The request's body streams through.

use super::{Page, Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::fetch::{self, Keep, Purpose, Upload};
use crate::io::{RequestBody, RequestSource, ResponseSink};
use crate::request_body::awaits_continue;
use crate::txn::Txn;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook};
use copal_semantics::ResponseHead;
use copal_semantics::cache_status::Fwd;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use http::Method;
use std::sync::Arc;

pub(crate) async fn run<R: RequestSource, W: ResponseSink>(
    worker: &Arc<Worker>,
    txn: &mut Txn,
    hit_for_pass: bool,
    reason: Reason,
    source: &mut R,
    sink: &mut W,
) -> Step {
    let action = match txn.hook(worker, Hook::Pass) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    match action {
        Action::Default | Action::Fetch => {}
        other => {
            return common_action(txn, Hook::Pass, other)
                .unwrap_or_else(|other| unavailable(worker, txn, Hook::Pass, &other));
        }
    }
    let spent = txn.body_spent && txn.kept.is_none();
    if spent && !matches!(txn.req().method, Method::GET | Method::HEAD) {
        // After a restart.
        txn.error = Some(
            "the request's body went to an origin before the restart: `std::cache_req_body(…)` in recv keeps it"
                .to_owned(),
        );
        return Step::Synth(Page::fault(503, "The request body is gone", ProxyError::ProxyInternalError));
    }
    worker.count(Counter::Passes);
    txn.verdict.outcome = if hit_for_pass { Outcome::HitForPass } else { Outcome::Pass };
    txn.verdict.fwd = Some(if reason == Reason::Method { Fwd::Method } else { Fwd::Bypass });
    txn.verdict.reason = Some(reason);
    let unread = txn.kept.is_none() && txn.prefix.is_none();
    if source.kind() != RequestBody::None && unread && awaits_continue(txn) {
        // RFC 9110 §10.1.1: a proxy may answer for the origin; the body is wanted, since it will be sent on.
        let go_on = ResponseHead { status: 100, ..ResponseHead::default() };
        if sink.interim(&go_on).await.is_err() {
            txn.error = Some("the client left before its request body was read".to_owned());
        }
    }
    let core = &worker.core;
    let copy = if core.settings.shadow.to.is_some() { core.settings.shadow.body_bytes } else { 0 };
    let keep = Keep { again: core.settings.retry.body_bytes, copy };
    let (upload, body) = if txn.kept.is_some() || spent {
        (None, None)
    } else {
        txn.body_spent = source.kind() != RequestBody::None;
        Upload::new(source.kind(), txn.prefix.take().map(|kept| kept.bytes), keep, &core.store)
    };
    let keyed = keyed(worker, txn, reason);
    if !keyed && txn.key.as_bytes().is_empty() && worker.core.backends.go_by_key() {
        // A director that goes by the key sends a URL to the same backend whether it is passed or not.
        if let Err(fault) = super::hash::make_key(worker, txn) {
            return policy_fault(&fault);
        }
    }
    let events = fetch::start(worker, txn, Purpose::Pass { keyed }, body);
    fetch::await_head(worker, txn, events, upload, source, sink).await
}

/// Makes the key of what a GET of the same URL would find, for an answer that may say something of it: to HEAD (RFC 9111
/// §4.3.5), and to a POST that the policy did not send past the cache (RFC 9110 §9.3.3). False: there is none.
fn keyed(worker: &Worker, txn: &mut Txn, reason: Reason) -> bool {
    let method = txn.req().method.clone();
    if !(method == Method::HEAD || method == Method::POST && reason == Reason::Method) {
        return false;
    }
    txn.scene_mut().req.method = Method::GET;
    let key = super::hash::make_key(worker, txn);
    txn.scene_mut().req.method = method;
    matches!(key, Ok(Action::Default | Action::Lookup))
}
