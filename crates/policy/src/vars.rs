//! The variables: object, name, type, where readable, where writable. One table; registration, checks, definitions and
//! reference pages come from it.

use crate::hooks::{Hook, HookSet};

/// What a variable holds. Static, so that hooks can be checked, and one day compiled, before they run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each is the type of its name")]
pub enum Type {
    /// Not known before the hook runs.
    Any,
    Unit,
    Bool,
    Int,
    Float,
    Text,
    Duration,
    Time,
    Address,
    Backend,
    Array,
    Map,
    Action,
    Headers,
    Cookies,
    Vars,
    Req,
    Bereq,
    Resp,
    Beresp,
    Obj,
    Key,
    Client,
    Server,
    Local,
    Remote,
    Top,
    Param,
    Storage,
}

impl Type {
    /// The name in definitions and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Type::Any => "?",
            Type::Unit => "()",
            Type::Bool => "bool",
            Type::Int => "int",
            Type::Float => "float",
            Type::Text => "string",
            Type::Duration => "Duration",
            Type::Time => "Time",
            Type::Address => "Address",
            Type::Backend => "Backend",
            Type::Array => "Array",
            Type::Map => "Map",
            Type::Action => "Action",
            Type::Headers => "Headers",
            Type::Cookies => "Cookies",
            Type::Vars => "Vars",
            Type::Req => "Request",
            Type::Bereq => "BackendRequest",
            Type::Resp => "Response",
            Type::Beresp => "BackendResponse",
            Type::Obj => "Object",
            Type::Key => "Key",
            Type::Client => "Client",
            Type::Server => "Server",
            Type::Local => "Local",
            Type::Remote => "Remote",
            Type::Top => "TopRequest",
            Type::Param => "Param",
            Type::Storage => "Storage",
        }
    }

    /// The objects among the types: they have variables of their own.
    #[must_use]
    pub const fn object(self) -> Option<&'static str> {
        Some(match self {
            Type::Req => "req",
            Type::Bereq => "bereq",
            Type::Resp => "resp",
            Type::Beresp => "beresp",
            Type::Obj => "obj",
            Type::Client => "client",
            Type::Server => "server",
            Type::Local => "local",
            Type::Remote => "remote",
            Type::Top => "req_top",
            Type::Param => "param",
            Type::Storage => "storage",
            Type::Key => "key",
            Type::Any
            | Type::Unit
            | Type::Bool
            | Type::Int
            | Type::Float
            | Type::Text
            | Type::Duration
            | Type::Time
            | Type::Address
            | Type::Backend
            | Type::Array
            | Type::Map
            | Type::Action
            | Type::Headers
            | Type::Cookies
            | Type::Vars => return None,
        })
    }
}

/// The names that a hook finds without being handed them, with their types.
pub const GLOBALS: [(&str, Type, HookSet); 9] = [
    ("obj", Type::Obj, HookSet::of(&[Hook::Deliver])),
    ("client", Type::Client, HookSet::ALL),
    ("server", Type::Server, HookSet::ALL),
    ("local", Type::Local, HookSet::ALL),
    ("remote", Type::Remote, HookSet::ALL),
    ("now", Type::Time, HookSet::ALL),
    ("req_top", Type::Top, HookSet::CLIENT),
    ("param", Type::Param, HookSet::ALL),
    ("storage", Type::Storage, HookSet::ALL),
];

/// The type of a hook's parameter.
#[must_use]
pub fn param_type(name: &str) -> Type {
    match name {
        "req" => Type::Req,
        "bereq" => Type::Bereq,
        "resp" => Type::Resp,
        "beresp" => Type::Beresp,
        "obj" | "stale" => Type::Obj,
        "key" => Type::Key,
        "count" => Type::Int,
        _ => Type::Any,
    }
}

/// One line of the table of variables.
#[derive(Debug)]
pub struct Var {
    /// The object it belongs to.
    pub object: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub ty: Type,
    /// May it be `()`?
    pub optional: bool,
    /// Where it can be read.
    pub read: HookSet,
    /// Where it can be written.
    pub write: HookSet,
    /// What it is.
    pub doc: &'static str,
}

