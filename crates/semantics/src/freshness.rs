//! RFC 9111 §4.2: how long a response is fresh, how old it is on arrival, and how long it may be used after.
//!
//! ```text
//!  response_time          ttl                          + grace            + stale_if_error          + keep
//!  |─────── fresh ────────|── served while renewed ────|                  |                         |
//!                         |── served when the origin fails ───────────────|                         |
//!                         |── kept to be revalidated ───────────────────────────────────────────────|
//! ```
//!
//! All three windows begin where freshness ends.

use crate::cache_control::ResponseDirectives;
use crate::message::{RequestHead, ResponseHead};
use crate::reason::Reason;
use crate::rules::{Effective, Rules};
use crate::time::{Span, Time};
use crate::{age, date};
use http::Method;

/// The freshness of a response at the moment it arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// Lifetime left at `response_time`: lifetime minus initial age. Negative when it arrived stale.
    pub ttl: Span,
    /// The freshness lifetime (§4.2.1); never negative.
    pub lifetime: Span,
    /// The corrected initial age (§4.2.3); never negative.
    pub initial_age: Span,
    /// How long past its ttl it may be served while it is renewed.
    pub grace: Span,
    /// How long past its ttl it may be served when the origin fails.
    pub stale_if_error: Span,
    /// How long past its ttl it is kept to be revalidated; of use only with a validator.
    pub keep: Span,
    /// Each use needs revalidation (§5.2.2.4).
    pub no_cache: bool,
    /// Not to be served stale (§5.2.2.2, §5.2.2.8, and §5.2.2.10).
    pub must_revalidate: bool,
    /// What the lifetime comes from; [`Reason::NoFreshness`] when from nothing.
    pub source: Reason,
}

/// Calculates the freshness of `resp`, asked for at `request_time` and received at `response_time`.
///
/// ```
/// use copal_semantics::{Reason, RequestHead, ResponseHead, Rules, Span, Time, freshness::freshness};
/// let resp = ResponseHead::new(200, [("Cache-Control", "max-age=60"), ("Age", "20")]);
/// let t = Time::from_secs(1000);
/// let f = freshness(&RequestHead::get("/", []), &resp, &Rules::default(), t, t);
/// assert_eq!((f.ttl, f.source), (Span::from_secs(40), Reason::MaxAge));
/// ```
#[must_use]
pub fn freshness(
    req: &RequestHead,
    resp: &ResponseHead,
    rules: &Rules,
    request_time: Time,
    response_time: Time,
) -> Freshness {
    let effective = rules.directives(resp);
    let d = &effective.directives;
    let dated = resp.headers.get("date").and_then(date::parse);
    let (lifetime, source) = lifetime(req, resp, rules, &effective, dated, response_time);
    let initial_age = initial_age(resp, dated, request_time, response_time);
    let must_revalidate = forbids_stale(d, rules);
    let may_be_stale = !must_revalidate && !d.no_cache;
    // An error kept from yesterday is no better than the error of today: only the response itself can ask for that.
    let error_default = if resp.status >= 500 { Span::ZERO } else { rules.stale_if_error };
    let window = |span: Span| if may_be_stale { span.non_negative() } else { Span::ZERO };
    Freshness {
        ttl: lifetime - initial_age,
        lifetime,
        initial_age,
        grace: window(d.stale_while_revalidate.unwrap_or(rules.grace)),
        stale_if_error: window(d.stale_if_error.unwrap_or(error_default)),
        keep: rules.keep.non_negative(),
        no_cache: d.no_cache,
        must_revalidate,
        source,
    }
}

/// §4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive (e.g., by
/// a no-cache response directive, a must-revalidate response directive, or an applicable s-maxage or proxy-revalidate
/// response directive)".
pub(crate) fn forbids_stale(d: &ResponseDirectives, rules: &Rules) -> bool {
    d.must_revalidate || d.proxy_revalidate || (d.s_maxage.is_some() && rules.s_maxage_forbids_stale)
}

