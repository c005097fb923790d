//! PURGE by request and by command: all variants, their number, and who may.

use super::{COPAL, builder, front, front_with};
use copal_testkit::{Origin, Proxy, Reply};
use std::process::Command;

const LOCAL: &str = "[acl]\nlocal = [\"127.0.0.0/8\"]\n[purge]\nacl = \"local\"";

fn languages() -> Origin {
    Origin::start(|seen| {
        let language = seen.header("Accept-Language").unwrap_or("none").to_owned();
        Reply::ok(language).header("Vary", "Accept-Language").header("Cache-Control", "max-age=60")
    })
}

fn fill(proxy: &Proxy) {
    let mut client = proxy.client();
    for language in ["de", "en", "fr"] {
        client.get("/page", &[("Accept-Language", language)]);
    }
    client.get("/other", &[]);
}

#[test]
fn purge_drops_all_variants_and_says_how_many() {
    let origin = languages();
    let proxy = front_with(&origin, LOCAL);
    fill(&proxy);
    let mut client = proxy.client();
    let purged = client.request("PURGE", "/page", &[], b"");
    assert_eq!((purged.status, purged.text().trim()), (200, "purged 3"));
    assert_eq!(proxy.stat("objects"), 1, "the other page stays");
    let again = client.request("PURGE", "/page", &[], b"");
    assert_eq!((again.status, again.text().trim()), (200, "purged 0"));
    for language in ["de", "en", "fr"] {
        assert_eq!(client.get("/page", &[("Accept-Language", language)]).text(), language);
    }
    assert_eq!((origin.count_of("/page"), origin.count_of("/other")), (6, 1));
    let counted = ["purges", "purged_objects", "purges_refused"].map(|name| proxy.stat(name));
    assert_eq!(counted, [2, 3, 0]);
}

#[test]
fn purge_is_for_one_host_and_never_reaches_the_origin() {
    let origin = languages();
    let proxy = front_with(&origin, LOCAL);
    fill(&proxy);
    let mut client = proxy.client();
    let elsewhere = client.request("PURGE", "/page", &[("Host", "other.example")], b"");
    assert_eq!((elsewhere.status, elsewhere.text().trim()), (200, "purged 0"));
    assert_eq!((proxy.stat("objects"), origin.requests().iter().filter(|seen| seen.method == "PURGE").count()), (4, 0));
}

#[test]
fn who_is_not_on_the_list_gets_403_and_without_a_list_it_is_405() {
    let origin = languages();
    for (toml, status) in [
        ("[acl]\nlocal = [\"127.0.0.0/8\", \"!127.0.0.1\"]\n[purge]\nacl = \"local\"", 403),
        ("[acl]\nlocal = [\"192.0.2.0/24\"]\n[purge]\nacl = \"local\"", 403),
        ("", 405),
    ] {
        let proxy = front_with(&origin, toml);
        fill(&proxy);
        let mut client = proxy.client();
        // X-Forwarded-For is anybody's claim.
        let refused = client.request("PURGE", "/page", &[("X-Forwarded-For", "192.0.2.1")], b"");
        assert_eq!((refused.status, refused.complete), (status, true), "{toml}");
        assert_eq!(client.get("/page", &[("Accept-Language", "de")]).text(), "de", "the connection goes on");
        assert_eq!((proxy.stat("objects"), proxy.stat("purges_refused"), proxy.stat("purges")), (4, 1, 0), "{toml}");
    }
    assert!(origin.requests().iter().all(|seen| seen.method == "GET"));
}

#[test]
fn a_policy_that_passes_everything_does_not_let_a_purge_through() {
    let origin = languages();
    let proxy = builder(&origin, "").policy("fn recv(req) { return pass(); }").start();
    assert_eq!(copal_testkit::client::request(proxy.addr(), "PURGE", "/page", &[], b"").status, 405);
    assert_eq!(origin.count(), 0);
}

