//! A value as written, before its key has said what it must be: from the file, a variable or a flag.

use std::sync::Arc;

use toml::Spanned;
use toml::de::DeValue;

use crate::diagnostic::Diagnostic;
use crate::expand;
use crate::place::{Fault, Place};
use crate::source::Source;

/// What was written.
#[derive(Clone, Debug)]
pub(crate) enum Raw {
    /// A string without variables in it.
    Text(String),
    /// Text that may stand for any kind: from a variable, a flag, or a string with `${…}`.
    Loose(String),
    /// A number without fraction, in decimal.
    Number(String),
    Bool(bool),
    List(Vec<Located>),
    Table(Vec<(String, Place, Located)>),
    /// A fraction or a date: nothing here takes one.
    Other(&'static str),
}

/// What was written, and where.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub(crate) raw: Raw,
    pub(crate) place: Place,
}

impl Raw {
    /// What a person would call it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Raw::Text(text) | Raw::Loose(text) => format!("the text \"{text}\""),
            Raw::Number(text) => format!("the number {text}"),
            Raw::Bool(value) => value.to_string(),
            Raw::List(_) => "a list".to_owned(),
            Raw::Table(_) => "a table".to_owned(),
            Raw::Other(kind) => format!("a {kind}"),
        }
    }
}

impl Located {
    /// Takes a value of the file, expanding variables in strings.
    pub(crate) fn from_toml(
        value: &Spanned<DeValue<'_>>,
        source: &Arc<Source>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Located, Vec<Diagnostic>> {
        let place = Place::File { source: Arc::clone(source), span: value.span() };
        let raw = match value.get_ref() {
            DeValue::String(text) => match expand::expand(text, env) {
                Ok(expanded) if expanded.used => Raw::Loose(expanded.text),
                Ok(expanded) => Raw::Text(expanded.text),
                Err(why) => {
                    let start = source.slice(&value.span()).find(&why.piece).map_or(0, |at| at + value.span().start);
                    let span = if start == 0 { value.span() } else { start..start + why.piece.len() };
                    return Err(vec![Diagnostic::at(source, span, why.message).help(Some(why.help.to_owned()))]);
                }
            },
            DeValue::Integer(number) => {
                let decimal = i128::from_str_radix(number.as_str(), number.radix());
                decimal.map_or_else(|_| Raw::Number(number.to_string()), |n| Raw::Number(n.to_string()))
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(_) => Raw::Number(number.as_str().to_owned()),
                Err(_) => Raw::Other("float"),
            },
            DeValue::Boolean(value) => Raw::Bool(*value),
            DeValue::Datetime(_) => Raw::Other("date"),
            DeValue::Array(items) => {
                let (good, bad) = split(items.iter().map(|item| Located::from_toml(item, source, env)));
                if !bad.is_empty() {
                    return Err(bad);
                }
                Raw::List(good)
            }
            DeValue::Table(table) => {
                let entries = table.iter().map(|(key, value)| {
                    let at = Place::File { source: Arc::clone(source), span: key.span() };
                    Located::from_toml(value, source, env).map(|v| (key.get_ref().to_string(), at, v))
                });
                let (good, bad) = split(entries);
                if !bad.is_empty() {
                    return Err(bad);
                }
                Raw::Table(good)
            }
        };
        Ok(Located { raw, place })
    }

    /// From a variable or a flag.
    pub(crate) fn loose(text: &str, place: Place) -> Located {
        Located { raw: Raw::Loose(text.to_owned()), place }
    }

    /// The elements of a list; of loose text, what stands between commas.
    pub(crate) fn elements(&self) -> Option<Vec<Located>> {
        match &self.raw {
            Raw::List(items) => Some(items.clone()),
            Raw::Loose(text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(|part| Located::loose(part, self.place.clone())).collect())
            }
            Raw::Text(_) | Raw::Number(_) | Raw::Bool(_) | Raw::Table(_) | Raw::Other(_) => None,
        }
    }

    pub(crate) fn fault(&self, fault: Fault) -> Vec<Diagnostic> {
        vec![self.place.error(fault)]
    }
}

fn split<T>(results: impl Iterator<Item = Result<T, Vec<Diagnostic>>>) -> (Vec<T>, Vec<Diagnostic>) {
    let mut good = Vec::new();
    let mut bad = Vec::new();
    for result in results {
        match result {
            Ok(value) => good.push(value),
            Err(errors) => bad.extend(errors),
        }
    }
    (good, bad)
}
