//! The handles that scripts hold: empty constants that reach the scene of the running hook.
//!
//! Each property is registered under its line in `vars`, which says where it may be written. Setters are declared pure,
//! or Rhai would refuse them on constants. After a method that takes its handle by reference Rhai writes the handle back
//! to the property that it came from, and formats an error when it cannot: so methods of `http` and `cookie` take theirs
//! by value, and properties that give a handle have a setter that does nothing.

pub(crate) mod actions;
pub(crate) mod backend;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod cookies;
pub(crate) mod edge;
pub(crate) mod headers;
pub(crate) mod key;
pub(crate) mod object;
pub(crate) mod process;
pub(crate) mod request;
pub(crate) mod response;

use crate::current::{self, Res};
use crate::environment::Environment;
use crate::fault::{FaultKind, HostError};
use crate::hooks::HookSet;
use crate::notes;
use crate::scene::Scene;
use crate::vars;
use rhai::{Dynamic, Engine, FuncRegistration, NativeCallContext, Variant};
use std::sync::Arc;

/// A handle: an empty type with a line in the table of types.
pub(crate) trait Handle: Variant + Clone + Default {
    /// Its type in the tables.
    const TYPE: vars::Type;
    /// The object it stands for, as `vars` has it.
    fn object() -> &'static str {
        Self::TYPE.object().unwrap_or("?")
    }
}

/// Declares the empty types.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident = $ty:ident;)+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default)]
        pub(crate) struct $name;
        impl Handle for $name {
            const TYPE: vars::Type = vars::Type::$ty;
        }
    )+ };
}

handles! {
    /// `req`
    Req = Req;
    /// `bereq`
    Bereq = Bereq;
    /// `resp`
    Resp = Resp;
    /// `beresp`
    Beresp = Beresp;
    /// `obj` and `stale`
    Obj = Obj;
    /// `key`
    Key = Key;
    /// `client`
    Client = Client;
    /// `server`
    Server = Server;
    /// `local`
    Local = Local;
    /// `remote`
    Remote = Remote;
    /// `req_top`
    Top = Top;
    /// `param`
    Param = Param;
    /// `storage`
    Storage = Storage;
}

/// Registers the getter of a variable.
pub(crate) fn get<H: Handle, R: Variant + Clone>(
    e: &mut Engine,
    name: &'static str,
    f: impl Fn(&Scene) -> R + 'static,
) {
    row::<H>(name);
    let registration = FuncRegistration::new_getter(name).with_purity(true).with_volatility(true);
    if notes::wanted(e) {
        registration.register_into_engine(e, move |ctx: NativeCallContext, _: &mut H| -> Res<R> {
            let value = current::read(&f)?;
            notes::read(&ctx, notes::named(H::object(), name), &Dynamic::from(value.clone()));
            Ok(value)
        });
    } else {
        registration.register_into_engine(e, move |_: &mut H| -> Res<R> { current::read(&f) });
    }
}

/// Registers the getter of a variable that may be `()`, or not there at all.
pub(crate) fn get_dynamic<H: Handle>(
    e: &mut Engine,
    name: &'static str,
    f: impl Fn(&Scene) -> Result<Dynamic, HostError> + 'static,
) {
    row::<H>(name);
    let registration = FuncRegistration::new_getter(name).with_purity(true).with_volatility(true);
    if notes::wanted(e) {
        registration.register_into_engine(e, move |ctx: NativeCallContext, _: &mut H| -> Res<Dynamic> {
            let value = current::try_read(&f)?;
            notes::read(&ctx, notes::named(H::object(), name), &value);
            Ok(value)
        });
    } else {
        registration.register_into_engine(e, move |_: &mut H| -> Res<Dynamic> { current::try_read(&f) });
    }
}

/// Registers the setter of a variable.
pub(crate) fn set<H: Handle>(
    e: &mut Engine,
    name: &'static str,
    f: impl Fn(&mut Scene, Dynamic) -> Result<(), HostError> + 'static,
) {
    let allowed = row::<H>(name).write;
    let set = move |value: Dynamic| -> Res<()> {
        let bytes = value.as_immutable_string_ref().map_or(0, |s| s.len());
        current::write(H::object(), name, allowed, bytes, |s| f(s, value))
    };
    let registration = FuncRegistration::new_setter(name).with_purity(true).with_volatility(true);
    if notes::wanted(e) {
        registration.register_into_engine(e, move |ctx: NativeCallContext, _: &mut H, value: Dynamic| -> Res<()> {
            set(value.clone())?;
            notes::wrote(&ctx, notes::named(H::object(), name), &value);
            Ok(())
        });
    } else {
        registration.register_into_engine(e, move |_: &mut H, value: Dynamic| set(value));
    }
}

