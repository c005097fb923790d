//! The scene of the hook that runs on this thread. Handles in scripts are empty; this is what they reach.
//!
//! The scene is moved in for the call and moved out again by a guard, whatever happens in between. A handle that is
//! used when nothing runs gets an error.

use crate::action::Action;
use crate::fault::{FaultKind, HostError};
use crate::hooks::{Hook, HookSet};
use crate::limits::Limit;
use crate::scene::Scene;
use rhai::EvalAltResult;
use std::cell::RefCell;

/// What functions of Copal return to a script.
pub(crate) type Res<T> = Result<T, Box<EvalAltResult>>;

struct Current {
    scene: Box<Scene>,
    hook: Hook,
    /// Actions with data made by this call; scripts carry their place.
    actions: Vec<Action>,
    /// Bytes that the hook may still write.
    writable: usize,
    /// Regular expressions that the hook may still compile.
    patterns: u32,
}

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// While it lives, handles on this thread reach the scene.
pub(crate) struct Running {
    /// What ran before: nothing, as hooks do not nest; kept so that a mistake there would do no harm.
    outer: Option<Current>,
    done: bool,
}

impl Running {
    /// Moves the scene in. `actions` is memory to use.
    pub(crate) fn start(
        scene: Box<Scene>,
        hook: Hook,
        mut actions: Vec<Action>,
        writable: usize,
        patterns: u32,
    ) -> Self {
        actions.clear();
        let current = Current { scene, hook, actions, writable, patterns };
        Running { outer: CURRENT.with_borrow_mut(|c| c.replace(current)), done: false }
    }

    /// Moves the scene and the actions out.
    pub(crate) fn finish(mut self) -> (Box<Scene>, Vec<Action>) {
        self.done = true;
        let outer = self.outer.take();
        let current = CURRENT.with_borrow_mut(|c| std::mem::replace(c, outer));
        current.map_or_else(Default::default, |c| (c.scene, c.actions))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.done {
            let outer = self.outer.take();
            CURRENT.with_borrow_mut(|c| *c = outer);
        }
    }
}

fn nothing_runs() -> Box<EvalAltResult> {
    HostError::new(FaultKind::Script, "used outside of a hook").into()
}

fn with<R>(f: impl FnOnce(&mut Current) -> Res<R>) -> Res<R> {
    CURRENT.with_borrow_mut(|c| c.as_mut().map_or_else(|| Err(nothing_runs()), f))
}

/// The hook that runs.
pub(crate) fn hook() -> Option<Hook> {
    CURRENT.with_borrow(|c| c.as_ref().map(|c| c.hook))
}

/// Reads the scene.
pub(crate) fn read<R>(f: impl FnOnce(&Scene) -> R) -> Res<R> {
    CURRENT.with_borrow(|c| c.as_ref().map(|c| f(&c.scene)).ok_or_else(nothing_runs))
}

/// Reads something of the scene that may be refused.
pub(crate) fn try_read<R>(f: impl FnOnce(&Scene) -> Result<R, HostError>) -> Res<R> {
    read(f)?.map_err(Into::into)
}

/// Writes `object.name`, when the hook may, and charges `bytes` to what it may write.
pub(crate) fn write<R>(
    object: &str,
    name: &str,
    allowed: HookSet,
    bytes: usize,
    f: impl FnOnce(&mut Scene) -> Result<R, HostError>,
) -> Res<R> {
    with(|c| {
        if !allowed.has(c.hook) {
            return Err(read_only(object, name, allowed, c.hook).into());
        }
        charge(c, bytes)?;
        f(&mut c.scene).map_err(Into::into)
    })
}

fn charge(c: &mut Current, bytes: usize) -> Result<(), HostError> {
    take(&mut c.writable, bytes)
}

/// Takes bytes from what the hook may still write.
pub(crate) fn take(writable: &mut usize, bytes: usize) -> Result<(), HostError> {
    match writable.checked_sub(bytes) {
        Some(rest) => *writable = rest,
        None => {
            *writable = 0;
            return Err(HostError::new(FaultKind::Limit(Limit::WrittenBytes), "the hook wrote too many bytes"));
        }
    }
    Ok(())
}

/// Bytes that an action with data is charged with.
pub(crate) fn action_bytes(action: &Action) -> usize {
    let text = match action {
        Action::Synth { reason: s, .. }
        | Action::Error { reason: s, .. }
        | Action::Redirect { location: s, .. }
        | Action::Fail { reason: s }
        | Action::Policy(s) => s.len(),
        _ => 0,
    };
    text + size_of::<Action>()
}

fn read_only(object: &str, name: &str, allowed: HookSet, hook: Hook) -> HostError {
    let message = if allowed.is_empty() {
        format!("`{object}.{name}` can only be read")
    } else {
        format!("`{object}.{name}` cannot be written in `{}`, only in {}", hook.name(), allowed.names())
    };
    HostError::new(FaultKind::ReadOnly, message)
}

/// Keeps an action with data; its place.
pub(crate) fn keep_action(action: Action) -> Res<usize> {
    with(|c| {
        charge(c, action_bytes(&action))?;
        c.actions.push(action);
        Ok(c.actions.len() - 1)
    })
}

/// Adds a line to the log of the transaction.
pub(crate) fn log(line: &str) -> Res<()> {
    with(|c| {
        charge(c, line.len() + size_of::<String>())?;
        c.scene.log.push(line.to_owned());
        Ok(())
    })
}

/// Takes one from the regular expressions that the hook may compile.
pub(crate) fn charge_pattern() -> Res<()> {
    with(|c| match c.patterns.checked_sub(1) {
        Some(rest) => {
            c.patterns = rest;
            Ok(())
        }
        None => Err(HostError::new(
            FaultKind::Limit(Limit::Patterns),
            "the hook made too many regular expressions: write them as literals",
        )
        .into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn the_scene_comes_back_and_nothing_stays_behind() {
        let mut scene = Box::<Scene>::default();
        scene.req.url.push_str("/a");
        let running = Running::start(scene, Hook::Recv, Vec::new(), 10, 0);
        assert_eq!(read(|s| s.req.url.clone()).expect("runs"), "/a");
        assert!(
            write("req", "url", HookSet::CLIENT, 4, |s| s
                .req
                .url
                .write_char('b')
                .map_err(|_| HostError::value("full")))
            .is_ok()
        );
        assert!(write("req", "url", HookSet::RESP, 0, |_| Ok(())).is_err());
        assert!(write("req", "url", HookSet::CLIENT, 40, |_| Ok(())).is_err());
        assert!(charge_pattern().is_err());
        assert_eq!(running.finish().0.req.url, "/ab");
        assert!(read(|_| ()).is_err());
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let result = std::panic::catch_unwind(|| {
            let _running = Running::start(Box::default(), Hook::Recv, Vec::new(), 0, 0);
            panic!("planted");
        });
        assert!(result.is_err() && read(|_| ()).is_err());
    }
}
