//! The steps of the client machine: one file each, one function each. A step consumes what the one before found.

pub(crate) mod deliver;
pub(crate) mod hash;
pub(crate) mod hit;
pub(crate) mod lookup;
pub(crate) mod miss;
pub(crate) mod pass;
pub(crate) mod pipe;
pub(crate) mod purge;
pub(crate) mod recv;
pub(crate) mod restart;
pub(crate) mod synth;

use crate::core::Worker;
use crate::fetch::Upload;
use crate::io::ResponseSink;
use crate::step::ClientStep;
use crate::txn::Txn;
use bytes::Bytes;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Fault, Hook};
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use copal_store::{FetchGuard, Object, Reader};
use std::sync::Arc;

/// A step together with what it needs.
pub(crate) enum Step {
    Recv,
    Hash { purge: bool },
    Lookup,
    Hit(Found),
    Miss(Missing),
    Pass { hit_for_pass: bool, reason: Reason },
    Pipe,
    Purge,
    Synth(Page),
    Deliver(Delivery),
    Restart,
    Done,
}

impl Step {
    pub(crate) fn name(&self) -> ClientStep {
        match self {
            Step::Recv => ClientStep::Recv,
            Step::Hash { .. } => ClientStep::Hash,
            Step::Lookup => ClientStep::Lookup,
            Step::Hit(_) => ClientStep::Hit,
            Step::Miss(_) => ClientStep::Miss,
            Step::Pass { .. } => ClientStep::Pass,
            Step::Pipe => ClientStep::Pipe,
            Step::Purge => ClientStep::Purge,
            Step::Synth(_) => ClientStep::Synth,
            Step::Deliver(_) => ClientStep::Deliver,
            Step::Restart => ClientStep::Restart,
            Step::Done => ClientStep::Done,
        }
    }
}

/// An object that may be delivered.
pub(crate) struct Found {
    pub(crate) object: Arc<Object>,
    /// A place at the body of an object that is still arriving, taken while there was one to be had.
    pub(crate) reader: Option<Reader>,
    /// The right to renew it in the background, when it is stale and nobody else does.
    pub(crate) refresh: Option<FetchGuard>,
}

/// Nothing usable was found.
pub(crate) struct Missing {
    /// The right to fetch for all who wait; without it the fetch is for this request alone.
    pub(crate) guard: Option<FetchGuard>,
    /// What is past its time, to be renewed by a condition or served if the origin fails.
    pub(crate) stale: Option<Arc<Object>>,
    pub(crate) hit_for_miss: bool,
}

/// What Copal answers by itself.
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) reason: String,
    /// For redirects.
    pub(crate) location: Option<String>,
    /// A body already made, instead of the plain page.
    pub(crate) body: Option<Vec<u8>>,
    /// Nothing may follow on this connection.
    pub(crate) close: bool,
    /// The fault that it tells of, if it is one.
    pub(crate) fault: Option<ProxyError>,
    /// The methods that may be used instead (RFC 9110 §15.5.6: a 405 names them).
    pub(crate) allow: Option<&'static str>,
}

impl Page {
    pub(crate) fn new(status: u16, reason: impl Into<String>) -> Page {
        Page { status, reason: reason.into(), location: None, body: None, close: false, fault: None, allow: None }
    }

    /// A page that tells of a fault; Proxy-Status names it.
    pub(crate) fn fault(status: u16, reason: impl Into<String>, fault: ProxyError) -> Page {
        Page { fault: Some(fault), ..Page::new(status, reason) }
    }
}

/// A response whose head stands in `scene.resp` (or in the object), ready for the deliver hook.
pub(crate) struct Delivery {
    pub(crate) body: Source,
    /// The request body that is still on its way to the origin.
    pub(crate) upload: Option<Upload>,
}

/// Where the body of a response comes from.
pub(crate) enum Source {
    /// A stored object; its head is read from it. The reader, if its body is still arriving.
    Object(Arc<Object>, Option<Reader>),
    /// A response that streams through; its head is in the scene.
    Transit { reader: Reader, length: Option<u64> },
    /// Made here; its head is in the scene.
    Made(Bytes),
}

/// The client was seen to leave while its response was awaited: nothing more is done for it.
pub(crate) async fn client_left<W: ResponseSink>(worker: &Worker, txn: &mut Txn, sink: &mut W) -> Step {
    worker.count(Counter::ClientGone);
    txn.verdict.outcome = Outcome::Error;
    txn.error = Some("the client left while its response was awaited".to_owned());
    sink.abort().await;
    Step::Done
}

/// What a policy's fault leads to: 503 for this request and nothing else.
pub(crate) fn policy_fault(fault: &Fault) -> Step {
    let _logged_where_it_happened = fault;
    Step::Synth(Page::fault(503, "Policy fault", ProxyError::ProxyInternalError))
}

/// The actions that mean the same in every client hook; `None` for those that the step itself must know.
pub(crate) fn common_action(txn: &mut Txn, hook: Hook, action: Action) -> Result<Step, Action> {
    match action {
        Action::Synth { status, reason } => Ok(Step::Synth(Page::new(status, reason))),
        Action::Redirect { status, location } => {
            Ok(Step::Synth(Page { location: Some(location), ..Page::new(status, "") }))
        }
        Action::Fail { reason } => {
            let why = if reason.is_empty() { "the policy said fail()".to_owned() } else { reason };
            txn.error = Some(format!("hook `{}`: {why}", hook.name()));
            Ok(Step::Synth(Page::fault(503, "Policy failed", ProxyError::ProxyInternalError)))
        }
        Action::Restart => Ok(Step::Restart),
        other => Err(other),
    }
}

/// An action that this version cannot carry out here; the policy's checks refuse it at load where they can.
pub(crate) fn unavailable(worker: &Worker, txn: &mut Txn, hook: Hook, action: &Action) -> Step {
    worker.count(Counter::PolicyErrors);
    let text = format!("hook `{}` returned {action:?}, which cannot be carried out there", hook.name());
    tracing::warn!(target: "copal::policy", "{text}");
    txn.error = Some(text);
    Step::Synth(Page::fault(503, "Policy fault", ProxyError::ProxyInternalError))
}
