//! A loaded policy: shared by all threads, compiled by each of them when it first calls a hook.

use crate::action::Action;
use crate::check;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::Instance;
use crate::environment::Environment;
use crate::fault::{Fault, FaultCount, FaultCounts, FaultKind, from_rhai};
use crate::hooks::{HOOK_COUNT, HOOKS, Hook, HookRow, HookSet};
use crate::library::patterns;
use crate::library::throttle::Throttle;
use crate::native::{Compiler, Interpreted, Native, Script, hides, hides_module};
use crate::scene::Scene;
use crate::sources::{Folder, Sources};
use crate::traced::Traced;
use crate::unfit;
use serde::Serialize;
use std::cell::RefCell;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

/// A policy, checked and ready to run.
pub struct Policy {
    /// First, as it is read for every hook.
    hooks: HookSet,
    /// Those of them that do something.
    runs: HookSet,
    version: u64,
    reads_bodies: bool,
    reads_lengths: bool,
    rolls_back: bool,
    name: String,
    sources: Arc<Sources>,
    env: Arc<Environment>,
    /// What `init` logged.
    init_log: Vec<String>,
    /// The hooks that run without the interpreter.
    native: NativeHooks,
    /// Why the others do not.
    interpreted: Vec<(Hook, Interpreted)>,
    faults: FaultCounts,
}

/// By the number of the hook.
type NativeHooks = [Option<Box<Native>>; HOOK_COUNT];

/// How a hook is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HookRuns {
    /// Its name.
    pub hook: &'static str,
    /// By whom.
    pub how: How,
    /// What in it keeps it with the interpreter.
    #[serde(flatten)]
    pub why: Option<Interpreted>,
}

/// By whom a hook is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Compiled to native operations.
    Native,
    /// By the interpreter, at five to twenty times the cost.
    Interpreted,
    /// It has no statement, and costs nothing.
    Empty,
    /// Once, when the policy is loaded.
    AtLoad,
}

/// Every load gets its own, so that no thread takes a new policy for an old one.
static VERSION: AtomicU64 = AtomicU64::new(1);

struct Slot {
    version: u64,
    /// Tells when no one can call this version any more.
    alive: Weak<Policy>,
    /// Boxed, as it is moved for every call.
    instance: Box<Instance>,
}

thread_local! {
    /// The policies compiled on this thread, the one used last in front.
    static COMPILED: RefCell<Vec<Slot>> = const { RefCell::new(Vec::new()) };
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy").field("name", &self.name).field("version", &self.version).finish_non_exhaustive()
    }
}

impl Policy {
    /// The policy without hooks: the built-in behaviour decides everything.
    #[must_use]
    pub fn builtin() -> Arc<Policy> {
        static BUILTIN: OnceLock<Arc<Policy>> = OnceLock::new();
        Arc::clone(BUILTIN.get_or_init(|| {
            Arc::new(Policy {
                hooks: HookSet::NONE,
                runs: HookSet::NONE,
                version: 0,
                reads_bodies: false,
                reads_lengths: false,
                rolls_back: false,
                name: "builtin".to_owned(),
                sources: Arc::default(),
                env: Arc::default(),
                init_log: Vec::new(),
                native: [const { None }; HOOK_COUNT],
                interpreted: Vec::new(),
                faults: FaultCounts::default(),
            })
        }))
    }

    /// Reads, checks and compiles the policy in that file, with the modules that it imports from its folder.
    ///
    /// # Errors
    /// Everything that the checks find, at once.
    pub fn load(path: &Path, env: Arc<Environment>) -> Result<Arc<Policy>, Diagnostics> {
        let file = path.display().to_string();
        let source = std::fs::read_to_string(path).map_err(|e| one(&file, format!("cannot read the policy: {e}")))?;
        Self::make(&file, &source, Folder::of(path).as_ref(), env)
    }

    /// Checks and compiles a policy from text. It has no folder, so it cannot import modules.
    ///
    /// # Errors
    /// Everything that the checks find, at once.
    pub fn compile(name: &str, source: &str, env: Arc<Environment>) -> Result<Arc<Policy>, Diagnostics> {
        Self::make(name, source, None, env)
    }

