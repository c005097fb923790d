//! Chains: `req.http["x"]`, `client.ip.within("purgers")`. Each link is looked up in the tables by the type before it.
//!
//! Rhai nests them to the right: `a.b[c].d` is Dot(a, Index(b, Dot(c, d))).

use super::walk::Walker;
use super::{absent, kinds};
use crate::diagnostic::{did_you_mean, nearest};
use crate::functions::{FUNCTIONS, On, RHAI, find};
use crate::hooks::Hook;
use crate::host::headers::frames;
use crate::host::writable;
use crate::vars::{self, Type, VARS};
use rhai::{ASTFlags, Expr, Position};

/// What is done with the last link.
#[derive(Clone, Copy)]
enum Use<'a> {
    Read,
    /// The value and its type; with a sign it is read, too (`+=`).
    Write(&'a Expr, Type, Option<&'a str>),
}

impl Walker<'_> {
    /// The type of a chain.
    pub(super) fn chain(&mut self, e: &Expr) -> Type {
        self.start(e, Use::Read)
    }

    /// A chain that is assigned to.
    pub(super) fn assign_chain(&mut self, lhs: &Expr, value: &Expr, ty: Type, sign: Option<&str>) {
        self.start(lhs, Use::Write(value, ty, sign));
    }

    fn start(&mut self, e: &Expr, last: Use<'_>) -> Type {
        let (x, flags) = match e {
            Expr::Dot(x, flags, _) | Expr::Index(x, flags, _) => (x, *flags),
            _ => return Type::Any,
        };
        let before = self.list.len();
        let base = self.expr(&x.lhs, false);
        if self.list.len() > before && matches!(x.lhs, Expr::Variable(..)) {
            // What an unknown name has is not known.
            return Type::Any;
        }
        self.link((base, None), &x.rhs, matches!(e, Expr::Dot(..)), flags, last)
    }

    /// One link after a value of type `base`, and those after it. When that is the header fields of an object, `owner` is
    /// the object.
    fn link(
        &mut self,
        (base, owner): (Type, Option<Type>),
        rest: &Expr,
        dot: bool,
        flags: ASTFlags,
        last: Use<'_>,
    ) -> Type {
        let more = match rest {
            Expr::Dot(x, f, _) if dot || !flags.intersects(ASTFlags::BREAK) => Some((x, *f, true)),
            Expr::Index(x, f, _) if dot || !flags.intersects(ASTFlags::BREAK) => Some((x, *f, false)),
            _ => None,
        };
        let (this, how) = more.as_ref().map_or((rest, last), |(x, ..)| (&x.lhs, Use::Read));
        let ty = if dot { self.member(base, owner, this, how) } else { self.index(base, owner, this, how) };
        match more {
            Some((x, f, next_dot)) => {
                let owner = (ty == Type::Headers).then_some(base).filter(|b| b.object().is_some());
                self.link((ty, owner), &x.rhs, next_dot, f, last)
            }
            None => ty,
        }
    }

    fn index(&mut self, base: Type, owner: Option<Type>, at: &Expr, how: Use<'_>) -> Type {
        let ty = self.expr(at, false);
        self.plain_index(base, at, ty);
        match base {
            Type::Headers => {
                if let Use::Write(value, ty, sign) = how {
                    let names = self.texts(at);
                    self.field_written(owner, names.first().map(String::as_str), at.start_position());
                    self.field_value(value, ty, sign, at.start_position());
                } else {
                    self.texts(at).iter().for_each(|name| self.field_name(name, at.start_position()));
                }
                Type::Text
            }
            Type::Storage => {
                if let Some(name) = literal(at) {
                    self.storage(name, at.start_position());
                }
                Type::Storage
            }
            b if b.object().is_some() || b == Type::Cookies => {
                let message = format!("{} has no `[…]`", b.name());
                let help = if b == Type::Cookies { "write `.get(name)`" } else { "headers are at `.http[…]`" };
                self.report(at.start_position(), message, Some(help.to_owned()));
                Type::Any
            }
            _ => Type::Any,
        }
    }

    /// A field is set, added to or removed.
    fn field_written(&mut self, owner: Option<Type>, name: Option<&str>, at: Position) {
        let object = match (owner.and_then(Type::object), self.hook) {
            (Some("obj"), Some(Hook::BackendRefresh)) => Some("stale"),
            (object, _) => object,
        };
        match (object, owner.map(writable)) {
            (Some(object), Some(hooks)) if hooks.is_empty() => {
                self.report(at, format!("`{object}.http` can only be read"), None);
            }
            _ => name.into_iter().for_each(|name| self.header_name(name, at)),
        }
    }

    /// The name of a field that is read.
    fn field_name(&mut self, name: &str, at: Position) {
        if !copal_semantics::headers::is_token(name.as_bytes()) {
            self.report(at, format!("\"{name}\" is not a valid header field name"), None);
        }
    }

    /// What a field is set to.
    fn field_value(&mut self, value: &Expr, ty: Type, sign: Option<&str>, at: Position) {
        if let (Some(sign), Type::Int | Type::Float) = (sign, ty) {
            let message = format!("a field is a text: `{sign}` writes the number behind it");
            let help = "write `… = std::integer(…, 0) + 1`".to_owned();
            return self.report(at, message, Some(help));
        }
        if let Some(sign) = sign {
            self.arithmetic(sign, Type::Text, ty, at);
        }
        let no_text = matches!(ty, Type::Array | Type::Map | Type::Action | Type::Headers | Type::Cookies | Type::Vars);
        if no_text || ty.object().is_some() {
            let help = match ty {
                Type::Array => "a line for each: `.append(\"name\", value)`",
                Type::Action => "an action can only be returned",
                _ => "write one of its values",
            };
            return self.report(at, format!("a field cannot hold {}", ty.name()), Some(help.to_owned()));
        }
        if self.texts(value).iter().any(|text| !copal_semantics::headers::is_field_value(text.as_bytes())) {
            let help = "a line break begins another field: set that one by its name".to_owned();
            self.report(super::constants::begins(value), "a field cannot hold control characters", Some(help));
        }
    }

    /// A status that is written there.
    pub(super) fn status(&mut self, status: i64, at: Position) {
        if let Err(e) = crate::host::sendable(status) {
            self.report(at, e.message, None);
        }
    }

    /// In a function of the script: do any of the hooks that reach it have that variable?
    fn in_helper(&mut self, var: &vars::Var, writes: bool, at: Position) {
        let may = if writes { var.write } else { var.read };
        if self.hook.is_some() || self.hooks.is_empty() || may.is_empty() || self.hooks.any_of(may) {
            return;
        }
        let (what, verb) = (format!("`{}.{}`", var.object, var.name), if writes { "written" } else { "read" });
        let message = format!("{what} cannot be {verb} where this is called: in {}", self.hooks.names());
        self.report(at, message, Some(format!("it can be {verb} in {}", may.names())));
    }

    fn header_name(&mut self, name: &str, at: Position) {
        if !copal_semantics::headers::is_token(name.as_bytes()) {
            self.report(at, format!("\"{name}\" is not a valid header field name"), None);
        } else if frames(name) {
            let message = format!("`{}` can only be read: it says where a body ends", name.to_ascii_lowercase());
            self.report(at, message, Some("Copal writes it for the body that it sends".to_owned()));
        }
    }

    fn member(&mut self, base: Type, owner: Option<Type>, this: &Expr, how: Use<'_>) -> Type {
        match this {
            Expr::Property(p, at) => {
                if let (Type::Headers, Use::Write(value, ty, sign)) = (base, how) {
                    self.field_written(owner, Some(&p.2.replace('_', "-")), *at);
                    self.field_value(value, ty, sign, *at);
                }
                self.property(base, &p.2, *at, how)
            }
            Expr::MethodCall(call, at) => {
                let types: Vec<Type> = call.args.iter().map(|a| self.expr(a, false)).collect();
                match (base, call.name.as_str()) {
                    (Type::Headers, "append" | "remove" | "remove_lines") => {
                        let name = call.args.first();
                        let place = name.map_or(*at, Expr::start_position);
                        self.field_written(owner, name.and_then(literal), place);
                        if let ("append", [_, value]) = (call.name.as_str(), &call.args[..]) {
                            self.field_value(value, types[1], None, super::constants::begins(value));
                        }
                    }
                    (Type::Headers, "has" | "all" | "find") => {
                        if let Some(name) = call.args.first() {
                            self.texts(name).iter().for_each(|n| self.field_name(n, name.start_position()));
                        }
                    }
                    (Type::Headers, "remove_matching" | "collect") => self.field_written(owner, None, *at),
                    _ => {}
                }
                self.method(base, &call.name, (&call.args, &types), *at)
            }
            other => self.expr(other, false),
        }
    }

    fn property(&mut self, base: Type, name: &str, at: Position, how: Use<'_>) -> Type {
        let Some(object) = base.object() else {
            return match base {
                Type::Headers => Type::Text,
                Type::Backend => self.of_backend(name, at, how),
                Type::Cookies | Type::Vars => {
                    let help = if base == Type::Cookies {
                        format!("write `.get(\"{name}\")`")
                    } else {
                        format!("write `[\"{name}\"]`")
                    };
                    self.report(at, format!("{} has no variable `{name}`", base.name()), Some(help));
                    Type::Any
                }
                _ => self.plain_property(base, name, at),
            };
        };
        let Some(var) = vars::find(object, name) else {
            if base == Type::Storage && self.names_storage(name, at) {
                return Type::Storage;
            }
            self.unknown_property(base, object, name, at);
            return Type::Any;
        };
        if let Some(hook) = self.hook {
            let reads = matches!(how, Use::Read | Use::Write(_, _, Some(_)));
            if reads && !var.read.has(hook) {
                let help = format!("it can be read in {}", var.read.names());
                self.report(at, format!("`{object}.{name}` cannot be read in `{}`", hook.name()), Some(help));
            }
        }
        self.in_helper(var, matches!(how, Use::Write(..)), at);
        if let Use::Write(value, ty, sign) = how {
            match sign {
                Some(sign) => {
                    self.arithmetic(sign, var.ty, ty, at);
                    let sum = kinds::of_operator(sign.trim_end_matches('='), &[var.ty, ty]);
                    let unit = Expr::Unit(at);
                    // The text itself only says what was meant.
                    let shown = if var.ty == Type::Duration { value } else { &unit };
                    self.written(var, shown, sum, at);
                }
                None => self.written(var, value, ty, at),
            }
        }
        // One that may be `()` has the type that it has otherwise, as a header field: comparing takes `()`, too.
        var.ty
    }

    /// `storage.images`: false when it is rather a variable that is misspelt.
    fn names_storage(&mut self, name: &str, at: Position) -> bool {
        let variables = VARS.iter().filter(|v| v.object == "storage").map(|v| v.name);
        let known = self.env.storages.iter().any(|s| s == name);
        if !known && nearest(name, variables).is_some() {
            return false;
        }
        self.storage(name, at);
        true
    }

    /// A backend has nothing but its name.
    fn of_backend(&mut self, name: &str, at: Position, how: Use<'_>) -> Type {
        if name != "name" {
            let method = (name == "healthy").then(|| "it is a method: `.healthy()`".to_owned());
            let help = method.or_else(|| did_you_mean(name, ["name"]));
            self.report(at, format!("a backend has no variable `{name}`"), help);
            return Type::Any;
        }
        if matches!(how, Use::Write(..)) {
            self.report(at, "the name of a backend can only be read", None);
        }
        Type::Text
    }

    fn unknown_property(&mut self, base: Type, object: &str, name: &str, at: Position) {
        let message = format!("`{object}` has no variable `{name}`");
        if let Some(f) = find(On::Type(base), name) {
            return self.report(at, message, Some(format!("it is a method: `{object}.{}()`", f.name)));
        }
        if let Some(instead) = absent::instead(object, name) {
            return self.report(at, message, Some(instead.to_owned()));
        }
        let all = VARS.iter().filter(|v| v.object == object).map(|v| v.name);
        let mut help = did_you_mean(name, all);
        if let Some((_, right)) = MEANT.iter().find(|(wrong, _)| *wrong == format!("{object}.{name}")) {
            help = Some(format!("did you mean `{right}`?"));
        }
        if help.is_none() && VARS.iter().any(|v| v.object == object && v.name == "http") {
            help = match name {
                "headers" | "header" => Some("headers are at `.http`".to_owned()),
                "cookie" | "cookies" => {
                    Some("a cookie is set by a line of its own: `.http.append(\"set-cookie\", …)`".to_owned())
                }
                "vars" => Some(
                    "`req.vars` is there in the hooks of the client's side; a fetch takes along what is in a field of the request"
                        .to_owned(),
                ),
                "path" if vars::find(object, "url").is_some() => {
                    Some("the target is `.url`; its path is `url::path(x.url)`".to_owned())
                }
                _ => Some(format!("a header is `{object}.http[\"{}\"]`", name.replace('_', "-"))),
            };
        }
        self.report(at, message, help);
    }

    fn written(&mut self, var: &vars::Var, value: &Expr, ty: Type, at: Position) {
        let what = format!("`{}.{}`", var.object, var.name);
        if var.write.is_empty() {
            return self.report(at, format!("{what} can only be read"), None);
        }
        if let Some(hook) = self.hook.filter(|h| !var.write.has(*h)) {
            let help = format!("it can be written in {}", var.write.names());
            return self.report(at, format!("{what} cannot be written in `{}`", hook.name()), Some(help));
        }
        let names = self.texts(value);
        for name in &names {
            match (var.ty, var.object, var.name) {
                (Type::Backend, ..) => self.backend("backend or director", name, super::constants::begins(value)),
                (_, "beresp", "storage") => self.storage(name, super::constants::begins(value)),
                (_, "req" | "bereq", "method") if !copal_semantics::headers::is_token(name.as_bytes()) => {
                    self.report(
                        super::constants::begins(value),
                        format!("\"{name}\" is not a valid request method"),
                        None,
                    );
                }
                (_, "req" | "bereq", "url") => {
                    if let Err(e) = crate::host::request::check_url(what.trim_matches('`'), name) {
                        let help = "a target is path and query: `\"/path?query\"`".to_owned();
                        self.report(super::constants::begins(value), e.message, Some(help));
                    }
                }
                _ => {}
            }
        }
        if let (Expr::BoolConstant(false, at), "uncacheable") = (value, var.name) {
            let help = "leave it out, or set it to `true` under a condition".to_owned();
            self.report(*at, format!("{what} can be set, not cleared"), Some(help));
        }
        if let (Expr::IntegerConstant(n, at), "status") = (value, var.name) {
            self.status(*n, *at);
        }
        if !names.is_empty() && (var.ty == Type::Backend || var.name == "storage") {
            return;
        }
        let fits = ty == Type::Any
            || ty == var.ty
            || (ty == Type::Unit && var.optional)
            || var.name == "body"
            || (var.ty == Type::Backend && ty == Type::Text);
        if !fits {
            let help = match (var.ty, value) {
                (Type::Duration, Expr::StringConstant(s, _)) => Some(format!("write duration(\"{s}\")")),
                (Type::Duration, _) => Some("write duration(\"60s\")".to_owned()),
                (Type::Int, Expr::StringConstant(text, _)) if text.parse::<i64>().is_ok() => {
                    Some(format!("write `{text}` without quotes"))
                }
                _ if ty == Type::Unit => Some("the value is `()`, nothing".to_owned()),
                _ => None,
            };
            self.report(at, format!("{what} takes {}, not {}", var.ty.name(), ty.name()), help);
        }
    }

    fn method(&mut self, base: Type, name: &str, (args, types): (&[Expr], &[Type]), at: Position) -> Type {
        if let Some(f) = find(On::Type(base), name) {
            return self.known(f, args, types, at);
        }
        let own = self.parsed.function(name).is_some();
        if own {
            self.called.insert(name.to_owned());
            return Type::Any;
        }
        let closed = base.object().is_some() || matches!(base, Type::Headers | Type::Cookies | Type::Vars);
        if closed && !matches!(name, "to_string" | "type_of") {
            let methods = FUNCTIONS.iter().filter(|f| f.on == On::Type(base)).map(|f| f.name);
            let mut help = did_you_mean(name, methods);
            if let (Type::Headers | Type::Cookies, "unset" | "delete") = (base, name) {
                help = Some("write `.remove(\"name\")`".to_owned());
            } else if help.is_none() && base == Type::Headers {
                help = Some("fields are read as `.http[\"name\"]` and set by assigning to it".to_owned());
            }
            self.report(at, format!("{} has no method `{name}`", base.name()), help);
            return Type::Any;
        }
        if self.plain_method(base, name, at) {
            return Type::Any;
        }
        // Of a value whose type is not known, or of a plain one: any method of any type will do.
        match FUNCTIONS.iter().find(|f| f.name == name && matches!(f.on, On::Type(_))) {
            Some(f) => {
                let ty = if f.on == On::Type(Type::Text) { self.known(f, args, types, at) } else { Type::Any };
                if base == Type::Any { Type::Any } else { ty }
            }
            None if RHAI.contains(&name) => rhai_type(base, name),
            None => {
                let methods = FUNCTIONS.iter().filter(|f| matches!(f.on, On::Type(_))).map(|f| f.name);
                let help = super::vcl::function(name).map(str::to_owned);
                let help = help.or_else(|| did_you_mean(name, methods.chain(RHAI.iter().copied())));
                self.report(at, format!("there is no method `{name}`"), help);
                Type::Any
            }
        }
    }
}

