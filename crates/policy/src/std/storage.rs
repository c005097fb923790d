//! `storage::`: how full the storages are.

use crate::current::Res;
use crate::environment::{Environment, StorageUsage};
use crate::host::backend::check_storage;
use rhai::{Dynamic, Engine, FuncRegistration, ImmutableString, Module};
use std::sync::Arc;

/// Gives scripts the module. Its functions are volatile: the optimiser must not run them when it compiles.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    let mut m = Module::new();
    let bytes = |n: u64| Dynamic::from(i64::try_from(n).unwrap_or(i64::MAX));
    add(&mut m, env, "used_space", move |usage| bytes(usage.used));
    add(&mut m, env, "free_space", move |usage| bytes(usage.free));
    add(&mut m, env, "is_happy", |usage| Dynamic::from(usage.happy));
    e.register_static_module("storage", m.into());
}

fn add<F>(m: &mut Module, env: &Arc<Environment>, name: &'static str, read: F)
where
    F: Fn(StorageUsage) -> Dynamic + Send + Sync + 'static,
{
    let env = Arc::clone(env);
    FuncRegistration::new(name).with_volatility(true).set_into_module(m, move |of: ImmutableString| -> Res<Dynamic> {
        check_storage(&env, &of)?;
        Ok(read(env.usage.usage(&of)))
    });
}
