//! Request bodies on their way out, and answers that come before their end.

use crate::support::*;
use bytes::Bytes;
use copal_backend::{BodyError, FaultKind, Origin, OriginOptions, Phase, Pool, SendBody};
use http::Method;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const TOO_LARGE: &str = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!";

#[tokio::test]
async fn bodies_go_out_with_their_framing_and_the_connection_is_kept() {
    let address = serve(|mut s, _| async move {
        let head = read_head(&mut s).await.expect("a head");
        assert_eq!(head, "POST /up HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\n");
        let mut body = [0; 5];
        s.read_exact(&mut body).await.expect("the body");
        assert_eq!(&body, b"hello");
        send(&mut s, OK).await;
        let head = read_head(&mut s).await.expect("a head");
        assert_eq!(head, "POST /up HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n");
        let mut body = [0; 20];
        s.read_exact(&mut body).await.expect("the body");
        assert_eq!(&body, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
        send(&mut s, OK).await;
        until_closed(&mut s).await;
    })
    .await;
    let (pool, origin) = (Pool::default(), origin(address));
    let pieces = || Pieces::of(&["he", "", "llo"]);
    for body in [SendBody::Length(5, pieces()), SendBody::Chunked(pieces())] {
        let mut x = send_body(&pool, &origin, Method::POST, body, &mut |_| {}).await.expect("an answer");
        assert_eq!(read(&mut x.body).await, ("ok".into(), None));
    }
    assert_eq!(origin.row().connections_opened, 1);
}

#[tokio::test]
async fn an_early_refusal_gets_through_while_the_client_still_sends() {
    let address = serve(|mut s, _| async move {
        read_head(&mut s).await;
        send(&mut s, TOO_LARGE).await;
        // Reads nothing more: the client's writes come to a standstill.
        std::future::pending::<()>().await;
    })
    .await;
    let (pool, origin) = (Pool::default(), origin(address));
    let pieces = (0..4096).map(|_| Ok(Bytes::from_static(&[b'x'; 65536]))).collect();
    let body = SendBody::Length(4096 * 65536, Pieces { pieces, then_silence: false });
    let mut x = send_body(&pool, &origin, Method::POST, body, &mut |_| {}).await.expect("the refusal");
    assert_eq!((x.head.status, read(&mut x.body).await), (413, ("no!".into(), None)));
    assert_eq!(origin.row().connections_open, 0, "a request that was not finished closes its connection");
}

#[tokio::test]
async fn an_early_refusal_gets_through_while_the_client_is_silent() {
    let address = serve(|mut s, _| async move {
        read_head(&mut s).await;
        send(&mut s, TOO_LARGE).await;
        until_closed(&mut s).await;
    })
    .await;
    let body = SendBody::Chunked(Pieces { then_silence: true, ..Pieces::of(&["abc"]) });
    let x = send_body(&Pool::default(), &origin(address), Method::POST, body, &mut |_| {}).await;
    assert_eq!(x.expect("the refusal").head.status, 413);
}

#[tokio::test]
async fn an_early_success_is_delivered_and_the_body_goes_on_beside_it() {
    let address = serve(|mut s, _| async move {
        read_head(&mut s).await;
        send(&mut s, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
        let mut body = [0; 5];
        s.read_exact(&mut body).await.expect("the whole body");
        send(&mut s, std::str::from_utf8(&body).expect("text")).await;
        until_closed(&mut s).await;
    })
    .await;
    let (pool, origin) = (Pool::default(), origin(address));
    let body = SendBody::Length(5, Pieces::of(&["he", "llo"]));
    let mut x = send_body(&pool, &origin, Method::PUT, body, &mut |_| {}).await.expect("an answer");
    assert_eq!(read(&mut x.body).await, ("hello".into(), None));
    assert_eq!(origin.row().connections_open, 1, "both sides are done: it is kept");
}

#[tokio::test]
async fn a_clients_body_that_fails_is_the_clients_fault() {
    let address = serve(|mut s, _| async move { until_closed(&mut s).await }).await;
    let (pool, origin) = (Pool::default(), origin(address));
    let broken =
        || Pieces { pieces: [Ok(Bytes::from_static(b"ab")), Err(BodyError::Closed)].into(), then_silence: false };
    for (body, want) in [
        (SendBody::Length(5, broken()), BodyError::Closed),
        (SendBody::Chunked(broken()), BodyError::Closed),
        (SendBody::Length(5, Pieces::of(&["ab"])), BodyError::Length),
        (SendBody::Length(1, Pieces::of(&["ab"])), BodyError::Length),
    ] {
        let fault = send_body(&pool, &origin, Method::PUT, body, &mut |_| {}).await.expect_err("a fault");
        assert_eq!((fault.phase, fault.kind, fault.status()), (Phase::Send, FaultKind::Client(want), 400));
        assert!(!fault.retry_safe);
    }
    let row = origin.row();
    assert_eq!((row.failures, row.connections_open), (0, 0), "the origin is not to blame");
}

#[tokio::test]
async fn an_origin_that_takes_nothing_is_a_timeout_of_sending() {
    let address = serve(|s, _| async move {
        std::future::pending::<()>().await;
        drop(s);
    })
    .await;
    let origin = Origin::new(OriginOptions { between_bytes_timeout: SHORT, ..options(address) });
    let pieces = (0..4096).map(|_| Ok(Bytes::from_static(&[b'x'; 65536]))).collect();
    let body = SendBody::Chunked(Pieces { pieces, then_silence: false });
    let fault = send_body(&Pool::default(), &origin, Method::POST, body, &mut |_| {}).await.expect_err("a timeout");
    assert_eq!((fault.phase, fault.kind, fault.code()), (Phase::Send, FaultKind::Timeout, "connection_write_timeout"));
}

/// A client's body that the test hands over piece by piece.
struct Handed(mpsc::UnboundedReceiver<Result<Bytes, BodyError>>);

impl copal_backend::RequestBody for Handed {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        self.0.poll_recv(cx)
    }
}

fn handed() -> (mpsc::UnboundedSender<Result<Bytes, BodyError>>, Handed) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (sender, Handed(receiver))
}

