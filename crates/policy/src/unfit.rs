//! What to say of a call that no function of its name takes. Rhai tells the types as Rust has them; a person wants to know
//! what is missing, by the name that it has in the script, and what to write.

use crate::fault::Fault;
use crate::functions::{FUNCTIONS, On, RHAI};
use crate::vars::Type;

/// How Rhai's signature of it is wrapped in the message of a fault.
const BEFORE: &str = "there is no function `";
/// What is longer is not repeated in a message.
const SHOWN: usize = 60;

/// Says it in the words of the script; `text` is that of the fault's file.
pub(crate) fn explain(fault: &mut Fault, text: &str) {
    let signature = fault.message.strip_prefix(BEFORE).and_then(|rest| rest.strip_suffix("`"));
    let Some((name, types)) = signature.and_then(|s| s.strip_suffix(')')?.split_once(" (")) else { return };
    let types: Vec<String> = types.split(", ").filter(|t| !t.is_empty()).map(plain).collect();
    let place = Place::of(text, fault.line, fault.column);
    fault.message = match types.iter().position(|t| t == "()") {
        Some(at) if is_operator(name) => operator(name, at, &types),
        Some(at) => missing(name, at, place),
        None => mismatch(name, &types),
    };
}

/// The name of a type in the script.
fn plain(rust: &str) -> String {
    match rust {
        "&str | ImmutableString | String" => "string".to_owned(),
        "i64" => "int".to_owned(),
        "f64" => "float".to_owned(),
        other => other.to_owned(),
    }
}

fn is_operator(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn operator(name: &str, at: usize, types: &[String]) -> String {
    let other = types.iter().enumerate().find(|(i, t)| *i != at && *t != "()").map(|(_, t)| t.as_str());
    let with = other.map_or(String::new(), |t| format!(" and {t}"));
    let instead = match other {
        Some("string") => "\"\"",
        Some("float") => "0.0",
        Some("Duration") => "duration(\"0s\")",
        _ => "0",
    };
    format!("a value is missing here: `{name}` does not take `()`{with}; write `(… ?? {instead})`")
}

fn mismatch(name: &str, types: &[String]) -> String {
    format!(
        "there is no `{name}` that takes {}",
        if types.is_empty() { "nothing".to_owned() } else { types.join(", ") }
    )
}

/// `at` is the place of `()` among the values; a method's own value comes first.
fn missing(name: &str, at: usize, place: Option<Place<'_>>) -> String {
    let method = place.is_some_and(|p| p.is_method());
    let what = place.and_then(|p| match (method, at) {
        (true, 0) => p.receiver(),
        (true, at) => p.argument(name, at - 1),
        (false, at) => p.argument(name, at),
    });
    let verdict = match (method, at) {
        (true, 0) => format!("`()` has no `{name}`"),
        _ => format!("`{name}` does not take `()`"),
    };
    let instead = fallback(name, if method { at.checked_sub(1) } else { Some(at) });
    match (what, instead) {
        (Some(what), Some(instead)) => format!("`{what}` is missing here: {verdict}; write `({what} ?? {instead})`"),
        (Some(what), None) => format!("`{what}` is missing here: {verdict}; ask `{what} != ()` first"),
        (None, Some(instead)) => format!("a value is missing here: {verdict}; write `(… ?? {instead})`"),
        (None, None) => format!("a value is missing here: {verdict}; ask `… != ()` first"),
    }
}

/// What to write instead of `()` for that argument of a function, or without one for the value that has the method.
fn fallback(name: &str, argument: Option<usize>) -> Option<&'static str> {
    let bare = name.rsplit("::").next().unwrap_or(name);
    let of_module = |f: &&crate::functions::Function| match (f.on, name.split_once("::")) {
        (On::Module(m), Some((module, _))) => m == module,
        (On::Module(_), None) | (_, Some(_)) => false,
        (On::Free | On::Type(_), None) => true,
    };
    let mut rows = FUNCTIONS.iter().filter(|f| f.name == bare).filter(of_module);
    let Some(argument) = argument else {
        return match rows.find_map(|f| if let On::Type(ty) = f.on { Some(ty) } else { None }) {
            Some(Type::Text) => Some("\"\""),
            Some(Type::Duration) => Some("duration(\"0s\")"),
            Some(_) => None,
            None => RHAI.contains(&bare).then_some("\"\""),
        };
    };
    match rows.find_map(|f| f.params.get(argument)) {
        Some(param) if param.ends_with(": string") => Some("\"\""),
        Some(param) if param.ends_with(": int") => Some("0"),
        Some(param) if param.ends_with(": Duration") => Some("duration(\"0s\")"),
        Some(_) => None,
        None => RHAI.contains(&bare).then_some("\"\""),
    }
}

/// The text before a place of the script, and that from there on.
#[derive(Clone, Copy)]
struct Place<'a>(&'a str, &'a str);

impl<'a> Place<'a> {
    fn of(text: &'a str, line: usize, column: usize) -> Option<Self> {
        let start: usize = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
        let column = column.checked_sub(1)?;
        let within = text[start..].char_indices().nth(column).map(|(i, _)| i)?;
        Some(Place(&text[..start + within], &text[start + within..]))
    }

    fn is_method(self) -> bool {
        self.0.trim_end().ends_with('.')
    }

    /// What stands before the dot: names, dots, `[…]` and `(…)`.
    fn receiver(self) -> Option<&'a str> {
        let before = self.0.trim_end().strip_suffix('.')?.trim_end();
        let mut start = before.len();
        while let Some(c) = before[..start].chars().next_back() {
            start = match c {
                ']' | ')' => opening(&before[..start])?,
                c if c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '?') => start - c.len_utf8(),
                _ => break,
            };
        }
        short(before[start..].trim_start_matches(['?', ':', '.']))
    }

    /// The argument of that index of the call that begins here with its name.
    fn argument(self, name: &str, index: usize) -> Option<&'a str> {
        let bare = name.rsplit("::").next().unwrap_or(name);
        let rest = self.1.strip_prefix(bare)?.trim_start().strip_prefix('(')?;
        let (mut depth, mut quote, mut escaped, mut start, mut seen) = (0_usize, None, false, 0, 0);
        for (i, c) in rest.char_indices() {
            let ends = depth == 0 && quote.is_none() && matches!(c, ',' | ')');
            if ends && seen == index {
                return short(rest[start..i].trim());
            }
            match c {
                _ if escaped => escaped = false,
                '\\' if quote == Some('"') => escaped = true,
                c if quote == Some(c) => quote = None,
                _ if quote.is_some() => {}
                '"' | '`' => quote = Some(c),
                '(' | '[' | '{' => depth += 1,
                ',' if ends => (seen, start) = (seen + 1, i + 1),
                ')' | ']' | '}' => depth = depth.checked_sub(1)?,
                _ => {}
            }
        }
        None
    }
}

/// Where the bracket that the text ends with was opened; none when a quote inside makes that hard to say.
fn opening(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut quoted = false;
    for (i, c) in text.char_indices().rev() {
        match c {
            '"' | '`' => quoted = !quoted,
            _ if quoted => {}
            ')' | ']' => depth += 1,
            '(' | '[' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(i);
                }
            }
            _ => {}
        }
    }
    None
}

fn short(text: &str) -> Option<&str> {
    (!text.is_empty() && text.len() <= SHOWN && !text.contains('\n')).then_some(text)
}
