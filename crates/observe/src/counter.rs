//! The table of counters: each is declared once, here, with the text that `copal stat`, /metrics and the docs show.

/// Whether a value only grows, or is a level that goes up and down.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Only grows while the process runs.
    Counter,
    /// A level: goes up and down.
    Gauge,
}

/// One line of the table [`COUNTERS`].
#[derive(Clone, Copy, Debug)]
pub struct CounterInfo {
    /// The counter itself.
    pub counter: Counter,
    /// Its name, as users see it.
    pub name: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
    /// What it counts, in one sentence.
    pub doc: &'static str,
}

/// Everything that is counted; [`COUNTERS`] documents each.
#[expect(missing_docs, reason = "the table COUNTERS holds the doc text of each")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(usize)]
pub enum Counter {
    ClientConnections,
    ClientConnectionsOpen,
    ClientConnectionsRefused,
    ClientRequests,
    ClientRequestsRunning,
    ClientBadRequests,
    ClientTimeouts,
    ClientProxyHeaders,
    ClientProxyBroken,
    ClientProxyRefused,
    ClientGone,
    HitsFresh,
    HitsGrace,
    HitsStaleError,
    HitsCoalesced,
    Misses,
    HitForMiss,
    Passes,
    HitForPass,
    Pipes,
    PipesOpen,
    PipesFailed,
    PipesTimedOut,
    PipeBytesFromClients,
    PipeBytesToClients,
    Synths,
    Restarts,
    Purges,
    PurgedObjects,
    PurgesRefused,
    Refreshes,
    BansAdded,
    BansRefused,
    BannedObjects,
    Bans,
    Tags,
    Markers,
    CoalesceWaits,
    CoalesceTimeouts,
    Fetches,
    FetchesRunning,
    FetchesOk,
    Fetches304,
    FetchesUncacheable,
    FetchesCancelled,
    FetchesFailed,
    FetchFailedNoBackend,
    FetchFailedConnect,
    FetchFailedSend,
    FetchFailedTimeout,
    FetchFailedProtocol,
    FetchFailedBody,
    FetchFailedPolicy,
    FetchFailedLimit,
    BackgroundFetches,
    FetchRetries,
    FetchRetriesElsewhere,
    FetchRetriesRefused,
    FetchReconnects,
    Shadows,
    ShadowsSkipped,
    ShadowsFailed,
    BackendConnectionsOpened,
    BackendConnectionsReused,
    BackendConnectionsOpen,
    BackendConnectionsInUse,
    BackendConnectionsIdle,
    Probes,
    ProbesFailed,
    Objects,
    Bytes,
    InFlightBytes,
    CoalesceWaiting,
    Stores,
    PartsStored,
    HeadUpdates,
    HeadInvalidations,
    StoreRefused,
    Evictions,
    Expiries,
    SnapshotsWritten,
    SnapshotsFailed,
    SnapshotsRefused,
    SnapshotLoading,
    SnapshotObjectsLoaded,
    SnapshotObjectsLeftOut,
    BytesReceived,
    BodyBytesSent,
    BodyBytesFetched,
    AbortedDeliveries,
    PolicyErrors,
    PolicyLimitsHit,
    ThrottleKeysForgotten,
    PolicyReloads,
    PolicyReloadFailures,
    LogWritten,
    LogDropped,
    Workers,
}

const fn counter(counter: Counter, name: &'static str, doc: &'static str) -> CounterInfo {
    CounterInfo { counter, name, kind: Kind::Counter, doc }
}

const fn gauge(counter: Counter, name: &'static str, doc: &'static str) -> CounterInfo {
    CounterInfo { counter, name, kind: Kind::Gauge, doc }
}

use Counter as C;

