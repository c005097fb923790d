//! What the admin API answers.

use super::explain::House;
use crate::reload::Reloader;
use crate::snapshot::{SaveError, Snapshots};
use bytes::Bytes;
use copal_backend::{Admin, FaultCount, OriginRow, Pool};
use copal_observe::counters::Counter;
use copal_observe::stats::{BackendRow, FaultRow, Stats};
use copal_pipeline::{Core, PurgedUrl, Worker};
use copal_store::PurgeMode;
use http::{Method, Request, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

type Response = http::Response<Full<Bytes>>;

/// What the answers are made from.
pub(super) struct Api {
    core: Arc<Core>,
    reloader: Reloader,
    snapshots: Option<Snapshots>,
    token: Option<Arc<str>>,
    house: House,
    /// Runs the requests that are explained; its connections to origins are reused by the next ones, as any worker's.
    worker: Arc<Worker>,
    started: Instant,
}

impl Api {
    pub(super) fn new(
        core: Arc<Core>,
        (reloader, snapshots): (Reloader, Option<Snapshots>),
        token: Option<Arc<str>>,
        house: House,
    ) -> Self {
        let worker = Arc::new(Worker { core: Arc::clone(&core), pool: Arc::new(Pool::default()) });
        Api { core, reloader, snapshots, token, house, worker, started: copal_observe::clock::ticks() }
    }

    fn stats(&self) -> Stats {
        let core = &self.core;
        crate::stats::collect(
            core,
            core.policies.load().main().name(),
            copal_observe::clock::ticks().saturating_duration_since(self.started),
        )
    }

    fn may(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = &self.token else { return true };
        let given = request.headers().get(header::AUTHORIZATION).map(http::HeaderValue::as_bytes).unwrap_or_default();
        let wanted = format!("Bearer {token}");
        // Every byte is compared, whatever the first difference: the time tells nothing.
        given.len() == wanted.len() && given.iter().zip(wanted.as_bytes()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
    }
}

/// The answer to an admin request.
pub(super) async fn answer(api: &Arc<Api>, request: &Request<Incoming>) -> Response {
    if !api.may(request) {
        return error(
            StatusCode::UNAUTHORIZED,
            "this needs the header `Authorization: Bearer TOKEN` with the token of [admin] token_file",
        );
    }
    let query = request.uri().query().unwrap_or_default();
    let path = request.uri().path();
    match (request.method(), path) {
        (&Method::GET, "/stats") => json(StatusCode::OK, &api.stats()),
        (&Method::GET, "/backends") => json(StatusCode::OK, &api.core.backends.rows()),
        (&Method::GET, "/listeners") => json(StatusCode::OK, &api.house.names()),
        (&Method::GET, "/policy/faults") => json(StatusCode::OK, &faults(api)),
        (&Method::GET, "/directors") => json(StatusCode::OK, &api.core.backends.director_rows()),
        (&Method::POST, "/purge") => purge(api, query),
        (&Method::POST, "/explain") => match super::explain::explain(&api.worker, &api.house, query).await {
            Ok(explanation) => json(StatusCode::OK, &explanation),
            Err(why) => error(StatusCode::BAD_REQUEST, &why),
        },
        (&Method::POST, "/tags/purge") => purge_tags(api, query),
        (&Method::POST, "/ban") => ban(api, query),
        (&Method::GET, "/bans") => json(StatusCode::OK, &bans(api)),
        (&Method::POST, "/reload") => {
            let task = Arc::clone(api);
            match tokio::task::spawn_blocking(move || task.reloader.reload()).await {
                Ok(Ok(what)) => json(StatusCode::OK, &json!({ "reloaded": what })),
                Ok(Err(why)) => error(StatusCode::UNPROCESSABLE_ENTITY, &why),
                Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "the reload crashed"),
            }
        }
        (&Method::POST, "/snapshot") => snapshot(api).await,
        (&Method::POST, path) if path.starts_with("/backends/") => set_backend(api, &path["/backends/".len()..], query),
        _ => error(
            StatusCode::NOT_FOUND,
            "there is GET /stats, GET /backends, GET /directors, GET /listeners, GET /policy/faults, POST /backends/NAME?state=, POST /purge?url=[&header=], POST /tags/purge?key=, POST /ban?expression=, GET /bans, POST /snapshot, POST /explain?url=, POST /reload",
        ),
    }
}

/// The metrics page.
pub(super) fn metrics(api: &Arc<Api>, request: &Request<Incoming>) -> Response {
    if request.uri().path() != "/metrics" {
        return error(StatusCode::NOT_FOUND, "there is GET /metrics");
    }
    let mut text = copal_observe::prometheus::render(api.stats());
    let end = text.rfind("# EOF").unwrap_or(text.len());
    text.insert_str(end, &policy_faults(&faults(api)));
    respond(StatusCode::OK, copal_observe::prometheus::CONTENT_TYPE, text)
}

/// The faults of the policies in force, by line.
fn faults(api: &Api) -> Vec<copal_policy::FaultCount> {
    api.core.policies.load().all().flat_map(|policy| policy.faults()).collect()
}

/// As metrics: a family of its own, since its labels come from the policies.
fn policy_faults(faults: &[copal_policy::FaultCount]) -> String {
    let mut out = String::new();
    for fault in faults {
        if out.is_empty() {
            out.push_str("# HELP copal_policy_fault_lines Faults of the policies in force, by line.\n");
            out.push_str("# TYPE copal_policy_fault_lines counter\n");
        }
        let file = fault.file.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let (line, hook, kind, count) = (fault.line, fault.hook, fault.kind, fault.count);
        let labels = format!("file=\"{file}\",line=\"{line}\",hook=\"{hook}\",kind=\"{kind}\"");
        out.push_str(&format!("copal_policy_fault_lines_total{{{labels}}} {count}\n"));
    }
    out
}

fn is_soft(query: &str) -> bool {
    parameter(query, "soft").is_some_and(|v| v != "0" && v != "false")
}

fn purge_tags(api: &Api, query: &str) -> Response {
    let keys: Vec<String> = parameters(query, "key").flatten().filter(|key| !key.is_empty()).collect();
    if keys.is_empty() {
        return error(StatusCode::BAD_REQUEST, "which tags? POST /tags/purge?key=KEY");
    }
    let soft = is_soft(query);
    let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
    let count = copal_pipeline::purge_tags(&api.core, &keys, mode);
    json(StatusCode::OK, &json!({ "purged": count, "keys": keys, "soft": soft }))
}

fn ban(api: &Api, query: &str) -> Response {
    let Some(expression) = parameter(query, "expression") else {
        return error(StatusCode::BAD_REQUEST, "which objects? POST /ban?expression=obj.status%20==%20404");
    };
    match copal_pipeline::ban(&api.core, &expression) {
        Ok(()) => json(StatusCode::OK, &json!({ "banned": expression })),
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

fn bans(api: &Api) -> serde_json::Value {
    let list = api.core.store.ban_list();
    let now = api.core.clock.now();
    let row = |ban: &copal_store::BanRow| {
        json!({
            "number": ban.number,
            "expression": ban.expression,
            "age_seconds": (now - ban.at).as_secs(),
            "needs_request": ban.needs_request,
            "tests": ban.tests,
            "dropped": ban.dropped,
        })
    };
    json!({ "bans": list.bans.iter().map(row).collect::<Vec<_>>(), "round": list.round, "completed": list.completed })
}

fn purge(api: &Api, query: &str) -> Response {
    let Some(url) = parameter(query, "url") else {
        return error(StatusCode::BAD_REQUEST, "which URL? POST /purge?url=http://host/path");
    };
    let soft = is_soft(query);
    let mode = if soft { PurgeMode::Soft } else { PurgeMode::Hard };
    let Some(headers) = parameters(query, "header").collect::<Option<Vec<String>>>() else {
        return error(StatusCode::BAD_REQUEST, "a header line is not UTF-8");
    };
    match copal_pipeline::purge_url(&api.core, &url, &headers, mode) {
        Ok(PurgedUrl { count, key }) => {
            api.core.counters.inc(Counter::Purges);
            api.core.counters.add(Counter::PurgedObjects, count);
            json(StatusCode::OK, &json!({ "purged": count, "url": url, "soft": soft, "key": key }))
        }
        Err(why) => error(StatusCode::BAD_REQUEST, &why),
    }
}

async fn snapshot(api: &Api) -> Response {
    let Some(snapshots) = api.snapshots.clone() else {
        return error(
            StatusCode::CONFLICT,
            "no file is set for it: add `[snapshot] file = \"PATH\"` to the configuration and restart",
        );
    };
    let file = snapshots.file();
    match tokio::task::spawn_blocking(move || snapshots.save(true)).await {
        Ok(Ok(report)) => {
            let seconds = report.took.as_secs_f64();
            json(
                StatusCode::OK,
                &json!({ "file": file, "objects": report.objects, "bytes": report.bytes, "seconds": seconds }),
            )
        }
        Ok(Err(why @ SaveError::Io { .. })) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
        Ok(Err(why)) => error(StatusCode::CONFLICT, &why.to_string()),
        Err(_) => error(StatusCode::INTERNAL_SERVER_ERROR, "writing the snapshot crashed"),
    }
}

fn set_backend(api: &Api, name: &str, query: &str) -> Response {
    let state = match parameter(query, "state").unwrap_or_default().parse::<Admin>() {
        Ok(state) => state,
        Err(why) => return error(StatusCode::BAD_REQUEST, &format!("which state? {why}")),
    };
    match api.core.backends.set_admin(name, state) {
        Ok(()) => json(StatusCode::OK, &json!({ "backend": name, "state": state })),
        Err(why) => error(StatusCode::NOT_FOUND, &why.to_string()),
    }
}

/// One parameter of a query string, percent-decoded.
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    parameters(query, name).next()?
}

/// All parameters of that name, percent-decoded; `None` for one that is not UTF-8.
pub(super) fn parameters<'q>(query: &'q str, name: &str) -> impl Iterator<Item = Option<String>> + use<'q> {
    let values = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let name = name.to_owned();
    values.filter(move |(n, _)| *n == name).map(|(_, value)| decoded(value))
}

