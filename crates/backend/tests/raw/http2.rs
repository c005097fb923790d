//! HTTP/2 to origins: when it is spoken, what shares a connection, what a reset means, and that nobody holds up others.

use crate::support::*;
use bytes::Bytes;
use copal_backend::http2::{STREAMS_MAX, WINDOW};
use copal_backend::{
    Address, Backends, BodyError, BodyFraming, FaultKind, Http2, HttpProbe, Origin, OriginOptions, Pattern, Phase,
    Pool, ProbeKind, ProbeOptions, SendBody, TlsOptions,
};
use copal_semantics::{Headers, RequestHead, ResponseHead};
use copal_testkit::{Authority, Validity};
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{HeaderMap, Method, Request, Response};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;

type Ask = (Request<RecvStream>, SendResponse<Bytes>);

/// Speaks HTTP/2 on one connection: `talk` for each request, with its number on that connection.
async fn streams<F, Fut>(io: impl AsyncRead + AsyncWrite + Unpin, builder: h2::server::Builder, talk: F)
where
    F: Fn(Ask, usize) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = builder.handshake(io).await else { return };
    let mut n = 0;
    while let Some(Ok(ask)) = connection.accept().await {
        tokio::spawn(talk(ask, n));
        n += 1;
    }
}

/// An origin that is spoken to by prior knowledge.
async fn h2c<F, Fut>(talk: F) -> Arc<Origin>
where
    F: Fn(Ask, usize) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    only(
        serve(move |s, _| {
            let talk = talk.clone();
            async move { streams(s, h2::server::Builder::new(), talk).await }
        })
        .await,
    )
}

fn only(address: Address) -> Arc<Origin> {
    Origin::new(OriginOptions { http2: Http2::Only, ..options(address) })
}

fn answer((_, mut respond): Ask, text: &'static str) {
    let response = Response::builder().header("content-length", text.len()).body(()).expect("valid");
    if let Ok(mut send) = respond.send_response(response, false) {
        let _gone = send.send_data(Bytes::from_static(text.as_bytes()), true);
    }
}

async fn drain(body: &mut RecvStream) -> (usize, Option<HeaderMap>) {
    let mut n = 0;
    while let Some(Ok(piece)) = body.data().await {
        n += piece.len();
        let _closed = body.flow_control().release_capacity(piece.len());
    }
    (n, body.trailers().await.ok().flatten())
}

#[tokio::test]
async fn requests_share_one_connection_and_run_beside_each_other() {
    // Nobody is answered before all have asked.
    let all = Arc::new(tokio::sync::Barrier::new(50));
    let origin = h2c(move |ask, _| {
        let all = all.clone();
        async move {
            all.wait().await;
            answer(ask, "ok");
        }
    })
    .await;
    let pool = Pool::default();
    let asks: Vec<_> = (0..50)
        .map(|_| {
            let (pool, origin) = (pool.clone(), origin.clone());
            tokio::spawn(async move { get_whole(&pool, &origin).await })
        })
        .collect();
    let mut reused = 0;
    for ask in asks {
        let (x, body) = ask.await.expect("no panic");
        assert_eq!((x.head.status, body.as_str(), x.framing), (200, "ok", BodyFraming::Length(2)));
        reused += usize::from(x.reused);
    }
    let row = origin.row();
    assert_eq!((reused, row.connections_opened, row.connections_reused, row.running), (49, 1, 49, 0));
    assert_eq!(connections(&origin), [0, 1, 1], "and it waits for the next one");
}

