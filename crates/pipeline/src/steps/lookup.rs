//! lookup: the store is asked. A fresh object is a hit; a stale one in grace is a hit that somebody renews; what another
//! request is fetching right now is waited for, once.

use super::{Found, Missing, Page, Step, client_left};
use crate::core::Worker;
use crate::io::{RequestSource, ResponseSink};
use crate::selecting;
use crate::tracer;
use crate::txn::Txn;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_observe::trace::Event;
use copal_policy::RequestVars;
use copal_semantics::Span;
use copal_semantics::cache_control::{Obeyed, RequestDirectives};
use copal_semantics::cache_status::Fwd;
use copal_semantics::reason::Reason;
use copal_semantics::reuse::{Reuse, reuse};
use copal_store::{Claim, Kind, Object, Released};
use std::sync::Arc;

/// Waits of one request in all: the first, and more only while what was fetched was of another variant. Beyond that it
/// fetches by itself.
const WAITS_MAX: u32 = 3;

pub(crate) async fn run<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    source: &mut R,
    sink: &mut W,
) -> Step {
    let directives = request_directives(txn);
    loop {
        let found = if txn.scene().req_vars.hash_always_miss {
            txn.verdict.fwd = Some(Fwd::Request);
            txn.verdict.reason = Some(Reason::Policy);
            None
        } else {
            find(worker, txn)
        };
        txn.trace.note(|| tracer::looked(worker, txn, found.as_deref()));
        let stale = match found.map(|object| judge(worker, txn, object, directives.as_ref())) {
            Some(Judged::Settled(step)) => return step,
            Some(Judged::Stale(object)) => Some(object),
            Some(Judged::Gone) => {
                txn.waits = WAITS_MAX;
                None
            }
            None => None,
        };
        if directives.as_ref().is_some_and(|d| d.only_if_cached) {
            // RFC 9111 §5.2.1.7.
            return Step::Synth(Page::new(504, "Not in the cache, and only-if-cached"));
        }
        match wait_or_fetch(worker, txn, stale, source, sink).await {
            Waited::Go(step) => return step,
            Waited::LookAgain => {}
        }
    }
}

fn request_directives(txn: &Txn) -> Option<RequestDirectives> {
    if txn.obeyed == Obeyed::Nothing {
        return None;
    }
    let headers = &txn.req().headers;
    let some = headers.contains("cache-control") || headers.contains("pragma");
    some.then(|| RequestDirectives::parse(headers).obeyed(txn.obeyed))
}

/// Why there was nothing to use, when no response was judged (RFC 9211 §2.2).
pub(crate) fn nothing_found(worker: &Worker, txn: &Txn) -> Fwd {
    let all = worker.core.store.variants(txn.key.as_bytes(), txn.hash);
    let others = all.iter().any(|object| object.kind() == Kind::Cacheable && !object.is_purged());
    if others { Fwd::VaryMiss } else { Fwd::UriMiss }
}

fn find(worker: &Worker, txn: &Txn) -> Option<Arc<Object>> {
    let vary = selecting::values(&worker.core, &txn.req().headers);
    worker.core.store.lookup_for(txn.key.as_bytes(), txn.hash, &vary, txn.req(), txn.now)
}

enum Judged {
    Settled(Step),
    Stale(Arc<Object>),
    /// Its body has begun to pass by: it is as if there were none, and waiting is no use.
    Gone,
}

