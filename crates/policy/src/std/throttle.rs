//! `throttle::`: how often something may happen, counted across all threads.
//!
//! The generic cell rate algorithm (ITU-T I.371): one number per key, the time at which the key will have paid for what
//! it took. It takes the same decisions as a token bucket that fills continuously, and needs no timer. Keys are kept as
//! 128 bits of a keyed hash, so a long key costs no more than a short one and nobody can choose two that collide.
//!
//! Invariant: a shard holds at most two generations of `keys / SHARDS / 2` entries. When the young one is full it becomes
//! the old one, and what was only in the old one is forgotten: such keys start with a full bucket.

use crate::current::{self, Res};
use crate::environment::Environment;
use crate::fault::HostError;
use crate::library::ModuleFunction;
use crate::library::time::{parse_duration, shown};
use crate::notes::{self, Did};
use copal_semantics::{Span, Time};
use rhai::{Engine, Module, NativeCallContext};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks that keys are spread over. Each is held for a look-up in a map; 64 keep some dozens of threads apart.
const SHARDS: usize = 64;

type Key = (u64, u64);

#[derive(Default)]
struct Shard {
    young: HashMap<Key, i64>,
    old: HashMap<Key, i64>,
}

/// The state of all throttled keys: shared by all threads and by the policies of a process.
pub struct Throttle {
    shards: Vec<Mutex<Shard>>,
    seeds: [RandomState; 2],
    /// Entries of one generation of one shard.
    generation: usize,
    forgotten: AtomicU64,
}

impl fmt::Debug for Throttle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Throttle").field("forgotten", &self.forgotten()).finish_non_exhaustive()
    }
}

/// A rate: so many in so long, so many of them at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rate {
    /// Between two, when they come evenly; microseconds.
    interval: i64,
    burst: i64,
    /// How long everything is refused after one was; microseconds, zero for no longer than the rate asks.
    block: i64,
}

impl Rate {
    /// The same, with everything refused for that long after one was.
    pub(crate) fn blocking(self, block: Span) -> Self {
        Rate { block: block.as_micros().max(0), ..self }
    }
}

/// What the state of a key means at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// How many more could come now.
    pub(crate) remaining: i64,
    /// How long until one can come; zero when one can.
    pub(crate) wait: Span,
}

impl Throttle {
    /// Remembers at most about that many keys, 40 to 80 bytes each.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "keys of hashes: they say where a name is kept, never what comes out"
    )]
    pub fn new(keys: usize) -> Self {
        Throttle {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            seeds: [RandomState::new(), RandomState::new()],
            generation: (keys / SHARDS / 2).max(1),
            forgotten: AtomicU64::new(0),
        }
    }

    /// How many keys were forgotten to stay within the limit.
    pub fn forgotten(&self) -> u64 {
        self.forgotten.load(Ordering::Relaxed)
    }

    /// What `key` may do at `now`; with `take`, one is taken when it may.
    pub(crate) fn ask(&self, key: &str, rate: Rate, now: Time, take: bool) -> Verdict {
        let id = self.id(key, rate);
        let mut shard = self.shard(id);
        let now = now.as_micros();
        let paid = shard.young.get(&id).or_else(|| shard.old.get(&id)).copied().unwrap_or(now).max(now);
        let debt = paid - now;
        let room = rate.interval.saturating_mul(rate.burst);
        let remaining = (room - debt).div_euclid(rate.interval).max(0);
        let wait = if remaining > 0 { 0 } else { debt + rate.interval - room };
        if take {
            // Who keeps knocking is not forgotten.
            self.put(&mut shard, id, if remaining > 0 { paid + rate.interval } else { paid });
        }
        if rate.block > 0 {
            let end = shard.young.get(&block(id)).or_else(|| shard.old.get(&block(id))).copied().unwrap_or(now);
            let begins = end <= now && remaining == 0 && take;
            let end = if begins { now + rate.block } else { end };
            if end > now {
                if take {
                    self.put(&mut shard, block(id), end);
                }
                return Verdict { remaining: 0, wait: Span::from_micros(wait.max(end - now)) };
            }
        }
        Verdict { remaining, wait: Span::from_micros(wait) }
    }

    /// Takes one back (`all`: everything) of what has been counted of `key`.
    fn take_back(&self, key: &str, rate: Rate, now: Time, all: bool) {
        let id = self.id(key, rate);
        let mut shard = self.shard(id);
        let now = now.as_micros();
        if let Some(paid) = shard.young.get(&id).or_else(|| shard.old.get(&id)).copied() {
            let paid = if all { now } else { (paid - rate.interval).max(now) };
            self.put(&mut shard, id, paid);
        }
        if all && rate.block > 0 {
            self.put(&mut shard, block(id), now);
        }
    }

    /// The rate belongs to the key: two rates for one address are two accounts.
    fn id(&self, key: &str, rate: Rate) -> Key {
        let id = [&self.seeds[0], &self.seeds[1]].map(|s| s.hash_one((key, rate.interval, rate.burst, rate.block)));
        (id[0], id[1])
    }

    fn shard(&self, id: Key) -> MutexGuard<'_, Shard> {
        let shard = &self.shards[usize::try_from(id.0 % SHARDS as u64).unwrap_or(0)];
        // A thread that panicked here left numbers, and any number is a valid state.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, shard: &mut Shard, id: Key, paid: i64) {
        if shard.young.len() >= self.generation && !shard.young.contains_key(&id) {
            let gone = std::mem::replace(&mut shard.old, std::mem::take(&mut shard.young));
            let lost = gone.keys().filter(|k| !shard.old.contains_key(k)).count();
            self.forgotten.fetch_add(u64::try_from(lost).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        shard.young.insert(id, paid);
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let count = |s: &Mutex<Shard>| s.lock().map_or(0, |s| s.young.len() + s.old.len());
        self.shards.iter().map(count).sum()
    }
}

