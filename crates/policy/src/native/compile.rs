//! From the syntax tree to native operations. What is not known here returns `None`, and the whole hook stays with the
//! interpreter: so this folder may be incomplete, never wrong. The first thing that was not known is told.

use super::cond::{Cond, Int, Peer};
use super::effect::{Block, Decision, Statement};
use super::length::Length;
use super::local::{Any, Kind};
use super::own::Script;
use super::text::{Maybe, Names, Part, Side, Text};
use super::{At, Native};
use crate::environment::Environment;
use crate::fault::FaultKind;
use crate::functions::MODULES;
use crate::hooks::Hook;
use crate::library::patterns::Pattern;
use crate::vars;
use copal_semantics::Span;
use rhai::{ASTFlags, Dynamic, Expr, ImmutableString, Namespace, Position, Stmt};
use std::collections::BTreeSet;

/// A hook of more operations stays with the interpreter, which counts them.
pub(super) const OPERATIONS_MAX: u64 = 1_000;
/// After so many nodes the clock is looked at, in long hooks and long loops.
const NODES_A_LOOK: u64 = 64;
/// An operation of the interpreter is at least a node of ours: a hook with that much room cannot reach the limit.
const ROOM: u64 = 16;
/// How often a hook is compiled anew because a variable turned out to be `()` at times.
const ROUNDS_MAX: usize = 8;

/// Methods of Rhai's own that are known here. A script that defines functions of these names means its own.
const RHAIS_OWN: [&str; 7] = ["starts_with", "ends_with", "contains", "trim", "len", "to_string", "sub_string"];

/// Does a function of that name change what is compiled here? (Those of Copal cannot be hidden: the checks refuse it.)
pub(crate) fn hides(function: &str) -> bool {
    RHAIS_OWN.contains(&function)
}

/// Does an import under that name change what is compiled here?
pub(crate) fn hides_module(alias: &str) -> bool {
    MODULES.contains(&alias)
}

/// Why a hook stays with the interpreter.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Interpreted {
    /// What in it is not compiled.
    pub reason: String,
    /// Where that is, from 1; 0 when it concerns the whole hook.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// Compiles the hooks of one policy.
pub(crate) struct Compiler<'a> {
    pub(super) env: &'a Environment,
    pub(super) script: &'a Script<'a>,
    pub(super) hook: Hook,
    pub(super) nodes: u64,
    /// How many there were when a look at the clock was last put in.
    looked: u64,
    /// The variables that can be seen, the newest last.
    pub(super) scope: Vec<(String, Bound)>,
    /// The script's functions that are being compiled into the place of their call.
    pub(super) calls: Vec<(&'a str, Tail)>,
    /// How many variables there are so far.
    pub(super) locals: usize,
    /// Variables that start as texts and are `()` later, by the place of their `let`.
    pub(super) wide: BTreeSet<(usize, usize)>,
    pub(super) again: bool,
    why: Option<Interpreted>,
}

/// What a name stands for.
#[derive(Debug, Clone)]
pub(super) enum Bound {
    /// A constant or an object: needs no memory.
    Value(Value),
    Slot {
        slot: usize,
        kind: Kind,
        declared: (usize, usize),
        constant: bool,
    },
}

/// What becomes of the value of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing: more statements come.
    Not,
    /// The hook returns it.
    Hook,
    /// It is the value of a function that nobody asks for.
    Dropped,
}

/// A value whose type is known.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Unit,
    Text(Text),
    Maybe(Maybe),
    Cond(Cond),
    Int(Int),
    Length(Length),
    Backend(Text),
    MaybeBackend(Maybe),
    Names(Names),
    /// What an expression captures in a text; as a variable it is `Groups`.
    Captures(Maybe, Box<Pattern>, At),
    Groups(usize, usize),
    Any(Any),
    Decision(Decision),
    Effect(Statement),
    Side(Side),
    Headers(Side),
    Cookies(Side),
    Vars,
    Obj,
    Now,
    Peer(Peer),
    Ip(Peer),
    Key,
}

