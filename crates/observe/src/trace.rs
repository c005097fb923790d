//! A trace: what happened to one request, in order, as data. Recorded only for a request that somebody wants explained.
//!
//! The two machines note [`Event`]s; [`crate::explain`] tells them in sentences.

use crate::record::{Outcome, Record};
use copal_semantics::reason::Reason;
use copal_semantics::{Headers, Span};
use serde::Serialize;
use serde::ser::Serializer;

/// The most that a trace holds. A usual request has some twenty entries; restarts and retries are limited long before, so
/// this only bounds what a fault in those limits could cost. What comes after is left out, and the trace says so.
pub const ENTRIES_MAX: usize = 1024;

/// Which of the two machines did it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Machine {
    /// The one that serves the request.
    Client,
    /// The one that asks an origin.
    Fetch,
}

impl Machine {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Machine::Client => "client",
            Machine::Fetch => "fetch",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// Microseconds since the request's head was complete.
    pub at_us: u64,
    /// Who did it.
    pub machine: Machine,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// A header field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Its name as it was written.
    pub name: String,
    /// Its value; what is not UTF-8 is replaced.
    pub value: String,
}

/// All fields, line by line.
#[must_use]
pub fn fields(headers: &Headers) -> Vec<Field> {
    let field = |(name, value): (&str, &[u8])| Field {
        name: name.to_owned(),
        value: String::from_utf8_lossy(value).into_owned(),
    };
    headers.iter().map(field).collect()
}

/// Something that has another value than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// As a policy writes it: `req.http.cookie`, `beresp.ttl`.
    pub what: String,
    /// Before; `None`: it was not there.
    pub from: Option<String>,
    /// After; `None`: it is gone.
    pub to: Option<String>,
}

/// A line of a policy, and what a hook did there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ScriptLine {
    /// file:line
    pub place: String,
    /// As it is written.
    pub text: String,
    /// What was read and written, in order.
    pub touched: Vec<Touched>,
}

/// A variable that a hook read or wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// Was it written? Otherwise it was read.
    pub wrote: bool,
    /// As a policy writes it.
    pub what: String,
    /// What was read or written; `None`: `()`.
    pub value: Option<String>,
}

/// What the store had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// Nothing for this request.
    Nothing,
    /// A response.
    Response,
    /// Parts of a response.
    Parts,
    /// A marker: what came last was not cacheable.
    HitForMiss,
    /// A marker: a policy lets requests pass.
    HitForPass,
    /// The policy asked not to look (`req.hash_always_miss`).
    NotAsked,
}

/// How a stored response may be used ([`copal_semantics::reuse::Reuse`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Use {
    /// It is served.
    Fresh,
    /// It is served, and renewed.
    Grace,
    /// It is served only if the origin fails.
    OnError,
    /// It is served only if the origin confirms it.
    Revalidate,
    /// It is not served.
    Unusable,
}

/// The times of a stored response when it was judged (RFC 9111 §4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// How old it is (§4.2.3).
    #[serde(serialize_with = "seconds", rename = "age_s")]
    pub age: Span,
    /// Its freshness lifetime, counted as age is.
    #[serde(serialize_with = "seconds", rename = "lifetime_s")]
    pub lifetime: Span,
    /// Lifetime minus age; zero or less is stale.
    #[serde(serialize_with = "seconds", rename = "left_s")]
    pub left: Span,
    /// How long past its lifetime it may be served while it is renewed.
    #[serde(serialize_with = "seconds", rename = "grace_s")]
    pub grace: Span,
    /// How long past its lifetime it may be served when the origin fails.
    #[serde(serialize_with = "seconds", rename = "stale_if_error_s")]
    pub stale_if_error: Span,
}

/// The lifetime of a response as it came (RFC 9111 §4.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lifetime {
    /// The freshness lifetime.
    #[serde(serialize_with = "seconds", rename = "lifetime_s")]
    pub lifetime: Span,
    /// How old it was when it came (§4.2.3).
    #[serde(serialize_with = "seconds", rename = "initial_age_s")]
    pub initial_age: Span,
    /// What was left of its lifetime then.
    #[serde(serialize_with = "seconds", rename = "ttl_s")]
    pub ttl: Span,
    /// Where the lifetime comes from.
    #[serde(serialize_with = "code")]
    pub source: Reason,
    /// The field that rules: Cache-Control, a targeted one, Surrogate-Control, Expires, Last-Modified; with its value.
    pub by: Option<Field>,
}

