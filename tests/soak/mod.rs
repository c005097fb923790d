//! Everything at once: hits, misses, passes and purges over many connections while the origin is killed and restarted.
//!
//! ```text
//! load (own client, or wrk) ──▶ copal ──▶ origin, killed and restarted all the while
//!      every body names its URL and carries a checksum      memory is watched
//! ```
//!
//! The short test is one of the set. The long ones are run by `make soak`, one after the other: each takes
//! `COPAL_SOAK_SECONDS` (60) and some 3,000 file descriptors (`ulimit -n 8192`).

mod churn;
mod load;
mod origin;
mod page;
mod wrk;

use crate::wire::COPAL;
use copal_testkit::{Proxy, wait};
use load::Tally;
use origin::Unsteady;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// The ceiling on the store.
const SIZE_MIB: u64 = 8;
/// What Copal may need beside its store, stated: the process itself, what the allocator holds free or in pages that are
/// partly used, and bodies that clients still read after their eviction.
const OVERHEAD_MIB: u64 = 64;
/// And for each connection: its buffers, its tasks, a connection to the origin, and bodies on their way.
const CONNECTION_KIB: u64 = 64;

fn proxy(origin: &Unsteady) -> Proxy {
    let toml = format!(
        "[cache]\nsize = \"{SIZE_MIB}MiB\"\n[backend.app]\naddress = \"{}\"\nmax_connections = 4000\nfirst_byte_timeout = \"3s\"\n\
         between_bytes_timeout = \"3s\"\n[acl]\nlocal = [\"127.0.0.1\"]\n[purge]\nacl = \"local\"",
        origin.addr()
    );
    let policy = "fn recv(req) { if req.url.starts_with(\"/pass/\") { return pass(); } }\n\
                  fn deliver(req, resp) { resp.http[\"x-url\"] = req.url; }";
    // `make soak` names the release build.
    let binary = std::env::var_os("COPAL_BIN").map_or_else(|| COPAL.into(), PathBuf::from);
    let binary = binary.canonicalize().unwrap_or_else(|error| panic!("COPAL_BIN {}: {error}", binary.display()));
    Proxy::builder(binary).config(&toml).policy(policy).env("COPAL_LOG", "error").start()
}

/// Runs `load` while the origin comes and goes and memory is watched, and checks what must hold whatever the load saw.
fn under_attack<T>(connections: u64, load: impl FnOnce(&Proxy) -> T) -> (T, Proxy) {
    let mut origin = Unsteady::start();
    let proxy = proxy(&origin);
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    let seen = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(700));
                origin.kill();
                thread::sleep(Duration::from_millis(200));
                origin.revive();
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                peak.fetch_max(proxy.rss_kib(), Ordering::SeqCst);
                let (bytes, ceiling) = (proxy.stat("bytes"), i64::try_from(SIZE_MIB << 20).unwrap());
                // Bodies on their way count too and are let through before there is room: 1/16 beyond, for a moment.
                assert!(bytes <= ceiling + ceiling / 16, "{bytes} bytes in a store of {ceiling}");
                thread::sleep(Duration::from_millis(100));
            }
        });
        // Whatever happens, the others must end, or the scope never does.
        struct Over<'a>(&'a AtomicBool);
        impl Drop for Over<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let _over = Over(&over);
        load(&proxy)
    });
    proxy.wait_stat("client_requests_running", |n| n == 0, wait::PATIENCE);
    proxy.wait_stat("fetches_running", |n| n == 0, wait::PATIENCE);
    let (peak, allowed) = (peak.into_inner() / 1024, SIZE_MIB + OVERHEAD_MIB + connections * CONNECTION_KIB / 1024);
    println!("memory: {peak} MiB at most, {allowed} allowed; {}", counters(&proxy));
    assert!(peak <= allowed, "{peak} MiB of memory, {allowed} allowed");
    for name in ["hits_fresh", "misses", "passes", "purges", "hit_for_miss", "fetches_failed", "evictions"] {
        assert!(proxy.stat(name) > 0, "the load had no {name}: {}", counters(&proxy));
    }
    assert_eq!(proxy.stat("policy_errors"), 0);
    assert_eq!(copal_testkit::get(proxy.addr(), "/hit/after", &[]).status, 200, "it lives, and the origin too");
    (seen, proxy)
}

fn counters(proxy: &Proxy) -> String {
    let names = [
        "client_requests",
        "hits_fresh",
        "hits_stale_error",
        "hits_coalesced",
        "misses",
        "hit_for_miss",
        "passes",
        "purges",
    ];
    let more = ["fetches", "fetches_failed", "fetch_reconnects", "aborted_deliveries", "evictions", "objects", "bytes"];
    names.iter().chain(&more).map(|name| format!("{name} {}", proxy.stat(name))).collect::<Vec<_>>().join(", ")
}

#[track_caller]
fn all_was_right(tally: &Tally) {
    println!("{tally:?}");
    assert!(tally.wrong.is_empty(), "{:?}", tally.wrong);
    assert_eq!(tally.hung, 0, "{tally:?}");
    assert!(tally.right > 100 && tally.purged > 0, "{tally:?}");
}

fn seconds() -> Duration {
    Duration::from_secs(std::env::var("COPAL_SOAK_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(60))
}

#[test]
fn no_body_is_wrong_and_no_request_hangs_while_the_origin_comes_and_goes() {
    let (tally, _) = under_attack(100, |proxy| load::run(proxy.addr(), 100, Duration::from_secs(4)));
    all_was_right(&tally);
}

#[test]
#[ignore = "make soak: a minute, and a thousand connections"]
fn soak_with_our_own_client() {
    let (tally, _) = under_attack(1000, |proxy| load::run(proxy.addr(), 1000, seconds()));
    all_was_right(&tally);
}

#[test]
#[ignore = "make soak: a minute, and a thousand connections; needs wrk"]
fn soak_with_wrk() {
    let (report, _) = under_attack(1000, |proxy| wrk::run(proxy.addr(), 1000, seconds()));
    let Some(report) = report else { return println!("wrk is not installed: apt-get install wrk") };
    println!("{report:?}");
    assert!(report.right > 1000, "{report:?}");
    assert_eq!((report.wrong, report.hung), (0, 0), "{report:?}");
    assert!(report.spliced <= report.cut, "{report:?}");
}
