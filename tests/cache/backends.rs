//! Several origins: round robin with weights, and probes that take one out and in.

use super::{COPAL, SOON};
use copal_testkit::{Origin, Proxy, Reply, proxy, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

fn named(name: &'static str) -> Origin {
    Origin::start(move |_| Reply::ok(name).header("Cache-Control", "no-store"))
}

fn two(a: &Origin, b: &Origin, probe: &str, backends: &str) -> proxy::Builder {
    let (a, b) = (a.addr(), b.addr());
    Proxy::builder(COPAL).config(&format!(
        "threads = 1\n[backend.a]\naddress = \"{a}\"\n{probe}\n[backend.b]\naddress = \"{b}\"\n{probe}\n\
         [director.app]\nkind = \"round_robin\"\nbackends = {backends}\n"
    ))
}

#[test]
fn a_director_takes_its_backends_in_turn_each_as_often_as_its_weight() {
    let (a, b) = (named("a"), named("b"));
    let proxy = two(&a, &b, "", "[{ name = \"a\", weight = 3 }, \"b\"]").start();
    let mut client = proxy.client();
    for round in 1..=5 {
        for _ in 0..4 {
            assert_eq!(client.get("/", &[]).status, 200);
        }
        assert_eq!((a.count(), b.count()), (3 * round, round));
    }
}

#[test]
fn a_policy_chooses_among_backends() {
    let (a, b) = (named("a"), named("b"));
    let policy = "fn recv(req) { if req.url == \"/b\" { req.backend = backend(\"b\"); } }";
    let proxy = two(&a, &b, "", "[\"a\"]").policy(policy).start();
    let mut client = proxy.client();
    for _ in 0..3 {
        assert_eq!((client.get("/a", &[]).text(), client.get("/b", &[]).text()), ("a".into(), "b".into()));
    }
}

#[test]
fn without_a_director_the_first_backend_serves() {
    let (a, b) = (named("a"), named("b"));
    let toml = format!("[backend.first]\naddress = \"{}\"\n[backend.another]\naddress = \"{}\"\n", a.addr(), b.addr());
    let proxy = Proxy::builder(COPAL).config(&toml).start();
    for _ in 0..4 {
        assert_eq!(copal_testkit::get(proxy.addr(), "/", &[]).text(), "a");
    }
}

#[test]
fn probes_take_a_backend_out_and_in_again() {
    let well = Arc::new(AtomicBool::new(true));
    let health = Arc::clone(&well);
    let a = Origin::start(move |seen| match seen.path.as_str() {
        "/healthz" if !health.load(Ordering::SeqCst) => Reply::status(500, "sick"),
        _ => Reply::ok("a").header("Cache-Control", "no-store"),
    });
    let b = named("b");
    let probe = "probe = { path = \"/healthz\", interval = \"20ms\", timeout = \"5s\", window = 4, threshold = 2, initial = 2 }";
    let proxy = two(&a, &b, probe, "[\"a\", \"b\"]").start();
    let serves = |wanted: &[&str]| {
        let mut client = proxy.client();
        wait::poll(SOON, || {
            let mut seen: Vec<String> = (0..6).map(|_| client.get("/", &[]).text()).collect();
            seen.sort();
            seen.dedup();
            (seen == wanted).then_some(())
        })
        .unwrap_or_else(|| panic!("never exactly {wanted:?}: {}", proxy.stats()["backends"]));
    };
    serves(&["a", "b"]);
    well.store(false, Ordering::SeqCst);
    serves(&["b"]);
    well.store(true, Ordering::SeqCst);
    serves(&["a", "b"]);
    assert!(proxy.stat("probes") > 4 && proxy.stat("probes_failed") >= 3, "{}", proxy.stats()["counters"]);
}

#[test]
fn with_every_backend_sick_it_is_503_and_heals_by_itself() {
    let mut a = named("a");
    let b = named("b");
    let probe = "probe = { interval = \"20ms\", timeout = \"5s\", window = 4, threshold = 2, initial = 2 }";
    let proxy = two(&a, &b, probe, "[\"a\"]").start();
    let becomes = |status: u16| {
        let found = wait::poll(SOON, || (copal_testkit::get(proxy.addr(), "/", &[]).status == status).then_some(()));
        assert!(found.is_some(), "never {status}");
    };
    becomes(200);
    a.stop();
    becomes(503);
    a.restart();
    becomes(200);
    assert_eq!(b.requests().iter().filter(|seen| seen.header("X-Forwarded-For").is_some()).count(), 0);
}

#[test]
fn a_backend_carries_no_more_requests_than_its_limit() {
    let origin = named("a");
    let held = origin.hold("/slow");
    let proxy = super::front_with(&origin, "max_connections = 2");
    let clients = super::crowd(&proxy, 1, "/slow");
    let mut second = proxy.client();
    second.send("POST", "/slow", &[], b"");
    origin.wait_for(2, SOON);
    let busy = copal_testkit::get(proxy.addr(), "/third", &[]);
    assert_eq!((busy.status, busy.header("Retry-After"), proxy.stat("fetch_failed_limit")), (503, Some("5"), 1));
    held.release();
    assert_eq!(second.read_response().text(), "a");
    drop(clients);
    assert_eq!(copal_testkit::get(proxy.addr(), "/third", &[]).status, 200);
}

#[test]
fn an_origin_may_listen_on_a_unix_socket() {
    use std::io::{Read, Write};
    let builder = Proxy::builder(COPAL);
    let path = builder.dir().join("app.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\nunix").unwrap();
        }
    });
    let proxy = builder.config("[backend.app]\naddress = \"unix:{dir}/app.sock\"\n").start();
    assert_eq!(copal_testkit::get(proxy.addr(), "/", &[]).text(), "unix");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
