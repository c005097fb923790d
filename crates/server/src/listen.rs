//! Listening sockets: one per worker and TCP address, so that no two threads share an accept queue.
//!
//! The kernel spreads connections over the sockets of one address (SO_REUSEPORT). Since that option would also let a
//! second Copal slip in on the same port unseen, the address is first bound without it.

use copal_config::Address;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use thiserror::Error;

/// Connections that the kernel holds until a worker takes them; it cuts this down to net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {error}{hint}")]
pub struct ListenError {
    address: String,
    error: io::Error,
    hint: &'static str,
}

impl ListenError {
    fn new(address: &impl ToString, error: io::Error) -> Self {
        let hint = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "\n  another process listens there: stop it, or choose another address with --listen"
            }
            io::ErrorKind::PermissionDenied => {
                "\n  ports below 1024 and system folders need privileges: choose another, or grant CAP_NET_BIND_SERVICE"
            }
            io::ErrorKind::AddrNotAvailable => "\n  no interface of this machine has that address",
            _ => "",
        };
        ListenError { address: address.to_string(), error, hint }
    }
}

/// A bound address, once per worker.
pub(crate) enum Bound {
    Tcp(Vec<std::net::TcpListener>, SocketAddr),
    Unix(Vec<UnixListener>, std::path::PathBuf),
}

/// Binds `address` for that many workers.
pub(crate) fn bind(address: &Address, workers: usize) -> Result<Bound, ListenError> {
    match address {
        Address::Tcp(addr) => bind_tcp(*addr, workers).map_err(|e| ListenError::new(addr, e)),
        Address::Unix(path) => bind_unix(path, workers).map_err(|e| ListenError::new(&path.display(), e)),
        Address::Host { .. } | Address::Https { .. } | Address::Srv(_) => {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "a listener needs an IP address, not a name");
            Err(ListenError::new(address, error))
        }
    }
}

fn bind_tcp(addr: SocketAddr, workers: usize) -> io::Result<Bound> {
    let probe = tcp_socket(addr, false)?;
    let addr = probe.local_addr()?.as_socket().unwrap_or(addr);
    drop(probe);
    let mut listeners = Vec::with_capacity(workers);
    for _ in 0..workers {
        let socket = tcp_socket(addr, true)?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        listeners.push(socket.into());
    }
    Ok(Bound::Tcp(listeners, addr))
}

fn tcp_socket(addr: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    socket.bind(&addr.into())?;
    if !shared {
        // Only a listening socket collides with another one of the same address.
        socket.listen(1)?;
    }
    Ok(socket)
}

/// A socket file that nobody listens on is left over from an earlier run and is replaced; any other file is not touched.
pub(crate) fn bind_unix(path: &Path, workers: usize) -> io::Result<Bound> {
    if let Ok(meta) = std::fs::symlink_metadata(path) {
        if !meta.file_type().is_socket() {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file of that name, and it is no socket",
            ));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        std::fs::remove_file(path)?;
    }
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir)?;
    }
    let first = UnixListener::bind(path)?;
    first.set_nonblocking(true)?;
    let mut listeners = Vec::with_capacity(workers);
    for _ in 1..workers {
        listeners.push(first.try_clone()?);
    }
    listeners.push(first);
    Ok(Bound::Unix(listeners, path.to_owned()))
}