/// Where the origin names a lifetime, if it does (§4.2.1).
pub(crate) fn explicit_source(resp: &ResponseHead, effective: &Effective) -> Option<Reason> {
    let d = &effective.directives;
    if d.s_maxage.is_some() {
        Some(Reason::SMaxage)
    } else if d.max_age.is_some() {
        Some(Reason::MaxAge)
    } else {
        effective.expires(resp).map(|_| Reason::Expires)
    }
}

/// §4.2.1, then §4.2.2, then the owner's default.
fn lifetime(
    req: &RequestHead,
    resp: &ResponseHead,
    rules: &Rules,
    effective: &Effective,
    dated: Option<Time>,
    response_time: Time,
) -> (Span, Reason) {
    let d = &effective.directives;
    if let Some(span) = d.s_maxage {
        return (span, Reason::SMaxage);
    }
    if let Some(span) = d.max_age {
        return (span, Reason::MaxAge);
    }
    // Dates have whole seconds; so has the moment that stands in for a missing or invalid Date (RFC 9110 §6.6.1).
    let base = dated.unwrap_or(Time::from_secs(response_time.as_secs()));
    if let Some(lines) = effective.expires(resp) {
        // §5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a time
        // in the past". Of several the earliest counts (§4.2.1 allows the first or stale).
        let least = lines.map(|v| date::parse(v).map_or(Span::ZERO, |t| (t - base).non_negative())).min();
        return (least.unwrap_or(Span::ZERO), Reason::Expires);
    }
    let get_like = req.method == Method::GET || req.method == Method::HEAD;
    if get_like && (is_heuristically_cacheable(resp.status) || d.public) {
        if has_heuristic(resp, rules)
            && let Some(modified) = resp.headers.get("last-modified").and_then(date::parse)
        {
            let share = (base - modified).non_negative().as_secs_f64() * rules.heuristic_fraction;
            return (Span::from_secs_f64(share).min(rules.heuristic_max).non_negative(), Reason::Heuristic);
        }
        if rules.default_ttl > Span::ZERO {
            return (rules.default_ttl, Reason::DefaultTtl);
        }
    }
    (Span::ZERO, Reason::NoFreshness)
}

/// Can heuristic freshness be calculated? `Pragma: no-cache` in a response without Cache-Control has no defined meaning
/// (§5.4); it is taken as the origin's wish that nothing be guessed.
pub(crate) fn has_heuristic(resp: &ResponseHead, rules: &Rules) -> bool {
    let pragma = || {
        !resp.headers.contains("cache-control")
            && resp.headers.list("pragma").any(|m| m.eq_ignore_ascii_case(b"no-cache"))
    };
    rules.heuristic_fraction > 0.0 && resp.headers.get("last-modified").and_then(date::parse).is_some() && !pragma()
}

/// §4.2.3: `corrected_initial_age = max(apparent_age, age_value + response_delay)`.
///
/// The apparent age is taken in whole seconds, as Date has them: a response is not older for arriving late in its second.
fn initial_age(resp: &ResponseHead, dated: Option<Time>, request_time: Time, response_time: Time) -> Span {
    let apparent = dated.map_or(Span::ZERO, |t| Span::from_secs((response_time - t).non_negative().as_secs()));
    let delay = (response_time - request_time).non_negative();
    apparent.max(age::parse(&resp.headers).unwrap_or(Span::ZERO) + delay)
}

/// RFC 9110 §15.1: "heuristically cacheable […] 200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, and 501".
///
/// ```
/// assert!(copal_semantics::freshness::is_heuristically_cacheable(404));
/// assert!(!copal_semantics::freshness::is_heuristically_cacheable(302));
/// ```
#[must_use]
pub const fn is_heuristically_cacheable(status: u16) -> bool {
    matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
}

impl Freshness {
    /// Is anything left for which a stored copy could be used: freshness, a stale window, or a validator's keep?
    #[must_use]
    pub fn is_of_use(&self, has_validator: bool) -> bool {
        let after = self.grace.max(self.stale_if_error).max(if has_validator { self.keep } else { Span::ZERO });
        self.ttl + after > Span::ZERO
    }
}

#[cfg(test)]
#[path = "freshness_tests.rs"]
mod tests;
