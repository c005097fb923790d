//! One request to an origin and its response.
//!
//! The rule for the one reconnect (RFC 9112 §9.3.1, RFC 9110 §9.2.2): a *kept* connection that turns out dead, before
//! any byte of a response came and with the client's body still there from its beginning, is replaced once by a *new* one, if the method is
//! idempotent or not one byte of the request was accepted by the socket, so that no origin can have seen it.

use crate::body::{Http1Body, RequestBody, Rest, SendBody, Sent, hides_a_reset};
use crate::fault::{Fault, FaultKind, Phase};
use crate::http2::{self, Answer, Question};
use crate::origin::Origin;
use crate::pool::{Line, Pool, Take};
use crate::proxy_protocol::Ends;
use crate::request;
use crate::response::ResponseBody;
use crate::sending::Sending;
use crate::slots::Class;
use crate::talk::Talk;
use bytes::Bytes;
use copal_semantics::{RequestHead, ResponseHead};
use copal_wire::framing::persistent;
use copal_wire::{BodyFraming, response_framing};
use http::Version;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::Instant;

pub use crate::talk::INTERIM_MAX;

/// The timeouts of one exchange, the origin's unless a policy has set others, and its class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Name lookup and connect together.
    pub connect: Duration,
    /// From the request being sent to the whole head; starts anew with each interim response.
    pub first_byte: Duration,
    /// One read of the body, or one write of the request.
    pub between_bytes: Duration,
    /// All of it, from the choice of the origin to the end of the body; no limit when none.
    pub total: Option<Duration>,
    /// For whom the request is: who has to wait for a free connection waits behind those of a better class.
    pub class: Class,
}

/// What is left of `limit` before a deadline, if there is one.
pub(crate) fn left(limit: Duration, deadline: Option<Instant>) -> Duration {
    deadline.map_or(limit, |deadline| limit.min(deadline.saturating_duration_since(Instant::now())))
}

impl Timeouts {
    /// Those that the origin's owner has set.
    #[must_use]
    pub fn of(origin: &Origin) -> Self {
        let o = origin.options();
        Timeouts {
            connect: o.connect_timeout,
            first_byte: o.first_byte_timeout,
            between_bytes: o.between_bytes_timeout,
            total: o.total_timeout,
            class: Class::Client,
        }
    }
}

/// A response whose head has arrived.
#[derive(Debug)]
pub struct Exchange {
    /// The head. With the chunked coding a Content-Length beside it has been removed (RFC 9112 §6.3); hop-by-hop
    /// fields are still there.
    pub head: ResponseHead,
    /// How the body is delimited on the wire.
    pub framing: BodyFraming,
    /// It came over a kept connection.
    pub reused: bool,
    /// The kept connection had died and the request was sent again over a new one.
    pub reconnected: bool,
    /// The body, yet to be read.
    pub body: ResponseBody,
}

/// Sends one request and reads the response head.
///
/// `head` must be complete but for framing fields, which are written here: any in it are left out. Interim responses
/// (1xx but 101) go to `on_interim`. A final response that comes while `body` is being sent is given at once: with a status
/// of 400 or more sending stops and the connection will be closed; otherwise the rest of `body`, of which `None` is left
/// here, goes out while the response is read (see [`ResponseBody`]). `ends` are those of the client for whom it is, if any:
/// an origin with `proxy_protocol` is told.
///
/// # Errors
/// Every way this can fail, with [`Fault::retry_safe`] told for the caller. The origin's counts include it.
pub async fn exchange<B: RequestBody + 'static>(
    pool: &Pool,
    origin: &Arc<Origin>,
    head: &RequestHead,
    body: &mut SendBody<B>,
    (timeouts, ends): (Timeouts, Option<Ends>),
    on_interim: &mut (dyn FnMut(ResponseHead) + Send),
) -> Result<Exchange, Fault> {
    let started = Instant::now();
    origin.tally.requests.fetch_add(1, Relaxed);
    let result = attempt(pool, origin, head, body, (timeouts, ends, started), on_interim).await;
    match &result {
        Ok(exchange) => origin.answered(head, exchange.head.status, started),
        Err(fault) => origin.failed(fault, started),
    }
    result
}

