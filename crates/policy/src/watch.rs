//! What Rhai's own limits leave open, watched while a script runs in the interpreter: the time that operations take, data that
//! grows where Rhai does not look, and the calls that led to a limit.
//!
//! Rhai counts operations, but one operation can search an array of thousands of members. It checks the size of a value that a
//! function or an operator returns, but not of the map in `map[key] = value`, and nothing tells it that a value has become
//! nested so deep that dropping it would take the whole stack. So every sixteenth operation looks at the clock, and, in policies that
//! can repeat something, every 64th use of a variable looks at all variables there are.
//!
//! A limit of Rhai's ends the script at once, and all that is known afterwards is the line of the hook. Those policies are
//! stopped a little earlier, at the use of a variable, by an error that passes through the calls and notes them. A script can catch
//! that error, but not go on: [`Watch::ended`] is asked after the hook, and Rhai's own limits are close behind.

use crate::environment::{Environment, Stopwatch};
use crate::fault::{CALL_DEPTH, FaultKind, HostError, OPERATIONS};
use crate::hooks::Hook;
use crate::library::patterns;
use crate::limits::{Limit, Limits};
use copal_semantics::Span;
use rhai::{AST, ASTNode, Array, Dynamic, Engine, EvalAltResult, EvalContext, Map, Position, Stmt};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// Operations between two looks at the clock.
const CLOCK: u64 = 16;
/// Uses of variables between two looks at the data.
const DATA: u32 = 64;
/// Values inside values; JSON may have 128.
const DEPTH: usize = 256;
/// The variables of one scope may hold together as much as this many values of the largest size.
const VALUES: usize = 4;
/// Half the limit on time, so many times over: then a hook is ended that has used no variable since its time was over.
const LATE: u64 = 8;
/// Members that are looked at for the price of one operation.
const MEMBERS: usize = 32;

/// Watches one engine.
pub(crate) struct Watch {
    limits: Limits,
    time: Time,
    uses: Cell<u32>,
    /// The limit that the hook has hit.
    ended: RefCell<Option<HostError>>,
}

impl Watch {
    /// Watches the time from now on.
    pub(crate) fn start(e: &mut Engine, env: &Environment) -> Rc<Watch> {
        let time = Time::new(Arc::clone(&env.stopwatch), env.limits.time);
        let watch = Watch { limits: env.limits.clone(), time, uses: Cell::new(0), ended: RefCell::default() };
        let watch = Rc::new(watch);
        if env.stopwatch.runs() {
            let clock = Rc::clone(&watch);
            e.on_progress(move |operations| clock.time.look(operations));
        }
        watch
    }

    /// Watches data and calls, too, if anything in the policy can happen again and again.
    pub(crate) fn variables(self: &Rc<Self>, e: &mut Engine, ast: &AST, modules: bool) {
        if modules || repeats(ast) {
            let l = &self.limits;
            e.set_max_operations(l.operations.saturating_add(l.operations / 8)).set_max_call_levels(l.call_depth + 1);
            let watch = Rc::clone(self);
            #[expect(deprecated, reason = "Rhai marks what may change so; the version is pinned")]
            e.on_var(move |_, _, mut context| watch.used(&mut context).map(|()| None));
        }
    }

    /// A hook begins.
    pub(crate) fn begin(&self) {
        self.uses.set(0);
        self.time.begin();
        *self.ended.borrow_mut() = None;
    }

    /// The limit that the hook has hit, if it was found here.
    pub(crate) fn ended(&self) -> Option<HostError> {
        self.ended.borrow().clone()
    }

    fn used(&self, context: &mut EvalContext<'_, '_, '_, '_, '_, '_>) -> Result<(), Box<EvalAltResult>> {
        self.look(context).map_err(|error| {
            self.ended.borrow_mut().get_or_insert_with(|| error.clone());
            EvalAltResult::ErrorRuntime(Dynamic::from(error), Position::NONE).into()
        })
    }

