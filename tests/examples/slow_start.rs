//! 11-slow-start: a server that comes back starts with a tenth, one that fails is left out for what it fails or altogether.

use super::copal;
use copal_testkit::{Client, Origin, Proxy, Reply, client, wait};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAME: &str = "11-slow-start";

fn start(app1: &Origin, app2: &Origin) -> Proxy {
    let addr = |origin: &Origin| origin.addr().to_string();
    // Ramps an hour long stand still for a test.
    copal(NAME)
        .env("APP1", addr(app1))
        .env("APP2", addr(app2))
        .env("COPAL_THREADS", "1")
        .env("COPAL_BACKEND_APP1_SLOW_START", "1h")
        .start()
}

fn posts(proxy: &Proxy, n: usize) -> Vec<String> {
    (0..n).map(|_| client::request(proxy.addr(), "POST", "/", &[], b"x").text()).collect()
}

#[test]
fn a_server_that_comes_back_gets_a_tenth_of_its_share_at_first() {
    let (app1, app2) = (Origin::start(|_| Reply::ok("app1")), Origin::start(|_| Reply::ok("app2")));
    let proxy = start(&app1, &app2);
    assert_eq!(posts(&proxy, 2), ["app1", "app2"]);
    for state in ["sick", "auto"] {
        let mut admin = Client::connect_unix(&proxy.admin()).unwrap();
        let path = format!("/backends/app1?state={state}");
        assert_eq!(admin.request("POST", &path, &[("Connection", "close")], b"").status, 200);
    }
    assert_eq!(posts(&proxy, 22).iter().filter(|name| *name == "app1").count(), 2);
}

#[test]
fn what_one_server_fails_the_other_is_asked_for_and_it_alone_from_then_on() {
    let app1 = Origin::start(|seen| match seen.path.as_str() {
        "/bad" => Reply::status(500, "!"),
        _ => Reply::ok("app1").header("Cache-Control", "no-store"),
    });
    let app2 = Origin::start(|_| Reply::ok("app2").header("Cache-Control", "no-store"));
    let proxy = start(&app1, &app2);
    for _ in 0..6 {
        assert_eq!(client::get(proxy.addr(), "/bad", &[]).text(), "app2", "no visitor sees the fault");
    }
    assert_eq!(app1.count_of("/bad"), 1);
    let others: Vec<String> = (0..4).map(|_| client::get(proxy.addr(), "/good", &[]).text()).collect();
    assert_eq!(others.iter().filter(|name| *name == "app1").count(), 2);
}

#[test]
fn five_faults_in_a_row_take_a_server_out() {
    let ill = Arc::new(AtomicBool::new(true));
    let health = Arc::clone(&ill);
    let app1 = Origin::start(move |seen| match seen.path.as_str() {
        "/healthz/" => Reply::ok("fine"),
        _ if health.load(Ordering::SeqCst) => Reply::status(503, "!"),
        _ => Reply::ok("app1"),
    });
    let app2 = Origin::start(|_| Reply::ok("app2"));
    let proxy = start(&app1, &app2);
    // A POST is not retried, and for its own URL the server is avoided from then on.
    let mut client = proxy.client();
    let mut post = |n: usize| client.request("POST", &format!("/{n}"), &[], b"x").text();
    assert_eq!((0..10).filter(|n| post(*n) == "!").count(), 5);
    assert!(posts(&proxy, 6).iter().all(|name| name == "app2"));
    wait::until(Duration::from_secs(20), "the log says so", || proxy.stderr().contains("backend is ejected"));
}
