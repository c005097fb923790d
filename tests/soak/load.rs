//! Our own load: each connection knows what it has asked for, so that an answer to another request shows.

use super::page;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// An answer that takes longer than this hangs: several times the timeouts of the proxy.
const HANGS: Duration = Duration::from_secs(20);

/// What the answers were.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Whole pages, each the one asked for.
    pub(super) right: u64,
    /// 502, 503 and 504.
    pub(super) failed: u64,
    /// Bodies that were visibly cut.
    pub(super) cut: u64,
    /// Purges obeyed.
    pub(super) purged: u64,
    /// Connections that ended before an answer had begun.
    pub(super) closed: u64,
    /// No answer within [`HANGS`].
    pub(super) hung: u64,
    /// Everything that must not be: the first few, in words.
    pub(super) wrong: Vec<String>,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.right += other.right;
        self.failed += other.failed;
        self.cut += other.cut;
        self.purged += other.purged;
        self.closed += other.closed;
        self.hung += other.hung;
        self.wrong.extend(other.wrong);
        self.wrong.truncate(10);
    }
}

/// Keeps `connections` busy for that long, each with one request after the other.
pub(super) fn run(addr: SocketAddr, connections: u64, during: Duration) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let until = Instant::now() + during;
        let tasks: Vec<_> = (0..connections).map(|n| tokio::spawn(client(addr, n, until))).collect();
        let mut all = Tally::default();
        for task in tasks {
            all.add(task.await.expect("a client does not panic"));
        }
        all
    })
}

async fn client(addr: SocketAddr, number: u64, until: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut connection: Option<BufReader<TcpStream>> = None;
    for round in 0.. {
        if Instant::now() >= until || !tally.wrong.is_empty() {
            break;
        }
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match TcpStream::connect(addr).await {
                Ok(stream) => BufReader::new(stream),
                Err(error) => {
                    tally.wrong.push(format!("cannot connect: {error}"));
                    break;
                }
            },
        };
        // xorshift64: as even as this needs.
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        let (method, url) = pick(dice, number, round);
        match timeout(HANGS, ask(&mut stream, method, &url)).await {
            Err(_) => tally.hung += 1,
            Ok(Err(_)) => tally.closed += 1,
            Ok(Ok(answer)) => {
                if judge(&mut tally, method, &url, &answer) && answer.whole && !answer.closes {
                    connection = Some(stream);
                }
            }
        }
    }
    tally
}

fn pick(dice: u64, number: u64, round: u64) -> (&'static str, String) {
    let n = dice >> 32;
    match dice % 100 {
        0..50 => ("GET", format!("/hit/{}", n % 40)),
        50..58 => ("GET", format!("/chunk/{}", n % 10)),
        58..75 => ("GET", format!("/miss/{number}-{round}")),
        75..77 => ("GET", format!("/big/{}", n % 300)),
        77..87 => ("GET", format!("/pass/{}", n % 100)),
        87..94 => ("GET", format!("/own/{}", n % 5)),
        94..97 => ("PURGE", format!("/hit/{}", n % 40)),
        _ => ("PURGE", format!("/big/{}", n % 300)),
    }
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    whole: bool,
    closes: bool,
}

/// Counts the answer; false when it is none that may be.
fn judge(tally: &mut Tally, method: &str, url: &str, answer: &Answer) -> bool {
    match (method, answer.status) {
        (_, 502..=504) => tally.failed += 1,
        ("PURGE", 200) if answer.whole && answer.body.starts_with(b"purged ") => tally.purged += 1,
        ("GET", 200) if !answer.whole => tally.cut += 1,
        ("GET", 200) => match page::verify(url, &answer.body) {
            Ok(()) => tally.right += 1,
            Err(what) => tally.wrong.push(what),
        },
        (_, status) => tally.wrong.push(format!("{method} {url}: {status} {}", String::from_utf8_lossy(&answer.body))),
    }
    tally.wrong.is_empty()
}

/// One request; an error means that the connection ended before there was a head.
async fn ask(stream: &mut BufReader<TcpStream>, method: &str, url: &str) -> io::Result<Answer> {
    stream.write_all(format!("{method} {url} HTTP/1.1\r\nHost: soak\r\n\r\n").as_bytes()).await?;
    let ended = || io::Error::from(io::ErrorKind::UnexpectedEof);
    let mut answer = Answer { status: 0, body: Vec::new(), whole: false, closes: false };
    let (mut length, mut chunked) = (None, false);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(ended());
        }
        let text = line.trim_end().to_ascii_lowercase();
        if answer.status == 0 {
            answer.status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(ended)?;
        }
        match text.split_once(": ") {
            Some(("content-length", n)) => length = n.parse().ok(),
            Some(("transfer-encoding", _)) => chunked = true,
            Some(("connection", "close")) => answer.closes = true,
            _ if text.is_empty() => break,
            _ => {}
        }
    }
    // From here on an end is a cut body: `whole` stays false.
    answer.whole = match length {
        _ if chunked => chunks(stream, &mut answer.body).await.is_ok(),
        Some(n) => {
            answer.body.resize(n, 0);
            stream.read_exact(&mut answer.body).await.is_ok()
        }
        None => false,
    };
    Ok(answer)
}

async fn chunks(stream: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> io::Result<()> {
    let bad = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = String::new();
    loop {
        line.clear();
        stream.read_line(&mut line).await?;
        let size = usize::from_str_radix(line.strip_suffix("\r\n").ok_or_else(bad)?, 16).map_err(|_| bad())?;
        let at = body.len();
        body.resize(at + size + 2, 0);
        stream.read_exact(&mut body[at..]).await?;
        if !body.ends_with(b"\r\n") {
            return Err(bad());
        }
        body.truncate(at + size);
        if size == 0 {
            return Ok(());
        }
    }
}
