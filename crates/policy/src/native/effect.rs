//! Statements: what a hook writes, and what it decides.

use super::cond::{Cond, Int};
use super::length::Length;
use super::local::{Any, Call, Fresh};
use super::text::{Maybe, Names, Side, Text};
use super::{Act, At, Frame, Run};
use crate::action::Action;
use crate::host::{check_reason, cookies, headers, request};
use crate::library::query;
use crate::scene::{Scene, ScriptValue};
use crate::value::framing;
use copal_semantics::Span;

/// How a statement ends.
pub(super) enum Flow {
    /// The next one runs.
    On,
    /// The function of the script is done.
    Left,
    /// The hook is done.
    Done(Action),
}

impl Flow {
    pub(super) fn into_action(self) -> Action {
        match self {
            Flow::On | Flow::Left => Action::Default,
            Flow::Done(action) => action,
        }
    }
}

/// Statements one after the other.
#[derive(Debug, Clone)]
pub(super) struct Block(pub(super) Box<[Statement]>);

/// An action with what it needs.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    Plain(Action),
    PassFor(Length, At),
    Synth(Int, Option<Text>, At),
    Error(Int, Option<Text>, At),
    Redirect(u16, Text, At),
    Fail(Text, At),
    Policy(Text, At),
    If(Box<Cond>, Box<Decision>, Box<Decision>),
    Call(Box<Call>, Box<Decision>),
}

/// One statement.
#[derive(Debug, Clone)]
pub(super) enum Statement {
    If(Cond, Block, Block),
    Return(Decision),
    /// `return;`
    Stop,
    SetField(Side, Box<str>, FieldValue, At),
    RemoveField(Side, Box<str>, At),
    RemoveMatching(Side, Box<str>, At),
    RemoveCookie(Side, Box<str>, At),
    KeepCookies(Side, Names, At),
    SetUrl(Side, Text, At),
    SetSpan(fn(&mut Scene, Span), Length),
    SetFlag(fn(&mut Scene, bool), Cond),
    SetBackend(Side, Text),
    Log(Text, At),
    AddKey(Maybe, At),
    SetBody(Side, Maybe, At),
    /// Declares a variable, or assigns to it.
    Let(usize, Fresh),
    Carry(Box<str>, Fresh, At),
    /// Statements that are one in the script.
    Block(Block),
    /// What one of the script's functions does.
    Call(Box<Call>, Block),
    /// The function of the script is done.
    Leave,
    /// Much may have been done since the last look at the clock.
    Look(At),
    Host(Act),
}

/// What a field is set to.
#[derive(Debug, Clone)]
pub(super) enum FieldValue {
    Text(Text),
    /// `()` removes the field.
    Maybe(Maybe),
    Int(Int),
    Bool(Cond),
    Length(Length),
    Any(Any),
}

impl Block {
    /// The decision of a hook that consists of it: nothing of the request is needed for that.
    pub(super) fn always(&self) -> Option<Action> {
        match &*self.0 {
            [Statement::Return(Decision::Plain(action))] => Some(action.clone()),
            _ => None,
        }
    }

    pub(super) fn run(&self, f: &mut Frame<'_>) -> Run<Flow> {
        for statement in &self.0 {
            if let done @ (Flow::Done(_) | Flow::Left) = statement.run(f)? {
                return Ok(done);
            }
        }
        Ok(Flow::On)
    }
}

/// The status, if it can be sent.
pub(super) fn status_of(status: i64, at: At) -> Run<u16> {
    crate::host::sendable(status).map_err(|e| at.stop(e))
}

