//! What a hook decides, and how a decision travels through a script.
//!
//! In a script an action is an integer with a tag that no honest number has: plain ones are the tag plus their kind,
//! those with data are the tag plus 256 plus their place in a list kept for the call. So returning one costs no memory,
//! and each takes effect only when it is what the hook returns.

use copal_semantics::Span;

/// A decision of a hook.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Nothing was returned: the built-in behaviour decides.
    Default,
    /// Look the request up in the cache.
    Lookup,
    /// Ask the origin, store nothing.
    Pass,
    /// Store nothing, and let requests for this object pass for that long.
    PassFor(Span),
    /// Tunnel bytes between client and origin.
    Pipe,
    /// Remove the object and all its variants.
    Purge,
    /// Answer from here.
    Synth {
        /// 200 to 999, or that plus a multiple of 1000, which the policy sees and the client does not.
        status: u16,
        /// Empty stands for the standard reason of the status.
        reason: String,
    },
    /// Send the client elsewhere.
    Redirect {
        /// 301, 302, 303, 307 or 308.
        status: u16,
        /// The value of Location.
        location: String,
    },
    /// Begin again at recv, with the request as it is now.
    Restart,
    /// Give the request up with 503.
    Fail {
        /// For the log.
        reason: String,
    },
    /// Go on to the client.
    Deliver,
    /// Treat a found object as not found.
    Miss,
    /// Ask the origin.
    Fetch,
    /// Drop the fetch; a refresh in the background leaves the stale object as it was.
    Abandon,
    /// Treat the fetch as failed.
    Error {
        /// As for a synth.
        status: u16,
        /// As for a synth.
        reason: String,
    },
    /// Ask the origin again.
    Retry,
    /// Merge the 304 into the stored head (RFC 9111 §3.2).
    Merge,
    /// Leave the stored head as it was.
    KeepStale,
    /// Use only the fields of the 304.
    UseNew,
    /// Go on with another policy, by name.
    Policy(String),
}

/// The kinds of action that the table of hooks speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the kind of the action of that name")]
#[repr(u8)]
pub enum ActionKind {
    Lookup,
    Pass,
    PassFor,
    Pipe,
    Purge,
    Synth,
    Redirect,
    Restart,
    Fail,
    Deliver,
    Miss,
    Fetch,
    Abandon,
    Error,
    Retry,
    Merge,
    KeepStale,
    UseNew,
    Policy,
}

/// The actions that carry no data, in the order of their codes.
pub(crate) const PLAIN: [Action; 13] = [
    Action::Lookup,
    Action::Pass,
    Action::Pipe,
    Action::Purge,
    Action::Restart,
    Action::Deliver,
    Action::Miss,
    Action::Fetch,
    Action::Abandon,
    Action::Retry,
    Action::Merge,
    Action::KeepStale,
    Action::UseNew,
];

/// The tag: 63 bits that no count, size or time has.
const TAG: i64 = 0x5A3C_96E1_7D00_0000;
const DATA: i64 = 256;

/// A plain action as scripts carry it.
pub(crate) const fn encode_plain(index: usize) -> i64 {
    TAG + index as i64
}

/// An action with data as scripts carry it: its place in the list of the call.
pub(crate) fn encode_data(place: usize) -> i64 {
    TAG + DATA + i64::try_from(place).unwrap_or(0xFF_0000)
}

/// What this integer stands for, if it is an action.
pub(crate) fn decode(value: i64, data: &[Action]) -> Option<Action> {
    let rest = usize::try_from(value.checked_sub(TAG)?).ok()?;
    match rest.checked_sub(DATA as usize) {
        None => PLAIN.get(rest).cloned(),
        Some(place) => data.get(place).cloned(),
    }
}

impl ActionKind {
    /// The hook of the step that this action alone leads to.
    pub(crate) fn hook(self) -> Option<crate::hooks::Hook> {
        (self == ActionKind::Pipe).then_some(crate::hooks::Hook::Pipe)
    }