/// The table, in the order in which users see it; line `n` is the counter with number `n`.
#[rustfmt::skip] // one counter per line reads as the table that it is
pub const COUNTERS: &[CounterInfo] = &[
    counter(C::ClientConnections, "client_connections", "Connections accepted from clients."),
    gauge(C::ClientConnectionsOpen, "client_connections_open", "Connections from clients that are open now."),
    counter(C::ClientConnectionsRefused, "client_connections_refused", "Connections closed at once because a limit was reached."),
    counter(C::ClientRequests, "client_requests", "Well-formed requests received from clients."),
    gauge(C::ClientRequestsRunning, "client_requests_running", "Requests being handled now."),
    counter(C::ClientBadRequests, "client_bad_requests", "Requests refused before the policy saw them: malformed or beyond a limit (400, 408, 413, 414, 431, 501, 505)."),
    counter(C::ClientTimeouts, "client_timeouts", "Client connections closed because the client was too slow to send or to read."),
    counter(C::ClientProxyHeaders, "client_proxy_headers", "Connections that began with a valid PROXY header, on listeners with proxy_protocol."),
    counter(C::ClientProxyBroken, "client_proxy_broken", "Connections closed because their PROXY header was missing, not valid, too large or cut short."),
    counter(C::ClientProxyRefused, "client_proxy_refused", "Connections closed because they came from an address whose PROXY header is not believed (proxy_acl)."),
    counter(C::ClientGone, "client_gone", "Requests given up because the client was seen to have left while its response, or more of it, was awaited."),
    counter(C::HitsFresh, "hits_fresh", "Requests served from a fresh object."),
    counter(C::HitsGrace, "hits_grace", "Requests served from a stale object within grace, while a fetch renews it."),
    counter(C::HitsStaleError, "hits_stale_error", "Requests served from a stale object because the origin is sick or the fetch failed."),
    counter(C::HitsCoalesced, "hits_coalesced", "Requests served by a fetch that another request had begun."),
    counter(C::Misses, "misses", "Requests that began a fetch of an object to be stored; includes hit_for_miss."),
    counter(C::HitForMiss, "hit_for_miss", "Misses that found a hit-for-miss marker and therefore waited for nobody."),
    counter(C::Passes, "passes", "Requests sent to the origin without lookup or store; includes hit_for_pass."),
    counter(C::HitForPass, "hit_for_pass", "Passes because the lookup found a hit-for-pass marker."),
    counter(C::Pipes, "pipes", "Requests for a tunnel to the origin."),
    gauge(C::PipesOpen, "pipes_open", "Tunnels that are open, or are being opened, now."),
    counter(C::PipesFailed, "pipes_failed", "Requests for a tunnel that were answered with 503 because there was none."),
    counter(C::PipesTimedOut, "pipes_timed_out", "Tunnels that were cut because nothing moved for too long, or because they had lasted as long as they may."),
    counter(C::PipeBytesFromClients, "pipe_bytes_from_clients", "Bytes that tunnels have carried from clients, request heads not counted."),
    counter(C::PipeBytesToClients, "pipe_bytes_to_clients", "Bytes that tunnels have carried to clients; a head of 101 is not counted."),
    counter(C::Synths, "synths", "Responses made by Copal or the policy, without object or origin."),
    counter(C::Restarts, "restarts", "Requests started over by the policy."),
    counter(C::Purges, "purges", "Purges carried out: of clients, of the admin API, and of policies (`purge::`, `tags::`)."),
    counter(C::PurgedObjects, "purged_objects", "Objects dropped, or made stale, by purges."),
    counter(C::PurgesRefused, "purges_refused", "Purge requests refused (403 or 405)."),
    counter(C::Refreshes, "refreshes", "REFRESH requests obeyed: fetched although there was an object, and replaced it."),
    counter(C::BansAdded, "bans_added", "Bans made."),
    counter(C::BansRefused, "bans_refused", "Bans of policies that were refused; the log says why."),
    counter(C::BannedObjects, "banned_objects", "Objects dropped by bans."),
    gauge(C::Bans, "bans", "Bans in force: not every stored object has been checked against them."),
    gauge(C::Tags, "tags", "Tags (surrogate keys) that some stored object carries."),
    gauge(C::Markers, "markers", "Markers of URLs whose responses cannot be stored: hit-for-miss and hit-for-pass."),
    counter(C::CoalesceWaits, "coalesce_waits", "Requests that waited for a fetch begun by another."),
    counter(C::CoalesceTimeouts, "coalesce_timeouts", "Requests that gave up waiting and fetched for themselves."),
    counter(C::Fetches, "fetches", "Fetches begun: misses, passes and background refreshes; retries are not counted again."),
    gauge(C::FetchesRunning, "fetches_running", "Fetches under way now."),
    counter(C::FetchesOk, "fetches_ok", "Fetches that ended with a complete response of the origin, whatever its status."),
    counter(C::Fetches304, "fetches_304", "Fetches that the origin answered with 304, so that the stored body was kept."),
    counter(C::FetchesUncacheable, "fetches_uncacheable", "Fetches meant for the store whose response may not be stored."),
    counter(C::FetchesCancelled, "fetches_cancelled", "Fetches ended because the only client that they were for had left."),
    counter(C::FetchesFailed, "fetches_failed", "Fetches that ended without a complete response; the sum of fetch_failed_*."),
    counter(C::FetchFailedNoBackend, "fetch_failed_no_backend", "Fetches failed because no healthy backend could be chosen."),
    counter(C::FetchFailedConnect, "fetch_failed_connect", "Fetches failed because the backend could not be resolved or connected to."),
    counter(C::FetchFailedSend, "fetch_failed_send", "Fetches failed while the request was being sent."),
    counter(C::FetchFailedTimeout, "fetch_failed_timeout", "Fetches failed because the backend did not answer in time."),
    counter(C::FetchFailedProtocol, "fetch_failed_protocol", "Fetches failed because the response head was not valid HTTP."),
    counter(C::FetchFailedBody, "fetch_failed_body", "Fetches failed because the response body was cut short or badly framed."),
    counter(C::FetchFailedPolicy, "fetch_failed_policy", "Fetches failed because the policy failed or abandoned them."),
    counter(C::FetchFailedLimit, "fetch_failed_limit", "Fetches failed because a limit of Copal was reached."),
    counter(C::BackgroundFetches, "background_fetches", "Fetches begun to renew an object that was served meanwhile."),
    counter(C::FetchRetries, "fetch_retries", "Fetches tried again by the policy."),
    counter(C::FetchRetriesElsewhere, "fetch_retries_elsewhere", "Requests sent by Copal itself to another backend because one had failed ([retry])."),
    counter(C::FetchRetriesRefused, "fetch_retries_refused", "Retries, by Copal or the policy, that were not made because the retry budget was used up."),
    counter(C::FetchReconnects, "fetch_reconnects", "Requests sent again on a new connection because the pooled one had died."),
    counter(C::Shadows, "shadows", "Copies of requests sent to a shadow ([shadow], `bereq.shadow`)."),
    counter(C::ShadowsSkipped, "shadows_skipped", "Copies not made because too many were under way or the request's body was too long to be kept."),
    counter(C::ShadowsFailed, "shadows_failed", "Copies that the shadow did not answer, or not in time."),
    counter(C::BackendConnectionsOpened, "backend_connections_opened", "Connections opened to backends."),
    counter(C::BackendConnectionsReused, "backend_connections_reused", "Requests to backends that used a pooled connection."),
    gauge(C::BackendConnectionsOpen, "backend_connections_open", "Connections to backends that are open now, in use or idle."),
    gauge(C::BackendConnectionsInUse, "backend_connections_in_use", "Connections to backends that carry a request; over HTTP/2 one may carry many."),
    gauge(C::BackendConnectionsIdle, "backend_connections_idle", "Connections to backends that wait for the next request."),
    counter(C::Probes, "probes", "Health probes sent."),
    counter(C::ProbesFailed, "probes_failed", "Health probes that failed."),
    gauge(C::Objects, "objects", "Objects in the store; each variant is one."),
    gauge(C::Bytes, "bytes", "All bytes that the store holds: bodies, heads, keys, indexes and what is in flight."),
    gauge(C::InFlightBytes, "in_flight_bytes", "The part of `bytes` that belongs to bodies on their way: being stored, or passing by."),
    gauge(C::CoalesceWaiting, "coalesce_waiting", "Requests that wait for a fetch begun by another now."),
    counter(C::Stores, "stores", "Objects put into the store."),
    counter(C::PartsStored, "parts_stored", "Parts of responses (206) put into the store."),
    counter(C::HeadUpdates, "head_updates", "Stored objects renewed by an answer to HEAD that passed by."),
    counter(C::HeadInvalidations, "head_invalidations", "Stored objects made stale by an answer to HEAD that contradicted them."),
    counter(C::StoreRefused, "store_refused", "Objects not stored because they are larger than the store allows."),
    counter(C::Evictions, "evictions", "Objects dropped to make room."),
    counter(C::Expiries, "expiries", "Objects dropped because ttl, grace and keep had passed."),
    counter(C::SnapshotsWritten, "snapshots_written", "Snapshots of the store written to their file."),
    counter(C::SnapshotsFailed, "snapshots_failed", "Snapshots that could not be written to their end; none is left of them."),
    counter(C::SnapshotsRefused, "snapshots_refused", "Snapshots found at the start that could not be used: damaged, unfinished, of another version."),
    gauge(C::SnapshotLoading, "snapshot_loading", "1 while a snapshot is being loaded."),
    counter(C::SnapshotObjectsLoaded, "snapshot_objects_loaded", "Objects loaded from a snapshot."),
    counter(C::SnapshotObjectsLeftOut, "snapshot_objects_left_out", "Objects of a snapshot that were not loaded: expired, purged or fetched since, or without room."),
    counter(C::BytesReceived, "bytes_received", "Bytes of request heads and bodies received from clients."),
    counter(C::BodyBytesSent, "body_bytes_sent", "Bytes of response bodies sent to clients."),
    counter(C::BodyBytesFetched, "body_bytes_fetched", "Bytes of response bodies received from backends."),
    counter(C::AbortedDeliveries, "aborted_deliveries", "Responses cut off before their end: the client left or the fetch failed."),
    counter(C::PolicyErrors, "policy_errors", "Errors in policy scripts; each fails its own request with 503."),
    counter(C::PolicyLimitsHit, "policy_limits_hit", "Policy errors because a script reached one of its limits; included in policy_errors."),
    counter(C::ThrottleKeysForgotten, "throttle_keys_forgotten", "Keys that `throttle::` forgot to stay within policy.limits.throttle_keys."),
    counter(C::PolicyReloads, "policy_reloads", "Policies loaded while running."),
    counter(C::PolicyReloadFailures, "policy_reload_failures", "Policies that did not load; the one in use stayed."),
    counter(C::LogWritten, "log_written", "Access log records written."),
    counter(C::LogDropped, "log_dropped", "Access log records dropped because the queue was full or the log could not be written."),
    gauge(C::Workers, "workers", "Worker threads."),
];

