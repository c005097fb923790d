//! The walk over statements and expressions: scopes, types, what a hook returns.

use super::facts::{Facts, Key};
use super::{Parsed, finding};
use crate::action::{ActionKind, written_list};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::hooks::{Hook, HookSet};
use crate::sources::Folder;
use crate::vars::Type;
use rhai::{ASTFlags, Expr, FnCallExpr, OpAssignment, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

/// One function under the checks.
pub(super) struct Walker<'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) modules: &'a BTreeMap<String, Parsed>,
    pub(super) env: &'a Environment,
    /// The hook, when it is one.
    pub(super) hook: Option<Hook>,
    pub(super) in_function: bool,
    /// What is declared: name, type, constant.
    pub(super) scope: Vec<(String, Type, bool)>,
    pub(super) list: &'a mut Vec<Diagnostic>,
    pub(super) patterns: &'a mut BTreeSet<String>,
    /// All texts that are written in the script.
    pub(super) texts: &'a mut BTreeSet<String>,
    /// Constants that are used as regular expressions and are not written out: the file, the name, and where.
    pub(super) in_constants: &'a mut Vec<(String, String, Position)>,
    pub(super) folder: Option<&'a Folder>,
    /// The texts that `std::file` names.
    pub(super) files: &'a mut BTreeMap<String, String>,
    /// Functions of the script that something calls.
    pub(super) called: &'a mut BTreeSet<String>,
    /// Variables whose type may not be that of their `let`.
    pub(super) changing: BTreeSet<String>,
    /// Those of them that a function may have set.
    pub(super) wild: BTreeSet<String>,
    /// What the walk before has found out, and what this one does.
    pub(super) before: &'a Facts,
    pub(super) facts: &'a mut Facts,
    /// The function under the checks, and the hooks that reach it, as far as that is known.
    pub(super) key: Key,
    pub(super) hooks: HookSet,
    /// Something takes the value of the statement under the checks.
    pub(super) valued: bool,
    /// Variables whose texts are known; `None` where they are not.
    pub(super) known: BTreeMap<String, Option<Vec<String>>>,
}

