//! Header fields in scripts: `req.http["x"]`, `req.http.host`, `.has .remove .remove_matching .append .all .collect`.

use super::{Bereq, Beresp, Handle, Obj, Req, Resp, Top, read_only, writable};
use crate::current::{self, Res};
use crate::fault::HostError;
use crate::library::patterns::Pattern;
use crate::notes::{self, Did};
use crate::scene::Scene;
use crate::value::{framing, optional, text_of, with_text};
use crate::vars::Type;
use copal_semantics::Headers;
use rhai::{Array, Dynamic, Engine, FuncRegistration, NativeCallContext};
use std::collections::BTreeSet;
use std::marker::PhantomData;

/// What stands between the members of a list (RFC 9110 §5.3), and between the cookies of lines that were one (RFC 9113 §8.2.3).
fn between(name: &str) -> &'static str {
    if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " }
}

/// The header fields of one side.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields<S>(PhantomData<S>);

/// A handle that has header fields.
pub(crate) trait Side: Handle {
    /// To read; none when the hook has no such object.
    fn fields(s: &Scene) -> Option<&Headers>;
    /// To write; none when they can only be read.
    fn fields_mut(s: &mut Scene) -> Option<&mut Headers>;
    /// Refuses fields that a script may not touch: Content-Length and Transfer-Encoding belong to the framing of a body
    /// that is under way, in both directions.
    fn check(name: &str) -> Result<(), HostError> {
        if frames(name) {
            return Err(read_only(&format!("{}.http[\"{}\"]", Self::object(), name.to_ascii_lowercase())));
        }
        Ok(())
    }
}

macro_rules! sides {
    ($($side:ident $head:ident;)+) => { $(
        impl Side for $side {
            fn fields(s: &Scene) -> Option<&Headers> {
                Some(&s.$head.headers)
            }
            fn fields_mut(s: &mut Scene) -> Option<&mut Headers> {
                Some(&mut s.$head.headers)
            }
        }
    )+ };
}
sides! { Req req; Bereq bereq; Resp resp; Beresp beresp; }

impl Side for Top {
    fn fields(s: &Scene) -> Option<&Headers> {
        Some(&s.req.headers)
    }
    fn fields_mut(_: &mut Scene) -> Option<&mut Headers> {
        None
    }
}

impl Side for Obj {
    fn fields(s: &Scene) -> Option<&Headers> {
        s.obj.as_ref().map(|o| &o.head.headers)
    }
    fn fields_mut(_: &mut Scene) -> Option<&mut Headers> {
        None
    }
}

/// Bytes that a field is charged with.
pub(crate) fn written(name: &str, value: usize) -> usize {
    name.len() + value + 4
}

/// Removes all fields whose name matches, but not those that frame a body.
pub(crate) fn remove_matching(h: &mut Headers, pattern: &str) {
    h.retain(|name, _| frames(name) || !glob(pattern.as_bytes(), name.as_bytes()));
}

/// Removes those fields of that name whose value matches.
pub(crate) fn remove_lines(h: &mut Headers, name: &str, regex: &Pattern) -> Result<(), HostError> {
    let mut outcome = Ok(());
    h.retain(|n, v| {
        if !n.eq_ignore_ascii_case(name) || outcome.is_err() {
            return true;
        }
        let matched = regex.is_match(&String::from_utf8_lossy(v));
        matched.map_or_else(
            |e| {
                outcome = Err(e);
                true
            },
            |found| !found,
        )
    });
    outcome
}

