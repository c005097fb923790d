//! Conditions that cannot be a boolean.

use super::{findings, in_hook};

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
            if req.vars["seen"] == true || req.vars["seen"] ?? false { return pass(); }
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
