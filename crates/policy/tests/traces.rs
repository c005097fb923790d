//! Every function that changes something is seen to do so in a trace, with its line: the table of functions, through its
//! examples.

mod stage;

use copal_policy::examples::EXAMPLES;
use copal_policy::functions::FUNCTIONS;
use copal_policy::vars::VARS;
use copal_policy::{Did, Environment, HOOKS, Hook, Invalidate, Policy};
use copal_semantics::{Span, Time};
use stage::{Folder, env, hook_of, scene};
use std::sync::{Arc, Mutex};

/// The functions that change something: the request or the response, the key, what is stored, counted or logged. The
/// test fails for one that is missing here, and for one that tells nothing.
const CHANGING: [&str; 28] = [
    "Cookies.keep",
    "Cookies.keep_matching",
    "Cookies.remove",
    "Cookies.remove_matching",
    "Cookies.set",
    "Headers.append",
    "Headers.collect",
    "Headers.remove",
    "Headers.remove_lines",
    "Headers.remove_matching",
    "Key.add",
    "Key.add_body",
    "Response.cors",
    "Response.harden",
    "Vars.clear",
    "Vars.remove",
    "ban",
    "purge::hard",
    "purge::soft",
    "std::cache_req_body",
    "std::denylist",
    "std::log",
    "std::rollback",
    "tags::purge",
    "tags::soft_purge",
    "throttle::allowed",
    "throttle::forget",
    "throttle::give_back",
];

/// Notes what it is asked to drop.
#[derive(Default)]
struct Dropped(Mutex<Vec<String>>);

impl Dropped {
    fn add(&self, what: String) {
        self.0.lock().expect("no panic").push(what);
    }
}

impl Invalidate for Dropped {
    fn purge_tags(&self, tags: &[&[u8]], soft: bool, _now: Time) -> u64 {
        self.add(format!("{tags:?} {soft}"));
        2
    }

    fn purge_key(&self, key: &[u8], soft: Option<Span>, _now: Time) -> u64 {
        self.add(format!("{key:?} {soft:?}"));
        1
    }

    fn ban(&self, expression: &str, _now: Time) -> Result<(), String> {
        self.add(expression.to_owned());
        if expression.contains("bad") { Err("planted".to_owned()) } else { Ok(()) }
    }
}

/// The statements of an example: what `; ` parts, outside of texts and blocks.
fn statements(code: &str) -> Vec<&str> {
    let (mut list, mut start, mut depth, mut quote, mut last) = (Vec::new(), 0, 0, None, ' ');
    for (at, c) in code.char_indices() {
        match (c, quote) {
            ('"' | '`', None) => quote = Some(c),
            (c, Some(q)) if c == q && last != '\\' => quote = None,
            ('{', None) => depth += 1,
            ('}', None) => depth -= 1,
            (';', None) if depth == 0 => {
                list.push(code[start..=at].trim());
                start = at + 1;
            }
            _ => {}
        }
        last = c;
    }
    list.push(code[start..].trim());
    list.retain(|s| !s.is_empty());
    list
}

/// What statements leave behind, and the lines on which a trace says that something is written.
fn outcome(folder: &Folder, hook: Hook, statements: &[String], interpret: bool) -> (String, Vec<usize>) {
    let dropped = Arc::new(Dropped::default());
    let env = Environment { invalidate: dropped.clone(), interpret, ..Environment::clone(&env(&folder.0)) };
    let env = Arc::new(env);
    let text = format!("fn {}({}) {{\n{}\n()\n}}", hook.name(), hook.row().params.join(", "), statements.join("\n"));
    let file = folder.0.join("site.rhai");
    std::fs::write(&file, &text).expect("file");
    let policy = Policy::load(&file, Arc::clone(&env)).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let traced = policy.call_traced(hook, scene());
    traced.result.unwrap_or_else(|e| panic!("{text}\n{e}"));
    let counted = Policy::compile(
        "counted.rhai",
        "fn recv(req) { for k in [\"192.0.2.7\", \"x\", \"y\", \"z\"] { std::log(throttle::remaining(k, \"1/m\", 1)); } }",
        env,
    );
    let counted = counted.expect("valid").call(Hook::Recv, scene()).0.log;
    let gone = dropped.0.lock().expect("no panic").clone();
    let lines = traced.notes.iter().filter(|n| n.did == Did::Wrote).map(|n| n.line).collect();
    (format!("{:?} {counted:?} {gone:?}", traced.scene), lines)
}

