//! The examples of the reference run, and give what the reference says.

mod stage;

use copal_policy::examples::{EXAMPLES, Example, full_name};
use copal_policy::examples_vars::{HOOK_EXAMPLES, VARIABLES};
use copal_policy::functions::FUNCTIONS;
use copal_policy::vars::{self, VARS, Var};
use copal_policy::{Action, Environment, Geo, HOOKS, Hook, Policy, Scene};
use stage::{Folder, env, hook_of, scene};
use std::collections::BTreeSet;
use std::sync::Arc;

fn run(folder: &Folder, hook: Hook, body: &str) -> (Box<Scene>, Action) {
    let text = format!("fn {}({}) {{\n{body}\n}}", hook.name(), hook.row().params.join(", "));
    let file = folder.0.join("site.rhai");
    std::fs::write(&file, &text).expect("file");
    let policy = Policy::load(&file, env(&folder.0)).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let (scene, result) = policy.call(hook, scene());
    (scene, result.unwrap_or_else(|e| panic!("{text}\n{e}")))
}

#[test]
fn every_example_gives_what_the_reference_says() {
    let folder = Folder::new("examples");
    for e in EXAMPLES {
        if e.gives.is_empty() {
            let legal = |h: &&copal_policy::hooks::HookRow| {
                h.actions.iter().any(|a| a.written().split('(').next() == Some(e.of))
            };
            let hook = HOOKS.iter().find(legal).unwrap_or_else(|| panic!("{} is legal nowhere", e.of)).hook;
            let (_, action) = run(&folder, hook, e.code);
            let written = action.kind().map(|k| k.written()).unwrap_or_default();
            assert_eq!(written.split('(').next(), Some(e.of), "{}", e.code);
            continue;
        }
        gives(&folder, hook_of(e.code), e);
    }
}

fn gives(folder: &Folder, hook: Hook, e: &Example) {
    let body = format!(
        "let shown = {{ {} }};\nstd::log(if type_of(shown) == \"()\" {{ \"()\" }} else {{ shown.to_string() }});",
        e.code
    );
    let (scene, _) = run(folder, hook, &body);
    assert_eq!(scene.log.last().map(String::as_str), Some(e.gives), "{}: {}", e.of, e.code);
}

/// The first hook in which the variable is at hand, to be written when the example writes it.
fn hook_for(v: &Var, code: &str) -> Hook {
    let writes = code.contains(&format!("{}.{} = ", v.object, v.name));
    let set = if writes { v.write } else { v.read };
    let at_hand = |h: &&copal_policy::hooks::HookRow| {
        set.has(h.hook)
            && (h.params.contains(&v.object) || vars::GLOBALS.iter().any(|g| g.0 == v.object && g.2.has(h.hook)))
    };
    let found = HOOKS.iter().filter(|h| h.hook != Hook::Init).find(at_hand);
    found.unwrap_or_else(|| panic!("{}.{} is nowhere", v.object, v.name)).hook
}

#[test]
fn every_variable_is_what_the_reference_shows() {
    let folder = Folder::new("variables");
    for e in VARIABLES {
        let var = e.of.split_once('.').and_then(|(object, name)| vars::find(object, name));
        gives(&folder, var.map_or(Hook::Recv, |v| hook_for(v, e.code)), e);
    }
}

#[test]
fn what_is_missing_or_no_such_value_gives_the_fallback_and_what_has_the_type_already_is_taken() {
    let folder = Folder::new("fallbacks");
    let values = [
        ("duration", "duration(\"9s\")", "duration(\"5m\")"),
        ("bytes", "9", "512"),
        ("std::ip", "std::ip(\"192.0.2.9\")", "std::ip(\"10.0.0.5\")"),
        ("std::integer", "9", "5"),
        ("std::real", "9.5", "5.5"),
        ("std::time", "now", "now - duration(\"1h\")"),
    ];
    let with = FUNCTIONS.iter().filter(|f| f.params.last().is_some_and(|p| p.starts_with("fallback:")));
    assert_eq!(with.map(full_name).collect::<Vec<_>>(), values.map(|v| v.0), "one line here for each such function");
    for interpret in [false, true] {
        for (name, fallback, own) in values {
            let body = format!(
                "let f = {fallback}; req.vars[\"own\"] = {own};\n\
                 if {name}(req.http.x_none, f) != f || {name}((), f) != f {{ std::log(\"missing\"); }}\n\
                 if {name}(\"\", f) != f || {name}(\"no such value\", f) != f {{ std::log(\"wrong\"); }}\n\
                 if {name}(req.vars[\"own\"], f) != {own} {{ std::log(\"own\"); }}"
            );
            let text = format!("fn recv(req) {{\n{body}\n}}");
            let env = Environment { interpret, ..Environment::clone(&env(&folder.0)) };
            let policy = Policy::compile("site.rhai", &text, Arc::new(env)).unwrap_or_else(|e| panic!("{text}\n{e}"));
            let (scene, result) = policy.call(Hook::Recv, scene());
            result.unwrap_or_else(|e| panic!("{text}\n{e}"));
            assert_eq!(scene.log, [""; 0], "{name}");
        }
    }
}

