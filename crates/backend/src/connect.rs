//! From addresses to a connected socket: many addresses raced (RFC 8305), the PROXY protocol's head, TLS.
//!
//! ```text
//! one address ───────────────┐
//! many: first, 250 ms later  ├─▶ TCP ─▶ PROXY head ─▶ TLS with ALPN ─▶ Socket
//!  or at a failure the next ─┘
//! ```

use crate::fault::{Fault, FaultKind, Phase};
use crate::origin::Origin;
use crate::proxy_protocol::Ends;
use crate::resolve::Endpoint;
use crate::socket::{Open, Plain, Socket};
use crate::tls::{Http2, TlsError, TlsFault, TlsSettings};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;

/// How long an address has before the next one is tried beside it: the Connection Attempt Delay of RFC 8305 §5.
pub(crate) const STAGGER: Duration = Duration::from_millis(250);
/// Probes that the kernel sends without an answer before it gives a connection up: a peer that is gone is found out after
/// the owner's `tcp_keepalive` and as many of its tenths.
const KEEPALIVE_PROBES: u32 = 3;

/// For whom a connection is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// Requests: in whichever HTTP the owner allows; counted.
    Requests,
    /// A tunnel: in HTTP/1.1, of which alone a connection can be taken over; counted.
    Tunnel,
    /// A probe: in HTTP/1.1, unless the origin speaks HTTP/2 only; not counted.
    Probe,
}

/// A connected socket, and what became of the addresses.
pub(crate) struct Dialled {
    pub(crate) socket: Socket,
    /// The address that it is connected to.
    pub(crate) endpoint: Endpoint,
    /// The conversation is to be in HTTP/2.
    pub(crate) http2: bool,
}

/// Connects to one of the endpoints, the first by preference, by the deadline.
pub(crate) async fn dial(
    origin: &Origin,
    endpoints: &[Endpoint],
    deadline: Instant,
    ends: Option<Ends>,
    purpose: For,
) -> Result<Dialled, Fault> {
    let (mut plain, endpoint) = reach(origin, endpoints, deadline).await?;
    let open = (purpose != For::Probe).then(|| Open::count(&origin.tally));
    let options = origin.options();
    let fault = |phase, kind, why: &str| Fault::early(phase, kind, Some(origin.name()), format!("{endpoint}: {why}"));
    if let Some(version) = options.proxy_protocol {
        let sent = timeout_at(deadline, plain.write_all(&version.head(ends))).await;
        let sent =
            sent.map_err(|_| fault(Phase::Connect, FaultKind::Timeout, "the PROXY head was not taken in time"))?;
        sent.map_err(|e| fault(Phase::Connect, FaultKind::Closed, &e.to_string()))?;
    }
    let Some(tls) = &origin.tls else {
        let http2 = options.http2 == Http2::Only;
        return Ok(Dialled { socket: Socket::plain(plain, open), endpoint, http2 });
    };
    // Only a start-up that failed leaves none, and the proxy does not come up then.
    let settings = tls.settings().map_err(|e: TlsError| fault(Phase::Tls, FaultKind::Local, &e.to_string()))?;
    let TlsSettings { name, config, http1 } = settings;
    let config = if purpose != For::Requests && options.http2 != Http2::Only { http1 } else { config };
    match timeout_at(deadline, TlsConnector::from(config).connect(name, plain)).await {
        Err(_) => Err(fault(Phase::Tls, FaultKind::Timeout, "no TLS handshake in time")),
        Ok(Err(e)) => {
            let kind = TlsFault::of(&e).map_or(FaultKind::Closed, FaultKind::Tls);
            Err(fault(Phase::Tls, kind, &e.to_string()))
        }
        Ok(Ok(stream)) => {
            let socket = Socket::tls(stream, open);
            let http2 = socket.chose_http2();
            if options.http2 == Http2::Only && !http2 {
                return Err(fault(Phase::Tls, FaultKind::Tls(TlsFault::Protocol), "the origin did not choose HTTP/2"));
            }
            Ok(Dialled { socket, endpoint, http2 })
        }
    }
}

/// A connected socket to the first endpoint that takes one.
async fn reach(origin: &Origin, endpoints: &[Endpoint], deadline: Instant) -> Result<(Plain, Endpoint), Fault> {
    let fault = |to: &Endpoint, kind, why: &str| {
        Fault::early(Phase::Connect, kind, Some(origin.name()), format!("{to}: {why}"))
    };
    let Some(first) = endpoints.first() else {
        return Err(Fault::early(Phase::Connect, FaultKind::Unroutable, Some(origin.name()), "no address"));
    };
    let keepalive = origin.options().tcp_keepalive;
    let connected = match (first, endpoints) {
        (Endpoint::Unix(path), _) => timeout_at(deadline, UnixStream::connect(path))
            .await
            .map(|s| s.map(|s| (Plain::Unix(s), first.clone())).map_err(|e| (first.clone(), e))),
        (Endpoint::Inet(addr), [_]) => timeout_at(deadline, tcp(*addr, keepalive))
            .await
            .map(|s| s.map(|s| (Plain::Tcp(s), first.clone())).map_err(|e| (first.clone(), e))),
        (Endpoint::Inet(_), many) => timeout_at(deadline, race(origin, many, keepalive)).await,
    };
    match connected {
        Ok(Ok(reached)) => Ok(reached),
        Ok(Err((to, e))) => Err(fault(&to, connect_kind(&e), &e.to_string())),
        Err(_) => Err(fault(first, FaultKind::Timeout, "not connected in time")),
    }
}

