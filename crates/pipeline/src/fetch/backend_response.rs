//! backend_response: the head is judged by the rules and the policy: stored or not, and for how long. The waiting client
//! gets its answer here, and the body begins to flow.

use super::{Answer, Failure, Fetched, FetchedBody, From, Job, Next, Transfer, head_update, partial};
use crate::selecting;
use crate::times::to_store;
use copal_backend::{BodyFraming, Exchange};
use copal_observe::counters::Counter;
use copal_observe::trace::{Event as Note, Storing};
use copal_policy::{Action, Hook};
use copal_semantics::freshness::{Freshness, freshness};
use copal_semantics::reason::Reason;
use copal_semantics::reuse::Reuse;
use copal_semantics::rules::{Effective, SetCookie};
use copal_semantics::storability::{Storability, storability, strip_unstorable};
use copal_semantics::vary::Vary;
use copal_semantics::{Headers, ResponseHead, Span, cache_tags};
use copal_store::{BodyWriter, Kind, NewObject, Object, PurgeMode, StorageId};
use std::borrow::Cow;
use std::sync::Arc;

pub(super) fn run(job: &mut Job, answer: Answer) -> Next {
    if let Some(next) = partial::prepare(job, &answer) {
        return next;
    }
    let fresh =
        freshness(&job.scene().req, &job.scene().beresp, &job.worker.core.rules, job.request_time, job.response_time);
    job.trace.note(|| crate::tracer::lifetime(&fresh, &job.scene().beresp, &job.worker.core.rules));
    let origin = job.origin.clone();
    let uncacheable = !job.cacheable && !answers_get(job);
    let vars = &mut job.scene_mut().beresp_vars;
    vars.ttl = fresh.ttl;
    vars.grace = fresh.grace;
    vars.keep = fresh.keep;
    vars.stale_if_error = fresh.stale_if_error;
    vars.age = fresh.initial_age;
    vars.uncacheable = uncacheable;
    vars.backend = origin;
    if job.policy.has(Hook::BackendResponse) && job.policy.reads_lengths() {
        let length = answer.renewed.as_ref().map_or(job.declared_length, |stale| stale.body().len_known());
        crate::words::show_length(&mut job.scene_mut().beresp.headers, length);
    }
    let action = match job.hook(Hook::BackendResponse) {
        Ok(action) => action,
        Err(failure) => return Next::BackendError(failure),
    };
    if let Some(time) = job.scene_mut().beresp_vars.denylist.take() {
        job.worker.core.backends.spare(&job.origin, &job.scene().bereq, time.to_std());
    }
    let decision = match action {
        Action::Default => {
            if let Some(failure) = error_that_stale_covers(job) {
                return Next::BackendError(failure);
            }
            decide(job, &fresh, false)
        }
        Action::Deliver => decide(job, &fresh, true),
        Action::PassFor(ttl) => Decision::Pass { kind: Kind::HitForPass, ttl, reason: Reason::Policy },
        Action::Pass => Decision::Pass {
            kind: Kind::HitForPass,
            ttl: job.worker.core.settings.hit_for_miss,
            reason: Reason::Policy,
        },
        Action::Retry => return Next::Retry,
        Action::Abandon => return job.abandon("backend_response"),
        Action::Error { status, reason } => {
            let instead_of_fault = is_fault(job.scene().beresp.status);
            return Next::BackendError(Failure::Policy { status, reason, instead_of_fault });
        }
        other => return Next::BackendError(Failure::from_action(Hook::BackendResponse, &other)),
    };
    // Not sent again: its body is not needed any more, by which the client's side learns that no more of it is wanted.
    job.upload = None;
    head_update::run(job, &fresh);
    job.trace.note(|| decision.note(job.scene().beresp_vars.ttl, &fresh, job.cacheable));
    let Answer { exchange, renewed } = answer;
    match renewed {
        Some(stale) => renew(job, &stale, &fresh, decision),
        None => match exchange {
            Some(exchange) => take(job, exchange, decision),
            None => Next::BackendError(Failure::BadAnswer("an answer without a body")),
        },
    }
}

