//! `switch`, and loops over lists that are written out.
//!
//! Rhai keeps only a hash of what each arm of a `switch` is for. So the texts and numbers written in the script are
//! hashed the same way, and a `switch` with an arm that none of them explains is not compiled.

use super::At;
use super::compile::{Bound, Compiler, Tail, Value, either, maybe};
use super::cond::{Cond, Int, Order};
use super::effect::{Block, Statement};
use super::local::{Call, Fresh};
use super::own::cheap;
use super::text::{Maybe, Text};
use rhai::{Dynamic, Engine, Expr, RangeCase, Stmt, SwitchCasesCollection, Token};
use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::ops::{Range, RangeInclusive};

/// Rhai turns a range of up to that many numbers into an arm for each: `SMALL_SWITCH_RANGE` of its parser.
const SHORT_RANGE: i64 = 16;
/// A loop of more rounds stays with the interpreter.
const ROUNDS_MAX: i64 = 100;

/// What is written in a script, by Rhai's hash.
#[derive(Debug, Default)]
pub(crate) struct Literals(BTreeMap<u64, Literal>);

#[derive(Debug, Clone)]
enum Literal {
    Text(Box<str>),
    Int(i64),
}

fn hash(value: &Dynamic) -> u64 {
    // Rhai's own hasher: `get_hasher`, which is not public.
    let mut hasher = ahash::AHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Literals {
    /// What has that hash: a text or an int.
    pub(crate) fn kind(&self, hash: u64) -> Option<&'static str> {
        self.0.get(&hash).map(|literal| match literal {
            Literal::Text(_) => "a text",
            Literal::Int(_) => "an int",
        })
    }

    /// What is written in the script.
    pub(crate) fn of(engine: &Engine, source: &str) -> Literals {
        let mut all = BTreeMap::new();
        let (tokens, _control) = engine.lex([&source]);
        // What the lexer gives after the end is the end again. No token is shorter than a byte.
        for (token, _) in tokens.take(source.len() + 1).take_while(|(token, _)| *token != Token::EOF) {
            match token {
                Token::StringConstant(text) => {
                    all.insert(hash(&Dynamic::from(text.to_string())), Literal::Text(text.as_str().into()));
                }
                Token::IntegerConstant(n) => {
                    // A `-` before it is a token of its own, and Rhai takes short ranges apart.
                    let near =
                        (n.saturating_sub(SHORT_RANGE)..=n.saturating_add(SHORT_RANGE)).chain([n.wrapping_neg()]);
                    all.extend(near.map(|n| (hash(&Dynamic::from(n)), Literal::Int(n))));
                }
                _ => {}
            }
        }
        Literals(all)
    }
}

/// One way through a `switch`: when it is taken, and what it is.
type Arm<'a> = (Cond, &'a Expr);

impl<'a> Compiler<'a> {
    /// A `switch` as a statement.
    pub(super) fn switch(
        &mut self,
        subject: &'a Expr,
        cases: &'a SwitchCasesCollection,
        tail: Tail,
    ) -> Option<Statement> {
        let (arms, default, first) = self.arms(subject, cases)?;
        let mut out = match default {
            Some(e) => self.arm_block(e, tail)?,
            None => Block([].into()),
        };
        for (cond, e) in arms.into_iter().rev() {
            let yes = self.arm_block(e, tail)?;
            out = Block([Statement::If(cond, yes, out)].into());
        }
        let first = first.map(|(slot, fresh)| Statement::Let(slot, fresh));
        Some(Statement::Block(Block(first.into_iter().chain(out.0).collect())))
    }

    fn arm_block(&mut self, e: &'a Expr, tail: Tail) -> Option<Block> {
        if let Expr::Stmt(b) = e {
            return self.block(b.statements(), tail);
        }
        let statement = match e {
            Expr::FnCall(call, at) => self.standing_call(call, *at, tail)?,
            e => {
                let value = self.value(e)?;
                self.standing(value, tail)?
            }
        };
        Some(Block([statement].into()))
    }

    /// A `switch` as a value.
    pub(super) fn choose(&mut self, subject: &'a Expr, cases: &'a SwitchCasesCollection) -> Option<Value> {
        let (arms, default, first) = self.arms(subject, cases)?;
        let mut out = match default {
            Some(e) => self.value(e)?,
            None => Value::Unit,
        };
        for (cond, e) in arms.into_iter().rev() {
            let value = self.value(e)?;
            out = either(cond, (value, out))?;
        }
        let Some(first) = first else { return Some(out) };
        let call = Box::new(Call { name: Box::default(), at: At::default(), lets: [first].into() });
        Some(match out {
            Value::Text(text) => Value::Text(Text::Call(call, Box::new(text))),
            Value::Maybe(maybe) => Value::Maybe(Maybe::Call(call, Box::new(maybe))),
            Value::Cond(cond) => Value::Cond(Cond::Call(call, Box::new(cond))),
            Value::Int(int) => Value::Int(Int::Call(call, Box::new(int))),
            _ => return None,
        })
    }

