//! An origin made of a closure over a raw socket, and the client side in two calls.

use bytes::Bytes;
use copal_backend::{
    Address, BodyError, Exchange, Fault, NoBody, Origin, OriginOptions, Pool, RequestBody, ResponseBody, SendBody,
    Timeouts, exchange,
};
use copal_semantics::{RequestHead, ResponseHead};
use http::Method;
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough that nothing fails by it on a busy machine, short enough to fail at all.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// For tests that wait for a timeout.
pub(crate) const SHORT: Duration = Duration::from_millis(150);

/// Listens on a free port and runs `talk` for each connection, with its number.
pub(crate) async fn serve<F, Fut>(talk: F) -> Address
where
    F: Fn(TcpStream, usize) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    tokio::spawn(async move {
        for n in 0.. {
            let (stream, _) = listener.accept().await.expect("accepts");
            tokio::spawn(talk(stream, n));
        }
    });
    Address::Tcp { host: "127.0.0.1".into(), port }
}

/// An origin that answers every request of every connection with the same bytes.
pub(crate) async fn answering(wire: &'static str) -> Arc<Origin> {
    origin(
        serve(move |mut s, _| async move {
            while read_head(&mut s).await.is_some() {
                send(&mut s, wire).await;
            }
        })
        .await,
    )
}

/// An origin that answers the first request with these bytes and closes the connection.
pub(crate) async fn answering_once(wire: &'static str) -> Arc<Origin> {
    origin(
        serve(move |mut s, _| async move {
            read_head(&mut s).await;
            send(&mut s, wire).await;
        })
        .await,
    )
}

/// A port on which nobody listens.
pub(crate) async fn refusing() -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    Address::Tcp { host: "127.0.0.1".into(), port: listener.local_addr().expect("bound").port() }
}

/// Options with timeouts that do not end a test by accident.
pub(crate) fn options(address: Address) -> OriginOptions {
    OriginOptions {
        connect_timeout: LONG,
        first_byte_timeout: LONG,
        between_bytes_timeout: LONG,
        ..OriginOptions::new("app", address)
    }
}

pub(crate) fn origin(address: Address) -> Arc<Origin> {
    Origin::new(options(address))
}

/// A request head up to its empty line; `None` when the connection ends first.
pub(crate) async fn read_head(s: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(s.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

/// Sends; the other side may have gone.
pub(crate) async fn send(s: &mut (impl AsyncWriteExt + Unpin), wire: &str) {
    let _gone = s.write_all(wire.as_bytes()).await;
}

/// Waits until the other side closes.
pub(crate) async fn until_closed(s: &mut (impl AsyncRead + Unpin)) {
    let _reset = tokio::io::copy(s, &mut tokio::io::sink()).await;
}

pub(crate) async fn get(pool: &Pool, origin: &Arc<Origin>) -> Result<Exchange, Fault> {
    let head = RequestHead::get("/", [("Host", "a.example")]);
    exchange::<NoBody>(pool, origin, &head, &mut SendBody::None, (Timeouts::of(origin), None), &mut |_| {}).await
}

pub(crate) async fn method(pool: &Pool, origin: &Arc<Origin>, method: Method) -> Result<Exchange, Fault> {
    send_body::<NoBody>(pool, origin, method, SendBody::None, &mut |_| {}).await
}

pub(crate) async fn send_body<B: RequestBody + 'static>(
    pool: &Pool,
    origin: &Arc<Origin>,
    method: Method,
    mut body: SendBody<B>,
    on_interim: &mut (dyn FnMut(ResponseHead) + Send),
) -> Result<Exchange, Fault> {
    let head = RequestHead { method, ..RequestHead::get("/up", [("Host", "a.example")]) };
    exchange(pool, origin, &head, &mut body, (Timeouts::of(origin), None), on_interim).await
}

/// The whole body, and the fault that it ended with.
pub(crate) async fn read(body: &mut ResponseBody) -> (String, Option<Fault>) {
    let mut all = Vec::new();
    loop {
        match body.next().await {
            Some(Ok(piece)) => {
                assert!(!piece.is_empty(), "pieces are never empty");
                all.extend_from_slice(&piece);
            }
            Some(Err(fault)) => {
                assert!(body.next().await.is_none(), "nothing comes after a fault");
                return (String::from_utf8_lossy(&all).into_owned(), Some(fault));
            }
            None => return (String::from_utf8_lossy(&all).into_owned(), None),
        }
    }
}

/// Head and whole body of a GET that must work.
pub(crate) async fn get_whole(pool: &Pool, origin: &Arc<Origin>) -> (Exchange, String) {
    let mut x = get(pool, origin).await.expect("an answer");
    let (body, fault) = read(&mut x.body).await;
    assert_eq!(fault, None);
    (x, body)
}

/// A client's body: pieces, then the end, or silence.
pub(crate) struct Pieces {
    pub(crate) pieces: VecDeque<Result<Bytes, BodyError>>,
    pub(crate) then_silence: bool,
}

impl Pieces {
    pub(crate) fn of(pieces: &[&'static str]) -> Self {
        let pieces = pieces.iter().map(|p| Ok(Bytes::from_static(p.as_bytes()))).collect();
        Pieces { pieces, then_silence: false }
    }
}

impl RequestBody for Pieces {
    fn poll_next(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.pieces.is_empty() && self.then_silence {
            return Poll::Pending;
        }
        Poll::Ready(self.pieces.pop_front())
    }
}

/// Its connections: in use, idle, and open, which is both together.
pub(crate) fn connections(origin: &Origin) -> [u64; 3] {
    let row = origin.row();
    [row.connections_in_use, row.connections_idle, row.connections_open]
}

/// Waits until it holds; the test fails by its deadline, not by its speed.
pub(crate) async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "{what}");
}

/// How often that fault was counted.
pub(crate) fn count_of(row: &copal_backend::OriginRow, phase: &str, error: &str) -> u64 {
    row.faults.iter().filter(|f| (f.phase, f.error) == (phase, error)).map(|f| f.count).sum()
}
