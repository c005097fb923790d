//! Methods of strings: regular expressions, and Rhai's own `replace` within bounds.

use crate::current::Res;
use crate::fault::{FaultKind, HostError};
use crate::library::patterns::{self, Patterns};
use crate::limits::Limit;
use rhai::{Array, Dynamic, Engine, ImmutableString};
use std::rc::Rc;

/// Gives scripts the methods of strings.
pub(crate) fn register(e: &mut Engine, patterns: &Rc<Patterns>, max: usize) {
    // What is missing reads as `()`; it matches nothing, so that `req.http.x.matches(..)` needs no guard.
    let p = Rc::clone(patterns);
    e.register_fn("matches", move |text: &str, re: &str| p.with(re, |r| Ok(r.is_match(text)?)));
    e.register_fn("matches", |(): (), _: &str| false);
    for (name, all) in [("replace_re", false), ("replace_all_re", true)] {
        let p = Rc::clone(patterns);
        e.register_fn(name, move |text: ImmutableString, re: &str, by: &str| -> Res<ImmutableString> {
            Ok(p.with(re, |r| patterns::replace(r, &text, by, all, max))?.map_or(text, Into::into))
        });
        e.register_fn(name, |(): (), _: &str, _: &str| ());
    }
    let p = Rc::clone(patterns);
    e.register_fn("captures", move |text: &str, re: &str| -> Res<Dynamic> {
        p.with(re, |r| {
            Ok(r.captures(text)?.map_or(Dynamic::UNIT, |caps| {
                let groups: Array =
                    caps.iter().map(|m| m.map_or(Dynamic::UNIT, |m| Dynamic::from(m.as_str().to_owned()))).collect();
                groups.into()
            }))
        })
    });
    e.register_fn("captures", |(): (), _: &str| Dynamic::UNIT);
    // To what else looks at a text it is the empty one, as in VCL.
    for name in ["contains", "starts_with", "ends_with"] {
        e.register_fn(name, |(): (), part: &str| part.is_empty());
    }
    e.register_fn("len", |(): ()| 0_i64);
    e.register_fn("is_empty", |(): ()| true);
    e.register_fn("split", |(): (), _: &str| Array::new());
    for name in ["to_lower", "to_upper"] {
        e.register_fn(name, |(): ()| ImmutableString::new());
    }
    // Rhai's own builds the whole result before it looks at the limit: 64 KiB times 64 KiB.
    e.register_fn("replace", move |text: &mut ImmutableString, find: &str, by: &str| -> Res<()> {
        let grown = by.len().saturating_sub(find.len()).saturating_mul(text.matches(find).count());
        if text.len() + grown > max {
            return Err(HostError::new(FaultKind::Limit(Limit::StringBytes), "a string grew too long").into());
        }
        *text = text.replace(find, by).into();
        Ok(())
    });
}
