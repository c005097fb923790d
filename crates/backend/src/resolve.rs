//! The addresses of one origin: from memory, renewed by TTL beside the requests, the last good ones kept.
//!
//! ```text
//! nothing ──answer──▶ known ──TTL──▶ due: served on, one task renews ──▶ known anew
//!    │                                                └──empty, failed──▶ known as before, tried again 1, 2, 4 … 30 s later
//!    └──failed──▶ the fault is remembered for a second, so that a storm of misses asks once, not each
//! ```
//!
//! Of many addresses each new pick begins at another one: in turn, or as priority and weight of a service say (RFC 2782).
//! One that has not connected is tried last for ten seconds (`AVOID`). Literals and sockets cost nothing of all this.

use crate::address::Address;
use crate::connect::interleave;
use crate::dice::Dice;
use crate::names::{self, Found, Question, ResolveOptions};
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a first failure is remembered, and the first wait before a renewal is tried again: long enough to calm a storm,
/// short enough to go unnoticed when names come back.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// The longest wait between two tries of a renewal.
const RETRY_LAST: Duration = Duration::from_secs(30);
/// How long an address that has not connected is tried after the others.
const AVOID: Duration = Duration::from_secs(10);

/// One address to connect to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    Inet(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Inet(a) => write!(f, "{a}"),
            Endpoint::Unix(p) => write!(f, "unix:{}", p.display()),
        }
    }
}

/// Why there is no address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unresolved {
    Timeout,
    Failed(String),
}

impl std::fmt::Display for Unresolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Unresolved::Timeout => "no answer from the resolver",
            Unresolved::Failed(why) => why,
        })
    }
}

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NameRow {
    /// The addresses in use, with their ports.
    pub addresses: Vec<String>,
    /// How often they have changed since the first answer.
    pub changes: u64,
    /// Questions that got no address.
    pub failures: u64,
    /// Why the last question got none; the addresses are those of the answer before it.
    pub error: Option<String>,
}

#[derive(Debug)]
enum State {
    Unknown,
    /// One address: handed out as it is.
    One(Arc<[Endpoint]>, Found, Instant),
    /// Each pick makes an order of them.
    Many(Vec<Found>, Instant),
    Failed(Unresolved, Instant),
}

#[derive(Debug)]
struct Inner {
    state: State,
    row: NameRow,
    retry: Duration,
    avoided: Vec<(SocketAddr, Instant)>,
}

/// The addresses of one origin.
#[derive(Debug)]
pub(crate) struct Resolver(Kind);

#[derive(Debug)]
enum Kind {
    /// A literal or a path: nothing to look up.
    Fixed(Arc<[Endpoint]>),
    Name(Box<Name>),
}

#[derive(Debug)]
struct Name {
    origin: String,
    question: Question,
    options: ResolveOptions,
    inner: Mutex<Inner>,
    renewing: AtomicBool,
    turn: AtomicU64,
    dice: Dice,
}

