//! The policies of one configuration: the main one, those that it can go on with by name, those of hosts. They are loaded
//! together and replaced together, so that no request meets an old one by the side of a new one.
//!
//! ```text
//! request ─▶ host's policy, or main ─▶ recv ─▶ policy("name") ─▶ recv of that one, with the request as it came
//! ```

use crate::library::throttle::Throttle;
use crate::policy::Policy;
use copal_semantics::host_without_port;
use std::collections::BTreeMap;
use std::sync::Arc;

/// All policies of a configuration.
#[derive(Debug)]
pub struct Policies {
    main: Arc<Policy>,
    named: BTreeMap<String, Arc<Policy>>,
    hosts: BTreeMap<String, Arc<Policy>>,
}

impl Policies {
    /// One policy for everything.
    #[must_use]
    pub fn of_one(main: Arc<Policy>) -> Arc<Policies> {
        Policies::new(main, BTreeMap::new(), BTreeMap::new())
    }

    /// With others by name, and for hosts, which are in lower case and have no port.
    #[must_use]
    pub fn new(
        main: Arc<Policy>,
        named: BTreeMap<String, Arc<Policy>>,
        hosts: BTreeMap<String, Arc<Policy>>,
    ) -> Arc<Policies> {
        Arc::new(Policies { main, named, hosts })
    }

    /// The one that requests begin with where their host has none of its own.
    #[must_use]
    pub fn main(&self) -> &Arc<Policy> {
        &self.main
    }

    /// What `policy("name")` goes on with.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&Arc<Policy>> {
        self.named.get(name)
    }

    /// Can a request change its policy?
    #[must_use]
    pub fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// Has any host a policy of its own?
    #[must_use]
    pub fn has_hosts(&self) -> bool {
        !self.hosts.is_empty()
    }

    /// The policy that a request with this Host begins with.
    #[must_use]
    pub fn for_host(&self, host: Option<&[u8]>) -> &Arc<Policy> {
        let host = host.and_then(|host| std::str::from_utf8(host).ok()).map(host_without_port);
        let found = host.and_then(|host| match host.bytes().any(|b| b.is_ascii_uppercase()) {
            true => self.hosts.get(&host.to_ascii_lowercase()),
            false => self.hosts.get(host),
        });
        found.unwrap_or(&self.main)
    }

    /// Each of them once, the main one first.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let others = self.named.values().chain(self.hosts.values());
        let mut seen = vec![self.main.version()];
        std::iter::once(&self.main).chain(others.filter(move |policy| {
            let new = !seen.contains(&policy.version());
            seen.push(policy.version());
            new
        }))
    }

    /// What `throttle::` has counted, in all of them, to be handed on to the next ones.
    #[must_use]
    pub fn throttle(&self) -> &Arc<Throttle> {
        // The built-in policy counts nothing; where it is the main one, another has the counts that are shared.
        let counting = self.all().find(|policy| policy.version() != 0);
        counting.unwrap_or(&self.main).throttle()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    #[test]
    fn hosts_are_found_whatever_their_case_and_port() {
        let one = |name: &str| Policy::compile(name, "fn recv(req) { pass() }", Arc::new(Environment::default()));
        let (main, shop, v6) = (one("main").expect("valid"), one("shop").expect("valid"), one("v6").expect("valid"));
        let hosts = [("shop.example".to_owned(), shop), ("[::1]".to_owned(), v6)].into();
        let all = Policies::new(main, BTreeMap::new(), hosts);
        for (host, wanted) in [
            ("shop.example", "shop"),
            ("Shop.Example:8080", "shop"),
            ("shop.example.", "shop"),
            ("www.shop.example", "main"),
            ("[::1]:80", "v6"),
            ("", "main"),
        ] {
            assert_eq!(all.for_host(Some(host.as_bytes())).name(), wanted, "{host}");
        }
        assert_eq!(all.for_host(None).name(), "main");
        assert_eq!(all.all().count(), 3);
    }
}
