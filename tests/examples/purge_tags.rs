//! 20-purge-tags: by tag, hard and soft, from a client, the policy and the command.

use super::{COPAL, cache_status, is_hit, start};
use copal_testkit::{Origin, Proxy, Reply, Response, client};
use std::process::Command;

const NAME: &str = "20-purge-tags";

/// Articles `/a/N` and lists `/list/N`, each in two languages; a list shows articles 1 and 2.
fn app() -> Origin {
    Origin::start(|seen| {
        let reply = Reply::ok(seen.path.as_str()).header("Cache-Control", "max-age=60, stale-while-revalidate=60");
        let reply = reply.header("Vary", "Accept-Language");
        match seen.path.rsplit_once('/') {
            Some(("/a", n)) => reply.header("xkey", format!("article-{n} all")),
            Some(("/list", _)) => {
                reply.header("Surrogate-Key", "article-1 article-2").header("xkey", "article-lists all")
            }
            _ => reply,
        }
    })
}

fn get(proxy: &Proxy, path: &str, language: &str) -> Response {
    client::get(proxy.addr(), path, &[("Accept-Language", language)])
}

fn fill(proxy: &Proxy) {
    for path in ["/a/1", "/a/2", "/list/1", "/list/2", "/untagged"] {
        for language in ["de", "fr"] {
            let stored = get(proxy, path, language);
            assert_eq!((stored.status, stored.header("xkey"), stored.header("Surrogate-Key")), (200, None, None));
            assert!(is_hit(&get(proxy, path, language)), "{path}");
        }
    }
}

fn purge(proxy: &Proxy, fields: &[(&str, &str)]) -> String {
    let done = client::request(proxy.addr(), "PURGE", "/", fields, b"");
    assert_eq!(done.status, 200, "{}", done.text());
    done.text()
}

#[test]
fn keys_drop_every_page_with_them_and_no_other() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    assert_eq!(proxy.stat("tags"), 4);
    assert_eq!(purge(&proxy, &[("xkey", "article-2")]), "purged 6\n");
    assert!(is_hit(&get(&proxy, "/a/1", "de")) && is_hit(&get(&proxy, "/untagged", "fr")));
    assert!(!is_hit(&get(&proxy, "/list/2", "fr")) && !is_hit(&get(&proxy, "/a/2", "de")));
    assert_eq!(purge(&proxy, &[("Surrogate-Key", "article-1 article-lists nothing")]), "purged 3\n");
    assert_eq!(purge(&proxy, &[("xkey", "all")]), "purged 1\n");
    assert_eq!((proxy.stat("objects"), proxy.stat("tags"), proxy.stat("purged_objects")), (2, 0, 10));
}

#[test]
fn soft_ones_leave_grace() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    for fields in [&[("xkey-softpurge", "article-1")][..], &[("xkey", "article-1"), ("Fastly-Soft-Purge", "1")]] {
        assert_eq!(purge(&proxy, fields), "purged 6\n");
    }
    let stale = get(&proxy, "/a/1", "de");
    assert!(
        is_hit(&stale) && cache_status(&stale).contains("ttl=-") || cache_status(&stale).contains("ttl=0"),
        "{stale:?}"
    );
    assert_eq!(proxy.stat("hits_grace"), 1);
}

#[test]
fn a_change_through_the_api_makes_the_lists_stale() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    let changed = client::request(proxy.addr(), "POST", "/api/articles/2", &[], b"title=x");
    assert_eq!(changed.header("X-Made-Stale"), Some("4"));
    let _grace = get(&proxy, "/list/1", "de");
    let _fresh = get(&proxy, "/a/1", "de");
    assert_eq!(proxy.stat("hits_grace"), 1);
}

#[test]
fn copal_tag_purge_does_the_same_through_the_admin_socket() {
    let origin = app();
    let proxy = start(NAME, &origin);
    fill(&proxy);
    let admin = format!("unix:{}", proxy.admin().display());
    let run = |args: &[&str]| {
        let out = Command::new(COPAL).args(["tag", "purge", "--admin", &admin]).args(args).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    assert_eq!(run(&["--soft", "article-1"]), "6 objects made stale\n");
    assert_eq!(run(&["article-1", "article-2"]), "8 objects purged\n");
    let json: serde_json::Value = serde_json::from_str(&run(&["--json", "all"])).unwrap();
    assert_eq!(json["purged"], 0);
}
