//! What plain values have: properties, methods, operators, indices. Rhai says what is missing only when the line runs.

use super::walk::Walker;
use crate::diagnostic::did_you_mean;
use crate::functions::{FUNCTIONS, On, RHAI};
use crate::vars::Type;
use rhai::{Expr, Position};

/// The properties of Rhai's own types.
const fn properties(ty: Type) -> Option<&'static [&'static str]> {
    Some(match ty {
        Type::Text => &["len", "is_empty", "bytes", "chars"],
        Type::Array => &["len", "is_empty"],
        Type::Int => &["is_zero", "is_odd", "is_even", "bits"],
        Type::Float => {
            &["is_zero", "floor", "ceiling", "round", "int", "fraction", "is_nan", "is_finite", "is_infinite"]
        }
        Type::Bool | Type::Duration | Type::Time | Type::Address | Type::Action | Type::Unit => &[],
        _ => return None,
    })
}

/// Methods that values of every type have.
const COMMON: [&str; 6] = ["to_string", "to_debug", "type_of", "is_shared", "print", "debug"];

/// Methods of Rhai that only texts, arrays and maps have.
const OF_LISTS: [&str; 32] = [
    "len",
    "is_empty",
    "starts_with",
    "ends_with",
    "to_upper",
    "to_lower",
    "make_upper",
    "make_lower",
    "trim",
    "index_of",
    "sub_string",
    "crop",
    "replace",
    "remove",
    "pop",
    "push",
    "append",
    "truncate",
    "clear",
    "pad",
    "split",
    "split_rev",
    "chars",
    "to_chars",
    "to_blob",
    "parse_int",
    "parse_float",
    "filter",
    "map",
    "reduce",
    "sort",
    "contains",
];

/// Those of them that texts do not have.
const NOT_OF_TEXTS: [&str; 12] =
    ["push", "find", "shift", "filter", "map", "reduce", "some", "all", "sort", "reverse", "dedup", "index_of_fn"];

/// Those of them that arrays do not have.
const NOT_OF_ARRAYS: [&str; 18] = [
    "starts_with",
    "ends_with",
    "to_upper",
    "to_lower",
    "make_upper",
    "make_lower",
    "trim",
    "sub_string",
    "crop",
    "replace",
    "chars",
    "to_chars",
    "parse_int",
    "parse_float",
    "split_rev",
    "matches",
    "replace_re",
    "captures",
];

/// Is it known that values of the type have no such method?
pub(super) fn lacks(ty: Type, name: &str) -> bool {
    if COMMON.contains(&name) {
        return false;
    }
    let ours = |ty: Type| FUNCTIONS.iter().any(|f| f.name == name && f.on == On::Type(ty));
    let of_others = FUNCTIONS.iter().any(|f| f.name == name && matches!(f.on, On::Type(_))) && !RHAI.contains(&name);
    match ty {
        Type::Text => NOT_OF_TEXTS.contains(&name) || (of_others && !ours(ty)),
        Type::Array => NOT_OF_ARRAYS.contains(&name) || (of_others && !ours(ty)),
        Type::Bool | Type::Int | Type::Float | Type::Duration | Type::Time | Type::Address | Type::Action => {
            OF_LISTS.contains(&name) || (of_others && !ours(ty))
        }
        _ => false,
    }
}

/// Is it known that there is no such operation on these types?
pub(super) fn impossible(op: &str, a: Type, b: Type) -> bool {
    use Type::{Action, Address, Array, Bool, Duration, Float, Int, Map, Text, Time};
    let op = op.strip_suffix('=').unwrap_or(op);
    let plain = |ty| matches!(ty, Action | Address | Array | Bool | Duration | Float | Int | Map | Text | Time);
    if !plain(a) || !plain(b) || !matches!(op, "+" | "-" | "*" | "/" | "%") {
        return false;
    }
    match (op, a, b) {
        // A text takes anything behind it, and before it.
        ("+", Text | Array, _) | ("+", _, Text | Array) => false,
        ("+", Map, Map) | ("-", Text, Text) => false,
        (_, Int | Float, Int | Float) => false,
        ("+" | "-", Duration, Duration) | ("/", Duration, Duration | Int | Float) => false,
        ("+" | "-", Time, Duration) | ("-", Time, Time) => false,
        ("*", Duration, Int | Float) | ("*", Int | Float, Duration) => false,
        _ => true,
    }
}

