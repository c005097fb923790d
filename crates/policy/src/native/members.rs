//! Properties, methods and assignments: `req.http.host`, `req.cookie.has("x")`, `beresp.ttl = …`.

use super::At;
use super::compile::{Compiler, Value, maybe, small};
use super::cond::{Cond, Int, Peer};
use super::effect::{FieldValue, Statement};
use super::text::{Maybe, Side, Text};
use crate::hooks::{Hook, HookSet};
use crate::host::writable;
use crate::library::patterns;
use crate::scene::Scene;
use crate::vars::{self, Type};
use copal_semantics::headers::is_token;
use rhai::{ASTFlags, Expr, Position};

impl Compiler<'_> {
    pub(super) fn chain(&mut self, e: &Expr) -> Option<Value> {
        let mut links = Vec::new();
        flatten(e, false, Position::NONE, &mut links)?;
        let mut links = links.into_iter();
        let mut value = self.value(links.next()?.0)?;
        for (link, index, _) in links {
            self.nodes += 1;
            value = self.step(value, link, index)?;
        }
        Some(value)
    }

    fn step(&mut self, value: Value, link: &Expr, index: bool) -> Option<Value> {
        if index {
            return match (value, link) {
                (Value::Headers(side), Expr::StringConstant(name, _)) => {
                    Some(Value::Maybe(Maybe::Field(side, small(name))))
                }
                _ => None,
            };
        }
        match link {
            Expr::Property(p, _) => self.property(value, &p.2),
            Expr::MethodCall(call, at) => self.method(value, &call.name, &call.args, *at),
            _ => None,
        }
    }

    fn property(&self, value: Value, name: &str) -> Option<Value> {
        let flag = |read: fn(&Scene) -> bool| Some(Value::Cond(Cond::Flag(read)));
        let int = |read: fn(&Scene) -> i64| Some(Value::Int(Int::Var(read)));
        match (value, name) {
            (Value::Headers(side), name) => Some(Value::Maybe(Maybe::Field(side, small(name)))),
            (Value::Side(side), "http") => Some(Value::Headers(side)),
            (Value::Side(side @ (Side::Req | Side::Bereq)), "cookie") => Some(Value::Cookies(side)),
            (Value::Side(side @ (Side::Req | Side::Bereq)), "url") => Some(Value::Text(Text::Url(side))),
            (Value::Side(side @ (Side::Req | Side::Bereq)), "method") => Some(Value::Text(Text::Method(side))),
            (Value::Side(Side::Req | Side::Bereq), "xid") => Some(Value::Text(Text::Xid)),
            (Value::Side(side @ (Side::Resp | Side::Beresp)), "reason") => Some(Value::Text(Text::Reason(side))),
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
            (Value::Peer(peer), "ip") => Some(Value::Ip(peer)),
            (Value::Peer(Peer::Client), "identity") => Some(Value::Text(Text::ClientIdentity)),
            (Value::Peer(Peer::Client), "port") => int(|s| i64::from(s.client.port)),
            (Value::Peer(Peer::Server), "port") => int(|s| i64::from(s.server.port)),
            _ => None,
        }
    }

    fn method(&mut self, value: Value, name: &str, args: &[Expr], at: Position) -> Option<Value> {
        let at = At::new(at);
        let cond = |c| Some(Value::Cond(c));
        match (value, name, args) {
            (Value::Side(side @ (Side::Req | Side::Bereq)), "is_get_or_head", []) => cond(Cond::GetOrHead(side)),
            (Value::Headers(side), "has", [Expr::StringConstant(n, _)]) => cond(Cond::HasField(side, small(n))),
            (Value::Headers(side), "remove", [Expr::StringConstant(n, _)]) if self.may_write_field(side, n) => {
                Some(Value::Effect(Statement::RemoveField(side, small(n), at)))
            }
            (Value::Headers(side), "remove_matching", [Expr::StringConstant(n, _)]) if self.may_write(side) => {
                Some(Value::Effect(Statement::RemoveMatching(side, small(n), at)))
            }
            (Value::Cookies(side), "has", [Expr::StringConstant(n, _)]) => cond(Cond::HasCookie(side, small(n))),
            (Value::Cookies(side), "get", [Expr::StringConstant(n, _)]) => {
                Some(Value::Maybe(Maybe::Cookie(side, small(n))))
            }
            (Value::Cookies(side), "remove", [Expr::StringConstant(n, _)]) if self.may_write(side) => {
                Some(Value::Effect(Statement::RemoveCookie(side, small(n), at)))
            }
            (Value::Cookies(side), "keep", [list]) if self.may_write(side) => {
                let Value::Names(names) = self.value(list)? else { return None };
                Some(Value::Effect(Statement::KeepCookies(side, names, at)))
            }
            (Value::Ip(peer), "within", [Expr::StringConstant(n, _)]) => {
                let acl = self.env.acls.get(n.as_str())?;
                cond(Cond::Within(peer, Box::new(acl.clone())))
            }
            (Value::Key, "add", [part]) => {
                let part = maybe(self.value(part)?)?;
                (self.hook == Hook::Hash).then_some(Value::Effect(Statement::AddKey(part, at)))
            }
            (Value::Text(text), "starts_with", [arg]) => cond(Cond::StartsWith(text, self.text(arg)?)),
            (Value::Text(text), "ends_with", [arg]) => cond(Cond::EndsWith(text, self.text(arg)?)),
            (Value::Text(text), "contains", [arg]) => cond(Cond::Contains(text, self.text(arg)?)),
            (value @ (Value::Text(_) | Value::Maybe(_)), "matches", [Expr::StringConstant(re, _)]) => {
                let regex = patterns::compile(re).ok()?;
                cond(Cond::Matches(maybe(value)?, Box::new(regex)))
            }
            _ => None,
        }
    }

    fn may_write(&self, side: Side) -> bool {
        let ty = match side {
            Side::Req => Type::Req,
            Side::Bereq => Type::Bereq,
            Side::Resp => Type::Resp,
            Side::Beresp => Type::Beresp,
        };
        writable(ty).has(self.hook)
    }

    fn may_write_field(&self, side: Side, name: &str) -> bool {
        let framing = name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding");
        self.may_write(side) && is_token(name.as_bytes()) && !(framing && side.is_request())
    }

    fn may_write_var(&self, object: &str, name: &str) -> bool {
        vars::find(object, name).map_or(HookSet::NONE, |v| v.write).has(self.hook)
    }

    pub(super) fn assignment(&mut self, lhs: &Expr, rhs: &Expr) -> Option<Statement> {
        let mut links = Vec::new();
        flatten(lhs, false, Position::NONE, &mut links)?;
        let (target, path) = links.split_last()?;
        let (first, between) = path.split_first()?;
        let mut object = self.value(first.0)?;
        for (link, index, _) in between {
            object = self.step(object, link, *index)?;
        }
        let value = self.value(rhs)?;
        let (name, at) = match target {
            (Expr::StringConstant(name, _), true, at) => (name.as_str(), *at),
            // As Rhai has it: the property itself right after the variable, the dot before it further on.
            (Expr::Property(p, at), false, dot) => (p.2.as_str(), if between.is_empty() { *at } else { *dot }),
            _ => return None,
        };
        let at = At::new(at);
        if let Value::Headers(side) = object {
            if !self.may_write_field(side, name) {
                return None;
            }
            let value = match value {
                Value::Text(text) => FieldValue::Text(text),
                Value::Maybe(maybe) => FieldValue::Maybe(maybe),
                Value::Int(int) => FieldValue::Int(int),
                Value::Unit => return Some(Statement::RemoveField(side, small(name), at)),
                _ => return None,
            };
            return Some(Statement::SetField(side, small(name), value, at));
        }
        let Value::Side(side) = object else { return None };
        let owner = match side {
            Side::Req => "req",
            Side::Bereq => "bereq",
            Side::Resp => "resp",
            Side::Beresp => "beresp",
        };
        if target.1 || !self.may_write_var(owner, name) {
            return None;
        }
        Some(match (side, name, value) {
            (Side::Req | Side::Bereq, "url", Value::Text(text)) => Statement::SetUrl(side, text, at),
            (Side::Req, "backend" | "backend_hint", Value::Backend(name))
            | (Side::Bereq, "backend", Value::Backend(name)) => Statement::SetBackend(side, name),
            (Side::Req, "grace", Value::Span(span)) => Statement::SetSpan(|s, v| s.req_vars.grace = Some(v), span),
            (Side::Req, "max_age", Value::Span(span)) => Statement::SetSpan(|s, v| s.req_vars.max_age = Some(v), span),
            (Side::Beresp, "ttl", Value::Span(span)) => Statement::SetSpan(|s, v| s.beresp_vars.ttl = v, span),
            (Side::Beresp, "grace", Value::Span(span)) => Statement::SetSpan(|s, v| s.beresp_vars.grace = v, span),
            (Side::Beresp, "keep", Value::Span(span)) => Statement::SetSpan(|s, v| s.beresp_vars.keep = v, span),
            (Side::Beresp, "stale_if_error", Value::Span(span)) => {
                Statement::SetSpan(|s, v| s.beresp_vars.stale_if_error = v, span)
            }
            (Side::Beresp, "uncacheable", Value::Cond(Cond::Const(true))) => {
                Statement::SetFlag(|s, v| s.beresp_vars.uncacheable = v, true)
            }
            (Side::Req, "hash_always_miss", Value::Cond(Cond::Const(b))) => {
                Statement::SetFlag(|s, v| s.req_vars.hash_always_miss = v, b)
            }
            (Side::Req, "hash_ignore_busy", Value::Cond(Cond::Const(b))) => {
                Statement::SetFlag(|s, v| s.req_vars.hash_ignore_busy = v, b)
            }
            _ => return None,
        })
    }
}

/// A link of a chain: whether it stands in brackets, and where its dot or bracket is.
type Link<'e> = (&'e Expr, bool, Position);

/// The links of a chain like `req.http["x"]`. `?.` is not known here.
fn flatten<'e>(e: &'e Expr, index: bool, at: Position, out: &mut Vec<Link<'e>>) -> Option<()> {
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
