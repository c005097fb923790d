//! RFC 9111 §3.3: what a stored part of a response can answer.
//!
//! Invariant: a part is sent only as 206, and only when every byte of what was asked for is held or on its way.

use copal_semantics::conditional::{IfRange, if_range_holds};
use copal_semantics::partial::PartialAnswer;
use copal_semantics::range::{self, RangeSpec};
use copal_semantics::{RequestHead, ResponseHead};
use copal_store::{Object, Parts};
use http::Method;
use smallvec::SmallVec;

/// The byte ranges that a request asks for; `None` when it is the whole.
pub(crate) fn wanted(req: &RequestHead, ranges_max: usize) -> Option<SmallVec<[RangeSpec; 4]>> {
    // RFC 9110 §14.2: Range means something for GET only.
    if req.method != Method::GET {
        return None;
    }
    range::parse_specs(&req.headers.combined("range")?, ranges_max)
}

/// What these parts, of a response with that head, have for a request.
pub(crate) fn answer(req: &RequestHead, head: &ResponseHead, parts: &Parts, ranges_max: usize) -> PartialAnswer {
    let Some(specs) = wanted(req, ranges_max) else { return PartialAnswer::Missing };
    if matches!(if_range_holds(req, head), IfRange::Fails(_)) {
        return PartialAnswer::Missing;
    }
    match parts.extents().answer(&specs) {
        // Reading along what arrives at several places at once could wait for itself; and each part names the length.
        PartialAnswer::Held(list)
            if list.len() > 1
                && (parts.complete().is_none() || !list.iter().all(|bounds| parts.arrived().covers(*bounds))) =>
        {
            PartialAnswer::Missing
        }
        other => other,
    }
}

/// Can this stored part answer that request?
pub(crate) fn covers(req: &RequestHead, object: &Object, ranges_max: usize) -> bool {
    let Some(parts) = object.body().parts() else { return false };
    let mut head = ResponseHead::default();
    head.decode(object.head());
    match answer(req, &head, parts, ranges_max) {
        PartialAnswer::Held(_) | PartialAnswer::Unsatisfiable => true,
        PartialAnswer::Missing => false,
    }
}