/// The checks take the types of the table for what scripts will get.
#[test]
fn every_variable_has_the_type_that_the_table_declares() {
    let folder = Folder::new("types");
    for v in VARS {
        let name = format!("{}.{}", v.object, v.name);
        let (scene, _) = run(&folder, hook_for(v, ""), &format!("std::log(type_of({name}));"));
        let found = scene.log.last().map_or("", String::as_str);
        let declared = if v.ty == vars::Type::Int { "i64" } else { v.ty.name() };
        assert!(found == declared || (found == "()" && (v.optional || v.object == "param")), "{name}: {found}");
    }
}

/// Is it one call and nothing else?
fn is_call(code: &str, name: &str) -> bool {
    let Some(at) = code.find(&format!("{name}(")).filter(|at| !code[..*at].contains(['(', ' '])) else { return false };
    let mut depth = 0;
    let end = code[at..].find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0 && c == ')'
    });
    end.is_some_and(|end| at + end + 1 == code.len())
}

#[test]
fn every_function_gives_the_type_that_the_table_declares() {
    let folder = Folder::new("returns");
    let mut compared = 0;
    for (f, e) in FUNCTIONS.iter().filter_map(|f| copal_policy::examples::of(f).map(|e| (f, e))) {
        let (before, last) = e.code.rsplit_once("; ").unwrap_or(("", e.code));
        if e.gives.is_empty() || f.returns == vars::Type::Any || !is_call(last, f.name) {
            continue;
        }
        let body = format!("{before};\nlet shown = {last};\nstd::log(type_of(shown));");
        let (scene, _) = run(&folder, hook_of(e.code), body.trim_start_matches(';'));
        let found = scene.log.last().map_or("", String::as_str);
        let declared = match f.returns {
            vars::Type::Int => "i64",
            vars::Type::Float => "f64",
            vars::Type::Array => "array",
            other => other.name(),
        };
        // What may be missing is `()` instead.
        assert!(found == declared || found == "()" && f.doc.contains("`()`"), "{}: {found}, not {declared}", e.of);
        compared += 1;
    }
    assert!(compared > 50, "{compared}");
}

#[test]
fn every_hook_decides_what_the_reference_says() {
    let folder = Folder::new("hooks");
    for e in HOOK_EXAMPLES {
        let policy = Policy::compile("hook.rhai", e.code, env(&folder.0)).unwrap_or_else(|e| panic!("{e}"));
        assert!(policy.has(e.hook), "{}", e.code);
        let (_, action) = policy.call(e.hook, scene());
        let action = action.unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(action.kind().map_or("nothing", |k| k.written()), e.gives, "{}", e.code);
    }
}

#[test]
fn addresses_are_found_where_the_database_has_them() {
    let folder = Folder::new("geo");
    let body = r#"
        for ip in ["192.0.2.200", "10.0.0.1", "10.0.1.1", "2001:db8::1"] { std::log(geo::country(std::ip(ip)) ?? "nowhere"); }
        std::log(geo::lookup(client.ip, "country/capital") ?? "none");
        std::log(geo::lookup(client.ip, "").country.names.en);
    "#;
    assert_eq!(run(&folder, Hook::Recv, body).0.log, ["CH", "NZ", "nowhere", "nowhere", "none", "Switzerland"]);
    std::fs::write(folder.0.join("geo.mmdb"), b"no database").expect("file");
    let refused = Geo::open(&folder.0.join("geo.mmdb")).expect_err("refused").to_string();
    assert!(refused.contains("geo.mmdb as a GeoIP database"), "{refused}");
}

