//! `param` and `storage`: what the owner has set, and how full the storages are; `req_top`, the client's own request.

use super::backend::check_storage;
use super::{Param, Storage, Top, get, get_dynamic, proto};
use crate::current::Res;
use crate::environment::{Environment, StorageUsage};
use crate::notes::{self, Did};
use crate::value::{from_plain, text};
use crate::vars::VARS;
use rhai::{Dynamic, Engine, FuncRegistration, ImmutableString, NativeCallContext};
use std::sync::Arc;

/// One storage: `storage.images`. `storage` alone is `main`.
#[derive(Debug, Clone)]
struct Named(ImmutableString);

type Read = fn(StorageUsage) -> Dynamic;

fn bytes(n: u64) -> Dynamic {
    i64::try_from(n).unwrap_or(i64::MAX).into()
}

const USAGE: [(&str, Read); 3] = [
    ("used_space", |usage| bytes(usage.used)),
    ("free_space", |usage| bytes(usage.free)),
    ("happy", |usage| usage.happy.into()),
];

fn storages(e: &mut Engine, env: &Arc<Environment>) {
    e.register_type_with_name::<Named>("Storage");
    let world = Arc::clone(env);
    FuncRegistration::new_index_getter().with_purity(true).with_volatility(true).register_into_engine(
        e,
        move |_: &mut Storage, name: ImmutableString| -> Res<Named> {
            check_storage(&world, &name)?;
            Ok(Named(name))
        },
    );
    for (name, read) in USAGE {
        let world = Arc::clone(env);
        get_dynamic::<Storage>(e, name, move |_| Ok(read(world.usage.usage("main"))));
        let world = Arc::clone(env);
        FuncRegistration::new_getter(name).with_purity(true).with_volatility(true).register_into_engine(
            e,
            move |ctx: NativeCallContext, storage: &mut Named| -> Dynamic {
                let value = read(world.usage.usage(&storage.0));
                notes::tell(&ctx, Did::Read, || (format!("storage.{}.{name}", storage.0), Some(value.to_string())));
                value
            },
        );
    }
}

/// Gives scripts all three.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    for var in VARS.iter().filter(|v| v.object == "param") {
        let value = env.params.get(var.name).cloned().unwrap_or_default();
        get_dynamic::<Param>(e, var.name, move |_| Ok(from_plain(&value)));
    }
    storages(e, env);
    get::<Top, _>(e, "method", |s| text(s.req.method.as_str()));
    get::<Top, _>(e, "url", |s| text(&s.req.url));
    get::<Top, _>(e, "proto", |s| text(proto(s.req.version)));
    get::<Top, _>(e, "time", |s| s.req_vars.time);
}
