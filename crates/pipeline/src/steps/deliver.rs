//! deliver: the head gets what every response carries, the policy has its last word, conditions and ranges are answered,
//! and the body goes out while it arrives.

use super::{Delivery, Source, Step, common_action, policy_fault, unavailable};
use crate::core::{Core, Settings, Worker};
use crate::fetch::Upload;
use crate::filters::{self, Part, Segments};
use crate::io::{ClientGone, RequestSource, ResponseSink};
use crate::txn::Txn;
use bytes::Bytes;
use copal_observe::access_log::Outcome;
use copal_observe::counters::Counter;
use copal_policy::{Action, Hook};
use copal_semantics::Headers;
use copal_semantics::cache_status::CacheStatus;
use copal_store::{BodyFault, Object, Reader};
use smallvec::{SmallVec, smallvec};
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

pub(crate) async fn run<R: RequestSource, W: ResponseSink>(
    worker: &Arc<Worker>,
    txn: &mut Txn,
    delivery: Delivery,
    source: &mut R,
    sink: &mut W,
) -> Step {
    let Delivery { body, mut upload } = delivery;
    if let Source::Object(object, _) = &body {
        read_head(txn, object);
    }
    let cache_status = finish_head(&worker.core, txn);
    // A hook that has failed on this request is not asked about the page that says so.
    if txn.policy.has(Hook::Deliver) && !txn.deliver_failed {
        if let Source::Object(object, _) = &body {
            let mut vars = super::hit::object_vars(txn.now, object);
            if !txn.verdict.outcome.is_hit() {
                // Others may have hit what this request has just fetched: for this one it is a miss all the same.
                vars.hits = 0;
            }
            txn.scene_mut().resp_vars.hits = vars.hits;
            if let Some(seen_by_hit) = txn.scene_mut().obj.replace(vars) {
                txn.spare_head = seen_by_hit.head;
            }
        }
        let from_synth = matches!(body, Source::Made(_));
        txn.scene_mut().resp_vars.is_streaming = match &body {
            Source::Object(object, _) => !object.body().is_complete(),
            Source::Transit { .. } => true,
            Source::Made(_) => false,
        };
        if txn.policy.reads_lengths() {
            let length = match &body {
                Source::Object(object, _) => object.body().len_known(),
                Source::Transit { length, .. } => *length,
                Source::Made(page) => Some(page.len() as u64),
            };
            crate::words::show_length(&mut txn.scene_mut().resp.headers, length);
        }
        match txn.hook(worker, Hook::Deliver) {
            Ok(Action::Default | Action::Deliver) => {}
            // A page that synth made is not judged again: its deliver hook may change it, not refuse it.
            Ok(_) if from_synth && txn.synths > 1 => {}
            Ok(other) => {
                return common_action(txn, Hook::Deliver, other)
                    .unwrap_or_else(|other| unavailable(worker, txn, Hook::Deliver, &other));
            }
            Err(fault) => {
                txn.deliver_failed = true;
                return policy_fault(&fault);
            }
        }
    }
    if txn.close {
        sink.close_after();
    }
    hide(&worker.core.settings, txn);
    let fetched_status = txn.scene().resp.status;
    let parts = filters::apply(worker, txn, &body);
    tell_what_came(&worker.core.settings, txn, fetched_status, &cache_status);
    txn.status = txn.scene().resp.status % 1000;
    txn.trace.note(|| crate::tracer::delivered(txn));
    txn.head_at = Some(copal_observe::clock::ticks());
    sink.start(&txn.scene().resp, parts.plan);
    // Only what is still arriving makes a client wait; for what is here, watching it would be work for nothing.
    let arrives = match &body {
        Source::Object(object, _) => !object.body().is_complete(),
        Source::Transit { .. } => true,
        Source::Made(_) => false,
    };
    let sending = send(sink, body, parts.segments);
    let sent = match &mut upload {
        None if arrives => watched(sending, source).await,
        None => sending.await,
        Some(upload) => while_uploading(sending, upload, source).await,
    };
    if let Err(cut) = sent {
        worker.count(Counter::AbortedDeliveries);
        let what = match cut {
            Cut::Client => "the client left before the response was complete".to_owned(),
            Cut::Gone => {
                worker.count(Counter::ClientGone);
                "the client left while more of the response was awaited".to_owned()
            }
            Cut::Origin(why) => why,
            Cut::Broken(fault) => {
                txn.fault = Some(crate::fetch::words_of_body(fault));
                fault.to_string()
            }
        };
        txn.error.get_or_insert(what);
        sink.abort().await;
    }
    Step::Done
}

