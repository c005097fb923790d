//! The checks at load: everything that is wrong with a policy, found at once, each with its place and the nearest right
//! name. They walk the syntax tree with the tables of hooks, variables and functions; nothing is run.

mod absent;
mod arguments;
mod calls;
mod chain;
mod conditions;
mod constants;
mod facts;
mod flow;
mod kinds;
mod names;
mod parse;
mod plain;
mod returned;
mod values;
mod vcl;
mod vmods;
mod walk;

use crate::diagnostic::{Diagnostic, Diagnostics, nearest};
use crate::engine::{parser, statements};
use crate::environment::Environment;
use crate::functions::{FUNCTIONS, MODULES, On};
use crate::hooks::{HOOKS, Hook, HookSet};
use crate::sources::{File, Folder, Sources};
use crate::vars::{Type, param_type};
use facts::Facts;
use rhai::{AST, ASTFlags, Engine, Expr, Position, Stmt};
use std::collections::{BTreeMap, BTreeSet};
use walk::Walker;

/// One file, read and parsed.
struct Parsed {
    file: File,
    /// None when it does not parse, which is a finding of its own.
    ast: Option<AST>,
    /// Its imports: alias and path.
    imports: Vec<(String, String)>,
}

impl Parsed {
    fn is_private(&self, name: &str) -> bool {
        self.ast
            .as_ref()
            .is_some_and(|ast| ast.iter_functions().any(|f| f.name == name && f.access == rhai::FnAccess::Private))
    }

    fn function(&self, name: &str) -> Option<usize> {
        self.ast.as_ref()?.iter_functions().find(|f| f.name == name).map(|f| f.params.len())
    }
}

/// Checks a policy and reads its modules: its texts, the hooks that it defines, and those of them that do something.
pub(crate) fn check(
    name: &str,
    text: &str,
    folder: Option<&Folder>,
    env: &Environment,
) -> Result<(Sources, HookSet, HookSet), Diagnostics> {
    let mut check = Check {
        engine: parser(env),
        env,
        folder,
        modules: BTreeMap::new(),
        importing: Vec::new(),
        before: Facts::default(),
        facts: Facts::default(),
        list: Vec::new(),
        patterns: BTreeSet::new(),
        texts: BTreeSet::new(),
        in_constants: Vec::new(),
        files: BTreeMap::new(),
    };
    let main = check.parse(File { name: name.to_owned(), text: text.to_owned() });
    // What a walk finds out about functions makes the next one see more; only the last one reports.
    let parsed = check.list.clone();
    let (mut hooks, mut runs) = (HookSet::NONE, HookSet::NONE);
    for _ in 0..WALKS {
        check.list.clone_from(&parsed);
        check.before = std::mem::take(&mut check.facts);
        (hooks, runs) = check.functions(&main, true);
        let paths: Vec<String> = check.modules.keys().cloned().collect();
        for path in paths {
            if let Some(module) = check.modules.remove(&path) {
                check.functions(&module, false);
                check.modules.insert(path, module);
            }
        }
    }
    let ways = ways(&main, &check.modules, &mut BTreeMap::new());
    if check.list.is_empty() && ways > WAYS_MAX {
        let message = format!("the modules can be reached by more than {WAYS_MAX} ways through `import`");
        let help = "each import of a module takes along all that it imports: import what a file uses, once".to_owned();
        check.list.push(Diagnostic::of_file(name, message).help(Some(help)));
    }
    if check.list.is_empty() {
        let modules = check.modules.into_iter().map(|(path, parsed)| (path, parsed.file)).collect();
        let patterns = check.patterns.into_iter().collect();
        let (texts, in_constants) = (check.texts, check.in_constants);
        let sources = Sources { main: main.file, modules, patterns, texts, in_constants, files: check.files };
        return Ok((sources, hooks, runs));
    }
    // By file, the policy's own first, and by place in it; what concerns all of it comes last.
    check.list.sort_by_key(|d| (d.file != name, d.file.clone(), d.line == 0, d.line, d.column));
    check.list.dedup();
    Err(Diagnostics { list: check.list })
}

/// Names that people know hooks by, from older VCL and other programs.
const OLDER: [(&str, &str); 6] = [
    ("fetch", "backend_response"),
    ("error", "synth"),
    ("request", "recv"),
    ("response", "deliver"),
    ("beresp", "backend_response"),
    ("bereq", "backend_fetch"),
];

