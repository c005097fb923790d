//! Health probes against a real listener.

use crate::support::*;
use copal_backend::{Admin, Backends, OriginOptions, ProbeOptions, run_probes};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Waits until it holds; the test fails by its deadline, not by its speed.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(LONG, wait).await.is_ok(), "{what}");
}

fn probe() -> Option<ProbeOptions> {
    let interval = Duration::from_millis(10);
    Some(ProbeOptions {
        path: "/health".into(),
        interval,
        timeout: LONG,
        window: 4,
        threshold: 2,
        ..Default::default()
    })
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
    assert_eq!(backends.pick(None).expect_err("sick").status(), 503);
    backends.set_admin("app", Admin::Healthy).expect("known");
    assert!(backends.pick(None).is_ok());
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