pub(super) fn small(text: &str) -> Box<str> {
    text.into()
}

pub(super) fn place(at: Position) -> (usize, usize) {
    (at.line().unwrap_or(0), at.position().unwrap_or(0))
}

impl<'a> Compiler<'a> {
    /// The hook with those statements, if all of it can be compiled.
    ///
    /// # Errors
    /// What cannot.
    pub(crate) fn compile(
        env: &'a Environment,
        script: &'a Script<'a>,
        hook: Hook,
        statements: &'a [Stmt],
    ) -> Result<Native, Interpreted> {
        let mut wide = BTreeSet::new();
        let mut why = None;
        for _ in 0..ROUNDS_MAX {
            let mut c = Compiler {
                env,
                script,
                hook,
                nodes: 0,
                looked: 0,
                scope: Vec::new(),
                calls: Vec::new(),
                locals: 0,
                wide: std::mem::take(&mut wide),
                again: false,
                why: None,
            };
            let block = c.block(statements, Tail::Hook);
            if let Some(block) = block {
                return c.fits(hook, block);
            }
            why = c.why;
            if !c.again {
                break;
            }
            wide = c.wide;
        }
        Err(why.unwrap_or(Interpreted { reason: "something in it is not compiled".to_owned(), line: 0, column: 0 }))
    }

    /// Refuses what could reach a limit that only the interpreter keeps.
    fn fits(&self, hook: Hook, block: Block) -> Result<Native, Interpreted> {
        let refused = |reason: &str| Err(Interpreted { reason: reason.to_owned(), line: 0, column: 0 });
        let limits = &self.env.limits;
        if self.nodes > OPERATIONS_MAX || self.nodes * ROOM > limits.operations {
            return refused("it is so long that its operations have to be counted");
        }
        // Names from outside take room, too: at most three parameters and the globals.
        if self.locals > 0 && self.locals + 3 + vars::GLOBALS.len() >= limits.variables {
            return refused("it has so many variables that they have to be counted");
        }
        Ok(Native { hook, always: block.always(), block, locals: self.locals })
    }

    /// Notes what is not known, if nothing further in has been noted, and gives up.
    pub(super) fn blame<T>(&mut self, at: Position, reason: impl FnOnce() -> String) -> Option<T> {
        if self.why.is_none() {
            let (line, column) = place(at);
            self.why = Some(Interpreted { reason: reason(), line, column });
        }
        None
    }

    /// `tail`: what becomes of the block's last value.
    pub(super) fn block(&mut self, statements: &'a [Stmt], tail: Tail) -> Option<Block> {
        let depth = self.scope.len();
        let last = statements.len().saturating_sub(1);
        let mut list = Vec::new();
        for (i, s) in statements.iter().enumerate() {
            let tail = if i == last { tail } else { Tail::Not };
            match self.statement(s, tail) {
                Some(statement) => {
                    list.extend(statement);
                    if i < last {
                        self.look(&mut list, s.position());
                    }
                }
                None => return self.blame(s.position(), || shown_statement(s)),
            }
        }
        self.scope.truncate(depth);
        Some(Block(list.into()))
    }

    /// Puts a look at the clock after what has become long.
    pub(super) fn look(&mut self, list: &mut Vec<Statement>, at: Position) {
        if self.nodes - self.looked >= NODES_A_LOOK {
            self.looked = self.nodes;
            list.push(Statement::Look(At::new(at)));
        }
    }

