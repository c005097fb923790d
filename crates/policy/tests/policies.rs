//! Policies at work: what hooks read, write and return.

use copal_policy::{
    Acl, Action, Environment, Fault, FaultKind, Health, Hook, Limit, Limits, ObjectVars, Policy, Scene, ScriptValue,
    SeededRandom,
};
use copal_semantics::{RequestHead, ResponseHead, Span, Time};
use std::sync::Arc;

struct Sick;
impl Health for Sick {
    fn healthy(&self, name: &str) -> bool {
        name != "app2"
    }
}

fn env() -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::parse(["10.0.0.0/8", "!10.0.0.66"]).expect("acl"))].into(),
        backends: vec!["app1".into(), "app2".into()],
        directors: vec!["app".into()],
        limits: Limits::default(),
        health: Arc::new(Sick),
        random: Arc::new(SeededRandom::new(1)),
        ..Environment::default()
    })
}

fn policy(text: &str) -> Arc<Policy> {
    Policy::compile("site.rhai", text, env()).unwrap_or_else(|e| panic!("{e}"))
}

fn request(url: &str, headers: &[(&str, &str)]) -> Box<Scene> {
    let mut scene = Box::<Scene>::default();
    scene.req = RequestHead::get(url, headers.iter().copied());
    scene.req_vars.xid = "x1".into();
    scene.client.ip = "10.1.2.3".parse().expect("address");
    scene.now = Time::from_secs(1_700_000_000);
    scene
}

/// Runs `recv` with that body.
fn recv(body: &str, scene: Box<Scene>) -> (Box<Scene>, Result<Action, Fault>) {
    policy(&format!("fn recv(req) {{\n{body}\n}}")).call(Hook::Recv, scene)
}

/// What the body logs.
fn logged(body: &str, scene: Box<Scene>) -> Vec<String> {
    let (scene, result) = recv(body, scene);
    assert_eq!(result.map_err(|f| f.to_string()), Ok(Action::Default));
    scene.log
}

fn fault(body: &str) -> Fault {
    let scene = request("/", &[("host", "a"), ("cookie", "a=1")]);
    match recv(body, scene).1 {
        Err(fault) => fault,
        Ok(action) => panic!("{body}: {action:?} instead of a fault"),
    }
}

#[test]
fn the_sample_policy_of_the_guide_does_what_it_says() {
    let p = policy(
        r#"
// Anonymous pages are shared; logged-in users go straight to the application.
fn recv(req) {
    if !req.is_get_or_head() || req.cookie.has("sessionid") { return pass(); }   // a login form needs its csrftoken
    req.http.remove("cookie");
    req.url = query::sort(query::without(req.url, ["utm_*", "gclid", "fbclid"]));
}

fn backend_response(bereq, beresp) {
    if bereq.is_bgfetch && beresp.status >= 500 { return abandon(); }            // a failed refresh keeps the stale page
    beresp.grace = duration("6h");
    if bereq.url.starts_with("/static/") {
        beresp.ttl = duration("1d");
        beresp.http.remove("set-cookie");
    }
}

fn deliver(req, resp) {
    resp.http["x-cache"] = if resp.hits > 0 { "HIT" } else { "MISS" };
}
"#,
    );
    assert_eq!(p.defined(), ["recv", "backend_response", "deliver"]);
    let (mut s, r) = p.call(Hook::Recv, request("/a?z=1&utm_source=x&b=2", &[("cookie", "theme=dark")]));
    assert_eq!(r, Ok(Action::Default));
    assert_eq!((s.req.url.as_str(), s.req.headers.get("cookie")), ("/a?b=2&z=1", None));

    assert_eq!(p.call(Hook::Recv, request("/", &[("cookie", "a=b; sessionid=1")])).1, Ok(Action::Pass));
    s.req.method = http::Method::POST;
    let (mut s, r) = p.call(Hook::Recv, s);
    assert_eq!(r, Ok(Action::Pass));

    s.bereq.url = "/static/a.css".into();
    s.beresp = ResponseHead::new(200, [("set-cookie", "a=1"), ("set-cookie", "b=2")]);
    let (mut s, r) = p.call(Hook::BackendResponse, s);
    assert_eq!(r, Ok(Action::Default));
    assert_eq!((s.beresp_vars.ttl, s.beresp_vars.grace), (Span::from_secs(86_400), Span::from_secs(21_600)));
    assert!(!s.beresp.headers.contains("set-cookie"));

    s.bereq_vars.is_bgfetch = true;
    s.beresp.status = 502;
    let (mut s, r) = p.call(Hook::BackendResponse, s);
    assert_eq!(r, Ok(Action::Abandon));

    s.resp_vars.hits = 3;
    let (s, r) = p.call(Hook::Deliver, s);
    assert_eq!(r, Ok(Action::Default));
    assert_eq!(s.resp.headers.get("x-cache"), Some(&b"HIT"[..]));
}

