//! Tags by every field that applications send, exact for each variant; and lifetimes that are spread by `jitter`.

use super::{COPAL, SOON, front_with, settled};
use copal_testkit::{Origin, Proxy, Reply, get, request};
use std::process::Command;

/// What may purge here.
const LOCAL: &str = "[acl]\nall = [\"127.0.0.0/8\"]\n[purge]\nacl = \"all\"\nprotocols = [\"xkey\"]";

fn is_hit(proxy: &Proxy, path: &str, fields: &[(&str, &str)]) -> bool {
    get(proxy.addr(), path, fields).header("Cache-Status").unwrap().contains("copal; hit")
}

/// Pages `/N` that carry tags `one` and `two`, each by another of the fields, in the notation that is usual for it.
const FIELDS: [(&str, &str); 5] = [
    ("Surrogate-Key", "one two"),
    ("xkey", "one two"),
    ("Cache-Tag", "one, two"),
    ("Cache-Groups", "\"one\", \"two\""),
    ("X-Magento-Tags", "one,two"),
];

fn tagged() -> Origin {
    Origin::start(|seen| {
        let reply = Reply::ok(seen.path.as_str()).header("Cache-Control", "max-age=60, stale-while-revalidate=60");
        match seen.path[1..].parse::<usize>() {
            Ok(n) => reply.header(FIELDS[n].0, FIELDS[n].1),
            Err(_) => reply,
        }
    })
}

#[test]
fn every_field_that_names_tags_is_read_and_hidden_only_where_that_is_asked() {
    for hidden in [false, true] {
        let origin = tagged();
        let all = FIELDS.map(|(name, _)| format!("\"{name}\"")).join(", ");
        let hide = if hidden { format!("[cache]\ntag_fields_hidden = [{all}]\n") } else { String::new() };
        let proxy = front_with(&origin, &format!("{hide}{LOCAL}"));
        for (n, (name, value)) in FIELDS.into_iter().enumerate() {
            // From the origin and from the store.
            for _ in 0..2 {
                let page = get(proxy.addr(), &format!("/{n}"), &[]);
                assert_eq!(page.header(name), (!hidden).then_some(value), "{name}");
            }
        }
        let _untagged = get(proxy.addr(), "/other", &[]);
        // RFC 9875 §2: groups are the host's own, beside the two that can be purged by name.
        assert_eq!(proxy.stat("tags"), 4);
        let purged = request(proxy.addr(), "PURGE", "/", &[("xkey", "two three")], b"");
        assert_eq!((purged.status, purged.text().as_str()), (200, "purged 5\n"));
        assert_eq!((proxy.stat("tags"), proxy.stat("objects")), (0, 1), "the index has shrunk with them");
        assert!(is_hit(&proxy, "/other", &[]) && !is_hit(&proxy, "/2", &[]));
    }
}

#[test]
fn the_fields_are_the_configured_ones_and_no_others() {
    let origin = tagged();
    let proxy = front_with(&origin, &format!("[cache]\ntag_fields = [\"Cache-Tag\"]\n{LOCAL}"));
    for n in 0..FIELDS.len() {
        let _page = get(proxy.addr(), &format!("/{n}"), &[]);
    }
    assert_eq!(request(proxy.addr(), "PURGE", "/", &[("xkey", "one")], b"").text(), "purged 1\n");
    for (n, (name, _)) in FIELDS.into_iter().enumerate() {
        assert_eq!(is_hit(&proxy, &format!("/{n}"), &[]), name != "Cache-Tag", "{name}");
    }
}

#[test]
fn one_variant_can_be_purged_by_a_tag_of_its_own_hard_and_soft() {
    let origin = Origin::start(|seen| {
        let lang = seen.header("Accept-Language").unwrap_or("none").to_owned();
        let reply =
            Reply::ok(lang.as_str()).header("Vary", "Accept-Language").header("Cache-Tag", format!("all, {lang}"));
        reply.header("Cache-Control", "max-age=60, stale-while-revalidate=60")
    });
    let proxy = front_with(&origin, LOCAL);
    let is_there = |lang| is_hit(&proxy, "/page", &[("Accept-Language", lang)]);
    for lang in ["de", "en", "fr"] {
        assert!(!is_there(lang));
    }
    assert_eq!(request(proxy.addr(), "PURGE", "/", &[("xkey", "en")], b"").text(), "purged 1\n");
    settled(&proxy);
    assert!(is_there("de") && is_there("fr") && !is_there("en"));
    let admin = format!("unix:{}", proxy.admin().display());
    let soft = Command::new(COPAL).args(["tag", "purge", "--soft", "fr", "de", "--admin", &admin]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&soft.stdout), "2 objects made stale\n");
    assert!(is_there("fr") && is_there("en"));
    proxy.wait_stat("hits_grace", |n| n == 1, SOON);
}

#[test]
fn what_was_filled_together_does_not_expire_together() {
    const PAGES: usize = 40;
    let origin = Origin::start(|seen| Reply::ok(seen.path.as_str()).header("Cache-Control", "max-age=1000"));
    for (jitter, spread) in [("jitter = 0", 1..=3), ("jitter = 20", 15..=PAGES)] {
        let proxy = front_with(&origin, &format!("[cache]\n{jitter}"));
        let left = |path: &str| -> i64 {
            let page = get(proxy.addr(), path, &[]);
            let status = page.header("Cache-Status").unwrap();
            let ttl = status.split("ttl=").nth(1).unwrap_or_else(|| panic!("no lifetime in {status}"));
            ttl.split(';').next().unwrap().trim().parse().unwrap()
        };
        let mut lifetimes: Vec<i64> = (0..PAGES)
            .map(|n| {
                let path = format!("/{n}");
                let _filled = get(proxy.addr(), &path, &[]);
                left(&path)
            })
            .collect();
        assert!(lifetimes.iter().all(|ttl| (780..=1000).contains(ttl)), "{lifetimes:?}");
        lifetimes.sort_unstable();
        lifetimes.dedup();
        assert!(spread.contains(&lifetimes.len()), "{jitter}: {lifetimes:?}");
    }
}