fn read_head(txn: &mut Txn, object: &Object) {
    let now = txn.now;
    let is_read = std::mem::take(&mut txn.head_is_read);
    let scene = txn.scene_mut();
    if !is_read {
        scene.resp.decode(object.head());
    }
    scene.resp_vars.body = None;
    let times = object.times();
    let mut age = itoa::Buffer::new();
    // Numbers never break framing.
    let _valid = scene.resp.headers.set("Age", age.format(times.age(now).as_secs().max(0)));
    if !txn.withheld.is_empty() {
        let withheld = std::mem::take(&mut txn.withheld);
        for (name, value) in withheld.iter() {
            let _valid = txn.scene_mut().resp.headers.append(name, value);
        }
    }
}

/// What every response carries: Via, Cache-Status, X-Request-Id; and Proxy-Status, if a fault is why it is made here. The
/// line of Cache-Status.
pub(super) fn finish_head(core: &Core, txn: &mut Txn) -> String {
    let settings = &core.settings;
    let line = cache_status(settings, txn, txn.verdict.fwd_status);
    let (fault, details) = (txn.verdict.fault, txn.verdict.details);
    let scene = txn.scene_mut();
    let (xid, headers) = (&scene.req_vars.xid, &mut scene.resp.headers);
    if core.rules.surrogate_control {
        // It was for the cache that obeys it, which is this one; a 304 may speak of it again, so it stays in the stored head.
        headers.remove("surrogate-control");
    }
    // All of these are our own or checked on arrival, so none can be refused.
    let _valid = headers.append("Via", &*settings.via);
    let _valid = headers.append("Cache-Status", &line);
    if let Some(fault) = fault {
        let mut member = String::with_capacity(48);
        // Nothing that names the inner side of the network (RFC 9209 §4). The log has that.
        fault.write(&settings.name, details, &mut member);
        let _valid = headers.append("Proxy-Status", &member);
    }
    let _valid = headers.set("X-Request-Id", xid);
    line
}

fn cache_status(settings: &Settings, txn: &Txn, fwd_status: Option<u16>) -> String {
    let verdict = &txn.verdict;
    // RFC 9211 §2.1: a hit was not forwarded. What waited for another request's fetch was, as a part of that; and what is
    // served stale because its fetch has failed.
    let hit = verdict.outcome.is_hit() && verdict.fwd.is_none();
    let status = CacheStatus {
        hit,
        fwd: if hit { None } else { verdict.fwd },
        fwd_status,
        ttl: verdict.ttl.map(copal_semantics::Span::as_secs),
        stored: verdict.stored,
        collapsed: verdict.collapsed,
        key: (settings.status_key && !matches!(verdict.outcome, Outcome::Pass | Outcome::Synth)).then(|| key_text(txn)),
        detail: Some(verdict.reason.map_or(verdict.outcome.as_str(), copal_semantics::Reason::code)),
    };
    let mut line = String::with_capacity(64);
    status.write(&settings.name, &mut line);
    line
}

/// The parts of the key with a space between them; neither a URL nor a host has one.
fn key_text(txn: &Txn) -> String {
    let parts: Vec<_> = txn.scene().key.parts().map(String::from_utf8_lossy).collect();
    parts.join(" ")
}

