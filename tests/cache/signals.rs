//! SIGHUP reloads the policy and loses nothing; SIGTERM ends what runs in order, within a deadline.

use super::{SOON, builder, echo, front_with};
use copal_testkit::{Gate, Origin, Reply, Signal};
use std::net::TcpStream;
use std::time::Duration;

const OLD: &str = "fn deliver(req, resp) { resp.http[\"x-policy\"] = \"old\"; }";
const NEW: &str = "fn deliver(req, resp) { resp.http[\"x-policy\"] = \"new\"; }";

#[test]
fn sighup_swaps_the_policy_and_keeps_objects_and_connections() {
    let origin = echo();
    let proxy = builder(&origin, "").policy(OLD).start();
    let mut client = proxy.client();
    assert_eq!(client.get("/page", &[]).header("X-Policy"), Some("old"));
    proxy.dir().write("policy.rhai", NEW);
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, SOON);
    let response = client.get("/page", &[]);
    assert_eq!(response.header("X-Policy"), Some("new"), "on the same connection");
    assert!(response.header("Cache-Status").unwrap().contains("hit"), "{response:?}");
    assert_eq!((origin.count(), proxy.stat("client_connections")), (1, 1));
}

#[test]
fn a_broken_policy_never_replaces_a_good_one_and_says_why() {
    let origin = echo();
    let proxy = builder(&origin, "").policy(OLD).start();
    let mut client = proxy.client();
    for broken in ["fn deliver(req, resp) {\n oops(", "fn delivr(req, resp) {\n }"] {
        proxy.dir().write("policy.rhai", broken);
        let failures = proxy.stat("policy_reload_failures");
        proxy.signal(Signal::Hup);
        proxy.wait_stat("policy_reload_failures", |n| n == failures + 1, SOON);
        assert_eq!(client.get("/page", &[]).header("X-Policy"), Some("old"));
    }
    proxy.wait_log("the old policy stays in force");
    proxy.wait_log("policy.rhai:");
    std::fs::remove_file(proxy.dir().join("policy.rhai")).unwrap();
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reload_failures", |n| n == 3, SOON);
    assert_eq!(client.get("/page", &[]).header("X-Policy"), Some("old"));
}

#[test]
fn a_request_ends_with_the_policy_that_it_began_with() {
    let origin = echo();
    let proxy = builder(&origin, "").policy(OLD).start();
    let held = origin.hold("/slow");
    let mut slow = super::crowd(&proxy, 1, "/slow");
    origin.wait_for(1, SOON);
    proxy.dir().write("policy.rhai", NEW);
    proxy.signal(Signal::Hup);
    proxy.wait_stat("policy_reloads", |n| n == 1, SOON);
    held.release();
    assert_eq!(slow[0].read_response().header("X-Policy"), Some("old"));
    assert_eq!(slow[0].get("/slow", &[]).header("X-Policy"), Some("new"));
}

#[test]
fn sigterm_finishes_what_runs_and_accepts_nothing_more() {
    let gate = Gate::closed();
    let reply =
        Reply::stream().header("Cache-Control", "max-age=60").chunk("first").wait(&gate).chunk("second").end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let mut proxy = front_with(&origin, "");
    let mut idle = proxy.client();
    let mut busy = proxy.client();
    busy.send("GET", "/page", &[], b"");
    let mut response = busy.read_head();
    proxy.signal(Signal::Term);
    let addr = proxy.addr();
    copal_testkit::wait::until(SOON, "nothing more is accepted", || TcpStream::connect(addr).is_err());
    gate.release();
    busy.read_body(&mut response);
    assert_eq!((response.text().as_str(), response.complete), ("firstsecond", true));
    busy.assert_closed();
    idle.assert_closed();
    assert!(proxy.wait_exit(SOON).success());
    assert!(!proxy.admin().exists());
}

#[test]
fn sigterm_with_nothing_running_ends_at_once() {
    let origin = echo();
    let mut proxy = front_with(&origin, "");
    let mut idle = proxy.client();
    assert_eq!(idle.get("/page", &[]).text(), "/page");
    // The drain timeout is 30 s; the five seconds of an idle connection are not waited for either.
    assert!(proxy.stop(Duration::from_secs(4)).success());
    idle.assert_closed();
}

#[test]
fn the_drain_has_a_deadline() {
    let origin = Origin::start(|_| Reply::stream().chunk("first").never());
    let toml = format!("drain_timeout = \"300ms\"\n[backend.app]\naddress = \"{}\"\n", origin.addr());
    let mut proxy = copal_testkit::Proxy::builder(super::COPAL).config(&toml).start();
    let mut stuck = proxy.client();
    stuck.send("GET", "/page", &[], b"");
    let mut response = stuck.read_head();
    proxy.stop(Duration::from_secs(10));
    stuck.read_body(&mut response);
    assert!(!response.complete, "what was cut off does not look whole");
    proxy.wait_log("deadline");
}

#[test]
fn a_response_while_draining_says_that_its_connection_closes() {
    let origin = echo();
    let held = origin.hold("/slow");
    let mut proxy = front_with(&origin, "");
    let mut slow = super::crowd(&proxy, 1, "/slow");
    origin.wait_for(1, SOON);
    proxy.signal(Signal::Term);
    proxy.wait_log("draining");
    held.release();
    assert_eq!(slow[0].read_response().text(), "/slow");
    slow[0].assert_closed();
    assert!(proxy.wait_exit(SOON).success());
}

#[test]
fn a_signal_right_after_the_first_line_is_obeyed_in_order() {
    let origin = echo();
    for _ in 0..5 {
        let mut proxy = builder(&origin, "").policy(OLD).start();
        proxy.signal(Signal::Hup);
        proxy.wait_stat("policy_reloads", |n| n == 1, SOON);
        assert!(proxy.stop(SOON).success());
        let mut proxy = front_with(&origin, "");
        assert!(proxy.stop(SOON).success());
    }
}
