//! `resp`: the response to the client, and what all responses share.

use super::{Handle, Resp, get, get_dynamic, proto, set, to_reason, to_status};
use crate::fault::HostError;
use crate::scene::Scene;
use crate::value::{optional, text, text_of, with_text};
use copal_semantics::ResponseHead;
use rhai::Engine;

/// Reads a head that may not be there.
pub(crate) type ReadHead = fn(&Scene) -> Result<&ResponseHead, HostError>;

/// What `resp`, `beresp` and `obj` have in common; without `write` they can only be read.
pub(crate) fn head<H: Handle>(
    e: &mut Engine,
    read: ReadHead,
    write: Option<fn(&mut Scene) -> &mut ResponseHead>,
    names: [&'static str; 2],
) {
    get_dynamic::<H>(e, "status", move |s| Ok(i64::from(read(s)?.status).into()));
    get_dynamic::<H>(e, "reason", move |s| Ok(text(read(s)?.reason_phrase()).into()));
    get_dynamic::<H>(e, "proto", move |s| Ok(text(proto(read(s)?.version)).into()));
    if let Some(write) = write {
        set::<H>(e, "status", move |s, v| {
            let status = to_status(names[0], &v)?;
            let head = write(s);
            // A new status has a reason phrase of its own.
            if head.status != status {
                head.reason.clear();
            }
            head.status = status;
            Ok(())
        });
        set::<H>(e, "reason", move |s, v| to_reason(names[1], &v).map(|r| write(s).reason = r));
    }
}

/// The body of a page made here.
pub(crate) fn body<H: Handle>(
    e: &mut Engine,
    read: fn(&Scene) -> &Option<Vec<u8>>,
    write: fn(&mut Scene) -> &mut Option<Vec<u8>>,
) {
    get_dynamic::<H>(e, "body", move |s| Ok(optional(read(s).as_deref().map(text_of))));
    set::<H>(e, "body", move |s, v| {
        with_text(&v, |t| {
            *write(s) = t.map(|t| t.as_bytes().to_vec());
            Ok(())
        })
    });
}

/// Gives scripts `resp`.
pub(crate) fn register(e: &mut Engine) {
    head::<Resp>(e, |s| Ok(&s.resp), Some(|s| &mut s.resp), ["resp.status", "resp.reason"]);
    body::<Resp>(e, |s| &s.resp_vars.body, |s| &mut s.resp_vars.body);
    get::<Resp, _>(e, "time", |s| s.now);
    get::<Resp, _>(e, "hits", |s| i64::try_from(s.resp_vars.hits).unwrap_or(i64::MAX));
    get::<Resp, _>(e, "is_streaming", |s| s.resp_vars.is_streaming);
}
