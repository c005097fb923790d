//! Calls: is there such a function, does it take these arguments, do its literals name something that exists?

use super::arguments::shown;
use super::walk::Walker;
use super::{kinds, vmods};
use crate::diagnostic::did_you_mean;
use crate::functions::{FUNCTIONS, Function, Literal, MODULES, On, RHAI, find};
use crate::hooks::{Hook, HookSet};
use crate::library::{digest, geo, jwt, patterns, system, throttle, time};
use crate::vars::Type;
use rhai::{Expr, FnCallExpr, ImmutableString, Position};

impl Walker<'_> {
    /// A call that is not a method; its type.
    pub(super) fn call(&mut self, call: &FnCallExpr, at: Position) -> Type {
        let args: Vec<Type> = call.args.iter().map(|a| self.expr(a, false)).collect();
        call.args.iter().for_each(|a| self.used(a));
        if call.is_qualified() {
            return self.module_call(call, &args, at);
        }
        let name = call.name.as_str();
        self.compared(name, &call.args, &args);
        if let ("!", [negated], [ty]) = (name, &*call.args, &*args) {
            self.boolean(negated, *ty);
        }
        if call.is_operator_call() || !name.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            return self.operator(name, &args, at);
        }
        if let Some(f) = find(On::Free, name) {
            return self.known(f, &call.args, &args, at);
        }
        let own = self.own_functions();
        if let Some((_, params)) = own.iter().find(|(n, _)| n == name) {
            self.called.insert(name.to_owned());
            if !own.iter().any(|(n, p)| n == name && *p == call.args.len()) {
                self.report(at, format!("`{name}` takes {}, not {}", arguments(*params), call.args.len()), None);
                return Type::Any;
            }
            return self.own_call(call, &args);
        }
        if name == "Fn" {
            let file = self.parsed.file.name.clone();
            match call.args.first() {
                Some(Expr::StringConstant(s, _)) => {
                    self.called.insert(s.to_string());
                    self.facts.opened(&file, s);
                }
                _ => own.iter().for_each(|(name, _)| self.facts.opened(&file, name)),
            }
        }
        if !RHAI.contains(&name) && !name.starts_with("anon$") {
            self.unknown_function(name, at, &own);
        }
        Type::Any
    }

    /// A call of one of the script's own functions: what it is called with, and what it gives.
    fn own_call(&mut self, call: &FnCallExpr, types: &[Type]) -> Type {
        let Some(key) = self.own_key(call) else { return Type::Any };
        let gives = self.before.result(&key).map_or(Type::Any, super::facts::Gives::ty);
        self.facts.called(key, types, self.hooks);
        gives
    }

    fn own_functions(&self) -> Vec<(String, usize)> {
        let ast = self.parsed.ast.as_ref();
        ast.map_or(Vec::new(), |a| a.iter_functions().map(|f| (f.name.to_owned(), f.params.len())).collect())
    }

    fn unknown_function(&mut self, name: &str, at: Position, own: &[(String, usize)]) {
        let message = format!("there is no function `{name}`");
        if let Some(help) = super::vcl::function(name) {
            self.report(at, message, Some(help.to_owned()));
            return;
        }
        if let Some(f) = FUNCTIONS.iter().find(|f| f.name == name) {
            let help = match f.on {
                On::Module(m) => format!("it is in a module: `{m}::{name}`"),
                On::Type(t) => format!("it is a method of {}: `x.{name}(…)`", t.name()),
                On::Free => return,
            };
            return self.report(at, message, Some(help));
        }
        let free = FUNCTIONS.iter().filter(|f| f.on == On::Free).map(|f| f.name);
        let help = did_you_mean(name, free.chain(own.iter().map(|o| o.0.as_str())).chain(RHAI.iter().copied()));
        self.report(at, message, help);
    }

    fn module_call(&mut self, call: &FnCallExpr, types: &[Type], at: Position) -> Type {
        let (root, name) = (call.namespace.root(), call.name.as_str());
        let root_at = call.namespace.position();
        if let Some(path) = self.parsed.imports.iter().find(|(alias, _)| alias == root).map(|(_, path)| path) {
            if call.namespace.path.len() == 1
                && let Some(module) = self.modules.get(path).filter(|m| m.ast.is_some())
            {
                match module.function(name) {
                    None => {
                        let names: Vec<&str> =
                            module.ast.iter().flat_map(|a| a.iter_functions()).map(|f| f.name).collect();
                        let help = did_you_mean(name, names.iter().copied());
                        self.report(at, format!("the module `{root}` has no function `{name}`"), help);
                    }
                    Some(params) if params != call.args.len() => {
                        let message = format!("`{root}::{name}` takes {}, not {}", arguments(params), call.args.len());
                        self.report(at, message, None);
                    }
                    Some(_) if module.is_private(name) => {
                        let message = format!("`{name}` is private to the module `{root}`");
                        self.report(at, message, Some("leave out `private` there".to_owned()));
                    }
                    Some(_) => return self.own_call(call, types),
                }
            }
            return Type::Any;
        }
        let Some(module) = MODULES.iter().copied().find(|m| *m == root) else {
            match vmods::instead(root, name) {
                Some(help) => self.report(root_at, format!("there is no module `{root}`"), Some(help)),
                None => self.unknown_module(root, root_at),
            }
            return Type::Any;
        };
        match find(On::Module(module), name) {
            Some(f) => self.known(f, &call.args, types, at),
            None => {
                let names = FUNCTIONS.iter().filter(|f| f.on == On::Module(module)).map(|f| f.name);
                let help = vmods::instead(module, name).or_else(|| did_you_mean(name, names));
                self.report(at, format!("the module `{module}` has no function `{name}`"), help);
                Type::Any
            }
        }
    }

    /// A call of something in the table.
    pub(super) fn known(&mut self, f: &'static Function, args: &[Expr], types: &[Type], at: Position) -> Type {
        if f.takes(args.len()) {
            self.arguments(f, args, types);
        } else {
            let message = format!("`{}` does not take {}", f.name, arguments(args.len()));
            self.report(at, message, Some(format!("write `{}({})`", f.name, f.params.join(", "))));
        }
        let known: Vec<Vec<(ImmutableString, Position)>> = args
            .iter()
            .map(|e| self.texts(e).into_iter().map(|s| (s.into(), super::constants::begins(e))).collect())
            .collect();
        let text = |i: usize| known.get(i).cloned().unwrap_or_default();
        self.action_arguments(f, args, &known);
        self.numbers(f, args, types);
        self.known_texts(f, &known);
        self.works_here(f, at);
        match f.literal {
            Literal::No => {}
            Literal::Regex(i) => {
                self.literal(text(i), Self::pattern);
                if f.name.starts_with("replace") {
                    let patterns: Vec<_> = text(i).into_iter().map(|(s, _)| s).collect();
                    text(i + 1).iter().for_each(|(by, at)| self.groups(&patterns, by, *at));
                }
                if let (true, Some(Expr::Variable(v, _, at))) = (text(i).is_empty(), args.get(i))
                    && !v.2.is_empty()
                    && v.2.root() == "global"
                {
                    self.in_constants.push((self.parsed.file.name.clone(), v.1.to_string(), *at));
                }
            }
            Literal::Acl => self.literal(text(0), |w, s, at| w.acl(s, at)),
            Literal::Backend => self.literal(text(0), |w, s, at| w.backend("backend", s, at)),
            Literal::Director => self.literal(text(0), |w, s, at| w.backend("director", s, at)),
            Literal::Either => self.literal(text(0), |w, s, at| w.backend("backend or director", s, at)),
            Literal::Policy => self.literal(text(0), Self::policy),
            Literal::Duration if args.len() == 1 => self.literal(text(0), |w, s, at| {
                if time::parse_duration(s).is_none() {
                    w.report(at, time::not_a_duration(s), None);
                }
            }),
            Literal::Size if args.len() == 1 => self.literal(text(0), |w, s, at| {
                if time::parse_size(s).is_none() {
                    w.report(at, time::not_a_size(s), None);
                }
            }),
            Literal::Address if args.len() == 1 => self.literal(text(0), |w, s, at| {
                if system::parse_ip(s).is_none() {
                    w.report(at, system::not_an_address(s), None);
                }
            }),
            Literal::Duration | Literal::Size | Literal::Address => {}
            Literal::Digest => self.literal(text(0), |w, s, at| {
                if !digest::DIGESTS.contains(&s) {
                    w.report(at, digest::not_a_digest(s), did_you_mean(s, digest::DIGESTS));
                }
            }),
            Literal::Token => self.literal(text(1), |w, s, at| {
                if jwt::algorithm(s).is_none() {
                    w.report(at, jwt::not_an_algorithm(s), None);
                }
            }),
            Literal::Rate => self.literal(text(1), |w, s, at| {
                if throttle::parse_rate(s).is_none() {
                    w.report(at, throttle::not_a_rate(s), None);
                }
            }),
            Literal::Ban => self.literal(text(0), |w, s, at| {
                if let Err(reason) = (w.env.read_ban)(s) {
                    w.report(at, "this ban expression will always be refused", Some(reason));
                }
            }),
            Literal::File => match args.first() {
                Some(Expr::StringConstant(path, at)) => self.file(path, *at),
                _ => self.report(at, "`std::file` takes a literal path: the file is read at load", None),
            },
            Literal::MayBeFile => match args.first() {
                Some(Expr::StringConstant(path, _)) => self.file_if_there(path),
                _ => self.report(at, "`std::file_exists` takes a literal path: it looks at load", None),
            },
            Literal::Geo => {
                if self.env.geo.is_none() && !self.env.trusts("GeoIP database", "") {
                    let help = "write `geoip = \"FILE.mmdb\"` under `[policy]`";
                    self.report(at, geo::NO_DATABASE, Some(help.to_owned()));
                }
            }
        }
        f.returns
    }

    fn literal(&mut self, found: Vec<(ImmutableString, Position)>, check: impl Fn(&mut Self, &str, Position)) {
        for (text, at) in found {
            check(self, &text, at);
        }
    }

    /// Does the text stand there, so that the line shows it?
    fn is_written(&self, text: &str, at: Position) -> bool {
        let line = at.line().and_then(|n| self.parsed.file.text.lines().nth(n.checked_sub(1)?));
        let first = line.and_then(|l| l.chars().nth(at.position()?.checked_sub(1)?));
        matches!(first, Some('"' | '`' | '#'))
            && line.is_some_and(|l| l.contains(text.split('\\').next().unwrap_or("")))
    }

    /// Numbers that are written there.
    fn numbers(&mut self, f: &Function, args: &[Expr], types: &[Type]) {
        match (f.on, f.name, args) {
            (On::Free, "duration", [number, ..]) if matches!(types.first(), Some(Type::Int | Type::Float)) => {
                let help = "write the unit: `duration(\"60s\")`, or multiply: `duration(\"1s\") * n`".to_owned();
                self.report(number.start_position(), "`duration` takes a text, not a number", Some(help));
            }
            (On::Module("std"), "bucket", [_, Expr::IntegerConstant(n, at)]) if *n < 1 => {
                self.report(*at, "`std::bucket` takes a number of buckets from 1 to 4294967295", None);
            }
            (On::Module("std"), "random", [Expr::IntegerConstant(a, at), Expr::IntegerConstant(b, _)]) if a > b => {
                self.report(*at, "`std::random` takes the smaller number first", None);
            }
            (On::Module("throttle"), _, [_, _, Expr::IntegerConstant(n, at), ..]) if *n < 1 => {
                self.report(*at, "a burst is 1 or more: otherwise nothing is ever allowed", None);
            }
            _ => {}
        }
    }

    /// Texts that these functions refuse, or do not understand.
    fn known_texts(&mut self, f: &Function, known: &[Vec<(ImmutableString, Position)>]) {
        let one = |i: usize| known.get(i).and_then(|texts| texts.first()).cloned();
        match (f.on, f.name) {
            (On::Module("std"), "strftime") => {
                let Some((format, at)) = one(1) else { return };
                let unknown = format.split('%').skip(1).collect::<Vec<_>>();
                let mut rest = unknown.iter();
                while let Some(part) = rest.next() {
                    match part.chars().next() {
                        // Of "%%" the next part stands alone.
                        None => drop(rest.next()),
                        Some(c) if "YmdHMSjaAbBeyFTsZ".contains(c) => {}
                        Some(c) => {
                            let help = "it knows %Y %m %d %H %M %S %j %a %A %b %B %e %y %F %T %s %Z %%".to_owned();
                            self.report(at, format!("`std::strftime` does not know `%{c}`"), Some(help));
                        }
                    }
                }
            }
            (On::Module("json"), "get") => {
                let Some((pointer, at)) = one(1) else { return };
                if !pointer.is_empty() && !pointer.starts_with('/') {
                    let help = format!("write `\"/{}\"`", pointer.replace('.', "/"));
                    self.report(at, format!("\"{pointer}\" is not a JSON pointer"), Some(help));
                }
            }
            (On::Type(Type::Cookies), "set") => {
                let (Some((name, at)), value) = (one(0), one(1)) else { return };
                let value = value.map_or(String::new(), |v| v.0.to_string());
                if let Err(e) = crate::host::cookies::checked(&name, &value) {
                    self.report(at, e.message, None);
                }
            }
            _ => {}
        }
    }

    /// Functions that work in some hooks only.
    fn works_here(&mut self, f: &Function, at: Position) {
        let hooks = match (f.on, f.name) {
            (On::Module("std"), "rollback") => HookSet::CLIENT,
            (On::Module("std"), "cache_req_body") => HookSet::of(&[Hook::Recv]),
            (On::Module("purge"), _) => HookSet::of(&[Hook::Hit, Hook::Miss]),
            _ => return,
        };
        if !self.hooks.is_empty() && !self.hooks.any_of(hooks) {
            let message = format!("`{}` does not work in {}", shown(f), self.hooks.names());
            self.report(at, message, Some(format!("it works in {}", hooks.names())));
        }
    }

    /// What `synth`, `error` and `redirect` are given.
    fn action_arguments(&mut self, f: &Function, args: &[Expr], known: &[Vec<(ImmutableString, Position)>]) {
        if f.on != On::Free || !matches!(f.name, "synth" | "error" | "redirect") {
            return;
        }
        if let Some(Expr::IntegerConstant(status, at)) = args.first() {
            if f.name != "redirect" {
                self.status(*status, *at);
            } else if ![301, 302, 303, 307, 308].contains(status) {
                self.report(*at, "`redirect` takes the status 301, 302, 303, 307 or 308", None);
            }
        }
        for (text, at) in known.get(1).into_iter().flatten() {
            if !copal_semantics::headers::is_field_value(text.as_bytes()) {
                let message = format!("`{}` cannot hold control characters", f.name);
                self.report(*at, message, Some("it is one line: leave out `\\r` and `\\n`".to_owned()));
            }
        }
    }

    /// The groups that a substitution names are those of the expression.
    fn groups(&mut self, patterns: &[ImmutableString], by: &str, at: Position) {
        let [pattern] = patterns else { return };
        let Ok(pattern) = patterns::compile(pattern) else { return };
        let groups = pattern.groups() - 1;
        for group in patterns::named_groups(by) {
            let known = match group.parse::<usize>() {
                Ok(n) => n <= groups,
                Err(_) => pattern.names().any(|name| name == group),
            };
            if !known {
                let has = if groups == 1 { "one group".to_owned() } else { format!("{groups} groups") };
                let help = "a group stands in parentheses, and `$$` for a \"$\"".replace('\\', "");
                self.report(at, format!("the expression has {has}, and none is `{group}`"), Some(help));
            }
        }
    }

    fn pattern(&mut self, text: &str, at: Position) {
        match patterns::compile(text) {
            Ok(_) => drop(self.patterns.insert(text.to_owned())),
            Err(reason) => {
                let help = (reason.contains("look-around") || reason.contains("backreference")).then_some(DIALECT);
                let shown = if self.is_written(text, at) { String::new() } else { format!(" in \"{text}\"") };
                self.report(at, format!("not a valid regular expression: {reason}{shown}"), help.map(str::to_owned));
            }
        }
    }

    fn file_if_there(&mut self, path: &str) {
        if !self.files.contains_key(path)
            && let Some(Ok(text)) = self.folder.map(|folder| folder.text(path, self.env.limits.string_bytes))
        {
            self.files.insert(path.to_owned(), text);
        }
    }

    fn file(&mut self, path: &str, at: Position) {
        if self.files.contains_key(path) {
            return;
        }
        let read = match self.folder {
            Some(folder) => folder.text(path, self.env.limits.string_bytes),
            None => Err("a policy that is not in a file has no folder to read from".to_owned()),
        };
        match read {
            Ok(text) => drop(self.files.insert(path.to_owned(), text)),
            Err(reason) => self.report(at, format!("cannot read \"{path}\""), Some(reason)),
        }
    }

    fn acl(&mut self, name: &str, at: Position) {
        if !self.env.acls.contains_key(name) && !self.env.trusts("ACL", name) {
            let help = did_you_mean(name, self.env.acls.keys().map(String::as_str));
            self.report(at, format!("the configuration has no ACL \"{name}\""), help);
        }
    }

    fn policy(&mut self, name: &str, at: Position) {
        if !self.env.policies.iter().any(|known| known == name) && !self.env.trusts("policy", name) {
            let help = did_you_mean(name, self.env.policies.iter().map(String::as_str));
            let help = help.or_else(|| Some(format!("write `{name} = \"FILE.rhai\"` under `[policy.named]`")));
            self.report(at, format!("the configuration has no policy \"{name}\""), help);
        }
    }

    pub(super) fn storage(&mut self, name: &str, at: Position) {
        if !self.env.storages.iter().any(|known| known == name) && !self.env.trusts("storage", name) {
            let help = did_you_mean(name, self.env.storages.iter().map(String::as_str));
            let help = help.or_else(|| Some(format!("write `[store.{name}]` and its `size` into the configuration")));
            self.report(at, format!("the configuration has no storage \"{name}\""), help);
        }
    }

    pub(super) fn backend(&mut self, kind: &'static str, name: &str, at: Position) {
        let (backends, directors) = (&self.env.backends, &self.env.directors);
        let all: Vec<&str> = match kind {
            "backend" => backends.iter().map(String::as_str).collect(),
            "director" => directors.iter().map(String::as_str).collect(),
            _ => backends.iter().chain(directors).map(String::as_str).collect(),
        };
        if all.contains(&name) || self.env.trusts(kind, name) {
            return;
        }
        let help = match (kind, self.env.serves(name)) {
            ("backend", true) => Some(format!("it is a director: `director(\"{name}\")`")),
            ("director", true) => Some(format!("it is a backend: `backend(\"{name}\")`")),
            _ => did_you_mean(name, all.iter().copied()),
        };
        self.report(at, format!("the configuration has no {kind} \"{name}\""), help);
    }

    /// Comparing with a name that nothing has.
    fn compared(&mut self, name: &str, args: &[Expr], types: &[Type]) {
        let (Some((a, b)), [ty_a, ty_b]) = (args.split_first().zip(args.get(1)).map(|((a, _), b)| (a, b)), types)
        else {
            return;
        };
        if let ("contains", Expr::Array(items, _)) = (name, a) {
            let types: Vec<Type> = items.iter().map(kinds::of_literal).collect();
            if !types.is_empty() && types.iter().all(|ty| !comparable(*ty, *ty_b)) {
                let message = format!("comparing {} with {} is always the same", ty_b.name(), types[0].name());
                self.report(a.start_position(), message, comparison_help(types[0], *ty_b));
            }
        }
        if !matches!(name, "==" | "!=") {
            return;
        }
        for (ty, other) in [(*ty_a, b), (*ty_b, a)] {
            for text in self.texts(other) {
                let at = other.start_position();
                match ty {
                    Type::Backend => self.backend("backend or director", &text, at),
                    Type::Address if text.parse::<std::net::IpAddr>().is_err() => {
                        let help = "a network is an access list of the configuration: `.within(\"name\")`".to_owned();
                        self.report(at, system::not_an_address(&text), Some(help).filter(|_| text.contains('/')));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Comparing different types is silently false in Rhai, so it is said here.
    fn operator(&mut self, name: &str, args: &[Type], at: Position) -> Type {
        let compares = matches!(name, "==" | "!=" | "<" | "<=" | ">" | ">=");
        if let ([a, b], true) = (args, compares)
            && !comparable(*a, *b)
        {
            let message = format!("comparing {} with {} is always the same", a.name(), b.name());
            self.report(at, message, comparison_help(*a, *b));
        }
        if let [a, b] = args {
            self.arithmetic(name, *a, *b, at);
        }
        kinds::of_operator(name, args)
    }
}

/// What people know from PCRE and is not in expressions that take linear time.
const DIALECT: &str =
    "there is no look-ahead, look-behind or backreference: two tests say it, as in `a.matches(x) && !a.matches(y)`";

/// "1 argument", "2 arguments".
fn arguments(count: usize) -> String {
    if count == 1 { "1 argument".to_owned() } else { format!("{count} arguments") }
}

fn comparable(a: Type, b: Type) -> bool {
    use Type::{Address, Any, Backend, Float, Int, Text, Unit};
    a == b
        || matches!((a, b), (Any | Unit, _) | (_, Any | Unit))
        || matches!((a, b), (Int, Float) | (Float, Int) | (Address | Backend, Text))
}

fn comparison_help(a: Type, b: Type) -> Option<String> {
    match (a, b) {
        (Type::Int, Type::Text) => Some("write the number without quotes".to_owned()),
        (Type::Text, Type::Int) => Some("write the number in quotes, or use `parse_int`".to_owned()),
        (Type::Duration, Type::Time) | (Type::Time, Type::Duration) => {
            Some("a time less a time is a duration: `now - … > duration(\"60s\")`".to_owned())
        }
        (Type::Duration, _) | (_, Type::Duration) => Some("write duration(\"60s\")".to_owned()),
        (Type::Text, Type::Bool) | (Type::Bool, Type::Text) => {
            Some("a field is a text: compare it with `\"true\"` or the like, or ask `.has(…)`".to_owned())
        }
        (Type::Text, Type::Array) => Some("write `… in [\"a\", \"b\"]`".to_owned()),
        _ => None,
    }
}
