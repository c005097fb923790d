//! `POST /explain`: a request run through the pipeline as if it had come to a listener, with everything noted.
//!
//! It is a real request: it counts, it is logged, an origin is asked where one would be, and what is cacheable is stored.
//! Nobody else can have a request traced: no field of a visitor's request switches anything on, so none has to be guarded.

use super::api::{parameter, parameters};
use crate::front::h1::FrontLimits;
use bytes::Bytes;
use copal_observe::explain::{Explanation, Question};
use copal_observe::trace::ENTRIES_MAX;
use copal_pipeline::io::{BodyPlan, ClientGone, RequestBody, RequestSource, ResponseSink, SourceFault};
use copal_pipeline::{Tracer, Txn, Worker};
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_wire::{HeadScan, WireError};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// For the whole response: half of what the command waits, so that it always gets what was noted.
const SERVE_TIMEOUT: Duration = Duration::from_secs(30);
/// For what goes on after the response: a refresh in the background, mostly.
const AFTERMATH_TIMEOUT: Duration = Duration::from_secs(5);

/// Where requests come in.
pub(crate) struct Listener {
    /// As it was printed at the start: "127.0.0.1:6081", "unix:/run/copal.sock".
    pub(crate) name: String,
    pub(crate) local: SocketAddr,
    pub(crate) limits: Arc<FrontLimits>,
}

/// What a request finds at our end.
pub(crate) struct House {
    pub(crate) listeners: Vec<Listener>,
    pub(crate) hostname: Arc<str>,
}

impl House {
    /// The addresses of the listeners, in the order of the configuration.
    pub(super) fn names(&self) -> Vec<&str> {
        self.listeners.iter().map(|listener| listener.name.as_str()).collect()
    }
}

/// Runs the request that the query describes, and tells of it.
///
/// # Errors
/// What is wrong with the query, or why the listener would refuse the request before the pipeline sees it.
pub(super) async fn explain(worker: &Arc<Worker>, house: &House, query: &str) -> Result<Explanation, String> {
    let core = &worker.core;
    let url = parameter(query, "url").ok_or("which URL? POST /explain?url=http://host/path")?;
    let target = Target::of(&url)?;
    let listener = choose(house, parameter(query, "listener").as_deref(), &target)?;
    let client = match parameter(query, "client") {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some(text) => text.parse().map_err(|_| format!("`{text}` is no IP address"))?,
    };
    let method = parameter(query, "method").unwrap_or_else(|| "GET".to_owned());
    let lines: Option<Vec<String>> = parameters(query, "header").collect();
    let head = head(&method, &target, &lines.ok_or("a header line is not UTF-8")?)?;

    let mut txn = Txn::new(core, SocketAddr::new(client, 0), listener.local, Arc::clone(&house.hostname));
    txn.obeyed = listener.limits.obeyed;
    parse(&head, &listener.limits, txn.request_mut())?;
    let policy = core.policies.load().for_host(txn.req().headers.get("host")).name().to_owned();
    let question = Question { method, url, listener: listener.name.clone(), policy };

    let (tracer, mut noted) = Tracer::on();
    txn.trace = tracer;
    let mut sink = Counted::default();
    let served = timeout(SERVE_TIMEOUT, copal_pipeline::serve(worker, &mut txn, &mut NoBody, &mut sink)).await;
    // The request notes nothing any more; fetches that it caused may.
    drop(txn);
    let mut entries = Vec::new();
    let over = timeout(AFTERMATH_TIMEOUT, noted.all(&mut entries)).await;
    let incomplete = if served.is_err() {
        Some(format!("after {SERVE_TIMEOUT:?} the response was not complete; the request was given up"))
    } else if over.is_err() {
        Some(format!("a fetch that this request caused was still running after {AFTERMATH_TIMEOUT:?}"))
    } else {
        (entries.len() >= ENTRIES_MAX).then(|| format!("only the first {ENTRIES_MAX} entries are kept"))
    };
    Ok(copal_observe::explain::explain(&question, &entries, incomplete))
}

/// A URL cut into what a request is made of.
struct Target {
    host: String,
    port: Option<u16>,
    path: String,
}

impl Target {
    fn of(url: &str) -> Result<Target, String> {
        let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")).unwrap_or(url);
        let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if host.is_empty() || url.bytes().any(|b| b <= b' ' || b == 0x7f) {
            return Err(format!("`{url}` names no host: use http://host/path"));
        }
        if url.contains('#') {
            return Err(format!("`{url}` has a fragment, which is never sent: leave out what begins with #"));
        }
        // A colon inside of brackets is part of an IPv6 address.
        let port = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map(|(_, port)| port);
        let port = match port {
            None => None,
            Some(text) => Some(text.parse().map_err(|_| format!("`{text}` in `{url}` is no port"))?),
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Target { host: host.to_owned(), port, path })
    }
}

