//! A hook run with functions that tell what they read and write and where actions were made ([`crate::notes`]).
//!
//! Only for a request that somebody wants traced. It compiles the policy anew for each hook (half a millisecond), so
//! that the instances which serve everybody else know nothing of it. A hook that otherwise runs without the interpreter
//! runs with it here: the two are proved to do the same (`tests/native.rs`).

use crate::action::{Action, PLAIN, encode_data, encode_plain};
use crate::current::Res;
use crate::fault::Fault;
use crate::host::actions::{error, kept, redirect, synth};
use crate::host::to_reason;
use crate::notes::{self, Note};
use crate::scene::Scene;
use crate::value::to_text;
use copal_semantics::Span;
use rhai::{Dynamic, Engine, FuncRegistration, NativeCallContext};

/// What came of a traced hook.
#[derive(Debug)]
pub struct Traced {
    /// The scene as the hook left it.
    pub scene: Box<Scene>,
    /// What it decided.
    pub result: Result<Action, Box<Fault>>,
    /// Where that was written: file:line:column.
    pub place: Option<String>,
    /// What it read and wrote, in order.
    pub notes: Vec<Note>,
}

fn made(ctx: &NativeCallContext<'_>, action: Action) -> Res<i64> {
    notes::made(ctx, &action);
    kept(action)
}

type Ctx<'a> = NativeCallContext<'a>;

/// The same functions as [`crate::host::actions::register`], in their place.
pub(crate) fn register(e: &mut Engine) {
    debug_assert!(encode_data(0) > encode_plain(PLAIN.len()), "plain actions come first");
    for (i, action) in PLAIN.iter().enumerate() {
        let name = action.kind().map_or("", |k| k.written()).trim_end_matches("()");
        FuncRegistration::new(name).with_volatility(true).register_into_engine(e, move |ctx: Ctx| {
            notes::made(&ctx, action);
            encode_plain(i)
        });
    }
    e.register_fn("pass", |ctx: Ctx, d: Span| made(&ctx, Action::PassFor(d)));
    e.register_fn("synth", |ctx: Ctx, status: Dynamic| made(&ctx, synth(&status, String::new())?));
    e.register_fn("synth", |ctx: Ctx, status: Dynamic, reason: Dynamic| {
        made(&ctx, synth(&status, to_reason("synth", &reason)?)?)
    });
    e.register_fn("redirect", |ctx: Ctx, status: Dynamic, location: Dynamic| made(&ctx, redirect(&status, &location)?));
    e.register_fn("error", |ctx: Ctx| made(&ctx, Action::Error { status: 503, reason: String::new() }));
    e.register_fn("error", |ctx: Ctx, status: Dynamic| made(&ctx, error(&status, String::new())?));
    e.register_fn("error", |ctx: Ctx, status: Dynamic, reason: Dynamic| {
        made(&ctx, error(&status, to_reason("error", &reason)?)?)
    });
    e.register_fn("fail", |ctx: Ctx| made(&ctx, Action::Fail { reason: String::new() }));
    e.register_fn("fail", |ctx: Ctx, reason: Dynamic| {
        made(&ctx, Action::Fail { reason: to_text("fail", &reason)?.to_string() })
    });
    e.register_fn("policy", |ctx: Ctx, name: Dynamic| {
        made(&ctx, Action::Policy(to_text("policy", &name)?.to_string()))
    });
}

#[cfg(test)]
mod tests {
    use crate::notes::Did;
    use crate::{Action, Hook, Policy, Scene};
    use std::sync::Arc;

    #[test]
    fn a_traced_hook_decides_the_same_and_says_where() {
        let text = "fn recv(req) {\n    let first = lookup(); if req.url == \"/f\" { return first; }\n    if req.url == \"/m\" { return synth(404, \"Gone\"); }\n    \
                    if req.url == \"/p\" {\n        pass()\n    } else if req.url == \"/h\" { helper() }\n}\nfn helper() {\n    \
                    pass()\n}\n";
        let policy = Policy::compile("site.rhai", text, Arc::default()).expect("valid");
        for (url, place) in [
            ("/m", Some("site.rhai:3:33")),
            ("/p", Some("site.rhai:5:9")),
            ("/h", Some("site.rhai:9:5")),
            ("/none", None),
        ] {
            let mut scene = Box::<Scene>::default();
            scene.req.url = url.to_owned();
            let plain = policy.call(Hook::Recv, scene.clone()).1;
            let traced = policy.call_traced(Hook::Recv, scene);
            assert_eq!((&traced.result, traced.place.as_deref()), (&plain, place), "{url}");
            assert_eq!(traced.result == Ok(Action::Default), place.is_none());
        }
    }