/// How often the tree is walked: types pass through that many calls but one.
const WALKS: usize = 4;

/// More ways from the policy to its modules are refused: the interpreter notes the functions of each along each way.
const WAYS_MAX: u64 = 1_000;

/// The ways by which modules are reached from there, the file itself among them.
fn ways(from: &Parsed, all: &BTreeMap<String, Parsed>, known: &mut BTreeMap<String, u64>) -> u64 {
    let mut sum = 1_u64;
    for (_, path) in &from.imports {
        let ways = match (known.get(path), all.get(path)) {
            (Some(known), _) => *known,
            (None, Some(module)) => {
                // Modules that import each other have been refused; this ends all the same.
                known.insert(path.clone(), 1);
                let ways = ways(module, all, known);
                known.insert(path.clone(), ways);
                ways
            }
            (None, None) => 0,
        };
        sum = sum.saturating_add(ways);
    }
    sum
}

struct Check<'a> {
    engine: Engine,
    env: &'a Environment,
    folder: Option<&'a Folder>,
    modules: BTreeMap<String, Parsed>,
    /// The modules that are being read, each imported by the one before.
    importing: Vec<String>,
    /// What the walk before found out, and what this one does.
    before: Facts,
    facts: Facts,
    list: Vec<Diagnostic>,
    patterns: BTreeSet<String>,
    texts: BTreeSet<String>,
    in_constants: Vec<(String, String, Position)>,
    files: BTreeMap<String, String>,
}

