//! RFC 9111 §3.3 and §3.4: fetching, storing and combining parts of a response.
//!
//! ```text
//!  plan (in backend_fetch)     Whole ── no Range
//!                              Range ── the client's, when what lies before it is too much to wait for
//!                              Rest ─── what is missing of a stored part, with If-Range
//!  prepare (in backend_response)
//!     Range + 206 ─▶ take ─┬▶ a part of its own, or combined with the parts stored before
//!                          └▶ everything is there: an object like any other
//!     Rest  + 206 ─▶ the head merged, the body joined: an object like any other     (a 200 is one anyway)
//!           + anything that does not fit ─▶ retry: the whole
//! ```
//!
//! Invariants: the client whose range was forwarded gets the origin's own answer; parts are combined only under one strong validator; a joined body is sealed only when exactly the bytes came
//! that were missing; a part that cannot be placed goes to its client alone.

use super::{Answer, FetchedBody, From, Job, Next, Transfer};
use crate::partial;
use copal_backend::{BodyFraming, Exchange, Fault, FaultKind, Phase, ResponseBody};
use copal_observe::counters::Counter;
use copal_semantics::partial::{Ask, Combine, Placement, ask, may_combine, place, strong_validator};
use copal_semantics::range::{Bounds, ContentRange, RangeSpec};
use copal_semantics::reason::Reason;
use copal_semantics::{ResponseHead, validation};
use copal_store::{Kind, NewObject, Object, Parts, Reader, Stretch, Times};
use std::sync::Arc;

/// What a fetch asks for, and what has come of it.
#[derive(Default)]
pub(super) struct Plan {
    asked: Asked,
    /// Where the 206 lies that answers the client's range.
    part: Option<ContentRange>,
    /// What is put around the body that comes.
    joined: Option<Joined>,
    /// The answer did not fit what is stored: the whole is fetched, however many retries the policy has had.
    pub(super) whole_again: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Asked {
    #[default]
    Whole,
    Range,
    Rest,
}

impl Plan {
    /// The length of the whole, when the body that comes is only what was missing of it.
    pub(super) fn whole_length(&self) -> Option<u64> {
        self.joined.as_ref().map(|joined| joined.whole)
    }

    pub(super) fn take_joined(&mut self) -> Option<Joined> {
        self.joined.take()
    }

    /// Is the response a part that has a place?
    pub(super) fn has_part(&self) -> bool {
        self.part.is_some()
    }