/// Is the response kept?
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Storing {
    /// Kept?
    pub stored: bool,
    /// Why, or why not.
    #[serde(serialize_with = "code")]
    pub reason: Reason,
    /// How long it is fresh from now on.
    #[serde(serialize_with = "seconds", rename = "ttl_s")]
    pub ttl: Span,
    /// What the policy set differs from what the rules said.
    pub ttl_by_policy: bool,
    /// Not kept: how long a marker keeps requests from waiting for each other.
    #[serde(serialize_with = "maybe_seconds", rename = "marker_s")]
    pub marker: Option<Span>,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A machine went from one step to the next.
    Edge {
        /// From this one.
        from: &'static str,
        /// To this one.
        to: &'static str,
    },
    /// A hook of the policy ran.
    Hook {
        /// Which.
        hook: &'static str,
        /// What it returned, as it is written; `None`: nothing.
        action: Option<String>,
        /// Where that was written: file:line:column.
        place: Option<String>,
        /// What it changed.
        changes: Vec<Change>,
        /// What it read and wrote, by lines of the policy.
        lines: Vec<ScriptLine>,
        /// What it logged.
        logged: Vec<String>,
        /// How it failed.
        fault: Option<String>,
    },
    /// The cache key was made.
    Key {
        /// Its parts.
        parts: Vec<String>,
    },
    /// The store was asked.
    Lookup {
        /// What it had for this request.
        found: Found,
        /// Responses under this key, for whatever request.
        stored: usize,
        /// The request's fields by which those vary; a missing one is empty.
        selecting: Vec<Field>,
        /// How long a marker still counts.
        #[serde(serialize_with = "maybe_seconds", rename = "marker_s")]
        marker: Option<Span>,
    },
    /// A stored response was judged.
    Judged {
        /// By these times.
        #[serde(flatten)]
        standing: Standing,
        /// The result.
        #[serde(rename = "use")]
        usage: Use,
        /// Why.
        #[serde(serialize_with = "code")]
        reason: Reason,
    },
    /// Another request's fetch was waited for.
    Waited {
        /// For so many microseconds.
        us: u64,
        /// What came of it.
        result: &'static str,
    },
    /// The request to the origin was made of the client's.
    Forwarded {
        /// What is different.
        changes: Vec<Change>,
    },
    /// An origin was chosen and is asked.
    Asked {
        /// Its name.
        backend: String,
        /// Method and URL.
        request: String,
        /// Only "is what is stored still good?".
        conditional: bool,
    },
    /// The head of its response came.
    Answered {
        /// Its status.
        status: u16,
        /// Microseconds since it was asked.
        us: u64,
        /// Over a connection that had been used before.
        reused: bool,
        /// Its fields.
        fields: Vec<Field>,
    },
    /// A route of the configuration has said where it goes.
    Routed {
        /// Its host and path.
        route: String,
        /// The backend or director.
        backend: String,
    },
    /// It failed, and another origin is asked.
    Elsewhere {
        /// Why.
        why: String,
        /// Who is asked now.
        backend: String,
    },
    /// It failed, and nobody else is asked.
    NotElsewhere {
        /// Why not.
        why: &'static str,
    },
    /// The rules have calculated its lifetime.
    Lifetime(Lifetime),
    /// It was decided whether it is kept.
    Storing(Storing),
    /// The fetch failed.
    Failed {
        /// The error type of RFC 9209.
        error: &'static str,
        /// For people.
        text: String,
    },
    /// The response is complete but for its body.
    Delivered {
        /// Its status.
        status: u16,
        /// What became of the request.
        #[serde(serialize_with = "word")]
        outcome: Outcome,
        /// Why.
        #[serde(serialize_with = "maybe_code")]
        reason: Option<Reason>,
        /// What went wrong.
        error: Option<String>,
        /// Its fields.
        fields: Vec<Field>,
    },
    /// The request is over; its fetch may still run.
    Finished {
        /// As the access log has it.
        #[serde(skip)]
        record: Box<Record>,
        /// Body bytes sent.
        body_bytes: u64,
        /// Microseconds since its head was complete.
        us: u64,
    },
}

impl Event {
    /// The request is over.
    #[must_use]
    pub fn finished(record: &Record) -> Event {
        Event::Finished {
            record: Box::new(record.clone()),
            body_bytes: record.body_bytes,
            us: u64::try_from(record.duration.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

fn seconds<S: Serializer>(span: &Span, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(span.as_secs_f64())
}

fn maybe_seconds<S: Serializer>(span: &Option<Span>, serializer: S) -> Result<S::Ok, S::Error> {
    span.map(Span::as_secs_f64).serialize(serializer)
}

fn code<S: Serializer>(reason: &Reason, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(reason.code())
}

fn maybe_code<S: Serializer>(reason: &Option<Reason>, serializer: S) -> Result<S::Ok, S::Error> {
    reason.map(Reason::code).serialize(serializer)
}

fn word<S: Serializer>(outcome: &Outcome, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(outcome.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_flat_json_object_with_codes_and_seconds() {
        let standing = Standing {
            age: Span::from_secs(75),
            lifetime: Span::from_secs(60),
            left: Span::from_secs(-15),
            grace: Span::ZERO,
            stale_if_error: Span::from_secs(3600),
        };
        let event = Event::Judged { standing, usage: Use::OnError, reason: Reason::StaleIfError };
        let json = serde_json::to_value(Entry { at_us: 7, machine: Machine::Client, event }).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "at_us": 7, "machine": "client", "event": "judged", "age_s": 75.0, "lifetime_s": 60.0,
                "left_s": -15.0, "grace_s": 0.0, "stale_if_error_s": 3600.0, "use": "on-error", "reason": "stale-if-error" })
        );
    }
}
