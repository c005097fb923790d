//! Where a response ends, and that an incomplete one is never taken for a whole one.

use crate::support::*;
use copal_backend::{BodyFraming, FaultKind, Origin, OriginOptions, Phase, Pool};
use copal_wire::WireError;

#[tokio::test]
async fn bodies_are_delimited_by_length_chunks_or_close() {
    for (wire, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", BodyFraming::Length(5)),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            BodyFraming::Chunked,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nhello", BodyFraming::Close),
        ("HTTP/1.0 200 OK\r\n\r\nhello", BodyFraming::Close),
    ] {
        let (x, body) = get_whole(&Pool::default(), &answering_once(wire).await).await;
        assert_eq!((x.framing, body.as_str()), (framing, "hello"), "{wire}");
    }
}

#[tokio::test]
async fn trailers_come_after_the_clean_end() {
    let wire = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 7\r\n\r\n";
    let (pool, origin) = (Pool::default(), answering(wire).await);
    let (mut x, body) = get_whole(&pool, &origin).await;
    assert_eq!((body.as_str(), x.body.take_trailers().get("x-sum")), ("ok", Some(&b"7"[..])));
    assert!(x.body.take_trailers().is_empty());
    assert!(get_whole(&pool, &origin).await.0.reused);
}

#[tokio::test]
async fn chunks_override_a_length_which_is_removed() {
    let wire = "HTTP/1.1 200 OK\r\nContent-Length: 99\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let (x, body) = get_whole(&Pool::default(), &answering(wire).await).await;
    assert_eq!((body.as_str(), x.framing), ("ok", BodyFraming::Chunked));
    assert!(!x.head.headers.contains("content-length"));
}

#[tokio::test]
async fn a_large_body_arrives_intact() {
    let large: &'static str = Box::leak((0..200_000).map(|n| format!("{n:06}\n")).collect::<String>().into_boxed_str());
    let wires = [
        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{large}", large.len()),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{large}\r\n0\r\n\r\n", large.len()),
        format!("HTTP/1.1 200 OK\r\n\r\n{large}"),
    ];
    for wire in wires {
        let (_, body) = get_whole(&Pool::default(), &answering_once(Box::leak(wire.into_boxed_str())).await).await;
        assert!(body == large);
    }
}

#[tokio::test]
async fn a_body_that_ends_early_is_a_fault_and_no_clean_end() {
    for (wire, sent) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc", "abc"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n", "abc"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n", "abc"),
    ] {
        let origin = answering_once(wire).await;
        let mut x = get(&Pool::default(), &origin).await.expect("a head");
        let (body, fault) = read(&mut x.body).await;
        let fault = fault.expect("no clean end");
        assert_eq!((body.as_str(), fault.phase, fault.kind), (sent, Phase::Body, FaultKind::ShortBody), "{wire}");
        assert_eq!((fault.status(), fault.code(), fault.retry_safe), (502, "http_response_incomplete", false));
        assert_eq!(count_of(&origin.row(), "body", "http_response_incomplete"), 1);
    }
}

#[tokio::test]
async fn a_bad_chunk_is_a_fault() {
    for bad in ["zz\r\n", "3\r\nabcd\r\n0\r\n\r\n", "3\nabc\n", "0\r\nbad line\r\n\r\n"] {
        let wire = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n{bad}");
        let origin = answering(Box::leak(wire.into_boxed_str())).await;
        let mut x = get(&Pool::default(), &origin).await.expect("a head");
        let (_, fault) = read(&mut x.body).await;
        assert_eq!(fault.expect("no clean end").kind, FaultKind::Protocol(WireError::Chunk), "{bad:?}");
        assert_eq!(origin.row().connections_open, 0);
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_a_timeout() {
    for framing in ["Content-Length: 5", "Transfer-Encoding: chunked", "X: close-delimited"] {
        let start = if framing.contains("chunked") { "5\r\nab" } else { "ab" };
        let wire: &str = Box::leak(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{start}").into_boxed_str());
        let address = answering(wire).await.options().address.clone();
        let origin = Origin::new(OriginOptions { between_bytes_timeout: SHORT, ..options(address) });
        let mut x = get(&Pool::default(), &origin).await.expect("a head");
        let (body, fault) = read(&mut x.body).await;
        let fault = fault.expect("no clean end");
        assert_eq!((body.as_str(), fault.phase, fault.kind), ("ab", Phase::Body, FaultKind::Timeout), "{framing}");
        assert_eq!((fault.status(), fault.code()), (504, "connection_read_timeout"));
    }
}