    /// A statement inside of another; not known once there are too many operations.
    fn statement(&mut self, s: &'a Stmt, tail: Tail) -> Option<Option<Statement>> {
        self.nodes += 1;
        if self.nodes > OPERATIONS_MAX {
            return self.blame(s.position(), || "it is so long that its operations have to be counted".to_owned());
        }
        Some(Some(match s {
            Stmt::Noop(_) => return Some(None),
            Stmt::If(x, _) => {
                let Value::Cond(cond) = self.value(&x.expr)? else { return None };
                let yes = self.block(x.body.statements(), tail)?;
                Statement::If(cond, yes, self.block(x.branch.statements(), tail)?)
            }
            Stmt::Switch(x, _) => self.switch(&x.0, &x.1, tail)?,
            Stmt::For(x, _) if x.1.is_none() => self.each(&x.0, &x.2.expr, x.2.body.statements())?,
            Stmt::Block(b) => Statement::Block(self.block(b.statements(), tail)?),
            Stmt::Return(value, flags, _) if !flags.intersects(ASTFlags::BREAK) => self.leave(value.as_deref())?,
            Stmt::Expr(e) => match &**e {
                Expr::FnCall(call, at) => self.standing_call(call, *at, tail)?,
                Expr::Stmt(b) => Statement::Block(self.block(b.statements(), tail)?),
                e => {
                    if let Some(trimmed) = self.trims(e) {
                        return Some(Some(trimmed));
                    }
                    let value = self.value(e)?;
                    self.standing(value, tail)?
                }
            },
            Stmt::FnCall(call, at) => self.standing_call(call, *at, tail)?,
            Stmt::Var(x, flags, at) => return self.declare(x.0.as_str(), &x.1, *flags, *at),
            Stmt::Assignment(x) => self.assignment(&x.0, &x.1.lhs, &x.1.rhs)?,
            _ => return None,
        }))
    }

    /// `return`, from the hook or from a function of the script that is compiled into its place.
    fn leave(&mut self, value: Option<&'a Expr>) -> Option<Statement> {
        let tail = self.calls.last().map_or(Tail::Hook, |(_, tail)| *tail);
        let statement = match value {
            None => Statement::Stop,
            Some(Expr::FnCall(call, at)) => self.standing_call(call, *at, tail)?,
            Some(e) => {
                let value = self.value(e)?;
                self.standing(value, tail)?
            }
        };
        if tail == Tail::Hook {
            return Some(match statement {
                // What the function did has decided, or nothing is returned.
                Statement::Call(..) | Statement::Block(_) => {
                    Statement::Block(Block([statement, Statement::Stop].into()))
                }
                other => other,
            });
        }
        Some(match statement {
            Statement::Stop => Statement::Leave,
            other => Statement::Block(Block([other, Statement::Leave].into())),
        })
    }

    /// A value that stands as a statement: what it does counts, or what it is when it is the last.
    pub(super) fn standing(&mut self, value: Value, tail: Tail) -> Option<Statement> {
        match (value, tail) {
            (Value::Effect(statement), _) => Some(statement),
            (Value::Decision(d), Tail::Hook) => Some(Statement::Return(d)),
            (Value::Unit, Tail::Hook) => Some(Statement::Stop),
            (Value::Unit | Value::Cond(Cond::Const(_)) | Value::Int(Int::Lit(_)) | Value::Text(Text::Lit(_)), _) => {
                // Nothing of it is seen.
                (tail != Tail::Hook).then_some(Statement::Block(Block([].into())))
            }
            _ => None,
        }
    }

    pub(super) fn value(&mut self, e: &'a Expr) -> Option<Value> {
        self.nodes += 1;
        if self.nodes > OPERATIONS_MAX {
            return self.blame(e.position(), || "it is so long that its operations have to be counted".to_owned());
        }
        match self.known(e) {
            Some(value) => Some(value),
            None => self.blame(e.position(), || shown(e)),
        }
    }