#[test]
fn every_function_that_changes_something_is_told_with_its_line() {
    let folder = Folder::new("traces");
    for interpret in [false, true] {
        let mut changing = Vec::new();
        for e in EXAMPLES.iter().filter(|e| !e.gives.is_empty()) {
            let hook = hook_of(e.code);
            let name = e.of.rsplit(['.', ':']).next().unwrap_or(e.of);
            // As statements, each on a line of its own; a value is thrown away.
            let list: Vec<String> = statements(e.code)
                .into_iter()
                .map(|s| if s.ends_with(';') { s.to_owned() } else { format!("let shown = {s};") })
                .collect();
            let at = list.iter().position(|s| s.contains(&format!("{name}("))).expect("the example calls it");
            let (before, _) = outcome(&folder, hook, &list[..at], interpret);
            let (after, lines) = outcome(&folder, hook, &list[..=at], interpret);
            let told = lines.contains(&(at + 2));
            assert!(told || before == after, "{}: `{}` changes something and a trace does not tell", e.of, list[at]);
            // `req.url = f(…)` is a write of the variable, not of the function.
            if told && !list[at].starts_with("req.backend = ") {
                changing.push(e.of);
            }
        }
        changing.sort_unstable();
        assert_eq!(changing, CHANGING);
    }
    assert!(EXAMPLES.len() >= FUNCTIONS.len());
}

#[test]
fn every_variable_that_is_written_is_told_with_its_line() {
    let folder = Folder::new("written");
    for v in VARS.iter().filter(|v| !v.write.is_empty()) {
        let row = HOOKS.iter().find(|h| v.write.has(h.hook)).expect("it is written somewhere");
        let write = format!("{0}.{1} = {0}.{1};", v.object, v.name);
        let write = if v.name == "body" { format!("{}.body = ();", v.object) } else { write };
        let (_, lines) = outcome(&folder, row.hook, std::slice::from_ref(&write), false);
        assert_eq!(lines, [2], "{write}");
    }
}

/// What a trace says of a hook with that body: "LINE writes WHAT VALUE".
fn told(hook: Hook, body: &str) -> Vec<String> {
    let text = format!("fn {}({}) {{\n{body}\n()\n}}", hook.name(), hook.row().params.join(", "));
    let env = Arc::new(Environment { invalidate: Arc::new(Dropped::default()), ..Environment::default() });
    let policy = Policy::compile("site.rhai", &text, env).unwrap_or_else(|e| panic!("{e}"));
    let traced = policy.call_traced(hook, scene());
    traced.result.unwrap_or_else(|e| panic!("{e}"));
    let word = |did| if did == Did::Read { "reads" } else { "writes" };
    let tell = |n: &copal_policy::Note| {
        format!("{} {} {} {}", n.line, word(n.did), n.what, n.value.as_deref().unwrap_or("()"))
    };
    traced.notes.iter().map(tell).collect()
}

#[test]
fn fields_that_a_pattern_or_one_call_changes_are_named_one_by_one() {
    let body = "resp.http.append(\"x-internal-a\", 1);\nresp.http.append(\"x-internal-b\", 2);\n\
                resp.http.remove_matching(\"x-internal-*\");\nresp.http.remove_matching(\"x-none-*\");\n\
                resp.http.remove_lines(\"set-cookie\", \"^a=\");\nresp.harden();\n\
                resp.cors([\"https://a.example\"], \"GET\", duration(\"1h\"));";
    assert_eq!(
        told(Hook::Deliver, body),
        [
            "2 writes resp.http.x-internal-a 1",
            "3 writes resp.http.x-internal-b 2",
            "4 writes resp.http.x-internal-a ()",
            "4 writes resp.http.x-internal-b ()",
            "5 writes resp.http.x-none-* ()",
            "6 writes resp.http.set-cookie b=2",
            "7 writes resp.http.cross-origin-opener-policy same-origin-allow-popups",
            "7 writes resp.http.referrer-policy strict-origin-when-cross-origin",
            "7 writes resp.http.server ()",
            "7 writes resp.http.x-content-type-options nosniff",
            "7 writes resp.http.x-frame-options SAMEORIGIN",
            "8 reads req.http.origin ()",
            "8 writes resp.http.vary Origin",
        ]
    );
}