    /// Does an answer not stored for this reason say nothing about requests for anything but this range?
    pub(super) fn is_about_the_range(&self, reason: Reason) -> bool {
        self.asked == Asked::Range
            && matches!(reason, Reason::RangeRequest | Reason::TooLarge | Reason::Partial | Reason::PartialUnusable)
    }
}

/// Decides what the origin is asked for and writes it into the request.
pub(super) fn plan(job: &mut Job) {
    if job.plan.asked != Asked::Whole {
        for name in ["range", "if-range"] {
            job.scene_mut().bereq.headers.remove(name);
        }
    }
    job.plan = Plan { whole_again: job.plan.whole_again, ..Plan::default() };
    if !job.cacheable || job.scene().bereq_vars.retries > 0 {
        return;
    }
    let stale = job.stale.clone().filter(|stale| !stale.is_purged() && stale.kind().is_response());
    let held = stale.as_ref().and_then(|stale| Some((Arc::clone(stale), stale.body().parts()?.arrived())));
    if stale.is_some() && held.is_none() {
        // A whole response is renewed as a whole.
        return;
    }
    let ranges_max = job.worker.core.settings.ranges_max;
    let scene = job.scene();
    // The answer to a range goes to the client as the origin gave it; one with conditions wants it judged here.
    let conditions = ["if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"];
    let is_plain = !conditions.iter().any(|name| scene.req.headers.contains(name));
    let specs = is_plain.then(|| partial::wanted(&scene.req, ranges_max)).flatten().unwrap_or_default();
    let head = held.as_ref().map(|(object, _)| decoded(object)).unwrap_or_default();
    // Stale, and all that is wanted: a 304 renews it.
    let renew = held.as_ref().is_some_and(|(object, _)| partial::covers(&scene.req, object, ranges_max));
    let validator = strong_validator(&head).filter(|_| !renew);
    let arrived = held.as_ref().map(|(_, arrived)| arrived).filter(|_| validator.is_some());
    let asked = ask(&specs, arrived);
    let headers = &mut job.scene_mut().bereq.headers;
    if renew {
        let conditional = validation::conditional_headers(&head, headers);
        job.conditional = conditional;
    }
    // Numbers, and a value that was received, are never refused.
    let headers = &mut job.scene_mut().bereq.headers;
    let mut set = |name: &str, value: &[u8]| {
        let _valid = headers.set(name, value);
    };
    let mut set_range = |spec: RangeSpec| set("Range", spec.to_field().as_bytes());
    job.plan.asked = match asked {
        Ask::Whole => Asked::Whole,
        Ask::Range(spec) => {
            set_range(spec);
            Asked::Range
        }
        Ask::Rest(spec) => {
            set_range(spec);
            if let Some(validator) = validator {
                set("If-Range", validator);
            }
            Asked::Rest
        }
    };
}

fn decoded(object: &Object) -> ResponseHead {
    let mut head = ResponseHead::default();
    head.decode(object.head());
    head
}

/// Looks at the head of an answer before the policy does; `Some` when it is of no use and the whole is to be fetched.
pub(super) fn prepare(job: &mut Job, answer: &Answer) -> Option<Next> {
    let exchange = answer.exchange.as_deref()?;
    let status = job.scene().beresp.status;
    let told = ContentRange::of(&job.scene().beresp.headers).and_then(|told| match exchange.framing {
        BodyFraming::Length(n) => match place(told, n) {
            Placement::AsTold(part) | Placement::Shortened(part) => Some(part),
            Placement::Nowhere(_) => None,
        },
        BodyFraming::Chunked | BodyFraming::Close => Some(told),
        BodyFraming::None => None,
    });
    match (job.plan.asked, status) {
        (Asked::Range, 206) => {
            job.plan.part = told;
            None
        }
        (Asked::Rest, 206) => {
            if told.is_some_and(|told| complete(job, told)) {
                return None;
            }
            Some(whole_again(job))
        }
        (Asked::Rest, 416) => Some(whole_again(job)),
        (Asked::Whole | Asked::Range | Asked::Rest, _) => None,
    }
}

/// What is stored has changed at the origin, or the origin answers ranges its own way.
fn whole_again(job: &mut Job) -> Next {
    job.stale = None;
    job.plan.whole_again = true;
    Next::Retry
}

/// The stored parts that may be combined with the answer in the scene, and their head.
fn combinable(job: &Job, told: ContentRange) -> Option<(Arc<Object>, ResponseHead)> {
    let object = job.stale.clone().filter(|stale| stale.kind() == Kind::Partial && !stale.is_purged())?;
    let stored = decoded(&object);
    let mut fresh = job.scene().beresp.clone();
    if job.plan.asked == Asked::Rest
        && !fresh.headers.contains("content-encoding")
        && let Some(coding) = stored.headers.get("content-encoding")
    {
        // RFC 9110 §15.3.7: an answer to If-Range need not repeat what describes the representation.
        let _valid = fresh.headers.set("Content-Encoding", coding);
    }
    let same_length = match (object.body().parts()?.complete(), told.complete) {
        (Some(a), Some(b)) => a == b,
        (None, _) | (_, None) => true,
    };
    match may_combine(&stored, &fresh) {
        Combine::Yes(_) if same_length => Some((object, stored)),
        Combine::Yes(_) | Combine::No(_) => None,
    }
}

/// If the answer is all that was missing, or everything by itself: makes its head that of the whole, and has its body joined
/// with what is stored. False, with nothing changed, otherwise.
fn complete(job: &mut Job, told: ContentRange) -> bool {
    let before = told.first.checked_sub(1).map(|last| (0, last));
    let stored = combinable(job, told);
    let parts = stored.as_ref().and_then(|(object, _)| object.body().parts());
    let Some(whole) = told.complete.or_else(|| parts.and_then(Parts::complete)) else { return false };
    let after = (told.last + 1 < whole).then(|| (told.last + 1, whole - 1));
    let stretches = |bounds: Option<Bounds>| match (bounds, parts) {
        (None, _) => Some(Vec::new()),
        (Some(bounds), Some(parts)) if parts.arrived().covers(bounds) => parts.stretches(bounds),
        (Some(_), _) => None,
    };
    let (Some(before), Some(after)) = (stretches(before), stretches(after)) else { return false };
    let head = &job.scene().beresp;
    let mut merged = match &stored {
        Some((_, stored)) => validation::merge_304(stored, head),
        None => head.clone(),
    };
    as_whole(&mut merged);
    job.scene_mut().beresp = merged;
    job.plan.joined = Some(Joined { before, missing: told.len(), after, whole, ended: false, reading: None });
    job.plan.part = None;
    true
}

/// The head of a 206 as that of the representation which it is a part of.
fn as_whole(head: &mut ResponseHead) {
    head.status = 200;
    head.reason.clear();
    head.headers.remove("content-range");
}

/// A part that may be stored. `Err`: not here; the exchange comes back, with the reason.
pub(super) fn take(job: &mut Job, exchange: Box<Exchange>, times: Times) -> Result<Next, (Box<Exchange>, Reason)> {
    let Some(part) = job.plan.part else { return Err((exchange, Reason::PartialUnusable)) };
    let storage = super::backend_response::storage(job);
    if part.len() > job.worker.core.store.object_size_max(storage) {
        return Err((exchange, Reason::TooLarge));
    }
    let stored = combinable(job, part);
    if a_whole_one_is_stored(job) {
        return Err((exchange, Reason::Partial));
    }
    let mut head = job.scene().beresp.clone();
    if let Some((_, stored)) = &stored {
        head = validation::merge_304(stored, &head);
    }
    as_whole(&mut head);
    let before = stored.as_ref().map(|(object, _)| object);
    let store = &job.worker.core.store;
    let insert = |new: NewObject<'_>| store.insert_part(new, part, before, job.watch.as_ref());
    let placed = super::backend_response::place(job, &head, times, None, insert);
    let (Some((object, writer)), _for_others_only) = placed else { return Err((exchange, Reason::TooLarge)) };
    let is_stored = object.is_stored();
    if is_stored {
        job.count(Counter::PartsStored);
    }
    if let Some(guard) = job.guard.take() {
        guard.publish(&object);
    }
    let Some(reader) = writer.body().reader() else { return Err((exchange, Reason::PartialUnusable)) };
    let reason = if before.is_some() { Reason::PartialCombined } else { Reason::Partial };
    job.plan.joined = Some(Joined::alone(part.len()));
    // Its own client gets the part as the origin told it.
    let head = Box::new(job.scene().beresp.clone());
    job.reply(FetchedBody::Transit { head, reader, length: Some(part.len()) }, is_stored, Some(reason), None);
    Ok(Next::Body(Box::new(Transfer { from: From::Origin(exchange), to: writer, object: Some(object) })))
}

/// Makes a part that is everything, alone or with what is stored, into a response like any other.
pub(super) fn is_everything(job: &mut Job) -> bool {
    job.plan.part.is_some_and(|part| complete(job, part))
}

/// Has somebody else stored the whole meanwhile? A part does not take its place.
fn a_whole_one_is_stored(job: &Job) -> bool {
    let vary = crate::selecting::values(&job.worker.core, &job.scene().req.headers);
    let there = job.worker.core.store.lookup(job.key.as_bytes(), job.hash, &vary, job.response_time);
    there.is_some_and(|object| object.kind() == Kind::Cacheable)
}

/// The bytes that come from the origin between those that are stored.
pub(super) struct Joined {
    before: Vec<Stretch>,
    /// Bytes that must still come from the origin.
    missing: u64,
    after: Vec<Stretch>,
    whole: u64,
    /// The part has come to its end.
    ended: bool,
    /// The stored bytes that are being taken in, and how many are left of them.
    reading: Option<(Reader, u64)>,
}

/// The next bytes of a body, with those put around it that are stored.
pub(super) async fn next(joined: &mut Option<Joined>, body: &mut ResponseBody) -> Option<Result<bytes::Bytes, Fault>> {
    match joined {
        None => body.next().await,
        Some(joined) => joined.next(body).await,
    }
}

impl Joined {
    /// So many bytes, with nothing around them.
    fn alone(len: u64) -> Joined {
        Joined { before: Vec::new(), missing: len, after: Vec::new(), whole: len, ended: false, reading: None }
    }

