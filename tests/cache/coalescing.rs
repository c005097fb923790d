//! Many requests for one object that nobody has: one fetch, and its body for all of them while it arrives.

use super::{SOON, crowd, echo, front, front_with, settled};
use copal_testkit::{Gate, Origin, Reply};

#[test]
fn fifty_requests_for_a_cold_page_are_one_request_at_the_origin() {
    let gate = Gate::closed();
    let reply =
        Reply::stream().header("Cache-Control", "max-age=60").chunk("first").wait(&gate).chunk("second").end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let held = origin.hold("/slow");
    let proxy = front(&origin);
    let mut clients = crowd(&proxy, 50, "/slow");
    proxy.wait_stat("coalesce_waits", |n| n == 49, SOON);
    held.release();
    let mut heads = Vec::new();
    for client in &mut clients {
        heads.push(client.read_head());
        assert_eq!(client.peek_raw(10), b"5\r\nfirst\r\n", "while the origin has not finished");
    }
    gate.release();
    for (client, mut response) in clients.iter_mut().zip(heads) {
        client.read_body(&mut response);
        assert_eq!((response.status, response.text().as_str(), response.complete), (200, "firstsecond", true));
    }
    assert_eq!((origin.count(), origin.connections()), (1, 1));
    let counted = ["misses", "hits_coalesced", "fetches", "stores", "objects"].map(|name| proxy.stat(name));
    assert_eq!(counted, [1, 49, 1, 1, 1]);
}

#[test]
fn one_request_says_that_it_fetched_and_the_others_that_they_were_collapsed_into_it() {
    let origin = echo();
    let held = origin.hold("/page");
    let proxy = front(&origin);
    let mut clients = crowd(&proxy, 5, "/page");
    proxy.wait_stat("coalesce_waits", |n| n == 4, SOON);
    held.release();
    let lines: Vec<String> =
        clients.iter_mut().map(|client| client.read_response().header("Cache-Status").unwrap().to_owned()).collect();
    assert_eq!(
        lines.iter().filter(|line| line.contains("fwd=uri-miss") && line.contains("stored")).count(),
        1,
        "{lines:?}"
    );
    assert_eq!(lines.iter().filter(|line| line.contains("collapsed")).count(), 4, "{lines:?}");
}

#[test]
fn a_fetch_goes_on_when_the_client_that_caused_it_leaves_before_the_answer() {
    let origin = echo();
    let held = origin.hold("/page");
    let proxy = front(&origin);
    let clients = crowd(&proxy, 1, "/page");
    origin.wait_for(1, SOON);
    drop(clients);
    proxy.wait_stat("client_connections_open", |n| n <= 1, SOON);
    held.release();
    proxy.wait_stat("fetches_ok", |n| n == 1, SOON);
    let response = copal_testkit::get(proxy.addr(), "/page", &[]);
    assert_eq!((response.text().as_str(), origin.count()), ("/page", 1));
}

#[test]
fn a_fetch_goes_on_when_the_client_that_caused_it_leaves_in_the_middle_of_the_body() {
    let gate = Gate::closed();
    let reply =
        Reply::stream().header("Cache-Control", "max-age=60").chunk("first").wait(&gate).chunk("second").end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front(&origin);
    let mut leaver = proxy.client();
    leaver.send("GET", "/page", &[], b"");
    leaver.read_head();
    let mut stayer = proxy.client();
    stayer.send("GET", "/page", &[], b"");
    let mut response = stayer.read_head();
    drop(leaver);
    gate.release();
    stayer.read_body(&mut response);
    assert_eq!((response.text().as_str(), response.complete), ("firstsecond", true));
    settled(&proxy);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "firstsecond");
    assert_eq!((origin.count(), proxy.stat("fetches_ok")), (1, 1));
}

#[test]
fn when_the_shared_fetch_fails_every_waiter_gets_an_answer() {
    let origin = Origin::start(|_| Reply::hang_up());
    let held = origin.hold("/page");
    let proxy = front(&origin);
    let mut clients = crowd(&proxy, 10, "/page");
    proxy.wait_stat("coalesce_waits", |n| n == 9, SOON);
    held.release();
    for client in &mut clients {
        assert_eq!(client.read_response().status, 502);
    }
    assert_eq!(proxy.stat("objects"), 0);
}

#[test]
fn a_request_waits_for_another_ones_fetch_only_so_long() {
    let origin = echo();
    let held = origin.hold("/page");
    let proxy = front_with(&origin, "[cache]\ncoalesce_wait = \"200ms\"");
    let mut clients = crowd(&proxy, 3, "/page");
    origin.wait_for(3, SOON);
    assert_eq!(proxy.stat("coalesce_timeouts"), 2);
    held.release();
    for client in &mut clients {
        assert_eq!(client.read_response().text(), "/page");
    }
}

#[test]
fn requests_for_different_objects_do_not_wait_for_each_other() {
    let origin = echo();
    let held = origin.hold("/slow");
    let proxy = front(&origin);
    let mut slow = crowd(&proxy, 1, "/slow");
    origin.wait_for(1, SOON);
    for i in 0..5 {
        let path = format!("/fast/{i}");
        assert_eq!(copal_testkit::get(proxy.addr(), &path, &[]).text(), path);
    }
    held.release();
    assert_eq!(slow[0].read_response().text(), "/slow");
}
