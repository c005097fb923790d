//! Which connection carries a request: kept ones, dead ones, new ones, too many.

use crate::support::*;
use bytes::Bytes;
use copal_backend::{Address, FaultKind, Origin, OriginOptions, Phase, Pool, SendBody};
use http::Method;
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::UnixListener;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Answers one request per connection and takes a second, which it closes the connection on; but for the last one.
async fn dying_after_one(connections: usize) -> Arc<Origin> {
    let address = serve(move |mut s, n| async move {
        read_head(&mut s).await;
        send(&mut s, OK).await;
        if n + 1 == connections {
            until_closed(&mut s).await;
        }
        read_head(&mut s).await;
    })
    .await;
    origin(address)
}

#[tokio::test]
async fn a_connection_is_kept_and_carries_the_next_request() {
    let (pool, origin) = (Pool::default(), answering(OK).await);
    let (first, body) = get_whole(&pool, &origin).await;
    assert_eq!((first.head.status, first.reused, body.as_str()), (200, false, "ok"));
    for _ in 0..3 {
        assert_eq!(connections(&origin), [0, 1, 1]);
        let mut next = get(&pool, &origin).await.expect("an answer");
        assert_eq!((connections(&origin), origin.row().running), ([1, 0, 1], 1), "its body is yet to be read");
        let (body, fault) = read(&mut next.body).await;
        assert_eq!(fault, None);
        assert_eq!((next.reused, next.reconnected, body.as_str()), (true, false, "ok"));
    }
    let row = origin.row();
    assert_eq!((row.connections_opened, connections(&origin), row.running), (1, [0, 1, 1], 0));
    assert_eq!((row.requests, row.connections_reused, row.failures, row.latency_count), (4, 3, 0, 4));
}

#[tokio::test]
async fn a_dead_kept_connection_is_replaced_once_by_a_new_one() {
    let (pool, origin) = (Pool::default(), dying_after_one(2).await);
    get_whole(&pool, &origin).await;
    let (second, body) = get_whole(&pool, &origin).await;
    assert_eq!((second.reused, second.reconnected, body.as_str()), (false, true, "ok"));
    let row = origin.row();
    assert_eq!((row.connections_opened, row.reconnects, row.failures), (2, 1, 0));
}

#[tokio::test]
async fn a_post_over_a_dead_kept_connection_is_not_sent_again() {
    for body in [SendBody::None, SendBody::Length(3, Pieces::of(&["abc"]))] {
        let (pool, origin) = (Pool::default(), dying_after_one(2).await);
        get_whole(&pool, &origin).await;
        let fault = send_body(&pool, &origin, Method::POST, body, &mut |_| {}).await.expect_err("closed");
        assert_eq!((fault.kind, fault.status(), fault.retry_safe), (FaultKind::Closed, 502, false), "{fault}");
        assert_eq!(origin.row().connections_opened, 1);
    }
}

#[tokio::test]
async fn a_put_whose_body_was_touched_is_not_sent_again() {
    let (pool, origin) = (Pool::default(), dying_after_one(2).await);
    get_whole(&pool, &origin).await;
    let body = SendBody::Chunked(Pieces::of(&["abc"]));
    let fault = send_body(&pool, &origin, Method::PUT, body, &mut |_| {}).await.expect_err("closed");
    assert_eq!((fault.kind, fault.retry_safe), (FaultKind::Closed, false), "{fault}");
}

#[tokio::test]
async fn a_new_connection_that_dies_is_a_fault_that_may_be_retried_for_a_get() {
    let origin = origin(serve(|mut s, _| async move { drop(read_head(&mut s).await) }).await);
    let fault = get(&Pool::default(), &origin).await.expect_err("closed");
    assert_eq!((fault.phase, fault.kind, fault.retry_safe), (Phase::Head, FaultKind::Closed, true), "{fault}");
    let fault = method(&Pool::default(), &origin, Method::POST).await.expect_err("closed");
    assert!(!fault.retry_safe);
    let row = origin.row();
    assert_eq!((row.failures, count_of(&row, "head", "connection_terminated")), (2, 2));
}

#[tokio::test]
async fn connections_that_may_not_be_used_again_are_closed() {
    for wire in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokEXTRA",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ] {
        let (pool, origin) = (Pool::default(), answering(wire).await);
        for _ in 0..2 {
            let (x, body) = get_whole(&pool, &origin).await;
            assert_eq!((x.reused, body.as_str()), (false, "ok"), "{wire}");
        }
        assert_eq!(origin.row().connections_open, 0, "{wire}");
    }
    let (pool, origin) =
        (Pool::default(), answering("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n").await);
    get_whole(&pool, &origin).await;
    assert!(get_whole(&pool, &origin).await.0.reused);
}

