//! One request over one stream, up to the final head of its response.
//!
//! The request and its response may cross, as over HTTP/1.1: the final head is given as soon as it is there, and what is
//! left of the client's body goes on with the response.

use super::body::Http2Body;
use super::upload::{Trouble, Upload};
use super::{Slot, head};
use crate::body::{RequestBody, SendBody};
use crate::fault::{Fault, FaultKind, Phase};
use crate::fetch::{Timeouts, left};
use crate::origin::Origin;
use crate::slots::Permit;
use crate::talk::INTERIM_MAX;
use copal_semantics::{RequestHead, ResponseHead};
use copal_wire::{BodyFraming, WireError, response_framing};
use h2::client::ResponseFuture;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::time::{Instant, timeout_at};

/// What is asked.
pub(crate) struct Question<'a> {
    pub(crate) origin: &'a Arc<Origin>,
    pub(crate) head: &'a RequestHead,
    pub(crate) request: Request<()>,
    pub(crate) timeouts: Timeouts,
    /// When all of it must be over.
    pub(crate) deadline: Option<Instant>,
}

/// A response whose head has arrived.
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) framing: BodyFraming,
    pub(crate) body: Http2Body,
}

/// Why there is none.
pub(crate) struct Failed {
    pub(crate) fault: Fault,
    /// The origin has said, or it is certain, that it has done nothing with the request (RFC 9113 §8.7); or it was lost
    /// with a kept connection, and asking again does no harm. The client's body is at its beginning.
    pub(crate) again: bool,
}

/// Asks over the stream. The permit goes with the response.
pub(crate) async fn ask<B: RequestBody + 'static>(
    mut slot: Slot,
    question: Question<'_>,
    body: &mut SendBody<B>,
    permit: &mut Option<Permit>,
    on_interim: &mut (dyn FnMut(ResponseHead) + Send),
) -> Result<Answer, Failed> {
    let Question { origin, head, request, timeouts, deadline } = question;
    let fault = |phase, kind, why: String| Fault::late(phase, kind, origin.name(), why);
    // A connection that takes no more requests says so here, before anything is sent.
    let nothing_to_send = matches!(body, SendBody::None | SendBody::Length(0, _));
    let limit = Instant::now() + left(timeouts.connect, deadline);
    let opened = match timeout_at(limit, std::future::poll_fn(|cx| slot.send.poll_ready(cx))).await {
        Err(_) => {
            let fault = Fault::early(Phase::Pool, FaultKind::Timeout, Some(origin.name()), "no free stream in time");
            return Err(Failed { fault, again: false });
        }
        Ok(ready) => ready.and_then(|()| slot.send.send_request(request, nothing_to_send)),
    };
    let (mut response, send) = match opened {
        Ok(opened) => opened,
        Err(e) => {
            slot.retire();
            let fault = Fault { retry_safe: true, ..fault(Phase::Send, kind(&e), e.to_string()) };
            return Err(Failed { fault, again: true });
        }
    };
    let mut talk = Talk { upload: Upload::new(send, body), refused: false, interims: 0, on_interim };
    let outcome = talk.converse(&mut response, body, timeouts, deadline).await;
    let taken = talk.upload.body_taken;
    // Asked of a request that has failed alone: what is left of the body goes with an answer from where it stands.
    let is_whole = |body: &mut SendBody<B>| !taken || body.rewind();
    let is_repeatable = |body: &mut SendBody<B>| head.method.is_idempotent() && is_whole(body);
    let answer = match outcome {
        Ok(answer) => answer,
        Err(Ended::Late(phase, why)) => {
            // The connection may be dead without a word: others should not wait on it too.
            slot.retire();
            let fault = Fault { retry_safe: is_repeatable(body), ..fault(phase, FaultKind::Timeout, why) };
            return Err(Failed { fault, again: false });
        }
        Err(Ended::Kind(phase, kind, why)) => {
            let fault = Fault { retry_safe: is_repeatable(body), ..fault(phase, kind, why) };
            return Err(Failed { fault, again: false });
        }
        Err(Ended::Stream(e)) => {
            let unprocessed = is_unprocessed(&e);
            let kind = kind(&e);
            let retry_safe = (unprocessed || head.method.is_idempotent()) && is_whole(body);
            let lost = kind == FaultKind::Closed && slot.reused && talk.interims == 0;
            if unprocessed || kind == FaultKind::Closed {
                slot.retire();
            }
            let fault = Fault { retry_safe, ..fault(Phase::Head, kind, e.to_string()) };
            return Err(Failed { fault, again: retry_safe && (unprocessed || lost) });
        }
    };
    let malformed = |e: WireError, body: &mut SendBody<B>| Failed {
        fault: Fault { retry_safe: is_repeatable(body), ..fault(Phase::Head, FaultKind::Protocol(e), String::new()) },
        again: false,
    };
    let mut response = head::response(&answer).map_err(|e| malformed(e, body))?;
    let recv = answer.into_body();
    let framing = match response_framing(&head.method, &response).map_err(|e| malformed(e, body))? {
        // Length or not, the end of the stream is the end of the body (RFC 9113 §8.1): it cannot be mistaken.
        BodyFraming::Close | BodyFraming::Chunked if recv.is_end_stream() => BodyFraming::Length(0),
        BodyFraming::Close | BodyFraming::Chunked => BodyFraming::Chunked,
        told => told,
    };
    response.headers.remove("transfer-encoding");
    let Talk { upload, refused, .. } = talk;
    let rest = match upload.is_over() || refused || response.status >= 400 {
        true => None,
        false => body.take().map(|body| (upload, body)),
    };
    let body = Http2Body::new(framing, (recv, slot, permit.take()), origin, rest, (timeouts.between_bytes, deadline));
    Ok(Answer { head: response, framing, body })
}

