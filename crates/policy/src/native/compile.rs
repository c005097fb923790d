//! From the syntax tree to native operations. What is not known here returns `None`, and the whole hook stays with the
//! interpreter: so this file may be incomplete, never wrong.

use super::cond::{Cond, Int, Order, Peer};
use super::effect::{Block, Decision, Statement};
use super::text::{Maybe, Names, Part, Side, Text};
use super::{At, Native};
use crate::action::{ActionKind, PLAIN};
use crate::environment::Environment;
use crate::functions::MODULES;
use crate::hooks::Hook;
use crate::library::time;
use crate::vars::{self};
use copal_semantics::Span;
use rhai::{ASTFlags, Expr, FnCallExpr, Position, Stmt, Token};

/// A hook of more operations stays with the interpreter, which counts them.
const OPERATIONS_MAX: u64 = 1_000;
/// An operation of the interpreter is at least a node of ours: a hook with that much room cannot reach the limit.
const ROOM: u64 = 16;

/// Methods of Rhai's own that are known here. A script that defines functions of these names means its own.
const RHAIS_OWN: [&str; 3] = ["starts_with", "ends_with", "contains"];

/// Does a function of that name change what is compiled here? (Those of Copal cannot be hidden: the checks refuse it.)
pub(crate) fn hides(function: &str) -> bool {
    RHAIS_OWN.contains(&function)
}

/// Does an import under that name change what is compiled here?
pub(crate) fn hides_module(alias: &str) -> bool {
    MODULES.contains(&alias)
}

/// Compiles the hooks of one policy.
pub(crate) struct Compiler<'a> {
    pub(super) env: &'a Environment,
    pub(super) hook: Hook,
    pub(super) nodes: u64,
}

/// A value whose type is known.
pub(super) enum Value {
    Unit,
    Text(Text),
    Maybe(Maybe),
    Cond(Cond),
    Int(Int),
    Span(Span),
    Backend(Text),
    Names(Names),
    Decision(Decision),
    Effect(Statement),
    Side(Side),
    Headers(Side),
    Cookies(Side),
    Peer(Peer),
    Ip(Peer),
    Key,
}

pub(super) fn small(text: &str) -> Box<str> {
    text.into()
}

impl<'a> Compiler<'a> {
    /// The hook with those statements, if all of it can be compiled.
    pub(crate) fn compile(env: &'a Environment, hook: Hook, statements: &[Stmt]) -> Option<Native> {
        let mut c = Compiler { env, hook, nodes: 0 };
        let block = c.block(statements, true)?;
        (c.nodes <= OPERATIONS_MAX && c.nodes * ROOM <= env.limits.operations).then_some(Native { hook, block })
    }

    /// `tail`: the block's last value is what the hook returns.
    fn block(&mut self, statements: &[Stmt], tail: bool) -> Option<Block> {
        let last = statements.len().saturating_sub(1);
        let list = statements.iter().enumerate().map(|(i, s)| self.statement(s, tail && i == last));
        Some(Block(list.collect::<Option<Vec<_>>>()?.into_iter().flatten().collect()))
    }

    fn statement(&mut self, s: &Stmt, tail: bool) -> Option<Option<Statement>> {
        self.nodes += 1;
        Some(Some(match s {
            Stmt::Noop(_) => return Some(None),
            Stmt::If(x, _) => {
                let Value::Cond(cond) = self.value(&x.expr)? else { return None };
                let yes = self.block(x.body.statements(), tail)?;
                Statement::If(cond, yes, self.block(x.branch.statements(), tail)?)
            }
            Stmt::Return(None, flags, _) if !flags.intersects(ASTFlags::BREAK) => Statement::Stop,
            Stmt::Return(Some(e), flags, _) if !flags.intersects(ASTFlags::BREAK) => match self.value(e)? {
                Value::Unit => Statement::Stop,
                Value::Decision(d) => Statement::Return(d),
                _ => return None,
            },
            Stmt::Expr(e) => {
                let value = self.value(e)?;
                self.standing(value, tail)?
            }
            Stmt::FnCall(call, at) => {
                let value = self.call(call, *at)?;
                self.standing(value, tail)?
            }
            Stmt::Assignment(x) if !x.0.is_op_assignment() => self.assignment(&x.1.lhs, &x.1.rhs)?,
            _ => return None,
        }))
    }

