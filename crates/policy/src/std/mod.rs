//! The functions that scripts find beside their handles: `std::`, `query::`, `url::`, `throttle::`, `json::`, `jwt::`,
//! `geo::`, `tags::`, methods of strings, times.
//!
//! (In Rust this folder is the module `library`, because a module `std` would hide the standard library.)

pub(crate) mod digest;
pub(crate) mod files;
pub(crate) mod geo;
pub(crate) mod invalidation;
pub(crate) mod json;
pub(crate) mod jwt;
pub(crate) mod patterns;
pub(crate) mod query;
pub(crate) mod strings;
pub(crate) mod system;
pub(crate) mod text;
pub(crate) mod throttle;
pub(crate) mod time;
pub(crate) mod url;

use crate::environment::Environment;
use crate::sources::Sources;
use rhai::Engine;
use std::sync::Arc;

/// Gives scripts the modules that need the world around a policy.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>, sources: &Arc<Sources>) {
    system::register(e, env, sources);
    throttle::register(e, env);
    json::register(e, &env.limits);
    jwt::register(e, &env.limits);
    geo::register(e, env);
}
