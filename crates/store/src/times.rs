//! The times of a stored object: when it came, how long it is fresh, and how long it is of use after that.
//!
//! ```text
//!  response_time − initial_age ──ttl──▶ fresh_until ──max(grace, stale_if_error)──▶ ──keep──▶ dies_at
//! ```
//!
//! Inside an object a span takes four bytes: milliseconds below 24 days, whole seconds from there to 68 years.

use copal_semantics::time::{Span, Time};

/// When a response came and how long it may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When the response was received.
    pub response_time: Time,
    /// How old it was then (RFC 9111 §4.2.3, corrected initial age).
    pub initial_age: Span,
    /// Freshness lifetime, counted from the response's origination.
    pub ttl: Span,
    /// How long past its ttl it may be served while a fetch renews it.
    pub grace: Span,
    /// How long past its ttl it may be served when the origin fails.
    pub stale_if_error: Span,
    /// How long it is kept after that for a conditional request.
    pub keep: Span,
    /// Every use needs validation (RFC 9111 §5.2.2.4).
    pub no_cache: bool,
    /// It must not be served stale (RFC 9111 §5.2.2.2).
    pub must_revalidate: bool,
}

impl Times {
    /// Fresh for `ttl` from `now` on and gone after that: for markers and tests.
    #[must_use]
    pub fn fresh(now: Time, ttl: Span) -> Self {
        Times { response_time: now, ttl, ..Times::default() }
    }

    /// The first moment at which it is stale.
    #[must_use]
    pub fn fresh_until(&self) -> Time {
        self.response_time - self.initial_age + self.ttl
    }

    /// The first moment at which it is of no use at all.
    #[must_use]
    pub fn dies_at(&self) -> Time {
        self.fresh_until() + self.grace.max(self.stale_if_error) + self.keep
    }

    /// How old it is at `now` (RFC 9111 §4.2.3).
    #[must_use]
    pub fn age(&self, now: Time) -> Span {
        (now - self.response_time).non_negative() + self.initial_age
    }
}

const SECONDS: u32 = 1 << 31;

/// In four bytes, rounded down; negative spans are zero.
pub(crate) fn pack(span: Span) -> u32 {
    let millis = span.non_negative().as_micros() / 1000;
    match u32::try_from(millis) {
        Ok(ms) if ms < SECONDS => ms,
        _ => SECONDS | u32::try_from(millis / 1000).map_or(SECONDS - 1, |s| s.min(SECONDS - 1)),
    }
}

/// Back from four bytes.
pub(crate) fn unpack(packed: u32) -> Span {
    if packed < SECONDS {
        Span::from_millis(i64::from(packed))
    } else {
        Span::from_secs(i64::from(packed & (SECONDS - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_object_dies_after_ttl_and_the_longer_stale_span_and_keep() {
        let t = Times {
            response_time: Time::from_secs(100),
            initial_age: Span::from_secs(3),
            ttl: Span::from_secs(10),
            grace: Span::from_secs(5),
            stale_if_error: Span::from_secs(20),
            keep: Span::from_secs(7),
            ..Times::default()
        };
        assert_eq!(t.fresh_until(), Time::from_secs(107));
        assert_eq!(t.dies_at(), Time::from_secs(134));
        assert_eq!(t.age(Time::from_secs(101)), Span::from_secs(4));
    }

    proptest! {
        #[test]
        fn packing_rounds_down_by_less_than_a_second_in_a_thousand(micros in 0i64..2_000_000_000_000_000) {
            let span = Span::from_micros(micros);
            let back = unpack(pack(span));
            prop_assert!(back <= span);
            let lost = (span - back).as_micros();
            prop_assert!(lost < 1_000 || (lost < 1_000_000 && micros > 2_000_000_000_000));
        }
    }

    #[test]
    fn packing_saturates() {
        assert_eq!(pack(Span::from_secs(-5)), 0);
        assert_eq!(unpack(pack(Span::MAX)), Span::from_secs((1 << 31) - 1));
    }
}
