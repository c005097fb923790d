//! What a hook is handed: everything that a policy can read or write about one transaction, as plain data.
//!
//! The pipeline keeps one per transaction, moves it into [`crate::Policy::call`] and gets it back.

use crate::connection::Connection;
use bytes::Bytes;
use copal_semantics::{RequestHead, ResponseHead, Span, Time};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// One transaction as policies see it.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The client's request, `req`.
    pub req: RequestHead,
    /// What else `req` has.
    pub req_vars: RequestVars,
    /// The request as it came, where the policy may want it back.
    pub original: Option<Box<RequestHead>>,
    /// What is known of the request's body.
    pub req_body: RequestBody,
    /// The response to the client, `resp`.
    pub resp: ResponseHead,
    /// What else `resp` has.
    pub resp_vars: ResponseVars,
    /// The request to the origin, `bereq`.
    pub bereq: RequestHead,
    /// What else `bereq` has.
    pub bereq_vars: BackendRequestVars,
    /// The origin's response, `beresp`.
    pub beresp: ResponseHead,
    /// What else `beresp` has.
    pub beresp_vars: BackendResponseVars,
    /// The stored object, `obj` (in backend_refresh, `stale`).
    pub obj: Option<ObjectVars>,
    /// Who asks, after the PROXY protocol.
    pub client: Peer,
    /// Where they asked, after the PROXY protocol.
    pub server: Peer,
    /// Our end of the connection.
    pub local: Peer,
    /// Their end of the connection.
    pub remote: Peer,
    /// What else is known of the connection; most have nothing of it.
    pub connection: Option<Arc<Connection>>,
    /// The name of this machine, `server.hostname`.
    pub hostname: Arc<str>,
    /// The time, the same throughout one hook.
    pub now: Time,
    /// The cache key as far as it is made.
    pub key: KeyParts,
    /// How many objects a purge removed.
    pub purge_count: u64,
    /// Why the last `ban(…)` was refused; empty when it was not.
    pub ban_error: String,
    /// Lines that the policy logged.
    pub log: Vec<String>,
}

/// The body of a request, as far as a policy may know it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RequestBody {
    /// There is none.
    #[default]
    None,
    /// There is one, of that length if it was announced; it streams to the origin unless a policy wants to see it.
    Unread(Option<u64>),
    /// `std::cache_req_body` was called: up to so many bytes are to be read, and the hook is to be run again from its start.
    Wanted(u64),
    /// It was read.
    Cached(Bytes),
    /// It is larger than the policy wanted it to be, and streams.
    TooLarge,
}

/// The variables of `req` beside its head.
#[derive(Debug, Clone, Default)]
pub struct RequestVars {
    /// Name of the backend or director chosen.
    pub backend: Option<String>,
    /// At most that long past its ttl may an object be to serve this request.
    pub grace: Option<Span>,
    /// At most that old may an object be to serve this request.
    pub max_age: Option<Span>,
    /// Fetch even when there is an object.
    pub hash_always_miss: bool,
    /// Do not wait for a fetch that is under way.
    pub hash_ignore_busy: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// How deep in ESI includes.
    pub esi_level: u32,
    /// When its head was complete.
    pub time: Time,
    /// The id of the transaction.
    pub xid: String,
    /// A hit-for-miss marker was found.
    pub is_hitmiss: bool,
    /// A hit-for-pass marker was found.
    pub is_hitpass: bool,
    /// `req.vars`: what the policy carries along.
    pub vars: BTreeMap<String, ScriptValue>,
}

/// The variables of `resp` beside its head.
#[derive(Debug, Clone, Default)]
pub struct ResponseVars {
    /// How often the object was delivered; 0 for a miss.
    pub hits: u64,
    /// The body of a synthetic response.
    pub body: Option<Vec<u8>>,
    /// Is the body still being fetched?
    pub is_streaming: bool,
}

/// The variables of `bereq` beside its head.
#[derive(Debug, Clone, Default)]
pub struct BackendRequestVars {
    /// Name of the backend or director chosen.
    pub backend: Option<String>,
    /// Name of the backend or director that gets a copy; none is what the configuration says.
    pub shadow: Option<String>,
    /// When the fetch began.
    pub time: Time,
    /// When the head of the answer came.
    pub answered: Time,
    /// How often it was retried.
    pub retries: u32,
    /// No client waits: a refresh in the background.
    pub is_bgfetch: bool,
    /// A hit-for-miss marker caused it.
    pub is_hitmiss: bool,
    /// A hit-for-pass marker caused it.
    pub is_hitpass: bool,
    /// The response will not be stored.
    pub uncacheable: bool,
    /// How long a connection may take; none is the backend's own.
    pub connect_timeout: Option<Span>,
    /// How long the first byte may take; none is the backend's own.
    pub first_byte_timeout: Option<Span>,
    /// How long may lie between two reads; none is the backend's own.
    pub between_bytes_timeout: Option<Span>,
    /// How long all of the attempt may take; none is the backend's own.
    pub total_timeout: Option<Span>,
    /// How long a tunnel may last; none is the configured time.
    pub task_deadline: Option<Span>,
    /// The request is to be sent without its body.
    pub no_body: bool,
}

