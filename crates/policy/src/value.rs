//! Values between scripts and plain data: text of header fields, durations, what requests carry along.

use crate::fault::{FaultKind, HostError};
use crate::scene::ScriptValue;
use copal_semantics::{HeaderError, Span, Time};
use rhai::{Dynamic, ImmutableString};
use std::borrow::Cow;
use std::cell::RefCell;
use std::net::IpAddr;

/// A backend or director, by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Backend(pub(crate) ImmutableString);

/// Strings shorter than this are kept for the next reader.
const SHARED_BYTES: usize = 64;
/// How many: 16 KiB per thread at most.
const SHARED_SLOTS: usize = 128;

thread_local! {
    static SHARED: RefCell<Vec<ImmutableString>> =
        RefCell::new(vec![ImmutableString::new(); SHARED_SLOTS]);
}

/// A string value. Short ones come from a small cache of the thread, so that methods, hosts and the like cost no memory
/// when they are only compared.
pub(crate) fn text(s: &str) -> ImmutableString {
    if s.len() > SHARED_BYTES {
        return s.into();
    }
    // FNV-1a: the strings are short, and a collision costs only a copy.
    let hash = s.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3));
    let slot = (hash ^ (hash >> 32)) as usize % SHARED_SLOTS;
    SHARED.with_borrow_mut(|shared| {
        let kept = &mut shared[slot];
        if kept.as_str() != s {
            *kept = s.into();
        }
        kept.clone()
    })
}

/// A string value of bytes; what is not UTF-8 is replaced.
pub(crate) fn text_of(bytes: &[u8]) -> ImmutableString {
    match std::str::from_utf8(bytes) {
        Ok(s) => text(s),
        Err(_) => String::from_utf8_lossy(bytes).into_owned().into(),
    }
}

/// The string value, or `()` when there is none.
pub(crate) fn optional<T: Into<Dynamic>>(value: Option<T>) -> Dynamic {
    value.map_or(Dynamic::UNIT, Into::into)
}

/// The type of a value as a message has it.
pub(crate) fn type_name(value: &Dynamic) -> &'static str {
    match value.type_name() {
        "()" => "()",
        "i64" => "an integer",
        "f64" => "a number",
        "bool" => "a boolean",
        "string" => "a string",
        "char" => "a character",
        "array" => "an array",
        "map" => "a map",
        _ if value.is::<Span>() => "a duration",
        _ if value.is::<Time>() => "a time",
        _ if value.is::<IpAddr>() => "an address",
        _ if value.is::<Backend>() => "a backend",
        _ => "an object",
    }
}

/// The text that a value is in a header field; none for `()`.
pub(crate) fn field_text(value: &Dynamic) -> Result<Option<Cow<'static, str>>, HostError> {
    if value.is_unit() {
        return Ok(None);
    }
    Ok(Some(Cow::Owned(if let Ok(i) = value.as_int() {
        i.to_string()
    } else if let Ok(b) = value.as_bool() {
        b.to_string()
    } else if let Ok(f) = value.as_float() {
        f.to_string()
    } else if let Ok(c) = value.as_char() {
        c.to_string()
    } else if let Some(span) = value.clone().try_cast::<Span>() {
        span.to_string()
    } else if let Some(time) = value.clone().try_cast::<Time>() {
        crate::library::time::http_date(time)
    } else if let Some(ip) = value.clone().try_cast::<IpAddr>() {
        ip.to_string()
    } else if let Some(backend) = value.clone().try_cast::<Backend>() {
        backend.0.to_string()
    } else {
        return Err(HostError::value(format!("a header cannot be {}", type_name(value))));
    })))
}

/// Calls `f` with the text of the value, without a copy when it is a string; `None` stands for `()`.
pub(crate) fn with_text<R>(
    value: &Dynamic,
    f: impl FnOnce(Option<&str>) -> Result<R, HostError>,
) -> Result<R, HostError> {
    match value.as_immutable_string_ref() {
        Ok(s) => f(Some(s.as_str())),
        Err(_) => f(field_text(value)?.as_deref()),
    }
}

/// A header refused by its own type.
pub(crate) fn framing(name: &str, error: HeaderError) -> HostError {
    let shown: String = name.chars().take(60).flat_map(char::escape_default).collect();
    HostError::new(FaultKind::Framing, format!("header `{shown}`: {error}"))
}

/// The boolean that `what` takes.
pub(crate) fn to_bool(what: &str, value: &Dynamic) -> Result<bool, HostError> {
    value.as_bool().map_err(|_| HostError::value(format!("`{what}` takes a boolean, not {}", type_name(value))))
}

