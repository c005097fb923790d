//! A slow page that many want at once: it is made once.

use super::front;
use super::site::Site;
use copal_testkit::{Client, wait::PATIENCE};

const CLIENTS: usize = 50;

#[test]
fn fifty_requests_at_once_for_a_cold_slow_page_make_one_request_to_the_origin() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("slow");
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| proxy.client()).collect();
    clients.iter_mut().for_each(|client| client.send("GET", "/slow/", &[], b""));
    proxy.wait_stat("client_requests_running", |n| n == CLIENTS as i64, PATIENCE);
    drop(hold);
    for client in &mut clients {
        let response = client.read_response();
        assert_eq!((response.status, response.text().as_str()), (200, "At last."));
    }
    assert_eq!(site.runs("slow"), 1);
    assert_eq!((proxy.stat("fetches"), proxy.stat("misses")), (1, 1));
    assert_eq!(proxy.stat("hits_coalesced") + proxy.stat("hits_fresh"), CLIENTS as i64 - 1);
}

#[test]
fn others_get_their_pages_while_a_slow_one_is_being_made() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("slow");
    let mut waiting = proxy.client();
    waiting.send("GET", "/slow/", &[], b"");
    site.wait_runs("slow", 1);
    let (miss, hit) = (copal_testkit::get(proxy.addr(), "/", &[]), copal_testkit::get(proxy.addr(), "/", &[]));
    assert_eq!((miss.status, hit.header("x-cache")), (200, Some("HIT")));
    assert_eq!(proxy.stat("fetches_running"), 1, "the slow page is still being made");
    drop(hold);
    assert_eq!(waiting.read_response().text(), "At last.");
}
