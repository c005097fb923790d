//! An origin that can be killed in the middle of its answers and revived on the same port.

use super::page::page;
use copal_testkit::wait;
use std::net::SocketAddr;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::oneshot;

pub(super) struct Unsteady {
    addr: SocketAddr,
    running: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
}

impl Unsteady {
    pub(super) fn start() -> Unsteady {
        let mut this = Unsteady { addr: SocketAddr::from(([127, 0, 0, 1], 0)), running: None };
        this.revive();
        this
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Every connection ends where it is, and connecting is refused.
    pub(super) fn kill(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            let _ = stop.send(());
            thread.join().expect("the origin does not panic");
        }
    }

    pub(super) fn revive(&mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = wait::poll(wait::PATIENCE, || runtime.block_on(async { listen(self.addr) }).ok());
        let listener = listener.expect("the port is free again soon");
        self.addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener) => {}
                    _ = stopped => {}
                }
            });
        });
        self.running = Some((stop, thread));
    }
}

impl Drop for Unsteady {
    fn drop(&mut self) {
        self.kill();
    }
}

fn listen(addr: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    socket.listen(4096)
}

async fn accept(listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream))),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Answers until the peer hangs up. A page comes in two writes, so that a kill finds some of them half done.
async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let head: Vec<u8> = buffer.drain(..end).collect();
        let url = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
        let body = page(&url);
        let lifetime = match url.split('/').nth(1).unwrap_or_default() {
            "hit" | "chunk" => "max-age=1",
            "miss" | "big" => "max-age=60",
            _ => "no-store",
        };
        let (first, second) = body.split_at(body.len() / 2);
        let chunked = url.starts_with("/chunk/");
        let mut out = format!("HTTP/1.1 200 OK\r\nCache-Control: {lifetime}\r\n").into_bytes();
        if chunked {
            out.extend(format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", first.len()).bytes());
        } else {
            out.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
        }
        out.extend(first);
        stream.write_all(&out).await?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        let mut out = if chunked { format!("\r\n{:x}\r\n", second.len()).into_bytes() } else { Vec::new() };
        out.extend(second);
        if chunked {
            out.extend(b"\r\n0\r\n\r\n");
        }
        stream.write_all(&out).await?;
    }
}
