//! Addresses of listeners and backends: TCP, a host name with a port, a Unix socket.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use crate::place::Fault;

/// Where to listen or to connect.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Address {
    /// An IP address and a port: `127.0.0.1:8000`, `[::1]:8000`.
    Tcp(SocketAddr),
    /// A name to be resolved, and a port: `app.internal:8000`. Never that of a listener.
    Host {
        /// The name as written, without the port.
        host: String,
        /// The port, never 0.
        port: u16,
    },
    /// A Unix socket: `unix:/run/app.sock`.
    Unix(PathBuf),
    /// TLS at a name or an IP address (IPv6 without its brackets): `https://app.internal`. Never that of a listener.
    Https {
        /// The name or the IP address.
        host: String,
        /// The port, never 0; 443 when none is written.
        port: u16,
    },
    /// A service whose hosts and ports are in the DNS (RFC 2782): `srv:_http._tcp.app.internal`. Never that of a listener.
    Srv(String),
}

impl Address {
    /// Whether only this machine can reach it: a loopback address or a Unix socket.
    #[must_use]
    pub fn is_local(&self) -> bool {
        match self {
            Address::Tcp(address) => address.ip().is_loopback(),
            Address::Host { host, .. } => host == "localhost",
            Address::Unix(_) => true,
            Address::Https { host, .. } => {
                host == "localhost" || IpAddr::from_str(host).is_ok_and(|ip| ip.is_loopback())
            }
            Address::Srv(_) => false,
        }
    }

    /// For listeners: an IP address with a port (0 lets the system choose), `:port` for all IPv4 addresses, `unix:PATH`.
    pub(crate) fn parse_listen(text: &str) -> Result<Address, Fault> {
        let text = text.strip_prefix("tcp:").unwrap_or(text);
        if let Some(port) = text.strip_prefix(':').and_then(|p| p.parse::<u16>().ok()) {
            return Ok(Address::Tcp(SocketAddr::from(([0, 0, 0, 0], port))));
        }
        match Address::parse(text, "127.0.0.1:6081")? {
            Address::Host { host, port } => {
                Err(Fault::new(format!("bad address `{text}`: a listener needs an IP address, not the name `{host}`"))
                    .help(Some(format!("write \"127.0.0.1:{port}\", \"0.0.0.0:{port}\" or \"[::]:{port}\""))))
            }
            found @ (Address::Tcp(_) | Address::Unix(_) | Address::Https { .. } | Address::Srv(_)) => Ok(found),
        }
    }

    /// For backends: an IP address or a name with a port, `https://` before it, `srv:NAME`, `unix:PATH`.
    pub(crate) fn parse_backend(text: &str) -> Result<Address, Fault> {
        if let Some(rest) = text.strip_prefix("https://") {
            let host = rest.strip_suffix('/').unwrap_or(rest);
            if host.contains('/') {
                let host = host.split('/').next().unwrap_or_default();
                return Err(Fault::new(format!("bad address `{text}`: an address has no path"))
                    .help(Some(format!("write \"https://{host}\""))));
            }
            let with_port = Address::parse(host, "").or_else(|fault| {
                let bare = host.strip_prefix('[').is_some_and(|h| h.ends_with(']')) || !host.contains(':');
                if bare { Address::parse(&format!("{host}:443"), "app.internal:443") } else { Err(fault) }
            })?;
            return match with_port {
                Address::Tcp(address) if address.port() == 0 => {
                    Err(Fault::new(format!("bad address `{text}`: a backend cannot have port 0")))
                }
                Address::Tcp(address) => Ok(Address::Https { host: address.ip().to_string(), port: address.port() }),
                Address::Host { host, port } => Ok(Address::Https { host, port }),
                Address::Unix(_) | Address::Https { .. } | Address::Srv(_) => {
                    Err(Fault::new(format!("bad address `{text}`: a socket has no `https://`"))
                        .help(Some("write \"unix:/run/app.sock\", and a table `tls` for it".into())))
                }
            };
        }
        if let Some(name) = text.strip_prefix("srv:") {
            return match is_name(name.strip_suffix('.').unwrap_or(name)) && name.starts_with('_') {
                true => Ok(Address::Srv(name.to_owned())),
                false => {
                    Err(Fault::new(format!("bad address `{text}`: a service is named `_http._tcp.` and a domain"))
                        .help(Some("write \"srv:_http._tcp.app.internal\"".into())))
                }
            };
        }
        if let Some(rest) = text.strip_prefix("http://") {
            let host = rest.split('/').next().unwrap_or_default();
            let host = if Address::parse(host, "").is_ok() { host.to_owned() } else { format!("{host}:80") };
            return Err(Fault::new(format!("bad address `{text}`: an address has no scheme and no path"))
                .help(Some(format!("write \"{host}\""))));
        }
        let found = Address::parse(text, "127.0.0.1:8000")?;
        match &found {
            Address::Tcp(address) if address.port() == 0 => {
                Err(Fault::new(format!("bad address `{text}`: a backend cannot have port 0")))
            }
            Address::Tcp(_) | Address::Host { .. } | Address::Unix(_) | Address::Https { .. } | Address::Srv(_) => {
                Ok(found)
            }
        }
    }