const fn ro(object: &'static str, name: &'static str, ty: Type, read: HookSet, doc: &'static str) -> Var {
    Var { object, name, ty, optional: false, read, write: HookSet::NONE, doc }
}
const fn rw(object: &'static str, name: &'static str, ty: Type, hooks: HookSet, doc: &'static str) -> Var {
    Var { object, name, ty, optional: false, read: hooks, write: hooks, doc }
}
const fn opt(object: &'static str, name: &'static str, ty: Type, hooks: HookSet, doc: &'static str) -> Var {
    Var { object, name, ty, optional: true, read: hooks, write: hooks, doc }
}

const C: HookSet = HookSet::CLIENT;
const B: HookSet = HookSet::BACKEND;
/// Where an object's head is read: as in VCL, not in deliver, where `resp` has it.
const OH: HookSet = HookSet::of(&[Hook::Hit, Hook::BackendRefresh]);
const R: HookSet = HookSet::RESP;
const BR: HookSet = HookSet::BERESP;
const O: HookSet = HookSet::OBJ;
const ALL: HookSet = HookSet::ALL;
const MARKED: HookSet = HookSet::of(&[Hook::Miss, Hook::Pass, Hook::Deliver, Hook::Synth]);
const PASSED: HookSet = HookSet::of(&[Hook::Pass, Hook::Deliver, Hook::Synth]);
/// The fetch itself; a tunnel has none.
const F: HookSet = HookSet::FETCH;
/// Where there is a request: everywhere but in `init`.
const T: HookSet = HookSet::REQUEST;