#[test]
fn hooks_that_are_not_defined_decide_nothing() {
    let p = policy("fn recv(req) { }");
    assert!(p.has(Hook::Recv) && !p.has(Hook::Deliver));
    for h in [Hook::Recv, Hook::Deliver, Hook::Init] {
        assert_eq!(p.call(h, Box::default()).1, Ok(Action::Default));
    }
    assert!(!Policy::builtin().has(Hook::Recv));
}

#[test]
fn every_action_says_what_it_is() {
    for (text, hook, action) in [
        ("lookup()", "recv(req)", Action::Lookup),
        ("pass();", "recv(req)", Action::Pass),
        ("return pipe();", "recv(req)", Action::Pipe),
        ("purge()", "recv(req)", Action::Purge),
        ("restart()", "recv(req)", Action::Restart),
        ("synth(404)", "recv(req)", Action::Synth { status: 404, reason: String::new() }),
        ("synth(1750, `Busy`)", "recv(req)", Action::Synth { status: 1750, reason: "Busy".into() }),
        ("redirect(301, \"/x\" + req.url)", "recv(req)", Action::Redirect { status: 301, location: "/x/".into() }),
        ("fail(\"no\")", "recv(req)", Action::Fail { reason: "no".into() }),
        ("policy(\"shop\")", "recv(req)", Action::Policy("shop".into())),
        ("deliver()", "hit(req, obj)", Action::Deliver),
        ("miss()", "hit(req, obj)", Action::Miss),
        ("fetch()", "pass(req)", Action::Fetch),
        ("pipe()", "pipe(req, bereq)", Action::Pipe),
        ("synth(200, `${count} gone`)", "purge(req, count)", Action::Synth { status: 200, reason: "7 gone".into() }),
        (
            "error(503, \"Maintenance\")",
            "backend_fetch(bereq)",
            Action::Error { status: 503, reason: "Maintenance".into() },
        ),
        ("merge()", "backend_refresh(bereq, beresp, stale)", Action::Merge),
        ("keep_stale()", "backend_refresh(bereq, beresp, stale)", Action::KeepStale),
        ("use_new()", "backend_refresh(bereq, beresp, stale)", Action::UseNew),
        ("pass(duration(\"2m\"))", "backend_response(bereq, beresp)", Action::PassFor(Span::from_secs(120))),
        ("abandon()", "backend_error(bereq, beresp)", Action::Abandon),
        ("retry()", "backend_error(bereq, beresp)", Action::Retry),
        ("synth(404); ()", "synth(req, resp)", Action::Default),
    ] {
        let source = format!("fn {hook} {{ {text} }}");
        let name = hook.split('(').next().expect("name");
        let mut scene = request("/", &[]);
        scene.purge_count = 7;
        match Policy::compile("p", &source, env()) {
            Ok(p) => {
                assert_eq!(p.call(Hook::by_name(name).expect("hook"), scene).1, Ok(action), "{source}");
            }
            // An action that is not returned is found at load.
            Err(e) => assert!(action == Action::Default && e.to_string().contains("has no effect"), "{e}"),
        }
    }
}

#[test]
fn actions_mean_actions_where_hooks_have_their_names() {
    let p = policy(
        "fn pass(req) { synth(503) }\nfn synth(req, resp) { deliver() }\nfn deliver(req, resp) { deliver() }\nfn recv(req) { pass() }",
    );
    assert_eq!(p.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass));
    assert_eq!(p.call(Hook::Pass, request("/", &[])).1, Ok(Action::Synth { status: 503, reason: String::new() }));
    assert_eq!(p.call(Hook::Deliver, request("/", &[])).1, Ok(Action::Deliver));
}

