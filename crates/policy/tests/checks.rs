//! Golden messages: one for each thing that the checks find at load.

use copal_policy::{Acl, Environment, Policy};
use regex::Regex;
use std::sync::Arc;

fn env() -> Arc<Environment> {
    Arc::new(Environment {
        acls: [("purgers".to_owned(), Acl::default())].into(),
        backends: vec!["app1".into()],
        directors: vec!["app".into()],
        read_ban: |text| {
            if text.contains("obj.nope") { Err("there is no field obj.nope".to_owned()) } else { Ok(()) }
        },
        ..Environment::default()
    })
}

/// "line:column message (help)" of each finding.
fn findings(source: &str) -> Vec<String> {
    match Policy::compile("site.rhai", source, env()) {
        Ok(_) => Vec::new(),
        Err(e) => e
            .list
            .iter()
            .map(|d| {
                let help = d.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
                format!("{}:{} {}{help}", d.line, d.column, d.message)
            })
            .collect(),
    }
}

/// The one finding about a line in a hook.
fn in_hook(hook: &str, line: &str) -> String {
    let found = findings(&format!("fn {hook} {{\n    {line}\n}}"));
    assert_eq!(found.len(), 1, "{line}: {found:#?}");
    found[0].clone()
}

/// Hook, line, and what is said of it.
type Line = (&'static str, &'static str, &'static str);

/// One for each message about a line.
fn lines() -> Vec<Line> {
    let recv = "recv(req)";
    let deliver = "deliver(req, resp)";
    let response = "backend_response(bereq, beresp)";
    vec![
        (recv, "req.uri = \"/\";", "2:9 `req` has no variable `uri` (did you mean `url`?)"),
        (recv, "if req.cookies == 1 { }", "2:12 `req` has no variable `cookies` (did you mean `cookie`?)"),
        (recv, "std::log(req.headers);", "2:18 `req` has no variable `headers` (headers are at `.http`)"),
        (
            recv,
            "std::log(req.user_agent);",
            "2:18 `req` has no variable `user_agent` (a header is `req.http[\"user-agent\"]`)",
        ),
        (
            recv,
            "std::log(req.is_get_or_head);",
            "2:18 `req` has no variable `is_get_or_head` (it is a method: `req.is_get_or_head()`)",
        ),
        (
            recv,
            "std::log(req.http.X-Forwarded);",
            "2:25 there is no variable `Forwarded` here (a field with a dash is `req.http[\"x-forwarded\"]` or `req.http.x_forwarded`)",
        ),
        (
            recv,
            "hash_data(req.url);",
            "2:5 there is no function `hash_data` (`hash_data(x);` is `key.add(x);` in the hook `hash`)",
        ),
        (
            recv,
            "req.backend = req.vars[\"app\"].backend();",
            "2:35 there is no method `backend` (a director is named: `req.backend = director(\"name\");`)",
        ),
        (recv, "req.restarts = 1;", "2:9 `req.restarts` can only be read"),
        (recv, "req = 5;", "2:5 `req` cannot be assigned to"),
        (recv, "now = 5;", "2:5 `now` cannot be assigned to"),
        (recv, "std::log(rq.url);", "2:14 there is no variable `rq` here (did you mean `req`?)"),
        (
            recv,
            "std::log(beresp.ttl);",
            "2:14 there is no variable `beresp` here (`recv` does not have it; `backend_refresh`, `backend_response`, `backend_error` do)",
        ),
        (recv, "return pas();", "2:12 there is no function `pas` (did you mean `pass`?)"),
        (recv, "return pass;", "2:12 there is no variable `pass` here (an action or function is called: `pass()`)"),
        (
            recv,
            "return deliver();",
            "2:12 `recv` cannot return `deliver()` (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            recv,
            "if req.restarts > 1 { deliver() }",
            "2:27 `recv` cannot return `deliver()` (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`)",
        ),
        (
            deliver,
            "return pass();",
            "2:12 `deliver` cannot return `pass()` (it may return `deliver()`, `restart()`, `synth(status, reason)`, `fail(reason)`)",
        ),
        (
            recv,
            "if req.restarts > 1 { pass(); } req.url = \"/\";",
            "2:27 `pass` has no effect here: an action counts only when it is returned (write `return pass();`)",
        ),
        (
            recv,
            "return \"pass\";",
            "2:12 `recv` returns a value of type string, which is neither an action nor nothing (it may return `lookup()`, `pass()`, `pipe()`, `purge()`, `synth(status, reason)`, `redirect(status, location)`, `restart()`, `fail(reason)`, `policy(name)`; end with `()` to return nothing)",
        ),
        (
            recv,
            "return synth();",
            "2:12 `synth` does not take 0 arguments (write `synth(status: int, reason: string)`)",
        ),
        (recv, "if req.url.matches(\"(a\") { }", "2:24 not a valid regular expression: unclosed group"),
        (
            recv,
            "req.cookie.keep_matching(\"a{9999}{9999}\");",
            "2:30 not a valid regular expression: it is dangerous: it takes too much memory: use smaller repetitions",
        ),
        (
            recv,
            "if client.ip.within(\"purger\") { }",
            "2:25 the configuration has no ACL \"purger\" (did you mean `purgers`?)",
        ),
        (
            recv,
            "req.backend = backend(\"app2\");",
            "2:27 the configuration has no backend \"app2\" (did you mean `app1`?)",
        ),
        (
            recv,
            "req.backend = director(\"app1\");",
            "2:28 the configuration has no director \"app1\" (did you mean `app`?)",
        ),
        (recv, "req.backend = \"nowhere\";", "2:19 the configuration has no backend or director \"nowhere\""),
        (recv, "if std::healthy(\"nowhere\") { }", "2:21 the configuration has no backend or director \"nowhere\""),
        (recv, "std::logg(1);", "2:10 the module `std` has no function `logg` (did you mean `log`?)"),
        (recv, "qery::sort(req.url); ()", "2:5 there is no module `qery` (did you mean `query`?)"),
        (recv, "std::log(global::TTL);", "2:22 this file has no constant `TTL`"),
        (
            recv,
            "req.http.delete(\"x\");",
            "2:14 Headers has no method `delete` (fields are read as `.http[\"name\"]` and set by assigning to it)",
        ),
        (recv, "req.cookie.hass(\"x\"); ()", "2:16 Cookies has no method `hass` (did you mean `has`?)"),
        (recv, "req.cookie[\"a\"] = \"x\";", "2:16 Cookies has no `[…]` (write `.get(name)`)"),
        (recv, "req.http[\"x y\"] = \"a\";", "2:14 \"x y\" is not a valid header field name"),
        (
            deliver,
            "resp.http[\"Content-Length\"] = 5;",
            "2:15 `content-length` can only be read: it says where a body ends (Copal writes it for the body that it sends)",
        ),
        (
            response,
            "beresp.http.content_length = ();",
            "2:17 `content-length` can only be read: it says where a body ends (Copal writes it for the body that it sends)",
        ),
        (
            recv,
            "req.http.remove(\"transfer-encoding\");",
            "2:21 `transfer-encoding` can only be read: it says where a body ends (Copal writes it for the body that it sends)",
        ),
        (recv, "req.grace = \"1h\";", "2:9 `req.grace` takes Duration, not string (write duration(\"1h\"))"),
        (
            recv,
            "req.grace = duration(\"5 parsecs\");",
            "2:26 \"5 parsecs\" is not a duration: write \"250ms\", \"90s\", \"5m\", \"6h\", \"1d\", \"2w\" or \"1y\"",
        ),
        (
            recv,
            "if bytes(\"10 MegaB\") > 1 { }",
            "2:14 \"10 MegaB\" is not a size: write \"512B\", \"10KiB\", \"10MiB\" or \"1GiB\"",
        ),
        (recv, "if client.ip == std::ip(\"1.2.3\") { }", "2:29 \"1.2.3\" is not an IP address"),
        (recv, "import \"lib\" as l;", "2:5 `import` belongs at the top of the file"),
        (
            recv,
            "if req.is_hitmiss { }",
            "2:12 `req.is_hitmiss` cannot be read in `recv` (it can be read in `miss`, `pass`, `deliver`, `synth`)",
        ),
        (recv, "eval(\"1\");", "2:5 reserved keyword 'eval' is disabled"),
        (recv, "let x = ;", "2:13 unexpected ';'"),
        (
            deliver,
            "if resp.status == \"200\" { }",
            "2:20 comparing int with string is always the same (write the number without quotes)",
        ),
        (
            deliver,
            "resp.body = \"x\";",
            "2:10 `resp.body` cannot be written in `deliver` (it can be written in `synth`)",
        ),
        (recv, "req_top.http.x_a = \"1\";", "2:18 `req_top.http` can only be read"),
        ("hit(req, obj)", "obj.http.remove(\"x-a\"); ()", "2:21 `obj.http` can only be read"),
        (
            "backend_refresh(bereq, beresp, stale)",
            "stale.http.remove_matching(\"x-*\"); ()",
            "2:16 `stale.http` can only be read",
        ),
        (recv, "req.backend.nam == \"app1\"; ()", "2:17 a backend has no variable `nam` (did you mean `name`?)"),
        (
            recv,
            "if req.backend.healthy { return pass(); }",
            "2:20 a backend has no variable `healthy` (it is a method: `.healthy()`)",
        ),
        (recv, "req.backend.name = \"app1\";", "2:17 the name of a backend can only be read"),
        (deliver, "resp.status = \"404\";", "2:10 `resp.status` takes int, not string"),
        (deliver, "obj.ttl = duration(\"1s\");", "2:9 `obj.ttl` can only be read"),
        (response, "beresp.tll = duration(\"1s\");", "2:12 `beresp` has no variable `tll` (did you mean `ttl`?)"),
        (
            recv,
            "std::file(\"lists/bots\").contains(\"x\"); ()",
            "2:15 cannot read \"lists/bots\" (a policy that is not in a file has no folder to read from)",
        ),
        (
            recv,
            "return policy(\"shoop\");",
            "2:19 the configuration has no policy \"shoop\" (write `shoop = \"FILE.rhai\"` under `[policy.named]`)",
        ),
        (
            recv,
            "storage.imagez.happy; ()",
            "2:13 the configuration has no storage \"imagez\" (write `[store.imagez]` and its `size` into the configuration)",
        ),
        (recv, "std::file_exists(req.url); ()", "2:10 `std::file_exists` takes a literal path: it looks at load"),
        (recv, "std::file(req.url); ()", "2:10 `std::file` takes a literal path: the file is read at load"),
        (
            recv,
            "std::digest(\"sha265\", \"x\"); ()",
            "2:17 \"sha265\" is not a digest: write \"sha256\", \"sha384\", \"sha512\" or \"sha1\" (did you mean `sha256`?)",
        ),
        (
            recv,
            "jwt::verify(\"a\", \"none\", \"k\"); ()",
            "2:22 \"none\" is not an algorithm of tokens: write \"HS256\", \"RS256\" or \"ES256\"",
        ),
        (
            recv,
            "throttle::allowed(\"a\", \"10 per s\", 1); ()",
            "2:28 \"10 per s\" is not a rate: write \"10/s\", \"100/m\", \"1000/h\" or \"5/10s\"",
        ),
        (
            recv,
            "geo::country(client.ip); ()",
            "2:10 the configuration has no GeoIP database (write `geoip = \"FILE.mmdb\"` under `[policy]`)",
        ),
        (
            recv,
            "return pass(); req.url = \"/\";",
            "2:20 this is never reached (line 2 always leaves before it: remove it, or put it first)",
        ),
        (
            recv,
            "if req.restarts > 0 { return pass(); } else { throw \"x\"; } req.url = \"/\";",
            "2:64 this is never reached (line 2 always leaves before it: remove it, or put it first)",
        ),
        (
            recv,
            "for i in 0..3 { break; std::log(i); }",
            "2:33 this is never reached (line 2 always leaves before it: remove it, or put it first)",
        ),
        (
            recv,
            "let n = 0; loop { n += 1; if n > 5 { continue; } }",
            "2:16 this loop never ends (end it with `break` or `return`, or loop over a list with `for`)",
        ),
        (
            recv,
            "let n = 0; while true { n += 1; }",
            "2:16 this loop never ends (end it with `break` or `return`, or loop over a list with `for`)",
        ),
        (
            recv,
            "let n = 0; do { n += 1; } until false;",
            "2:16 this loop never ends (end it with `break` or `return`, or loop over a list with `for`)",
        ),
        (
            deliver,
            "if resp.status == 404 { return restart(); } restart()",
            "2:49 `deliver` restarts every request, so no response is ever sent (restart under a condition: `if req.restarts == 0 { return restart(); }`)",
        ),
        (
            response,
            "return pass();",
            "2:12 `backend_response` cannot return `pass()` (it may return `deliver()`, `pass(duration)`, `retry()`, `abandon()`, `error(status, reason)`, `fail(reason)`)",
        ),
        (
            recv,
            "ban(\"obj.nope == 1\"); ()",
            "2:9 this ban expression will always be refused (there is no field obj.nope)",
        ),
        (recv, "req.vars.lang = \"de\";", "2:14 Vars has no variable `lang` (write `[\"lang\"]`)"),
        (
            response,
            "beresp.do_esi = true;",
            "2:12 `beresp` has no variable `do_esi` (not there yet: Copal does no ESI, and a page goes out as it came, with its `<esi:include>`; put it together in the application, or let the browser fetch the part)",
        ),
        (
            response,
            "beresp.do_gzip = true;",
            "2:12 `beresp` has no variable `do_gzip` (not there yet: bodies are stored and sent as they come; let the application compress, with `Vary: Accept-Encoding`)",
        ),
        (
            recv,
            "sess.timeout_idle = duration(\"5s\");",
            "2:5 there is no variable `sess` here (the timeouts of a connection from a client are keys of its `[[listen]]`, and `sess.xid` is `req.xid`)",
        ),
        (recv, "if storage.hapy { return pass(); }", "2:16 `storage` has no variable `hapy` (did you mean `happy`?)"),
        (recv, "req.url.shorten();", "2:13 there is no method `shorten`"),
        (
            recv,
            "if req.url.matches(`(\\w{1,200}){20}`) { }",
            "2:24 not a valid regular expression: it is dangerous: it takes too much memory: use smaller repetitions",
        ),
        (
            recv,
            "if req.url.matches(\"([0-9a-f]{400}){20}\") { }",
            "2:24 not a valid regular expression: it is dangerous: it has 8005 states, and 4000 are allowed, as each can take part in every step through the text: use smaller repetitions, and `[0-9]` or `[a-z]` instead of `\\d` or `\\w`",
        ),
        (
            recv,
            "if req.http[\"x-a\"] { return pass(); }",
            "2:8 a condition is a boolean, and this is the text of `req.http[\"x-a\"]`, or `()` (is the field there? `req.http.has(\"x-a\")`)",
        ),
        (recv, "let match = 1;", "2:9 `match` is a reserved word of Rhai"),
    ]
}

#[test]
fn golden() {
    for (hook, line, expected) in lines() {
        assert_eq!(in_hook(hook, line), expected, "{line}");
    }
}

/// One for each message about a file.
fn files() -> Vec<(&'static str, &'static str)> {
    vec![
        ("fn recieve(req) { }", "1:4 `recieve` is not a hook, and nothing calls it (did you mean `recv`?)"),
        ("fn delivr(req, resp) { }", "1:4 `delivr` is not a hook, and nothing calls it (did you mean `deliver`?)"),
        ("fn vcl_recv(req) { }", "1:4 `vcl_recv` is not a hook, and nothing calls it (did you mean `recv`?)"),
        ("fn deliver(req) { }", "1:4 the hook `deliver` has other parameters (write `fn deliver(req, resp)`)"),
        ("fn hit(req, o) { }", "1:4 the hook `hit` has other parameters (write `fn hit(req, obj)`)"),
        ("fn restart() { }", "1:4 this function would hide Copal's own function `restart` (give it another name)"),
        ("fn within(acl) { }", "1:4 this function would hide Copal's own method `within` (give it another name)"),
        (
            "let x = 5;",
            "1:1 a policy has no variables outside of its functions (write `const`, and `global::NAME` where it is used; what a request carries along goes into `req.vars`)",
        ),
        (
            "print(\"x\");",
            "1:1 outside of functions a policy has only `import` and `const` (statements go into hooks, as in `fn recv(req) { … }`; what is to run once goes into `fn init() { … }`)",
        ),
        (
            "import \"lib/x\" as x;",
            "1:8 cannot import \"lib/x\" (a policy that is not in a file has no folder to import from)",
        ),
        (
            "const A = 1;\nfn recv(req) { std::log(A); }",
            "2:25 there is no variable `A` here (a constant of the file is `global::A`)",
        ),
        (
            "fn h() { client.ip }\nfn recv(req) { h(); pass() }",
            "1:10 there is no variable `client` here (a script's own functions see what is passed to them: add the parameter `client`)",
        ),
        ("fn h(a) { a }\nfn recv(req) { h(1, 2); pass() }", "2:16 `h` takes 1 arguments, not 2"),
        (
            "fn guard(req) { if req.http.has(\"cookie\") { return synth(403); } }\nfn recv(req) { guard(req); req.http.x_a = \"1\"; }",
            "2:16 `guard` may return an action, which has no effect here (write `let action = guard(req); if action != () { return action; }`)",
        ),
    ]
}

#[test]
fn what_is_no_boolean_is_no_condition() {
    let text = "compare it: `… != \"\"`, or `… != ()` where it may be missing";
    let field = |name: &str| {
        (
            format!("the text of `req.http[\"{name}\"]`, or `()`"),
            format!("is the field there? `req.http.has(\"{name}\")`"),
        )
    };
    let is = |what: &str, help: &str| (what.to_owned(), help.to_owned());
    for (line, column, (what, help)) in [
        ("if req.http.x_a && req.restarts == 0 { return pass(); }", 8, field("x-a")),
        ("if req.restarts == 0 || req.http[\"x-a\"] { return pass(); }", 29, field("x-a")),
        ("if !req.http.host { return pass(); }", 9, field("host")),
        ("req.url = if req.http.x_a { \"/a\" } else { \"/b\" };", 18, field("x-a")),
        ("if !req.url { return pass(); }", 9, is("a string", text)),
        ("if req.body { return pass(); }", 8, is("a string", text)),
        ("if req.http.x_a ?? \"\" { return pass(); }", 8, is("a string", text)),
        ("if \"a\" + req.url { return pass(); }", 12, is("a string", text)),
        ("if query::get(req.url, \"a\") { return pass(); }", 15, is("a string", text)),
        ("let n = 0; while req.restarts { n += 1; if n > 3 { break; } }", 22, is("of type int", "compare it: `… > 0`")),
        ("let n = 0; do { n += 1; } while req.url.len();", 37, is("of type int", "compare it: `… > 0`")),
        ("if now.unix() { return pass(); }", 8, is("of type float", "compare it: `… > 0`")),
        (
            "if req.grace { return pass(); }",
            8,
            is("of type Duration", "compare it: `… > duration(\"0s\")`, or `… != ()` where it may be unset"),
        ),
        (
            "if req.url.captures(\"a(b)\") { return pass(); }",
            8,
            is("of type Array", "ask `… != ()` of what may be missing, or `….len() > 0`"),
        ),
        ("if req.cookie { return pass(); }", 8, is("of type Cookies", "ask for one of them: `.has(\"name\")`")),
        ("if req.vars { return pass(); }", 8, is("of type Vars", "ask for one of them: `.has(\"name\")`")),
        ("if pass() { return lookup(); }", 8, is("an action", "an action is returned: `if … { return pass(); }`")),
        (
            "if req.http.remove(\"x-a\") { return pass(); }",
            8,
            is("`()`, nothing", "it gives nothing that could be asked"),
        ),
        ("if req.backend { return pass(); }", 8, is("of type Backend", "compare it: `… != ()`, or ask `.healthy()`")),
        (
            "if client.ip { return pass(); }",
            8,
            is("of type Address", "compare it: `… == \"10.0.0.1\"`, or ask `.within(\"acl\")`"),
        ),
        ("if now { return pass(); }", 8, is("of type Time", "compare it")),
        ("if client { return pass(); }", 8, is("of type Client", "it is always there: ask for something of it")),
        ("switch req.url { \"/\" if req.http.x_a => return pass(), _ => return }", 29, field("x-a")),
    ] {
        let expected = format!("2:{column} a condition is a boolean, and this is {what} ({help})");
        assert_eq!(in_hook("recv(req)", line), expected, "{line}");
    }
    let valid = r#"
        fn there(x) { x }
        fn recv(req) {
            let known = req.http.x_a != ();
            let other = there(true);
            if known && other && !there(req.is_get_or_head()) { return pass(); }
            if req.vars["seen"] || req.vars["seen"] ?? false { return pass(); }
            if json::get(req.body ?? "{}", "/yes") { return pass(); }
            if (if known { true } else { false }) || [true, false][0] { return pass(); }
            if ["a"].contains(req.url) && #{ a: true }.a { return pass(); }
            if req.body == () || req.body_size == () || req.backend == () || req.grace == () { return lookup(); }
            if (req.body ?? "") == "a" && (req.body_size ?? 0) > 5 { return lookup(); }
            let n = 0;
            loop { n += 1; if n > 3 { break; } }
            switch n { 1 if known => return pass(), 2 => return lookup(), _ => return }
        }
    "#;
    assert_eq!(findings(valid), [""; 0]);
}

#[test]
fn an_action_of_an_own_function_is_not_dropped() {
    let dropped = |functions: &str, line: &str| findings(&format!("fn recv(req) {{\n    {line}\n}}\n{functions}"));
    let said = |column: usize, name: &str, call: &str| {
        [format!(
            "2:{column} `{name}` may return an action, which has no effect here (write `let action = {call}; if action != () {{ return action; }}`)"
        )]
    };
    let twice = "fn a(req) { let action = b(req); if action != () { return action; } }\nfn b(req) { if req.restarts > 0 { fail() } else { () } }";
    assert_eq!(dropped(twice, "a(req); req.url = \"/\";"), said(5, "a", "a(req)"));
    let around = "fn a(req) { if req.restarts > 9 { a(req); } else { b(req) } }\nfn b(req) { switch req.url { \"/\" => pass(), _ => a(req) } }";
    assert_eq!(dropped(around, "for i in 0..2 { b(req); }"), said(21, "b", "b(req)"));
    let this = "fn stop() { let action = (); try { action = synth(403); } catch { } action }";
    assert_eq!(dropped(this, "req.stop(); req.url = \"/\";"), said(9, "stop", "….stop()"));
    let valid = "fn guard_a(req) { if req.restarts > 0 { return pass(); } }\nfn guard_b(req) { guard_a(req) }\nfn guard_c(req) { if req.restarts > 0 { guard_a(req); } }\n\
                 fn guard_d(req) { let seen = guard_b(req) != (); seen }\nfn guard_e(req) { throw pass(); }";
    for line in [
        "guard_a(req)",
        "guard_b(req);",
        "if req.restarts == 0 { guard_c(req); }",
        "guard_d(req); guard_e(req); let x = guard_a(req); x",
        "return guard_b(req);",
    ] {
        assert_eq!(dropped(valid, line), [""; 0], "{line}");
    }
}

#[test]
fn golden_for_whole_files() {
    for (source, expected) in files() {
        assert_eq!(findings(source), [expected], "{source}");
    }
}

/// A policy in a folder with the module `lib` and one that imports itself, and what is said of it.
const WITH_MODULES: &[(&str, &str)] = &[
    (
        "import \"lib\" as l;\nfn recv(req) { l::gree(req); pass() }",
        "2:19 the module `l` has no function `gree` (did you mean `greet`?)",
    ),
    ("import \"lib\" as l;\nfn recv(req) { l::greet(); pass() }", "2:19 `l::greet` takes 1 arguments, not 0"),
    (
        "import \"lib\" as l;\nfn recv(req) { l::guard(req.http); pass() }",
        "2:19 `l::guard` may return an action, which has no effect here (write `let action = l::guard(…); if action != () { return action; }`)",
    ),
    ("import \"own\" as o;\nfn recv(req) { pass() }", "1:8 module \"own\" imports itself"),
    ("const L = \"lib\";\nimport L as l;\nfn recv(req) { pass() }", "2:1 `import` takes a literal path"),
];

#[test]
fn golden_for_modules() {
    let folder = std::env::temp_dir().join(format!("copal-checks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("lib.rhai"), "fn greet(r) { r }\nfn guard(http) { if http.has(\"x\") { pass() } }\n")
        .expect("a file");
    std::fs::write(folder.join("own.rhai"), "import \"own\" as me;\nfn f() { 1 }\n").expect("a file");
    for (source, expected) in WITH_MODULES {
        let file = folder.join("site.rhai");
        std::fs::write(&file, source).expect("a file");
        let found = Policy::load(&file, env()).expect_err(source);
        let d = &found.list[0];
        let help = d.help.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
        assert_eq!(format!("{}:{} {}{help}", d.line, d.column, d.message), *expected, "{source}");
    }
    std::fs::remove_dir_all(&folder).expect("removed");
}

/// What the host cannot carry out.
const UNAVAILABLE: [&str; 3] = [
    "2:32 `pipe()` is not available in this version",
    "3:5 `policy(name)` is not available in this version",
    "5:4 the hook `pipe` is not available in this version",
];

/// Messages that are made elsewhere, by the name that stands where they are reported.
const ELSEWHERE: &[(&str, &str)] = &[
    ("not_a_duration", "is not a duration"),
    ("not_a_size", "is not a size"),
    ("not_an_address", "is not an IP address"),
    ("not_a_digest", "is not a digest"),
    ("not_an_algorithm", "is not an algorithm of tokens"),
    ("not_a_rate", "is not a rate"),
    ("NO_DATABASE", "has no GeoIP database"),
    ("parse_message", "is a reserved word"),
];

/// What stands between the parentheses that begin at `at`.
fn arguments(source: &str, at: usize) -> &str {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (i, c) in source[at..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return &source[at + 1..at + i];
                }
            }
            _ => {}
        }
    }
    panic!("a call without an end")
}

/// The message of each `report(…)` of the checks, as an expression that its goldens match.
fn reported() -> Vec<(String, Regex)> {
    let literal = Regex::new(r#""((?:[^"\\]|\\.)*)""#).expect("valid");
    let bound = Regex::new(r#"message\s*=\s*(?:format!\()?\s*"((?:[^"\\]|\\.)*)""#).expect("valid");
    let hole = Regex::new(r"\\\{[^{}]*\\\}").expect("valid");
    let mut all = Vec::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/check")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let source = std::fs::read_to_string(&path).expect("a file");
        for (at, _) in source.match_indices("report(").filter(|(at, _)| !source[..*at].ends_with("fn ")) {
            let call = arguments(&source, at + "report".len());
            let place = format!("{}:{}", path.display(), source[..at].lines().count());
            if let Some((_, words)) = ELSEWHERE.iter().find(|(name, _)| call.contains(name)) {
                all.push((place, Regex::new(&regex::escape(words)).expect("valid")));
                continue;
            }
            // The message is the argument after the place; a name stands for what it was last bound to.
            let direct = literal.captures(call).filter(|_| !call.contains(" message,"));
            let found = direct
                .or_else(|| bound.captures_iter(&source[..at]).last())
                .or_else(|| bound.captures(&source[at..]))
                .unwrap_or_else(|| panic!("{place}: no message: {call}"));
            let words = found[1].replace("\\\"", "\"");
            let words = hole.replace_all(&regex::escape(&words), ".*").into_owned();
            all.push((place, Regex::new(&format!("^[0-9]+:[0-9]+ {words}( \\(|$)")).expect("valid")));
        }
    }
    all
}

#[test]
fn every_message_of_the_checks_has_a_golden() {
    let goldens: Vec<&str> = lines()
        .iter()
        .map(|l| l.2)
        .chain(files().iter().map(|f| f.1))
        .chain(WITH_MODULES.iter().map(|m| m.1))
        .chain(UNAVAILABLE)
        .collect();
    let all = reported();
    assert!(all.len() > 45, "the checks report {} messages: is this test reading them?", all.len());
    for (place, message) in all {
        assert!(goldens.iter().any(|g| message.is_match(g)), "{place}: no golden for {message}");
    }
}

#[test]
fn everything_is_found_at_once_and_in_order() {
    let found = findings(
        "fn recv(req) {\n    req.uri = \"/\";\n    return deliver();\n}\nfn delivre(req, resp) { resp.hits = 1; }\nfn hash(req, key) { key.ad(1); }",
    );
    let places: Vec<&str> = found.iter().filter_map(|f| f.split(' ').next()).collect();
    assert_eq!(places, ["2:9", "3:12", "5:4", "6:25"], "{found:#?}");
}

#[test]
fn what_is_still_vcl_is_told_line_by_line() {
    let source = "import std;\nacl local { }\nfn recv(req) {\n    set req.http.host = std.tolower(req.http.host);\n    \
                  if (client.ip ~ local) { return pass(); } elsif (req.url == \"/\") { }\n    req.grace = 1h;\n    \
                  req.url = regsub(req.url, \"a\", \"b\");\n}\n# old\nsub vcl_deliver { call name; unset resp.http.a; }";
    let found = findings(source);
    let parser: Vec<&String> = found.iter().filter(|f| !f.contains("this is VCL")).collect();
    assert!(parser.len() == 1 && parser[0].starts_with("2:5 "), "what the parser says comes, too: {found:#?}");
    let told: Vec<&str> = found.iter().filter(|f| f.contains("this is VCL")).map(String::as_str).collect();
    assert_eq!(
        told,
        [
            "1:1 this is VCL (modules such as `std` are there without an import)",
            "2:1 this is VCL (access lists are in copal.toml: `[acl]` with `name = [\"10.0.0.0/8\"]`)",
            "4:5 this is VCL (`set a = b;` is `a = b;`)",
            "4:25 this is VCL (modules are written with `::`, as in `std::log(\"x\")`)",
            "5:19 this is VCL (`a ~ \"re\"` is `a.matches(\"re\")`; with an access list `client.ip.within(\"name\")`)",
            "5:47 this is VCL (`elsif` is `else if`)",
            "6:17 this is VCL (a duration is `duration(\"1h\")`)",
            "7:15 this is VCL (`regsub(a, \"re\", \"x\")` is `a.replace_re(\"re\", \"x\")`)",
            "9:1 this is VCL (a comment begins with `//`)",
            "10:1 this is VCL (`sub vcl_recv { … }` is `fn recv(req) { … }`; a subroutine of one's own is `fn name(req) { … }`)",
        ]
    );
}

#[test]
fn findings_are_shown_with_their_line_and_as_data() {
    let e = Policy::compile("site.rhai", "fn recv(req) {\n    req.uri = \"/\";\n}", env()).expect_err("wrong");
    assert_eq!(
        e.to_string(),
        "error: `req` has no variable `uri`\n --> site.rhai:2:9\n  |\n2 |     req.uri = \"/\";\n  |         ^^^\n  |\nhelp: did you mean `url`?"
    );
}

#[test]
fn what_is_right_is_not_complained_about() {
    let source = r#"
        const TTL = duration("1h");
        fn is_admin(req, client) { req.url.starts_with("/admin") && client.ip.within("purgers") }
        fn strip(http) { http.remove("x-a"); http["x-b"] = 5; }
        fn recv(req) {
            let h = req.http;
            strip(h);
            if is_admin(req, client) { return pass(); }
            let lang = switch req.http.accept_language { "de" => "de", _ => "en" };
            let n2 = 0;
            let list = ["a", "b"].filter(|x| x != "a");
            for (name, i) in list { std::log(`${i} ${name}`); }
            do { n2 += 1; if n2 > 5 { break; } } while true;
            loop { if n2 > 7 { return; } n2 += 1; }
            if n2 > 3 { return; } else { n2 = 0; }
            let n = 0;
            while n < 3 { n += 1; if n == 2 { break; } }
            try { req.http["x"] = lang; } catch (err) { std::log(err); }
            if req.backend == () && req.grace == () { req.backend = backend("app1"); }
            if req.url.len() > 100 || req.url.to_lower().contains("x") { return synth(414); }
            if req.http["x-forwarded-for"] != () && (req.http.x_api ?? "").len() > 3 { return redirect(302, "https://" + req.http.host + req.url); }
            req.vars["lang"] = lang;
            if true { pass() } else { lookup() }
        }
        fn backend_response(bereq, beresp) {
            beresp.ttl = global::TTL;
            if beresp.ttl <= duration("0s") || beresp.http.cache_control.matches("private") { beresp.uncacheable = true; return pass(duration("2m")); }
        }
        fn deliver(req, resp) { resp.http["x-age"] = obj.age; resp.http.via = (); }
        fn synth(req, resp) { if resp.status == 1750 { resp.status = 301; resp.http.location = "/"; return deliver(); } resp.body = `<p>${resp.reason}</p>`; }
    "#;
    assert_eq!(findings(source), [""; 0]);
}

#[test]
fn what_the_host_cannot_carry_out_is_refused_at_load() {
    use copal_policy::ActionKind;
    let env = Arc::new(Environment {
        unavailable: vec![ActionKind::Pipe, ActionKind::Policy],
        policies: vec!["x".into()],
        ..Environment::default()
    });
    let source = "fn recv(req) {\n    if req.url == \"/\" { return pipe(); }\n    policy(\"x\")\n}\nfn pipe(req, bereq) { synth(400) }";
    let found = Policy::compile("site.rhai", source, env).expect_err("none of this is available");
    let found: Vec<String> = found.list.iter().map(|d| format!("{}:{} {}", d.line, d.column, d.message)).collect();
    assert_eq!(found, UNAVAILABLE);
}

#[test]
fn a_policy_that_the_configuration_does_not_name_is_found_at_load() {
    let env = Arc::new(Environment { policies: vec!["shop".into(), "blog".into()], ..Environment::default() });
    let check = |name: &str| {
        let source = format!("fn recv(req) {{\n    return policy(\"{name}\");\n}}");
        Policy::compile("site.rhai", &source, Arc::clone(&env)).map(drop).map_err(|found| found.list)
    };
    assert_eq!(check("shop"), Ok(()));
    let near = check("shpo").expect_err("no such policy");
    assert_eq!((near[0].line, near[0].column, near.len()), (2, 19, 1));
    assert_eq!(near[0].message, "the configuration has no policy \"shpo\"");
    assert!(near[0].help.as_deref().is_some_and(|help| help.contains("shop")), "{near:?}");
    let far = check("wiki").expect_err("no such policy");
    assert!(far[0].help.as_deref().is_some_and(|help| help.contains("[policy.named]")), "{far:?}");
}
