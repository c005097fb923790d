//! purge: every variant under the key is dropped, or made stale, and the number told.

use super::{Page, Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::txn::Txn;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, builtin};

pub(crate) fn run(worker: &Worker, txn: &mut Txn) -> Step {
    let count = worker.core.store.purge(txn.key.as_bytes(), txn.hash, txn.purge_mode, txn.now);
    worker.count(Counter::Purges);
    worker.core.counters.add(Counter::PurgedObjects, count);
    txn.verdict.outcome = Outcome::Purge;
    txn.scene_mut().purge_count = count;
    let action = match txn.hook(worker, Hook::Purge) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    match action {
        Action::Default => match builtin::purge(txn.scene()) {
            // The number alone on a line: this answer is read by programs more than by people.
            Action::Synth { status, reason } => {
                Step::Synth(Page { body: Some(format!("purged {count}\n").into_bytes()), ..Page::new(status, reason) })
            }
            other => unavailable(worker, txn, Hook::Purge, &other),
        },
        other => {
            common_action(txn, Hook::Purge, other).unwrap_or_else(|other| unavailable(worker, txn, Hook::Purge, &other))
        }
    }
}
