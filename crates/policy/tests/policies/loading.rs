//! Policies at work: loads, threads, constants, `init` and modules.

use super::{env, policy, request};
use copal_policy::{Action, Hook, Policy};
use std::sync::Arc;

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
