//! synth: Copal answers by itself: a plain page, a redirect, or what the policy makes of it.

use super::{Delivery, Page, Source, Step, policy_fault, unavailable};
use crate::core::Worker;
use crate::txn::{Txn, Verdict};
use bytes::Bytes;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, builtin};
use copal_semantics::proxy_status::ProxyError;

/// Pages made in a row for one request: the page, and the one that says that its hook failed.
const PAGES_MAX: u32 = 2;

pub(crate) fn run(worker: &Worker, txn: &mut Txn, page: Page) -> Step {
    worker.count(Counter::Synths);
    if !matches!(txn.verdict.outcome, Outcome::Purge) {
        txn.verdict.outcome = if txn.error.is_some() { Outcome::Error } else { Outcome::Synth };
    }
    // Whatever was found or fetched before, this response is made here.
    let Verdict { outcome, .. } = txn.verdict;
    txn.verdict = Verdict { outcome, ..Verdict::default() };
    txn.synths += 1;
    let Page { status, reason, location, body, close, fault, allow } = page;
    txn.verdict.fault = fault;
    txn.close = txn.close || close;
    {
        let now = txn.now;
        let scene = txn.scene_mut();
        scene.obj = None;
        scene.resp.clear();
        scene.resp.status = status;
        scene.resp.reason = crate::words::reason_phrase(&reason);
        scene.resp_vars.hits = 0;
        scene.resp_vars.body = body;
        let headers = &mut scene.resp.headers;
        // These names and values are ours or checked above: nothing here can be refused but an unusable redirect.
        let _valid = headers.set("Date", copal_semantics::date::http_date(now));
        if let Some(location) = &location {
            let _unusable = headers.set("Location", location);
        }
        if let Some(allow) = allow {
            let _valid = headers.set("Allow", allow);
        }
        if status % 1000 == 503 {
            let _valid = headers.set("Retry-After", "5");
        }
    }
    if txn.synths <= PAGES_MAX {
        match txn.hook(worker, Hook::Synth) {
            Ok(Action::Default | Action::Deliver) => {}
            Ok(Action::Restart) => return Step::Restart,
            Ok(Action::Fail { .. }) => plain(txn, 503, "Policy failed"),
            Ok(other) => {
                // Counted and logged; what is sent is the plain page, since synth cannot lead to synth.
                let _page = unavailable(worker, txn, Hook::Synth, &other);
                plain(txn, 503, "Policy fault");
            }
            Err(fault) => {
                let _page = policy_fault(&fault);
                plain(txn, 503, "Policy fault");
            }
        }
    }
    let scene = txn.scene_mut();
    // An empty body is of no type.
    let has_content = scene.resp_vars.body.as_ref().is_some_and(|body| !body.is_empty());
    if has_content && !scene.resp.headers.contains("content-type") {
        let _valid = scene.resp.headers.set("Content-Type", "text/plain; charset=utf-8");
    }
    // Says nothing but deliver; what it does is the plain page, where nobody has made one.
    let _deliver = builtin::synth(scene);
    let body = scene.resp_vars.body.take().unwrap_or_default();
    Step::Deliver(Delivery { body: Source::Made(Bytes::from(body)), upload: None })
}

fn plain(txn: &mut Txn, status: u16, reason: &str) {
    txn.verdict.outcome = Outcome::Error;
    txn.verdict.fault = Some(ProxyError::ProxyInternalError);
    let resp = &mut txn.scene_mut().resp;
    resp.status = status;
    resp.reason = reason.to_owned();
    txn.scene_mut().resp_vars.body = None;
}
