//! The functions that scripts find beside their handles: `std::`, `query::`, `url::`, `throttle::`, `json::`, `jwt::`,
//! `geo::`, `tags::`, `proxy::`, `unix::`, methods of strings, times.
//!
//! (In Rust this folder is the module `library`, because a module `std` would hide the standard library.)

pub(crate) mod connection;
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
use rhai::{Engine, FuncRegistration, Module, NativeCallContext, RhaiFunc, RhaiNativeFunc};
use std::rc::Rc;
use std::sync::Arc;

/// A function of a module. Rhai fills in where an error arose for functions without a module only, so these do it
/// themselves.
pub(crate) struct ModuleFunction {
    name: &'static str,
    volatile: bool,
}

impl ModuleFunction {
    pub(crate) fn new(name: &'static str) -> Self {
        ModuleFunction { name, volatile: false }
    }

    /// Volatile functions are not run by the optimiser when it compiles.
    pub(crate) fn with_volatility(self, volatile: bool) -> Self {
        ModuleFunction { volatile, ..self }
    }

    pub(crate) fn set_into_module<A: 'static, const N: usize, const X: bool, R: 'static, const F: bool, T>(
        self,
        m: &mut Module,
        f: T,
    ) where
        T: RhaiNativeFunc<A, N, X, R, F> + 'static,
    {
        let f = match f.into_rhai_function(true, self.volatile) {
            RhaiFunc::Pure { func, has_context, is_pure, is_volatile } => RhaiFunc::Pure {
                func: Rc::new(move |ctx: Option<NativeCallContext<'_>>, args: &mut _| {
                    let at = ctx.as_ref().map(NativeCallContext::call_position);
                    func(ctx.filter(|_| has_context), args).map_err(|mut e| {
                        if e.position().is_none() {
                            e.set_position(at.unwrap_or_default());
                        }
                        e
                    })
                }),
                has_context: true,
                is_pure,
                is_volatile,
            },
            other => other,
        };
        FuncRegistration::new(self.name).set_into_module_raw(m, T::param_types(), f);
    }
}

/// Gives scripts the modules that need the world around a policy.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>, sources: &Arc<Sources>) {
    system::register(e, env, sources);
    throttle::register(e, env);
    json::register(e, &env.limits);
    jwt::register(e, &env.limits);
    geo::register(e, env);
    connection::register(e);
}
