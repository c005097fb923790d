//! What a hook reads, writes and returns, and on which line: noted by functions that exist only in the engine of a hook that
//! somebody wants traced. Every other engine has the plain ones, so nobody else pays.
//!
//! ```text
//!  engine with the tag ──▶ registration takes the telling function ──▶ NOTES (this thread, this call) ──▶ Told
//! ```

use crate::action::Action;
use crate::current;
use crate::hooks::Hook;
use crate::value::field_text;
use rhai::{Dynamic, Engine, NativeCallContext};
use std::cell::RefCell;

/// Things noted during one hook; what comes after is left out. A hook has a few dozen, a loop may have any number.
const NOTES_MAX: usize = 256;
/// Longest value that is kept, in bytes: a header, not a page.
const VALUE_MAX: usize = 200;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did {
    /// A variable was read.
    Read,
    /// A variable was written.
    Wrote,
}

/// One thing that a hook did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The file of the policy, or of its module.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What was done.
    pub did: Did,
    /// The variable as a policy writes it: `req.http.cookie`, `beresp.ttl`.
    pub what: String,
    /// Its value, read or written; `None`: `()`, or it is gone.
    pub value: Option<String>,
}

#[derive(Default)]
struct Notes {
    list: Vec<Note>,
    /// Actions with the place of the call that made them, file:line:column.
    actions: Vec<(Action, String)>,
}

thread_local! {
    static NOTES: RefCell<Notes> = const { RefCell::new(Notes { list: Vec::new(), actions: Vec::new() }) };
}

/// Makes an engine one whose functions tell.
pub(crate) fn want(e: &mut Engine) {
    e.set_default_tag(true);
}

/// Is it one?
pub(crate) fn wanted(e: &Engine) -> bool {
    e.default_tag().as_bool() == Ok(true)
}

/// Everything that was noted, and where that action was written last; then all is forgotten.
pub(crate) fn taken(action: Option<&Action>) -> (Vec<Note>, Option<String>) {
    let notes = NOTES.take();
    let place = action.and_then(|wanted| notes.actions.into_iter().find(|(made, _)| made == wanted));
    (notes.list, place.map(|(_, place)| place))
}

/// Remembers where an action was made.
pub(crate) fn made(ctx: &NativeCallContext<'_>, action: &Action) {
    let at = ctx.call_position();
    let (Some(file), Some(line)) = (ctx.call_source(), at.line()) else { return };
    let place = format!("{file}:{line}:{}", at.position().unwrap_or(1));
    NOTES.with_borrow_mut(|notes| {
        if let Some(known) = notes.actions.iter_mut().find(|(made, _)| made == action) {
            known.1 = place;
        } else if notes.actions.len() < NOTES_MAX {
            notes.actions.push((action.clone(), place));
        }
    });
}

/// `object.name`, as the running hook calls it.
pub(crate) fn named(object: &str, name: &str) -> String {
    let object = if object == "obj" && current::hook() == Some(Hook::BackendRefresh) { "stale" } else { object };
    format!("{object}.{name}")
}

/// Something was read.
pub(crate) fn read(ctx: &NativeCallContext<'_>, what: String, value: &Dynamic) {
    note(ctx, Did::Read, what, shown(value));
}

/// Something was written.
pub(crate) fn wrote(ctx: &NativeCallContext<'_>, what: String, value: &Dynamic) {
    note(ctx, Did::Wrote, what, shown(value));
}

/// Something was read or written by a function that is the same in every engine: those of modules, which are called
/// seldom and cost more than to ask.
pub(crate) fn tell(ctx: &NativeCallContext<'_>, did: Did, what: impl FnOnce() -> (String, Option<String>)) {
    if wanted(ctx.engine()) {
        let (what, value) = what();
        note(ctx, did, what, value);
    }
}

pub(crate) fn note(ctx: &NativeCallContext<'_>, did: Did, what: String, value: Option<String>) {
    let (Some(file), Some(line)) = (ctx.call_source(), ctx.call_position().line()) else { return };
    let value = value.map(cut);
    let note = Note { file: file.to_owned(), line, did, what, value };
    NOTES.with_borrow_mut(|notes| {
        // A loop, or `a && a`, reads the same thing on the same line again.
        if notes.list.len() < NOTES_MAX && !notes.list.contains(&note) {
            notes.list.push(note);
        }
    });
}

fn cut(mut value: String) -> String {
    if value.len() > VALUE_MAX {
        value.truncate(value.floor_char_boundary(VALUE_MAX));
        value.push('…');
    }
    value
}

/// A value as a trace has it.
fn shown(value: &Dynamic) -> Option<String> {
    if value.is_unit() {
        return None;
    }
    if let Ok(text) = value.as_immutable_string_ref() {
        return Some(text.to_string());
    }
    match field_text(value) {
        Ok(text) if value.is::<copal_semantics::Span>() => text.map(|text| format!("{text} s")),
        Ok(text) => text.map(std::borrow::Cow::into_owned),
        Err(_) => Some(value.to_string()),
    }
}