/// What people call a variable that has another name.
const MEANT: [(&str, &str); 16] = [
    ("req.request", "req.method"),
    ("req.ip", "client.ip"),
    ("req.host", "req.http.host"),
    ("req.query", "url::query(req.url)"),
    ("resp.code", "resp.status"),
    ("beresp.code", "beresp.status"),
    ("beresp.max_age", "beresp.ttl"),
    ("obj.max_age", "obj.ttl"),
    ("obj.lastuse", "obj.age"),
    ("client.addr", "client.ip"),
    ("client.address", "client.ip"),
    ("server.name", "server.hostname"),
    ("server.addr", "server.ip"),
    ("local.address", "local.ip"),
    ("remote.address", "remote.ip"),
    ("remote.addr", "remote.ip"),
];

fn literal(e: &Expr) -> Option<&str> {
    match e {
        Expr::StringConstant(text, _) => Some(text),
        _ => None,
    }
}

/// What the commonest methods of strings give.
fn rhai_type(base: Type, name: &str) -> Type {
    match (base, name) {
        (Type::Text, "starts_with" | "ends_with" | "contains" | "is_empty") => Type::Bool,
        (Type::Text, "len" | "index_of" | "parse_int") => Type::Int,
        (Type::Text, "to_lower" | "to_upper" | "sub_string") | (_, "to_string") => Type::Text,
        _ => Type::Any,
    }
}