#[test]
fn headers_are_read_and_written() {
    let mut scene =
        request("/", &[("Host", "a"), ("X-One", "1"), ("x-one", "2"), ("X-Internal-A", "x"), ("x_odd", "o")]);
    scene.req.headers.append("Content-Length", "5").expect("valid");
    let (s, r) = recv(
        r#"
        std::log(req.http.host + "|" + req.http["HOST"] + "|" + (req.http.missing ?? "none"));
        std::log(`${req.http.x_one} ${req.http.all("x-one").len()} ${req.http.has("x-two")} ${req.http["x_odd"]}`);
        req.http["x-number"] = 5; req.http["x-bool"] = true; req.http["x-span"] = duration("1500ms");
        req.http["x-time"] = now; req.http["x-ip"] = client.ip; req.http.x_backend = backend("app1");
        req.http.append("x-more", "a"); req.http.append("X-More", "b");
        req.http.collect("x-more");
        req.http.remove_matching("x-internal-*");
        req.http.remove_matching("content-*");
        req.http["x-one"] = ();
        req.http.accept_encoding = "br";
        req.http["x-plus"] = "a"; req.http["x-plus"] += "b";
        let h = req.http; h["x-via-handle"] = "y";
    "#,
        scene,
    );
    assert_eq!(r, Ok(Action::Default));
    assert_eq!(s.log, ["a|a|none", "1 2 false o"]);
    let h = &s.req.headers;
    let get = |n: &str| h.get_str(n).map(std::borrow::Cow::into_owned).unwrap_or_default();
    assert_eq!([get("x-number"), get("x-bool"), get("x-span")], ["5", "true", "1.500"]);
    assert_eq!([get("x-time"), get("x-ip"), get("x-backend")], ["Tue, 14 Nov 2023 22:13:20 GMT", "10.1.2.3", "app1"]);
    assert_eq!([get("x-more"), get("accept-encoding"), get("x-plus"), get("x-via-handle")], ["a, b", "br", "ab", "y"]);
    assert!(!h.contains("x-one") && !h.contains("x-internal-a") && get("content-length") == "5");
}

#[test]
fn what_would_break_framing_is_a_fault() {
    for body in [
        "req.http[\"x\"] = \"a\\r\\nb: c\";",
        "req.http[\"x y\".to_lower()] = \"a\";",
        "req.http.append(\"x\", \"a\\nb\");",
        "req.url = \"/a b\";",
        "req.url = \"http://x/\";",
        "req.method = \"GET /\";",
        "req.cookie.set(\"a\", \"b; c=d\");",
        "return synth(200, \"a\\r\\nb\");",
        "return redirect(301, \"/a\\nb\");",
    ] {
        let f = fault(body);
        assert_eq!((f.kind, f.file.as_str(), f.line), (FaultKind::Framing, "site.rhai", 2), "{body}: {f}");
    }
    for body in ["req.http[\"content-length\"] = 5;", "req.http.remove(\"Transfer-Encoding\");"] {
        assert_eq!(fault(body).kind, FaultKind::ReadOnly, "{body}");
    }
}

#[test]
fn cookies_are_a_view_of_their_header() {
    let scene = request("/", &[("cookie", "a=1; sess_x=2; b=3"), ("cookie", "c=4")]);
    let (s, r) = recv(
        r#"
        std::log(`${req.cookie.has("c")} ${req.cookie.get("b")} ${req.cookie.get("zz") ?? "none"}`);
        req.cookie.set("d", 5);
        req.cookie.remove("sess_*");
        std::log(req.http.cookie);
        req.cookie.keep(["a", "d"]);
        std::log(req.http.cookie);
        req.cookie.keep_matching("^z");
    "#,
        scene,
    );
    assert_eq!(r, Ok(Action::Default));
    assert_eq!(s.log, ["true 3 none", "a=1; b=3; c=4; d=5", "a=1; d=5"]);
    assert!(!s.req.headers.contains("cookie"));
}

