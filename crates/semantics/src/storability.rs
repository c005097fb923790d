//! RFC 9111 §3: may this response be stored, and which of its fields.

use crate::freshness;
use crate::headers::Headers;
use crate::invalidation;
use crate::key::same_origin_target;
use crate::message::{RequestHead, ResponseHead};
use crate::range::ContentRange;
use crate::reason::Reason;
use crate::rules::{Effective, Rules, SetCookie};
use crate::time::Span;
use crate::validation::has_validator;
use crate::vary::Vary;
use crate::{cache_control::RequestDirectives, hop_by_hop};
use http::Method;

/// May a response be stored?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storability {
    /// Yes; the reason names what allows it. [`Reason::Partial`]: as a part only.
    Store(Reason),
    /// No; the reason names what forbids it.
    DoNotStore(Reason),
}

/// May `resp`, which answers `req`, be stored by this shared cache?
///
/// ```
/// use copal_semantics::{Reason, RequestHead, ResponseHead, Rules, storability::*};
/// let req = RequestHead::get("/", []);
/// let resp = ResponseHead::new(200, [("Cache-Control", "private, max-age=60")]);
/// assert_eq!(storability(&req, &resp, &Rules::default()), Storability::DoNotStore(Reason::Private));
/// ```
#[must_use]
pub fn storability(req: &RequestHead, resp: &ResponseHead, rules: &Rules) -> Storability {
    let effective = rules.directives(resp);
    if let Some(reason) = forbidden(req, resp, rules, &effective) {
        return Storability::DoNotStore(reason);
    }
    match allowed(req, resp, rules, &effective) {
        Storability::Store(_) if resp.status == 206 => {
            if ContentRange::of(&resp.headers).is_some() {
                Storability::Store(Reason::Partial)
            } else {
                // multipart/byteranges has no Content-Range of its own; its parts are not worth the bookkeeping.
                Storability::DoNotStore(Reason::PartialUnusable)
            }
        }
        other @ (Storability::Store(_) | Storability::DoNotStore(_)) => other,
    }
}

/// The conditions of §3 that forbid, in the order in which they are told to people.
fn forbidden(req: &RequestHead, resp: &ResponseHead, rules: &Rules, effective: &Effective) -> Option<Reason> {
    let d = &effective.directives;
    // "the response status code is final"
    if resp.status < 200 {
        return Some(Reason::StatusNotFinal);
    }
    if resp.status == 304 {
        return Some(Reason::StatusNotModified);
    }
    // "the request method is understood by the cache"
    if req.method == Method::HEAD {
        return Some(Reason::Head);
    }
    if req.method != Method::GET && !is_get_equivalent(req, resp, effective) {
        return Some(Reason::Method);
    }
    // §5.2.2.3: who understands the status code ignores the no-store that must-understand comes with; who does not stores
    // nothing.
    let understood = is_understood(resp.status);
    if d.must_understand && !understood {
        return Some(Reason::StatusNotUnderstood);
    }
    if d.no_store && !d.must_understand {
        return Some(Reason::NoStore);
    }
    if d.private {
        return Some(Reason::Private);
    }
    if rules.honour_request_no_store && RequestDirectives::parse(&req.headers).no_store {
        return Some(Reason::RequestNoStore);
    }
    // §3.5
    if req.headers.contains("authorization") && !d.public && !d.must_revalidate && d.s_maxage.is_none() {
        return Some(Reason::Authorization);
    }
    if matches!(Vary::parse(&resp.headers), Vary::Any) {
        return Some(Reason::VaryStar);
    }
    if rules.set_cookie == SetCookie::Pass && !d.public && shares_a_cookie(resp, effective) {
        return Some(Reason::SetCookie);
    }
    // The key holds neither Range nor preconditions, so answers about them would be given to requests without.
    if resp.status == 416 && req.headers.contains("range") {
        return Some(Reason::RangeRequest);
    }
    let conditional = ["if-match", "if-unmodified-since", "if-none-match", "if-modified-since"];
    if resp.status == 412 && conditional.iter().any(|n| req.headers.contains(n)) {
        return Some(Reason::RequestConditional);
    }
    None
}