#[test]
fn what_is_purged_while_it_is_fetched_is_not_served_to_later_requests() {
    let gate = copal_testkit::Gate::closed();
    let reply = Reply::stream().header("Cache-Control", "max-age=60").chunk("old").wait(&gate).end_chunks();
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front_with(&origin, LOCAL);
    let mut client = proxy.client();
    client.send("GET", "/page", &[], b"");
    let mut response = client.read_head();
    let purged = copal_testkit::client::request(proxy.addr(), "PURGE", "/page", &[], b"");
    assert_eq!(purged.text().trim(), "purged 1");
    let mut later = proxy.client();
    later.send("GET", "/page", &[], b"");
    origin.wait_for(2, super::SOON);
    gate.release();
    client.read_body(&mut response);
    assert_eq!((response.text().as_str(), response.complete), ("old", true), "who had begun gets the whole");
    assert!(later.read_response().complete);
}

#[test]
fn the_purge_command_drops_what_the_request_would() {
    let origin = languages();
    let proxy = front(&origin);
    fill(&proxy);
    let purge = |url: &str| {
        let admin = format!("unix:{}", proxy.admin().display());
        let output = Command::new(COPAL).args(["purge", url, "--admin", &admin]).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    assert_eq!(purge("http://test.example/page"), (Some(0), "3 objects purged\n".into()));
    assert_eq!(purge("http://test.example/page"), (Some(0), "0 objects purged\n".into()));
    assert_eq!(purge("http://TEST.example/other"), (Some(0), "1 object purged\n".into()));
    assert_eq!(purge("no url").0, Some(1));
    assert_eq!(proxy.stat("objects"), 0);
}

#[test]
fn the_purge_command_takes_headers_of_which_the_key_is_made_and_shows_the_key_when_nothing_went() {
    let origin = Origin::start(|_| Reply::ok("page").header("Cache-Control", "max-age=60"));
    let rhai = r#"fn hash(req, key) { key.add(req.url); key.add(req.http.x_device ?? "desktop"); return lookup(); }"#;
    let proxy = builder(&origin, "").policy(rhai).start();
    let _ = proxy.client().get("/page", &[("X-Device", "phone")]);
    let purge = |args: &[&str]| {
        let admin = format!("unix:{}", proxy.admin().display());
        let url = "http://test.example/page";
        let output = Command::new(COPAL).args(["purge", url, "--admin", &admin]).args(args).output().unwrap();
        let said = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), said(output.stdout), said(output.stderr))
    };
    let (code, out, told) = purge(&[]);
    assert_eq!((code, out.as_str()), (Some(0), "0 objects purged\n"));
    assert!(told.contains("the key \"/page\" + \"desktop\"") && told.contains("copal explain URL -H"), "{told}");
    let (code, out, told) = purge(&["-H", "X-Device: phone"]);
    assert_eq!((code, out.as_str(), told.as_str()), (Some(0), "1 object purged\n", ""));
    for bad in ["no colon", "bad name: x", "x: a\r\ny: b"] {
        let (code, _, told) = purge(&["-H", bad]);
        assert!(code == Some(1) && told.contains('`'), "{bad}: {told}");
    }
}

#[test]
fn a_soft_purge_keeps_the_object_for_grace() {
    let origin = Origin::start(|_| Reply::ok("page").header("Cache-Control", "max-age=60, stale-while-revalidate=60"));
    let proxy = front(&origin);
    let _ = copal_testkit::get(proxy.addr(), "/page", &[]);
    let admin = format!("unix:{}", proxy.admin().display());
    let output =
        Command::new(COPAL).args(["purge", "--soft", "http://test.example/page", "--admin", &admin]).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "1 object made stale\n");
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "page");
    assert_eq!(proxy.stat("hits_grace"), 1);
    origin.wait_for(2, super::SOON);
}

const OLD: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nCache-Control: max-age=60\r\n\r\nold";

