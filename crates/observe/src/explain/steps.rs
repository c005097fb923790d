//! The record: one line per entry of the trace.

use super::Line;
use super::freshness::{plain, secs};
use crate::trace::{Change, Entry, Event, Field, Found, Lifetime, ScriptLine, Standing, Storing, Touched, Use};
use copal_semantics::Span;
use copal_semantics::reason::Reason;
use std::fmt::Write;

pub(super) fn lines(entries: &[Entry]) -> Vec<Line> {
    entries.iter().map(line).collect()
}

fn line(entry: &Entry) -> Line {
    Line {
        at_us: entry.at_us,
        machine: entry.machine.as_str().to_owned(),
        text: text(&entry.event),
        // Strings and numbers: nothing that JSON could not hold.
        entry: serde_json::to_value(entry).unwrap_or_default(),
    }
}

/// What happened, in words: a line, and for a hook one more for each line of the policy and each thing done there.
#[must_use]
pub fn text(event: &Event) -> String {
    match event {
        Event::Edge { from, to } => format!("{from} -> {to}"),
        Event::Hook { hook, action, place, changes, lines, logged, fault } => {
            let returned = match (action, fault) {
                (_, Some(fault)) => format!("failed: {fault}"),
                (Some(action), None) => format!("returned {action}"),
                (None, None) => "returned nothing".to_owned(),
            };
            let at = place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
            let log: String = logged.iter().map(|line| format!("; logged {line:?}")).collect();
            format!("hook {hook} {returned}{at}{}{log}{}", list(changes), script(lines))
        }
        Event::Key { parts } => format!("key {}", quoted(parts)),
        Event::Lookup { found, stored, selecting, marker } => looked(*found, *stored, selecting, marker.map(secs)),
        Event::Judged { standing, usage, reason } => judged(standing, *usage, *reason),
        Event::Waited { us, result } => format!("waited {} ms for another request's fetch: {result}", us / 1000),
        Event::Forwarded { changes } => format!("the request to the origin is made{}", list(changes)),
        Event::Asked { backend, request, conditional } => {
            let how = if *conditional { ", whether what is stored is still good" } else { "" };
            format!("asked {backend}: {request}{how}")
        }
        Event::Answered { status, us, reused, fields } => {
            let over = if *reused { "a connection used before" } else { "a new connection" };
            let fields: String = fields.iter().map(|field| format!("; {}: {}", field.name, field.value)).collect();
            format!("{status} after {}.{} ms over {over}{fields}", us / 1000, us % 1000 / 100)
        }
        Event::Lifetime(Lifetime { lifetime, initial_age, ttl, source, by: _ }) => {
            let (l, a, t) = (secs(*lifetime), secs(*initial_age), secs(*ttl));
            format!("lifetime {l} ({}) - age {a} = {t} ({})", source.code(), source.section())
        }
        Event::Storing(Storing { stored, reason, ttl, ttl_by_policy: _, marker }) => {
            let what = match stored {
                true if *ttl > Span::ZERO => format!("stored, fresh for {}", secs(*ttl)),
                true => "stored, not fresh".to_owned(),
                false => "not stored".to_owned(),
            };
            let marker = marker.map(|span| format!("; marked for {}", secs(span))).unwrap_or_default();
            format!("{what}: {} ({}){marker}", reason.code(), reason.section())
        }
        Event::Routed { route, backend } => format!("route {route} leads to {backend}"),
        Event::Elsewhere { why, backend } => format!("sent again to {backend}: {why}"),
        Event::NotElsewhere { why } => format!("not sent again: {why}"),
        Event::Failed { error, text } => format!("failed: {text} ({error})"),
        Event::Delivered { status, outcome, reason, error, fields: _ } => {
            let why = reason.map(|reason| format!(", {}", reason.code())).unwrap_or_default();
            let error = error.as_ref().map(|error| format!("; {error}")).unwrap_or_default();
            format!("sent {status}: {}{why}{error}", outcome.as_str())
        }
        Event::Finished { body_bytes, us, record: _ } => {
            format!("done: {body_bytes} bytes of body in {}.{} ms", us / 1000, us % 1000 / 100)
        }
    }
}

fn looked(found: Found, stored: usize, selecting: &[Field], marker: Option<String>) -> String {
    let what = match found {
        Found::Nothing => "nothing",
        Found::Response => "a response",
        Found::Parts => "parts of a response",
        Found::HitForMiss => "a hit-for-miss marker",
        Found::HitForPass => "a hit-for-pass marker",
        Found::NotAsked => return "the store was not asked (req.hash_always_miss)".to_owned(),
    };
    let marker = marker.map(|left| format!(" for another {left}")).unwrap_or_default();
    let names: Vec<&str> = selecting.iter().map(|field| field.name.as_str()).collect();
    let varying = if names.is_empty() { String::new() } else { format!(", varying by {}", names.join(", ")) };
    format!("found {what}{marker}; responses under this key: {stored}{varying}")
}

fn judged(s: &Standing, usage: Use, reason: Reason) -> String {
    let usage = match usage {
        Use::Fresh => "use it",
        Use::Grace => "use it and renew it",
        Use::OnError => "use it if the origin fails",
        Use::Revalidate => "use it if the origin confirms it",
        Use::Unusable => "do not use it",
    };
    format!("age {} of {}: {usage}: {} ({})", secs(s.age), secs(s.lifetime), reason.code(), reason.section())
}

fn list(changes: &[Change]) -> String {
    changes.iter().map(|change| format!("; {}", told(change))).collect()
}

/// Lines of a policy with what was done there, indented.
fn script(lines: &[ScriptLine]) -> String {
    let mut out = String::new();
    for ScriptLine { place, text, touched } in lines {
        let _infallible = write!(out, "\n  {place}: {text}");
        for Touched { wrote, what, value } in touched {
            let word = if *wrote { "writes" } else { "reads" };
            let value = value.as_ref().map_or("()".to_owned(), |value| format!("{value:?}"));
            let _infallible = write!(out, "\n    {word} {what} = {value}");
        }
    }
    out
}

fn told(Change { what, from, to }: &Change) -> String {
    match (from, to) {
        (_, None) => format!("{what} removed"),
        (None, Some(to)) => format!("{what} = {}", plain(to)),
        (Some(from), Some(to)) => format!("{what} = {} (was {})", plain(to), plain(from)),
    }
}

/// The parts of a key.
pub(super) fn quoted(parts: &[String]) -> String {
    parts.iter().map(|part| format!("{part:?}")).collect::<Vec<_>>().join(" + ")
}
