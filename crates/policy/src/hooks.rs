//! The hooks: when each runs, what it is handed, what it may return. One table; checks and reference pages come from it.

use crate::action::ActionKind::{self, *};

/// A point in the life of a request or a fetch at which a policy may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Hook {
    /// Once per load of the policy.
    Init,
    /// A request was read; again after a restart.
    Recv,
    /// The cache key is made.
    Hash,
    /// An object was found, fresh or in grace.
    Hit,
    /// Nothing usable was found.
    Miss,
    /// Before a fetch whose response is not stored.
    Pass,
    /// Before a tunnel to the origin.
    Pipe,
    /// After a purge.
    Purge,
    /// Before the origin is asked.
    BackendFetch,
    /// The origin answered 304 to a conditional fetch.
    BackendRefresh,
    /// The head of the origin's response was read.
    BackendResponse,
    /// The fetch failed.
    BackendError,
    /// Before a response is sent.
    Deliver,
    /// A response is made here, without the origin.
    Synth,
}

/// How many hooks there are.
pub const HOOK_COUNT: usize = 14;

/// One line of the table of hooks.
#[derive(Debug)]
pub struct HookRow {
    /// Which.
    pub hook: Hook,
    /// The name of the function that defines it.
    pub name: &'static str,
    /// The names of its parameters, which are fixed.
    pub params: &'static [&'static str],
    /// What it may return.
    pub actions: &'static [ActionKind],
    /// When it runs.
    pub runs: &'static str,
    /// What happens when it returns nothing or is not defined.
    pub otherwise: &'static str,
}

const fn row(
    hook: Hook,
    name: &'static str,
    params: &'static [&'static str],
    actions: &'static [ActionKind],
    runs: &'static str,
    otherwise: &'static str,
) -> HookRow {
    HookRow { hook, name, params, actions, runs, otherwise }
}

/// All hooks, in the order of [`Hook`].
#[rustfmt::skip]
pub const HOOKS: [HookRow; HOOK_COUNT] = [
    row(Hook::Init, "init", &[], &[], "once per load", "nothing"),
    row(Hook::Recv, "recv", &["req"], &[Lookup, Pass, Pipe, Purge, Synth, Redirect, Restart, Fail, Policy], "a request was read; again after a restart, and once per ESI include", "the built-in recv decides"),
    row(Hook::Hash, "hash", &["req", "key"], &[Lookup, Fail], "the cache key is made", "url and host are added"),
    row(Hook::Hit, "hit", &["req", "obj"], &[Deliver, Miss, Pass, Restart, Synth, Fail], "an object was found, fresh or in grace", "deliver, with a refresh in the background when it is stale"),
    row(Hook::Miss, "miss", &["req"], &[Fetch, Pass, Restart, Synth, Fail], "nothing usable was found", "fetch"),
    row(Hook::Pass, "pass", &["req"], &[Fetch, Restart, Synth, Fail], "before a fetch whose response is not stored", "fetch"),
    row(Hook::Pipe, "pipe", &["req", "bereq"], &[Pipe, Synth, Fail], "before a tunnel to the origin", "pipe"),
    row(Hook::Purge, "purge", &["req", "count"], &[Synth, Restart, Fail], "after a purge", "synth 200 with the count"),
    row(Hook::BackendFetch, "backend_fetch", &["bereq"], &[Fetch, Abandon, Error, Fail], "before the origin is asked", "fetch"),
    row(Hook::BackendRefresh, "backend_refresh", &["bereq", "beresp", "stale"], &[Merge, KeepStale, UseNew, Retry, Abandon, Error, Fail], "a 304 came", "merge"),
    row(Hook::BackendResponse, "backend_response", &["bereq", "beresp"], &[Deliver, PassFor, Retry, Abandon, Error, Fail], "the head of the origin's response was read", "deliver, stored as the rules of HTTP allow"),
    row(Hook::BackendError, "backend_error", &["bereq", "beresp"], &[Deliver, Retry, Abandon, Fail], "the fetch failed", "a plain error page, 503"),
    row(Hook::Deliver, "deliver", &["req", "resp"], &[Deliver, Restart, Synth, Fail], "before the response is sent", "deliver"),
    row(Hook::Synth, "synth", &["req", "resp"], &[Deliver, Restart, Fail], "a response is made here, without the origin", "a plain page"),
];

