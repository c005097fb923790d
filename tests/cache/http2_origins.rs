//! Origins over HTTP/2 that fail: what is sent again and with which body, what the budget allows, and what `max_connections` counts.

use super::{COPAL, SOON};
use bytes::Bytes;
use copal_testkit::{Origin, Proxy, Reply, Response, wait};
use h2::Reason;
use h2::server::SendResponse;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What an origin does with a request, once it has read the whole of it.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Answers with the method and the body that it got.
    Answer,
    /// Answers with this status.
    Status(u16),
    /// Resets the stream.
    Reset(Reason),
    /// Closes the connection.
    Cut,
    /// Keeps the request until `open` is set, then answers.
    Hold,
}

/// An origin that is spoken to in HTTP/2 by prior knowledge.
struct Http2 {
    addr: SocketAddr,
    asked: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
    open: Arc<AtomicBool>,
}

impl Http2 {
    /// It does this with its nth request.
    fn start(does: impl Fn(usize) -> Does + Send + Sync + 'static) -> Http2 {
        let (asked, connections, open) = <(Arc<AtomicUsize>, Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (count, held) = (Arc::clone(&asked), Arc::clone(&open));
        let does = Arc::new(does);
        let addr = serve(Arc::clone(&connections), move |s| {
            let (count, held, does) = (Arc::clone(&count), Arc::clone(&held), Arc::clone(&does));
            async move {
                let Ok(mut connection) = h2::server::handshake(s).await else { return };
                let (cut, mut is_cut) = tokio::sync::mpsc::channel(1);
                loop {
                    let accepted = tokio::select! {
                        accepted = connection.accept() => accepted,
                        _ = is_cut.recv() => return,
                    };
                    let Some(Ok((request, respond))) = accepted else { return };
                    let does = does(count.fetch_add(1, Ordering::SeqCst));
                    tokio::spawn(act(does, request, respond, cut.clone(), Arc::clone(&held)));
                }
            }
        });
        Http2 { addr, asked, connections, open }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Serves each connection by `talk`, for as long as the test runs.
fn serve<F: Future<Output = ()> + Send + 'static>(
    connections: Arc<AtomicUsize>,
    talk: impl Fn(TcpStream) -> F + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((s, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(talk(s));
            }
        });
    });
    addr
}

