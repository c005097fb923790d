//! A small DNS server (RFC 1035) on loopback, over UDP, whose answers a test changes while it runs.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// What it says about a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// These addresses, for so many seconds. IPv4 ones answer A, IPv6 ones AAAA; a family without any has an empty answer.
    Addresses(Vec<IpAddr>, u32),
    /// These services, for so many seconds: priority, weight, port, host.
    Services(Vec<(u16, u16, u16, String)>, u32),
    /// There is such a name, and it has nothing.
    Nothing,
    /// There is no such name (NXDOMAIN). What it says of names that it was not told of.
    NoSuchName,
    /// The server fails (SERVFAIL).
    Failure,
    /// No answer at all.
    Silence,
}

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct NameServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    says: Mutex<HashMap<String, Says>>,
    asked: AtomicU64,
    end: AtomicBool,
}

const A: u16 = 1;
const AAAA: u16 = 28;
const SRV: u16 = 33;
/// A pointer to the name in the question, which begins after the head of 12 bytes (RFC 1035 §4.1.4).
const THE_NAME: [u8; 2] = [0xc0, 12];

impl NameServer {
    /// Starts one on a free port.
    #[must_use]
    pub fn start() -> NameServer {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
        let addr = socket.local_addr().expect("bound");
        let shared = Arc::new(Shared::default());
        let its = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let mut buf = [0; 1500];
            while !its.end.load(Ordering::Relaxed) {
                let Ok((n, from)) = socket.recv_from(&mut buf) else { continue };
                if let Some(answer) = its.answer(&buf[..n]) {
                    let _gone = socket.send_to(&answer, from);
                }
            }
        });
        NameServer { addr, shared, thread: Some(thread) }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// From now on it says that of the name.
    pub fn say(&self, name: &str, says: Says) {
        self.shared.says.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_ascii_lowercase(), says);
    }

    /// From now on the name has these IPv4 addresses, for so many seconds.
    pub fn say_v4(&self, name: &str, addresses: &[[u8; 4]], ttl: u32) {
        self.say(name, Says::Addresses(addresses.iter().map(|ip| IpAddr::from(*ip)).collect(), ttl));
    }

    /// How many questions have come.
    #[must_use]
    pub fn asked(&self) -> u64 {
        self.shared.asked.load(Ordering::SeqCst)
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    fn answer(&self, query: &[u8]) -> Option<Vec<u8>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (mut at, mut name) = (12, String::new());
        loop {
            let len = usize::from(*query.get(at)?);
            if len == 0 {
                break;
            }
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&String::from_utf8_lossy(query.get(at + 1..at + 1 + len)?).to_ascii_lowercase());
            at += 1 + len;
        }
        let wanted = u16::from_be_bytes([*query.get(at + 1)?, *query.get(at + 2)?]);
        let question = query.get(12..at + 5)?;
        let says = self.says.lock().unwrap_or_else(PoisonError::into_inner).get(&name).cloned();
        let (mut code, mut records) = (0u8, Vec::new());
        match says.unwrap_or(Says::NoSuchName) {
            Says::Silence => return None,
            Says::Nothing => {}
            Says::NoSuchName => code = 3,
            Says::Failure => code = 2,
            Says::Addresses(addresses, ttl) => {
                for ip in addresses {
                    match (ip, wanted) {
                        (IpAddr::V4(ip), A) => records.push(record(A, ttl, &ip.octets())),
                        (IpAddr::V6(ip), AAAA) => records.push(record(AAAA, ttl, &ip.octets())),
                        _ => {}
                    }
                }
            }
            Says::Services(services, ttl) => {
                for (priority, weight, port, host) in services.into_iter().filter(|_| wanted == SRV) {
                    let mut data = Vec::new();
                    for number in [priority, weight, port] {
                        data.extend(number.to_be_bytes());
                    }
                    for label in host.split('.').filter(|label| !label.is_empty()) {
                        data.push(u8::try_from(label.len()).ok()?);
                        data.extend(label.as_bytes());
                    }
                    data.push(0);
                    records.push(record(SRV, ttl, &data));
                }
            }
        }
        let mut out = query.get(..2)?.to_vec();
        // A response, authoritative, with recursion as it was asked for and at hand.
        out.extend([0x84 | (query.get(2)? & 1), 0x80 | code]);
        out.extend(1u16.to_be_bytes());
        out.extend(u16::try_from(records.len()).ok()?.to_be_bytes());
        out.extend([0; 4]);
        out.extend(question);
        out.extend(records.concat());
        Some(out)
    }
}

fn record(kind: u16, ttl: u32, data: &[u8]) -> Vec<u8> {
    let mut out = THE_NAME.to_vec();
    out.extend(kind.to_be_bytes());
    out.extend(1u16.to_be_bytes());
    out.extend(ttl.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    out.extend(data);
    out
}
