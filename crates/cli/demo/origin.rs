//! The application of the demo: a few pages, slow ones, private ones, and a way to break it.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How slow the slow page is.
const SLOW: Duration = Duration::from_secs(1);

#[derive(Default)]
struct App {
    broken: AtomicBool,
    requests: AtomicU64,
}

/// Starts it on a free port of loopback; it ends with the process.
pub(super) fn start() -> io::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("demo-origin".into()).spawn(move || runtime.block_on(serve(listener)))?;
    Ok(address)
}

async fn serve(listener: std::net::TcpListener) {
    let app = Arc::new(App::default());
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((stream, _)) = listener.accept().await {
        let app = Arc::clone(&app);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let app = Arc::clone(&app);
                async move { Ok::<_, Infallible>(answer(&app, &request).await) }
            });
            // A connection that breaks off is no matter of the demo's.
            let _broken =
                hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(app: &App, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let count = app.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::POST, "/break") => {
            app.broken.store(true, Ordering::Relaxed);
            return page(StatusCode::OK, "no-store", "broken\n".to_owned());
        }
        (&Method::POST, "/mend") => {
            app.broken.store(false, Ordering::Relaxed);
            return page(StatusCode::OK, "no-store", "mended\n".to_owned());
        }
        _ => {}
    }
    if app.broken.load(Ordering::Relaxed) {
        return page(StatusCode::INTERNAL_SERVER_ERROR, "no-store", "the application is broken\n".to_owned());
    }
    match path {
        "/healthz/" => page(StatusCode::OK, "no-store", "well\n".to_owned()),
        "/slow" => {
            tokio::time::sleep(SLOW).await;
            page(StatusCode::OK, "max-age=30", format!("A slow page, made as answer number {count}.\n"))
        }
        "/account" => page(StatusCode::OK, "private", format!("An account, made as answer number {count}.\n")),
        "/static/app.css" => page(StatusCode::OK, "max-age=86400", "body { font: 1em sans-serif }\n".to_owned()),
        "/" => page(StatusCode::OK, "max-age=10", format!("The front page, made as answer number {count}.\n")),
        _ => page(StatusCode::NOT_FOUND, "max-age=5", "There is no such page.\n".to_owned()),
    }
}

fn page(status: StatusCode, cache_control: &'static str, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert("cache-control", http::HeaderValue::from_static(cache_control));
    headers.insert("content-type", http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
