//! response: an origin is chosen and asked; its response head is awaited. Where it fails, and the request may be repeated,
//! another origin is asked, as often as `[retry]` says.

use super::{Answer, Event, Failure, Job, Next, Outgoing};
use crate::io::RequestBody;
use crate::shadow::Shadow;
use copal_backend::{
    Ask, Backends, Class, Ends, Exchange, Fault, Origin, Picked, RequestBody as _, SendBody, Timeouts, exchange,
};
use copal_observe::counters::Counter;
use copal_observe::trace::Event as Note;
use copal_policy::{BackendRequestVars, Scene};
use copal_semantics::{Span, hop_by_hop};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The copy of the request that somebody else gets, if anybody does; its body is yet to come.
fn shadow(job: &Job) -> Option<Shadow> {
    let scene = job.scene();
    let to = job.worker.core.settings.shadow.target(scene.bereq_vars.shadow.as_deref(), &scene.bereq)?;
    let (head, key) = (scene.bereq.clone(), job.key.as_bytes().to_vec());
    Some(Shadow { to, head, key, client: scene.client.ip, body: None })
}

/// How one origin took the request.
enum Asked {
    Answer(Box<Exchange>),
    Fault(Fault),
    /// The only client that it was for has left.
    Left,
}

pub(super) async fn run(job: &mut Job) -> Next {
    let mut picked = match with_ask(job, |backends, name, ask| backends.pick(name, ask)) {
        Ok(picked) => picked,
        Err(fault) => return Next::BackendError(Failure::Origin(fault)),
    };
    if job.tried.is_empty() {
        with_ask(job, |backends, name, _| backends.count_request(name));
    }
    let mut shadow = if job.tried.is_empty() { shadow(job) } else { None };
    if job.upload_kind == RequestBody::None
        && let Some(shadow) = shadow.take()
    {
        shadow.send(&job.worker);
    }
    loop {
        let asked = ask(job, &picked.origin, shadow.as_mut()).await;
        // Its body has come by with the request, or was too long to be kept.
        match shadow.take() {
            Some(shadow) if shadow.body.is_some() => shadow.send(&job.worker),
            Some(_) => job.count(Counter::ShadowsSkipped),
            None => {}
        }
        if !job.tried.contains(&picked.index) {
            job.tried.push(picked.index);
        }
        if let Some(why) = reason_to_go_elsewhere(job, &asked)
            && let Some(other) = elsewhere(job, &why)
        {
            picked = other;
            continue;
        }
        return match asked {
            Asked::Answer(exchange) => take_in(job, exchange, picked.set_cookie),
            Asked::Fault(fault) => Next::BackendError(Failure::Origin(fault)),
            Asked::Left => Next::Done,
        };
    }
}

/// Why another origin should be asked the same: after a fault where that is safe, and after an answer that the owner has
/// named, to a request that may be repeated (RFC 9110 §9.2.2).
fn reason_to_go_elsewhere(job: &Job, asked: &Asked) -> Option<String> {
    let retry = &job.worker.core.settings.retry;
    if job.sent_elsewhere >= retry.attempts {
        return None;
    }
    match asked {
        Asked::Fault(fault) => fault.another_may_help().then(|| fault.to_string()),
        Asked::Answer(exchange) => {
            let status = exchange.head.status;
            let named = retry.statuses.iter().any(|range| range.contains(&status));
            let again = job.scene().bereq.method.is_idempotent() && !job.upload_spent && !exchange.body.is_sending();
            (named && again).then(|| format!("{} answered {status}", job.origin))
        }
        Asked::Left => None,
    }
}

/// Another origin that can serve, if there is one and the retry budget allows it.
fn elsewhere(job: &mut Job, why: &str) -> Option<Picked> {
    let Some(other) = with_ask(job, |backends, name, ask| backends.pick_other(name, ask)) else {
        job.trace.note(|| Note::NotElsewhere { why: "there is no other backend that can serve" });
        return None;
    };
    if !job.has_budget() {
        job.trace.note(|| Note::NotElsewhere { why: "the retry budget is used up" });
        return None;
    }
    job.sent_elsewhere += 1;
    job.count(Counter::FetchRetriesElsewhere);
    let backend = other.origin.name();
    tracing::info!(target: "copal::fetch", url = %job.scene().bereq.url, backend, "sent again: {why}");
    job.trace.note(|| Note::Elsewhere { why: why.to_owned(), backend: backend.to_owned() });
    Some(other)
}

