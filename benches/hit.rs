//! Micro benches of the hit path: what each part costs, and the whole of it without sockets.
//!
//! Run with `cargo bench --bench hit`. Ratios between two builds in one run mean something; single figures do not.

#[path = "costs.rs"]
mod costs;

use copal_backend::{Address, Backends, OriginOptions, Pool};
use copal_observe::clock::Clock;
use copal_observe::counters::Counters;
use copal_observe::histogram::Latencies;
use copal_pipeline::io::{BodyPlan, ClientGone, RequestBody, RequestSource, ResponseSink, SourceFault};
use copal_pipeline::{Core, Settings, Txn, Worker, serve};
use copal_policy::{Environment, Hook, KeyParts, Policy};
use copal_semantics::{Headers, RequestHead, ResponseHead, Rules, Span};
use copal_store::{KeyBuf, NewObject, StorageId, Store, StoreOptions, Times};
use copal_wire::{HeadScan, WireLimits};
use criterion::{Criterion, criterion_group};
use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// That of the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HEAD: &[u8] = b"GET /news/2026/11/a-page?b=2&a=1 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: text/html,application/xhtml+xml\r\nAccept-Language: en,de;q=0.7\r\nAccept-Encoding: gzip, br\r\nCookie: _ga=GA1.2.3.4; theme=dark\r\nConnection: keep-alive\r\n\r\n";

const POLICY: &str = r#"
fn recv(req) {
    if !req.is_get_or_head() || req.cookie.has("sessionid") { return pass(); }
    req.http.remove("cookie");
}
fn deliver(req, resp) {
    resp.http["x-cache"] = if resp.hits > 0 { "HIT" } else { "MISS" };
}
"#;

struct NoSource;
impl RequestSource for NoSource {
    fn kind(&self) -> RequestBody {
        RequestBody::None
    }
    async fn next(&mut self) -> Option<Result<bytes::Bytes, SourceFault>> {
        None
    }
    async fn gone(&mut self) {
        std::future::pending::<()>().await;
    }
}

/// Takes a response as a socket would: copied into one buffer.
#[derive(Default)]
struct Taken(Vec<u8>);
impl ResponseSink for Taken {
    async fn interim(&mut self, _: &ResponseHead) -> Result<(), ClientGone> {
        Ok(())
    }
    fn start(&mut self, head: &ResponseHead, _: BodyPlan) {
        self.0.clear();
        copal_wire::encode::response_head(head, &mut self.0);
    }
    async fn data(&mut self, piece: &[u8]) -> Result<(), ClientGone> {
        black_box(piece);
        Ok(())
    }
    async fn end(&mut self, _: &Headers) -> Result<(), ClientGone> {
        Ok(())
    }
    async fn abort(&mut self) {}
    fn close_after(&mut self) {}
    fn body_bytes(&self) -> u64 {
        0
    }
}

fn worker(policy: Arc<Policy>) -> Arc<Worker> {
    let origin = OriginOptions::new("app", Address::Tcp { host: "127.0.0.1".into(), port: 1 });
    let core = Core {
        store: Store::new(StoreOptions { size: 64 << 20, ..StoreOptions::default() }),
        backends: Backends::new(vec![origin], vec![]).expect("one origin"),
        counters: Counters::new(),
        latencies: Arc::new(Latencies::default()),
        clock: Clock::system(),
        rules: Rules::default(),
        settings: Settings {
            name: Arc::from("copal"),
            via: Arc::from("1.1 copal"),
            size: 64 << 20,
            max_restarts: 4,
            max_retries: 4,
            retry: copal_pipeline::Retrying::default(),
            shadow: copal_pipeline::Shadowing::default(),
            hit_for_miss: Span::from_secs(120),
            coalesce_wait: Duration::from_secs(10),
            transit_window: 1 << 18,
            purgers: None,
            invalidation: copal_pipeline::Invalidation::default(),
            pipe: copal_pipeline::Pipes::default(),
            jitter: copal_pipeline::Jitter::default(),
            ranges_max: 16,
            status_key: false,
        },
        policies: arc_swap::ArcSwap::new(copal_policy::Policies::of_one(policy)),
        access_log: None,
        witness: None,
    };
    Arc::new(Worker { core: Arc::new(core), pool: Arc::new(Pool::default()) })
}

