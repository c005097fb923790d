//! Where a policy goes on and where it does not: lines that nothing reaches, loops that never end, a response that is
//! restarted whatever happens.

use super::walk::Walker;
use crate::hooks::Hook;
use crate::vars::Type;
use rhai::{ASTFlags, ASTNode, Expr, Stmt};

impl Walker<'_> {
    /// Reports the first statement after one that always leaves the block.
    pub(super) fn unreachable(&mut self, statements: &[Stmt]) {
        let real = |s: &&Stmt| !matches!(s, Stmt::Noop(_));
        let mut list = statements.iter().filter(real).peekable();
        while let Some(s) = list.next() {
            if let (true, Some(next)) = (leaves(s), list.peek()) {
                let line = s.position().line().unwrap_or(0);
                let help = format!("line {line} always leaves before it: remove it, or put it first");
                return self.report(start(next), "this is never reached", Some(help));
            }
        }
    }

    /// Reports a loop that nothing ends.
    pub(super) fn endless(&mut self, s: &Stmt) {
        if is_endless(s) {
            let help = "end it with `break` or `return`, or loop over a list with `for`";
            self.report(s.position(), "this loop never ends", Some(help.to_owned()));
        }
    }

    /// Reports a `deliver` or `synth` of which every way out is `restart()`: no client would ever get its response.
    pub(super) fn never_delivers(&mut self, body: &[Stmt]) {
        let (hook, action) = match self.hook {
            Some(hook @ (Hook::Recv | Hook::Deliver | Hook::Synth)) => (hook, "restart"),
            Some(hook @ Hook::BackendResponse) => (hook, "retry"),
            _ => return,
        };
        let Some(last) = body.iter().rfind(|s| !matches!(s, Stmt::Noop(_))) else { return };
        let mut others = false;
        for s in body {
            s.walk(&mut Vec::new(), &mut |path| {
                if let Some(ASTNode::Stmt(Stmt::Return(value, ..))) = path.last() {
                    others |= !value.as_deref().is_some_and(|e| self.is_call(e, action));
                }
                !others
            });
        }
        if self.ends_with(last, action) && !others {
            let (message, help) = if action == "retry" {
                let message = format!("`{}` retries every fetch, so no response is ever taken", hook.name());
                (
                    message,
                    "retry under a condition: `if bereq.retries == 0 && beresp.status >= 500 { return retry(); }`",
                )
            } else {
                let message = format!("`{}` restarts every request, so no response is ever sent", hook.name());
                (message, "restart under a condition: `if req.restarts == 0 { return restart(); }`")
            };
            self.report(last.position(), message, Some(help.to_owned()));
        }
    }

    /// Is that action what the statement gives, whatever way it takes?
    fn ends_with(&self, last: &Stmt, action: &str) -> bool {
        let block = |list: &[Stmt]| {
            let last = list.iter().rfind(|s| !matches!(s, Stmt::Noop(_)));
            last.is_some_and(|s| self.ends_with(s, action))
        };
        match last {
            Stmt::Return(Some(e), ..) | Stmt::Expr(e) => match &**e {
                Expr::Stmt(b) => block(b.statements()),
                e => self.is_call(e, action),
            },
            Stmt::FnCall(call, _) => call.name == action && !call.is_qualified(),
            Stmt::Block(b) => block(b.statements()),
            Stmt::If(flow, _) => block(flow.body.statements()) && block(flow.branch.statements()),
            _ => false,
        }
    }

    /// A call of the action, or a variable that holds nothing else.
    fn is_call(&self, e: &Expr, action: &str) -> bool {
        match e {
            Expr::FnCall(call, _) => call.name == action && !call.is_qualified(),
            Expr::Variable(v, ..) => self.before.local(&self.key, &v.1).is_some_and(|known| {
                known.ty() == Type::Action
                    && known.plain.actions.iter().all(|kind| kind.written().starts_with(action))
                    && !known.plain.actions.is_empty()
            }),
            _ => false,
        }
    }
}

/// Where a statement begins; Rhai says of an assignment where its operator stands.
fn start(s: &Stmt) -> rhai::Position {
    match s {
        Stmt::Assignment(x) => x.1.lhs.start_position(),
        Stmt::Expr(e) => e.start_position(),
        _ => s.position(),
    }
}

/// Does nothing after the statement run?
fn leaves(s: &Stmt) -> bool {
    match s {
        Stmt::Return(..) | Stmt::BreakLoop(..) => true,
        Stmt::Block(b) => b.statements().iter().any(leaves),
        Stmt::If(flow, _) => flow.body.statements().iter().any(leaves) && flow.branch.statements().iter().any(leaves),
        Stmt::Switch(x, _) => {
            let arm = |e: &Expr| matches!(e, Expr::Stmt(block) if block.statements().iter().any(leaves));
            x.1.def_case.is_some() && x.1.expressions.iter().all(|case| arm(&case.rhs))
        }
        _ => is_endless(s),
    }
}

fn is_endless(s: &Stmt) -> bool {
    let flow = match s {
        Stmt::While(flow, _) if matches!(flow.expr, Expr::Unit(_) | Expr::BoolConstant(true, _)) => flow,
        Stmt::Do(flow, flags, _) => match flow.expr {
            // `do { } while true`, and `do { } until false`.
            Expr::BoolConstant(true, _) if !flags.intersects(ASTFlags::NEGATED) => flow,
            Expr::BoolConstant(false, _) if flags.intersects(ASTFlags::NEGATED) => flow,
            _ => return false,
        },
        _ => return false,
    };
    let mut ends = false;
    for s in flow.body.statements() {
        s.walk(&mut Vec::new(), &mut |path| {
            // A `break` of a loop inside counts too: rather no finding than a wrong one.
            ends |= match path.last() {
                Some(ASTNode::Stmt(Stmt::Return(..))) => true,
                Some(ASTNode::Stmt(Stmt::BreakLoop(_, flags, _))) => flags.intersects(ASTFlags::BREAK),
                _ => false,
            };
            !ends
        });
    }
    !ends
}
