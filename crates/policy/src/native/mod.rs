//! Hooks without the interpreter: what of a policy has types that are known at load is compiled into a small tree of
//! native operations, once, and shared by all threads.
//!
//! ```text
//!  fn recv(req) { … } ─▶ syntax tree ─▶ compile ─┬─▶ Native: statements over typed values    (this folder)
//!                                                └─▶ anything unknown: the whole hook stays with the interpreter
//! ```
//!
//! The language is Rhai in both cases, and Rhai is the reference: result, writes, log lines, budgets and faults with
//! their places and calls are the same (`tests/native.rs` runs both on generated scripts and requests).
//!
//! Functions of the script are compiled into the place of each call, loops over lists that are written out are compiled
//! once for each element, and a recursion or any other loop stays with the interpreter. So no operation runs twice, and
//! what the limits on operations, depth and variables allow is known when the policy is loaded: a hook that could reach
//! one is not compiled. The limits on bytes written and on the length of strings are kept here too.
//!
//! A typical `recv` costs a tenth of what the interpreter takes: `docs/performance.md`.

mod assign;
mod calls;
mod compile;
mod cond;
mod effect;
mod length;
mod library;
mod local;
mod members;
mod operators;
mod own;
mod switch;
mod text;

pub use compile::Interpreted;
pub(crate) use compile::{Compiler, hides, hides_module};
pub(crate) use own::{Own, Script};
pub(crate) use switch::Literals;

use crate::action::Action;
use crate::environment::Environment;
use crate::fault::{Fault, FaultKind, HostError};
use crate::hooks::Hook;
use crate::library::patterns;
use crate::limits::Limit;
use crate::scene::Scene;
use effect::Block;
use local::Local;
use rhai::Position;
use std::cell::{Cell, OnceCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What the operations of one call reach.
pub(crate) struct Frame<'a> {
    pub(crate) scene: &'a mut Scene,
    pub(crate) env: &'a Environment,
    /// Bytes that the hook may still write.
    pub(crate) writable: usize,
    /// When the clock was first looked at, on the wall and as this thread's.
    started: Cell<Option<(u64, u64)>>,
    /// The script's variables. Each is set once where it is declared; only assignments set it again.
    locals: Vec<OnceCell<Local>>,
}

/// A fault on its way out, with the place in the script.
#[derive(Debug)]
pub(crate) struct Stop {
    error: HostError,
    at: At,
    /// The script's functions that were running, innermost first, and where they were called.
    calls: Vec<(Box<str>, At)>,
}

/// A closure among the nodes.
pub(crate) struct Host<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Clone for Host<T> {
    fn clone(&self) -> Self {
        Host(Arc::clone(&self.0))
    }
}

impl<T: ?Sized> fmt::Debug for Host<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Host")
    }
}

/// A closure that gives a value.
pub(crate) type Give<T> = Host<dyn Fn(&Frame<'_>) -> Run<T> + Send + Sync>;

/// A closure that does something.
pub(crate) type Act = Host<dyn Fn(&mut Frame<'_>) -> Run<()> + Send + Sync>;

impl<T> Give<T> {
    fn new(f: impl Fn(&Frame<'_>) -> Run<T> + Send + Sync + 'static) -> Self {
        Host(Arc::new(f))
    }

    fn call(&self, f: &Frame<'_>) -> Run<T> {
        (self.0)(f)
    }
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
        Box::new(Stop { error, at: self, calls: Vec::new() })
    }

    fn line(self) -> usize {
        usize::from(self.0)
    }

    fn column(self) -> usize {
        usize::from(self.1)
    }

    fn shown(self, file: &str) -> String {
        if self.0 == 0 { file.to_owned() } else { format!("{file}:{}:{}", self.0, self.1) }
    }
}

impl Frame<'_> {
    /// Charges bytes to what the hook may write.
    fn charge(&mut self, at: At, bytes: usize) -> Run<()> {
        crate::current::take(&mut self.writable, bytes).map_err(|e| at.stop(e))
    }

    /// What an expression has found; time has passed if it, or one before, may have taken long.
    fn matched<T>(&self, at: At, found: Result<T, HostError>) -> Run<T> {
        let found = found.map_err(|e| at.stop(e))?;
        if patterns::took_long() {
            self.look(at)?;
        }
        Ok(found)
    }

    /// Ends a hook that takes too much time. What has run before the first look is not counted: that is little.
    #[cold]
    #[inline(never)]
    fn look(&self, at: At) -> Run<()> {
        let clock = &self.env.stopwatch;
        if !clock.runs() {
            return Ok(());
        }
        let Some((wall, spent)) = self.started.get() else {
            self.started.set(Some((clock.wall(), clock.spent())));
            return Ok(());
        };
        let limit = u64::try_from(self.env.limits.time.as_micros()).unwrap_or(0).saturating_mul(1_000);
        if clock.wall().saturating_sub(wall) > limit && clock.spent().saturating_sub(spent) > limit {
            return Err(at.stop(HostError::new(FaultKind::Limit(Limit::Time), crate::watch::TIME)));
        }
        Ok(())
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
    /// What it decides, where it does nothing else.
    always: Option<Action>,
    block: Block,
    /// How many variables it has.
    locals: usize,
}

impl Native {
    /// Runs the hook on the scene.
    pub(crate) fn call(&self, file: &str, env: &Environment, scene: &mut Scene) -> Result<Action, Box<Fault>> {
        match &self.always {
            Some(action) => Ok(action.clone()),
            None => self.run(file, env, scene),
        }
    }

    fn run(&self, file: &str, env: &Environment, scene: &mut Scene) -> Result<Action, Box<Fault>> {
        let locals = match self.locals {
            0 => Vec::new(),
            n => vec![OnceCell::new(); n],
        };
        let mut frame = Frame { scene, env, writable: env.limits.written_bytes, started: Cell::new(None), locals };
        match catch_unwind(AssertUnwindSafe(|| self.block.run(&mut frame))) {
            Ok(Ok(flow)) => Ok(flow.into_action()),
            Ok(Err(stop)) => Err(self.fault(file, *stop)),
            Err(_) => {
                let error = HostError::new(FaultKind::Panic, "Copal panicked; this is a bug");
                Err(self.fault(file, Stop { error, at: At::default(), calls: Vec::new() }))
            }
        }
    }

    /// Out of the way of hooks that work.
    #[cold]
    #[inline(never)]
    fn fault(&self, file: &str, stop: Stop) -> Box<Fault> {
        let Stop { error, at, calls } = stop;
        let trace = calls.iter().map(|(name, at)| format!("in `{name}` called at {}", at.shown(file))).collect();
        let (line, column, file) = (at.line(), at.column(), file.to_owned());
        Box::new(Fault { kind: error.kind, message: error.message, file, line, column, hook: self.hook, trace })
    }
}
