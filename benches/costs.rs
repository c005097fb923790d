//! What hooks and a hit cost in instructions. Not for the clock: `cargo run -p copal-xtask -- costs` runs this under
//! callgrind, which writes its count down each time [`costs_mark`] returns, and compares with the limits.

use super::{HEAD, NoSource, Taken, fill, txn, worker};
use copal_pipeline::serve;
use copal_policy::{Environment, Hook, ObjectVars, Policy, Scene};
use copal_semantics::{RequestHead, ResponseHead, Span};
use copal_wire::WireLimits;
use std::hint::black_box;
use std::sync::Arc;

/// The hooks of a site as the guide has it, one for each step of a hit.
pub(crate) const SITE: &str = r#"
fn recv(req) {
    if !req.is_get_or_head() || req.cookie.has("sessionid") { return pass(); }
    req.http.remove("cookie");
    req.url = query::sort(query::without(req.url, ["utm_*", "gclid", "fbclid"]));
}
fn hash(req, key) {
    key.add(req.url);
    key.add(std::tolower(req.http.host ?? ""));
    return lookup();
}
fn hit(req, obj) {
    if obj.ttl > duration("0s") { return deliver(); }
}
fn deliver(req, resp) {
    resp.http["x-cache"] = if resp.hits > 0 { "HIT" } else { "MISS" };
}
"#;

/// A hook that only decides, and one that does not even do that.
pub(crate) const EMPTY: &str = "fn hit(req, obj) { deliver() }\nfn deliver(req, resp) { }\n";
/// None of these runs on a hit.
const ELSEWHERE: &str = "fn backend_error(bereq, beresp) { beresp.http.x = \"1\"; }\nfn miss(req) { return pass(); }\n";

/// Compiles a policy; with `interpret` for the interpreter alone.
pub(crate) fn policy(source: &str, interpret: bool) -> Arc<Policy> {
    Policy::compile("bench", source, Arc::new(Environment { interpret, ..Environment::default() })).expect("a policy")
}

/// A request and a hit for it.
pub(crate) fn scene() -> Box<Scene> {
    let mut s = Box::<Scene>::default();
    s.req = RequestHead::get(
        "/news/2026/11/a-page?b=2&utm_source=x&a=1",
        [
            ("Host", "www.example.com"),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
            ("Accept", "text/html,application/xhtml+xml"),
            ("Accept-Language", "en,de;q=0.7"),
            ("Accept-Encoding", "gzip, br"),
            ("Cookie", "_ga=GA1.2.3.4; theme=dark"),
            ("Connection", "keep-alive"),
        ],
    );
    s.resp = ResponseHead::new(200, [("Content-Type", "text/html"), ("Cache-Control", "max-age=60")]);
    s.resp_vars.hits = 3;
    s.obj = Some(ObjectVars { ttl: Span::from_secs(60), ..ObjectVars::default() });
    s
}

/// Calls hooks on a scene that is as new each time.
pub(crate) struct Player {
    fresh: Box<Scene>,
    /// Moved into each call and back, as the pipeline does.
    scene: Option<Box<Scene>>,
}

impl Player {
    /// With a request and a hit.
    pub(crate) fn new() -> Self {
        Player { fresh: scene(), scene: Some(scene()) }
    }

    /// Runs the hooks, one after the other.
    pub(crate) fn play(&mut self, policy: &Arc<Policy>, hooks: &[Hook]) {
        let mut scene = self.scene.take().unwrap_or_default();
        scene.req.clone_from(&self.fresh.req);
        scene.resp.clone_from(&self.fresh.resp);
        scene.key.clear();
        for hook in hooks {
            // So does the pipeline ask, before it gives the scene away.
            if !policy.has(*hook) {
                continue;
            }
            let (back, result) = policy.call(*hook, scene);
            scene = back;
            black_box(result.expect("no fault"));
        }
        self.scene = Some(scene);
    }
}

/// Callgrind writes down what it has counted when this returns.
#[inline(never)]
pub(crate) fn costs_mark(step: usize) {
    black_box(step);
}

const WARM: usize = 20;
const FEW: usize = 40;
const MANY: usize = 120;

/// Says what was counted, and in how many rounds.
fn count(name: &str, mut once: impl FnMut()) {
    (0..WARM).for_each(|_| once());
    costs_mark(0);
    (0..FEW).for_each(|_| once());
    costs_mark(1);
    (0..FEW + MANY).for_each(|_| once());
    costs_mark(2);
    println!("{name}\t{MANY}");
}

/// The hooks of a hit.
pub(crate) const FOUR: [Hook; 4] = [Hook::Recv, Hook::Hash, Hook::Hit, Hook::Deliver];

/// Counts all. The xtask `costs` knows these names.
pub(crate) fn run() {
    let (native, interpreted) = (policy(SITE, false), policy(SITE, true));
    let (empty, empty_interpreted) = (policy(EMPTY, false), policy(EMPTY, true));
    assert!(FOUR.iter().all(|hook| native.native().has(*hook)), "the site's hooks run natively");
    let mut player = Player::new();
    count("no hook", || player.play(&native, &[]));
    count("undefined hook", || player.play(&native, &[Hook::Miss]));
    count("hook without statements", || player.play(&empty, &[Hook::Deliver]));
    count("empty hook", || player.play(&empty, &[Hook::Hit]));
    count("empty hook, interpreted", || player.play(&empty_interpreted, &[Hook::Hit]));
    count("typical recv", || player.play(&native, &[Hook::Recv]));
    count("typical recv, interpreted", || player.play(&interpreted, &[Hook::Recv]));
    count("four hooks", || player.play(&native, &FOUR));
    count("four hooks, interpreted", || player.play(&interpreted, &FOUR));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let limits = WireLimits::default();
    for (name, policy) in [
        ("whole hit, built-in policy", Policy::builtin()),
        ("whole hit, hooks elsewhere", policy(ELSEWHERE, false)),
        ("whole hit, four hooks", native),
        ("whole hit, four hooks, interpreted", interpreted),
    ] {
        let worker = worker(policy);
        runtime.block_on(fill(&worker));
        let mut txn = txn(&worker);
        let mut sink = Taken::default();
        count(name, || {
            copal_wire::parse_request(HEAD, &limits, txn.request_mut()).expect("valid");
            runtime.block_on(serve(&worker, &mut txn, &mut NoSource, &mut sink));
        });
        assert!(sink.text().contains("Cache-Status: copal; hit"), "it was no hit: {}", sink.text());
    }
}
