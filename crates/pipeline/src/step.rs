//! The steps of both state machines and the one table of legal edges between them.
//!
//! The names here are the words of the policy hooks, the log, the counters and the documentation. The drivers assert
//! every transition against [`CLIENT_EDGES`] and [`FETCH_EDGES`]; the diagram in the docs is printed from them.

/// A step of the client machine: one machine per request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientStep {
    /// The request has been read: where shall it go?
    Recv,
    /// The cache key is made.
    Hash,
    /// The store is asked; another request's fetch may be waited for.
    Lookup,
    /// A usable object was found.
    Hit,
    /// Nothing usable: a fetch that may be stored.
    Miss,
    /// A fetch that is not stored.
    Pass,
    /// Bytes go both ways between client and origin, whatever they mean.
    Pipe,
    /// The object is dropped.
    Purge,
    /// Copal answers by itself.
    Synth,
    /// The response is finished and sent.
    Deliver,
    /// Back to the start with a changed request.
    Restart,
    /// The end.
    Done,
}

/// A step of the fetch machine: one machine, and one task, per fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FetchStep {
    /// The request to the origin is made ready.
    BackendFetch,
    /// An origin is chosen and asked; its response head is awaited.
    Response,
    /// The origin answered 304 to Copal's own condition.
    BackendRefresh,
    /// The response head is judged: stored or not, for how long.
    BackendResponse,
    /// The body is read and handed on.
    Body,
    /// The fetch failed: stale, a policy's page, or a plain one.
    BackendError,
    /// Once more, with another request.
    Retry,
    /// The end.
    Done,
}

impl ClientStep {
    /// The word for it, as in hooks and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            ClientStep::Recv => "recv",
            ClientStep::Hash => "hash",
            ClientStep::Lookup => "lookup",
            ClientStep::Hit => "hit",
            ClientStep::Miss => "miss",
            ClientStep::Pass => "pass",
            ClientStep::Pipe => "pipe",
            ClientStep::Purge => "purge",
            ClientStep::Synth => "synth",
            ClientStep::Deliver => "deliver",
            ClientStep::Restart => "restart",
            ClientStep::Done => "done",
        }
    }
}

impl FetchStep {
    /// The word for it, as in hooks and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FetchStep::BackendFetch => "backend_fetch",
            FetchStep::Response => "response",
            FetchStep::BackendRefresh => "backend_refresh",
            FetchStep::BackendResponse => "backend_response",
            FetchStep::Body => "body",
            FetchStep::BackendError => "backend_error",
            FetchStep::Retry => "retry",
            FetchStep::Done => "done",
        }
    }
}

