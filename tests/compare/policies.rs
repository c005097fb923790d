//! Policies in VCL and in Rhai: the same requests to both programs, the same origins behind them; everything that a client or an
//! origin can see must be the same, but for what the page says may differ, and why.
//!
//! `make compare` writes docs/varnish-policies.md. It fails when something differs that no page tells, and when something
//! does not differ that a page tells.

use super::origins::Origins;
use super::pages::{Difference, Page, folder, read};
use super::varnish::Varnish;
use crate::wire::COPAL;
use copal_cases::case::{Pace, Sent, State, What};
use copal_testkit::{Client, Proxy, Response, Seen};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

/// What is still done after a response: a renewal in the background, a body that is stored.
const SETTLE: Duration = Duration::from_millis(150);
/// Longest time that a page may let pass: it passes really.
const ADVANCE_MAX: Duration = Duration::from_secs(4);

/// Fields that say which program it is, which connection, or when: not compared, in either direction.
const OWN_RESPONSE: [&str; 15] = [
    "accept-ranges",
    "age",
    "cache-status",
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-status",
    "server",
    "transfer-encoding",
    "via",
    "x-copal",
    "x-request-id",
    "x-varnish",
    "retry-after",
];
const OWN_REQUEST: [&str; 7] =
    ["connection", "content-length", "host", "transfer-encoding", "via", "x-request-id", "x-varnish"];

/// One program in front of the origins.
trait Peer {
    fn addr(&self) -> SocketAddr;
    /// The owner's word on a backend.
    fn set(&self, backend: &str, state: State);
}

impl Peer for Varnish {
    fn addr(&self) -> SocketAddr {
        Varnish::addr(self)
    }
    fn set(&self, backend: &str, state: State) {
        self.say(&["backend.set_health", backend, word(state)]);
    }
}

impl Peer for Proxy {
    fn addr(&self) -> SocketAddr {
        Proxy::addr(self)
    }
    fn set(&self, backend: &str, state: State) {
        let admin = format!("unix:{}", self.admin().display());
        let out =
            Command::new(COPAL).args(["backend", "set", backend, word(state), "--admin", &admin]).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Sick => "sick",
        State::Healthy => "healthy",
        State::Auto => "auto",
        State::Down | State::Up => panic!("an origin's"),
    }
}

/// What one request did: "status" → "200", "header x-a" → "1", "asked" → "GET /a at app".
type Seeing = BTreeMap<String, String>;

#[test]
#[ignore = "needs varnishd; `make compare` runs it"]
fn compare_policies_in_vcl_and_in_rhai() {
    let only = std::env::var("COPAL_COMPARE").unwrap_or_default();
    let pages: Vec<Page> = read().into_iter().filter(|page| page.name.contains(&only)).collect();
    let next = std::sync::Mutex::new(pages.iter());
    let mut results = BTreeMap::new();
    // Most of it is waiting.
    thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let Some(page) = next.lock().unwrap().next() else { return done };
                // A page that cannot be played is told beside the others.
                let result = catch_unwind(AssertUnwindSafe(|| compare(page))).unwrap_or_else(|why| {
                    let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
                    (Vec::new(), Vec::new(), format!("{}: cannot be played: {why}\n", page.name))
                });
                done.push((page.name.clone(), result));
            }
        };
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            results.extend(thread.join().unwrap());
        }
    });
    let wrong: String = results.values().map(|(_, _, wrong)| wrong.as_str()).collect();
    assert!(wrong.is_empty(), "{wrong}");
    if only.is_empty() {
        let text = table(&pages, &results);
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/varnish-policies.md"), text).unwrap();
    }
}

/// The pages themselves are cases that Copal holds; this needs no Varnish.
#[test]
fn the_pages_that_are_compared_with_varnish_hold_as_cases() {
    let files = copal_cases::find(&[folder()]).unwrap_or_else(|wrong| panic!("{wrong:?}"));
    let suite = copal_cases::run::run(&files, copal_cases::run::Wanted::default());
    assert!(suite.holds(), "{}", copal_cases::report::text(&suite, false));
    assert!(suite.outcomes.len() >= 60, "{} policies", suite.outcomes.len());
}