#[test]
fn strings_times_and_modules() {
    let log = logged(
        r#"
        std::log(req.url.matches("^/(en|de)/") && !req.http.x.matches("a"));
        std::log(req.url.replace_re("^/(..)/", "/\\1-x/") + " " + "aXbX".replace_all_re("X", "-"));
        std::log(req.url.captures("^/(..)/(.*)$")[2] + " " + ("z".captures("y") ?? "none"));
        std::log(duration("1h") + duration("30m") == duration("90m") && duration("1s") < duration("1m"));
        std::log(duration("bad".to_lower(), duration("5s")) * 2);
        std::log((now + duration("1d") - now).seconds() == 86400.0 && now > now - duration("1s"));
        std::log(bytes("10MiB"));
        std::log(std::strftime(now, "%F %T"));
        std::log(std::tolower("AbC") + std::toupper("x") + url::path(req.url) + url::query("/a?b") + url::extension("/a.CSS"));
        std::log(query::get(req.url, "q") + query::set("/x", "a", 1) + query::keep("/x?a=1&b=2", ["b"]));
        std::log(std::random(3, 3)); print("printed");
        std::log(client.ip.within("purgers") && client.ip == "10.1.2.3" && !client.ip.is_ipv6());
        std::log(`${std::ip("::1")} ${std::ip("x".to_lower(), client.ip)} ${client.identity} ${client.port}`);
        std::log(std::healthy("app1") && !std::healthy("app2") && !backend("app2").healthy());
        try { throw "thrown"; } catch (e) { std::log(e); }
        try { req.url = "bad"; } catch (e) { std::log(`${e}`); }
        switch req.method { "GET" => std::log("get"), _ => std::log("other") }
    "#,
        request("/en/a?q=b+c", &[]),
    );
    let expected = [
        "true",
        "/en-x/a?q=b+c a-b-",
        "a?q=b+c none",
        "true",
        "10.000",
        "true",
        "10485760",
        "2023-11-14 22:13:20",
        "abcX/en/abcss",
        "b c/x?a=1/x?b=2",
        "3",
        "printed",
        "true",
        "::1 10.1.2.3 10.1.2.3 0",
        "true",
        "thrown",
        "`req.url` must begin with \"/\"",
        "get",
    ];
    assert_eq!(log, expected);
}

#[test]
fn request_variables_are_read_and_written() {
    let (s, r) = recv(
        r#"
        if req.grace != () || req.backend != () { return fail("unset variables read as ()"); }
        req.grace = duration("10s"); req.max_age = duration("1m"); req.max_age = ();
        req.backend = director("app"); req.backend_hint = backend("app2"); req.backend = "app1";
        req.hash_always_miss = true;
        req.method = "HEAD"; client.identity = "me";
        req.vars["n"] = 1; req.vars["n"] += 1; req.vars["t"] = now; req.vars["gone"] = "x"; req.vars["gone"] = ();
        if req.backend != backend("app1") || req.vars["none"] != () || !req.vars.has("n") { return fail("no"); }
    "#,
        request("/", &[]),
    );
    assert_eq!(r, Ok(Action::Default));
    let v = &s.req_vars;
    assert_eq!((v.grace, v.max_age, v.backend.as_deref()), (Some(Span::from_secs(10)), None, Some("app1")));
    assert!(v.hash_always_miss && !v.hash_ignore_busy);
    assert_eq!((s.req.method.as_str(), s.client.identity.as_deref()), ("HEAD", Some("me")));
    assert_eq!(v.vars.len(), 2);
    assert_eq!(v.vars["n"], ScriptValue::Int(2));
}