/// RFC 8305 §5: an attempt is joined by the next one after [`STAGGER`], or at once when it fails; the first to connect wins,
/// the others are dropped. Those that lost are tried last for a while.
async fn race(
    origin: &Origin,
    endpoints: &[Endpoint],
    keepalive: Option<Duration>,
) -> Result<(Plain, Endpoint), (Endpoint, io::Error)> {
    let mut running = JoinSet::new();
    let mut waiting = endpoints.iter().enumerate();
    let mut last = None;
    let mut more = true;
    loop {
        match waiting.next() {
            Some((i, Endpoint::Inet(addr))) => {
                let addr = *addr;
                running.spawn(async move { (i, tcp(addr, keepalive).await) });
            }
            Some((_, Endpoint::Unix(_))) => continue,
            None => more = false,
        }
        let next = Instant::now() + STAGGER;
        tokio::select! {
            biased;
            done = running.join_next() => match done {
                Some(Ok((i, Ok(stream)))) => {
                    origin.resolver.lost(&endpoints[..i]);
                    return Ok((Plain::Tcp(stream), endpoints[i].clone()));
                }
                Some(Ok((i, Err(e)))) => {
                    origin.resolver.lost(&endpoints[i..=i]);
                    last = Some((endpoints[i].clone(), e));
                }
                // A task that was cancelled or has panicked: there is no such thing in it.
                Some(Err(e)) => last = Some((endpoints[0].clone(), io::Error::other(e))),
                None if more => {}
                None => {
                    return Err(last.unwrap_or_else(|| (endpoints[0].clone(), io::ErrorKind::AddrNotAvailable.into())));
                }
            },
            () = sleep_until(next), if more => {}
        }
    }
}

async fn tcp(addr: SocketAddr, keepalive: Option<Duration>) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    if let Some(idle) = keepalive {
        let interval = (idle / 10).max(Duration::from_secs(1));
        let settings = TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(KEEPALIVE_PROBES);
        SockRef::from(&stream).set_tcp_keepalive(&settings)?;
    }
    Ok(stream)
}

/// What the error of a connect says.
pub(crate) fn connect_kind(e: &io::Error) -> FaultKind {
    use io::ErrorKind as K;
    match e.kind() {
        K::TimedOut => FaultKind::Timeout,
        K::HostUnreachable | K::NetworkUnreachable => FaultKind::Unroutable,
        // The system said no to us, not the origin: no permission for the socket's path, no port left to connect from.
        K::PermissionDenied | K::AddrNotAvailable => FaultKind::Local,
        // EMFILE and ENFILE have no kind of their own: descriptors are used up.
        _ if matches!(e.raw_os_error(), Some(23 | 24)) => FaultKind::Local,
        // A Unix socket that does not exist is among these: nobody listens.
        _ => FaultKind::Refused,
    }
}

/// Addresses of both families in turns (RFC 8305 §4), beginning with the family of the first.
pub(crate) fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<SocketAddr>, Vec<SocketAddr>) = addresses.iter().partition(|a| a.is_ipv6() == first_is_v6);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut out = Vec::with_capacity(addresses.len());
    loop {
        let before = out.len();
        out.extend(one.next());
        out.extend(other.next());
        if out.len() == before {
            return out;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_probes_a_silent_connection_as_the_owner_says() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let addr = listener.local_addr().expect("bound");
        let of = |stream: &TcpStream| {
            let socket = SockRef::from(stream);
            let on = socket.keepalive().expect("an option");
            let times = (socket.tcp_keepalive_time(), socket.tcp_keepalive_interval(), socket.tcp_keepalive_retries());
            (on, times.0.expect("a time").as_secs(), times.1.expect("a time").as_secs(), times.2.expect("a number"))
        };
        let origin = |tcp_keepalive| {
            let address = crate::Address::Tcp { host: addr.ip().to_string(), port: addr.port() };
            Origin::new(crate::OriginOptions { tcp_keepalive, ..crate::OriginOptions::new("app", address) })
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        for (seconds, interval) in [(120, 12), (5, 1)] {
            let origin = origin(Some(Duration::from_secs(seconds)));
            // Alone, and raced with another.
            for many in [1, 2] {
                let endpoints = vec![Endpoint::Inet(addr); many];
                let Ok((Plain::Tcp(stream), _)) = reach(&origin, &endpoints, deadline).await else { panic!("TCP") };
                assert_eq!(of(&stream), (true, seconds, interval, KEEPALIVE_PROBES), "{many}");
            }
        }
        let Ok((Plain::Tcp(stream), _)) = reach(&origin(None), &[Endpoint::Inet(addr)], deadline).await else {
            panic!("TCP")
        };
        assert!(!SockRef::from(&stream).keepalive().expect("an option"), "the owner has switched it off");
    }

    #[test]
    fn families_take_turns() {
        let list = |texts: &[&str]| texts.iter().map(|t| t.parse().expect("valid")).collect::<Vec<SocketAddr>>();
        let mixed = list(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        assert_eq!(interleave(&mixed), list(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
        assert_eq!(interleave(&list(&["1.1.1.1:1", "2.2.2.2:1"])), list(&["1.1.1.1:1", "2.2.2.2:1"]));
        assert!(interleave(&[]).is_empty());
    }
}
