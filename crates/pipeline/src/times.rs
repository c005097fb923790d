//! Between the times that the rules speak of and those that the store keeps.
//!
//! The rules and policies count a ttl from when the response came; the store from when it originated (RFC 9111 §4.2.3).

use copal_policy::BackendResponseVars;
use copal_semantics::Time;
use copal_semantics::freshness::Freshness;
use copal_semantics::reuse::StoredTimes;
use copal_store::Times;

/// For the store: what the policy left, and what the rules said where the policy said nothing.
pub(crate) fn to_store(
    vars: &BackendResponseVars,
    fresh: &Freshness,
    ttl_by_policy: bool,
    response_time: Time,
) -> Times {
    let grace_by_policy = vars.grace != fresh.grace || vars.stale_if_error != fresh.stale_if_error;
    Times {
        response_time,
        initial_age: vars.age.non_negative(),
        ttl: (vars.ttl + vars.age.non_negative()).non_negative(),
        grace: vars.grace.non_negative(),
        stale_if_error: vars.stale_if_error.non_negative(),
        keep: vars.keep.non_negative(),
        // A policy that sets a ttl wants the object used for that long.
        no_cache: fresh.no_cache && !ttl_by_policy,
        // A policy that sets a ttl or a grace knows better than the origin's must-revalidate.
        must_revalidate: fresh.must_revalidate && !ttl_by_policy && !grace_by_policy,
    }
}

/// For the rules.
pub(crate) fn stored(times: &Times) -> StoredTimes {
    StoredTimes {
        response_time: times.response_time,
        initial_age: times.initial_age,
        ttl: times.ttl - times.initial_age,
        grace: times.grace,
        stale_if_error: times.stale_if_error,
        keep: times.keep,
        no_cache: times.no_cache,
        must_revalidate: times.must_revalidate,
    }
}
