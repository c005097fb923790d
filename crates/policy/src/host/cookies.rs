//! `req.cookie`: a view of the Cookie header. Reading looks into the header; writing makes it anew, in one line.

use super::headers::Side;
use super::{Bereq, Req, writable};
use crate::current::{self, Res};
use crate::fault::{FaultKind, HostError};
use crate::library::patterns::{Pattern, Patterns};
use crate::library::query::{checked as checked_names, is_entry, listed};
use crate::notes::{self, Did};
use crate::value::{framing, optional, text_of, with_text};
use crate::vars::Type;
use copal_semantics::Headers;
use copal_semantics::headers::{is_token, trim_ows};
use rhai::{Array, Dynamic, Engine, ImmutableString, NativeCallContext};
use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

/// The cookies of a request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cookies<S>(PhantomData<S>);

/// The crumbs of all Cookie lines (RFC 6265 §4.2.1; HTTP/2 may split them, RFC 9113 §8.2.3), as (name, whole crumb).
fn crumbs(h: &Headers) -> impl Iterator<Item = (&[u8], &[u8])> {
    h.get_all("cookie").flat_map(|line| line.split(|b| *b == b';')).map(trim_ows).filter(|c| !c.is_empty()).map(|c| {
        let end = c.iter().position(|b| *b == b'=').unwrap_or(c.len());
        (trim_ows(&c[..end]), c)
    })
}

/// Is there a cookie of that name?
pub(crate) fn has(h: &Headers, name: &str) -> bool {
    crumbs(h).any(|(n, _)| n == name.as_bytes())
}

/// The value of the first cookie of that name.
pub(crate) fn find<'h>(h: &'h Headers, name: &str) -> Option<&'h [u8]> {
    let (_, crumb) = crumbs(h).find(|(n, _)| *n == name.as_bytes())?;
    let at = crumb.iter().position(|b| *b == b'=').map_or(crumb.len(), |i| i + 1);
    Some(trim_ows(&crumb[at..]))
}

/// Bytes of all cookie lines: what making them anew is charged with.
pub(crate) fn bytes(h: &Headers) -> usize {
    h.get_all("cookie").map(<[u8]>::len).sum()
}

fn value(h: &Headers, name: &str) -> Option<ImmutableString> {
    find(h, name).map(text_of)
}

/// Writes the crumbs for which `keep` holds, and one more, as one line; no line when none is left.
pub(crate) fn rewrite(
    h: &mut Headers,
    mut keep: impl FnMut(&[u8]) -> bool,
    more: Option<(&str, &str)>,
) -> Result<(), HostError> {
    let mut line: Vec<u8> = Vec::new();
    for (name, crumb) in crumbs(h) {
        if keep(name) {
            if !line.is_empty() {
                line.extend_from_slice(b"; ");
            }
            line.extend_from_slice(crumb);
        }
    }
    if let Some((name, value)) = more {
        if !line.is_empty() {
            line.extend_from_slice(b"; ");
        }
        line.extend_from_slice(format!("{name}={value}").as_bytes());
    }
    if line.is_empty() {
        h.remove("cookie");
        return Ok(());
    }
    h.set("cookie", &line).map_err(|e| framing("cookie", e))
}

fn edit<S: Side>(more: Option<(&str, &str)>, keep: impl FnMut(&[u8]) -> bool) -> Res<()> {
    let old = current::read(|s| S::fields(s).map_or(0, bytes))?;
    let total = old + more.map_or(0, |(n, v)| n.len() + v.len() + 3);
    current::write(S::object(), "cookie", writable(S::TYPE), total, |s| match S::fields_mut(s) {
        Some(h) if h.contains("cookie") || more.is_some() => rewrite(h, keep, more),
        _ => Ok(()),
    })
}

pub(crate) fn checked(name: &str, value: &str) -> Result<(), HostError> {
    // RFC 6265 §4.1.1 without its quotes rule: what cannot be told apart when it is read again is refused.
    if is_token(name.as_bytes()) && !value.bytes().any(|b| b == b';' || b == b',' || b < 0x21 || b == 0x7f) {
        return Ok(());
    }
    Err(HostError::new(
        FaultKind::Framing,
        "a cookie's name is a token, and its value has no space, comma or semicolon",
    ))
}

fn side<S: Side>(e: &mut Engine, patterns: &Rc<Patterns>) {
    super::get_handle::<S, Cookies<S>>(e, "cookie");
    e.register_type_with_name::<Cookies<S>>(Type::Cookies.name());
    e.register_fn("has", |_: Cookies<S>, name: &str| -> Res<bool> {
        current::read(|s| S::fields(s).is_some_and(|h| has(h, name)))
    });
    e.register_fn("get", |_: Cookies<S>, name: &str| get::<S>(name));
    e.register_fn("set", |_: Cookies<S>, name: &str, value: Dynamic| set::<S>(name, &value));
    e.register_fn("remove", |_: Cookies<S>, name: ImmutableString| remove::<S>(&name));
    e.register_fn("keep", |_: Cookies<S>, list: Array| keep::<S>(list));
    let p = Rc::clone(patterns);
    e.register_fn("keep_matching", move |_: Cookies<S>, re: &str| matching::<S>(&p, re, true));
    let p = Rc::clone(patterns);
    e.register_fn("remove_matching", move |_: Cookies<S>, re: &str| matching::<S>(&p, re, false));
}