    /// A value that stands as a statement: what it does counts, or what it is when it is the last.
    fn standing(&self, value: Value, tail: bool) -> Option<Statement> {
        match value {
            Value::Effect(statement) => Some(statement),
            Value::Decision(d) if tail => Some(Statement::Return(d)),
            Value::Unit if tail => Some(Statement::Stop),
            _ => None,
        }
    }

    pub(super) fn value(&mut self, e: &Expr) -> Option<Value> {
        self.nodes += 1;
        Some(match e {
            Expr::Unit(_) => Value::Unit,
            Expr::BoolConstant(b, _) => Value::Cond(Cond::Const(*b)),
            Expr::IntegerConstant(n, _) => Value::Int(Int::Lit(*n)),
            Expr::StringConstant(s, _) => Value::Text(Text::Lit(small(s))),
            Expr::InterpolatedString(parts, at) => self.join(parts, *at)?,
            Expr::DynamicConstant(d, _) => {
                let list = d.read_lock::<rhai::Array>()?;
                let names = list.iter().map(|n| n.as_immutable_string_ref().ok().map(|s| small(&s)));
                Value::Names(names.collect::<Option<_>>()?)
            }
            Expr::Array(list, _) => {
                let names = list.iter().map(|n| if let Expr::StringConstant(s, _) = n { Some(small(s)) } else { None });
                Value::Names(names.collect::<Option<_>>()?)
            }
            Expr::Variable(v, _, _) if v.2.is_empty() => self.variable(&v.1)?,
            Expr::And(list, _) => Value::Cond(Cond::All(self.conditions(list)?)),
            Expr::Or(list, _) => Value::Cond(Cond::Any(self.conditions(list)?)),
            Expr::Coalesce(list, _) => self.coalesce(list)?,
            Expr::Stmt(block) => match block.statements() {
                [Stmt::If(x, _)] => self.choice(&x.expr, x.body.statements(), x.branch.statements())?,
                _ => return None,
            },
            Expr::FnCall(call, at) => self.call(call, *at)?,
            Expr::Dot(..) | Expr::Index(..) => self.chain(e)?,
            _ => return None,
        })
    }

    fn variable(&self, name: &str) -> Option<Value> {
        let handed = self.hook.row().params.contains(&name);
        let global = vars::GLOBALS.iter().any(|(n, _, hooks)| *n == name && hooks.has(self.hook));
        Some(match name {
            "req" if handed => Value::Side(Side::Req),
            "bereq" if handed => Value::Side(Side::Bereq),
            "resp" if handed => Value::Side(Side::Resp),
            "beresp" if handed => Value::Side(Side::Beresp),
            "key" if handed => Value::Key,
            "client" if global => Value::Peer(Peer::Client),
            "server" if global => Value::Peer(Peer::Server),
            "local" if global => Value::Peer(Peer::Local),
            "remote" if global => Value::Peer(Peer::Remote),
            _ => return None,
        })
    }

    fn conditions(&mut self, list: &[Expr]) -> Option<Box<[Cond]>> {
        list.iter().map(|e| if let Value::Cond(c) = self.value(e)? { Some(c) } else { None }).collect()
    }

    fn coalesce(&mut self, list: &[Expr]) -> Option<Value> {
        let mut values = list.iter().rev();
        let mut out = self.value(values.next()?)?;
        for e in values {
            let Value::Maybe(first) = self.value(e)? else { return None };
            out = match out {
                Value::Text(last) => Value::Text(Text::Or(Box::new(first), Box::new(last))),
                Value::Maybe(second) => Value::Maybe(Maybe::Or(Box::new(first), Box::new(second))),
                _ => return None,
            };
        }
        Some(out)
    }

