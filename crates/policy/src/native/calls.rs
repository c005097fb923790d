//! Calls of functions and actions. Modules are in `library`.

use super::At;
use super::compile::{Compiler, Value, small};
use super::cond::Int;
use super::effect::Decision;
use super::length::Length;
use super::operators::contains;
use super::text::Text;
use crate::action::{ActionKind, PLAIN};
use crate::library::time;
use rhai::{Expr, FnCallExpr, Position};

impl<'a> Compiler<'a> {
    pub(super) fn call(&mut self, call: &'a FnCallExpr, at: Position) -> Option<Value> {
        if let Some(token) = &call.op_token {
            return self.operator(token, &call.args, at);
        }
        let name = call.name.as_str();
        if !call.namespace.is_empty() {
            let [module] = &call.namespace.path[..] else { return None };
            return self.module_call(module.as_str(), name, &call.args, at);
        }
        if let Some(kind) = ActionKind::of_call(name, call.args.len()) {
            return self.decision(kind, &call.args, at);
        }
        if let Some(value) = self.own_value(call, at)? {
            return Some(value);
        }
        match (name, &call.args[..]) {
            ("duration", [text]) => {
                time::parse_duration(&self.written(text)?).map(|span| Value::Length(Length::Lit(span)))
            }
            ("bytes", [Expr::StringConstant(text, _)]) => time::parse_size(text).map(|n| Value::Int(Int::Lit(n))),
            ("backend", [Expr::StringConstant(n, _)]) if self.env.backends.iter().any(|b| *b == n.as_str()) => {
                Some(Value::Backend(Text::Lit(small(n))))
            }
            ("director", [Expr::StringConstant(n, _)]) if self.env.directors.iter().any(|d| *d == n.as_str()) => {
                Some(Value::Backend(Text::Lit(small(n))))
            }
            ("contains", [list, item]) => {
                let (list, item) = (self.value(list)?, self.value(item)?);
                contains(list, item)
            }
            _ => None,
        }
    }

    fn decision(&mut self, kind: ActionKind, args: &'a [Expr], at: Position) -> Option<Value> {
        if !self.hook.row().actions.contains(&kind) || self.env.unavailable.contains(&kind) {
            return None;
        }
        let at = At::new(at);
        if let (true, Some(plain)) = (args.is_empty(), PLAIN.iter().find(|a| a.kind() == Some(kind))) {
            return Some(Value::Decision(Decision::Plain(plain.clone())));
        }
        Some(Value::Decision(match (kind, args) {
            (ActionKind::PassFor, [length]) => {
                let Value::Length(length) = self.value(length)? else { return None };
                Decision::PassFor(length, at)
            }
            (ActionKind::Fail, []) => Decision::Fail(Text::Lit(small("")), at),
            (ActionKind::Fail, [text]) => Decision::Fail(self.text_for("fail", text, at)?, at),
            (ActionKind::Policy, [text]) => Decision::Policy(self.text_for("policy", text, at)?, at),
            (ActionKind::Error, []) => Decision::Error(Int::Lit(503), None, at),
            (ActionKind::Redirect, [Expr::IntegerConstant(status @ (301 | 302 | 303 | 307 | 308), _), text]) => {
                Decision::Redirect(u16::try_from(*status).ok()?, self.text_for("redirect", text, at)?, at)
            }
            (ActionKind::Synth | ActionKind::Error, [status, rest @ ..]) => {
                let Value::Int(status) = self.value(status)? else { return None };
                let text = match rest {
                    [] => None,
                    [text] => {
                        Some(self.text_for(if kind == ActionKind::Synth { "synth" } else { "error" }, text, at)?)
                    }
                    _ => return None,
                };
                if kind == ActionKind::Synth {
                    Decision::Synth(status, text, at)
                } else {
                    Decision::Error(status, text, at)
                }
            }
            _ => return None,
        }))
    }
}