#[tokio::test]
async fn alpn_decides_and_an_origin_that_declines_is_asked_in_http1() {
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    for (offered, wanted, h2) in [
        (&["h2", "http/1.1"][..], Http2::Auto, Some(true)),
        (&["http/1.1"], Http2::Auto, Some(false)),
        (&[], Http2::Auto, Some(false)),
        (&["h2", "http/1.1"], Http2::Off, Some(false)),
        (&["h2"], Http2::Only, Some(true)),
        (&["http/1.1"], Http2::Only, None),
    ] {
        let acceptor = TlsAcceptor::from(authority.server(&issued, offered, false));
        let address = serve(move |s, _| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut s) = acceptor.accept(s).await else { return };
                if s.get_ref().1.alpn_protocol() == Some(b"h2") {
                    return streams(s, h2::server::Builder::new(), |ask, _| async { answer(ask, "two") }).await;
                }
                while read_head(&mut s).await.is_some() {
                    send(&mut s, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none").await;
                }
            }
        })
        .await;
        let tls =
            TlsOptions { ca_file: Some(authority.ca_file()), sni: Some("app.example".into()), ..TlsOptions::default() };
        let origin = Origin::new(OriginOptions { tls: Some(tls), http2: wanted, ..options(address) });
        let pool = Pool::default();
        match h2 {
            Some(h2) => {
                for _ in 0..3 {
                    assert_eq!(get_whole(&pool, &origin).await.1, if h2 { "two" } else { "one" }, "{offered:?}");
                }
                assert_eq!(origin.row().connections_opened, 1, "{offered:?} {wanted:?}");
            }
            None => {
                let fault = get(&pool, &origin).await.expect_err("no HTTP/2");
                assert_eq!((fault.phase, fault.code()), (Phase::Tls, "tls_alert_received"), "{fault}");
            }
        }
    }
}