    /// `if cond { a } else { b }` as a value.
    fn choice(&mut self, cond: &Expr, yes: &[Stmt], no: &[Stmt]) -> Option<Value> {
        let Value::Cond(cond) = self.value(cond)? else { return None };
        let ([Stmt::Expr(yes)], [Stmt::Expr(no)]) = (yes, no) else { return self.choice_of_calls(cond, yes, no) };
        let pair = (self.value(yes)?, self.value(no)?);
        Self::either(cond, pair)
    }

    fn choice_of_calls(&mut self, cond: Cond, yes: &[Stmt], no: &[Stmt]) -> Option<Value> {
        let mut one = |list: &[Stmt]| match list {
            [Stmt::Expr(e)] => self.value(e),
            [Stmt::FnCall(call, at)] => self.call(call, *at),
            [Stmt::If(x, _)] => self.choice(&x.expr, x.body.statements(), x.branch.statements()),
            _ => None,
        };
        let pair = (one(yes)?, one(no)?);
        Self::either(cond, pair)
    }

    fn either(cond: Cond, pair: (Value, Value)) -> Option<Value> {
        let cond = Box::new(cond);
        Some(match pair {
            (Value::Text(a), Value::Text(b)) => Value::Text(Text::If(cond, Box::new(a), Box::new(b))),
            (Value::Backend(a), Value::Backend(b)) => Value::Backend(Text::If(cond, Box::new(a), Box::new(b))),
            (Value::Cond(a), Value::Cond(b)) => Value::Cond(Cond::If(cond, Box::new(a), Box::new(b))),
            _ => return None,
        })
    }

    fn join(&mut self, parts: &[Expr], at: Position) -> Option<Value> {
        let mut list = Vec::new();
        for part in parts {
            list.push(match self.value(part)? {
                Value::Text(text) => Part::Text(text),
                Value::Int(int) => Part::Int(int),
                _ => return None,
            });
        }
        Some(Value::Text(Text::Join(list.into(), At::new(at))))
    }

    fn call(&mut self, call: &FnCallExpr, at: Position) -> Option<Value> {
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
        match (name, &call.args[..]) {
            ("duration", [Expr::StringConstant(text, _)]) => time::parse_duration(text).map(Value::Span),
            ("backend", [Expr::StringConstant(n, _)]) if self.env.backends.iter().any(|b| *b == n.as_str()) => {
                Some(Value::Backend(Text::Lit(small(n))))
            }
            ("director", [Expr::StringConstant(n, _)]) if self.env.directors.iter().any(|d| *d == n.as_str()) => {
                Some(Value::Backend(Text::Lit(small(n))))
            }
            _ => None,
        }
    }

    fn operator(&mut self, token: &Token, args: &[Expr], at: Position) -> Option<Value> {
        if let [arg] = args {
            return match (token, self.value(arg)?) {
                (Token::Bang, Value::Cond(c)) => Some(Value::Cond(Cond::Not(Box::new(c)))),
                _ => None,
            };
        }
        let [a, b] = args else { return None };
        let (a, b) = (self.value(a)?, self.value(b)?);
        let order = match token {
            Token::EqualsTo => Order::Eq,
            Token::NotEqualsTo => Order::Ne,
            Token::LessThan => Order::Lt,
            Token::LessThanEqualsTo => Order::Le,
            Token::GreaterThan => Order::Gt,
            Token::GreaterThanEqualsTo => Order::Ge,
            Token::Plus => {
                let (Value::Text(a), Value::Text(b)) = (a, b) else { return None };
                let parts = [a, b].into_iter().map(Part::Text).collect();
                return Some(Value::Text(Text::Join(parts, At::new(at))));
            }
            _ => return None,
        };
        if let (Value::Int(a), Value::Int(b)) = (&a, &b) {
            let copy = |n: &Int| match n {
                Int::Lit(n) => Int::Lit(*n),
                Int::Var(read) => Int::Var(*read),
            };
            return Some(Value::Cond(Cond::Compare(copy(a), order, copy(b))));
        }
        let same = match (a, b) {
            (Value::Maybe(m), Value::Unit) | (Value::Unit, Value::Maybe(m)) => Cond::Not(Box::new(Cond::IsThere(m))),
            (a, b) => Cond::Same(maybe(a)?, maybe(b)?),
        };
        match order {
            Order::Eq => Some(Value::Cond(same)),
            Order::Ne => Some(Value::Cond(Cond::Not(Box::new(same)))),
            _ => None,
        }
    }

