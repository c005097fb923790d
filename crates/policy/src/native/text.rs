//! Text: values that are strings, and those that may be `()`.

use super::cond::Cond;
use super::local::{Any, Call, Local};
use super::{At, Frame, Give, Run};
use crate::fault::{FaultKind, HostError};
use crate::host::{edge, proto};
use crate::library::patterns::Pattern;
use crate::library::url;
use crate::library::{patterns, query};
use crate::scene::{Scene, ScriptValue};
use copal_semantics::{Headers, RequestHead, ResponseHead};
use std::borrow::Cow;
use std::fmt::Write;
use std::sync::LazyLock;

/// The objects with a head, by the hook's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Req,
    Bereq,
    Resp,
    Beresp,
    /// Read-only, and not always there: then it has no fields.
    Obj,
}

static NO_FIELDS: LazyLock<Headers> = LazyLock::new(Headers::default);

impl Side {
    pub(super) fn headers(self, s: &Scene) -> &Headers {
        match self {
            Side::Req => &s.req.headers,
            Side::Bereq => &s.bereq.headers,
            Side::Resp => &s.resp.headers,
            Side::Beresp => &s.beresp.headers,
            Side::Obj => s.obj.as_ref().map_or(&NO_FIELDS, |o| &o.head.headers),
        }
    }

    pub(super) fn headers_mut(self, s: &mut Scene) -> &mut Headers {
        match self {
            Side::Req => &mut s.req.headers,
            Side::Bereq => &mut s.bereq.headers,
            Side::Resp => &mut s.resp.headers,
            // An object's fields are never written: the compiler asks where that may be.
            Side::Beresp | Side::Obj => &mut s.beresp.headers,
        }
    }

    /// The request of a side that is one; of the others the client's, which is never asked for.
    pub(super) fn request(self, s: &Scene) -> &RequestHead {
        if self == Side::Bereq { &s.bereq } else { &s.req }
    }

    pub(super) fn response(self, s: &Scene) -> &ResponseHead {
        if self == Side::Beresp { &s.beresp } else { &s.resp }
    }
}

/// The names that `query::without` and the like take.
pub(super) type Names = Box<[Box<str>]>;

fn listed(names: &Names, name: &str) -> bool {
    names.iter().any(|n| query::is_entry(n, name))
}

/// A string.
#[derive(Debug, Clone)]
pub(super) enum Text {
    Lit(Box<str>),
    Url(Side),
    Method(Side),
    Reason(Side),
    Xid,
    Proto(Side),
    Hostname,
    /// The backend that answered.
    From,
    Device(Side),
    ClientIdentity,
    /// The first that is there; the last always is.
    Or(Box<Maybe>, Box<Text>),
    If(Box<Cond>, Box<Text>, Box<Text>),
    /// A template or a sum.
    Join(Box<[Part]>, At),
    Sort(Box<Text>),
    Without(Box<Text>, Names),
    Keep(Box<Text>, Names),
    Path(Box<Text>),
    Query(Box<Text>),
    Extension(Box<Text>),
    Lower(Box<Text>),
    Upper(Box<Text>),
    /// A function of one text; `None` when it changes nothing.
    Made(fn(&str) -> Option<String>, Box<Text>, At),
    /// Text, expression, what stands for a match; with `true` for all of them.
    Replace(Box<(Text, Box<Pattern>, Text)>, bool, At),
    /// A text is needed here; `()` is the fault.
    Must(Box<Maybe>, Box<(FaultKind, String)>, At),
    Local(usize),
    Call(Box<Call>, Box<Text>),
    Host(Give<String>),
}

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Part {
    Text(Text),
    Int(super::cond::Int),
    /// `()` is nothing.
    Maybe(Maybe),
    Bool(Cond),
    Length(super::length::Length),
    Any(Any),
}

impl Part {
    fn put(&self, f: &Frame<'_>, out: &mut String) -> Run<()> {
        let written = match self {
            Part::Text(text) => {
                out.push_str(&text.eval(f)?);
                Ok(())
            }
            Part::Maybe(maybe) => {
                out.push_str(&maybe.eval(f)?.unwrap_or_default());
                Ok(())
            }
            Part::Int(int) => write!(out, "{}", int.eval(f)?),
            Part::Bool(cond) => write!(out, "{}", cond.eval(f)?),
            Part::Length(length) => write!(out, "{}", length.eval(f)?),
            Part::Any(any) => put_any(&any.eval(f)?, out),
        };
        written.expect("a string takes whatever is written to it");
        Ok(())
    }
}

