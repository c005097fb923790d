//! What a script defines itself: variables and functions. A function is compiled into the place of each call.

use super::At;
use super::compile::{Bound, Compiler, Tail, Value, either, maybe, place, small};
use super::cond::{Cond, Int};
use super::effect::{Block, Decision, Statement};
use super::length::Length;
use super::local::{Any, Call, Fresh, Kind};
use super::switch::Literals;
use super::text::{Maybe, Text};
use rhai::{ASTFlags, Dynamic, Expr, FnCallExpr, Position, Stmt};
use std::collections::BTreeMap;

/// A function of the script that is no hook.
pub(crate) struct Own {
    pub(crate) name: String,
    pub(crate) params: Vec<String>,
    pub(crate) statements: Vec<Stmt>,
}

/// What the hooks of a policy share.
pub(crate) struct Script<'a> {
    pub(crate) own: Vec<Own>,
    pub(crate) literals: Literals,
    /// The constants of the file, `global::NAME`.
    pub(crate) constants: BTreeMap<String, Dynamic>,
    /// What `std::file` reads.
    pub(crate) files: &'a BTreeMap<String, String>,
}

/// Names and what they stand for.
type Names = Vec<(String, Bound)>;

impl<'a> Compiler<'a> {
    /// `let` or `const`. What never changes needs no memory.
    pub(super) fn declare(
        &mut self,
        name: &str,
        value: &'a Expr,
        flags: ASTFlags,
        at: Position,
    ) -> Option<Option<Statement>> {
        let value = self.value(value)?;
        let (bound, fresh) = self.bind(value, place(at), flags.intersects(ASTFlags::CONSTANT))?;
        self.scope.push((name.to_owned(), bound));
        Some(fresh.map(|(slot, fresh)| Statement::Let(slot, fresh)))
    }

    /// What a name stands for from now on, and what its variable is set to, if it needs one.
    fn bind(
        &mut self,
        value: Value,
        declared: (usize, usize),
        constant: bool,
    ) -> Option<(Bound, Option<(usize, Fresh)>)> {
        let wide = self.wide.contains(&declared);
        let (kind, fresh) = match value {
            value @ (Value::Side(_)
            | Value::Headers(_)
            | Value::Cookies(_)
            | Value::Vars
            | Value::Obj
            | Value::Key
            | Value::Now
            | Value::Peer(_)
            | Value::Ip(_)
            | Value::Names(_)
            | Value::Groups(..)) => return Some((Bound::Value(value), None)),
            Value::Text(text) if !wide => (Kind::Text, Fresh::Text(text)),
            value @ (Value::Text(_) | Value::Maybe(_) | Value::Unit) => (Kind::Maybe, Fresh::Maybe(maybe(value)?)),
            Value::Cond(cond) => (Kind::Bool, Fresh::Cond(cond)),
            Value::Int(int) => (Kind::Int, Fresh::Int(int)),
            Value::Length(length) => (Kind::Span, Fresh::Span(length)),
            Value::Backend(name) => (Kind::Backend, Fresh::Text(name)),
            Value::Any(any) => (Kind::Any, Fresh::Any(any)),
            Value::Captures(text, regex, at) => (Kind::Groups(regex.groups()), Fresh::Groups(text, regex, at)),
            Value::MaybeBackend(_) | Value::Decision(_) | Value::Effect(_) => return None,
        };
        let slot = self.slot();
        Some((Bound::Slot { slot, kind, declared, constant }, Some((slot, fresh))))
    }

    pub(super) fn slot(&mut self) -> usize {
        self.locals += 1;
        self.locals - 1
    }

    /// `x = value` for a variable of the script.
    pub(super) fn assign_local(&mut self, name: &str, rhs: &'a Expr) -> Option<Statement> {
        let value = self.value(rhs)?;
        self.set_local(name, value)
    }

    pub(super) fn set_local(&mut self, name: &str, value: Value) -> Option<Statement> {
        let (_, bound) = self.scope.iter().rev().find(|(n, _)| n == name)?;
        let Bound::Slot { slot, kind, declared, constant: false } = bound.clone() else { return None };
        let fresh = match (kind, value) {
            (Kind::Text, Value::Text(text)) | (Kind::Backend, Value::Backend(text)) => Fresh::Text(text),
            (Kind::Text, Value::Maybe(_) | Value::Unit) => {
                // It is `()` at times: the hook is compiled anew with that known.
                self.wide.insert(declared);
                self.again = true;
                return None;
            }
            (Kind::Maybe, value @ (Value::Text(_) | Value::Maybe(_) | Value::Unit)) => Fresh::Maybe(maybe(value)?),
            (Kind::Int, Value::Int(int)) => Fresh::Int(int),
            (Kind::Bool, Value::Cond(cond)) => Fresh::Cond(cond),
            (Kind::Span, Value::Length(length)) => Fresh::Span(length),
            (Kind::Any, Value::Any(any)) => Fresh::Any(any),
            _ => return None,
        };
        Some(Statement::Let(slot, fresh))
    }

