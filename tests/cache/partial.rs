//! Parts of responses (RFC 9110 §14, RFC 9111 §3.3): asked for, kept, and never taken for the whole.

use super::{SOON, builder, front, front_with, settled};
use copal_testkit::{Gate, Origin, Proxy, Reply, Response, get, request};
use std::sync::Arc;

const MIB: usize = 1 << 20;

/// A file as an origin serves it that knows ranges and conditions.
#[derive(Clone)]
pub(super) struct File {
    pub(super) body: Vec<u8>,
    pub(super) tag: Option<&'static str>,
    pub(super) control: &'static str,
}

impl File {
    pub(super) fn new(body: impl Into<Vec<u8>>) -> File {
        File { body: body.into(), tag: Some("\"v1\""), control: "max-age=60" }
    }

    /// A file in which each byte tells its place.
    pub(super) fn large(len: usize) -> File {
        File::new((0..len).map(|at| u8::try_from(at % 251).unwrap()).collect::<Vec<_>>())
    }

    pub(super) fn answer(&self, seen: &copal_testkit::Seen) -> Reply {
        let reply = if self.tag.is_some() && seen.header("If-None-Match") == self.tag {
            Reply::status(304, "")
        } else {
            let applies = seen.header("If-Range").is_none_or(|tag| Some(tag) == self.tag);
            match seen.header("Range").filter(|_| applies) {
                None => Reply::ok(self.body.clone()),
                Some(range) => self.part(range),
            }
        };
        let reply = reply.header("Cache-Control", self.control);
        self.tag.iter().fold(reply, |reply, tag| reply.header("ETag", tag))
    }

    fn part(&self, range: &str) -> Reply {
        let len = self.body.len();
        let (first, last) = range.strip_prefix("bytes=").and_then(|range| range.split_once('-')).unwrap();
        let (first, last) = match (first.parse(), last.parse()) {
            (Ok(first), Ok(last)) => (first, usize::min(last, len - 1)),
            (Ok(first), Err(_)) => (first, len - 1),
            (Err(_), last) => (len.saturating_sub(last.unwrap()), len - 1),
        };
        if first >= len {
            return Reply::status(416, "").header("Content-Range", format!("bytes */{len}"));
        }
        let range = format!("bytes {first}-{last}/{len}");
        Reply::status(206, &self.body[first..=last]).header("Content-Range", range)
    }

    pub(super) fn serve(self) -> Origin {
        Origin::start(move |seen| self.answer(seen))
    }
}

#[track_caller]
pub(super) fn range(proxy: &Proxy, range: &str) -> Response {
    let response = get(proxy.addr(), "/file", &[("Range", range)]);
    assert!(response.complete, "{response:?}");
    response
}

/// The Range and the If-Range of each request that the origin has seen.
pub(super) fn asked(origin: &Origin) -> Vec<(Option<String>, Option<String>)> {
    let field = |seen: &copal_testkit::Seen, name| seen.header(name).map(str::to_owned);
    origin.requests().iter().map(|seen| (field(seen, "Range"), field(seen, "If-Range"))).collect()
}

pub(super) fn sent(range: &str, if_range: Option<&str>) -> (Option<String>, Option<String>) {
    (Some(range.to_owned()), if_range.map(str::to_owned))
}

#[track_caller]
pub(super) fn assert_part(response: &Response, body: &str, content_range: &str) {
    assert_eq!(
        (response.status, response.text().as_str(), response.header("Content-Range")),
        (206, body, Some(content_range)),
        "{response:?}"
    );
}

