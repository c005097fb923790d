//! Slow start: a backend that has just come back gets its share little by little, so that a cold one is not flooded.
//!
//! ```text
//! 1000 ┤            ┌────────
//!      │        ╱
//!  100 ┤────╱                     thousandths of its share, over the time since it became healthy
//!      └────┴───────┴────────▶
//!      0            slow_start
//! ```

use std::time::Duration;

/// A whole share, in thousandths.
pub const WHOLE: u64 = 1000;
/// The least that a healthy backend gets: with nothing it would never warm up. Envoy's `min_weight_percent`.
pub const FLOOR: u64 = 100;

/// The thousandths of its share that a backend gets `since` it became healthy.
#[must_use]
pub fn share(since: Duration, slow_start: Duration) -> u64 {
    if since >= slow_start {
        return WHOLE;
    }
    let part = since.as_micros() * u128::from(WHOLE) / slow_start.as_micros().max(1);
    u64::try_from(part).unwrap_or(WHOLE).clamp(FLOOR, WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_grows_in_a_straight_line_from_a_tenth_to_the_whole() {
        let at = |secs| share(Duration::from_secs(secs), Duration::from_secs(30));
        assert_eq!([at(0), at(3), at(6), at(15), at(24), at(30), at(99)], [100, 100, 200, 500, 800, 1000, 1000]);
    }

    #[test]
    fn without_slow_start_the_share_is_whole_at_once() {
        assert_eq!(share(Duration::ZERO, Duration::ZERO), WHOLE);
    }
}
