//! Several policies: by name from `recv`, by host; loaded and replaced together; none changes for another twice.

use super::{SOON, echo};
use copal_testkit::{Origin, Proxy, Signal, TempDir, wait};
use std::process::Command;

const MAIN: &str = r#"
    fn recv(req) {
        req.http.x_seen = "main";
        req.url = "/changed";
        req.vars["from"] = "main";
        if req.http.has("x-restarted") && req.restarts == 0 { return restart(); }
        if req.http.has("x-to") { return policy(req.http.x_to); }
    }
    fn deliver(req, resp) { resp.http.x_policy = "main 1"; }"#;
const SHOP: &str = r#"
    fn recv(req) {
        if req.http.has("x-on") { return policy(req.http.x_on); }
        if req.http.has("x-again") && req.restarts == 0 { return restart(); }
    }
    fn deliver(req, resp) {
        resp.http.x_policy = "shop 1";
        resp.http.x_found = `${req.vars["from"]} ${req.http.x_seen} ${req.url} ${req.restarts}`;
    }"#;

fn several(origin: &Origin, more: &str) -> Proxy {
    let toml = format!(
        "[backend.app]\naddress = \"{}\"\n[policy]\nfile = \"{{dir}}/main.rhai\"\nnamed = {{ shop = \"{{dir}}/shop.rhai\", \
         third = \"{{dir}}/main.rhai\" }}\nhosts = {{ \"shop.example\" = \"{{dir}}/shop.rhai\" }}\n{more}\n[log]\naccess = {{ \
         path = \"{{dir}}/access.log\" }}",
        origin.addr()
    );
    let builder = Proxy::builder(super::COPAL).config(&toml);
    std::fs::write(builder.dir().join("main.rhai"), MAIN).unwrap();
    std::fs::write(builder.dir().join("shop.rhai"), SHOP).unwrap();
    builder.start()
}

#[test]
fn another_policy_goes_on_with_the_request_as_it_came() {
    let origin = echo();
    let proxy = several(&origin, "");
    let mut client = proxy.client();
    let main = client.get("/page", &[]);
    assert_eq!((main.header("X-Policy"), main.text().as_str()), (Some("main 1"), "/changed"));
    for again in ["x-again", "x-not"] {
        let shop = client.get("/page", &[("X-To", "shop"), (again, "1")]);
        let restarts = if again == "x-again" { "1" } else { "0" };
        assert_eq!((shop.header("X-Policy"), shop.text().as_str()), (Some("shop 1"), "/page"));
        assert_eq!(shop.header("X-Found"), Some(format!("main  /page {restarts}").as_str()));
    }
    assert_eq!(client.get("/page", &[]).header("X-Policy"), Some("main 1"), "for one request only");
}

#[test]
fn a_host_has_a_policy_of_its_own() {
    let origin = echo();
    let proxy = several(&origin, "");
    let mut client = proxy.client();
    for (host, policy) in [
        ("shop.example", "shop 1"),
        ("SHOP.example:80", "shop 1"),
        ("www.shop.example", "main 1"),
        ("test.example", "main 1"),
    ] {
        assert_eq!(client.get("/page", &[("Host", host)]).header("X-Policy"), Some(policy), "{host}");
    }
}

#[test]
fn a_policy_is_changed_once_and_before_any_restart() {
    let origin = echo();
    let proxy = several(&origin, "");
    let mut client = proxy.client();
    let back = client.get("/page", &[("X-To", "shop"), ("X-On", "third")]);
    assert_eq!(back.status, 503, "a second change, whatever it leads to");
    let unknown = client.get("/page", &[("X-To", "nowhere")]);
    assert_eq!(unknown.status, 503);
    let late = client.get("/page", &[("X-To", "shop"), ("X-Restarted", "1")]);
    assert_eq!(late.status, 503);
    assert_eq!((origin.count(), proxy.stat("policy_errors")), (0, 3));
    let read = || std::fs::read_to_string(proxy.dir().join("access.log")).unwrap_or_default();
    let log = wait::poll(SOON, || Some(read()).filter(|log| log.lines().count() == 3)).unwrap_or_else(read);
    for why in ["is not changed twice", "has none of that name", "after a restart"] {
        assert!(log.contains(why), "{why}: {log}");
    }
}

#[test]
fn all_of_them_are_replaced_or_none() {
    let origin = echo();
    let proxy = several(&origin, "");
    let mut client = proxy.client();
    let mut seen = || {
        let main = client.get("/page", &[]);
        let shop = client.get("/page", &[("X-To", "shop")]);
        [main, shop].map(|response| response.header("X-Policy").unwrap_or_default().to_owned())
    };
    assert_eq!(seen(), ["main 1", "shop 1"]);
    proxy.dir().write("main.rhai", MAIN.replace("main 1", "main 2"));
    proxy.dir().write("shop.rhai", "fn delivr(req, resp) { }");
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reload_failures", |n| n == 1, SOON);
    assert_eq!(seen(), ["main 1", "shop 1"], "one is wrong, so both stay");
    proxy.dir().write("shop.rhai", SHOP.replace("shop 1", "shop 2"));
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, SOON);
    assert_eq!(seen(), ["main 2", "shop 2"]);
}

#[test]
fn a_request_ends_with_the_policies_that_it_began_with() {
    let origin = echo();
    let proxy = several(&origin, "");
    let held = origin.hold("/slow");
    let mut slow = proxy.client();
    slow.send("GET", "/slow", &[("X-To", "shop")], b"");
    origin.wait_for(1, SOON);
    proxy.dir().write("shop.rhai", SHOP.replace("shop 1", "shop 2"));
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, SOON);
    held.release();
    assert_eq!(slow.read_response().header("X-Policy"), Some("shop 1"));
    assert_eq!(slow.get("/slow", &[("X-To", "shop")]).header("X-Policy"), Some("shop 2"));
}

#[test]
fn check_knows_the_names_and_reads_every_file() {
    let dir = TempDir::new();
    let config = dir.write(
        "copal.toml",
        "backend.app.address = '127.0.0.1:1'\n[policy]\nfile = 'main.rhai'\nnamed = { shop = 'shop.rhai' }",
    );
    let check = || {
        let out = Command::new(super::COPAL).arg("check").arg("--config").arg(&config).output().unwrap();
        (out.status.success(), String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned())
    };
    dir.write("main.rhai", "fn recv(req) { if req.url == \"/\" { return policy(\"shop\"); } }");
    dir.write("shop.rhai", "fn recv(req) { return pass(); }");
    let (ok, text) = check();
    assert!(ok && text.contains("main.rhai and 1 more by name or host"), "{text}");
    dir.write("main.rhai", "fn recv(req) { return policy(\"shpo\"); }");
    dir.write("shop.rhai", "fn recv(req) { return deliver(); }");
    let (ok, text) = check();
    assert!(!ok, "{text}");
    for part in ["has no policy \"shpo\"", "did you mean", "shop", "`recv` cannot return `deliver()`", "shop.rhai"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}
