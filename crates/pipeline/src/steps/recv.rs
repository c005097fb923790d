//! recv: the request has been read. The policy may change it and say where it goes.

use super::{Page, Step, client_left, common_action, policy_fault, unavailable};
use crate::core::Worker;
use crate::io::{RequestSource, ResponseSink, SourceFault};
use crate::protocols::{Wanted, recognise, refreshes};
use crate::request_body::{self, Read};
use crate::txn::Txn;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook, RequestBody, builtin};
use copal_semantics::max_forwards;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use copal_store::{BanExpr, PurgeMode};
use std::sync::Arc;

/// What Allow names beside a 405 of Copal's own: the registered methods that it forwards (RFC 9110 §15.5.6 wants the
/// field). Others it forwards, too.
const ALLOW: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";

pub(crate) async fn run<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    source: &mut R,
    sink: &mut W,
) -> Step {
    let offered = &worker.core.rules.offered;
    if !offered.is_empty() {
        // Before the policy, which may want to choose for itself.
        offered.reduce(&mut txn.scene_mut().req.headers);
    }
    let action = match asked(worker, txn, source, sink).await {
        Ok(action) => action,
        Err(step) => return step,
    };
    let settings = &worker.core.settings;
    let set = &settings.invalidation;
    let wanted = match action {
        Action::Default | Action::Lookup | Action::Pass => recognise(set.protocols, &set.tag_fields, txn.req()),
        _ => None,
    };
    if let Some(wanted) = wanted {
        // What asks for a purge never reaches an origin: whatever else is said of it, the configured ACL decides.
        return guarded(worker, txn, wanted);
    }
    if matches!(action, Action::Default | Action::Lookup | Action::Pass) && max_forwards::is_final(txn.req()) {
        return Step::Synth(final_recipient(txn));
    }
    if refreshes(set.protocols, txn.req())
        && settings.purgers.as_ref().is_some_and(|acl| acl.contains(txn.scene().client.ip))
    {
        txn.scene_mut().req_vars.hash_always_miss = true;
    }
    match action {
        // A policy that says purge() has judged for itself who may.
        Action::Purge => Step::Hash { purge: true },
        Action::Pipe => Step::Pipe,
        Action::Policy(name) => match txn.change_policy(&name) {
            Ok(()) => Step::Recv,
            Err(why) => refused(worker, txn, why),
        },
        Action::Default if super::pipe::is_wanted(&settings.pipe, txn.req()) => Step::Pipe,
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

/// Runs the hook; once more, with everything as it was before, when it wants to see the request's body first.
async fn asked<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    source: &mut R,
    sink: &mut W,
) -> Result<Action, Step> {
    let may_wait = txn.policy.reads_bodies() && matches!(txn.scene().req_body, RequestBody::Unread(_));
    let before = may_wait.then(|| Box::new(txn.scene().clone()));
    let action = txn.hook(worker, Hook::Recv).map_err(|fault| policy_fault(&fault))?;
    let RequestBody::Wanted(max) = txn.scene().req_body else { return Ok(action) };
    if let Some(before) = before {
        *txn.scene_mut() = *before;
    }
    let known = match request_body::read(worker, txn, max, source, sink).await {
        Read::Whole(kept) => {
            let bytes = kept.bytes.clone();
            txn.kept = Some(Arc::new(kept));
            RequestBody::Cached(bytes)
        }
        Read::TooLarge(kept) => {
            txn.prefix = (!kept.bytes.is_empty()).then_some(kept);
            RequestBody::TooLarge
        }
        Read::Failed(SourceFault::Gone) => return Err(client_left(worker, txn, sink).await),
        Read::Failed(fault) => {
            txn.error = Some(fault.to_string());
            let page = Page::fault(request_body::status(fault), "", ProxyError::HttpRequestError);
            return Err(Step::Synth(Page { close: true, ..page }));
        }
    };
    txn.scene_mut().req_body = known;
    txn.hook(worker, Hook::Recv).map_err(|fault| policy_fault(&fault))
}

/// What the policy wants cannot be done: 503, as for any fault of it.
fn refused(worker: &Worker, txn: &mut Txn, why: String) -> Step {
    worker.count(Counter::PolicyErrors);
    tracing::warn!(target: "copal::policy", "{why}");
    txn.error = Some(why);
    Step::Synth(Page::fault(503, "Policy fault", ProxyError::ProxyInternalError))
}

/// RFC 9110 §7.6.2: with `Max-Forwards: 0` an intermediary answers OPTIONS and TRACE itself. What a TRACE would send back
/// may hold what scripts in a browser must not see (§9.3.8), so it is refused, as most servers do.
fn final_recipient(txn: &Txn) -> Page {
    if txn.req().method == http::Method::TRACE {
        return Page { allow: Some(ALLOW), ..Page::fault(405, "", ProxyError::HttpRequestError) };
    }
    Page { body: Some(Vec::new()), allow: Some(ALLOW), ..Page::new(200, "") }
}

/// A purge by the configuration: 405 when it is off, 403 when the peer may not.
fn guarded(worker: &Worker, txn: &mut Txn, wanted: Wanted) -> Step {
    let method = txn.req().method.clone();
    let refused = match &worker.core.settings.purgers {
        None => Some(Page {
            fault: Some(ProxyError::HttpRequestDenied),
            allow: Some(ALLOW),
            ..Page::new(405, format!("{method} is off: no [purge] acl is set"))
        }),
        Some(acl) if !acl.contains(txn.scene().client.ip) => {
            Some(Page::fault(403, format!("{method} is not allowed from this address"), ProxyError::HttpRequestDenied))
        }
        Some(_) if matches!(wanted, Wanted::Off) => Some(Page {
            fault: Some(ProxyError::HttpRequestDenied),
            allow: Some(ALLOW),
            ..Page::new(405, format!("{method} of a URL is off: [purge] protocols does not name it"))
        }),
        Some(_) => None,
    };
    match (refused, wanted) {
        (Some(page), _) => {
            worker.count(Counter::PurgesRefused);
            Step::Synth(page)
        }
        (None, wanted) => obey(worker, txn, wanted),
    }
}

fn obey(worker: &Worker, txn: &mut Txn, wanted: Wanted) -> Step {
    match wanted {
        Wanted::Url(mode, ban) => {
            if let Some(ban) = ban
                && let Err(page) = add_ban(worker, txn, ban)
            {
                return Step::Synth(page);
            }
            txn.purge_mode = mode;
            Step::Hash { purge: true }
        }
        Wanted::Tags { hard, soft } => {
            let store = &worker.core.store;
            let mut count = store.purge_tags(&hard, PurgeMode::Hard, txn.now);
            count += store.purge_tags(&soft, PurgeMode::Soft, txn.now);
            worker.count(Counter::Purges);
            worker.core.counters.add(Counter::PurgedObjects, count);
            txn.verdict.outcome = Outcome::Purge;
            Step::Synth(Page { body: Some(format!("purged {count}\n").into_bytes()), ..Page::new(200, "Purged") })
        }
        Wanted::Ban(ban) => Step::Synth(match add_ban(worker, txn, ban) {
            Ok(()) => Page { body: Some(b"banned\n".to_vec()), ..Page::new(200, "Ban added") },
            Err(page) => page,
        }),
        Wanted::Refresh => {
            worker.count(Counter::Refreshes);
            let scene = txn.scene_mut();
            scene.req.method = http::Method::GET;
            scene.req_vars.hash_always_miss = true;
            Step::Hash { purge: false }
        }
        Wanted::Malformed(why) => Step::Synth(plain(400, "Bad purge", &why)),
        // Refused before.
        Wanted::Off => Step::Synth(Page::new(405, "")),
    }
}

/// The lines of these answers are read by programs more than by people.
fn plain(status: u16, reason: &str, why: &str) -> Page {
    Page { body: Some(format!("{why}\n").into_bytes()), ..Page::new(status, reason) }
}

fn add_ban(worker: &Worker, txn: &mut Txn, ban: BanExpr) -> Result<(), Page> {
    txn.verdict.outcome = Outcome::Purge;
    worker.core.store.ban(ban, txn.now).map_err(|error| plain(503, "Too many bans", &error.to_string()))
}
