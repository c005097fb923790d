//! `obj` and `stale`: a stored object, read-only.

use super::response::head;
use super::{Obj, get_dynamic};
use crate::fault::{FaultKind, HostError};
use crate::scene::{ObjectVars, Scene};
use rhai::{Dynamic, Engine};
use std::sync::LazyLock;

pub(crate) fn object(s: &Scene) -> Result<&ObjectVars, HostError> {
    s.obj
        .as_ref()
        .ok_or_else(|| HostError::new(FaultKind::Value, "there is no object here: this response is not from the cache"))
}

/// What `deliver` sees of a response that no object was made of: a pass, a page made here. VCL has an object for these, too,
/// which nobody else will ever get.
static NO_OBJECT: LazyLock<ObjectVars> = LazyLock::new(|| ObjectVars { uncacheable: true, ..ObjectVars::default() });

/// The object, or what stands for one.
pub(crate) fn variables(s: &Scene) -> &ObjectVars {
    s.obj.as_ref().unwrap_or_else(|| &NO_OBJECT)
}

fn var(e: &mut Engine, name: &'static str, f: fn(&ObjectVars) -> Dynamic) {
    get_dynamic::<Obj>(e, name, move |s| Ok(f(variables(s))));
}

/// Gives scripts `obj`.
pub(crate) fn register(e: &mut Engine) {
    head::<Obj>(e, |s| object(s).map(|o| &o.head), None, ["obj.status", "obj.reason"]);
    var(e, "ttl", |o| Dynamic::from(o.ttl));
    var(e, "grace", |o| Dynamic::from(o.grace));
    var(e, "keep", |o| Dynamic::from(o.keep));
    get_dynamic::<Obj>(e, "time", |s| object(s).map(|o| Dynamic::from(s.now - o.age)));
    var(e, "age", |o| Dynamic::from(o.age));
    var(e, "hits", |o| i64::try_from(o.hits).unwrap_or(i64::MAX).into());
    var(e, "uncacheable", |o| o.uncacheable.into());
}
