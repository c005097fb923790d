//! Conditions and integers.

use super::length::Length;
use super::local::{Any, Call, Local};
use super::text::{Maybe, Names, Side, Text};
use super::{At, Frame, Give, Run};
use crate::acl::Acl;
use crate::fault::{FaultKind, HostError};
use crate::library::connection::ReadInt;
use crate::library::patterns::Pattern;
use crate::scene::{Scene, ScriptValue};
use http::Method;
use std::net::IpAddr;

/// A boolean.
#[derive(Debug, Clone)]
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
    Matches(Maybe, Box<Pattern>, At),
    Compare(Int, Order, Int),
    CompareTold(ReadInt, Order, Int),
    CompareLengths(Length, Order, Length),
    /// Is the text one of these?
    Listed(Names, Maybe),
    /// Not `()`.
    IsAny(Any),
    Within(Peer, Box<Acl>),
    /// Of a backend or director; `()` is the default.
    Healthy(Maybe),
    Flag(fn(&Scene) -> bool),
    Local(usize),
    Call(Box<Call>, Box<Cond>),
    Host(Give<bool>),
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

impl Order {
    fn holds<T: PartialOrd>(self, a: &T, b: &T) -> bool {
        match self {
            Order::Eq => a == b,
            Order::Ne => a != b,
            Order::Lt => a < b,
            Order::Le => a <= b,
            Order::Gt => a > b,
            Order::Ge => a >= b,
        }
    }
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
    pub(super) fn ip(self, s: &Scene) -> IpAddr {
        match self {
            Peer::Client => s.client.ip,
            Peer::Server => s.server.ip,
            Peer::Local => s.local.ip,
            Peer::Remote => s.remote.ip,
        }
    }
}

/// An integer.
#[derive(Debug, Clone)]
pub(super) enum Int {
    Lit(i64),
    Var(fn(&Scene) -> i64),
    Local(usize),
    Sum(Box<Int>, Sum, Box<Int>, At),
    If(Box<Cond>, Box<Int>, Box<Int>),
    Call(Box<Call>, Box<Int>),
    Host(Give<i64>),
}

/// How integers are put together.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sum {
    Plus,
    Minus,
    Times,
    Rest,
}

impl Sum {
    fn of(self, a: i64, b: i64) -> Result<i64, HostError> {
        // The words are Rhai's.
        let (value, what) = match self {
            Sum::Plus => (a.checked_add(b), "Addition overflow"),
            Sum::Minus => (a.checked_sub(b), "Subtraction overflow"),
            Sum::Times => (a.checked_mul(b), "Multiplication overflow"),
            Sum::Rest => (a.checked_rem(b), "Modulo division by zero or overflow"),
        };
        let sign = match self {
            Sum::Plus => '+',
            Sum::Minus => '-',
            Sum::Times => '*',
            Sum::Rest => '%',
        };
        value.ok_or_else(|| HostError::new(FaultKind::Script, format!("{what}: {a} {sign} {b}")))
    }
}

impl Int {
    pub(super) fn eval(&self, f: &Frame<'_>) -> Run<i64> {
        Ok(match self {
            Int::Lit(n) => *n,
            Int::Var(read) => read(f.scene),
            Int::Local(slot) => match f.local(*slot) {
                Local::Int(n) => *n,
                _ => 0,
            },
            Int::Sum(a, sum, b, at) => {
                let (a, b) = (a.eval(f)?, b.eval(f)?);
                sum.of(a, b).map_err(|e| at.stop(e))?
            }
            Int::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.eval(f)?,
            Int::Call(call, body) => call.give(f, |f| body.eval(f))?,
            Int::Host(host) => host.call(f)?,
        })
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
            Cond::Matches(text, regex, at) => match text.eval(f)? {
                Some(text) => f.matched(*at, regex.is_match(&text))?,
                None => false,
            },
            Cond::Compare(a, order, b) => {
                let (a, b) = (a.eval(f)?, b.eval(f)?);
                order.holds(&a, &b)
            }
            // `()` is no number: it differs from each, and is neither more nor less.
            Cond::CompareTold(read, order, b) => {
                let b = b.eval(f)?;
                read(f.scene).map_or(matches!(order, Order::Ne), |a| order.holds(&a, &b))
            }
            Cond::CompareLengths(a, order, b) => {
                let (a, b) = (a.eval(f)?, b.eval(f)?);
                order.holds(&a, &b)
            }
            Cond::Listed(names, text) => text.eval(f)?.is_some_and(|t| names.iter().any(|n| **n == *t)),
            Cond::IsAny(any) => any.eval(f)? != ScriptValue::Unit,
            Cond::Within(peer, acl) => acl.contains(peer.ip(f.scene)),
            Cond::Healthy(name) => f.env.health.healthy(name.eval(f)?.as_deref()),
            Cond::Flag(read) => read(f.scene),
            Cond::Local(slot) => *f.local(*slot) == Local::Bool(true),
            Cond::Call(call, body) => call.give(f, |f| body.eval(f))?,
            Cond::Host(host) => host.call(f)?,
        })
    }
}