    /// The arms in their order, the default, and the variable that the subject is kept in.
    #[expect(clippy::type_complexity, reason = "three parts, used in two places")]
    fn arms(
        &mut self,
        subject: &'a Expr,
        cases: &'a SwitchCasesCollection,
    ) -> Option<(Vec<Arm<'a>>, Option<&'a Expr>, Option<(usize, Fresh)>)> {
        let value = self.value(subject)?;
        let (value, first) = if cheap(&value) {
            (value, None)
        } else {
            let slot = self.slot();
            match value {
                Value::Text(text) => (Value::Text(Text::Local(slot)), Some((slot, Fresh::Text(text)))),
                Value::Maybe(m) => (Value::Maybe(Maybe::Local(slot)), Some((slot, Fresh::Maybe(m)))),
                Value::Int(int) => (Value::Int(Int::Local(slot)), Some((slot, Fresh::Int(int)))),
                _ => return None,
            }
        };
        let script = self.script;
        let mut arms = Vec::new();
        let mut known: Vec<(&Literal, &[usize])> = Vec::new();
        for (hash, blocks) in &cases.cases {
            known.push((script.literals.0.get(hash)?, &blocks.blocks));
        }
        // In the order in which they are written: the table has none.
        known.sort_by_key(|(_, blocks)| blocks.first().copied());
        for (literal, blocks) in known {
            let is = match (&value, literal) {
                (Value::Text(_) | Value::Maybe(_), Literal::Text(text)) => {
                    Cond::Same(maybe(value.clone())?, Maybe::Text(Text::Lit(text.clone())))
                }
                (Value::Int(int), Literal::Int(n)) => Cond::Compare(int.clone(), Order::Eq, Int::Lit(*n)),
                (Value::Text(_) | Value::Maybe(_) | Value::Int(_), _) => Cond::Const(false),
                _ => return None,
            };
            for index in blocks {
                let arm = self.arm(is.clone(), cases, *index)?;
                arms.push(arm);
            }
        }
        for range in &cases.ranges {
            let Value::Int(int) = &value else { return None };
            let (low, high, above) = match range {
                RangeCase::ExclusiveInt(r, _) => (r.start, r.end, Order::Lt),
                RangeCase::InclusiveInt(r, _) => (*r.start(), *r.end(), Order::Le),
            };
            let is = [
                Cond::Compare(int.clone(), Order::Ge, Int::Lit(low)),
                Cond::Compare(int.clone(), above, Int::Lit(high)),
            ];
            let arm = self.arm(Cond::All(is.into()), cases, range.index())?;
            arms.push(arm);
        }
        let default = match cases.def_case {
            Some(index) => Some(&cases.expressions.get(index)?.rhs),
            None => None,
        };
        Some((arms, default, first))
    }

    fn arm(&mut self, is: Cond, cases: &'a SwitchCasesCollection, index: usize) -> Option<Arm<'a>> {
        let arm = cases.expressions.get(index)?;
        let cond = match &arm.lhs {
            Expr::BoolConstant(true, _) => is,
            guard => {
                let Value::Cond(guard) = self.value(guard)? else { return None };
                Cond::All([is, guard].into())
            }
        };
        Some((cond, &arm.rhs))
    }

    /// `for x in ["a", "b"]` and `for i in 0..3`: the body once for each.
    pub(super) fn each(&mut self, name: &rhai::Ident, over: &'a Expr, body: &'a [Stmt]) -> Option<Statement> {
        let values: Vec<Value> = match over {
            Expr::DynamicConstant(d, _) if d.type_name() != "array" => {
                // The optimiser has made a range of two numbers.
                let (from, end) = match (d.read_lock::<Range<i64>>(), d.read_lock::<RangeInclusive<i64>>()) {
                    (Some(r), _) => (r.start, r.end),
                    (_, Some(r)) => (*r.start(), r.end().checked_add(1)?),
                    _ => return None,
                };
                if end.saturating_sub(from) > ROUNDS_MAX {
                    return None;
                }
                (from..end).map(|n| Value::Int(Int::Lit(n))).collect()
            }
            e => match self.value(e)? {
                Value::Names(names) => names.into_iter().map(|n| Value::Text(Text::Lit(n))).collect(),
                _ => return None,
            },
        };
        let mut blocks = Vec::new();
        for value in values {
            self.scope.push((name.as_str().to_owned(), Bound::Value(value)));
            let block = self.block(body, Tail::Not);
            self.scope.pop();
            blocks.push(Statement::Block(block?));
            self.look(&mut blocks, over.start_position());
        }
        Some(Statement::Block(Block(blocks.into())))
    }
}
