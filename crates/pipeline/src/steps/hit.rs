//! hit: an object was found, fresh or in grace. The policy may still decide otherwise.

use super::{Delivery, Found, Missing, Source, Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::fetch;
use crate::txn::Txn;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, ObjectVars};
use copal_semantics::Time;
use copal_semantics::cache_status::Fwd;
use copal_semantics::reason::Reason;
use copal_store::Object;
use std::sync::Arc;

pub(crate) fn run(worker: &Arc<Worker>, txn: &mut Txn, found: Found) -> Step {
    let Found { object, reader, refresh } = found;
    if txn.policy.has(Hook::Hit) {
        let mut vars = ObjectVars { head: std::mem::take(&mut txn.spare_head), ..object_vars(txn.now, &object) };
        vars.head.decode(object.head());
        if txn.policy.reads_lengths() {
            crate::words::show_length(&mut vars.head.headers, object.body().len_known());
        }
        txn.scene_mut().obj = Some(vars);
    }
    let action = match txn.hook(worker, Hook::Hit) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    match action {
        Action::Default | Action::Deliver => {
            object.record_hit(txn.now);
            worker.count(match txn.verdict.outcome {
                Outcome::HitGrace => Counter::HitsGrace,
                Outcome::HitStaleError => Counter::HitsStaleError,
                Outcome::Coalesced => Counter::HitsCoalesced,
                _ => Counter::HitsFresh,
            });
            hand_on_head(txn);
            if let Some(guard) = refresh {
                worker.count(Counter::BackgroundFetches);
                fetch::refresh_in_background(worker, txn, guard, Arc::clone(&object));
            }
            Step::Deliver(Delivery { body: Source::Object(object, reader), upload: None })
        }
        Action::Miss => {
            txn.verdict.fwd = Some(Fwd::Request);
            txn.verdict.reason = Some(Reason::Policy);
            Step::Miss(Missing { guard: refresh, stale: Some(object), hit_for_miss: false })
        }
        Action::Pass => Step::Pass { hit_for_pass: false, reason: Reason::Pass },
        other => {
            common_action(txn, Hook::Hit, other).unwrap_or_else(|other| unavailable(worker, txn, Hook::Hit, &other))
        }
    }
}

/// The hook has seen the object's head, and nothing can write to that: the response begins with it.
fn hand_on_head(txn: &mut Txn) {
    // With a length for the hook to see, it is not what the response begins with.
    if !txn.policy.has(Hook::Hit) || txn.policy.reads_lengths() {
        return;
    }
    let scene = txn.scene_mut();
    if let Some(obj) = &mut scene.obj {
        std::mem::swap(&mut scene.resp, &mut obj.head);
        obj.head.clear();
        txn.head_is_read = true;
    }
}

/// What hooks may know of an object, all but its head.
pub(crate) fn object_vars(now: Time, object: &Object) -> ObjectVars {
    let times = object.times();
    ObjectVars {
        ttl: crate::times::stored(&times).ttl_left(now),
        grace: times.grace,
        keep: times.keep,
        age: times.age(now),
        hits: u64::from(object.hits()),
        uncacheable: false,
        ..ObjectVars::default()
    }
}
