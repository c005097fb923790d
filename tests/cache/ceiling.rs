//! `size` is a ceiling: what is stored beyond it makes room by eviction, and memory stays near it.

use super::{SOON, front_with, settled};
use copal_testkit::{Origin, Proxy, Reply};

const MIB: i64 = 1 << 20;
/// What a small process needs beside its store: code, two runtimes, Rhai, the allocator's own.
const BASE_KIB: u64 = 64 * 1024;

/// `/100000/anything` is that many bytes.
fn sized() -> Origin {
    Origin::start(|seen| {
        let bytes = seen.path.split('/').nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
        let reply = Reply::head(200).header("Cache-Control", "max-age=600");
        if seen.path.ends_with("/chunked") {
            let reply = reply.header("Transfer-Encoding", "chunked");
            (0..bytes / 50_000).fold(reply, |reply, _| reply.chunk(vec![b'x'; 50_000])).end_chunks()
        } else {
            reply.header("Content-Length", bytes).send(vec![b'x'; bytes])
        }
    })
}

#[track_caller]
fn get(proxy: &Proxy, path: &str, bytes: usize) {
    let response = copal_testkit::get(proxy.addr(), path, &[]);
    assert_eq!((response.status, response.body.len(), response.complete), (200, bytes, true), "{path}");
}

#[test]
fn filling_it_beyond_its_size_evicts_and_stays_below() {
    let origin = sized();
    let proxy = front_with(&origin, "[cache]\nsize = \"8MiB\"");
    let before = proxy.rss_kib();
    for i in 0..400 {
        get(&proxy, &format!("/100000/{i}"), 100_000);
        if i % 20 == 0 {
            assert!(proxy.stat("bytes") <= 8 * MIB, "{} bytes after {i} objects", proxy.stat("bytes"));
        }
    }
    let counted = ["bytes", "evictions", "objects"].map(|name| proxy.stat(name));
    assert!(counted[0] <= 8 * MIB && counted[1] >= 300 && counted[2] >= 40, "{counted:?}");
    assert!(proxy.rss_kib() < before + 8 * 1024 + BASE_KIB, "{} KiB, {before} at first", proxy.rss_kib());
    get(&proxy, "/100000/399", 100_000);
    assert_eq!(origin.count(), 400, "the newest are still there");
}

#[test]
fn many_small_objects_count_with_their_overhead() {
    let origin = sized();
    let proxy = front_with(&origin, "[cache]\nsize = \"1MiB\"");
    let mut client = proxy.client();
    for i in 0..4000 {
        assert_eq!(client.get(&format!("/100/{i}"), &[]).body.len(), 100);
    }
    let counted = ["bytes", "evictions", "objects"].map(|name| proxy.stat(name));
    assert!(counted[0] <= MIB && counted[1] > 0 && counted[2] > 500, "{counted:?}");
}

#[test]
fn an_object_larger_than_allowed_streams_through_and_is_not_stored() {
    let origin = sized();
    let proxy = front_with(&origin, "[cache]\nsize = \"16MiB\"\nobject_size = \"1MiB\"");
    for path in ["/3000000/sized", "/3000000/chunked"] {
        for n in 1..=2 {
            get(&proxy, path, 3_000_000);
            settled(&proxy);
            assert_eq!((origin.count_of(path), proxy.stat("objects")), (n, 0), "{path}");
        }
    }
    get(&proxy, "/900000/small-enough", 900_000);
    let counted = ["objects", "evictions", "store_refused"].map(|name| proxy.stat(name));
    assert_eq!(counted, [1, 0, 4], "nothing was pushed out by what passed");
}

#[test]
fn a_large_body_that_passes_is_never_held_as_a_whole() {
    let origin = Origin::start(|_| Reply::ok(vec![b'x'; 100_000_000]).header("Cache-Control", "no-store"));
    let proxy = front_with(&origin, "[cache]\nsize = \"8MiB\"");
    let before = proxy.rss_kib();
    let mut clients = super::crowd(&proxy, 3, "/large");
    proxy.wait_stat("body_bytes_fetched", |n| n > 3_000_000, SOON);
    assert!(proxy.stat("bytes") <= 8 * MIB);
    assert!(proxy.rss_kib() < before + BASE_KIB, "{} KiB, {before} at first", proxy.rss_kib());
    for client in &mut clients {
        assert_eq!(client.read_response().body.len(), 100_000_000);
    }
    assert!(proxy.rss_kib() < before + BASE_KIB, "{} KiB, {before} at first", proxy.rss_kib());
}

#[test]
fn expired_objects_leave_by_themselves() {
    let origin = Origin::start(|_| Reply::ok("x").header("Cache-Control", "max-age=1"));
    let proxy = front_with(&origin, "[cache]\nkeep = \"0s\"\nstale_if_error = \"0s\"");
    let _ = copal_testkit::get(proxy.addr(), "/x", &[]);
    assert_eq!(proxy.stat("objects"), 1);
    proxy.wait_stat("expiries", |n| n == 1, SOON);
    assert_eq!(proxy.stat("objects"), 0);
}
