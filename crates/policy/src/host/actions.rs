//! The action functions: `pass()`, `synth(404)`, `redirect(301, url)`.

use super::{to_reason, to_status};
use crate::action::{Action, PLAIN, encode_data, encode_plain};
use crate::current::{Res, keep_action};
use crate::fault::HostError;
use crate::value::to_text;
use copal_semantics::Span;
use rhai::{Dynamic, Engine, FuncRegistration};

/// RFC 9110 §15.4: the statuses whose meaning is Location.
const REDIRECTS: [u16; 5] = [301, 302, 303, 307, 308];

pub(crate) fn kept(action: Action) -> Res<i64> {
    keep_action(action).map(encode_data)
}

pub(crate) fn synth(status: &Dynamic, reason: String) -> Result<Action, HostError> {
    Ok(Action::Synth { status: to_status("synth", status)?, reason })
}

pub(crate) fn error(status: &Dynamic, reason: String) -> Result<Action, HostError> {
    Ok(Action::Error { status: to_status("error", status)?, reason })
}

pub(crate) fn redirect(status: &Dynamic, location: &Dynamic) -> Result<Action, HostError> {
    let code = status.as_int().ok().and_then(|n| u16::try_from(n).ok()).filter(|n| REDIRECTS.contains(n));
    let status = code.ok_or_else(|| HostError::value("`redirect` takes the status 301, 302, 303, 307 or 308"))?;
    // A Location is a header: what would break framing is refused here, where the script says it.
    Ok(Action::Redirect { status, location: to_reason("redirect", location)? })
}

/// Gives scripts the actions. They are volatile: the optimiser must not run them when it compiles.
pub(crate) fn register(e: &mut Engine) {
    for (i, action) in PLAIN.iter().enumerate() {
        let name = action.kind().map_or("", |k| k.written()).trim_end_matches("()");
        FuncRegistration::new(name).with_volatility(true).register_into_engine(e, move || encode_plain(i));
    }
    e.register_fn("pass", |d: Span| kept(Action::PassFor(d)));
    e.register_fn("synth", |status: Dynamic| kept(synth(&status, String::new())?));
    e.register_fn("synth", |status: Dynamic, reason: Dynamic| kept(synth(&status, to_reason("synth", &reason)?)?));
    e.register_fn("redirect", |status: Dynamic, location: Dynamic| kept(redirect(&status, &location)?));
    e.register_fn("error", || kept(Action::Error { status: 503, reason: String::new() }));
    e.register_fn("error", |status: Dynamic| kept(error(&status, String::new())?));
    e.register_fn("error", |status: Dynamic, reason: Dynamic| kept(error(&status, to_reason("error", &reason)?)?));
    e.register_fn("fail", || kept(Action::Fail { reason: String::new() }));
    e.register_fn("fail", |reason: Dynamic| kept(Action::Fail { reason: to_text("fail", &reason)?.to_string() }));
    e.register_fn("policy", |name: Dynamic| kept(Action::Policy(to_text("policy", &name)?.to_string())));
}