/// The listener that is named; else the one with the port of the URL; else, when the URL has none, the first.
fn choose<'h>(house: &'h House, named: Option<&str>, target: &Target) -> Result<&'h Listener, String> {
    let all = &house.listeners;
    let list = || all.iter().map(|listener| listener.name.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (named, target.port) {
        (Some(name), _) => all.iter().find(|listener| {
            listener.name == name || (listener.local.port() != 0 && name.parse() == Ok(listener.local.port()))
        }),
        (None, Some(port)) => all.iter().find(|listener| listener.local.port() == port),
        (None, None) => all.first(),
    };
    found.ok_or_else(|| match (named, target.port) {
        (Some(name), _) => format!("there is no listener {name}; there is {}", list()),
        (None, port) => format!(
            "no listener has port {}; there is {}. Name the one that such requests come to: --listener ADDR",
            port.unwrap_or_default(),
            list()
        ),
    })
}

/// The bytes of the head, as a client would send them: so what is wrong with it is found where it always is.
fn head(method: &str, target: &Target, lines: &[String]) -> Result<Vec<u8>, String> {
    let mut head = format!("{method} {} HTTP/1.1\r\n", target.path);
    let named = |line: &str| line.split_once(':').is_some_and(|(name, _)| name.eq_ignore_ascii_case("host"));
    if !lines.iter().any(|line| named(line)) {
        let _infallible = write!(head, "Host: {}\r\n", target.host);
    }
    for line in lines {
        if line.contains(['\r', '\n']) || !line.contains(':') {
            return Err(format!("`{}` is no header line: use 'Name: value'", line.escape_debug()));
        }
        let _infallible = write!(head, "{line}\r\n");
    }
    head.push_str("\r\n");
    Ok(head.into_bytes())
}

/// The checks of the front, with the limits of the listener.
fn parse(head: &[u8], limits: &FrontLimits, req: &mut RequestHead) -> Result<(), String> {
    let refused = |error: WireError| format!("the listener would refuse this request with {}: {error}", error.status());
    let end = HeadScan::default().find(head, &limits.wire).map_err(refused)?;
    if end != Some(head.len()) {
        return Err("this is more than one request head".to_owned());
    }
    copal_wire::parse_request(head, &limits.wire, req).map_err(refused)?;
    let framing = copal_wire::framing::request_framing(req).map_err(refused)?;
    if framing.is_empty() { Ok(()) } else { Err("explain sends no request body: leave out its framing".to_owned()) }
}

struct NoBody;

impl RequestSource for NoBody {
    fn kind(&self) -> RequestBody {
        RequestBody::None
    }
    async fn next(&mut self) -> Option<Result<Bytes, SourceFault>> {
        None
    }
    async fn gone(&mut self) {
        // Nobody who could leave: the admin's own time limit ends it.
        std::future::pending::<()>().await;
    }
}

/// A client that takes everything at once and keeps nothing: the head is in the trace.
#[derive(Default)]
struct Counted {
    body_bytes: u64,
}

impl ResponseSink for Counted {
    async fn interim(&mut self, _: &ResponseHead) -> Result<(), ClientGone> {
        Ok(())
    }
    fn start(&mut self, _: &ResponseHead, _: BodyPlan) {}
    async fn data(&mut self, piece: &[u8]) -> Result<(), ClientGone> {
        self.body_bytes += piece.len() as u64;
        Ok(())
    }
    async fn end(&mut self, _: &Headers) -> Result<(), ClientGone> {
        Ok(())
    }
    async fn abort(&mut self) {}
    fn close_after(&mut self) {}
    fn body_bytes(&self) -> u64 {
        self.body_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_cut_into_host_port_and_path() {
        for (url, host, port, path) in [
            ("http://a.example/x?y=1", "a.example", None, "/x?y=1"),
            ("https://a.example:8443", "a.example:8443", Some(8443), "/"),
            ("a.example?q", "a.example", None, "/?q"),
            ("http://[::1]/", "[::1]", None, "/"),
            ("http://[::1]:6081/", "[::1]:6081", Some(6081), "/"),
        ] {
            let target = Target::of(url).unwrap();
            assert_eq!((target.host.as_str(), target.port, target.path.as_str()), (host, port, path), "{url}");
        }
        for url in ["/path", "", "http://a b/", "http://a/#top", "http://a:b/", "http://a:99999/"] {
            assert!(Target::of(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_header_line_cannot_smuggle_another_one() {
        let target = Target::of("http://a/").unwrap();
        assert!(head("GET", &target, &["X: a\r\nY: b".to_owned()]).is_err());
        assert!(head("GET", &target, &["no colon".to_owned()]).is_err());
        let own = head("GET", &target, &["host: b".to_owned()]).unwrap();
        assert_eq!(own, b"GET / HTTP/1.1\r\nhost: b\r\n\r\n");
    }
}
