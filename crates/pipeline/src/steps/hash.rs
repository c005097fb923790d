//! hash: the cache key is made. Without a hook: url and host, as in VCL.

use super::{Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::txn::Txn;
use copal_policy::{Action, Fault, Hook};

pub(crate) fn run(worker: &Worker, txn: &mut Txn, purge: bool) -> Step {
    match make_key(worker, txn) {
        Ok(Action::Default | Action::Lookup) if purge => Step::Purge,
        Ok(Action::Default | Action::Lookup) => Step::Lookup,
        Ok(other) => {
            common_action(txn, Hook::Hash, other).unwrap_or_else(|other| unavailable(worker, txn, Hook::Hash, &other))
        }
        Err(fault) => policy_fault(&fault),
    }
}

/// Makes the key of the request as it stands in the scene: what the hook added, then url and host unless the hook
/// returned `lookup`.
pub(crate) fn make_key(worker: &Worker, txn: &mut Txn) -> Result<Action, Box<Fault>> {
    txn.scene_mut().key.clear();
    let action = txn.hook(worker, Hook::Hash)?;
    txn.build_key(action != Action::Lookup);
    txn.hash = worker.core.store.hash(txn.key.as_bytes());
    txn.trace.note(|| crate::tracer::key(txn));
    Ok(action)
}