fn get<S: Side>(name: &str) -> Res<Dynamic> {
    current::read(|s| optional(S::fields(s).and_then(|h| value(h, name))))
}

fn set<S: Side>(name: &str, value: &Dynamic) -> Res<()> {
    with_text(value, |v| {
        let v = v.unwrap_or("");
        checked(name, v)?;
        Ok(edit::<S>(Some((name, v)), |n| n != name.as_bytes()))
    })?
}

fn remove<S: Side>(name: &ImmutableString) -> Res<()> {
    edit::<S>(None, |n| !std::str::from_utf8(n).is_ok_and(|n| is_entry(name, n)))
}

fn keep<S: Side>(list: Array) -> Res<()> {
    let list = checked_names(list)?;
    edit::<S>(None, |n| std::str::from_utf8(n).is_ok_and(|n| listed(&list, n)))
}

/// Leaves those whose names match, or the others.
fn matching<S: Side>(patterns: &Patterns, re: &str, keep: bool) -> Res<()> {
    patterns.with(re, |r| {
        let names = Named::by(r);
        edit::<S>(None, |n| names.has(n) == keep)?;
        Ok(names.outcome()?)
    })
}

/// Names that an expression matches, and what went wrong on the way.
pub(crate) struct Named<'a>(&'a Pattern, RefCell<Result<(), HostError>>);

impl<'a> Named<'a> {
    pub(crate) fn by(pattern: &'a Pattern) -> Self {
        Named(pattern, RefCell::new(Ok(())))
    }

    pub(crate) fn has(&self, name: &[u8]) -> bool {
        let found = std::str::from_utf8(name).map_or(Ok(false), |n| self.0.is_match(n));
        found.unwrap_or_else(|e| {
            *self.1.borrow_mut() = Err(e);
            false
        })
    }

    pub(crate) fn outcome(self) -> Result<(), HostError> {
        self.1.into_inner()
    }
}

type Ctx<'a> = NativeCallContext<'a>;

fn tell_side<S: Side>(e: &mut Engine, patterns: &Rc<Patterns>) {
    fn wrote<S: Side>(ctx: &Ctx<'_>) -> Res<()> {
        let line = current::read(|s| S::fields(s).and_then(|h| h.get("cookie")).map(text_of))?;
        notes::note(ctx, Did::Wrote, format!("{}.http.cookie", S::object()), line.map(|line| line.to_string()));
        Ok(())
    }
    fn read<S: Side>(ctx: &Ctx<'_>, name: &str) -> Res<Dynamic> {
        let value = get::<S>(name)?;
        notes::read(ctx, format!("{}.cookie.{name}", S::object()), &value);
        Ok(value)
    }
    e.register_fn("has", |ctx: Ctx, _: Cookies<S>, name: &str| -> Res<bool> { Ok(!read::<S>(&ctx, name)?.is_unit()) });
    e.register_fn("get", |ctx: Ctx, _: Cookies<S>, name: &str| read::<S>(&ctx, name));
    e.register_fn("set", |ctx: Ctx, _: Cookies<S>, name: &str, value: Dynamic| -> Res<()> {
        set::<S>(name, &value)?;
        wrote::<S>(&ctx)
    });
    e.register_fn("remove", |ctx: Ctx, _: Cookies<S>, name: ImmutableString| -> Res<()> {
        remove::<S>(&name)?;
        wrote::<S>(&ctx)
    });
    e.register_fn("keep", |ctx: Ctx, _: Cookies<S>, list: Array| -> Res<()> {
        keep::<S>(list)?;
        wrote::<S>(&ctx)
    });
    for (name, keep) in [("keep_matching", true), ("remove_matching", false)] {
        let p = Rc::clone(patterns);
        e.register_fn(name, move |ctx: Ctx, _: Cookies<S>, re: &str| -> Res<()> {
            matching::<S>(&p, re, keep)?;
            wrote::<S>(&ctx)
        });
    }
}

/// The same functions, telling what they read and write.
pub(crate) fn tell(e: &mut Engine, patterns: &Rc<Patterns>) {
    tell_side::<Req>(e, patterns);
    tell_side::<Bereq>(e, patterns);
}

/// Gives scripts the cookies of both requests.
pub(crate) fn register(e: &mut Engine, patterns: &Rc<Patterns>) {
    side::<Req>(e, patterns);
    side::<Bereq>(e, patterns);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> Headers {
        lines.iter().map(|l| ("Cookie", *l)).collect()
    }

    #[test]
    fn crumbs_of_all_lines_are_one_list() {
        let mut h = headers(&["a=1; b=\"2=x\" ;; c", " d = 4"]);
        assert_eq!(value(&h, "b").as_deref(), Some("\"2=x\""));
        assert_eq!(value(&h, "c").as_deref(), Some(""));
        assert_eq!(value(&h, "d").as_deref(), Some("4"));
        assert_eq!(value(&h, "A"), None);
        rewrite(&mut h, |n| n != b"a", Some(("e", "5"))).expect("valid");
        assert_eq!(h.get_all("cookie").collect::<Vec<_>>(), [&b"b=\"2=x\"; c; d = 4; e=5"[..]]);
        rewrite(&mut h, |_| false, None).expect("valid");
        assert!(!h.contains("cookie"));
    }

    #[test]
    fn what_would_become_another_cookie_is_refused() {
        assert!(checked("a", "x; b=1").is_err() && checked("a=", "x").is_err() && checked("a", "x\r").is_err());
        assert!(checked("__Host-a", "x==").is_ok());
    }
}
