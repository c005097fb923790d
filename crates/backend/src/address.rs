//! Where an origin listens: a host and port, or a Unix socket.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use thiserror::Error;

/// Where an origin listens. The owner's mistakes show in [`Address::from_str`], names that do not resolve at connect.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// TCP. The host is a name or an IP address, IPv6 without its brackets.
    Tcp {
        /// Name or address literal.
        host: String,
        /// 1 to 65,535.
        port: u16,
    },
    /// A Unix stream socket by its path.
    Unix(PathBuf),
}

/// Why text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an origin address: write host:port, [ipv6]:port or unix:/path")]
pub struct AddressError(pub String);

impl FromStr for Address {
    type Err = AddressError;

    /// `host:port`, `[ipv6]:port` or `unix:/path`.
    ///
    /// ```
    /// use copal_backend::Address;
    /// let a: Address = "[::1]:80".parse().unwrap();
    /// assert_eq!(a, Address::Tcp { host: "::1".into(), port: 80 });
    /// assert_eq!(a.to_string(), "[::1]:80");
    /// ```
    fn from_str(text: &str) -> Result<Self, AddressError> {
        let wrong = || AddressError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(wrong()) } else { Ok(Address::Unix(path.into())) };
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port: u16 = port.parse().map_err(|_| wrong())?;
        let bare = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or_else(wrong)?,
            None if host.contains(':') => return Err(wrong()),
            None => host,
        };
        let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%');
        if port == 0 || bare.is_empty() || !bare.bytes().all(known) {
            return Err(wrong());
        }
        Ok(Address::Tcp { host: bare.to_owned(), port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Address::Tcp { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Address {
    /// What a Host field for this address says when nothing else does (RFC 9110 §7.2): "localhost" for a Unix socket.
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Address::Tcp { .. } => self.to_string(),
            Address::Unix(_) => "localhost".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for text in ["127.0.0.1:8000", "app.internal:80", "[::1]:8080", "unix:/run/app.sock"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_address_is_named() {
        for text in ["", "app", "app:", "app:x", "app:0", "app:70000", "::1:80", "[::1", "unix:", "a b:80", ":80"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError(text.into())));
        }
    }
}
