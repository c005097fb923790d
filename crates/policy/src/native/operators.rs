//! Operators: comparisons, sums, what is in what.

use super::At;
use super::compile::{Compiler, Value, maybe};
use super::cond::{Cond, Int, Order, Sum};
use super::length::Length;
use super::local::Any;
use super::text::{Maybe, Part, Text};
use rhai::{Expr, Position, Token};

impl<'a> Compiler<'a> {
    pub(super) fn operator(&mut self, token: &Token, args: &'a [Expr], at: Position) -> Option<Value> {
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
            Token::Plus => return sum(a, b, Sum::Plus, at),
            Token::Minus => return sum(a, b, Sum::Minus, at),
            Token::Multiply => return sum(a, b, Sum::Times, at),
            Token::Modulo => return sum(a, b, Sum::Rest, at),
            // The parser has turned them round: the list comes first.
            Token::In | Token::NotIn => return contains(a, b),
            _ => return None,
        };
        compare(a, order, b)
    }
}

/// Is the second in the first?
pub(super) fn contains(list: Value, item: Value) -> Option<Value> {
    Some(Value::Cond(match (list, item) {
        (Value::Names(names), item) => Cond::Listed(names, maybe(item)?),
        (Value::Text(text), Value::Text(part)) => Cond::Contains(text, part),
        _ => return None,
    }))
}

fn compare(a: Value, order: Order, b: Value) -> Option<Value> {
    let same = match (a, b) {
        (Value::Int(a), Value::Int(b)) => return Some(Value::Cond(Cond::Compare(a, order, b))),
        (Value::Any(Any::Told(a)), Value::Int(b)) => return Some(Value::Cond(Cond::CompareTold(a, order, b))),
        (Value::Length(a), Value::Length(b)) => return Some(Value::Cond(Cond::CompareLengths(a, order, b))),
        (Value::Maybe(m) | Value::MaybeBackend(m), Value::Unit)
        | (Value::Unit, Value::Maybe(m) | Value::MaybeBackend(m)) => Cond::Not(Box::new(Cond::IsThere(m))),
        (Value::Any(any), Value::Unit) | (Value::Unit, Value::Any(any)) => Cond::Not(Box::new(Cond::IsAny(any))),
        (Value::Captures(text, regex, at), Value::Unit) => Cond::Not(Box::new(Cond::Matches(text, regex, at))),
        (Value::Groups(slot, _), Value::Unit) => Cond::Not(Box::new(Cond::IsThere(Maybe::Group(slot, 0)))),
        // A backend and a name, in this order: Rhai knows no other.
        (Value::Backend(a), Value::Text(b) | Value::Backend(b)) => Cond::Same(Maybe::Text(a), Maybe::Text(b)),
        (Value::MaybeBackend(a), Value::Text(b) | Value::Backend(b)) => Cond::Same(a, Maybe::Text(b)),
        (a @ (Value::Text(_) | Value::Maybe(_)), b @ (Value::Text(_) | Value::Maybe(_))) => {
            Cond::Same(maybe(a)?, maybe(b)?)
        }
        _ => return None,
    };
    match order {
        Order::Eq => Some(Value::Cond(same)),
        Order::Ne => Some(Value::Cond(Cond::Not(Box::new(same)))),
        Order::Lt | Order::Le | Order::Gt | Order::Ge => None,
    }
}

fn sum(a: Value, b: Value, kind: Sum, at: Position) -> Option<Value> {
    let at = At::new(at);
    Some(match (a, b, kind) {
        (Value::Int(a), Value::Int(b), kind) => Value::Int(Int::Sum(Box::new(a), kind, Box::new(b), at)),
        (Value::Length(a), Value::Length(b), Sum::Plus) => Value::Length(Length::Add(Box::new(a), Box::new(b))),
        (Value::Length(a), Value::Length(b), Sum::Minus) => Value::Length(Length::Sub(Box::new(a), Box::new(b))),
        (Value::Length(a), Value::Int(Int::Lit(n)), Sum::Times) => Value::Length(Length::Times(Box::new(a), n)),
        // A text takes what comes after it: `()` is nothing.
        (Value::Text(a), b, Sum::Plus) => {
            let b = match b {
                Value::Text(b) => Part::Text(b),
                Value::Maybe(b) => Part::Maybe(b),
                Value::Int(b) => Part::Int(b),
                _ => return None,
            };
            Value::Text(Text::Join([Part::Text(a), b].into(), at))
        }
        (Value::Maybe(a), Value::Text(b), Sum::Plus) => {
            Value::Text(Text::Join([Part::Maybe(a), Part::Text(b)].into(), at))
        }
        _ => return None,
    })
}