impl Hook {
    /// This hook's line of the table.
    #[must_use]
    pub const fn row(self) -> &'static HookRow {
        &HOOKS[self as usize]
    }

    /// The name of the function that defines it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// The hook of that name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Hook> {
        HOOKS.iter().find(|h| h.name == name).map(|h| h.hook)
    }

    /// The set with only this hook.
    #[must_use]
    pub const fn bit(self) -> HookSet {
        HookSet(1 << self as u8)
    }
}

/// A set of hooks, one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HookSet(u16);

impl HookSet {
    /// No hook.
    pub const NONE: HookSet = HookSet(0);
    /// Every hook.
    pub const ALL: HookSet = HookSet((1 << HOOK_COUNT) - 1);
    /// Where the client's request is at hand.
    pub const CLIENT: HookSet = HookSet::of(&[
        Hook::Recv,
        Hook::Hash,
        Hook::Hit,
        Hook::Miss,
        Hook::Pass,
        Hook::Pipe,
        Hook::Purge,
        Hook::Deliver,
        Hook::Synth,
    ]);
    /// Where the request to the origin is at hand.
    pub const BACKEND: HookSet =
        HookSet::of(&[Hook::Pipe, Hook::BackendFetch, Hook::BackendRefresh, Hook::BackendResponse, Hook::BackendError]);
    /// Where an origin is asked for a response.
    pub const FETCH: HookSet =
        HookSet::of(&[Hook::BackendFetch, Hook::BackendRefresh, Hook::BackendResponse, Hook::BackendError]);
    /// Where there is a request.
    pub const REQUEST: HookSet = HookSet(HookSet::ALL.0 & !Hook::Init.bit().0);
    /// Where the origin's response is at hand.
    pub const BERESP: HookSet = HookSet::of(&[Hook::BackendRefresh, Hook::BackendResponse, Hook::BackendError]);
    /// Where the response to the client is at hand.
    pub const RESP: HookSet = HookSet::of(&[Hook::Deliver, Hook::Synth]);
    /// Where a stored object is at hand.
    pub const OBJ: HookSet = HookSet::of(&[Hook::Hit, Hook::BackendRefresh, Hook::Deliver]);

    /// The set of these.
    #[must_use]
    pub const fn of(hooks: &[Hook]) -> HookSet {
        let (mut bits, mut i) = (0, 0);
        while i < hooks.len() {
            bits |= 1 << hooks[i] as u8;
            i += 1;
        }
        HookSet(bits)
    }

    /// Is it in the set?
    #[inline]
    #[must_use]
    pub const fn has(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    /// With this one too.
    #[must_use]
    pub const fn with(self, hook: Hook) -> HookSet {
        HookSet(self.0 | 1 << hook as u8)
    }

    /// Are some of them in the other set?
    #[must_use]
    pub const fn any_of(self, other: HookSet) -> bool {
        self.0 & other.0 != 0
    }

    /// With those too.
    #[must_use]
    pub const fn and(self, other: HookSet) -> HookSet {
        HookSet(self.0 | other.0)
    }

    /// Nothing in it?
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, as a sentence has them: "`hit`, `deliver`".
    #[must_use]
    pub fn names(self) -> String {
        let names: Vec<String> = HOOKS.iter().filter(|h| self.has(h.hook)).map(|h| format!("`{}`", h.name)).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_enum() {
        for (i, h) in HOOKS.iter().enumerate() {
            assert_eq!(h.hook as usize, i);
            assert_eq!(Hook::by_name(h.name), Some(h.hook));
        }
        assert!(HookSet::ALL.has(Hook::Synth) && !HookSet::RESP.has(Hook::Recv));
        assert_eq!(HookSet::RESP.names(), "`deliver`, `synth`");
    }
}