#[tokio::test]
async fn responses_without_a_body_give_the_connection_back_at_once() {
    let (pool, origin) = (Pool::default(), answering("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n").await);
    let _unread = get(&pool, &origin).await.expect("an answer");
    assert_eq!(origin.row().connections_in_use, 0);
    assert!(get(&pool, &origin).await.expect("an answer").reused);
    let head = method(&pool, &origin, Method::HEAD).await.expect("an answer");
    assert_eq!((head.reused, head.head.headers.get("content-length")), (true, Some(&b"9"[..])));
}

#[tokio::test]
async fn a_body_that_is_dropped_closes_its_connection() {
    let (pool, origin) = (Pool::default(), answering("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab").await);
    let mut x = get(&pool, &origin).await.expect("an answer");
    assert_eq!(x.body.next().await.expect("a piece").expect("good"), "ab");
    assert_eq!(origin.row().connections_in_use, 1);
    drop(x);
    let row = origin.row();
    assert_eq!((row.connections_in_use, row.connections_open), (0, 0));
}

#[tokio::test]
async fn beyond_max_connections_a_request_is_refused_at_once() {
    let address = serve(|mut s, _| async move {
        while read_head(&mut s).await.is_some() {
            send(&mut s, OK).await;
        }
    })
    .await;
    let origin = Origin::new(OriginOptions { max_connections: 1, ..options(address) });
    let pool = Pool::default();
    let mut first = get(&pool, &origin).await.expect("an answer");
    let fault = get(&pool, &origin).await.expect_err("full");
    assert_eq!((fault.kind, fault.status(), fault.code()), (FaultKind::Busy, 503, "connection_limit_reached"));
    assert!(fault.retry_safe);
    read(&mut first.body).await;
    assert!(get(&pool, &origin).await.expect("free again").reused);
}

#[tokio::test]
async fn two_origins_at_one_address_do_not_share_connections() {
    let a = answering(OK).await;
    let b = Origin::new(OriginOptions { name: "b".into(), ..a.options().clone() });
    let pool = Pool::default();
    get_whole(&pool, &a).await;
    assert!(!get_whole(&pool, &b).await.0.reused);
    assert!(get_whole(&pool, &a).await.0.reused);
}

#[tokio::test]
async fn an_origin_behind_a_unix_socket_is_served_and_kept() {
    let path = std::env::temp_dir().join(format!("copal-backend-{}.sock", std::process::id()));
    let _stale = std::fs::remove_file(&path);
    let listener = UnixListener::bind(&path).expect("binds");
    tokio::spawn(async move {
        let (mut s, _) = listener.accept().await.expect("accepts");
        while let Some(head) = read_head(&mut s).await {
            assert!(head.starts_with("GET / HTTP/1.1\r\nHost: a.example\r\n"), "{head}");
            send(&mut s, OK).await;
        }
    });
    let (pool, origin) = (Pool::default(), origin(Address::Unix(path.clone())));
    get_whole(&pool, &origin).await;
    assert!(get_whole(&pool, &origin).await.0.reused);
    let _done = std::fs::remove_file(&path);
}

#[tokio::test]
async fn a_fetch_can_be_a_task_of_its_own() {
    let (pool, origin) = (Pool::default(), answering(OK).await);
    let task = tokio::spawn(async move { get_whole(&pool, &origin).await.1 });
    assert_eq!(task.await.expect("no panic"), "ok");
}

#[tokio::test]
async fn a_post_whose_kept_connection_closes_in_the_middle_of_its_body_is_not_sent_again() {
    for body in ["length", "chunks"] {
        let address = serve(|mut s, _| async move {
            read_head(&mut s).await;
            send(&mut s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            read_head(&mut s).await;
            let _some = s.read_exact(&mut [0; 100_000]).await;
        })
        .await;
        let (pool, origin) = (Pool::default(), origin(address));
        let _ = get_whole(&pool, &origin).await;
        let pieces = (0..400).map(|_| Ok(Bytes::from_static(&[b'x'; 65536]))).collect();
        let pieces = Pieces { pieces, then_silence: false };
        let body = if body == "length" { SendBody::Length(400 * 65536, pieces) } else { SendBody::Chunked(pieces) };
        let fault = send_body(&pool, &origin, Method::POST, body, &mut |_| {}).await.expect_err("a fault");
        assert_eq!((fault.kind, fault.retry_safe), (FaultKind::Closed, false));
        assert_eq!((origin.row().connections_opened, origin.row().reconnects), (1, 0));
    }
}
