//! Every edge of both tables is taken: requests through the real machines, with a policy that does what a header says and
//! an origin on loopback.

use crate::core::{Core, Settings, Worker};
use crate::io::{BodyPlan, ClientGone, RequestBody, RequestSource, ResponseSink, SourceFault};
use crate::step::{CLIENT_EDGES, FETCH_EDGES};
use crate::txn::Txn;
use bytes::Bytes;
use copal_backend::{Address, Backends, OriginOptions, Pool};
use copal_observe::clock::Clock;
use copal_observe::counters::Counters;
use copal_observe::histogram::Latencies;
use copal_policy::{Acl, Environment, Policy};
use copal_semantics::{Headers, RequestHead, ResponseHead, Rules, Span, Time};
use copal_store::{Store, StoreOptions};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    static SEEN: RefCell<BTreeSet<(&'static str, &'static str)>> = const { RefCell::new(BTreeSet::new()) };
}

/// The drivers tell of each transition here.
pub(crate) fn saw(from: &'static str, to: &'static str) {
    SEEN.with_borrow_mut(|seen| seen.insert((from, to)));
}

/// Does in each hook what the header of that hook's name says.
const POLICY: &str = r#"
fn recv(req) {
    let what = if req.restarts > 0 && !req.http.has("x-again") { "" } else { req.http["x-recv"] ?? "" };
    if what == "pass" { return pass(); }
    if what == "synth" { return synth(200, "Made"); }
    if what == "restart" { return restart(); }
    if req.restarts > 0 && req.method == "PURGE" { req.method = "GET"; return lookup(); }
}
fn hash(req, key) { if req.http.has("x-hash-fault") { throw "no key"; } }
fn hit(req, obj) {
    let what = if req.restarts > 0 { "" } else { req.http["x-hit"] ?? "" };
    if what == "miss" { return miss(); }
    if what == "pass" { return pass(); }
    if what == "synth" { return synth(200, "Hit"); }
    if what == "restart" { return restart(); }
}
fn miss(req) {
    let what = if req.restarts > 0 { "" } else { req.http["x-miss"] ?? "" };
    if what == "pass" { return pass(); }
    if what == "synth" { return synth(200, "Miss"); }
    if what == "restart" { return restart(); }
}
fn pass(req) {
    let what = if req.restarts > 0 { "" } else { req.http["x-pass"] ?? "" };
    if what == "synth" { return synth(200, "Pass"); }
    if what == "restart" { return restart(); }
}
fn purge(req, count) { if req.http.has("x-purge-restart") { return restart(); } }
fn synth(req, resp) { if req.http.has("x-synth-restart") && req.restarts == 0 { return restart(); } }
fn deliver(req, resp) {
    let what = if req.restarts > 0 { "" } else { req.http["x-deliver"] ?? "" };
    if what == "synth" && resp.status == 200 { req.http.remove("x-deliver"); return synth(404, "Instead"); }
    if what == "restart" { return restart(); }
}
fn backend_fetch(bereq) {
    let what = bereq.http["x-backend-fetch"] ?? "";
    if what == "error" { return error(503, "Not now"); }
    if what == "abandon" { return abandon(); }
}
fn backend_refresh(bereq, beresp, stale) {
    let what = bereq.http["x-refresh"] ?? "";
    if what == "error" { return error(503, "Not now"); }
    if what == "abandon" { return abandon(); }
    if what == "retry" { bereq.http.remove("if-none-match"); bereq.http.remove("x-refresh"); return retry(); }
}
fn backend_response(bereq, beresp) {
    let what = bereq.http["x-response"] ?? "";
    if what == "error" { return error(503, "Not now"); }
    if what == "abandon" { return abandon(); }
    if what == "retry" { return retry(); }
    if what == "pass" { return pass(duration("60s")); }
}
fn backend_error(bereq, beresp) { if bereq.http.has("x-error-retry") && bereq.retries == 0 { return retry(); } }
"#;

/// `/fresh*` for an hour; `/valid*` to be validated each time; `/once*` the same, and then the connection is cut.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream);
        }
    });
    addr
}