/// As a template shows it.
fn put_any(value: &ScriptValue, out: &mut String) -> std::fmt::Result {
    match value {
        ScriptValue::Unit => Ok(()),
        ScriptValue::Bool(b) => write!(out, "{b}"),
        ScriptValue::Int(n) => write!(out, "{n}"),
        ScriptValue::Float(x) => write!(out, "{}", rhai::Dynamic::from(*x)),
        ScriptValue::Text(text) | ScriptValue::Backend(text) => out.write_str(text),
        ScriptValue::Span(span) => write!(out, "{span}"),
        ScriptValue::Time(time) => out.write_str(&crate::library::time::http_date(*time)),
        ScriptValue::Address(ip) => write!(out, "{ip}"),
    }
}

/// A string, or `()`.
#[derive(Debug, Clone)]
pub(super) enum Maybe {
    Field(Side, Box<str>),
    Cookie(Side, Box<str>),
    Param(Text, Box<str>),
    Text(Text),
    Or(Box<Maybe>, Box<Maybe>),
    /// `()`
    Nothing,
    If(Box<Cond>, Box<Maybe>, Box<Maybe>),
    Local(usize),
    /// A group of what was captured.
    Group(usize, usize),
    Backend(Side),
    Body(Side),
    /// As of a text; `()` stays what it is.
    Replace(Box<(Maybe, Box<Pattern>, Text)>, bool, At),
    Call(Box<Call>, Box<Maybe>),
    Host(Give<Option<String>>),
}

impl Text {
    pub(super) fn eval<'a>(&'a self, f: &'a Frame<'_>) -> Run<Cow<'a, str>> {
        let s: &'a Scene = f.scene;
        Ok(match self {
            Text::Lit(text) => Cow::Borrowed(text),
            Text::Url(side) => Cow::Borrowed(&side.request(s).url),
            Text::Method(side) => Cow::Borrowed(side.request(s).method.as_str()),
            Text::Reason(side) => Cow::Borrowed(side.response(s).reason_phrase()),
            Text::Xid => Cow::Borrowed(&s.req_vars.xid),
            Text::Proto(side @ (Side::Req | Side::Bereq)) => Cow::Borrowed(proto(side.request(s).version)),
            Text::Proto(side) => Cow::Borrowed(proto(side.response(s).version)),
            Text::Hostname => Cow::Borrowed(&s.hostname),
            Text::From => Cow::Borrowed(&s.beresp_vars.backend),
            Text::Device(side) => Cow::Borrowed(edge::device(side.headers(s))),
            Text::ClientIdentity => match &s.client.identity {
                Some(identity) => Cow::Borrowed(identity),
                None => Cow::Owned(s.client.ip.to_string()),
            },
            Text::Or(first, last) => match first.eval(f)? {
                Some(text) => text,
                None => last.eval(f)?,
            },
            Text::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.eval(f)?,
            Text::Join(parts, at) => {
                let mut out = String::new();
                for part in parts {
                    part.put(f, &mut out)?;
                }
                Cow::Owned(f.sized(*at, out)?)
            }
            Text::Sort(url) => changed(url.eval(f)?, query::sort),
            Text::Without(url, names) => changed(url.eval(f)?, |u| query::filter(u, |n| !listed(names, n))),
            Text::Keep(url, names) => changed(url.eval(f)?, |u| query::filter(u, |n| listed(names, n))),
            Text::Path(text) => cut(text.eval(f)?, |u| url::split(u).0),
            Text::Query(text) => cut(text.eval(f)?, |u| url::split(u).1.unwrap_or("")),
            Text::Extension(text) => extension(text.eval(f)?),
            Text::Lower(text) => {
                changed(text.eval(f)?, |t| t.bytes().any(|b| b.is_ascii_uppercase()).then(|| t.to_ascii_lowercase()))
            }
            Text::Upper(text) => {
                changed(text.eval(f)?, |t| t.bytes().any(|b| b.is_ascii_lowercase()).then(|| t.to_ascii_uppercase()))
            }
            Text::Made(make, text, at) => {
                let text = text.eval(f)?;
                match make(&text) {
                    Some(new) => Cow::Owned(f.sized(*at, new)?),
                    None => text,
                }
            }
            Text::Replace(parts, all, at) => {
                let (text, regex, by) = &**parts;
                let (text, by) = (text.eval(f)?, by.eval(f)?);
                replaced(f, text, regex, &by, *all, *at)?
            }
            Text::Must(maybe, fault, at) => match maybe.eval(f)? {
                Some(text) => text,
                None => return Err(at.stop(HostError::new(fault.0, fault.1.clone()))),
            },
            Text::Local(slot) => f.local_text(*slot).unwrap_or_default(),
            Text::Call(call, body) => call.give(f, |f| body.eval(f))?,
            Text::Host(host) => Cow::Owned(host.call(f)?),
        })
    }

    /// The branch that is taken; a constant there needs no copy.
    pub(super) fn chosen(&self, f: &Frame<'_>) -> Run<&Text> {
        match self {
            Text::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.chosen(f),
            other => Ok(other),
        }
    }

    /// Calls `g` with the text.
    pub(super) fn with<R>(&self, f: &Frame<'_>, g: impl FnOnce(&str) -> R) -> Run<R> {
        self.eval(f).map(|t| g(&t))
    }
}

