//! What is noted of the store, of freshness and of responses: from the pipeline's types to those of the trace.

use crate::core::Worker;
use crate::txn::Txn;
use copal_backend::Exchange;
use copal_observe::trace::{Event, Field, Found, Lifetime, Standing, Use, fields};
use copal_semantics::freshness::Freshness;
use copal_semantics::reason::Reason;
use copal_semantics::reuse::Reuse;
use copal_semantics::rules::{ControlField, Rules};
use copal_semantics::{Headers, ResponseHead, Time};
use copal_store::{Kind, Object, Times};
use std::collections::BTreeSet;
use std::time::Duration;

/// The parts of the key.
pub(crate) fn key(txn: &Txn) -> Event {
    Event::Key { parts: txn.scene().key.parts().map(|part| String::from_utf8_lossy(part).into_owned()).collect() }
}

/// What the store had, and what else it has under this key.
pub(crate) fn looked(worker: &Worker, txn: &Txn, found: Option<&Object>) -> Event {
    let all = worker.core.store.variants(txn.key.as_bytes(), txn.hash);
    let responses = all.iter().filter(|object| object.kind().is_response() && !object.is_purged());
    let names: BTreeSet<&str> = responses.clone().flat_map(|object| object.vary_names()).map(AsRef::as_ref).collect();
    let headers = &txn.req().headers;
    let value = |name: &str| {
        headers.combined(name).map(|value| String::from_utf8_lossy(&value).into_owned()).unwrap_or_default()
    };
    let kind = if txn.scene().req_vars.hash_always_miss {
        Found::NotAsked
    } else {
        found.map_or(Found::Nothing, |object| match object.kind() {
            Kind::Cacheable => Found::Response,
            Kind::Partial => Found::Parts,
            Kind::HitForMiss => Found::HitForMiss,
            Kind::HitForPass => Found::HitForPass,
        })
    };
    let marker = found.filter(|object| !object.kind().is_response());
    Event::Lookup {
        found: kind,
        stored: responses.count(),
        selecting: names.into_iter().map(|name| Field { name: name.to_owned(), value: value(name) }).collect(),
        marker: marker.map(|object| crate::times::stored(&object.times()).ttl_left(txn.now)),
    }
}

/// How a stored response was judged.
pub(crate) fn judged(times: &Times, now: Time, judged: &Reuse) -> Event {
    let (usage, reason) = match judged {
        Reuse::Fresh(why) => (Use::Fresh, *why),
        Reuse::Grace(why) => (Use::Grace, *why),
        Reuse::OnError(why) => (Use::OnError, *why),
        Reuse::Revalidate(why) => (Use::Revalidate, *why),
        Reuse::Unusable(why) => (Use::Unusable, *why),
    };
    let standing = Standing {
        age: times.age(now),
        lifetime: times.ttl,
        left: crate::times::stored(times).ttl_left(now),
        grace: times.grace,
        stale_if_error: times.stale_if_error,
    };
    Event::Judged { standing, usage, reason }
}

/// The head of an origin's response, as it came.
pub(crate) fn answered(exchange: &Exchange, took: Duration) -> Event {
    Event::Answered {
        status: exchange.head.status,
        us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        reused: exchange.reused,
        fields: fields(&exchange.head.headers),
    }
}

/// The lifetime that the rules give a response.
pub(crate) fn lifetime(fresh: &Freshness, head: &ResponseHead, rules: &Rules) -> Event {
    Event::Lifetime(Lifetime {
        lifetime: fresh.lifetime,
        initial_age: fresh.initial_age,
        ttl: fresh.ttl,
        source: fresh.source,
        by: ruling_field(fresh.source, head, rules),
    })
}

/// The field that a lifetime was read from.
fn ruling_field(source: Reason, head: &ResponseHead, rules: &Rules) -> Option<Field> {
    let control = || match rules.directives(head).field {
        ControlField::CacheControl => field(&head.headers, "Cache-Control"),
        ControlField::Targeted(i) => rules.targeted.get(i).and_then(|name| field(&head.headers, name)),
        ControlField::Surrogate => field(&head.headers, "Surrogate-Control"),
    };
    if source == Reason::Expires {
        field(&head.headers, "Expires")
    } else if source == Reason::Heuristic {
        field(&head.headers, "Last-Modified")
    } else {
        // By a directive, or none at all: the directives are what there is to be looked at.
        control()
    }
}

fn field(headers: &Headers, name: &str) -> Option<Field> {
    let value = headers.combined(name)?;
    Some(Field { name: name.to_owned(), value: String::from_utf8_lossy(&value).into_owned() })
}

/// The response as it goes to the client, but for what its connection adds.
pub(crate) fn delivered(txn: &Txn) -> Event {
    Event::Delivered {
        status: txn.status,
        outcome: txn.verdict.outcome,
        reason: txn.verdict.reason,
        error: txn.error.clone(),
        fields: fields(&txn.scene().resp.headers),
    }
}