    fn look(&self, context: &mut EvalContext<'_, '_, '_, '_, '_, '_>) -> Result<(), HostError> {
        let refused = |limit, message: &str| Err(HostError::new(FaultKind::Limit(limit), message));
        if context.call_level() > self.limits.call_depth {
            return refused(Limit::CallDepth, CALL_DEPTH);
        }
        if context.global_runtime_state().num_operations > self.limits.operations {
            return refused(Limit::Operations, OPERATIONS);
        }
        if self.time.over.get() {
            return refused(Limit::Time, TIME);
        }
        let uses = self.uses.get() + 1;
        self.uses.set(uses % DATA);
        if uses < DATA {
            return Ok(());
        }
        let mut weight = Weight::default();
        for (_, _, value) in context.scope().iter_raw() {
            weight.add(value, 0, &self.limits)?;
        }
        if let Some(this) = context.this_ptr() {
            weight.add(this, 0, &self.limits)?;
        }
        let price = u64::try_from(weight.looked / MEMBERS).unwrap_or(u64::MAX);
        let operations = &mut context.global_runtime_state_mut().num_operations;
        *operations = operations.saturating_add(price);
        Ok(())
    }
}

/// Is there a loop, or a function besides the hooks (closures are functions, too)? Otherwise each expression is evaluated once,
/// and the text of the policy bounds what there can be.
fn repeats(ast: &AST) -> bool {
    if ast.iter_functions().any(|f| Hook::by_name(f.name).is_none()) {
        return true;
    }
    let mut found = false;
    ast.walk(&mut |path| {
        found |= matches!(path.last(), Some(ASTNode::Stmt(Stmt::While(..) | Stmt::Do(..) | Stmt::For(..))));
        !found
    });
    found
}

/// What the variables of a scope hold together.
#[derive(Default)]
struct Weight {
    text: usize,
    array: usize,
    map: usize,
    looked: usize,
}

impl Weight {
    fn add(&mut self, value: &Dynamic, depth: usize, limits: &Limits) -> Result<(), HostError> {
        let most = |limit: usize| limit.saturating_mul(VALUES);
        let refused = |limit, what: &str| Err(HostError::new(FaultKind::Limit(limit), what));
        self.looked += 1;
        if value.is_string() {
            self.text += value.read_lock::<rhai::ImmutableString>().map_or(0, |s| s.len());
            if self.text > most(limits.string_bytes) {
                return refused(Limit::StringBytes, "the texts of the script grew too long together");
            }
        } else if let Some(array) = value.read_lock::<Array>() {
            self.array += array.len();
            if depth >= DEPTH || self.array > most(limits.array) {
                return refused(Limit::Array, "the arrays of the script grew too large, or too deep");
            }
            array.iter().try_for_each(|v| self.add(v, depth + 1, limits))?;
        } else if let Some(map) = value.read_lock::<Map>() {
            self.map += map.len();
            self.text += map.keys().map(|key| key.len()).sum::<usize>();
            if depth >= DEPTH || self.map > most(limits.map) {
                return refused(Limit::Map, "the maps of the script grew too large, or too deep");
            }
            map.values().try_for_each(|v| self.add(v, depth + 1, limits))?;
        } else if let Some(blob) = value.read_lock::<rhai::Blob>() {
            self.text += blob.len();
        }
        Ok(())
    }
}

pub(crate) const TIME: &str = "the hook took too much time: is much done again and again?";

/// The limit on time. The clock on the wall is cheap to read, and goes on while others have the processor; once it shows half of
/// what is allowed, the time that this thread has spent decides about the other half.
struct Time {
    stopwatch: Arc<dyn Stopwatch>,
    /// Nanoseconds.
    half: u64,
    start: Cell<Option<u64>>,
    spent: Cell<Option<u64>>,
    over: Cell<bool>,
}

impl Time {
    fn new(stopwatch: Arc<dyn Stopwatch>, limit: Span) -> Time {
        let half = u64::try_from(limit.as_micros()).unwrap_or(0).saturating_mul(500);
        Time { stopwatch, half, start: Cell::new(None), spent: Cell::new(None), over: Cell::new(false) }
    }

    fn begin(&self) {
        self.start.set(None);
        self.spent.set(None);
        self.over.set(false);
    }

    /// When it is over, the next use of a variable ends the hook, which tells the calls. Where none is used, this does, later.
    fn look(&self, operations: u64) -> Option<Dynamic> {
        if !operations.is_multiple_of(CLOCK) && !patterns::took_long() {
            return None;
        }
        let now = self.stopwatch.wall();
        let start = self.start.get().unwrap_or(now);
        self.start.set(Some(start));
        if now.saturating_sub(start) <= self.half {
            return None;
        }
        let spent = self.stopwatch.spent();
        let before = self.spent.get().unwrap_or(spent);
        self.spent.set(Some(before));
        let since = spent.saturating_sub(before);
        self.over.set(since > self.half);
        let error = || Dynamic::from(HostError::new(FaultKind::Limit(Limit::Time), TIME));
        (since / LATE > self.half).then(error)
    }
}
