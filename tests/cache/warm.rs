//! `copal warm`: lists, sitemaps and access logs become requests at a bounded rate, and a report of what is stored and what is
//! not.

use super::{COPAL, builder, front};
use copal_testkit::{Origin, Proxy, Reply, TempDir};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn site() -> Origin {
    Origin::start(|seen| {
        let stored = Reply::ok(seen.path.clone()).header("Cache-Control", "max-age=600");
        let lang = seen.header("Accept-Language").unwrap_or("none").to_owned();
        match seen.path.as_str() {
            "/account" => Reply::ok("own").header("Cache-Control", "private"),
            "/cart" => Reply::ok("own").header("Cache-Control", "no-store"),
            "/broken" => Reply::status(500, "no"),
            "/lang" => Reply::ok(lang).header("Cache-Control", "max-age=600").header("Vary", "Accept-Language"),
            "/hang" => Reply::hang_up(),
            "/map.xml" => Reply::ok(
                "<?xml version='1.0'?><sitemapindex><sitemap><loc>http://www.example/a.xml</loc></sitemap>\
                 <sitemap><loc>http://www.example/b.xml.gz</loc></sitemap></sitemapindex>",
            ),
            "/a.xml" => Reply::ok("<urlset><url><loc>http://www.example/1?a=1&amp;b=2</loc></url></urlset>"),
            "/b.xml.gz" => Reply::ok(gzip(b"<urlset><url><loc>http://www.example/2</loc></url></urlset>")),
            "/loop.xml" => {
                Reply::ok("<sitemapindex><sitemap><loc>http://www.example/loop.xml</loc></sitemap></sitemapindex>")
            }
            _ => stored,
        }
    })
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn warm(proxy: &Proxy, args: &[&str]) -> Output {
    let admin = format!("unix:{}", proxy.admin().display());
    Command::new(COPAL).arg("warm").args(args).arg("--admin").arg(admin).output().unwrap()
}

fn report(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {:?}", String::from_utf8_lossy(&output.stderr)))
}

fn counts(report: &Value) -> [u64; 4] {
    ["stored", "already", "not_stored", "failed"].map(|name| report[name].as_u64().unwrap())
}

#[track_caller]
fn refused(output: &Output, code: i32, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    for part in parts {
        assert!(said.contains(part), "no {part:?} in: {said}");
    }
}

#[test]
fn a_list_is_warmed_and_the_report_says_what_is_not_stored_and_why() {
    let origin = site();
    let (proxy, dir) = (front(&origin), TempDir::new());
    let list = "# the front page first\nhttp://www.example/\n\nhttp://www.example/page\nhttps://www.example/page#again\n\
                http://www.example/account\nhttp://www.example/cart\nhttp://www.example/other\n";
    let list = dir.write("list.txt", list);
    let output = warm(&proxy, &[list.to_str().unwrap(), "--rate", "1000"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(output.stderr.is_empty(), "no progress bar where there is no terminal");
    for line in [
        "5 requests for 5 URLs in ",
        "       3  stored now",
        "       0  stored already",
        "       2  not stored",
        "1 not stored: The response is meant for one user only (private).\n    http://www.example/account\n",
        "1 not stored: The response forbids storing it with no-store.\n    http://www.example/cart\n",
    ] {
        assert!(said.contains(line), "no {line:?} in:\n{said}");
    }
    let again = report(&warm(&proxy, &[list.to_str().unwrap(), "--rate", "1000", "--json"]));
    assert_eq!(counts(&again), [0, 3, 2, 0]);
    assert_eq!(again["responses"][2]["reason"], "private");
    assert_eq!(origin.count(), 3 + 4);
    assert!(origin.requests().iter().all(|seen| seen.header("Host") == Some("www.example")));
    // A visitor finds it.
    let mut client = proxy.client();
    client.send("GET", "/page", &[("Host", "www.example")], b"");
    assert!(client.read_response().header("Cache-Status").unwrap().contains("hit"));
}

#[test]
fn sitemaps_indexes_and_gzip_are_followed_through_the_proxy() {
    let origin = site();
    let (proxy, dir) = (front(&origin), TempDir::new());
    let found = report(&warm(&proxy, &["http://www.example/map.xml", "--rate", "1000", "--json"]));
    assert_eq!((counts(&found), found["urls"].as_u64()), ([2, 0, 0, 0], Some(2)));
    assert_eq!((origin.count_of("/1?a=1&b=2"), origin.count_of("/2")), (1, 1));
    let local = dir.write("map.xml.gz", gzip(b"\n<urlset><url><loc>http://www.example/2</loc></url></urlset>"));
    assert_eq!(counts(&report(&warm(&proxy, &[local.to_str().unwrap(), "--json"]))), [0, 1, 0, 0]);
}

#[test]
fn an_access_log_gives_its_most_frequent_pages_under_the_host_that_is_named() {
    let origin = site();
    let (proxy, dir) = (front(&origin), TempDir::new());
    let line =
        |path: &str, rest: &str| format!("10.0.0.1 - - [10/Oct/2026:13:55:36 +0200] \"GET {path} HTTP/1.1\" {rest}\n");
    let log = [
        line("/rare", "200 10"),
        line("/often", "200 10 \"http://r/\" \"Mozilla (x; y)\""),
        line("/often", "304 -"),
        line("/gone", "404 10"),
        "not a line\n".to_owned(),
    ];
    let log = dir.write("access.log", log.concat());
    let output = warm(&proxy, &[log.to_str().unwrap(), "--host", "www.example", "--limit", "1", "--json"]);
    assert_eq!(counts(&report(&output)), [1, 0, 0, 0]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("1 line in neither"), "{said}");
    assert_eq!(
        origin.requests().iter().map(|seen| seen.path.as_str()).collect::<Vec<_>>(),
        ["/rare"],
        "kept: the first seen"
    );
    let output = warm(&proxy, &[log.to_str().unwrap(), "--host", "www.example", "--concurrency", "1", "--json"]);
    assert_eq!(counts(&report(&output)), [1, 1, 0, 0]);
    assert_eq!(report(&output)["responses"][0]["url"], "http://www.example/often");
    refused(&warm(&proxy, &[log.to_str().unwrap()]), 1, &["`/often` names no host: say whose it is with --host NAME"]);
}

#[test]
fn every_variant_is_asked_for_and_headers_are_sent() {
    let origin = site();
    let (proxy, dir) = (front(&origin), TempDir::new());
    let list = dir.write("list", "http://www.example/lang\n");
    let args = ["--variant", "Accept-Language: de", "--variant", "Accept-Language: en", "-H", "X-Warm: yes", "--json"];
    let found = report(&warm(&proxy, &[&[list.to_str().unwrap()], &args[..]].concat()));
    assert_eq!((counts(&found), found["requests"].as_u64()), ([2, 0, 0, 0], Some(2)));
    assert_eq!(found["responses"][1]["variant"], "Accept-Language: en");
    assert!(origin.requests().iter().all(|seen| seen.header("X-Warm") == Some("yes")));
    let mut client = proxy.client();
    client.send("GET", "/lang", &[("Host", "www.example"), ("Accept-Language", "de")], b"");
    assert!(client.read_response().header("Cache-Status").unwrap().contains("hit"));
}

#[test]
fn the_rate_and_the_number_at_a_time_are_kept() {
    let origin = Origin::start(|_| {
        Reply::raw("")
            .pause(Duration::from_millis(200))
            .send("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nx")
    });
    let (proxy, dir) = (front(&origin), TempDir::new());
    let urls = |n: usize| (0..n).map(|n| format!("http://a/{n}\n")).collect::<String>();
    let list = dir.write("list", urls(11));
    // One at a time: eleven times the origin's 200 ms.
    let one = report(&warm(&proxy, &[list.to_str().unwrap(), "--concurrency", "1", "--rate", "1000", "--json"]));
    assert!(one["seconds"].as_f64().unwrap() >= 2.2, "{one}");
    assert_eq!(proxy.stat("backend_connections_opened"), 1);
    // Ten a second, however many could run: ten pauses between eleven.
    let list = dir.write("list", urls(11).replace("http://a/", "http://b/"));
    let rate = report(&warm(&proxy, &[list.to_str().unwrap(), "--concurrency", "11", "--rate", "10", "--json"]));
    assert!(rate["seconds"].as_f64().unwrap() >= 1.0, "{rate}");
    assert_eq!(counts(&rate), [11, 0, 0, 0]);
}

#[test]
fn what_fails_is_told_apart_and_ends_with_another_status() {
    let origin = site();
    let (proxy, dir) = (front(&origin), TempDir::new());
    let list = dir.write("list", "http://a/page\nhttp://a/broken\nhttp://a/hang\n");
    let output = warm(&proxy, &[list.to_str().unwrap(), "--json"]);
    refused(&output, 3, &["copal: 2 of 3 requests failed"]);
    let found = report(&output);
    assert_eq!(counts(&found), [1, 0, 0, 2]);
    assert_eq!(found["responses"].as_array().unwrap().iter().filter(|r| r["outcome"] == "failed").count(), 2);
    // What answers there is no Copal.
    let other = Origin::start(|_| Reply::ok("hello"));
    let via = other.addr().to_string();
    let output = warm(&proxy, &[list.to_str().unwrap(), "--via", &via, "--json"]);
    refused(&output, 3, &["3 of 3 requests failed"]);
    assert!(report(&output)["responses"][0]["why"].as_str().unwrap().contains("is there a Copal at that address?"));
}

#[test]
fn wrong_inputs_are_said_with_what_where_and_how_to_mend() {
    let origin = site();
    let (proxy, dir) = (front(&origin), TempDir::new());
    let file = |name: &str, text: &[u8]| dir.write(name, text).to_str().unwrap().to_owned();
    let good = file("good", b"http://a/1\n");
    let missing = dir.join("missing").to_str().unwrap().to_owned();
    let folder = dir.path().to_str().unwrap().to_owned();
    let long = file("long", "x".repeat(70_000).as_bytes());
    let torn = file("torn.gz", &gzip(&[b'x'; 10_000])[..30]);
    let binary = file("binary", b"\x7fELF\x02\x01\x01\0\0\0\n\0\xff");
    for (args, parts) in [
        (vec![&*missing], &["cannot read", "missing", "No such file"][..]),
        (vec![&folder], &["is a directory, not a file"]),
        (vec![&*file("empty", b"\n# nothing\n")], &["there is no URL in what was given"]),
        (vec![&*file("words", b"hello\n")], &["words:1: `hello` is no URL: use http://host/path"]),
        (vec![&*file("space", b"http://a/b c\n")], &["space:1:", "there is ' ' in it"]),
        (vec![&binary], &["binary:1:", "is no URL"]),
        (vec![&long], &["long:1: the line is longer than 65536 bytes"]),
        (vec![&torn], &["torn.gz:1: incomplete"]),
        (
            vec![&*file("html", b"<html><body></body></html>")],
            &["html: line 1: this is no sitemap: it begins with <html>"],
        ),
        (vec![&*file("cut.xml", b"<urlset>\n<url><loc>http://a/")], &["cut.xml:", "cut off"]),
        (vec![&*file("no.log", b"a b c\n"), "--format", "log"], &["no line is in the common or combined format"]),
        (vec!["http://www.example/loop.xml"], &["an index within an index within an index"]),
        (vec!["http://www.example/account", "--format", "log"], &["only a sitemap is fetched"]),
        (vec!["http://www.example/broken"], &["http://www.example/broken: the answer is 500"]),
        (vec![&good, "--header", "no colon"], &["`no colon` is no header line: use 'Name: value'"]),
        (vec![&good, "--header", "Host: b"], &["use --host"]),
        (vec![&good, "--host", "a/b"], &["--host `a/b` is no host"]),
        (vec![&good, "--via", "nonsense"], &["`nonsense` is no address of a listener"]),
    ] {
        refused(&warm(&proxy, &args), 1, parts);
    }
    for (args, parts) in [
        (vec![&*good, "--rate", "0"], &["a number of requests a second"][..]),
        (vec![&good, "--rate", "NaN"], &["a number of requests a second"]),
        (vec![&good, "--concurrency", "0"], &["1..=1000"]),
        (vec![&good, "--format", "csv"], &["urls, sitemap, log"]),
        (vec![], &["SOURCE"]),
    ] {
        refused(&warm(&proxy, &args), 2, parts);
    }
    refused(
        &warm(&proxy, &[&good, "--via", "127.0.0.1:1"]),
        3,
        &["no proxy listens at 127.0.0.1:1", "--via HOST:PORT"],
    );
    let nobody = Command::new(COPAL).args(["warm", &good, "--admin", "unix:/nowhere/admin.sock"]).output().unwrap();
    refused(
        &nobody,
        3,
        &["no proxy answers at unix:/nowhere/admin.sock", "or say where the proxy listens: --via HOST:PORT"],
    );
    assert_eq!(origin.count_of("/1"), 0, "nothing was asked for by any of these");
}

#[test]
fn standard_input_is_read_and_good_lines_among_bad_ones_are_used() {
    let origin = site();
    let proxy = builder(&origin, "").start();
    let admin = format!("unix:{}", proxy.admin().display());
    let mut child = Command::new(COPAL)
        .args(["warm", "-", "--json", "--admin", &admin])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"\xef\xbb\xbfhttp://a/1\r\nnonsense\r\nmore\r\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(counts(&report(&output)), [1, 0, 0, 0]);
    refused(&output, 0, &["left out: standard input:2: `nonsense` is no URL", "(and 1 more like it)"]);
}
