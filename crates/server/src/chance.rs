//! Where chance comes from: one seam, as for time. Policies, directors, probes, jitter and shadows draw from sources of their own,
//! so that what one of them draws shifts nothing for another.

use copal_policy::{Environment, Random, SeededRandom};
use std::sync::Arc;

/// The sources of one proxy. By default the operating system seeds them; where policy cases run, they do.
#[derive(Clone)]
pub struct Chance {
    pub(crate) policies: Arc<dyn Random>,
    pub(crate) lifetimes: Arc<dyn Random>,
    pub(crate) shadows: Arc<dyn Random>,
    pub(crate) backends: Arc<copal_backend::Chance>,
}

impl Chance {
    /// The same seed gives the same numbers.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Chance {
            policies: Arc::new(SeededRandom::new(seed)),
            // Of other seeds, or all of them would draw the same.
            lifetimes: Arc::new(SeededRandom::new(seed.wrapping_add(1))),
            shadows: Arc::new(SeededRandom::new(seed.wrapping_add(2))),
            backends: Arc::new(copal_backend::Chance::seeded(seed.wrapping_add(3))),
        }
    }
}

impl Default for Chance {
    fn default() -> Self {
        let of_the_system = || Environment::default().random;
        Chance {
            policies: of_the_system(),
            lifetimes: of_the_system(),
            shadows: of_the_system(),
            backends: Arc::new(copal_backend::Chance::of_the_system()),
        }
    }
}
