//! Assignments: `req.url = …`, `beresp.ttl = …`, `req.vars["x"] = …`, and to the script's own variables.

use super::At;
use super::compile::{Compiler, Value, maybe, needed, small};
use super::cond::{Cond, Int, Peer, Sum};
use super::effect::{FieldValue, Statement, status_of};
use super::local::Fresh;
use super::members::flatten;
use super::text::{Part, Side, Text};
use super::{Frame, Host, Run};
use crate::fault::FaultKind;
use crate::hooks::HookSet;
use crate::host::check_reason;
use rhai::{Expr, OpAssignment, Position, Token};
use std::sync::Arc;

impl<'a> Compiler<'a> {
    pub(super) fn assignment(&mut self, op: &OpAssignment, lhs: &'a Expr, rhs: &'a Expr) -> Option<Statement> {
        if let Expr::Variable(v, _, _) = lhs {
            return if op.is_op_assignment() { self.add_local(&v.1, op, rhs) } else { self.assign_local(&v.1, rhs) };
        }
        if op.is_op_assignment() {
            return None;
        }
        let mut links = Vec::new();
        flatten(lhs, false, Position::NONE, &mut links)?;
        let (target, path) = links.split_last()?;
        let (first, between) = path.split_first()?;
        let mut object = self.value(first.0)?;
        for (link, index, _) in between {
            object = self.step(object, link, *index)?;
        }
        let value = self.value(rhs)?;
        let word = if target.1 { self.word(target.0) } else { None };
        let (name, at) = match target {
            (_, true, at) => (word.as_deref()?, *at),
            // As Rhai has it: the property itself right after the variable, the dot before it further on.
            (Expr::Property(p, at), false, dot) => (p.2.as_str(), if between.is_empty() { *at } else { *dot }),
            _ => return None,
        };
        let at = At::new(at);
        if let Value::Headers(side) = object {
            if !self.may_write_field(side, name) {
                return None;
            }
            let value = match value {
                Value::Text(text) | Value::Backend(text) => FieldValue::Text(text),
                Value::Maybe(maybe) | Value::MaybeBackend(maybe) => FieldValue::Maybe(maybe),
                Value::Int(int) => FieldValue::Int(int),
                Value::Cond(cond) => FieldValue::Bool(cond),
                Value::Length(length) => FieldValue::Length(length),
                Value::Any(any) => FieldValue::Any(any),
                Value::Unit => return Some(Statement::RemoveField(side, small(name), at)),
                _ => return None,
            };
            return Some(Statement::SetField(side, small(name), value, at));
        }
        if let Value::Vars = object {
            return self.carry(word?, value, at);
        }
        if let Value::Peer(Peer::Client) = object {
            return self.set_identity(name, value, at);
        }
        let Value::Side(side) = object else { return None };
        let owner = match side {
            Side::Req => "req",
            Side::Bereq => "bereq",
            Side::Resp => "resp",
            Side::Beresp => "beresp",
            Side::Obj => return None,
        };
        if target.1 || !self.may_write_var(owner, name) {
            return None;
        }
        Some(match (side, name, value) {
            (Side::Req | Side::Bereq, "url", value) => {
                let what = if side == Side::Bereq { "bereq.url" } else { "req.url" };
                let text = needed(value, FaultKind::Value, || format!("`{what}` takes a string, not ()"), at)?;
                Statement::SetUrl(side, text, at)
            }
            (Side::Req, "backend" | "backend_hint", Value::Backend(name))
            | (Side::Bereq, "backend", Value::Backend(name)) => Statement::SetBackend(side, name),
            (Side::Req, "grace", Value::Length(l)) => Statement::SetSpan(|s, v| s.req_vars.grace = Some(v), l),
            (Side::Req, "max_age", Value::Length(l)) => Statement::SetSpan(|s, v| s.req_vars.max_age = Some(v), l),
            (Side::Beresp, "ttl", Value::Length(l)) => Statement::SetSpan(|s, v| s.beresp_vars.ttl = v, l),
            (Side::Beresp, "grace", Value::Length(l)) => Statement::SetSpan(|s, v| s.beresp_vars.grace = v, l),
            (Side::Beresp, "keep", Value::Length(l)) => Statement::SetSpan(|s, v| s.beresp_vars.keep = v, l),
            (Side::Beresp, "stale_if_error", Value::Length(l)) => {
                Statement::SetSpan(|s, v| s.beresp_vars.stale_if_error = v, l)
            }
            (Side::Beresp, "uncacheable", Value::Cond(cond @ Cond::Const(true))) => {
                Statement::SetFlag(|s, v| s.beresp_vars.uncacheable = v, cond)
            }
            (Side::Req, "hash_always_miss", Value::Cond(cond)) => {
                Statement::SetFlag(|s, v| s.req_vars.hash_always_miss = v, cond)
            }
            (Side::Req, "hash_ignore_busy", Value::Cond(cond)) => {
                Statement::SetFlag(|s, v| s.req_vars.hash_ignore_busy = v, cond)
            }
            (Side::Resp | Side::Beresp, "body", value) => Statement::SetBody(side, maybe(value)?, at),
            (Side::Resp | Side::Beresp, "status", Value::Int(status)) => act(move |f| {
                let status = status_of(status.eval(f)?, at)?;
                let head = if side == Side::Beresp { &mut f.scene.beresp } else { &mut f.scene.resp };
                // A new status has a reason phrase of its own.
                if head.status != status {
                    head.reason.clear();
                }
                head.status = status;
                Ok(())
            }),
            (Side::Resp | Side::Beresp, "reason", Value::Text(text)) => act(move |f| {
                let text = text.eval(f)?.into_owned();
                f.charge(at, text.len())?;
                let what = if side == Side::Beresp { "beresp.reason" } else { "resp.reason" };
                check_reason(what, &text).map_err(|e| at.stop(e))?;
                if side == Side::Beresp {
                    f.scene.beresp.reason = text
                } else {
                    f.scene.resp.reason = text
                }
                Ok(())
            }),
            _ => return None,
        })
    }

