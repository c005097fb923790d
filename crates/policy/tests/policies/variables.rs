//! Policies at work: what hooks read and write: heads, cookies, variables, and what the library makes of text and time.

use super::{env, fault, logged, policy, recv, request};
use copal_policy::{Action, Environment, FaultKind, Hook, ObjectVars, Policy, ScriptValue};
use copal_semantics::{ResponseHead, Span, Time};
use std::sync::Arc;

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
        "req.http[\"x\"] = [\"a\\r\\nb: c\"][0];",
        "req.http[\"x y\".to_lower()] = \"a\";",
        "req.http.append(\"x\", [\"a\\nb\"][0]);",
        "req.url = [\"/a b\"][0];",
        "req.url = [\"http://x/\"][0];",
        "req.method = [\"GET /\"][0];",
        "req.cookie.set(\"a\", [\"b; c=d\"][0]);",
        "return synth(200, [\"a\\r\\nb\"][0]);",
        "return redirect(301, [\"/a\\nb\"][0]);",
    ] {
        let f = fault(body);
        assert_eq!((f.kind, f.file.as_str(), f.line), (FaultKind::Framing, "site.rhai", 2), "{body}: {f}");
    }
    // Written out, such a name is refused at load.
    for body in [
        "let name = [\"content-length\"]; req.http[name[0]] = 5;",
        "let name = [\"Transfer-Encoding\"]; req.http.remove(name[0]);",
    ] {
        assert_eq!(fault(body).kind, FaultKind::ReadOnly, "{body}");
    }
    let p = policy("fn deliver(req, resp) { let name = [\"Content-Length\"]; resp.http[name[0]] = 5; }");
    assert_eq!(p.call(Hook::Deliver, request("/", &[])).1.expect_err("refused").kind, FaultKind::ReadOnly);
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
        std::log(req.backend == () && std::healthy(req.backend_hint) && req.backend.healthy());
        req.backend = "app2"; std::log(std::healthy(req.backend_hint) || req.backend.healthy() || std::healthy(backend("app2")));
        try { throw "thrown"; } catch (e) { std::log(e); }
        try { req.url = ["bad"][0]; } catch (e) { std::log(`${e}`); }
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
        "true",
        "false",
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
fn what_comes_from_outside_has_a_fallback() {
    let s = request(
        "/?n=x",
        &[
            ("x-n", "17"),
            ("x-r", "inf"),
            ("x-t", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("accept-encoding", "br, GZip;q=0.5"),
        ],
    );
    let lines = logged(
        r#"
        std::log(std::integer(req.http.x_n, 1) + std::integer(req.http.none, 2) + std::integer("4x", 3));
        std::log(std::real(req.http.x_r, 1.5)); std::log(std::real((), 2.5));
        std::log(std::time(req.http.x_t, now).unix()); std::log(std::time("x", now) == now);
        std::log(bytes(req.http.x_n, 1) + bytes(req.http.none, 2) + bytes("lots", 3));
        std::log(req.can_gzip);
        req.http.accept_encoding = "gzip;q=0.0, br"; std::log(req.can_gzip);
        req.ttl = duration("5s"); std::log(req.max_age);
        req.backend = backend("app1"); std::log(req.backend.name);
        "#,
        s,
    );
    assert_eq!(lines, ["22", "1.5", "2.5", "784111777", "true", "22", "true", "false", "5.000", "app1"]);
}

#[test]
fn a_rate_holds_across_threads_and_policies_and_follows_the_clock_of_the_host() {
    let text =
        "fn recv(req) { if throttle::allowed(client.identity, \"60/m\", 5) { return pass(); } return synth(429); }";
    let shared = env();
    let policies =
        [0, 1].map(|_| Policy::compile("site.rhai", text, Arc::clone(&shared)).unwrap_or_else(|e| panic!("{e}")));
    let ask = |p: &Arc<Policy>, second: i64| {
        let mut s = request("/", &[]);
        s.now = Time::from_secs(1_700_000_000 + second);
        p.call(Hook::Recv, s).1 == Ok(Action::Pass)
    };
    let passed: usize = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..4)
            .map(|i| {
                let (p, ask) = (&policies[i % 2], &ask);
                scope.spawn(move || (0..10).filter(|_| ask(p, 0)).count())
            })
            .collect();
        runs.into_iter().map(|r| r.join().expect("no panic")).sum()
    });
    assert_eq!(passed, 5);
    assert_eq!([1, 1, 3, 3, 3].map(|second| ask(&policies[0], second)), [true, false, true, true, false]);
}

