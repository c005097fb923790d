//! Every kind of director over real origins: who gets what, who stays where, and what happens when one is sick.

use super::{COPAL, SOON};
use copal_testkit::{Client, Origin, Proxy, Reply, proxy, wait};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Origins that answer with their names and let nothing be stored, and the proxy before them.
pub(super) struct Site {
    pub(super) origins: Vec<Origin>,
    pub(super) proxy: Proxy,
}

pub(super) fn named(name: &'static str) -> Origin {
    Origin::start(move |_| Reply::ok(name).header("Cache-Control", "no-store"))
}

/// A proxy before these; `each` is in every `[backend.NAME]`, `rest` follows them.
pub(super) fn before(origins: &[(&str, &Origin)], each: &str, rest: &str) -> proxy::Builder {
    let mut toml = "threads = 1\n".to_owned();
    for (name, origin) in origins {
        toml += &format!("[backend.{name}]\naddress = \"{}\"\n{each}\n", origin.addr());
    }
    Proxy::builder(COPAL).config(&(toml + rest))
}

/// a, b and c behind a director `app`.
fn site(director: &str) -> Site {
    let origins = vec![named("a"), named("b"), named("c")];
    let all = [("a", &origins[0]), ("b", &origins[1]), ("c", &origins[2])];
    let proxy = before(&all, "", &format!("[director.app]\nbackends = [\"a\", \"b\", \"c\"]\n{director}\n")).start();
    Site { origins, proxy }
}

