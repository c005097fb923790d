//! A scripted origin: a real server on loopback whose every byte the test decides, and which remembers what it was sent.

use crate::head::{self, Chunk};
use crate::reply::{Gate, GateHandle, Reply, Step};
use crate::wait::{self, PATIENCE};
use std::collections::HashMap;
use std::future;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The head, byte for byte, with its empty line.
    pub head: Vec<u8>,
    /// The method.
    pub method: String,
    /// The target: path and query.
    pub path: String,
    /// The fields in order, as sent.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// The trailer fields behind a chunked body.
    pub trailers: Vec<(String, String)>,
    /// Did the body arrive whole? If not, nothing was answered.
    pub complete: bool,
    /// Which connection it came on, from 0.
    pub connection: usize,
}

impl Seen {
    /// The first field with that name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        head::find(&self.headers, name)
    }
}

/// A running origin; dropping it stops it.
#[derive(Debug)]
pub struct Origin {
    shared: Arc<Shared>,
    addr: SocketAddr,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

struct Shared {
    script: Box<Script>,
    seen: Mutex<Vec<Seen>>,
    held: Mutex<HashMap<String, GateHandle>>,
    connections: AtomicUsize,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("seen", &self.seen).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Origin {
    /// Starts an origin on a free port of 127.0.0.1. `script` answers each request; it must not block.
    pub fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Origin {
        let shared = Arc::new(Shared {
            script: Box::new(script),
            seen: Mutex::default(),
            held: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let (addr, running) = Running::start(SocketAddr::from(([127, 0, 0, 1], 0)), &shared);
        Origin { shared, addr, running: Some(running) }
    }

    /// Where it listens, also after [`stop`](Self::stop).
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Stops listening and cuts every connection: from now on, connecting is refused.
    pub fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            running.thread.join().expect("the origin's script does not panic");
        }
    }

    /// Starts again on the same port, with what was seen so far.
    pub fn restart(&mut self) {
        self.stop();
        self.running = Some(Running::start(self.addr, &self.shared).1);
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// How many requests there were so far.
    #[must_use]
    pub fn count(&self) -> usize {
        lock(&self.shared.seen).len()
    }

    /// How many requests there were for that path and query.
    #[must_use]
    pub fn count_of(&self, path: &str) -> usize {
        lock(&self.shared.seen).iter().filter(|seen| seen.path == path).count()
    }

    /// How many connections were accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Waits until there were `n` requests in all; panics when there are fewer after `within`.
    #[track_caller]
    pub fn wait_for(&self, n: usize, within: Duration) {
        let what = format!("{n} requests at the origin, which had {}", self.count());
        wait::until(within, &what, || self.count() >= n);
    }

    /// Holds back the answers to requests for that path and query until the gate is released. They are seen at once.
    pub fn hold(&self, path: &str) -> Gate {
        let gate = Gate::closed();
        lock(&self.shared.held).insert(path.to_owned(), gate.handle());
        gate
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            let _ = running.thread.join();
        }
    }
}

impl Running {
    fn start(addr: SocketAddr, shared: &Arc<Shared>) -> (SocketAddr, Running) {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        // On a restart the kernel may still be busy with the old connections.
        let listener = wait::poll(PATIENCE, || runtime.block_on(async { listen(addr) }).ok())
            .unwrap_or_else(|| panic!("the origin cannot listen on {addr}"));
        let addr = listener.local_addr().expect("a bound socket has an address");
        let (stop, stopped) = oneshot::channel();
        let shared = Arc::clone(shared);
        // When block_on ends, the runtime is dropped, and with it every connection.
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, shared) => {}
                    _ = stopped => {}
                }
            });
        });
        (addr, Running { stop, thread })
    }
}

fn listen(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(1024)
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = shared.connections.fetch_add(1, Ordering::SeqCst);
        let shared = Arc::clone(&shared);
        // An error here is the peer's hanging up, which is what many tests are about.
        tokio::spawn(async move { serve(stream, connection, &shared).await });
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(seen) = read_request(&mut stream, &mut buffer, connection).await? {
        lock(&shared.seen).push(seen.clone());
        if !seen.complete {
            return Ok(());
        }
        let reply = (shared.script)(&seen);
        let held = lock(&shared.held).get(&seen.path).cloned();
        if let Some(mut gate) = held {
            gate.passed().await;
        }
        for step in reply.into_steps(seen.method == "HEAD") {
            match step {
                Step::Send(bytes) => stream.write_all(&bytes).await?,
                Step::Wait(mut gate) => gate.passed().await,
                Step::Pause(pause) => tokio::time::sleep(pause).await,
                Step::Close => return stream.shutdown().await,
                Step::Reset => return stream.set_zero_linger(), // and dropping it sends RST
                Step::Never => future::pending().await,
            }
        }
        if seen.header("Connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return stream.shutdown().await;
        }
    }
    Ok(())
}

/// The next request; `None` when the peer has hung up between requests. What it sent too much stays in `buffer`.
async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>, connection: usize) -> io::Result<Option<Seen>> {
    let len = loop {
        if let Some(len) = head::end(buffer) {
            break len;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head: Vec<u8> = buffer.drain(..len).collect();
    let parsed = head::parse(&head);
    let mut words = parsed.start.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (headers, body, trailers) = (parsed.fields, Vec::new(), Vec::new());
    let mut seen = Seen { head, method, path, headers, body, trailers, complete: false, connection };
    if seen.header("Expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let whole = read_body(stream, buffer, &seen.headers, (&mut seen.body, &mut seen.trailers)).await;
    seen.complete = whole.unwrap_or(false);
    Ok(Some(seen))
}

/// Reads the body; false when it ended too early or is badly framed.
async fn read_body(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    fields: &[(String, String)],
    (body, trailers): (&mut Vec<u8>, &mut Vec<(String, String)>),
) -> io::Result<bool> {
    if head::is_chunked(fields) {
        loop {
            match head::chunk(buffer) {
                Chunk::Data(data, len) => {
                    body.extend(data);
                    buffer.drain(..len);
                }
                Chunk::Last(fields, len) => {
                    *trailers = fields;
                    buffer.drain(..len);
                    return Ok(true);
                }
                Chunk::Bad(_) => return Ok(false),
                Chunk::Partial => {
                    if stream.read_buf(buffer).await? == 0 {
                        return Ok(false);
                    }
                }
            }
        }
    }
    let length = head::find(fields, "Content-Length").and_then(|value| value.parse().ok()).unwrap_or(0);
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            body.append(buffer);
            return Ok(false);
        }
    }
    body.extend(buffer.drain(..length));
    Ok(true)
}

#[cfg(test)]
mod tests;
