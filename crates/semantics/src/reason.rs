//! RFC 9211 §2.8 (`detail`): every reason a decision can have, declared once, with its code and a sentence for a person.
//!
//! The same reasons feed `Cache-Status`, `explain`, logs and counters.

/// Why something was decided. [`REASONS`] has the texts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// The response names its lifetime with max-age.
    MaxAge,
    /// The response names its lifetime in shared caches with s-maxage.
    SMaxage,
    /// The response names the moment it expires, compared with its Date.
    Expires,
    /// The origin named no lifetime; a share of the time since Last-Modified is taken instead.
    Heuristic,
    /// The origin named no lifetime; the configured default is taken.
    DefaultTtl,
    /// A policy script set the lifetime.
    PolicyTtl,
    /// The response names no lifetime and has no validator, so a stored copy could never be used.
    NoFreshness,
    /// The response is stale on arrival, may not be served stale and has no validator, so a stored copy could never be used.
    NoUse,
    /// The response names no lifetime but has a validator, so a stored copy can be revalidated.
    Validator,
    /// The answer to this POST names its lifetime and says that it is what a GET of the same URL would return.
    PostContentLocation,
    /// The response forbids storing it with no-store.
    NoStore,
    /// The response is meant for one user only (private).
    Private,
    /// The response sets a cookie and does not say public, so it is not shared.
    SetCookie,
    /// The request carried Authorization and the response has none of public, s-maxage and must-revalidate.
    Authorization,
    /// The response varies on something outside the request (Vary: *), so no later request can match it.
    VaryStar,
    /// The URL has more variants than the configured limit.
    VaryLimit,
    /// The response says must-understand and its status code is not one that Copal knows.
    StatusNotUnderstood,
    /// The response names no lifetime, and its status code is not cacheable without one.
    StatusNotCacheable,
    /// An interim (1xx) response is never stored.
    StatusNotFinal,
    /// A 304 updates a stored response; it is not stored as one.
    StatusNotModified,
    /// Responses to this method are not stored.
    Method,
    /// A response to HEAD has no body to store; it can only update a stored response.
    Head,
    /// The response is a part (206) and is stored as a part.
    Partial,
    /// The response is a part (206) without one valid Content-Range, so it cannot be placed.
    PartialUnusable,
    /// The parts do not share a strong validator and a length, so they are not combined.
    PartialMismatch,
    /// The parts share a strong validator and are combined.
    PartialCombined,
    /// The response answers only this request's Range.
    RangeRequest,
    /// The response answers only this request's precondition.
    RequestConditional,
    /// The request forbids storing the response with no-store.
    RequestNoStore,
    /// The response may be stored, but is revalidated before each use (no-cache).
    NoCache,
    /// The response must be revalidated before each use and has no validator to do it with.
    NoCacheNoValidator,
    /// The stored response is stale and forbids serving it without revalidation.
    MustRevalidate,
    /// The stored response is within its lifetime.
    Fresh,
    /// The stored response is past its lifetime.
    Stale,
    /// The stored response is past its lifetime and past every time it is kept for.
    Expired,
    /// The stored response is served stale while a fetch renews it.
    StaleWhileRevalidate,
    /// Every backend is sick, so the stored response is served stale.
    OriginSick,
    /// The stored response may be served stale if the origin fails.
    StaleIfError,
    /// The client accepts a response this stale (max-stale).
    MaxStale,
    /// The client asks for revalidation (no-cache).
    RequestNoCache,
    /// The stored response is older than the client accepts (max-age).
    RequestMaxAge,
    /// The stored response will be stale sooner than the client accepts (min-fresh).
    RequestMinFresh,
    /// The client accepts only a stored response and there is none to use.
    OnlyIfCached,
    /// If-None-Match was compared with the entity tag of the response.
    IfNoneMatch,
    /// The response was not modified since the date in If-Modified-Since.
    IfModifiedSince,
    /// No entity tag in If-Match is that of the response.
    IfMatch,
    /// The response was modified after the date in If-Unmodified-Since.
    IfUnmodifiedSince,
    /// The validator in If-Range is not that of the response, so the whole of it is sent.
    IfRange,
    /// The origin confirmed the stored response.
    Revalidated,
    /// The origin's validator is not the one of the stored response.
    ValidatorMismatch,
    /// The response to HEAD describes the stored response and updates it.
    HeadUpdated,
    /// The response to HEAD does not describe the stored response, which is stale from now on.
    HeadMismatch,
    /// Nothing is stored for this URL.
    UriMiss,
    /// Responses are stored for this URL, but none for a request with these header fields.
    VaryMiss,
    /// The request waited for a fetch that another one had started.
    Collapsed,
    /// The request was sent past the cache.
    Pass,
    /// An earlier response showed that this URL is not cacheable, so requests do not wait for each other.
    HitForPass,
    /// An earlier response was not cacheable, so requests do not wait for each other; a cacheable one will be stored.
    HitForMiss,
    /// The connection was turned into a tunnel.
    Pipe,
    /// The response was made by Copal itself.
    Synth,
    /// A policy script decided.
    Policy,
    /// A policy script marked the response as not to be stored.
    Uncacheable,
    /// The stored response was purged.
    Purged,
    /// The stored response was made stale by a soft purge.
    SoftPurged,
    /// The stored response matches a ban.
    Banned,
    /// A request that may have changed the resource made the stored response invalid.
    Invalidated,
    /// The stored response gave way to others when room was needed.
    Evicted,
    /// The response is larger than an object may be.
    TooLarge,
    /// There was no room to store the response.
    NoRoom,
    /// The body did not arrive whole, so it is neither served as whole nor stored.
    Incomplete,
    /// The origin could not be reached or did not answer properly.
    FetchFailed,
    /// A policy script restarted the request.
    Restart,
}

