//! The interpreter: a policy compiled for one thread, and the call of one hook.
//!
//! Measured to be cheapest (`docs/decisions`, rhai.md §4): the engine, the global state and the caches of function
//! look-ups live as long as the policy; each hook has a scope of constants that is kept; the body of a hook is run as
//! statements, not called as a function. One `Caches` per policy: Rhai finds functions by a hash of their name alone.

use crate::action::{Action, decode, written_list};
use crate::current::Running;
use crate::environment::Environment;
use crate::fault::{Fault, FaultKind, from_rhai};
use crate::hooks::{HOOK_COUNT, HOOKS, Hook};
use crate::host::{Bereq, Beresp, Client, Key, Local, Obj, Param, Remote, Req, Resp, Server, Storage, Top};
use crate::library::patterns::Patterns;
use crate::native::{Literals, Own};
use crate::scene::Scene;
use crate::sources::Sources;
use crate::value::type_name;
use crate::vars::GLOBALS;
use crate::watch::Watch;
use crate::{host, library, tokens};
use copal_semantics::Time;
use rhai::packages::{
    ArithmeticPackage, BasicArrayPackage, BasicFnPackage, BasicIteratorPackage, BasicMapPackage, BasicMathPackage,
    BasicStringPackage, LogicPackage, MoreStringPackage, Package,
};
use rhai::{
    AST, ASTNode, Caches, Dynamic, Engine, EvalAltResult, GlobalRuntimeState, Module, ModuleResolver,
    OptimizationLevel, Position, Scope, Stmt, def_package,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

def_package! {
    /// What of Rhai's library policies get: one merged module, and not `LanguageCorePackage`, which has `sleep`.
    PolicyPackage(module): ArithmeticPackage, LogicPackage, BasicStringPackage, MoreStringPackage, BasicIteratorPackage,
        BasicArrayPackage, BasicMapPackage, BasicMathPackage, BasicFnPackage
    {
        let _ = module;
    }
}

/// An engine that only reads scripts, for checks: nothing is folded away, so that everything is seen.
pub(crate) fn parser(env: &Environment) -> Engine {
    let mut e = Engine::new_raw();
    configure(&mut e, env);
    e.set_optimization_level(OptimizationLevel::None);
    e
}

fn configure(e: &mut Engine, env: &Environment) {
    let l = &env.limits;
    tokens::register(e);
    e.disable_symbol("eval");
    e.set_fail_on_invalid_map_property(true);
    e.set_max_operations(l.operations).set_max_call_levels(l.call_depth).set_max_variables(l.variables);
    e.set_max_functions(l.functions).set_max_modules(l.modules).set_max_string_size(l.string_bytes);
    e.set_max_array_size(l.array).set_max_map_size(l.map);
    e.set_max_expr_depths(l.expression_depth, l.expression_depth);
}

fn constants(global: &GlobalRuntimeState) -> BTreeMap<String, Dynamic> {
    let Some(all) = &global.constants else { return BTreeMap::new() };
    all.borrow().iter().map(|(name, value)| (name.to_string(), value.clone())).collect()
}

/// The texts among the constants, those in lists included.
fn texts_of(global: &GlobalRuntimeState) -> Vec<String> {
    let text = |value: &Dynamic| value.as_immutable_string_ref().ok().map(|text| text.to_string());
    let texts = |value: &Dynamic| match value.as_array_ref() {
        Ok(list) => list.iter().filter_map(text).collect(),
        Err(_) => Vec::from_iter(text(value)),
    };
    constants(global).values().flat_map(texts).collect()
}

/// Gives scripts the modules of a policy, from memory: nothing is read from disk once it is loaded.
struct FromSources {
    sources: Arc<Sources>,
    /// Those that have been evaluated: several may import one.
    known: RefCell<BTreeMap<String, Rc<Module>>>,
}

impl ModuleResolver for FromSources {
    fn resolve(
        &self,
        engine: &Engine,
        _source: Option<&str>,
        path: &str,
        at: Position,
    ) -> Result<Rc<Module>, Box<EvalAltResult>> {
        if let Some(known) = self.known.borrow().get(path) {
            return Ok(Rc::clone(known));
        }
        let file = self.sources.modules.get(path).ok_or_else(|| EvalAltResult::ErrorModuleNotFound(path.into(), at))?;
        let mut ast =
            engine.compile(&file.text).map_err(|e| EvalAltResult::ErrorInModule(path.into(), e.into(), at))?;
        ast.set_source(file.name.as_str());
        let module: Rc<Module> = Module::eval_ast_as_new(Scope::new(), &ast, engine)?.into();
        self.known.borrow_mut().insert(path.to_owned(), Rc::clone(&module));
        Ok(module)
    }
}

/// One hook, ready to run.
struct Body {
    statements: Vec<Stmt>,
    /// Globals, then the parameters: the parser counted those from the end.
    scope: Scope<'static>,
    base: usize,
    /// Does it name `now`?
    tells_time: bool,
}

/// A policy compiled for one thread.
pub(crate) struct Instance {
    engine: Engine,
    global: GlobalRuntimeState,
    caches: Caches,
    hooks: [Option<Box<Body>>; HOOK_COUNT],
    imports: usize,
    file: String,
    /// The script's own functions, as they were parsed.
    ast: AST,
    /// Memory for actions with data.
    actions: Vec<Action>,
    writable: usize,
    patterns: u32,
    watch: Rc<Watch>,
}

impl Instance {
    /// Compiles the sources, which have been checked.
    pub(crate) fn new(sources: &Arc<Sources>, env: &Arc<Environment>) -> Result<Instance, Box<EvalAltResult>> {
        Self::in_engine(Engine::new_raw(), sources, env)
    }

    /// The same, with functions that note what they read and write ([`crate::notes`]).
    pub(crate) fn telling(sources: &Arc<Sources>, env: &Arc<Environment>) -> Result<Instance, Box<EvalAltResult>> {
        let mut e = Engine::new_raw();
        crate::notes::want(&mut e);
        Self::in_engine(e, sources, env)
    }

    fn in_engine(
        mut e: Engine,
        sources: &Arc<Sources>,
        env: &Arc<Environment>,
    ) -> Result<Instance, Box<EvalAltResult>> {
        PolicyPackage::new().register_into_engine(&mut e);
        configure(&mut e, env);
        let patterns = Rc::new(Patterns::new(&sources.patterns));
        patterns.owns(sources.texts.iter().cloned());
        library::time::register(&mut e);
        library::strings::register(&mut e, &patterns, env.limits.string_bytes);
        library::url::register(&mut e);
        library::query::register(&mut e);
        library::register(&mut e, env, sources);
        library::invalidation::register(&mut e, env);
        host::register(&mut e, env, &patterns);
        crate::coverage::register(&mut e, env, sources);
        let known = RefCell::default();
        e.set_module_resolver(FromSources { sources: Arc::clone(sources), known });
        let watch = Watch::start(&mut e, env);

        let mut ast = e.compile(&sources.main.text)?;
        ast.set_source(sources.main.name.as_str());
        watch.variables(&mut e, &ast, !sources.modules.is_empty());
        let mut hooks = [const { None }; HOOK_COUNT];
        for h in &HOOKS {
            hooks[h.hook as usize] = body(&ast, h.hook).map(Box::new);
        }
        let mut global = e.new_global_runtime_state();
        global.source = Some(sources.main.name.as_str().into());
        // Rhai keeps constants for `global::X` only when there are functions, so those of the hooks are there for this.
        global.lib.push(ast.shared_lib().clone());
        #[expect(deprecated, reason = "Rhai marks what may change so; the version is pinned")]
        let _unit = e.eval_statements_raw(&mut global, &mut Caches::new(), &mut Scope::new(), ast.statements())?;
        patterns.owns(texts_of(&global));
        // `pass(duration)` is to mean the action in a script that defines the hook `pass`, too.
        ast.retain_functions(|_, _, name, _| Hook::by_name(name).is_none());
        global.lib.clear();
        global.lib.push(ast.shared_lib().clone());
        // Inside of a block: a `const` in a hook must not become `global::X` for the next request.
        global.scope_level = 1;
        let imports = global.num_imports();
        Ok(Instance {
            engine: e,
            global,
            caches: Caches::new(),
            hooks,
            imports,
            ast: ast.clone_functions_only(),
            file: sources.main.name.clone(),
            actions: Vec::new(),
            writable: env.limits.written_bytes,
            patterns: env.limits.patterns,
            watch,
        })
    }

    /// The statements of a hook, as the optimiser has left them.
    pub(crate) fn statements(&self, hook: Hook) -> Option<&[Stmt]> {
        self.hooks[hook as usize].as_ref().map(|body| body.statements.as_slice())
    }

    /// The policy's own functions that are no hooks.
    pub(crate) fn own(&self) -> Vec<Own> {
        let functions = self.ast.iter_functions();
        let own = |name: &str, params: &[&str]| Own {
            name: name.to_owned(),
            params: params.iter().map(|p| (*p).to_owned()).collect(),
            statements: statements(&self.ast, name, params.len()),
        };
        functions.map(|f| own(f.name, &f.params)).collect()
    }

    /// The constants of the file, which its functions know as `global::NAME`.
    pub(crate) fn constants(&self) -> BTreeMap<String, Dynamic> {
        constants(&self.global)
    }

    /// What is written in the source, for arms of `switch`.
    pub(crate) fn literals(&self, source: &str) -> Literals {
        Literals::of(&self.engine, source)
    }

    /// The names under which modules are imported.
    pub(crate) fn imported(&self) -> impl Iterator<Item = &str> {
        self.global.iter_imports().map(|(name, _)| name)
    }

    /// Runs a hook. The second result is whether this instance can be used again.
    pub(crate) fn call(&mut self, hook: Hook, scene: Box<Scene>) -> (Box<Scene>, Result<Action, Fault>, bool) {
        let Some(body) = self.hooks[hook as usize].as_deref_mut() else { return (scene, Ok(Action::Default), true) };
        if body.statements.is_empty() {
            return (scene, Ok(Action::Default), true);
        }
        if body.tells_time {
            body.scope.set_value("now", scene.now);
        }
        if hook == Hook::Purge {
            body.scope.set_value("count", i64::try_from(scene.purge_count).unwrap_or(i64::MAX));
        }
        let actions = std::mem::take(&mut self.actions);
        let running = Running::start(scene, hook, actions, self.writable, self.patterns);
        self.global.num_operations = Default::default();
        self.watch.begin();
        let (engine, global, caches) = (&self.engine, &mut self.global, &mut self.caches);
        #[expect(deprecated, reason = "Rhai marks what may change so; the version is pinned")]
        let result = catch_unwind(AssertUnwindSafe(|| {
            engine.eval_statements_raw(global, caches, &mut body.scope, &body.statements)
        }));
        let (scene, actions) = running.finish();
        let Ok(result) = result else {
            return (scene, Err(self.fault(hook, FaultKind::Panic, "Copal panicked; this is a bug".into())), false);
        };
        // Variables and imports of the body stay behind, after an error too.
        body.scope.rewind(body.base);
        self.global.truncate_imports(self.imports);
        let action = match result {
            Ok(value) => self.action(hook, &value, &actions),
            Err(error) => match *error {
                EvalAltResult::Return(value, _) => self.action(hook, &value, &actions),
                other => Err(from_rhai(hook, &self.file, other)),
            },
        };
        // A script that caught the error of a limit is at its end all the same.
        let action = match self.watch.ended() {
            Some(error) if action.is_ok() => Err(self.fault(hook, error.kind, error.message)),
            _ => action,
        };
        self.actions = actions;
        (scene, action, true)
    }

    fn action(&self, hook: Hook, value: &Dynamic, data: &[Action]) -> Result<Action, Fault> {
        if value.is_unit() {
            return Ok(Action::Default);
        }
        let Some(action) = value.as_int().ok().and_then(|n| decode(n, data)) else {
            let message = format!("it returned {}, which is neither an action nor nothing", type_name(value));
            return Err(self.fault(hook, FaultKind::NotAnAction, message));
        };
        let legal = hook.row().actions;
        match action.kind() {
            Some(kind) if !legal.contains(&kind) => {
                let message = format!("it cannot return `{}`, only {}", kind.written(), written_list(legal));
                Err(self.fault(hook, FaultKind::IllegalAction, message))
            }
            _ => Ok(action),
        }
    }

    fn fault(&self, hook: Hook, kind: FaultKind, message: String) -> Fault {
        let at =
            self.hooks[hook as usize].as_ref().and_then(|b| b.statements.last()).map_or(Position::NONE, Stmt::position);
        let (line, column) = (at.line().unwrap_or(0), at.position().unwrap_or(0));
        Fault { kind, message, file: self.file.clone(), line, column, hook, trace: Vec::new() }
    }
}

/// The statements of the function of that name, or none when there is no such function. (The type of a function's body
/// cannot be named in this version of Rhai; walking the syntax tree is the way to it.)
pub(crate) fn statements(ast: &AST, name: &str, params: usize) -> Vec<Stmt> {
    let mut one = ast.clone_functions_only();
    one.retain_functions(|_, _, f, n| f == name && n == params);
    let mut list = Vec::new();
    one.walk(&mut |path| {
        if let [ASTNode::Stmt(s)] = path {
            list.push((*s).clone());
        }
        true
    });
    list
}

fn body(ast: &AST, hook: Hook) -> Option<Body> {
    let row = hook.row();
    ast.shared_lib().get_script_fn(row.name, row.params.len())?;
    let statements = statements(ast, row.name, row.params.len());
    let mut scope = Scope::new();
    for (name, _, hooks) in GLOBALS {
        if hooks.has(hook) && mentions(&statements, name) {
            push(&mut scope, name);
        }
    }
    for name in row.params {
        push(&mut scope, name);
    }
    let base = scope.len();
    let tells_time = mentions(&statements, "now");
    Some(Body { statements, scope, base, tells_time })
}

/// Does the hook name that variable? What it does not name need not be in its scope.
fn mentions(statements: &[Stmt], name: &str) -> bool {
    let mut found = false;
    for s in statements {
        s.walk(&mut Vec::new(), &mut |path| {
            if let Some(ASTNode::Expr(rhai::Expr::Variable(v, ..))) = path.last() {
                found |= v.1 == name;
            }
            !found
        });
    }
    found
}

fn push(scope: &mut Scope<'static>, name: &'static str) {
    let handle = match name {
        "req" => Dynamic::from(Req),
        "bereq" => Dynamic::from(Bereq),
        "resp" => Dynamic::from(Resp),
        "beresp" => Dynamic::from(Beresp),
        "obj" | "stale" => Dynamic::from(Obj),
        "key" => Dynamic::from(Key),
        "client" => Dynamic::from(Client),
        "server" => Dynamic::from(Server),
        "local" => Dynamic::from(Local),
        "remote" => Dynamic::from(Remote),
        "req_top" => Dynamic::from(Top),
        "param" => Dynamic::from(Param),
        "storage" => Dynamic::from(Storage),
        // These change from call to call, so they cannot be constants; the checks see to it that none writes them.
        "now" | "count" => {
            let start = if name == "now" { Dynamic::from(Time::EPOCH) } else { Dynamic::from(0_i64) };
            scope.push_dynamic(name, start);
            return;
        }
        _ => Dynamic::UNIT,
    };
    scope.push_constant_dynamic(name, handle);
}
