//! Fallback: the first member that can serve has everything; the others stand by. Weights and ramps mean nothing here.

use super::{Choice, Field};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

#[derive(Debug)]
pub(crate) struct Fallback {
    members: usize,
    sticky: bool,
    current: AtomicUsize,
}

impl Fallback {
    /// `sticky`: it stays with the member it has come to until that one fails too.
    pub(crate) fn new(members: usize, sticky: bool) -> Self {
        Fallback { members, sticky, current: AtomicUsize::new(0) }
    }

    pub(crate) fn choose(&self, field: &impl Field) -> Choice {
        let current = self.current.load(Relaxed);
        if self.sticky && current < self.members && field.share(current) > 0 {
            return Choice::Member(current);
        }
        match (0..self.members).find(|&i| field.share(i) > 0) {
            Some(i) => {
                self.current.store(i, Relaxed);
                Choice::Member(i)
            }
            None => Choice::NoneHealthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, letters};
    use super::*;

    fn through(rule: &Fallback) -> String {
        [[1, 1, 1], [0, 1, 1], [0, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0], [1, 1, 1]]
            .iter()
            .map(|shares| letters(1, || rule.choose(&Fake::shares(shares))))
            .collect()
    }

    #[test]
    fn the_first_that_can_serve_has_everything() {
        assert_eq!(through(&Fallback::new(3, false)), "abcba-a");
    }

    #[test]
    fn a_sticky_one_stays_until_its_member_fails() {
        assert_eq!(through(&Fallback::new(3, true)), "abccc-c");
    }
}
