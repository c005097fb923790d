//! Runs the health probes: one loop per origin that has one, each request over a connection of its own.

use crate::backends::Backends;
use crate::origin::Origin;
use crate::probe::ProbeOptions;
use crate::resolve::{Endpoint, Unresolved};
use bytes::BytesMut;
use copal_semantics::ResponseHead;
use copal_wire::{HeadScan, WireLimits, parse_response};
use std::future::Future;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Intervals vary by a tenth either way, so that probes of many proxies and origins do not fall into step.
const JITTER_SHARE: u64 = 10;
/// Shortest interval: below, probing would be a load of its own.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Probes every origin that has a probe until `shutdown` is ready. The first probes go out at once.
///
/// Changes of health are logged. Must run within a tokio runtime; the loops are tasks of it and end with this future.
pub async fn run_probes(backends: Arc<Backends>, shutdown: impl Future<Output = ()> + Send) {
    let mut loops = JoinSet::new();
    for origin in backends.origins() {
        if let Some(probe) = origin.options().probe.clone() {
            loops.spawn(probe_for_ever(origin.clone(), probe));
        }
    }
    shutdown.await;
    loops.shutdown().await;
}

async fn probe_for_ever(origin: Arc<Origin>, probe: ProbeOptions) {
    let interval = probe.interval.max(INTERVAL_MIN);
    let dice = RandomState::new();
    let mut round = 0u64;
    loop {
        let started = Instant::now();
        let outcome = match tokio::time::timeout(probe.timeout, probe_once(&origin, &probe)).await {
            Ok(outcome) => outcome,
            Err(_) => Err("timeout".to_owned()),
        };
        if let Some(t) = origin.record_probe(outcome) {
            if t.now_healthy {
                tracing::info!(backend = origin.name(), reason = %t.reason, "backend is healthy");
            } else {
                tracing::warn!(backend = origin.name(), reason = %t.reason, "backend is sick");
            }
        }
        round += 1;
        tokio::time::sleep_until(started + jittered(interval, dice.hash_one(round))).await;
    }
}

/// The interval, shifted by up to a tenth either way as `random` says.
fn jittered(interval: Duration, random: u64) -> Duration {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    let spread = micros / JITTER_SHARE;
    Duration::from_micros(micros.saturating_sub(spread).saturating_add(random % (2 * spread + 1)))
}

/// One probe; `Err` is the reason in a few words.
async fn probe_once(origin: &Origin, probe: &ProbeOptions) -> Result<(), String> {
    let endpoints = origin.resolver.endpoints(probe.timeout).await.map_err(|e| match e {
        Unresolved::Timeout => "resolve timeout".to_owned(),
        Unresolved::Failed(e) => format!("resolve: {e}"),
    })?;
    let mut last = "no address".to_owned();
    for endpoint in endpoints.iter() {
        let connected = match endpoint {
            Endpoint::Inet(addr) => TcpStream::connect(addr).await.map(Either::Tcp),
            Endpoint::Unix(path) => UnixStream::connect(path).await.map(Either::Unix),
        };
        match connected {
            Ok(Either::Tcp(s)) => return ask(s, origin, probe).await,
            Ok(Either::Unix(s)) => return ask(s, origin, probe).await,
            Err(e) => last = connect_reason(&e),
        }
    }
    Err(last)
}

enum Either {
    Tcp(TcpStream),
    Unix(UnixStream),
}

fn connect_reason(e: &io::Error) -> String {
    match e.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => "connect refused".to_owned(),
        _ => format!("connect: {e}"),
    }
}

async fn ask(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    origin: &Origin,
    probe: &ProbeOptions,
) -> Result<(), String> {
    let options = origin.options();
    let authority = options.address.authority();
    let host = probe.host.as_ref().or(options.host_header.as_ref()).unwrap_or(&authority);
    let request =
        format!("GET {} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: copal-probe\r\nConnection: close\r\n\r\n", probe.path);
    stream.write_all(request.as_bytes()).await.map_err(|e| format!("send: {e}"))?;
    let (mut buf, mut scan, limits) = (BytesMut::with_capacity(4096), HeadScan::default(), WireLimits::default());
    let end = loop {
        match scan.find(&buf, &limits).map_err(|e| e.to_string())? {
            Some(end) => break end,
            None => match stream.read_buf(&mut buf).await {
                Ok(0) => return Err("closed without an answer".to_owned()),
                Ok(_) => {}
                Err(e) => return Err(format!("read: {e}")),
            },
        }
    };
    let mut head = ResponseHead::default();
    parse_response(&buf[..end], &limits, &mut head).map_err(|e| e.to_string())?;
    if head.status == probe.expected_status { Ok(()) } else { Err(format!("status {}", head.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        let s = Duration::from_secs(10);
        assert_eq!(jittered(s, 0), Duration::from_secs(9));
        assert_eq!(jittered(s, 2_000_000), Duration::from_secs(11));
        assert!((0..10_000).map(|n| jittered(s, n * 0x9e37_79b9_7f4a)).all(|d| (9..=11).contains(&d.as_secs())));
        assert_eq!(jittered(Duration::ZERO, 7), Duration::ZERO);
    }
}