#[test]
fn a_response_without_an_object_counts_as_never_delivered_and_not_stored() {
    let text = "fn deliver(req, resp) { resp.http[\"x\"] = `${obj.hits} ${obj.uncacheable} ${obj.ttl} ${obj.age}`; }";
    let policy = Policy::compile("p", text, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
    let (scene, result) = policy.call(Hook::Deliver, Box::default());
    assert_eq!(result, Ok(Action::Default));
    assert_eq!(scene.resp.headers.get("x"), Some(&b"0 true 0.000 0.000"[..]));
}

/// Runs `recv` natively and interpreted; the lines that both log.
fn both(source: &str, headers: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let of = |interpret: bool| {
        let env = Environment { interpret, ..Environment::clone(&super::env()) };
        let policy = Policy::compile("site.rhai", source, Arc::new(env)).map_err(|e| e.to_string())?;
        let (scene, result) = policy.call(Hook::Recv, request("/a", headers));
        result.map(|_| scene.log).map_err(|f| f.to_string())
    };
    let (native, interpreted) = (of(false), of(true));
    assert_eq!(native, interpreted, "{source}");
    native
}

#[test]
fn what_looks_at_a_text_takes_a_missing_one_for_the_empty_text() {
    let source = r#"fn recv(req) {
        let x = req.http.x_a;
        std::log(`${x.contains("a")} ${x.starts_with("a")} ${x.ends_with("a")} ${x.contains("")} ${x.len()} ${x.matches("a")}`);
        std::log(`${x.split(",").len()} ${x.is_empty()} [${x.to_lower()}] [${x.to_upper()}]`);
        std::log(`[${std::tolower(x)}] [${std::toupper(x)}] [${std::escape_html(x)}] [${url::path(x)}] [${url::query(x)}]`);
        std::log(`[${url::decode(x)}] [${url::encode(x)}] [${url::extension(x)}] ${query::get(x, "a") == ()}`);
    }"#;
    let missing = both(source, &[]).expect("no fault");
    assert_eq!(missing, ["false false false true 0 false", "0 true [] []", "[] [] [] [] []", "[] [] [] true"],);
    let given = both(source, &[("x-a", "Ab.c?a=1")]).expect("no fault");
    assert_eq!(given[2], "[ab.c?a=1] [AB.C?A=1] [Ab.c?a=1] [Ab.c] [a=1]");
}

#[test]
fn cookie_lines_are_joined_as_cookies() {
    let source = r#"fn recv(req) {
        std::log(req.http.collect("cookie"));
        std::log(req.http.collect("accept"));
        std::log(req.http.collect("x-a", " | "));
        std::log(`${req.cookie.get("b")} ${req.http.all("cookie").len()} ${req.http.collect("x-none") == ()}`);
    }"#;
    let fields = [("cookie", "a=1"), ("cookie", "b=2"), ("accept", "x"), ("accept", "y"), ("x-a", "1"), ("x-a", "2")];
    let logged = both(source, &fields).expect("no fault");
    assert_eq!(logged, ["a=1; b=2", "x, y", "1 | 2", "2 1 true"]);
}

#[test]
fn constants_are_known_when_a_hook_is_compiled() {
    let source = r#"
        const BOTS = "(?i)bot|crawl";
        const MADE = "^/" + "a";
        const NAMES = ["x-a", "x-b"];
        const HOUR = duration("1h");
        const MANY = 3;
        const ON = true;
        fn recv(req) {
            if global::ON && req.http.user_agent.matches(global::BOTS) && req.url.matches(global::MADE) {
                req.grace = global::HOUR;
                std::log(`${global::MANY} ${global::NAMES.contains("x-b")} ${req.url.replace_re(global::MADE, "/z")}`);
            }
        }"#;
    let policy = policy(source);
    assert!(policy.native().has(Hook::Recv), "{:?}", policy.interpreted());
    assert_eq!(both(source, &[("user-agent", "a Bot")]).expect("no fault"), ["3 true /z"]);
}

#[test]
fn the_scripts_own_texts_are_never_too_many_expressions() {
    let tests: String = (0..40).map(|n| format!("fits(req.url, \"^/x{n}$\");\n")).collect();
    let constants: String = (0..20).map(|n| format!("const C{n} = \"^/c{n}\" + \"$\";\n")).collect();
    let uses: String = (0..20).map(|n| format!("if req.url.matches(global::C{n}) {{ return pass(); }}\n")).collect();
    let list: String = (0..20).map(|n| format!("\"^/l{n}$\", ")).collect();
    let source = format!(
        "{constants}fn fits(u, p) {{ u.matches(p) }}\nfn recv(req) {{\n{tests}{uses}for p in [{list}] {{ if req.url.matches(p) {{ return pass(); }} }}\nstd::log(\"through\"); }}"
    );
    assert_eq!(both(&source, &[]).expect("no fault"), ["through"]);
    let chosen = "fn recv(req) { for n in 0..40 { if req.url.matches(`^/${n}$`) { return pass(); } } }";
    assert!(both(chosen, &[]).expect_err("made at run time").contains("too many regular expressions"));
}

#[test]
fn an_expression_put_together_in_a_constant_is_looked_at_when_the_policy_is_loaded() {
    let source =
        "const BAD = std::tolower(\"(AB\");\nfn recv(req) {\n    if req.url.matches(global::BAD) { return pass(); }\n}";
    let refused = Policy::compile("site.rhai", source, super::env()).expect_err("no expression").to_string();
    assert!(refused.contains("site.rhai:3:32") && refused.contains("unclosed group"), "{refused}");
    let written = "const BAD = \"(ab\";\nfn recv(req) {\n    if req.url.matches(global::BAD) { return pass(); }\n}";
    let refused = Policy::compile("site.rhai", written, super::env()).expect_err("no expression").to_string();
    assert!(refused.contains("site.rhai:3:24") && refused.contains("unclosed group"), "{refused}");
}

#[test]
fn an_address_may_stand_with_a_port() {
    let source = r#"fn recv(req) {
        for text in ["203.0.113.7", " 203.0.113.7:51234 ", "[2001:db8::1]:80", "2001:db8::1", "203.0.113.7:x", "a:80", ""] {
            std::log(`${std::ip(text, client.ip)}`);
        }
    }"#;
    let given = ["203.0.113.7", "203.0.113.7", "2001:db8::1", "2001:db8::1", "10.1.2.3", "10.1.2.3", "10.1.2.3"];
    assert_eq!(both(source, &[]).expect("no fault"), given);
}