#[test]
fn the_end_of_a_file_is_asked_for_alone_and_kept_for_ranges_that_lie_in_it() {
    let origin = File::new("0123456789").serve();
    let proxy = front(&origin);
    let first = range(&proxy, "bytes=-5");
    assert_part(&first, "56789", "bytes 5-9/10");
    assert_eq!(first.header("Cache-Status"), Some("copal; fwd=uri-miss; stored; detail=partial"));
    settled(&proxy);
    for (wanted, body, content_range) in [
        ("bytes=-5", "56789", "bytes 5-9/10"),
        ("bytes=6-8", "678", "bytes 6-8/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
        ("bytes=9-99", "9", "bytes 9-9/10"),
    ] {
        let response = range(&proxy, wanted);
        assert_part(&response, body, content_range);
        assert!(response.header("Cache-Status").unwrap().starts_with("copal; hit; ttl="), "{response:?}");
        assert_eq!(response.header("ETag"), Some("\"v1\""));
    }
    assert_eq!(range(&proxy, "bytes=10-").header("Content-Range"), Some("bytes */10"));
    assert_eq!(asked(&origin), [sent("bytes=-5", None)]);
    assert_eq!(["parts_stored", "stores", "objects", "hits_fresh"].map(|name| proxy.stat(name)), [1, 0, 1, 6]);
}

#[test]
fn several_ranges_are_answered_from_a_part_that_holds_them_all() {
    let origin = File::new("0123456789").serve();
    let proxy = front(&origin);
    range(&proxy, "bytes=-5");
    settled(&proxy);
    let both = range(&proxy, "bytes=5-5,8-9");
    assert_eq!(both.status, 206);
    let parts = both.text();
    assert!(parts.contains("bytes 5-5/10\r\n\r\n5\r\n") && parts.contains("bytes 8-9/10\r\n\r\n89\r\n"), "{parts}");
    assert_eq!(origin.count(), 1);
    // One that it does not hold has the rest fetched, and gets the parts.
    assert!(matches!(range(&proxy, "bytes=4-4,8-9").status, 200 | 206));
    settled(&proxy);
    assert!(range(&proxy, "bytes=4-4,8-9").text().contains("bytes 4-4/10\r\n\r\n4\r\n"));
    assert_eq!(asked(&origin)[1..], [sent("bytes=0-4", Some("\"v1\""))]);
}

#[test]
fn a_range_near_the_start_fetches_the_whole_and_is_answered_while_it_arrives() {
    let gate = Gate::closed();
    let body = Reply::head(200).header("Content-Length", 10).header("Cache-Control", "max-age=60");
    let reply = body.send("01234").wait(&gate).send("56789");
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front(&origin);
    assert_part(&range(&proxy, "bytes=1-3"), "123", "bytes 1-3/10");
    assert_part(&range(&proxy, "bytes=0-1"), "01", "bytes 0-1/10");
    gate.release();
    settled(&proxy);
    assert_eq!(get(proxy.addr(), "/file", &[]).text(), "0123456789");
    assert_eq!(asked(&origin), [(None, None)]);
}

/// Asks for `ranges` of a body of which 500 bytes have come, and lets the rest come once the head is there.
fn ranges_while_it_arrives(config: &str, ranges: &str) -> Response {
    let gate = Gate::closed();
    let body = Reply::head(200).header("Content-Length", 2000).header("Cache-Control", "max-age=60");
    let reply = body.send("a".repeat(500)).wait(&gate).send("b".repeat(1500));
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front_with(&origin, config);
    let mut client = proxy.client();
    client.send("GET", "/file", &[("Range", ranges)], b"");
    let mut response = client.read_head();
    gate.release();
    client.read_body(&mut response);
    assert!(response.complete, "{ranges}: {response:?}");
    assert_eq!(asked(&origin), [(None, None)]);
    response
}

fn assert_parts_in_order(response: &Response, parts: &[&str]) {
    assert_eq!(response.status, 206, "{response:?}");
    let text = response.text();
    let places: Vec<_> =
        parts.iter().map(|part| text.find(part).unwrap_or_else(|| panic!("{part:?}: {text}"))).collect();
    assert!(places.is_sorted(), "{places:?}: {text}");
}

#[test]
fn several_ranges_in_any_order_are_answered_while_the_body_arrives() {
    let part = |at: usize, bytes: &str| format!("bytes {at}-{}/2000\r\n\r\n{bytes}\r\n", at + bytes.len() - 1);
    let [first, edge, late] = [part(0, "aa"), part(499, "ab"), part(1990, "bb")];
    let sorted = ranges_while_it_arrives("", "bytes=0-1,499-500,1990-1991");
    assert_parts_in_order(&sorted, &[&first, &edge, &late]);
    let unsorted = ranges_while_it_arrives("", "bytes=1990-1991,0-1,499-500");
    assert_parts_in_order(&unsorted, &[&late, &first, &edge]);
}

#[test]
fn ranges_of_a_body_that_only_passes_by_are_cut_out_of_it() {
    // Larger than any object may be.
    let small = "[cache]\nobject_size = \"1KiB\"";
    let one = ranges_while_it_arrives(small, "bytes=499-500");
    assert_part(&one, "ab", "bytes 499-500/2000");
    let sorted = ranges_while_it_arrives(small, "bytes=0-1,1990-1991");
    assert_parts_in_order(&sorted, &["bytes 0-1/2000\r\n\r\naa\r\n", "bytes 1990-1991/2000\r\n\r\nbb\r\n"]);
    // The later bytes come later: what was before them has gone by then.
    let unsorted = ranges_while_it_arrives(small, "bytes=1990-1991,0-1");
    assert_eq!((unsorted.status, unsorted.body.len()), (200, 2000));
}

#[test]
fn a_range_of_a_huge_body_does_not_wait_for_the_rest_and_lets_its_fetch_go() {
    let endless = Gate::closed();
    let body = Reply::head(200).header("Content-Length", 1_000_000_000).header("Cache-Control", "max-age=60");
    let reply = body.send("0123456789").wait(&endless);
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front(&origin);
    assert_part(&range(&proxy, "bytes=2-5"), "2345", "bytes 2-5/1000000000");
    settled(&proxy);
    assert_eq!(proxy.stat("objects"), 0);
}

#[test]
fn conditions_hold_for_what_a_miss_brings_and_does_not_store() {
    let origin = Origin::start(|_| Reply::ok("whole").header("Cache-Control", "no-store").header("ETag", "\"v1\""));
    let proxy = front(&origin);
    let same = get(proxy.addr(), "/file", &[("If-None-Match", "\"v1\"")]);
    assert_eq!((same.status, same.text().as_str(), same.header("ETag")), (304, "", Some("\"v1\"")));
    assert_eq!(get(proxy.addr(), "/file", &[("If-None-Match", "\"v0\"")]).status, 200);
    assert_eq!(get(proxy.addr(), "/file", &[("If-Match", "\"v0\"")]).status, 412);
}

#[test]
fn a_range_of_an_arriving_body_that_is_cut_off_is_cut_off_too() {
    let origin = Origin::start(|_| Reply::short_body("01234", 10).header("Cache-Control", "max-age=60"));
    let proxy = front(&origin);
    let response = get(proxy.addr(), "/file", &[("Range", "bytes=3-7")]);
    assert!(!response.complete, "{response:?}");
    settled(&proxy);
    assert_eq!(proxy.stat("objects"), 0);
}

#[test]
fn a_range_far_into_a_file_is_asked_for_alone_and_joins_what_is_there() {
    let file = File::large(4 * MIB);
    let (body, origin) = (file.body.clone(), file.serve());
    let proxy = front(&origin);
    let (a, b, c) = (2 * MIB, 2 * MIB + 100_000, 2 * MIB + 200_000);
    for (first, last) in [(a, b - 1), (b, c - 1), (a + 50_000, c - 50_000), (a, c - 1)] {
        let response = range(&proxy, &format!("bytes={first}-{last}"));
        assert_eq!(response.status, 206);
        assert!(response.body == body[first..=last], "other bytes than {first}-{last}");
        settled(&proxy);
    }
    let wanted = [(a, b - 1), (b, c - 1)].map(|(first, last)| sent(&format!("bytes={first}-{last}"), None));
    assert_eq!(asked(&origin), wanted);
    assert_eq!(proxy.stat("objects"), 1);
}

/// Invariant 9: with the origin gone, what is stored is all there is, and it is given only to who asks for it.
#[test]
fn a_part_is_never_served_as_the_whole() {
    let mut origin = File { control: "max-age=60, stale-if-error=600", ..File::new("0123456789") }.serve();
    let proxy = front(&origin);
    range(&proxy, "bytes=-5");
    settled(&proxy);
    origin.stop();
    for (method, fields) in [
        ("GET", &[][..]),
        ("HEAD", &[]),
        ("HEAD", &[("Range", "bytes=-5")]),
        ("GET", &[("Range", "bytes=4-6")]),
        ("GET", &[("Range", "bytes=0-")]),
        ("GET", &[("Range", "bytes=-6")]),
        ("GET", &[("Range", "bytes=0-0,6-7")]),
        ("GET", &[("Range", "lines=6-7")]),
        ("GET", &[("Range", "bytes=7-6")]),
        ("GET", &[("Range", "bytes=6-7"), ("If-Range", "\"v2\"")]),
        ("GET", &[("Range", "bytes=6-7"), ("If-Range", "W/\"v1\"")]),
    ] {
        let response = request(proxy.addr(), method, "/file", fields, b"");
        assert!(matches!(response.status, 502..=504), "{method} {fields:?}: {response:?}");
    }
    let held = get(proxy.addr(), "/file", &[("Range", "bytes=6-7"), ("If-Range", "\"v1\"")]);
    assert_part(&held, "67", "bytes 6-7/10");
    assert_eq!(get(proxy.addr(), "/file", &[("Range", "bytes=6-7"), ("If-None-Match", "\"v1\"")]).status, 304);
}

#[test]
fn a_policy_that_takes_the_range_away_after_lookup_gets_nothing_to_send() {
    let origin = File::new("0123456789").serve();
    let policy = r#"fn deliver(req, resp) { if req.http.has("x-whole") { req.http.remove("range"); } }"#;
    let proxy = builder(&origin, "").policy(policy).start();
    range(&proxy, "bytes=-5");
    settled(&proxy);
    let response = get(proxy.addr(), "/file", &[("Range", "bytes=6-7"), ("X-Whole", "1")]);
    assert_eq!((response.status, response.text().as_str()), (503, ""));
}

#[test]
fn many_requests_for_the_same_end_are_one_request_at_the_origin() {
    let gate = Gate::closed();
    let reply = Reply::head(206).header("Content-Range", "bytes 5-9/10").header("Content-Length", 5);
    let reply = reply.header("Cache-Control", "max-age=60").send("567").wait(&gate).send("89");
    let origin = Origin::start(move |_| reply.clone());
    let held = origin.hold("/file");
    let proxy = front(&origin);
    let mut clients: Vec<_> = (0..20).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET", "/file", &[("Range", "bytes=-5")], b"");
    }
    proxy.wait_stat("coalesce_waits", |n| n == 19, SOON);
    held.release();
    // Those who waited read along, before the part is whole.
    let heads: Vec<_> = clients.iter_mut().map(copal_testkit::Client::read_head).collect();
    gate.release();
    for (client, mut response) in clients.iter_mut().zip(heads) {
        client.read_body(&mut response);
        assert!(response.complete);
        assert_part(&response, "56789", "bytes 5-9/10");
    }
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_request_for_the_whole_does_not_wait_for_the_bytes_of_a_part() {
    let gate = Gate::closed();
    let file = File::new("0123456789");
    let part = Reply::head(206).header("Content-Range", "bytes 5-9/10").header("Content-Length", 5);
    let part = part.header("Cache-Control", "max-age=60").header("ETag", "\"v1\"").send("567").wait(&gate).send("89");
    let origin = Origin::start(move |seen| match seen.header("Range") {
        Some("bytes=-5") => part.clone(),
        _ => file.answer(seen),
    });
    let proxy = front(&origin);
    let mut slow = proxy.client();
    slow.send("GET", "/file", &[("Range", "bytes=-5")], b"");
    let mut head = slow.read_head();
    assert_eq!(get(proxy.addr(), "/file", &[]).text(), "0123456789");
    gate.release();
    slow.read_body(&mut head);
    assert_eq!((head.text().as_str(), head.complete), ("56789", true));
    settled(&proxy);
    let again = get(proxy.addr(), "/file", &[]);
    assert_eq!((again.text().as_str(), origin.count(), proxy.stat("objects")), ("0123456789", 2, 1));
}

#[test]
fn a_part_that_is_cut_off_is_a_broken_answer_and_is_not_kept() {
    let broken = Reply::head(206).header("Content-Range", "bytes 5-9/10").header("Content-Length", 5);
    let broken = broken.header("Cache-Control", "max-age=60").header("ETag", "\"v1\"").send("567").close();
    let origin = Origin::start(move |_| broken.clone());
    let proxy = front(&origin);
    for n in 1..=2 {
        let response = get(proxy.addr(), "/file", &[("Range", "bytes=-5")]);
        assert!(!response.complete, "{response:?}");
        settled(&proxy);
        assert_eq!((proxy.stat("objects"), origin.count()), (0, n));
    }
}

#[test]
fn a_part_shorter_than_told_ends_where_its_bytes_end() {
    let short = Reply::status(206, "45678").header("Content-Range", "bytes 4-9/10");
    let short = short.header("Cache-Control", "max-age=60");
    let origin = Origin::start(move |_| short.clone());
    let proxy = front(&origin);
    // The client whose range it answers gets the origin's own words.
    assert_part(&range(&proxy, "bytes=-6"), "45678", "bytes 4-9/10");
    settled(&proxy);
    assert_part(&range(&proxy, "bytes=6-"), "678", "bytes 6-8/9");
    assert_eq!(origin.count(), 1);
}

#[test]
fn a_stale_part_is_renewed_with_a_condition() {
    let file = File { control: "max-age=0", ..File::new("0123456789") };
    let origin = file.serve();
    let proxy = front(&origin);
    range(&proxy, "bytes=-5");
    settled(&proxy);
    let again = range(&proxy, "bytes=6-7");
    assert_part(&again, "67", "bytes 6-7/10");
    assert_eq!(proxy.stat("fetches_304"), 1);
    assert_eq!(origin.requests()[1].header("If-None-Match"), Some("\"v1\""));
    // What is missing is asked for under the validator, so that no condition is needed.
    assert_eq!(get(proxy.addr(), "/file", &[]).text(), "0123456789");
    assert_eq!(asked(&origin)[2], sent("bytes=0-4", Some("\"v1\"")));
}

#[test]
fn parts_obey_the_rules_of_storing() {
    for control in ["no-store", "private", "no-cache=\"etag\", no-store"] {
        let origin = File { control, ..File::new("0123456789") }.serve();
        let proxy = front(&origin);
        for _ in 0..2 {
            assert_part(&range(&proxy, "bytes=-5"), "56789", "bytes 5-9/10");
            settled(&proxy);
        }
        assert_eq!((origin.count(), proxy.stat("objects"), proxy.stat("parts_stored")), (2, 0, 0), "{control}");
    }
}

#[test]
fn a_part_is_a_variant_like_any_other_and_a_purge_drops_it() {
    let origin = Origin::start(|seen| {
        let language = seen.header("Accept-Language").unwrap_or("-").to_owned();
        File::new(language.repeat(5)).answer(seen).header("Vary", "Accept-Language")
    });
    let proxy = front_with(&origin, "[acl]\nall = [\"127.0.0.0/8\"]\n[purge]\nacl = \"all\"");
    let ask = |language, range| get(proxy.addr(), "/file", &[("Accept-Language", language), ("Range", range)]).text();
    assert_eq!((ask("en", "bytes=-2"), ask("de", "bytes=-2")), ("en".into(), "de".into()));
    settled(&proxy);
    assert_eq!((ask("en", "bytes=-1"), ask("de", "bytes=-1"), origin.count()), ("n".into(), "e".into(), 2));
    assert_eq!(proxy.stat("objects"), 2);
    assert_eq!(request(proxy.addr(), "PURGE", "/file", &[], b"").status, 200);
    assert_eq!((proxy.stat("objects"), proxy.stat("purged_objects")), (0, 2));
    assert_eq!((ask("en", "bytes=-1"), origin.count()), ("n".into(), 3));
}

#[test]
fn a_part_that_nobody_asked_for_is_not_kept() {
    let part =
        Reply::status(206, "01234").header("Content-Range", "bytes 0-4/10").header("Cache-Control", "max-age=60");
    let origin = Origin::start(move |_| part.clone());
    let proxy = front(&origin);
    for n in 1..=2 {
        assert_part(&get(proxy.addr(), "/file", &[]), "01234", "bytes 0-4/10");
        assert_eq!((origin.count(), proxy.stat("objects")), (n, 0));
    }
}

#[test]
fn parts_count_in_the_ledger_and_give_way_when_room_is_needed() {
    let file = Arc::new(File::large(4 * MIB));
    let origin = Origin::start(move |seen| file.answer(seen));
    let proxy = front_with(&origin, "[cache]\nsize = \"8MiB\"\nobject_size = \"4MiB\"");
    let mut client = proxy.client();
    for n in 0..40 {
        let wanted = format!("bytes=-{}", 400_000 + n);
        let response = client.get(&format!("/file-{n}"), &[("Range", &wanted)]);
        assert_eq!((response.status, response.body.len()), (206, 400_000 + n));
        settled(&proxy);
        assert!(proxy.stat("bytes") <= 8 * MIB as i64, "{}", proxy.stat("bytes"));
    }
    assert!((10..=20).contains(&proxy.stat("objects")), "{}", proxy.stat("objects"));
}