    fn known(&mut self, e: &'a Expr) -> Option<Value> {
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
            Expr::Variable(v, _, _) => constant(self.constant(&v.2, &v.1)?)?,
            Expr::And(list, _) => Value::Cond(Cond::All(self.conditions(list)?)),
            Expr::Or(list, _) => Value::Cond(Cond::Any(self.conditions(list)?)),
            Expr::Coalesce(list, _) => self.coalesce(list)?,
            Expr::Stmt(block) => {
                let list: Vec<&Stmt> = block.statements().iter().collect();
                self.body_value(&list)?
            }
            Expr::FnCall(call, at) => self.call(call, *at)?,
            Expr::Dot(..) | Expr::Index(..) => self.chain(e)?,
            _ => return None,
        })
    }

    /// What the file's own constant `global::NAME` is.
    fn constant(&self, namespace: &Namespace, name: &str) -> Option<&Dynamic> {
        let [root] = &namespace.path[..] else { return None };
        if root.as_str() == "global" { self.script.constants.get(name) } else { None }
    }

    /// A text that is known now: written in place, or a constant of the file.
    pub(super) fn written(&self, e: &Expr) -> Option<ImmutableString> {
        match e {
            Expr::StringConstant(text, _) => Some(text.clone()),
            Expr::Variable(v, _, _) if !v.2.is_empty() => {
                let value = self.constant(&v.2, &v.1)?;
                value.clone().into_immutable_string().ok()
            }
            _ => None,
        }
    }

    pub(super) fn variable(&self, name: &str) -> Option<Value> {
        if let Some((_, bound)) = self.scope.iter().rev().find(|(n, _)| n == name) {
            return Some(match bound {
                Bound::Value(value) => value.clone(),
                Bound::Slot { slot, kind, .. } => read(*slot, *kind),
            });
        }
        if !self.calls.is_empty() {
            return None;
        }
        let handed = self.hook.row().params.contains(&name);
        let global = vars::GLOBALS.iter().any(|(n, _, hooks)| *n == name && hooks.has(self.hook));
        Some(match name {
            "req" if handed => Value::Side(Side::Req),
            "bereq" if handed => Value::Side(Side::Bereq),
            "resp" if handed => Value::Side(Side::Resp),
            "beresp" if handed => Value::Side(Side::Beresp),
            "key" if handed => Value::Key,
            "count" if handed => Value::Int(Int::Var(|s| i64::try_from(s.purge_count).unwrap_or(i64::MAX))),
            "obj" if handed || global => Value::Obj,
            "stale" if handed => Value::Obj,
            "now" if global => Value::Now,
            "client" if global => Value::Peer(Peer::Client),
            "server" if global => Value::Peer(Peer::Server),
            "local" if global => Value::Peer(Peer::Local),
            "remote" if global => Value::Peer(Peer::Remote),
            _ => return None,
        })
    }

    fn conditions(&mut self, list: &'a [Expr]) -> Option<Box<[Cond]>> {
        list.iter().map(|e| if let Value::Cond(c) = self.value(e)? { Some(c) } else { None }).collect()
    }

    fn coalesce(&mut self, list: &'a [Expr]) -> Option<Value> {
        let mut values = list.iter().map(|e| self.value(e)).collect::<Option<Vec<_>>>()?.into_iter().rev();
        let mut out = values.next()?;
        for value in values {
            let Value::Maybe(first) = value else { return None };
            out = match out {
                Value::Text(last) => Value::Text(Text::Or(Box::new(first), Box::new(last))),
                Value::Maybe(second) => Value::Maybe(Maybe::Or(Box::new(first), Box::new(second))),
                _ => return None,
            };
        }
        Some(out)
    }

    fn join(&mut self, parts: &'a [Expr], at: Position) -> Option<Value> {
        let mut list = Vec::new();
        for part in parts {
            list.push(match self.value(part)? {
                Value::Text(text) | Value::Backend(text) => Part::Text(text),
                Value::Maybe(maybe) | Value::MaybeBackend(maybe) => Part::Maybe(maybe),
                Value::Int(int) => Part::Int(int),
                Value::Cond(cond) => Part::Bool(cond),
                Value::Length(length) => Part::Length(length),
                Value::Any(any) => Part::Any(any),
                _ => return None,
            });
        }
        Some(Value::Text(Text::Join(list.into(), At::new(at))))
    }

    pub(super) fn text(&mut self, e: &'a Expr) -> Option<Text> {
        if let Value::Text(text) = self.value(e)? { Some(text) } else { None }
    }

    /// The text that `what` takes; `()` is a fault that Copal raises.
    pub(super) fn text_for(&mut self, what: &str, e: &'a Expr, at: At) -> Option<Text> {
        let value = self.value(e)?;
        needed(value, FaultKind::Value, || format!("`{what}` takes a string, not ()"), at)
    }

    /// The only argument of a function that takes a text; with `()` Rhai knows no such function.
    pub(super) fn text_of(&mut self, function: &str, e: &'a Expr, at: At) -> Option<Text> {
        let value = self.value(e)?;
        needed(value, FaultKind::Script, || format!("there is no function `{function} (())`"), at)
    }

    /// The only argument of a function to which `()` is the empty text.
    pub(super) fn text_or_empty(&mut self, e: &'a Expr) -> Option<Text> {
        or_empty(self.value(e)?)
    }

    pub(super) fn maybe(&mut self, e: &'a Expr) -> Option<Maybe> {
        maybe(self.value(e)?)
    }
}