/// What is told about a reason.
#[derive(Copy, Clone, Debug)]
pub struct ReasonInfo {
    /// The reason.
    pub reason: Reason,
    /// Its kebab-case code: the `detail` of `Cache-Status`, the label of counters.
    pub code: &'static str,
    /// One sentence for a person.
    pub text: &'static str,
    /// The rule it comes from.
    pub section: &'static str,
}

const fn row(reason: Reason, code: &'static str, section: &'static str, text: &'static str) -> ReasonInfo {
    ReasonInfo { reason, code, text, section }
}

/// Every reason, in the order of the enum.
pub const REASONS: &[ReasonInfo] = &[
    row(Reason::MaxAge, "max-age", "RFC 9111 §5.2.2.1", "The response names its lifetime with max-age."),
    row(
        Reason::SMaxage,
        "s-maxage",
        "RFC 9111 §5.2.2.10",
        "The response names its lifetime in shared caches with s-maxage.",
    ),
    row(
        Reason::Expires,
        "expires",
        "RFC 9111 §5.3",
        "The response names the moment it expires, compared with its Date.",
    ),
    row(
        Reason::Heuristic,
        "heuristic",
        "RFC 9111 §4.2.2",
        "The origin named no lifetime; a share of the time since Last-Modified is taken instead.",
    ),
    row(
        Reason::DefaultTtl,
        "default-ttl",
        "configuration: cache.ttl",
        "The origin named no lifetime; the configured default is taken.",
    ),
    row(Reason::PolicyTtl, "policy-ttl", "policy", "A policy script set the lifetime."),
    row(
        Reason::NoFreshness,
        "no-freshness",
        "RFC 9111 §3",
        "The response names no lifetime and has no validator, so a stored copy could never be used.",
    ),
    row(
        Reason::NoUse,
        "no-use",
        "RFC 9111 §4.2.4",
        "The response is stale on arrival, may not be served stale and has no validator, so a stored copy could never be used.",
    ),
    row(
        Reason::Validator,
        "validator",
        "RFC 9111 §4.3",
        "The response names no lifetime but has a validator, so a stored copy can be revalidated.",
    ),
    row(
        Reason::PostContentLocation,
        "post-content-location",
        "RFC 9110 §9.3.3",
        "The answer to this POST names its lifetime and says that it is what a GET of the same URL would return.",
    ),
    row(Reason::NoStore, "no-store", "RFC 9111 §5.2.2.5", "The response forbids storing it with no-store."),
    row(Reason::Private, "private", "RFC 9111 §5.2.2.7", "The response is meant for one user only (private)."),
    row(
        Reason::SetCookie,
        "set-cookie",
        "configuration: cache.set_cookie",
        "The response sets a cookie and does not say public, so it is not shared.",
    ),
    row(
        Reason::Authorization,
        "authorization",
        "RFC 9111 §3.5",
        "The request carried Authorization and the response has none of public, s-maxage and must-revalidate.",
    ),
    row(
        Reason::VaryStar,
        "vary-star",
        "RFC 9111 §4.1",
        "The response varies on something outside the request (Vary: *), so no later request can match it.",
    ),
    row(Reason::VaryLimit, "vary-limit", "limit: variants", "The URL has more variants than the configured limit."),
    row(
        Reason::StatusNotUnderstood,
        "status-not-understood",
        "RFC 9111 §5.2.2.3",
        "The response says must-understand and its status code is not one that Copal knows.",
    ),
    row(
        Reason::StatusNotCacheable,
        "status-not-cacheable",
        "RFC 9111 §3",
        "The response names no lifetime, and its status code is not cacheable without one.",
    ),
    row(Reason::StatusNotFinal, "status-not-final", "RFC 9111 §3", "An interim (1xx) response is never stored."),
    row(
        Reason::StatusNotModified,
        "status-not-modified",
        "RFC 9111 §3",
        "A 304 updates a stored response; it is not stored as one.",
    ),
    row(Reason::Method, "method", "RFC 9111 §3", "Responses to this method are not stored."),
    row(
        Reason::Head,
        "head",
        "RFC 9110 §9.3.2",
        "A response to HEAD has no body to store; it can only update a stored response.",
    ),
    row(Reason::Partial, "partial", "RFC 9111 §3.3", "The response is a part (206) and is stored as a part."),
    row(
        Reason::PartialUnusable,
        "partial-unusable",
        "RFC 9111 §3.3",
        "The response is a part (206) without one valid Content-Range, so it cannot be placed.",
    ),
    row(
        Reason::PartialMismatch,
        "partial-mismatch",
        "RFC 9111 §3.4",
        "The parts do not share a strong validator and a length, so they are not combined.",
    ),
    row(
        Reason::PartialCombined,
        "partial-combined",
        "RFC 9111 §3.4",
        "The parts share a strong validator and are combined.",
    ),
    row(Reason::RangeRequest, "range-request", "RFC 9110 §14.2", "The response answers only this request's Range."),
    row(
        Reason::RequestConditional,
        "request-conditional",
        "RFC 9110 §13.1",
        "The response answers only this request's precondition.",
    ),
    row(
        Reason::RequestNoStore,
        "request-no-store",
        "RFC 9111 §5.2.1.5",
        "The request forbids storing the response with no-store.",
    ),
    row(
        Reason::NoCache,
        "no-cache",
        "RFC 9111 §5.2.2.4",
        "The response may be stored, but is revalidated before each use (no-cache).",
    ),
    row(
        Reason::NoCacheNoValidator,
        "no-cache-no-validator",
        "RFC 9111 §5.2.2.4",
        "The response must be revalidated before each use and has no validator to do it with.",
    ),
    row(
        Reason::MustRevalidate,
        "must-revalidate",
        "RFC 9111 §5.2.2.2",
        "The stored response is stale and forbids serving it without revalidation.",
    ),
    row(Reason::Fresh, "fresh", "RFC 9111 §4.2", "The stored response is within its lifetime."),
    row(Reason::Stale, "stale", "RFC 9111 §4.2.4", "The stored response is past its lifetime."),
    row(
        Reason::Expired,
        "expired",
        "configuration: cache.keep",
        "The stored response is past its lifetime and past every time it is kept for.",
    ),
    row(
        Reason::StaleWhileRevalidate,
        "stale-while-revalidate",
        "RFC 5861 §3",
        "The stored response is served stale while a fetch renews it.",
    ),
    row(
        Reason::OriginSick,
        "origin-sick",
        "RFC 9111 §4.2.4",
        "Every backend is sick, so the stored response is served stale.",
    ),
    row(
        Reason::StaleIfError,
        "stale-if-error",
        "RFC 5861 §4",
        "The stored response may be served stale if the origin fails.",
    ),
    row(Reason::MaxStale, "max-stale", "RFC 9111 §5.2.1.2", "The client accepts a response this stale (max-stale)."),
    row(
        Reason::RequestNoCache,
        "request-no-cache",
        "RFC 9111 §5.2.1.4",
        "The client asks for revalidation (no-cache).",
    ),
    row(
        Reason::RequestMaxAge,
        "request-max-age",
        "RFC 9111 §5.2.1.1",
        "The stored response is older than the client accepts (max-age).",
    ),
    row(
        Reason::RequestMinFresh,
        "request-min-fresh",
        "RFC 9111 §5.2.1.3",
        "The stored response will be stale sooner than the client accepts (min-fresh).",
    ),
    row(
        Reason::OnlyIfCached,
        "only-if-cached",
        "RFC 9111 §5.2.1.7",
        "The client accepts only a stored response and there is none to use.",
    ),
    row(
        Reason::IfNoneMatch,
        "if-none-match",
        "RFC 9110 §13.1.2",
        "If-None-Match was compared with the entity tag of the response.",
    ),
    row(
        Reason::IfModifiedSince,
        "if-modified-since",
        "RFC 9110 §13.1.3",
        "The response was not modified since the date in If-Modified-Since.",
    ),
    row(Reason::IfMatch, "if-match", "RFC 9110 §13.1.1", "No entity tag in If-Match is that of the response."),
    row(
        Reason::IfUnmodifiedSince,
        "if-unmodified-since",
        "RFC 9110 §13.1.4",
        "The response was modified after the date in If-Unmodified-Since.",
    ),
    row(
        Reason::IfRange,
        "if-range",
        "RFC 9110 §13.1.5",
        "The validator in If-Range is not that of the response, so the whole of it is sent.",
    ),
    row(Reason::Revalidated, "revalidated", "RFC 9111 §4.3.4", "The origin confirmed the stored response."),
    row(
        Reason::ValidatorMismatch,
        "validator-mismatch",
        "RFC 9111 §4.3.4",
        "The origin's validator is not the one of the stored response.",
    ),
    row(
        Reason::HeadUpdated,
        "head-updated",
        "RFC 9111 §4.3.5",
        "The response to HEAD describes the stored response and updates it.",
    ),
    row(
        Reason::HeadMismatch,
        "head-mismatch",
        "RFC 9111 §4.3.5",
        "The response to HEAD does not describe the stored response, which is stale from now on.",
    ),
    row(Reason::UriMiss, "uri-miss", "RFC 9211 §2.2", "Nothing is stored for this URL."),
    row(
        Reason::VaryMiss,
        "vary-miss",
        "RFC 9211 §2.2",
        "Responses are stored for this URL, but none for a request with these header fields.",
    ),
    row(Reason::Collapsed, "collapsed", "RFC 9111 §4", "The request waited for a fetch that another one had started."),
    row(Reason::Pass, "pass", "policy", "The request was sent past the cache."),
    row(
        Reason::HitForPass,
        "hit-for-pass",
        "Varnish: hit-for-pass",
        "An earlier response showed that this URL is not cacheable, so requests do not wait for each other.",
    ),
    row(
        Reason::HitForMiss,
        "hit-for-miss",
        "Varnish: hit-for-miss",
        "An earlier response was not cacheable, so requests do not wait for each other; a cacheable one will be stored.",
    ),
    row(Reason::Pipe, "pipe", "policy", "The connection was turned into a tunnel."),
    row(Reason::Synth, "synth", "policy", "The response was made by Copal itself."),
    row(Reason::Policy, "policy", "policy", "A policy script decided."),
    row(Reason::Uncacheable, "uncacheable", "policy", "A policy script marked the response as not to be stored."),
    row(Reason::Purged, "purged", "purge", "The stored response was purged."),
    row(Reason::SoftPurged, "soft-purged", "purge", "The stored response was made stale by a soft purge."),
    row(Reason::Banned, "banned", "ban", "The stored response matches a ban."),
    row(
        Reason::Invalidated,
        "invalidated",
        "RFC 9111 §4.4",
        "A request that may have changed the resource made the stored response invalid.",
    ),
    row(
        Reason::Evicted,
        "evicted",
        "limit: cache.size",
        "The stored response gave way to others when room was needed.",
    ),
    row(Reason::TooLarge, "too-large", "limit: object size", "The response is larger than an object may be."),
    row(Reason::NoRoom, "no-room", "limit: cache.size", "There was no room to store the response."),
    row(
        Reason::Incomplete,
        "incomplete",
        "RFC 9111 §3.3",
        "The body did not arrive whole, so it is neither served as whole nor stored.",
    ),
    row(
        Reason::FetchFailed,
        "fetch-failed",
        "RFC 9110 §15.6",
        "The origin could not be reached or did not answer properly.",
    ),
    row(Reason::Restart, "restart", "policy", "A policy script restarted the request."),
];