/// RFC 9211 §2.3: where the client's own condition or range has made another status of what the next hop answered, that is
/// told; unless the policy has written a Cache-Status of its own.
fn tell_what_came(settings: &Settings, txn: &mut Txn, came: u16, line: &str) {
    let forwarded = txn.verdict.fwd.is_some() && !txn.verdict.outcome.is_hit() && txn.verdict.fwd_status.is_none();
    if !forwarded || came == txn.scene().resp.status {
        return;
    }
    let told = cache_status(settings, txn, Some(came % 1000));
    let headers = &mut txn.scene_mut().resp.headers;
    let lines: Vec<Vec<u8>> = headers.get_all("cache-status").map(<[u8]>::to_vec).collect();
    if lines.last().is_none_or(|last| last != line.as_bytes()) {
        return;
    }
    headers.remove("cache-status");
    for before in &lines[..lines.len() - 1] {
        let _was_valid = headers.append("Cache-Status", before);
    }
    let _valid = headers.append("Cache-Status", &told);
}

/// Takes out what is meant for this cache and not for clients: after the hook, which may want to see it.
fn hide(settings: &Settings, txn: &mut Txn) {
    let set = &settings.invalidation;
    for name in &set.hidden_fields {
        txn.scene_mut().resp.headers.remove(name);
    }
    if set.protocols.need_url() {
        for name in ["x-url", "x-host"] {
            txn.scene_mut().resp.headers.remove(name);
        }
    }
}

enum Cut {
    /// It could not be written to.
    Client,
    /// It was seen to leave.
    Gone,
    Origin(String),
    /// The body broke off at the origin.
    Broken(BodyFault),
}

impl From<ClientGone> for Cut {
    fn from(_: ClientGone) -> Self {
        Cut::Client
    }
}

async fn send<W: ResponseSink>(sink: &mut W, body: Source, segments: Segments) -> Result<(), Cut> {
    match (body, segments) {
        (_, Segments::Nothing) => sink.end(&Headers::new()).await?,
        (Source::Made(bytes), Segments::Whole) => {
            if !bytes.is_empty() {
                sink.data(&bytes).await?;
            }
            sink.end(&Headers::new()).await?;
        }
        (Source::Object(object, reader), Segments::Whole) => {
            if let Some(whole) = object.body().whole_slice() {
                sink.data(whole).await?;
                sink.end(object.body().trailers().unwrap_or(&Headers::new())).await?;
            } else {
                send_all(sink, reader.or_else(|| object.body().reader())).await?;
            }
        }
        (Source::Transit { reader, .. }, Segments::Whole) => send_all(sink, Some(reader)).await?,
        (Source::Object(object, held), Segments::Parts(parts)) => {
            // The reader from the start holds a body that has begun to pass by, until there is one where the bytes are
            // wanted; any longer, and the fetch would wait for it. In the same way each part holds the next one's place.
            let places_of = |part: Option<&Part>| part.and_then(|part| places(&object, part.start, part.len));
            let mut next = places_of(parts.first());
            drop(held);
            for (i, part) in parts.iter().enumerate() {
                let Some(places) = next.take().or_else(|| places_of(Some(part))) else {
                    return Err(Cut::Origin("the start of the range has passed by".into()));
                };
                // One that lies before this one is not held: if the body begins to pass by after all, both would wait.
                let after = parts.get(i + 1).filter(|after| after.len > 0 && after.start > part.start);
                next = places_of(after);
                if !part.before.is_empty() {
                    sink.data(&part.before).await?;
                }
                for (reader, len) in places {
                    send_range(sink, &mut Pieces::from(reader), len).await?;
                }
            }
            sink.end(&Headers::new()).await?;
        }
        // In order, as the filters have seen to; what lies after the last part is not waited for, and its fetch ends.
        (Source::Transit { reader, .. }, Segments::Parts(parts)) => {
            let mut pieces = Pieces::from(reader);
            for part in &parts {
                if !part.before.is_empty() {
                    sink.data(&part.before).await?;
                }
                if part.len > 0 {
                    pieces.skip_to(part.start).await?;
                    send_range(sink, &mut pieces, part.len).await?;
                }
            }
            sink.end(&Headers::new()).await?;
        }
        // What was made here has no parts.
        (Source::Made(_), Segments::Parts(_)) => return Err(Cut::Origin("a range of a page".into())),
    }
    Ok(())
}

