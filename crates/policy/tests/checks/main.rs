//! Golden messages: one for each thing that the checks find at load.

mod conditions;
mod guards;
mod lines;
mod values;
mod vcl;

use copal_policy::{Acl, Environment, Limits, Policy};
use lines::lines;
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

#[test]
fn golden() {
    for (hook, line, expected) in lines().into_iter().chain(values::lines()) {
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
            "std::log(\"x\");",
            "1:6 outside of functions a policy has only `import` and `const` (statements go into hooks, as in `fn recv(req) { … }`; what is to run once goes into `fn init() { … }`)",
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
        ("fn h(a) { a }\nfn recv(req) { h(1, 2); pass() }", "2:16 `h` takes 1 argument, not 2"),
        (
            "fn guard(req) { if req.http.has(\"cookie\") { return synth(403); } }\nfn recv(req) { guard(req); req.http.x_a = \"1\"; }",
            "2:16 `guard` may return an action, which has no effect here (write `let action = guard(req); if action != () { return action; }`)",
        ),
    ]
}

#[test]
fn golden_for_whole_files() {
    for (source, expected) in files().into_iter().chain(values::files()) {
        assert_eq!(findings(source), [expected], "{source}");
    }
}

/// A policy in a folder with the module `lib` and one that imports itself, and what is said of it.
const WITH_MODULES: &[(&str, &str)] = &[
    (
        "import \"lib\" as l;\nfn recv(req) { l::gree(req); pass() }",
        "2:19 the module `l` has no function `gree` (did you mean `greet`?)",
    ),
    ("import \"lib\" as l;\nfn recv(req) { l::greet(); pass() }", "2:19 `l::greet` takes 1 argument, not 0"),
    (
        "import \"lib\" as l;\nfn recv(req) { l::guard(req.http); pass() }",
        "2:19 `l::guard` may return an action, which has no effect here (write `let action = l::guard(…); if action != () { return action; }`)",
    ),
    (
        "import \"own\" as o;\nfn recv(req) { pass() }",
        "1:8 module \"own\" imports itself (put what both need into a module of its own)",
    ),
    (
        "import \"round\" as r;\nfn recv(req) { pass() }",
        "1:8 modules import each other in a circle: \"round\", \"trip\", \"round\" (put what both need into a module of its own)",
    ),
    (
        "import \"few\" as a;\nimport \"lib\" as b;\nimport \"w11\" as c;\nimport \"w12\" as d;\nfn recv(req) { pass() }",
        "4:8 too many modules: the policy imports more than 14 (`policy.limits.modules` allows more)",
    ),
    (
        "import \"w0\" as w;\nfn recv(req) { pass() }",
        "0:0 the modules can be reached by more than 1000 ways through `import` (each import of a module takes along all that it imports: import what a file uses, once)",
    ),
    ("const L = \"lib\";\nimport L as l;\nfn recv(req) { pass() }", "2:1 `import` takes a literal path"),
];

#[test]
fn golden_for_modules() {
    let folder = std::env::temp_dir().join(format!("copal-checks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("lib.rhai"), "const LIMIT = \"/x\";\nexport const OPEN = \"/\";\nfn greet(r) { r }\nfn guard(http) { if http.has(\"x\") { pass() } }\nprivate fn hidden(r) { r }\n")
        .expect("a file");
    let module = |name: &str, text: &str| std::fs::write(folder.join(format!("{name}.rhai")), text).expect("a file");
    module("own", "import \"own\" as me;\nfn f() { 1 }\n");
    module("round", "import \"trip\" as t;\nfn f() { 1 }\n");
    module("trip", "import \"round\" as r;\nfn f() { 1 }\n");
    (0..11).for_each(|i| module(&format!("w{i}"), &format!("import \"w{0}\" as a;\nimport \"w{0}\" as b;\n", i + 1)));
    (11..13).for_each(|i| module(&format!("w{i}"), "fn f() { 1 }\n"));
    let few: String = (0..11).map(|i| format!("import \"n{i}\" as n{i};\n")).collect();
    (0..11).for_each(|i| module(&format!("n{i}"), "fn f() { 1 }\n"));
    module("few", &few);
    let env = Arc::new(Environment { limits: Limits { modules: 14, ..Limits::default() }, ..Environment::default() });
    for (source, expected) in WITH_MODULES.iter().chain(values::MODULES) {
        let file = folder.join("site.rhai");
        std::fs::write(&file, source).expect("a file");
        let found = Policy::load(&file, Arc::clone(&env)).expect_err(source);
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

#[test]
fn everything_is_found_at_once_and_in_order() {
    let found = findings(
        "fn recv(req) {\n    req.uri = \"/\";\n    return deliver();\n}\nfn delivre(req, resp) { resp.hits = 1; }\nfn hash(req, key) { key.ad(1); }",
    );
    let places: Vec<&str> = found.iter().filter_map(|f| f.split(' ').next()).collect();
    assert_eq!(places, ["2:9", "3:12", "5:4", "6:25"], "{found:#?}");
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
        fn longer() { this = this.len(); }
        fn recv(req) {
            let h = req.http;
            strip(h);
            let wait = duration("1s"); wait = 5; if wait == 5 { return lookup(); }
            let text = req.url; text.longer(); if text == 5 { return lookup(); }
            let short = req.url; short.trim(); short.replace("a", "b"); req.http.x_short = short;
            let cookie = req.http.cookie; if cookie != () && cookie == "a" { return pass(); }
            let end = now + req.grace - duration("1s") * 2; if end > now && (end - now) / duration("1s") > 1.5 { return pass(); }
            for i in 0..2 { let step = i * 2; req.http["x-step"] = step; }
            let grace = req.grace; if grace == () { grace = duration("1s"); } req.grace = grace;
            if 7 % 2 + 1 == 2 && 1 / 2.0 < 1 && -(3) < 0 { return pass(); }
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

#[test]
fn what_goes_wrong_when_a_policy_is_read_or_begins_has_its_place() {
    let said = |found: copal_policy::Diagnostics| {
        let d = &found.list[0];
        format!("{}:{} {}", d.line, d.column, d.message)
    };
    let none = std::env::temp_dir().join("copal-no-such-policy.rhai");
    let found = Policy::load(&none, env()).expect_err("there is no such file");
    assert!(said(found).starts_with("0:0 cannot read the policy: "));
    for (source, expected) in [
        ("const TTL = duration([\"1x\"][0]);\nfn recv(req) { }", "1:13 \"1x\" is not a duration"),
        ("fn init() {\n    throw \"no\";\n}", "2:5 no"),
    ] {
        let found = Policy::compile("site.rhai", source, env()).expect_err(source);
        assert!(said(found.clone()).starts_with(expected), "{found}");
    }
}
