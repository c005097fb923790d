//! 09-round-robin-weights: three of four requests go to the stronger server, the API to its own.

use super::copal;
use copal_testkit::{Origin, Proxy, Reply, client, proxy::Builder};

const NAME: &str = "09-round-robin-weights";

fn server(name: &'static str) -> Origin {
    Origin::start(move |_| Reply::ok(name))
}

struct Servers {
    app1: Origin,
    app2: Origin,
    api: Origin,
}

impl Servers {
    fn start() -> Servers {
        Servers { app1: server("app1"), app2: server("app2"), api: server("api") }
    }

    fn copal(&self) -> Builder {
        let addr = |origin: &Origin| origin.addr().to_string();
        copal(NAME).env("APP1", addr(&self.app1)).env("APP2", addr(&self.app2)).env("API", addr(&self.api))
    }
}

fn four(proxy: &Proxy) -> Vec<String> {
    (0..4).map(|_| client::request(proxy.addr(), "POST", "/", &[], b"x").text()).collect()
}

#[test]
fn of_four_requests_the_stronger_server_gets_three_spread_out() {
    let servers = Servers::start();
    let proxy = servers.copal().env("COPAL_THREADS", "1").start();
    for _ in 0..3 {
        assert_eq!(four(&proxy), ["app1", "app1", "app2", "app1"]);
    }
}

#[test]
fn while_one_is_sick_the_other_gets_all() {
    let mut servers = Servers::start();
    let proxy = servers
        .copal()
        .env("COPAL_BACKEND_APP1_PROBE_INTERVAL", "50ms")
        .env("COPAL_BACKEND_APP2_PROBE_INTERVAL", "50ms")
        .start();
    servers.app1.stop();
    proxy.wait_log("backend is sick");
    assert_eq!(four(&proxy), ["app2"; 4]);
}

#[test]
fn the_api_has_a_server_of_its_own() {
    let servers = Servers::start();
    let proxy = servers.copal().start();
    for _ in 0..3 {
        assert_eq!(client::get(proxy.addr(), "/api/x", &[]).text(), "api");
    }
    assert_eq!(client::get(proxy.addr(), "/apis", &[]).text(), "app1");
}

#[test]
fn when_the_policy_does_not_choose_the_first_director_serves() {
    let servers = Servers::start();
    let proxy = servers.copal().policy("fn recv(req) { }").start();
    let mut answers = four(&proxy);
    answers.sort();
    assert_eq!(answers, ["app1", "app1", "app1", "app2"]);
}
