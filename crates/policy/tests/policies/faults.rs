//! Policies at work: what goes wrong, where it is said to be, and that it stays with its request.

use super::{fault, policy, recv, request};
use copal_policy::{Action, FaultKind, Hook};

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
        "fn set(r) {\n    r.ttl = duration(\"1s\");\n}\nfn hit(req, obj) { set([obj][0]); }\nfn body(r) { r.body = \"x\"; }\nfn deliver(req, resp) { body([resp][0]); }",
    );
    assert!(p.call(Hook::Hit, request("/", &[])).1.is_err());
    let f = p.call(Hook::Deliver, request("/", &[])).1.expect_err("read-only");
    assert_eq!(f.kind, FaultKind::ReadOnly);
    assert!(f.message.contains("`resp.body` cannot be written in `deliver`, only in `synth`"), "{f}");
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
        ("let n = req.http.host; let x = client.ip.within(n);", FaultKind::UnknownName),
        ("let n = req.http.host; req.backend = n;", FaultKind::UnknownName),
        ("let n = req.http.host; let x = backend(n);", FaultKind::UnknownName),
        ("let n = req.http.host; let x = duration(n);", FaultKind::Value),
        ("let n = req.http.host; let x = \"x\".matches(\"(\" + n);", FaultKind::Value),
        ("let n = [[1]]; req.http.x = n[0];", FaultKind::Value),
        ("let n = 99; return synth(n);", FaultKind::Value),
        ("let n = 200; return redirect(n, \"/\");", FaultKind::Value),
        ("let n = req.vars[\"n\"] ?? 5; req.grace = n;", FaultKind::Value),
    ] {
        assert_eq!(fault(body).kind, kind, "{body}");
    }
}

#[test]
fn faults_are_counted_by_line_and_no_script_makes_the_list_grow_without_end() {
    let p = policy("fn recv(req) {\n    if req.url == \"/a\" { throw \"a\"; }\n    req.http.x = [\"a\\nb\"][0];\n}");
    for url in ["/a", "/a", "/b"] {
        assert!(p.call(Hook::Recv, request(url, &[])).1.is_err());
    }
    let told: Vec<_> = p.faults().iter().map(|f| (f.line, f.hook, f.kind, f.count)).collect();
    assert_eq!(told, [(2, "recv", "script", 2), (3, "recv", "framing", 1)]);
    let many: String = (0..300).map(|i| format!("    if req.url == \"/{i}\" {{ throw \"x\"; }}\n")).collect();
    let p = policy(&format!("fn recv(req) {{\n{many}}}"));
    for i in 0..300 {
        assert!(p.call(Hook::Recv, request(&format!("/{i}"), &[])).1.is_err());
    }
    let all = p.faults();
    assert_eq!((all.len(), all.iter().map(|f| f.count).sum::<u64>()), (257, 300));
}

#[test]
fn what_is_missing_is_named_as_the_script_names_it() {
    let message = |body: &str| fault(body).message;
    for (body, expected) in [
        (
            "let x = req.http[\"x-a\"].sub_string(1);",
            "`req.http[\"x-a\"]` is missing here: `()` has no `sub_string`; write `(req.http[\"x-a\"] ?? \"\")`",
        ),
        (
            "let x = req.http.x_a\n    .index_of(\"a\");",
            "`req.http.x_a` is missing here: `()` has no `index_of`; write `(req.http.x_a ?? \"\")`",
        ),
        (
            "let x = query::get(req.url, \"é)\").index_of(\"a\");",
            "`query::get(req.url, \"é)\")` is missing here: `()` has no `index_of`; write `(query::get(req.url, \"é)\") ?? \"\")`",
        ),
        (
            "req.http.x_b = std::base64(req.http.x_a);",
            "`req.http.x_a` is missing here: `std::base64` does not take `()`; write `(req.http.x_a ?? \"\")`",
        ),
        (
            "req.http.x_b = std::digest(\"sha256\", req.vars[\"a,b\"]);",
            "`req.vars[\"a,b\"]` is missing here: `std::digest` does not take `()`; write `(req.vars[\"a,b\"] ?? \"\")`",
        ),
        (
            "let x = req.grace.seconds();",
            "`req.grace` is missing here: `()` has no `seconds`; write `(req.grace ?? duration(\"0s\"))`",
        ),
        (
            "let x = req.vars[\"ip\"].within(\"purgers\");",
            "`req.vars[\"ip\"]` is missing here: `()` has no `within`; ask `req.vars[\"ip\"] != ()` first",
        ),
        (
            "let x = url::sign(req.url, \"k\", req.grace);",
            "`req.grace` is missing here: `url::sign` does not take `()`; write `(req.grace ?? duration(\"0s\"))`",
        ),
        ("let x = req.vars[\"a\"] - 1;", "a value is missing here: `-` does not take `()` and int; write `(… ?? 0)`"),
        (
            "let x = req.grace + duration(\"1s\");",
            "a value is missing here: `+` does not take `()` and Duration; write `(… ?? duration(\"0s\"))`",
        ),
        (
            "let x = \"/b\".captures(`^/(${req.url})`)[1];",
            "`()` has no elements: something is missing here; ask `… != ()` first",
        ),
        ("let x = std::fnmatch(\"a\", req.vars[\"n\"] ?? 5);", "there is no `std::fnmatch` that takes string, int"),
    ] {
        assert_eq!(message(body), expected, "{body}");
    }
    let (scene, result) = recv("req.http.x_a = req.http.x_b.replace_re(\"a\", \"b\");", request("/", &[("x-a", "1")]));
    assert!(result.is_ok() && !scene.req.headers.contains("x-a"), "what is missing stays so: {result:?}");
}

#[test]
fn a_duration_against_a_number_is_a_fault_where_the_check_cannot_see_it() {
    for (values, operator) in [
        ("duration(\"60s\"), 60", "=="),
        ("60, duration(\"60s\")", "<"),
        ("now, 0.5", ">="),
        ("1.5, duration(\"1s\")", "!="),
    ] {
        let p = policy(&format!(
            "fn held(p) {{ p[0] {operator} p[1] }}\nfn recv(req) {{ if held([{values}]) {{ return pass(); }} }}"
        ));
        let f = p.call(Hook::Recv, request("/", &[])).1.expect_err(values);
        let said = format!("`{operator}` cannot compare a duration or a time with a number: write duration(\"60s\")");
        assert_eq!((f.kind, f.line, f.message), (FaultKind::Value, 1, said));
    }
    let p = policy(
        "fn same(p) { p[0] == p[1] }\nfn recv(req) { if !same([duration(\"1s\"), ()]) && same([req.url, \"/\"]) { return pass(); } }",
    );
    assert_eq!(p.call(Hook::Recv, request("/", &[])).1, Ok(Action::Pass));
}
