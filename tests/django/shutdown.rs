//! SIGTERM: what runs is finished, nothing new is taken, and the end comes within the deadline.

use super::site::Site;
use super::{builder, front, numbered_lines};
use copal_testkit::{Proxy, Signal, wait};
use std::net::TcpStream;
use std::time::Duration;

/// Sends SIGTERM and waits until new connections are refused.
#[track_caller]
fn terminate(proxy: &Proxy) {
    proxy.signal(Signal::Term);
    proxy.wait_log("draining");
    wait::until(wait::PATIENCE, "new connections are refused", || TcpStream::connect(proxy.addr()).is_err());
}

#[test]
fn sigterm_finishes_a_slow_response_and_refuses_new_connections() {
    let site = Site::start();
    let mut proxy = front(&site);
    let hold = site.hold("slow");
    let mut client = proxy.client();
    client.send("GET", "/slow/", &[], b"");
    site.wait_runs("slow", 1);
    terminate(&proxy);
    drop(hold);
    let response = client.read_response();
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "At last.", true));
    client.assert_closed();
    assert_eq!(proxy.wait_exit(wait::PATIENCE).code(), Some(0));
}

#[test]
fn sigterm_finishes_a_stream_whose_head_has_been_sent() {
    let site = Site::start();
    let mut proxy = front(&site);
    let hold = site.hold("stream");
    let mut client = proxy.client();
    client.send("GET", "/stream/", &[], b"");
    let mut response = client.read_head();
    terminate(&proxy);
    drop(hold);
    client.read_body(&mut response);
    assert!(response.complete && response.body == numbered_lines(20), "{:?}", response.defect);
    assert_eq!(proxy.wait_exit(wait::PATIENCE).code(), Some(0));
}

#[test]
fn sigterm_closes_idle_connections_at_once() {
    let site = Site::start();
    let mut proxy = front(&site);
    let mut idle = proxy.client();
    assert_eq!(idle.get("/", &[]).status, 200);
    assert_eq!(proxy.stop(Duration::from_secs(3)).code(), Some(0), "long before the deadline of 30 s");
    idle.assert_closed();
}

#[test]
fn what_does_not_end_is_cut_off_at_the_deadline() {
    let site = Site::start();
    let mut proxy = builder(&site, "").env("COPAL_DRAIN_TIMEOUT", "1s").start();
    let _hold = site.hold("slow");
    let mut client = proxy.client();
    client.send("GET", "/slow/", &[], b"");
    site.wait_runs("slow", 1);
    proxy.signal(Signal::Term);
    assert_eq!(proxy.wait_exit(Duration::from_secs(10)).code(), Some(0));
    assert!(client.try_read_response().is_none(), "cut off");
}
