//! What happens to a response after the last hook: the client's conditions, ranges, HEAD.
//!
//! Order: conditions (RFC 9110 §13), then If-Range and Range (§14), then the method.

use crate::core::Worker;
use crate::io::BodyPlan;
use crate::steps::Source;
use crate::txn::Txn;
use bytes::Bytes;
use copal_observe::access_log::Outcome;
use copal_semantics::conditional::{self, IfRange, Precondition};
use copal_semantics::partial::PartialAnswer;
use copal_semantics::range::{self, Bounds, RangeOutcome};
use copal_semantics::{RequestHead, ResponseHead};
use http::{Method, Version};

/// What is sent of the body.
pub(crate) enum Segments {
    Nothing,
    Whole,
    Parts(Vec<Part>),
}

/// A stretch of a body, with bytes to be sent before it.
pub(crate) struct Part {
    pub(crate) before: Bytes,
    pub(crate) start: u64,
    pub(crate) len: u64,
}

pub(crate) struct Parts {
    pub(crate) plan: BodyPlan,
    pub(crate) segments: Segments,
}

/// Applies the filters to the head in the scene.
pub(crate) fn apply(worker: &Worker, txn: &mut Txn, body: &Source) -> Parts {
    let is_head = txn.req().method == Method::HEAD;
    let length = match body {
        // What arrives with an announced length is cut visibly if it does not come true.
        Source::Object(object, _) => object.body().len_known().or_else(|| object.body().len_announced()),
        Source::Transit { length, .. } => *length,
        Source::Made(bytes) => Some(bytes.len() as u64),
    };
    if judged_here(txn, body) && (is_head || txn.req().method == Method::GET) {
        let now = txn.now;
        let scene = txn.scene_mut();
        match conditional::evaluate(&scene.req, scene.resp.status, &scene.resp, now) {
            Precondition::Proceed => {}
            Precondition::NotModified(_) => {
                scene.resp = conditional::not_modified_head(&scene.resp);
                return Parts { plan: BodyPlan::None, segments: Segments::Nothing };
            }
            Precondition::Failed(_) => {
                scene.resp.status = 412;
                scene.resp.reason.clear();
                return Parts { plan: BodyPlan::Length(0), segments: Segments::Nothing };
            }
        }
        if let Source::Object(object, _) = body
            && let Some(held) = object.body().parts()
        {
            return of_parts(worker, txn, held);
        }
        let wants_parts = !is_head && scene.resp.status == 200 && scene.req.headers.contains("range");
        if let Some(parts) = wants_parts.then(|| ranges(worker, txn, body)).flatten() {
            return parts;
        }
    }
    let status = txn.scene().resp.status % 1000;
    if matches!(status, 204 | 304) {
        return Parts { plan: BodyPlan::None, segments: Segments::Nothing };
    }
    if is_head {
        // A response that passes by has no body here; the length is what the origin declared.
        return Parts { plan: BodyPlan::HeadOnly(length), segments: Segments::Nothing };
    }
    let length = length.filter(|_| !has_trailers_for(&txn.scene().req, body));
    Parts { plan: length.map_or(BodyPlan::Unknown, BodyPlan::Length), segments: Segments::Whole }
}

/// Is the body stored with trailers? They can follow chunks only (RFC 9112 §7.1.2), so its length is not told: whether a
/// client gets them must not depend on how fast the body came.
fn has_trailers_for(req: &RequestHead, body: &Source) -> bool {
    matches!(body, Source::Object(object, _) if object.body().trailers().is_some()) && req.version >= Version::HTTP_11
}

/// Are the client's conditions and ranges for Copal to apply? They are when the response is the cache's own, and when it
/// comes from a fetch that was made for the cache, without them. What a pass brings has been judged by the origin.
fn judged_here(txn: &Txn, body: &Source) -> bool {
    match body {
        Source::Object(..) => true,
        Source::Transit { .. } => txn.verdict.outcome != Outcome::Pass && txn.scene().resp.status == 200,
        Source::Made(_) => false,
    }
}

