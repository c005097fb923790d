//! Origins that refuse, talk nonsense or say nothing; names that do not resolve.

use crate::support::*;
use copal_backend::{Fault, FaultKind, Origin, OriginOptions, Phase, Pool, SendBody};
use copal_wire::WireError;
use http::Method;

async fn fault_of(wire: String) -> Fault {
    let origin = answering_once(Box::leak(wire.into_boxed_str())).await;
    get(&Pool::default(), &origin).await.expect_err("a fault")
}

#[tokio::test]
async fn a_head_that_is_not_http_1_is_a_protocol_fault() {
    for (wire, want) in [
        ("garbage\r\n\r\n", WireError::Version),
        ("SSH-2.0-OpenSSH_9\r\n\r\n", WireError::Version),
        ("HTTP/2 200 OK\r\n\r\n", WireError::Version),
        ("HTTP/1.1 200 OK\nA: b\n\n", WireError::BareLf),
        ("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", WireError::HeaderLine),
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", WireError::ContentLength),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", WireError::TransferEncoding),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", WireError::TransferEncoding),
    ] {
        let fault = fault_of(wire.to_owned()).await;
        assert_eq!((fault.phase, fault.kind, fault.status()), (Phase::Head, FaultKind::Protocol(want), 502), "{wire}");
    }
    let long_line = fault_of("a".repeat(20_000)).await;
    assert_eq!(long_line.kind, FaultKind::Protocol(WireError::StartLine));
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    let fields: String = (0..3000).map(|n| format!("X-{n}: {}\r\n", "v".repeat(30))).collect();
    let fault = fault_of(format!("HTTP/1.1 200 OK\r\n{fields}\r\n")).await;
    assert_eq!(
        (fault.kind, fault.code()),
        (FaultKind::Protocol(WireError::HeadSize), "http_response_header_section_size")
    );
}

#[tokio::test]
async fn a_head_that_is_cut_short_is_a_closed_connection() {
    let fault = fault_of("HTTP/1.1 200 OK\r\nContent-Le".to_owned()).await;
    assert_eq!((fault.phase, fault.kind), (Phase::Head, FaultKind::Closed), "{fault}");
}

#[tokio::test]
async fn an_unasked_for_switch_and_endless_interim_responses_are_faults() {
    let fault = fault_of("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n".to_owned()).await;
    assert_eq!((fault.kind, fault.status()), (FaultKind::Upgrade, 502));
    let fault = fault_of("HTTP/1.1 102 Processing\r\n\r\n".repeat(17)).await;
    assert_eq!(fault.kind, FaultKind::TooManyInterim);
}

#[tokio::test]
async fn interim_responses_are_handed_on_in_order_before_the_final_one() {
    let wire = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (pool, origin) = (Pool::default(), answering(wire).await);
    let mut seen = Vec::new();
    let none: SendBody<Pieces> = SendBody::None;
    let x =
        send_body(&pool, &origin, Method::GET, none, &mut |h| seen.push((h.status, h.headers.contains("link")))).await;
    let mut x = x.expect("an answer");
    assert_eq!((x.head.status, read(&mut x.body).await.0.as_str()), (200, "ok"));
    assert_eq!(seen, [(100, false), (103, true)]);
    assert!(get_whole(&pool, &origin).await.0.reused);
}

#[tokio::test]
async fn an_origin_that_never_answers_is_a_timeout() {
    let address = serve(|mut s, _| async move { until_closed(&mut s).await }).await;
    let origin = Origin::new(OriginOptions { first_byte_timeout: SHORT, ..options(address) });
    let fault = get(&Pool::default(), &origin).await.expect_err("a timeout");
    assert_eq!((fault.phase, fault.kind, fault.status()), (Phase::Head, FaultKind::Timeout, 504));
    assert_eq!((fault.code(), fault.retry_safe), ("http_response_timeout", true));
    let row = origin.row();
    assert_eq!((row.connections_in_use, row.connections_open, row.latency_count), (0, 0, 0));
}

#[tokio::test]
async fn a_head_that_trickles_is_held_to_the_same_deadline() {
    let address = serve(|mut s, _| async move {
        read_head(&mut s).await;
        loop {
            send(&mut s, "H").await;
            tokio::time::sleep(SHORT / 5).await;
        }
    })
    .await;
    let origin = Origin::new(OriginOptions { first_byte_timeout: SHORT, ..options(address) });
    let fault = get(&Pool::default(), &origin).await.expect_err("a timeout");
    assert_eq!((fault.phase, fault.kind), (Phase::Head, FaultKind::Timeout));
}

#[tokio::test]
async fn a_refused_connection_is_a_fault_that_may_be_retried() {
    let origin = origin(refusing().await);
    let fault = method(&Pool::default(), &origin, Method::POST).await.expect_err("refused");
    assert_eq!((fault.phase, fault.kind, fault.status()), (Phase::Connect, FaultKind::Refused, 502));
    assert_eq!((fault.code(), fault.retry_safe), ("connection_refused", true));
    assert!(fault.to_string().starts_with("app: connect refused (connect: 127.0.0.1:"), "{fault}");
    assert_eq!(count_of(&origin.row(), "connect", "connection_refused"), 1);
}

#[tokio::test]
async fn a_unix_socket_that_is_not_there_is_refused() {
    let origin = origin("unix:/nonexistent/copal.sock".parse().expect("valid"));
    let fault = get(&Pool::default(), &origin).await.expect_err("refused");
    assert_eq!((fault.phase, fault.kind), (Phase::Connect, FaultKind::Refused), "{fault}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_fault_of_that_phase() {
    let origin = origin("no-such-host.invalid:80".parse().expect("valid"));
    let fault = get(&Pool::default(), &origin).await.expect_err("unresolved");
    assert_eq!((fault.phase, fault.kind, fault.status()), (Phase::Resolve, FaultKind::Unresolved, 502), "{fault}");
    assert_eq!((fault.code(), fault.retry_safe), ("dns_error", true));
}

#[tokio::test]
async fn a_name_that_resolves_is_connected_to() {
    let copal_backend::Address::Tcp { port, .. } = answering("HTTP/1.1 204 No\r\n\r\n").await.options().address else {
        panic!("a TCP origin")
    };
    // localhost may be ::1 first, where nobody listens: the next address is tried.
    let origin = origin(copal_backend::Address::Tcp { host: "localhost".into(), port });
    assert_eq!(get(&Pool::default(), &origin).await.expect("an answer").head.status, 204);
}
