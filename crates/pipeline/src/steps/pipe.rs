//! pipe: the connection becomes a tunnel to an origin, and carries nothing else after it.
//!
//! ```text
//! Connection: upgrade + Upgrade ─▶ the origin is asked ─┬ 101 ───▶ tunnel
//!                                                       └ other ─▶ deliver: an ordinary answer, then the end
//! any other request ─▶ head with Connection: close ───────────────▶ tunnel from the first byte
//! ```
//!
//! Invariants: what the client sends after a request to change protocols reaches the origin only once it has agreed, so
//! that no second request slips by the policy; HTTP/2 is never among the protocols, for the same reason; the request's own
//! body is framed anew; until the first byte of an answer has come, the client gets a 503 for what goes wrong.

use super::deliver::finish_head;
use super::{Delivery, Page, Source, Step, client_left, common_action, policy_fault, unavailable};
use crate::core::{Pipes, Worker};
use crate::fetch::{backend_scene, ends, timeouts};
use crate::io::{RequestBody, RequestSource, ResponseSink};
use crate::relay::{End, Relayed, Terms, relay};
use crate::request_body::awaits_continue;
use crate::txn::Txn;
use copal_backend::{Ask, BodyFraming, Exchange, Fault, Opened, Origin, Picked, ResponseBody, Tunnel, tunnel};
use copal_observe::access_log::Outcome;
use copal_observe::counters::{Counter, Counters};
use copal_observe::trace::Event as Note;
use copal_policy::{Action, Hook, Scene};
use copal_semantics::cache_status::Fwd;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::reason::Reason;
use copal_semantics::{Headers, RequestHead, ResponseHead, Span, hop_by_hop};
use copal_store::{BodyFault, BodyWriter};
use http::{Method, Version};
use std::sync::Arc;

/// Would this request change protocols, to one for which the configuration asks no policy?
pub(crate) fn is_wanted(pipes: &Pipes, req: &RequestHead) -> bool {
    !pipes.upgrades.is_empty()
        && protocols(req.version, &req.headers)
            .any(|p| pipes.upgrades.iter().any(|u| p.eq_ignore_ascii_case(u.as_bytes())))
}

/// The protocols that a request asks for (RFC 9110 §7.8: with `Connection: upgrade`, and not in HTTP/1.0). Not those that
/// would carry HTTP requests which nobody looks at.
fn protocols(version: Version, headers: &Headers) -> impl Iterator<Item = &[u8]> {
    let asks =
        version == Version::HTTP_11 && headers.list("connection").any(|option| option.eq_ignore_ascii_case(b"upgrade"));
    let carried = |name: &&[u8]| {
        let prefix = |p: &[u8]| name.get(..p.len()).is_some_and(|start| start.eq_ignore_ascii_case(p));
        !(name.eq_ignore_ascii_case(b"h2c") || prefix(b"HTTP/") || prefix(b"TLS/"))
    };
    headers.list("upgrade").filter(move |_| asks).filter(carried)
}

