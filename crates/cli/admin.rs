//! A client for the admin API of a running proxy.

use crate::Failed;
use crate::args::Reach;
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};

/// The proxy answers within milliseconds, or not at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the proxy; the body of its answer.
pub(crate) fn ask(reach: &Reach, method: &Method, path: &str) -> Result<String, Failed> {
    ask_within(reach, method, path, PATIENCE)
}

/// The same for what may take longer.
pub(crate) fn ask_within(reach: &Reach, method: &Method, path: &str, patience: Duration) -> Result<String, Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failed::state)?;
    let address = reach.admin.clone().unwrap_or_else(|| {
        let path: PathBuf = copal_config::default_admin_socket(&|name| std::env::var(name).ok());
        format!("unix:{}", path.display())
    });
    let token = match &reach.token_file {
        None => None,
        Some(file) => Some(
            std::fs::read_to_string(file)
                .map_err(|error| Failed::input(format!("copal: cannot read {}: {error}", file.display())))?
                .trim()
                .to_owned(),
        ),
    };
    let answer = runtime
        .block_on(async { tokio::time::timeout(patience, exchange(&address, method, path, token.as_deref())).await });
    match answer {
        Ok(Ok((StatusCode::OK, body))) => Ok(body),
        Ok(Ok((status, body))) => Err(Failed::input(format!("copal: {}", reason(status, &body)))),
        Ok(Err(why)) => Err(Failed::state(format!(
            "no proxy answers at {address}: {why}\n  is it running? its first lines say where its admin API is; name it with --admin"
        ))),
        Err(_) => Err(Failed::state(format!("the proxy at {address} did not answer within {patience:?}"))),
    }
}

fn reason(status: StatusCode, body: &str) -> String {
    let said = serde_json::from_str::<serde_json::Value>(body).ok();
    match said.as_ref().and_then(|value| value["error"].as_str()) {
        Some(error) => error.to_owned(),
        None => format!("the proxy answered {status}"),
    }
}

async fn exchange(
    address: &str,
    method: &Method,
    path: &str,
    token: Option<&str>,
) -> Result<(StatusCode, String), String> {
    match address.strip_prefix("unix:") {
        Some(path_of_socket) => {
            let stream = tokio::net::UnixStream::connect(path_of_socket).await.map_err(|e| e.to_string())?;
            send(stream, method, path, token).await
        }
        None => {
            let stream = tokio::net::TcpStream::connect(address).await.map_err(|e| e.to_string())?;
            send(stream, method, path, token).await
        }
    }
}

async fn send<S>(stream: S, method: &Method, path: &str, token: Option<&str>) -> Result<(StatusCode, String), String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| e.to_string())?;
    tokio::spawn(connection);
    let mut request = Request::builder().method(method).uri(path).header("host", "admin");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
    let response = sender.send_request(request).await.map_err(|e| e.to_string())?;
    let status = response.status();
    let body = response.into_body().collect().await.map_err(|e| e.to_string())?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}

/// A value for a query string, percent-encoded (RFC 3986 §2.1).
pub(crate) fn encode(value: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}
