//! Who is told what requests do, step by step: the runner of policy cases. A process that serves has nobody, and then
//! telling costs the test of an option.

use crate::step::{ClientStep, FetchStep};
use copal_observe::access_log::Record;
use copal_policy::{Action, Fault, Hook};
use std::net::SocketAddr;
use std::sync::Arc;

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// The client machine went from one step to the next.
    Client(ClientStep, ClientStep),
    /// A fetch that the request began did.
    Fetch(FetchStep, FetchStep),
    /// A hook of the policy ran.
    Hook {
        /// Which.
        hook: Hook,
        /// What it decided, or its fault.
        result: Result<&'a Action, &'a Fault>,
        /// What it logged.
        logged: &'a [String],
    },
    /// The request is over; its fetch may still run.
    Finished(&'a Record),
}

/// Is told of requests by the number that it has given each.
pub trait Watch: Send + Sync {
    /// A request of that client begins.
    fn begin(&self, client: SocketAddr) -> u64;
    /// Something happened to the request of that number.
    fn tell(&self, request: u64, event: Event<'_>);
}

/// Tells the watch of one request, if there is one.
#[derive(Clone, Default)]
pub(crate) struct Watched(Option<(Arc<dyn Watch>, u64)>);

impl Watched {
    pub(crate) fn begin(watch: Option<&Arc<dyn Watch>>, client: impl FnOnce() -> SocketAddr) -> Watched {
        Watched(watch.map(|watch| (Arc::clone(watch), watch.begin(client()))))
    }

    #[inline]
    pub(crate) fn is_on(&self) -> bool {
        self.0.is_some()
    }

    #[inline]
    pub(crate) fn tell(&self, event: Event<'_>) {
        if let Some((watch, request)) = &self.0 {
            watch.tell(*request, event);
        }
    }
}
