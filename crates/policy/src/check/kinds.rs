//! Types that follow from others: of sums and products, of variables that are assigned once, and where there is no value.

use super::Parsed;
use super::walk::Walker;
use crate::vars::Type;
use rhai::{ASTNode, Expr, Position, Stmt};
use std::collections::BTreeSet;

/// The type of `a + b` and the like, as Rhai and `duration` have them.
pub(super) fn of_operator(name: &str, args: &[Type]) -> Type {
    use Type::{Any, Bool, Duration, Float, Int, Text, Time};
    match (name, args) {
        ("==" | "!=" | "<" | "<=" | ">" | ">=" | "!" | "contains", _) => Bool,
        ("+", [Text, _] | [_, Text]) => Text,
        ("+" | "-" | "*" | "/" | "%", [Int, Int]) => Int,
        ("+" | "-" | "*" | "/" | "%", [Int | Float, Float] | [Float, Int]) => Float,
        ("+" | "-", [Time, Duration]) => Time,
        ("+" | "-", [Duration, Duration]) | ("-", [Time, Time]) => Duration,
        ("*", [Duration, Int | Float] | [Int | Float, Duration]) | ("/", [Duration, Int | Float]) => Duration,
        ("/", [Duration, Duration]) => Float,
        ("-", [ty @ (Int | Float | Duration)]) => *ty,
        _ => Any,
    }
}

/// The type of what is written there.
pub(super) fn of_literal(e: &Expr) -> Type {
    match e {
        Expr::IntegerConstant(..) => Type::Int,
        Expr::StringConstant(..) | Expr::InterpolatedString(..) => Type::Text,
        Expr::BoolConstant(..) => Type::Bool,
        Expr::FloatConstant(..) => Type::Float,
        _ => Type::Any,
    }
}

/// The variables whose type may change after `let`: those that are assigned to, and those whose value a function of the
/// script has as `this`. (Closures capture nothing here.)
pub(super) fn changing(parsed: &Parsed, body: &[Stmt]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for s in body {
        s.walk(&mut Vec::new(), &mut |path| {
            match path.last() {
                Some(ASTNode::Stmt(Stmt::Assignment(x))) => {
                    if let Expr::Variable(v, ..) = &x.1.lhs {
                        all.insert(v.1.to_string());
                    }
                }
                Some(ASTNode::Expr(Expr::Dot(x, ..))) => {
                    if let (Expr::Variable(v, ..), Expr::MethodCall(call, _)) = (&x.lhs, &x.rhs)
                        && parsed.function(&call.name).is_some()
                    {
                        all.insert(v.1.to_string());
                    }
                }
                _ => {}
            }
            true
        });
    }
    all
}

/// The variables that a function of the script may set as `this`.
pub(super) fn wild(parsed: &Parsed, body: &[Stmt]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for s in body {
        s.walk(&mut Vec::new(), &mut |path| {
            if let Some(ASTNode::Expr(Expr::Dot(x, ..))) = path.last()
                && let (Expr::Variable(v, ..), Expr::MethodCall(call, _)) = (&x.lhs, &x.rhs)
                && parsed.function(&call.name).is_some()
            {
                all.insert(v.1.to_string());
            }
            true
        });
    }
    all
}

/// Methods of strings that change the text in place and give nothing, and what to write where the new text is wanted.
const IN_PLACE: [(&str, &str); 6] = [
    ("replace", "`….replace_re(…)` gives a new text, and `….replace_all_re(…)` one with all replaced"),
    ("trim", "let it stand alone: `let text = …; text.trim();`"),
    ("make_upper", "`….to_upper()` gives a new text"),
    ("make_lower", "`….to_lower()` gives a new text"),
    ("crop", "`….sub_string(…)` gives a new text"),
    ("truncate", "`….sub_string(0, …)` gives a new text"),
];

impl Walker<'_> {
    /// Reports a value that is none, as it comes from a method that changes a text in place.
    pub(super) fn used(&mut self, e: &Expr) {
        let Some((name, at, help)) = in_place(e) else { return };
        if self.parsed.function(name).is_none() {
            let message = format!("`{name}` changes the text in place and gives nothing");
            self.report(at, message, Some(help.to_owned()));
        }
    }
}

/// The method at the end of a chain, if it is one of them.
fn in_place(e: &Expr) -> Option<(&str, Position, &'static str)> {
    match e {
        Expr::Dot(x, ..) | Expr::Index(x, ..) => in_place(&x.rhs),
        Expr::MethodCall(call, at) => {
            let (_, help) = IN_PLACE.iter().find(|(name, _)| call.name == *name)?;
            Some((call.name.as_str(), *at, help))
        }
        _ => None,
    }
}
