//! Conditions: what stands after `if` and `while`, beside `&&` and `||`, and behind `!` is a boolean. Rhai takes nothing
//! else, and says so only when the line runs; VCL takes a text and asks whether it is there. What has no known type
//! passes.

use super::walk::Walker;
use crate::vars::Type;
use rhai::Expr;

impl Walker<'_> {
    /// An expression that has to be a boolean.
    pub(super) fn condition(&mut self, e: &Expr) {
        let ty = self.expr(e, false);
        self.boolean(e, ty);
    }

    /// Reports what cannot be one.
    pub(super) fn boolean(&mut self, e: &Expr, ty: Type) {
        if let (Type::Any, Some((object, name))) = (ty, element(e, "vars")) {
            let message = format!("a condition is a boolean, and `{object}.vars[\"{name}\"]` is `()` until it is set");
            let help = format!("`{object}.vars[\"{name}\"] == true`, or `{object}.vars.has(\"{name}\")`");
            self.report(e.start_position(), message, Some(help));
        } else if !matches!(ty, Type::Any | Type::Bool) {
            let message = format!("a condition is a boolean, and this is {}", described(e, ty));
            self.report(e.start_position(), message, help(e, ty));
        }
    }
}

fn described(e: &Expr, ty: Type) -> String {
    match (field(e), ty) {
        (Some((object, name)), _) => format!("the text of `{object}.http[\"{name}\"]`, or `()`"),
        (None, Type::Text) => "a string".to_owned(),
        (None, Type::Unit) => "`()`, nothing".to_owned(),
        (None, Type::Action) => "an action".to_owned(),
        (None, ty) => format!("of type {}", ty.name()),
    }
}

fn help(e: &Expr, ty: Type) -> Option<String> {
    if let Some((object, name)) = field(e) {
        return Some(format!("is the field there? `{object}.http.has(\"{name}\")`"));
    }
    Some(match ty {
        Type::Any | Type::Bool => return None,
        Type::Text => "compare it: `… != \"\"`, or `… != ()` where it may be missing".to_owned(),
        Type::Int | Type::Float => "compare it: `… > 0`".to_owned(),
        Type::Duration => "compare it: `… > duration(\"0s\")`, or `… != ()` where it may be unset".to_owned(),
        Type::Array => "ask `… != ()` of what may be missing, or `….len() > 0`".to_owned(),
        Type::Headers | Type::Cookies | Type::Vars => "ask for one of them: `.has(\"name\")`".to_owned(),
        Type::Action => "an action is returned: `if … { return pass(); }`".to_owned(),
        Type::Unit => "it gives nothing that could be asked".to_owned(),
        Type::Backend => "compare it: `… != ()`, or ask `.healthy()`".to_owned(),
        Type::Address => "compare it: `… == \"10.0.0.1\"`, or ask `.within(\"acl\")`".to_owned(),
        Type::Time | Type::Map => "compare it".to_owned(),
        Type::Req
        | Type::Bereq
        | Type::Resp
        | Type::Beresp
        | Type::Obj
        | Type::Key
        | Type::Client
        | Type::Server
        | Type::Local
        | Type::Remote
        | Type::Top
        | Type::Param
        | Type::Storage => "it is always there: ask for something of it".to_owned(),
    })
}

/// The object and the name of a field: `req.http.x_a`, `req.http["x-a"]`.
fn field(e: &Expr) -> Option<(&str, String)> {
    element(e, "http").map(|(object, name)| (object, name.replace('_', "-")))
}

/// The object and the name of an element of its property `of`: `req.vars.x_a`, `req.vars["x_a"]`.
fn element<'e>(e: &'e Expr, of: &str) -> Option<(&'e str, String)> {
    let Expr::Dot(object, ..) = e else { return None };
    let (Expr::Variable(object, ..), Expr::Dot(list, ..) | Expr::Index(list, ..)) = (&object.lhs, &object.rhs) else {
        return None;
    };
    match (&list.lhs, &list.rhs) {
        (Expr::Property(p, _), Expr::Property(name, _)) if p.2 == of => Some((object.1.as_str(), name.2.to_string())),
        (Expr::Property(p, _), Expr::StringConstant(name, _)) if p.2 == of => {
            Some((object.1.as_str(), name.to_string()))
        }
        _ => None,
    }
}
