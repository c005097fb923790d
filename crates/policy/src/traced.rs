//! Where an action was written: a hook run with action functions that remember the place of their call.
//!
//! Only for a request that somebody wants explained. It compiles the policy anew for each hook (half a millisecond), so
//! that the instances which serve everybody else know nothing of it.

use crate::action::{Action, PLAIN, encode_data, encode_plain};
use crate::current::Res;
use crate::engine::Instance;
use crate::host::actions::{error, kept, redirect, synth};
use crate::host::to_reason;
use crate::value::to_text;
use copal_semantics::Span;
use rhai::{Dynamic, Engine, FuncRegistration, NativeCallContext};
use std::cell::RefCell;

/// Different actions whose place is remembered during one hook; a script that makes more is told without.
const PLACES_MAX: usize = 256;

thread_local! {
    static PLACES: RefCell<Vec<(Action, String)>> = const { RefCell::new(Vec::new()) };
}

/// An instance whose actions remember where they were written.
pub(crate) fn remembering(mut instance: Box<Instance>) -> Box<Instance> {
    PLACES.with_borrow_mut(Vec::clear);
    register(instance.engine_mut());
    instance
}

/// Where that action was written last, as file:line:column; then everything is forgotten.
pub(crate) fn place_of(action: &Action) -> Option<String> {
    let places = PLACES.take();
    places.into_iter().find(|(made, _)| made == action).map(|(_, place)| place)
}

fn remember(ctx: &NativeCallContext<'_>, action: &Action) {
    let at = ctx.call_position();
    let (Some(file), Some(line)) = (ctx.call_source(), at.line()) else { return };
    let place = format!("{file}:{line}:{}", at.position().unwrap_or(1));
    PLACES.with_borrow_mut(|places| {
        if let Some(known) = places.iter_mut().find(|(made, _)| made == action) {
            known.1 = place;
        } else if places.len() < PLACES_MAX {
            places.push((action.clone(), place));
        }
    });
}

fn made(ctx: &NativeCallContext<'_>, action: Action) -> Res<i64> {
    remember(ctx, &action);
    kept(action)
}

type Ctx<'a> = NativeCallContext<'a>;

/// The same functions as [`crate::host::actions::register`], in their place.
fn register(e: &mut Engine) {
    debug_assert!(encode_data(0) > encode_plain(PLAIN.len()), "plain actions come first");
    for (i, action) in PLAIN.iter().enumerate() {
        let name = action.kind().map_or("", |k| k.written()).trim_end_matches("()");
        FuncRegistration::new(name).with_volatility(true).register_into_engine(e, move |ctx: Ctx| {
            remember(&ctx, action);
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
    use crate::{Action, Hook, Policy};
    use std::sync::Arc;

    #[test]
    fn a_traced_hook_decides_the_same_and_says_where() {
        let text = "fn recv(req) {\n    let first = lookup();\n    if req.url == \"/m\" { return synth(404, \"Gone\"); }\n    \
                    if req.url == \"/p\" {\n        pass()\n    } else if req.url == \"/h\" { helper() }\n}\nfn helper() {\n    \
                    pass()\n}\n";
        let policy = Policy::compile("site.rhai", text, Arc::default()).expect("valid");
        for (url, place) in [
            ("/m", Some("site.rhai:3:33")),
            ("/p", Some("site.rhai:5:9")),
            ("/h", Some("site.rhai:9:5")),
            ("/none", None),
        ] {
            let mut scene = Box::<crate::Scene>::default();
            scene.req.url = url.to_owned();
            let plain = policy.call(Hook::Recv, scene.clone()).1;
            let (_, traced, found) = policy.call_traced(Hook::Recv, scene);
            assert_eq!((&traced, found.as_deref()), (&plain, place), "{url}");
            assert_eq!(traced == Ok(Action::Default), place.is_none());
        }
    }
}
