//! The freshness arithmetic (RFC 9111 §4.2), number by number: of what was stored, then of what came.

use super::facts::{Facts, Judged};
use crate::trace::{Field, Lifetime};
use copal_semantics::Span;

pub(super) fn arithmetic(facts: &Facts<'_>) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(judged) = &facts.judged {
        stored(judged, &mut out);
    }
    if let Some(lifetime) = facts.lifetime {
        arrived(lifetime, &mut out);
        for (what, of) in [
            ("beresp.ttl", "its lifetime from now on"),
            ("beresp.grace", "its grace"),
            ("beresp.keep", "how long it is kept after"),
            ("beresp.stale_if_error", "how long it may replace an error"),
        ] {
            if let Some((ran, change)) = facts.changed(what)
                && let Some(to) = &change.to
            {
                out.push(format!("the policy's {} sets {of}: {}", ran.hook, plain(to)));
            }
        }
    }
    out
}

fn stored(judged: &Judged, out: &mut Vec<String>) {
    let s = &judged.standing;
    let sum = format!("stored response: lifetime {} - age {} = {}", secs(s.lifetime), secs(s.age), secs(s.left));
    if s.left > Span::ZERO {
        out.push(format!("{sum}: fresh"));
        return;
    }
    let late = -s.left;
    out.push(format!("{sum}: stale"));
    out.push(format!("grace {}: {}", secs(s.grace), window(s.grace, late, "served while a fetch renews it")));
    let on_error = window(s.stale_if_error, late, "served if the origin fails");
    out.push(format!("stale-if-error {}: {on_error}", secs(s.stale_if_error)));
}

fn window(span: Span, late: Span, what: &str) -> String {
    match span - late {
        left if left > Span::ZERO => format!("it may be {what}, for another {}", secs(left)),
        _ if span <= Span::ZERO => format!("it may not be {what}"),
        _ => format!("it may no longer be {what}"),
    }
}

fn arrived(l: &Lifetime, out: &mut Vec<String>) {
    let by = l.by.as_ref().map(|Field { name, value }| format!(", {name}: {value}")).unwrap_or_default();
    out.push(format!("new response: lifetime {} ({}{by})", secs(l.lifetime), l.source.code()));
    out.push(format!("lifetime {} - age on arrival {} = {}", secs(l.lifetime), secs(l.initial_age), secs(l.ttl)));
}

/// Seconds for people: whole where they are whole, else tenths, and thousandths below a second.
pub(super) fn secs(span: Span) -> String {
    let s = span.as_secs_f64();
    let text = if s.abs() < 1.0 { format!("{s:.3}") } else { format!("{s:.1}") };
    format!("{} s", trimmed(&text))
}

/// "60.000 s" as "60 s".
pub(super) fn plain(text: &str) -> String {
    match text.strip_suffix(" s") {
        Some(number) if number.parse::<f64>().is_ok() => format!("{} s", trimmed(number)),
        Some(_) | None => text.to_owned(),
    }
}

fn trimmed(number: &str) -> &str {
    match if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number } {
        "-0" => "0",
        other => other,
    }
}
