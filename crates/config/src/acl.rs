//! Access lists: networks that a client's address is compared with.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

use crate::place::Fault;

/// One line of an access list. As in Varnish the longest prefix that contains the address decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AclEntry {
    /// The network; a single address is a /32 or /128.
    pub net: IpNet,
    /// Written with `!`: addresses in it are not on the list.
    pub negated: bool,
}

impl AclEntry {
    /// `10.0.0.0/8`, `::1`, `!10.0.0.66`. Host bits must be zero: `10.0.0.1/8` is more often a slip than meant.
    pub(crate) fn parse(text: &str) -> Result<AclEntry, Fault> {
        let (rest, negated) = match text.strip_prefix('!') {
            Some(rest) => (rest.trim_start(), true),
            None => (text, false),
        };
        let net = match IpAddr::from_str(rest) {
            Ok(address) => IpNet::from(address),
            Err(_) => IpNet::from_str(rest).map_err(|_| {
                let help = match rest {
                    "localhost" => "names are not looked up: write \"127.0.0.1\", \"::1\"",
                    _ => "write an address or a network, such as \"10.0.0.0/8\", \"::1\" or \"!10.0.0.66\"",
                };
                Fault::new(format!("bad network `{rest}`")).help(Some(help.into()))
            })?,
        };
        if net.addr() != net.network() {
            let mark = if negated { "!" } else { "" };
            return Err(Fault::new(format!("bad network `{rest}`: it has bits set beyond /{}", net.prefix_len()))
                .help(Some(format!("write \"{mark}{}\" or \"{mark}{}\"", net.trunc(), net.addr()))));
        }
        Ok(AclEntry { net, negated })
    }
}

impl fmt::Display for AclEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("!")?;
        }
        if self.net.prefix_len() == self.net.max_prefix_len() {
            return write!(f, "{}", self.net.addr());
        }
        write!(f, "{}", self.net)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_networks_or_addresses_and_may_be_negated() {
        for text in ["10.0.0.0/8", "::1", "!10.0.0.66", "fe80::/10", "0.0.0.0/0"] {
            assert_eq!(AclEntry::parse(text).unwrap().to_string(), text);
        }
        for text in ["", "!", "10.0.0.0/33", "localhost", "10.0.0.1/8", "10.0.0"] {
            assert!(AclEntry::parse(text).is_err(), "{text}");
        }
    }
}
