//! TLS to origins: who is believed, what is said about who is not, and what else of a connection must hold over it.

use crate::support::*;
use copal_backend::{
    Address, Backends, BackendsError, BodyFraming, FaultKind, Http2, HttpProbe, Origin, OriginOptions, Phase, Pool,
    ProbeKind, ProbeOptions, SendBody, TlsFault, TlsOptions, TlsVersion,
};
use copal_testkit::{Authority, Issued, Validity};
use http::Method;
use rustls::ServerConfig;
use std::future::Future;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// An origin over TLS; a handshake that fails ends its connection.
async fn serve_tls<F, Fut>(config: Arc<ServerConfig>, talk: F) -> Address
where
    F: Fn(TlsStream<TcpStream>) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(config);
    serve(move |s, _| {
        let (acceptor, talk) = (acceptor.clone(), talk.clone());
        async move {
            if let Ok(s) = acceptor.accept(s).await {
                talk(s).await;
            }
        }
    })
    .await
}

async fn answers(config: Arc<ServerConfig>) -> Address {
    serve_tls(config, |mut s| async move {
        while read_head(&mut s).await.is_some() {
            send(&mut s, OK).await;
        }
    })
    .await
}

fn secure(address: Address, tls: TlsOptions) -> Arc<Origin> {
    Origin::new(OriginOptions { tls: Some(tls), ..options(address) })
}

fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions { ca_file: Some(authority.ca_file()), ..TlsOptions::default() }
}

fn named(authority: &Authority, name: &str) -> TlsOptions {
    TlsOptions { sni: Some(name.to_owned()), ..trusting(authority) }
}

async fn plain_server(authority: &Authority, issued: &Issued) -> Address {
    answers(authority.server(issued, &[], false)).await
}

async fn fault(origin: &Arc<Origin>) -> copal_backend::Fault {
    get(&Pool::default(), origin).await.expect_err("the handshake fails")
}

#[tokio::test]
async fn a_certificate_of_a_trusted_authority_for_the_right_name_is_believed_and_the_connection_is_kept() {
    let authority = Authority::new();
    let address = plain_server(&authority, &authority.issue("app.example", Validity::Good)).await;
    let (pool, origin) = (Pool::default(), secure(address, named(&authority, "app.example")));
    for n in 0..3 {
        let (x, body) = get_whole(&pool, &origin).await;
        assert_eq!((x.head.status, body.as_str(), x.reused), (200, "ok", n > 0));
    }
    let row = origin.row();
    assert_eq!((row.connections_opened, row.connections_reused, row.failures), (1, 2, 0));
}

#[tokio::test]
async fn without_a_name_of_its_own_the_address_is_what_the_certificate_must_be_for() {
    let authority = Authority::new();
    let address = plain_server(&authority, &authority.issue("127.0.0.1", Validity::Good)).await;
    let (_, body) = get_whole(&Pool::default(), &secure(address, trusting(&authority))).await;
    assert_eq!(body, "ok");
}