fn replaced<'a>(f: &Frame<'_>, text: Cow<'a, str>, regex: &Pattern, by: &str, all: bool, at: At) -> Run<Cow<'a, str>> {
    let max = f.env.limits.string_bytes;
    Ok(match f.matched(at, patterns::replaced(regex, &text, by, all, max))? {
        Some(new) => Cow::Owned(f.sized(at, new)?),
        None => text,
    })
}

fn changed<'a>(text: Cow<'a, str>, f: impl FnOnce(&str) -> Option<String>) -> Cow<'a, str> {
    match f(&text) {
        Some(new) => Cow::Owned(new),
        None => text,
    }
}

/// The file extension; without a copy when it is in lower case.
fn extension(text: Cow<'_, str>) -> Cow<'_, str> {
    let Cow::Borrowed(url) = text else { return Cow::Owned(url::extension(&text)) };
    let file = url::split(url).0.rsplit('/').next().unwrap_or("");
    match file.rsplit_once('.') {
        Some((_, found)) if !found.bytes().any(|b| b.is_ascii_uppercase()) => Cow::Borrowed(found),
        Some((_, found)) => Cow::Owned(found.to_ascii_lowercase()),
        None => Cow::Borrowed(""),
    }
}

fn cut<'a>(text: Cow<'a, str>, f: impl Fn(&str) -> &str) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(t) => Cow::Borrowed(f(t)),
        Cow::Owned(t) => Cow::Owned(f(&t).to_owned()),
    }
}

impl Maybe {
    pub(super) fn eval<'a>(&'a self, f: &'a Frame<'_>) -> Run<Option<Cow<'a, str>>> {
        Ok(match self {
            Maybe::Field(side, name) => side.headers(f.scene).get_str(name),
            Maybe::Cookie(side, name) => {
                crate::host::cookies::find(side.headers(f.scene), name).map(String::from_utf8_lossy)
            }
            Maybe::Param(url, name) => query::get(&url.eval(f)?, name).map(Cow::Owned),
            Maybe::Text(text) => Some(text.eval(f)?),
            Maybe::Or(first, second) => match first.eval(f)? {
                Some(text) => Some(text),
                None => second.eval(f)?,
            },
            Maybe::Nothing => None,
            Maybe::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.eval(f)?,
            Maybe::Local(slot) => f.local_text(*slot),
            Maybe::Group(slot, group) => match f.local(*slot) {
                Local::Groups(all) => all.get(*group).and_then(|g| g.as_deref()).map(Cow::Borrowed),
                _ => None,
            },
            Maybe::Backend(Side::Bereq) => f.scene.bereq_vars.backend.as_deref().map(Cow::Borrowed),
            Maybe::Backend(_) => f.scene.req_vars.backend.as_deref().map(Cow::Borrowed),
            Maybe::Body(side) => {
                let body = if *side == Side::Beresp { &f.scene.beresp_vars.body } else { &f.scene.resp_vars.body };
                body.as_deref().map(String::from_utf8_lossy)
            }
            Maybe::Replace(parts, all, at) => {
                let (text, regex, by) = &**parts;
                match (text.eval(f)?, by.eval(f)?) {
                    (Some(text), by) => Some(replaced(f, text, regex, &by, *all, *at)?),
                    (None, _) => None,
                }
            }
            Maybe::Call(call, body) => call.give(f, |f| body.eval(f))?,
            Maybe::Host(host) => host.call(f)?.map(Cow::Owned),
        })
    }

    pub(super) fn is_there(&self, f: &Frame<'_>) -> Run<bool> {
        Ok(match self {
            Maybe::Field(side, name) => side.headers(f.scene).contains(name),
            Maybe::Cookie(side, name) => crate::host::cookies::has(side.headers(f.scene), name),
            Maybe::Local(slot) => *f.local(*slot) != Local::Unit,
            other => other.eval(f)?.is_some(),
        })
    }
}