#[test]
fn a_request_that_is_rolled_back_says_what_is_again_as_it_came() {
    let body = "req.url = \"/other\";\nreq.method = \"POST\";\nreq.http.remove(\"cookie\");\nstd::rollback();";
    assert_eq!(
        told(Hook::Recv, body),
        [
            "2 writes req.url /other",
            "3 writes req.method POST",
            "4 writes req.http.cookie ()",
            "5 writes req.http.cookie sessionid=42; _ga=7",
            "5 writes req.method GET",
            "5 writes req.url /shop?b=2&a=1",
        ]
    );
}

#[test]
fn what_is_dropped_counted_and_logged_is_told() {
    let body = "tags::purge(\"a b\");\ntags::soft_purge([\"c d\"]);\nban(\"req.url ~ ^/a\");\nban(\"bad\");\n\
                if throttle::allowed(\"k\", \"1/m\", 3) { throttle::give_back(\"k\", \"1/m\", 3); }\n\
                std::log(\"seen\");\nif std::cache_req_body(\"1KiB\") && req.body_matches(\"anna\") { return pass(); }";
    assert_eq!(
        told(Hook::Recv, body),
        [
            "2 writes tags a b: 2 dropped",
            "3 writes tags c d: 2 made stale",
            "4 writes bans req.url ~ ^/a",
            "5 writes ban_error planted",
            "6 writes throttle.k 2 left",
            "6 writes throttle.k 3 left",
            "7 writes log seen",
            "8 writes req.body 9 bytes",
            "8 reads req.body 9 bytes",
        ]
    );
    let body = "purge::soft(duration(\"1m\"));\npurge::hard();";
    assert_eq!(told(Hook::Miss, body), ["2 writes obj 1 made stale", "3 writes obj 1 dropped"]);
}

#[test]
fn every_side_tells() {
    let body = "req.http.append(\"x-a\", 1);\nreq.http.append(\"x-a\", 2);\nreq.http.collect(\"x-a\");\n\
                if req_top.http.x_a == \"1\" && req.is_preflight() && req.device() == \"bot\" { return pass(); }\n\
                req.http.remove_lines(\"x-a\", \"1\");\nreq.cookie.keep([\"sessionid\"]);";
    assert_eq!(
        told(Hook::Recv, body),
        [
            "2 writes req.http.x-a 1",
            "3 writes req.http.x-a 1 | 2",
            "4 reads req.http.x-a 1 | 2",
            "4 writes req.http.x-a 1, 2",
            "5 reads req_top.http.x-a 1, 2",
            "6 writes req.http.x-a ()",
            "7 writes req.http.cookie sessionid=42",
        ]
    );
    let body = "bereq.http.remove_matching(\"h*\");\nbereq.cookie.set(\"a\", 1);\nberesp.http.remove_lines(\"set-cookie\", \"b\");\n\
                beresp.http.remove_matching(\"server\");\nif bereq.device() == \"bot\" { beresp.ttl = duration(\"1s\"); }";
    assert_eq!(
        told(Hook::BackendResponse, body),
        [
            "2 writes bereq.http.host ()",
            "3 writes bereq.http.cookie a=1",
            "4 writes beresp.http.set-cookie a=1",
            "5 writes beresp.http.server ()",
            "6 reads bereq.http.user-agent ()",
            "6 reads bereq.http.sec-ch-ua-mobile ()",
        ]
    );
}
