//! What one client, response or URL may use at most.

use crate::values::View;

/// `[limits]`. Sizes are in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Head of a request, request line included; 431 beyond.
    pub head_size: usize,
    /// Request target; 414 beyond.
    pub url_size: usize,
    /// Header lines of a request; 431 beyond.
    pub header_count: usize,
    /// Body of a request; 413 beyond.
    pub body_size: Option<u64>,
    /// Ranges of one request; beyond, `Range` is ignored.
    pub ranges: usize,
    /// Client connections at a time; further ones wait in the system's queue.
    pub connections: usize,
    /// Requests waiting for one fetch; those beyond fetch for themselves.
    pub waiters: usize,
    /// Variants of one URL; the least used goes.
    pub variants: usize,
    /// Markers of URLs that cannot be stored, at a time; the oldest goes.
    pub markers: usize,
    /// Bans in force at a time; further ones are refused.
    pub bans: usize,
    /// How far a response that is not stored may be read ahead of its client.
    pub transit_size: usize,
    /// Log lines that wait for the writer; those beyond are dropped and counted.
    pub log_queue: usize,
}

impl Limits {
    pub(crate) fn assemble(view: &View<'_>) -> Limits {
        let size = |leaf: &str| usize::try_from(view.size(leaf)).unwrap_or(usize::MAX);
        let count = |leaf: &str| usize::try_from(view.count(leaf)).unwrap_or(usize::MAX);
        Limits {
            head_size: size("head_size"),
            url_size: size("url_size"),
            header_count: count("header_count"),
            body_size: view.is_set("body_size").then(|| view.size("body_size")),
            ranges: count("ranges"),
            connections: count("connections"),
            waiters: count("waiters"),
            variants: count("variants"),
            markers: count("markers"),
            bans: count("bans"),
            transit_size: size("transit_size"),
            log_queue: count("log_queue"),
        }
    }
}