pub(crate) async fn run<R: RequestSource, W: ResponseSink>(
    worker: &Arc<Worker>,
    txn: &mut Txn,
    source: &mut R,
    sink: &mut W,
) -> Step {
    prepare(worker, txn);
    let action = match txn.hook(worker, Hook::Pipe) {
        Ok(action) => action,
        Err(fault) => return policy_fault(&fault),
    };
    match action {
        Action::Default | Action::Pipe => {}
        other => {
            return common_action(txn, Hook::Pipe, other)
                .unwrap_or_else(|other| unavailable(worker, txn, Hook::Pipe, &other));
        }
    }
    worker.count(Counter::Pipes);
    if txn.req().method == Method::CONNECT {
        // Copal is no forward proxy, whatever the policy says.
        return no_tunnel(worker, txn, "CONNECT is not tunnelled", ProxyError::HttpRequestDenied);
    }
    if !source.can_tunnel() {
        let why = "this request cannot become a tunnel: its body has been read, or it shares its connection";
        return no_tunnel(worker, txn, why, ProxyError::ProxyInternalError);
    }
    let pipes = &worker.core.settings.pipe;
    let open = worker.core.counters.hold(Counter::PipesOpen);
    if u64::try_from(worker.core.counters.get(Counter::PipesOpen)).unwrap_or(0) > pipes.connections {
        let why = format!("{} tunnels are open: [pipe] connections", pipes.connections);
        return no_tunnel(worker, txn, &why, ProxyError::ConnectionLimitReached);
    }
    txn.verdict.outcome = Outcome::Pipe;
    txn.verdict.fwd = Some(Fwd::Bypass);
    txn.verdict.reason = Some(Reason::Pipe);
    // Nothing that follows on this connection would be a request.
    txn.close = true;
    sink.close_after();
    let Picked { origin, set_cookie, .. } = match pick(worker, txn) {
        Ok(picked) => picked,
        Err(fault) => return no_tunnel(worker, txn, &fault.to_string(), fault.error()),
    };
    origin.name().clone_into(&mut txn.backend);
    let upgrades = agree_on_connection(txn, source.kind());
    txn.trace.note(|| Note::Asked {
        backend: origin.name().to_owned(),
        request: format!("{} {}", txn.scene().bereq.method, txn.scene().bereq.url),
        conditional: false,
    });
    let opened = match ask(worker, txn, &origin, upgrades, source, sink).await {
        Asked::Fault(fault) => return no_tunnel(worker, txn, &fault.to_string(), fault.error()),
        Asked::ClientLeft => return client_left(worker, txn, sink).await,
        Asked::Opened(opened) => opened,
    };
    let step = match opened {
        Raw::Tunnel(tunnel) => through(worker, txn, tunnel, false, source, sink).await,
        Raw::Opened(Opened::Switched(head, tunnel)) => {
            if switch(worker, txn, *head, set_cookie, sink).await.is_err() {
                return client_left(worker, txn, sink).await;
            }
            through(worker, txn, tunnel, true, source, sink).await
        }
        Raw::Opened(Opened::Answered(exchange)) => answered(worker, txn, *exchange, set_cookie),
    };
    drop(open);
    step
}

/// The request to the origin, with what is left out of every other one: which protocol the client wants.
fn prepare(worker: &Worker, txn: &mut Txn) {
    let made = backend_scene(txn.scene(), false, &worker.core.settings.via);
    let Scene { mut bereq, bereq_vars, .. } = *made;
    let req = txn.req();
    let wanted: Vec<&[u8]> = protocols(req.version, &req.headers).collect();
    if !wanted.is_empty() {
        // They come from a field that was valid.
        let _valid = bereq.headers.set("Connection", "Upgrade");
        let _valid = bereq.headers.set("Upgrade", wanted.join(&b", "[..]));
    }
    let scene = txn.scene_mut();
    scene.bereq = bereq;
    scene.bereq_vars = bereq_vars;
    scene.bereq_vars.uncacheable = true;
    scene.bereq_vars.time = scene.now;
}

/// Writes the fields of this one connection, whatever the hook has made of them. True when other protocols are asked for.
///
/// A request with a body is not one of those: RFC 9110 §7.8 lets a server ignore the wish.
fn agree_on_connection(txn: &mut Txn, body: RequestBody) -> bool {
    let bereq = &mut txn.scene_mut().bereq;
    let wanted = protocols(Version::HTTP_11, &bereq.headers).collect::<Vec<_>>().join(&b", "[..]);
    hop_by_hop::strip_request(&mut bereq.headers);
    let upgrades = !wanted.is_empty() && body == RequestBody::None;
    let _valid = bereq.headers.set("Connection", if upgrades { "Upgrade" } else { "close" });
    if upgrades {
        let _valid = bereq.headers.set("Upgrade", wanted);
    }
    upgrades
}

fn pick(worker: &Worker, txn: &Txn) -> Result<Picked, Fault> {
    let scene = txn.scene();
    let ask = Ask { head: &scene.bereq, key: b"", client: scene.client.ip, bound: &txn.bound, tried: &[] };
    worker.core.backends.pick(scene.bereq_vars.backend.as_deref(), &ask)
}

enum Raw {
    Tunnel(Tunnel),
    Opened(Opened),
}

enum Asked {
    Opened(Raw),
    Fault(Fault),
    ClientLeft,
}