impl Reason {
    fn info(self) -> &'static ReasonInfo {
        &REASONS[self as usize]
    }

    /// The kebab-case code.
    ///
    /// ```
    /// assert_eq!(copal_semantics::Reason::SMaxage.code(), "s-maxage");
    /// ```
    #[must_use]
    pub fn code(self) -> &'static str {
        self.info().code
    }

    /// One sentence for a person.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.info().text
    }

    /// The rule it comes from: an RFC section, a configuration key, "policy".
    #[must_use]
    pub fn section(self) -> &'static str {
        self.info().section
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_table_covers_every_reason_in_the_order_of_the_enum() {
        for (i, row) in REASONS.iter().enumerate() {
            assert_eq!(row.reason as usize, i, "{}", row.code);
        }
        assert_eq!(REASONS.len(), Reason::Restart as usize + 1, "Restart is the last of the enum");
    }

    #[test]
    fn codes_are_unique_tokens_and_texts_are_sentences() {
        let codes: HashSet<_> = REASONS.iter().map(|r| r.code).collect();
        assert_eq!(codes.len(), REASONS.len());
        for r in REASONS {
            assert!(r.code.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", r.code);
            assert!(r.text.ends_with('.') && !r.section.is_empty(), "{}", r.code);
        }
    }
}
