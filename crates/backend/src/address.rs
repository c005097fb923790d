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
    /// A service whose hosts and ports the DNS knows (RFC 2782), such as `_http._tcp.app.example`.
    Srv(String),
}

/// Why text is not an address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an origin address: write host:port, [ipv6]:port, srv:_http._tcp.name or unix:/path")]
pub struct AddressError(pub String);

impl FromStr for Address {
    type Err = AddressError;

    /// `host:port`, `[ipv6]:port`, `srv:_http._tcp.name` or `unix:/path`.
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
        if let Some(name) = text.strip_prefix("srv:") {
            return if name.starts_with('_') { Ok(Address::Srv(name.to_owned())) } else { Err(wrong()) };
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
            Address::Srv(name) => write!(f, "srv:{name}"),
        }
    }
}

impl Address {
    /// The host without its port; "localhost" for a Unix socket, the domain for a service.
    #[must_use]
    pub fn host(&self) -> &str {
        match self {
            Address::Tcp { host, .. } => host,
            Address::Unix(_) => "localhost",
            Address::Srv(name) => {
                let labels = name.split('.').take_while(|label| label.starts_with('_'));
                let prefix: usize = labels.map(|label| label.len() + 1).sum();
                name.get(prefix..).unwrap_or(name)
            }
        }
    }

    /// What a Host field for this address says when nothing else does (RFC 9110 §7.2).
    #[must_use]
    pub fn authority(&self) -> String {
        match self {
            Address::Tcp { .. } => self.to_string(),
            Address::Unix(_) | Address::Srv(_) => self.host().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_they_are_written() {
        for text in ["127.0.0.1:8000", "app.internal:80", "[::1]:8080", "unix:/run/app.sock", "srv:_http._tcp.a"] {
            assert_eq!(text.parse::<Address>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn a_service_is_called_by_its_domain() {
        let service = "srv:_http._tcp.app.example".parse::<Address>().expect("valid");
        assert_eq!((service.host(), service.authority().as_str()), ("app.example", "app.example"));
    }

    #[test]
    fn what_is_not_an_address_is_named() {
        for text in ["", "app", "app:", "app:x", "app:0", "app:70000", "::1:80", "[::1", "unix:", "a b:80", ":80"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError(text.into())));
        }
    }
}