impl Taken {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Puts the page of [`HEAD`] into the store.
async fn fill(worker: &Worker) {
    // Under the url as it comes, and as a policy that sorts the query has it.
    for url in ["/news/2026/11/a-page?b=2&a=1", "/news/2026/11/a-page?a=1&b=2"] {
        put(worker, url).await;
    }
}

async fn put(worker: &Worker, url: &str) {
    let mut parts = KeyParts::default();
    parts.add(url.as_bytes());
    parts.add(b"www.example.com");
    let mut key = KeyBuf::default();
    key.add(parts.bytes());
    let store = &worker.core.store;
    let head = ResponseHead::new(
        200,
        [
            ("Date", "Sat, 21 Nov 2026 10:00:00 GMT"),
            ("Server", "gunicorn"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("Cache-Control", "max-age=3600"),
            ("ETag", "\"0123456789abcdef\""),
            ("X-Frame-Options", "DENY"),
        ],
    );
    let (_, mut writer) = store.insert_streaming(NewObject {
        key: key.as_bytes(),
        hash: store.hash(key.as_bytes()),
        vary_names: &[],
        vary: &|_, _| {},
        head: &head.encode(),
        times: Times::fresh(worker.core.clock.now(), Span::from_secs(3600)),
        body_hint: Some(1024),
        tags: &[],
        storage: StorageId::MAIN,
    });
    writer.push(bytes::Bytes::from(vec![b'x'; 1024])).await.expect("a stored body takes every push");
    writer.finish(None);
}

fn txn(worker: &Worker) -> Txn {
    let addr = SocketAddr::from(([127, 0, 0, 1], 4000));
    Txn::new(&worker.core, addr, addr, Arc::from("host"))
}

fn hit(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limits = WireLimits::default();
    c.bench_function("find and parse a request head", |b| {
        let mut head = RequestHead::default();
        b.iter(|| {
            let end = HeadScan::default().find(HEAD, &limits).expect("valid").expect("whole");
            copal_wire::parse_request(&HEAD[..end], &limits, &mut head).expect("valid");
            black_box(&head);
        });
    });
    for (name, policy) in [
        ("a whole hit, built-in policy", Policy::builtin()),
        (
            "a whole hit, two hooks",
            Policy::compile("bench", POLICY, Arc::new(Environment::default())).expect("a policy"),
        ),
        ("a whole hit, four hooks", costs::policy(costs::SITE, false)),
        ("a whole hit, four hooks, interpreted", costs::policy(costs::SITE, true)),
    ] {
        let worker = worker(policy);
        runtime.block_on(fill(&worker));
        let mut txn = txn(&worker);
        let mut sink = Taken::default();
        c.bench_function(name, |b| {
            b.iter(|| {
                copal_wire::parse_request(HEAD, &limits, txn.request_mut()).expect("valid");
                runtime.block_on(serve(&worker, &mut txn, &mut NoSource, &mut sink));
            });
        });
        assert!(sink.text().contains("Cache-Status: copal; hit"), "it was no hit: {}", sink.text());
    }
}

/// Hooks alone. Each round begins with a copy of the request, which `no hook` has, too.
fn hooks(c: &mut Criterion) {
    let (native, interpreted) = (costs::policy(costs::SITE, false), costs::policy(costs::SITE, true));
    let (empty, empty_interpreted) = (costs::policy(costs::EMPTY, false), costs::policy(costs::EMPTY, true));
    let mut player = costs::Player::new();
    for (name, policy, hooks) in [
        ("no hook", &native, &[][..]),
        ("an undefined hook", &native, &[Hook::Miss]),
        ("an empty hook", &empty, &[Hook::Hit]),
        ("an empty hook, interpreted", &empty_interpreted, &[Hook::Hit]),
        ("a typical recv", &native, &[Hook::Recv]),
        ("a typical recv, interpreted", &interpreted, &[Hook::Recv]),
        ("recv, hash, hit and deliver", &native, &costs::FOUR),
        ("recv, hash, hit and deliver, interpreted", &interpreted, &costs::FOUR),
    ] {
        c.bench_function(name, |b| b.iter(|| player.play(policy, hooks)));
    }
}

criterion_group!(benches, hit, hooks);

fn main() {
    if std::env::args().any(|word| word == "--instructions") {
        return costs::run();
    }
    benches();
    Criterion::default().configure_from_args().final_summary();
}
