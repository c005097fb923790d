//! Request bodies on their way out, and answers that come before their end.

use crate::support::*;
use bytes::Bytes;
use copal_backend::{BodyError, FaultKind, Origin, OriginOptions, Phase, Pool, SendBody};
use http::Method;
use tokio::io::AsyncReadExt;

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
async fn an_early_success_is_delivered_after_the_whole_body_has_gone_out() {
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