type Result = (Vec<Seeing>, Vec<Seeing>, String);

fn compare(page: &Page) -> Result {
    let varnish = play(page, |origins| {
        let vcl = with_ports(page, origins, &page.vcl);
        // Compression is the compressing side's affair; the default of 14 rows of workers is more than a test needs.
        let args = ["-p", "http_gzip_support=off", "-p", "thread_pools=1", "-p", "thread_pool_min=20"];
        Box::new(Varnish::start(&vcl, "malloc,64m", &args))
    });
    let copal = play(page, |origins| {
        let binary = std::env::var_os("COPAL_BIN").map_or_else(|| COPAL.into(), PathBuf::from);
        let builder = Proxy::builder(binary.canonicalize().unwrap()).config(&with_ports(page, origins, &page.toml));
        Box::new(if page.rhai.is_empty() { builder } else { builder.policy(&page.rhai) }.start())
    });
    let mut wrong = String::new();
    let mut told = page.differences.clone();
    for (i, (v, c)) in varnish.iter().zip(&copal).enumerate() {
        let keys: std::collections::BTreeSet<&String> = v.keys().chain(c.keys()).collect();
        for key in keys.into_iter().filter(|key| v.get(*key) != c.get(*key)) {
            let known = told.iter().position(|d: &Difference| d.request == i + 1 && d.what == *key);
            if let Some(at) = known {
                told.remove(at);
                continue;
            }
            let show = |side: &Seeing| side.get(key).cloned().unwrap_or_else(|| "(none)".to_owned());
            writeln!(wrong, "{}: request {} {key}\n  Varnish {}\n  Copal   {}", page.name, i + 1, show(v), show(c))
                .unwrap();
        }
    }
    for Difference { request, what, .. } in told {
        writeln!(wrong, "{}: request {request} {what}: said to differ, and does not", page.name).unwrap();
    }
    (varnish, copal, wrong)
}

/// The ports of the page become those of the origins.
fn with_ports(page: &Page, origins: &Origins, text: &str) -> String {
    page.backends.iter().fold(text.to_owned(), |text, (name, port)| {
        text.replace(&port.to_string(), &origins.addr(name).port().to_string())
    })
}

fn play(page: &Page, start: impl FnOnce(&Origins) -> Box<dyn Peer>) -> Vec<Seeing> {
    let mut origins = Origins::start(page.backends.iter().map(|(name, _)| name.clone()));
    let peer = start(&origins);
    let mut all = Vec::new();
    for step in &page.case.steps {
        match &step.what {
            What::Origin(script) => origins.take(script),
            What::Advance(span) => {
                assert!(span.to_std() <= ADVANCE_MAX, "{}: time passes really", page.name);
                thread::sleep(span.to_std());
            }
            What::Backends(states) => {
                for (name, state) in states {
                    match state {
                        State::Down | State::Up => origins.set(name, *state),
                        State::Sick | State::Healthy | State::Auto => peer.set(name, *state),
                    }
                }
            }
            What::Client(client) => {
                assert!(client.pace == Pace::Waits, "{}: one after the other", page.name);
                for sent in &client.sends {
                    all.push(one(peer.addr(), client.from.map(|from| from.ip()), sent, &origins));
                }
            }
            What::Expect(_) => {}
            What::Reload(_) => panic!("{}: not played here", page.name),
        }
    }
    all
}

fn one(peer: SocketAddr, from: Option<IpAddr>, sent: &Sent, origins: &Origins) -> Seeing {
    let before = origins.seen().len();
    let mut client = match from {
        Some(IpAddr::V4(from)) => Client::connect_from(from, peer),
        Some(IpAddr::V6(_)) => panic!("loopback has one IPv6 address"),
        None => Client::connect(peer),
    };
    client.send_raw(&sent.bytes);
    let response = client.read_response();
    thread::sleep(SETTLE);
    seeing(&response, &origins.seen()[before..])
}

