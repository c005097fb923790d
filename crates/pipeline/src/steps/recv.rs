//! recv: the request has been read. The policy may change it and say where it goes.

use super::{Page, Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::txn::Txn;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, builtin};
use copal_semantics::reason::Reason;

pub(crate) fn run(worker: &Worker, txn: &mut Txn) -> Step {
    let action = match txn.hook(worker, Hook::Recv) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    let is_purge = txn.req().method.as_str() == "PURGE";
    match action {
        // A policy that says purge() has judged for itself who may.
        Action::Purge => Step::Hash { purge: true },
        // A PURGE never reaches an origin: whatever else is said of it, the configured ACL decides.
        Action::Default | Action::Lookup | Action::Pass if is_purge => guarded_purge(worker, txn),
        Action::Default => match builtin::recv(txn.scene()) {
            Action::Lookup => Step::Hash { purge: false },
            Action::Pass => Step::Pass { hit_for_pass: false, reason: Reason::Method },
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

/// PURGE by the configuration: 405 when it is off, 403 when the peer may not.
fn guarded_purge(worker: &Worker, txn: &mut Txn) -> Step {
    let refused = match &worker.core.settings.purgers {
        None => Page::new(405, "PURGE is off: no [purge] acl is set"),
        Some(acl) if !acl.contains(txn.scene().client.ip) => Page::new(403, "PURGE is not allowed from this address"),
        Some(_) => return Step::Hash { purge: true },
    };
    worker.count(Counter::PurgesRefused);
    Step::Synth(refused)
}
