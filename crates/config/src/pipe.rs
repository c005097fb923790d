//! Tunnels between clients and origins.

use std::time::Duration;

use crate::values::View;

/// The protocols that may be named, as written in the file. What carries HTTP requests (`h2c`) is not among them: they would
/// get past the policy.
pub(crate) const UPGRADES: &[&str] = &["websocket"];

/// `[pipe]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pipe {
    /// Protocols to which a request may change without a word of the policy.
    pub upgrades: Vec<String>,
    /// How long nothing may move.
    pub timeout: Duration,
    /// How long a tunnel may last; zero is no limit.
    pub deadline: Duration,
    /// Tunnels at a time; 503 beyond.
    pub connections: u64,
}

impl Pipe {
    pub(crate) fn assemble(view: &View<'_>) -> Pipe {
        Pipe {
            upgrades: view.words("upgrades").iter().map(|word| (*word).to_owned()).collect(),
            timeout: view.duration("timeout"),
            deadline: view.duration("deadline"),
            connections: u64::from(view.count("connections")),
        }
    }
}
