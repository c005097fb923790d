//! The cache as its users meet it: who waits for whom, what is served stale, what goes when it is told to, and the
//! commands, logs and signals around it.

mod access_log;
mod addresses;
mod backend_health;
mod backends;
mod cache_status;
mod ceiling;
mod client_gone;
mod coalescing;
mod commands;
mod completion;
mod connections;
mod directors;
mod explain;
mod grace;
mod head_updates;
mod herd;
mod http2_origins;
mod last_line;
mod listeners;
mod origins;
mod partial;
mod policies;
mod policy;
mod policy_faults;
mod post;
mod purge;
mod reconnect;
mod request_body;
mod request_directives;
mod retries;
mod revalidation;
mod routes;
mod runaway;
mod shadow;
mod signals;
mod slow_reader;
mod snapshot;
mod storages;
mod tags;
mod uncacheable;
mod variants;
mod warm;
mod withheld;

use crate::wire::{COPAL, builder, echo, front, front_with};
use copal_testkit::{Client, Proxy};
use std::time::Duration;

/// For what should happen at once.
const SOON: Duration = Duration::from_secs(20);

/// `n` clients that have sent a GET for the same, and not yet read.
fn crowd(proxy: &Proxy, n: usize, path: &str) -> Vec<Client> {
    let mut clients: Vec<Client> = (0..n).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send("GET", path, &[], b"");
    }
    clients
}

/// Waits until no fetch runs any more.
#[track_caller]
fn settled(proxy: &Proxy) {
    proxy.wait_stat("fetches_running", |n| n == 0, SOON);
}
