//! `bereq` and `beresp`: what the origin is asked and what it answers.

use super::request::{head, optional_span, to_backend};
use super::response::{body, head as response_head};
use super::{Bereq, Beresp, get, get_dynamic, set};
use crate::environment::Environment;
use crate::fault::HostError;
use crate::scene::Scene;
use crate::value::{Backend, optional, text, to_bool, to_span, to_text};
use copal_semantics::Span;
use rhai::{Dynamic, Engine};
use std::sync::Arc;

fn span(e: &mut Engine, name: &'static str, read: fn(&Scene) -> Span, write: fn(&mut Scene) -> &mut Span) {
    get::<Beresp, _>(e, name, read);
    set::<Beresp>(e, name, move |s, v| to_span(name, v).map(|d| *write(s) = d));
}

/// Gives scripts `bereq` and `beresp`.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    head::<Bereq>(e, |s| &s.bereq, |s| &mut s.bereq, ["bereq.method", "bereq.url"]);
    get_dynamic::<Bereq>(e, "backend", |s| {
        Ok(optional(s.bereq_vars.backend.as_deref().map(|n| Dynamic::from(Backend(text(n))))))
    });
    get_dynamic::<Bereq>(e, "shadow", |s| {
        Ok(optional(s.bereq_vars.shadow.as_deref().map(|n| Dynamic::from(Backend(text(n))))))
    });
    let known = Arc::clone(env);
    set::<Bereq>(e, "shadow", move |s, v| to_backend(&known, "bereq.shadow", &v).map(|b| s.bereq_vars.shadow = b));
    let world = Arc::clone(env);
    let env = Arc::clone(env);
    set::<Bereq>(e, "backend", move |s, v| to_backend(&env, "bereq.backend", &v).map(|b| s.bereq_vars.backend = b));
    get::<Bereq, _>(e, "time", |s| s.bereq_vars.time);
    get::<Bereq, _>(e, "retries", |s| i64::from(s.bereq_vars.retries));
    get::<Bereq, _>(e, "is_bgfetch", |s| s.bereq_vars.is_bgfetch);
    get::<Bereq, _>(e, "is_hitmiss", |s| s.bereq_vars.is_hitmiss);
    get::<Bereq, _>(e, "is_hitpass", |s| s.bereq_vars.is_hitpass);
    get::<Bereq, _>(e, "uncacheable", |s| s.bereq_vars.uncacheable);
    optional_span::<Bereq>(
        e,
        "connect_timeout",
        |s| s.bereq_vars.connect_timeout,
        |s| &mut s.bereq_vars.connect_timeout,
    );
    optional_span::<Bereq>(
        e,
        "first_byte_timeout",
        |s| s.bereq_vars.first_byte_timeout,
        |s| &mut s.bereq_vars.first_byte_timeout,
    );
    optional_span::<Bereq>(
        e,
        "between_bytes_timeout",
        |s| s.bereq_vars.between_bytes_timeout,
        |s| &mut s.bereq_vars.between_bytes_timeout,
    );
    optional_span::<Bereq>(e, "total_timeout", |s| s.bereq_vars.total_timeout, |s| &mut s.bereq_vars.total_timeout);
    optional_span::<Bereq>(e, "task_deadline", |s| s.bereq_vars.task_deadline, |s| &mut s.bereq_vars.task_deadline);
    response(e);
    storage(e, &world);
}

fn storage(e: &mut Engine, env: &Arc<Environment>) {
    get::<Beresp, _>(e, "storage", |s| text(s.beresp_vars.storage.as_deref().unwrap_or("main")));
    let env = Arc::clone(env);
    set::<Beresp>(e, "storage", move |s, v| {
        let name = to_text("beresp.storage", &v)?;
        check_storage(&env, &name)?;
        s.beresp_vars.storage = Some(name.to_string());
        Ok(())
    });
}

/// Is there a storage of that name?
pub(crate) fn check_storage(env: &Environment, name: &str) -> Result<(), HostError> {
    if env.storages.iter().any(|known| known == name) {
        return Ok(());
    }
    Err(HostError::value(format!("the configuration has no storage \"{name}\"")))
}

fn response(e: &mut Engine) {
    response_head::<Beresp>(e, |s| Ok(&s.beresp), Some(|s| &mut s.beresp), ["beresp.status", "beresp.reason"]);
    body::<Beresp>(e, |s| &s.beresp_vars.body, |s| &mut s.beresp_vars.body);
    span(e, "ttl", |s| s.beresp_vars.ttl, |s| &mut s.beresp_vars.ttl);
    span(e, "grace", |s| s.beresp_vars.grace, |s| &mut s.beresp_vars.grace);
    span(e, "keep", |s| s.beresp_vars.keep, |s| &mut s.beresp_vars.keep);
    span(e, "stale_if_error", |s| s.beresp_vars.stale_if_error, |s| &mut s.beresp_vars.stale_if_error);
    get::<Beresp, _>(e, "time", |s| s.bereq_vars.answered);
    get::<Beresp, _>(e, "age", |s| s.beresp_vars.age);
    get::<Beresp, _>(e, "uncacheable", |s| s.beresp_vars.uncacheable);
    set::<Beresp>(e, "uncacheable", |s, v| {
        let raise = to_bool("beresp.uncacheable", &v)?;
        if !raise && s.beresp_vars.uncacheable {
            return Err(HostError::value("`beresp.uncacheable` can be set, not cleared: use `beresp.ttl`"));
        }
        s.beresp_vars.uncacheable = raise;
        Ok(())
    });
    get::<Beresp, _>(e, "backend", |s| Backend(text(&s.beresp_vars.backend)));
    get::<Beresp, _>(e, "was_304", |s| s.beresp_vars.was_304);
}
