//! Backends: the origin servers, and how their health is watched.

use std::time::Duration;

use crate::address::Address;
use crate::values::{Table, Values, View};

/// One origin server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Its name, as policies and directors call it.
    pub name: String,
    /// Where it is; never port 0.
    pub address: Address,
    /// To open a connection; 503 beyond.
    pub connect_timeout: Duration,
    /// From the request sent to the response's first byte; 504 beyond.
    pub first_byte_timeout: Duration,
    /// Between two reads of the response.
    pub between_bytes_timeout: Duration,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Most connections at a time; 503 beyond.
    pub max_connections: u32,
    /// The `Host` it is sent; the client's when none.
    pub host_header: Option<String>,
    /// How its health is watched; without one it counts as healthy.
    pub probe: Option<Probe>,
}

/// How a backend's health is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// What is asked for, beginning with `/`.
    pub path: String,
    /// The `Host` that is sent: this, or the backend's `host_header`, or its address.
    pub host: Option<String>,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// How many of the last probes are looked at, 1 to 64.
    pub window: u8,
    /// How many of them must be good, 1 to `window`.
    pub threshold: u8,
    /// How many count as good at the start, 0 to `window`.
    pub initial: u8,
    /// The status of a good answer.
    pub expected_status: u16,
}

impl Backend {
    pub(crate) fn assemble(table: &Table, values: &Values) -> Backend {
        let view = values.view("backend.*", &table.path);
        let path = format!("{}.probe", table.path);
        let probed = values.tables("backend.*.probe").any(|probe| probe.path == path);
        Backend {
            name: table.name.clone(),
            address: view.address("address"),
            connect_timeout: view.duration("connect_timeout"),
            first_byte_timeout: view.duration("first_byte_timeout"),
            between_bytes_timeout: view.duration("between_bytes_timeout"),
            idle_timeout: view.duration("idle_timeout"),
            max_connections: view.count("max_connections"),
            host_header: view.text("host_header"),
            probe: probed.then(|| Probe::assemble(&values.view("backend.*.probe", &path))),
        }
    }
}

impl Probe {
    fn assemble(view: &View<'_>) -> Probe {
        // The table of keys has 64 as their maximum.
        let small = |leaf: &str| u8::try_from(view.count(leaf)).unwrap_or(64);
        Probe {
            path: view.string("path"),
            host: view.text("host"),
            interval: view.duration("interval"),
            timeout: view.duration("timeout"),
            window: small("window"),
            threshold: small("threshold"),
            initial: small("initial"),
            expected_status: u16::try_from(view.count("expected_status")).unwrap_or(200),
        }
    }
}
