//! The walk over statements and expressions: scopes, types, what a hook returns.

use super::{Parsed, finding};
use crate::action::{ActionKind, written_list};
use crate::diagnostic::Diagnostic;
use crate::environment::Environment;
use crate::hooks::Hook;
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
    pub(super) folder: Option<&'a Folder>,
    /// The texts that `std::file` names.
    pub(super) files: &'a mut BTreeMap<String, String>,
    /// Functions of the script that something calls.
    pub(super) called: &'a mut BTreeSet<String>,
    /// Variables whose type may not be that of their `let`.
    pub(super) changing: BTreeSet<String>,
}

impl Walker<'_> {
    pub(super) fn report(&mut self, at: Position, message: impl Into<String>, help: Option<String>) {
        self.list.push(finding(&self.parsed.file, at, message.into(), help));
    }

    /// A block; with `tail`, its last statement's value is what the function returns (also after a semicolon).
    pub(super) fn block(&mut self, statements: &[Stmt], tail: bool) {
        let depth = self.scope.len();
        self.unreachable(statements);
        for (i, s) in statements.iter().enumerate() {
            self.statement(s, tail && i + 1 == statements.len());
        }
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
                self.expr(&x.0, false);
                for case in &x.1.expressions {
                    self.condition(&case.lhs);
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
                self.block(flow.body.statements(), false);
            }
            Stmt::For(x, _) => {
                self.expr(&x.2.expr, false);
                let depth = self.scope.len();
                self.scope.push((x.0.as_str().to_owned(), Type::Any, false));
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
                // What may change its type later is not known; handles never do.
                let stays = constant || is_handle(ty) || !self.changing.contains(x.0.as_str());
                let ty = if stays { ty } else { Type::Any };
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
            _ if tail => self.result(e.start_position(), ty),
            _ => self.dropped_method(e),
        }
    }

    fn call_value(&mut self, call: &FnCallExpr, at: Position, ty: Type, tail: bool) {
        let action = if call.is_qualified() { None } else { ActionKind::of_call(&call.name, call.args.len()) };
        match (action, self.hook) {
            (Some(_), _) if !tail => {
                let message = format!("`{}` has no effect here: an action counts only when it is returned", call.name);
                self.report(
                    at,
                    message,
                    Some(format!("write `return {}(…);`", call.name).replace("(…)", args_shown(call))),
                );
            }
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
            _ if tail => self.result(at, ty),
            _ => self.dropped_call(call, at),
        }
    }

    /// A hook returns an action or nothing.
    fn result(&mut self, at: Position, ty: Type) {
        let Some(hook) = self.hook else { return };
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
            Expr::Variable(v, _, at) => self.assign_variable(&v.1, *at),
            Expr::Dot(..) | Expr::Index(..) => {
                self.assign_chain(lhs, rhs, value, op.get_op_assignment_info().map(|info| info.5));
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
            Expr::StringConstant(..) => Type::Text,
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
                self.block(b.statements(), tail);
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

fn is_handle(ty: Type) -> bool {
    ty.object().is_some() || matches!(ty, Type::Headers | Type::Cookies | Type::Vars)
}