fn judge(worker: &Worker, txn: &mut Txn, object: Arc<Object>, directives: Option<&RequestDirectives>) -> Judged {
    let times = object.times();
    match object.kind() {
        Kind::Cacheable => {}
        Kind::Partial if !crate::partial::covers(txn.req(), &object, worker.core.settings.ranges_max) => {
            txn.verdict.fwd = Some(Fwd::Partial);
            txn.verdict.reason = Some(Reason::Partial);
            return Judged::Stale(object);
        }
        Kind::Partial => {}
        Kind::HitForMiss if crate::times::stored(&times).ttl_left(txn.now).is_negative() => {
            return Judged::Stale(object);
        }
        Kind::HitForPass if crate::times::stored(&times).ttl_left(txn.now).is_negative() => {
            return Judged::Stale(object);
        }
        Kind::HitForMiss => {
            worker.count(Counter::HitForMiss);
            txn.scene_mut().req_vars.is_hitmiss = true;
            txn.verdict.fwd = Some(Fwd::Miss);
            txn.verdict.reason = Some(Reason::HitForMiss);
            return Judged::Settled(Step::Miss(Missing { guard: None, stale: None, hit_for_miss: true }));
        }
        Kind::HitForPass => {
            worker.count(Counter::HitForPass);
            txn.scene_mut().req_vars.is_hitpass = true;
            return Judged::Settled(Step::Pass { hit_for_pass: true, reason: Reason::HitForPass });
        }
    }
    let RequestVars { grace: grace_cap, max_age, .. } = txn.scene().req_vars;
    if max_age.is_some_and(|max| times.age(txn.now) > max) {
        txn.trace.note(|| tracer::judged(&times, txn.now, &Reuse::Revalidate(Reason::Policy)));
        txn.verdict.fwd = Some(Fwd::Request);
        txn.verdict.reason = Some(Reason::Policy);
        return Judged::Stale(object);
    }
    let judged = reuse(&crate::times::stored(&times), txn.now, directives, grace_cap, true);
    // Only what is stale asks whether anybody is there to renew it: a hit never does.
    let judged = match judged {
        Reuse::Fresh(_) | Reuse::Unusable(_) => judged,
        Reuse::Grace(_) | Reuse::OnError(_) | Reuse::Revalidate(_) => {
            let target = txn.scene().req_vars.backend.as_deref();
            if worker.core.backends.is_healthy(target) {
                judged
            } else {
                match reuse(&crate::times::stored(&times), txn.now, directives, grace_cap, false) {
                    Reuse::Grace(why) => {
                        txn.trace.note(|| tracer::judged(&times, txn.now, &Reuse::Grace(why)));
                        txn.verdict.ttl = Some(crate::times::stored(&times).ttl_left(txn.now));
                        return Judged::Settled(hit(
                            txn,
                            Outcome::HitStaleError,
                            why,
                            Found { object, reader: None, refresh: None },
                        ));
                    }
                    other => other,
                }
            }
        }
    };
    txn.trace.note(|| tracer::judged(&times, txn.now, &judged));
    txn.verdict.ttl = Some(crate::times::stored(&times).ttl_left(txn.now));
    match judged {
        // What another request's fetch is still bringing in is read along, if its beginning is still to be had.
        Reuse::Fresh(why) if object.kind() == Kind::Cacheable && !object.body().is_complete() => {
            match object.body().reader() {
                Some(reader) => {
                    txn.verdict.collapsed = true;
                    txn.verdict.fwd = Some(Fwd::Miss);
                    Judged::Settled(hit(
                        txn,
                        Outcome::Coalesced,
                        why,
                        Found { object, reader: Some(reader), refresh: None },
                    ))
                }
                None => Judged::Gone,
            }
        }
        Reuse::Fresh(why) => {
            Judged::Settled(hit(txn, Outcome::Hit, why, Found { object, reader: None, refresh: None }))
        }
        Reuse::Grace(why) => {
            let refresh = match claim(worker, txn, Some(&object)) {
                Claim::Fetch(guard) => Some(guard),
                // Somebody renews it, or just has.
                Claim::Wait(_) | Claim::Full | Claim::Appeared(_) => None,
            };
            Judged::Settled(hit(txn, Outcome::HitGrace, why, Found { object, reader: None, refresh }))
        }
        Reuse::OnError(why) | Reuse::Revalidate(why) | Reuse::Unusable(why) => {
            let wished = matches!(why, Reason::RequestNoCache | Reason::RequestMaxAge | Reason::RequestMinFresh);
            let fresh = crate::times::stored(&times).ttl_left(txn.now) > Span::ZERO;
            txn.verdict.fwd = Some(if wished && fresh { Fwd::Request } else { Fwd::Stale });
            txn.verdict.reason = Some(why);
            Judged::Stale(object)
        }
    }
}

fn hit(txn: &mut Txn, outcome: Outcome, why: Reason, found: Found) -> Step {
    txn.verdict.outcome = outcome;
    txn.verdict.reason = Some(why);
    if matches!(outcome, Outcome::Hit | Outcome::HitGrace) {
        // Judged stale before, and renewed by another request's fetch meanwhile.
        txn.verdict.fwd = None;
    }
    Step::Hit(found)
}

fn claim(worker: &Worker, txn: &Txn, seen: Option<&Arc<Object>>) -> Claim {
    let vary = selecting::values(&worker.core, &txn.req().headers);
    worker.core.store.claim(txn.key.as_bytes(), txn.hash, &vary, seen, txn.now)
}

fn refuses_storing(worker: &Worker, txn: &Txn) -> bool {
    let headers = &txn.req().headers;
    worker.core.rules.honour_request_no_store
        && headers.contains("cache-control")
        && RequestDirectives::parse(headers).no_store
}

enum Waited {
    Go(Step),
    LookAgain,
}

