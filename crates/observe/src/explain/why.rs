//! What decided, sentence by sentence, in the order of the steps.

use super::Sentence;
use super::facts::{Facts, Judged, Looked, Ran};
use super::freshness::secs;
use crate::record::Outcome;
use crate::trace::{Found, Storing, Use};
use copal_semantics::reason::Reason;

pub(super) fn sentences(facts: &Facts<'_>) -> Vec<Sentence> {
    let mut out = facts.restarts.clone();
    if !facts.delivered {
        match facts.came_from("pass") {
            Some(_) => out.push(passed(facts)),
            None => looked_up(facts, &mut out),
        }
        fetched(facts, &mut out);
        if let (Some((backend, _)), None, None) = (facts.asked, &facts.answered, facts.failed) {
            out.push(Sentence::new(format!(
                "Backend `{backend}` was asked, and had not answered when the request was given up."
            )));
        }
        return out;
    }
    match facts.outcome {
        Outcome::Pass => out.push(passed(facts)),
        Outcome::Synth => out.push(made_here(facts)),
        Outcome::Purge => out.push(Sentence::by(Reason::Purged.text(), Reason::Purged.section())),
        Outcome::Pipe => out.push(by_reason(Reason::Pipe)),
        Outcome::Error if facts.looked.is_none() && facts.failed.is_none() => out.push(made_here(facts)),
        Outcome::Error
        | Outcome::Hit
        | Outcome::HitGrace
        | Outcome::HitStaleError
        | Outcome::Coalesced
        | Outcome::Miss
        | Outcome::HitForMiss
        | Outcome::HitForPass => looked_up(facts, &mut out),
    }
    fetched(facts, &mut out);
    if facts.status >= 400 && !facts.restarts.is_empty() && facts.outcome != Outcome::Error {
        out.push(another_page(facts));
    }
    out
}

/// What came before a restart, and who restarted the request.
pub(super) fn restarted(facts: &Facts<'_>, to: &str) -> Vec<Sentence> {
    let mut out = Vec::new();
    match facts.came_from("pass") {
        Some(_) => out.push(passed(facts)),
        None => looked_up(facts, &mut out),
    }
    fetched(facts, &mut out);
    let from = facts.came_from("restart").unwrap_or("recv");
    // What `hit` returned is told with what it was handed.
    if from == "hit" {
        out.retain(|sentence| !sentence.text.contains("`restart()`"));
    }
    if facts.came_from("synth").is_some_and(|step| facts.decided(step).is_some()) {
        out.push(made_here(facts));
    }
    let then = if to == "recv" { "the request began again at `recv`" } else { "that was one restart too many" };
    let text = format!("The policy's hook `{from}` returned `restart()`: {then}.");
    out.push(match facts.decided(from) {
        Some(ran) => Sentence::by(text, place(facts, ran)),
        None => Sentence::by(text, facts.policy),
    });
    out
}

/// After a restart, an error page in place of what was asked for.
fn another_page(facts: &Facts<'_>) -> Sentence {
    let text =
        format!("So this is an error page of the policy's making ({}), not the page that was asked for.", facts.status);
    match ["req.url", "req.backend", "req.method"].iter().find_map(|what| facts.changed_again(what)) {
        Some((ran, change)) => {
            let to = change.to.as_deref().unwrap_or("nothing");
            Sentence::by(
                format!("{text} The policy's hook `{}` set `{}` to {to}.", ran.hook, change.what),
                place(facts, ran),
            )
        }
        None => Sentence::new(text),
    }
}

fn by_reason(reason: Reason) -> Sentence {
    Sentence::by(reason.text(), reason.section())
}

/// Where a hook decided: the line, where it is known, else the file.
pub(super) fn place(facts: &Facts<'_>, ran: &Ran<'_>) -> String {
    ran.place.unwrap_or(facts.policy).to_owned()
}

fn passed(facts: &Facts<'_>) -> Sentence {
    let from = facts.came_from("pass").unwrap_or("recv");
    match facts.decided(from).filter(|ran| ran.action == Some("pass()")) {
        Some(ran) => Sentence::by(
            format!("The policy's hook `{from}` returned `pass()`: the request went past the cache."),
            place(facts, ran),
        ),
        None => Sentence::by(
            format!("A {} request is never answered from the cache; it passes.", facts.method),
            Reason::Method.section(),
        ),
    }
}

fn made_here(facts: &Facts<'_>) -> Sentence {
    let from = facts.came_from("synth").unwrap_or("recv");
    if let Some(ran) = facts.decided(from) {
        let what = match (ran.action, ran.fault) {
            (_, Some(fault)) => format!("The policy's hook `{from}` failed: {fault}."),
            (action, None) => {
                format!(
                    "The policy's hook `{from}` returned `{}`: Copal answered by itself.",
                    action.unwrap_or_default()
                )
            }
        };
        return Sentence::by(what, place(facts, ran));
    }
    if from == "lookup" {
        return by_reason(Reason::OnlyIfCached);
    }
    match facts.error {
        Some(error) => Sentence::new(format!("Copal answered by itself: {error}.")),
        None => Sentence::new("Copal answered by itself."),
    }
}

