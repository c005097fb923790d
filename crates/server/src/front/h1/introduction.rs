//! The beginning of a connection that comes through a proxy: its PROXY header, and whether that proxy is believed.
//!
//! ```text
//! accepted ─▶ on the access list? ─▶ header whole, in time? ─▶ requests, whose client is the one of the header
//!                └─ no ─▶ closed           └─ no ─▶ closed
//! ```
//!
//! Invariant: until the header is whole and valid, nothing of the connection is read as a request.

use super::{Ends, FrontLimits, READ_BYTES, read_until};
use bytes::{Buf, BytesMut};
use copal_observe::clock::ticks;
use copal_observe::counters::Counter;
use copal_pipeline::Worker;
use copal_policy::{Acl, ClientSsl, Connection, Proxied};
use copal_wire::proxy_header::{self, ProxyHeaderError, Told};
use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncRead;
use tokio::time::{Sleep, sleep_until};

/// Between two lines of the log about connections that a listener has closed: what is wrong with one is wrong with all.
const SAID_EVERY: Duration = Duration::from_secs(60);

/// A listener's words about connections that begin otherwise than it expects.
#[derive(Debug)]
pub(crate) struct Notices {
    /// The listener, as in the configuration.
    listener: String,
    born: Instant,
    /// Microseconds after `born` until which nothing more is said.
    silent_until: AtomicU64,
    unsaid: AtomicU64,
}

impl Notices {
    pub(crate) fn of(listener: &impl Display) -> Self {
        let (silent_until, unsaid) = (AtomicU64::new(0), AtomicU64::new(0));
        Notices { listener: listener.to_string(), born: ticks(), silent_until, unsaid }
    }

    /// Logs it, or counts it for the next time.
    pub(super) fn say(&self, peer: SocketAddr, what: &str) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let now = micros(ticks().saturating_duration_since(self.born));
        let until = self.silent_until.load(Ordering::Relaxed);
        let next = now.saturating_add(micros(SAID_EVERY));
        let ours = now >= until
            && self.silent_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !ours {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let more = match self.unsaid.swap(0, Ordering::Relaxed) {
            0 => String::new(),
            n => format!(" ({n} more since this was last said)"),
        };
        let peer: Cow<'_, str> = if peer.ip().is_unspecified() { "-".into() } else { peer.to_string().into() };
        tracing::warn!(target: "copal::listen", listener = %self.listener, peer = %peer, "{what}{more}");
    }
}

/// Whose PROXY header is believed.
#[derive(Debug)]
pub(crate) enum Proxies {
    /// That of all who can connect.
    All,
    /// That of those on the access list of this name.
    On(String, Acl),
}

/// Why a connection is closed before its first request.
enum Closed {
    /// The peer has said nothing: somebody looked whether the port is open.
    Silent,
    Unknown(String),
    Late,
    Cut,
    Bad(ProxyHeaderError),
}

/// Reads the header and makes its addresses the client's; false when the connection is to be closed.
pub(super) async fn introduce<R: AsyncRead + Unpin>(
    reader: &mut R,
    buf: &mut BytesMut,
    ends: &mut Ends,
    proxies: &Proxies,
    worker: &Worker,
    (notices, until): (&Notices, tokio::time::Instant),
) -> bool {
    let counters = &worker.core.counters;
    let timer = std::pin::pin!(sleep_until(until));
    let (counter, what) = match header(reader, buf, ends, proxies, timer).await {
        Ok(()) => {
            counters.inc(Counter::ClientProxyHeaders);
            return true;
        }
        Err(Closed::Silent) => return false,
        Err(Closed::Unknown(list)) => {
            let what = format!(
                "connection closed: its address is not on the access list `{list}` of those whose PROXY header is believed \
                 (proxy_acl); add it there, or give it a listener without proxy_protocol"
            );
            (Counter::ClientProxyRefused, what)
        }
        Err(Closed::Late) => {
            (Counter::ClientTimeouts, "connection closed: its PROXY header was not whole within head_timeout".to_owned())
        }
        Err(Closed::Cut) => {
            (Counter::ClientProxyBroken, "connection closed by its peer before its PROXY header was whole".to_owned())
        }
        Err(Closed::Bad(ProxyHeaderError::Missing)) => (
            Counter::ClientProxyBroken,
            "connection closed: it does not begin with a PROXY header, and this listener has proxy_protocol = true; let the proxy \
             send one (HAProxy: send-proxy-v2, nginx: proxy_protocol on), or remove that line"
                .to_owned(),
        ),
        Err(Closed::Bad(error)) => (
            Counter::ClientProxyBroken,
            format!("connection closed: its PROXY header is not valid: {error}; what sends it is at fault"),
        ),
    };
    counters.inc(counter);
    notices.say(ends.remote, &what);
    false
}

/// Says so when what has just been refused as a request is a PROXY header that nobody expected.
pub(super) fn unexpected(limits: &FrontLimits, ends: &Ends, refused: &[u8]) {
    if limits.proxies.is_none() && proxy_header::is_proxy_header(refused) {
        let what = "request refused: it begins with a PROXY header, and this listener expects none; set proxy_protocol = true in its \
                    [[listen]], or let the proxy in front send none";
        limits.notices.say(ends.remote, what);
    }
}

async fn header<R: AsyncRead + Unpin>(
    reader: &mut R,
    buf: &mut BytesMut,
    ends: &mut Ends,
    proxies: &Proxies,
    mut timer: Pin<&mut Sleep>,
) -> Result<(), Closed> {
    if let Proxies::On(name, list) = proxies
        && !list.contains(ends.remote.ip())
    {
        return Err(Closed::Unknown(name.clone()));
    }
    let until = timer.deadline();
    loop {
        match proxy_header::parse(buf).map_err(Closed::Bad)? {
            Some((header, len)) => {
                if let Some((client, server)) = header.ends {
                    (ends.client, ends.server) = (client, server);
                }
                if header.told != Told::default() {
                    let peer = ends.connection.as_ref().and_then(|known| known.peer.clone());
                    ends.connection = Some(Arc::new(Connection { proxied: proxied(&header.told), peer }));
                }
                buf.advance(len);
                return Ok(());
            }
            None => {
                buf.reserve(READ_BYTES);
                match read_until(reader, buf, timer.as_mut(), until).await {
                    Some(Ok(n)) if n > 0 => {}
                    _ if buf.is_empty() => return Err(Closed::Silent),
                    Some(_) => return Err(Closed::Cut),
                    None => return Err(Closed::Late),
                }
            }
        }
    }
}

fn proxied(told: &Told<'_>) -> Proxied {
    let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Proxied {
        alpn: text(told.alpn),
        authority: text(told.authority),
        ssl: told.ssl.map(|ssl| ClientSsl {
            ssl: ssl.ssl,
            cert_conn: ssl.cert_conn,
            cert_sess: ssl.cert_sess,
            verify: ssl.verify,
            version: text(ssl.version),
            cn: text(ssl.cn),
            cipher: text(ssl.cipher),
            sign: text(ssl.sig_alg),
            key: text(ssl.key_alg),
        }),
    }
}
