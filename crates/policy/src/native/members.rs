//! Properties and methods: `req.http.host`, `req.cookie.has("x")`, `obj.ttl`.

use super::At;
use super::compile::{Compiler, Value, maybe, or_empty, small};
use super::cond::{Cond, Int, Peer};
use super::effect::{Statement, edit_cookies};
use super::length::Length;
use super::library::healthy;
use super::local::Any;
use super::operators::contains;
use super::text::{Maybe, Side, Text};
use super::{Act, Frame, Give, Host, Run};
use crate::hooks::{Hook, HookSet};
use crate::host::cookies::Named;
use crate::host::{edge, headers, object, writable};
use crate::library::patterns;
use crate::library::patterns::Pattern;
use crate::scene::{ObjectVars, Scene, ScriptValue};
use crate::vars::{self, Type};
use copal_semantics::Span;
use copal_semantics::headers::is_token;
use rhai::{ASTFlags, Expr, Position};
use std::sync::Arc;

fn act(f: impl Fn(&mut Frame<'_>) -> Run<()> + Send + Sync + 'static) -> Value {
    let act: Act = Host(Arc::new(f));
    Value::Effect(Statement::Host(act))
}

impl<'a> Compiler<'a> {
    pub(super) fn chain(&mut self, e: &'a Expr) -> Option<Value> {
        let mut links = Vec::new();
        flatten(e, false, Position::NONE, &mut links)?;
        let mut links = links.into_iter();
        let mut value = self.value(links.next()?.0)?;
        for (link, index, _) in links {
            self.nodes += 1;
            value = match self.step(value, link, index) {
                Some(value) => value,
                None => return self.blame(link.position(), || shown(link)),
            };
        }
        Some(value)
    }

    pub(super) fn step(&mut self, value: Value, link: &'a Expr, index: bool) -> Option<Value> {
        if index {
            let word = self.word(link);
            return match (value, link) {
                (Value::Headers(side), _) => Some(Value::Maybe(Maybe::Field(side, word?))),
                (Value::Vars, _) => {
                    let name = word?;
                    Some(Value::Any(Any::Host(Give::new(move |f| {
                        Ok(f.scene.req_vars.vars.get(&*name).cloned().unwrap_or(ScriptValue::Unit))
                    }))))
                }
                (Value::Groups(slot, count), Expr::IntegerConstant(n, _)) => {
                    let group = usize::try_from(*n).ok().filter(|n| *n < count)?;
                    Some(Value::Maybe(Maybe::Group(slot, group)))
                }
                _ => None,
            };
        }
        match link {
            Expr::Property(p, at) => self.property(value, &p.2, At::new(*at)),
            Expr::MethodCall(call, at) => self.method(value, &call.name, &call.args, *at),
            _ => None,
        }
    }

    fn property(&self, value: Value, name: &str, at: At) -> Option<Value> {
        let flag = |read: fn(&Scene) -> bool| Some(Value::Cond(Cond::Flag(read)));
        let int = |read: fn(&Scene) -> i64| Some(Value::Int(Int::Var(read)));
        let length = |read: fn(&Scene) -> Span| Some(Value::Length(Length::Var(read)));
        match (value, name) {
            (Value::Headers(side), name) => Some(Value::Maybe(Maybe::Field(side, small(name)))),
            (Value::Side(side), "http") => Some(Value::Headers(side)),
            (Value::Side(Side::Req), "vars") => Some(Value::Vars),
            (Value::Side(side @ (Side::Req | Side::Bereq)), "cookie") => Some(Value::Cookies(side)),
            (Value::Side(side @ (Side::Req | Side::Bereq)), "url") => Some(Value::Text(Text::Url(side))),
            (Value::Side(side @ (Side::Req | Side::Bereq)), "method") => Some(Value::Text(Text::Method(side))),
            (Value::Side(side), "proto") => Some(Value::Text(Text::Proto(side))),
            (Value::Side(Side::Req | Side::Bereq), "xid") => Some(Value::Text(Text::Xid)),
            (Value::Side(Side::Req), "backend" | "backend_hint") => {
                Some(Value::MaybeBackend(Maybe::Backend(Side::Req)))
            }
            (Value::Side(Side::Bereq), "backend") => Some(Value::MaybeBackend(Maybe::Backend(Side::Bereq))),
            (Value::Side(Side::Beresp), "backend") => Some(Value::Backend(Text::From)),
            (Value::Backend(name), "name") => Some(Value::Text(name)),
            (Value::Side(side @ (Side::Resp | Side::Beresp)), "reason") => Some(Value::Text(Text::Reason(side))),
            (Value::Side(side @ (Side::Resp | Side::Beresp)), "body") => Some(Value::Maybe(Maybe::Body(side))),
            (Value::Side(Side::Resp), "status") => int(|s| i64::from(s.resp.status)),
            (Value::Side(Side::Beresp), "status") => int(|s| i64::from(s.beresp.status)),
            (Value::Side(Side::Resp), "hits") => int(|s| i64::try_from(s.resp_vars.hits).unwrap_or(i64::MAX)),
            (Value::Side(Side::Req), "restarts") => int(|s| i64::from(s.req_vars.restarts)),
            (Value::Side(Side::Req), "esi_level") => int(|s| i64::from(s.req_vars.esi_level)),
            (Value::Side(Side::Bereq), "retries") => int(|s| i64::from(s.bereq_vars.retries)),
            (Value::Side(Side::Req), "is_hitmiss") => flag(|s| s.req_vars.is_hitmiss),
            (Value::Side(Side::Req), "is_hitpass") => flag(|s| s.req_vars.is_hitpass),
            (Value::Side(Side::Req), "hash_always_miss") => flag(|s| s.req_vars.hash_always_miss),
            (Value::Side(Side::Req), "hash_ignore_busy") => flag(|s| s.req_vars.hash_ignore_busy),
            (Value::Side(Side::Bereq), "is_bgfetch") => flag(|s| s.bereq_vars.is_bgfetch),
            (Value::Side(Side::Bereq), "is_hitmiss") => flag(|s| s.bereq_vars.is_hitmiss),
            (Value::Side(Side::Bereq), "is_hitpass") => flag(|s| s.bereq_vars.is_hitpass),
            (Value::Side(Side::Bereq), "uncacheable") => flag(|s| s.bereq_vars.uncacheable),
            (Value::Side(Side::Beresp), "uncacheable") => flag(|s| s.beresp_vars.uncacheable),
            (Value::Side(Side::Beresp), "was_304") => flag(|s| s.beresp_vars.was_304),
            (Value::Side(Side::Resp), "is_streaming") => flag(|s| s.resp_vars.is_streaming),
            (Value::Side(Side::Beresp), "ttl") => length(|s| s.beresp_vars.ttl),
            (Value::Side(Side::Beresp), "grace") => length(|s| s.beresp_vars.grace),
            (Value::Side(Side::Beresp), "keep") => length(|s| s.beresp_vars.keep),
            (Value::Side(Side::Beresp), "stale_if_error") => length(|s| s.beresp_vars.stale_if_error),
            (Value::Side(Side::Beresp), "age") => length(|s| s.beresp_vars.age),
            (Value::Obj, name) => object_property(name, at),
            (Value::Peer(peer), "ip") => Some(Value::Ip(peer)),
            (Value::Peer(Peer::Client), "identity") => Some(Value::Text(Text::ClientIdentity)),
            (Value::Peer(Peer::Server), "hostname" | "identity") => Some(Value::Text(Text::Hostname)),
            (Value::Peer(Peer::Client), "port") => int(|s| i64::from(s.client.port)),
            (Value::Peer(Peer::Server), "port") => int(|s| i64::from(s.server.port)),
            (Value::Peer(Peer::Local), "port") => int(|s| i64::from(s.local.port)),
            (Value::Peer(Peer::Remote), "port") => int(|s| i64::from(s.remote.port)),
            _ => None,
        }
    }

    fn method(&mut self, value: Value, name: &str, args: &'a [Expr], position: Position) -> Option<Value> {
        let at = At::new(position);
        let cond = |c| Some(Value::Cond(c));
        match (value, name, args) {
            (Value::Side(side), _, args) => self.side_method(side, name, args, at),
            (Value::Headers(side), _, args) => self.headers_method(side, name, args, at),
            (Value::Cookies(side), _, args) => self.cookies_method(side, name, args, at),
            (Value::Ip(peer), "within", [n]) => {
                let acl = self.env.acls.get(self.written(n)?.as_str())?;
                cond(Cond::Within(peer, Box::new(acl.clone())))
            }
            (Value::Ip(peer), "is_ipv6", []) => cond(Cond::Host(Give::new(move |f| Ok(peer.ip(f.scene).is_ipv6())))),
            (Value::Ip(peer), "to_string", []) => {
                Some(Value::Text(Text::Host(Give::new(move |f| Ok(peer.ip(f.scene).to_string())))))
            }
            (Value::Key, "add", [part]) => {
                let part = match self.value(part)? {
                    Value::Backend(text) => Maybe::Text(text),
                    Value::MaybeBackend(backend) => backend,
                    value => maybe(value)?,
                };
                (self.hook == Hook::Hash).then_some(Value::Effect(Statement::AddKey(part, at)))
            }
            (Value::Vars, "has", [Expr::StringConstant(n, _)]) => {
                let name = small(n);
                cond(Cond::Host(Give::new(move |f| Ok(f.scene.req_vars.vars.contains_key(&*name)))))
            }
            (Value::Vars, "remove", [Expr::StringConstant(n, _)]) if HookSet::CLIENT.has(self.hook) => {
                let name = small(n);
                Some(act(move |f| {
                    f.scene.req_vars.vars.remove(&*name);
                    Ok(())
                }))
            }
            (Value::Vars, "clear", []) if HookSet::CLIENT.has(self.hook) => Some(act(|f| {
                f.scene.req_vars.vars.clear();
                Ok(())
            })),
            (value @ (Value::Backend(_) | Value::MaybeBackend(_)), "healthy", []) => cond(healthy(value)?),
            (Value::Names(names), "contains", [item]) => {
                let item = self.value(item)?;
                contains(Value::Names(names), item)
            }
            (value @ (Value::Text(_) | Value::Maybe(_)), _, args) => self.text_method(value, name, args, at),
            _ => None,
        }
    }

    /// A regular expression that is known now; others are compiled, and counted, when the hook runs.
    fn compiled(&mut self, e: &'a Expr) -> Option<Box<Pattern>> {
        match self.written(e) {
            Some(pattern) => self.compiled_text(&pattern),
            None => self.blame(e.position(), || "a regular expression that is not known at load".to_owned()),
        }
    }

    fn compiled_text(&self, pattern: &str) -> Option<Box<Pattern>> {
        patterns::compile(pattern).ok().map(Box::new)
    }

    fn text_method(&mut self, value: Value, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        let cond = |c| Some(Value::Cond(c));
        // What is missing is the empty text to these, as in Rhai (`library::strings`).
        let value = match (value, name) {
            (value @ Value::Maybe(_), "starts_with" | "ends_with" | "contains" | "len") => {
                Value::Text(or_empty(value)?)
            }
            (value, _) => value,
        };
        match (value, name, args) {
            (Value::Text(text), "starts_with", [arg]) => cond(Cond::StartsWith(text, self.text(arg)?)),
            (Value::Text(text), "ends_with", [arg]) => cond(Cond::EndsWith(text, self.text(arg)?)),
            (Value::Text(text), "contains", [arg]) => cond(Cond::Contains(text, self.text(arg)?)),
            (value, "matches", [re]) => cond(Cond::Matches(maybe(value)?, self.compiled(re)?, at)),
            (value, "captures", [re]) => Some(Value::Captures(maybe(value)?, self.compiled(re)?, at)),
            (value, "replace_re" | "replace_all_re", [re, by]) => {
                let (regex, by, all) = (self.compiled(re)?, self.text(by)?, name == "replace_all_re");
                match value {
                    Value::Text(text) => Some(Value::Text(Text::Replace(Box::new((text, regex, by)), all, at))),
                    value => Some(Value::Maybe(Maybe::Replace(Box::new((maybe(value)?, regex, by)), all, at))),
                }
            }
            (Value::Text(text), "len", []) => Some(Value::Int(Int::Host(Give::new(move |f| {
                // Rhai counts characters.
                Ok(i64::try_from(text.eval(f)?.chars().count()).unwrap_or(i64::MAX))
            })))),
            (Value::Text(text), "to_string", []) => Some(Value::Text(text)),
            _ => None,
        }
    }

    fn side_method(&mut self, side: Side, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        match (side, name, args) {
            (Side::Req | Side::Bereq, "is_get_or_head", []) => Some(Value::Cond(Cond::GetOrHead(side))),
            (Side::Req | Side::Bereq, "device", []) => Some(Value::Text(Text::Device(side))),
            (Side::Req, "is_preflight", []) => {
                Some(Value::Cond(Cond::Host(Give::new(|f| Ok(edge::is_preflight(&f.scene.req))))))
            }
            (Side::Resp, "harden", []) if self.may_write(side) => Some(act(move |f| {
                f.charge(at, edge::CHARGED)?;
                edge::harden(&mut f.scene.resp.headers).map_err(|e| at.stop(e))
            })),
            (Side::Resp, "cors", [origins, methods, max_age]) if self.may_write(side) => {
                let Value::Names(origins) = self.value(origins)? else { return None };
                let methods = self.text(methods)?;
                let Value::Length(max_age) = self.value(max_age)? else { return None };
                Some(act(move |f| {
                    let methods = methods.eval(f)?.into_owned();
                    let max_age = max_age.eval(f)?;
                    let asked: usize = ["origin", "access-control-request-headers"]
                        .map(|n| f.scene.req.headers.get(n).map_or(0, <[u8]>::len))
                        .iter()
                        .sum();
                    f.charge(at, edge::CHARGED + asked + methods.len())?;
                    edge::cors(&f.scene.req, &mut f.scene.resp.headers, &origins, &methods, max_age)
                        .map_err(|e| at.stop(e))
                }))
            }
            _ => None,
        }
    }

    fn headers_method(&mut self, side: Side, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        let (first, rest) = args.split_first()?;
        let field = self.word(first)?;
        match (name, rest) {
            ("has", []) => Some(Value::Cond(Cond::HasField(side, field))),
            ("remove", []) if self.may_write_field(side, &field) => {
                Some(Value::Effect(Statement::RemoveField(side, field, at)))
            }
            ("remove_matching", []) if self.may_write(side) => {
                Some(Value::Effect(Statement::RemoveMatching(side, field, at)))
            }
            ("remove_lines", [re]) if self.may_write_field(side, &field) => {
                let regex = self.compiled(re)?;
                Some(act(move |f| {
                    f.charge(at, 0)?;
                    let removed = headers::remove_lines(side.headers_mut(f.scene), &field, &regex);
                    f.matched(at, removed)
                }))
            }
            ("append", [value]) if self.may_write_field(side, &field) => {
                let value = self.maybe(value)?;
                Some(act(move |f| {
                    let value = value.eval(f)?.unwrap_or_default().into_owned();
                    f.charge(at, headers::written(&field, value.len()))?;
                    let headers = side.headers_mut(f.scene);
                    headers.append(&field, &value).map_err(|e| at.stop(crate::value::framing(&field, e)))
                }))
            }
            _ => None,
        }
    }

    fn cookies_method(&mut self, side: Side, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        let [first] = args else { return None };
        if name == "keep" && self.may_write(side) {
            let Value::Names(names) = self.value(first)? else { return None };
            return Some(Value::Effect(Statement::KeepCookies(side, names, at)));
        }
        let word = self.word(first)?;
        match name {
            "has" => Some(Value::Cond(Cond::HasCookie(side, word))),
            "get" => Some(Value::Maybe(Maybe::Cookie(side, word))),
            "remove" if self.may_write(side) => Some(Value::Effect(Statement::RemoveCookie(side, word, at))),
            "keep_matching" | "remove_matching" if self.may_write(side) => {
                let (regex, keep) = (self.compiled_text(&word)?, name == "keep_matching");
                Some(act(move |f| {
                    let names = Named::by(&regex);
                    edit_cookies(f, side, at, |n| names.has(n) == keep)?;
                    f.matched(at, names.outcome())
                }))
            }
            _ => None,
        }
    }

    /// A text that is known at load: written there, or what a loop over such texts gives.
    pub(super) fn word(&self, e: &Expr) -> Option<Box<str>> {
        match e {
            Expr::StringConstant(text, _) => Some(small(text)),
            Expr::Variable(v, _, _) if v.2.is_empty() => match self.variable(&v.1)? {
                Value::Text(Text::Lit(text)) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn may_write(&self, side: Side) -> bool {
        let ty = match side {
            Side::Req => Type::Req,
            Side::Bereq => Type::Bereq,
            Side::Resp => Type::Resp,
            Side::Beresp => Type::Beresp,
            Side::Obj => Type::Obj,
        };
        writable(ty).has(self.hook)
    }

    pub(super) fn may_write_field(&self, side: Side, name: &str) -> bool {
        self.may_write(side) && is_token(name.as_bytes()) && !headers::frames(name)
    }

    pub(super) fn may_write_var(&self, object: &str, name: &str) -> bool {
        vars::find(object, name).map_or(HookSet::NONE, |v| v.write).has(self.hook)
    }
}

/// A property of `obj`, which is not always there.
fn object_property(name: &str, at: At) -> Option<Value> {
    fn read<T: 'static>(at: At, read: fn(&ObjectVars) -> T) -> Give<T> {
        Give::new(move |f| object::object(f.scene).map(read).map_err(|e| at.stop(e)))
    }
    fn any<T: 'static>(read: fn(&ObjectVars) -> T) -> Give<T> {
        Give::new(move |f| Ok(read(object::variables(f.scene))))
    }
    Some(match name {
        "status" => Value::Int(Int::Host(read(at, |o| i64::from(o.head.status)))),
        "hits" => Value::Int(Int::Host(any(|o| i64::try_from(o.hits).unwrap_or(i64::MAX)))),
        "ttl" => Value::Length(Length::Host(any(|o| o.ttl))),
        "grace" => Value::Length(Length::Host(any(|o| o.grace))),
        "keep" => Value::Length(Length::Host(any(|o| o.keep))),
        "age" => Value::Length(Length::Host(any(|o| o.age))),
        "uncacheable" => Value::Cond(Cond::Host(any(|o| o.uncacheable))),
        "reason" => Value::Text(Text::Host(read(at, |o| o.head.reason_phrase().to_owned()))),
        "http" => Value::Headers(Side::Obj),
        _ => return None,
    })
}

fn shown(link: &Expr) -> String {
    match link {
        Expr::Property(p, _) => format!("the property `{}`", p.2),
        Expr::MethodCall(call, _) => {
            format!("the method `{}` of a value of this type, or with arguments of these", call.name)
        }
        _ => "`[…]` with an index that is not written out".to_owned(),
    }
}

/// A link of a chain: whether it stands in brackets, and where its dot or bracket is.
pub(super) type Link<'e> = (&'e Expr, bool, Position);

/// The links of a chain like `req.http["x"]`. `?.` is not known here.
pub(super) fn flatten<'e>(e: &'e Expr, index: bool, at: Position, out: &mut Vec<Link<'e>>) -> Option<()> {
    let (x, flags, next, next_at) = match e {
        Expr::Dot(x, flags, at) => (x, flags, false, *at),
        Expr::Index(x, flags, at) => (x, flags, true, *at),
        _ => {
            out.push((e, index, at));
            return Some(());
        }
    };
    if flags.intersects(ASTFlags::NEGATED) {
        return None;
    }
    out.push((&x.lhs, index, at));
    if flags.intersects(ASTFlags::BREAK) {
        out.push((&x.rhs, next, next_at));
        return Some(());
    }
    flatten(&x.rhs, next, next_at, out)
}
