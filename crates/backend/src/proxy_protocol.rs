//! The PROXY protocol to origins (its specification, versions 1 and 2): who the client is, said before the first request.
//!
//! A connection then belongs to that client: the pool keeps it for the same client address and port alone. What Copal asks
//! for itself (a probe, a fetch that no client has caused) is sent as its own: `UNKNOWN` in version 1, `LOCAL` in version 2.

use std::net::{IpAddr, SocketAddr};

/// The version of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// A binary head.
    V2,
}

/// A client's connection: from where, and to where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ends {
    /// The client.
    pub client: SocketAddr,
    /// The listener that it has come to.
    pub server: SocketAddr,
}

/// What version 2 begins with (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Version 2, and "this connection is the proxy's own".
const LOCAL: u8 = 0x20;
/// Version 2, and "this connection stands for that of a client".
const PROXY: u8 = 0x21;

impl ProxyProtocol {
    /// The bytes to send first. Both ends must be of one family; otherwise IPv4 ones are written as IPv6
    /// (`::ffff:192.0.2.1`). An unspecified client, such as one on a Unix socket, is nobody.
    #[must_use]
    pub fn head(self, ends: Option<Ends>) -> Vec<u8> {
        let ends = ends.filter(|e| !e.client.ip().is_unspecified()).map(|e| {
            let (client, server) = (e.client.ip().to_canonical(), e.server.ip().to_canonical());
            let pair = match (client, server) {
                (IpAddr::V4(a), IpAddr::V6(b)) => (a.to_ipv6_mapped().into(), b.into()),
                (IpAddr::V6(a), IpAddr::V4(b)) => (a.into(), b.to_ipv6_mapped().into()),
                same => same,
            };
            (pair, e.client.port(), e.server.port())
        });
        match self {
            ProxyProtocol::V1 => match ends {
                None => b"PROXY UNKNOWN\r\n".to_vec(),
                Some(((client, server), from, to)) => {
                    let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
                    format!("PROXY {family} {client} {server} {from} {to}\r\n").into_bytes()
                }
            },
            ProxyProtocol::V2 => {
                let mut out = SIGNATURE.to_vec();
                match ends {
                    None => out.extend([LOCAL, 0, 0, 0]),
                    Some(((client, server), from, to)) => {
                        let (family, len): (u8, u8) = if client.is_ipv4() { (0x11, 12) } else { (0x21, 36) };
                        out.extend([PROXY, family, 0, len]);
                        for ip in [client, server] {
                            match ip {
                                IpAddr::V4(ip) => out.extend(ip.octets()),
                                IpAddr::V6(ip) => out.extend(ip.octets()),
                            }
                        }
                        out.extend(from.to_be_bytes());
                        out.extend(to.to_be_bytes());
                    }
                }
                out
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(client: &str, server: &str) -> Option<Ends> {
        Some(Ends { client: client.parse().expect("valid"), server: server.parse().expect("valid") })
    }

    #[test]
    fn version_1_is_a_line() {
        let line = |ends| String::from_utf8(ProxyProtocol::V1.head(ends)).expect("text");
        assert_eq!(line(ends("192.0.2.1:4711", "192.0.2.9:80")), "PROXY TCP4 192.0.2.1 192.0.2.9 4711 80\r\n");
        assert_eq!(line(ends("[2001:db8::1]:1", "[::1]:80")), "PROXY TCP6 2001:db8::1 ::1 1 80\r\n");
        assert_eq!(line(ends("192.0.2.1:1", "[::1]:80")), "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 80\r\n");
        assert_eq!(line(ends("[::ffff:192.0.2.1]:1", "192.0.2.9:80")), "PROXY TCP4 192.0.2.1 192.0.2.9 1 80\r\n");
        for nobody in [None, ends("0.0.0.0:0", "192.0.2.9:80")] {
            assert_eq!(line(nobody), "PROXY UNKNOWN\r\n");
        }
    }

    #[test]
    fn version_2_is_binary() {
        let head = ProxyProtocol::V2.head(ends("192.0.2.1:4711", "192.0.2.9:80"));
        assert_eq!(head[..12], *SIGNATURE);
        assert_eq!(head[12..], [0x21, 0x11, 0, 12, 192, 0, 2, 1, 192, 0, 2, 9, 0x12, 0x67, 0, 80]);
        let head = ProxyProtocol::V2.head(ends("[2001:db8::1]:1", "[::1]:80"));
        assert_eq!((head.len(), &head[12..16]), (16 + 36, &[0x21, 0x21, 0, 36][..]));
        assert_eq!(ProxyProtocol::V2.head(None)[12..], [0x20, 0, 0, 0]);
    }

    #[test]
    fn what_is_sent_here_is_what_listeners_take() {
        for (client, server) in [
            ("192.0.2.1:4711", "192.0.2.9:80"),
            ("[2001:db8::1]:1", "[::1]:65535"),
            ("192.0.2.1:0", "[2001:db8::9]:80"),
            ("[2001:db8::1]:1", "192.0.2.9:80"),
        ] {
            for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
                let said = ends(client, server);
                let head = version.head(said);
                let (taken, len) = copal_wire::proxy_header::parse(&head).expect("valid").expect("whole");
                assert_eq!((taken.ends, len), (said.map(|ends| (ends.client, ends.server)), head.len()));
                let nobody = version.head(None);
                let (taken, len) = copal_wire::proxy_header::parse(&nobody).expect("valid").expect("whole");
                assert_eq!((taken.ends, len), (None, nobody.len()));
            }
        }
    }
}
