//! Memory under churn: bodies from 100 B to 20 MB, hits, misses, clients that read slowly, leave in the middle, and streams that
//! are not cacheable, against a store of 256 MiB; how much is resident, all the time.
//!
//! ```text
//! 64 clients ──▶ copal (or varnishd) ──▶ origin that makes up bodies as it sends them        /proc/…/status ten times a second
//! ```
//!
//! `make churn` runs it for `COPAL_CHURN_SECONDS` (600) against both; the short run is one of the set.

use crate::compare::Varnish;
use crate::wire::COPAL;
use copal_testkit::Proxy;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};

const SIZE_MIB: u64 = 256;
/// What the process may need beside its store, as in `soak`, and for each connection.
const OVERHEAD_MIB: u64 = 64;
const CONNECTION_KIB: u64 = 64;
const CLIENTS: u64 = 64;
/// Different pages: some 2 GB in all, so that most must go.
const PAGES: u64 = 2_000;
/// An answer that makes no progress for that long hangs.
const HANGS: Duration = Duration::from_secs(30);

/// The size of a page: from 100 B to 20 MB, as many between 100 B and 1 kB as between 1 MB and 10 MB.
fn bytes_of(page: u64) -> u64 {
    let dice = page.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let share = dice as f64 / f64::from(u32::MAX);
    (100.0 * 200_000f64.powf(share)) as u64
}

/// `/page/N` may be stored, `/stream/N` may not and comes in chunks.
async fn origin(listener: TcpListener) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let filler = vec![b'x'; 64 << 10];
            let mut buffer = Vec::new();
            loop {
                while !buffer.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut buffer).await? == 0 {
                        return Ok(());
                    }
                }
                let request = String::from_utf8_lossy(&buffer).into_owned();
                buffer.clear();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let number = path.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or(0);
                let chunked = path.starts_with("/stream/");
                let mut left = bytes_of(number);
                let head = if chunked {
                    "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned()
                } else {
                    format!("HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {left}\r\n\r\n")
                };
                stream.write_all(head.as_bytes()).await?;
                while left > 0 {
                    let n = left.min(filler.len() as u64);
                    let piece = &filler[..n as usize];
                    if chunked {
                        stream.write_all(format!("{n:x}\r\n").as_bytes()).await?;
                        stream.write_all(piece).await?;
                        stream.write_all(b"\r\n").await?;
                    } else {
                        stream.write_all(piece).await?;
                    }
                    left -= n;
                }
                if chunked {
                    stream.write_all(b"0\r\n\r\n").await?;
                }
            }
            #[expect(unreachable_code, reason = "it names the type of the error")]
            Ok::<_, std::io::Error>(())
        });
    }
}

/// What came of the load.
#[derive(Debug, Default)]
struct Tally {
    whole: AtomicU64,
    bytes: AtomicU64,
    left: AtomicU64,
    slow: AtomicU64,
    failed: AtomicU64,
    hung: AtomicU64,
    /// Answers with fewer or more bytes than the page has.
    wrong: AtomicU64,
}

/// One visitor: request after request, each on a connection of its own.
async fn client(addr: SocketAddr, number: u64, until: Instant, tally: Arc<Tally>) {
    let mut dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while Instant::now() < until {
        // xorshift64: as even as this needs.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let what = dice % 100;
        // A few pages are asked for most: the smaller of two draws, twice.
        let draw = |n: u32| (dice >> (n * 10)) % PAGES;
        let page = draw(1).min(draw(2)).min(draw(3));
        let path = if what < 12 { format!("/stream/{page}") } else { format!("/page/{page}") };
        let leaves = (12..20).contains(&what) || what < 3;
        let slow = (20..28).contains(&what) || (3..6).contains(&what);
        visit(addr, &path, bytes_of(page), leaves, slow, &tally).await;
    }
}

async fn visit(addr: SocketAddr, path: &str, bytes: u64, leaves: bool, slow: bool, tally: &Tally) {
    let Ok(mut stream) = TcpStream::connect(addr).await else {
        tally.failed.fetch_add(1, SeqCst);
        return sleep(Duration::from_millis(50)).await;
    };
    let request = format!("GET {path} HTTP/1.1\r\nHost: churn\r\nConnection: close\r\n\r\n");
    if stream.write_all(request.as_bytes()).await.is_err() {
        tally.failed.fetch_add(1, SeqCst);
        return;
    }
    tally.slow.fetch_add(u64::from(slow), SeqCst);
    let mut buffer = vec![0; 64 << 10];
    let (mut got, mut begin) = (0u64, Vec::new());
    // Slow: two megabytes a second, and a rest in the middle.
    let rest = Instant::now() + Duration::from_secs(4);
    loop {
        match timeout(HANGS, stream.read(&mut buffer)).await {
            Err(_) => {
                tally.hung.fetch_add(1, SeqCst);
                return;
            }
            Ok(Err(_)) => break,
            Ok(Ok(0)) => break,
            Ok(Ok(n)) => {
                if begin.len() < 4096 {
                    begin.extend_from_slice(&buffer[..n.min(4096)]);
                }
                got += n as u64;
                tally.bytes.fetch_add(n as u64, SeqCst);
            }
        }
        if leaves && got > bytes / 2 {
            tally.left.fetch_add(1, SeqCst);
            return;
        }
        if slow && Instant::now() < rest {
            sleep(Duration::from_millis(30)).await;
        }
    }
    let head = begin.windows(4).position(|w| w == b"\r\n\r\n").map_or(0, |at| at as u64 + 4);
    let chunked = path.starts_with("/stream/");
    if !begin.starts_with(b"HTTP/1.1 200") {
        tally.failed.fetch_add(1, SeqCst);
    } else if (!chunked && got != head + bytes) || (chunked && got < head + bytes) {
        tally.wrong.fetch_add(1, SeqCst);
    } else {
        tally.whole.fetch_add(1, SeqCst);
    }
}