impl Resolver {
    pub(crate) fn new(origin: &str, address: &Address, options: &ResolveOptions, dice: Dice) -> Arc<Self> {
        let fixed = |endpoint| Arc::new(Resolver(Kind::Fixed([endpoint].into())));
        let question = match address {
            Address::Unix(path) => return fixed(Endpoint::Unix(path.clone())),
            Address::Srv(name) => Question::Service(name.clone()),
            Address::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(ip) => return fixed(Endpoint::Inet(SocketAddr::new(ip, *port))),
                Err(_) => Question::Host(host.clone(), *port),
            },
        };
        let inner = Inner { state: State::Unknown, row: NameRow::default(), retry: RETRY_FIRST, avoided: Vec::new() };
        Arc::new(Resolver(Kind::Name(Box::new(Name {
            origin: origin.to_owned(),
            question,
            options: options.clone(),
            inner: Mutex::new(inner),
            renewing: AtomicBool::new(false),
            turn: AtomicU64::new(0),
            dice,
        }))))
    }

    /// What is known of the name; `None` when there is none.
    pub(crate) fn row(&self) -> Option<NameRow> {
        match &self.0 {
            Kind::Fixed(_) => None,
            Kind::Name(name) => Some(name.inner().row.clone()),
        }
    }

    /// The addresses in the order in which they should be tried, from memory where they are known.
    pub(crate) async fn endpoints(self: &Arc<Self>, within: Duration) -> Result<Arc<[Endpoint]>, Unresolved> {
        let name = match &self.0 {
            Kind::Fixed(endpoints) => return Ok(endpoints.clone()),
            Kind::Name(name) => name,
        };
        let now = Instant::now();
        let (endpoints, due) = match &mut *name.inner() {
            Inner { state: State::One(endpoints, _, due), .. } => (endpoints.clone(), *due),
            Inner { state: State::Many(found, due), avoided, .. } => (name.order(found, avoided, now), *due),
            Inner { state: State::Failed(why, at), .. } if now.duration_since(*at) < RETRY_FIRST => {
                return Err(why.clone());
            }
            Inner { state: State::Unknown | State::Failed(..), .. } => (Arc::from([]), now),
        };
        if endpoints.is_empty() {
            return name.look_up(within).await;
        }
        if due <= now && !name.renewing.swap(true, Ordering::AcqRel) {
            let this = Arc::clone(self);
            tokio::spawn(async move { this.renew().await });
        }
        Ok(endpoints)
    }

    /// Asks now, whatever is known, and waits for the answer.
    pub(crate) async fn look_up(&self) -> Result<(), Unresolved> {
        match &self.0 {
            Kind::Fixed(_) => Ok(()),
            Kind::Name(name) => name.look_up(name.patience()).await.map(drop),
        }
    }

    async fn renew(&self) {
        let Kind::Name(name) = &self.0 else { return };
        // What was known stays when it fails.
        let _kept = name.look_up(name.patience()).await;
        name.renewing.store(false, Ordering::Release);
    }

    /// Keeps the name fresh without requests, for ever; at once over when there is no name.
    pub(crate) async fn keep_fresh(&self) {
        let Kind::Name(name) = &self.0 else { return };
        loop {
            let due = match &name.inner().state {
                State::Unknown => Instant::now(),
                State::One(_, _, due) | State::Many(_, due) => *due,
                State::Failed(_, at) => *at + RETRY_FIRST,
            };
            tokio::time::sleep_until(due).await;
            if !name.renewing.swap(true, Ordering::AcqRel) {
                self.renew().await;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Those have not connected while others were tried.
    pub(crate) fn lost(&self, endpoints: &[Endpoint]) {
        let Kind::Name(name) = &self.0 else { return };
        let now = Instant::now();
        let mut inner = name.inner();
        inner.avoided.retain(|(_, until)| *until > now);
        for endpoint in endpoints {
            if let Endpoint::Inet(addr) = endpoint
                && !inner.avoided.iter().any(|(avoided, _)| avoided == addr)
            {
                inner.avoided.push((*addr, now + AVOID));
            }
        }
    }
}

impl Name {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Longer than two questions of both families take, one after the other, for a service and one of its hosts.
    fn patience(&self) -> Duration {
        self.options.timeout * 8
    }

    fn order(&self, found: &[Found], avoided: &[(SocketAddr, Instant)], now: Instant) -> Arc<[Endpoint]> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut order = match self.question {
            Question::Host(..) => in_turn(found, turn),
            Question::Service(_) => by_weight(found, &self.dice),
        };
        if avoided.iter().any(|(_, until)| *until > now) {
            order.sort_by_key(|addr| avoided.iter().any(|(avoided, until)| avoided == addr && *until > now));
        }
        order.into_iter().map(Endpoint::Inet).collect()
    }

    async fn look_up(&self, within: Duration) -> Result<Arc<[Endpoint]>, Unresolved> {
        let answer = match tokio::time::timeout(within, names::ask(&self.question, &self.options)).await {
            Err(_) => Err(Unresolved::Timeout),
            Ok(answer) => answer.map_err(Unresolved::Failed),
        };
        let now = Instant::now();
        let mut inner = self.inner();
        match answer {
            Ok((found, ttl)) => {
                self.take_in(&mut inner, &found, now + ttl);
                let order = self.order(&found, &inner.avoided, now);
                Ok(order)
            }
            Err(why) => {
                self.keep(&mut inner, &why, now);
                Err(why)
            }
        }
    }

    fn take_in(&self, inner: &mut Inner, found: &[Found], due: Instant) {
        let before = match &inner.state {
            State::One(_, one, _) => Some(vec![*one]),
            State::Many(many, _) => Some(many.clone()),
            State::Unknown | State::Failed(..) => None,
        };
        let addresses: Vec<String> = found.iter().map(|f| f.addr.to_string()).collect();
        if before.as_ref().is_some_and(|before| before != found) {
            inner.row.changes += 1;
            let (was, is) = (inner.row.addresses.join(" "), addresses.join(" "));
            tracing::info!(backend = self.origin, was, is, "addresses of backend have changed");
        } else if before.is_none() {
            tracing::info!(backend = self.origin, is = addresses.join(" "), "addresses of backend are known");
        }
        inner.row.addresses = addresses;
        inner.row.error = None;
        inner.retry = RETRY_FIRST;
        inner.state = match found {
            [one] => State::One([Endpoint::Inet(one.addr)].into(), *one, due),
            many => State::Many(many.to_vec(), due),
        };
    }

    /// The last good answer outlives a resolver that fails, and one that says that there is nothing.
    fn keep(&self, inner: &mut Inner, why: &Unresolved, now: Instant) {
        inner.row.failures += 1;
        let known = !inner.row.addresses.is_empty();
        if inner.row.error.is_none() {
            let kept = if known { "the last known addresses stay in use" } else { "there are none yet" };
            tracing::warn!(backend = self.origin, %why, "backend's name does not resolve; {kept}");
        }
        inner.row.error = Some(why.to_string());
        let again = now + inner.retry;
        match &mut inner.state {
            State::One(_, _, due) | State::Many(_, due) => {
                *due = again;
                inner.retry = (inner.retry * 2).min(RETRY_LAST);
            }
            state @ (State::Unknown | State::Failed(..)) => *state = State::Failed(why.clone(), now),
        }
    }
}

/// Begins with another one each turn, both families in turns (RFC 8305 §4).
fn in_turn(found: &[Found], turn: u64) -> Vec<SocketAddr> {
    let (mut v6, mut v4): (Vec<_>, Vec<_>) = found.iter().map(|f| f.addr).partition(SocketAddr::is_ipv6);
    for family in [&mut v6, &mut v4] {
        if !family.is_empty() {
            let by = usize::try_from(turn % family.len() as u64).unwrap_or(0);
            family.rotate_left(by);
        }
    }
    // Machines that have no IPv6 at all say so at once, at no cost to the race.
    v6.extend(v4);
    interleave(&v6)
}

/// RFC 2782: the lowest priority first; within one, chosen by weight again and again.
fn by_weight(found: &[Found], dice: &Dice) -> Vec<SocketAddr> {
    let mut left: Vec<Found> = found.to_vec();
    let mut order = Vec::with_capacity(left.len());
    while let Some(priority) = left.iter().map(|f| f.priority).min() {
        // Weights of 0 get a small chance, as the RFC wants.
        let weight = |f: &Found| if f.priority == priority { u64::from(f.weight) * 1000 + 1 } else { 0 };
        let sum: u64 = left.iter().map(weight).sum();
        let mut at = dice.below(sum);
        let chosen = left.iter().position(|f| match at.checked_sub(weight(f)) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        order.push(left.remove(chosen.unwrap_or(0)).addr);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn resolver(address: &str) -> Arc<Resolver> {
        Resolver::new("a", &address.parse().expect("valid"), &ResolveOptions::default(), Dice::new(1))
    }

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, n], 80))
    }

    fn found(n: u8, priority: u16, weight: u16) -> Found {
        Found { priority, weight, addr: addr(n) }
    }

    #[tokio::test]
    async fn literals_and_paths_need_no_lookup() {
        let want = Endpoint::Inet("[::1]:80".parse().expect("valid"));
        assert_eq!(resolver("[::1]:80").endpoints(Duration::ZERO).await.as_deref(), Ok(&[want][..]));
        let want = Endpoint::Unix("/a".into());
        assert_eq!(resolver("unix:/a").endpoints(Duration::ZERO).await.as_deref(), Ok(&[want][..]));
        assert_eq!(resolver("unix:/a").row(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_remembered_and_a_known_answer_outlives_it() {
        let r = resolver("app.example:80");
        let Kind::Name(name) = &r.0 else { panic!("a name") };
        let why = Unresolved::Failed("no such name".to_owned());
        name.keep(&mut name.inner(), &why, Instant::now());
        assert_eq!(r.endpoints(Duration::ZERO).await, Err(why.clone()), "from memory: no time was given");
        name.take_in(&mut name.inner(), &[found(1, 0, 1)], Instant::now() + 5 * SECOND);
        let known = r.endpoints(Duration::ZERO).await.expect("known");
        assert_eq!(*known, [Endpoint::Inet(addr(1))]);
        // Failing again and again: what is known stays, and it is asked less and less often.
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            name.keep(&mut name.inner(), &why, Instant::now());
            let State::One(_, _, due) = name.inner().state else { panic!("known") };
            assert_eq!(due - Instant::now(), wait * SECOND);
            assert_eq!(r.endpoints(Duration::ZERO).await.as_ref(), Ok(&known));
        }
        let row = r.row().expect("a name");
        assert_eq!((row.failures, row.changes, row.error.as_deref()), (8, 0, Some("no such name")));
        name.take_in(&mut name.inner(), &[found(2, 0, 1)], Instant::now() + 5 * SECOND);
        let row = r.row().expect("a name");
        assert_eq!((row.changes, row.error, row.addresses), (1, None, vec!["127.0.0.2:80".to_owned()]));
    }

    #[tokio::test(start_paused = true)]
    async fn many_addresses_take_turns_and_one_that_failed_comes_last_for_a_while() {
        let r = resolver("app.example:80");
        let Kind::Name(name) = &r.0 else { panic!("a name") };
        name.take_in(&mut name.inner(), &[1, 2, 3].map(|n| found(n, 0, 1)), Instant::now() + 60 * SECOND);
        let mut firsts = Vec::new();
        for _ in 0..6 {
            firsts.push(r.endpoints(Duration::ZERO).await.expect("known")[0].to_string());
        }
        firsts.sort_unstable();
        assert_eq!(firsts, [1, 1, 2, 2, 3, 3].map(|n| addr(n).to_string()));
        r.lost(&[Endpoint::Inet(addr(2))]);
        for _ in 0..6 {
            assert_eq!(r.endpoints(Duration::ZERO).await.expect("known")[2], Endpoint::Inet(addr(2)));
        }
        tokio::time::advance(AVOID).await;
        let mut firsts = Vec::new();
        for _ in 0..3 {
            firsts.push(r.endpoints(Duration::ZERO).await.expect("known")[0].clone());
        }
        assert!(firsts.contains(&Endpoint::Inet(addr(2))));
    }

    #[test]
    fn services_are_used_by_priority_and_weight() {
        let dice = Dice::new(1);
        let all = [found(1, 10, 3), found(2, 10, 1), found(3, 20, 9), found(4, 10, 0)];
        let mut firsts = [0u32; 5];
        for _ in 0..8000 {
            let order = by_weight(&all, &dice);
            assert_eq!((order.len(), order[3]), (4, addr(3)), "the lowest priority comes first");
            let SocketAddr::V4(first) = order[0] else { panic!("IPv4") };
            firsts[usize::from(first.ip().octets()[3])] += 1;
        }
        assert!((5700..6300).contains(&firsts[1]) && (1700..2300).contains(&firsts[2]), "{firsts:?}");
        assert!(firsts[4] < 30, "{firsts:?}");
    }

    #[test]
    fn both_families_are_tried_in_turns() {
        let v6 = |n: u16| Found { priority: 0, weight: 1, addr: SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, n], 80)) };
        let order = in_turn(&[found(1, 0, 1), found(2, 0, 1), v6(1), v6(2)], 1);
        assert_eq!(order, [v6(2).addr, addr(2), v6(1).addr, addr(1)]);
    }
}