    /// The next bytes; the same as [`ResponseBody::next`], and a fault when the origin sends more or less than it said.
    async fn next(&mut self, body: &mut ResponseBody) -> Option<Result<bytes::Bytes, Fault>> {
        if let Some(stored) = self.stored(true).await {
            return Some(stored);
        }
        if self.missing > 0 {
            return Some(match body.next().await {
                Some(Ok(piece)) if piece.len() as u64 <= self.missing => {
                    self.missing -= piece.len() as u64;
                    Ok(piece)
                }
                Some(Ok(_)) => Err(mismatch("the part is longer than its Content-Range says")),
                Some(Err(fault)) => Err(fault),
                None => Err(mismatch("the part is shorter than its Content-Range says")),
            });
        }
        // The end comes first, and the trailers of the part, which say nothing of the whole: a client that was told the length
        // must not have it all before the part is known to be sound.
        if !self.ended {
            match body.next().await {
                None => self.ended = true,
                Some(Ok(_)) => return Some(Err(mismatch("the part is longer than its Content-Range says"))),
                Some(Err(fault)) => return Some(Err(fault)),
            }
        }
        self.stored(false).await
    }

    /// The next stored bytes, of those before or those after what comes.
    async fn stored(&mut self, before: bool) -> Option<Result<bytes::Bytes, Fault>> {
        if self.reading.is_none() {
            let stretches = if before { &mut self.before } else { &mut self.after };
            if stretches.is_empty() {
                return None;
            }
            let stretch = stretches.remove(0);
            let Some(reader) = stretch.reader() else { return Some(Err(mismatch("the stored part is gone"))) };
            self.reading = Some((reader, stretch.len()));
        }
        let (reader, left) = self.reading.as_mut()?;
        // What has arrived never waits; others on this thread get their turn between two pieces.
        tokio::task::yield_now().await;
        let mut piece = match reader.next().await {
            Some(Ok(piece)) => piece,
            Some(Err(_)) | None => return Some(Err(mismatch("the stored part is shorter than it was"))),
        };
        piece.truncate(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= piece.len() as u64;
        if *left == 0 {
            self.reading = None;
        }
        Some(Ok(piece))
    }
}

fn mismatch(detail: &str) -> Fault {
    Fault { phase: Phase::Body, kind: FaultKind::ShortBody, origin: None, retry_safe: false, detail: detail.to_owned() }
}
