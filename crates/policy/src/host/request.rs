//! `req`: the client's request, and what both requests share.

use super::{Bereq, Handle, Req, get, get_dynamic, get_handle, proto, set};
use crate::current::{self, Res};
use crate::environment::Environment;
use crate::fault::{FaultKind, HostError};
use crate::notes::{self, Did};
use crate::scene::Scene;
use crate::value::{Backend, from_plain, optional, text, to_bool, to_optional_span, to_plain, to_text, type_name};
use crate::vars::Type;
use copal_semantics::{Headers, RequestHead, Span};
use http::Method;
use rhai::{Dynamic, Engine, FuncRegistration, NativeCallContext};
use std::sync::Arc;

/// `req.vars`
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Carried;

/// A method that can be sent.
fn to_method(what: &str, value: &Dynamic) -> Result<Method, HostError> {
    let name = to_text(what, value)?;
    Method::from_bytes(name.as_bytes())
        .map_err(|_| HostError::new(FaultKind::Framing, format!("`{what}`: not a valid request method")))
}

/// A target that can be sent: "/path?query" or "*" (RFC 9112 §3.2), without white space or control characters.
fn set_url(what: &str, url: &mut String, value: &Dynamic) -> Result<(), HostError> {
    let new = to_text(what, value)?;
    if new == *url {
        return Ok(());
    }
    check_url(what, &new)?;
    url.clear();
    url.push_str(&new);
    Ok(())
}

/// Refuses a target that cannot be sent.
pub(crate) fn check_url(what: &str, new: &str) -> Result<(), HostError> {
    if new.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(HostError::new(
            FaultKind::Framing,
            format!("`{what}` cannot hold white space or control characters"),
        ));
    }
    if !new.starts_with('/') && new != "*" {
        return Err(HostError::new(FaultKind::Framing, format!("`{what}` must begin with \"/\"")));
    }
    Ok(())
}

/// A backend or director that the configuration has, or none.
pub(crate) fn to_backend(env: &Environment, what: &str, value: &Dynamic) -> Result<Option<String>, HostError> {
    if value.is_unit() {
        return Ok(None);
    }
    if let Some(Backend(name)) = value.read_lock::<Backend>().as_deref() {
        return Ok(Some(name.to_string()));
    }
    let Ok(name) = value.as_immutable_string_ref() else {
        return Err(HostError::value(format!("`{what}` takes a backend, not {}", type_name(value))));
    };
    if env.serves(&name) {
        return Ok(Some(name.to_string()));
    }
    let shown = crate::library::time::shown(&name);
    Err(HostError::new(FaultKind::UnknownName, format!("the configuration has no backend or director \"{shown}\"")))
}

/// What `req` and `bereq` have in common.
pub(crate) fn head<H: Handle>(
    e: &mut Engine,
    read: fn(&Scene) -> &RequestHead,
    write: fn(&mut Scene) -> &mut RequestHead,
    names: [&'static str; 2],
) {
    get::<H, _>(e, "method", move |s| text(read(s).method.as_str()));
    set::<H>(e, "method", move |s, v| to_method(names[0], &v).map(|m| write(s).method = m));
    get::<H, _>(e, "url", move |s| text(&read(s).url));
    set::<H>(e, "url", move |s, v| set_url(names[1], &mut write(s).url, &v));
    get::<H, _>(e, "proto", move |s| text(proto(read(s).version)));
    get::<H, _>(e, "xid", |s| text(&s.req_vars.xid));
    e.register_fn("is_get_or_head", move |_: &mut H| -> Res<bool> {
        current::read(|s| matches!(read(s).method, Method::GET | Method::HEAD))
    });
}

/// A variable that may be a duration.
pub(crate) fn optional_span<H: Handle>(
    e: &mut Engine,
    name: &'static str,
    read: fn(&Scene) -> Option<Span>,
    write: fn(&mut Scene) -> &mut Option<Span>,
) {
    get_dynamic::<H>(e, name, move |s| Ok(read(s).map_or(Dynamic::UNIT, Dynamic::from)));
    set::<H>(e, name, move |s, v| to_optional_span(name, v).map(|d| *write(s) = d));
}

/// Is gzip among the codings that the client takes, by a weight above zero (RFC 9110 §12.5.3)?
fn can_gzip(h: &Headers) -> bool {
    let named = |entry: &str| {
        let (coding, weight) = entry.split_once(';').map_or((entry, ""), |(c, w)| (c, w.trim()));
        let refused = weight.starts_with("q=0") && !weight.bytes().any(|b| matches!(b, b'1'..=b'9'));
        matches!(coding.trim().to_ascii_lowercase().as_str(), "gzip" | "x-gzip") && !refused
    };
    h.get_all("accept-encoding").any(|v| String::from_utf8_lossy(v).split(',').any(named))
}

fn flag(e: &mut Engine, name: &'static str, read: fn(&Scene) -> bool, write: fn(&mut Scene) -> &mut bool) {
    get::<Req, _>(e, name, read);
    set::<Req>(e, name, move |s, v| to_bool(name, &v).map(|b| *write(s) = b));
}

/// Gives scripts `req`.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    head::<Req>(e, |s| &s.req, |s| &mut s.req, ["req.method", "req.url"]);
    for name in ["backend", "backend_hint"] {
        get_dynamic::<Req>(e, name, |s| {
            Ok(optional(s.req_vars.backend.as_deref().map(|n| Dynamic::from(Backend(text(n))))))
        });
        let env = Arc::clone(env);
        set::<Req>(e, name, move |s, v| to_backend(&env, "req.backend", &v).map(|b| s.req_vars.backend = b));
    }
    optional_span::<Req>(e, "grace", |s| s.req_vars.grace, |s| &mut s.req_vars.grace);
    optional_span::<Req>(e, "max_age", |s| s.req_vars.max_age, |s| &mut s.req_vars.max_age);
    optional_span::<Req>(e, "ttl", |s| s.req_vars.max_age, |s| &mut s.req_vars.max_age);
    get::<Req, _>(e, "can_gzip", |s| can_gzip(&s.req.headers));
    flag(e, "hash_always_miss", |s| s.req_vars.hash_always_miss, |s| &mut s.req_vars.hash_always_miss);
    flag(e, "hash_ignore_busy", |s| s.req_vars.hash_ignore_busy, |s| &mut s.req_vars.hash_ignore_busy);
    get::<Req, _>(e, "time", |s| s.req_vars.time);
    get::<Req, _>(e, "restarts", |s| i64::from(s.req_vars.restarts));
    get::<Req, _>(e, "esi_level", |s| i64::from(s.req_vars.esi_level));
    get::<Req, _>(e, "is_hitmiss", |s| s.req_vars.is_hitmiss);
    get::<Req, _>(e, "is_hitpass", |s| s.req_vars.is_hitpass);
    carried(e);
}