async fn ask<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &Txn,
    origin: &Arc<Origin>,
    upgrades: bool,
    source: &mut R,
    sink: &mut W,
) -> Asked {
    let (pool, bereq) = (&worker.pool, &txn.scene().bereq);
    let times = (timeouts(&txn.scene().bereq_vars, origin), ends(txn.scene()));
    if !upgrades {
        let framing = match source.kind() {
            RequestBody::None => BodyFraming::None,
            RequestBody::Length(n) => BodyFraming::Length(n),
            RequestBody::Unknown => BodyFraming::Chunked,
        };
        let tunnel = match tunnel::open(pool, origin, bereq, framing, times).await {
            Ok(tunnel) => tunnel,
            Err(fault) => return Asked::Fault(fault),
        };
        if framing != BodyFraming::None && awaits_continue(txn) {
            let go_on = ResponseHead { status: 100, ..ResponseHead::default() };
            if sink.interim(&go_on).await.is_err() {
                return Asked::ClientLeft;
            }
        }
        return Asked::Opened(Raw::Tunnel(tunnel));
    }
    // Hints before a change of protocols are no use to anybody.
    let mut no_hints = |_: ResponseHead| {};
    tokio::select! {
        biased;
        opened = tunnel::upgrade(pool, origin, bereq, times, &mut no_hints) => match opened {
            Ok(opened) => Asked::Opened(Raw::Opened(opened)),
            Err(fault) => Asked::Fault(fault),
        },
        () = source.gone() => Asked::ClientLeft,
    }
}

/// Tells the client that its connection now speaks another protocol.
async fn switch<W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    mut head: ResponseHead,
    set_cookie: Option<String>,
    sink: &mut W,
) -> Result<(), crate::io::ClientGone> {
    let to = head.headers.combined("upgrade").map(std::borrow::Cow::into_owned).unwrap_or_default();
    hop_by_hop::strip_response(&mut head.headers);
    // RFC 9110 §8.6: a 1xx has no length.
    head.headers.remove("content-length");
    // Valid as it came from the origin, or made of names that the configuration has checked.
    let _valid = head.headers.set("Connection", "Upgrade");
    let _valid = head.headers.set("Upgrade", to);
    if let Some(cookie) = set_cookie {
        let _valid = head.headers.append("Set-Cookie", cookie);
    }
    txn.scene_mut().resp = head;
    let _line = finish_head(&worker.core, txn);
    txn.status = 101;
    txn.head_at = Some(copal_observe::clock::ticks());
    sink.interim(&txn.scene().resp).await
}

async fn through<R: RequestSource, W: ResponseSink>(
    worker: &Worker,
    txn: &mut Txn,
    tunnel: Tunnel,
    answered: bool,
    source: &mut R,
    sink: &mut W,
) -> Step {
    let pipes = &worker.core.settings.pipe;
    let deadline = txn.scene().bereq_vars.task_deadline.map_or(pipes.deadline, Span::to_std);
    let terms = Terms { timeout: pipes.timeout, deadline, answered };
    if answered {
        sink.start_raw();
    }
    let Relayed { end, from_client, status } = relay(tunnel, (source, sink), &terms, &worker.core.counters).await;
    txn.pipe_bytes_in = from_client;
    if let Some(status) = status {
        txn.status = status;
    }
    let why = match end {
        End::Over => return Step::Done,
        End::NoAnswer(why) => return no_tunnel(worker, txn, &why, ProxyError::ConnectionTerminated),
        End::Client(why) => {
            worker.count(Counter::ClientGone);
            why
        }
        End::Origin(why) => format!("the origin broke the tunnel off: {why}"),
        End::TimedOut(why) => {
            worker.count(Counter::PipesTimedOut);
            format!("the tunnel was cut: {why}")
        }
    };
    txn.error = Some(why);
    sink.abort().await;
    Step::Done
}

