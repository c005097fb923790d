//! response: an origin is chosen and asked; its response head is awaited.

use super::{Answer, Event, Failure, Job, Next, Outgoing};
use crate::io::RequestBody;
use copal_backend::{Ask, Ends, Fault, Origin, Picked, SendBody, Timeouts, exchange};
use copal_observe::counters::Counter;
use copal_observe::trace::Event as Note;
use copal_policy::BackendRequestVars;
use copal_semantics::{Span, hop_by_hop};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn run(job: &mut Job) -> Next {
    let Picked { origin, set_cookie } = match pick(job) {
        Ok(picked) => picked,
        Err(fault) => return Next::BackendError(Failure::Origin(fault)),
    };
    origin.name().clone_into(&mut job.origin);
    job.request_time = job.worker.core.clock.now();
    // A purge from here on may be about what the origin is going to answer.
    job.watch = job.cacheable.then(|| job.worker.core.store.watch_purges(job.hash));
    let timeouts = timeouts(&job.scene().bereq_vars, &origin);
    let ends = ends(job);
    job.trace.note(|| Note::Asked {
        backend: job.origin.clone(),
        request: format!("{} {}", job.scene().bereq.method, job.scene().bereq.url),
        conditional: job.conditional,
    });
    let asked = copal_observe::clock::ticks();
    let worker = Arc::clone(&job.worker);
    let scene = job.scene.as_deref().expect(super::SCENE_IS_HERE);
    let events = job.events.clone();
    let mut interim = |head| {
        // A client that is slow to take hints does without them; the last place is kept for the final head.
        if let Some(events) = events.as_ref().filter(|events| events.capacity() > 1) {
            let _full = events.try_send(Event::Interim(Box::new(head)));
        }
    };
    let kept = job.kept.as_ref().filter(|_| !scene.bereq_vars.no_body).map(|kept| kept.bytes.clone());
    let upload = job.upload.take().filter(|_| !scene.bereq_vars.no_body);
    let mut body = match (upload, job.upload_kind, kept) {
        (_, _, Some(kept)) if kept.is_empty() => SendBody::None,
        (_, _, Some(kept)) => SendBody::Length(kept.len() as u64, Outgoing::Kept(kept)),
        (None, _, None) | (Some(_), RequestBody::None, None) => SendBody::None,
        (Some(pieces), RequestBody::Length(n), None) => SendBody::Length(n, Outgoing::Pieces(Box::new(pieces))),
        (Some(pieces), RequestBody::Unknown, None) => SendBody::Chunked(Outgoing::Pieces(Box::new(pieces))),
    };
    let had_body = !matches!(body, SendBody::None);
    let alone = job.events.clone().filter(|_| !job.cacheable);
    let client_left = async {
        match &alone {
            Some(events) => events.closed().await,
            None => std::future::pending().await,
        }
    };
    let answer = tokio::select! {
        biased;
        answer = exchange(&worker.pool, &origin, &scene.bereq, &mut body, (timeouts, ends), &mut interim) => answer,
        () = client_left => {
            // Dropping the exchange has closed its connection, by which the origin learns of it.
            job.count(Counter::FetchesCancelled);
            return Next::Done;
        }
    };
    // What was not touched can be sent with another attempt. What was, goes on with the response, or is let go of here, by
    // which the client's side learns that no more is wanted.
    job.upload = match body {
        SendBody::Length(_, Outgoing::Pieces(pieces)) | SendBody::Chunked(Outgoing::Pieces(pieces))
            if !pieces.touched() =>
        {
            Some(*pieces)
        }
        SendBody::None | SendBody::Length(..) | SendBody::Chunked(_) => None,
    };
    job.upload_spent |= had_body && job.upload.is_none() && job.kept.is_none();
    let mut exchange = match answer {
        Ok(exchange) => exchange,
        Err(fault) => return Next::BackendError(Failure::Origin(fault)),
    };
    job.response_time = job.worker.core.clock.now();
    let answered = job.response_time;
    job.scene_mut().bereq_vars.answered = answered;
    let took = copal_observe::clock::ticks().saturating_duration_since(asked);
    job.trace.note(|| crate::tracer::answered(&exchange, took));
    job.count(if exchange.reused { Counter::BackendConnectionsReused } else { Counter::BackendConnectionsOpened });
    if exchange.reconnected {
        job.count(Counter::FetchReconnects);
    }
    let mut head = std::mem::take(&mut exchange.head);
    hop_by_hop::strip_response(&mut head.headers);
    if !head.headers.contains("date") {
        // RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing. Our own words are never refused.
        let _valid = head.headers.set("Date", copal_semantics::date::http_date(job.response_time));
    }
    // The length goes with the framing, which every hop makes for itself; what an answer to HEAD declares is kept apart.
    job.declared_length = head.headers.get("content-length").and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
    head.headers.remove("content-length");
    // What binds one visitor is on no response that others could be given, nor does anybody want to be bound to a failure.
    if let Some(cookie) = set_cookie.filter(|_| !job.cacheable && head.status < 500) {
        // Made of names that the configuration has checked: never refused.
        let _valid = head.headers.append("Set-Cookie", cookie);
    }
    let status = head.status;
    job.scene_mut().beresp = head;
    let answer = Answer { exchange: Some(Box::new(exchange)), renewed: None };
    match status {
        304 if job.conditional => Next::BackendRefresh(answer),
        304 if job.cacheable => {
            Next::BackendError(Failure::BadAnswer("the origin answered 304 to an unconditional request"))
        }
        _ => Next::BackendResponse(answer),
    }
}

fn pick(job: &Job) -> Result<Picked, Fault> {
    let scene = job.scene();
    let ask =
        Ask { head: &scene.bereq, key: job.key.as_bytes(), client: scene.client.ip, attempt: scene.bereq_vars.retries };
    job.worker.core.backends.pick(scene.bereq_vars.backend.as_deref(), &ask)
}

/// The backend's own limits, where the policy has set none.
pub(crate) fn timeouts(vars: &BackendRequestVars, origin: &Origin) -> Timeouts {
    let or = |set: Option<Span>, own: Duration| set.map_or(own, Span::to_std);
    let options = origin.options();
    Timeouts {
        connect: or(vars.connect_timeout, options.connect_timeout),
        first_byte: or(vars.first_byte_timeout, options.first_byte_timeout),
        between_bytes: or(vars.between_bytes_timeout, options.between_bytes_timeout),
        total: vars.total_timeout.map(Span::to_std).or(options.total_timeout),
    }
}

/// The client's connection, for origins that are told of it: nobody's where no client has caused the fetch.
fn ends(job: &Job) -> Option<Ends> {
    let scene = job.scene();
    let (client, server) = (&scene.remote, &scene.local);
    (!client.ip.is_unspecified()).then(|| Ends {
        client: SocketAddr::new(client.ip, client.port),
        server: SocketAddr::new(server.ip, server.port),
    })
}