#[test]
fn backend_side_variables_are_read_and_written() {
    let p = policy(
        r#"
        fn backend_fetch(bereq) { bereq.url = "/x"; bereq.http.x_a = bereq.retries; bereq.first_byte_timeout = duration("2s"); }
        fn backend_response(bereq, beresp) {
            beresp.status = 404; beresp.uncacheable = true; beresp.ttl = beresp.ttl + duration("1s"); beresp.keep = -beresp.age;
            if beresp.backend == "app1" { beresp.http["x-from"] = beresp.backend; }
        }
        fn backend_error(bereq, beresp) { beresp.body = "sorry"; beresp.status = 1503; }
        fn hit(req, obj) { if obj.ttl < duration("0s") && obj.http.etag == "x" && obj.hits == 2 { return pass(); } }
        fn hash(req, key) { key.add(req.url); key.add(7); key.add(req.http.none); }
        "#,
    );
    let mut scene = request("/k", &[]);
    scene.beresp.reason = "Fine".into();
    scene.beresp_vars.ttl = Span::from_secs(4);
    scene.beresp_vars.age = Span::from_secs(3);
    scene.beresp_vars.backend = "app1".into();
    scene.obj = Some(ObjectVars {
        head: ResponseHead::new(200, [("etag", "x")]),
        ttl: Span::from_secs(-1),
        hits: 2,
        ..ObjectVars::default()
    });
    let (s, _) = p.call(Hook::BackendFetch, scene);
    assert_eq!((s.bereq.url.as_str(), s.bereq.headers.get("x-a")), ("/x", Some(&b"0"[..])));
    let (s, r) = p.call(Hook::BackendResponse, s);
    assert_eq!(r, Ok(Action::Default));
    assert_eq!((s.beresp.status, s.beresp.reason.as_str(), s.beresp_vars.uncacheable), (404, "", true));
    assert_eq!((s.beresp_vars.ttl, s.beresp_vars.keep), (Span::from_secs(5), Span::from_secs(-3)));
    assert_eq!(s.beresp.headers.get("x-from"), Some(&b"app1"[..]));
    let (s, _) = p.call(Hook::BackendError, s);
    assert_eq!((s.beresp.status, s.beresp_vars.body.as_deref()), (1503, Some(&b"sorry"[..])));
    let (s, r) = p.call(Hook::Hit, s);
    assert_eq!(r, Ok(Action::Pass));
    let (s, _) = p.call(Hook::Hash, s);
    assert_eq!(s.key.parts().collect::<Vec<_>>(), [&b"/k"[..], b"7", b""]);
}

#[test]
fn a_fault_names_its_place_and_its_calls_and_stays_with_its_request() {
    let p = policy(
        "fn helper(r) {\n    r.nothing\n}\nfn recv(req) {\n    if req.url == \"/bad\" { helper(req.http); req.url = helper2(req); }\n    pass()\n}\nfn helper2(r) {\n    throw \"broken\";\n}",
    );
    let f = p.call(Hook::Recv, request("/bad", &[])).1.expect_err("a fault");
    assert_eq!((f.kind, f.line, f.column, f.message.as_str()), (FaultKind::Script, 9, 5, "broken"));
    assert!(f.trace[0].starts_with("in `helper2` called at site.rhai:5:"), "{f}");
    assert!(f.to_string().starts_with("site.rhai:9:5: in hook `recv`: broken; in `helper2` called at"), "{f}");
    assert_eq!(p.call(Hook::Recv, request("/good", &[])).1, Ok(Action::Pass));
}

#[test]
fn what_a_hook_may_not_return_is_a_fault() {
    let p = policy("fn give(x) { x }\nfn deliver(req, resp) {\n    give(pass())\n}\nfn recv(req) {\n    give(5)\n}");
    let f = p.call(Hook::Deliver, request("/", &[])).1.expect_err("illegal");
    assert_eq!((f.kind, f.line), (FaultKind::IllegalAction, 3));
    assert!(f.message.contains("cannot return `pass()`, only `deliver()`, `restart()`"), "{f}");
    let f = p.call(Hook::Recv, request("/", &[])).1.expect_err("no action");
    assert_eq!(
        (f.kind, f.message.as_str()),
        (FaultKind::NotAnAction, "it returned an integer, which is neither an action nor nothing")
    );
}

#[test]
fn writes_that_helpers_may_not_make_are_faults() {
    let p = policy(
        "fn set(r) {\n    r.ttl = duration(\"1s\");\n}\nfn hit(req, obj) { set(obj); }\nfn body(r) { r.body = \"x\"; }\nfn deliver(req, resp) { body(resp); }",
    );
    assert!(p.call(Hook::Hit, request("/", &[])).1.is_err());
    let f = p.call(Hook::Deliver, request("/", &[])).1.expect_err("read-only");
    assert_eq!(f.kind, FaultKind::ReadOnly);
    assert!(f.message.contains("`resp.body` cannot be written in `deliver`, only in `synth`"), "{f}");
}