impl Check<'_> {
    fn report(&mut self, file: &File, at: Position, message: String, help: Option<String>) {
        self.list.push(finding(file, at, message, help));
    }

    fn parse(&mut self, file: File) -> Parsed {
        let ast = match self.engine.compile(&file.text) {
            Ok(ast) => ast,
            Err(e) => {
                let (message, help) = (parse::message(&e), parse::help(&e, &file.text));
                self.report(&file, e.position(), message, help);
                self.still_vcl(&file);
                return Parsed { file, ast: None, imports: Vec::new() };
            }
        };
        let mut imports = Vec::new();
        for statement in ast.statements() {
            self.top_level(&file, statement, &mut imports);
        }
        Parsed { file, ast: Some(ast), imports }
    }

    /// What is VCL in a text that is no Rhai.
    fn still_vcl(&mut self, file: &File) {
        let (found, places) = vcl::summary(&file.text);
        for one in &found {
            let finding = Diagnostic::at(&file.name, &file.text, one.line, one.column, "this is VCL");
            self.list.push(finding.help(Some(one.told())));
        }
        if places > found.len() {
            let message = format!("{places} places in this text are VCL");
            let help = "docs/guide/from-vcl.md has the tables of the language, the variables and the modules";
            self.list.push(Diagnostic::of_file(&file.name, message).help(Some(help.to_owned())));
        }
    }

    /// Outside of functions there may be imports and constants: anything else would run once per thread, not per request.
    fn top_level(&mut self, file: &File, statement: &Stmt, imports: &mut Vec<(String, String)>) {
        match statement {
            Stmt::Import(x, at) => match &x.0 {
                Expr::StringConstant(path, path_at) => {
                    let alias = x.1.as_str();
                    if alias.is_empty() {
                        let name = path.rsplit('/').next().unwrap_or(path);
                        let message = "nothing of the module can be named without `as`".to_owned();
                        let help = format!("write `import \"{path}\" as {};`", name.replace('-', "_"));
                        self.report(file, *at, message, Some(help));
                    } else if MODULES.contains(&alias) {
                        let message = format!("this import would hide Copal's own module `{alias}`");
                        self.report(file, x.1.pos, message, Some("give it another name".to_owned()));
                    }
                    imports.push((x.1.as_str().to_owned(), path.to_string()));
                    self.import(file, path, *path_at);
                }
                _ => self.report(file, *at, "`import` takes a literal path".to_owned(), None),
            },
            Stmt::Var(_, flags, _) if flags.intersects(ASTFlags::CONSTANT) => {}
            Stmt::Export(..) | Stmt::Noop(_) => {}
            Stmt::Var(_, _, at) => {
                let help = "write `const`, and `global::NAME` where it is used; what a request carries along goes into `req.vars`";
                self.report(
                    file,
                    *at,
                    "a policy has no variables outside of its functions".to_owned(),
                    Some(help.to_owned()),
                );
            }
            other => {
                let help = "statements go into hooks, as in `fn recv(req) { … }`; what is to run once goes into `fn init() { … }`";
                let message = "outside of functions a policy has only `import` and `const`".to_owned();
                self.report(file, other.position(), message, Some(help.to_owned()));
            }
        }
    }

    fn import(&mut self, file: &File, path: &str, at: Position) {
        if let Some(from) = self.importing.iter().position(|p| p == path) {
            let round: Vec<String> = self.importing[from..].iter().map(|p| format!("\"{p}\"")).collect();
            let message = match &round[..] {
                [one] => format!("module {one} imports itself"),
                all => format!("modules import each other in a circle: {}, \"{path}\"", all.join(", ")),
            };
            let help = "put what both need into a module of its own".to_owned();
            return self.report(file, at, message, Some(help));
        }
        if self.modules.contains_key(path) {
            return;
        }
        let most = self.env.limits.modules;
        if self.modules.len() >= most {
            let message = format!("too many modules: the policy imports more than {most}");
            return self.report(file, at, message, Some("`policy.limits.modules` allows more".to_owned()));
        }
        let read = match self.folder {
            Some(folder) => folder.read(path),
            None => Err("a policy that is not in a file has no folder to import from".to_owned()),
        };
        match read {
            Ok(text) => {
                // Under its path first, so that modules that import each other end here.
                self.modules.insert(path.to_owned(), Parsed { file: text.clone(), ast: None, imports: Vec::new() });
                self.importing.push(path.to_owned());
                let parsed = self.parse(text);
                self.importing.pop();
                self.modules.insert(path.to_owned(), parsed);
            }
            Err(reason) => self.report(file, at, format!("cannot import \"{path}\""), Some(reason)),
        }
    }

    fn functions(&mut self, parsed: &Parsed, is_policy: bool) -> (HookSet, HookSet) {
        let Some(ast) = &parsed.ast else { return (HookSet::NONE, HookSet::NONE) };
        let (mut hooks, mut runs) = (HookSet::NONE, HookSet::NONE);
        let mut called = BTreeSet::new();
        let mut own: Vec<(String, Vec<String>)> = ast
            .iter_functions()
            .map(|f| (f.name.to_owned(), f.params.iter().map(|p| (*p).to_owned()).collect()))
            .collect();
        own.sort();
        self.walk(parsed, None, ("", None), ast.statements(), &mut called);
        for (name, params) in &own {
            let body = statements(ast, name, params.len());
            let hook = if is_policy { Hook::by_name(name) } else { None };
            if let Some(hook) = hook {
                let row = hook.row();
                if params.iter().map(String::as_str).ne(row.params.iter().copied()) {
                    let message = format!("the hook `{name}` has other parameters");
                    let help = format!("write `fn {name}({})`", row.params.join(", "));
                    self.report(&parsed.file, place_of(parsed, name, params.len()), message, Some(help));
                    continue;
                }
                if self.env.unavailable.iter().any(|kind| kind.hook() == Some(hook)) {
                    let message = format!("the hook `{name}` is not available in this version");
                    self.report(&parsed.file, place_of(parsed, name, params.len()), message, None);
                }
                hooks = hooks.with(hook);
                if !body.is_empty() {
                    runs = runs.with(hook);
                }
            } else {
                self.hides(parsed, name, params.len());
            }
            self.walk(parsed, hook, (name, Some(params)), &body, &mut called);
        }
        for (name, params) in &own {
            if is_policy && Hook::by_name(name).is_none() && !called.contains(name) {
                self.near_hook(parsed, name, params);
            }
        }
        (hooks, runs)
    }

    /// Walks a function, or, without parameters, the statements outside of functions.
    fn walk(
        &mut self,
        parsed: &Parsed,
        hook: Option<Hook>,
        (name, params): (&str, Option<&[String]>),
        body: &[Stmt],
        called: &mut BTreeSet<String>,
    ) {
        let key = (parsed.file.name.clone(), name.to_owned(), params.map_or(0, <[String]>::len));
        let changing = kinds::changing(parsed, body);
        let passed = |i: usize, p: &str| {
            let ty = self.before.param(&key, i);
            if changing.contains(p) && !walk::is_handle(ty) { Type::Any } else { ty }
        };
        let scope = params
            .unwrap_or_default()
            .iter()
            .enumerate()
            .map(|(i, p)| (p.clone(), if hook.is_some() { param_type(p) } else { passed(i, p) }, hook.is_some()))
            .collect();
        let hooks = match hook {
            Some(hook) => hook.bit(),
            None => self.before.hooks(&key),
        };
        let mut walker = Walker {
            parsed,
            modules: &self.modules,
            env: self.env,
            hook,
            in_function: params.is_some(),
            scope,
            list: &mut self.list,
            patterns: &mut self.patterns,
            texts: &mut self.texts,
            in_constants: &mut self.in_constants,
            folder: self.folder,
            files: &mut self.files,
            called,
            before: &self.before,
            facts: &mut self.facts,
            key,
            hooks,
            valued: false,
            known: BTreeMap::new(),
            wild: kinds::wild(parsed, body),
            changing,
        };
        params.unwrap_or_default().iter().for_each(|p| walker.declare_texts(p, None));
        if params.is_some() && hook.is_none() && !walk::always_gives(body) {
            walker.facts.gave(&walker.key.clone()).add(Type::Unit);
        }
        walker.unread(body);
        walker.block(body, true);
        walker.never_delivers(body);
    }

    /// A function of the script that would be found instead of one of Copal's.
    fn hides(&mut self, parsed: &Parsed, name: &str, params: usize) {
        let hidden = FUNCTIONS
            .iter()
            .find(|f| f.name == name && (f.on == On::Free || (matches!(f.on, On::Type(_)) && f.takes(params))));
        if let Some(f) = hidden {
            let what = if f.on == On::Free { "function" } else { "method" };
            let message = format!("this function would hide Copal's own {what} `{name}`");
            self.report(&parsed.file, place_of(parsed, name, params), message, Some("give it another name".to_owned()));
        }
    }

    /// A function that nothing calls and that is named almost like a hook.
    fn near_hook(&mut self, parsed: &Parsed, name: &str, params: &[String]) {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("vcl_").or_else(|| lower.strip_prefix("on_")).unwrap_or(&lower);
        let hook = HOOKS.iter().find(|h| {
            // With a hook's own parameters a name may be further off: `recieve(req)` is meant for `recv`.
            let same = h.params.iter().eq(params);
            let older = OLDER.iter().any(|(old, new)| *new == h.name && *old == bare);
            h.name == bare
                || (older && (same || name.starts_with("vcl_")))
                || nearest(bare, [h.name]).is_some()
                || (same && strsim::damerau_levenshtein(bare, h.name) <= 3)
        });
        let hidden = FUNCTIONS.iter().any(|f| f.name == name);
        if let Some(hook) = hook.filter(|_| !hidden) {
            let message = format!("`{name}` is not a hook, and nothing calls it");
            let help = Some(format!("did you mean `{}`?", hook.name));
            self.report(&parsed.file, place_of(parsed, name, params.len()), message, help);
        }
    }
}

fn finding(file: &File, at: Position, message: String, help: Option<String>) -> Diagnostic {
    let (line, column) = (at.line().unwrap_or(0), at.position().unwrap_or(0));
    Diagnostic::at(&file.name, &file.text, line, column, message).help(help)
}

/// Where the name of a function stands. Rhai keeps the place of its body, so the name is the last `fn name(` before.
fn place_of(parsed: &Parsed, name: &str, params: usize) -> Position {
    let body = parsed
        .ast
        .as_ref()
        .and_then(|ast| ast.shared_lib().get_script_fn(name, params).map(|f| f.body.start_position()))
        .unwrap_or(Position::NONE);
    let last = body.line().unwrap_or(usize::MAX);
    let mut found = body;
    for (n, line) in parsed.file.text.lines().enumerate().take(last) {
        for (i, _) in line.match_indices(name) {
            let before = line[..i].trim_end();
            let after = line[i + name.len()..].trim_start();
            if before.ends_with("fn") && after.starts_with('(') {
                let column = line[..i].chars().count() + 1;
                found =
                    Position::new(u16::try_from(n + 1).unwrap_or(u16::MAX), u16::try_from(column).unwrap_or(u16::MAX));
            }
        }
    }
    found
}