async fn attempt<B: RequestBody + 'static>(
    pool: &Pool,
    origin: &Arc<Origin>,
    head: &RequestHead,
    body: &mut SendBody<B>,
    (timeouts, ends, started): (Timeouts, Option<Ends>, Instant),
    on_interim: &mut (dyn FnMut(ResponseHead) + Send),
) -> Result<Exchange, Fault> {
    let Some(wire) = request::encode(head, origin, body) else {
        return Err(unsendable(head, origin));
    };
    let wire = Bytes::from(wire);
    let deadline = timeouts.total.map(|total| started + total);
    let connect = || left(timeouts.connect, deadline);
    let permit = origin.permit(timeouts.class).await?;
    let (meter, mut permit) = (permit.meter(), Some(permit));
    let mut reconnected = false;
    let mut line = match pool.take(origin, connect(), Take::Kept, ends).await {
        Ok(line) => line,
        Err(fault) => {
            meter.failed();
            return Err(fault);
        }
    };
    let connection = loop {
        let slot = match line {
            Line::Http1(connection) => break connection,
            Line::Http2(slot) => slot,
        };
        let request = http2::request(head, origin, body).ok_or_else(|| unsendable(head, origin))?;
        let reused = slot.reused;
        let question = Question { origin, head, request, timeouts, deadline };
        match http2::ask(slot, question, body, &mut permit, on_interim).await {
            Ok(Answer { head, framing, body }) => {
                meter.answered(head.status);
                let reused = reused && !reconnected;
                return Ok(Exchange { head, framing, reused, reconnected, body: body.into() });
            }
            Err(failed) if failed.again && !reconnected => {
                reconnected = true;
                origin.tally.reconnects.fetch_add(1, Relaxed);
                line = pool.take(origin, connect(), Take::New, ends).await?;
            }
            Err(failed) => {
                if failed.fault.is_origins() {
                    meter.failed();
                }
                return Err(failed.fault);
            }
        }
    };
    let Some(permit) = permit else { return Err(unsendable(head, origin)) };
    let reused = connection.reused;
    let mut talk = Talk::new((connection, Sending::new(wire.clone(), body)), origin, (timeouts, deadline), on_interim);
    let mut outcome = talk.converse(body).await;
    let again = reused
        && outcome.as_ref().is_err_and(|f| f.kind == FaultKind::Closed)
        && talk.is_unheard_of()
        && talk.is_repeatable(head, body);
    if again && let Line::Http1(connection) = pool.take(origin, connect(), Take::New, ends).await? {
        reconnected = true;
        origin.tally.reconnects.fetch_add(1, Relaxed);
        talk.start_over(connection, Sending::new(wire, body));
        outcome = talk.converse(body).await;
    }
    let mut response = match outcome {
        Ok(response) => {
            meter.answered(response.status);
            response
        }
        Err(fault) => {
            if fault.is_origins() {
                meter.failed();
            }
            return Err(Fault { retry_safe: talk.is_repeatable(head, body), ..fault });
        }
    };
    let framing = response_framing(&head.method, &response)
        .map_err(|e| Fault::late(Phase::Head, FaultKind::Protocol(e), origin.name(), ""));
    let framing = match framing {
        Ok(framing) => framing,
        Err(fault) => return Err(Fault { retry_safe: talk.is_repeatable(head, body), ..fault }),
    };
    // RFC 9112 §6.3 rule 3: both fields together may be smuggling; the coding counts and the connection is closed.
    let ambiguous = framing == BodyFraming::Chunked && response.headers.remove("content-length") > 0;
    let goes_on =
        !ambiguous && persistent(response.version, &response.headers) && persistent(Version::HTTP_11, &head.headers);
    let (connection, sending, broken) = talk.into_parts();
    let sent = match broken {
        None if sending.is_over() => Sent::Whole,
        None if response.status < 400 && !connection.eof => match body.take() {
            Some(body) => Sent::Partly(Rest { sending, body }),
            // Not even the head is out: the answer is not to this request.
            None => Sent::GivenUp { end_in_doubt: false },
        },
        broken => Sent::GivenUp { end_in_doubt: broken.as_ref().is_some_and(hides_a_reset) },
    };
    let link = (connection, permit);
    let limits = (timeouts.between_bytes, deadline);
    let body = Http1Body::new(framing, link, (pool, origin), (sent, goes_on), limits).into();
    Ok(Exchange { head: response, framing, reused: reused && !reconnected, reconnected, body })
}

fn unsendable(head: &RequestHead, origin: &Origin) -> Fault {
    Fault::late(Phase::Send, FaultKind::BadRequest, origin.name(), format!("{:?}", head.url))
}
