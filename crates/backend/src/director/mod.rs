//! Directors: a name that stands for several backends, and the rule that chooses one for each request.
//!
//! A rule is pure: it is told who may be chosen and how they fare, what it needs to know of the request, and says which
//! member it is. Randomness is seeded and time is an argument of those who tell it.

mod fallback;
mod hash;
mod least_connections;
mod peak_ewma;
mod random;
mod round_robin;
mod session;
mod shard;
mod split;

pub(crate) use session::Session;
pub use session::SessionOptions;

use crate::ask::{Ask, By, When};
use crate::dice::Dice;
use std::time::Duration;

/// The rules there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectorKind {
    /// Each in turn, as often as its weight says.
    RoundRobin,
    /// One by chance, as likely as its weight says.
    Random,
    /// The first that can serve, in the order of the configuration.
    Fallback {
        /// It stays with the one it has come to, also when an earlier one is well again.
        sticky: bool,
    },
    /// The same one for the same key, header, cookie or client (rendezvous hashing).
    Hash {
        /// What decides.
        by: By,
    },
    /// The same by a ring, with warm-up of the next one in line (Varnish's shard director).
    Shard {
        /// What decides.
        by: By,
        /// Points on the ring for a member of the smallest weight.
        replicas: u32,
        /// Thousandths of the requests that go to the one that would take over.
        warmup_permille: u32,
    },
    /// The one with the fewest requests under way, by weight.
    LeastConnections,
    /// The better one of two by chance, by latency and requests under way.
    PeakEwma {
        /// After how long the past counts for 1/e.
        decay: Duration,
    },
    /// By shares that hold for a visitor, and by what a request carries.
    Split {
        /// What a visitor is known by.
        by: By,
    },
}

/// One member of a director as its owner declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberOptions {
    /// The name of an origin or of another director.
    pub name: String,
    /// Its share against the others; 0 only where `when` is set, then it gets nothing but that.
    pub weight: u32,
    /// A split director sends requests that have this to the member, whatever the shares.
    pub when: Option<When>,
}

impl MemberOptions {
    /// A member with that weight.
    #[must_use]
    pub fn new(name: impl Into<String>, weight: u32) -> Self {
        MemberOptions { name: name.into(), weight, when: None }
    }
}

/// What a rule has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The member with that index.
    Member(usize),
    /// No member can serve.
    NoneHealthy,
}

/// How the members fare at the time of one pick, by index.
pub(crate) trait Field {
    /// The thousandths of its weight that the member may have: 0 when it cannot be chosen, less than 1000 on its ramp.
    fn share(&self, member: usize) -> u64;
    /// Requests under way.
    fn load(&self, member: usize) -> u64;
    /// Its latency in microseconds; 0 when it should be asked so that it becomes known.
    fn latency_us(&self, member: usize) -> f64;
}

/// The state of one director's rule.
#[derive(Debug)]
pub(crate) enum Rule {
    RoundRobin(round_robin::RoundRobin),
    Random(random::Random),
    Fallback(fallback::Fallback),
    Hash(hash::Hash),
    Shard(shard::Shard),
    LeastConnections(least_connections::LeastConnections),
    PeakEwma(peak_ewma::PeakEwma),
    Split(split::Split),
}

impl Rule {
    pub(crate) fn new(kind: &DirectorKind, members: &[MemberOptions], dice: Dice) -> Self {
        let weights: Vec<u32> = members.iter().map(|m| m.weight).collect();
        let names: Vec<&str> = members.iter().map(|m| m.name.as_str()).collect();
        match kind {
            DirectorKind::RoundRobin => Rule::RoundRobin(round_robin::RoundRobin::new(&weights)),
            DirectorKind::Random => Rule::Random(random::Random::new(&weights, dice)),
            DirectorKind::Fallback { sticky } => Rule::Fallback(fallback::Fallback::new(members.len(), *sticky)),
            DirectorKind::Hash { by } => Rule::Hash(hash::Hash::new(by.clone(), &names, &weights)),
            DirectorKind::Shard { by, replicas, warmup_permille } => {
                Rule::Shard(shard::Shard::new(by.clone(), &names, &weights, *replicas, *warmup_permille, dice))
            }
            DirectorKind::LeastConnections => {
                Rule::LeastConnections(least_connections::LeastConnections::new(&weights))
            }
            DirectorKind::PeakEwma { .. } => Rule::PeakEwma(peak_ewma::PeakEwma::new(&weights, dice)),
            DirectorKind::Split { by } => Rule::Split(split::Split::new(by.clone(), members)),
        }
    }

    /// Chooses a member among those with a share.
    pub(crate) fn choose(&self, field: &impl Field, ask: &Ask<'_>) -> Choice {
        match self {
            Rule::RoundRobin(rule) => rule.choose(field),
            Rule::Random(rule) => rule.choose(field),
            Rule::Fallback(rule) => rule.choose(field),
            Rule::Hash(rule) => rule.choose(field, ask),
            Rule::Shard(rule) => rule.choose(field, ask),
            Rule::LeastConnections(rule) => rule.choose(field),
            Rule::PeakEwma(rule) => rule.choose(field),
            Rule::Split(rule) => rule.choose(field, ask),
        }
    }
}

impl DirectorKind {
    /// Does the cache key decide?
    #[must_use]
    pub fn goes_by_key(&self) -> bool {
        match self {
            DirectorKind::Hash { by } | DirectorKind::Shard { by, .. } | DirectorKind::Split { by } => *by == By::Key,
            DirectorKind::RoundRobin
            | DirectorKind::Random
            | DirectorKind::Fallback { .. }
            | DirectorKind::LeastConnections
            | DirectorKind::PeakEwma { .. } => false,
        }
    }

    /// The word that the configuration and the figures use.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            DirectorKind::RoundRobin => "round_robin",
            DirectorKind::Random => "random",
            DirectorKind::Fallback { .. } => "fallback",
            DirectorKind::Hash { .. } => "hash",
            DirectorKind::Shard { .. } => "shard",
            DirectorKind::LeastConnections => "least_connections",
            DirectorKind::PeakEwma { .. } => "peak_ewma",
            DirectorKind::Split { .. } => "split",
        }
    }
}

#[cfg(test)]
pub(crate) mod fake;