#[tokio::test]
async fn heads_and_trailers_go_through_and_what_belongs_to_http1_does_not() {
    let origin = h2c(|(request, mut respond), _| async move {
        assert_eq!(request.uri().to_string(), "http://a.example/up");
        assert!(
            ["connection", "host", "transfer-encoding", "keep-alive"]
                .iter()
                .all(|n| !request.headers().contains_key(*n))
        );
        let mut early = Response::builder().status(103).header("link", "</a>").body(()).expect("valid");
        respond.send_informational(early).expect("sent");
        let (n, trailers) = drain(&mut request.into_body()).await;
        assert_eq!((n, trailers.expect("trailers")["x-sum"].as_bytes()), (6, &b"6"[..]));
        early = Response::builder().header("set-cookie", "a").header("set-cookie", "b").body(()).expect("valid");
        let mut send = respond.send_response(early, false).expect("sent");
        send.send_data(Bytes::from_static(b"body"), false).expect("sent");
        let mut trailers = HeaderMap::new();
        trailers.insert("x-end", "1".parse().expect("valid"));
        trailers.insert("content-length", "4".parse().expect("valid"));
        send.send_trailers(trailers).expect("sent");
    })
    .await;
    struct WithTrailers(VecDeque<Bytes>);
    impl copal_backend::RequestBody for WithTrailers {
        fn poll_next(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Option<Result<Bytes, BodyError>>> {
            std::task::Poll::Ready(self.0.pop_front().map(Ok))
        }
        fn take_trailers(&mut self) -> Headers {
            let mut trailers = Headers::new();
            trailers.append("X-Sum", "6").expect("valid");
            trailers
        }
    }
    let head = RequestHead {
        method: Method::POST,
        ..RequestHead::get("/up", [("Host", "a.example"), ("Connection", "close"), ("Keep-Alive", "1")])
    };
    let mut hints = Vec::new();
    let mut body = SendBody::Chunked(WithTrailers(["abc", "def"].map(Bytes::from).into()));
    let terms = (copal_backend::Timeouts::of(&origin), None);
    let mut interim = |head: ResponseHead| hints.push((head.status, head.headers.get("link").map(<[u8]>::to_vec)));
    let pool = Pool::default();
    let mut x =
        copal_backend::exchange(&pool, &origin, &head, &mut body, terms, &mut interim).await.expect("an answer");
    assert_eq!(x.framing, BodyFraming::Chunked, "of unknown length");
    assert_eq!(x.head.headers.get_all("set-cookie").collect::<Vec<_>>(), [b"a", b"b"]);
    let (text, fault) = read(&mut x.body).await;
    assert_eq!((text.as_str(), fault), ("body", None));
    let trailers = x.body.take_trailers();
    assert_eq!((trailers.get("x-end"), trailers.contains("content-length")), (Some(&b"1"[..]), false));
    assert_eq!(hints, [(103, Some(b"</a>".to_vec()))]);
}

#[tokio::test]
async fn a_body_that_is_reset_or_cut_off_or_too_short_is_never_whole() {
    for how in ["reset", "no_error", "short", "closed"] {
        let origin = only(
            serve(move |s, _| async move {
                let talk = move |(_, mut respond): Ask, _| async move {
                    let mut head = Response::builder();
                    if how == "short" {
                        head = head.header("content-length", "100");
                    }
                    let mut send = respond.send_response(head.body(()).expect("valid"), false).expect("sent");
                    send.send_data(Bytes::from_static(b"half"), how == "short").expect("sent");
                    // The piece goes out before the reset does.
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    match how {
                        "reset" => send.send_reset(Reason::INTERNAL_ERROR),
                        "no_error" => send.send_reset(Reason::NO_ERROR),
                        _ => std::future::pending().await,
                    }
                };
                let serving = streams(s, h2::server::Builder::new(), talk);
                match how {
                    "closed" => drop(tokio::time::timeout(SHORT, serving).await),
                    _ => serving.await,
                }
            })
            .await,
        );
        let mut x = get(&Pool::default(), &origin).await.expect("a head");
        let (_, fault) = read(&mut x.body).await;
        let fault = fault.unwrap_or_else(|| panic!("{how}: passed off as whole"));
        assert_eq!((fault.phase, fault.retry_safe), (Phase::Body, false), "{how}: {fault}");
        let kinds = [FaultKind::Closed, FaultKind::ShortBody, FaultKind::Http2];
        assert!(kinds.contains(&fault.kind), "{how}: {fault}");
    }
}

#[tokio::test]
async fn what_the_origin_has_refused_is_sent_once_more_also_a_post() {
    let asked = Arc::new(AtomicUsize::new(0));
    for refusals in [1, 2] {
        asked.store(0, Ordering::SeqCst);
        let count = asked.clone();
        let origin = h2c(move |(request, mut respond), _| {
            let n = count.fetch_add(1, Ordering::SeqCst);
            async move {
                if n < refusals {
                    return respond.send_reset(Reason::REFUSED_STREAM);
                }
                answer((request, respond), "ok");
            }
        })
        .await;
        let answer = method(&Pool::default(), &origin, Method::POST).await;
        assert_eq!(asked.load(Ordering::SeqCst), 2, "once more, not for ever");
        match refusals {
            1 => assert!(answer.expect("the second time").reconnected),
            _ => {
                let fault = answer.expect_err("refused twice");
                assert_eq!((fault.kind, fault.retry_safe), (FaultKind::Closed, true), "{fault}");
            }
        }
    }
}

#[tokio::test]
async fn a_post_that_was_under_way_when_the_connection_died_is_not_sent_again_and_a_get_is() {
    let origin = only(
        serve(|s, n| async move {
            let serving = streams(s, h2::server::Builder::new(), move |ask, _| async move {
                match n {
                    0 if ask.0.uri().path() == "/" => answer(ask, "ok"),
                    0 => std::future::pending().await,
                    _ => answer(ask, "again"),
                }
            });
            match n {
                0 => drop(tokio::time::timeout(SHORT, serving).await),
                _ => serving.await,
            }
        })
        .await,
    );
    let pool = Pool::default();
    get_whole(&pool, &origin).await;
    let post = method(&pool, &origin, Method::POST).await.expect_err("lost");
    assert_eq!((post.kind, post.retry_safe), (FaultKind::Closed, false), "{post}");
    let x = method(&pool, &origin, Method::PUT).await.expect("a new connection");
    assert!(!x.reused);
}

#[tokio::test]
async fn after_a_goaway_what_runs_goes_on_and_what_comes_goes_over_a_new_connection() {
    let gate = Arc::new(tokio::sync::Notify::new());
    let opened = gate.clone();
    let origin = only(
        serve(move |s, n| {
            let gate = opened.clone();
            async move {
                let mut connection = h2::server::handshake(s).await.expect("a handshake");
                while let Some(Ok(ask)) = connection.accept().await {
                    if n > 0 {
                        answer(ask, "new");
                        continue;
                    }
                    connection.graceful_shutdown();
                    let gate = gate.clone();
                    tokio::spawn(async move {
                        gate.notified().await;
                        answer(ask, "old");
                    });
                }
            }
        })
        .await,
    );
    let pool = Pool::default();
    let (p, o) = (pool.clone(), origin.clone());
    let first = tokio::spawn(async move { get_whole(&p, &o).await.1 });
    until("the first has asked", || origin.row().running == 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    for _ in 0..3 {
        assert_eq!(method(&pool, &origin, Method::POST).await.expect("an answer").head.status, 200);
    }
    gate.notify_one();
    assert_eq!(first.await.expect("no panic"), "old");
    assert_eq!(origin.row().connections_opened, 2);
    assert_eq!(origin.row().failures, 0);
}

#[tokio::test]
async fn a_reader_who_stands_still_holds_up_its_own_stream_alone_and_bounds_what_is_read_ahead() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = sent.clone();
    let origin = h2c(move |(request, mut respond), _| {
        let count = count.clone();
        async move {
            if request.uri().path() == "/up" {
                return answer((request, respond), "ok");
            }
            let mut send = respond.send_response(Response::new(()), false).expect("sent");
            loop {
                send.reserve_capacity(16 * 1024);
                let Some(Ok(n)) = std::future::poll_fn(|cx| send.poll_capacity(cx)).await else { return };
                if n > 0 && send.send_data(Bytes::from(vec![b'x'; n]), false).is_ok() {
                    count.fetch_add(n, Ordering::SeqCst);
                }
            }
        }
    })
    .await;
    let pool = Pool::default();
    let mut stalled = Vec::new();
    for _ in 0..20 {
        stalled.push(get(&pool, &origin).await.expect("a head"));
    }
    let bound = 20 * WINDOW as usize;
    until("all windows are full", || sent.load(Ordering::SeqCst) == bound).await;
    for _ in 0..50 {
        let x = tokio::time::timeout(LONG, method(&pool, &origin, Method::PUT)).await.expect("not held up");
        assert_eq!(x.expect("an answer").head.status, 200);
    }
    assert_eq!(sent.load(Ordering::SeqCst), bound);
    // One of them reads on: its window opens, and no other.
    let mut read = 0;
    while read < 4 * WINDOW as usize {
        read += stalled[0].body.next().await.expect("more").expect("no fault").len();
    }
    let now = sent.load(Ordering::SeqCst);
    assert!(now >= bound + 3 * WINDOW as usize && now <= bound + read + WINDOW as usize, "{now}");
    assert_eq!(origin.row().connections_opened, 1);
    drop(stalled);
    until("all streams are given back", || origin.row().running == 0).await;
}

#[tokio::test]
async fn more_requests_than_the_origin_lets_share_a_connection_open_another() {
    let origin = only(
        serve(|s, _| async move {
            let mut builder = h2::server::Builder::new();
            builder.max_concurrent_streams(3);
            streams(s, builder, |ask, _| async move {
                if ask.0.uri().path() == "/up" {
                    return answer(ask, "ok");
                }
                std::future::pending().await
            })
            .await;
        })
        .await,
    );
    let pool = Pool::default();
    // The first answer comes after the origin's settings.
    method(&pool, &origin, Method::PUT).await.expect("an answer");
    for _ in 0..7 {
        let (pool, origin) = (pool.clone(), origin.clone());
        tokio::spawn(async move { get(&pool, &origin).await });
    }
    until("three connections", || origin.row().connections_opened == 3).await;
    let x = tokio::time::timeout(LONG, method(&pool, &origin, Method::PUT)).await.expect("not held up");
    assert_eq!(x.expect("an answer").head.status, 200);
    const { assert!(STREAMS_MAX >= 3) };
}

#[tokio::test]
async fn uploads_wait_for_the_origins_window_and_cross_with_their_answers() {
    // Reads nothing of the body until it is told to, having answered.
    let gate = Arc::new(tokio::sync::Notify::new());
    let opened = gate.clone();
    let origin = h2c(move |(request, mut respond), _| {
        let gate = opened.clone();
        async move {
            let mut send = respond.send_response(Response::new(()), false).expect("sent");
            gate.notified().await;
            let (n, _) = drain(&mut request.into_body()).await;
            send.send_data(Bytes::from(n.to_string()), true).expect("sent");
        }
    })
    .await;
    let piece = "0123456789".repeat(2000).leak();
    let body = SendBody::Length(1_000_000, Pieces::of(&vec![&*piece; 50]));
    let mut x = send_body(&Pool::default(), &origin, Method::POST, body, &mut |_| {}).await.expect("a head");
    assert!(x.body.is_sending());
    let stuck = tokio::time::timeout(SHORT, x.body.pump()).await;
    assert!(stuck.is_err(), "the window is full");
    gate.notify_one();
    assert_eq!(read(&mut x.body).await, ("1000000".to_owned(), None));
}

#[tokio::test]
async fn silence_is_a_timeout_and_the_next_request_does_not_wait_on_the_same_connection() {
    let address = serve(|s, n| async move {
        streams(s, h2::server::Builder::new(), move |ask, _| async move {
            match n {
                0 => std::future::pending().await,
                _ => answer(ask, "ok"),
            }
        })
        .await;
    })
    .await;
    let origin = Origin::new(OriginOptions { http2: Http2::Only, first_byte_timeout: SHORT, ..options(address) });
    let pool = Pool::default();
    let fault = get(&pool, &origin).await.expect_err("silent");
    assert_eq!((fault.phase, fault.kind, fault.status()), (Phase::Head, FaultKind::Timeout, 504), "{fault}");
    assert_eq!(get_whole(&pool, &origin).await.1, "ok");
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let address = serve(|s, _| async move {
        streams(s, h2::server::Builder::new(), |ask, _| async { answer(ask, "ok") }).await;
    })
    .await;
    let origin = Origin::new(OriginOptions { http2: Http2::Only, idle_timeout: SHORT, ..options(address) });
    let pool = Pool::default();
    get_whole(&pool, &origin).await;
    assert_eq!(connections(&origin), [0, 1, 1]);
    until("it is closed", || connections(&origin) == [0, 0, 0]).await;
    assert_eq!(get_whole(&pool, &origin).await.1, "ok");
}

#[tokio::test]
async fn what_is_not_http2_is_a_fault_of_the_origin() {
    let address = serve(|mut s, _| async move {
        send(&mut s, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        until_closed(&mut s).await;
    })
    .await;
    let fault = get(&Pool::default(), &only(address)).await.expect_err("not HTTP/2");
    assert!(matches!(fault.kind, FaultKind::Http2 | FaultKind::Closed) && fault.is_origins(), "{fault}");
    assert_eq!(fault.status(), 502);
}

#[tokio::test]
async fn probes_of_an_origin_that_speaks_nothing_else_are_in_http2() {
    let address = serve(|s, _| async move {
        streams(s, h2::server::Builder::new(), |ask, _| async {
            assert_eq!(ask.0.uri().to_string(), "http://health.example/up");
            answer(ask, "all is well");
        })
        .await;
    })
    .await;
    for (pattern, history) in [("well", "XX"), ("ill", "xx")] {
        let http = HttpProbe {
            path: "/up".into(),
            host: Some("health.example".into()),
            expected_body: Some(Pattern::new(pattern).expect("valid")),
            ..HttpProbe::default()
        };
        let probe = ProbeOptions {
            kind: ProbeKind::Http(http),
            interval: Duration::from_millis(10),
            timeout: LONG,
            window: 2,
            threshold: 1,
            ..ProbeOptions::default()
        };
        let options = OriginOptions { http2: Http2::Only, probe: Some(probe), ..options(address.clone()) };
        let backends = Backends::new(vec![options], vec![]).expect("valid");
        let probes = tokio::spawn(copal_backend::run_probes(backends.clone(), std::future::pending()));
        until("two probes", || backends.rows()[0].probe_history == history).await;
        probes.abort();
    }
}
