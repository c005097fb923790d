//! A request that one backend has failed goes to another: what may be repeated, how often, with which body, and what is told.

use super::directors::{before, named, set};
use super::{COPAL, SOON};
use copal_testkit::{Origin, Proxy, Reply, get, wait};
use std::process::Command;

const APP: &str = "[director.app]\nkind = \"fallback\"\nbackends = [\"bad\", \"good\"]\n";

/// `bad` is asked first, then `good`, which answers with the method and the body that it got.
fn behind(bad: &Origin, rest: &str) -> (Origin, Proxy) {
    let good = Origin::start(|seen| {
        let got = format!("{} {}", seen.method, String::from_utf8_lossy(&seen.body));
        Reply::ok(got).header("Cache-Control", "no-store")
    });
    let proxy = before(&[("bad", bad), ("good", &good)], "", &format!("{APP}{rest}")).start();
    (good, proxy)
}

fn ask(proxy: &Proxy, method: &str, body: &str) -> copal_testkit::Response {
    copal_testkit::client::request(proxy.addr(), method, "/", &[], body.as_bytes())
}

#[test]
fn what_nobody_has_received_goes_to_another_backend_whatever_its_method() {
    let mut bad = named("bad");
    bad.stop();
    let log = "[log]\naccess = { path = \"{dir}/access.log\" }\n";
    let (good, proxy) = behind(&bad, log);
    for (method, body) in [("GET", ""), ("POST", "order"), ("PATCH", "")] {
        let answer = ask(&proxy, method, body);
        assert_eq!((answer.status, answer.text()), (200, format!("{method} {body}")));
    }
    assert_eq!((proxy.stat("fetch_retries_elsewhere"), proxy.stat("fetches_failed"), good.count()), (3, 0, 3));
    assert!(proxy.wait_log("sent again").contains("connect refused"), "{}", proxy.stderr());
    let lines = wait::poll(SOON, || {
        let text = std::fs::read_to_string(proxy.dir().join("access.log")).unwrap_or_default();
        (text.lines().count() == 3).then_some(text)
    });
    assert!(lines.is_some_and(|text| text.lines().all(|line| line.contains("\"retries\":1"))));
}

#[test]
fn what_may_have_been_done_is_not_done_twice() {
    let bad = Origin::start(|_| Reply::hang_up());
    let (good, proxy) = behind(&bad, "");
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(ask(&proxy, method, "").text(), format!("{method} "));
    }
    for method in ["POST", "PATCH"] {
        let answer = ask(&proxy, method, "");
        assert_eq!((answer.status, answer.header("Proxy-Status")), (502, Some("copal; error=connection_terminated")));
    }
    assert_eq!((good.count(), proxy.stat("fetch_retries_elsewhere")), (4, 4));
}