    /// `x.trim();` changes the variable.
    pub(super) fn trims(&mut self, e: &'a Expr) -> Option<Statement> {
        let Expr::Dot(x, flags, _) = e else { return None };
        let (Expr::Variable(v, ..), Expr::MethodCall(call, _)) = (&x.lhs, &x.rhs) else { return None };
        if flags.intersects(ASTFlags::NEGATED) || call.name != "trim" || !call.args.is_empty() {
            return None;
        }
        let Value::Text(text) = self.value(&x.lhs)? else { return None };
        let trim = |t: &str| (t.trim() != t).then(|| t.trim().to_owned());
        self.set_local(&v.1, Value::Text(Text::Made(trim, Box::new(text), At::default())))
    }

    /// A call that stands as a statement.
    pub(super) fn standing_call(&mut self, call: &'a FnCallExpr, at: Position, tail: Tail) -> Option<Statement> {
        if let Some(own) = self.own(call)
            && effects(&own.statements)
        {
            return self.act(own, call, at, tail);
        }
        let value = self.call(call, at)?;
        self.standing(value, tail)
    }

    /// The function of the script that is called, if it is one.
    fn own(&self, call: &FnCallExpr) -> Option<&'a Own> {
        let script = self.script;
        let plain = call.op_token.is_none() && call.namespace.is_empty();
        script.own.iter().find(|own| plain && own.name == call.name.as_str() && own.params.len() == call.args.len())
    }

    /// What the call of one of the script's functions gives.
    pub(super) fn own_value(&mut self, call: &'a FnCallExpr, at: Position) -> Option<Option<Value>> {
        let Some(own) = self.own(call) else { return Some(None) };
        let (scope, lets) = self.arguments(own, call, at, false)?;
        let outer = self.enter(own, Tail::Not, scope);
        let list: Vec<&Stmt> = own.statements.iter().collect();
        let body = self.body_value(&list);
        self.exit(outer);
        let call = Call { name: small(&own.name), at: At::new(at), lets: lets.into() };
        within(call, body?).map(Some)
    }

    /// What one of the script's functions does, as a statement.
    fn act(&mut self, own: &'a Own, call: &'a FnCallExpr, at: Position, tail: Tail) -> Option<Statement> {
        let (scope, lets) = self.arguments(own, call, at, true)?;
        let tail = if tail == Tail::Hook { Tail::Hook } else { Tail::Dropped };
        let outer = self.enter(own, tail, scope);
        let block = self.block(&own.statements, tail);
        self.exit(outer);
        Some(Statement::Call(Box::new(Call { name: small(&own.name), at: At::new(at), lets: lets.into() }), block?))
    }

    /// What the parameters stand for. Without effects in the function, what is only read need not be copied first.
    fn arguments(
        &mut self,
        own: &'a Own,
        call: &'a FnCallExpr,
        at: Position,
        effects: bool,
    ) -> Option<(Names, Vec<(usize, Fresh)>)> {
        if self.calls.iter().any(|(name, _)| *name == own.name) || self.calls.len() + 1 >= self.env.limits.call_depth {
            return self.blame(at, || format!("`{}` calls itself, or calls are nested too deep", own.name));
        }
        let (mut scope, mut lets) = (Vec::new(), Vec::new());
        for (param, arg) in own.params.iter().zip(&call.args) {
            let value = self.value(arg)?;
            if !effects && cheap(&value) {
                scope.push((param.clone(), Bound::Value(value)));
                continue;
            }
            let (bound, fresh) = self.bind(value, place(arg.position()), false)?;
            scope.push((param.clone(), bound));
            lets.extend(fresh);
        }
        Some((scope, lets))
    }

    fn enter(&mut self, own: &'a Own, tail: Tail, scope: Names) -> Names {
        self.calls.push((&own.name, tail));
        std::mem::replace(&mut self.scope, scope)
    }

    fn exit(&mut self, outer: Names) {
        self.calls.pop();
        self.scope = outer;
    }

    /// Statements as the value of a function: variables, choices, and what is returned.
    pub(super) fn body_value(&mut self, list: &[&'a Stmt]) -> Option<Value> {
        let depth = self.scope.len();
        let value = self.body(list);
        self.scope.truncate(depth);
        value
    }

    fn body(&mut self, list: &[&'a Stmt]) -> Option<Value> {
        let Some((first, rest)) = list.split_first() else { return Some(Value::Unit) };
        self.nodes += 1;
        let value = match first {
            Stmt::Noop(_) => self.body(rest),
            Stmt::Var(x, flags, at) => {
                let (name, value) = (x.0.as_str(), self.value(&x.1)?);
                let (bound, fresh) = self.bind(value, place(*at), flags.intersects(ASTFlags::CONSTANT))?;
                self.scope.push((name.to_owned(), bound));
                let rest = self.body(rest)?;
                let lets = fresh.into_iter().collect();
                within(Call { name: small(""), at: At::default(), lets }, rest)
            }
            Stmt::If(x, _) => {
                let Value::Cond(cond) = self.value(&x.expr)? else { return None };
                let (yes, no) = (x.body.statements(), x.branch.statements());
                // What comes after belongs to the branch that does not return.
                let with = |branch: &'a [Stmt]| -> Option<Vec<&'a Stmt>> {
                    let own = branch.iter();
                    match (rest.is_empty() || returns(branch), branch.is_empty()) {
                        (true, _) => Some(own.collect()),
                        (false, true) => Some(rest.to_vec()),
                        (false, false) => None,
                    }
                };
                let (yes, no) = (with(yes)?, with(no)?);
                let pair = (self.body_value(&yes)?, self.body_value(&no)?);
                either(cond, pair)
            }
            Stmt::Switch(x, _) if rest.is_empty() => self.choose(&x.0, &x.1),
            Stmt::Return(None, flags, _) if !flags.intersects(ASTFlags::BREAK) => Some(Value::Unit),
            Stmt::Return(Some(e), flags, _) if !flags.intersects(ASTFlags::BREAK) => self.value(e),
            Stmt::Expr(e) if rest.iter().all(|s| matches!(s, Stmt::Noop(_))) => self.value(e),
            Stmt::FnCall(call, at) if rest.iter().all(|s| matches!(s, Stmt::Noop(_))) => self.call(call, *at),
            Stmt::Block(b) if rest.is_empty() => {
                let list: Vec<&Stmt> = b.statements().iter().collect();
                self.body_value(&list)
            }
            _ => None,
        };
        match value {
            Some(value) => Some(value),
            None => self.blame(first.position(), || "a function that does more than to give a value".to_owned()),
        }
    }
}

/// Does every way through these statements end in `return`?
fn returns(list: &[Stmt]) -> bool {
    match list.last() {
        Some(Stmt::Return(_, flags, _)) => !flags.intersects(ASTFlags::BREAK),
        Some(Stmt::If(x, _)) => returns(x.body.statements()) && returns(x.branch.statements()),
        _ => false,
    }
}

/// Does the function write or do something, instead of only giving a value? (When in doubt it does: then its value
/// cannot be used.)
fn effects(list: &[Stmt]) -> bool {
    list.iter().enumerate().any(|(i, s)| match s {
        Stmt::Noop(_) | Stmt::Var(..) | Stmt::Return(..) | Stmt::Switch(..) => false,
        Stmt::If(x, _) => effects(x.body.statements()) || effects(x.branch.statements()),
        Stmt::Expr(_) | Stmt::FnCall(..) => i + 1 < list.len(),
        _ => true,
    })
}

/// May it be asked for as often as it is named, instead of being kept in a variable? It cannot fail, costs no memory
/// and little time.
pub(super) fn cheap(value: &Value) -> bool {
    match value {
        Value::Text(text) | Value::Backend(text) => cheap_text(text),
        Value::Maybe(maybe) => match maybe {
            Maybe::Field(..) | Maybe::Local(_) | Maybe::Group(..) | Maybe::Nothing => true,
            Maybe::Text(text) => cheap_text(text),
            _ => false,
        },
        Value::Int(int) => matches!(int, Int::Lit(_) | Int::Var(_) | Int::Local(_)),
        Value::Cond(cond) => matches!(cond, Cond::Const(_) | Cond::Local(_) | Cond::Flag(_)),
        Value::Length(length) => matches!(length, Length::Lit(_) | Length::Var(_) | Length::Local(_)),
        Value::Any(any) => matches!(any, Any::Local(_)),
        Value::Decision(_) | Value::Effect(_) | Value::MaybeBackend(_) | Value::Captures(..) | Value::Unit => false,
        _ => true,
    }
}

fn cheap_text(text: &Text) -> bool {
    match text {
        Text::Lit(_) | Text::Url(_) | Text::Method(_) | Text::Reason(_) | Text::Xid | Text::Local(_) => true,
        Text::Path(inner) | Text::Query(inner) => cheap_text(inner),
        _ => false,
    }
}

/// The value with the variables that it needs declared first.
fn within(call: Call, value: Value) -> Option<Value> {
    if call.lets.is_empty() && call.name.is_empty() {
        return Some(value);
    }
    let call = Box::new(call);
    Some(match value {
        Value::Text(text) => Value::Text(Text::Call(call, Box::new(text))),
        Value::Backend(text) => Value::Backend(Text::Call(call, Box::new(text))),
        Value::Maybe(maybe) => Value::Maybe(Maybe::Call(call, Box::new(maybe))),
        Value::MaybeBackend(maybe) => Value::MaybeBackend(Maybe::Call(call, Box::new(maybe))),
        Value::Cond(cond) => Value::Cond(Cond::Call(call, Box::new(cond))),
        Value::Int(int) => Value::Int(Int::Call(call, Box::new(int))),
        Value::Length(length) => Value::Length(Length::Call(call, Box::new(length))),
        Value::Decision(decision) => Value::Decision(Decision::Call(call, Box::new(decision))),
        Value::Effect(statement) => Value::Effect(Statement::Call(call, Block([statement].into()))),
        // A value that cannot fail is what it is, whatever the parameters are; but those can fail.
        value if call.lets.is_empty() && cheap(&value) => value,
        _ => return None,
    })
}
