//! What becomes of values: actions that come through functions and variables, values that nothing takes, arms of `switch`
//! that never hold.

use super::facts::{Gives, Key};
use super::walk::Walker;
use crate::action::{ActionKind, written_list};
use crate::functions::{FUNCTIONS, On};
use crate::vars::Type;
use rhai::{ASTNode, Expr, FnCallExpr, OptimizationLevel, Position, Stmt, SwitchCasesCollection};

/// Functions that do something beside giving a value: of module, and name.
const DOING: [(&str, &[&str]); 5] = [
    ("", &["ban"]),
    ("tags", &["purge", "soft_purge"]),
    ("purge", &["hard", "soft"]),
    ("std", &["log", "cache_req_body", "rollback", "denylist"]),
    ("throttle", &["allowed", "give_back", "forget"]),
];

impl Walker<'_> {
    /// A variable is set: its type, and the actions that it may hold.
    pub(super) fn set_to(&mut self, name: &str, value: &Expr, ty: Type) {
        let gives = self.actions_of(value);
        let known = &mut self.facts.set(&self.key, name).plain;
        known.all_of(&gives);
        known.add(ty);
    }

    /// `x += …`: what it is then, if before it was what it is set to otherwise.
    pub(super) fn grown(&mut self, name: &str, ty: Type) {
        self.facts.set(&self.key, name).grown.add(ty);
    }

    /// The type of everything that a variable is set to.
    pub(super) fn type_of_all(&self, name: &str) -> Type {
        if self.wild.contains(name) {
            return Type::Any;
        }
        self.before.local(&self.key, name).map_or(Type::Any, super::facts::Variable::ty)
    }

    /// The actions that an expression may give, and their like that is no action: through calls, variables and choices.
    fn actions_of(&self, e: &Expr) -> Gives {
        let mut gives = Gives::default();
        match e {
            Expr::FnCall(call, _) => {
                if let (false, Some(kind)) = (call.is_qualified(), ActionKind::of_call(&call.name, call.args.len())) {
                    gives.action(kind);
                } else if let Some(known) = self.own_key(call).and_then(|key| self.before.result(&key)) {
                    known.actions.iter().for_each(|kind| gives.action(*kind));
                }
            }
            Expr::Variable(v, ..) if v.2.is_empty() => {
                if let Some(known) = self.before.local(&self.key, &v.1) {
                    known.plain.actions.iter().for_each(|kind| gives.action(*kind));
                }
            }
            Expr::Coalesce(list, _) => list.iter().for_each(|e| gives.all_of(&self.actions_of(e))),
            Expr::Stmt(block) => self.last_actions(block.statements(), &mut gives),
            _ => {}
        }
        gives
    }

    fn last_actions(&self, block: &[Stmt], gives: &mut Gives) {
        match block.iter().rfind(|s| !matches!(s, Stmt::Noop(_))) {
            Some(Stmt::Expr(e)) => gives.all_of(&self.actions_of(e)),
            Some(Stmt::FnCall(call, at)) => {
                let call = Expr::FnCall(call.clone(), *at);
                gives.all_of(&self.actions_of(&call));
            }
            Some(Stmt::If(flow, _)) => {
                self.last_actions(flow.body.statements(), gives);
                self.last_actions(flow.branch.statements(), gives);
            }
            Some(Stmt::Switch(x, _)) => {
                x.1.expressions.iter().for_each(|arm| gives.all_of(&self.actions_of(&arm.rhs)));
            }
            _ => {}
        }
    }

    /// The function of the script that is called, in this file or in a module.
    pub(super) fn own_key(&self, call: &FnCallExpr) -> Option<Key> {
        let file = if call.is_qualified() {
            let root = call.namespace.root();
            let (_, path) = self.parsed.imports.iter().find(|(alias, _)| alias == root)?;
            if call.namespace.path.len() != 1 {
                return None;
            }
            self.modules.get(path)?
        } else {
            self.parsed
        };
        let known =
            file.ast.as_ref()?.iter_functions().any(|f| f.name == call.name && f.params.len() == call.args.len());
        known.then(|| (file.file.name.clone(), call.name.to_string(), call.args.len()))
    }

    /// A variable, or a choice, is what the function gives: are its actions allowed here?
    pub(super) fn held_actions(&mut self, e: &Expr) {
        let gives = self.actions_of(e);
        let Some(hook) = self.hook else {
            if self.in_function {
                self.facts.gave(&self.key).all_of(&gives);
            }
            return;
        };
        let legal = hook.row().actions;
        for kind in gives.actions.iter().filter(|kind| !legal.contains(kind)) {
            let message = format!("this may be `{}`, which `{}` cannot return", kind.written(), hook.name());
            self.report(e.start_position(), message, Some(format!("it may return {}", written_list(legal))));
        }
    }

    /// What a function of the script gives is what this one gives.
    pub(super) fn passed_on(&mut self, call: &FnCallExpr, at: Position) {
        let Some(gives) = self.own_key(call).and_then(|key| self.before.result(&key)).cloned() else { return };
        let Some(hook) = self.hook else {
            if self.in_function {
                let types = gives.types.iter().copied().filter(|ty| *ty != Type::Unit).collect();
                self.facts.gave(&self.key).all_of(&Gives { types, actions: gives.actions });
            }
            return;
        };
        let legal = hook.row().actions;
        let name = &call.name;
        if let Some(kind) = gives.actions.iter().find(|kind| !legal.contains(kind)) {
            let message = format!("`{name}` may return `{}`, which `{}` cannot return", kind.written(), hook.name());
            return self.report(at, message, Some(format!("it may return {}", written_list(legal))));
        }
        let value = |ty: &&Type| !matches!(ty, Type::Any | Type::Unit | Type::Action);
        // With one type alone, `result` says it.
        if let Some(ty) = gives.types.iter().find(value).filter(|_| gives.ty() == Type::Any) {
            let message =
                format!("`{name}` may return a value of type {}, which is neither an action nor nothing", ty.name());
            let help = format!("`{}` may return {}", hook.name(), written_list(legal));
            self.report(at, message, Some(help));
        }
    }

    /// Reports a value that stands there and that nothing takes.
    pub(super) fn idle(&mut self, e: &Expr) {
        let what = match e {
            Expr::Variable(..) | Expr::StringConstant(..) | Expr::IntegerConstant(..) | Expr::BoolConstant(..) => {
                "value"
            }
            Expr::And(..) | Expr::Or(..) => "comparison",
            Expr::Dot(..) => match last_call(e) {
                Some(name) if pure_method(name) && self.parsed.function(name).is_none() => "value",
                _ => return,
            },
            _ => return,
        };
        self.nothing_takes(what, e.start_position());
    }

    /// The same of a call.
    pub(super) fn idle_call(&mut self, call: &FnCallExpr, at: Position) {
        let on = match (call.is_qualified(), call.namespace.path.len()) {
            (true, 1) => call.namespace.root(),
            (true, _) => return,
            (false, _) => "",
        };
        let what = match call.name.as_str() {
            "==" | "!=" | "<" | "<=" | ">" | ">=" | "!" if on.is_empty() => "comparison",
            name => {
                let ours = |f: &&crate::functions::Function| match f.on {
                    On::Module(m) => m == on,
                    On::Free => on.is_empty(),
                    On::Type(_) => false,
                };
                let found = FUNCTIONS.iter().filter(|f| f.name == name).find(ours);
                let doing = DOING.iter().any(|(module, names)| *module == on && names.contains(&name));
                let own = self.parsed.imports.iter().any(|(alias, _)| alias == on);
                match found {
                    Some(f) if !doing && !own && !matches!(f.returns, Type::Unit | Type::Action) => "value",
                    _ => return,
                }
            }
        };
        self.nothing_takes(what, at);
    }

    fn nothing_takes(&mut self, what: &str, at: Position) {
        if self.list.last().is_some_and(|d| Some(d.line) == at.line()) {
            // The line is wrong in another way.
            return;
        }
        let help = "use it in a condition, or assign it: `req.url = …`";
        self.report(at, format!("nothing takes this {what}"), Some(help.to_owned()));
    }

    /// Reports actions that are kept in a variable which nothing reads.
    pub(super) fn unread(&mut self, body: &[Stmt]) {
        let (mut held, mut read) = (Vec::new(), Vec::new());
        for s in body {
            s.walk(&mut Vec::new(), &mut |path| {
                match path.last() {
                    Some(ASTNode::Stmt(Stmt::Var(x, ..))) => {
                        if let Some(kind) = self.actions_of(&x.1).actions.first() {
                            held.push((x.0.as_str().to_owned(), kind.written(), x.1.start_position()));
                        }
                    }
                    Some(ASTNode::Expr(Expr::Variable(v, ..))) => read.push(v.1.to_string()),
                    _ => {}
                }
                true
            });
        }
        for (name, action, at) in held.into_iter().filter(|(name, ..)| !read.contains(name)) {
            let message = format!("this may be `{action}`, which has no effect here: nothing reads `{name}`");
            self.report(at, message, Some("an action counts only when it is returned".to_owned()));
        }
    }

    /// Reports arms of a `switch` whose texts or numbers the value never is.
    pub(super) fn switched(&mut self, value: &Expr, ty: Type, cases: &SwitchCasesCollection) {
        let wrong = |literal: &str| match ty {
            Type::Text => matches!(literal, "an int").then_some("a text"),
            Type::Int => matches!(literal, "a text").then_some("an int"),
            _ => None,
        };
        if !matches!(ty, Type::Text | Type::Int) || cases.cases.is_empty() {
            return;
        }
        let mut engine = rhai::Engine::new_raw();
        engine.set_optimization_level(OptimizationLevel::None);
        let literals = crate::native::Literals::of(&engine, &self.parsed.file.text);
        let kinds: Vec<Option<&str>> = cases.cases.keys().map(|hash| literals.kind(*hash)).collect();
        // One that fits is enough to see that the author knows the type.
        if let Some(is) = kinds.iter().all(|k| k.is_some_and(|k| wrong(k).is_some())).then(|| kinds[0]).flatten() {
            let is_text = is == "a text";
            let message = format!("no arm of this `switch` ever holds: the value is {}", wrong(is).unwrap_or(""));
            let help = if is_text {
                "write the numbers without quotes: `404 => …`"
            } else {
                "write the texts in quotes: `\"a\" => …`"
            };
            self.report(value.start_position(), message, Some(help.to_owned()));
        }
    }
}

/// The name of the method at the end of a chain.
fn last_call(e: &Expr) -> Option<&str> {
    match e {
        Expr::Dot(x, ..) | Expr::Index(x, ..) => last_call(&x.rhs),
        Expr::MethodCall(call, _) => Some(&call.name),
        _ => None,
    }
}

/// Methods that give a value and do nothing else.
fn pure_method(name: &str) -> bool {
    let ours = FUNCTIONS.iter().any(|f| f.name == name && f.on == On::Type(Type::Text) && f.returns != Type::Unit);
    ours || matches!(
        name,
        "to_lower" | "to_upper" | "sub_string" | "starts_with" | "ends_with" | "is_get_or_head" | "within"
    )
}