async fn send_all<W: ResponseSink>(sink: &mut W, reader: Option<Reader>) -> Result<(), Cut> {
    let Some(mut reader) = reader else {
        return Err(Cut::Origin("the body had begun to pass by before this request joined".into()));
    };
    while let Some(piece) = reader.next().await {
        let piece = piece.map_err(Cut::Broken)?;
        sink.data(&piece).await?;
    }
    sink.end(&reader.trailers().unwrap_or_default()).await?;
    Ok(())
}

/// Readers at the places where these bytes lie, and how many there are at each.
fn places(object: &Arc<Object>, start: u64, len: u64) -> Option<SmallVec<[(Reader, u64); 1]>> {
    match object.body().parts() {
        // The end of multipart/byteranges is a part without bytes.
        _ if len == 0 => Some(SmallVec::new()),
        None => object.body().reader_at(start).map(|reader| smallvec![(reader, len)]),
        Some(parts) => {
            parts.stretches((start, start + len - 1))?.iter().map(|s| Some((s.reader()?, s.len()))).collect()
        }
    }
}

async fn send_range<W: ResponseSink>(sink: &mut W, pieces: &mut Pieces, len: u64) -> Result<(), Cut> {
    let mut left = len;
    while left > 0 {
        let piece = pieces.next(left).await?;
        left -= piece.len() as u64;
        sink.data(&piece).await?;
    }
    Ok(())
}

/// A reader from which as much is taken as is wanted.
struct Pieces {
    reader: Reader,
    /// The rest of what it gave last.
    rest: Bytes,
    at: u64,
}

impl From<Reader> for Pieces {
    fn from(reader: Reader) -> Self {
        Pieces { at: reader.offset(), reader, rest: Bytes::new() }
    }
}

impl Pieces {
    /// At least one byte, at most `most`.
    async fn next(&mut self, most: u64) -> Result<Bytes, Cut> {
        if self.rest.is_empty() {
            let Some(piece) = self.reader.next().await else {
                return Err(Cut::Origin("the body ended before the range did".into()));
            };
            self.rest = piece.map_err(Cut::Broken)?;
        }
        let len = self.rest.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        self.at += len as u64;
        Ok(self.rest.split_to(len))
    }

    async fn skip_to(&mut self, start: u64) -> Result<(), Cut> {
        while self.at < start {
            self.next(start - self.at).await?;
        }
        Ok(())
    }
}

/// Sends while the client is watched: it may leave while the origin pauses.
async fn watched<R: RequestSource>(sending: impl Future<Output = Result<(), Cut>>, source: &mut R) -> Result<(), Cut> {
    tokio::select! {
        biased;
        sent = sending => sent,
        () = source.gone() => Err(Cut::Gone),
    }
}

/// The origin answered before it had the whole request body: both directions go on side by side, and the one that is over
/// last ends the step. What the fetch does not want any more is not read here.
async fn while_uploading<R: RequestSource>(
    sending: impl Future<Output = Result<(), Cut>>,
    upload: &mut Upload,
    source: &mut R,
) -> Result<(), Cut> {
    let mut sending = pin!(sending);
    tokio::select! {
        biased;
        sent = &mut sending => sent?,
        () = upload.pump(source) => return watched(sending, source).await,
    }
    upload.pump(source).await;
    Ok(())
}