/// Does the field say where a body ends?
pub(crate) fn frames(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

fn write<S: Side>(name: &str, bytes: usize, f: impl FnOnce(&mut Headers) -> Result<(), HostError>) -> Res<()> {
    current::write(S::object(), "http", writable(S::TYPE), written(name, bytes), |s| {
        S::check(name)?;
        f(S::fields_mut(s).ok_or_else(|| read_only("http"))?)
    })
}

/// Sets, or removes when the value is `()`.
fn assign<S: Side>(name: &str, value: &Dynamic) -> Res<()> {
    with_text(value, |text| {
        Ok(write::<S>(name, text.map_or(0, str::len), |h| match text {
            Some(text) => h.set(name, text).map_err(|e| framing(name, e)),
            None => {
                h.remove(name);
                Ok(())
            }
        }))
    })?
}

/// Does the pattern, where `*` stands for anything, match the name?
pub(crate) fn glob(pattern: &[u8], name: &[u8]) -> bool {
    // The usual two-pointer walk: after a mismatch the last star takes one byte more. Linear for one star.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if c.eq_ignore_ascii_case(&name[n]) => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((sp, sn)) => {
                    star = Some((sp, sn + 1));
                    p = sp + 1;
                    n = sn + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

fn find<S: Side>(name: &str) -> Res<Dynamic> {
    current::read(|s| optional(S::fields(s).and_then(|h| h.get(name)).map(text_of)))
}

fn has<S: Side>(name: &str) -> Res<bool> {
    current::read(|s| S::fields(s).is_some_and(|h| h.contains(name)))
}

fn remove<S: Side>(name: &str) -> Res<()> {
    write::<S>(name, 0, |h| {
        h.remove(name);
        Ok(())
    })
}

fn remove_like<S: Side>(pattern: &str) -> Res<()> {
    write::<S>(pattern, 0, |h| {
        remove_matching(h, pattern);
        Ok(())
    })
}

fn append<S: Side>(name: &str, value: &Dynamic) -> Res<()> {
    with_text(value, |text| {
        let text = text.unwrap_or("");
        Ok(write::<S>(name, text.len(), |h| h.append(name, text).map_err(|e| framing(name, e))))
    })?
}

fn all<S: Side>(name: &str) -> Res<Array> {
    let list = |h: &Headers| h.get_all(name).map(|v| text_of(v).into()).collect();
    current::read(|s| S::fields(s).map(list).unwrap_or_default())
}

fn collect<S: Side>(name: &str, separator: &str) -> Res<Dynamic> {
    let joined = current::read(|s| {
        let lines: Vec<&[u8]> = S::fields(s)?.get_all(name).collect();
        (!lines.is_empty()).then(|| (lines.len(), lines.join(separator.as_bytes())))
    })?;
    let Some((lines, joined)) = joined else { return Ok(Dynamic::UNIT) };
    // RFC 9110 §5.3: Set-Cookie cannot be joined.
    if lines > 1 && !name.eq_ignore_ascii_case("set-cookie") {
        write::<S>(name, joined.len(), |h| h.set(name, &joined).map_err(|e| framing(name, e)))?;
    }
    Ok(text_of(&joined).into())
}

fn side<S: Side>(e: &mut Engine) {
    super::get_handle::<S, Fields<S>>(e, "http");
    e.register_type_with_name::<Fields<S>>(Type::Headers.name());
    FuncRegistration::new_index_getter()
        .with_purity(true)
        .with_volatility(true)
        .register_into_engine(e, |_: &mut Fields<S>, name: &str| find::<S>(name));
    FuncRegistration::new_index_setter()
        .with_purity(true)
        .with_volatility(true)
        .register_into_engine(e, |_: &mut Fields<S>, name: &str, value: Dynamic| assign::<S>(name, &value));
    e.register_fn("has", |_: Fields<S>, name: &str| has::<S>(name));
    e.register_fn("remove", |_: Fields<S>, name: &str| remove::<S>(name));
    e.register_fn("remove_matching", |_: Fields<S>, pattern: &str| remove_like::<S>(pattern));
    e.register_fn("append", |_: Fields<S>, name: &str, value: Dynamic| append::<S>(name, &value));
    e.register_fn("all", |_: Fields<S>, name: &str| all::<S>(name));
    e.register_fn("collect", |_: Fields<S>, name: &str| collect::<S>(name, between(name)));
    e.register_fn("collect", |_: Fields<S>, name: &str, separator: &str| collect::<S>(name, separator));
}

type Ctx<'a> = NativeCallContext<'a>;

/// Notes a field with all its lines.
pub(super) fn note<S: Side>(ctx: &Ctx<'_>, did: Did, name: &str) -> Res<()> {
    let lines = current::read(|s| S::fields(s).map(|h| h.get_all(name).map(text_of).collect::<Vec<_>>()))?;
    let value = lines.filter(|lines| !lines.is_empty()).map(|lines| lines.join(" | "));
    // `req.http.x_a` is the field x-a.
    let what = format!("http.{}", name.to_ascii_lowercase());
    notes::note(ctx, did, notes::named(S::object(), &what), value);
    Ok(())
}

/// Notes every field that `act` changes; did it change any?
pub(crate) fn noting<S: Side>(ctx: &Ctx<'_>, act: impl FnOnce() -> Res<()>) -> Res<bool> {
    let fields = || current::read(|s| S::fields(s).cloned().unwrap_or_default());
    let before = fields()?;
    act()?;
    let after = fields()?;
    let names: BTreeSet<String> = before.iter().chain(after.iter()).map(|(n, _)| n.to_ascii_lowercase()).collect();
    let mut changed = false;
    for name in names.iter().filter(|n| !before.get_all(n).eq(after.get_all(n))) {
        changed = true;
        note::<S>(ctx, Did::Wrote, name)?;
    }
    Ok(changed)
}

fn tell_side<S: Side>(e: &mut Engine) {
    FuncRegistration::new_index_getter().with_purity(true).with_volatility(true).register_into_engine(
        e,
        |ctx: Ctx, _: &mut Fields<S>, name: &str| -> Res<Dynamic> {
            note::<S>(&ctx, Did::Read, name)?;
            find::<S>(name)
        },
    );
    FuncRegistration::new_index_setter().with_purity(true).with_volatility(true).register_into_engine(
        e,
        |ctx: Ctx, _: &mut Fields<S>, name: &str, value: Dynamic| -> Res<()> {
            assign::<S>(name, &value)?;
            note::<S>(&ctx, Did::Wrote, name)
        },
    );
    e.register_fn("has", |ctx: Ctx, _: Fields<S>, name: &str| -> Res<bool> {
        note::<S>(&ctx, Did::Read, name)?;
        has::<S>(name)
    });
    e.register_fn("remove", |ctx: Ctx, _: Fields<S>, name: &str| -> Res<()> {
        remove::<S>(name)?;
        note::<S>(&ctx, Did::Wrote, name)
    });
    e.register_fn("append", |ctx: Ctx, _: Fields<S>, name: &str, value: Dynamic| -> Res<()> {
        append::<S>(name, &value)?;
        note::<S>(&ctx, Did::Wrote, name)
    });
    e.register_fn("all", |ctx: Ctx, _: Fields<S>, name: &str| -> Res<Array> {
        note::<S>(&ctx, Did::Read, name)?;
        all::<S>(name)
    });
    fn joining<S: Side>(ctx: &Ctx<'_>, name: &str, separator: &str) -> Res<Dynamic> {
        note::<S>(ctx, Did::Read, name)?;
        let mut joined = Dynamic::UNIT;
        noting::<S>(ctx, || collect::<S>(name, separator).map(|text| joined = text))?;
        Ok(joined)
    }
    e.register_fn("collect", |ctx: Ctx, _: Fields<S>, name: &str| joining::<S>(&ctx, name, between(name)));
    e.register_fn("collect", |ctx: Ctx, _: Fields<S>, name: &str, by: &str| joining::<S>(&ctx, name, by));
    e.register_fn("remove_matching", |ctx: Ctx, _: Fields<S>, pattern: &str| -> Res<()> {
        // That there was nothing to remove is told, too.
        if noting::<S>(&ctx, || remove_like::<S>(pattern))? { Ok(()) } else { note::<S>(&ctx, Did::Wrote, pattern) }
    });
}

/// The same functions, telling what they read and write.
pub(crate) fn tell(e: &mut Engine) {
    tell_side::<Req>(e);
    tell_side::<Bereq>(e);
    tell_side::<Resp>(e);
    tell_side::<Beresp>(e);
    tell_side::<Obj>(e);
    tell_side::<Top>(e);
}

/// Gives scripts the header fields of every side.
pub(crate) fn register(e: &mut Engine) {
    side::<Req>(e);
    side::<Bereq>(e);
    side::<Resp>(e);
    side::<Beresp>(e);
    side::<Obj>(e);
    side::<Top>(e);
}

#[cfg(test)]
mod tests {
    use super::glob;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, name, expected) in [
            ("x-internal-*", "X-Internal-Foo", true),
            ("x-internal-*", "x-intern", false),
            ("*-id", "x-request-id", true),
            ("x-*-id", "x-a-id-b-id", true),
            ("x-*-id", "x-id", false),
            ("*", "", true),
            ("", "x", false),
            ("x", "x", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
        }
    }
}