/// The resident memory of these processes and their children, in MiB.
fn resident_mib(pid: u32) -> u64 {
    let kib = |pid: &str| -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    };
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    (kib(&pid.to_string()) + children.split_whitespace().map(kib).sum::<u64>()) / 1024
}

/// Runs the load against what listens at `addr`; the highest resident memory, and at the end.
fn churn(addr: SocketAddr, pid: u32, during: Duration) -> (u64, u64, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let (over, peak) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0u64;
            while !over.load(SeqCst) {
                peak.fetch_max(resident_mib(pid), SeqCst);
                if n.is_multiple_of(600) {
                    println!("{:>4} s: {} MiB now, {} at most", n / 10, resident_mib(pid), peak.load(SeqCst));
                }
                n += 1;
                thread::sleep(Duration::from_millis(100));
            }
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let until = Instant::now() + during;
            let tasks: Vec<_> =
                (0..CLIENTS).map(|n| tokio::spawn(client(addr, n + 1, until, Arc::clone(&tally)))).collect();
            for task in tasks {
                task.await.expect("a client does not panic");
            }
        });
        over.store(true, SeqCst);
    });
    (peak.into_inner(), resident_mib(pid), tally)
}

/// An origin on a thread of its own, for as long as the test process lives.
fn start_origin() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { origin(TcpListener::from_std(listener).unwrap()).await });
    });
    addr
}

fn copal_stays_below(during: Duration) {
    let toml = format!(
        "[cache]\nsize = \"{SIZE_MIB}MiB\"\n[backend.app]\naddress = \"{}\"\nmax_connections = 1000\n",
        start_origin()
    );
    let binary = std::env::var_os("COPAL_BIN").map_or_else(|| COPAL.into(), PathBuf::from);
    let binary = binary.canonicalize().unwrap_or_else(|error| panic!("COPAL_BIN {}: {error}", binary.display()));
    let proxy = Proxy::builder(binary).config(&toml).env("COPAL_LOG", "error").start();
    let (peak, last, tally) = churn(proxy.addr(), proxy.pid(), during);
    let allowed = SIZE_MIB + OVERHEAD_MIB + CLIENTS * CONNECTION_KIB / 1024;
    println!("Copal: {peak} MiB at most, {last} at the end, {allowed} allowed; {tally:?}");
    println!(
        "{}",
        [
            "hits_fresh",
            "hits_coalesced",
            "misses",
            "hit_for_miss",
            "aborted_deliveries",
            "evictions",
            "objects",
            "bytes"
        ]
        .map(|name| format!("{name} {}", proxy.stat(name)))
        .join(", ")
    );
    assert!(peak <= allowed, "{peak} MiB of memory, {allowed} allowed");
    assert_eq!((tally.wrong.load(SeqCst), tally.hung.load(SeqCst), tally.failed.load(SeqCst)), (0, 0, 0), "{tally:?}");
    assert!(tally.whole.load(SeqCst) > 50 && tally.left.load(SeqCst) > 0 && tally.slow.load(SeqCst) > 0, "{tally:?}");
    let size = i64::try_from(SIZE_MIB << 20).unwrap();
    assert!(proxy.stat("bytes") <= size);
}

fn seconds() -> Duration {
    Duration::from_secs(std::env::var("COPAL_CHURN_SECONDS").ok().and_then(|n| n.parse().ok()).unwrap_or(600))
}

#[test]
fn memory_stays_below_the_size_and_the_stated_constant_while_everything_changes() {
    copal_stays_below(Duration::from_secs(5));
}

#[test]
#[ignore = "make churn: ten minutes"]
fn churn_of_copal() {
    copal_stays_below(seconds());
}

#[test]
#[ignore = "make churn: ten minutes; needs varnishd"]
fn churn_of_varnish() {
    let varnish = Varnish::start_with(start_origin(), "malloc,256m");
    let (peak, last, tally) = churn(varnish.addr(), varnish.pid(), seconds());
    println!("{} -s malloc,256m: {peak} MiB at most, {last} at the end; {tally:?}", varnish.version());
}