/// Registers a variable that is a handle itself.
pub(crate) fn get_handle<H: Handle, R: Variant + Clone + Default>(e: &mut Engine, name: &str) {
    row::<H>(name);
    FuncRegistration::new_getter(name).with_purity(true).register_into_engine(e, |_: &mut H| R::default());
    FuncRegistration::new_setter(name).with_purity(true).register_into_engine(e, |_: &mut H, _: R| {});
}

fn row<H: Handle>(name: &str) -> &'static vars::Var {
    vars::find(H::object(), name).expect("a registered variable has its line in the table")
}

/// A fault for what the table does not let be written here.
pub(crate) fn read_only(what: &str) -> HostError {
    HostError::new(FaultKind::ReadOnly, format!("`{what}` can only be read"))
}

/// A status that can be sent: 200 to 999, or that plus a multiple of 1000.
pub(crate) fn to_status(what: &str, value: &Dynamic) -> Result<u16, HostError> {
    let number = value
        .as_int()
        .map_err(|_| HostError::value(format!("`{what}` takes an integer, not {}", crate::value::type_name(value))))?;
    sendable(number)
}

/// The number as a status, if it can be sent.
pub(crate) fn sendable(number: i64) -> Result<u16, HostError> {
    match u16::try_from(number) {
        Ok(status) if (200..=999).contains(&(status % 1000)) => Ok(status),
        _ => Err(HostError::value(format!(
            "{number} is not a status that can be sent: 200 to 999, or that plus a multiple of 1000"
        ))),
    }
}

/// A reason phrase (RFC 9112 §4: no control characters).
pub(crate) fn to_reason(what: &str, value: &Dynamic) -> Result<String, HostError> {
    let text = crate::value::to_text(what, value)?;
    check_reason(what, &text)?;
    Ok(text.to_string())
}

/// Refuses what would break the line that it is in.
pub(crate) fn check_reason(what: &str, text: &str) -> Result<(), HostError> {
    if copal_semantics::headers::is_field_value(text.as_bytes()) {
        return Ok(());
    }
    Err(HostError::new(FaultKind::Framing, format!("`{what}` cannot hold control characters")))
}

/// The version as requests write it.
pub(crate) fn proto(version: http::Version) -> &'static str {
    match version {
        http::Version::HTTP_09 => "HTTP/0.9",
        http::Version::HTTP_10 => "HTTP/1.0",
        http::Version::HTTP_2 => "HTTP/2.0",
        http::Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

/// Registers every type that scripts meet.
pub(crate) fn register(
    e: &mut Engine,
    env: &Arc<Environment>,
    patterns: &std::rc::Rc<crate::library::patterns::Patterns>,
) {
    for (name, register) in TYPES {
        register(e, name);
    }
    actions::register(e);
    headers::register(e);
    cookies::register(e, patterns);
    edge::register(e, patterns);
    request::register(e, env);
    process::register(e, env);
    backend::register(e, env);
    response::register(e);
    object::register(e);
    client::register(e, env);
    key::register(e);
    if notes::wanted(e) {
        crate::traced::register(e);
        headers::tell(e);
        cookies::tell(e, patterns);
        edge::tell(e, patterns);
        request::tell(e);
        key::tell(e);
    }
    body::register(e, patterns);
}

fn named<H: Handle>(e: &mut Engine, name: &str) {
    e.register_type_with_name::<H>(name);
}

type Named = (&'static str, fn(&mut Engine, &str));
/// What `type_of` says.
const TYPES: [Named; 13] = [
    (vars::Type::Req.name(), named::<Req>),
    (vars::Type::Bereq.name(), named::<Bereq>),
    (vars::Type::Resp.name(), named::<Resp>),
    (vars::Type::Beresp.name(), named::<Beresp>),
    (vars::Type::Obj.name(), named::<Obj>),
    (vars::Type::Key.name(), named::<Key>),
    (vars::Type::Client.name(), named::<Client>),
    (vars::Type::Server.name(), named::<Server>),
    (vars::Type::Local.name(), named::<Local>),
    (vars::Type::Remote.name(), named::<Remote>),
    (vars::Type::Top.name(), named::<Top>),
    (vars::Type::Param.name(), named::<Param>),
    (vars::Type::Storage.name(), named::<Storage>),
];

/// Where the headers of a side may be written.
pub(crate) const fn writable(object: vars::Type) -> HookSet {
    match object {
        vars::Type::Req => HookSet::CLIENT,
        vars::Type::Bereq => HookSet::BACKEND,
        vars::Type::Resp => HookSet::RESP,
        vars::Type::Beresp => HookSet::BERESP,
        _ => HookSet::NONE,
    }
}