/// Did the origin do nothing with it: refused, or not among what it has begun by its goodbye (RFC 9113 §8.7, §6.8)? Of a
/// goodbye only such streams learn, whatever its reason; those that were begun go on until the connection ends.
fn is_unprocessed(e: &h2::Error) -> bool {
    (e.is_reset() && e.reason() == Some(Reason::REFUSED_STREAM)) || (e.is_go_away() && e.is_remote())
}

/// What an error of a stream or its connection is.
pub(super) fn kind(e: &h2::Error) -> FaultKind {
    if e.is_io() {
        return FaultKind::Closed;
    }
    match e.reason() {
        Some(Reason::NO_ERROR | Reason::REFUSED_STREAM | Reason::CANCEL | Reason::INTERNAL_ERROR) => FaultKind::Closed,
        _ => FaultKind::Http2,
    }
}

enum Ended {
    /// The stream or its connection has failed.
    Stream(h2::Error),
    Late(Phase, String),
    Kind(Phase, FaultKind, String),
}

struct Talk<'a> {
    upload: Upload,
    /// The origin takes no more of the request.
    refused: bool,
    interims: usize,
    on_interim: &'a mut (dyn FnMut(ResponseHead) + Send),
}

impl Talk<'_> {
    async fn converse<B: RequestBody + 'static>(
        &mut self,
        response: &mut ResponseFuture,
        body: &mut SendBody<B>,
        timeouts: Timeouts,
        deadline: Option<Instant>,
    ) -> Result<Response<RecvStream>, Ended> {
        loop {
            let sending = !self.upload.is_over() && !self.refused;
            let interims = self.interims;
            // While the client is waited for no limit of the origin's runs, but the last one.
            let within = match (sending, self.upload.waits_for_origin()) {
                (true, false) => None,
                (true, true) => Some(timeouts.between_bytes),
                (false, _) => Some(timeouts.first_byte),
            };
            let limit = match (within, deadline) {
                (Some(within), deadline) => Some(Instant::now() + left(within, deadline)),
                (None, deadline) => deadline,
            };
            let step = std::future::poll_fn(|cx| {
                if let Poll::Ready(answer) = self.poll_head(response, cx) {
                    return Poll::Ready(answer.map(Some));
                }
                if self.interims > interims {
                    return Poll::Ready(Ok(None));
                }
                if sending {
                    match self.upload.poll_step(body.source(), cx) {
                        Poll::Ready(Ok(())) => return Poll::Ready(Ok(None)),
                        Poll::Ready(Err(Trouble::Refused)) => {
                            self.refused = true;
                            return Poll::Ready(Ok(None));
                        }
                        Poll::Ready(Err(Trouble::Client(e, why))) => {
                            return Poll::Ready(Err(Ended::Kind(Phase::Send, FaultKind::Client(e), why)));
                        }
                        Poll::Pending => {}
                    }
                }
                Poll::Pending
            });
            let stepped = match limit {
                Some(limit) => match timeout_at(limit, step).await {
                    Ok(stepped) => stepped,
                    Err(_) if sending => {
                        return Err(Ended::Late(
                            Phase::Send,
                            format!("nothing was taken for {:?}", within.unwrap_or_default()),
                        ));
                    }
                    Err(_) => {
                        return Err(Ended::Late(
                            Phase::Head,
                            format!("no response head within {:?}", timeouts.first_byte),
                        ));
                    }
                },
                None => step.await,
            };
            if let Some(answer) = stepped? {
                return Ok(answer);
            }
        }
    }

    fn poll_head(
        &mut self,
        response: &mut ResponseFuture,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, Ended>> {
        while let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            self.interims += 1;
            if self.interims > INTERIM_MAX {
                let why = format!("over {INTERIM_MAX}");
                return Poll::Ready(Err(Ended::Kind(Phase::Head, FaultKind::TooManyInterim, why)));
            }
            match head::response(&interim) {
                Ok(head) if head.status != 101 => (self.on_interim)(head),
                Ok(_) => return Poll::Ready(Err(Ended::Kind(Phase::Head, FaultKind::Upgrade, "101".to_owned()))),
                Err(e) => return Poll::Ready(Err(Ended::Kind(Phase::Head, FaultKind::Protocol(e), String::new()))),
            }
        }
        Pin::new(response).poll(cx).map_err(Ended::Stream)
    }
}
