//! Hooks without the interpreter: what of a policy has types that are known at load is compiled into a small tree of
//! native operations, once, and shared by all threads.
//!
//! ```text
//!  fn recv(req) { … } ─▶ syntax tree ─▶ compile ─┬─▶ Native: statements over typed values    (this folder)
//!                                                └─▶ anything unknown: the whole hook stays with the interpreter
//! ```
//!
//! The language is Rhai in both cases, and Rhai is the reference: result, writes, log lines, budgets and faults with
//! their places are the same (`tests/native.rs` runs both on generated scripts and requests). What is compiled has no
//! loop, no local variable and no call of a script's function, so the limits on operations, depth and variables cannot
//! be reached; those on bytes written and on the length of strings are kept here too.
//!
//! A typical `recv` costs a tenth of what the interpreter takes: `docs/performance.md`.

mod compile;
mod cond;
mod effect;
mod members;
mod text;

pub(crate) use compile::{Compiler, hides, hides_module};

use crate::action::Action;
use crate::environment::Environment;
use crate::fault::{Fault, FaultKind, HostError};
use crate::hooks::Hook;
use crate::limits::Limit;
use crate::scene::Scene;
use effect::Block;
use rhai::Position;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What the operations of one call reach.
pub(crate) struct Frame<'a> {
    pub(crate) scene: &'a mut Scene,
    pub(crate) env: &'a Environment,
    /// Bytes that the hook may still write.
    pub(crate) writable: usize,
}

/// A fault on its way out, with the place in the script.
#[derive(Debug)]
pub(crate) struct Stop {
    error: HostError,
    line: usize,
    column: usize,
}

/// What operations give.
pub(crate) type Run<T> = Result<T, Box<Stop>>;

/// A place in the script, as two small numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct At(u16, u16);

impl At {
    fn new(p: Position) -> At {
        let small = |n: Option<usize>| n.and_then(|n| u16::try_from(n).ok()).unwrap_or(0);
        At(small(p.line()), small(p.position()))
    }

    fn stop(self, error: HostError) -> Box<Stop> {
        Box::new(Stop { error, line: usize::from(self.0), column: usize::from(self.1) })
    }
}

impl Frame<'_> {
    /// Charges bytes to what the hook may write.
    fn charge(&mut self, at: At, bytes: usize) -> Run<()> {
        crate::current::take(&mut self.writable, bytes).map_err(|e| at.stop(e))
    }

    /// A string that has been put together here.
    fn sized(&self, at: At, text: String) -> Run<String> {
        if text.len() > self.env.limits.string_bytes {
            return Err(at.stop(HostError::new(FaultKind::Limit(Limit::StringBytes), "a string grew too long")));
        }
        Ok(text)
    }
}

/// A compiled hook.
#[derive(Debug)]
pub(crate) struct Native {
    hook: Hook,
    block: Block,
}

impl Native {
    /// Runs the hook on the scene.
    pub(crate) fn call(&self, file: &str, env: &Environment, scene: &mut Scene) -> Result<Action, Fault> {
        let mut frame = Frame { scene, env, writable: env.limits.written_bytes };
        let fault = |kind, message, line, column| {
            let file = file.to_owned();
            Fault { kind, message, file, line, column, hook: self.hook, trace: Vec::new() }
        };
        match catch_unwind(AssertUnwindSafe(|| self.block.run(&mut frame))) {
            Ok(Ok(flow)) => Ok(flow.into_action()),
            Ok(Err(stop)) => Err(fault(stop.error.kind, stop.error.message, stop.line, stop.column)),
            Err(_) => Err(fault(FaultKind::Panic, "Copal panicked; this is a bug".to_owned(), 0, 0)),
        }
    }
}
