//! The sockets of the admin API and of the metrics page, served by hyper.

use super::api::{self, Api};
use super::explain::House;
use crate::listen::bind_unix;
use crate::reload::Reloader;
use crate::serve::ServeError;
use crate::snapshot::Snapshots;
use copal_config::{Address, Config};
use copal_pipeline::Core;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// For the head of an admin request; whoever is slower than that is not a tool of ours.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

enum Socket {
    Tcp(std::net::TcpListener, SocketAddr),
    Unix(std::os::unix::net::UnixListener, PathBuf),
}

/// The bound control sockets.
pub(crate) struct Controls {
    admin: Socket,
    metrics: Option<Socket>,
    token: Option<Arc<str>>,
}

/// Binds what the configuration asks for.
pub(crate) fn bind(config: &Config) -> Result<Controls, ServeError> {
    let control = |what: &str| {
        let what = what.to_owned();
        move |error| ServeError::Control { what, error }
    };
    let token = match &config.admin.token_file {
        None => None,
        Some(file) => {
            let text =
                std::fs::read_to_string(file).map_err(control(&format!("[admin] token_file {}", file.display())))?;
            Some(Arc::from(text.trim()))
        }
    };
    let admin = bind_one(&config.admin.listen).map_err(control(&format!("[admin] listen {}", config.admin.listen)))?;
    if let Socket::Unix(_, path) = &admin {
        // Whoever can open it can purge and see everything: its owner only.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(control("[admin] listen"))?;
    }
    let metrics = match &config.metrics {
        None => None,
        Some(metrics) => {
            Some(bind_one(&metrics.listen).map_err(control(&format!("[metrics] listen {}", metrics.listen)))?)
        }
    };
    Ok(Controls { admin, metrics, token })
}

fn bind_one(address: &Address) -> io::Result<Socket> {
    match address {
        Address::Tcp(addr) => {
            let listener = std::net::TcpListener::bind(addr)?;
            listener.set_nonblocking(true)?;
            let local = listener.local_addr()?;
            Ok(Socket::Tcp(listener, local))
        }
        Address::Unix(path) => match bind_unix(path, 1)? {
            crate::listen::Bound::Unix(mut sockets, path) => {
                sockets.pop().map(|socket| Socket::Unix(socket, path)).ok_or_else(|| io::ErrorKind::NotFound.into())
            }
            crate::listen::Bound::Tcp(..) => Err(io::ErrorKind::InvalidInput.into()),
        },
        Address::Host { .. } | Address::Https { .. } | Address::Srv(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "a listener needs an IP address, not a name"))
        }
    }
}

impl Controls {
    /// What to print at the start.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = vec![match &self.admin {
            Socket::Tcp(_, local) => format!("copal: admin at http://{local} (copal stat -1 --admin {local})"),
            Socket::Unix(_, path) => {
                format!("copal: admin at unix:{0} (copal stat -1 --admin unix:{0})", path.display())
            }
        }];
        match &self.metrics {
            Some(Socket::Tcp(_, local)) => lines.push(format!("copal: metrics at http://{local}/metrics")),
            Some(Socket::Unix(_, path)) => lines.push(format!("copal: metrics at unix:{}", path.display())),
            None => {}
        }
        lines
    }

    /// Socket files to remove at the end.
    pub(crate) fn unix_paths(&self) -> Vec<PathBuf> {
        [Some(&self.admin), self.metrics.as_ref()]
            .into_iter()
            .flatten()
            .filter_map(|socket| match socket {
                Socket::Unix(_, path) => Some(path.clone()),
                Socket::Tcp(..) => None,
            })
            .collect()
    }

    /// Begins to answer, on the runtime of the caller.
    pub(crate) fn start(self, core: &Arc<Core>, reloader: &Reloader, snapshots: Option<Snapshots>, house: House) {
        let api = Arc::new(Api::new(Arc::clone(core), (reloader.clone(), snapshots), self.token, house));
        let admin = Arc::clone(&api);
        accept(self.admin, move |request| {
            let api = Arc::clone(&admin);
            async move { api::answer(&api, &request).await }
        });
        if let Some(metrics) = self.metrics {
            accept(metrics, move |request| {
                let api = Arc::clone(&api);
                async move { api::metrics(&api, &request) }
            });
        }
    }
}

type Request = http::Request<hyper::body::Incoming>;
type Response = http::Response<Full<bytes::Bytes>>;

fn accept<F, A>(socket: Socket, answer: F)
where
    F: Fn(Request) -> A + Clone + Send + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    tokio::spawn(async move {
        match socket {
            Socket::Tcp(listener, _) => {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => connection(stream, answer.clone()),
                        Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                    }
                }
            }
            Socket::Unix(listener, _) => {
                let Ok(listener) = tokio::net::UnixListener::from_std(listener) else { return };
                loop {
                    match listener.accept().await {
                        Ok((stream, _)) => connection(stream, answer.clone()),
                        Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                    }
                }
            }
        }
    });
}

fn connection<S, F, A>(stream: S, answer: F)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Fn(Request) -> A + Send + 'static,
    A: Future<Output = Response> + Send + 'static,
{
    tokio::spawn(async move {
        let service = service_fn(move |request| {
            let answer = answer(request);
            async move { Ok::<_, std::convert::Infallible>(answer.await) }
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(hyper_util::rt::TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
        // A client that goes away in the middle is no news.
        let _gone = http.serve_connection(TokioIo::new(stream), service).await;
    });
}
