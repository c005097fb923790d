//! `param` and `storage`: what the owner has set, and how full the store is; `req_top`, the client's own request.

use super::{Param, Storage, Top, get, get_dynamic, proto};
use crate::environment::Environment;
use crate::value::{from_plain, text};
use crate::vars::VARS;
use rhai::{Dynamic, Engine};
use std::sync::Arc;

fn int(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Gives scripts all three.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    for var in VARS.iter().filter(|v| v.object == "param") {
        let value = env.params.get(var.name).cloned().unwrap_or_default();
        get_dynamic::<Param>(e, var.name, move |_| Ok(from_plain(&value)));
    }
    let world = Arc::clone(env);
    get_dynamic::<Storage>(e, "used_space", move |_| Ok(Dynamic::from(int(world.room.used()))));
    let world = Arc::clone(env);
    get_dynamic::<Storage>(e, "free_space", move |_| {
        Ok(Dynamic::from(int(world.room.size().saturating_sub(world.room.used()))))
    });
    get::<Storage, _>(e, "happy", |_| true);
    get::<Top, _>(e, "method", |s| text(s.req.method.as_str()));
    get::<Top, _>(e, "url", |s| text(&s.req.url));
    get::<Top, _>(e, "proto", |s| text(proto(s.req.version)));
    get::<Top, _>(e, "time", |s| s.req_vars.time);
}
