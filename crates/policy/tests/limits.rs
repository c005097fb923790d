//! The limits of a policy: each stops its runaway, and each holds where the configuration puts it.

use copal_policy::{Environment, Fault, FaultKind, Hook, Limit, Limits, Policy, Scene};
use copal_semantics::RequestHead;
use std::sync::Arc;

fn policy(text: &str) -> Arc<Policy> {
    Policy::compile("site.rhai", text, Arc::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn request() -> Box<Scene> {
    let mut scene = Box::<Scene>::default();
    scene.req = RequestHead::get("/", [("host", "a")]);
    scene
}

/// The fault of a `recv` with that body.
fn fault(body: &str) -> Fault {
    match policy(&format!("fn recv(req) {{\n{body}\n}}")).call(Hook::Recv, request()).1 {
        Err(fault) => *fault,
        Ok(action) => panic!("{body}: {action:?} instead of a fault"),
    }
}

#[test]
fn every_limit_stops_its_runaway() {
    let limit = |body: &str| match fault(body).kind {
        FaultKind::Limit(l) => l,
        other => panic!("{body}: {other:?}"),
    };
    assert_eq!(limit("let n = 0; while n >= 0 { n += 1; }"), Limit::Operations);
    assert_eq!(limit("let n = 0; for i in 0..1000000 { n = i; }"), Limit::Operations);
    assert_eq!(limit("let s = \"abcdefgh\"; while s != \"\" { s += s; }"), Limit::StringBytes);
    assert_eq!(limit("let s = \"a\"; s.pad(70000, \"b\");"), Limit::StringBytes);
    assert_eq!(
        limit("let s = \"a\"; s.pad(60000, \"a\"); let t = s.replace_all_re(\"a\", s); return pass();"),
        Limit::StringBytes
    );
    assert_eq!(limit("let s = \"a\"; s.pad(60000, \"a\"); let t = s; s.replace(\"a\", t);"), Limit::StringBytes);
    assert_eq!(limit("let a = []; while a != () { a.push(1); }"), Limit::Array);
    assert_eq!(limit("let m = #{}; for i in 0..1100 { m[i.to_string()] = i; } let n = m + m;"), Limit::Map);
    assert_eq!(
        limit("let s = \"a\"; s.pad(60000, \"b\"); while s != \"\" { req.http.append(\"x\", s); }"),
        Limit::WrittenBytes
    );
    assert_eq!(
        limit("let line = \"a\"; line.pad(1000, \"b\"); while line != \"\" { std::log(line); }"),
        Limit::WrittenBytes
    );
    assert_eq!(
        limit("let s = \"a\"; s.pad(60000, \"b\"); try { while s != \"\" { req.vars[\"k\"] = s; } } catch { }"),
        Limit::WrittenBytes
    );
    assert_eq!(limit("let n = 0; loop { n += 1; if \"x\".matches(`a${n}`) { return pass(); } }"), Limit::Patterns);
    // Names that are declared anew take room too.
    let many: String = (0..130).map(|i| format!("let v{i} = {i}; ")).collect();
    assert_eq!(limit(&format!("{many} std::log(v1);")), Limit::Variables);
    let p = policy("fn down(n) {\n    down(n + 1)\n}\nfn recv(req) {\n    down(0)\n}");
    let f = p.call(Hook::Recv, request()).1.expect_err("recursion");
    assert_eq!((f.kind, f.file.as_str()), (FaultKind::Limit(Limit::CallDepth), "site.rhai"));
    assert!(f.line > 0, "{f:?}");
    let f = fault("let n = 0;\nwhile n >= 0 {\n    n += 1;\n}");
    assert!(f.line >= 3 && f.column > 0 && f.to_string().contains("a loop that does not end?"), "{f}");
}

#[test]
fn each_limit_holds_where_the_configuration_puts_it() {
    let run = |limits: Limits, body: &str| {
        let env = Environment { limits, ..Environment::default() };
        let p = Policy::compile(
            "site.rhai",
            &format!("fn f(n) {{ if n > 0 {{ f(n - 1) }} }}\nfn recv(req) {{ {body} }}"),
            Arc::new(env),
        );
        let p = p.unwrap_or_else(|e| panic!("{e}"));
        match p.call(Hook::Recv, request()).1 {
            Ok(_) => None,
            Err(fault) if let FaultKind::Limit(limit) = fault.kind => Some(limit),
            Err(other) => panic!("{body}: {other}"),
        }
    };
    let d = Limits::default;
    // Each line runs with room, and stops without it.
    for (low, high, body, limit) in [
        (
            Limits { operations: 100, ..d() },
            Limits { operations: 1_000, ..d() },
            "let n = 0; for i in 0..50 { n += i; }",
            Limit::Operations,
        ),
        (Limits { call_depth: 3, ..d() }, Limits { call_depth: 8, ..d() }, "f(5);", Limit::CallDepth),
        (
            Limits { string_bytes: 30, ..d() },
            Limits { string_bytes: 300, ..d() },
            "let s = \"a\"; s.pad(100, \"b\");",
            Limit::StringBytes,
        ),
        (
            Limits { array: 5, ..d() },
            Limits { array: 50, ..d() },
            "let a = []; for i in 0..10 { a.push(i); }",
            Limit::Array,
        ),
        (
            Limits { map: 5, ..d() },
            Limits { map: 50, ..d() },
            "let a = #{}; for i in 0..10 { a[i.to_string()] = i; } let b = a + a; if b.len() > 0 { return; }",
            Limit::Map,
        ),
        (
            Limits { variables: 5, ..d() },
            Limits { variables: 20, ..d() },
            "let a = 1; let b = 2; let c = 3; let d = 4; let e = 5; let g = 6; std::log(a);",
            Limit::Variables,
        ),
        (
            Limits { written_bytes: 100, ..d() },
            Limits { written_bytes: 1_000, ..d() },
            "for i in 0..10 { req.http.append(\"x\", \"0123456789\"); }",
            Limit::WrittenBytes,
        ),
        (
            Limits { patterns: 1, ..d() },
            Limits { patterns: 3, ..d() },
            "for i in 0..3 { if req.url.matches(`${i}`) { return pass(); } }",
            Limit::Patterns,
        ),
    ] {
        assert_eq!(run(low, body), Some(limit), "{body}");
        assert_eq!(run(high, body), None, "{body}");
    }
}

#[test]
fn what_is_too_much_of_a_policy_is_refused_at_load() {
    let load = |limits: Limits, text: &str| {
        Policy::compile("site.rhai", text, Arc::new(Environment { limits, ..Environment::default() }))
    };
    let d = Limits::default;
    for (low, high, text) in [
        (
            Limits { functions: 2, ..d() },
            Limits { functions: 3, ..d() },
            "fn a() { 1 }\nfn b() { 2 }\nfn recv(req) { std::log(a() + b()); }",
        ),
        (
            Limits { expression_depth: 5, ..d() },
            Limits { expression_depth: 50, ..d() },
            "fn recv(req) { std::log(1 + (2 + (3 + (4 + (5 + (6 + 7)))))); }",
        ),
    ] {
        let refused = load(low, text).expect_err(text);
        assert!(refused.list[0].line > 0, "{refused}");
        load(high, text).unwrap_or_else(|e| panic!("{e}"));
    }
    let dir = std::env::temp_dir().join(format!("copal-policy-modules-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("folder");
    for name in ["a", "b"] {
        std::fs::write(dir.join(format!("{name}.rhai")), "fn f() { 1 }").expect("file");
    }
    let main = dir.join("main.rhai");
    std::fs::write(&main, "import \"a\" as a;\nimport \"b\" as b;\nfn recv(req) { std::log(a::f() + b::f()); }")
        .expect("file");
    let load = |modules| {
        Policy::load(&main, Arc::new(Environment { limits: Limits { modules, ..d() }, ..Environment::default() }))
    };
    assert!(load(1).expect_err("one too many").to_string().contains("too many modules"), "{:?}", load(1));
    load(2).unwrap_or_else(|e| panic!("{e}"));
    std::fs::remove_dir_all(&dir).expect("removed");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is the time of the machine that is measured")]
fn a_runaway_costs_milliseconds() {
    // The limit on operations is what bounds the time; a hundred times what was measured is allowed for busy machines.
    let p = policy("fn recv(req) { let n = 0; while n >= 0 { n += 1; } }");
    let (scene, _) = p.call(Hook::Recv, request());
    let start = std::time::Instant::now();
    assert!(p.call(Hook::Recv, scene).1.is_err());
    assert!(start.elapsed() < std::time::Duration::from_millis(250), "{:?}", start.elapsed());
}
