//! What RFC 9111 §3 and §4 forbid a shared cache, written from their text on the model alone.
//!
//! Nothing here is shared with the crate: where the two disagree, one of them is wrong.

use crate::exchange::{Answered, Dated, Exchange};
use http::Method;

/// The statuses that RFC 9110 §15 defines and some others that are well known; 206 and 304 have rules of their own.
fn is_understood(status: u16) -> bool {
    let ranges = [
        200..=206,
        300..=305,
        307..=308,
        400..=417,
        421..=422,
        425..=426,
        428..=429,
        431..=431,
        451..=451,
        500..=505,
        511..=511,
    ];
    ranges.iter().any(|r| r.contains(&status))
}

/// RFC 9110 §15.1.
const HEURISTIC: [u16; 12] = [200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501];

/// §3: "A cache MUST NOT store a response to a request unless: …". The condition that fails, if any.
pub(crate) fn storing(x: &Exchange) -> Option<&'static str> {
    let (q, r) = (&x.first, &x.answer);
    let explicit = r.expires.is_some() || r.has("max-age") || r.has("s-maxage");
    // "the request method is understood by the cache"; HEAD and POST answers would need more than this model has.
    if q.method != Method::GET {
        return Some("§3: the method");
    }
    // "the response status code is final"
    if r.status < 200 {
        return Some("§3: an interim response");
    }
    // "if the response status code is 206 or 304, or the must-understand cache directive is present: the cache
    // understands the response status code"
    if r.status == 304 || (r.has("must-understand") && !is_understood(r.status)) {
        return Some("§3: a status that is not understood");
    }
    // "the no-store cache directive is not present in the response"; §5.2.2.3 lifts it for who understands the status.
    if r.has("no-store") && !r.has("must-understand") {
        return Some("§5.2.2.5: no-store");
    }
    // §5.2.1.5: "a cache MUST NOT store any part of either this request or any response to it".
    if q.has("no-store") {
        return Some("§5.2.1.5: no-store in the request");
    }
    // "if the cache is shared: the private response directive is either not present or allows a shared cache to store"
    if r.has("private") {
        return Some("§5.2.2.7: private");
    }
    // "if the cache is shared: the Authorization header field is not present in the request or a response directive is
    // present that explicitly allows shared caching", which §3.5 names.
    if q.authorization && !(r.has("must-revalidate") || r.has("public") || r.has("s-maxage")) {
        return Some("§3.5: Authorization");
    }
    // "the response contains at least one of the following: public, […] Expires, max-age, […] s-maxage, […] a status code
    // that is defined as heuristically cacheable"
    if !(r.has("public") || explicit || HEURISTIC.contains(&r.status)) {
        return Some("§3: nothing allows it");
    }
    None
}

/// The most lifetime that §4.2.1 and §4.2.2 let a shared cache assume, in seconds.
///
/// "When there is more than one value present for a given directive […] either the first occurrence should be used or the
/// response should be considered stale": so no more than the first.
pub(crate) fn lifetime(r: &Answered) -> i64 {
    if let Some(first) = r.all("s-maxage").next() {
        return first.unwrap_or(0);
    }
    if let Some(first) = r.all("max-age").next() {
        return first.unwrap_or(0);
    }
    // A missing or invalid Date is replaced with the time of reception (RFC 9110 §6.6.1).
    let date = match r.date {
        Some(Dated::At(secs)) => secs,
        Some(Dated::Invalid) | None => 0,
    };
    match (r.expires, r.last_modified) {
        (Some(Dated::At(secs)), _) => (secs - date).max(0),
        (Some(Dated::Invalid), _) => 0,
        // "no more than some fraction of the interval since that time": less than all of it, whatever the fraction is.
        (None, Some(Dated::At(secs))) if HEURISTIC.contains(&r.status) || r.has("public") => (date - secs).max(0) / 2,
        (None, _) => 0,
    }
}

/// §4.2.3, in whole seconds.
pub(crate) fn current_age(x: &Exchange) -> i64 {
    let apparent_age = match x.answer.date {
        // "apparent_age = max(0, response_time - date_value)"
        Some(Dated::At(secs)) => (-secs).max(0),
        Some(Dated::Invalid) | None => 0,
    };
    let corrected_age_value = x.answer.age.unwrap_or(0) + x.delay;
    apparent_age.max(corrected_age_value) + x.after
}

/// How a stored response may be used for the second request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Allowed {
    /// Not before the origin has confirmed it.
    AfterValidation,
    /// When the origin cannot be reached, too.
    Disconnected,
    /// At once, though stale: the origin or the client allows it.
    Stale,
    /// At once.
    Fresh,
}

/// §4: "When presented with a request, a cache MUST NOT reuse a stored response unless: …". `obey`: whether the second
/// request's own directives are listened to.
pub(crate) fn reusing(x: &Exchange, obey: bool) -> Allowed {
    let (q, r) = (&x.second, &x.answer);
    // §4.1: "A stored response with a Vary header field value containing a member "*" always fails to match."
    let nominated_match = r.vary.iter().all(|&i| i < 2 && q.fields[i] == x.first.fields[i]);
    // "the stored response does not contain the no-cache directive […] unless it is successfully validated"
    if !nominated_match || r.has("no-cache") {
        return Allowed::AfterValidation;
    }
    let (age, lifetime) = (current_age(x), lifetime(r));
    let fresh = lifetime > age;
    let no_cache = q.has("no-cache") || (q.pragma && q.directives.is_empty());
    let too_old = q.all("max-age").any(|most| most.is_some_and(|most| age > most));
    // A client that takes a stale response and wants a fresh one contradicts itself; then min-fresh holds nothing back.
    let too_short =
        !q.has("max-stale") && q.all("min-fresh").any(|least| least.is_some_and(|least| lifetime < age + least));
    let unwilling = obey && (no_cache || too_old || too_short);
    // §4.2.4: "MUST NOT generate a stale response if it is prohibited by an explicit in-protocol directive".
    let never_stale = ["must-revalidate", "proxy-revalidate", "s-maxage"].iter().any(|d| r.has(d));
    match (fresh, unwilling) {
        (true, false) => Allowed::Fresh,
        // The client's wishes are SHOULDs: without an origin they may be left aside.
        (true, true) => Allowed::Disconnected,
        (false, _) if never_stale => Allowed::AfterValidation,
        (false, true) => Allowed::Disconnected,
        (false, false) => {
            let late = age - lifetime;
            // RFC 5861 §3.
            let by_origin = r.all("stale-while-revalidate").next().flatten().is_some_and(|n| late < n);
            // §5.2.1.2: "no more than the specified number of seconds"; without a number "of any age".
            let most = q.all("max-stale").map(|n| n.unwrap_or(i64::MAX)).min();
            let by_client = obey && most.is_some_and(|most| late <= most);
            if by_origin || by_client { Allowed::Stale } else { Allowed::Disconnected }
        }
    }
}