async fn ask(job: &mut Job, origin: &Arc<Origin>, shadow: Option<&mut Shadow>) -> Asked {
    origin.name().clone_into(&mut job.origin);
    job.request_time = job.worker.core.clock.now();
    // A purge from here on may be about what the origin is going to answer.
    job.watch = job.cacheable.then(|| job.worker.core.store.watch_purges(job.hash));
    let timeouts = timeouts(&job.scene().bereq_vars, origin);
    let ends = ends(job.scene());
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
        (_, _, Some(kept)) => SendBody::Length(kept.len() as u64, Outgoing::kept(kept)),
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
        answer = exchange(&worker.pool, origin, &scene.bereq, &mut body, (timeouts, ends), &mut interim) => answer,
        () = client_left => {
            // Dropping the exchange has closed its connection, by which the origin learns of it.
            job.count(Counter::FetchesCancelled);
            return Asked::Left;
        }
    };
    // What is there from its beginning can be sent with another attempt. What is not goes on with the response, or is let go
    // of here, by which the client's side learns that no more is wanted.
    job.upload = match body {
        SendBody::Length(_, mut sent) | SendBody::Chunked(mut sent) => {
            if let Some(shadow) = shadow {
                shadow.body = sent.whole();
            }
            match (sent.rewind(), sent) {
                (true, Outgoing::Pieces(pieces)) => Some(*pieces),
                // What is kept for the policy is there for every attempt.
                (_, Outgoing::Kept { .. }) | (false, Outgoing::Pieces(_)) => None,
            }
        }
        SendBody::None => None,
    };
    job.upload_spent |= had_body && job.upload.is_none() && job.kept.is_none();
    let exchange = match answer {
        Ok(exchange) => exchange,
        Err(fault) => return Asked::Fault(fault),
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
    Asked::Answer(Box::new(exchange))
}

fn take_in(job: &mut Job, mut exchange: Box<Exchange>, set_cookie: Option<String>) -> Next {
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
    let answer = Answer { exchange: Some(exchange), renewed: None };
    match status {
        304 if job.conditional => Next::BackendRefresh(answer),
        304 if job.cacheable => {
            Next::BackendError(Failure::BadAnswer("the origin answered 304 to an unconditional request"))
        }
        _ => Next::BackendResponse(answer),
    }
}

/// What the backends are told of the request, beside the name that it goes to.
fn with_ask<T>(job: &Job, tell: impl FnOnce(&Backends, Option<&str>, &Ask<'_>) -> T) -> T {
    let scene = job.scene();
    let ask = Ask {
        head: &scene.bereq,
        key: job.key.as_bytes(),
        client: scene.client.ip,
        bound: &job.bound,
        tried: &job.tried,
    };
    tell(&job.worker.core.backends, scene.bereq_vars.backend.as_deref(), &ask)
}

/// The backend's own limits, where the policy has set none.
pub(crate) fn timeouts(vars: &BackendRequestVars, origin: &Origin) -> Timeouts {
    let or = |set: Option<Span>, own: Duration| set.map_or(own, Span::to_std);
    let options = origin.options();
    let class = if vars.is_bgfetch { Class::Background } else { Class::Client };
    Timeouts {
        class,
        connect: or(vars.connect_timeout, options.connect_timeout),
        first_byte: or(vars.first_byte_timeout, options.first_byte_timeout),
        between_bytes: or(vars.between_bytes_timeout, options.between_bytes_timeout),
        total: vars.total_timeout.map(Span::to_std).or(options.total_timeout),
    }
}

/// The client's connection, for origins that are told of it: the one that a PROXY header has named, where there was one; nobody's
/// where no client has caused the fetch.
pub(crate) fn ends(scene: &Scene) -> Option<Ends> {
    let (client, server) = (&scene.client, &scene.server);
    (!client.ip.is_unspecified()).then(|| Ends {
        client: SocketAddr::new(client.ip, client.port),
        server: SocketAddr::new(server.ip, server.port),
    })
}