/// The first GET is answered, with "old", when the gate opens; everything else at once, with "new".
fn slow_at_first(gate: &copal_testkit::Gate) -> Origin {
    let old = Reply::raw("").wait(gate).send(OLD);
    let first = std::sync::atomic::AtomicBool::new(true);
    Origin::start(move |seen| {
        if seen.method == "GET" && first.swap(false, std::sync::atomic::Ordering::SeqCst) {
            old.clone()
        } else {
            Reply::ok("new").header("Cache-Control", "max-age=60")
        }
    })
}

#[test]
fn what_was_asked_for_before_a_purge_serves_who_waited_and_is_not_stored() {
    let gate = copal_testkit::Gate::closed();
    let origin = slow_at_first(&gate);
    let proxy = front_with(&origin, LOCAL);
    let mut clients = super::crowd(&proxy, 10, "/page");
    proxy.wait_stat("coalesce_waits", |n| n == 9, super::SOON);
    origin.wait_for(1, super::SOON);
    let purged = copal_testkit::client::request(proxy.addr(), "PURGE", "/page", &[], b"");
    assert_eq!((purged.status, purged.text().trim()), (200, "purged 0"));
    gate.release();
    for client in &mut clients {
        let response = client.read_response();
        assert_eq!((response.text().as_str(), response.complete), ("old", true));
        assert!(!response.header("Cache-Status").unwrap().contains("stored"), "{response:?}");
    }
    super::settled(&proxy);
    assert_eq!((origin.count(), proxy.stat("stores"), proxy.stat("objects")), (1, 0, 0));
    for _ in 0..2 {
        assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "new");
    }
    assert_eq!((origin.count(), proxy.stat("stores")), (2, 1));
}

#[test]
fn who_asks_after_a_purge_does_not_wait_for_what_was_asked_before_and_keeps_what_is_newer() {
    let gate = copal_testkit::Gate::closed();
    let origin = slow_at_first(&gate);
    let proxy = front_with(&origin, LOCAL);
    let mut before = super::crowd(&proxy, 1, "/page");
    origin.wait_for(1, super::SOON);
    assert_eq!(copal_testkit::client::request(proxy.addr(), "PURGE", "/page", &[], b"").status, 200);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "new", "the old fetch still waits");
    gate.release();
    assert_eq!(before[0].read_response().text(), "old");
    super::settled(&proxy);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "new");
    assert_eq!((origin.count(), proxy.stat("objects"), proxy.stat("hits_fresh")), (2, 1, 1));
}

#[test]
fn what_was_asked_for_before_an_unsafe_request_was_answered_is_not_stored() {
    let gate = copal_testkit::Gate::closed();
    let origin = slow_at_first(&gate);
    let proxy = front(&origin);
    let mut before = super::crowd(&proxy, 1, "/page");
    origin.wait_for(1, super::SOON);
    assert_eq!(copal_testkit::client::request(proxy.addr(), "POST", "/page", &[], b"change").status, 200);
    gate.release();
    assert_eq!(before[0].read_response().text(), "old");
    super::settled(&proxy);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "new");
}

#[test]
fn a_soft_purge_makes_what_was_asked_for_before_stale() {
    let gate = copal_testkit::Gate::closed();
    let reply = Reply::raw("").wait(&gate).send(OLD.replace("max-age=60", "max-age=60, stale-while-revalidate=60"));
    let origin = Origin::start(move |_| reply.clone());
    let proxy = front(&origin);
    let mut before = super::crowd(&proxy, 1, "/page");
    origin.wait_for(1, super::SOON);
    let admin = format!("unix:{}", proxy.admin().display());
    let output =
        Command::new(COPAL).args(["purge", "--soft", "http://test.example/page", "--admin", &admin]).output().unwrap();
    assert!(output.status.success());
    gate.release();
    assert_eq!(before[0].read_response().text(), "old");
    super::settled(&proxy);
    assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "old");
    assert_eq!((proxy.stat("hits_grace"), proxy.stat("hits_fresh")), (1, 0));
}