    /// How it is written in a script.
    #[must_use]
    pub const fn written(self) -> &'static str {
        match self {
            ActionKind::Lookup => "lookup()",
            ActionKind::Pass => "pass()",
            ActionKind::PassFor => "pass(duration)",
            ActionKind::Pipe => "pipe()",
            ActionKind::Purge => "purge()",
            ActionKind::Synth => "synth(status, reason)",
            ActionKind::Redirect => "redirect(status, location)",
            ActionKind::Restart => "restart()",
            ActionKind::Fail => "fail(reason)",
            ActionKind::Deliver => "deliver()",
            ActionKind::Miss => "miss()",
            ActionKind::Fetch => "fetch()",
            ActionKind::Abandon => "abandon()",
            ActionKind::Error => "error(status, reason)",
            ActionKind::Retry => "retry()",
            ActionKind::Merge => "merge()",
            ActionKind::KeepStale => "keep_stale()",
            ActionKind::UseNew => "use_new()",
            ActionKind::Policy => "policy(name)",
        }
    }

    /// The kind that a call of `name` with that many arguments makes.
    #[must_use]
    pub fn of_call(name: &str, args: usize) -> Option<ActionKind> {
        Some(match (name, args) {
            ("lookup", 0) => ActionKind::Lookup,
            ("pass", 0) => ActionKind::Pass,
            ("pass", 1) => ActionKind::PassFor,
            ("pipe", 0) => ActionKind::Pipe,
            ("purge", 0) => ActionKind::Purge,
            ("synth", 1 | 2) => ActionKind::Synth,
            ("redirect", 1 | 2) => ActionKind::Redirect,
            ("restart", 0) => ActionKind::Restart,
            ("fail", 0 | 1) => ActionKind::Fail,
            ("deliver", 0) => ActionKind::Deliver,
            ("miss", 0) => ActionKind::Miss,
            ("fetch", 0) => ActionKind::Fetch,
            ("abandon", 0) => ActionKind::Abandon,
            ("error", 0..=2) => ActionKind::Error,
            ("retry", 0) => ActionKind::Retry,
            ("merge", 0) => ActionKind::Merge,
            ("keep_stale", 0) => ActionKind::KeepStale,
            ("use_new", 0) => ActionKind::UseNew,
            ("policy", 1) => ActionKind::Policy,
            _ => return None,
        })
    }
}

impl Action {
    /// Its kind; none for [`Action::Default`].
    #[must_use]
    pub const fn kind(&self) -> Option<ActionKind> {
        Some(match self {
            Action::Default => return None,
            Action::Lookup => ActionKind::Lookup,
            Action::Pass => ActionKind::Pass,
            Action::PassFor(_) => ActionKind::PassFor,
            Action::Pipe => ActionKind::Pipe,
            Action::Purge => ActionKind::Purge,
            Action::Synth { .. } => ActionKind::Synth,
            Action::Redirect { .. } => ActionKind::Redirect,
            Action::Restart => ActionKind::Restart,
            Action::Fail { .. } => ActionKind::Fail,
            Action::Deliver => ActionKind::Deliver,
            Action::Miss => ActionKind::Miss,
            Action::Fetch => ActionKind::Fetch,
            Action::Abandon => ActionKind::Abandon,
            Action::Error { .. } => ActionKind::Error,
            Action::Retry => ActionKind::Retry,
            Action::Merge => ActionKind::Merge,
            Action::KeepStale => ActionKind::KeepStale,
            Action::UseNew => ActionKind::UseNew,
            Action::Policy(_) => ActionKind::Policy,
        })
    }
}

/// The actions of a list as a sentence has them: "`lookup()`, `pass()`".
#[must_use]
pub fn written_list(kinds: &[ActionKind]) -> String {
    if kinds.is_empty() {
        return "nothing".to_owned();
    }
    kinds.iter().map(|k| format!("`{}`", k.written())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_survive_their_encoding_and_numbers_are_none() {
        for (i, a) in PLAIN.iter().enumerate() {
            assert_eq!(decode(encode_plain(i), &[]).as_ref(), Some(a));
            let name = a.kind().expect("plain actions have a kind").written().trim_end_matches("()");
            assert_eq!(ActionKind::of_call(name, 0), a.kind());
        }
        let data = [Action::PassFor(Span::from_secs(1))];
        assert_eq!(decode(encode_data(0), &data), Some(data[0].clone()));
        assert_eq!(decode(encode_data(1), &data), None);
        for n in [0, 1, -1, i64::MIN, i64::MAX, TAG - 1, TAG + 200] {
            assert_eq!(decode(n, &data), None);
        }
    }
}
