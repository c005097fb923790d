//! The edges, on raw bytes: what clients and origins may send, and what each of them gets to see of the other.

mod bad_bodies;
mod bad_requests;
mod behind_haproxy;
mod connections;
mod duplex;
mod early_answers;
mod every_response;
mod forms;
mod hop_by_hop;
mod methods;
mod origin_faults;
mod origin_framing;
mod pipe;
mod proxy_protocol;
mod proxy_status;
mod slow_clients;
mod smuggling;

use copal_testkit::{Client, Origin, Proxy, Reply, Response, proxy};
use std::time::Duration;

/// The binary under test.
pub(crate) const COPAL: &str = env!("CARGO_BIN_EXE_copal");

/// Copal in front of one origin, about to start. `toml` goes on within `[backend.app]`; sections may follow.
pub(crate) fn builder(origin: &Origin, toml: &str) -> proxy::Builder {
    Proxy::builder(COPAL).config(&format!("[backend.app]\naddress = \"{}\"\n{toml}\n", origin.addr()))
}

/// Copal in front of one origin, with more configuration.
#[track_caller]
pub(crate) fn front_with(origin: &Origin, toml: &str) -> Proxy {
    builder(origin, toml).start()
}

/// Copal in front of one origin.
#[track_caller]
pub(crate) fn front(origin: &Origin) -> Proxy {
    front_with(origin, "")
}

/// An origin whose every answer may be stored for a minute and has the request's target as its body.
pub(crate) fn echo() -> Origin {
    Origin::start(|seen| Reply::ok(seen.path.clone()).header("Cache-Control", "max-age=60"))
}

/// Sends bytes on a connection of their own; the one response, after which the connection is closed.
#[track_caller]
pub(crate) fn refused(proxy: &Proxy, bytes: impl AsRef<[u8]>) -> Response {
    let mut client = proxy.client();
    client.send_raw(bytes);
    let response = client.read_response();
    assert!(response.complete, "{response:?}");
    client.assert_closed();
    response
}

/// The connection still works: it is in step.
#[track_caller]
pub(crate) fn assert_in_step(client: &mut Client) {
    assert_eq!(client.get("/in-step", &[]).text(), "/in-step");
}

/// Enough for what is being waited for to happen if it ever does, where the test is that it does not.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(100);