/// All variables.
#[rustfmt::skip]
pub const VARS: &[Var] = &[
    rw("req", "method", Type::Text, C, "The request method."),
    rw("req", "url", Type::Text, C, "Path and query."),
    ro("req", "proto", Type::Text, C, "The version the client speaks: \"HTTP/1.1\"."),
    ro("req", "http", Type::Headers, C, "The header fields; Content-Length and Transfer-Encoding can only be read."),
    ro("req", "cookie", Type::Cookies, C, "The cookies, a view of the Cookie header."),
    opt("req", "backend", Type::Backend, C, "The backend or director to ask: at first that of the configuration's `[[route]]`, if one fits; `()` is the default."),
    opt("req", "backend_hint", Type::Backend, C, "VCL's name of `req.backend`."),
    opt("req", "grace", Type::Duration, C, "At most that long past its ttl may an object be to serve this request."),
    opt("req", "max_age", Type::Duration, C, "At most that old may an object be to serve this request."),
    opt("req", "ttl", Type::Duration, C, "VCL's older name of `req.max_age`."),
    ro("req", "can_gzip", Type::Bool, C, "The client takes gzip."),
    rw("req", "hash_always_miss", Type::Bool, C, "Fetch even when there is an object, and replace it."),
    rw("req", "hash_ignore_busy", Type::Bool, C, "Do not wait for a fetch that is under way."),
    ro("req", "restarts", Type::Int, C, "How often the request was restarted."),
    ro("req", "esi_level", Type::Int, C, "How deep in ESI includes; 0 for a request from the client."),
    ro("req", "xid", Type::Text, C, "The id of the transaction, the one in the log."),
    ro("req", "time", Type::Time, C, "When its head was complete."),
    ro("req", "is_hitmiss", Type::Bool, MARKED, "A hit-for-miss marker was found."),
    ro("req", "is_hitpass", Type::Bool, PASSED, "A hit-for-pass marker was found."),
    Var { object: "req", name: "body", ty: Type::Text, optional: true, read: C, write: HookSet::NONE, doc: "The body, once `std::cache_req_body` has read it; `\"\"` when there is none, `()` when it was not read or is no UTF-8." },
    ro("req", "body_cached", Type::Bool, C, "`std::cache_req_body` has kept the body."),
    Var { object: "req", name: "body_size", ty: Type::Int, optional: true, read: C, write: HookSet::NONE, doc: "How many bytes the body has; `()` when that is not known before it is read." },
    ro("req", "vars", Type::Vars, C, "What the policy carries along with the request: `req.vars[\"name\"]`."),

    rw("bereq", "method", Type::Text, B, "The request method."),
    rw("bereq", "url", Type::Text, B, "Path and query."),
    ro("bereq", "proto", Type::Text, B, "The version spoken to the origin."),
    ro("bereq", "http", Type::Headers, B, "The header fields; Content-Length and Transfer-Encoding can only be read."),
    ro("bereq", "cookie", Type::Cookies, B, "The cookies, a view of the Cookie header."),
    opt("bereq", "backend", Type::Backend, B, "The backend or director to ask."),
    opt("bereq", "shadow", Type::Backend, B, "The backend or director that gets a copy of the request, whose answer is thrown away; `()` is what `[shadow]` says."),
    Var { object: "bereq", name: "body", ty: Type::Text, optional: true, read: B, write: HookSet::of(&[Hook::BackendFetch]), doc: "The body of the request, as `req.body`. `()` can be assigned: the request is sent without it." },
    ro("bereq", "time", Type::Time, B, "When the fetch began."),
    ro("bereq", "retries", Type::Int, F, "How often the fetch was retried."),
    ro("bereq", "is_bgfetch", Type::Bool, F, "No client waits: a refresh in the background."),
    ro("bereq", "is_hitmiss", Type::Bool, F, "A hit-for-miss marker caused it."),
    ro("bereq", "is_hitpass", Type::Bool, F, "A hit-for-pass marker caused it."),
    ro("bereq", "uncacheable", Type::Bool, F, "The response will not be stored."),
    ro("bereq", "xid", Type::Text, B, "The id of the transaction, the one in the log."),
    opt("bereq", "connect_timeout", Type::Duration, B, "How long a connection may take; `()` is the backend's own."),
    opt("bereq", "first_byte_timeout", Type::Duration, B, "How long the first byte may take; `()` is the backend's own."),
    opt("bereq", "between_bytes_timeout", Type::Duration, B, "How long may lie between two reads; `()` is the backend's own."),
    opt("bereq", "total_timeout", Type::Duration, B, "How long all of this attempt may take, to the last byte; `()` is the backend's own."),
    opt("bereq", "task_deadline", Type::Duration, HookSet::of(&[Hook::Pipe]), "How long the tunnel may last; `()` is the configured `pipe.deadline`."),

    rw("beresp", "status", Type::Int, BR, "The status; 1000 and more is sent modulo 1000. Setting it sets the reason phrase, too."),
    rw("beresp", "reason", Type::Text, BR, "The reason phrase."),
    ro("beresp", "proto", Type::Text, BR, "The version the origin speaks."),
    ro("beresp", "http", Type::Headers, BR, "The header fields."),
    rw("beresp", "ttl", Type::Duration, BR, "How long it is fresh from now. Set to zero or less it is not stored, unless `deliver()` is returned; in `backend_error` more than zero stores the page."),
    rw("beresp", "grace", Type::Duration, BR, "How long past its ttl it may be served while it is renewed."),
    rw("beresp", "keep", Type::Duration, BR, "How long past its ttl it is kept for a conditional fetch."),
    rw("beresp", "stale_if_error", Type::Duration, BR, "How long past its ttl it may be served when the origin fails."),
    ro("beresp", "time", Type::Time, BR, "When its head came."),
    ro("beresp", "age", Type::Duration, BR, "How old it was when it came."),
    rw("beresp", "uncacheable", Type::Bool, BR, "It is not stored. Can be set, not cleared."),
    Var { object: "beresp", name: "body", ty: Type::Text, optional: true, read: BR, write: HookSet::of(&[Hook::BackendError]), doc: "The body of the error page." },
    ro("beresp", "backend", Type::Backend, BR, "The backend that answered."),
    rw("beresp", "storage", Type::Text, BR, "The storage that it is put in: `main`, or one of the configuration's `[store.NAME]`. A 304 leaves an object where it is."),
    ro("beresp", "was_304", Type::Bool, BR, "Made from a 304 and the stale object."),

    rw("resp", "status", Type::Int, R, "The status; 1000 and more is sent modulo 1000. Setting it sets the reason phrase, too."),
    rw("resp", "reason", Type::Text, R, "The reason phrase."),
    ro("resp", "proto", Type::Text, R, "The version of the response."),
    ro("resp", "http", Type::Headers, R, "The header fields."),
    ro("resp", "time", Type::Time, R, "When it began to be made ready."),
    ro("resp", "hits", Type::Int, R, "How often the object was delivered before; 0 for a miss."),
    Var { object: "resp", name: "body", ty: Type::Text, optional: true, read: R, write: HookSet::of(&[Hook::Synth]), doc: "The body of the page." },
    ro("resp", "is_streaming", Type::Bool, R, "The body is still being fetched."),

    ro("obj", "status", Type::Int, OH, "The status."),
    ro("obj", "reason", Type::Text, OH, "The reason phrase."),
    ro("obj", "proto", Type::Text, OH, "The version the origin spoke."),
    ro("obj", "http", Type::Headers, OH, "The header fields."),
    ro("obj", "ttl", Type::Duration, O, "How long it is still fresh; negative when stale."),
    ro("obj", "grace", Type::Duration, O, "How long past its ttl it may be served."),
    ro("obj", "keep", Type::Duration, O, "How long past its ttl it is kept."),
    ro("obj", "time", Type::Time, O, "When the origin made it: `now - obj.age`."),
    ro("obj", "age", Type::Duration, O, "How old it is."),
    ro("obj", "hits", Type::Int, O, "How often it was delivered; in `deliver` 0 for what is not stored."),
    ro("obj", "uncacheable", Type::Bool, O, "It was not stored; in `deliver` true for a pass and for a page made here."),

    ro("client", "ip", Type::Address, T, "The client's address, after the PROXY protocol."),
    ro("client", "port", Type::Int, T, "The client's port."),
    Var { object: "client", name: "identity", ty: Type::Text, optional: false, read: T, write: C, doc: "What directors know the client by; its address unless set." },
    ro("server", "ip", Type::Address, T, "The address the client asked, after the PROXY protocol."),
    ro("server", "port", Type::Int, T, "The port the client asked."),
    ro("server", "hostname", Type::Text, ALL, "The name of this machine."),
    ro("server", "identity", Type::Text, ALL, "The name of this machine."),
    ro("local", "ip", Type::Address, T, "Our address on the connection."),
    ro("local", "port", Type::Int, T, "Our port on the connection."),
    ro("local", "endpoint", Type::Text, T, "Our address and port on the connection: \"10.0.0.1:80\"."),
    ro("remote", "ip", Type::Address, T, "The peer's address on the connection."),
    ro("remote", "port", Type::Int, T, "The peer's port on the connection."),

    ro("req_top", "method", Type::Text, C, "The method of the client's own request; every request is one in this version, as there is no ESI."),
    ro("req_top", "url", Type::Text, C, "Its path and query, as the policy left them."),
    ro("req_top", "proto", Type::Text, C, "The version the client speaks."),
    ro("req_top", "http", Type::Headers, C, "Its header fields, which can only be read here."),
    ro("req_top", "time", Type::Time, C, "When its head was complete."),

    ro("param", "default_ttl", Type::Duration, ALL, "`[cache] ttl`."),
    ro("param", "default_grace", Type::Duration, ALL, "`[cache] grace`."),
    ro("param", "default_keep", Type::Duration, ALL, "`[cache] keep`."),
    ro("param", "uncacheable_ttl", Type::Duration, ALL, "`[cache] hit_for_miss`."),
    ro("param", "max_restarts", Type::Int, ALL, "`[policy] max_restarts`."),
    ro("param", "max_retries", Type::Int, ALL, "`[policy] max_retries`."),
    ro("param", "pipe_timeout", Type::Duration, ALL, "`[pipe] timeout`."),
    ro("param", "pipe_task_deadline", Type::Duration, ALL, "`[pipe] deadline`; zero is none."),
    ro("param", "transit_buffer", Type::Int, ALL, "`[limits] transit_size`, in bytes."),

    ro("storage", "used_space", Type::Int, T, "Bytes that a storage holds, all of it counted: `storage.images.used_space` of `[store.images]`; `storage.main` is the one of `[cache]`, and `storage` for short."),
    ro("storage", "free_space", Type::Int, T, "Bytes up to its size; 0 while room is being made."),
    ro("storage", "happy", Type::Bool, T, "Is it within its size? It is not while slow clients and fetches hold more than it has."),
];

/// The variable of that name, if there is one.
#[must_use]
pub fn find(object: &str, name: &str) -> Option<&'static Var> {
    VARS.iter().find(|v| v.object == object && v.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_stands_once_and_is_documented() {
        for v in VARS {
            assert_eq!(VARS.iter().filter(|w| w.object == v.object && w.name == v.name).count(), 1, "{}", v.name);
            assert!(v.doc.ends_with('.') && !v.read.is_empty(), "{}.{}", v.object, v.name);
        }
        assert!(find("req", "url").is_some_and(|v| v.write == HookSet::CLIENT));
        assert!(find("req", "uri").is_none());
    }
}
