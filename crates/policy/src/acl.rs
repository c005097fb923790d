//! Lists of networks, as `[acl]` of the configuration has them: `["10.0.0.0/8", "!10.0.0.66"]`.
//!
//! The most specific entry that holds an address decides, wherever it stands; an entry with "!" means "not". Between
//! two of the same length the negated one decides. (VCL sorts its entries the same way when it compiles them.)
//! An IPv4 address that came as IPv6 (`::ffff:10.0.0.1`) is looked up as IPv4.

use ipnet::IpNet;
use std::net::IpAddr;
use thiserror::Error;

/// A list of networks to allow and to except.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acl {
    /// Longest prefix first, negated first among equals: the first that holds the address decides.
    entries: Vec<(IpNet, bool)>,
}

/// Text that is not an entry of an ACL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{entry}` is neither an address nor a network: write \"10.0.0.1\", \"10.0.0.0/8\" or \"!10.0.0.66\"")]
pub struct AclError {
    /// The text.
    pub entry: String,
}

impl Acl {
    /// Reads a list of entries.
    ///
    /// # Errors
    /// On the first entry that is neither an address nor a network.
    pub fn parse<S: AsRef<str>>(entries: impl IntoIterator<Item = S>) -> Result<Acl, AclError> {
        let mut list = Vec::new();
        for entry in entries {
            let text = entry.as_ref().trim();
            let (rest, allow) = text.strip_prefix('!').map_or((text, true), |r| (r.trim_start(), false));
            let net = rest
                .parse::<IpNet>()
                .or_else(|_| rest.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| AclError { entry: text.to_owned() })?;
            list.push((net.trunc(), allow));
        }
        list.sort_by_key(|(net, allow)| (std::cmp::Reverse(net.prefix_len()), *allow));
        Ok(Acl { entries: list })
    }

    /// Is the address on the list?
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.entries.iter().find(|(net, _)| net.contains(&ip)).is_some_and(|(_, allow)| *allow)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(s: &str) -> IpAddr {
        s.parse().expect("address")
    }

    #[test]
    fn the_most_specific_entry_decides() {
        let acl =
            Acl::parse(["127.0.0.0/8", "::1", "10.0.0.0/8", "!10.0.0.66", "!10.9.0.0/16", "10.9.9.9"]).expect("acl");
        assert!(acl.contains(ip("127.3.2.1")) && acl.contains(ip("::1")) && acl.contains(ip("10.1.1.1")));
        assert!(!acl.contains(ip("10.0.0.66")) && !acl.contains(ip("10.9.0.1")) && acl.contains(ip("10.9.9.9")));
        assert!(!acl.contains(ip("192.0.2.1")) && !acl.contains(ip("::2")));
        assert!(acl.contains(ip("::ffff:10.1.1.1")));
    }

    #[test]
    fn what_is_no_network_is_refused() {
        assert_eq!(Acl::parse(["10.0.0.0/33"]), Err(AclError { entry: "10.0.0.0/33".into() }));
        assert!(Acl::parse(["localhost"]).is_err());
        assert!(Acl::parse(["10.0.0.1/8"]).expect("host bits are cut off").contains(ip("10.2.2.2")));
    }
}
