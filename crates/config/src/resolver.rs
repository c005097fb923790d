//! How names of backends become addresses.

use std::net::SocketAddr;
use std::time::Duration;

use crate::values::View;

/// `[resolver]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resolver {
    /// The name servers; those of the system when empty.
    pub nameservers: Vec<SocketAddr>,
    /// A name is not asked for again before that.
    pub min_ttl: Duration,
    /// A name is asked for again after that; never less than `min_ttl`.
    pub max_ttl: Duration,
    /// How long one question may take.
    pub timeout: Duration,
    /// Whether the start fails when a name has no address.
    pub must_resolve: bool,
}

impl Resolver {
    pub(crate) fn assemble(view: &View<'_>) -> Resolver {
        let nameservers = view.texts_if_set("nameservers").unwrap_or_default();
        let min_ttl = view.duration("min_ttl");
        Resolver {
            // Each was read as an address before.
            nameservers: nameservers.iter().filter_map(|text| text.parse().ok()).collect(),
            min_ttl,
            max_ttl: view.duration("max_ttl").max(min_ttl),
            timeout: view.duration("timeout"),
            must_resolve: view.boolean("must_resolve"),
        }
    }
}
