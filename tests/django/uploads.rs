//! Uploads of several MB: they reach the application whole, and while they are still being sent.

use super::site::Site;
use super::{front, numbered_lines};
use copal_testkit::Client;

const MEBIBYTES: usize = 5;
/// Of `numbered_lines(5)`, from sha256sum.
const SHA256: &str = "7aaf74312cf4ec20891b2dc77147fcbfa20c7a2d36cb8a712fa2fb55d7d4a33a";

#[track_caller]
fn assert_received(client: &mut Client, chunked: bool) {
    let response = client.read_response();
    assert_eq!(response.status, 200, "{}", response.text());
    let expected = format!(r#"{{"sha256": "{SHA256}", "length": {}, "chunked": {chunked}}}"#, MEBIBYTES << 20);
    assert_eq!(response.text(), expected);
}

/// As chunks of 60,000 bytes, which no buffer's size divides.
fn chunked(body: &[u8]) -> Vec<u8> {
    let chunk = |data: &[u8]| [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat();
    let mut bytes: Vec<u8> = body.chunks(60_000).flat_map(chunk).collect();
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[test]
fn an_upload_with_a_length_arrives_whole() {
    let site = Site::start();
    let proxy = front(&site);
    let mut client = proxy.client();
    for method in ["POST", "PUT"] {
        client.send(method, "/upload/", &[], &numbered_lines(MEBIBYTES));
        assert_received(&mut client, false);
    }
    assert_eq!((site.runs("upload"), proxy.stat("passes")), (2, 2));
}

#[test]
fn an_upload_in_chunks_arrives_whole() {
    let site = Site::start();
    let proxy = front(&site);
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("POST", "/upload/", &[("Transfer-Encoding", "chunked")], &chunked(&numbered_lines(MEBIBYTES)));
        assert_received(&mut client, true);
    }
}

#[test]
fn the_application_reads_an_upload_while_the_client_still_sends_it() {
    let site = Site::start();
    let proxy = front(&site);
    let body = numbered_lines(MEBIBYTES);
    let bytes = chunked(&body);
    for (run, (framing, value, bytes)) in
        [("Content-Length", body.len().to_string(), &body), ("Transfer-Encoding", "chunked".to_owned(), &bytes)]
            .into_iter()
            .enumerate()
    {
        let (first, rest) = bytes.split_at(1 << 20);
        let mut client = proxy.client();
        client.send("POST", "/upload/", &[(framing, &value)], first);
        site.wait_runs("upload_begin", run as u64 + 1);
        client.send_raw(rest);
        assert_received(&mut client, framing == "Transfer-Encoding");
    }
}

#[test]
fn a_client_that_asks_before_it_sends_is_told_to_go_on() {
    let site = Site::start();
    let proxy = front(&site);
    let body = numbered_lines(MEBIBYTES);
    let mut client = proxy.client();
    let length = body.len().to_string();
    client.send("POST", "/upload/", &[("Content-Length", &length), ("Expect", "100-continue")], b"");
    assert!(client.peek_raw(12).starts_with(b"HTTP/1.1 100"));
    client.send_raw(&body);
    assert_received(&mut client, false);
}