/// The owner's word on a backend, over the admin socket.
#[track_caller]
pub(super) fn set(proxy: &Proxy, name: &str, state: &str) {
    let mut admin = Client::connect_unix(&proxy.admin()).unwrap();
    let answer = admin.request("POST", &format!("/backends/{name}?state={state}"), &[("Connection", "close")], b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// How often each origin answered `n` requests for /.
fn counts(proxy: &Proxy, n: usize) -> BTreeMap<String, usize> {
    let mut client = proxy.client();
    let mut counts = BTreeMap::new();
    for _ in 0..n {
        *counts.entry(client.get("/", &[]).text()).or_default() += 1;
    }
    counts
}

#[test]
fn random_gives_everybody_about_the_same() {
    let site = site("kind = \"random\"");
    let counts = counts(&site.proxy, 300);
    // Five standard deviations of a fair draw.
    assert!(counts.len() == 3 && counts.values().all(|n| n.abs_diff(100) < 41), "{counts:?}");
    set(&site.proxy, "b", "sick");
    assert!((0..40).all(|_| site.proxy.client().get("/", &[]).text() != "b"));
}

#[test]
fn fallback_uses_the_first_that_can_serve_and_goes_back_to_it() {
    for (sticky, then) in [("", "a"), ("sticky = true", "b")] {
        let site = site(&format!("kind = \"fallback\"\n{sticky}"));
        let ask = || site.proxy.client().get("/", &[]).text();
        assert_eq!([ask(), ask()], ["a", "a"]);
        set(&site.proxy, "a", "sick");
        assert_eq!([ask(), ask()], ["b", "b"]);
        set(&site.proxy, "a", "auto");
        assert_eq!([ask(), ask()], [then, then], "{sticky}");
    }
}

/// Where each of the requests goes: `n` of them, made by `ask`.
fn homes(n: usize, ask: impl FnMut(usize) -> String) -> Vec<String> {
    (0..n).map(ask).collect()
}

#[test]
fn hash_by_a_header_and_shard_by_the_url_move_only_what_a_sick_backend_had() {
    for director in ["kind = \"hash\"\nby = \"header:X-User\"", "kind = \"shard\"\nby = \"url\""] {
        let site = site(director);
        let mut client = site.proxy.client();
        let mut all = || homes(60, |i| client.get(&format!("/{i}"), &[("X-User", &i.to_string())]).text());
        let at_home = all();
        assert_eq!(at_home, all(), "{director}");
        for name in ["a", "b", "c"] {
            assert!(at_home.iter().filter(|home| *home == name).count() >= 8, "{director}: {at_home:?}");
        }
        set(&site.proxy, "b", "sick");
        let without = all();
        for (home, now) in at_home.iter().zip(&without) {
            assert!(if home == "b" { now != "b" } else { now == home }, "{director}: {home} {now}");
        }
        assert!(without.iter().zip(&at_home).any(|(now, home)| home == "b" && now == "a"));
        assert!(without.iter().zip(&at_home).any(|(now, home)| home == "b" && now == "c"));
        set(&site.proxy, "b", "auto");
        assert_eq!(all(), at_home, "{director}");
    }
}

#[test]
fn another_proxy_before_the_same_backends_hashes_the_same() {
    for kind in ["hash", "shard"] {
        let director = format!("kind = \"{kind}\"\nby = \"key\"");
        let (one, other) = (site(&director), site(&director));
        let all = |site: &Site| {
            let mut client = site.proxy.client();
            homes(30, |i| client.get(&format!("/{i}"), &[("Host", "www.example.com")]).text())
        };
        assert_eq!(all(&one), all(&other));
    }
}

#[test]
fn a_request_that_is_passed_does_not_go_by_the_key_of_the_one_before_it() {
    let site = site("kind = \"hash\"\nby = \"key\"");
    let mut client = site.proxy.client();
    for i in 0..30 {
        client.get(&format!("/before/{i}"), &[]);
        let after = client.request("POST", "/", &[], b"x").text();
        let alone = copal_testkit::client::request(site.proxy.addr(), "POST", "/", &[("Host", "x")], b"x").text();
        let again = client.request("POST", "/", &[("Host", "x")], b"x").text();
        assert_eq!(alone, again);
        assert_eq!(after, client.request("POST", "/", &[], b"x").text(), "/before/{i}");
    }
}

#[test]
fn least_connections_leaves_a_busy_backend_alone() {
    let site = site("kind = \"least_connections\"");
    let mut waiting = Vec::new();
    let gates: Vec<_> = site.origins.iter().map(|origin| origin.hold("/slow")).collect();
    for n in 1..=2 {
        let mut client = site.proxy.client();
        client.send("POST", "/slow", &[], b"");
        waiting.push(client);
        copal_testkit::wait::until(SOON, "the requests arrive", || {
            site.origins.iter().map(|origin| origin.count_of("/slow")).sum::<usize>() == n
        });
    }
    let idle: Vec<usize> = (0..3).filter(|i| site.origins[*i].count_of("/slow") == 0).collect();
    assert_eq!(idle.len(), 1, "the two went to two");
    let name = ["a", "b", "c"][idle[0]];
    assert_eq!(counts(&site.proxy, 12), BTreeMap::from([(name.to_owned(), 12)]));
    gates.iter().for_each(copal_testkit::Gate::release);
    for mut client in waiting {
        assert_eq!(client.read_response().status, 200);
    }
}

#[test]
fn peak_ewma_prefers_who_answers_faster() {
    // Two seconds, so that only a machine that stands still for as long could take the other for the slower one.
    let (slow, _well) = slow_at_first(Duration::from_secs(2));
    let fast = named("fast");
    let director = "[director.app]\nkind = \"peak_ewma\"\ndecay = \"10m\"\nbackends = [\"slow\", \"fast\"]\n";
    let proxy = before(&[("slow", &slow), ("fast", &fast)], "", director).start();
    let counts = counts(&proxy, 60);
    assert!(counts["fast"] >= 58, "{counts:?}");
}

/// An origin that takes so long for each answer until it is told that it is well.
fn slow_at_first(takes: Duration) -> (Origin, Arc<AtomicBool>) {
    let well = Arc::<AtomicBool>::default();
    let told = Arc::clone(&well);
    let slow = Origin::start(move |_| {
        let answer = "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\nslow";
        let takes = if told.load(Ordering::SeqCst) { Duration::ZERO } else { takes };
        Reply::raw("").pause(takes).send(answer)
    });
    (slow, well)
}

#[test]
fn peak_ewma_comes_back_to_who_was_slow_once_its_decay_time_is_over() {
    let (slow, well) = slow_at_first(Duration::from_secs(1));
    let fast = named("fast");
    let director = "[director.app]\nkind = \"peak_ewma\"\ndecay = \"500ms\"\nbackends = [\"slow\", \"fast\"]\n";
    let proxy = before(&[("slow", &slow), ("fast", &fast)], "", director).start();
    let mut client = proxy.client();
    wait::until(SOON, "the slow one was asked", || client.get("/", &[]).text() == "slow");
    well.store(true, Ordering::SeqCst);
    // Without that its second would be remembered for as long as this test waits, and longer.
    wait::until(SOON, "half of some requests in a row", || {
        (0..20).filter(|_| client.get("/", &[]).text() == "slow").count() >= 5
    });
}

#[test]
fn split_keeps_a_visitor_where_it_is_and_a_header_or_cookie_decides_first() {
    let (new, old) = (named("new"), named("old"));
    let director = "[director.app]\nkind = \"split\"\nby = \"cookie:visitor\"\nbackends = [\n\
        { name = \"new\", weight = 20, when = \"header:X-Canary=yes\" }, { name = \"old\", weight = 80 }]\n\
        [director.beta]\nkind = \"split\"\nbackends = [{ name = \"new\", weight = 0, when = \"cookie:beta\" }, \"old\"]\n";
    let policy = "fn recv(req) { if req.url == \"/beta\" { req.backend = director(\"beta\"); } }";
    let proxy = before(&[("new", &new), ("old", &old)], "", director).policy(policy).start();
    let mut client = proxy.client();
    let mut visit = |n: usize, more: &[(&str, &str)]| {
        let cookie = format!("a=b; visitor={n}");
        client.get("/", &[&[("Cookie", cookie.as_str())], more].concat()).text()
    };
    let first = homes(200, |n| visit(n, &[]));
    assert_eq!(first, homes(200, |n| visit(n, &[])));
    let at_new = first.iter().filter(|home| *home == "new").count();
    assert!((20..=60).contains(&at_new), "about 40 of 200: {at_new}");
    assert!((0..10).all(|n| visit(n, &[("X-Canary", "yes")]) == "new"));
    assert_eq!(homes(20, |n| visit(n, &[("X-Canary", "no")])), first[..20]);
    let mut beta = |cookie: &str| client.get("/beta", &[("Cookie", cookie)]).text();
    assert_eq!([beta("beta"), beta("beta=1"), beta("x=1")], ["old", "new", "old"], "a pair has a `=`");
    set(&proxy, "new", "sick");
    assert_eq!(client.get("/beta", &[("Cookie", "beta=1")]).text(), "old");
}

const SESSION: &str = "[director.app]\nbackends = [\"a\", \"b\", \"c\"]\ncookie = { secret_file = \"{dir}/secret\" }\n";

fn session_site() -> Site {
    let origins = vec![named("a"), named("b"), named("c")];
    let all = [("a", &origins[0]), ("b", &origins[1]), ("c", &origins[2])];
    let builder = before(&all, "", SESSION);
    std::fs::write(builder.dir().join("secret"), "sixteen bytes of secret\n").unwrap();
    Site { proxy: builder.start(), origins }
}

#[test]
fn a_signed_cookie_binds_a_visitor_to_its_backend_until_that_is_sick() {
    let (site, twin) = (session_site(), session_site());
    let post = |proxy: &Proxy, cookie: &str| {
        let answer = copal_testkit::client::request(proxy.addr(), "POST", "/", &[("Cookie", cookie)], b"x");
        (answer.text(), answer.header("Set-Cookie").map(str::to_owned))
    };
    let (home, set_cookie) = post(&site.proxy, "other=1");
    let set_cookie = set_cookie.expect("a new visitor gets the cookie");
    let (cookie, attributes) = set_cookie.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Lax");
    assert!(cookie.starts_with("copal_route=") && cookie.len() == "copal_route=".len() + 32, "{cookie}");
    for proxy in [&site.proxy, &twin.proxy] {
        for _ in 0..4 {
            assert_eq!(post(proxy, cookie), (home.clone(), None));
        }
    }
    let forged = format!("{}0", &cookie[..cookie.len() - 1]).replace("copal_route=0", "copal_route=1");
    assert!(forged == cookie || post(&site.proxy, &forged).1.is_some(), "bound anew");

    set(&site.proxy, &home, "drain");
    assert_eq!(post(&site.proxy, cookie).0, home, "draining keeps who is bound to it");
    assert!((0..6).all(|_| post(&site.proxy, "").0 != home), "and gets nobody new");
    set(&site.proxy, &home, "sick");
    let (other, anew) = post(&site.proxy, cookie);
    assert!(other != home && anew.is_some_and(|anew| !anew.starts_with(cookie)));
    assert_eq!(site.origins.len(), 3);
}

#[test]
fn what_is_cached_never_carries_the_cookie_that_binds_one_visitor() {
    let origin = Origin::start(|seen| match seen.path.as_str() {
        "/broken" => Reply::status(500, "!"),
        _ => Reply::ok("page").header("Cache-Control", "max-age=60"),
    });
    let builder = before(&[("a", &origin)], "", "[director.app]\nbackends = [\"a\"]\ncookie = { name = \"route\" }\n");
    let proxy = builder.start();
    for outcome in ["fwd=uri-miss", "hit"] {
        let answer = copal_testkit::get(proxy.addr(), "/", &[]);
        assert!(answer.header("Cache-Status").unwrap().contains(outcome), "{answer:?}");
        assert_eq!(answer.header("Set-Cookie"), None);
    }
    let passed = copal_testkit::client::request(proxy.addr(), "POST", "/", &[], b"x");
    assert!(passed.header("Set-Cookie").unwrap().starts_with("route="));
    let failed = copal_testkit::client::request(proxy.addr(), "POST", "/broken", &[], b"x");
    assert_eq!((failed.status, failed.header("Set-Cookie")), (500, None), "nobody is bound to a failure");
}

#[test]
fn the_cookie_that_binds_a_visitor_is_copals_own_business() {
    let echo = || {
        Origin::start(|seen| {
            let cookies = seen.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
            let got: Vec<&str> = cookies.map(|(_, value)| value.as_str()).collect();
            let reply = Reply::ok(format!("{got:?}"));
            match seen.path.as_str() {
                "/page" => reply.header("Cache-Control", "max-age=60").header("Vary", "Cookie"),
                _ => reply.header("Cache-Control", "no-store"),
            }
        })
    };
    let (a, b) = (echo(), echo());
    let rest = "[director.app]\nbackends = [\"a\", \"b\"]\ncookie = { name = \"route\" }\n";
    let policy = "fn recv(req) { if req.cookie.has(\"route\") { return synth(500); }\n\
        if req.http.cookie == () && req.url == \"/bare\" { return synth(204); } }";
    let proxy = before(&[("a", &a), ("b", &b)], "", rest).policy(policy).start();
    let get = |path: &str, cookie: &str| copal_testkit::get(proxy.addr(), path, &[("Cookie", cookie)]);
    assert_eq!(get("/", "route=x; sessionid=1;route=y").text(), "[\"sessionid=1\"]");
    assert_eq!(get("/", "route=x").text(), "[]");
    assert_eq!(get("/bare", "route=x").status, 204, "the policy does not see it either");
    assert_eq!(get("/page", "route=x").text(), "[]");
    let hit = get("/page", "route=another");
    assert!(
        hit.header("Cache-Status").unwrap().contains("copal; hit"),
        "visitors share what varies by cookie: {hit:?}"
    );
}

#[test]
fn a_request_that_is_passed_goes_where_the_same_url_goes_when_it_is_not() {
    for (policy, kind) in [("", "hash"), ("", "shard"), ("fn hash(req, key) { key.add(\"x\"); }", "hash")] {
        let site = {
            let origins = vec![named("a"), named("b"), named("c")];
            let all = [("a", &origins[0]), ("b", &origins[1]), ("c", &origins[2])];
            let rest = format!("[director.app]\nkind = \"{kind}\"\nbackends = [\"a\", \"b\", \"c\"]\n");
            Site { proxy: before(&all, "", &rest).policy(policy).start(), origins }
        };
        let mut client = site.proxy.client();
        for i in 0..20 {
            let url = format!("/{i}");
            assert_eq!(client.get(&url, &[]).text(), client.request("POST", &url, &[], b"x").text(), "{kind} {url}");
        }
        assert!(site.origins.iter().all(|origin| origin.count() > 0));
    }
}

#[test]
fn a_secret_that_is_too_short_keeps_the_proxy_from_starting() {
    let origin = named("a");
    let rest = "[director.app]\nbackends = [\"a\"]\ncookie = { secret_file = \"{dir}/secret\" }\n";
    let builder = before(&[("a", &origin)], "", rest);
    std::fs::write(builder.dir().join("secret"), "short\n").unwrap();
    let exited = builder.try_start().unwrap_err();
    assert!(exited.stderr.contains("copal.toml:7:26") && exited.stderr.contains("less than 16 bytes"), "{exited:?}");
}

#[test]
fn directors_stack_and_a_policy_chooses_among_them() {
    let origins = [named("a"), named("b"), named("c"), named("d")];
    let all = [("a", &origins[0]), ("b", &origins[1]), ("c", &origins[2]), ("d", &origins[3])];
    let directors = "[director.site]\nkind = \"fallback\"\nbackends = [\"near\", \"far\"]\n\
        [director.near]\nbackends = [\"a\", \"b\"]\n[director.far]\nbackends = [\"c\"]\n\
        [director.api]\nkind = \"random\"\nbackends = [\"d\"]\n";
    let policy = "fn recv(req) { if req.url.starts_with(\"/api/\") { req.backend = director(\"api\"); } }";
    let proxy = before(&all, "", directors).policy(policy).start();
    let mut client = proxy.client();
    let mut four = |path: &str| -> String { (0..4).map(|_| client.get(path, &[]).text()).collect() };
    assert_eq!((four("/"), four("/api/x")), ("abab".into(), "dddd".into()));
    set(&proxy, "a", "sick");
    assert_eq!(four("/"), "bbbb");
    set(&proxy, "near", "sick");
    assert_eq!(four("/"), "cccc");
    set(&proxy, "site", "auto");
    assert_eq!(four("/").matches('c').count(), 0);
}

#[test]
fn a_retry_by_the_policy_goes_to_the_next_backend_of_a_hashing_director() {
    let bad = || Origin::start(|_| Reply::status(500, "bad"));
    for kind in ["hash", "shard"] {
        let origins = [bad(), named("good")];
        let director = format!("[director.app]\nkind = \"{kind}\"\nby = \"url\"\nbackends = [\"bad\", \"good\"]\n");
        let policy = "fn backend_response(bereq, beresp) {\n\
            if beresp.status == 500 && bereq.retries == 0 { return retry(); } }";
        let proxy = before(&[("bad", &origins[0]), ("good", &origins[1])], "", &director).policy(policy).start();
        let mut client = proxy.client();
        for i in 0..20 {
            assert_eq!(client.get(&format!("/{i}"), &[]).text(), "good", "{kind} /{i}");
        }
        assert!(origins[0].count() >= 3, "it was asked first for its own");
    }
}