async fn wait_or_fetch<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    stale: Option<Arc<Object>>,
    source: &mut R,
    sink: &mut W,
) -> Waited {
    let alone = |stale| Waited::Go(Step::Miss(Missing { guard: None, stale, hit_for_miss: false }));
    let vars = &txn.scene().req_vars;
    if vars.hash_ignore_busy || vars.hash_always_miss || txn.waits >= WAITS_MAX {
        return alone(stale);
    }
    let waiter = match claim(worker, txn, stale.as_ref()) {
        // Nobody is made to wait for a response that its own request keeps from being stored (RFC 9111 §5.2.1.5).
        Claim::Fetch(_) if refuses_storing(worker, txn) => return alone(stale),
        Claim::Fetch(guard) => {
            return Waited::Go(Step::Miss(Missing { guard: Some(guard), stale, hit_for_miss: false }));
        }
        Claim::Full => return alone(stale),
        Claim::Appeared(object) => {
            txn.waits += 1;
            txn.now = worker.core.clock.now();
            return collapsed(worker, txn, object, Came::Fetched);
        }
        // Most likely it is as it was, and waiting would be one after the other.
        Claim::Wait(_) if stale.as_ref().is_some_and(|stale| !stale.kind().is_response()) => {
            return lately_uncacheable(worker, txn);
        }
        Claim::Wait(waiter) => waiter,
    };
    txn.waits += 1;
    worker.count(Counter::CoalesceWaits);
    let since = copal_observe::clock::ticks();
    let waited = |result| Event::Waited {
        us: u64::try_from(copal_observe::clock::ticks().saturating_duration_since(since).as_micros())
            .unwrap_or(u64::MAX),
        result,
    };
    let released = tokio::select! {
        biased;
        released = tokio::time::timeout(worker.core.settings.coalesce_wait, waiter.wait()) => released,
        () = source.gone() => return Waited::Go(client_left(worker, txn, sink).await),
    };
    let Ok(released) = released else {
        worker.count(Counter::CoalesceTimeouts);
        txn.trace.note(|| waited("it took too long"));
        txn.waits = WAITS_MAX;
        return alone(stale);
    };
    txn.now = worker.core.clock.now();
    txn.trace.note(|| {
        waited(match released {
            Released::Stored(_) => "it brought a response",
            Released::Stale(_) => "it failed, and a stale object stands in",
            Released::Uncacheable => "what it brought is not shared",
            Released::Overtaken => "what it brought may have been purged meanwhile",
            Released::Failed => "it failed",
        })
    });
    match released {
        Released::Stored(object) => collapsed(worker, txn, object, Came::Fetched),
        Released::Stale(object) => collapsed(worker, txn, object, Came::InPlace),
        Released::Overtaken => Waited::LookAgain,
        // The outcome is known and of no use to this one: it goes on by itself, and so does everybody else at once.
        Released::Uncacheable => lately_uncacheable(worker, txn),
        Released::Failed => {
            txn.waits = WAITS_MAX;
            alone(stale)
        }
    }
}

/// An answer that others cannot use has just come, or a marker of one has just ended: this one asks by itself.
fn lately_uncacheable(worker: &Worker, txn: &mut Txn) -> Waited {
    worker.count(Counter::HitForMiss);
    txn.scene_mut().req_vars.is_hitmiss = true;
    txn.verdict.fwd = Some(Fwd::Miss);
    txn.verdict.reason = Some(Reason::HitForMiss);
    txn.waits = WAITS_MAX;
    Waited::Go(Step::Miss(Missing { guard: None, stale: None, hit_for_miss: true }))
}

/// How an object comes to those who waited.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Came {
    /// It is what was waited for.
    Fetched,
    /// The fetch has failed, and it stands in.
    InPlace,
}

/// Another request's fetch has an object: is it this one's variant, and may it be used?
fn collapsed(worker: &Worker, txn: &mut Txn, object: Arc<Object>, came: Came) -> Waited {
    let mine = {
        let vary = selecting::values(&worker.core, &txn.req().headers);
        worker.core.store.selects(&object, txn.key.as_bytes(), txn.hash, &vary)
    };
    let store = &worker.core.store;
    if !mine || object.kind() != Kind::Cacheable || object.is_purged() || !store.passes_bans(&object, Some(txn.req())) {
        return Waited::LookAgain;
    }
    let times = object.times();
    let judged = reuse(&crate::times::stored(&times), txn.now, None, txn.scene().req_vars.grace, came == Came::Fetched);
    txn.trace.note(|| tracer::judged(&times, txn.now, &judged));
    let why = match judged {
        Reuse::Fresh(why) => why,
        Reuse::Grace(why) if came == Came::InPlace => {
            // The fetch failed and the stale object was handed out instead.
            txn.verdict.ttl = Some(crate::times::stored(&times).ttl_left(txn.now));
            return Waited::Go(hit(txn, Outcome::HitStaleError, why, Found { object, reader: None, refresh: None }));
        }
        // RFC 9111 §4: what was requested before the response came may be answered with it, even when its lifetime is
        // over at once; what must be validated may not.
        Reuse::Grace(_) | Reuse::OnError(_) | Reuse::Revalidate(_) | Reuse::Unusable(_) if times.no_cache => {
            txn.waits = WAITS_MAX;
            return Waited::LookAgain;
        }
        Reuse::Grace(why) | Reuse::OnError(why) | Reuse::Revalidate(why) | Reuse::Unusable(why) => why,
    };
    txn.verdict.ttl = Some(crate::times::stored(&times).ttl_left(txn.now));
    let reader = object.body().reader();
    if reader.is_none() && !object.body().is_complete() {
        txn.waits = WAITS_MAX;
        return Waited::LookAgain;
    }
    txn.verdict.collapsed = true;
    // What it waited for was a forward request (RFC 9211 §2.6), so it is no `hit`.
    txn.verdict.fwd.get_or_insert(Fwd::UriMiss);
    Waited::Go(hit(txn, Outcome::Coalesced, why, Found { object, reader, refresh: None }))
}
