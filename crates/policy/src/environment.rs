//! What a policy is compiled against: the names in the configuration, the limits, health and randomness from outside.

use crate::acl::Acl;
use crate::action::ActionKind;
use crate::coverage::Coverage;
use crate::library::geo::Geo;
use crate::library::throttle::Throttle;
use crate::limits::Limits;
use crate::scene::ScriptValue;
use crate::trust::Trust;
use copal_semantics::{Span, Time};
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Tells whether a backend or director can serve.
pub trait Health: Send + Sync {
    /// Is the backend or director of that name healthy? Without a name, the default one.
    fn healthy(&self, name: Option<&str>) -> bool;
}

/// Gives random numbers; tests give the same ones again.
pub trait Random: Send + Sync {
    /// 64 bits that scripts cannot foresee.
    fn next(&self) -> u64;
}

/// Tells how long a hook has been running.
pub trait Stopwatch: Send + Sync {
    /// Is there a clock at all?
    fn runs(&self) -> bool {
        true
    }
    /// Nanoseconds of a clock that never goes back. It is read often.
    fn wall(&self) -> u64;
    /// Nanoseconds that this thread has had the processor.
    fn spent(&self) -> u64;
}

/// Tells how full storages are; what scripts reach with `storage`.
pub trait Storages: Send + Sync {
    /// How full the storage of that name is.
    fn usage(&self, name: &str) -> StorageUsage;
}

/// How full a storage is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageUsage {
    /// Bytes that it holds, overhead included.
    pub used: u64,
    /// Bytes up to its size.
    pub free: u64,
    /// Is it within its size?
    pub happy: bool,
}

/// Drops what is stored; what scripts reach with `tags::…` and `ban(…)`.
pub trait Invalidate: Send + Sync {
    /// Purges what carries any of these tags, or makes it stale; how many objects there were.
    fn purge_tags(&self, tags: &[&[u8]], soft: bool, now: Time) -> u64;

    /// Purges what is stored under that key, or makes it stale `soft` from now at the latest; how many objects there were.
    fn purge_key(&self, key: &[u8], soft: Option<Span>, now: Time) -> u64;

    /// Bans what the expression is about.
    ///
    /// # Errors
    /// Why it was refused, in words for people.
    fn ban(&self, expression: &str, now: Time) -> Result<(), String>;
}

/// The world around a policy.
#[derive(Clone)]
pub struct Environment {
    /// The lists of addresses by name.
    pub acls: BTreeMap<String, Acl>,
    /// The names of the backends.
    pub backends: Vec<String>,
    /// The names of the directors.
    pub directors: Vec<String>,
    /// The names of the policies that `policy(..)` can go on with.
    pub policies: Vec<String>,
    /// The names of the storages, `main` among them.
    pub storages: Vec<String>,
    /// Takes names for known that are in none of these lists; `None` but where a policy is checked without a configuration.
    pub trust: Option<Arc<Trust>>,
    /// Actions that the host cannot carry out: a policy that uses one is refused at load.
    pub unavailable: Vec<ActionKind>,
    /// What one hook may do.
    pub limits: Limits,
    /// Which backends can serve.
    pub health: Arc<dyn Health>,
    /// Where random numbers come from.
    pub random: Arc<dyn Random>,
    /// How long hooks run; without a clock, the limit on operations alone ends them.
    pub stopwatch: Arc<dyn Stopwatch>,
    /// Runs every hook in the interpreter, also those that could run without it: for comparing the two.
    pub interpret: bool,
    /// Where lines that run are noted; `None`, and nothing is, but in tests of policies.
    pub coverage: Option<Coverage>,
    /// What `throttle::` counts; handed on to the next policy, so that a reload forgets nothing.
    pub throttle: Arc<Throttle>,
    /// Where addresses are, when a database is configured.
    pub geo: Option<Arc<Geo>>,
    /// What can be dropped.
    pub invalidate: Arc<dyn Invalidate>,
    /// Reads a ban expression, so that those written in a policy are refused at load.
    pub read_ban: fn(&str) -> Result<(), String>,
    /// What the owner has set, under the names of `param`.
    pub params: BTreeMap<&'static str, ScriptValue>,
    /// The environment variables of the process.
    pub variable: fn(&str) -> Option<String>,
    /// How full the storages are.
    pub usage: Arc<dyn Storages>,
}

impl Default for Environment {
    fn default() -> Self {
        Environment {
            acls: BTreeMap::new(),
            backends: Vec::new(),
            directors: Vec::new(),
            policies: Vec::new(),
            storages: vec!["main".to_owned()],
            trust: None,
            unavailable: Vec::new(),
            limits: Limits::default(),
            health: Arc::new(AllHealthy),
            random: Arc::new(SeededRandom::of_the_system()),
            stopwatch: Arc::new(NoClock),
            interpret: false,
            coverage: None,
            throttle: Arc::new(Throttle::new(Limits::default().throttle_keys)),
            geo: None,
            invalidate: Arc::new(NothingStored),
            read_ban: |_| Ok(()),
            params: BTreeMap::new(),
            variable: |_| None,
            usage: Arc::new(NothingStored),
        }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment")
            .field("acls", &self.acls)
            .field("backends", &self.backends)
            .field("directors", &self.directors)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Environment {
    /// Is there a backend or director of that name?
    #[must_use]
    pub fn serves(&self, name: &str) -> bool {
        self.backends.iter().chain(&self.directors).any(|n| n == name)
    }
}

/// Takes every backend for healthy.
#[derive(Debug, Clone, Copy, Default)]
pub struct AllHealthy;

impl Health for AllHealthy {
    fn healthy(&self, _name: Option<&str>) -> bool {
        true
    }
}

/// Time stands still: what a hook does never depends on the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoClock;

impl Stopwatch for NoClock {
    fn runs(&self) -> bool {
        false
    }

    fn wall(&self) -> u64 {
        0
    }

    fn spent(&self) -> u64 {
        0
    }
}

/// Has nothing that could be dropped.
#[derive(Debug, Clone, Copy, Default)]
pub struct NothingStored;

impl Storages for NothingStored {
    fn usage(&self, _name: &str) -> StorageUsage {
        StorageUsage { used: 0, free: 1 << 30, happy: true }
    }
}

impl Invalidate for NothingStored {
    fn purge_tags(&self, _tags: &[&[u8]], _soft: bool, _now: Time) -> u64 {
        0
    }

    fn purge_key(&self, _key: &[u8], _soft: Option<Span>, _now: Time) -> u64 {
        0
    }

    fn ban(&self, _expression: &str, _now: Time) -> Result<(), String> {
        Ok(())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): one atomic addition per number, the same sequence for the same seed.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// Another sequence each time.
    #[expect(clippy::disallowed_methods, reason = "this is what chance comes from where no case is run")]
    fn of_the_system() -> Self {
        // The standard library seeds its hash maps from the operating system; that seed serves here too.
        SeededRandom::new(RandomState::new().hash_one(0))
    }

    /// Starts the sequence of that seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        SeededRandom(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed).wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let (a, b) = (SeededRandom::new(7), SeededRandom::new(7));
        let first: Vec<u64> = (0..4).map(|_| a.next()).collect();
        assert_eq!(first, (0..4).map(|_| b.next()).collect::<Vec<_>>());
        assert_ne!(first[0], first[1]);
    }
}
