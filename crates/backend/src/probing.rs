//! Runs the health probes: one loop per origin that has one, each request over a connection of its own.

use crate::backends::Backends;
use crate::connect::{For, dial};
use crate::dial::Dial;
use crate::fault::{Fault, FaultKind};
use crate::origin::Origin;
use crate::probe::{BODY_MAX, HttpProbe, Pattern, ProbeKind, ProbeOptions};
use crate::resolve::Unresolved;
use bytes::BytesMut;
use copal_semantics::ResponseHead;
use copal_wire::{BodyFraming, Chunked, HeadScan, Piece, WireLimits, parse_response, response_framing};
use http::Method;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Shortest interval: below, probing would be a load of its own.
const INTERVAL_MIN: Duration = Duration::from_millis(10);

/// Probes every origin that has a probe, and keeps the addresses of those that have a name fresh, until `shutdown` is ready.
/// The first probes and questions go out at once.
///
/// Changes of health are logged, and the ends of ejections. Must run within a tokio runtime; the loops are tasks of it and end with this future.
pub async fn run_probes(backends: Arc<Backends>, shutdown: impl Future<Output = ()> + Send) {
    let mut loops = JoinSet::new();
    for origin in backends.origins() {
        if origin.resolver.row().is_some() {
            let origin = Arc::clone(origin);
            loops.spawn(async move { origin.resolver.keep_fresh().await });
        }
        if let Some(probe) = origin.options().probe.clone() {
            loops.spawn(probe_for_ever(origin.clone(), probe));
        }
    }
    loops.spawn(tell_of_ends(Arc::clone(&backends)));
    shutdown.await;
    loops.shutdown().await;
}

/// Logs the end of each ejection when it comes: by time, or by the owner's word.
async fn tell_of_ends(backends: Arc<Backends>) {
    let mut told = vec![None; backends.origins().len()];
    loop {
        let changed = backends.ejected.notified();
        let now = Instant::now();
        let mut next = None;
        for (origin, told) in backends.origins().iter().zip(&mut told) {
            match origin.ejection.until() {
                Some(until) if until > now => next = next.into_iter().chain([until]).min(),
                Some(until) if *told != Some(until) => {
                    *told = Some(until);
                    tracing::info!(backend = origin.name(), "backend is no longer ejected");
                }
                Some(_) | None => {}
            }
        }
        match next {
            // The clock of sleeping counts in milliseconds, and rounds up.
            Some(next) => tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(next) => {}
            },
            None => changed.await,
        }
    }
}

async fn probe_for_ever(origin: Arc<Origin>, probe: ProbeOptions) {
    let interval = probe.interval.max(INTERVAL_MIN);
    loop {
        let started = Instant::now();
        take_in(&origin, tokio::time::timeout(probe.timeout, probe_once(&origin, &probe)).await);
        tokio::time::sleep_until(started + jittered(interval, probe.jitter_permille, origin.dice.throw())).await;
    }
}

/// One probe of an origin over a connection from memory, taken in like any other; nothing without a probe.
pub async fn probe_through(dial: &dyn Dial, origin: &Origin) {
    let Some(probe) = &origin.options().probe else { return };
    let probing = async {
        match (dial.dial(origin.name()).await, &probe.kind) {
            (Ok(_), ProbeKind::Tcp) => Ok(()),
            (Ok(wire), ProbeKind::Http(http)) => ask(wire, origin, http).await,
            (Err(e), _) => Err(connect_reason(&e)),
        }
    };
    take_in(origin, tokio::time::timeout(probe.timeout, probing).await);
}

fn take_in(origin: &Origin, outcome: Result<Result<(), String>, tokio::time::error::Elapsed>) {
    let outcome = outcome.unwrap_or_else(|_| Err("timeout".to_owned()));
    if let Some(t) = origin.record_probe(outcome) {
        if t.now_healthy {
            tracing::info!(backend = origin.name(), reason = %t.reason, "backend is healthy");
        } else {
            tracing::warn!(backend = origin.name(), reason = %t.reason, "backend is sick");
        }
    }
}

/// The interval, shifted by up to so many thousandths either way as `random` says.
fn jittered(interval: Duration, permille: u32, random: u64) -> Duration {
    let micros = u64::try_from(interval.as_micros()).unwrap_or(u64::MAX);
    let spread = micros.saturating_mul(u64::from(permille.min(1000))) / 1000;
    Duration::from_micros(
        micros.saturating_sub(spread).saturating_add(random % spread.saturating_mul(2).saturating_add(1)),
    )
}

