//! The lurker: goes through the stored objects and works off the bans that need no request, so that neither they nor what
//! they are about stay for ever.
//!
//! ```text
//!  round: target = newest ban ─▶ every object of the expiry wheel, a slice at a time ─▶ bans up to target: done
//!                                     └ banned: dropped at once
//! ```
//!
//! Bans that need a request are done when no stored object is stamped older than they are: after every round the oldest
//! stamp is known. No ban is done while a request is under way that was sent before it: what is answered may be what the
//! ban is about.
//!
//! Invariants: a round visits every object that is stored from its beginning to its end (the wheel hands over those that
//! move meanwhile); a slice is bounded by its work; expiry and the lurker never run at the same time.

use crate::ban::Verdict;
use crate::memory::locked;
use crate::object::Object;
use crate::store::Store;
use copal_semantics::time::{Span, Time};
use std::sync::Arc;

/// Objects taken from the wheel at a time: its lock is held for some tens of microseconds.
const VISIT_BATCH: usize = 256;
/// How often the oldest stamp is looked for when only bans are left that need requests. A minute: it costs a round.
const PATIENCE: Span = Span::from_secs(60);

/// What is known of the round under way.
#[derive(Debug, Default)]
pub(crate) struct Lurker {
    round: Option<Round>,
    /// When the last round began.
    began: Option<Time>,
}

#[derive(Debug)]
struct Round {
    /// The newest ban when it began.
    target: u32,
    visited: u64,
    /// Objects at the beginning.
    of: u64,
    /// How far the oldest stamp is behind the target.
    behind: u32,
    /// Taken from the wheel and not visited yet.
    pending: Vec<Arc<Object>>,
}

impl Store {
    /// Does at most `work` tests and visits of the lurker's round; true when there is more to do now. Without bans in force
    /// it does nothing. 20,000 are one to four milliseconds.
    pub fn lurk(&self, work: u32, now: Time) -> bool {
        let mut lurker = locked(self.upkeep());
        let wheel = &self.shelf().books().wheel;
        if lurker.round.is_none() {
            let (can_work, only_requests) = self.bans().waiting(self.sent().oldest());
            let rested = lurker.began.is_none_or(|began| now >= began + PATIENCE || now < began);
            if !(can_work || only_requests && rested) {
                return false;
            }
            let books = self.shelf().books();
            let (target, of) = (wheel.begin_round(), books.stored());
            lurker.began = Some(now);
            lurker.round = Some(Round { target, visited: 0, of, behind: 0, pending: Vec::new() });
        }
        let Some(round) = &mut lurker.round else { return false };
        let mut left = work;
        while left > 0 {
            if round.pending.is_empty() {
                // Asked before the round is known to be over: what was under way then and is stored now has been visited,
                // or holds its bans back.
                let under_way = self.sent().oldest();
                let Some(objects) = wheel.next_of_round(VISIT_BATCH) else {
                    let (target, behind) = (round.target, round.behind);
                    // What is still being loaded is as old as the oldest of them.
                    if !self.since().is_loading() {
                        self.bans().complete(target, target.wrapping_sub(behind), under_way);
                    }
                    lurker.round = None;
                    return self.bans().waiting(under_way).0 && !self.since().is_loading();
                };
                round.pending = objects;
            }
            let Some(object) = round.pending.pop() else { continue };
            round.visited += 1;
            left -= 1;
            if object.ban_stamp() != self.bans().newest() && object.is_stored() {
                let (verdict, tests) = self.bans().check(&object, None);
                left = left.saturating_sub(tests);
                if verdict == Verdict::Banned {
                    self.drop_banned(&object);
                    continue;
                }
            }
            let behind = round.target.wrapping_sub(object.ban_stamp());
            if behind < 1 << 31 {
                round.behind = round.behind.max(behind);
            }
        }
        true
    }

    /// The part of the present round that is done.
    pub(crate) fn lurker_round(&self) -> Option<f64> {
        let lurker = locked(self.upkeep());
        #[expect(clippy::cast_precision_loss, reason = "a share for people")]
        let share = |r: &Round| (r.visited as f64 / r.of.max(1) as f64).min(1.0);
        lurker.round.as_ref().map(share)
    }
}
