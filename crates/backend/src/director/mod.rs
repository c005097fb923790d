//! Directors: a name that stands for several origins, and the rule that chooses one for each request.
//!
//! A rule is pure: it is told who the members are and which are healthy, and says which member it is.

mod round_robin;

pub use round_robin::RoundRobin;

/// The rules there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DirectorKind {
    /// Each healthy member in turn, as often as its weight says.
    RoundRobin,
}

/// What a rule has chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The member with that index.
    Member(usize),
    /// No member is healthy.
    NoneHealthy,
}

/// The state of one director's rule.
#[derive(Debug)]
pub(crate) enum Rule {
    RoundRobin(RoundRobin),
}

impl Rule {
    pub(crate) fn new(kind: DirectorKind, weights: &[u32]) -> Self {
        match kind {
            DirectorKind::RoundRobin => Rule::RoundRobin(RoundRobin::new(weights)),
        }
    }

    /// Chooses a member among those for which `healthy(index)` holds.
    pub(crate) fn choose(&self, healthy: impl Fn(usize) -> bool) -> Choice {
        match self {
            Rule::RoundRobin(rule) => rule.choose(healthy),
        }
    }
}