/// One probe; `Err` is the reason in a few words.
async fn probe_once(origin: &Origin, probe: &ProbeOptions) -> Result<(), String> {
    let endpoints = origin.resolver.endpoints(probe.timeout).await.map_err(|e| match e {
        Unresolved::Timeout => "resolve timeout".to_owned(),
        Unresolved::Failed(e) => format!("resolve: {e}"),
    })?;
    let deadline = Instant::now() + probe.timeout;
    let dialled = dial(origin, &endpoints, deadline, None, For::Probe).await.map_err(|f| dial_reason(&f))?;
    match &probe.kind {
        ProbeKind::Tcp => Ok(()),
        ProbeKind::Http(http) if dialled.http2 => crate::http2::probe(dialled.socket, origin, http).await,
        ProbeKind::Http(http) => ask(dialled.socket, origin, http).await,
    }
}

fn dial_reason(fault: &Fault) -> String {
    let phase = fault.phase.as_str();
    match fault.kind {
        FaultKind::Refused => "connect refused".to_owned(),
        FaultKind::Timeout => format!("{phase} timeout"),
        kind => format!("{phase}: {kind}"),
    }
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
    probe: &HttpProbe,
) -> Result<(), String> {
    stream.write_all(request(origin, probe).as_bytes()).await.map_err(|e| format!("send: {e}"))?;
    let (mut buf, mut scan, limits) = (BytesMut::with_capacity(4096), HeadScan::default(), WireLimits::default());
    let end = loop {
        match scan.find(&buf, &limits).map_err(|e| e.to_string())? {
            Some(end) => break end,
            None if !more(&mut stream, &mut buf).await? => return Err("closed without an answer".to_owned()),
            None => {}
        }
    };
    let mut head = ResponseHead::default();
    parse_response(&buf.split_to(end), &limits, &mut head).map_err(|e| e.to_string())?;
    if !probe.expected_status.contains(&head.status) {
        return Err(format!("status {}", head.status));
    }
    match &probe.expected_body {
        None => Ok(()),
        Some(pattern) => look_for(pattern, stream, buf, &head, probe).await,
    }
}

/// The request in wire form. Only lines that a configuration has checked come here.
fn request(origin: &Origin, probe: &HttpProbe) -> String {
    if let Some(lines) = &probe.request {
        return lines.iter().map(|line| format!("{line}\r\n")).collect::<String>() + "\r\n";
    }
    let options = origin.options();
    let authority = options.address.authority();
    let host = probe.host.as_ref().or(options.host_header.as_ref()).unwrap_or(&authority);
    let HttpProbe { method, path, .. } = probe;
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: copal-probe\r\nConnection: close\r\n\r\n")
}

async fn more(stream: &mut (impl AsyncRead + Unpin), buf: &mut BytesMut) -> Result<bool, String> {
    stream.read_buf(buf).await.map(|n| n > 0).map_err(|e| format!("read: {e}"))
}

/// Reads the body as far as it takes to find the pattern in it.
async fn look_for(
    pattern: &Pattern,
    mut stream: impl AsyncRead + Unpin,
    mut buf: BytesMut,
    head: &ResponseHead,
    probe: &HttpProbe,
) -> Result<(), String> {
    let method = if probe.method == "HEAD" { Method::HEAD } else { Method::GET };
    let framing = response_framing(&method, head).map_err(|e| e.to_string())?;
    let (mut chunks, mut body, mut over) = (Chunked::default(), Vec::new(), false);
    loop {
        match framing {
            BodyFraming::Chunked => loop {
                match chunks.decode(&mut buf).map_err(|e| e.to_string())? {
                    Piece::Data(piece) => body.extend_from_slice(&piece),
                    Piece::More => break,
                    Piece::End(_) => {
                        over = true;
                        break;
                    }
                }
            },
            BodyFraming::None | BodyFraming::Length(_) | BodyFraming::Close => body.extend_from_slice(&buf.split()),
        }
        let length = match framing {
            BodyFraming::None => 0,
            BodyFraming::Length(n) => usize::try_from(n).unwrap_or(usize::MAX),
            BodyFraming::Chunked | BodyFraming::Close => usize::MAX,
        };
        over |= body.len() >= length.min(BODY_MAX);
        body.truncate(length.min(BODY_MAX));
        // Looked at as it comes: a page that goes on for ever is good once it has said the word.
        if pattern.is_in(&body) {
            return Ok(());
        }
        if over || !more(&mut stream, &mut buf).await? {
            return Err(format!("status {}, body not as expected", head.status));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_its_share() {
        let s = Duration::from_secs(10);
        assert_eq!(jittered(s, 100, 0), Duration::from_secs(9));
        assert_eq!(jittered(s, 100, 2_000_000), Duration::from_secs(11));
        assert!((0..10_000).map(|n| jittered(s, 100, n * 0x9e37_79b9_7f4a)).all(|d| (9..=11).contains(&d.as_secs())));
        assert_eq!((jittered(s, 0, 99), jittered(Duration::ZERO, 100, 7)), (s, Duration::ZERO));
    }
}
