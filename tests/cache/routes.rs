//! `[[route]]`: which backend or director a host or a part of a site goes to, and who has the last word.

use super::COPAL;
use super::directors::{before, named};
use copal_testkit::{Origin, Proxy, proxy};
use std::process::Command;

const ROUTES: &str = "[director.pool]\nbackends = [\"pages\"]\n\
    [[route]]\nhost = \"*.shop.example\"\npath = \"/api\"\nto = \"api\"\n\
    [[route]]\nhost = \"*.shop.example\"\nto = \"shop\"\n\
    [[route]]\npath = \"/api\"\nto = \"api\"\n";

struct Site([Origin; 3]);

impl Site {
    fn new() -> Site {
        Site([named("pages"), named("shop"), named("api")])
    }

    fn before(&self) -> proxy::Builder {
        let [pages, shop, api] = &self.0;
        before(&[("pages", pages), ("shop", shop), ("api", api)], "", ROUTES)
    }
}

fn ask(proxy: &Proxy, host: &str, path: &str) -> String {
    proxy.client().get(path, &[("Host", host)]).text()
}

fn run(args: &[&str]) -> String {
    let out = Command::new(COPAL).args(args).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn a_host_and_a_path_have_a_backend_of_their_own_and_the_first_that_fits_serves() {
    let site = Site::new();
    let proxy = site.before().start();
    for (host, path, wanted) in [
        ("www.shop.example", "/", "shop"),
        ("WWW.shop.example:8080", "/cart?x=/api", "shop"),
        ("www.shop.example", "/api/orders", "api"),
        ("shop.example", "/", "pages"),
        ("news.example", "/", "pages"),
        ("news.example", "/api", "api"),
        ("news.example", "/apiary", "pages"),
    ] {
        assert_eq!(ask(&proxy, host, path), wanted, "{host}{path}");
    }
    // A connection that is kept has nothing of the request before.
    let mut client = proxy.client();
    assert_eq!(client.get("/api", &[]).text(), "api");
    assert_eq!(client.get("/", &[]).text(), "pages");
}

#[test]
fn a_policy_sees_the_route_and_has_the_last_word() {
    let site = Site::new();
    let policy = "fn recv(req) {\n\
         if req.url == \"/api/old\" { req.backend = backend(\"pages\"); }\n\
         if req.backend == () { req.http[\"X-None\"] = \"1\"; return synth(299, \"no route\"); }\n\
         req.url = \"/elsewhere\";\n}";
    let proxy = site.before().policy(policy).start();
    assert_eq!(ask(&proxy, "news.example", "/api/old"), "pages", "the policy's");
    assert_eq!(ask(&proxy, "news.example", "/api/new"), "api", "by the path that the client sent");
    assert_eq!(proxy.client().get("/", &[("Host", "news.example")]).status, 299, "no route, nothing set");
}

#[test]
fn check_lists_them_and_explain_tells_which_one_it_was() {
    let site = Site::new();
    let proxy = site.before().start();
    let config = proxy.dir().join("copal.toml");
    let listed = run(&["check", "--config", &config.display().to_string()]);
    let wanted = "  route *.shop.example/api -> api\n  route *.shop.example/ -> shop\n  route */api -> api\n  everything else -> pool\n";
    assert!(listed.contains(wanted), "{listed}");
    let admin = format!("unix:{}", proxy.admin().display());
    let told = run(&["explain", "http://www.shop.example/api/x", "--admin", &admin]);
    assert!(told.contains("route *.shop.example/api leads to api"), "{told}");
    let told = run(&["explain", "http://news.example/", "--admin", &admin]);
    assert!(!told.contains("leads to"), "{told}");
}
