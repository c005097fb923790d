//! Arguments of Copal's functions: each is of the type that the table says. What has no known type passes, and so does `()`,
//! which is what a missing field or an unset variable is.

use super::walk::Walker;
use crate::functions::{Function, On};
use crate::vars::Type;
use rhai::Expr;

impl Walker<'_> {
    /// Reports the arguments of other types than the function takes.
    pub(super) fn arguments(&mut self, f: &Function, args: &[Expr], types: &[Type]) {
        for ((param, arg), ty) in f.params.iter().zip(args).zip(types) {
            let Some((name, wanted)) = param.split_once(": ") else { continue };
            if matches!(wanted, "?") || matches!(ty, Type::Any | Type::Unit) || ty.name() == wanted {
                continue;
            }
            let message = format!("`{}` takes {wanted} as `{name}`, not {}", shown(f), ty.name());
            self.report(arg.start_position(), message, help(wanted, arg, *ty));
        }
    }
}

pub(super) fn shown(f: &Function) -> String {
    match f.on {
        On::Module(module) => format!("{module}::{}", f.name),
        On::Free | On::Type(_) => f.name.to_owned(),
    }
}

fn help(wanted: &str, arg: &Expr, ty: Type) -> Option<String> {
    match (wanted, arg, ty) {
        ("int", Expr::StringConstant(text, _), _) if text.parse::<i64>().is_ok() => {
            Some(format!("write `{text}` without quotes"))
        }
        ("string", Expr::IntegerConstant(n, _), _) => Some(format!("write `\"{n}\"`")),
        ("float", Expr::IntegerConstant(n, _), _) => Some(format!("write `{n}.0`")),
        ("Duration", Expr::StringConstant(text, _), _) => Some(format!("write `duration(\"{text}\")`")),
        ("Duration", Expr::IntegerConstant(n, _), _) => Some(format!("write `duration(\"{n}s\")`")),
        ("Array", Expr::StringConstant(text, _), _) => Some(format!("write `[\"{text}\"]`")),
        ("int", _, Type::Text) => Some("write `std::integer(…, 0)`".to_owned()),
        ("string", _, _) => Some("write `` `${…}` ``".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::functions::{FUNCTIONS, Function, On};
    use crate::hooks::Hook;
    use crate::{Environment, Policy};
    use std::sync::Arc;

    /// A value of each type.
    const VALUES: [(&str, &str); 8] = [
        ("string", "\"a\""),
        ("int", "5"),
        ("float", "0.5"),
        ("bool", "true"),
        ("Duration", "duration(\"1s\")"),
        ("Time", "now"),
        ("Address", "client.ip"),
        ("Array", "[\"a\"]"),
    ];

    /// The value that has the method, the hook in which there is one, and its first line.
    fn receiver(f: &Function) -> Option<(&'static str, Hook, &'static str)> {
        let On::Type(ty) = f.on else { return Some(("", Hook::Recv, "fn recv(req)")) };
        Some(match ty.name() {
            "string" => ("\"a\".", Hook::Recv, "fn recv(req)"),
            "Request" => ("req.", Hook::Recv, "fn recv(req)"),
            "Headers" => ("req.http.", Hook::Recv, "fn recv(req)"),
            "Cookies" => ("req.cookie.", Hook::Recv, "fn recv(req)"),
            "Vars" => ("req.vars.", Hook::Recv, "fn recv(req)"),
            "Address" => ("client.ip.", Hook::Recv, "fn recv(req)"),
            "Response" => ("resp.", Hook::Deliver, "fn deliver(req, resp)"),
            _ => return None,
        })
    }

    #[test]
    fn what_is_refused_would_be_a_fault() {
        let env = Arc::new(Environment { interpret: true, ..Environment::default() });
        let (mut tried, mut taken) = (0, Vec::new());
        for f in FUNCTIONS {
            let Some((value, hook, head)) = receiver(f) else { continue };
            let prefix = if let On::Module(m) = f.on { format!("{m}::") } else { value.to_owned() };
            for (at, param) in f.params.iter().enumerate() {
                for (ty, wrong) in VALUES.iter().filter(|(ty, _)| !param.ends_with(": ?") && !param.ends_with(ty)) {
                    let arg = |(i, p): (usize, &&str)| match VALUES.iter().find(|(ty, _)| p.ends_with(ty)) {
                        _ if i == at => format!("hide([{wrong}])"),
                        found => found.map_or("\"a\"", |v| v.1).to_owned(),
                    };
                    let args: Vec<String> = f.params.iter().enumerate().map(arg).collect();
                    let call = format!("{prefix}{}({})", f.name, args.join(", "));
                    let source = format!("fn hide(x) {{ x[0] }}\n{head} {{ let x = {call}; }}");
                    // Some take only what is written out, or what the configuration has.
                    let Ok(policy) = Policy::compile("p", &source, Arc::clone(&env)) else { continue };
                    let (_, result) = policy.call(hook, Box::default());
                    if result.is_ok() {
                        taken.push(format!("{call} takes {ty}"));
                    }
                    tried += 1;
                }
            }
        }
        assert_eq!(taken, [""; 0]);
        assert!(tried > 200, "{tried}");
    }
}
