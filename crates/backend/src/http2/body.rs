//! The body of a response over one stream.
//!
//! What a reader has not taken holds up its own stream alone: the window is opened again for a piece when the next one is
//! asked for. Only the end of the stream is the end of the body; a reset or a lost connection is a fault.

use super::Slot;
use super::asking::kind;
use super::upload::{Trouble, Upload};
use crate::body::{BodyError, RequestBody};
use crate::connection::Connection;
use crate::fault::{Fault, FaultKind, Phase};
use crate::fetch::left;
use crate::origin::Origin;
use crate::slots::Permit;
use bytes::Bytes;
use copal_semantics::{Headers, hop_by_hop};
use copal_wire::BodyFraming;
use h2::RecvStream;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The body of a response. Dropping it before its end resets the stream.
pub(crate) struct Http2Body {
    /// Gone once the body is over or has failed, and the request with it.
    link: Option<Link>,
    /// The body is over.
    done: bool,
    /// Bytes that are still to come, when the head has said how many there are.
    left: Option<u64>,
    origin: Arc<Origin>,
    /// Bytes of the last piece, for which the window is still closed.
    owed: usize,
    /// What of the request is still to be sent, and from where.
    rest: Option<(Upload, Box<dyn RequestBody>)>,
    /// The client's body has failed: the origin will not get the whole request.
    doomed: Option<(BodyError, String)>,
    between_bytes: Duration,
    deadline: Option<Instant>,
    trailers: Headers,
}

struct Link {
    recv: RecvStream,
    _slot: Slot,
    _permit: Option<Permit>,
}

enum Step {
    Data(Option<Result<Bytes, h2::Error>>),
    Sent(Result<(), Trouble>),
    Doomed(BodyError, String),
}

impl Http2Body {
    pub(super) fn new(
        framing: BodyFraming,
        (recv, slot, permit): (RecvStream, Slot, Option<Permit>),
        origin: &Arc<Origin>,
        rest: Option<(Upload, Box<dyn RequestBody>)>,
        (between_bytes, deadline): (Duration, Option<Instant>),
    ) -> Self {
        let left = match framing {
            BodyFraming::Length(n) => Some(n),
            BodyFraming::None | BodyFraming::Chunked | BodyFraming::Close => None,
        };
        // What says that it has no body may still send an empty frame to say so.
        let over = framing == BodyFraming::None || (framing.is_empty() && recv.is_end_stream());
        let mut body = Http2Body {
            link: Some(Link { recv, _slot: slot, _permit: permit }),
            done: false,
            left,
            origin: Arc::clone(origin),
            owed: 0,
            rest,
            doomed: None,
            between_bytes,
            deadline,
            trailers: Headers::new(),
        };
        if over {
            body.finish();
        }
        body
    }

