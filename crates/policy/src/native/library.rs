//! Functions of the modules.

use super::compile::{Compiler, Value, maybe, small};
use super::cond::{Cond, Int};
use super::effect::Statement;
use super::length::Length;
use super::local::Any;
use super::text::{Maybe, Part, Text};
use super::{At, Frame, Give, Run};
use crate::library::throttle::{self, Verdict};
use crate::library::{connection, digest, query, system, text, time, url};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rhai::{Expr, Position};

fn give_text(f: impl Fn(&Frame<'_>) -> Run<String> + Send + Sync + 'static) -> Value {
    Value::Text(Text::Host(Give::new(f)))
}

fn give_maybe(f: impl Fn(&Frame<'_>) -> Run<Option<String>> + Send + Sync + 'static) -> Value {
    Value::Maybe(Maybe::Host(Give::new(f)))
}

fn give_cond(f: impl Fn(&Frame<'_>) -> Run<bool> + Send + Sync + 'static) -> Value {
    Value::Cond(Cond::Host(Give::new(f)))
}

fn give_int(f: impl Fn(&Frame<'_>) -> Run<i64> + Send + Sync + 'static) -> Value {
    Value::Int(Int::Host(Give::new(f)))
}

fn made(f: fn(&str) -> String) -> impl Fn(Text, At) -> Value {
    move |text, at| {
        give_text(move |frame| {
            let made = f(&text.eval(frame)?);
            frame.sized(at, made)
        })
    }
}

/// Can the backend serve? The default, if it is `()`.
pub(super) fn healthy(backend: Value) -> Option<Cond> {
    Some(Cond::Healthy(match backend {
        Value::Backend(name) => Maybe::Text(name),
        Value::MaybeBackend(name) => name,
        Value::Unit => Maybe::Nothing,
        _ => return None,
    }))
}

/// What is known of the connection.
fn told(module: &str, name: &str) -> Option<Value> {
    if let Some(read) = connection::text(module, name) {
        return Some(give_maybe(move |f| Ok(read(f.scene).map(str::to_owned))));
    }
    if let Some(read) = connection::flag(module, name) {
        return Some(Value::Cond(Cond::Flag(read)));
    }
    connection::int(module, name).map(|read| Value::Any(Any::Told(read)))
}

impl<'a> Compiler<'a> {
    pub(super) fn module_call(
        &mut self,
        module: &str,
        name: &str,
        args: &'a [Expr],
        position: Position,
    ) -> Option<Value> {
        let at = At::new(position);
        match module {
            "query" => self.query(name, args, at),
            "url" => self.url(name, args, at),
            "std" => self.std(name, args, at).or_else(|| self.secrets(name, args, at)),
            "throttle" => self.throttle(name, args),
            "tags" => self.tags(name, args),
            "proxy" | "unix" if args.is_empty() => told(module, name),
            _ => None,
        }
    }

    fn query(&mut self, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        Some(match (name, args) {
            ("sort", [url]) => Value::Text(Text::Sort(Box::new(self.text_of("query::sort", url, at)?))),
            ("without" | "keep", [url, list]) => {
                let (url, Value::Names(names)) = (Box::new(self.text(url)?), self.value(list)?) else { return None };
                Value::Text(if name == "keep" { Text::Keep(url, names) } else { Text::Without(url, names) })
            }
            ("get", [url, Expr::StringConstant(n, _)]) => Value::Maybe(Maybe::Param(self.text(url)?, small(n))),
            ("set", [url, Expr::StringConstant(n, _), value]) => {
                let (url, name, value) = (self.text(url)?, small(n), self.value(value)?);
                let value = match value {
                    Value::Int(int) => Maybe::Text(Text::Join([Part::Int(int)].into(), at)),
                    value => maybe(value)?,
                };
                give_text(move |f| f.sized(at, query::set(&url.eval(f)?, &name, value.eval(f)?.as_deref())))
            }
            _ => return None,
        })
    }

    fn url(&mut self, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        Some(match (name, args) {
            ("path", [url]) => Value::Text(Text::Path(Box::new(self.text_or_empty(url)?))),
            ("query", [url]) => Value::Text(Text::Query(Box::new(self.text_or_empty(url)?))),
            ("extension", [url]) => Value::Text(Text::Extension(Box::new(self.text_or_empty(url)?))),
            ("decode", [text]) => {
                let decode = |t: &str| t.contains('%').then(|| url::decode(t, false));
                Value::Text(Text::Made(decode, Box::new(self.text_or_empty(text)?), at))
            }
            ("encode", [text]) => made(url::encode)(self.text_or_empty(text)?, at),
            ("is_signed", [url, key]) => {
                let (url, key) = (self.text(url)?, self.text(key)?);
                give_cond(move |f| Ok(digest::is_signed(&url.eval(f)?, &key.eval(f)?, f.scene.now)))
            }
            _ => return None,
        })
    }

    fn std(&mut self, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        Some(match (name, args) {
            ("tolower", [text]) => Value::Text(Text::Lower(Box::new(self.text_or_empty(text)?))),
            ("toupper", [text]) => Value::Text(Text::Upper(Box::new(self.text_or_empty(text)?))),
            ("healthy", [Expr::StringConstant(n, _)]) => {
                let known = self.env.serves(n).then(|| Maybe::Text(Text::Lit(small(n))));
                Value::Cond(Cond::Healthy(known?))
            }
            ("healthy", [backend]) => Value::Cond(healthy(self.value(backend)?)?),
            ("log", [value]) => {
                let text = match self.value(value)? {
                    Value::Text(text) => text,
                    Value::Maybe(maybe) => Text::Or(Box::new(maybe), Box::new(Text::Lit(small("()")))),
                    Value::Int(int) => Text::Join([Part::Int(int)].into(), at),
                    _ => return None,
                };
                Value::Effect(Statement::Log(text, at))
            }
            ("escape_html", [text]) => made(system::escape_html)(self.text_or_empty(text)?, at),
            ("fnmatch", [Expr::StringConstant(pattern, _), text, rest @ ..]) => {
                let pathname = match rest {
                    [] => true,
                    [Expr::BoolConstant(pathname, _)] => *pathname,
                    _ => return None,
                };
                let (pattern, text) = (small(pattern), self.maybe(text)?);
                give_cond(move |f| Ok(text.eval(f)?.is_some_and(|t| text::fnmatch(&pattern, &t, pathname))))
            }
            ("integer", [text, fallback]) => {
                let (text, Value::Int(fallback)) = (self.maybe(text)?, self.value(fallback)?) else { return None };
                give_int(move |f| {
                    let fallback = fallback.eval(f)?;
                    Ok(text.eval(f)?.and_then(|t| t.trim().parse().ok()).unwrap_or(fallback))
                })
            }
            ("accept", [field, offered]) => {
                let (field, Value::Names(offered)) = (self.maybe(field)?, self.value(offered)?) else { return None };
                if offered.is_empty() {
                    return None;
                }
                give_text(move |f| {
                    let offered: Vec<&str> = offered.iter().map(|o| &**o).collect();
                    let field = field.eval(f)?.unwrap_or_default();
                    Ok(text::accept(&field, &offered).unwrap_or_default().to_owned())
                })
            }
            ("bucket", [key, Expr::IntegerConstant(n, _)]) => {
                let (key, n) = (self.text(key)?, u32::try_from(*n).ok().filter(|n| *n > 0)?);
                give_int(move |f| Ok(i64::from(text::bucket(&key.eval(f)?, n))))
            }
            ("file", [Expr::StringConstant(path, _)]) => {
                Value::Text(Text::Lit(small(self.script.files.get(path.as_str())?)))
            }
            ("random", [from, to]) => {
                let (Value::Int(from), Value::Int(to)) = (self.value(from)?, self.value(to)?) else { return None };
                give_int(move |f| {
                    let (from, to) = (from.eval(f)?.into(), to.eval(f)?.into());
                    let number = system::random(f.env, &from, &to).map_err(|e| at.stop(e))?;
                    Ok(number.as_int().unwrap_or(0))
                })
            }
            ("strftime", [now, Expr::StringConstant(format, _)]) => {
                let (Value::Now, format) = (self.value(now)?, small(format)) else { return None };
                give_text(move |f| f.sized(at, time::strftime(f.scene.now, &format)))
            }
            _ => return None,
        })
    }

    fn secrets(&mut self, name: &str, args: &'a [Expr], at: At) -> Option<Value> {
        Some(match (name, args) {
            ("digest", [Expr::StringConstant(algorithm, _), text]) => {
                let (algorithm, text) = (small(algorithm), self.text(text)?);
                give_text(move |f| digest::digest_of(&algorithm, &text.eval(f)?).map_err(|e| at.stop(e)))
            }
            ("hmac", [Expr::StringConstant(algorithm, _), key, text]) => {
                let (algorithm, key, text) = (small(algorithm), self.text(key)?, self.text(text)?);
                give_text(move |f| digest::hmac_of(&algorithm, &key.eval(f)?, &text.eval(f)?).map_err(|e| at.stop(e)))
            }
            ("base64", [text]) => made(|t| STANDARD.encode(t))(self.text(text)?, at),
            ("base64url", [text]) => made(|t| URL_SAFE_NO_PAD.encode(t))(self.text(text)?, at),
            ("from_base64", [text]) => {
                let text = self.text(text)?;
                give_maybe(move |f| Ok(digest::from_base64(&text.eval(f)?)))
            }
            ("same_secret", [a, b]) => {
                let (a, b) = (self.maybe(a)?, self.text(b)?);
                give_cond(move |f| {
                    let (a, b) = (a.eval(f)?, b.eval(f)?);
                    Ok(a.is_some_and(|a| digest::same_secret(a.as_bytes(), b.as_bytes())))
                })
            }
            ("basic_auth", [field, users]) => {
                let (field, users) = (self.maybe(field)?, self.text(users)?);
                give_maybe(move |f| {
                    let (field, users) = (field.eval(f)?, users.eval(f)?);
                    Ok(field.and_then(|field| digest::basic_auth(&field, &users)))
                })
            }
            _ => return None,
        })
    }

    fn throttle(&mut self, name: &str, args: &'a [Expr]) -> Option<Value> {
        let [key, Expr::StringConstant(per, _), Expr::IntegerConstant(burst, _), block @ ..] = args else {
            return None;
        };
        let (key, rate) = (self.text(key)?, throttle::rate(per, *burst).ok()?);
        let rate = match block {
            [] => rate,
            [block] => match self.value(block)? {
                Value::Length(Length::Lit(span)) => rate.blocking(span),
                _ => return None,
            },
            _ => return None,
        };
        let take = name == "allowed";
        let ask =
            move |f: &Frame<'_>| -> Run<Verdict> { Ok(f.env.throttle.ask(&key.eval(f)?, rate, f.scene.now, take)) };
        Some(match name {
            "allowed" => give_cond(move |f| Ok(ask(f)?.remaining > 0)),
            "remaining" => give_int(move |f| Ok(ask(f)?.remaining)),
            "wait" => Value::Length(Length::Host(Give::new(move |f| Ok(ask(f)?.wait)))),
            _ => return None,
        })
    }

    fn tags(&mut self, name: &str, args: &'a [Expr]) -> Option<Value> {
        let soft = match name {
            "purge" => false,
            "soft_purge" => true,
            _ => return None,
        };
        let [keys] = args else { return None };
        let Value::Names(names) = self.value(keys)? else { return None };
        Some(give_int(move |f| {
            let keys: Vec<&[u8]> = names.iter().map(|n| n.as_bytes()).collect();
            Ok(i64::try_from(f.env.invalidate.purge_tags(&keys, soft, f.scene.now)).unwrap_or(i64::MAX))
        }))
    }
}
