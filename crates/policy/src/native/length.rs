//! Durations: written ones, those of variables, and what is computed from them.

use super::local::{Call, Local};
use super::{Frame, Give, Run};
use crate::scene::Scene;
use copal_semantics::Span;

/// A duration.
#[derive(Debug, Clone)]
pub(super) enum Length {
    Lit(Span),
    Var(fn(&Scene) -> Span),
    Local(usize),
    Add(Box<Length>, Box<Length>),
    Sub(Box<Length>, Box<Length>),
    Times(Box<Length>, i64),
    If(Box<super::cond::Cond>, Box<Length>, Box<Length>),
    Call(Box<Call>, Box<Length>),
    Host(Give<Span>),
}

impl Length {
    pub(super) fn eval(&self, f: &Frame<'_>) -> Run<Span> {
        Ok(match self {
            Length::Lit(span) => *span,
            Length::Var(read) => read(f.scene),
            Length::Local(slot) => match f.local(*slot) {
                Local::Span(span) => *span,
                _ => Span::ZERO,
            },
            Length::Add(a, b) => a.eval(f)? + b.eval(f)?,
            Length::Sub(a, b) => a.eval(f)? - b.eval(f)?,
            Length::Times(a, n) => Span::from_micros(a.eval(f)?.as_micros().saturating_mul(*n)),
            Length::If(cond, yes, no) => if cond.eval(f)? { yes } else { no }.eval(f)?,
            Length::Call(call, body) => call.give(f, |f| body.eval(f))?,
            Length::Host(host) => host.call(f)?,
        })
    }
}
