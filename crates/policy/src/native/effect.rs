//! Statements: what a hook writes, and what it decides.

use super::cond::{Cond, Int};
use super::text::{Maybe, Names, Side, Text};
use super::{At, Frame, Run};
use crate::action::Action;
use crate::host::{check_reason, cookies, headers, request};
use crate::library::query;
use crate::scene::Scene;
use crate::value::framing;
use copal_semantics::Span;

/// How a statement ends.
pub(super) enum Flow {
    /// The next one runs.
    On,
    /// The hook is done.
    Done(Action),
}

impl Flow {
    pub(super) fn into_action(self) -> Action {
        match self {
            Flow::On => Action::Default,
            Flow::Done(action) => action,
        }
    }
}

/// Statements one after the other.
#[derive(Debug)]
pub(super) struct Block(pub(super) Box<[Statement]>);

/// An action with what it needs.
#[derive(Debug)]
pub(super) enum Decision {
    Plain(Action),
    PassFor(Span, At),
    Synth(u16, Option<Text>, At),
    Error(u16, Option<Text>, At),
    Redirect(u16, Text, At),
}

/// One statement.
#[derive(Debug)]
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
    SetSpan(fn(&mut Scene, Span), Span),
    SetFlag(fn(&mut Scene, bool), bool),
    SetBackend(Side, Text),
    Log(Text, At),
    AddKey(Maybe, At),
}

/// What a field is set to.
#[derive(Debug)]
pub(super) enum FieldValue {
    Text(Text),
    /// `()` removes the field.
    Maybe(Maybe),
    Int(Int),
}

impl Block {
    pub(super) fn run(&self, f: &mut Frame<'_>) -> Run<Flow> {
        for statement in &self.0 {
            if let done @ Flow::Done(_) = statement.run(f)? {
                return Ok(done);
            }
        }
        Ok(Flow::On)
    }
}

impl Decision {
    fn make(&self, f: &mut Frame<'_>) -> Run<Action> {
        let reason = |text: &Option<Text>, what: &str, at: At, f: &Frame<'_>| -> Run<String> {
            let Some(text) = text else { return Ok(String::new()) };
            let text = text.eval(f)?;
            check_reason(what, &text).map_err(|e| at.stop(e))?;
            Ok(text.into_owned())
        };
        let (action, at) = match self {
            Decision::Plain(action) => return Ok(action.clone()),
            Decision::PassFor(span, at) => (Action::PassFor(*span), *at),
            Decision::Synth(status, text, at) => {
                (Action::Synth { status: *status, reason: reason(text, "synth", *at, f)? }, *at)
            }
            Decision::Error(status, text, at) => {
                (Action::Error { status: *status, reason: reason(text, "error", *at, f)? }, *at)
            }
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
            Statement::Return(decision) => return decision.make(f).map(Flow::Done),
            Statement::Stop => return Ok(Flow::Done(Action::Default)),
            Statement::SetField(side, name, value, at) => set_field(f, *side, name, value, *at)?,
            Statement::RemoveField(side, name, at) => {
                f.charge(*at, headers::written(name, 0))?;
                side.headers_mut(f.scene).remove(name);
            }
            Statement::RemoveMatching(side, pattern, at) => {
                f.charge(*at, headers::written(pattern, 0))?;
                headers::remove_matching(side.headers_mut(f.scene), pattern, side.is_request());
            }
            Statement::RemoveCookie(side, name, at) => {
                edit_cookies(f, *side, *at, |n| !std::str::from_utf8(n).is_ok_and(|n| query::is_entry(name, n)))?;
            }
            Statement::KeepCookies(side, names, at) => {
                let listed = |n: &str| names.iter().any(|entry| query::is_entry(entry, n));
                edit_cookies(f, *side, *at, |n| std::str::from_utf8(n).is_ok_and(listed))?;
            }
            Statement::SetUrl(side, text, at) => set_url(f, *side, text, *at)?,
            Statement::SetSpan(write, span) => write(f.scene, *span),
            Statement::SetFlag(write, flag) => write(f.scene, *flag),
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
        }
        Ok(Flow::On)
    }
}

fn set_field(f: &mut Frame<'_>, side: Side, name: &str, value: &FieldValue, at: At) -> Run<()> {
    let owned = match value {
        FieldValue::Text(text) => {
            if let Some(text) = text.constant(f)? {
                return write_field(f, side, name, Some(text), at);
            }
            Some(text.eval(f)?.into_owned())
        }
        FieldValue::Maybe(maybe) => maybe.eval(f)?.map(std::borrow::Cow::into_owned),
        FieldValue::Int(int) => Some(int.eval(f).to_string()),
    };
    write_field(f, side, name, owned.as_deref(), at)
}

fn write_field(f: &mut Frame<'_>, side: Side, name: &str, value: Option<&str>, at: At) -> Run<()> {
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

fn edit_cookies(f: &mut Frame<'_>, side: Side, at: At, keep: impl Fn(&[u8]) -> bool) -> Run<()> {
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
