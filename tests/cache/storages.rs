//! Storages beside the main one: chosen by the policy, full by themselves, shown to everybody.

use super::{COPAL, SOON, builder};
use copal_testkit::{Origin, Proxy, Reply, TempDir};
use std::process::Command;

const POLICY: &str = "fn backend_response(bereq, beresp) {\n\
    if bereq.url.starts_with(\"/img/\") { beresp.storage = \"images\"; }\n\
    beresp.http[\"X-Storage\"] = beresp.storage;\n\
}\n\
fn deliver(req, resp) {\n\
    resp.http[\"X-Used\"] = `${storage.images.used_space > 0} ${storage[\"images\"].free_space > 0} ${storage.images.happy}`;\n\
}\n";

#[test]
fn the_policy_chooses_a_storage_and_what_fills_it_pushes_out_nothing_else() {
    let origin = Origin::start(|seen| {
        let size = if seen.path.starts_with("/img/") { 100_000 } else { 1000 };
        Reply::ok("x".repeat(size)).header("Cache-Control", "max-age=60")
    });
    let config = "[cache]\nsize = \"4MiB\"\n[store.images]\nsize = \"1MiB\"\neviction = \"tiny_lfu\"";
    let proxy = builder(&origin, config).policy(POLICY).start();
    let mut client = proxy.client();
    for n in 0..20 {
        assert_eq!(client.get(&format!("/page/{n}"), &[]).header("X-Storage"), Some("main"));
    }
    for n in 0..50 {
        let image = client.get(&format!("/img/{n}"), &[]);
        assert_eq!((image.header("X-Storage"), image.body.len()), (Some("images"), 100_000));
        assert_eq!(image.header("X-Used"), Some("true true true"));
    }
    for n in 0..20 {
        assert!(client.get(&format!("/page/{n}"), &[]).header("Cache-Status").unwrap().contains("hit"), "{n}");
    }
    assert_eq!(origin.count(), 70);
    let admin = format!("unix:{}", proxy.admin().display());
    let output = Command::new(COPAL).args(["stat", "-1", "--admin", &admin]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("images") && text.contains("main"), "{text}");
    let row = text.lines().find(|line| line.starts_with("images")).unwrap();
    assert!(row.contains("1.0 MiB"), "{row}");
}

#[test]
fn a_storage_that_is_not_there_is_refused_at_load() {
    let origin = Origin::start(|_| Reply::ok("x"));
    let refused = builder(&origin, "[store.images]\nsize = \"1MiB\"")
        .policy("fn backend_response(bereq, beresp) {\n    beresp.storage = \"image\";\n}\n")
        .try_start()
        .map(drop)
        .unwrap_err()
        .stderr;
    assert!(refused.contains("the configuration has no storage \"image\""), "{refused}");
    assert!(refused.contains("images"), "{refused}");
}

#[test]
fn a_restart_brings_each_object_back_into_its_storage_and_says_when_that_is_gone() {
    let place = TempDir::new();
    let origin = Origin::start(|seen| {
        let size = if seen.path.starts_with("/img/") { 100_000 } else { 1000 };
        Reply::ok("x".repeat(size)).header("Cache-Control", "max-age=600").header("Cache-Tag", "all")
    });
    let start = |config: &str, policy: &str| {
        let file = place.join("store");
        let config = format!("[snapshot]\nfile = \"{}\"\n[cache]\nsize = \"4MiB\"\n{config}", file.display());
        let proxy = builder(&origin, &config).policy(policy).start();
        proxy.wait_stat("snapshot_loading", |n| n == 0, SOON);
        proxy
    };
    let used = |proxy: &Proxy| {
        let rows = proxy.stats()["store"]["storages"].clone();
        let row =
            |row: &serde_json::Value| (row["name"].as_str().unwrap().to_owned(), row["objects"].as_u64().unwrap());
        rows.as_array().unwrap().iter().map(row).collect::<Vec<_>>()
    };
    let images = "[store.images]\nsize = \"4MiB\"";
    let mut proxy = start(images, POLICY);
    for n in 0..20 {
        let _page = copal_testkit::get(proxy.addr(), &format!("/page/{}", n / 2), &[]);
        let _image = copal_testkit::get(proxy.addr(), &format!("/img/{n}"), &[]);
    }
    assert!(proxy.stop(SOON).success());

    let mut proxy = start(images, POLICY);
    assert_eq!(used(&proxy), [("main".to_owned(), 10), ("images".to_owned(), 20)]);
    let image = copal_testkit::get(proxy.addr(), "/img/3", &[]);
    assert!(image.header("Cache-Status").unwrap().contains("copal; hit") && image.body.len() == 100_000);
    assert!(proxy.stop(SOON).success());

    // Smaller: the rest stays out, and nothing of the main one goes for it.
    let mut proxy = start("[store.images]\nsize = \"1MiB\"", POLICY);
    assert_eq!(used(&proxy), [("main".to_owned(), 10), ("images".to_owned(), 10)]);
    assert_eq!(proxy.stat("snapshot_objects_left_out"), 10);
    proxy.wait_log("10 without room");
    assert!(proxy.stop(SOON).success());

    let proxy = start("", "fn recv(req) {}");
    assert_eq!(proxy.stat("objects"), 20);
    proxy.wait_log(
        "10 objects of the snapshot were in a storage that is not configured any more: they are in the main one",
    );
    let admin = format!("unix:{}", proxy.admin().display());
    let output = Command::new(COPAL).args(["tag", "purge", "all", "--admin", &admin]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "20 objects purged\n");
}