impl Walker<'_> {
    pub(super) fn report(&mut self, at: Position, message: impl Into<String>, help: Option<String>) {
        self.list.push(finding(&self.parsed.file, at, message.into(), help));
    }

    /// A block; with `tail`, its last statement's value is what the function returns (also after a semicolon).
    pub(super) fn block(&mut self, statements: &[Stmt], tail: bool) {
        let depth = self.scope.len();
        self.unreachable(statements);
        let valued = self.valued;
        for (i, s) in statements.iter().enumerate() {
            let last = i + 1 == statements.len();
            self.valued = valued && last;
            self.statement(s, tail && last);
        }
        self.valued = valued;
        self.scope.truncate(depth);
    }

    fn statement(&mut self, s: &Stmt, tail: bool) {
        match s {
            Stmt::Noop(_) | Stmt::Export(..) => {}
            Stmt::Expr(e) => {
                let ty = self.expr(e, tail);
                self.value(e, ty, tail);
            }
            Stmt::FnCall(call, at) => {
                let ty = self.call(call, *at);
                self.call_value(call, *at, ty, tail);
            }
            Stmt::If(flow, _) => {
                self.condition(&flow.expr);
                self.block(flow.body.statements(), tail);
                self.block(flow.branch.statements(), tail);
            }
            Stmt::Switch(x, _) => {
                let ty = self.expr(&x.0, false);
                self.switched(&x.0, ty, &x.1);
                for case in &x.1.expressions {
                    self.condition(&case.lhs);
                    if let Expr::Stmt(block) = &case.rhs {
                        self.block(block.statements(), tail);
                        continue;
                    }
                    let ty = self.expr(&case.rhs, tail);
                    self.value(&case.rhs, ty, tail);
                }
            }
            Stmt::While(flow, _) | Stmt::Do(flow, ..) => {
                self.endless(s);
                // `loop` has none.
                if !matches!(flow.expr, Expr::Unit(_)) {
                    self.condition(&flow.expr);
                }
                self.valued = false;
                self.block(flow.body.statements(), false);
            }
            Stmt::For(x, _) => {
                let over = self.expr(&x.2.expr, false);
                self.looped(&x.2.expr, over);
                self.valued = false;
                let texts = self.listed(&x.2.expr);
                let depth = self.scope.len();
                let changes = self.changing.contains(x.0.as_str());
                let ty = if texts.is_some() && !changes { Type::Text } else { Type::Any };
                self.declare_texts(x.0.as_str(), texts);
                self.scope.push((x.0.as_str().to_owned(), ty, false));
                if let Some(counter) = &x.1 {
                    self.scope.push((counter.as_str().to_owned(), Type::Int, false));
                }
                self.block(x.2.body.statements(), false);
                self.scope.truncate(depth);
            }
            Stmt::Var(x, flags, _) => {
                let ty = self.expr(&x.1, false);
                self.used(&x.1);
                let constant = flags.intersects(ASTFlags::CONSTANT);
                let name = x.0.as_str();
                self.set_to(name, &x.1, ty);
                let texts = self.texts(&x.1);
                self.declare_texts(name, (!texts.is_empty()).then_some(texts));
                // What is set again has the type that all it is set to has; handles never change.
                let stays = constant || is_handle(ty) || !self.changing.contains(name);
                let ty = if stays { ty } else { self.type_of_all(name) };
                self.scope.push((x.0.as_str().to_owned(), ty, constant));
            }
            Stmt::Assignment(x) => self.assignment(&x.0, &x.1.lhs, &x.1.rhs),
            Stmt::Block(b) => self.block(b.statements(), tail),
            Stmt::TryCatch(flow, _) => {
                self.block(flow.body.statements(), tail);
                let depth = self.scope.len();
                if let Expr::Variable(v, ..) = &flow.expr {
                    self.scope.push((v.1.to_string(), Type::Any, false));
                }
                self.block(flow.branch.statements(), tail);
                self.scope.truncate(depth);
            }
            Stmt::BreakLoop(Some(e), ..) => drop_type(self.expr(e, false)),
            Stmt::BreakLoop(None, ..) => {}
            Stmt::Return(value, flags, _) => {
                let Some(e) = value else { return };
                let ty = self.expr(e, true);
                if !flags.intersects(ASTFlags::BREAK) {
                    self.value(e, ty, true);
                }
            }
            Stmt::Import(_, at) if self.in_function => {
                self.report(*at, "`import` belongs at the top of the file", None);
            }
            Stmt::Import(..) => {}
            _ => {}
        }
    }

    /// What becomes of the value of an expression that stands as a statement.
    fn value(&mut self, e: &Expr, ty: Type, tail: bool) {
        if let Expr::FnCall(call, at) = e {
            return self.call_value(call, *at, ty, tail);
        }
        match e {
            Expr::Stmt(_) => {}
            _ if tail => {
                self.held_actions(e);
                self.result(e.start_position(), ty);
            }
            _ if self.valued => {}
            _ => {
                self.dropped_method(e);
                self.idle(e);
            }
        }
    }

    fn call_value(&mut self, call: &FnCallExpr, at: Position, ty: Type, tail: bool) {
        let action = if call.is_qualified() { None } else { ActionKind::of_call(&call.name, call.args.len()) };
        match (action, self.hook) {
            (Some(_), _) if !tail && self.valued => {}
            (Some(_), _) if !tail => {
                let message = format!("`{}` has no effect here: an action counts only when it is returned", call.name);
                self.report(
                    at,
                    message,
                    Some(format!("write `return {}(…);`", call.name).replace("(…)", args_shown(call))),
                );
            }
            (Some(kind), None) => self.facts.gave(&self.key).action(kind),
            (Some(kind), Some(hook)) => {
                if self.env.unavailable.contains(&kind) {
                    let message = format!("`{}` is not available in this version", kind.written());
                    return self.report(at, message, None);
                }
                let legal = hook.row().actions;
                if !legal.contains(&kind) {
                    let message = format!("`{}` cannot return `{}`", hook.name(), kind.written());
                    self.report(at, message, Some(format!("it may return {}", written_list(legal))));
                }
            }
            _ if tail => {
                self.passed_on(call, at);
                self.result(at, ty);
            }
            _ => {
                if !self.valued {
                    self.dropped_call(call, at);
                    self.idle_call(call, at);
                }
            }
        }
    }

    /// A hook returns an action or nothing.
    fn result(&mut self, at: Position, ty: Type) {
        let Some(hook) = self.hook else {
            if self.in_function {
                self.facts.gave(&self.key).add(ty);
            }
            return;
        };
        if matches!(ty, Type::Any | Type::Unit | Type::Action) {
            return;
        }
        let message =
            format!("`{}` returns a value of type {}, which is neither an action nor nothing", hook.name(), ty.name());
        let help = format!("it may return {}; end with `()` to return nothing", written_list(hook.row().actions));
        self.report(at, message, Some(help));
    }

    fn assignment(&mut self, op: &OpAssignment, lhs: &Expr, rhs: &Expr) {
        let value = self.expr(rhs, false);
        self.used(rhs);
        match lhs {
            Expr::Variable(v, _, at) => {
                self.assign_variable(&v.1, *at);
                let ty = self.scope.iter().rev().find(|(n, ..)| *n == v.1).map_or(Type::Any, |(_, ty, _)| *ty);
                if let Some(sign) = op.get_op_assignment_info().map(|info| info.3) {
                    self.arithmetic(sign, ty, value, *at);
                    let before = self.before.local(&self.key, &v.1).map_or(Type::Any, |known| known.plain.ty());
                    self.grown(&v.1, super::kinds::of_operator(sign.trim_end_matches('='), &[before, value]));
                } else {
                    self.set_to(&v.1, rhs, value);
                }
            }
            Expr::Dot(..) | Expr::Index(..) => {
                let sign = op.get_op_assignment_info().map(|info| info.3);
                self.assign_chain(lhs, rhs, value, sign);
            }
            _ => {}
        }
    }

    fn assign_variable(&mut self, name: &str, at: Position) {
        match self.scope.iter().rev().find(|(n, ..)| n == name) {
            Some((_, _, true)) => self.report(at, format!("`{name}` cannot be assigned to"), None),
            Some(_) => {}
            None => {
                self.variable(name, at);
                if self
                    .list
                    .last()
                    .is_none_or(|d| (d.line, d.column) != (at.line().unwrap_or(0), at.position().unwrap_or(0)))
                {
                    self.report(at, format!("`{name}` cannot be assigned to"), None);
                }
            }
        }
    }

    /// The type of an expression; with `tail`, a block in it is where the function returns.
    pub(super) fn expr(&mut self, e: &Expr, tail: bool) -> Type {
        match e {
            Expr::BoolConstant(..) => Type::Bool,
            Expr::IntegerConstant(..) => Type::Int,
            Expr::FloatConstant(..) => Type::Float,
            Expr::StringConstant(text, at) => {
                self.unfilled(text, *at);
                self.texts.insert(text.to_string());
                Type::Text
            }
            Expr::Unit(_) => Type::Unit,
            Expr::InterpolatedString(parts, _) => {
                parts.iter().for_each(|p| drop_type(self.expr(p, false)));
                Type::Text
            }
            Expr::Array(items, _) => {
                items.iter().for_each(|i| drop_type(self.expr(i, false)));
                Type::Array
            }
            Expr::Map(x, _) => {
                x.0.iter().for_each(|(_, v)| drop_type(self.expr(v, false)));
                Type::Map
            }
            Expr::Variable(v, _, at) if v.2.is_empty() => self.variable(&v.1, *at),
            Expr::Variable(v, _, at) => self.qualified_variable(v.2.root(), &v.1, *at),
            Expr::Stmt(b) => {
                let outer = std::mem::replace(&mut self.valued, !tail);
                self.block(b.statements(), tail);
                self.valued = outer;
                Type::Any
            }
            Expr::FnCall(call, at) => self.call(call, *at),
            Expr::Dot(..) | Expr::Index(..) => self.chain(e),
            Expr::And(list, _) | Expr::Or(list, _) => {
                list.iter().for_each(|i| self.condition(i));
                Type::Bool
            }
            Expr::Coalesce(list, _) => {
                let types: Vec<Type> = list.iter().map(|i| self.expr(i, false)).collect();
                let first = types.first().copied().unwrap_or(Type::Any);
                if types.iter().all(|ty| *ty == first) { first } else { Type::Any }
            }
            _ => Type::Any,
        }
    }
}

