//! Bodies of requests: `std::cache_req_body`, `req.body`, `req.body_size`, `req.body_matches(re)`, `key.add_body()`.
//!
//! A hook cannot wait. So the first call of `std::cache_req_body` ends the hook; the pipeline reads the body and runs the
//! hook again from its start, with everything as it was before, and then the call answers.

use super::{Bereq, Handle, Key, Req, get, get_dynamic, set};
use crate::current::{self, Res};
use crate::fault::{FaultKind, HostError};
use crate::hooks::Hook;
use crate::library::digest::sha256;
use crate::library::patterns::Patterns;
use crate::library::time::{not_a_size, parse_size};
use crate::notes::{self, Did};
use crate::scene::{RequestBody, Scene};
use crate::value::{optional, text, type_name};
use crate::vars::Type;
use rhai::{Dynamic, Engine, Module, NativeCallContext};
use std::rc::Rc;

const NAME: &str = "std::cache_req_body";

/// What the key is told of a body: its method and its digest.
pub(crate) fn add_to_key(s: &mut Scene) {
    if let RequestBody::Cached(body) = &s.req_body
        && !body.is_empty()
        && s.req.method != http::Method::HEAD
    {
        let digest = sha256(body);
        s.key.add(s.req.method.as_str().as_bytes());
        s.key.add(digest.as_ref());
    }
}

fn cached(s: &Scene) -> Option<&[u8]> {
    match &s.req_body {
        RequestBody::Cached(body) => Some(body),
        RequestBody::None => Some(b""),
        RequestBody::Unread(_) | RequestBody::Wanted(_) | RequestBody::TooLarge => None,
    }
}

fn not_cached(what: &str) -> HostError {
    HostError::value(format!("`{what}` needs the body: `if {NAME}(\"64KiB\") {{ … }}` in `recv` reads it"))
}

/// Must it be read? Then so many bytes.
fn ask(s: &Scene, max: u64) -> Result<bool, u64> {
    match &s.req_body {
        RequestBody::None => Ok(true),
        RequestBody::Cached(body) => Ok(body.len() as u64 <= max),
        RequestBody::TooLarge => Ok(false),
        // What is too large by its own word need not be read.
        RequestBody::Unread(Some(length)) if *length > max => Ok(false),
        RequestBody::Unread(_) | RequestBody::Wanted(_) => Err(max),
    }
}

fn cache(size: &Dynamic) -> Res<bool> {
    let max = match (size.as_int(), size.as_immutable_string_ref()) {
        (Ok(n), _) => Some(n),
        (_, Ok(text)) => Some(parse_size(&text).ok_or_else(|| HostError::value(not_a_size(&text)))?),
        _ => None,
    };
    let Some(max) = max.and_then(|n| u64::try_from(n).ok()) else {
        return Err(HostError::value(format!("`{NAME}` takes a size, not {}", type_name(size))).into());
    };
    match current::read(|s| ask(s, max))? {
        Ok(answer) => Ok(answer),
        Err(wanted) => current::write("std", "cache_req_body", Hook::Recv.bit(), 0, |s| {
            s.req_body = RequestBody::Wanted(wanted);
            Err(HostError::new(FaultKind::Script, format!("`{NAME}`: the body is read, and the hook begins again")))
        }),
    }
}

/// Adds to the module `std`.
pub(crate) fn add(m: &mut Module) {
    crate::library::ModuleFunction::new("cache_req_body").with_volatility(true).set_into_module(
        m,
        |ctx: NativeCallContext, size: Dynamic| -> Res<bool> {
            let kept = cache(&size)?;
            let bytes = current::read(|s| cached(s).map(|body| format!("{} bytes", body.len())))?;
            notes::tell(&ctx, Did::Wrote, || ("req.body".to_owned(), bytes));
            Ok(kept)
        },
    );
}

fn body<H: Handle>(e: &mut Engine) {
    get_dynamic::<H>(e, "body", |s| Ok(optional(cached(s).and_then(|b| std::str::from_utf8(b).ok()).map(text))));
}

/// Gives scripts the body where there is a request.
pub(crate) fn register(e: &mut Engine, patterns: &Rc<Patterns>) {
    body::<Req>(e);
    body::<Bereq>(e);
    get::<Req, _>(e, "body_cached", |s| matches!(s.req_body, RequestBody::Cached(_)));
    get_dynamic::<Req>(e, "body_size", |s| {
        let size = match &s.req_body {
            RequestBody::Unread(length) => *length,
            RequestBody::TooLarge | RequestBody::Wanted(_) => None,
            RequestBody::None | RequestBody::Cached(_) => cached(s).map(|b| b.len() as u64),
        };
        Ok(size.and_then(|n| i64::try_from(n).ok()).map_or(Dynamic::UNIT, Dynamic::from))
    });
    set::<Bereq>(e, "body", |s, value| {
        if !value.is_unit() {
            return Err(HostError::value("`bereq.body` can be removed, by setting it to `()`, and not changed"));
        }
        s.bereq_vars.no_body = true;
        Ok(())
    });
    let patterns = Rc::clone(patterns);
    e.register_fn("body_matches", move |ctx: NativeCallContext, _: &mut Req, pattern: &str| -> Res<bool> {
        let bytes = current::read(|s| cached(s).map(|body| format!("{} bytes", body.len())))?;
        notes::tell(&ctx, Did::Read, || ("req.body".to_owned(), bytes));
        patterns.with(pattern, |regex| {
            current::try_read(|s| {
                let body = cached(s).ok_or_else(|| not_cached("req.body_matches"))?;
                regex.is_match(&String::from_utf8_lossy(body))
            })
        })
    });
    e.register_fn("add_body", |ctx: NativeCallContext, _: &mut Key| -> Res<()> {
        let bytes = current::write(Type::Key.name(), "add_body", Hook::Hash.bit(), 40, |s| {
            let body = cached(s).ok_or_else(|| not_cached("key.add_body"))?;
            let (digest, bytes) = (sha256(body), body.len());
            s.key.add(digest.as_ref());
            Ok(bytes)
        })?;
        notes::tell(&ctx, Did::Wrote, || ("key".to_owned(), Some(format!("the digest of {bytes} bytes"))));
        Ok(())
    });
}
