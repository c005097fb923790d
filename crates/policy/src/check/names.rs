//! Names that stand alone: variables, and what to say when there is none of that name.

use super::absent;
use super::walk::Walker;
use crate::diagnostic::{did_you_mean, nearest};
use crate::functions::{FUNCTIONS, MODULES, On, find};
use crate::hooks::HOOKS;
use crate::vars::{GLOBALS, Type, param_type};
use rhai::{AST, ASTFlags, Position, Stmt};

impl Walker<'_> {
    /// The type of a variable; a finding when there is none of that name.
    pub(super) fn variable(&mut self, name: &str, at: Position) -> Type {
        if let Some((_, ty, _)) = self.scope.iter().rev().find(|(n, ..)| n == name) {
            return *ty;
        }
        if let Some(hook) = self.hook
            && let Some((_, ty, _)) = GLOBALS.iter().find(|(n, _, hooks)| *n == name && hooks.has(hook))
        {
            return *ty;
        }
        // At the top of the file, constants see those before them.
        if !self.in_function && self.constants().iter().any(|c| c == name) {
            return Type::Any;
        }
        let (message, mut help) = self.unknown_variable(name);
        if self.key.1.starts_with("anon$")
            && param_type(name) == Type::Any
            && !self.constants().iter().any(|c| c == name)
        {
            help = Some("a closure sees nothing but its parameters: write the loop with `for`".to_owned());
        }
        self.report(at, message, self.field_with_a_dash(name, at).or(help));
        Type::Any
    }

    /// `"${req.url}"`: between double quotes nothing is filled in.
    pub(super) fn unfilled(&mut self, text: &str, at: Position) {
        let Some((_, rest)) = text.split_once("${") else { return };
        let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        let after = &rest[name.len()..];
        let global = || self.hook.is_some_and(|h| GLOBALS.iter().any(|g| g.0 == name && g.2.has(h)));
        let known = self.scope.iter().any(|(n, ..)| n == name) || global();
        if !name.is_empty() && known && after.starts_with(['}', '.', '[', '(']) && after.contains('}') {
            let message = format!("`{name}` is not filled in between double quotes");
            self.report(at, message, Some("write the text between backquotes: `` `…` ``".to_owned()));
        }
    }

    /// To Rhai `req.http.X-Name` is a subtraction: what was meant, when it stands there like that.
    fn field_with_a_dash(&self, name: &str, at: Position) -> Option<String> {
        let line = self.parsed.file.text.lines().nth(at.line()?.checked_sub(1)?)?;
        let before: String = line.chars().take(at.position()?.checked_sub(1)?).collect();
        let field = before.strip_suffix('-')?;
        let whole = |c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-'));
        let (object, first) = field.rsplit(whole).next()?.split_once(".http.")?;
        let dashed = format!("{first}-{name}").to_ascii_lowercase();
        let plain = dashed.replace('-', "_");
        Some(format!("a field with a dash is `{object}.http[\"{dashed}\"]` or `{object}.http.{plain}`"))
    }

    /// The constants of the file.
    pub(super) fn constants(&self) -> Vec<String> {
        let statements = self.parsed.ast.as_ref().map_or(&[][..], |a| a.statements());
        let constant = |s: &Stmt| match s {
            Stmt::Var(x, flags, _) if flags.intersects(ASTFlags::CONSTANT) => Some(x.0.as_str().to_owned()),
            _ => None,
        };
        statements.iter().filter_map(constant).collect()
    }

    fn unknown_variable(&self, name: &str) -> (String, Option<String>) {
        let message = format!("there is no variable `{name}` here");
        if self.constants().iter().any(|c| c == name) {
            return (message, Some(format!("a constant of the file is `global::{name}`")));
        }
        if let Some((_, help)) = WORDS.iter().find(|(word, _)| *word == name) {
            return (message, Some((*help).to_owned()));
        }
        if GLOBALS.iter().any(|g| g.0 == name) || param_type(name) != Type::Any {
            return (message, Some(self.not_here(name)));
        }
        if let Some(instead) = absent::object(name) {
            return (message, Some(instead.to_owned()));
        }
        if FUNCTIONS.iter().any(|f| f.on == On::Free && f.name == name) {
            return (message, Some(format!("an action or function is called: `{name}()`")));
        }
        if MODULES.contains(&name) {
            return (message, Some(format!("a module is followed by `::`, as in `{name}::{}`", first_of(name))));
        }
        if self.env.serves(name) {
            let kind = if self.env.directors.iter().any(|d| d == name) { "director" } else { "backend" };
            return (message, Some(format!("a {kind} of the configuration is `{kind}(\"{name}\")`")));
        }
        if super::vmods::is_module(name) {
            let help = "this is a module of VCL: docs/guide/from-vcl.md has each of its functions with what to write";
            return (message, Some(help.to_owned()));
        }
        if let Some(near) = nearest(name, MODULES.iter().copied()) {
            return (message, Some(format!("did you mean `{near}::`?")));
        }
        let globals = GLOBALS.iter().filter(|g| self.hook.is_some_and(|h| g.2.has(h))).map(|g| g.0);
        let all = self.scope.iter().map(|s| s.0.as_str()).chain(globals).chain(["true", "false"]);
        (message, did_you_mean(name, all))
    }

    /// Why a variable that exists cannot be seen here.
    fn not_here(&self, name: &str) -> String {
        let Some(hook) = self.hook else {
            return format!("a script's own functions see what is passed to them: add the parameter `{name}`");
        };
        let hooks: Vec<String> = HOOKS
            .iter()
            .filter(|h| h.params.contains(&name) || GLOBALS.iter().any(|g| g.0 == name && g.2.has(h.hook)))
            .map(|h| format!("`{}`", h.name))
            .collect();
        format!("`{}` does not have it; {} do", hook.name(), hooks.join(", "))
    }

    /// `lib::X` and `global::X`.
    pub(super) fn qualified_variable(&mut self, root: &str, name: &str, at: Position) -> Type {
        if root == "global" {
            let constants = self.constants();
            if !constants.iter().any(|c| c == name) {
                let help = did_you_mean(name, constants.iter().map(String::as_str));
                self.report(at, format!("this file has no constant `{name}`"), help);
            }
        } else if let Some((_, path)) = self.parsed.imports.iter().find(|(alias, _)| alias == root) {
            if let Some(ast) = self.modules.get(path).and_then(|m| m.ast.as_ref()) {
                self.module_constant(root, name, ast, at);
            }
        } else {
            match MODULES.into_iter().find(|module| *module == root) {
                Some(module) if find(On::Module(module), name).is_some() => {
                    self.report(
                        at,
                        format!("`{root}::{name}` is a function"),
                        Some(format!("call it: `{root}::{name}(…)`")),
                    );
                }
                Some(_) | None => self.unknown_module(root, at),
            }
        }
        Type::Any
    }

    /// `lib::X` is there when the module exports it.
    fn module_constant(&mut self, root: &str, name: &str, ast: &AST, at: Position) {
        let (mut all, mut exported) = (Vec::new(), Vec::new());
        for s in ast.statements() {
            match s {
                Stmt::Var(x, flags, _) => {
                    all.push(x.0.as_str());
                    if flags.intersects(ASTFlags::EXPORTED) {
                        exported.push(x.0.as_str());
                    }
                }
                Stmt::Export(x, _) => exported.push(if x.1.as_str().is_empty() { x.0.as_str() } else { x.1.as_str() }),
                _ => {}
            }
        }
        if exported.contains(&name) {
            return;
        }
        let help = match all.contains(&name) {
            true => Some(format!("write `export const {name} = …;` there")),
            false => did_you_mean(name, exported.into_iter().chain(all)),
        };
        self.report(at, format!("the module `{root}` exports no constant `{name}`"), help);
    }

    pub(super) fn unknown_module(&mut self, root: &str, at: Position) {
        let all = self.parsed.imports.iter().map(|(a, _)| a.as_str()).chain(MODULES);
        let help = did_you_mean(root, all).or_else(|| {
            Some(format!("write `import \"{root}\" as {root};` at the top of the file, if it is one of yours"))
        });
        self.report(at, format!("there is no module `{root}`"), help);
    }
}

/// Words of other languages.
const WORDS: [(&str, &str); 9] = [
    ("None", "nothing is `()`"),
    ("undefined", "nothing is `()`"),
    ("NULL", "nothing is `()`"),
    ("nothing", "nothing is `()`"),
    ("True", "write `true`"),
    ("False", "write `false`"),
    ("request", "the request is `req`"),
    ("response", "the response is `resp`, or `beresp` as it comes from the origin"),
    ("self", "a function sees what is passed to it"),
];

fn first_of(module: &str) -> &'static str {
    FUNCTIONS.iter().find(|f| matches!(f.on, On::Module(m) if m == module)).map_or("", |f| f.name)
}