/// A constant's value, where its type is one of those that are compiled.
fn constant(value: &Dynamic) -> Option<Value> {
    if value.is_unit() {
        return Some(Value::Unit);
    }
    if let Ok(b) = value.as_bool() {
        return Some(Value::Cond(Cond::Const(b)));
    }
    if let Ok(n) = value.as_int() {
        return Some(Value::Int(Int::Lit(n)));
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(Value::Text(Text::Lit(small(&text))));
    }
    if let Some(span) = value.clone().try_cast::<Span>() {
        return Some(Value::Length(Length::Lit(span)));
    }
    let list = value.read_lock::<rhai::Array>()?;
    let names = list.iter().map(|n| n.as_immutable_string_ref().ok().map(|s| small(&s)));
    Some(Value::Names(names.collect::<Option<_>>()?))
}

fn read(slot: usize, kind: Kind) -> Value {
    match kind {
        Kind::Text => Value::Text(Text::Local(slot)),
        Kind::Maybe => Value::Maybe(Maybe::Local(slot)),
        Kind::Int => Value::Int(Int::Local(slot)),
        Kind::Bool => Value::Cond(Cond::Local(slot)),
        Kind::Span => Value::Length(Length::Local(slot)),
        Kind::Backend => Value::Backend(Text::Local(slot)),
        Kind::Groups(count) => Value::Groups(slot, count),
        Kind::Any => Value::Any(Any::Local(slot)),
    }
}

/// The text, or the empty one when there is none.
pub(super) fn or_empty(value: Value) -> Option<Text> {
    match value {
        Value::Text(text) => Some(text),
        Value::Maybe(maybe) => Some(Text::Or(Box::new(maybe), Box::new(Text::Lit("".into())))),
        _ => None,
    }
}

/// The text, or the fault when there is none.
pub(super) fn needed(value: Value, kind: FaultKind, message: impl Fn() -> String, at: At) -> Option<Text> {
    match value {
        Value::Text(text) => Some(text),
        Value::Maybe(maybe) => Some(Text::Must(Box::new(maybe), Box::new((kind, message())), at)),
        _ => None,
    }
}

/// A text, or what may be one.
pub(super) fn maybe(value: Value) -> Option<Maybe> {
    match value {
        Value::Text(text) => Some(Maybe::Text(text)),
        Value::Maybe(maybe) => Some(maybe),
        Value::Unit => Some(Maybe::Nothing),
        _ => None,
    }
}

