//! Text: values that are strings, and those that may be `()`.

use super::cond::Cond;
use super::{At, Frame, Run};
use crate::library::query;
use crate::library::url;
use crate::scene::Scene;
use copal_semantics::{Headers, RequestHead, ResponseHead};
use std::borrow::Cow;
use std::fmt::Write;

/// The objects with a head, by the hook's parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Req,
    Bereq,
    Resp,
    Beresp,
}

impl Side {
    pub(super) fn headers(self, s: &Scene) -> &Headers {
        match self {
            Side::Req => &s.req.headers,
            Side::Bereq => &s.bereq.headers,
            Side::Resp => &s.resp.headers,
            Side::Beresp => &s.beresp.headers,
        }
    }

    pub(super) fn headers_mut(self, s: &mut Scene) -> &mut Headers {
        match self {
            Side::Req => &mut s.req.headers,
            Side::Bereq => &mut s.bereq.headers,
            Side::Resp => &mut s.resp.headers,
            Side::Beresp => &mut s.beresp.headers,
        }
    }

    /// The request of a side that is one; of the others the client's, which is never asked for.
    pub(super) fn request(self, s: &Scene) -> &RequestHead {
        if self == Side::Bereq { &s.bereq } else { &s.req }
    }

    pub(super) fn response(self, s: &Scene) -> &ResponseHead {
        if self == Side::Beresp { &s.beresp } else { &s.resp }
    }

    pub(super) fn is_request(self) -> bool {
        matches!(self, Side::Req | Side::Bereq)
    }
}

/// The names that `query::without` and the like take.
pub(super) type Names = Box<[Box<str>]>;

fn listed(names: &Names, name: &str) -> bool {
    names.iter().any(|n| query::is_entry(n, name))
}

/// A string.
#[derive(Debug)]
pub(super) enum Text {
    Lit(Box<str>),
    Url(Side),
    Method(Side),
    Reason(Side),
    Xid,
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
    Lower(Box<Text>),
    Upper(Box<Text>),
}

/// A part of a template.
#[derive(Debug)]
pub(super) enum Part {
    Text(Text),
    Int(super::cond::Int),
}

/// A string, or `()`.
#[derive(Debug)]
pub(super) enum Maybe {
    Field(Side, Box<str>),
    Cookie(Side, Box<str>),
    Param(Text, Box<str>),
    Text(Text),
    Or(Box<Maybe>, Box<Maybe>),
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
                    match part {
                        Part::Text(text) => out.push_str(&text.eval(f)?),
                        Part::Int(int) => {
                            let _infallible = write!(out, "{}", int.eval(f));
                        }
                    }
                }
                Cow::Owned(f.sized(*at, out)?)
            }
            Text::Sort(url) => changed(url.eval(f)?, query::sort),
            Text::Without(url, names) => changed(url.eval(f)?, |u| query::filter(u, |n| !listed(names, n))),
            Text::Keep(url, names) => changed(url.eval(f)?, |u| query::filter(u, |n| listed(names, n))),
            Text::Path(text) => cut(text.eval(f)?, |u| url::split(u).0),
            Text::Query(text) => cut(text.eval(f)?, |u| url::split(u).1.unwrap_or("")),
            Text::Lower(text) => {
                changed(text.eval(f)?, |t| t.bytes().any(|b| b.is_ascii_uppercase()).then(|| t.to_ascii_lowercase()))
            }
            Text::Upper(text) => {
                changed(text.eval(f)?, |t| t.bytes().any(|b| b.is_ascii_lowercase()).then(|| t.to_ascii_uppercase()))
            }
        })
    }

    /// The constant that it is in this case, if it is one: needs no copy.
    pub(super) fn constant(&self, f: &Frame<'_>) -> Run<Option<&str>> {
        match self {
            Text::Lit(text) => Ok(Some(text)),
            Text::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.constant(f),
            _ => Ok(None),
        }
    }

    /// Calls `g` with the text.
    pub(super) fn with<R>(&self, f: &Frame<'_>, g: impl FnOnce(&str) -> R) -> Run<R> {
        self.eval(f).map(|t| g(&t))
    }
}

fn changed<'a>(text: Cow<'a, str>, f: impl FnOnce(&str) -> Option<String>) -> Cow<'a, str> {
    match f(&text) {
        Some(new) => Cow::Owned(new),
        None => text,
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
        })
    }

    pub(super) fn is_there(&self, f: &Frame<'_>) -> Run<bool> {
        Ok(match self {
            Maybe::Field(side, name) => side.headers(f.scene).contains(name),
            other => other.eval(f)?.is_some(),
        })
    }
}
