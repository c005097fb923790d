//! Texts that are known at load though they are not written where they are used: constants, variables that are set once,
//! sums and choices of those, and what a loop goes over.

use super::walk::Walker;
use rhai::{ASTFlags, Expr, Stmt};

/// More of them are not looked at one by one.
const TEXTS_MAX: usize = 64;

impl Walker<'_> {
    /// The texts that an expression may be, when that is known.
    pub(super) fn texts(&self, e: &Expr) -> Vec<String> {
        self.texts_of(e, 0).unwrap_or_default()
    }

    fn texts_of(&self, e: &Expr, depth: usize) -> Option<Vec<String>> {
        if depth > 16 {
            return None;
        }
        let texts = match e {
            Expr::StringConstant(text, _) => vec![text.to_string()],
            Expr::Variable(v, ..) if v.2.is_empty() => self.known.get(v.1.as_str())?.clone()?,
            Expr::Variable(v, ..) if v.2.root() == "global" => self.texts_of(self.constant(&v.1)?, depth + 1)?,
            Expr::InterpolatedString(parts, _) => {
                let parts = parts.iter().map(|p| self.texts_of(p, depth + 1)).collect::<Option<Vec<_>>>()?;
                parts.into_iter().try_fold(vec![String::new()], joined)?
            }
            Expr::FnCall(call, _) if call.name == "+" && call.args.len() == 2 && !call.is_qualified() => {
                joined(self.texts_of(&call.args[0], depth + 1)?, self.texts_of(&call.args[1], depth + 1)?)?
            }
            Expr::Stmt(block) => self.last_texts(block.statements(), depth + 1)?,
            _ => return None,
        };
        (texts.len() <= TEXTS_MAX).then_some(texts)
    }

    fn last_texts(&self, block: &[Stmt], depth: usize) -> Option<Vec<String>> {
        let [only] = block else { return None };
        match only {
            Stmt::Expr(e) => self.texts_of(e, depth),
            Stmt::If(flow, _) => {
                let mut texts = self.last_texts(flow.body.statements(), depth + 1)?;
                texts.extend(self.last_texts(flow.branch.statements(), depth + 1)?);
                Some(texts)
            }
            Stmt::Switch(x, _) => {
                x.1.def_case?;
                let arms = x.1.expressions.iter().map(|arm| self.texts_of(&arm.rhs, depth + 1));
                Some(arms.collect::<Option<Vec<_>>>()?.concat())
            }
            _ => None,
        }
    }

    /// The texts that a loop goes over.
    pub(super) fn listed(&self, over: &Expr) -> Option<Vec<String>> {
        let Expr::Array(items, _) = over else { return None };
        let texts = items.iter().map(|e| self.texts_of(e, 0)).collect::<Option<Vec<_>>>()?.concat();
        (texts.len() <= TEXTS_MAX).then_some(texts)
    }

    /// A variable is declared: its texts, unless it is set again.
    pub(super) fn declare_texts(&mut self, name: &str, texts: Option<Vec<String>>) {
        let texts = texts.filter(|_| !self.known.contains_key(name) && !self.changing.contains(name));
        self.known.insert(name.to_owned(), texts);
    }

    /// The value of a constant of the file.
    fn constant(&self, name: &str) -> Option<&Expr> {
        self.parsed.ast.as_ref()?.statements().iter().find_map(|s| match s {
            Stmt::Var(x, flags, _) if flags.intersects(ASTFlags::CONSTANT) && x.0.as_str() == name => Some(&x.1),
            _ => None,
        })
    }
}

/// Where an expression begins; Rhai says of a sum where its sign stands.
pub(super) fn begins(e: &Expr) -> rhai::Position {
    match e {
        Expr::FnCall(call, _) if call.is_operator_call() && !call.args.is_empty() => begins(&call.args[0]),
        e => e.start_position(),
    }
}

/// Each of the first with each of the second behind it.
fn joined(first: Vec<String>, second: Vec<String>) -> Option<Vec<String>> {
    if first.len().saturating_mul(second.len()) > TEXTS_MAX {
        return None;
    }
    Some(first.iter().flat_map(|a| second.iter().map(move |b| format!("{a}{b}"))).collect())
}