#[tokio::test]
async fn who_is_not_believed_gets_no_request_and_the_fault_says_why() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for (issuer, name, validity, why, words) in [
        (&authority, "app.example", Validity::Expired, TlsFault::Expired, "certificate expired (tls: 127."),
        (&authority, "app.example", Validity::NotYet, TlsFault::NotYetValid, "certificate not valid yet (tls: 127."),
        (&authority, "b.example", Validity::Good, TlsFault::NameMismatch, "certificate for another name (tls: 127."),
        (
            &stranger,
            "app.example",
            Validity::Good,
            TlsFault::UnknownIssuer,
            "certificate of an unknown issuer (tls: 127.",
        ),
    ] {
        let address = plain_server(issuer, &issuer.issue(name, validity)).await;
        let origin = secure(address, named(&authority, "app.example"));
        let fault = fault(&origin).await;
        assert_eq!((fault.phase, fault.kind), (Phase::Tls, FaultKind::Tls(why)), "{fault}");
        assert_eq!((fault.status(), fault.code(), fault.retry_safe), (502, "tls_certificate_error", true));
        assert!(fault.to_string().starts_with(&format!("app: {words}")), "{fault}");
        assert!(fault.is_origins());
        assert_eq!(
            origin.row().faults.iter().map(|fault| (fault.phase, fault.count)).collect::<Vec<_>>(),
            [("tls", 1)]
        );
        // The same, when its owner wants no check.
        let unchecked = TlsOptions { verify: false, ..TlsOptions::default() };
        let address = origin.options().address.clone();
        assert_eq!(get_whole(&Pool::default(), &secure(address, unchecked)).await.1, "ok");
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_or_too_old_a_version_or_nothing_is_told_apart() {
    let authority = Authority::new();
    let plain = serve(|mut s, _| async move {
        send(&mut s, "HTTP/1.1 400 Bad Request\r\n\r\n").await;
        until_closed(&mut s).await;
    });
    let kind = fault(&secure(plain.await, trusting(&authority))).await.kind;
    assert_eq!(kind, FaultKind::Tls(TlsFault::Protocol));
    let closing = serve(|s, _| async move { drop(s) });
    let closed = fault(&secure(closing.await, trusting(&authority))).await;
    assert_eq!((closed.phase, closed.kind), (Phase::Tls, FaultKind::Closed));
    let silent = serve(|mut s, _| async move { until_closed(&mut s).await });
    let silent = OriginOptions { connect_timeout: SHORT, tls: Some(trusting(&authority)), ..options(silent.await) };
    let late = fault(&Origin::new(silent)).await;
    assert_eq!((late.phase, late.kind, late.status()), (Phase::Tls, FaultKind::Timeout, 504));

    let issued = authority.issue("app.example", Validity::Good);
    let old = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut only_12 = (*authority.server(&issued, &[], false)).clone();
    only_12 = {
        let chain = only_12.cert_resolver.clone();
        let builder = ServerConfig::builder_with_provider(old).with_protocol_versions(&[&rustls::version::TLS12]);
        builder.expect("a version").with_no_client_auth().with_cert_resolver(chain)
    };
    let address = answers(Arc::new(only_12)).await;
    assert_eq!(get_whole(&Pool::default(), &secure(address.clone(), named(&authority, "app.example"))).await.1, "ok");
    let newer = TlsOptions { min_version: TlsVersion::Tls13, ..named(&authority, "app.example") };
    assert_eq!(fault(&secure(address, newer)).await.code(), "tls_alert_received");
}

#[tokio::test]
async fn an_origin_that_wants_a_certificate_gets_ours_and_says_so_without_one() {
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    let address = answers(authority.server(&issued, &[], true)).await;
    let without = secure(address.clone(), named(&authority, "app.example"));
    let fault = fault(&without).await;
    // TLS 1.3 tells it with the first read: the handshake is over for the client by then.
    assert_eq!((fault.kind, fault.phase), (FaultKind::Tls(TlsFault::Alert), Phase::Tls), "{fault}");
    assert_eq!((fault.code(), fault.retry_safe), ("tls_alert_received", true));
    let ours = authority.issue("copal.example", Validity::Good);
    let with = TlsOptions { client: Some((ours.cert, ours.key)), ..named(&authority, "app.example") };
    assert_eq!(get_whole(&Pool::default(), &secure(address, with)).await.1, "ok");
}

#[tokio::test]
async fn an_end_that_nobody_has_signed_is_not_the_end_of_a_body() {
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    // The body goes on until the connection is closed; closed without TLS' own goodbye, as an attacker on the way would.
    for (goodbye, want) in [(true, None), (false, Some(FaultKind::Closed))] {
        let address = serve_tls(authority.server(&issued, &[], false), move |mut s| async move {
            read_head(&mut s).await;
            send(&mut s, "HTTP/1.1 200 OK\r\n\r\nhalf of it").await;
            if goodbye {
                let _gone = tokio::io::AsyncWriteExt::shutdown(&mut s).await;
            } else {
                let (tcp, _) = s.into_inner();
                drop(tcp);
            }
        })
        .await;
        let mut x = get(&Pool::default(), &secure(address, named(&authority, "app.example"))).await.expect("a head");
        assert_eq!(x.framing, BodyFraming::Close);
        let (body, fault) = read(&mut x.body).await;
        assert_eq!((body.as_str(), fault.map(|f| f.kind)), ("half of it", want));
    }
}

#[tokio::test]
async fn large_bodies_go_both_ways_at_once() {
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    // Answers before it has read the body, and echoes it.
    let address = serve_tls(authority.server(&issued, &[], false), |mut s| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let head = read_head(&mut s).await.expect("a head");
        assert!(head.contains("Content-Length: 4000000\r\n"), "{head}");
        send(&mut s, "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n").await;
        let (mut left, mut buf) = (4_000_000, vec![0; 10_000]);
        while left > 0 {
            let n = s.read(&mut buf).await.expect("reads");
            s.write_all(&buf[..n]).await.expect("writes");
            left -= n;
        }
        s.flush().await.expect("flushes");
        until_closed(&mut s).await;
    })
    .await;
    let origin = secure(address, named(&authority, "app.example"));
    let piece = "0123456789".repeat(4000).leak();
    let body = SendBody::Length(4_000_000, Pieces::of(&vec![&*piece; 100]));
    let (pool, mut interim) = (Pool::default(), |_| {});
    let sent = send_body(&pool, &origin, Method::PUT, body, &mut interim);
    let mut x = tokio::time::timeout(LONG, sent).await.expect("in time").expect("an answer");
    let (body, fault) = tokio::time::timeout(LONG, read(&mut x.body)).await.expect("in time");
    assert_eq!((body.len(), fault), (4_000_000, None));
    assert!(body == piece.repeat(100));
}