    fn make(
        name: &str,
        source: &str,
        folder: Option<&Folder>,
        env: Arc<Environment>,
    ) -> Result<Arc<Policy>, Diagnostics> {
        let (sources, hooks, runs) = check::check(name, source, folder, &env)?;
        let mentions = |name: &str| {
            std::iter::once(&sources.main).chain(sources.modules.values()).any(|file| file.text.contains(name))
        };
        let mentions_either_case = |name: &str| {
            let files = std::iter::once(&sources.main).chain(sources.modules.values());
            files.into_iter().any(|file| file.text.to_ascii_lowercase().contains(name))
        };
        let mut policy = Policy {
            hooks,
            runs,
            version: VERSION.fetch_add(1, Ordering::Relaxed),
            reads_bodies: mentions("cache_req_body"),
            reads_lengths: mentions_either_case("content-length") || mentions_either_case("content_length"),
            rolls_back: mentions("rollback"),
            name: name.to_owned(),
            sources: Arc::new(crate::coverage::with_calls(sources, &env)),
            env,
            init_log: Vec::new(),
            native: [const { None }; HOOK_COUNT],
            interpreted: Vec::new(),
            faults: FaultCounts::default(),
        };
        let refused = |mut f: Fault| {
            let text = policy.text_of(&f.file);
            unfit::explain(&mut f, text);
            Diagnostics { list: vec![Diagnostic::at(&f.file, text, f.line, f.column, f.message.clone())] }
        };
        // Also when there is no `init`: what can go wrong only now (a constant's value, say) is to go wrong at load.
        let mut first = policy.instance(Hook::Init).map_err(refused)?;
        let (scene, result, _) = first.call(Hook::Init, Box::default());
        result.map_err(refused)?;
        policy.patterns_in_constants(&first)?;
        policy.init_log = scene.log;
        (policy.native, policy.interpreted) = policy.compile_natively(&first);
        let policy = Arc::new(policy);
        policy.keep(first);
        Ok(policy)
    }

    /// Constants that are put together, of what a file holds for example, and used as regular expressions are such ones.
    fn patterns_in_constants(&self, first: &Instance) -> Result<(), Diagnostics> {
        let (constants, main) = (first.constants(), &self.sources.main);
        let mut list = Vec::new();
        for (_, name, at) in self.sources.in_constants.iter().filter(|(file, ..)| *file == main.name) {
            let text = constants.get(name).and_then(|value| value.clone().into_immutable_string().ok());
            if let Some(Err(reason)) = text.map(|text| patterns::compile(&text)) {
                let message = format!("`global::{name}` is not a valid regular expression: {reason}");
                let (line, column) = (at.line().unwrap_or(0), at.position().unwrap_or(0));
                list.push(Diagnostic::at(&main.name, &main.text, line, column, message));
            }
        }
        if list.is_empty() { Ok(()) } else { Err(Diagnostics { list }) }
    }

    fn text_of(&self, file: &str) -> &str {
        let all = std::iter::once(&self.sources.main).chain(self.sources.modules.values());
        all.into_iter().find(|f| f.name == file).map_or("", |f| f.text.as_str())
    }

    fn instance(&self, hook: Hook) -> Result<Box<Instance>, Fault> {
        Instance::new(&self.sources, &self.env).map(Box::new).map_err(|e| from_rhai(hook, &self.sources.main.name, *e))
    }

    fn compile_natively(&self, instance: &Instance) -> (NativeHooks, Vec<(Hook, Interpreted)>) {
        let (mut native, mut interpreted) = ([const { None }; HOOK_COUNT], Vec::new());
        let own = instance.own();
        let whole = self.whole_reason(instance, own.iter().map(|own| own.name.as_str()));
        let script = Script {
            own,
            literals: instance.literals(&self.sources.main.text),
            constants: instance.constants(),
            files: &self.sources.files,
        };
        for row in HOOKS.iter().filter(|row| row.hook != Hook::Init && self.runs.has(row.hook)) {
            let Some(statements) = instance.statements(row.hook) else { continue };
            let result = match &whole {
                Some(reason) => Err(Interpreted { reason: reason.clone(), line: 0, column: 0 }),
                None => Compiler::compile(&self.env, &script, row.hook, statements),
            };
            match result {
                Ok(compiled) => native[row.hook as usize] = Some(Box::new(compiled)),
                Err(why) => interpreted.push((row.hook, why)),
            }
        }
        (native, interpreted)
    }

