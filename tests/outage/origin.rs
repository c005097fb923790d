//! An origin that is a process of its own, so that it can be killed and stopped: this test binary, started once more.

use copal_testkit::wait;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Where the child finds its port.
const PORT: &str = "COPAL_TEST_ORIGIN_PORT";

/// How it answers what is not a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Mode {
    /// As it should.
    Well = b'w',
    /// With 503, and so to its probes.
    Unavailable = b'u',
    /// After a second.
    Slow = b's',
    /// It breaks off in the middle of a body.
    Cut = b'c',
}

/// A running origin. Dropping it ends it.
pub(super) struct Process {
    addr: SocketAddr,
    child: Option<Child>,
}

impl Process {
    pub(super) fn start() -> Process {
        let addr = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut process = Process { addr, child: None };
        process.run();
        process
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Starts it, again and at the same port, and waits until it listens.
    pub(super) fn run(&mut self) {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["outage::origin::origin_process", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(PORT, self.addr.port().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.child = Some(child.unwrap());
        wait::until(Duration::from_secs(20), "the origin listens", || TcpStream::connect(self.addr).is_ok());
    }

    pub(super) fn mode(&mut self, mode: Mode) {
        let stdin = self.child.as_mut().and_then(|child| child.stdin.as_mut()).expect("it runs");
        stdin.write_all(&[mode as u8]).unwrap();
    }

    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id();
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(sent.unwrap().success());
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.signal("CONT");
            self.kill();
        }
    }
}

#[test]
#[ignore = "not a test: the origin that the tests of this folder start"]
fn origin_process() {
    let Ok(port) = std::env::var(PORT) else { return };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let mode = Arc::new(AtomicU8::new(Mode::Well as u8));
    let set = Arc::clone(&mode);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mode = Arc::clone(&mode);
            // A connection that breaks is its own business.
            std::thread::spawn(move || drop(serve(stream.unwrap(), &mode)));
        }
    });
    // Ends with whoever has started it.
    for byte in std::io::stdin().lock().bytes() {
        set.store(byte.unwrap(), Ordering::SeqCst);
    }
    std::process::exit(0);
}

fn serve(mut stream: TcpStream, mode: &AtomicU8) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line)?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        loop {
            let mut field = String::new();
            if reader.read_line(&mut field)? == 0 {
                return Ok(());
            }
            if let Some(value) = field.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap_or(0);
            }
            if field == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let mode = mode.load(Ordering::SeqCst);
        let probe = path == "/healthz";
        let cache = if path.starts_with("/page") { "max-age=1" } else { "no-store" };
        let page = format!("{path} {}", String::from_utf8_lossy(&body));
        let status = if mode == Mode::Unavailable as u8 { "503 Service Unavailable" } else { "200 OK" };
        if mode == Mode::Slow as u8 && !probe {
            std::thread::sleep(Duration::from_secs(1));
        }
        let cut = mode == Mode::Cut as u8 && !probe;
        let announced = page.len() + if cut { 1000 } else { 0 };
        write!(stream, "HTTP/1.1 {status}\r\nCache-Control: {cache}\r\nContent-Length: {announced}\r\n\r\n{page}")?;
        if cut {
            // What is unread when a socket is closed makes a reset of it.
            return Ok(());
        }
    }
}