enum Decision {
    Store {
        reason: Reason,
        times: copal_store::Times,
    },
    /// A marker is left so that the next requests do not wait for each other.
    Pass {
        kind: Kind,
        ttl: Span,
        reason: Reason,
    },
}

impl Decision {
    /// For the trace; what is too large for the store is found out later, and noted again.
    fn note(&self, ttl: Span, fresh: &Freshness, cacheable: bool) -> Note {
        let (stored, reason, marker) = match self {
            Decision::Store { reason, .. } => (true, *reason, None),
            Decision::Pass { ttl, reason, .. } => {
                (false, *reason, (cacheable && *reason != Reason::RequestNoStore && *ttl > Span::ZERO).then_some(*ttl))
            }
        };
        Note::Storing(Storing { stored, reason, ttl, ttl_by_policy: ttl != fresh.ttl, marker })
    }
}

/// RFC 5861 §4: an answer of 500, 502, 503 or 504 counts as an error that a stale object covers.
fn error_that_stale_covers(job: &Job) -> Option<Failure> {
    let status = job.scene().beresp.status;
    if !is_fault(status) {
        return None;
    }
    job.usable_stale().map(|_| Failure::Status(status))
}

fn is_fault(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// `explicit`: the policy said deliver, so the built-in caution does not apply, as in VCL.
fn decide(job: &Job, fresh: &Freshness, explicit: bool) -> Decision {
    let (scene, core) = (job.scene(), &job.worker.core);
    let vars = &scene.beresp_vars;
    let no = |reason| Decision::Pass { kind: Kind::HitForMiss, ttl: core.settings.hit_for_miss, reason };
    if !job.cacheable && !answers_get(job) {
        return no(Reason::Pass);
    }
    if vars.uncacheable {
        // As in VCL: a ttl that the policy sets is then how long this is remembered; none, and it is not.
        let ttl = if vars.ttl == fresh.ttl { core.settings.hit_for_miss } else { vars.ttl };
        return Decision::Pass { kind: Kind::HitForMiss, ttl, reason: Reason::Policy };
    }
    if scene.beresp.status == 206 && !job.plan.has_part() {
        // An answer to a range that nobody asked for, or one without a place: never kept as the whole (RFC 9111 §3.3).
        return no(Reason::Partial);
    }
    let ttl_by_policy = vars.ttl != fresh.ttl;
    if ttl_by_policy && vars.ttl <= Span::ZERO && !explicit {
        // `beresp.ttl = 0s` is VCL's usual word for "do not keep this"; no grace may bring it back to another client.
        return no(Reason::Policy);
    }
    let reason = if explicit {
        Reason::Policy
    } else {
        match storability(&scene.req, &scene.beresp, &core.rules) {
            Storability::Store(reason) => reason,
            Storability::DoNotStore(Reason::NoFreshness) if ttl_by_policy && vars.ttl > Span::ZERO => Reason::Policy,
            Storability::DoNotStore(reason) => return no(reason),
        }
    };
    let lives = vars.ttl + vars.grace.max(vars.stale_if_error).non_negative();
    let renewable = vars.keep > Span::ZERO && copal_semantics::validation::has_validator(&scene.beresp);
    if lives <= Span::ZERO && !renewable {
        return no(if ttl_by_policy { Reason::Policy } else { Reason::NoFreshness });
    }
    let reason = if ttl_by_policy { Reason::Policy } else { reason };
    Decision::Store { reason, times: to_store(vars, fresh, ttl_by_policy, job.response_time) }
}

/// A 304 has renewed the object: same body, new head, new times.
fn renew(job: &mut Job, stale: &Arc<Object>, fresh: &Freshness, decision: Decision) -> Next {
    let mut head = job.scene().beresp.clone();
    let withheld = withhold(&mut head.headers, &job.worker.core.rules.directives(&job.scene().beresp), job);
    say_where(job, &mut head);
    let (object, stored, reason) = match decision {
        Decision::Store { reason, times } => {
            let times = jittered(job, times);
            let tags = tags(job, &head.headers);
            let store = &job.worker.core.store;
            let object = if tags.is_empty() {
                // A policy may have left the fields out: what could be purged stays so.
                store.refresh(stale, &head.encode(), times, job.watch.as_ref())
            } else {
                store.refresh_tagged(stale, &head.encode(), times, &tags, job.watch.as_ref())
            };
            (object, true, reason)
        }
        Decision::Pass { reason, .. } => {
            // It may be used for this request but not kept: a successor that is stale from its birth, off the shelf.
            let mut times = to_store(&job.scene().beresp_vars, fresh, false, job.response_time);
            times.no_cache = true;
            let object = job.worker.core.store.refresh(stale, &head.encode(), times, None);
            job.worker.core.store.unstore(&object);
            (object, false, reason)
        }
    };
    if let Some(guard) = job.guard.take() {
        if stored { guard.publish(&object) } else { guard.uncacheable() }
    }
    job.reply_with(FetchedBody::Object(object, None), stored, Some(reason), Some(304), withheld);
    Next::Done
}

/// A response with a body: to the store and its readers, or to one client.
fn take(job: &mut Job, exchange: Box<Exchange>, decision: Decision) -> Next {
    let mut exchange = exchange;
    let mut decision = decision;
    if let Decision::Store { times, .. } = decision
        && job.plan.has_part()
        && !partial::is_everything(job)
    {
        match partial::take(job, exchange, times) {
            Ok(next) => return next,
            Err((back, reason)) => {
                exchange = back;
                let ttl = job.worker.core.settings.hit_for_miss;
                decision = Decision::Pass { kind: Kind::HitForMiss, ttl, reason };
            }
        }
    }
    let length = match exchange.framing {
        _ if job.plan.whole_length().is_some() => job.plan.whole_length(),
        BodyFraming::None => Some(0),
        BodyFraming::Length(n) => Some(n),
        BodyFraming::Chunked | BodyFraming::Close => None,
    };
    let bodiless = exchange.framing == BodyFraming::None;
    match decision {
        Decision::Store { reason, times }
            if length.is_none_or(|n| n <= job.worker.core.store.object_size_max(storage(job))) =>
        {
            if job.worker.core.rules.set_cookie == SetCookie::Strip {
                job.scene_mut().beresp.headers.remove("set-cookie");
            }
            if !job.cacheable {
                // An answer to POST: what was stored under its URL is invalid (RFC 9111 §4.4), and this takes its place.
                let now = job.response_time;
                job.worker.core.store.purge(job.key.as_bytes(), job.hash, PurgeMode::Hard, now);
            }
            let reason = if job.plan.whole_length().is_some() { Reason::PartialCombined } else { reason };
            let status = (job.plan.whole_length().is_some()).then_some(206);
            let ((object, writer), withheld) = store(job, times, length);
            // Not when a purge has overtaken it: then it is for those who wait, and gone after them.
            let stored = object.is_stored();
            if stored {
                job.count(Counter::Stores);
            }
            if let Some(guard) = job.guard.take() {
                guard.publish(&object);
            }
            // The client's place at the body is taken before the first byte comes: should the object be evicted meanwhile, it
            // still gets all of it.
            let reader = object.body().reader();
            job.reply_with(FetchedBody::Object(Arc::clone(&object), reader), stored, Some(reason), status, withheld);
            Next::Body(Box::new(Transfer { from: From::Origin(exchange), to: writer, object: Some(object) }))
        }
        Decision::Store { .. } => {
            job.count(Counter::StoreRefused);
            let hit_for_miss = job.worker.core.settings.hit_for_miss;
            job.trace.note(|| {
                let (reason, marker) = (Reason::TooLarge, Some(hit_for_miss));
                Note::Storing(Storing { stored: false, reason, ttl: Span::ZERO, ttl_by_policy: false, marker })
            });
            pass_through(job, exchange, length, bodiless, (Kind::HitForMiss, hit_for_miss, Reason::TooLarge))
        }
        Decision::Pass { kind, ttl, reason } => pass_through(job, exchange, length, bodiless, (kind, ttl, reason)),
    }
}

/// What a response with these fields can be purged by; of groups also as those of its origin (RFC 9875 §2.1).
fn tags<'a>(job: &Job, headers: &'a Headers) -> Vec<Cow<'a, [u8]>> {
    let set = &job.worker.core.settings.invalidation;
    let mut tags = cache_tags::of(headers, &set.tag_fields);
    if set.has_groups() && headers.contains("cache-groups") {
        let host = crate::protocols::host(&job.scene().req);
        let groups = cache_tags::groups(headers, "cache-groups");
        tags.extend(groups.iter().map(|group| Cow::Owned(cache_tags::of_origin(&host, group))));
    }
    tags
}