    /// Why no hook of the policy is compiled, if none is.
    fn whole_reason<'n>(&self, instance: &Instance, mut own: impl Iterator<Item = &'n str>) -> Option<String> {
        if self.env.interpret {
            return Some("the interpreter is asked for".to_owned());
        }
        if self.env.coverage.is_some() {
            // Lines that run are counted by calls between the statements, which only the interpreter makes.
            return Some("the lines that run are counted".to_owned());
        }
        if let Some(name) = own.find(|name| hides(name)) {
            return Some(format!("the script has a function `{name}`, as Rhai has"));
        }
        let alias = instance.imported().find(|alias| hides_module(alias))?;
        Some(format!("the script imports a module as `{alias}`, as Copal has one"))
    }

    /// The hooks that the interpreter runs, and why.
    #[must_use]
    pub fn interpreted(&self) -> &[(Hook, Interpreted)] {
        &self.interpreted
    }

    /// The hooks that run without the interpreter.
    #[must_use]
    pub fn native(&self) -> HookSet {
        let hooks = HOOKS.iter().filter(|h| self.native[h.hook as usize].is_some());
        hooks.fold(HookSet::NONE, |set, h| set.with(h.hook))
    }

    /// How each hook that the policy defines is run, for `check` and `explain`.
    #[must_use]
    pub fn hooks_run(&self) -> Vec<HookRuns> {
        let runs = |row: &HookRow| {
            let why = self.interpreted.iter().find(|(hook, _)| *hook == row.hook).map(|(_, why)| why.clone());
            let how = match (row.hook, &self.native[row.hook as usize], &why) {
                (Hook::Init, ..) => How::AtLoad,
                (_, Some(_), _) => How::Native,
                (_, None, Some(_)) => How::Interpreted,
                (_, None, None) => How::Empty,
            };
            HookRuns { hook: row.name, how, why }
        };
        HOOKS.iter().filter(|row| self.has(row.hook)).map(runs).collect()
    }

    fn keep(self: &Arc<Self>, instance: Box<Instance>) {
        let slot = Slot { version: self.version, alive: Arc::downgrade(self), instance };
        COMPILED.with_borrow_mut(|all| {
            // A thread that only loads policies, as that of the admin API, drops here what nobody can call any more.
            all.retain(|s| s.alive.strong_count() > 0);
            all.insert(0, slot);
        });
    }

    /// Does the policy define that hook? One load and a mask.
    #[inline]
    #[must_use]
    pub fn has(&self, hook: Hook) -> bool {
        self.hooks.has(hook)
    }

    /// Does it call `std::rollback` anywhere? Then it may want the request back as it came.
    #[must_use]
    pub fn rolls_back(&self) -> bool {
        self.rolls_back
    }

    /// Does it name Content-Length anywhere? Then responses have it while a hook looks, as the pipeline keeps it apart.
    #[must_use]
    pub fn reads_lengths(&self) -> bool {
        self.reads_lengths
    }

    /// Does it call `std::cache_req_body` anywhere? Then its `recv` may have to be run twice.
    #[must_use]
    pub fn reads_bodies(&self) -> bool {
        self.reads_bodies
    }

    /// The hooks that it defines.
    #[must_use]
    pub fn hooks(&self) -> HookSet {
        self.hooks
    }

    /// Its name: the path that it was loaded from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A number that no other load has.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The lines that `init` logged.
    #[must_use]
    pub fn init_log(&self) -> &[String] {
        &self.init_log
    }

    /// What `throttle::` has counted, to be handed on to the next policy.
    #[must_use]
    pub fn throttle(&self) -> &Arc<Throttle> {
        &self.env.throttle
    }

    /// The faults since it was loaded, by line.
    #[must_use]
    pub fn faults(&self) -> Vec<FaultCount> {
        self.faults.list()
    }

    /// The names of its files, the policy first: what a watcher watches.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.sources.main).chain(self.sources.modules.values()).map(|f| f.name.as_str())
    }

    /// Runs a hook on the scene, and gives the scene back with what was decided. A hook that is not defined decides
    /// [`Action::Default`]. After a fault the scene is as the hook left it.
    ///
    /// The first call on a thread that needs the interpreter compiles the policy there: 0.3 to 0.6 ms.
    pub fn call(self: &Arc<Self>, hook: Hook, mut scene: Box<Scene>) -> (Box<Scene>, Result<Action, Box<Fault>>) {
        let Some(native) = &self.native[hook as usize] else {
            return if self.runs.has(hook) { self.interpret(hook, scene) } else { (scene, Ok(Action::Default)) };
        };
        let mut result = native.call(&self.sources.main.name, &self.env, &mut scene);
        if let Err(fault) = &mut result {
            self.tell(hook, fault);
        }
        (scene, result)
    }

    /// Apart from the above, which is small.
    #[inline(never)]
    fn interpret(self: &Arc<Self>, hook: Hook, scene: Box<Scene>) -> (Box<Scene>, Result<Action, Box<Fault>>) {
        // Taken out for the call: a panic then costs only this instance.
        let mut slot = match take(self.version) {
            Some(slot) => slot,
            None => match self.instance(hook) {
                Ok(instance) => Slot { version: self.version, alive: Arc::downgrade(self), instance },
                Err(fault) => return (scene, Err(Box::new(fault))),
            },
        };
        let (scene, mut result, usable) = slot.instance.call(hook, scene);
        if usable {
            put_back(slot);
        }
        if let Err(fault) = &mut result {
            self.tell(hook, fault);
        }
        (scene, result.map_err(Box::new))
    }

    /// A fault is counted, and says what it is about in the words of the script.
    #[cold]
    #[inline(never)]
    fn tell(&self, hook: Hook, fault: &mut Fault) {
        self.faults.note(fault);
        if fault.kind == FaultKind::Panic {
            tracing::error!(policy = %self.name, hook = hook.name(), "{}", fault.message);
        }
        let text = self.text_of(&fault.file);
        unfit::explain(fault, text);
    }

    /// The same as [`Policy::call`], slower, and it tells what the hook read and wrote, and where the action was written.
    #[must_use]
    pub fn call_traced(self: &Arc<Self>, hook: Hook, scene: Box<Scene>) -> Traced {
        if !self.runs.has(hook) {
            return Traced { scene, result: Ok(Action::Default), place: None, notes: Vec::new() };
        }
        let instance = Instance::telling(&self.sources, &self.env);
        let mut instance = match instance.map_err(|e| from_rhai(hook, &self.sources.main.name, *e)) {
            Ok(instance) => instance,
            Err(fault) => return Traced { scene, result: Err(Box::new(fault)), place: None, notes: Vec::new() },
        };
        // What the text outside of hooks did when it was compiled is not the hook's.
        let _ = crate::notes::taken(None);
        let (scene, result, _) = instance.call(hook, scene);
        let mut result = result.map_err(Box::new);
        if let Err(fault) = &mut result {
            let text = self.text_of(&fault.file);
            unfit::explain(fault, text);
        }
        let (notes, place) = crate::notes::taken(result.as_ref().ok());
        Traced { scene, result, place, notes }
    }

    /// A line of one of its files, as it was written but for the white space around it.
    #[must_use]
    pub fn line(&self, file: &str, line: usize) -> &str {
        self.text_of(file).lines().nth(line.saturating_sub(1)).map_or("", str::trim)
    }

    /// The names of the defined hooks, for `check` and `explain`.
    #[must_use]
    pub fn defined(&self) -> Vec<&'static str> {
        HOOKS.iter().filter(|h| self.has(h.hook)).map(|h| h.name).collect()
    }
}

