//! 12-shard: each page from one server, each account from one server, and only what a sick one had moves.

use super::copal;
use copal_testkit::{Client, Origin, Proxy, Reply};

const NAME: &str = "12-shard";

struct Servers(Vec<Origin>);

impl Servers {
    fn start() -> Servers {
        let server = |name: &'static str| Origin::start(move |_| Reply::ok(name).header("Cache-Control", "no-store"));
        Servers(["app1", "app2", "app3"].map(server).into())
    }

    fn copal(&self, warmup: &str) -> Proxy {
        let mut builder = copal(NAME).env("COPAL_DIRECTOR_APP_WARMUP", warmup);
        for (origin, name) in self.0.iter().zip(["APP1", "APP2", "APP3"]) {
            builder = builder.env(name, origin.addr().to_string());
        }
        builder.start()
    }
}

fn pages(proxy: &Proxy) -> Vec<String> {
    let mut client = proxy.client();
    (0..120).map(|n| client.get(&format!("/page/{n}"), &[]).text()).collect()
}

fn set(proxy: &Proxy, state: &str) {
    let mut admin = Client::connect_unix(&proxy.admin()).unwrap();
    let path = format!("/backends/app1?state={state}");
    assert_eq!(admin.request("POST", &path, &[("Connection", "close")], b"").status, 200);
}

#[test]
fn a_page_comes_from_one_server_and_moves_only_when_that_is_sick() {
    let servers = Servers::start();
    let proxy = servers.copal("0%");
    let home = pages(&proxy);
    assert_eq!(home, pages(&proxy));
    let count = |name: &str| home.iter().filter(|home| *home == name).count();
    assert!(count("app1") > 10 && count("app2") > 10 && count("app3") > count("app1"), "{home:?}");
    set(&proxy, "sick");
    for (home, now) in home.iter().zip(pages(&proxy)) {
        assert!(if home == "app1" { now != "app1" } else { now == *home });
    }
    set(&proxy, "healthy");
}

#[test]
fn a_server_that_is_back_serves_some_of_its_pages_and_no_others() {
    let servers = Servers::start();
    let proxy = servers.copal("0%");
    let home = pages(&proxy);
    set(&proxy, "sick");
    set(&proxy, "auto");
    let now = pages(&proxy);
    assert!(now.iter().zip(&home).all(|(now, home)| now == home || home == "app1"));
    let back = now.iter().filter(|now| *now == "app1").count();
    assert!(back < home.iter().filter(|home| *home == "app1").count(), "a tenth of its pages: {back}");
}

#[test]
fn warm_up_sends_some_requests_to_the_server_that_would_take_over() {
    let servers = Servers::start();
    let proxy = servers.copal("10%");
    let (one, two, three) = (pages(&proxy), pages(&proxy), pages(&proxy));
    let moved = one.iter().zip(&two).zip(&three).filter(|((a, b), c)| a != b || b != c).count();
    // A page stays put three times with 0.9³ + 0.1³: of 120, 32 move, give or take 5 for each standard deviation.
    assert!((8..=58).contains(&moved), "{moved}");
}

#[test]
fn an_account_stays_with_one_server() {
    let servers = Servers::start();
    let proxy = servers.copal("10%");
    let mut client = proxy.client();
    let mut account = |user: &str| client.get("/account/", &[("X-User", user)]).text();
    let users: Vec<String> = (0..30).map(|n| format!("user{n}")).collect();
    let homes: Vec<String> = users.iter().map(|user| account(user)).collect();
    assert!(["app1", "app2", "app3"].iter().all(|name| homes.iter().any(|home| home == name)), "{homes:?}");
    assert!(users.iter().zip(&homes).all(|(user, home)| account(user) == *home));
}
