//! Request bodies that break off, are malformed, or larger than allowed: no origin takes one for a whole request.

use super::{echo, front, front_with, refused};
use copal_testkit::{Origin, Proxy};

const CHUNKED: &str = "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[track_caller]
fn no_whole_request(proxy: &Proxy, origin: &Origin) {
    proxy.wait_stat("fetches_running", |n| n == 0, super::A_MOMENT * 100);
    let whole = origin.requests().into_iter().filter(|seen| seen.complete).count();
    assert_eq!(whole, 0, "an origin took a broken upload for a whole one: {:?}", origin.requests());
}

#[test]
fn a_malformed_chunk_in_an_upload_is_400_and_never_a_whole_request() {
    let origin = echo();
    let proxy = front(&origin);
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello, too long\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nbad trailer\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: y\n\r\n",
    ] {
        assert_eq!(refused(&proxy, format!("{CHUNKED}{body}")).status, 400, "{body:?}");
    }
    no_whole_request(&proxy, &origin);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_upload_makes_no_request_of_it() {
    let origin = echo();
    let proxy = front(&origin);
    for start in
        [format!("{CHUNKED}5\r\nhello\r\n"), "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhello".into()]
    {
        let mut client = proxy.client();
        client.send_raw(start);
        proxy.wait_stat("passes", |n| n > 0, super::A_MOMENT * 100);
        drop(client);
    }
    proxy.wait_stat("fetch_failed_send", |n| n == 2, super::A_MOMENT * 100);
    no_whole_request(&proxy, &origin);
}

#[test]
fn a_body_beyond_the_limit_is_413() {
    let origin = echo();
    let proxy = front_with(&origin, "[limits]\nbody_size = \"10B\"");
    let sized = refused(&proxy, "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world");
    assert_eq!((sized.status, origin.connections()), (413, 0), "a length that is too large never reaches the origin");
    assert_eq!(refused(&proxy, format!("{CHUNKED}6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n")).status, 413);
    no_whole_request(&proxy, &origin);
    let mut client = proxy.client();
    assert_eq!(client.request("POST", "/up", &[], b"0123456789").status, 200, "as large as allowed");
    super::assert_in_step(&mut client);
}

#[test]
fn a_body_that_nobody_wants_is_read_over_and_the_connection_goes_on() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    assert_eq!(client.request("GET", "/hit", &[], b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n").text(), "/hit");
    super::assert_in_step(&mut client);
    assert_eq!(client.request("GET", "/hit", &[], &vec![b'x'; 10_000]).text(), "/hit");
    super::assert_in_step(&mut client);
    assert_eq!(origin.count(), 2);
    assert!(origin.requests().iter().all(|seen| seen.header("Content-Length").is_none()), "{:?}", origin.requests());
}

#[test]
fn a_large_body_that_nobody_wants_costs_the_connection_and_not_the_answer() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    client.send("GET", "/hit", &[("Content-Length", "1000000000")], b"");
    client.send_raw(vec![b'x'; 200_000]);
    assert_eq!(client.read_response().text(), "/hit");
    client.assert_closed();
}

#[test]
fn uploads_arrive_whole_in_either_framing() {
    let origin = echo();
    let proxy = front(&origin);
    let mut client = proxy.client();
    let body: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    assert_eq!(client.request("POST", "/sized", &[], &body).text(), "/sized");
    client.send_raw("PUT /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n");
    for piece in body.chunks(70_000) {
        client.send_raw(format!("{:X};ext=1\r\n", piece.len()));
        client.send_raw([piece, b"\r\n"].concat());
    }
    client.send_raw("0\r\nX-Trailer: 1\r\n\r\n");
    assert_eq!(client.read_response().text(), "/chunked");
    let seen = origin.requests();
    assert_eq!((seen[0].header("Content-Length"), seen[0].header("Transfer-Encoding")), (Some("300000"), None));
    assert_eq!((seen[1].header("Content-Length"), seen[1].header("Transfer-Encoding")), (None, Some("chunked")));
    assert!(seen.iter().all(|seen| seen.complete && seen.body == body));
}