/// Where the policy has it stored. Names were checked when they were set.
pub(super) fn storage(job: &Job) -> StorageId {
    let name = job.scene().beresp_vars.storage.as_deref();
    name.and_then(|name| job.worker.core.store.storage(name)).unwrap_or(StorageId::MAIN)
}

/// Begins to store the response whose head stands in the scene; with it, what the stored copy does not have.
pub(super) fn store(job: &Job, times: copal_store::Times, length: Option<u64>) -> ((Arc<Object>, BodyWriter), Headers) {
    let head = &job.scene().beresp;
    let store = &job.worker.core.store;
    place(job, head, times, length, |new| match &job.watch {
        Some(watch) => store.insert_watched(new, watch),
        None => store.insert_streaming(new),
    })
}

/// Has `insert` put the response with that head into its place; with it, the fields that the stored copy must not have.
pub(super) fn place<T>(
    job: &Job,
    head: &ResponseHead,
    times: copal_store::Times,
    length: Option<u64>,
    insert: impl FnOnce(NewObject<'_>) -> T,
) -> (T, Headers) {
    let names = vary_names(head);
    let vary = selecting::values(&job.worker.core, &job.scene().req.headers);
    let mut stored = head.clone();
    let withheld = withhold(&mut stored.headers, &job.worker.core.rules.directives(head), job);
    let tags = tags(job, &head.headers);
    say_where(job, &mut stored);
    let placed = insert(NewObject {
        key: job.key.as_bytes(),
        hash: job.hash,
        vary_names: &names,
        vary: &vary,
        head: &stored.encode(),
        times: jittered(job, times),
        body_hint: length,
        tags: &tags,
        storage: storage(job),
    });
    (placed, withheld)
}

/// Takes out of a head what a stored copy must not have; what of it is for the client that caused the fetch is returned
/// (RFC 9111 §5.2.2.4 and §5.2.2.7, qualified form).
fn withhold(headers: &mut Headers, effective: &Effective, job: &Job) -> Headers {
    let d = &effective.directives;
    let mut withheld = Headers::new();
    for name in d.private_fields.iter().chain(&d.no_cache_fields) {
        if !copal_semantics::hop_by_hop::is_response_hop(name) && !withheld.contains(name) {
            for value in headers.get_all(name) {
                // It was received, so it is valid.
                let _valid = withheld.append(name, value);
            }
        }
    }
    strip_unstorable(headers, effective, &job.worker.core.rules);
    withheld
}

/// RFC 9110 §9.3.3: is it the answer to a POST that may be stored for GET?
fn answers_get(job: &Job) -> bool {
    let scene = job.scene();
    job.keyed
        && scene.req.method == http::Method::POST
        && storability(&scene.req, &scene.beresp, &job.worker.core.rules)
            == Storability::Store(Reason::PostContentLocation)
}

/// Where purge protocols ban by URL, the stored head says what it answers; clients are not sent these fields.
fn say_where(job: &Job, head: &mut ResponseHead) {
    if job.worker.core.settings.invalidation.protocols.need_url() {
        let req = &job.scene().req;
        // One came as a field value, the other is a URL, which has no control characters.
        let _valid = head.headers.set("X-Url", &req.url);
        let _valid = head.headers.set("X-Host", crate::protocols::host(req));
    }
}

fn jittered(job: &Job, times: copal_store::Times) -> copal_store::Times {
    let cut = job.worker.core.settings.jitter.cut(times.ttl - times.initial_age);
    copal_store::Times { ttl: times.ttl - cut, ..times }
}

fn vary_names(head: &ResponseHead) -> Vec<Box<str>> {
    match Vary::parse(&head.headers) {
        Vary::None | Vary::Any => Vec::new(),
        Vary::Fields(fields) => fields.names().map(Box::from).collect(),
    }
}

fn pass_through(
    job: &mut Job,
    exchange: Box<Exchange>,
    length: Option<u64>,
    bodiless: bool,
    (kind, ttl, reason): (Kind, Span, Reason),
) -> Next {
    if job.cacheable {
        job.count(Counter::FetchesUncacheable);
        // A marker says something of the response; that one client wants nothing stored does not concern the next.
        if !job.plan.is_about_the_range(reason) && reason != Reason::RequestNoStore {
            leave_marker(job, kind, ttl);
        }
        if let Some(guard) = job.guard.take() {
            guard.uncacheable();
        }
    }
    let (reader, writer) = job.worker.core.store.transit_body(job.worker.core.settings.transit_window as u64);
    let head = job.scene().beresp.clone();
    // The length of a response to HEAD is what the origin declared, not what comes.
    let declared = if bodiless { job.declared_length } else { length };
    job.reply(FetchedBody::Transit { head: Box::new(head), reader, length: declared }, false, Some(reason), None);
    Next::Body(Box::new(Transfer { from: From::Origin(exchange), to: writer, object: None }))
}

pub(super) fn leave_marker(job: &Job, kind: Kind, ttl: Span) {
    let scene = job.scene();
    if ttl <= Span::ZERO {
        return;
    }
    if scene.req_vars.hash_always_miss && scene.beresp.status >= 500 {
        // Asked for although there may be an object: an error does not take its place.
        return;
    }
    let names = vary_names(&scene.beresp);
    let vary = selecting::values(&job.worker.core, &scene.req.headers);
    let marker = NewObject {
        key: job.key.as_bytes(),
        hash: job.hash,
        vary_names: &names,
        vary: &vary,
        head: &[],
        // Remembered for as long again: one asks whether it has become cacheable, and nobody waits for that.
        times: copal_store::Times { grace: ttl, ..copal_store::Times::fresh(job.response_time, ttl) },
        body_hint: None,
        tags: &[],
        storage: StorageId::MAIN,
    };
    job.worker.core.store.insert_marker(marker, kind);
}

impl Job {
    /// The stale object, if it may be served now that the origin has failed.
    pub(super) fn usable_stale(&self) -> Option<(Arc<Object>, Reason)> {
        let stale = self.stale.as_ref().filter(|stale| {
            let serves = match stale.kind() {
                Kind::Cacheable => true,
                Kind::Partial => crate::partial::covers(&self.scene().req, stale, self.worker.core.settings.ranges_max),
                Kind::HitForMiss | Kind::HitForPass => false,
            };
            serves && !stale.is_purged() && self.worker.core.store.passes_bans(stale, Some(&self.scene().req))
        })?;
        let now = self.worker.core.clock.now();
        let times = crate::times::stored(&stale.times());
        match copal_semantics::reuse::reuse(&times, now, None, self.scene().req_vars.grace, false) {
            Reuse::Fresh(why) | Reuse::Grace(why) => Some((Arc::clone(stale), why)),
            Reuse::OnError(_) | Reuse::Revalidate(_) | Reuse::Unusable(_) => None,
        }
    }

    pub(super) fn reply(&mut self, body: FetchedBody, stored: bool, reason: Option<Reason>, fwd_status: Option<u16>) {
        self.reply_with(body, stored, reason, fwd_status, Headers::new());
    }

    pub(super) fn reply_with(
        &mut self,
        body: FetchedBody,
        stored: bool,
        reason: Option<Reason>,
        fwd_status: Option<u16>,
        withheld: Headers,
    ) {
        let event = super::Event::Response(Box::new(Fetched {
            body,
            stored,
            outcome: None,
            reason,
            fwd_status,
            backend: self.origin.clone(),
            error: self.error.take(),
            withheld,
            fault: None,
            details: None,
            words: None,
            retries: self.retries(),
        }));
        self.tell(event);
    }
}