#[test]
fn every_limit_stops_its_runaway() {
    let limit = |body: &str| match fault(body).kind {
        FaultKind::Limit(l) => l,
        other => panic!("{body}: {other:?}"),
    };
    assert_eq!(limit("let n = 0; loop { n += 1; }"), Limit::Operations);
    assert_eq!(limit("let n = 0; for i in 0..1000000 { n = i; }"), Limit::Operations);
    assert_eq!(limit("let s = \"abcdefgh\"; loop { s += s; }"), Limit::StringBytes);
    assert_eq!(limit("let s = \"a\"; s.pad(70000, \"b\");"), Limit::StringBytes);
    assert_eq!(
        limit("let s = \"a\"; s.pad(60000, \"a\"); let t = s.replace_all_re(\"a\", s); return pass();"),
        Limit::StringBytes
    );
    assert_eq!(limit("let s = \"a\"; s.pad(60000, \"a\"); let t = s; s.replace(\"a\", t);"), Limit::StringBytes);
    assert_eq!(limit("let a = []; loop { a.push(1); }"), Limit::Array);
    assert_eq!(limit("let m = #{}; for i in 0..1100 { m[i.to_string()] = i; } let n = m + m;"), Limit::Map);
    assert_eq!(limit("let s = \"a\"; s.pad(60000, \"b\"); loop { req.http.append(\"x\", s); }"), Limit::WrittenBytes);
    assert_eq!(
        limit(
            "loop { std::log(\"a line that is long enough to reach the limit on bytes before the one on operations\"); }"
        ),
        Limit::WrittenBytes
    );
    assert_eq!(
        limit("let s = \"a\"; s.pad(60000, \"b\"); try { loop { req.vars[\"k\"] = s; } } catch { }"),
        Limit::WrittenBytes
    );
    assert_eq!(limit("let n = 0; loop { n += 1; if \"x\".matches(`a${n}`) { return pass(); } }"), Limit::Patterns);
    let p = policy("fn down(n) {\n    down(n + 1)\n}\nfn recv(req) {\n    down(0)\n}");
    let f = p.call(Hook::Recv, request("/", &[])).1.expect_err("recursion");
    assert_eq!((f.kind, f.file.as_str()), (FaultKind::Limit(Limit::CallDepth), "site.rhai"));
    assert!(f.line > 0, "{f:?}");
    let f = fault("let n = 0;\nloop {\n    n += 1;\n}");
    assert!(f.line >= 3 && f.column > 0 && f.to_string().contains("a loop that does not end?"), "{f}");
}

#[test]
fn a_hook_that_failed_runs_again_from_the_start() {
    let p = policy(
        "fn recv(req) {\n    let a = 1; let b = 2;\n    if req.url == \"/bad\" { throw \"x\"; }\n    let c = a + b;\n    if c == 3 { return pass(); }\n}",
    );
    for _ in 0..300 {
        assert!(p.call(Hook::Recv, request("/bad", &[])).1.is_err());
        assert_eq!(p.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass));
    }
    let p = policy("fn recv(req) {\n    let n = 0; for i in 0..9000 { n += 1; }\n    pass()\n}");
    for _ in 0..20 {
        assert_eq!(p.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass));
    }
}

#[test]
fn unknown_names_from_outside_are_faults_and_values_of_the_wrong_type_too() {
    for (body, kind) in [
        ("let n = req.http.host; client.ip.within(n); return pass();", FaultKind::UnknownName),
        ("let n = req.http.host; req.backend = n;", FaultKind::UnknownName),
        ("let n = req.http.host; backend(n); return pass();", FaultKind::UnknownName),
        ("let n = req.http.host; duration(n); return pass();", FaultKind::Value),
        ("let n = req.http.host; \"x\".matches(\"(\" + n); return pass();", FaultKind::Value),
        ("let n = [1]; req.http.x = n;", FaultKind::Value),
        ("let n = 99; return synth(n);", FaultKind::Value),
        ("let n = 200; return redirect(n, \"/\");", FaultKind::Value),
        ("let n = 5; req.grace = n;", FaultKind::Value),
    ] {
        assert_eq!(fault(body).kind, kind, "{body}");
    }
}