/// Reads the head, sends `answer`, and hands the socket to the test.
async fn early(answer: &'static str) -> (Arc<Origin>, oneshot::Receiver<TcpStream>) {
    let (give, take) = oneshot::channel();
    let give = std::sync::Mutex::new(Some(give));
    let address = serve(move |mut s, _| {
        let give = give.lock().expect("not poisoned").take();
        async move {
            read_head(&mut s).await;
            send(&mut s, answer).await;
            if let Some(give) = give {
                let _done = give.send(s);
            }
        }
    })
    .await;
    (origin(address), take)
}

const STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n";

async fn next_text(body: &mut copal_backend::ResponseBody) -> String {
    let piece = timeout(LONG, body.next()).await.expect("in time").expect("not over").expect("no fault");
    String::from_utf8(piece.to_vec()).expect("text")
}

#[tokio::test]
async fn an_echo_answers_each_piece_before_the_next_is_sent() {
    let (origin, socket) = early(STREAM).await;
    let (client, body) = handed();
    let mut x = send_body(&Pool::default(), &origin, Method::POST, SendBody::Length(10, body), &mut |_| {})
        .await
        .expect("early");
    let mut socket = socket.await.expect("a connection");
    let echo = tokio::spawn(async move {
        let mut five = [0; 5];
        for _ in 0..2 {
            socket.read_exact(&mut five).await.expect("a piece");
            socket.write_all(&five).await.expect("taken");
        }
        until_closed(&mut socket).await;
    });
    for text in ["hello", "again"] {
        client.send(Ok(Bytes::from_static(text.as_bytes()))).expect("wanted");
        assert_eq!(next_text(&mut x.body).await, text);
    }
    assert!(x.body.next().await.is_none());
    assert_eq!(origin.row().connections_open, 1, "both directions came to their end: it is kept");
    echo.abort();
}