    /// See [`crate::ResponseBody::next`].
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        loop {
            let Link { recv, .. } = self.link.as_mut().filter(|_| !self.done)?;
            if self.owed > 0 {
                // It fails when the stream is closed, which shows in what follows.
                let _closed = recv.flow_control().release_capacity(std::mem::take(&mut self.owed));
            }
            let between = left(self.between_bytes, self.deadline);
            if between.is_zero() {
                return self.fail(FaultKind::Timeout, "the total time is over".to_owned());
            }
            let (rest, doomed) = (&mut self.rest, &self.doomed);
            let step = std::future::poll_fn(|cx| {
                if let Poll::Ready(data) = recv.poll_data(cx) {
                    return Poll::Ready(Step::Data(data));
                }
                // What has come already is not lost; more is not waited for.
                if let Some((error, why)) = doomed {
                    return Poll::Ready(Step::Doomed(*error, why.clone()));
                }
                poll_rest(rest, cx).map(Step::Sent)
            });
            match timeout(between, step).await {
                Err(_) => return self.fail(FaultKind::Timeout, format!("nothing for {between:?}")),
                Ok(Step::Sent(sent)) => self.sent(sent),
                Ok(Step::Doomed(error, why)) => return self.fail(FaultKind::Client(error), why),
                Ok(Step::Data(Some(Ok(piece)))) if piece.is_empty() => {}
                Ok(Step::Data(Some(Ok(piece)))) => {
                    self.owed = piece.len();
                    if let Some(left) = &mut self.left {
                        match left.checked_sub(piece.len() as u64) {
                            Some(rest) => *left = rest,
                            None => return self.fail(FaultKind::Http2, "more than Content-Length says".to_owned()),
                        }
                    }
                    return Some(Ok(Connection::detach(piece)));
                }
                Ok(Step::Data(Some(Err(e)))) => return self.fail(kind(&e), e.to_string()),
                Ok(Step::Data(None)) if self.left.is_some_and(|left| left > 0) => {
                    let missing = format!("{} bytes are missing", self.left.unwrap_or_default());
                    return self.fail(FaultKind::ShortBody, missing);
                }
                Ok(Step::Data(None)) => match std::future::poll_fn(|cx| recv.poll_trailers(cx)).await {
                    Err(e) => return self.fail(kind(&e), e.to_string()),
                    Ok(trailers) => {
                        match trailers.as_ref().map(super::head::headers).transpose() {
                            Ok(trailers) => self.trailers = trailers.unwrap_or_default(),
                            Err(e) => return self.fail(FaultKind::Protocol(e), String::new()),
                        }
                        hop_by_hop::strip_trailers(&mut self.trailers);
                        self.finish();
                        return None;
                    }
                },
            }
        }
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.rest.is_some()
    }

    /// See [`crate::ResponseBody::pump`].
    pub(crate) async fn pump(&mut self) {
        while self.rest.is_some() {
            let rest = &mut self.rest;
            let sent = std::future::poll_fn(|cx| poll_rest(rest, cx)).await;
            self.sent(sent);
        }
    }

    /// See [`crate::ResponseBody::finish_sending`].
    pub(crate) async fn finish_sending(&mut self) {
        while self.rest.is_some() {
            let rest = &mut self.rest;
            let waits = rest.as_ref().is_some_and(|(upload, _)| upload.waits_for_origin());
            let step = std::future::poll_fn(|cx| poll_rest(rest, cx));
            let sent = match waits {
                false => step.await,
                true => match timeout(self.between_bytes, step).await {
                    Ok(sent) => sent,
                    Err(_) => break,
                },
            };
            self.sent(sent);
        }
        (self.rest, self.link) = (None, None);
    }

    fn sent(&mut self, sent: Result<(), Trouble>) {
        match sent {
            Ok(()) if !self.rest.as_ref().is_some_and(|(upload, _)| upload.is_over()) => {}
            Ok(()) | Err(Trouble::Refused) => self.rest = None,
            Err(Trouble::Client(error, why)) => {
                self.rest = None;
                self.doomed = Some((error, why));
            }
        }
    }

    pub(crate) fn take_trailers(&mut self) -> Headers {
        std::mem::take(&mut self.trailers)
    }

    fn finish(&mut self) {
        self.done = true;
        self.origin.body_ended();
        if self.rest.is_none() {
            self.link = None;
        }
    }

    fn fail(&mut self, kind: FaultKind, detail: String) -> Option<Result<Bytes, Fault>> {
        self.done = true;
        (self.rest, self.link) = (None, None);
        let phase = if matches!(kind, FaultKind::Client(_)) { Phase::Send } else { Phase::Body };
        let fault = Fault::late(phase, kind, self.origin.name(), detail);
        self.origin.body_failed(&fault);
        Some(Err(fault))
    }
}

/// Moves the rest of the request; never ready when there is none.
fn poll_rest(rest: &mut Option<(Upload, Box<dyn RequestBody>)>, cx: &mut Context<'_>) -> Poll<Result<(), Trouble>> {
    match rest {
        Some((upload, body)) => upload.poll_step(body.as_mut(), cx),
        None => Poll::Pending,
    }
}
