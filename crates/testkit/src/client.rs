//! A raw, blocking client: sends the bytes that the test gives it and reads responses strictly.

use crate::response::{Buffer, Response, is_reset};
use crate::wait::PATIENCE;
use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;
use tokio::net::TcpSocket;

/// One connection. Everything that takes longer than its patience (20 s unless set) panics.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    stream: S,
    buffer: Buffer,
    /// The last request was a HEAD, so the next response has no body.
    to_head: bool,
}

impl Client<TcpStream> {
    /// Connects over TCP.
    #[track_caller]
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect_timeout(&addr, PATIENCE);
        Client::over(stream.unwrap_or_else(|error| panic!("cannot connect to {addr}: {error}")))
    }

    /// Connects over TCP from that address: on loopback, all of 127.0.0.0/8 is ours.
    #[track_caller]
    #[must_use]
    pub fn connect_from(source: Ipv4Addr, addr: SocketAddr) -> Client {
        let stream = bound(source, addr);
        Client::over(stream.unwrap_or_else(|error| panic!("cannot connect to {addr} from {source}: {error}")))
    }

    fn over(stream: TcpStream) -> Client {
        stream.set_nodelay(true).expect("a connected socket takes options");
        let client = Client { stream, buffer: Buffer::default(), to_head: false };
        client.patience(PATIENCE);
        client
    }

    /// How long each read may take before it panics.
    pub fn patience(&self, patience: Duration) {
        self.stream.set_read_timeout(Some(patience)).expect("a connected socket takes options");
    }

    /// The client's own address.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.stream.local_addr().expect("a connected socket has an address")
    }

    /// Says that nothing more will be sent; responses can still be read.
    pub fn finish_sending(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

impl Client<UnixStream> {
    /// Connects to a Unix socket.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect_unix(path: &Path) -> io::Result<Client<UnixStream>> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Client { stream, buffer: Buffer::default(), to_head: false })
    }
}

impl<S: Read + Write + Debug> Client<S> {
    /// Sends bytes as they are. That the peer has closed already is no fault: it may have answered before that.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.to_head = bytes.starts_with(b"HEAD ");
        match self.stream.write_all(bytes) {
            Ok(()) => {}
            Err(error) if is_reset(&error) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// Sends a request with `Host: test.example` unless `headers` has another, and a Content-Length when there is a body.
    #[track_caller]
    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\n");
        let has = |wanted: &str| headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(wanted));
        if !has("Host") {
            head.push_str("Host: test.example\r\n");
        }
        if !body.is_empty() && !has("Content-Length") && !has("Transfer-Encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        self.send_raw([head.as_bytes(), body].concat());
    }

    /// GETs on this connection, which stays open.
    #[track_caller]
    pub fn get(&mut self, path: &str, headers: &[(&str, &str)]) -> Response {
        self.request("GET", path, headers, b"")
    }

    /// Sends a request and reads its response.
    #[track_caller]
    pub fn request(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.send(method, path, headers, body);
        self.read_response()
    }

    /// Reads a whole response; one whose body is cut is returned with `complete` false. Panics when the connection ends
    /// without a response, or what comes is none.
    #[track_caller]
    pub fn read_response(&mut self) -> Response {
        let mut response = self.read_head();
        self.read_body(&mut response);
        response
    }

    /// Like [`read_response`](Self::read_response), but `None` when the connection ends without a byte.
    #[track_caller]
    pub fn try_read_response(&mut self) -> Option<Response> {
        let mut response = self.try_read_head()?;
        self.read_body(&mut response);
        Some(response)
    }

    /// Reads the head of a response and leaves its body for later.
    #[track_caller]
    pub fn read_head(&mut self) -> Response {
        self.try_read_head().unwrap_or_else(|| panic!("the connection ended without a response"))
    }

    #[track_caller]
    fn try_read_head(&mut self) -> Option<Response> {
        let head = self.buffer.head(&mut self.stream, self.to_head);
        head.unwrap_or_else(|error| panic!("no valid response: {error}; bytes so far {:?}", self.buffer))
    }

    /// Reads the body of a response whose head was read, to its end or to where it is cut.
    pub fn read_body(&mut self, response: &mut Response) {
        self.buffer.body(&mut self.stream, response);
    }

    /// Reads raw bytes until there are `n`, framing and all, and leaves them for [`read_body`](Self::read_body): to see
    /// that a part arrives before the rest is sent.
    #[track_caller]
    pub fn peek_raw(&mut self, n: usize) -> &[u8] {
        while self.buffer.bytes.len() < n {
            let filled = self.buffer.fill(&mut self.stream);
            assert!(filled.expect("the next bytes of the response"), "only {} bytes came", self.buffer.bytes.len());
        }
        &self.buffer.bytes
    }

    /// Panics unless the peer has closed the connection, or does so now, without another byte.
    #[track_caller]
    pub fn assert_closed(&mut self) {
        match self.buffer.fill(&mut self.stream) {
            Ok(false) => {}
            Err(error) if is_reset(&error) => {}
            Err(error) => panic!("the connection is still open: {error}"),
            Ok(true) => {}
        }
        assert!(self.buffer.bytes.is_empty(), "more bytes came: {:?}", String::from_utf8_lossy(&self.buffer.bytes));
    }
}

/// The standard library cannot bind a socket before it connects it.
fn bound(source: Ipv4Addr, addr: SocketAddr) -> io::Result<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let connected = runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        tokio::time::timeout(PATIENCE, socket.connect(addr)).await?
    });
    let stream = connected?.into_std()?;
    stream.set_nonblocking(false)?;
    Ok(stream)
}

/// GETs on a connection of its own.
#[track_caller]
#[must_use]
pub fn get(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Response {
    request(addr, "GET", path, headers, b"")
}

/// One request on a connection of its own.
#[track_caller]
pub fn request(addr: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
    let mut headers = headers.to_vec();
    headers.push(("Connection", "close"));
    Client::connect(addr).request(method, path, &headers, body)
}
