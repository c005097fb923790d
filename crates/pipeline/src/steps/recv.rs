//! recv: the request has been read. The policy may change it and say where it goes.

use super::{Page, Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::txn::Txn;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, builtin};
use copal_semantics::max_forwards;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;

/// What Allow names beside a 405 of Copal's own: the registered methods that it forwards (RFC 9110 §15.5.6 wants the
/// field). Others it forwards, too.
const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

pub(crate) fn run(worker: &Worker, txn: &mut Txn) -> Step {
    let action = match txn.hook(worker, Hook::Recv) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    let is_purge = txn.req().method.as_str() == "PURGE";
    if matches!(action, Action::Default | Action::Lookup | Action::Pass) && max_forwards::is_final(txn.req()) {
        return Step::Synth(final_recipient(txn));
    }
    match action {
        // A policy that says purge() has judged for itself who may.
        Action::Purge => Step::Hash { purge: true },
        // A PURGE never reaches an origin: whatever else is said of it, the configured ACL decides.
        Action::Default | Action::Lookup | Action::Pass if is_purge => guarded_purge(worker, txn),
        Action::Default => match builtin::recv(txn.scene()) {
            Action::Lookup => Step::Hash { purge: false },
            Action::Pass => Step::Pass { hit_for_pass: false, reason: Reason::Method },
            Action::Synth { status: 405, reason } => Step::Synth(Page {
                fault: Some(ProxyError::HttpRequestError),
                allow: Some(ALLOW),
                ..Page::new(405, reason)
            }),
            other => common_action(txn, Hook::Recv, other)
                .unwrap_or_else(|other| unavailable(worker, txn, Hook::Recv, &other)),
        },
        Action::Lookup => Step::Hash { purge: false },
        Action::Pass => Step::Pass { hit_for_pass: false, reason: Reason::Pass },
        other => {
            common_action(txn, Hook::Recv, other).unwrap_or_else(|other| unavailable(worker, txn, Hook::Recv, &other))
        }
    }
}

/// RFC 9110 §7.6.2: with `Max-Forwards: 0` an intermediary answers OPTIONS and TRACE itself. What a TRACE would send back
/// may hold what scripts in a browser must not see (§9.3.8), so it is refused, as most servers do.
fn final_recipient(txn: &Txn) -> Page {
    if txn.req().method == http::Method::TRACE {
        return Page { allow: Some(ALLOW), ..Page::fault(405, "", ProxyError::HttpRequestError) };
    }
    Page { body: Some(Vec::new()), allow: Some(ALLOW), ..Page::new(200, "") }
}

/// PURGE by the configuration: 405 when it is off, 403 when the peer may not.
fn guarded_purge(worker: &Worker, txn: &mut Txn) -> Step {
    let refused = match &worker.core.settings.purgers {
        None => Page {
            fault: Some(ProxyError::HttpRequestDenied),
            allow: Some(ALLOW),
            ..Page::new(405, "PURGE is off: no [purge] acl is set")
        },
        Some(acl) if !acl.contains(txn.scene().client.ip) => {
            Page::fault(403, "PURGE is not allowed from this address", ProxyError::HttpRequestDenied)
        }
        Some(_) => return Step::Hash { purge: true },
    };
    worker.count(Counter::PurgesRefused);
    Step::Synth(refused)
}
