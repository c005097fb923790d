//! Conditions and integers.

use super::text::{Maybe, Side, Text};
use super::{Frame, Run};
use crate::acl::Acl;
use crate::scene::Scene;
use http::Method;
use regex::Regex;
use std::net::IpAddr;

/// A boolean.
#[derive(Debug)]
pub(super) enum Cond {
    Const(bool),
    Not(Box<Cond>),
    All(Box<[Cond]>),
    Any(Box<[Cond]>),
    If(Box<Cond>, Box<Cond>, Box<Cond>),
    GetOrHead(Side),
    HasField(Side, Box<str>),
    HasCookie(Side, Box<str>),
    /// Not `()`.
    IsThere(Maybe),
    /// Rhai's rule: what is `()` equals no string.
    Same(Maybe, Maybe),
    StartsWith(Text, Text),
    EndsWith(Text, Text),
    Contains(Text, Text),
    Matches(Maybe, Box<Regex>),
    Compare(Int, Order, Int),
    Within(Peer, Box<Acl>),
    Healthy(Box<str>),
    Flag(fn(&Scene) -> bool),
}

/// How integers compare.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

/// An end of the connection.
#[derive(Debug, Clone, Copy)]
pub(super) enum Peer {
    Client,
    Server,
    Local,
    Remote,
}

impl Peer {
    fn ip(self, s: &Scene) -> IpAddr {
        match self {
            Peer::Client => s.client.ip,
            Peer::Server => s.server.ip,
            Peer::Local => s.local.ip,
            Peer::Remote => s.remote.ip,
        }
    }
}

/// An integer.
#[derive(Debug)]
pub(super) enum Int {
    Lit(i64),
    Var(fn(&Scene) -> i64),
}

impl Int {
    pub(super) fn eval(&self, f: &Frame<'_>) -> i64 {
        match self {
            Int::Lit(n) => *n,
            Int::Var(read) => read(f.scene),
        }
    }
}

impl Cond {
    pub(super) fn eval(&self, f: &Frame<'_>) -> Run<bool> {
        Ok(match self {
            Cond::Const(b) => *b,
            Cond::Not(c) => !c.eval(f)?,
            Cond::All(list) => {
                for c in list {
                    if !c.eval(f)? {
                        return Ok(false);
                    }
                }
                true
            }
            Cond::Any(list) => {
                for c in list {
                    if c.eval(f)? {
                        return Ok(true);
                    }
                }
                false
            }
            Cond::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.eval(f)?,
            Cond::GetOrHead(side) => matches!(side.request(f.scene).method, Method::GET | Method::HEAD),
            Cond::HasField(side, name) => side.headers(f.scene).contains(name),
            Cond::HasCookie(side, name) => crate::host::cookies::has(side.headers(f.scene), name),
            Cond::IsThere(maybe) => maybe.is_there(f)?,
            Cond::Same(a, b) => match (a.eval(f)?, b.eval(f)?) {
                (Some(a), Some(b)) => a == b,
                (None, None) => true,
                _ => false,
            },
            Cond::StartsWith(text, start) => {
                let text = text.eval(f)?;
                start.with(f, |start| text.starts_with(start))?
            }
            Cond::EndsWith(text, end) => {
                let text = text.eval(f)?;
                end.with(f, |end| text.ends_with(end))?
            }
            Cond::Contains(text, part) => {
                let text = text.eval(f)?;
                part.with(f, |part| text.contains(part))?
            }
            Cond::Matches(text, regex) => text.eval(f)?.is_some_and(|t| regex.is_match(&t)),
            Cond::Compare(a, order, b) => {
                let (a, b) = (a.eval(f), b.eval(f));
                match order {
                    Order::Eq => a == b,
                    Order::Ne => a != b,
                    Order::Lt => a < b,
                    Order::Le => a <= b,
                    Order::Gt => a > b,
                    Order::Ge => a >= b,
                }
            }
            Cond::Within(peer, acl) => acl.contains(peer.ip(f.scene)),
            Cond::Healthy(name) => f.env.health.healthy(name),
            Cond::Flag(read) => read(f.scene),
        })
    }
}