fn drop_type(_: Type) {}

fn args_shown(call: &FnCallExpr) -> &'static str {
    if call.args.is_empty() { "()" } else { "(…)" }
}

pub(super) fn is_handle(ty: Type) -> bool {
    ty.object().is_some() || matches!(ty, Type::Headers | Type::Cookies | Type::Vars)
}

/// Does a function give a value whatever way it takes? Otherwise it may give nothing.
pub(super) fn always_gives(block: &[Stmt]) -> bool {
    match block.iter().rfind(|s| !matches!(s, Stmt::Noop(_))) {
        Some(Stmt::Return(value, ..)) => value.is_some(),
        Some(Stmt::Expr(e)) => match &**e {
            Expr::Stmt(block) => always_gives(block.statements()),
            _ => true,
        },
        Some(Stmt::FnCall(..)) => true,
        Some(Stmt::Block(b)) => always_gives(b.statements()),
        Some(Stmt::If(flow, _)) => always_gives(flow.body.statements()) && always_gives(flow.branch.statements()),
        Some(Stmt::Switch(x, _)) => {
            let gives = |e: &Expr| match e {
                Expr::Stmt(block) => always_gives(block.statements()),
                _ => true,
            };
            x.1.def_case.is_some() && x.1.expressions.iter().all(|arm| gives(&arm.rhs))
        }
        _ => false,
    }
}