    fn parse(text: &str, example: &str) -> Result<Address, Fault> {
        let bad = |why: &str, help: String| Err(Fault::new(format!("bad address `{text}`: {why}")).help(Some(help)));
        if let Some(path) = text.strip_prefix("unix:") {
            // sun_path of sockaddr_un is 108 bytes on Linux, one of them the NUL.
            return match path.len() {
                0 => bad("the path of the socket is missing", "write \"unix:/run/app.sock\"".into()),
                1..108 => Ok(Address::Unix(PathBuf::from(path))),
                _ => bad("the path of a socket has at most 107 bytes", "use a shorter path".into()),
            };
        }
        if let Ok(address) = SocketAddr::from_str(text) {
            return Ok(Address::Tcp(address));
        }
        if let Ok(ip) = IpAddr::from_str(text.trim_matches(['[', ']'])) {
            let with_port = SocketAddr::new(ip, if ip.is_ipv4() { 80 } else { 8000 });
            return bad("the port is missing", format!("write \"{with_port}\" with the right port"));
        }
        if text.starts_with('/') {
            return bad("a Unix socket begins with `unix:`", format!("write \"unix:{text}\""));
        }
        if text.parse::<u16>().is_ok() {
            return bad("the host is missing", format!("write \"127.0.0.1:{text}\""));
        }
        let Some((host, port)) = text.rsplit_once(':') else {
            return bad("the port is missing", format!("write \"{text}:80\" with the right port"));
        };
        if host.is_empty() {
            return bad("the host is missing", format!("write \"127.0.0.1:{port}\""));
        }
        let Some(port) = port.parse::<u16>().ok().filter(|p| *p > 0) else {
            return bad(&format!("`{port}` is not a port"), "a port is a number from 1 to 65535".into());
        };
        let labels: Vec<&str> = host.strip_suffix('.').unwrap_or(host).split('.').collect();
        let looks_like_ip = labels.last().is_some_and(|l| l.chars().all(|c| c.is_ascii_digit()));
        if looks_like_ip || !is_name(host.strip_suffix('.').unwrap_or(host)) {
            return bad(&format!("`{host}` is neither an IP address nor a host name"), format!("write \"{example}\""));
        }
        Ok(Address::Host { host: host.to_owned(), port })
    }
}

/// Labels as host names and names of services have them.
fn is_name(name: &str) -> bool {
    let label = |l: &str| !l.is_empty() && l.len() <= 63 && !l.starts_with('-') && !l.ends_with('-');
    let letters = |l: &str| l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    name.len() <= 253 && name.split('.').all(|l| label(l) && letters(l))
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => write!(f, "{address}"),
            Address::Host { host, port } => write!(f, "{host}:{port}"),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Https { host, port } if host.contains(':') => write!(f, "https://[{host}]:{port}"),
            Address::Https { host, port } => write!(f, "https://{host}:{port}"),
            Address::Srv(name) => write!(f, "srv:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_print_as_they_were_written() {
        for text in ["127.0.0.1:8000", "[::1]:80", "unix:/run/x.sock", "app.internal:80", "localhost:1", "a_b:9"] {
            assert_eq!(Address::parse_backend(text).unwrap().to_string(), text);
        }
        for (text, means) in [
            ("https://app.internal", "https://app.internal:443"),
            ("https://app.internal:8443/", "https://app.internal:8443"),
            ("https://127.0.0.1", "https://127.0.0.1:443"),
            ("https://[::1]", "https://[::1]:443"),
            ("https://[::1]:1", "https://[::1]:1"),
            ("srv:_http._tcp.app.internal", "srv:_http._tcp.app.internal"),
        ] {
            assert_eq!(Address::parse_backend(text).unwrap().to_string(), means);
        }
        assert_eq!(Address::parse_listen(":6081").unwrap().to_string(), "0.0.0.0:6081");
        assert_eq!(Address::parse_listen("127.0.0.1:0").unwrap().to_string(), "127.0.0.1:0");
    }

    #[test]
    fn bad_addresses_say_what_to_write() {
        let bad = |text: &str| {
            let fault = Address::parse_backend(text).unwrap_err();
            format!("{} / {}", fault.message, fault.help.unwrap_or_default())
        };
        assert_eq!(
            bad("127.0.0.1"),
            "bad address `127.0.0.1`: the port is missing / write \"127.0.0.1:80\" with the right port"
        );
        assert_eq!(bad("::1"), "bad address `::1`: the port is missing / write \"[::1]:8000\" with the right port");
        assert_eq!(bad("8000"), "bad address `8000`: the host is missing / write \"127.0.0.1:8000\"");
        assert_eq!(bad("/run/x"), "bad address `/run/x`: a Unix socket begins with `unix:` / write \"unix:/run/x\"");
        assert_eq!(
            bad("app:http"),
            "bad address `app:http`: `http` is not a port / a port is a number from 1 to 65535"
        );
        assert_eq!(
            bad("http://app/x"),
            "bad address `http://app/x`: an address has no scheme and no path / write \"app:80\""
        );
        assert_eq!(bad("https://app/x"), "bad address `https://app/x`: an address has no path / write \"https://app\"");
        for text in
            ["https://", "https://a:0", "https://unix:/x", "https://::1", "srv:", "srv:app.internal", "srv:_a b"]
        {
            assert!(Address::parse_backend(text).is_err(), "{text}");
        }
        for text in ["", ":80", "a b:80", "1.2.3.4.5:80", "300.1.1.1:80", "x:0", "127.0.0.1:0", "-a:80", "unix:"] {
            assert!(Address::parse_backend(text).is_err(), "{text}");
        }
        assert!(Address::parse_listen("localhost:80").is_err());
    }
}