async fn act(
    does: Does,
    request: http::Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    cut: tokio::sync::mpsc::Sender<()>,
    open: Arc<AtomicBool>,
) {
    let (head, mut body) = request.into_parts();
    let mut got = format!("{} ", head.method);
    while let Some(Ok(piece)) = body.data().await {
        let _closed = body.flow_control().release_capacity(piece.len());
        got += &String::from_utf8_lossy(&piece);
    }
    if let Ok(Some(trailers)) = body.trailers().await {
        got += &format!(" {trailers:?}");
    }
    let status = match does {
        Does::Reset(reason) => return respond.send_reset(reason),
        Does::Cut => return cut.send(()).await.unwrap_or_default(),
        Does::Status(status) => status,
        Does::Answer => 200,
        Does::Hold => {
            while !open.load(Ordering::SeqCst) {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
            200
        }
    };
    let head = http::Response::builder().status(status).header("cache-control", "no-store").body(()).unwrap();
    if let Ok(mut send) = respond.send_response(head, false) {
        let _gone = send.send_data(got.into(), true);
    }
}

/// An origin that says goodbye to each connection as soon as it is asked, having begun nothing (GOAWAY, last stream 0).
fn leaving(reason: Reason) -> (SocketAddr, Arc<AtomicUsize>) {
    let connections = Arc::<AtomicUsize>::default();
    let addr = serve(Arc::clone(&connections), move |mut s| async move {
        let mut preface = [0; 24];
        let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
        if s.read_exact(&mut preface).await.is_err() || s.write_all(&settings).await.is_err() {
            return;
        }
        let mut frame = [0; 9];
        while s.read_exact(&mut frame).await.is_ok() {
            let length = u32::from_be_bytes([0, frame[0], frame[1], frame[2]]);
            let mut payload = vec![0; length as usize];
            if s.read_exact(&mut payload).await.is_err() {
                return;
            }
            if frame[3] == 1 {
                let mut goaway = vec![0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                goaway.extend(u32::from(reason).to_be_bytes());
                let _gone = s.write_all(&goaway).await;
            }
        }
    });
    (addr, connections)
}

/// `bad` is asked first, over HTTP/2, then `good`, which answers with the method and the body that it got.
fn behind(bad: SocketAddr, rest: &str) -> (Origin, Proxy) {
    let good = Origin::start(|seen| {
        let got = format!("{} {}", seen.method, String::from_utf8_lossy(&seen.body));
        Reply::ok(got).header("Cache-Control", "no-store").header("X-From", "good")
    });
    let toml = format!(
        "threads = 1\n[backend.bad]\naddress = \"{bad}\"\nhttp2 = \"only\"\n[backend.good]\naddress = \"{}\"\n\
         [director.app]\nkind = \"fallback\"\nbackends = [\"bad\", \"good\"]\n{rest}",
        good.addr()
    );
    (good, Proxy::builder(COPAL).config(&toml).start())
}

/// The proxy before one origin alone.
fn before(origin: &Http2, each: &str) -> Proxy {
    let addr = origin.addr;
    let toml = format!("threads = 1\n[backend.app]\naddress = \"{addr}\"\nhttp2 = \"only\"\n{each}\n");
    Proxy::builder(COPAL).config(&toml).start()
}

fn ask(proxy: &Proxy, method: &str, body: &str) -> Response {
    copal_testkit::client::request(proxy.addr(), method, "/", &[], body.as_bytes())
}

#[test]
fn a_body_that_was_read_goes_to_another_backend_when_its_stream_or_connection_is_lost() {
    for does in [Does::Cut, Does::Reset(Reason::INTERNAL_ERROR), Does::Reset(Reason::PROTOCOL_ERROR)] {
        let bad = Http2::start(move |_| does);
        let (good, proxy) = behind(bad.addr, "[retry]\nbody_size = \"1KiB\"\n");
        let (short, long) = ("x".repeat(1024), "x".repeat(1025));
        assert_eq!(ask(&proxy, "PUT", &short).text(), format!("PUT {short}"), "{does:?}");
        assert_eq!(ask(&proxy, "GET", "").text(), "GET ", "{does:?}");
        assert_eq!((good.count(), proxy.stat("fetch_retries_elsewhere")), (2, 2), "{does:?}");
        for (method, body) in [("PUT", &*long), ("POST", "order"), ("PATCH", "")] {
            assert_eq!(ask(&proxy, method, body).status, 502, "{does:?}: {method} may not be repeated");
        }
        assert_eq!((good.count(), bad.asked()), (2, 5), "{does:?}");
        wait::until(SOON, "what was kept is given back", || proxy.stats()["store"]["bytes"].as_i64().unwrap() < 1024);
    }
}

#[test]
fn what_a_stream_has_refused_is_sent_again_with_its_body_also_a_post() {
    let bad = Http2::start(|n| if n == 0 { Does::Reset(Reason::REFUSED_STREAM) } else { Does::Answer });
    let proxy = before(&bad, "");
    assert_eq!(ask(&proxy, "POST", "order").text(), "POST order", "once more, to the same one");
    let row = proxy.stats()["backends"][0].clone();
    assert_eq!((&row["requests"], &row["failures"], proxy.stat("fetch_reconnects")), (&1.into(), &0.into(), 1));
    let bad = Http2::start(|_| Does::Reset(Reason::REFUSED_STREAM));
    let (good, proxy) = behind(bad.addr, "");
    for method in ["POST", "PUT"] {
        assert_eq!(ask(&proxy, method, "order").text(), format!("{method} order"));
    }
    assert_eq!(
        (bad.asked(), good.count(), proxy.stat("fetch_retries_elsewhere")),
        (4, 2, 2),
        "twice each, then elsewhere"
    );
}

#[test]
fn what_was_not_begun_before_a_goodbye_is_sent_again_with_its_body_whatever_the_reason() {
    for reason in [Reason::NO_ERROR, Reason::ENHANCE_YOUR_CALM] {
        let (bad, connections) = leaving(reason);
        let (good, proxy) = behind(bad, "");
        assert_eq!(ask(&proxy, "POST", "order").text(), "POST order", "{reason:?}");
        let counts = (connections.load(Ordering::SeqCst), good.count(), proxy.stat("fetch_retries_elsewhere"));
        assert_eq!(counts, (2, 1, 1), "{reason:?}: over two connections, then elsewhere");
    }
}

#[test]
fn a_body_of_unknown_length_comes_again_with_its_trailers() {
    let bad = Http2::start(|n| if n == 0 { Does::Reset(Reason::REFUSED_STREAM) } else { Does::Answer });
    let proxy = before(&bad, "");
    let mut client = proxy.client();
    client.send_raw(
        "POST / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         3\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    assert_eq!(client.read_response().text(), "POST abcde {\"x-sum\": \"5\"}");
    assert_eq!(bad.asked(), 2);
}

#[test]
fn a_connection_that_has_died_is_replaced_once_for_a_body_that_may_be_repeated() {
    // It answers one request on each connection and closes on the next, of which it has read the body.
    let origin = Http2::start(|n| if n == 1 { Does::Cut } else { Does::Answer });
    let proxy = before(&origin, "");
    assert_eq!(ask(&proxy, "GET", "").status, 200);
    assert_eq!(ask(&proxy, "PUT", "page").text(), "PUT page");
    assert_eq!((origin.asked(), proxy.stat("fetch_reconnects")), (3, 1));
    assert_eq!(origin.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn statuses_policies_and_the_budget_are_the_same_over_http2() {
    let bad = Http2::start(|_| Does::Status(503));
    let (good, proxy) = behind(bad.addr, "[retry]\nstatuses = [503]\nbudget = \"20%\"\nper_second = 0\n");
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..50).map(|_| client.request("PUT", "/", &[], b"page").status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 10, "a fifth");
    assert!(good.requests().iter().all(|seen| seen.body == b"page"));
    let retries = (proxy.stat("fetch_retries_elsewhere"), proxy.stat("fetch_retries_refused"));
    assert_eq!((bad.asked(), good.count(), retries), (50, 10, (10, 40)));

    let bad = Http2::start(|n| if n == 0 { Does::Status(500) } else { Does::Answer });
    let toml = format!("threads = 1\n[backend.app]\naddress = \"{}\"\nhttp2 = \"only\"\n", bad.addr);
    let policy = "fn backend_response(bereq, beresp) { if beresp.status == 500 { return retry(); } }";
    let proxy = Proxy::builder(COPAL).config(&toml).policy(policy).start();
    assert_eq!(ask(&proxy, "POST", "order").text(), "POST order", "a policy may repeat anything");
    assert_eq!(proxy.stat("fetch_retries"), 1);
}

#[test]
fn max_connections_bounds_requests_and_not_the_connections_that_they_share() {
    let origin = Http2::start(|_| Does::Hold);
    let proxy = before(&origin, "max_connections = 2\nwait_limit = 1\nwait_timeout = \"60s\"");
    let mut clients: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.send("GET", &format!("/{n}"), &[], b"");
    }
    let row = |name: &str| proxy.stats()["backends"][0][name].as_i64().unwrap();
    wait::until(SOON, "two run and one waits", || (origin.asked(), row("waiting")) == (2, 1));
    let connections = || ["running", "connections_in_use", "connections_idle", "connections_open"].map(row);
    assert_eq!(connections(), [2, 1, 0, 1], "two requests over one connection");
    let refused = ask(&proxy, "GET", "");
    let told = refused.header("Proxy-Status");
    assert_eq!((refused.status, told), (503, Some("copal; error=connection_limit_reached")));
    assert!(refused.header("Retry-After").is_some());
    assert_eq!(origin.asked(), 2, "nothing more has reached it");
    origin.open.store(true, Ordering::SeqCst);
    for client in &mut clients {
        assert_eq!(client.read_response().status, 200);
    }
    assert_eq!((origin.asked(), origin.connections.load(Ordering::SeqCst)), (3, 1), "all over one connection");
    wait::until(SOON, "it is idle", || connections() == [0, 0, 1, 1]);
    assert_eq!((proxy.stat("backend_connections_idle"), proxy.stat("backend_connections_in_use")), (1, 0));
}