    /// `req.vars["x"] = value`
    fn carry(&self, name: Box<str>, value: Value, at: At) -> Option<Statement> {
        if !HookSet::CLIENT.has(self.hook) {
            return None;
        }
        let fresh = match value {
            Value::Text(text) => Fresh::Text(text),
            Value::Maybe(_) | Value::Unit => Fresh::Maybe(maybe(value)?),
            Value::Int(int) => Fresh::Int(int),
            Value::Cond(cond) => Fresh::Cond(cond),
            Value::Length(length) => Fresh::Span(length),
            Value::Any(any) => Fresh::Any(any),
            _ => return None,
        };
        Some(Statement::Carry(name, fresh, at))
    }

    fn set_identity(&self, name: &str, value: Value, at: At) -> Option<Statement> {
        let Value::Text(text) = value else { return None };
        (name == "identity" && self.may_write_var("client", name)).then(|| {
            act(move |f| {
                let text = text.eval(f)?.into_owned();
                f.charge(at, text.len())?;
                f.scene.client.identity = Some(text);
                Ok(())
            })
        })
    }

    /// `x += value` for a variable of the script.
    fn add_local(&mut self, name: &str, op: &OpAssignment, rhs: &'a Expr) -> Option<Statement> {
        let (.., token, _) = op.get_op_assignment_info()?;
        let at = At::new(op.position());
        let old = self.variable(name)?;
        let new = match (old, self.value(rhs)?, token) {
            (Value::Text(a), Value::Text(b), Token::Plus) => {
                Value::Text(Text::Join([Part::Text(a), Part::Text(b)].into(), at))
            }
            (Value::Int(a), Value::Int(b), Token::Plus) => {
                Value::Int(Int::Sum(Box::new(a), Sum::Plus, Box::new(b), at))
            }
            _ => return None,
        };
        self.set_local(name, new)
    }
}

fn act(f: impl Fn(&mut Frame<'_>) -> Run<()> + Send + Sync + 'static) -> Statement {
    Statement::Host(Host(Arc::new(f)))
}