fn carried(e: &mut Engine) {
    get_handle::<Req, Carried>(e, "vars");
    e.register_type_with_name::<Carried>(Type::Vars.name());
    FuncRegistration::new_index_getter()
        .with_purity(true)
        .with_volatility(true)
        .register_into_engine(e, |_: &mut Carried, name: &str| carried_get(name));
    FuncRegistration::new_index_setter()
        .with_purity(true)
        .with_volatility(true)
        .register_into_engine(e, |_: &mut Carried, name: &str, value: Dynamic| carried_set(name, value));
    e.register_fn("has", |_: Carried, name: &str| carried_has(name));
    e.register_fn("remove", |_: Carried, name: &str| carried_remove(name));
    e.register_fn("clear", |_: Carried| carried_clear());
}

fn carried_get(name: &str) -> Res<Dynamic> {
    current::read(|s| s.req_vars.vars.get(name).map_or(Dynamic::UNIT, from_plain))
}

fn carried_set(name: &str, value: Dynamic) -> Res<()> {
    let bytes = name.len() + value.as_immutable_string_ref().map_or(16, |s| s.len());
    current::write("req", "vars", crate::hooks::HookSet::CLIENT, bytes, |s| {
        if value.is_unit() {
            s.req_vars.vars.remove(name);
        } else {
            s.req_vars.vars.insert(name.to_owned(), to_plain(value)?);
        }
        Ok(())
    })
}

fn carried_has(name: &str) -> Res<bool> {
    current::read(|s| s.req_vars.vars.contains_key(name))
}

fn carried_remove(name: &str) -> Res<()> {
    current::write("req", "vars", crate::hooks::HookSet::CLIENT, 0, |s| {
        s.req_vars.vars.remove(name);
        Ok(())
    })
}

fn carried_clear() -> Res<()> {
    current::write("req", "vars", crate::hooks::HookSet::CLIENT, 0, |s| {
        s.req_vars.vars.clear();
        Ok(())
    })
}

/// The same functions, telling what they read and write.
pub(crate) fn tell(e: &mut Engine) {
    fn note(ctx: &NativeCallContext<'_>, did: Did, name: &str) -> Res<()> {
        let value = carried_get(name)?;
        let what = format!("req.vars.{name}");
        match did {
            Did::Read => notes::read(ctx, what, &value),
            Did::Wrote => notes::wrote(ctx, what, &value),
        }
        Ok(())
    }
    FuncRegistration::new_index_getter().with_purity(true).with_volatility(true).register_into_engine(
        e,
        |ctx: NativeCallContext, _: &mut Carried, name: &str| -> Res<Dynamic> {
            note(&ctx, Did::Read, name)?;
            carried_get(name)
        },
    );
    FuncRegistration::new_index_setter().with_purity(true).with_volatility(true).register_into_engine(
        e,
        |ctx: NativeCallContext, _: &mut Carried, name: &str, value: Dynamic| -> Res<()> {
            carried_set(name, value)?;
            note(&ctx, Did::Wrote, name)
        },
    );
    e.register_fn("has", |ctx: NativeCallContext, _: Carried, name: &str| -> Res<bool> {
        note(&ctx, Did::Read, name)?;
        carried_has(name)
    });
    e.register_fn("remove", |ctx: NativeCallContext, _: Carried, name: &str| -> Res<()> {
        carried_remove(name)?;
        note(&ctx, Did::Wrote, name)
    });
    e.register_fn("clear", |ctx: NativeCallContext, _: Carried| -> Res<()> {
        carried_clear()?;
        notes::wrote(&ctx, "req.vars".to_owned(), &Dynamic::UNIT);
        Ok(())
    });
    e.register_fn("is_get_or_head", |ctx: NativeCallContext, _: &mut Req| -> Res<bool> {
        method(&ctx, "req.method", |s| &s.req.method)
    });
    e.register_fn("is_get_or_head", |ctx: NativeCallContext, _: &mut Bereq| -> Res<bool> {
        method(&ctx, "bereq.method", |s| &s.bereq.method)
    });
}

/// Is it GET or HEAD? Telling that it was read.
fn method(ctx: &NativeCallContext<'_>, what: &str, read: fn(&Scene) -> &Method) -> Res<bool> {
    let method = current::read(|s| read(s).clone())?;
    notes::note(ctx, Did::Read, what.to_owned(), Some(method.to_string()));
    Ok(matches!(method, Method::GET | Method::HEAD))
}