/// RFC 9110 §14: parts of a body whose length is known, complete or still arriving. `None`: send the whole.
fn ranges(worker: &Worker, txn: &mut Txn, body: &Source) -> Option<Parts> {
    let (length, any_order) = match body {
        Source::Object(object, _) => {
            let body = object.body();
            (body.len_known().or_else(|| body.len_announced())?, body.keeps_all())
        }
        Source::Transit { length, .. } => ((*length)?, false),
        Source::Made(_) => return None,
    };
    let scene = txn.scene_mut();
    match conditional::if_range_holds(&scene.req, &scene.resp) {
        IfRange::Holds => {}
        IfRange::Fails(_) => return None,
    }
    let wanted = scene.req.headers.combined("range")?;
    let head = &mut scene.resp;
    match range::resolve(&wanted, length, worker.core.settings.ranges_max) {
        RangeOutcome::Whole => None,
        RangeOutcome::Unsatisfiable => Some(unsatisfiable(head, length)),
        RangeOutcome::One(first, last) => Some(single(head, (first, last), Some(length))),
        // Of a body that passes by, what lies before has gone when its turn comes.
        RangeOutcome::Many(list) if !any_order && !list.is_sorted_by(|a, b| a.1 < b.0) => None,
        RangeOutcome::Many(list) => Some(multipart(txn, &list, length)),
    }
}

/// RFC 9111 §3.3: an answer from parts. Lookup has seen that they have it; if the policy has changed its mind since, there
/// is nothing to send.
fn of_parts(worker: &Worker, txn: &mut Txn, held: &copal_store::Parts) -> Parts {
    let scene = txn.scene_mut();
    let answer = if scene.resp.status == 200 {
        crate::partial::answer(&scene.req, &scene.resp, held, worker.core.settings.ranges_max)
    } else {
        PartialAnswer::Missing
    };
    match (answer, held.complete()) {
        (PartialAnswer::Held(list), length) if list.len() == 1 => single(&mut scene.resp, list[0], length),
        (PartialAnswer::Held(list), Some(length)) => multipart(txn, &list, length),
        (PartialAnswer::Unsatisfiable, Some(length)) => unsatisfiable(&mut scene.resp, length),
        (PartialAnswer::Held(_) | PartialAnswer::Unsatisfiable, None) | (PartialAnswer::Missing, _) => {
            scene.resp.status = 503;
            scene.resp.reason.clear();
            Parts { plan: BodyPlan::Length(0), segments: Segments::Nothing }
        }
    }
}

fn unsatisfiable(head: &mut ResponseHead, length: u64) -> Parts {
    head.status = 416;
    head.reason.clear();
    // RFC 9110 §14.4: the current length. A number in our own words is never refused.
    let _valid = head.headers.set("Content-Range", range::unsatisfied_range(length));
    for name in ["etag", "last-modified", "content-type"] {
        head.headers.remove(name);
    }
    Parts { plan: BodyPlan::Length(0), segments: Segments::Nothing }
}

fn single(head: &mut ResponseHead, (first, last): Bounds, length: Option<u64>) -> Parts {
    head.status = 206;
    head.reason.clear();
    let _valid = head.headers.set("Content-Range", range::content_range(first, last, length));
    let len = last - first + 1;
    let part = Part { before: Bytes::new(), start: first, len };
    Parts { plan: BodyPlan::Length(len), segments: Segments::Parts(vec![part]) }
}

/// RFC 9110 §14.6: multipart/byteranges.
fn multipart(txn: &mut Txn, list: &[Bounds], length: u64) -> Parts {
    let boundary = format!("copal-{}", txn.scene().req_vars.xid);
    let head = &mut txn.scene_mut().resp;
    let content_type = head.headers.get("content-type").map(<[u8]>::to_vec);
    head.status = 206;
    head.reason.clear();
    let _valid = head.headers.set("Content-Type", format!("multipart/byteranges; boundary={boundary}"));
    let mut parts = Vec::with_capacity(list.len() + 1);
    let mut total = 0;
    for (first, last) in list {
        let mut before = Vec::with_capacity(160);
        range::part_head(&boundary, content_type.as_deref(), (*first, *last), length, &mut before);
        let len = last - first + 1;
        total += before.len() as u64 + len;
        parts.push(Part { before: Bytes::from(before), start: *first, len });
    }
    let mut end = Vec::new();
    range::parts_end(&boundary, &mut end);
    total += end.len() as u64;
    parts.push(Part { before: Bytes::from(end), start: 0, len: 0 });
    Parts { plan: BodyPlan::Length(total), segments: Segments::Parts(parts) }
}
