//! SIGHUP: a new policy takes force between two requests of a connection; a broken one does not.

use super::site::Site;
use super::{POLICY, front, made};
use copal_testkit::{Signal, get, wait::PATIENCE};

#[test]
fn a_reload_puts_the_new_policy_in_force_and_keeps_objects_and_connections() {
    let site = Site::start();
    let proxy = front(&site);
    let mut client = proxy.client();
    let page = made(&client.get("/", &[]));
    proxy.dir().write("policy.rhai", POLICY.replace("x-cache", "x-found"));
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, PATIENCE);
    let after = client.get("/", &[]);
    assert_eq!(made(&after), page, "from the object stored before");
    assert_eq!((after.header("x-found"), after.header("x-cache")), (Some("HIT"), None));
    assert_eq!((site.runs("front"), proxy.stat("objects"), proxy.stat("client_connections")), (1, 1, 1));
}

#[test]
fn a_reload_while_a_page_is_being_made_cuts_nobody_off() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("slow");
    let mut client = proxy.client();
    client.send("GET", "/slow/", &[], b"");
    site.wait_runs("slow", 1);
    proxy.dir().write("policy.rhai", POLICY.replace("x-cache", "x-found"));
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, PATIENCE);
    drop(hold);
    let begun_before = client.read_response();
    assert_eq!((begun_before.text().as_str(), begun_before.header("x-cache")), ("At last.", Some("MISS")));
    assert_eq!(client.get("/slow/", &[]).header("x-found"), Some("HIT"));
}

#[test]
fn a_broken_policy_leaves_the_old_one_in_force_and_says_why() {
    let site = Site::start();
    let proxy = front(&site);
    let mut client = proxy.client();
    let page = made(&client.get("/", &[]));
    proxy.dir().write("policy.rhai", "fn recv(req) {\n    return pas();\n}\n");
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reload_failures", |n| n == 1, PATIENCE);
    proxy.wait_log("the old policy stays in force");
    let place = proxy.wait_log("policy.rhai:2:12");
    assert!(proxy.stderr().contains(&place), "it is an error, and goes to stderr: {place}");
    assert!(proxy.stderr().contains("return pas();"), "the line is shown:\n{}", proxy.stderr());
    let after = client.get("/", &[]);
    assert_eq!((made(&after), after.header("x-cache")), (page, Some("HIT")));
    let miss = get(proxy.addr(), "/news/today/?utm_source=mail", &[("Cookie", "theme=dark")]);
    assert_eq!((miss.status, miss.header("x-cache")), (200, Some("MISS")));
    // And once it is mended, a reload takes it.
    proxy.dir().write("policy.rhai", POLICY.replace("x-cache", "x-found"));
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, PATIENCE);
    assert_eq!(client.get("/", &[]).header("x-found"), Some("HIT"));
}
