//! Listeners: where clients connect, and how long they may take.

use std::time::Duration;

use copal_semantics::cache_control::Obeyed;

use crate::address::Address;
use crate::values::View;

/// As written in the file.
pub(crate) const REQUEST_DIRECTIVES: &[&str] = &["none", "sparing", "all"];

/// One address that clients connect to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listen {
    /// Never a host name; port 0 lets the system choose.
    pub address: Address,
    /// Between two requests of a connection.
    pub idle_timeout: Duration,
    /// From the first byte of a head to its last; 408 beyond.
    pub head_timeout: Duration,
    /// Between two reads of a body; 408 beyond.
    pub body_timeout: Duration,
    /// Between two writes that the client accepts.
    pub send_timeout: Duration,
    /// Whether a client that closes its side while it waits has given up.
    pub abort_on_close: bool,
    /// Which cache directives of requests count (RFC 9111 section 5.2.1).
    pub request_directives: Obeyed,
    /// Whether every connection begins with a PROXY header.
    pub proxy_protocol: bool,
    /// The access list of those whose PROXY header is believed; none: of all who can connect. It exists.
    pub proxy_acl: Option<String>,
}

impl Listen {
    pub(crate) fn assemble(view: &View<'_>) -> Listen {
        Listen {
            address: view.address("address"),
            idle_timeout: view.duration("idle_timeout"),
            head_timeout: view.duration("head_timeout"),
            body_timeout: view.duration("body_timeout"),
            send_timeout: view.duration("send_timeout"),
            abort_on_close: view.boolean("abort_on_close"),
            request_directives: match view.word("request_directives") {
                "none" => Obeyed::Nothing,
                "all" => Obeyed::All,
                _ => Obeyed::Sparing,
            },
            proxy_protocol: view.boolean("proxy_protocol"),
            proxy_acl: view.text("proxy_acl"),
        }
    }
}