    pub(super) fn text(&mut self, e: &Expr) -> Option<Text> {
        if let Value::Text(text) = self.value(e)? { Some(text) } else { None }
    }

    fn module_call(&mut self, module: &str, name: &str, args: &[Expr], at: Position) -> Option<Value> {
        Some(match (module, name, args) {
            ("query", "sort", [url]) => Value::Text(Text::Sort(Box::new(self.text(url)?))),
            ("query", "without" | "keep", [url, list]) => {
                let (url, Value::Names(names)) = (Box::new(self.text(url)?), self.value(list)?) else { return None };
                Value::Text(if name == "keep" { Text::Keep(url, names) } else { Text::Without(url, names) })
            }
            ("query", "get", [url, Expr::StringConstant(n, _)]) => {
                Value::Maybe(Maybe::Param(self.text(url)?, small(n)))
            }
            ("url", "path", [url]) => Value::Text(Text::Path(Box::new(self.text(url)?))),
            ("url", "query", [url]) => Value::Text(Text::Query(Box::new(self.text(url)?))),
            ("std", "tolower", [text]) => Value::Text(Text::Lower(Box::new(self.text(text)?))),
            ("std", "toupper", [text]) => Value::Text(Text::Upper(Box::new(self.text(text)?))),
            ("std", "healthy", [Expr::StringConstant(n, _)]) if self.env.serves(n) => {
                Value::Cond(Cond::Healthy(small(n)))
            }
            ("std", "log", [text]) => Value::Effect(Statement::Log(self.text(text)?, At::new(at))),
            _ => return None,
        })
    }

    fn decision(&mut self, kind: ActionKind, args: &[Expr], at: Position) -> Option<Value> {
        if !self.hook.row().actions.contains(&kind) || self.env.unavailable.contains(&kind) {
            return None;
        }
        let at = At::new(at);
        if args.is_empty() {
            let plain = PLAIN.iter().find(|a| a.kind() == Some(kind))?;
            return Some(Value::Decision(Decision::Plain(plain.clone())));
        }
        let (Expr::IntegerConstant(status, _), rest) = args.split_first()? else {
            let (ActionKind::PassFor, Value::Span(span)) = (kind, self.value(&args[0])?) else { return None };
            return Some(Value::Decision(Decision::PassFor(span, at)));
        };
        let status = u16::try_from(*status).ok()?;
        let text = match rest {
            [] => None,
            [text] => Some(self.text(text)?),
            _ => return None,
        };
        let sendable = (200..=999).contains(&(status % 1000));
        Some(Value::Decision(match (kind, text) {
            (ActionKind::Synth, text) if sendable => Decision::Synth(status, text, at),
            (ActionKind::Error, text) if sendable => Decision::Error(status, text, at),
            (ActionKind::Redirect, Some(text)) if matches!(status, 301 | 302 | 303 | 307 | 308) => {
                Decision::Redirect(status, text, at)
            }
            _ => return None,
        }))
    }
}

pub(super) fn maybe(value: Value) -> Option<Maybe> {
    match value {
        Value::Text(text) => Some(Maybe::Text(text)),
        Value::Maybe(maybe) => Some(maybe),
        _ => None,
    }
}
