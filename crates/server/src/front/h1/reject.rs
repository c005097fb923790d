//! Requests that never reach the pipeline: malformed, oversize, too slow. One answer, then the connection closes.

use super::Ends;
use super::half::Half;
use super::sink::Sink;
use copal_observe::access_log::{BAD_REQUEST, Outcome, Record};
use copal_observe::counters::Counter;
use copal_observe::trace::Event;
use copal_pipeline::Worker;
use copal_pipeline::io::{BodyPlan, ResponseSink};
use copal_semantics::cache_status::CacheStatus;
use copal_semantics::proxy_status::ProxyError;
use copal_semantics::{Headers, ResponseHead};
use copal_wire::WireError;

/// Answers a malformed request.
pub(super) async fn bad_request<W: Half>(worker: &Worker, ends: &Ends, sink: &mut Sink<W>, error: WireError) {
    respond(worker, ends, sink, error.status(), &error.to_string()).await;
}

/// RFC 9209 §2.3.16. The details speak of nothing but the client's own request.
fn proxy_status(name: &str, why: &str) -> String {
    let mut member = String::with_capacity(96);
    ProxyError::HttpRequestError.write(name, Some(why), &mut member);
    member
}

/// RFC 9211 §2: neither a hit nor forwarded.
fn cache_status(name: &str) -> String {
    let mut member = String::with_capacity(32);
    CacheStatus { detail: Some(BAD_REQUEST), ..CacheStatus::default() }.write(name, &mut member);
    member
}

/// Answers with `status` and a sentence, and closes.
pub(super) async fn respond<W: Half>(worker: &Worker, ends: &Ends, sink: &mut Sink<W>, status: u16, why: &str) {
    worker.core.counters.inc(Counter::ClientBadRequests);
    let now = worker.core.clock.now();
    let id = copal_observe::request_id::make();
    let mut head = ResponseHead { status, ..ResponseHead::default() };
    let fields = [
        ("Date", copal_semantics::date::http_date(now)),
        ("Content-Type", "text/plain; charset=utf-8".to_owned()),
        ("Via", worker.core.settings.via.to_string()),
        ("Cache-Status", cache_status(&worker.core.settings.name)),
        ("Proxy-Status", proxy_status(&worker.core.settings.name, why)),
        ("X-Request-Id", id.clone()),
    ];
    for (name, value) in fields {
        // Our own words are never refused.
        let _valid = head.headers.append(name, value);
    }
    let body = format!("{status} {}: {why}\n", head.reason_phrase());
    sink.begin(http::Version::HTTP_11, false);
    sink.start(&head, BodyPlan::Length(body.len() as u64));
    if sink.data(body.as_bytes()).await.is_ok() {
        let _gone = sink.end(&Headers::new()).await;
    }
    let (log, witness) = (worker.core.access_log.as_ref(), worker.core.witness.as_ref());
    if log.is_some() || witness.is_some() {
        let record = Record {
            time: now,
            client: (!ends.client.ip().is_unspecified()).then_some(ends.client),
            method: http::Method::GET,
            url: "-".to_owned(),
            protocol: "HTTP/1.1",
            status,
            body_bytes: body.len() as u64,
            outcome: Outcome::Error,
            reason: BAD_REQUEST,
            request_id: id,
            error: Some(why.to_owned()),
            ..Record::default()
        };
        if let Some(witness) = witness {
            witness.begin(ends.remote).note(|| Event::finished(&record));
        }
        if let Some(log) = log {
            log.log(record);
        }
    }
}
