//! `tags::`, `ban(…)` and `ban_error()`: what a policy says to drop from the store.

use crate::current::{self, Res};
use crate::environment::Environment;
use crate::fault::HostError;
use crate::hooks::{Hook, HookSet};
use crate::library::ModuleFunction;
use crate::notes::{self, Did};
use crate::value::to_text;
use copal_semantics::{Span, cache_tags};
use rhai::{Dynamic, Engine, FuncRegistration, ImmutableString, Module, NativeCallContext};
use std::sync::Arc;

type Ctx<'a> = NativeCallContext<'a>;

/// The keys in a text, or the elements of an array, which may have spaces in them.
fn keys(value: &Dynamic) -> Result<Vec<Vec<u8>>, HostError> {
    if let Ok(list) = value.as_array_ref() {
        return list.iter().map(|key| Ok(to_text("tags::purge", key)?.as_bytes().to_vec())).collect();
    }
    Ok(cache_tags::split(to_text("tags::purge", value)?.as_bytes()).map(<[u8]>::to_vec).collect())
}

fn purge(ctx: &Ctx<'_>, env: &Environment, value: &Dynamic, soft: bool) -> Res<i64> {
    let keys = keys(value)?;
    let now = current::read(|scene| scene.now)?;
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let count = env.invalidate.purge_tags(&keys, soft, now);
    notes::tell(ctx, Did::Wrote, || {
        let keys: Vec<_> = keys.iter().map(|key| String::from_utf8_lossy(key)).collect();
        ("tags".to_owned(), Some(format!("{}: {}", keys.join(" "), gone(count, soft))))
    });
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// What became of objects, for a trace.
fn gone(count: u64, soft: bool) -> String {
    format!("{count} {}", if soft { "made stale" } else { "dropped" })
}

fn ban(ctx: &Ctx<'_>, env: &Environment, expression: &str) -> Res<bool> {
    let now = current::read(|scene| scene.now)?;
    let refused = env.invalidate.ban(expression, now).err();
    let done = refused.is_none();
    let why = refused.unwrap_or_default();
    notes::tell(ctx, Did::Wrote, || match done {
        true => ("bans".to_owned(), Some(expression.to_owned())),
        false => ("ban_error".to_owned(), Some(why.clone())),
    });
    current::write("ban", "error", HookSet::ALL, why.len(), |scene| {
        scene.ban_error = why;
        Ok(())
    })?;
    Ok(done)
}

/// Only where a key has been made and looked up.
const KEYED: HookSet = HookSet::of(&[Hook::Hit, Hook::Miss]);

fn purge_this(ctx: &Ctx<'_>, env: &Environment, soft: Option<Span>) -> Res<i64> {
    let (key, now) = current::write("purge", if soft.is_some() { "soft" } else { "hard" }, KEYED, 0, |scene| {
        Ok((scene.key.bytes().to_vec(), scene.now))
    })?;
    let count = env.invalidate.purge_key(&key, soft, now);
    notes::tell(ctx, Did::Wrote, || ("obj".to_owned(), Some(gone(count, soft.is_some()))));
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Gives scripts the modules and the functions. They are volatile: the optimiser must not run them when it compiles.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    let mut m = Module::new();
    for (name, soft) in [("purge", false), ("soft_purge", true)] {
        let world = Arc::clone(env);
        ModuleFunction::new(name)
            .with_volatility(true)
            .set_into_module(&mut m, move |ctx: Ctx, keys: Dynamic| -> Res<i64> { purge(&ctx, &world, &keys, soft) });
    }
    e.register_static_module("tags", m.into());
    let mut m = Module::new();
    let world = Arc::clone(env);
    ModuleFunction::new("hard")
        .with_volatility(true)
        .set_into_module(&mut m, move |ctx: Ctx| purge_this(&ctx, &world, None));
    let world = Arc::clone(env);
    ModuleFunction::new("soft")
        .with_volatility(true)
        .set_into_module(&mut m, move |ctx: Ctx| purge_this(&ctx, &world, Some(Span::ZERO)));
    let world = Arc::clone(env);
    ModuleFunction::new("soft")
        .with_volatility(true)
        .set_into_module(&mut m, move |ctx: Ctx, ttl: Span| purge_this(&ctx, &world, Some(ttl.non_negative())));
    e.register_static_module("purge", m.into());
    let world = Arc::clone(env);
    FuncRegistration::new("ban")
        .with_volatility(true)
        .register_into_engine(e, move |ctx: Ctx, expression: ImmutableString| -> Res<bool> {
            ban(&ctx, &world, &expression)
        });
    FuncRegistration::new("ban_error").with_volatility(true).register_into_engine(e, || -> Res<ImmutableString> {
        current::read(|scene| ImmutableString::from(scene.ban_error.as_str()))
    });
}
