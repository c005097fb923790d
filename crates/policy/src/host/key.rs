//! `key`: the cache key under construction, `key.add(x)`.

use super::Key;
use crate::current::{self, Res};
use crate::hooks::Hook;
use crate::value::with_text;
use rhai::{Dynamic, Engine, NativeCallContext};

fn add(part: &Dynamic) -> Res<()> {
    // What is missing is an empty part, as in VCL; parts keep their places, so none can pass for its neighbour.
    with_text(part, |t| {
        let t = t.unwrap_or("");
        Ok(current::write("key", "add", Hook::Hash.bit(), t.len() + 4, |s| {
            s.key.add(t.as_bytes());
            Ok(())
        }))
    })?
}

/// Gives scripts `key`.
pub(crate) fn register(e: &mut Engine) {
    e.register_fn("add", |_: &mut Key, part: Dynamic| add(&part));
}

/// The same, telling what it adds.
pub(crate) fn tell(e: &mut Engine) {
    e.register_fn("add", |ctx: NativeCallContext, _: &mut Key, part: Dynamic| -> Res<()> {
        add(&part)?;
        crate::notes::wrote(&ctx, "key".to_owned(), &part);
        Ok(())
    });
}