#[tokio::test]
async fn files_are_read_again_by_a_reload_and_bad_ones_change_nothing() {
    let (old, new) = (Authority::new(), Authority::new());
    let address = plain_server(&new, &new.issue("app.example", Validity::Good)).await;
    let origin = secure(address, named(&old, "app.example"));
    assert_eq!(fault(&origin).await.kind, FaultKind::Tls(TlsFault::UnknownIssuer));
    std::fs::copy(new.ca_file(), old.ca_file()).expect("copies");
    origin.reload_tls().expect("good files");
    let pool = Pool::default();
    assert_eq!(get_whole(&pool, &origin).await.1, "ok");
    std::fs::write(old.ca_file(), "nonsense").expect("writes");
    let wrong = origin.reload_tls().expect_err("no certificate in it").to_string();
    assert!(
        wrong.ends_with("ca.pem: holds no CERTIFICATE: a PEM file has a line `-----BEGIN CERTIFICATE-----`"),
        "{wrong}"
    );
    assert_eq!(get_whole(&Pool::default(), &origin).await.1, "ok");
}

#[tokio::test]
async fn settings_that_cannot_work_are_told_at_the_start() {
    let authority = Authority::new();
    let issued = authority.issue("app.example", Validity::Good);
    let other = authority.issue("app.example", Validity::Good);
    let start = |tls: TlsOptions| {
        let address = "127.0.0.1:1".parse().expect("valid");
        let told = Backends::new(vec![OriginOptions { tls: Some(tls), ..options(address) }], vec![]);
        let told = told.expect_err("told");
        assert!(matches!(told, BackendsError::Tls(..)));
        told.to_string()
    };
    let missing = TlsOptions { ca_file: Some("/nowhere/ca.pem".into()), ..TlsOptions::default() };
    assert!(start(missing).starts_with("backend.app.tls: /nowhere/ca.pem: "));
    let mixed = TlsOptions { client: Some((issued.cert.clone(), other.key)), ..trusting(&authority) };
    assert!(start(mixed).starts_with("backend.app.tls: client_cert and client_key: "));
    let swapped = TlsOptions { client: Some((issued.key, issued.cert)), ..trusting(&authority) };
    assert!(start(swapped).contains("holds no CERTIFICATE"));
    let name = TlsOptions { sni: Some("a b".into()), ..trusting(&authority) };
    assert_eq!(start(name), "backend.app.tls: \"a b\" is no name that a certificate can be for: set `sni`");
}

#[tokio::test]
async fn probes_go_over_tls_and_tell_what_is_wrong_with_it() {
    let authority = Authority::new();
    for (validity, history, why) in
        [(Validity::Good, "XX", "last: ok"), (Validity::Expired, "xx", "last: tls: certificate expired")]
    {
        for kind in [ProbeKind::Tcp, ProbeKind::Http(HttpProbe::default())] {
            let issued = authority.issue("app.example", validity);
            // It speaks HTTP/2 as well: probes do not ask for it.
            let address = answers(authority.server(&issued, &["h2", "http/1.1"], false)).await;
            let interval = std::time::Duration::from_millis(10);
            let probe = ProbeOptions { kind, interval, timeout: LONG, window: 2, threshold: 1, ..Default::default() };
            let tls = Some(named(&authority, "app.example"));
            let options = OriginOptions { tls, probe: Some(probe), http2: Http2::Auto, ..options(address) };
            let backends = Backends::new(vec![options], vec![]).expect("valid");
            let probes = tokio::spawn(copal_backend::run_probes(backends.clone(), std::future::pending()));
            until("two probes", || backends.rows()[0].probe_history == history).await;
            probes.abort();
            let row = backends.rows().swap_remove(0);
            assert!(row.state_reason.ends_with(why), "{}", row.state_reason);
            assert_eq!(row.connections_opened, 0, "probes are not the requests' connections");
        }
    }
}