fn seeing(response: &Response, asked: &[(String, Seen)]) -> Seeing {
    let mut all = Seeing::new();
    all.insert("status".to_owned(), format!("{} {}", response.status, response.reason));
    all.insert("body".to_owned(), if response.complete { response.text() } else { "(cut)".to_owned() });
    fields(&mut all, "header", &response.headers, &OWN_RESPONSE);
    let requests: Vec<String> =
        asked.iter().map(|(name, seen)| format!("{} {} at {name}", seen.method, seen.path)).collect();
    all.insert("asked".to_owned(), requests.join(", "));
    for (_, seen) in asked {
        fields(&mut all, "asked header", &seen.headers, &OWN_REQUEST);
    }
    all
}

fn fields(all: &mut Seeing, what: &str, fields: &[(String, String)], own: &[&str]) {
    for (name, value) in fields {
        let name = name.to_ascii_lowercase();
        if !own.contains(&name.as_str()) {
            let lines = all.entry(format!("{what} {name}")).or_default();
            if !lines.is_empty() {
                lines.push_str(" | ");
            }
            lines.push_str(value);
        }
    }
}

/// A request in a word or two: "200 origin", "200 cache", "403 made here".
fn in_short(seeing: &Seeing) -> String {
    let status = seeing["status"].split(' ').next().unwrap_or_default();
    match seeing["asked"].split(", ").filter(|asked| !asked.is_empty()).count() {
        0 => format!("{status} 0"),
        n => format!("{status} {n}"),
    }
}

fn table(pages: &[Page], results: &BTreeMap<String, Result>) -> String {
    let requests: usize = results.values().map(|(varnish, ..)| varnish.len()).sum();
    let differing = pages.iter().filter(|page| !page.differences.is_empty()).count();
    let compared: usize = results.values().flat_map(|(varnish, ..)| varnish).map(BTreeMap::len).sum();
    let mut out = format!(
        "# The same policies in VCL and in Rhai\n\n\
         Written by `make compare` from the pages in `tests/compare/policies/`: {} policies, each in VCL and in Rhai, with one script of\n\
         requests and answers. Both programs run as processes before the same origins ({}; Copal with the settings that\n\
         [From VCL to Rhai](guide/from-vcl.md) gives for Varnish's defaults). Of each of the {requests} requests everything is compared that\n\
         a client or an origin sees: status and reason, all header fields, the body, and which requests came to which origin with which\n\
         fields: {compared} values. Not compared are the fields that name the program, the connection or the moment (`Age`, `Date`,\n\
         `Via`, `X-Request-Id`, `Cache-Status` and the like). Each page is also a page of policy cases, which `make test` runs.\n\n\
         {} policies do the same in everything. In {differing} something differs where an RFC or Copal's own interface asks for it; each\n\
         is listed below with its reason. Anything else would be a fault, to be mended and not listed.\n\n\
         The last column: for each request the status, and how many requests of the origins it cost.\n\n\
         | policy | | requests | seen |\n|---|---|---|---|\n",
        pages.len(),
        Varnish::installed(),
        pages.len() - differing,
    );
    for page in pages {
        let (varnish, copal, _) = &results[&page.name];
        let short = |side: &[Seeing]| side.iter().map(in_short).collect::<Vec<_>>().join(", ");
        let (v, c) = (short(varnish), short(copal));
        let seen = if v == c { v } else { format!("Varnish {v}; Copal {c}") };
        let link = format!("[{}](../tests/compare/policies/{}.md)", page.name, page.name);
        writeln!(out, "| {link} | {} | {} | {seen} |", page.title, varnish.len()).unwrap();
    }
    out.push_str("\n## What differs, and why\n\n| policy | request | what | why |\n|---|---|---|---|\n");
    for page in pages {
        for Difference { request, what, reason } in &page.differences {
            writeln!(out, "| {} | {request} | {what} | {reason} |", page.name).unwrap();
        }
    }
    out
}
