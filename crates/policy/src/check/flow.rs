//! Where a policy goes on and where it does not: lines that nothing reaches, loops that never end, a response that is
//! restarted whatever happens.

use super::walk::Walker;
use crate::hooks::Hook;
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
        let Some(hook @ (Hook::Deliver | Hook::Synth)) = self.hook else { return };
        let Some(last) = body.iter().rfind(|s| !matches!(s, Stmt::Noop(_))) else { return };
        let mut others = false;
        for s in body {
            s.walk(&mut Vec::new(), &mut |path| {
                if let Some(ASTNode::Stmt(Stmt::Return(value, ..))) = path.last() {
                    others |= !value.as_deref().is_some_and(is_restart);
                }
                !others
            });
        }
        let ends_so = match last {
            Stmt::Return(Some(e), ..) | Stmt::Expr(e) => is_restart(e),
            Stmt::FnCall(call, _) => call.name == "restart" && !call.is_qualified(),
            _ => false,
        };
        if ends_so && !others {
            let message = format!("`{}` restarts every request, so no response is ever sent", hook.name());
            let help = "restart under a condition: `if req.restarts == 0 { return restart(); }`";
            self.report(last.position(), message, Some(help.to_owned()));
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

fn is_restart(e: &Expr) -> bool {
    matches!(e, Expr::FnCall(call, _) if call.name == "restart" && !call.is_qualified())
}

/// Does nothing after the statement run?
fn leaves(s: &Stmt) -> bool {
    match s {
        Stmt::Return(..) | Stmt::BreakLoop(..) => true,
        Stmt::Block(b) => b.statements().iter().any(leaves),
        Stmt::If(flow, _) => flow.body.statements().iter().any(leaves) && flow.branch.statements().iter().any(leaves),
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