fn one(file: &str, message: String) -> Diagnostics {
    Diagnostics { list: vec![Diagnostic::of_file(file, message)] }
}

fn take(version: u64) -> Option<Slot> {
    COMPILED.with_borrow_mut(|all| match all.iter().position(|s| s.version == version) {
        Some(at) => Some(all.swap_remove(at)),
        None => {
            // A version that this thread has not seen: a good time to drop those that are gone.
            all.retain(|s| s.alive.strong_count() > 0);
            None
        }
    })
}

fn put_back(slot: Slot) {
    COMPILED.with_borrow_mut(|all| all.push(slot));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_shared_between_threads() {
        fn shared<T: Send + Sync>() {}
        shared::<Policy>();
    }

    #[test]
    fn a_thread_that_only_loads_keeps_no_policy_that_is_gone() {
        let all = || COMPILED.with_borrow(Vec::len);
        for _ in 0..20 {
            drop(Policy::compile("p", "fn recv(req) { pass() }", Arc::default()).expect("valid"));
        }
        assert!(all() <= 1, "{}", all());
    }

    #[test]
    fn versions_that_are_gone_are_dropped_from_the_thread() {
        let env = || Arc::new(Environment { interpret: true, ..Environment::default() });
        let compile = || Policy::compile("p", "fn recv(req) { pass() }", env()).expect("valid");
        let (a, b) = (compile(), compile());
        assert_ne!(a.version(), b.version());
        drop(a);
        let c = Policy::compile("p", "fn recv(req) { lookup() }", env()).expect("valid");
        COMPILED.with_borrow_mut(|all| all.retain(|s| s.version == b.version()));
        assert_eq!(c.call(Hook::Recv, Box::default()).1, Ok(Action::Lookup));
        assert_eq!(b.call(Hook::Recv, Box::default()).1, Ok(Action::Pass));
        assert_eq!(COMPILED.with_borrow(Vec::len), 2);
        drop(c);
        assert_eq!(compile().call(Hook::Recv, Box::default()).1, Ok(Action::Pass));
    }
}
