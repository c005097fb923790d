//! What policies say to drop: `tags::…`, `ban(…)` and why it was refused.

use copal_policy::{Action, Environment, FaultKind, Hook, Invalidate, Policy, Scene};
use copal_semantics::{Span, Time};
use std::sync::{Arc, Mutex};

const NOW: Time = Time::from_secs(1_700_000_000);

/// Writes down what it is told, and refuses bans of nonsense.
#[derive(Default)]
struct Clerk(Mutex<Vec<String>>);

impl Invalidate for Clerk {
    fn purge_tags(&self, tags: &[&[u8]], soft: bool, now: Time) -> u64 {
        assert_eq!(now, NOW);
        let names: Vec<_> = tags.iter().map(|t| String::from_utf8_lossy(t)).collect();
        self.0.lock().expect("no panic").push(format!("{} {}", if soft { "soft" } else { "hard" }, names.join("|")));
        tags.len() as u64
    }

    fn purge_key(&self, key: &[u8], soft: Option<Span>, now: Time) -> u64 {
        assert_eq!(now, NOW);
        self.0.lock().expect("no panic").push(format!(
            "{} key of {} bytes",
            soft.map_or_else(|| "hard".to_owned(), |s| format!("soft {}", s.as_secs())),
            key.len()
        ));
        2
    }

    fn ban(&self, expression: &str, now: Time) -> Result<(), String> {
        assert_eq!(now, NOW);
        self.0.lock().expect("no panic").push(format!("ban {expression}"));
        if expression.starts_with("nonsense") { Err("there is no field `nonsense`".to_owned()) } else { Ok(()) }
    }
}

/// What `recv` with that body returns and logs, and what the clerk wrote down.
fn run(body: &str) -> (Result<Action, FaultKind>, Vec<String>, Vec<String>) {
    let clerk = Arc::new(Clerk::default());
    let env = Environment { invalidate: Arc::clone(&clerk) as Arc<dyn Invalidate>, ..Environment::default() };
    let text = format!("fn recv(req) {{\n{body}\n}}");
    let policy = Policy::compile("site.rhai", &text, Arc::new(env)).unwrap_or_else(|e| panic!("{e}"));
    assert!(clerk.0.lock().expect("no panic").is_empty(), "nothing is dropped while a policy is loaded");
    let scene = Box::new(Scene { now: NOW, ..Scene::default() });
    let (scene, result) = policy.call(Hook::Recv, scene);
    let told = clerk.0.lock().expect("no panic").clone();
    (result.map_err(|f| f.kind), scene.log, told)
}

#[test]
fn tags_are_keys_in_a_text_or_elements_of_an_array() {
    let (result, log, told) = run(r#"std::log(tags::purge("a b,c"));
        std::log(tags::soft_purge(["x y", "z"]));
        std::log(tags::purge(""));"#);
    assert_eq!((result, log), (Ok(Action::Default), vec!["3".to_owned(), "2".to_owned(), "0".to_owned()]));
    assert_eq!(told, ["hard a|b|c", "soft x y|z", "hard "]);
    for body in ["let n = tags::purge(7);", "let n = tags::soft_purge([\"a\", 7]);"] {
        let (result, _, told) = run(body);
        assert!(matches!(result, Err(FaultKind::Value)) && told.is_empty(), "{body}: {result:?} {told:?}");
    }
}

#[test]
fn what_is_under_the_key_is_purged_from_hit_and_miss_only() {
    let clerk = Arc::new(Clerk::default());
    let env = Environment { invalidate: Arc::clone(&clerk) as Arc<dyn Invalidate>, ..Environment::default() };
    let text = r#"fn miss(req) { std::log(purge::hard() + purge::soft() + purge::soft(duration("10s"))); }
        fn gone() { purge::hard() }
        fn recv(req) { let f = Fn("gone"); std::log(f.call()); }"#;
    let policy = Policy::compile("site.rhai", text, Arc::new(env)).unwrap_or_else(|e| panic!("{e}"));
    let mut scene = Box::new(Scene { now: NOW, ..Scene::default() });
    scene.key.add(b"/page");
    let (scene, result) = policy.call(Hook::Miss, scene);
    assert_eq!((result, scene.log.as_slice()), (Ok(Action::Default), &["6".to_owned()][..]));
    let told = clerk.0.lock().expect("no panic").clone();
    assert_eq!(told, ["hard key of 9 bytes", "soft 0 key of 9 bytes", "soft 10 key of 9 bytes"]);
    let refused = policy.call(Hook::Recv, Box::default()).1.expect_err("there is no key yet");
    assert_eq!(refused.kind, FaultKind::ReadOnly);
}

#[test]
fn a_ban_is_taken_or_refused_with_the_reason() {
    let (result, log, told) = run(r#"std::log(`[${ban_error()}]`);
        if ban("nonsense == 1") { return pass(); }
        std::log(ban_error());
        if !ban("obj.status == 404") { return pass(); }
        std::log(`[${ban_error()}]`);"#);
    let wanted = ["[]", "there is no field `nonsense`", "[]"];
    assert_eq!((result, log.as_slice()), (Ok(Action::Default), wanted.map(str::to_owned).as_slice()));
    assert_eq!(told, ["ban nonsense == 1", "ban obj.status == 404"]);
}

#[test]
fn calls_are_checked_when_the_policy_is_loaded() {
    for (body, said) in [
        ("tags::drop(\"a\");", "has no function `drop`"),
        ("tags::purge();", "does not take 0 arguments"),
        ("ban();", "does not take 0 arguments"),
        ("let n = tag::purge(\"a\");", "`tag`"),
    ] {
        let text = format!("fn recv(req) {{ {body} }}");
        let error =
            Policy::compile("site.rhai", &text, Arc::default()).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(said), "{body}: {error}");
    }
}
