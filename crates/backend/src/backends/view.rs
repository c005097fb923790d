//! One pick: how every origin and director fares at its time, and whom the rules choose by that.

use super::{Backends, Target};
use crate::ask::Ask;
use crate::director::{Choice, Field};
use tokio::time::Instant;

/// How everybody fares at the time of one pick.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) all: &'a Backends,
    pub(super) now: Instant,
    /// What is asked for, where somebody may have failed it.
    pub(super) object: Option<u64>,
    /// Whom the request was sent to before.
    pub(super) tried: &'a [usize],
    /// The first round.
    pub(super) cautious: bool,
}

impl View<'_> {
    /// The origin, and the cookie that binds the visitor to it.
    pub(super) fn choose(&self, target: Target, ask: &Ask<'_>) -> Option<(usize, Option<String>)> {
        let d = match target {
            // Who is called by name is not left out for how others would do.
            Target::Origin(i) => {
                let can = self.all.origins[i].is_healthy() && !self.tried.contains(&i);
                return can.then_some((i, None));
            }
            Target::Director(d) => &self.all.directors[d],
        };
        if let Some(bound) = d.session.as_ref().and_then(|session| session.origin(ask)).filter(|o| self.keeps(*o)) {
            return Some((bound, None));
        }
        let Choice::Member(member) = d.rule.choose(&Members { view: self, targets: &d.members }, ask) else {
            return None;
        };
        let (origin, inner) = self.choose(d.members[member], ask)?;
        let own = d.session.as_ref().and_then(|session| session.set_cookie(origin));
        Some((origin, own.or(inner)))
    }

    /// Does a visitor that is bound to the origin stay there?
    fn keeps(&self, index: usize) -> bool {
        let origin = &self.all.origins[index];
        !self.tried.contains(&index)
            && origin.health.serves_the_bound()
            && !(self.cautious && origin.is_ejected(self.now))
    }

    fn share(&self, target: Target) -> u64 {
        match target {
            Target::Origin(i) if self.tried.contains(&i) => 0,
            Target::Origin(i) => {
                let origin = &self.all.origins[i];
                let avoids = |object| origin.saint.avoids(object, origin.since_born(self.now));
                let avoided = || self.object.is_some_and(avoids);
                let left_out = self.cautious && (origin.is_ejected(self.now) || origin.is_full() || avoided());
                if left_out { 0 } else { origin.share(self.now) }
            }
            Target::Director(i) => {
                self.all.directors[i].members.iter().map(|member| self.share(*member)).max().unwrap_or(0)
            }
        }
    }

    fn load(&self, target: Target) -> u64 {
        match target {
            Target::Origin(i) => self.all.origins[i].load(self.now),
            Target::Director(i) => {
                self.all.directors[i].reach.iter().map(|&o| self.all.origins[o].load(self.now)).sum()
            }
        }
    }

    /// Nothing where it is to be found out; that of a director is its best one's.
    fn latency_us(&self, target: Target) -> f64 {
        match target {
            Target::Origin(i) if self.all.origins[i].is_to_be_tried(self.now) => 0.0,
            Target::Origin(i) => self.all.origins[i].latency_us(),
            Target::Director(i) => {
                let reach = self.all.directors[i].reach.iter();
                reach.map(|&o| self.all.origins[o].latency_us()).fold(f64::MAX, f64::min)
            }
        }
    }
}

/// The members of one director, as its rule sees them.
struct Members<'a> {
    view: &'a View<'a>,
    targets: &'a [Target],
}

impl Field for Members<'_> {
    fn share(&self, member: usize) -> u64 {
        self.view.share(self.targets[member])
    }
    fn load(&self, member: usize) -> u64 {
        self.view.load(self.targets[member])
    }
    fn latency_us(&self, member: usize) -> f64 {
        self.view.latency_us(self.targets[member])
    }
}