fn answer(mut stream: TcpStream) {
    let (mut head, mut piece) = (Vec::new(), [0u8; 4096]);
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(n) if n > 0 => head.extend_from_slice(&piece[..n]),
            Ok(_) | Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let conditional = head.contains("if-none-match");
    let reply = if path.starts_with("/once") && conditional {
        return;
    } else if conditional {
        "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nCache-Control: max-age=0\r\nConnection: close\r\n\r\n"
    } else if path.starts_with("/fresh") {
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    } else {
        "HTTP/1.1 200 OK\r\nETag: \"a\"\r\nCache-Control: max-age=0\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    };
    // A client that is gone has its answer.
    let _gone = stream.write_all(reply.as_bytes());
}

/// A request without a body; `leaves` tells whether its client is seen to leave as soon as it has to wait.
struct Nothing {
    leaves: bool,
}
impl RequestSource for Nothing {
    fn kind(&self) -> RequestBody {
        RequestBody::None
    }
    async fn next(&mut self) -> Option<Result<Bytes, SourceFault>> {
        None
    }
    async fn gone(&mut self) {
        if !self.leaves {
            std::future::pending::<()>().await;
        }
    }
}

#[derive(Default)]
struct Taken {
    status: u16,
    body: Vec<u8>,
    whole: bool,
}
impl ResponseSink for Taken {
    async fn interim(&mut self, _: &ResponseHead) -> Result<(), ClientGone> {
        Ok(())
    }
    fn start(&mut self, head: &ResponseHead, _: BodyPlan) {
        self.status = head.status;
    }
    async fn data(&mut self, piece: &[u8]) -> Result<(), ClientGone> {
        self.body.extend_from_slice(piece);
        Ok(())
    }
    async fn end(&mut self, _: &Headers) -> Result<(), ClientGone> {
        self.whole = true;
        Ok(())
    }
    async fn abort(&mut self) {}
    fn close_after(&mut self) {}
    fn body_bytes(&self) -> u64 {
        self.body.len() as u64
    }
}

fn worker(origin: SocketAddr, clock: Clock) -> Arc<Worker> {
    let address = Address::Tcp { host: origin.ip().to_string(), port: origin.port() };
    let policy = Policy::compile("edges.rhai", POLICY, Arc::new(Environment::default())).expect("the policy is right");
    let core = Core {
        store: Store::new(StoreOptions::default()),
        backends: Backends::new(vec![OriginOptions::new("app", address)], vec![]).expect("one origin"),
        counters: Counters::new(),
        latencies: Arc::new(Latencies::default()),
        clock,
        rules: Rules::default(),
        settings: Settings {
            name: Arc::from("copal"),
            via: Arc::from("1.1 copal"),
            size: 1 << 20,
            max_restarts: 2,
            max_retries: 2,
            hit_for_miss: Span::from_secs(120),
            coalesce_wait: Duration::from_secs(5),
            object_size_max: 1 << 20,
            transit_window: 1 << 16,
            purgers: Some(Acl::parse(["127.0.0.0/8"]).expect("an acl")),
            invalidation: crate::Invalidation::default(),
            jitter: crate::Jitter::default(),
            ranges_max: 4,
            status_key: false,
        },
        policy: arc_swap::ArcSwap::new(policy),
        access_log: None,
        witness: None,
    };
    Arc::new(Worker { core: Arc::new(core), pool: Arc::new(Pool::default()) })
}

/// Method, URL, fields, and the status that must come.
type Asked<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);

async fn ask(worker: &Arc<Worker>, method: &str, url: &str, fields: &[(&str, &str)]) -> u16 {
    let addr = SocketAddr::from(([127, 0, 0, 1], 4000));
    let mut txn = Txn::new(&worker.core, addr, addr, Arc::from("host"));
    let mut req = RequestHead::get(url, fields.iter().copied().chain([("Host", "a.example")]));
    req.method = method.parse().expect("a method");
    *txn.request_mut() = req;
    let mut taken = Taken::default();
    crate::serve(worker, &mut txn, &mut Nothing { leaves: false }, &mut taken).await;
    assert!(taken.whole, "{method} {url} {fields:?} was not finished");
    // What still runs in the background is let finish.
    while worker.core.counters.get(copal_observe::counters::Counter::FetchesRunning) > 0 {
        tokio::task::yield_now().await;
    }
    taken.status
}