#[test]
fn a_purge_by_tag_and_a_ban_reach_what_is_being_fetched() {
    for (method, field) in [("PURGE", ("xkey", "b c")), ("BAN", ("X-Ban", "obj.http.x-type == old"))] {
        let gate = copal_testkit::Gate::closed();
        let old = OLD.replace("\r\n\r\n", "\r\nxkey: a b\r\nX-Type: old\r\n\r\n");
        let old = Reply::raw("").wait(&gate).send(old);
        let first = std::sync::atomic::AtomicBool::new(true);
        let origin = Origin::start(move |_| {
            if first.swap(false, std::sync::atomic::Ordering::SeqCst) {
                old.clone()
            } else {
                Reply::ok("new").header("Cache-Control", "max-age=60").header("xkey", "a b")
            }
        });
        let proxy = front_with(&origin, &format!("{LOCAL}\nprotocols = [\"xkey\", \"ban\"]"));
        let mut before = super::crowd(&proxy, 5, "/page");
        proxy.wait_stat("coalesce_waits", |n| n == 4, super::SOON);
        origin.wait_for(1, super::SOON);
        assert_eq!(copal_testkit::client::request(proxy.addr(), method, "/page", &[field], b"").status, 200);
        let mut after = super::crowd(&proxy, 5, "/page");
        proxy.wait_stat("coalesce_waits", |n| n == 9, super::SOON);
        gate.release();
        if method == "PURGE" {
            before.iter_mut().for_each(|client| assert_eq!(client.read_response().text(), "old"));
        } else {
            // Of a ban nobody knows whether it came before they did: the fetch's own client has it, the others look again.
            let olds =
                before.iter_mut().map(|client| client.read_response().text()).filter(|text| text == "old").count();
            assert_eq!(olds, 1);
        }
        after.iter_mut().for_each(|client| assert_eq!(client.read_response().text(), "new", "{method}"));
        super::settled(&proxy);
        assert_eq!(copal_testkit::get(proxy.addr(), "/page", &[]).text(), "new");
        assert_eq!(origin.count(), 2, "{method}");
    }
}

/// RFC 9875: groups of the same host go when an answer to an unsafe request says so.
#[test]
fn an_unsafe_request_drops_the_groups_that_its_answer_names() {
    let origin = Origin::start(|seen| match (seen.method.as_str(), seen.path.as_str()) {
        ("POST", "/vote") => Reply::ok("done").header("Cache-Group-Invalidation", "\"scripts\", \"polls\""),
        // Safe, so it says nothing.
        (_, "/sly") => Reply::ok("sly").header("Cache-Group-Invalidation", "\"other\""),
        (_, url) => {
            let group = if url.starts_with("/poll") { "\"polls\"" } else { "\"other\"" };
            Reply::ok(url).header("Cache-Control", "max-age=60").header("Cache-Groups", group)
        }
    });
    let proxy = front(&origin);
    let ask = |host: &str, path: &str| copal_testkit::get(proxy.addr(), path, &[("Host", host)]).text();
    let fill = || {
        for (host, path) in [("a.example", "/poll/1"), ("a.example", "/page"), ("b.example", "/poll/1")] {
            assert_eq!(ask(host, path), path);
        }
    };
    fill();
    assert_eq!((origin.count(), proxy.stat("objects")), (3, 3));
    assert_eq!(ask("a.example", "/sly"), "sly");
    let vote = copal_testkit::client::request(proxy.addr(), "POST", "/vote", &[("Host", "A.example")], b"1");
    assert_eq!((vote.status, vote.header("Cache-Group-Invalidation").is_some()), (200, true));
    super::settled(&proxy);
    assert_eq!((proxy.stat("objects"), proxy.stat("purged_objects")), (2, 1));
    let before = origin.count();
    fill();
    assert_eq!(origin.count(), before + 1, "only that host's poll was asked for again");
}