#[test]
fn threads_have_their_own_instances_and_a_reload_is_another_version() {
    let old = policy("const A = 5;\nfn recv(req) { if global::A == 5 { return pass(); } }");
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let p = Arc::clone(&old);
            std::thread::spawn(move || {
                (0..50).for_each(|_| assert_eq!(p.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass)))
            })
        })
        .collect();
    threads.into_iter().for_each(|t| t.join().expect("no panic"));
    let new = policy("fn recv(req) { lookup() }");
    assert_ne!(old.version(), new.version());
    assert_eq!(new.call(Hook::Recv, request("/", &[])).1, Ok(Action::Lookup));
    assert_eq!(old.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass));
}

#[test]
fn a_constant_of_a_hook_is_not_seen_by_the_next_request() {
    let p =
        policy("const A = 1;\nfn recv(req) {\n    let old = global::A;\n    const A = req.url;\n    std::log(old);\n}");
    let (s, _) = p.call(Hook::Recv, request("/secret", &[]));
    let (s, r) = p.call(Hook::Recv, s);
    assert_eq!((r, s.log), (Ok(Action::Default), vec!["1".to_owned(), "1".to_owned()]));
}

#[test]
fn init_runs_once_at_load_and_its_fault_refuses_the_policy() {
    let p = policy("fn init() { std::log(\"hello\"); }");
    assert_eq!(p.init_log(), ["hello"]);
    let e = Policy::compile("site.rhai", "fn init() {\n    throw \"not today\";\n}", env()).expect_err("refused");
    assert_eq!((e.list[0].message.as_str(), e.list[0].line), ("not today", 2));
}

#[test]
fn modules_come_from_the_folder_of_the_policy_and_from_nowhere_else() {
    let dir = std::env::temp_dir().join(format!("copal-policy-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("site/lib")).expect("folder");
    let write = |name: &str, text: &str| std::fs::write(dir.join(name), text).expect("file");
    write("outside.rhai", "fn f() { 1 }");
    write(
        "site/lib/paths.rhai",
        "const ASSETS = \".css\";\nfn is_asset(u) { u.ends_with(global::ASSETS) }\nfn bad(u) {\n    throw \"in module\";\n}",
    );
    write(
        "site/main.rhai",
        "import \"lib/paths\" as paths;\nfn recv(req) {\n    if paths::is_asset(req.url) { return pass(); }\n    if req.url == \"/bad\" { paths::bad(req.url); }\n}",
    );
    let main = dir.join("site/main.rhai");
    let p = Policy::load(&main, env()).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(p.files().count(), 2);
    // Nothing is read again: other threads compile from memory.
    write("site/lib/paths.rhai", "broken(");
    let other = Arc::clone(&p);
    let result = std::thread::spawn(move || other.call(Hook::Recv, request("/a.css", &[])).1).join().expect("no panic");
    assert_eq!(result, Ok(Action::Pass));
    let f = p.call(Hook::Recv, request("/bad", &[])).1.expect_err("a fault");
    assert!(f.file.ends_with("site/lib/paths.rhai") && f.line == 4, "{f}");
    assert!(Policy::load(&main, env()).expect_err("broken module").list[0].file.ends_with("paths.rhai"));
    for path in ["../outside", "/etc/passwd", "lib/none", "lib//paths", ""] {
        write("site/main.rhai", &format!("import \"{path}\" as x;\nfn recv(req) {{ }}"));
        let e = Policy::load(&main, env()).expect_err(path);
        assert!(e.list[0].message.starts_with("cannot import"), "{e}");
    }
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(dir.join("outside.rhai"), dir.join("site/link.rhai")).expect("link");
        write("site/main.rhai", "import \"link\" as x;\nfn recv(req) { }");
        let e = Policy::load(&main, env()).expect_err("a link that leads out");
        assert!(e.to_string().contains("outside of the policy's folder"), "{e}");
    }
    std::fs::remove_dir_all(&dir).expect("removed");
    assert!(Policy::load(&main, env()).is_err());
}
