//! Where `http-cache-semantics` and Copal differ, each with the section that says who is right. docs/conformance.md has
//! this table; a test compares the two.

use crate::exchange::{Dated, Exchange, Spelling};
use crate::reuse::Ours;
use copal_semantics::Reason;
use copal_semantics::reuse::Reuse;
use copal_semantics::storability::Storability;
use http::Method;

/// A difference that was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Difference {
    /// One stores it, the other does not.
    Stored { ours: Storability, theirs: bool },
    /// Both store it; one answers the second request from it at once, the other does not.
    Used { ours: Reuse, theirs: bool },
    /// Both store it and think it has another age, in seconds.
    Age { ours: i64, theirs: i64 },
}

/// A class of differences.
pub(crate) struct Known {
    /// What differs.
    pub(crate) what: &'static str,
    /// The section that decides.
    pub(crate) section: &'static str,
    /// Who is right, and why.
    pub(crate) right: &'static str,
    pub(crate) explains: fn(&Exchange, &Ours, Difference) -> bool,
}

use Difference::{Age, Stored, Used};
use Storability::{DoNotStore, Store};

/// Their list of statuses that may be stored.
const THEIR_STATUSES: [u16; 14] = [200, 203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414, 501];

fn repeated(directives: &[(&'static str, Option<i64>)]) -> bool {
    directives.iter().any(|a| directives.iter().any(|b| a.0 == b.0 && a.1 != b.1))
}

/// They compare arguments before they take the quotes off, so a quoted one never equals itself.
fn repeated_in_answer(x: &Exchange) -> bool {
    let all = &x.answer.directives;
    let quoted = |(name, argument): &(&str, Option<i64>)| {
        argument.is_some() && all.iter().filter(|(n, _)| n == name).count() > 1
    };
    repeated(all) || (x.answer.spelling == Spelling::Quoted && all.iter().any(quoted))
}

/// Is the response used stale by the client's max-stale, as they see it?
fn by_max_stale(x: &Exchange, difference: Difference) -> bool {
    matches!(difference, Used { theirs: true, .. }) && x.second.has("max-stale")
}

#[rustfmt::skip]
pub(crate) const KNOWN: &[Known] = &[
    Known { what: "a response without freshness and validator is stored there, not here",
        section: "RFC 9111 §3", right: "both: storing is a MAY, and such a copy could never be used",
        explains: |_, _, d| matches!(d, Stored { ours: DoNotStore(Reason::NoFreshness | Reason::NoUse | Reason::NoCacheNoValidator), theirs: true }) },
    Known { what: "a response with Set-Cookie that does not say `public` is stored there with a lifetime of 0, not here",
        section: "RFC 9111 §7.3", right: "both: a setting here, a rule there; neither shares it",
        explains: |x, _, d| x.answer.set_cookie && matches!(d, Stored { ours: DoNotStore(Reason::SetCookie), theirs: true }) },
    Known { what: "a response with `Vary: *` is stored there, not here",
        section: "RFC 9111 §4.1", right: "both: it matches no request",
        explains: |x, _, d| x.answer.vary.contains(&2) && matches!(d, Stored { ours: DoNotStore(Reason::VaryStar), theirs: true }) },
    Known { what: "a response to HEAD is stored there, not here",
        section: "RFC 9110 §9.3.2", right: "both: here it updates what is stored for GET",
        explains: |x, _, d| x.first.method == Method::HEAD && matches!(d, Stored { ours: DoNotStore(Reason::Head), theirs: true }) },
    Known { what: "a response to POST is stored there whenever it has a lifetime",
        section: "RFC 9110 §9.3.3", right: "Copal: it must also have a Content-Location that is the target URI",
        explains: |x, _, d| x.first.method == Method::POST && matches!(d, Stored { ours: DoNotStore(Reason::Method), theirs: true }) },
    Known { what: "statuses other than 14 well-known ones are never stored there",
        section: "RFC 9111 §3", right: "Copal: any final status may be stored when the response says for how long",
        explains: |x, _, d| !THEIR_STATUSES.contains(&x.answer.status) && matches!(d, Stored { ours: Store(_), theirs: false }) },
    Known { what: "`must-understand` does not lift `no-store` there",
        section: "RFC 9111 §5.2.2.3", right: "Copal: who understands the status code ignores the no-store",
        explains: |x, _, d| x.answer.has("must-understand") && x.answer.has("no-store") && matches!(d, Stored { ours: Store(_), theirs: false }) },
    Known { what: "directives in capitals are not recognised there",
        section: "RFC 9111 §5.2", right: "Copal: directives are compared without regard to case",
        explains: |x, _, d| x.answer.spelling == Spelling::UpperCase && !x.answer.directives.is_empty() && !matches!(d, Age { .. }) },
    Known { what: "a directive repeated with another value, or in quotes, lets an authorised response be stored there",
        section: "RFC 9111 §3.5", right: "Copal: they add a `must-revalidate` that the origin did not send",
        explains: |x, _, d| repeated_in_answer(x) && matches!(d, Stored { ours: DoNotStore(Reason::Authorization), theirs: true }) },
    Known { what: "age counts from Age alone there: a Date in the past and the time the origin took add nothing",
        section: "RFC 9111 §4.2.3", right: "Copal: the larger of apparent age and age value plus response delay",
        explains: |x, ours, d| {
            let dated = matches!(x.answer.date, Some(Dated::At(secs)) if secs < 0);
            let older = ours.times.age(x.now()).as_secs() > x.answer.age.unwrap_or(0) + x.after;
            (dated || x.delay > 0) && older && match d {
                Age { ours, theirs } => ours > theirs,
                Used { ours, theirs } => theirs && !matches!(ours, Reuse::Fresh(_)),
                Stored { .. } => false,
            }
        } },
    Known { what: "a stale response is served here while it is renewed, when it has `stale-while-revalidate`",
        section: "RFC 5861 §3", right: "Copal: they do not know the extension",
        explains: |x, _, d| x.answer.has("stale-while-revalidate") && matches!(d, Used { ours: Reuse::Grace(Reason::StaleWhileRevalidate), theirs: false }) },
    Known { what: "`proxy-revalidate` makes a fresh response stale there",
        section: "RFC 9111 §5.2.2.8", right: "Copal: it is about the time after it has become stale",
        explains: |x, _, d| x.answer.has("proxy-revalidate") && matches!(d, Used { ours: Reuse::Fresh(Reason::Fresh), theirs: false }) },
    Known { what: "`immutable` alone gives a lifetime of a day there",
        section: "RFC 8246 §2", right: "Copal: it speaks of the freshness lifetime that other fields give",
        explains: |x, ours, d| x.answer.has("immutable") && !matches!(ours.freshness.source, Reason::MaxAge | Reason::SMaxage) && matches!(d, Used { theirs: true, .. }) },
    Known { what: "`Pragma: no-cache` in a response without Cache-Control forbids reuse there",
        section: "RFC 9111 §5.4", right: "Copal: it has no meaning in responses; here it only stops guessing a lifetime",
        explains: |x, _, d| x.answer.pragma && x.answer.directives.is_empty() && matches!(d, Used { ours: Reuse::Fresh(_), theirs: false }) },
    Known { what: "`Pragma: no-cache` in a request counts there beside Cache-Control",
        section: "RFC 9111 §5.4", right: "Copal: only when there is no Cache-Control",
        explains: |x, _, d| x.second.pragma && !x.second.directives.is_empty() && matches!(d, Used { ours: Reuse::Fresh(_) | Reuse::Grace(_), theirs: false }) },
    Known { what: "`max-age=0` in a request is fulfilled by a response of age 0 there",
        section: "RFC 9111 §5.2.1.1", right: "both: here it is what a reload means, and asking the origin is always allowed",
        explains: |x, _, d| x.second.all("max-age").any(|n| n == Some(0)) && matches!(d, Used { ours: Reuse::Revalidate(_) | Reuse::OnError(_), theirs: true }) },
    Known { what: "`max-stale=n` ends a second earlier there",
        section: "RFC 9111 §5.2.1.2", right: "Copal: \"no more than the specified number of seconds\" includes that number",
        explains: |x, ours, d| {
            let late = -ours.times.ttl_left(x.now()).as_secs();
            x.second.all("max-stale").any(|n| n.is_some_and(|n| n <= late)) && matches!(d, Used { ours: Reuse::Fresh(Reason::MaxStale), theirs: false })
        } },
    Known { what: "`max-stale` prevails there over `s-maxage` and `proxy-revalidate`",
        section: "RFC 9111 §4.2.4", right: "Copal: these directives prohibit a stale response from a shared cache",
        explains: |x, _, d| by_max_stale(x, d) && (x.answer.has("s-maxage") || x.answer.has("proxy-revalidate")) && matches!(d, Used { ours: Reuse::Revalidate(Reason::MustRevalidate), .. }) },
    Known { what: "`max-stale` prevails there over `no-cache` in the response",
        section: "RFC 9111 §5.2.2.4", right: "Copal: it must not be used without validation",
        explains: |x, _, d| by_max_stale(x, d) && x.answer.has("no-cache") && matches!(d, Used { ours: Reuse::Revalidate(Reason::NoCache), .. }) },
    Known { what: "`min-fresh` counts there for a response that `max-stale` lets through stale",
        section: "RFC 9111 §5.2.1.3", right: "neither: the client's wishes contradict each other",
        explains: |x, _, d| x.second.has("min-fresh") && x.second.has("max-stale") && matches!(d, Used { ours: Reuse::Fresh(Reason::MaxStale), theirs: false }) },
    Known { what: "`max-stale` reaches there however long a response has been stale",
        section: "RFC 9111 §4.2.4", right: "both: here what is past its stale times and `keep` is dropped",
        explains: |x, _, d| by_max_stale(x, d) && matches!(d, Used { ours: Reuse::Unusable(Reason::Expired), .. }) },
    Known { what: "of a directive repeated with another value the first counts there, the strictest here",
        section: "RFC 9111 §4.2.1", right: "both: the first, or stale; the strictest is never later than either",
        explains: |x, _, d| repeated_in_answer(x) && matches!(d, Used { ours: Reuse::OnError(_) | Reuse::Revalidate(_) | Reuse::Unusable(_), theirs: true }) },
    Known { what: "a directive repeated with another value, or in quotes, forbids serving stale there",
        section: "RFC 9111 §4.2.4", right: "Copal: nothing in the response prohibits it, and the client allows it",
        explains: |x, _, d| repeated_in_answer(x) && matches!(d, Used { ours: Reuse::Fresh(Reason::MaxStale), theirs: false }) },
    Known { what: "of a request directive repeated with another value the first counts there, the strictest here",
        section: "RFC 9111 §5.2", right: "both: the RFC does not say",
        explains: |x, _, d| repeated(&x.second.directives) && matches!(d, Used { ours: Reuse::OnError(_) | Reuse::Revalidate(_) | Reuse::Unusable(_), theirs: true }) },
    Known { what: "heuristic freshness is capped at a day here",
        section: "RFC 9111 §4.2.2", right: "both: the heuristic is the cache's choice",
        explains: |_, ours, d| ours.freshness.source == Reason::Heuristic && ours.freshness.lifetime.as_secs() == 86_400 && matches!(d, Used { theirs: true, .. }) },
    Known { what: "heuristic freshness is cut to whole seconds there",
        section: "RFC 9111 §4.2.2", right: "both: the heuristic is the cache's choice",
        explains: |x, ours, d| ours.freshness.source == Reason::Heuristic && ours.times.ttl_left(x.now()).as_secs() == 0 && matches!(d, Used { ours: Reuse::Fresh(Reason::Fresh), theirs: false }) },
];

/// The table as docs/conformance.md has it.
pub(crate) fn markdown() -> String {
    let mut out = String::from("| difference | decided by | who is right |\n|---|---|---|\n");
    for k in KNOWN {
        out.push_str(&format!("| {} | {} | {} |\n", k.what, k.section, k.right));
    }
    out
}