/// The origin has not changed protocols: its answer is an ordinary one, and the last on this connection, since the client
/// may take what follows its request for the other protocol.
fn answered(worker: &Worker, txn: &mut Txn, mut exchange: Exchange, set_cookie: Option<String>) -> Step {
    let core = &worker.core;
    let mut head = std::mem::take(&mut exchange.head);
    hop_by_hop::strip_response(&mut head.headers);
    if !head.headers.contains("date") {
        // RFC 9110 §6.6.1. Our own words are never refused; nor is what was received, or checked at load.
        let _valid = head.headers.set("Date", copal_semantics::date::http_date(core.clock.now()));
    }
    let declared = head.headers.get("content-length").and_then(|n| std::str::from_utf8(n).ok()?.parse().ok());
    head.headers.remove("content-length");
    if let Some(cookie) = set_cookie.filter(|_| head.status < 500) {
        let _valid = head.headers.append("Set-Cookie", cookie);
    }
    let length = match exchange.framing {
        BodyFraming::Length(n) => Some(n),
        BodyFraming::None => declared.or(Some(0)),
        BodyFraming::Chunked | BodyFraming::Close => None,
    };
    txn.verdict.outcome = Outcome::Pass;
    let scene = txn.scene_mut();
    scene.resp = head;
    scene.obj = None;
    scene.resp_vars.hits = 0;
    let (reader, writer) = core.store.transit_body(core.settings.transit_window as u64);
    tokio::spawn(hand_on(Arc::clone(&core.counters), exchange.body, writer));
    Step::Deliver(Delivery { body: Source::Transit { reader, length }, upload: None })
}

async fn hand_on(counters: Arc<Counters>, mut body: ResponseBody, mut to: BodyWriter) {
    loop {
        let next = tokio::select! {
            biased;
            next = body.next() => next,
            () = to.deserted() => return,
        };
        match next {
            Some(Ok(piece)) => {
                counters.add(Counter::BodyBytesFetched, piece.len() as u64);
                if to.push(piece).await.is_err() {
                    return;
                }
            }
            Some(Err(fault)) => {
                tracing::warn!(target: "copal::fetch", "{fault}");
                return to.abort(BodyFault::Broken);
            }
            None => {
                let trailers = body.take_trailers();
                return to.finish((!trailers.is_empty()).then_some(trailers));
            }
        }
    }
}

/// There is no tunnel: 503, and the end of the connection.
fn no_tunnel(worker: &Worker, txn: &mut Txn, why: &str, error: ProxyError) -> Step {
    worker.count(Counter::PipesFailed);
    tracing::warn!(target: "copal::pipe", url = %txn.req().url, backend = %txn.backend, "no tunnel: {why}");
    txn.error = Some(format!("no tunnel: {why}"));
    Step::Synth(Page { close: true, ..Page::fault(503, "", error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(fields: &[(&'static str, &'static str)]) -> RequestHead {
        RequestHead::get("/", fields.iter().copied())
    }

    #[test]
    fn only_what_the_configuration_names_needs_no_policy() {
        let pipes = Pipes { upgrades: vec!["websocket".to_owned()], ..Pipes::default() };
        let wanted = |fields: &[(&'static str, &'static str)]| is_wanted(&pipes, &asked(fields));
        assert!(wanted(&[("Upgrade", "websocket"), ("Connection", "keep-alive, Upgrade")]));
        assert!(wanted(&[("Upgrade", "h2c, WebSocket"), ("Connection", "upgrade")]));
        assert!(!wanted(&[("Upgrade", "websocket")]));
        assert!(!wanted(&[("Upgrade", "websocket"), ("Connection", "keep-alive")]));
        assert!(!wanted(&[("Upgrade", "h2c"), ("Connection", "upgrade")]));
        let mut old = asked(&[("Upgrade", "websocket"), ("Connection", "upgrade")]);
        old.version = Version::HTTP_10;
        assert!(!is_wanted(&pipes, &old));
        assert!(!is_wanted(&Pipes::default(), &asked(&[("Upgrade", "websocket"), ("Connection", "upgrade")])));
    }

    #[test]
    fn protocols_that_carry_requests_are_never_asked_for() {
        let req = asked(&[("Upgrade", "h2c, HTTP/2.0, tls/1.0, websocket"), ("Connection", "upgrade")]);
        assert_eq!(protocols(req.version, &req.headers).collect::<Vec<_>>(), [b"websocket"]);
    }
}
