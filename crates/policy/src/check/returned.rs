//! Actions that a script's own function gives back. Where the value of its call is dropped, so is the action: the guard
//! that was to end the request lets it through.

use super::Parsed;
use super::walk::Walker;
use crate::action::ActionKind;
use crate::engine::statements;
use rhai::{ASTFlags, ASTNode, Expr, FnCallExpr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};

impl Walker<'_> {
    /// Reports a call whose value nothing takes, when it may be an action.
    pub(super) fn dropped_call(&mut self, call: &FnCallExpr, at: Position) {
        let scripts = Scripts { parsed: self.parsed, modules: self.modules };
        if scripts.gives_action(call, &mut Seen::new()) {
            let name = written_name(call);
            self.dropped(&name, &format!("{name}({})", arguments(&call.args)), at);
        }
    }

    /// The same of `x.guard()`.
    pub(super) fn dropped_method(&mut self, e: &Expr) {
        let Some((call, at)) = last_method(e) else { return };
        let scripts = Scripts { parsed: self.parsed, modules: self.modules };
        if scripts.function_gives_action(&call.name, call.args.len(), &mut Seen::new()) {
            self.dropped(&call.name, &format!("….{}({})", call.name, arguments(&call.args)), at);
        }
    }

    fn dropped(&mut self, name: &str, call: &str, at: Position) {
        let message = format!("`{name}` may return an action, which has no effect here");
        let help = format!("write `let action = {call}; if action != () {{ return action; }}`");
        self.report(at, message, Some(help));
    }
}

/// Where functions of the script are looked up: its own file, and the modules that this imports.
#[derive(Clone, Copy)]
struct Scripts<'a> {
    parsed: &'a Parsed,
    modules: &'a BTreeMap<String, Parsed>,
}

/// What is known of functions, by file, name and parameters; of one that is being looked at nothing yet, so that those that
/// call each other end there.
type Seen = BTreeMap<(String, String, usize), bool>;

impl<'a> Scripts<'a> {
    fn gives_action(self, call: &FnCallExpr, seen: &mut Seen) -> bool {
        if !call.is_qualified() {
            return self.function_gives_action(&call.name, call.args.len(), seen);
        }
        let root = call.namespace.root();
        let path = self.parsed.imports.iter().find(|(alias, _)| alias == root).map(|(_, path)| path);
        let module = path.and_then(|path| self.modules.get(path)).filter(|_| call.namespace.path.len() == 1);
        module.is_some_and(|parsed| {
            Scripts { parsed, modules: self.modules }.function_gives_action(&call.name, call.args.len(), seen)
        })
    }

    fn function_gives_action(self, name: &str, args: usize, seen: &mut Seen) -> bool {
        let Some(ast) = &self.parsed.ast else { return false };
        if !ast.iter_functions().any(|f| f.name == name && f.params.len() == args) {
            return false;
        }
        let key = (self.parsed.file.name.clone(), name.to_owned(), args);
        if let Some(known) = seen.get(&key) {
            return *known;
        }
        seen.insert(key.clone(), false);
        let mut body = Body { scripts: self, holding: BTreeSet::new() };
        let gives = body.gives_action(&statements(ast, name, args), seen);
        seen.insert(key, gives);
        gives
    }
}

/// The body of a function.
struct Body<'a> {
    scripts: Scripts<'a>,
    /// The variables that have held an action.
    holding: BTreeSet<String>,
}

impl Body<'_> {
    fn gives_action(&mut self, body: &[Stmt], seen: &mut Seen) -> bool {
        let mut returned = false;
        for s in body {
            s.walk(&mut Vec::new(), &mut |path| {
                match path.last() {
                    Some(ASTNode::Stmt(Stmt::Var(x, ..))) if self.value(&x.1, seen) => {
                        self.holding.insert(x.0.as_str().to_owned());
                    }
                    Some(ASTNode::Stmt(Stmt::Assignment(x))) if self.value(&x.1.rhs, seen) => {
                        if let Expr::Variable(v, ..) = &x.1.lhs {
                            self.holding.insert(v.1.to_string());
                        }
                    }
                    // With the flag it is a `throw`.
                    Some(ASTNode::Stmt(Stmt::Return(Some(e), flags, _))) if !flags.intersects(ASTFlags::BREAK) => {
                        returned |= self.value(e, seen);
                    }
                    _ => {}
                }
                !returned
            });
        }
        returned || self.tail(body, seen)
    }

    /// The value of a block is that of its last statement, also behind a semicolon.
    fn tail(&self, block: &[Stmt], seen: &mut Seen) -> bool {
        match block.iter().rfind(|s| !matches!(s, Stmt::Noop(_))) {
            Some(Stmt::Expr(e)) => self.value(e, seen),
            Some(Stmt::FnCall(call, _)) => self.call(call, seen),
            Some(Stmt::Block(b)) => self.tail(b.statements(), seen),
            Some(Stmt::If(flow, _)) => {
                self.tail(flow.body.statements(), seen) || self.tail(flow.branch.statements(), seen)
            }
            Some(Stmt::TryCatch(flow, _)) => {
                self.tail(flow.body.statements(), seen) || self.tail(flow.branch.statements(), seen)
            }
            Some(Stmt::Switch(x, _)) => x.1.expressions.iter().any(|case| self.value(&case.rhs, seen)),
            _ => false,
        }
    }

    fn value(&self, e: &Expr, seen: &mut Seen) -> bool {
        match e {
            Expr::FnCall(call, _) => self.call(call, seen),
            Expr::Stmt(block) => self.tail(block.statements(), seen),
            Expr::Coalesce(list, _) => list.iter().any(|e| self.value(e, seen)),
            Expr::Variable(v, ..) => self.holding.contains(v.1.as_str()),
            Expr::Dot(..) | Expr::Index(..) => last_method(e)
                .is_some_and(|(call, _)| self.scripts.function_gives_action(&call.name, call.args.len(), seen)),
            _ => false,
        }
    }

    fn call(&self, call: &FnCallExpr, seen: &mut Seen) -> bool {
        let action = !call.is_qualified() && ActionKind::of_call(&call.name, call.args.len()).is_some();
        action || self.scripts.gives_action(call, seen)
    }
}

/// The method at the end of a chain.
fn last_method(e: &Expr) -> Option<(&FnCallExpr, Position)> {
    match e {
        Expr::Dot(x, ..) | Expr::Index(x, ..) => last_method(&x.rhs),
        Expr::MethodCall(call, at) => Some((call, *at)),
        _ => None,
    }
}

fn written_name(call: &FnCallExpr) -> String {
    if call.is_qualified() { format!("{}::{}", call.namespace.root(), call.name) } else { call.name.to_string() }
}

/// The arguments as they are written, when that is short.
fn arguments(args: &[Expr]) -> String {
    let name = |e: &Expr| match e {
        Expr::Variable(v, ..) if v.2.is_empty() => Some(v.1.to_string()),
        _ => None,
    };
    args.iter().map(name).collect::<Option<Vec<_>>>().map_or_else(|| "…".to_owned(), |names| names.join(", "))
}
