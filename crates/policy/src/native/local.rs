//! Local variables: what they are set to, and what they hold while the hook runs.

use super::cond::{Cond, Int};
use super::length::Length;
use super::text::{Maybe, Text};
use super::{At, Frame, Give, Run};
use crate::library::connection::ReadInt;
use crate::library::patterns::Pattern;
use crate::scene::ScriptValue;
use copal_semantics::Span;
use std::borrow::Cow;

/// What a variable holds.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Local {
    Unit,
    Text(String),
    Int(i64),
    Bool(bool),
    Span(Span),
    /// What an expression has captured; the whole match first.
    Groups(Box<[Option<Box<str>>]>),
    Any(ScriptValue),
}

/// The type of a variable, which never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// A text or `()`.
    Maybe,
    Int,
    Bool,
    Span,
    Backend,
    /// Captures or `()`; how many there are.
    Groups(usize),
    Any,
}

/// What a variable is set to.
#[derive(Debug, Clone)]
pub(super) enum Fresh {
    Text(Text),
    Maybe(Maybe),
    Int(Int),
    Cond(Cond),
    Span(Length),
    Groups(Maybe, Box<Pattern>, At),
    Any(Any),
}

/// A value of a type that is known only when the hook runs: what `req.vars` carries.
#[derive(Debug, Clone)]
pub(super) enum Any {
    Local(usize),
    /// A number of the connection, or `()`.
    Told(ReadInt),
    Host(Give<ScriptValue>),
}

impl Any {
    pub(super) fn eval(&self, f: &Frame<'_>) -> Run<ScriptValue> {
        Ok(match self {
            Any::Local(slot) => match f.local(*slot) {
                Local::Any(value) => value.clone(),
                _ => ScriptValue::Unit,
            },
            Any::Told(read) => read(f.scene).map_or(ScriptValue::Unit, ScriptValue::Int),
            Any::Host(host) => host.call(f)?,
        })
    }
}

impl Fresh {
    pub(super) fn eval(&self, f: &Frame<'_>) -> Run<Local> {
        Ok(match self {
            Fresh::Text(text) => Local::Text(text.eval(f)?.into_owned()),
            Fresh::Maybe(maybe) => maybe.eval(f)?.map_or(Local::Unit, |t| Local::Text(t.into_owned())),
            Fresh::Int(int) => Local::Int(int.eval(f)?),
            Fresh::Cond(cond) => Local::Bool(cond.eval(f)?),
            Fresh::Span(length) => Local::Span(length.eval(f)?),
            Fresh::Groups(text, regex, at) => {
                let Some(text) = text.eval(f)? else { return Ok(Local::Unit) };
                let found = f.matched(*at, regex.captures(&text))?;
                let Some(found) = found else { return Ok(Local::Unit) };
                Local::Groups(found.iter().map(|m| m.map(|m| m.as_str().into())).collect())
            }
            Fresh::Any(any) => Local::Any(any.eval(f)?),
        })
    }

    /// As `req.vars` carries it.
    pub(super) fn carried(&self, f: &Frame<'_>) -> Run<ScriptValue> {
        Ok(match self.eval(f)? {
            Local::Unit | Local::Groups(_) => ScriptValue::Unit,
            Local::Text(text) => ScriptValue::Text(text),
            Local::Int(n) => ScriptValue::Int(n),
            Local::Bool(b) => ScriptValue::Bool(b),
            Local::Span(span) => ScriptValue::Span(span),
            Local::Any(value) => value,
        })
    }
}

impl Frame<'_> {
    pub(super) fn local(&self, slot: usize) -> &Local {
        self.locals.get(slot).and_then(|cell| cell.get()).unwrap_or(&Local::Unit)
    }

    pub(super) fn local_text(&self, slot: usize) -> Option<Cow<'_, str>> {
        match self.local(slot) {
            Local::Text(text) => Some(Cow::Borrowed(text)),
            _ => None,
        }
    }
}

/// A call of one of the script's functions, compiled into its place: what its parameters and variables are set to.
#[derive(Debug, Clone)]
pub(super) struct Call {
    /// Empty when it only declares variables.
    pub(super) name: Box<str>,
    pub(super) at: At,
    /// Set before the function runs.
    pub(super) lets: Box<[(usize, Fresh)]>,
}

impl Call {
    /// Sets the variables. Nothing runs twice, but a value may be asked for twice, and stays what it was.
    fn declare(&self, f: &Frame<'_>) -> Run<()> {
        for (slot, fresh) in &self.lets {
            if let Some(cell) = f.locals.get(*slot)
                && cell.get().is_none()
            {
                let value = fresh.eval(f)?;
                let _new = cell.set(value);
            }
        }
        Ok(())
    }

    fn noted<T>(&self, result: Run<T>) -> Run<T> {
        if self.name.is_empty() {
            return result;
        }
        result.map_err(|mut stop| {
            stop.calls.push((self.name.clone(), self.at));
            stop
        })
    }

    /// Gives the value that the function has.
    pub(super) fn give<'a, T>(&'a self, f: &'a Frame<'_>, body: impl FnOnce(&'a Frame<'_>) -> Run<T>) -> Run<T> {
        self.declare(f)?;
        self.noted(body(f))
    }

    /// Does what the function does.
    pub(super) fn act<T>(&self, f: &mut Frame<'_>, body: impl FnOnce(&mut Frame<'_>) -> Run<T>) -> Run<T> {
        self.declare(f)?;
        let result = body(f);
        self.noted(result)
    }
}