/// How many counters there are.
pub const COUNT: usize = COUNTERS.len();

// The index of a line is the number of its counter: what lets a counter find its line, and its atomic, without a search.
const _: () = {
    let mut i = 0;
    while i < COUNT {
        assert!(COUNTERS[i].counter as usize == i, "COUNTERS must be in the order of the enum");
        i += 1;
    }
    assert!(Counter::Workers as usize + 1 == COUNT, "every counter needs a line in COUNTERS");
};

impl Counter {
    /// This counter's line of the table.
    #[must_use]
    pub const fn info(self) -> &'static CounterInfo {
        &COUNTERS[self as usize]
    }

    /// The counter with that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Counter> {
        COUNTERS.iter().find(|c| c.name == name).map(|c| c.counter)
    }
}

/// The table of counters as Markdown, for the reference docs.
#[must_use]
pub fn reference_markdown() -> String {
    let mut out = String::from("| counter | kind | what it counts |\n|---|---|---|\n");
    for info in COUNTERS {
        let kind = match info.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        out.push_str(&format!("| `{}` | {kind} | {} |\n", info.name, info.doc));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_snake_case_and_unique_and_docs_are_sentences() {
        for (i, info) in COUNTERS.iter().enumerate() {
            assert!(
                info.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
                "{}",
                info.name
            );
            assert!(info.doc.ends_with('.'), "{}", info.name);
            assert!(COUNTERS[..i].iter().all(|other| other.name != info.name), "{} is there twice", info.name);
            assert_eq!(Counter::named(info.name), Some(info.counter));
        }
        assert_eq!(Counter::named("no_such_counter"), None);
    }

    #[test]
    fn the_reference_has_a_line_for_every_counter() {
        assert_eq!(reference_markdown().lines().count(), COUNT + 2);
        assert!(reference_markdown().contains("| `bytes` | gauge | All bytes"));
    }
}
