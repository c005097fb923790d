//! A snapshot: all counters at one moment, as a map from name to value that goes through JSON.

use crate::counter::Counter;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// The values of all counters, in the order of the table. Read from another version of Copal, it may hold names that
/// this one does not know, and lack some that it does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    values: Vec<(Cow<'static, str>, i64)>,
}

impl Snapshot {
    /// The value of a counter; 0 when the snapshot lacks it.
    #[must_use]
    pub fn get(&self, counter: Counter) -> i64 {
        self.named(counter.info().name).unwrap_or(0)
    }

    /// The value under that name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<i64> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }

    /// Puts in a value that is counted elsewhere.
    pub fn set(&mut self, counter: Counter, value: i64) {
        let name = counter.info().name;
        match self.values.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value,
            None => self.values.push((name.into(), value)),
        }
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.values.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Requests served without a fetch of their own: fresh, in grace, stale on error, coalesced.
    #[must_use]
    pub fn hits(&self) -> i64 {
        [Counter::HitsFresh, Counter::HitsGrace, Counter::HitsStaleError, Counter::HitsCoalesced]
            .into_iter()
            .map(|c| self.get(c))
            .sum()
    }

    /// Hits / (hits + misses), from 0 to 1. Passes are left out, as with Varnish: the policy did not want them cached.
    /// `None` before the first lookup.
    #[must_use]
    pub fn hit_ratio(&self) -> Option<f64> {
        let hits = self.hits();
        let lookups = hits + self.get(Counter::Misses);
        (lookups > 0).then(|| hits as f64 / lookups as f64)
    }
}

impl FromIterator<(Cow<'static, str>, i64)> for Snapshot {
    fn from_iter<I: IntoIterator<Item = (Cow<'static, str>, i64)>>(values: I) -> Self {
        Snapshot { values: values.into_iter().collect() }
    }
}

impl Serialize for Snapshot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

/// Reads the map without sorting it.
struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Snapshot;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map from counter names to values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Snapshot, A::Error> {
        let mut values = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, i64>()? {
            values.push((Cow::Owned(name), value));
        }
        Ok(Snapshot { values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::Counters;

    #[test]
    fn a_snapshot_goes_through_json_in_the_order_of_the_table() {
        let counters = Counters::new();
        counters.add(Counter::Misses, 3);
        let snapshot = counters.snapshot();
        let json = serde_json::to_string(&snapshot).unwrap();
        assert!(json.starts_with("{\"client_connections\":0,"), "{json}");
        let back: Snapshot = serde_json::from_str(&json).unwrap();
        assert_eq!(back, snapshot);
        assert_eq!(back.get(Counter::Misses), 3);
        assert_eq!(back.named("no_such_counter"), None);
    }

    #[test]
    fn the_hit_ratio_leaves_out_passes_and_is_nothing_before_the_first_lookup() {
        let counters = Counters::new();
        counters.add(Counter::Passes, 50);
        assert_eq!(counters.snapshot().hit_ratio(), None);
        counters.add(Counter::HitsFresh, 2);
        counters.add(Counter::HitsCoalesced, 1);
        counters.add(Counter::Misses, 1);
        assert_eq!(counters.snapshot().hit_ratio(), Some(0.75));
    }
}
