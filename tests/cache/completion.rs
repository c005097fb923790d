//! Parts of responses combined, and made whole by fetching what is missing (RFC 9111 §3.4).

use super::partial::{File, asked, assert_part, range, sent};
use super::{front, front_with, settled};
use copal_testkit::{Origin, Reply, get};
use std::sync::atomic::{AtomicUsize, Ordering};

/// The first answers as these say, one after the other, the last for all that come later.
fn in_turn(files: Vec<File>) -> Origin {
    let turn = AtomicUsize::new(0);
    Origin::start(move |seen| {
        let n = turn.fetch_add(1, Ordering::SeqCst);
        files[n.min(files.len() - 1)].answer(seen)
    })
}

#[test]
fn the_whole_is_completed_by_fetching_only_what_is_missing() {
    let file = File::large(300_000);
    let (body, origin) = (file.body.clone(), file.serve());
    let proxy = front(&origin);
    range(&proxy, "bytes=-100000");
    settled(&proxy);
    let whole = get(proxy.addr(), "/file", &[]);
    assert!(whole.status == 200 && whole.complete && whole.body == body, "{}", whole.status);
    // A part of a second may have passed since the origin's Date.
    let status = whole.header("Cache-Status").unwrap().replace("ttl=59", "ttl=60");
    assert_eq!(status, "copal; fwd=partial; fwd-status=206; ttl=60; stored; detail=partial-combined");
    assert_eq!((whole.header("Content-Range"), whole.header("ETag")), (None, Some("\"v1\"")));
    settled(&proxy);
    let again = get(proxy.addr(), "/file", &[]);
    assert!(again.body == body && again.header("Content-Length") == Some("300000"));
    assert_part(
        &range(&proxy, "bytes=100000-100002"),
        &text_of(&body[100_000..=100_002]),
        "bytes 100000-100002/300000",
    );
    assert_eq!(asked(&origin), [sent("bytes=-100000", None), sent("bytes=0-199999", Some("\"v1\""))]);
    assert_eq!((proxy.stat("objects"), proxy.stat("body_bytes_fetched") >= 300_000), (1, true));
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_missing_in_front_of_a_range_is_fetched_with_it() {
    let origin = File::new("0123456789").serve();
    let proxy = front(&origin);
    range(&proxy, "bytes=-5");
    settled(&proxy);
    assert_part(&range(&proxy, "bytes=3-6"), "3456", "bytes 3-6/10");
    settled(&proxy);
    assert_eq!(get(proxy.addr(), "/file", &[]).text(), "0123456789");
    assert_eq!(asked(&origin)[1..], [sent("bytes=0-4", Some("\"v1\""))]);
}

#[test]
fn a_part_that_is_everything_is_stored_as_the_whole() {
    let origin = File::new("0123456789").serve();
    let proxy = front(&origin);
    assert_part(&range(&proxy, "bytes=-10"), "0123456789", "bytes 0-9/10");
    settled(&proxy);
    let whole = get(proxy.addr(), "/file", &[]);
    assert_eq!((whole.status, whole.text().as_str(), origin.count()), (200, "0123456789", 1));
    assert_eq!(whole.header("Content-Range"), None);
}

#[test]
fn a_file_that_has_changed_is_fetched_whole_and_no_old_byte_is_used() {
    let new = File { tag: Some("\"v2\""), ..File::new("abcdefghijkl") };
    let origin = in_turn(vec![File::new("0123456789"), new]);
    let proxy = front(&origin);
    range(&proxy, "bytes=-5");
    settled(&proxy);
    assert_eq!(get(proxy.addr(), "/file", &[]).text(), "abcdefghijkl");
    assert_part(&range(&proxy, "bytes=-2"), "kl", "bytes 10-11/12");
    assert_eq!(asked(&origin)[1..], [sent("bytes=0-4", Some("\"v1\""))]);
}

/// Answers to the question for the rest that fit nothing: the whole is fetched, also when a policy may retry nothing.
#[test]
fn an_answer_that_does_not_fit_is_thrown_away_and_the_whole_is_fetched() {
    let part = |range: &str, body: &'static str| Reply::status(206, body).header("Content-Range", range);
    let tagged = |reply: Reply, tag: &str| reply.header("ETag", tag).header("Cache-Control", "max-age=60");
    for odd in [
        tagged(part("bytes 0-4/10", "abcde"), "\"v2\""),
        tagged(part("bytes 0-4/10", "abcde"), "W/\"v1\""),
        part("bytes 0-4/10", "abcde").header("Cache-Control", "max-age=60"),
        tagged(part("bytes 0-4/11", "01234"), "\"v1\""),
        tagged(part("bytes 0-3/10", "0123"), "\"v1\""),
        tagged(part("bytes 1-4/10", "1234"), "\"v1\""),
        tagged(part("bytes 0-4/10", "0123"), "\"v1\""),
        tagged(part("bytes 4-0/10", "01234"), "\"v1\""),
        tagged(Reply::status(206, "01234"), "\"v1\""),
        tagged(part("bytes 0-4/10", "01234"), "\"v1\"").header("Content-Encoding", "gzip"),
        tagged(Reply::status(416, "").header("Content-Range", "bytes */3"), "\"v1\""),
    ] {
        let file = File::new("0123456789");
        let what = format!("{odd:?}");
        let origin = Origin::start(move |seen| match seen.header("If-Range") {
            Some(_) => odd.clone(),
            None => file.answer(seen),
        });
        let proxy = front_with(&origin, "[policy]\nmax_retries = 0");
        range(&proxy, "bytes=-5");
        settled(&proxy);
        let whole = get(proxy.addr(), "/file", &[]);
        assert_eq!((whole.status, whole.text().as_str(), whole.complete), (200, "0123456789", true), "{what}");
        let asked = asked(&origin);
        assert_eq!(asked[1..], [sent("bytes=0-4", Some("\"v1\"")), (None, None)], "{what}");
    }
}

#[test]
fn a_rest_that_does_not_come_whole_is_a_broken_answer_and_is_not_kept() {
    for broken in [
        Reply::head(206).header("Content-Length", 5).send("012").close(),
        Reply::head(206).header("Transfer-Encoding", "chunked").chunk("0123").end_chunks(),
        Reply::head(206).header("Transfer-Encoding", "chunked").chunk("01234x").end_chunks(),
        Reply::head(206).header("Transfer-Encoding", "chunked").chunk("01234").chunk("5").end_chunks(),
        Reply::head(206).header("Connection", "close").send("0123").close(),
    ] {
        let what = format!("{broken:?}");
        let broken = broken.header("Content-Range", "bytes 0-4/10").header("ETag", "\"v1\"");
        let broken = broken.header("Cache-Control", "max-age=60");
        let file = File::new("0123456789");
        let origin = Origin::start(move |seen| match seen.header("If-Range") {
            Some(_) => broken.clone(),
            None => file.answer(seen),
        });
        let proxy = front(&origin);
        range(&proxy, "bytes=-5");
        settled(&proxy);
        let cut = get(proxy.addr(), "/file", &[]);
        assert!(!cut.complete && "0123456789".starts_with(&cut.text()), "{what}: {cut:?}");
        settled(&proxy);
        assert_eq!(proxy.stat("objects"), 0, "{what}");
        assert_eq!(get(proxy.addr(), "/file", &[]).text(), "0123456789", "{what}");
        assert_eq!(asked(&origin)[2..], [(None, None)], "{what}");
    }
}

#[test]
fn parts_without_a_strong_validator_are_used_but_never_combined() {
    for tag in [None, Some("W/\"v1\"")] {
        let origin = File { tag, ..File::new("0123456789") }.serve();
        let proxy = front(&origin);
        range(&proxy, "bytes=-5");
        settled(&proxy);
        assert_part(&range(&proxy, "bytes=6-7"), "67", "bytes 6-7/10");
        assert_eq!(origin.count(), 1);
        assert_part(&range(&proxy, "bytes=-7"), "3456789", "bytes 3-9/10");
        settled(&proxy);
        assert_eq!(get(proxy.addr(), "/file", &[]).text(), "0123456789");
        assert_eq!(asked(&origin), [sent("bytes=-5", None), sent("bytes=-7", None), (None, None)], "{tag:?}");
    }
}
