//! restart: back to recv with the request as the policy has changed it, a limited number of times.

use super::{Page, Step};
use crate::core::Worker;
use crate::txn::{Txn, Verdict};
use copal_observe::counters::Counter;
use copal_semantics::proxy_status::ProxyError;

pub(crate) fn run(worker: &Worker, txn: &mut Txn) -> Step {
    let restarts = txn.scene().req_vars.restarts;
    if restarts >= worker.core.settings.max_restarts {
        txn.error = Some(format!("more than {restarts} restarts: [policy] max_restarts"));
        return Step::Synth(Page::fault(503, "Too many restarts", ProxyError::ProxyInternalError));
    }
    worker.count(Counter::Restarts);
    txn.verdict = Verdict::default();
    txn.waits = 0;
    let scene = txn.scene_mut();
    scene.req_vars.restarts = restarts + 1;
    scene.req_vars.is_hitmiss = false;
    scene.req_vars.is_hitpass = false;
    scene.obj = None;
    Step::Recv
}