/// The duration that `what` takes.
pub(crate) fn to_span(what: &str, value: Dynamic) -> Result<Span, HostError> {
    let got = type_name(&value);
    value
        .try_cast::<Span>()
        .ok_or_else(|| HostError::value(format!("`{what}` takes a duration, not {got}: write duration(\"60s\")")))
}

/// The duration that `what` takes, or nothing.
pub(crate) fn to_optional_span(what: &str, value: Dynamic) -> Result<Option<Span>, HostError> {
    if value.is_unit() { Ok(None) } else { to_span(what, value).map(Some) }
}

/// The text that `what` takes.
pub(crate) fn to_text(what: &str, value: &Dynamic) -> Result<ImmutableString, HostError> {
    value
        .as_immutable_string_ref()
        .map(|s| s.clone())
        .map_err(|_| HostError::value(format!("`{what}` takes a string, not {}", type_name(value))))
}

/// From a script into a form that can leave the thread.
pub(crate) fn to_plain(value: Dynamic) -> Result<ScriptValue, HostError> {
    Ok(if value.is_unit() {
        ScriptValue::Unit
    } else if let Ok(b) = value.as_bool() {
        ScriptValue::Bool(b)
    } else if let Ok(i) = value.as_int() {
        ScriptValue::Int(i)
    } else if let Ok(f) = value.as_float() {
        ScriptValue::Float(f)
    } else if let Ok(s) = value.as_immutable_string_ref() {
        ScriptValue::Text(s.to_string())
    } else if let Some(span) = value.clone().try_cast::<Span>() {
        ScriptValue::Span(span)
    } else if let Some(time) = value.clone().try_cast::<Time>() {
        ScriptValue::Time(time)
    } else if let Some(ip) = value.clone().try_cast::<IpAddr>() {
        ScriptValue::Address(ip)
    } else if let Some(backend) = value.clone().try_cast::<Backend>() {
        ScriptValue::Backend(backend.0.to_string())
    } else {
        return Err(HostError::value(format!("a request cannot carry {} along", type_name(&value))));
    })
}

/// Back into a script.
pub(crate) fn from_plain(value: &ScriptValue) -> Dynamic {
    match value {
        ScriptValue::Unit => Dynamic::UNIT,
        ScriptValue::Bool(b) => (*b).into(),
        ScriptValue::Int(i) => (*i).into(),
        ScriptValue::Float(f) => (*f).into(),
        ScriptValue::Text(s) => text(s).into(),
        ScriptValue::Span(s) => Dynamic::from(*s),
        ScriptValue::Time(t) => Dynamic::from(*t),
        ScriptValue::Address(ip) => Dynamic::from(*ip),
        ScriptValue::Backend(name) => Dynamic::from(Backend(text(name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_survive_the_way_out_and_back() {
        let all = [
            ScriptValue::Unit,
            ScriptValue::Bool(true),
            ScriptValue::Int(-3),
            ScriptValue::Float(0.5),
            ScriptValue::Text("é".into()),
            ScriptValue::Span(Span::from_secs(3)),
            ScriptValue::Time(Time::from_secs(9)),
            ScriptValue::Address("::1".parse().expect("address")),
            ScriptValue::Backend("app1".into()),
        ];
        for v in all {
            assert_eq!(to_plain(from_plain(&v)).expect("plain"), v);
        }
        assert!(to_plain(rhai::Array::new().into()).is_err());
    }

    #[test]
    fn header_text_of_each_type() {
        let show = |v: Dynamic| with_text(&v, |t| Ok(t.map(str::to_owned))).expect("text");
        assert_eq!(show(Dynamic::UNIT), None);
        assert_eq!(show(5_i64.into()).as_deref(), Some("5"));
        assert_eq!(show(true.into()).as_deref(), Some("true"));
        assert_eq!(show(Dynamic::from(Span::from_millis(1500))).as_deref(), Some("1.500"));
        assert_eq!(show(Dynamic::from(Time::from_secs(784_111_777))).as_deref(), Some("Sun, 06 Nov 1994 08:49:37 GMT"));
        assert_eq!(show("x".into()).as_deref(), Some("x"));
        assert!(with_text(&rhai::Array::new().into(), |_| Ok(())).is_err());
    }

    #[test]
    fn short_strings_are_shared() {
        assert!(text("GET").ptr_eq(&text("GET")));
        assert_eq!(text_of(b"\xff").as_str(), "\u{fffd}");
    }
}