#[test]
fn files_are_read_at_load_and_from_the_folder_of_the_policy_only() {
    let folder = Folder::new("files");
    let file = folder.0.join("site.rhai");
    let load = |path: &str, limit: usize| {
        std::fs::write(&file, format!("fn recv(req) {{ std::log(std::file(\"{path}\")); }}")).expect("file");
        let mut env = Environment::clone(&env(&folder.0));
        env.limits.string_bytes = limit;
        Policy::load(&file, Arc::new(env))
    };
    let policy = load("lists/bots.txt", 100).unwrap_or_else(|e| panic!("{e}"));
    std::fs::remove_file(folder.0.join("lists/bots.txt")).expect("removed");
    assert_eq!(policy.call(Hook::Recv, scene()).0.log, ["bad bot"]);
    std::fs::write(folder.0.join("lists/long.txt"), "x".repeat(101)).expect("file");
    for (path, reason) in [
        ("lists/bots.txt", "there is no file lists/bots.txt beside the policy"),
        ("../x", "a file is named by its path"),
        ("/etc/passwd", "a file is named by its path"),
        ("", "a file is named by its path"),
        ("lists/long.txt", "has 101 bytes, and a text 100 at most"),
    ] {
        let e = load(path, 100).expect_err(path);
        assert!(e.list[0].help.as_deref().is_some_and(|h| h.contains(reason)), "{e}");
    }
    let e = Policy::compile("p", "fn recv(req) { std::file(req.url) == \"x\"; }", Arc::default()).expect_err("refused");
    assert_eq!(e.list[0].message, "`std::file` takes a literal path: the file is read at load");
}

/// Callgrind writes down what it has counted when this returns.
#[inline(never)]
fn costs_mark(step: usize) {
    std::hint::black_box(step);
}

const ROUNDS: usize = 20;

/// Runs the body that often, between two marks. Is it compiled natively?
fn counted(folder: &Folder, hook: Hook, body: &str, interpret: bool) -> bool {
    let text = format!("fn {}({}) {{\n{body}\n}}", hook.name(), hook.row().params.join(", "));
    let file = folder.0.join("site.rhai");
    std::fs::write(&file, &text).expect("file");
    let env = Arc::new(Environment { interpret, ..Environment::clone(&env(&folder.0)) });
    let policy = Policy::load(&file, env).unwrap_or_else(|e| panic!("{text}\n{e}"));
    let round = || drop(policy.call(hook, scene()));
    (0..3).for_each(|_| round());
    costs_mark(0);
    (0..ROUNDS).for_each(|_| round());
    costs_mark(1);
    policy.native().has(hook)
}

/// Counted both ways, above a hook that only declares a variable.
fn line(folder: &Folder, name: &str, hook: Hook, body: &str) {
    counted(folder, hook, "let shown = 0;", true);
    counted(folder, hook, body, true);
    counted(folder, hook, "let shown = 0;", false);
    let native = counted(folder, hook, body, false);
    println!("{name}\t{ROUNDS}\t{native}");
}

#[test]
fn the_page_of_costs_has_every_variable_and_function() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/policy-costs.md"));
    let page = page.expect("the page");
    let rows: BTreeSet<&str> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let variables = VARS.iter().map(|v| format!("{}.{}", v.object, v.name));
    let wanted: BTreeSet<String> = variables.chain(EXAMPLES.iter().map(|e| format!("{}()", e.of))).collect();
    let missing: Vec<&String> = wanted.iter().filter(|name| !rows.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "cargo run -p copal-xtask -- costs --table; not on the page: {missing:?}");
    let gone: Vec<&&str> = rows.iter().filter(|row| !wanted.contains(**row)).collect();
    assert!(gone.is_empty(), "cargo run -p copal-xtask -- costs --table; no such thing any more: {gone:?}");
}

#[test]
#[ignore = "for callgrind: cargo run -p copal-xtask -- costs --table"]
fn what_each_row_costs() {
    let folder = Folder::new("costs");
    for v in VARS {
        let hook =
            HOOKS.iter().find(|h| h.hook != Hook::Init && v.read.has(h.hook)).expect("it is read somewhere").hook;
        line(&folder, &format!("{}.{}", v.object, v.name), hook, &format!("let shown = {}.{};", v.object, v.name));
    }
    for e in EXAMPLES {
        if e.gives.is_empty() {
            let legal = |h: &&copal_policy::hooks::HookRow| {
                h.actions.iter().any(|a| a.written().split('(').next() == Some(e.of))
            };
            let hook = HOOKS.iter().find(legal).unwrap_or_else(|| panic!("{} is legal nowhere", e.of)).hook;
            line(&folder, &format!("{}()", e.of), hook, e.code);
            continue;
        }
        // The last part is what is shown; what is before it is part of the example.
        let (before, last) = e.code.rsplit_once("; ").map_or((String::new(), e.code), |(b, l)| (format!("{b}; "), l));
        line(&folder, &format!("{}()", e.of), hook_of(e.code), &format!("{before}let shown = {last};"));
    }
}