/// `if cond { a } else { b }` as a value.
pub(super) fn either(cond: Cond, pair: (Value, Value)) -> Option<Value> {
    let cond = Box::new(cond);
    Some(match pair {
        (Value::Text(a), Value::Text(b)) => Value::Text(Text::If(cond, Box::new(a), Box::new(b))),
        (Value::Backend(a), Value::Backend(b)) => Value::Backend(Text::If(cond, Box::new(a), Box::new(b))),
        (Value::Cond(a), Value::Cond(b)) => Value::Cond(Cond::If(cond, Box::new(a), Box::new(b))),
        (Value::Int(a), Value::Int(b)) => Value::Int(Int::If(cond, Box::new(a), Box::new(b))),
        (Value::Length(a), Value::Length(b)) => Value::Length(Length::If(cond, Box::new(a), Box::new(b))),
        (Value::Unit, Value::Unit) => Value::Unit,
        (a @ (Value::Decision(_) | Value::Unit), b @ (Value::Decision(_) | Value::Unit)) => {
            Value::Decision(Decision::If(cond, Box::new(decided(a)), Box::new(decided(b))))
        }
        (a, b) => Value::Maybe(Maybe::If(cond, Box::new(maybe(a)?), Box::new(maybe(b)?))),
    })
}

fn decided(value: Value) -> Decision {
    if let Value::Decision(d) = value { d } else { Decision::Plain(crate::action::Action::Default) }
}

/// What an expression is called in the list of what is not compiled.
fn shown(e: &Expr) -> String {
    match e {
        Expr::FnCall(call, _) if call.op_token.is_some() => format!("`{}` of these types", call.name),
        Expr::FnCall(call, _) if call.namespace.is_empty() => format!("`{}(…)` with these arguments", call.name),
        Expr::FnCall(call, _) => format!("`{}::{}(…)`", call.namespace.root(), call.name),
        Expr::FloatConstant(..) => "a number with a point".to_owned(),
        Expr::Array(..) | Expr::DynamicConstant(..) => "an array of other things than written texts".to_owned(),
        Expr::Map(..) => "a map".to_owned(),
        Expr::Variable(v, ..) if v.2.is_empty() => format!("the variable `{}`", v.1),
        Expr::Variable(v, ..) => format!("the constant `{}::{}`", v.2.root(), v.1),
        Expr::Coalesce(..) => "`??` of these types".to_owned(),
        Expr::InterpolatedString(..) => "a text with a value in it whose type is not known at load".to_owned(),
        Expr::Stmt(_) => "a block whose value has no type that is known at load".to_owned(),
        Expr::Dot(..) | Expr::Index(..) => "a chain of properties that is not compiled".to_owned(),
        Expr::And(..) => "`&&`, as it is not known at load that both sides are booleans".to_owned(),
        Expr::Or(..) => "`||`, as it is not known at load that both sides are booleans".to_owned(),
        _ => "an expression of that kind".to_owned(),
    }
}

/// What a statement is called in the list of what is not compiled.
fn shown_statement(s: &Stmt) -> String {
    match s {
        Stmt::While(..) | Stmt::Do(..) => "a loop whose rounds are not known at load".to_owned(),
        Stmt::For(..) => "a loop over something else than a list of texts or a range that is written out".to_owned(),
        Stmt::TryCatch(..) => "`try`".to_owned(),
        Stmt::Return(_, flags, _) if flags.intersects(ASTFlags::BREAK) => "`throw`".to_owned(),
        Stmt::Return(..) => "`return` of such a value".to_owned(),
        Stmt::BreakLoop(..) => "`break` or `continue`".to_owned(),
        Stmt::Var(x, ..) => format!("the variable `{}`, of such a type", x.0.as_str()),
        Stmt::Assignment(..) => "such an assignment".to_owned(),
        Stmt::Switch(..) => "a `switch` over such values".to_owned(),
        Stmt::Expr(e) => shown(e),
        Stmt::FnCall(call, _) => format!("`{}(…)` as a statement", call.name),
        _ => "such a statement".to_owned(),
    }
}