impl Decision {
    #[inline(never)]
    fn make(&self, f: &mut Frame<'_>) -> Run<Action> {
        let reason = |text: &Option<Text>, what: &str, at: At, f: &Frame<'_>| -> Run<String> {
            let Some(text) = text else { return Ok(String::new()) };
            let text = text.eval(f)?;
            check_reason(what, &text).map_err(|e| at.stop(e))?;
            Ok(text.into_owned())
        };
        let (action, at) = match self {
            Decision::Plain(action) => return Ok(action.clone()),
            Decision::PassFor(length, at) => (Action::PassFor(length.eval(f)?), *at),
            Decision::If(cond, yes, no) => return if cond.eval(f)? { yes } else { no }.make(f),
            Decision::Call(call, body) => return call.act(f, |f| body.make(f)),
            Decision::Synth(status, text, at) => {
                let (status, reason) = (status.eval(f)?, reason(text, "synth", *at, f)?);
                (Action::Synth { status: status_of(status, *at)?, reason }, *at)
            }
            Decision::Error(status, text, at) => {
                let (status, reason) = (status.eval(f)?, reason(text, "error", *at, f)?);
                (Action::Error { status: status_of(status, *at)?, reason }, *at)
            }
            Decision::Fail(text, at) => (Action::Fail { reason: text.eval(f)?.into_owned() }, *at),
            Decision::Policy(text, at) => (Action::Policy(text.eval(f)?.into_owned()), *at),
            Decision::Redirect(status, text, at) => {
                let location = text.eval(f)?;
                check_reason("redirect", &location).map_err(|e| at.stop(e))?;
                (Action::Redirect { status: *status, location: location.into_owned() }, *at)
            }
        };
        f.charge(at, crate::current::action_bytes(&action))?;
        Ok(action)
    }
}

impl Statement {
    fn run(&self, f: &mut Frame<'_>) -> Run<Flow> {
        match self {
            Statement::If(cond, yes, no) => return if cond.eval(f)? { yes } else { no }.run(f),
            // Most decisions carry nothing; the others are made out of line.
            Statement::Return(Decision::Plain(action)) => return Ok(Flow::Done(action.clone())),
            Statement::Return(decision) => return decision.make(f).map(Flow::Done),
            Statement::Stop => return Ok(Flow::Done(Action::Default)),
            Statement::SetField(side, name, value, at) => set_field(f, *side, name, value, *at)?,
            Statement::RemoveField(side, name, at) => {
                f.charge(*at, headers::written(name, 0))?;
                side.headers_mut(f.scene).remove(name);
            }
            Statement::RemoveMatching(side, pattern, at) => {
                f.charge(*at, headers::written(pattern, 0))?;
                headers::remove_matching(side.headers_mut(f.scene), pattern);
            }
            Statement::RemoveCookie(side, name, at) => {
                edit_cookies(f, *side, *at, |n| !std::str::from_utf8(n).is_ok_and(|n| query::is_entry(name, n)))?;
            }
            Statement::KeepCookies(side, names, at) => {
                let listed = |n: &str| names.iter().any(|entry| query::is_entry(entry, n));
                edit_cookies(f, *side, *at, |n| std::str::from_utf8(n).is_ok_and(listed))?;
            }
            Statement::SetUrl(side, text, at) => set_url(f, *side, text, *at)?,
            Statement::SetSpan(write, length) => {
                let span = length.eval(f)?;
                write(f.scene, span);
            }
            Statement::SetFlag(write, cond) => {
                let flag = cond.eval(f)?;
                write(f.scene, flag);
            }
            Statement::SetBackend(side, name) => {
                let name = Some(name.eval(f)?.into_owned());
                match side {
                    Side::Bereq => f.scene.bereq_vars.backend = name,
                    _ => f.scene.req_vars.backend = name,
                }
            }
            Statement::Log(text, at) => {
                let line = text.eval(f)?.into_owned();
                f.charge(*at, line.len() + size_of::<String>())?;
                f.scene.log.push(line);
            }
            Statement::AddKey(part, at) => {
                let part = part.eval(f)?.unwrap_or_default().into_owned();
                f.charge(*at, part.len() + 4)?;
                f.scene.key.add(part.as_bytes());
            }
            Statement::SetBody(side, text, at) => {
                let text = text.eval(f)?.map(std::borrow::Cow::into_owned);
                f.charge(*at, text.as_ref().map_or(0, String::len))?;
                let body = match side {
                    Side::Beresp => &mut f.scene.beresp_vars.body,
                    _ => &mut f.scene.resp_vars.body,
                };
                *body = text.map(String::into_bytes);
            }
            Statement::Let(slot, fresh) => {
                let value = fresh.eval(f)?;
                if let Some(cell) = f.locals.get_mut(*slot) {
                    *cell = value.into();
                }
            }
            Statement::Carry(name, fresh, at) => carry(f, name, fresh, *at)?,
            Statement::Block(block) => return block.run(f),
            Statement::Call(call, block) => {
                return Ok(match call.act(f, |f| block.run(f))? {
                    Flow::Left => Flow::On,
                    other => other,
                });
            }
            Statement::Leave => return Ok(Flow::Left),
            Statement::Look(at) => f.look(*at)?,
            Statement::Host(act) => (act.0)(f)?,
        }
        Ok(Flow::On)
    }
}