fn looked_up(facts: &Facts<'_>, out: &mut Vec<Sentence>) {
    if let Some(looked) = &facts.looked {
        out.extend(found(facts, looked));
    }
    if let Some(judged) = &facts.judged {
        out.push(stored(facts, judged));
    }
    if let Some(ran) = facts.decided("hit") {
        let action = ran.action.unwrap_or_default();
        out.push(Sentence::by(format!("The policy's hook `hit` returned `{action}`."), place(facts, ran)));
    }
    if let Some((us, result)) = facts.waited {
        out.push(Sentence::by(
            format!("Another request was fetching the same; it was waited for ({} ms), and {result}.", us / 1000),
            Reason::Collapsed.section(),
        ));
    }
}

fn found(facts: &Facts<'_>, looked: &Looked<'_>) -> Option<Sentence> {
    let marker = looked.marker.map(|left| format!(" (for another {})", secs(left))).unwrap_or_default();
    let marked = |reason: Reason| Sentence::by(format!("{}{marker}", reason.text()), reason.section());
    match looked.found {
        Found::Response => None,
        Found::Parts => Some(Sentence::by(
            "Only parts of the response are stored, from answers to range requests.",
            Reason::Partial.section(),
        )),
        Found::Nothing if looked.stored == 0 => {
            Some(Sentence::by("Nothing was stored under this key.", Reason::UriMiss.section()))
        }
        Found::Nothing => {
            let fields: Vec<String> = looked.selecting.iter().map(|f| format!("`{}: {}`", f.name, f.value)).collect();
            let (count, verb) = if looked.stored == 1 {
                ("One response".to_owned(), "is")
            } else {
                (format!("{} responses", looked.stored), "are")
            };
            let text =
                format!("{count} {verb} stored under this key, but none for a request with {}.", fields.join(", "));
            Some(Sentence::by(text, Reason::VaryMiss.section()))
        }
        Found::HitForMiss => Some(marked(Reason::HitForMiss)),
        Found::HitForPass => Some(marked(Reason::HitForPass)),
        Found::NotAsked => {
            let set = facts.changed("req.hash_always_miss").map(|(ran, _)| place(facts, ran));
            let rule = set.unwrap_or_else(|| facts.policy.to_owned());
            Some(Sentence::by("The policy set `req.hash_always_miss`: the store was not asked.", rule))
        }
    }
}

fn stored(facts: &Facts<'_>, judged: &Judged) -> Sentence {
    let s = &judged.standing;
    if judged.reason == Reason::Policy {
        let set = facts.changed("req.max_age").map(|(ran, _)| place(facts, ran));
        let rule = set.unwrap_or_else(|| facts.policy.to_owned());
        return Sentence::by(
            format!("A response is stored, {} old: older than the policy's `req.max_age` allows.", secs(s.age)),
            rule,
        );
    }
    let then = match judged.usage {
        _ if facts.came_from("restart").is_some() => return by_reason(judged.reason),
        Use::Fresh => "It is served.",
        Use::Grace => "It is served as it is.",
        Use::OnError => "So the origin is asked first.",
        Use::Revalidate | Use::Unusable => "So the origin is asked.",
    };
    Sentence::by(format!("{} {then}", judged.reason.text()), judged.reason.section())
}

fn fetched(facts: &Facts<'_>, out: &mut Vec<Sentence>) {
    let backend = facts.asked.map_or("the origin", |(name, _)| name);
    let again = facts.outcome == Outcome::HitGrace;
    let when = if again { "Meanwhile backend" } else { "Backend" };
    if let Some((error, text)) = facts.failed {
        out.push(Sentence::by(format!("The fetch failed: {text}."), format!("RFC 9209 §2.3: {error}")));
        if facts.outcome == Outcome::HitStaleError {
            out.push(by_reason(Reason::StaleIfError));
        }
        return;
    }
    if let Some(answered) = &facts.answered {
        let conditional = facts.asked.is_some_and(|(_, conditional)| conditional);
        let what = if conditional && answered.status == 304 { ": what is stored is still good" } else { "" };
        out.push(Sentence::new(format!(
            "{when} `{backend}` answered {} after {}.{} ms{what}.",
            answered.status,
            answered.us / 1000,
            answered.us % 1000 / 100
        )));
    }
    if let (Some(storing), false) = (facts.storing, facts.outcome == Outcome::Pass) {
        out.push(kept(facts, storing));
    }
}

fn kept(facts: &Facts<'_>, storing: &Storing) -> Sentence {
    let start = if storing.stored { "The response is stored" } else { "The response is not stored" };
    let text = storing.reason.text();
    if matches!(storing.reason, Reason::Policy | Reason::Uncacheable | Reason::PolicyTtl) {
        let changed = facts.changed("beresp.uncacheable").or_else(|| facts.changed("beresp.ttl"));
        let ran = facts.decided("backend_response").or(changed.map(|(ran, _)| ran));
        let rule = ran.map_or_else(|| facts.policy.to_owned(), |ran| place(facts, ran));
        return Sentence::by(format!("{start}: the policy's hook `backend_response` decided so."), rule);
    }
    Sentence::by(format!("{start}: {}{}", text[..1].to_ascii_lowercase(), &text[1..]), storing.reason.section())
}