/// From, to, and when.
pub type Edge<S> = (S, S, &'static str);

use ClientStep as C;
/// Every transition that a request may take.
pub const CLIENT_EDGES: &[Edge<ClientStep>] = &[
    (C::Recv, C::Hash, "lookup or purge: both need the key"),
    (C::Recv, C::Pass, "pass"),
    (C::Recv, C::Pipe, "pipe"),
    (C::Recv, C::Synth, "synth, redirect, fail, or a fault of the policy"),
    (C::Recv, C::Recv, "policy: the recv of another one"),
    (C::Recv, C::Restart, "restart"),
    (C::Hash, C::Lookup, "the key is made"),
    (C::Hash, C::Purge, "the key is made for a purge"),
    (C::Hash, C::Synth, "a fault of the policy"),
    (C::Lookup, C::Hit, "fresh, in grace, or fetched by another request"),
    (C::Lookup, C::Miss, "nothing usable"),
    (C::Lookup, C::Pass, "hit-for-pass"),
    (C::Lookup, C::Done, "the client left while it waited"),
    (C::Lookup, C::Synth, "only-if-cached, and not in the cache"),
    (C::Hit, C::Deliver, "deliver"),
    (C::Hit, C::Miss, "miss: fetch although there is an object"),
    (C::Hit, C::Pass, "pass"),
    (C::Hit, C::Synth, "synth, fail, or a fault of the policy"),
    (C::Hit, C::Restart, "restart"),
    (C::Miss, C::Deliver, "the fetch has a response"),
    (C::Miss, C::Pass, "pass"),
    (C::Miss, C::Synth, "synth, fail, abandoned, or a fault of the policy"),
    (C::Miss, C::Restart, "restart"),
    (C::Miss, C::Done, "the client left; the fetch goes on"),
    (C::Pass, C::Deliver, "the fetch has a response"),
    (C::Pass, C::Synth, "synth, fail, abandoned, or a fault of the policy"),
    (C::Pass, C::Restart, "restart"),
    (C::Pass, C::Done, "the client left, and the fetch ends"),
    (C::Pipe, C::Done, "the tunnel is over, or the client left before it was open"),
    (C::Pipe, C::Deliver, "the origin did not change protocols, and answered"),
    (C::Pipe, C::Synth, "synth, fail, a fault of the policy, or no tunnel to be had"),
    (C::Purge, C::Synth, "purged"),
    (C::Purge, C::Restart, "restart: fetch anew what was purged"),
    (C::Synth, C::Deliver, "the page is made"),
    (C::Synth, C::Restart, "restart"),
    (C::Deliver, C::Done, "sent"),
    (C::Deliver, C::Synth, "synth, fail, or a fault of the policy"),
    (C::Deliver, C::Restart, "restart"),
    (C::Restart, C::Recv, "with the changed request"),
    (C::Restart, C::Synth, "max_restarts reached"),
];

use FetchStep as F;
/// Every transition that a fetch may take.
pub const FETCH_EDGES: &[Edge<FetchStep>] = &[
    (F::BackendFetch, F::Response, "fetch"),
    (F::BackendFetch, F::BackendError, "error, fail, or a fault of the policy"),
    (F::BackendFetch, F::Done, "abandon"),
    (F::Response, F::BackendRefresh, "304 to Copal's own condition"),
    (F::Response, F::BackendResponse, "a response head"),
    (F::Response, F::BackendError, "no response"),
    (F::Response, F::Done, "the only client that it was for has left"),
    (F::BackendRefresh, F::BackendResponse, "merged, kept or replaced"),
    (F::BackendRefresh, F::BackendError, "error, fail, or a fault of the policy"),
    (F::BackendRefresh, F::Retry, "retry"),
    (F::BackendRefresh, F::Done, "abandon"),
    (F::BackendResponse, F::Body, "deliver or pass"),
    (
        F::BackendResponse,
        F::BackendError,
        "error, fail, a fault of the policy, or a failure with a stale object at hand",
    ),
    (F::BackendResponse, F::Retry, "retry"),
    (F::BackendResponse, F::Done, "abandon"),
    (F::Body, F::Done, "complete, failed, or nobody left to read"),
    (F::BackendError, F::Body, "a page"),
    (F::BackendError, F::Retry, "retry"),
    (F::BackendError, F::Done, "a stale object serves, or abandon"),
    (F::Retry, F::BackendFetch, "with the changed request"),
    (F::Retry, F::BackendError, "max_retries reached, or the request body is gone"),
];

/// Is it in the client table?
#[must_use]
pub fn client_edge_is_legal(from: ClientStep, to: ClientStep) -> bool {
    CLIENT_EDGES.iter().any(|(f, t, _)| *f == from && *t == to)
}

/// Is it in the fetch table?
#[must_use]
pub fn fetch_edge_is_legal(from: FetchStep, to: FetchStep) -> bool {
    FETCH_EDGES.iter().any(|(f, t, _)| *f == from && *t == to)
}

/// Both tables as Markdown, for `docs/reference/steps.md`.
#[must_use]
pub fn reference_markdown() -> String {
    use std::fmt::Write;
    let mut out = String::from("# Steps and edges\n\nGenerated from `crates/pipeline/src/step.rs`.\n");
    let mut table = |title: &str, rows: Vec<(&str, &str, &str)>| {
        let _infallible = write!(out, "\n## {title}\n\n| from | to | when |\n|---|---|---|\n");
        for (from, to, when) in rows {
            let _infallible = writeln!(out, "| `{from}` | `{to}` | {when} |");
        }
    };
    table("The client machine", CLIENT_EDGES.iter().map(|(f, t, w)| (f.name(), t.name(), *w)).collect());
    table("The fetch machine", FETCH_EDGES.iter().map(|(f, t, w)| (f.name(), t.name(), *w)).collect());
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn no_edge_is_listed_twice_and_every_step_is_reached() {
        let edges: HashSet<_> = CLIENT_EDGES.iter().map(|(f, t, _)| (f, t)).collect();
        assert_eq!(edges.len(), CLIENT_EDGES.len());
        let edges: HashSet<_> = FETCH_EDGES.iter().map(|(f, t, _)| (f, t)).collect();
        assert_eq!(edges.len(), FETCH_EDGES.len());
        assert!(CLIENT_EDGES.iter().all(|(f, _, _)| *f == C::Recv || CLIENT_EDGES.iter().any(|(_, t, _)| t == f)));
        assert!(
            FETCH_EDGES.iter().all(|(f, _, _)| *f == F::BackendFetch || FETCH_EDGES.iter().any(|(_, t, _)| t == f))
        );
    }

    #[test]
    fn an_edge_that_is_not_in_the_table_is_refused() {
        assert!(client_edge_is_legal(C::Recv, C::Hash));
        assert!(!client_edge_is_legal(C::Recv, C::Deliver));
        assert!(!fetch_edge_is_legal(F::Body, F::Retry));
    }
}
