//! Health probes against a real listener.

use crate::support::*;
use copal_backend::{Admin, Ask, Backends, HttpProbe, OriginOptions, Pattern, ProbeKind, ProbeOptions, run_probes};
use copal_semantics::RequestHead;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

fn probe() -> Option<ProbeOptions> {
    let interval = Duration::from_millis(10);
    Some(ProbeOptions {
        kind: ProbeKind::Http(HttpProbe { path: "/health".into(), ..HttpProbe::default() }),
        interval,
        timeout: LONG,
        window: 4,
        threshold: 2,
        ..Default::default()
    })
}

fn pick(backends: &Backends) -> Result<copal_backend::Picked, copal_backend::Fault> {
    let head = RequestHead::default();
    backends.pick(None, &Ask { head: &head, key: b"", client: [127, 0, 0, 1].into(), bound: b"", tried: &[] })
}

#[tokio::test]
async fn an_origin_goes_sick_and_healthy_as_its_probes_say() {
    static STATUS: AtomicU16 = AtomicU16::new(200);
    let address = serve(|mut s, _| async move {
        let head = read_head(&mut s).await.expect("a head");
        assert!(head.starts_with("GET /health HTTP/1.1\r\nHost: app.example\r\n"), "{head}");
        assert!(head.contains("User-Agent: copal-probe\r\n") && head.contains("Connection: close\r\n"), "{head}");
        send(&mut s, &format!("HTTP/1.1 {} X\r\nContent-Length: 0\r\n\r\n", STATUS.load(Ordering::SeqCst))).await;
    })
    .await;
    let app = OriginOptions { host_header: Some("app.example".into()), probe: probe(), ..options(address) };
    let down = OriginOptions { name: "down".into(), probe: probe(), ..options(refusing().await) };
    let backends = Backends::new(vec![app, down], vec![]).expect("valid");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let probes = tokio::spawn(run_probes(backends.clone(), async move { drop(stopped.await) }));
    let row = |i: usize| backends.rows().swap_remove(i);

    until("four good probes", || row(0).probe_history == "XXXX").await;
    assert_eq!(row(0).state_reason, "4 of the last 4 probes good, 2 needed; last: ok");
    until("refused probes", || row(1).state_reason.ends_with("last: connect refused")).await;
    until("the assumed ones are gone", || !backends.is_healthy(Some("down"))).await;

    STATUS.store(503, Ordering::SeqCst);
    until("sick", || !backends.is_healthy(Some("app"))).await;
    assert!(row(0).state_reason.ends_with("last: status 503"), "{}", row(0).state_reason);
    assert_eq!(pick(&backends).expect_err("sick").status(), 503);
    backends.set_admin("app", Admin::Healthy).expect("known");
    assert!(pick(&backends).is_ok());
    backends.set_admin("app", Admin::Auto).expect("known");

    STATUS.store(200, Ordering::SeqCst);
    until("healthy again", || backends.is_healthy(Some("app"))).await;
    drop(stop);
    probes.await.expect("ends by itself");
    assert_eq!(Arc::strong_count(&backends), 1, "no loop is left");
}

#[tokio::test]
async fn a_probe_that_gets_no_answer_times_out() {
    let address = serve(|mut s, _| async move { until_closed(&mut s).await }).await;
    let probe = probe().map(|p| ProbeOptions { timeout: Duration::from_millis(50), ..p });
    let backends = Backends::new(vec![OriginOptions { probe, ..options(address) }], vec![]).expect("valid");
    let timed_out = until("a timeout", || backends.rows()[0].state_reason.ends_with("last: timeout"));
    run_probes(backends.clone(), timed_out).await;
}

/// The reason of the state after the first probe against a server that answers with `wire`.
async fn after_one(kind: ProbeKind, wire: &'static str) -> String {
    let address = serve(move |mut s, _| async move {
        if read_head(&mut s).await.is_some() {
            send(&mut s, wire).await;
            // Not closed: only what has come may decide.
            until_closed(&mut s).await;
        }
    })
    .await;
    let probe = probe().map(|p| ProbeOptions { kind, interval: LONG, timeout: SHORT, ..p });
    let backends = Backends::new(vec![OriginOptions { probe, ..options(address) }], vec![]).expect("valid");
    let probed = until("one probe", || !backends.rows()[0].probe_history.ends_with('.'));
    run_probes(backends.clone(), probed).await;
    let reason = backends.rows().swap_remove(0).state_reason;
    reason.split_once("last: ").expect("a last one").1.to_owned()
}

fn http(probe: HttpProbe) -> ProbeKind {
    ProbeKind::Http(probe)
}

#[tokio::test]
async fn a_range_of_statuses_can_be_good() {
    let range = || http(HttpProbe { expected_status: 200..=399, ..HttpProbe::default() });
    assert_eq!(after_one(range(), "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n").await, "ok");
    assert_eq!(after_one(range(), "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n").await, "status 404");
}

#[tokio::test]
async fn the_body_must_hold_the_pattern_however_it_is_framed() {
    let says = |pattern: &str| {
        let expected_body = Some(Pattern::new(pattern).expect("valid"));
        http(HttpProbe { expected_body, ..HttpProbe::default() })
    };
    let not = "status 200, body not as expected";
    for (wire, outcome) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nstatus: up\n", "ok"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nstatus: down\n", not),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nstatus: \r\n2\r\nup\r\n0\r\n\r\n", "ok"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nup\r\n0\r\n\r\n", not),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nstatus: up, and then nothing more", "ok"),
        ("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nstatus: ", "timeout"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nstatus: up", not),
        ("HTTP/1.1 503 X\r\nContent-Length: 10\r\n\r\nstatus: up", "status 503"),
    ] {
        assert_eq!(after_one(says("status: (up|degraded)"), wire).await, outcome, "{wire}");
    }
}

#[tokio::test]
async fn a_tcp_probe_is_content_when_somebody_listens() {
    assert_eq!(after_one(ProbeKind::Tcp, "never sent").await, "ok");
    let probe = probe().map(|p| ProbeOptions { kind: ProbeKind::Tcp, ..p });
    let down = OriginOptions { probe, ..options(refusing().await) };
    let backends = Backends::new(vec![down], vec![]).expect("valid");
    let refused = until("refused", || backends.rows()[0].state_reason.ends_with("last: connect refused"));
    run_probes(backends.clone(), refused).await;
}

#[tokio::test]
async fn the_method_and_even_the_whole_head_can_be_chosen() {
    for (probe, wire) in [
        (
            HttpProbe { method: "OPTIONS".into(), path: "*".into(), host: Some("h".into()), ..HttpProbe::default() },
            "OPTIONS * HTTP/1.1\r\nHost: h\r\nUser-Agent: copal-probe\r\nConnection: close\r\n\r\n",
        ),
        (
            HttpProbe { request: Some(vec!["GET /x HTTP/1.0".into(), "X-A: 1".into()]), ..HttpProbe::default() },
            "GET /x HTTP/1.0\r\nX-A: 1\r\n\r\n",
        ),
    ] {
        let address = serve(move |mut s, _| async move {
            let head = read_head(&mut s).await.expect("a head");
            let status = if head == wire { 200 } else { 500 };
            send(&mut s, &format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n")).await;
        })
        .await;
        let options =
            OriginOptions { probe: self::probe().map(|p| ProbeOptions { kind: http(probe), ..p }), ..options(address) };
        let backends = Backends::new(vec![options], vec![]).expect("valid");
        let good = until("a good probe", || backends.rows()[0].probe_history.ends_with('X'));
        run_probes(backends.clone(), good).await;
    }
}
