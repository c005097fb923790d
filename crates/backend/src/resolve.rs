//! Names to addresses, off the request path once they are known: a stale answer serves while one task renews it.
//!
//! ```text
//! nothing ──lookup──▶ known ──RESOLVE_FRESH──▶ stale: served, one task renews ──▶ known (or stays, when that fails)
//!    └──failed──▶ the fault is remembered for RESOLVE_RETRY_AFTER, so that a storm of misses asks once, not each
//! ```

use crate::address::Address;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an answer counts as fresh. The system's resolver tells no TTL; 10 s is HAProxy's `hold valid` default.
const RESOLVE_FRESH: Duration = Duration::from_secs(10);
/// How long a failure is remembered: long enough to calm a storm, short enough to go unnoticed when names come back.
const RESOLVE_RETRY_AFTER: Duration = Duration::from_secs(1);
/// How long a renewal in the background may take; nobody waits for it.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Most addresses of a name that are tried: each takes its share of the connect timeout.
const ADDRESSES_MAX: usize = 8;

/// One address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
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

#[derive(Debug)]
enum State {
    /// A literal or a path: nothing to look up.
    Fixed(Arc<[Endpoint]>),
    Unknown,
    Known(Arc<[Endpoint]>, Instant),
    Failed(Unresolved, Instant),
}

/// The addresses of one origin.
#[derive(Debug)]
pub(crate) struct Resolver {
    host: String,
    port: u16,
    state: Mutex<State>,
    renewing: AtomicBool,
}

impl Resolver {
    pub(crate) fn new(address: &Address) -> Arc<Self> {
        let (host, port, state) = match address {
            Address::Unix(path) => (String::new(), 0, State::Fixed([Endpoint::Unix(path.clone())].into())),
            Address::Tcp { host, port } => match host.parse::<IpAddr>() {
                Ok(ip) => (host.clone(), *port, State::Fixed([Endpoint::Inet(SocketAddr::new(ip, *port))].into())),
                Err(_) => (host.clone(), *port, State::Unknown),
            },
        };
        Arc::new(Resolver { host, port, state: Mutex::new(state), renewing: AtomicBool::new(false) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses, from memory where they are known.
    pub(crate) async fn endpoints(self: &Arc<Self>, within: Duration) -> Result<Arc<[Endpoint]>, Unresolved> {
        let now = Instant::now();
        let known = match &*self.state() {
            State::Fixed(e) => return Ok(e.clone()),
            State::Known(e, at) if now.duration_since(*at) < RESOLVE_FRESH => return Ok(e.clone()),
            State::Failed(why, at) if now.duration_since(*at) < RESOLVE_RETRY_AFTER => return Err(why.clone()),
            State::Known(e, _) => Some(e.clone()),
            State::Failed(..) | State::Unknown => None,
        };
        let Some(stale) = known else {
            return self.look_up(within).await;
        };
        if !self.renewing.swap(true, Ordering::AcqRel) {
            let this = self.clone();
            tokio::spawn(async move {
                let _kept_on_failure = this.look_up(RENEWAL_TIMEOUT).await;
                this.renewing.store(false, Ordering::Release);
            });
        }
        Ok(stale)
    }

    async fn look_up(&self, within: Duration) -> Result<Arc<[Endpoint]>, Unresolved> {
        let answer = tokio::time::timeout(within, tokio::net::lookup_host((self.host.as_str(), self.port))).await;
        let found: Result<Arc<[Endpoint]>, Unresolved> = match answer {
            Err(_) => Err(Unresolved::Timeout),
            Ok(Err(e)) => Err(Unresolved::Failed(e.to_string())),
            Ok(Ok(all)) => match all.take(ADDRESSES_MAX).map(Endpoint::Inet).collect::<Arc<[_]>>() {
                none if none.is_empty() => Err(Unresolved::Failed("no address".to_owned())),
                some => Ok(some),
            },
        };
        let now = Instant::now();
        let mut state = self.state();
        match (&found, &*state) {
            (Ok(e), _) => *state = State::Known(e.clone(), now),
            // The last good answer outlives a failing resolver.
            (Err(_), State::Known(..) | State::Fixed(_)) => {}
            (Err(why), State::Unknown | State::Failed(..)) => *state = State::Failed(why.clone(), now),
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn literals_and_paths_need_no_lookup() {
        let r = Resolver::new(&"[::1]:80".parse().expect("valid"));
        let want = Endpoint::Inet("[::1]:80".parse().expect("valid"));
        assert_eq!(r.endpoints(Duration::ZERO).await.as_deref(), Ok(&[want][..]));
        let r = Resolver::new(&"unix:/a".parse().expect("valid"));
        assert_eq!(r.endpoints(Duration::ZERO).await.as_deref(), Ok(&[Endpoint::Unix("/a".into())][..]));
    }

    #[tokio::test]
    async fn a_failed_lookup_is_remembered_and_a_known_answer_outlives_it() {
        let r = Resolver::new(&"does-not-exist.invalid:80".parse().expect("valid"));
        let first = r.endpoints(5 * SECOND).await;
        assert!(matches!(first, Err(Unresolved::Failed(_))), "{first:?}");
        assert_eq!(r.endpoints(Duration::ZERO).await, first, "from memory: no time was given");

        let known: Arc<[Endpoint]> = [Endpoint::Inet("127.0.0.1:80".parse().expect("valid"))].into();
        *r.state() = State::Known(known.clone(), Instant::now());
        assert!(r.look_up(5 * SECOND).await.is_err());
        assert_eq!(r.endpoints(Duration::ZERO).await, Ok(known));
    }
}