/// The account of the block of a key: when it ends. In the same shard.
fn block(id: Key) -> Key {
    (id.0, !id.1)
}

/// Reads "10/s", "100/m", "5/10s": how many, and in how long. The interval between two in microseconds.
pub(crate) fn parse_rate(text: &str) -> Option<i64> {
    let (count, period) = text.split_once('/')?;
    let count: i64 = count.trim().parse().ok().filter(|n| *n > 0)?;
    let period = period.trim();
    let period = if period.starts_with(|c: char| c.is_ascii_digit()) {
        parse_duration(period)?
    } else {
        parse_duration(&format!("1{period}"))?
    };
    Some(period.as_micros() / count).filter(|interval| *interval > 0)
}

/// What to say of text that is no rate.
pub(crate) fn not_a_rate(text: &str) -> String {
    format!("\"{}\" is not a rate: write \"10/s\", \"100/m\", \"1000/h\" or \"5/10s\"", shown(text))
}

pub(crate) fn rate(text: &str, burst: i64) -> Result<Rate, HostError> {
    let interval = parse_rate(text).ok_or_else(|| HostError::value(not_a_rate(text)))?;
    if !(1..=1_000_000).contains(&burst) {
        return Err(HostError::value("a burst is a number from 1 to 1000000"));
    }
    Ok(Rate { interval, burst, block: 0 })
}

/// Gives scripts the module. Each function takes a block as well.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    let mut m = Module::new();
    let throttle = Arc::clone(&env.throttle);
    let allowed = move |ctx: &NativeCallContext<'_>, key: &str, rate: Rate| -> Res<bool> {
        let verdict = current::read(|s| throttle.ask(key, rate, s.now, true))?;
        let left = (verdict.remaining - 1).max(0);
        notes::tell(ctx, Did::Wrote, || (format!("throttle.{key}"), Some(format!("{left} left"))));
        Ok(verdict.remaining > 0)
    };
    add(&mut m, "allowed", allowed);
    let throttle = Arc::clone(&env.throttle);
    add(&mut m, "remaining", move |_, key, rate| current::read(|s| throttle.ask(key, rate, s.now, false).remaining));
    let throttle = Arc::clone(&env.throttle);
    add(&mut m, "wait", move |_, key, rate| current::read(|s| throttle.ask(key, rate, s.now, false).wait));
    for (name, all) in [("give_back", false), ("forget", true)] {
        let throttle = Arc::clone(&env.throttle);
        add(&mut m, name, move |ctx, key, rate| {
            let now = current::read(|s| s.now)?;
            throttle.take_back(key, rate, now, all);
            let left = || throttle.ask(key, rate, now, false).remaining;
            notes::tell(ctx, Did::Wrote, || (format!("throttle.{key}"), Some(format!("{} left", left()))));
            Ok(())
        });
    }
    e.register_static_module("throttle", m.into());
}

