//! `json::`: reading JSON (RFC 8259), within the limits of a policy, and writing texts into it.

use crate::current::Res;
use crate::fault::{FaultKind, HostError};
use crate::library::ModuleFunction;
use crate::limits::{Limit, Limits};
use rhai::{Array, Dynamic, Engine, ImmutableString, Map, Module};
use serde_json::Value;

/// The value in a script; numbers that are no 64-bit integers are floats.
pub(crate) fn to_script(value: Value, limits: &Limits) -> Result<Dynamic, HostError> {
    let too_large = |limit, what| Err(HostError::new(FaultKind::Limit(limit), format!("{what} grew too large")));
    Ok(match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(b) => b.into(),
        Value::Number(n) => match n.as_i64() {
            Some(i) => i.into(),
            None => n.as_f64().unwrap_or(f64::NAN).into(),
        },
        Value::String(s) if s.len() > limits.string_bytes => return too_large(Limit::StringBytes, "a string"),
        Value::String(s) => s.into(),
        Value::Array(list) if list.len() > limits.array => return too_large(Limit::Array, "an array"),
        Value::Array(list) => {
            let list: Result<Array, HostError> = list.into_iter().map(|v| to_script(v, limits)).collect();
            list?.into()
        }
        Value::Object(map) if map.len() > limits.map => return too_large(Limit::Map, "a map"),
        Value::Object(map) => {
            let mut out = Map::new();
            for (name, value) in map {
                out.insert(name.into(), to_script(value, limits)?);
            }
            out.into()
        }
    })
}

/// Gives scripts the module. The depth is bounded by serde_json: 128.
pub(crate) fn register(e: &mut Engine, limits: &Limits) {
    let mut m = Module::new();
    let l = limits.clone();
    ModuleFunction::new("parse").set_into_module(&mut m, move |text: &str| -> Res<Dynamic> {
        Ok(serde_json::from_str(text).map_or(Ok(Dynamic::UNIT), |v| to_script(v, &l))?)
    });
    ModuleFunction::new("parse").set_into_module(&mut m, |(): ()| Dynamic::UNIT);
    let l = limits.clone();
    ModuleFunction::new("get").set_into_module(&mut m, move |text: &str, pointer: &str| -> Res<Dynamic> {
        let found = serde_json::from_str::<Value>(text).ok().and_then(|mut v| Some(v.pointer_mut(pointer)?.take()));
        Ok(found.map_or(Ok(Dynamic::UNIT), |v| to_script(v, &l))?)
    });
    ModuleFunction::new("get").set_into_module(&mut m, |(): (), _: &str| Dynamic::UNIT);
    ModuleFunction::new("quote")
        .set_into_module(&mut m, |text: &str| ImmutableString::from(Value::from(text).to_string()));
    e.register_static_module("json", m.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_types_and_their_limits() {
        let limits = Limits { array: 2, map: 1, string_bytes: 3, ..Limits::default() };
        let read = |text: &str| to_script(serde_json::from_str(text).expect("JSON"), &limits);
        assert_eq!(read("[1, 2.5]").expect("small").to_string(), "[1, 2.5]");
        assert!(read("18446744073709551615").expect("a float").is_float() && read("null").expect("null").is_unit());
        for (text, limit) in
            [("[1,2,3]", Limit::Array), (r#"{"a":1,"b":2}"#, Limit::Map), (r#"[["long"]]"#, Limit::StringBytes)]
        {
            assert_eq!(read(text).expect_err("too large").kind, FaultKind::Limit(limit));
        }
    }
}
