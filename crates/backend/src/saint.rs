//! Saint mode: what a backend has answered with a server error, or as the policy would not have it, it is not asked for
//! again for a while, if another backend can be asked; everything else it goes on serving.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Objects remembered per backend, 32 bytes each: a backend that fails more of them at a time is broken as a whole, which
/// is what probes and ejection are for. Beyond, the one that would be forgotten first makes room.
pub const SAINT_OBJECTS_MAX: usize = 1024;

/// The objects that one backend is spared. `now` is time since any fixed moment.
#[derive(Debug, Default)]
pub(crate) struct Saint {
    until: Mutex<HashMap<u64, Duration>>,
    /// So that a pick with nothing on the list takes no lock.
    len: AtomicUsize,
}

impl Saint {
    fn until(&self) -> MutexGuard<'_, HashMap<u64, Duration>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backend failed this object: it is avoided for `time`.
    pub(crate) fn failed(&self, object: u64, now: Duration, time: Duration) {
        let mut until = self.until();
        if until.len() >= SAINT_OBJECTS_MAX && !until.contains_key(&object) {
            until.retain(|_, end| *end > now);
            if until.len() >= SAINT_OBJECTS_MAX
                && let Some(first) = until.iter().min_by_key(|(_, end)| **end).map(|(object, _)| *object)
            {
                until.remove(&first);
            }
        }
        until.insert(object, now.saturating_add(time));
        self.len.store(until.len(), Relaxed);
    }

    /// Is the backend spared this object?
    pub(crate) fn avoids(&self, object: u64, now: Duration) -> bool {
        if self.is_empty() {
            return false;
        }
        let mut until = self.until();
        match until.get(&object) {
            Some(end) if *end > now => true,
            Some(_) => {
                until.remove(&object);
                self.len.store(until.len(), Relaxed);
                false
            }
            None => false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len.load(Relaxed) == 0
    }

    /// How many objects are avoided now.
    pub(crate) fn len(&self, now: Duration) -> u64 {
        self.until().values().filter(|end| **end > now).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_avoided_for_its_time_and_others_are_not() {
        let s = Duration::from_secs;
        let saint = Saint::default();
        saint.failed(7, s(100), s(10));
        assert!(saint.avoids(7, s(109)) && !saint.avoids(8, s(109)));
        assert_eq!((saint.len(s(109)), saint.len(s(110))), (1, 0));
        assert!(!saint.avoids(7, s(110)));
        assert!(saint.is_empty());
    }

    #[test]
    fn the_list_is_bounded_and_the_oldest_makes_room() {
        let saint = Saint::default();
        for n in 0..=SAINT_OBJECTS_MAX as u64 {
            saint.failed(n, Duration::from_secs(n), Duration::from_secs(3600));
        }
        let now = Duration::from_secs(2000);
        assert_eq!(saint.len(now), SAINT_OBJECTS_MAX as u64);
        assert!(!saint.avoids(0, now) && saint.avoids(1, now) && saint.avoids(SAINT_OBJECTS_MAX as u64, now));
    }
}