fn add<R: rhai::Variant + Clone>(
    m: &mut Module,
    name: &'static str,
    f: impl Fn(&NativeCallContext<'_>, &str, Rate) -> Res<R> + Clone + 'static,
) {
    let g = f.clone();
    ModuleFunction::new(name)
        .with_volatility(true)
        .set_into_module(m, move |ctx: NativeCallContext, key: &str, per: &str, burst: i64| {
            f(&ctx, key, rate(per, burst)?)
        });
    ModuleFunction::new(name).with_volatility(true).set_into_module(
        m,
        move |ctx: NativeCallContext, key: &str, per: &str, burst: i64, block: Span| {
            g(&ctx, key, rate(per, burst)?.blocking(block))
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Time {
        Time::from_micros(1_700_000_000_000_000 + ms * 1_000)
    }

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let (t, r) = (Throttle::new(1_000), rate("10/s", 3).expect("rate"));
        let allowed = |ms| t.ask("a", r, at(ms), true).remaining > 0;
        assert_eq!(
            [0, 0, 0, 0, 99, 100, 100, 199, 200].map(allowed),
            [true, true, true, false, false, true, false, false, true]
        );
        // Idle for long: the burst again, and not more.
        assert_eq!([9_000; 4].map(allowed), [true, true, true, false]);
        assert_eq!(t.ask("a", r, at(9_050), false), Verdict { remaining: 0, wait: Span::from_millis(50) });
        assert_eq!(t.ask("b", r, at(9_050), false), Verdict { remaining: 3, wait: Span::ZERO });
        // A clock that steps back locks nobody out for longer than the burst is worth.
        assert!(t.ask("a", r, at(8_000), true).wait <= Span::from_millis(1_300));
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_no_more() {
        let (t, r) = (Throttle::new(100), rate("1/h", 2).expect("rate"));
        let allowed = || t.ask("a", r, at(0), true).remaining > 0;
        assert_eq!([allowed(), allowed(), allowed()], [true, true, false]);
        t.take_back("a", r, at(0), false);
        assert_eq!([allowed(), allowed()], [true, false]);
        t.take_back("a", r, at(0), true);
        t.take_back("a", r, at(0), false);
        assert_eq!([allowed(), allowed(), allowed()], [true, true, false]);
        t.take_back("nobody", r, at(0), false);
    }

    #[test]
    fn who_was_refused_is_refused_for_the_time_of_the_block() {
        let (t, r) = (Throttle::new(1_000), rate("10/s", 2).expect("rate").blocking(Span::from_secs(30)));
        let ask = |ms, take| t.ask("a", r, at(ms), take);
        assert_eq!([0, 0, 0].map(|ms| ask(ms, true).remaining), [2, 1, 0]);
        assert_eq!(ask(10_000, false), Verdict { remaining: 0, wait: Span::from_secs(20) });
        // Knocking does not make it longer, and another's account is another's.
        assert_eq!([15_000, 29_999, 30_000].map(|ms| ask(ms, true).remaining > 0), [false, false, true]);
        assert!(t.ask("a", rate("10/s", 2).expect("rate"), at(0), true).remaining == 2);
        assert_eq!([40_000, 40_000, 40_000].map(|ms| ask(ms, true).remaining), [2, 1, 0]);
        assert!(ask(41_000, false).remaining == 0);
        t.take_back("a", r, at(41_000), true);
        assert!(ask(41_000, false).remaining == 2);
        // To look at an account that is used up begins no block.
        assert_eq!([50_000, 50_000].map(|ms| ask(ms, true).remaining), [2, 1]);
        assert!(ask(50_000, false).remaining == 0 && ask(50_100, true).remaining == 1);
    }

    #[test]
    fn keys_and_rates_have_accounts_of_their_own() {
        let (t, slow, fast) = (Throttle::new(100), rate("1/h", 1).expect("rate"), rate("1/m", 1).expect("rate"));
        for (key, r) in [("a", slow), ("b", slow), ("a", fast)] {
            assert!(t.ask(key, r, at(0), true).remaining > 0);
            assert!(t.ask(key, r, at(0), true).remaining == 0);
        }
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_is_not_forgotten() {
        let (t, r) = (Throttle::new(SHARDS * 8), rate("1/h", 1).expect("rate"));
        assert!(t.ask("busy", r, at(0), true).remaining > 0);
        for i in 0..10_000 {
            assert!(t.ask("busy", r, at(0), true).remaining == 0, "{i}");
            let _taken = t.ask(&format!("key {i}"), r, at(0), true);
        }
        assert!(t.len() <= SHARDS * 8, "{}", t.len());
        assert!(t.forgotten() >= 10_000 - (SHARDS as u64) * 8 && t.forgotten() < 10_001, "{}", t.forgotten());
    }

    #[test]
    fn threads_share_one_account() {
        let (t, r) = (Throttle::new(100), rate("1/h", 50).expect("rate"));
        let let_through: usize = std::thread::scope(|scope| {
            let runs: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..50).filter(|_| t.ask("a", r, at(0), true).remaining > 0).count()))
                .collect();
            runs.into_iter().map(|run| run.join().expect("no panic")).sum()
        });
        assert_eq!(let_through, 50);
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, interval) in
            [("10/s", 100_000), ("60/m", 1_000_000), ("5/10s", 2_000_000), (" 1 / h ", 3_600_000_000)]
        {
            assert_eq!(parse_rate(text), Some(interval), "{text}");
        }
        for text in ["", "10", "/s", "0/s", "-1/s", "10/parsec", "9999999999/s", "1.5/s", "10/0s"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
        assert!(rate("1/s", 0).is_err() && rate("1/s", 1_000_001).is_err());
    }
}