    fn told(hook: Hook, text: &str, change: impl FnOnce(&mut Scene)) -> Vec<String> {
        let policy = Policy::compile("site.rhai", text, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
        let mut scene = Box::<Scene>::default();
        scene.req.url = "/a?b=1".to_owned();
        scene.req.headers = [("Host", "shop.example"), ("Cookie", "a=1; sessionid=7")].into_iter().collect();
        change(&mut scene);
        let traced = policy.call_traced(hook, scene.clone());
        let (after, result) = policy.call(hook, scene);
        assert_eq!(traced.result, result, "a traced hook decides the same");
        assert_eq!((&traced.scene.req, &traced.scene.log), (&after.req, &after.log), "and leaves the same");
        let word = |did| if did == Did::Read { "reads" } else { "writes" };
        let tell = |n: &crate::notes::Note| {
            format!("{} {} {} {}", n.line, word(n.did), n.what, n.value.as_deref().unwrap_or("()"))
        };
        traced.notes.iter().map(tell).collect()
    }

    #[test]
    fn what_is_read_and_written_is_told_with_its_line() {
        let text = r#"fn recv(req) {
    if req.is_get_or_head() && req.cookie.has("sessionid") && !req.http.has("x-a") {
        req.http.x_a = req.http["host"];
    }
    req.cookie.remove("a");
    req.url = helper(req.url);
    req.vars["n"] = req.restarts + 1;
    req.http.append("x-b", req.vars["n"]);
    req.http.remove("x-c");
    req.grace = duration("10s");
    if req.http.x_c == () && client.ip.is_ipv6() && req.cookie.get("b") == () && req.vars.has("n") { req.vars.remove("n"); }
}
fn helper(url) {
    url::path(url)
}
"#;
        assert_eq!(
            told(Hook::Recv, text, |_| ()),
            [
                "2 reads req.method GET",
                "2 reads req.cookie.sessionid 7",
                "2 reads req.http.x-a ()",
                "3 reads req.http.host shop.example",
                "3 writes req.http.x-a shop.example",
                "5 writes req.http.cookie sessionid=7",
                "6 reads req.url /a?b=1",
                "6 writes req.url /a",
                "7 reads req.restarts 0",
                "7 writes req.vars.n 1",
                "8 reads req.vars.n 1",
                "8 writes req.http.x-b 1",
                "9 writes req.http.x-c ()",
                "10 writes req.grace 10.000 s",
                "11 reads req.http.x-c ()",
                "11 reads client.ip 0.0.0.0",
            ]
        );
    }

    #[test]
    fn a_native_hook_tells_too_and_names_what_it_was_handed() {
        let text = "fn hash(req, key) { key.add(req.http.host); }\n\
                    fn backend_refresh(bereq, beresp, stale) { if stale.status == 200 { return keep_stale(); } }";
        let policy = Policy::compile("site.rhai", text, Arc::default()).unwrap_or_else(|e| panic!("{e}"));
        assert!(policy.native().has(Hook::Hash), "this one runs without the interpreter");
        let hash = told(Hook::Hash, text, |_| ());
        assert_eq!(hash, ["1 reads req.http.host shop.example", "1 writes key shop.example"]);
        let refresh = told(Hook::BackendRefresh, text, |s| {
            s.obj = Some(crate::ObjectVars::default());
        });
        assert_eq!(refresh.len(), 1);
        assert!(refresh[0].starts_with("2 reads stale.status "), "{refresh:?}");
    }

    #[test]
    fn a_loop_and_a_long_value_are_bounded() {
        let text =
            "fn recv(req) {\n    for n in 0..1000 { req.vars[\"n\"] = n; }\n    req.http.x_a = req.http.x_long;\n}";
        let list = told(Hook::Recv, text, |s| s.req.headers.set("x-long", "y".repeat(5000)).expect("valid"));
        assert_eq!(list.len(), 256);
        let text = "fn recv(req) { req.http.x_a = req.http.x_long; }";
        let list = told(Hook::Recv, text, |s| s.req.headers.set("x-long", "y".repeat(5000)).expect("valid"));
        assert!(list.iter().all(|line| line.len() < 300) && list.len() == 2, "{list:?}");
    }
}
