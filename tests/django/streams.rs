//! A streamed response of 20 MB: it arrives whole, and begins to arrive before the application has finished.

use super::site::Site;
use super::{front, numbered_lines};
use copal_testkit::{Client, Framing, Proxy, Response, get, wait};

const MEBIBYTES: usize = 20;

/// Asks, and reads until the first line of the body is there.
#[track_caller]
fn begin(proxy: &Proxy, path: &str) -> (Client, Response) {
    let mut client = proxy.client();
    client.send("GET", path, &[], b"");
    let head = client.read_head();
    assert_eq!((head.status, head.framing), (200, Framing::Chunked), "{head:?}");
    let first = client.peek_raw(64);
    assert!(String::from_utf8_lossy(first).contains("\r\n000000000000000\n"), "{first:?}");
    (client, head)
}

#[track_caller]
fn assert_whole(response: &Response) {
    assert!(response.complete, "{:?}", response.defect);
    // Not assert_eq: nobody wants to read 20 MB twice.
    assert!(response.body == numbered_lines(MEBIBYTES), "{} bytes, not those sent", response.body.len());
}

#[test]
fn the_first_bytes_of_a_stream_arrive_before_the_application_has_made_the_last() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("stream");
    let (mut client, mut response) = begin(&proxy, "/stream/");
    assert_eq!((site.runs("stream"), site.runs("stream_end")), (1, 0));
    drop(hold);
    client.read_body(&mut response);
    assert_whole(&response);
    site.wait_runs("stream_end", 1);
    let stored = get(proxy.addr(), "/stream/", &[]);
    assert_eq!(stored.header("x-cache"), Some("HIT"));
    assert_whole(&stored);
    assert_eq!(site.runs("stream"), 1);
}

#[test]
fn a_stream_that_is_not_stored_arrives_in_the_same_way() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("stream");
    let (mut client, mut response) = begin(&proxy, "/stream/?cache-control=no-store");
    assert_eq!(site.runs("stream_end"), 0);
    drop(hold);
    client.read_body(&mut response);
    assert_whole(&response);
    assert_eq!(proxy.stat("stores"), 0);
}

#[test]
fn who_comes_while_a_stream_runs_joins_it_from_its_beginning() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("stream");
    let mut readers: Vec<_> = (0..4).map(|_| begin(&proxy, "/stream/")).collect();
    assert_eq!(site.runs("stream_end"), 0);
    drop(hold);
    // At the same time: whoever is read later must not hold up the others.
    std::thread::scope(|scope| {
        for (client, response) in &mut readers {
            scope.spawn(|| client.read_body(response));
        }
    });
    readers.iter().for_each(|(_, response)| assert_whole(response));
    assert_eq!((site.runs("stream"), proxy.stat("fetches")), (1, 1));
}

#[test]
fn a_stream_goes_on_for_the_next_visitor_when_the_one_who_began_it_leaves() {
    let site = Site::start();
    let proxy = front(&site);
    let hold = site.hold("stream");
    drop(begin(&proxy, "/stream/"));
    drop(hold);
    proxy.wait_stat("aborted_deliveries", |n| n == 1, wait::PATIENCE);
    site.wait_runs("stream_end", 1);
    proxy.wait_stat("fetches_running", |n| n == 0, wait::PATIENCE);
    let stored = get(proxy.addr(), "/stream/", &[]);
    assert_eq!(stored.header("x-cache"), Some("HIT"));
    assert_whole(&stored);
    assert_eq!(site.runs("stream"), 1);
}