/// The last condition of §3: something must allow it, and a stored copy must be of some use.
fn allowed(req: &RequestHead, resp: &ResponseHead, rules: &Rules, effective: &Effective) -> Storability {
    use Storability::{DoNotStore, Store};
    let d = &effective.directives;
    let validator = has_validator(resp);
    if d.no_cache && !validator {
        return DoNotStore(Reason::NoCacheNoValidator);
    }
    if req.method != Method::GET {
        return Store(Reason::PostContentLocation);
    }
    if let Some(reason) = freshness::explicit_source(resp, effective) {
        let lifetime = d.s_maxage.or(d.max_age);
        let never_stale = freshness::forbids_stale(d, rules);
        if lifetime == Some(Span::ZERO) && never_stale && !validator {
            return DoNotStore(Reason::NoUse);
        }
        return Store(reason);
    }
    if !freshness::is_heuristically_cacheable(resp.status) && !d.public {
        return DoNotStore(Reason::StatusNotCacheable);
    }
    if d.no_cache {
        Store(Reason::NoCache)
    } else if freshness::has_heuristic(resp, rules) {
        Store(Reason::Heuristic)
    } else if rules.default_ttl > Span::ZERO {
        Store(Reason::DefaultTtl)
    } else if validator {
        Store(Reason::Validator)
    } else {
        DoNotStore(Reason::NoFreshness)
    }
}

/// RFC 9110 §9.3.3: "Responses to POST requests are only cacheable when they include explicit freshness information and
/// a Content-Location header field that has the same value as the POST's target URI".
fn is_get_equivalent(req: &RequestHead, resp: &ResponseHead, effective: &Effective) -> bool {
    req.method == Method::POST
        && (200..300).contains(&resp.status)
        && resp.status != 206
        && freshness::explicit_source(resp, effective).is_some()
        && resp
            .headers
            .get("content-location")
            .filter(|v| !v.is_empty())
            .and_then(|v| same_origin_target(req, v))
            .is_some_and(|target| target == req.url)
        && !invalidation::is_error(resp.status)
}

/// Would the stored copy hold a cookie? Not when the response itself keeps the field out of shared copies.
fn shares_a_cookie(resp: &ResponseHead, effective: &Effective) -> bool {
    let d = &effective.directives;
    // Set-Cookie2 is no cookie to any client of this century (RFC 6265 §9.4 made it historic).
    resp.headers.contains("set-cookie") && !d.private_fields.iter().chain(&d.no_cache_fields).any(|f| f == "set-cookie")
}

/// The final status codes whose caching Copal knows: those of RFC 9110 §15, RFC 6585, RFC 7725 and RFC 8470.
#[must_use]
pub const fn is_understood(status: u16) -> bool {
    matches!(status, 200..=206 | 300..=305 | 307 | 308 | 400..=417 | 421 | 422 | 425 | 426 | 428 | 429 | 431 | 451
        | 500..=505 | 511)
}

/// Takes out of a head what a stored copy must not have (§3.1): hop-by-hop fields, fields named by a qualified
/// `private` or `no-cache`, and cookies when the rules strip them. Call it on the copy to store, not on what is sent to
/// the client that caused the fetch.
pub fn strip_unstorable(headers: &mut Headers, effective: &Effective, rules: &Rules) {
    hop_by_hop::strip_response(headers);
    let d = &effective.directives;
    for name in d.private_fields.iter().chain(&d.no_cache_fields) {
        headers.remove(name);
    }
    if rules.set_cookie == SetCookie::Strip {
        headers.remove("set-cookie");
        headers.remove("set-cookie2");
    }
}

#[cfg(test)]
#[path = "storability_tests.rs"]
mod tests;
