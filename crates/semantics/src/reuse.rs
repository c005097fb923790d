//! RFC 9111 §4: may a stored response answer this request now, and if not at once, then how.
//!
//! ```text
//!  Fresh ──▶ Grace ──▶ OnError ──▶ Revalidate ──▶ Unusable       (in the order in which time passes)
//! ```
//!
//! Runs once per hit; allocates nothing.

use crate::cache_control::{MaxStale, RequestDirectives};
use crate::freshness::Freshness;
use crate::reason::Reason;
use crate::time::{Span, Time};

/// What is remembered of a stored response's freshness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredTimes {
    /// When it arrived, or was last confirmed.
    pub response_time: Time,
    /// How old it was then.
    pub initial_age: Span,
    /// Lifetime it had left then; negative when it arrived stale.
    pub ttl: Span,
    /// How long past its ttl it may be served while it is renewed.
    pub grace: Span,
    /// How long past its ttl it may be served when the origin fails.
    pub stale_if_error: Span,
    /// How long past its ttl it is kept to be revalidated.
    pub keep: Span,
    /// Each use needs revalidation.
    pub no_cache: bool,
    /// Not to be served stale.
    pub must_revalidate: bool,
}

impl StoredTimes {
    /// From the freshness that was calculated when the response arrived.
    #[must_use]
    pub fn new(response_time: Time, f: &Freshness) -> Self {
        StoredTimes {
            response_time,
            initial_age: f.initial_age,
            ttl: f.ttl,
            grace: f.grace,
            stale_if_error: f.stale_if_error,
            keep: f.keep,
            no_cache: f.no_cache,
            must_revalidate: f.must_revalidate,
        }
    }

    /// "resident_time = now - response_time" (§4.2.3); a clock that went back counts as no time.
    fn resident(&self, now: Time) -> Span {
        (now - self.response_time).non_negative()
    }

    /// The current age (§4.2.3); never negative.
    #[must_use]
    pub fn age(&self, now: Time) -> Span {
        self.initial_age.non_negative() + self.resident(now)
    }

    /// Lifetime left; zero or less is stale. Never grows with time.
    #[must_use]
    pub fn ttl_left(&self, now: Time) -> Span {
        self.ttl - self.resident(now)
    }

    /// From when on it is of no use at all and may be dropped.
    #[must_use]
    pub fn dead_at(&self) -> Time {
        let after = self.grace.max(self.stale_if_error).max(self.keep).non_negative();
        self.response_time + (self.ttl + after).non_negative()
    }
}

/// How a stored response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Serve it. ([`Reason::MaxStale`]: it is stale, and the client said that this is fine.)
    Fresh(Reason),
    /// Serve it now and renew it in the background.
    Grace(Reason),
    /// Fetch (revalidate); serve it only if the origin fails.
    OnError(Reason),
    /// Fetch (revalidate); it must not be served unless confirmed.
    Revalidate(Reason),
    /// It is past everything.
    Unusable(Reason),
}

/// Decides how the stored response may be used at `now`.
///
/// `req`: the request's own wishes, or `None` when the listener does not obey them. `grace_cap`: the most grace that the
/// policy gives this request. `origin_healthy`: `false` when every backend is known to be sick.
///
/// ```
/// use copal_semantics::{Reason, Span, Time, reuse::*};
/// let t = StoredTimes { response_time: Time::EPOCH, initial_age: Span::ZERO, ttl: Span::from_secs(60), grace: Span::ZERO,
///     stale_if_error: Span::from_secs(9), keep: Span::ZERO, no_cache: false, must_revalidate: false };
/// assert_eq!(reuse(&t, Time::from_secs(59), None, None, true), Reuse::Fresh(Reason::Fresh));
/// assert_eq!(reuse(&t, Time::from_secs(60), None, None, true), Reuse::OnError(Reason::StaleIfError));
/// assert_eq!(reuse(&t, Time::from_secs(69), None, None, true), Reuse::Unusable(Reason::Expired));
/// ```
#[must_use]
pub fn reuse(
    t: &StoredTimes,
    now: Time,
    req: Option<&RequestDirectives>,
    grace_cap: Option<Span>,
    origin_healthy: bool,
) -> Reuse {
    let left = t.ttl_left(now);
    if left <= Span::ZERO && now >= t.dead_at() {
        return Reuse::Unusable(Reason::Expired);
    }
    // §5.2.2.4: "MUST NOT be used to satisfy any other request without forwarding it for validation".
    if t.no_cache {
        return Reuse::Revalidate(Reason::NoCache);
    }
    let wish = req.and_then(|r| client_wish(r, t.age(now), left));
    if left > Span::ZERO {
        return wish.map_or(Reuse::Fresh(Reason::Fresh), Reuse::Revalidate);
    }
    if t.must_revalidate {
        return Reuse::Revalidate(Reason::MustRevalidate);
    }
    stale(t, -left, req, wish, grace_cap, origin_healthy)
}

/// The wish of a client that the stored response does not fulfil (§5.2.1), if any.
fn client_wish(r: &RequestDirectives, age: Span, left: Span) -> Option<Reason> {
    if r.no_cache {
        return Some(Reason::RequestNoCache);
    }
    if r.max_age.is_some_and(|most| age > most || most == Span::ZERO) {
        return Some(Reason::RequestMaxAge);
    }
    // A stale response fails it too, unless the same client says with max-stale that it takes one.
    if r.min_fresh.is_some_and(|least| left < least) && (left > Span::ZERO || r.max_stale.is_none()) {
        return Some(Reason::RequestMinFresh);
    }
    None
}

/// §4.2.4, for a response that does not forbid being served stale. `late` is how long it has been stale.
fn stale(
    t: &StoredTimes,
    late: Span,
    req: Option<&RequestDirectives>,
    wish: Option<Reason>,
    grace_cap: Option<Span>,
    origin_healthy: bool,
) -> Reuse {
    let grace = grace_cap.map_or(t.grace, |cap| t.grace.min(cap));
    let on_error = req.and_then(|r| r.stale_if_error).map_or(t.stale_if_error, |asked| t.stale_if_error.max(asked));
    if !origin_healthy && late < grace.max(on_error) {
        return Reuse::Grace(Reason::OriginSick);
    }
    if wish.is_none() {
        if late < grace {
            return Reuse::Grace(Reason::StaleWhileRevalidate);
        }
        let accepted = req.and_then(|r| r.max_stale).is_some_and(|m| match m {
            MaxStale::Any => true,
            MaxStale::For(most) => late <= most,
        });
        if accepted {
            return Reuse::Fresh(Reason::MaxStale);
        }
    }
    if late < on_error {
        Reuse::OnError(Reason::StaleIfError)
    } else {
        Reuse::Revalidate(wish.unwrap_or(Reason::Stale))
    }
}

#[cfg(test)]
#[path = "reuse_tests.rs"]
mod tests;