fn set_field(f: &mut Frame<'_>, side: Side, name: &str, value: &FieldValue, at: At) -> Run<()> {
    let owned = match value {
        FieldValue::Text(text) => match text.chosen(f)? {
            Text::Lit(text) => return write_field(f, side, name, Some(text), at),
            text => Some(text.eval(f)?.into_owned()),
        },
        FieldValue::Maybe(maybe) => maybe.eval(f)?.map(std::borrow::Cow::into_owned),
        FieldValue::Int(int) => Some(int.eval(f)?.to_string()),
        FieldValue::Bool(cond) => Some(cond.eval(f)?.to_string()),
        FieldValue::Length(length) => Some(length.eval(f)?.to_string()),
        FieldValue::Any(any) => {
            let value = crate::value::from_plain(&any.eval(f)?);
            crate::value::with_text(&value, |t| Ok(t.map(str::to_owned))).map_err(|e| at.stop(e))?
        }
    };
    write_field(f, side, name, owned.as_deref(), at)
}

fn carry(f: &mut Frame<'_>, name: &str, fresh: &Fresh, at: At) -> Run<()> {
    let value = fresh.carried(f)?;
    f.charge(at, name.len() + if let ScriptValue::Text(text) = &value { text.len() } else { 16 })?;
    let vars = &mut f.scene.req_vars.vars;
    if value == ScriptValue::Unit {
        vars.remove(name);
    } else {
        vars.insert(name.to_owned(), value);
    }
    Ok(())
}

pub(super) fn write_field(f: &mut Frame<'_>, side: Side, name: &str, value: Option<&str>, at: At) -> Run<()> {
    f.charge(at, headers::written(name, value.map_or(0, str::len)))?;
    let headers = side.headers_mut(f.scene);
    match value {
        Some(value) => headers.set(name, value).map_err(|e| at.stop(framing(name, e))),
        None => {
            headers.remove(name);
            Ok(())
        }
    }
}

pub(super) fn edit_cookies(f: &mut Frame<'_>, side: Side, at: At, keep: impl Fn(&[u8]) -> bool) -> Run<()> {
    let bytes = cookies::bytes(side.headers(f.scene));
    f.charge(at, bytes)?;
    let headers = side.headers_mut(f.scene);
    if !headers.contains("cookie") {
        return Ok(());
    }
    cookies::rewrite(headers, keep, None).map_err(|e| at.stop(e))
}

fn set_url(f: &mut Frame<'_>, side: Side, text: &Text, at: At) -> Run<()> {
    let (what, len, new) = {
        let text = text.eval(f)?;
        let what = if side == Side::Bereq { "bereq.url" } else { "req.url" };
        let new = (text != side.request(f.scene).url.as_str()).then(|| text.to_string());
        (what, text.len(), new)
    };
    f.charge(at, len)?;
    if let Some(new) = new {
        request::check_url(what, &new).map_err(|e| at.stop(e))?;
        match side {
            Side::Bereq => f.scene.bereq.url = new,
            _ => f.scene.req.url = new,
        }
    }
    Ok(())
}