fn decoded(value: &str) -> Option<String> {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let hex = bytes
            .get(i + 1..i + 3)
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

fn json(status: StatusCode, value: &impl serde::Serialize) -> Response {
    match serde_json::to_string(value) {
        Ok(text) => respond(status, "application/json", text + "\n"),
        Err(why) => error(StatusCode::INTERNAL_SERVER_ERROR, &why.to_string()),
    }
}

fn error(status: StatusCode, why: &str) -> Response {
    respond(status, "application/json", json!({ "error": why }).to_string() + "\n")
}

fn respond(status: StatusCode, content_type: &'static str, text: String) -> Response {
    let mut response = http::Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

/// A kind of fault as stats show it.
fn fault_row(fault: FaultCount) -> FaultRow {
    let FaultCount { phase, error, by, retry_safe, count } = fault;
    FaultRow { phase: phase.to_owned(), error: error.to_owned(), by: by.to_owned(), retry_safe, count }
}

/// A backend's row as stats show it.
#[expect(clippy::cast_precision_loss, reason = "microseconds of latency fit 53 bits for centuries")]
pub(crate) fn backend_row(row: OriginRow) -> BackendRow {
    let latency_ms_sum = row.latency_us_sum as f64 / 1000.0;
    let resolved = row.resolved.unwrap_or_default();
    BackendRow {
        connections_opened: row.connections_opened,
        connections_reused: row.connections_reused,
        addresses: resolved.addresses,
        address_changes: resolved.changes,
        resolve_failures: resolved.failures,
        name: row.name,
        healthy: row.healthy,
        state: row.state.to_owned(),
        cause: row.cause.to_owned(),
        share_percent: row.share_permille as f64 / 10.0,
        running: row.running,
        limit: row.limit,
        waiting: row.waiting,
        ejections: row.ejections,
        saint_objects: row.saint_objects,
        state_reason: row.state_reason,
        connections_open: row.connections_open,
        connections_in_use: row.connections_in_use,
        connections_idle: row.connections_idle,
        requests: row.requests,
        failures: row.failures,
        faults: row.faults.into_iter().map(fault_row).collect(),
        latency_ms_sum,
        latency_count: row.latency_count,
        probe_history: row.probe_history,
    }
}

#[cfg(test)]
mod tests {
    use super::{parameter, parameters};

    #[test]
    fn parameters_are_decoded_and_nothing_breaks_on_bad_escapes() {
        assert_eq!(parameter("a=1&url=http%3A%2F%2Fh%2Fp%3Fq", "url").as_deref(), Some("http://h/p?q"));
        assert_eq!(parameter("url=%zz%2", "url").as_deref(), Some("%zz%2"));
        assert_eq!(parameter("soft", "soft").as_deref(), Some(""));
        assert_eq!(parameter("", "url"), None);
        assert_eq!(parameters("key=a&soft&key=b%20c", "key").flatten().collect::<Vec<_>>(), ["a", "b c"]);
    }
}