#[tokio::test]
async fn a_large_body_and_a_large_response_cross_without_waiting_for_each_other() {
    const PIECES: usize = 320;
    let address = serve(|mut s, _| async move {
        read_head(&mut s).await;
        send(&mut s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        let (mut left, mut piece) = (PIECES * 65536, vec![0; 50_000]);
        while left > 0 {
            let n = s.read(&mut piece).await.expect("more");
            assert!(n > 0, "the upload ended early");
            left -= n;
            s.write_all(format!("{n:x}\r\n").as_bytes()).await.expect("taken");
            s.write_all(&piece[..n]).await.expect("taken");
            s.write_all(b"\r\n").await.expect("taken");
        }
        send(&mut s, "0\r\n\r\n").await;
        until_closed(&mut s).await;
    })
    .await;
    let pieces = (0..PIECES).map(|i| Ok(Bytes::from(vec![(i % 251) as u8; 65536]))).collect();
    let body = SendBody::Length(PIECES as u64 * 65536, Pieces { pieces, then_silence: false });
    let origin = origin(address);
    let mut x = send_body(&Pool::default(), &origin, Method::POST, body, &mut |_| {}).await.expect("early");
    let mut at = 0;
    while let Some(piece) = timeout(LONG, x.body.next()).await.expect("no standstill") {
        for byte in piece.expect("no fault") {
            assert_eq!(byte, (at / 65536 % 251) as u8, "at {at}");
            at += 1;
        }
    }
    assert_eq!((at, origin.row().connections_open), (PIECES * 65536, 1));
}

#[tokio::test]
async fn the_body_goes_on_while_a_piece_of_the_response_waits_for_its_reader() {
    let (origin, socket) = early("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let pieces = (0..400).map(|_| Ok(Bytes::from_static(&[b'x'; 65536]))).collect();
    let body = SendBody::Length(400 * 65536, Pieces { pieces, then_silence: false });
    let mut x = send_body(&Pool::default(), &origin, Method::POST, body, &mut |_| {}).await.expect("early");
    assert_eq!(next_text(&mut x.body).await, "hello");
    let mut socket = socket.await.expect("a connection");
    let reading = tokio::spawn(async move {
        let mut piece = vec![0; 65536];
        let mut left = 400 * 65536;
        while left > 0 {
            left -= socket.read(&mut piece).await.expect("more");
        }
        send(&mut socket, "world").await;
    });
    timeout(LONG, x.body.pump()).await.expect("all of it goes out without a look at the response");
    assert!(!x.body.is_sending());
    assert_eq!(next_text(&mut x.body).await, "world");
    drop(x);
    reading.await.expect("the origin had it all");
}

#[tokio::test]
async fn a_response_that_ends_first_lets_the_rest_of_the_body_go_out_and_closes() {
    let (origin, socket) = early(OK).await;
    let (client, body) = handed();
    let pool = Pool::default();
    let mut x = send_body(&pool, &origin, Method::POST, SendBody::Length(10, body), &mut |_| {}).await.expect("early");
    assert_eq!(read(&mut x.body).await, ("ok".into(), None));
    assert!(x.body.is_sending());
    client.send(Ok(Bytes::from_static(b"0123456789"))).expect("wanted");
    timeout(LONG, x.body.finish_sending()).await.expect("it ends");
    let mut all = Vec::new();
    socket.await.expect("a connection").read_to_end(&mut all).await.expect("an orderly end");
    assert_eq!((all.as_slice(), origin.row().connections_open), (&b"0123456789"[..], 0));
}

#[tokio::test]
async fn an_origin_that_closes_after_an_early_response_ends_the_sending() {
    let (origin, socket) = early(OK).await;
    let (client, body) = handed();
    let pool = Pool::default();
    let mut x = send_body(&pool, &origin, Method::POST, SendBody::Chunked(body), &mut |_| {}).await.expect("early");
    assert_eq!(read(&mut x.body).await, ("ok".into(), None));
    drop(socket.await.expect("a connection"));
    timeout(LONG, x.body.finish_sending()).await.expect("the close is seen while the client is silent");
    assert!(client.is_closed(), "the client's side is told that no more is wanted");
}

#[tokio::test]
async fn a_clients_body_that_fails_during_the_response_cuts_it() {
    let (origin, socket) = early("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let (client, body) = handed();
    let pool = Pool::default();
    let mut x = send_body(&pool, &origin, Method::POST, SendBody::Length(10, body), &mut |_| {}).await.expect("early");
    assert_eq!(next_text(&mut x.body).await, "hello");
    client.send(Ok(Bytes::from_static(b"012"))).expect("wanted");
    client.send(Err(BodyError::Closed)).expect("wanted");
    let (rest, fault) = read(&mut x.body).await;
    let fault = fault.expect("a fault");
    assert_eq!((rest.as_str(), fault.phase, fault.kind), ("", Phase::Send, FaultKind::Client(BodyError::Closed)));
    let mut all = Vec::new();
    socket.await.expect("a connection").read_to_end(&mut all).await.expect("an end");
    assert_eq!(all, b"012", "and the origin sees that the request is not whole");
    assert_eq!((origin.row().failures, origin.row().connections_open), (0, 0), "the origin is not to blame");
}

#[tokio::test]
async fn a_response_that_is_complete_stands_though_the_clients_body_fails() {
    let (origin, socket) = early("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    let (client, body) = handed();
    let pool = Pool::default();
    let mut x = send_body(&pool, &origin, Method::POST, SendBody::Chunked(body), &mut |_| {}).await.expect("early");
    assert_eq!(next_text(&mut x.body).await, "hello");
    let mut socket = socket.await.expect("a connection");
    send(&mut socket, "world").await;
    client.send(Err(BodyError::Timeout)).expect("wanted");
    // What the origin has sent lies in the kernel: the failure comes second, whichever is looked at first.
    x.body.pump().await;
    assert_eq!(read(&mut x.body).await, ("world".into(), None));
    drop(socket);
}

#[tokio::test]
async fn while_the_client_is_silent_the_origin_may_be_too() {
    let (give, mut given) = mpsc::unbounded_channel();
    let address = serve(move |mut s, _| {
        let give = give.clone();
        async move {
            read_head(&mut s).await;
            send(&mut s, STREAM).await;
            give.send(s).expect("wanted");
        }
    })
    .await;
    let origin = Origin::new(OriginOptions { between_bytes_timeout: SHORT, ..options(address) });
    let (client, body) = handed();
    let pool = Pool::default();
    let mut x = send_body(&pool, &origin, Method::POST, SendBody::Length(5, body), &mut |_| {}).await.expect("early");
    let mut socket = given.recv().await.expect("a connection");
    assert!(timeout(SHORT * 3, x.body.next()).await.is_err(), "the origin waits for the client, as it may");
    client.send(Ok(Bytes::from_static(b"hello"))).expect("wanted");
    let mut five = [0; 5];
    let (_, took) = tokio::join!(socket.read_exact(&mut five), timeout(LONG, x.body.next()));
    let fault = took.expect("in time").expect("a fault").expect_err("it has the whole request and says nothing");
    assert_eq!((fault.kind, fault.phase), (FaultKind::Timeout, Phase::Body));
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_upload_is_no_end_of_a_body_that_ends_by_closing() {
    let (origin, socket) = early("HTTP/1.1 200 OK\r\n\r\nhello").await;
    let (client, body) = handed();
    let pool = Pool::default();
    let mut x = send_body(&pool, &origin, Method::POST, SendBody::Chunked(body), &mut |_| {}).await.expect("early");
    assert_eq!(next_text(&mut x.body).await, "hello");
    let socket = socket.await.expect("a connection");
    socket.set_zero_linger().expect("a live socket");
    drop(socket);
    // The write learns of the reset, so that the read would see nothing but an end.
    for _ in 0..2 {
        let _ = client.send(Ok(Bytes::from_static(b"more")));
    }
    x.body.pump().await;
    assert_eq!(read(&mut x.body).await.1.map(|f| f.kind), Some(FaultKind::Closed));
}
