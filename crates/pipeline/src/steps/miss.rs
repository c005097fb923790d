//! miss: nothing usable. A fetch begins that will be stored if it may be; its head is awaited.

use super::{Missing, Step, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::fetch::{self, Purpose};
use crate::io::{RequestSource, ResponseSink};
use crate::txn::Txn;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook};
use copal_semantics::reason::Reason;
use std::sync::Arc;

pub(crate) async fn run<R: RequestSource, W: ResponseSink>(
    worker: &Arc<Worker>,
    txn: &mut Txn,
    missing: Missing,
    source: &mut R,
    sink: &mut W,
) -> Step {
    let action = match txn.hook(worker, Hook::Miss) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    match action {
        Action::Default | Action::Fetch => {}
        Action::Pass => return Step::Pass { hit_for_pass: false, reason: Reason::Pass },
        other => {
            return common_action(txn, Hook::Miss, other)
                .unwrap_or_else(|other| unavailable(worker, txn, Hook::Miss, &other));
        }
    }
    worker.count(Counter::Misses);
    txn.verdict.outcome = if missing.hit_for_miss { Outcome::HitForMiss } else { Outcome::Miss };
    if txn.verdict.fwd.is_none() {
        txn.verdict.fwd = Some(super::lookup::nothing_found(worker, txn));
    }
    let purpose = Purpose::Miss { guard: missing.guard, stale: missing.stale };
    let events = fetch::start(worker, txn, purpose, None);
    fetch::await_head(worker, txn, events, None, source, sink).await
}