/// The variables of `beresp` beside its head.
#[derive(Debug, Clone, Default)]
pub struct BackendResponseVars {
    /// How long it is fresh from now.
    pub ttl: Span,
    /// How long past its ttl it may be served while it is renewed.
    pub grace: Span,
    /// How long past its ttl it is kept for a conditional fetch.
    pub keep: Span,
    /// How long past its ttl it may be served when the origin fails.
    pub stale_if_error: Span,
    /// How old it was when it came.
    pub age: Span,
    /// It is not stored. A policy can raise it, not lower it.
    pub uncacheable: bool,
    /// The body of an error page.
    pub body: Option<Vec<u8>>,
    /// The backend that answered.
    pub backend: String,
    /// Made from a 304 and the stale object.
    pub was_304: bool,
    /// The storage that it is put in; `None` is the main one.
    pub storage: Option<String>,
    /// For how long the backend is not to be asked for this URL again.
    pub denylist: Option<Span>,
}

/// A stored object, read-only.
#[derive(Debug, Clone, Default)]
pub struct ObjectVars {
    /// Its response head.
    pub head: ResponseHead,
    /// How long it is still fresh; negative when stale.
    pub ttl: Span,
    /// How long past its ttl it may be served.
    pub grace: Span,
    /// How long past its ttl it is kept.
    pub keep: Span,
    /// How old it is.
    pub age: Span,
    /// How often it was delivered.
    pub hits: u64,
    /// A marker, not an object.
    pub uncacheable: bool,
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address; 0.0.0.0 for a Unix socket.
    pub ip: IpAddr,
    /// Its port; 0 for a Unix socket.
    pub port: u16,
    /// What the policy calls it; none is the address.
    pub identity: Option<String>,
}

impl Default for Peer {
    fn default() -> Self {
        Peer { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 0, identity: None }
    }
}

/// A script's value in a form that can move between threads.
#[derive(Debug, Clone, PartialEq, Default)]
#[expect(missing_docs, reason = "each is the type of its name")]
pub enum ScriptValue {
    #[default]
    Unit,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Span(Span),
    Time(Time),
    Address(IpAddr),
    Backend(String),
}

/// The parts of a cache key in one block of memory, each after its length, so that no two lists of parts look alike.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct KeyParts(Vec<u8>);

impl KeyParts {
    /// Adds a part.
    pub fn add(&mut self, part: &[u8]) {
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        self.0.extend_from_slice(&len.to_be_bytes());
        self.0.extend_from_slice(&part[..len as usize]);
    }

    /// Forgets all parts, keeps the memory.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// All parts with their lengths: what is hashed and compared.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// No part yet?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parts, in order.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.0.as_slice();
        std::iter::from_fn(move || {
            let (len, tail) = rest.split_first_chunk::<4>()?;
            let (part, tail) = tail.split_at_checked(u32::from_be_bytes(*len) as usize)?;
            rest = tail;
            Some(part)
        })
    }
}

impl Scene {
    /// Back to an empty transaction; the memory of heads, key and log is kept.
    pub fn clear(&mut self) {
        self.req.clear();
        self.resp.clear();
        self.bereq.clear();
        self.beresp.clear();
        self.req_vars = RequestVars::default();
        self.original = None;
        self.req_body = RequestBody::None;
        self.resp_vars = ResponseVars::default();
        self.bereq_vars = BackendRequestVars::default();
        self.beresp_vars = BackendResponseVars::default();
        self.obj = None;
        self.client = Peer::default();
        self.server = Peer::default();
        self.local = Peer::default();
        self.remote = Peer::default();
        self.connection = None;
        self.key.clear();
        self.purge_count = 0;
        self.ban_error.clear();
        self.log.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_parts_are_told_apart() {
        let (mut a, mut b) = (KeyParts::default(), KeyParts::default());
        a.add(b"ab");
        a.add(b"c");
        b.add(b"a");
        b.add(b"bc");
        assert_ne!(a.bytes(), b.bytes());
        assert_eq!(a.parts().collect::<Vec<_>>(), [&b"ab"[..], b"c"]);
        a.clear();
        assert!(a.is_empty());
    }

    #[test]
    fn a_scene_moves_between_threads() {
        fn sendable<T: Send + Sync>() {}
        sendable::<Scene>();
    }
}