/// A client that leaves as soon as it has to wait.
async fn leave(worker: &Arc<Worker>, method: &str, url: &str) {
    let addr = SocketAddr::from(([127, 0, 0, 1], 4000));
    let mut txn = Txn::new(&worker.core, addr, addr, Arc::from("host"));
    let mut req = RequestHead::get(url, [("Host", "a.example")]);
    req.method = method.parse().expect("a method");
    *txn.request_mut() = req;
    let mut taken = Taken::default();
    crate::serve(worker, &mut txn, &mut Nothing { leaves: true }, &mut taken).await;
    assert_eq!((taken.status, taken.whole), (0, false), "{method} {url}");
}

#[test]
fn every_edge_of_both_tables_is_taken() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let clock = Clock::manual(Time::from_secs(1_700_000_000));
    let worker = worker(origin(), clock.clone());
    let plan: &[Asked] = &[
        ("GET", "/fresh", &[], 200),
        ("GET", "/fresh", &[], 200),
        ("GET", "/fresh", &[("x-hit", "miss")], 200),
        ("GET", "/fresh", &[("x-hit", "pass")], 200),
        ("GET", "/fresh", &[("x-hit", "synth")], 200),
        ("GET", "/fresh", &[("x-hit", "restart")], 200),
        ("GET", "/fresh", &[("x-deliver", "synth")], 404),
        ("GET", "/fresh", &[("x-deliver", "restart")], 200),
        ("GET", "/fresh-1", &[("x-miss", "pass")], 200),
        ("GET", "/fresh-2", &[("x-miss", "synth")], 200),
        ("GET", "/fresh-3", &[("x-miss", "restart")], 200),
        ("GET", "/fresh-4", &[("Cache-Control", "only-if-cached")], 504),
        ("GET", "/fresh-5", &[("x-hash-fault", "1")], 503),
        ("GET", "/fresh-6", &[("x-response", "pass")], 200),
        ("GET", "/fresh-6", &[], 200),
        ("POST", "/fresh", &[], 200),
        ("POST", "/fresh", &[("x-pass", "synth")], 200),
        ("POST", "/fresh", &[("x-pass", "restart")], 200),
        ("GET", "/any", &[("x-recv", "synth")], 200),
        ("GET", "/any", &[("x-recv", "synth"), ("x-synth-restart", "1")], 200),
        ("GET", "/any", &[("x-recv", "restart")], 200),
        ("GET", "/any", &[("x-recv", "restart"), ("x-again", "1")], 503),
        ("PURGE", "/fresh", &[], 200),
        ("PURGE", "/fresh", &[("x-purge-restart", "1")], 200),
        ("GET", "/fresh-7", &[("x-backend-fetch", "error")], 503),
        ("GET", "/fresh-8", &[("x-backend-fetch", "abandon")], 503),
        ("GET", "/fresh-9", &[("x-response", "error")], 503),
        ("GET", "/fresh-10", &[("x-response", "abandon")], 503),
        ("GET", "/fresh-11", &[("x-response", "retry")], 503),
        ("GET", "/fresh-12", &[("x-backend-fetch", "error"), ("x-error-retry", "1")], 503),
        ("GET", "/valid", &[], 200),
        ("GET", "/valid", &[], 200),
        ("GET", "/valid", &[("x-refresh", "error")], 503),
        ("GET", "/valid", &[("x-refresh", "abandon")], 503),
        ("GET", "/valid", &[("x-refresh", "retry")], 200),
        ("GET", "/once", &[], 200),
        ("GET", "/once", &[], 200),
    ];
    runtime.block_on(async {
        for (method, url, fields, wanted) in plan {
            let status = ask(&worker, method, url, fields).await;
            assert_eq!(status, *wanted, "{method} {url} {fields:?}");
            clock.advance(Span::from_secs(1));
        }
    });
    runtime.block_on(async {
        leave(&worker, "POST", "/fresh").await;
        leave(&worker, "GET", "/fresh-13").await;
        leave(&worker, "GET", "/fresh-13").await;
        // Their fetches have not begun to run.
        tokio::task::yield_now().await;
        while worker.core.counters.get(copal_observe::counters::Counter::FetchesRunning) > 0 {
            tokio::task::yield_now().await;
        }
    });
    let seen = SEEN.take();
    let client = CLIENT_EDGES.iter().map(|(from, to, _)| (from.name(), to.name()));
    let fetch = FETCH_EDGES.iter().map(|(from, to, _)| (from.name(), to.name()));
    let missing: Vec<_> = client.chain(fetch).filter(|edge| !seen.contains(edge)).collect();
    assert!(missing.is_empty(), "edges that no request took: {missing:?}");
}