impl Walker<'_> {
    /// A property of a plain value.
    pub(super) fn plain_property(&mut self, base: Type, name: &str, at: Position) -> Type {
        let Some(known) = properties(base) else { return Type::Any };
        if known.contains(&name) {
            return match name {
                "len" | "bytes" | "int" => Type::Int,
                "is_empty" | "is_zero" | "is_odd" | "is_even" | "is_nan" | "is_finite" | "is_infinite" => Type::Bool,
                _ => Type::Any,
            };
        }
        let message = format!("{} has no variable `{name}`", self::named(base));
        let method = FUNCTIONS.iter().any(|f| f.name == name && f.on == On::Type(base));
        let help = match (base, name) {
            _ if method => Some(format!("it is a method: `….{name}()`")),
            (Type::Text | Type::Array, "length" | "size" | "count") => Some("write `.len()`".to_owned()),
            (Type::Time, _) => {
                Some("write `std::strftime(now, \"%H\")`, or `.unix()` for seconds since 1970".to_owned())
            }
            (Type::Duration, _) => Some("write `.seconds()`, or compare: `… > duration(\"5s\")`".to_owned()),
            (Type::Text, "path") => Some("write `url::path(…)`".to_owned()),
            _ => did_you_mean(name, known.iter().copied()),
        };
        self.report(at, message, help);
        Type::Any
    }

    /// Reports a method that values of that type do not have.
    pub(super) fn plain_method(&mut self, base: Type, name: &str, at: Position) -> bool {
        if !lacks(base, name) || self.parsed.function(name).is_some() {
            return false;
        }
        let help = match (base, name) {
            (Type::Text, "within") => Some("write `std::ip(…, client.ip).within(…)`".to_owned()),
            (Type::Text, "push") => Some("write `x += …`".to_owned()),
            (Type::Duration, _) => Some("compare it: `… > duration(\"5s\")`, or write `.seconds()`".to_owned()),
            (Type::Address, _) => Some("ask `.within(\"acl\")`, or write `` `${…}` `` for its text".to_owned()),
            (Type::Array | Type::Text, _) => None,
            _ => Some("write `` `${…}` `` for its text".to_owned()),
        };
        self.report(at, format!("{} has no method `{name}`", self::named(base)), help);
        true
    }

    /// Reports sums and the like that cannot be.
    pub(super) fn arithmetic(&mut self, op: &str, a: Type, b: Type, at: Position) {
        if !impossible(op, a, b) {
            return;
        }
        let message = format!("there is no `{op}` of {} and {}", a.name(), b.name());
        let help = match (a, b) {
            (Type::Duration | Type::Time, Type::Int) => Some("write `duration(\"5s\")` for the number".to_owned()),
            (Type::Duration | Type::Time, Type::Text) => Some("write `duration(\"…\")` for the text".to_owned()),
            (Type::Text, Type::Int | Type::Float) | (Type::Int | Type::Float, Type::Text) => {
                Some("write `std::integer(…, 0)` for the text".to_owned())
            }
            (Type::Duration, Type::Time) => Some("write the time first: `now + duration(\"1h\")`".to_owned()),
            (Type::Action, _) | (_, Type::Action) => Some("an action can only be returned".to_owned()),
            _ => None,
        };
        self.report(at, message, help);
    }

    /// An index of a plain value.
    pub(super) fn plain_index(&mut self, base: Type, at: &Expr, ty: Type) {
        let (wrong, help) = match (base, ty) {
            (Type::Headers | Type::Vars, Type::Int | Type::Bool | Type::Float) => {
                (true, "a name is a text: `[\"name\"]`")
            }
            (Type::Text | Type::Array, Type::Text | Type::Bool | Type::Float) => (true, "it takes a number, from 0"),
            (Type::Map, Type::Int | Type::Bool | Type::Float) => (true, "a key is a text: `[\"name\"]`"),
            (Type::Bool | Type::Float | Type::Duration | Type::Time | Type::Address | Type::Action, _) => {
                (true, "only texts, arrays, maps and header fields have it")
            }
            _ => (false, ""),
        };
        if wrong {
            let message = format!("{} has no `[{}]`", self::named(base), ty.name());
            self.report(at.start_position(), message, Some(help.to_owned()));
        }
    }

    /// What a loop goes over.
    pub(super) fn looped(&mut self, e: &Expr, ty: Type) {
        let help = match ty {
            Type::Headers => "ask for one field: `.all(\"name\")` gives its lines",
            Type::Cookies | Type::Vars => "ask for one of them by its name",
            Type::Map => "loop over `.keys()` or `.values()`",
            ty if ty.object().is_some() => "ask for something of it",
            Type::Bool | Type::Float | Type::Duration | Type::Time | Type::Address | Type::Backend | Type::Action => {
                "a loop goes over an array, a range such as `0..5`, or the characters of a text"
            }
            Type::Int => "write a range: `0..5`",
            _ => return,
        };
        let message = format!("a loop cannot go over {}", self::named(ty));
        self.report(e.start_position(), message, Some(help.to_owned()));
    }
}

/// The type in a sentence.
fn named(ty: Type) -> String {
    match ty {
        Type::Text => "a string".to_owned(),
        Type::Array | Type::Address | Type::Action => format!("an {}", ty.name()),
        Type::Int => "an int".to_owned(),
        Type::Bool | Type::Float | Type::Duration | Type::Time | Type::Map | Type::Backend => {
            format!("a {}", ty.name())
        }
        ty => ty.name().to_owned(),
    }
}