#[test]
fn a_kept_body_is_sent_again_and_a_longer_one_is_not() {
    // It answers nothing once it has read all.
    let bad = Origin::start(|_| Reply::hang_up());
    let (good, proxy) = behind(&bad, "[retry]\nbody_size = \"1KiB\"\n");
    let (short, long) = ("x".repeat(1024), "x".repeat(1025));
    assert_eq!(ask(&proxy, "PUT", &short).text(), format!("PUT {short}"));
    let answer = ask(&proxy, "PUT", &long);
    assert_eq!((answer.status, good.count()), (502, 1));
    let mut client = proxy.client();
    client.send_raw("PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.read_response().text(), "PUT abcde", "of unknown length, too");
    wait::until(SOON, "what was kept is given back", || proxy.stats()["store"]["bytes"].as_i64().unwrap() < 1024);
}

#[test]
fn statuses_that_the_owner_has_named_lead_to_another_backend() {
    let bad = Origin::start(|_| Reply::status(503, "bad").header("Cache-Control", "no-store"));
    let (good, proxy) = behind(&bad, "[retry]\nstatuses = [502, \"503-504\"]\n");
    assert_eq!(ask(&proxy, "GET", "").text(), "GET ");
    assert_eq!(ask(&proxy, "PUT", "body").text(), "PUT body");
    assert_eq!(ask(&proxy, "POST", "body").text(), "bad", "it may have been done");
    set(&proxy, "good", "sick");
    let answer = ask(&proxy, "GET", "");
    assert_eq!((answer.status, answer.text(), answer.header("Proxy-Status")), (503, "bad".into(), None), "as it came");
    assert_eq!((good.count(), bad.count()), (2, 4));
}

#[test]
fn by_default_an_answer_is_an_answer() {
    let bad = Origin::start(|_| Reply::status(503, "bad").header("Cache-Control", "no-store"));
    let (good, proxy) = behind(&bad, "");
    assert_eq!((ask(&proxy, "GET", "").text(), good.count()), ("bad".into(), 0));
}

#[test]
fn no_more_is_sent_again_than_the_owner_allows() {
    let mut origins = [named("a"), named("b"), named("c"), named("d")];
    origins.iter_mut().for_each(Origin::stop);
    let all: Vec<_> = ["a", "b", "c", "d"].into_iter().zip(&origins).collect();
    let app = "[director.app]\nbackends = [\"a\", \"b\", \"c\", \"d\"]\n";
    for attempts in [0, 1, 2, 3, 10] {
        let proxy = before(&all, "", &format!("{app}[retry]\nattempts = {attempts}\n")).start();
        let answer = ask(&proxy, "GET", "");
        let told = if attempts == 0 { "" } else { "; details=\"retried\"" };
        assert_eq!(answer.header("Proxy-Status"), Some(&*format!("copal; error=connection_refused{told}")));
        assert_eq!((answer.status, proxy.stat("fetch_retries_elsewhere")), (502, attempts.min(3)));
    }
}

#[test]
fn the_budget_keeps_retries_from_multiplying_an_outage() {
    let bad = Origin::start(|_| Reply::hang_up());
    let (_good, proxy) = behind(&bad, "[retry]\nbudget = \"20%\"\nper_second = 0\n");
    let mut client = proxy.client();
    let statuses: Vec<u16> = (0..50).map(|_| client.get("/", &[]).status).collect();
    let good = statuses.iter().filter(|status| **status == 200).count();
    assert_eq!((good, statuses.len() - good), (10, 40), "a fifth");
    assert_eq!((proxy.stat("fetch_retries_elsewhere"), proxy.stat("fetch_retries_refused")), (10, 40));
    let answer = get(proxy.addr(), "/", &[]);
    if answer.status == 502 {
        let told = answer.header("Proxy-Status").unwrap();
        assert_eq!(told, "copal; error=connection_terminated; details=\"retry budget used up\"");
    }
}

#[test]
fn a_policy_that_retries_failures_has_the_same_budget_and_keeps_bodies() {
    let bad = Origin::start(|_| Reply::status(500, "bad").header("Cache-Control", "no-store"));
    let good = Origin::start(|seen| {
        let body = String::from_utf8_lossy(&seen.body).into_owned();
        Reply::ok(body).header("Cache-Control", "no-store")
    });
    let policy = "fn backend_response(bereq, beresp) { if beresp.status == 500 { return retry(); } }";
    let all = [("bad", &bad), ("good", &good)];
    let proxy = before(&all, "", APP).policy(policy).start();
    assert_eq!(ask(&proxy, "POST", "order").text(), "order");
    assert_eq!((bad.count(), good.count(), proxy.stat("fetch_retries")), (1, 1, 1));
    let proxy = before(&all, "", &format!("{APP}[retry]\nbudget = \"0%\"\nper_second = 0\n")).policy(policy).start();
    let answer = ask(&proxy, "GET", "");
    let told = "copal; error=destination_unavailable; details=\"retry budget used up\"";
    assert_eq!((answer.status, answer.header("Proxy-Status")), (503, Some(told)));
    assert_eq!((proxy.stat("fetch_retries"), proxy.stat("fetch_retries_refused")), (0, 1));
}

#[test]
fn a_visitor_whose_backend_fails_is_served_by_another_and_bound_to_that() {
    let (mut a, b) = (named("a"), named("b"));
    let rest = "[director.app]\nbackends = [\"a\", \"b\"]\ncookie = { name = \"route\" }\n";
    let proxy = before(&[("a", &a), ("b", &b)], "", rest).start();
    let first = ask(&proxy, "POST", "");
    assert_eq!(first.text(), "a");
    let cookie = first.header("Set-Cookie").unwrap().split(';').next().unwrap().to_owned();
    a.stop();
    let moved = copal_testkit::client::request(proxy.addr(), "POST", "/", &[("Cookie", &cookie)], b"");
    assert_eq!(moved.text(), "b");
    assert!(moved.header("Set-Cookie").is_some_and(|anew| anew.starts_with("route=") && !anew.starts_with(&cookie)));
}

#[test]
fn explain_tells_of_it() {
    let mut bad = named("bad");
    bad.stop();
    let (_good, proxy) = behind(&bad, "");
    let admin = format!("unix:{}", proxy.admin().display());
    let told = Command::new(COPAL).args(["explain", "http://test.example/", "--admin", &admin]).output().unwrap();
    let text = String::from_utf8_lossy(&told.stdout);
    assert!(text.contains("sent again to good: bad: connect refused"), "{text}");
}

#[test]
fn log_metrics_and_proxy_status_say_the_same_words() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/cut" => Reply::short_body("abc", 9).header("Cache-Control", "no-store"),
        "/silent" => Reply::silence(),
        _ => Reply::hang_up(),
    });
    let rest = "[log]\naccess = { path = \"{dir}/access.log\" }\n[metrics]\nlisten = \"127.0.0.1:0\"\n";
    let proxy = before(&[("app", &origin)], "first_byte_timeout = \"100ms\"", rest).start();
    let line = proxy.wait_log("/metrics");
    let at = line.split("http://").nth(1).unwrap().split('/').next().unwrap().parse().unwrap();
    for (n, (method, path, phase, error, safe)) in [
        ("GET", "/gone", "head", "connection_terminated", true),
        ("POST", "/gone", "head", "connection_terminated", false),
        ("GET", "/silent", "head", "http_response_timeout", true),
        ("GET", "/cut", "body", "http_response_incomplete", false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = proxy.client();
        client.send(method, path, &[], b"");
        let head = client.read_head();
        let told = (path != "/cut").then(|| format!("copal; error={error}"));
        assert_eq!(head.header("Proxy-Status"), told.as_deref(), "once the head is out it is too late to say");
        let access = wait::poll(SOON, || {
            let text = std::fs::read_to_string(proxy.dir().join("access.log")).unwrap_or_default();
            text.lines().nth(n).map(str::to_owned)
        });
        let words = format!(
            "\"fault\":{{\"phase\":\"{phase}\",\"error\":\"{error}\",\"by\":\"origin\",\"retry_safe\":{safe}}}"
        );
        assert!(access.as_ref().is_some_and(|line| line.contains(&words)), "{words}: {access:?}");
        let log = proxy.wait_log(&format!("phase=\"{phase}\" error=\"{error}\" by=\"origin\" retry_safe={safe}"));
        assert!(log.contains(path), "{log}");
        let metrics = get(at, "/metrics", &[]).text();
        let series = format!(
            "copal_backend_faults_total{{backend=\"app\",phase=\"{phase}\",error=\"{error}\",by=\"origin\",retry_safe=\"{safe}\"}} 1"
        );
        assert!(metrics.contains(&series), "{series} in\n{metrics}");
    }
}
