//! Backends: the origin servers, and how their health is watched.

use std::ops::RangeInclusive;
use std::path::PathBuf;
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
    /// All of one attempt; no limit when none.
    pub total_timeout: Option<Duration>,
    /// TLS, when it is spoken.
    pub tls: Option<BackendTls>,
    /// Which HTTP is spoken.
    pub http2: Http2,
    /// The version of the PROXY protocol that begins a connection.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// How long a TCP connection may be silent before it is probed; never when none.
    pub tcp_keepalive: Option<Duration>,
    /// How long an unused connection is kept.
    pub idle_timeout: Duration,
    /// Most unused connections that are kept, where that is limited.
    pub idle_connections: Option<u32>,
    /// Most requests at a time; others wait.
    pub max_connections: u32,
    /// Most that wait; 503 beyond.
    pub wait_limit: u32,
    /// How long they wait; 503 beyond.
    pub wait_timeout: Duration,
    /// The `Host` it is sent; the client's when none.
    pub host_header: Option<String>,
    /// How its health is watched; without one it counts as healthy.
    pub probe: Option<Probe>,
    /// How its limit follows its latency; it is `max_connections` when none.
    pub adaptive: Option<Adaptive>,
    /// How long it takes to its whole share once it has become healthy again.
    pub slow_start: Duration,
    /// When it is left out for failing requests; never when none.
    pub eject: Option<Eject>,
    /// How long it is not asked again for what it has failed.
    pub saint_mode: Duration,
}

/// TLS to a backend.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BackendTls {
    /// The name that its certificate must be for; the host of its address when none.
    pub sni: Option<String>,
    /// The authorities that are trusted; the system's when none.
    pub ca_file: Option<PathBuf>,
    /// Whether its certificate is checked.
    pub verify: bool,
    /// Certificate chain and key that Copal shows.
    pub client: Option<(PathBuf, PathBuf)>,
    /// Whether TLS 1.2 is not spoken.
    pub only_tls13: bool,
}

/// Which HTTP a backend is spoken to in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Http2 {
    /// HTTP/2 over TLS where the backend chooses it.
    Auto,
    /// HTTP/1.1.
    Off,
    /// HTTP/2 alone.
    Only,
}

/// Versions of the PROXY protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyProtocol {
    /// Text.
    V1,
    /// Binary.
    V2,
}

/// How a backend's limit follows its latency.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adaptive {
    /// The least that it comes down to; at most `max_connections`.
    pub min: u32,
    /// What it is at the start; between both.
    pub initial: u32,
    /// Thousandths of the usual latency that are still no reason to come down.
    pub tolerance_permille: u32,
}

/// When a backend is left out for failing requests, and for how long.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Eject {
    /// Faults in a row; 0 is never.
    pub faults: u32,
    /// Thousandths of the requests; 0 is never.
    pub fault_rate_permille: u32,
    /// Requests that a window must have for its share to count.
    pub requests: u32,
    /// The window.
    pub window: Duration,
    /// How long the first time.
    pub time: Duration,
    /// How long at most; never less than `time`.
    pub max_time: Duration,
}

/// How a backend's health is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// What is asked for and which answer is good; `None`: it is good when it accepts a connection.
    pub http: Option<HttpProbe>,
    /// From the start of one probe to the start of the next.
    pub interval: Duration,
    /// By how many thousandths of it that varies, either way.
    pub jitter_permille: u32,
    /// A probe that takes longer has failed.
    pub timeout: Duration,
    /// How many of the last probes are looked at, 1 to 64.
    pub window: u8,
    /// How many of them must be good, 1 to `window`.
    pub threshold: u8,
    /// How many count as good at the start, 0 to `window`.
    pub initial: u8,
}

/// What an HTTP probe asks for, and which answer is good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpProbe {
    /// The method.
    pub method: String,
    /// What is asked for, beginning with `/`.
    pub path: String,
    /// The `Host` that is sent: this, or the backend's `host_header`, or its address.
    pub host: Option<String>,
    /// The whole head instead of these three, line by line.
    pub request: Option<Vec<String>>,
    /// The statuses of a good answer.
    pub expected_status: RangeInclusive<u16>,
    /// A regular expression that its body must match.
    pub expected_body: Option<String>,
}

/// What a probe does, in the order of the file's words.
pub(crate) const PROBES: &[&str] = &["http", "tcp"];

/// The words of `http2`.
pub(crate) const HTTP2: &[&str] = &["auto", "off", "only"];
/// The words of `proxy_protocol`.
pub(crate) const PROXY_PROTOCOL: &[&str] = &["off", "v1", "v2"];
/// The words of `tls.min_version`.
pub(crate) const TLS_VERSIONS: &[&str] = &["1.2", "1.3"];

impl Backend {
    pub(crate) fn assemble(table: &Table, values: &Values) -> Backend {
        let view = values.view("backend.*", &table.path);
        let has = |pattern: &str, path: &str| values.tables(pattern).any(|table| table.path == path);
        let [probe, eject, adaptive, tls] =
            ["probe", "eject", "adaptive", "tls"].map(|leaf| format!("{}.{leaf}", table.path));
        let address = view.address("address");
        let https = matches!(address, Address::Https { .. });
        Backend {
            name: table.name.clone(),
            tls: (https || has("backend.*.tls", &tls))
                .then(|| BackendTls::assemble(&values.view("backend.*.tls", &tls))),
            http2: match view.word("http2") {
                "off" => Http2::Off,
                "only" => Http2::Only,
                _ => Http2::Auto,
            },
            proxy_protocol: match view.word("proxy_protocol") {
                "v1" => Some(ProxyProtocol::V1),
                "v2" => Some(ProxyProtocol::V2),
                _ => None,
            },
            tcp_keepalive: Some(view.duration("tcp_keepalive")).filter(|idle| !idle.is_zero()),
            total_timeout: view.is_set("total_timeout").then(|| view.duration("total_timeout")),
            address,
            connect_timeout: view.duration("connect_timeout"),
            first_byte_timeout: view.duration("first_byte_timeout"),
            between_bytes_timeout: view.duration("between_bytes_timeout"),
            idle_timeout: view.duration("idle_timeout"),
            idle_connections: view.is_set("idle_connections").then(|| view.count("idle_connections")),
            max_connections: view.count("max_connections"),
            wait_limit: view.count("wait_limit"),
            wait_timeout: view.duration("wait_timeout"),
            host_header: view.text("host_header"),
            probe: has("backend.*.probe", &probe).then(|| Probe::assemble(&values.view("backend.*.probe", &probe))),
            adaptive: has("backend.*.adaptive", &adaptive).then(|| {
                Adaptive::assemble(&values.view("backend.*.adaptive", &adaptive), view.count("max_connections"))
            }),
            slow_start: view.duration("slow_start"),
            eject: has("backend.*.eject", &eject).then(|| Eject::assemble(&values.view("backend.*.eject", &eject))),
            saint_mode: view.duration("saint_mode"),
        }
    }
}

impl BackendTls {
    fn assemble(view: &View<'_>) -> BackendTls {
        BackendTls {
            sni: view.text("sni"),
            ca_file: view.path("ca_file"),
            verify: view.boolean("verify"),
            // That neither is without the other was checked.
            client: view.path("client_cert").zip(view.path("client_key")),
            only_tls13: view.word("min_version") == "1.3",
        }
    }
}

impl Probe {
    fn assemble(view: &View<'_>) -> Probe {
        // The table of keys has 64 as their maximum.
        let small = |count: u32| u8::try_from(count).unwrap_or(64);
        let threshold = view.count("threshold");
        let http = || HttpProbe {
            method: view.string("method"),
            path: view.string("path"),
            host: view.text("host"),
            request: view.texts_if_set("request"),
            expected_status: view.statuses("expected_status"),
            expected_body: view.text("expected_body"),
        };
        Probe {
            http: (view.word("kind") == "http").then(http),
            interval: view.duration("interval"),
            jitter_permille: view.percent("jitter"),
            timeout: view.duration("timeout"),
            window: small(view.count("window")),
            threshold: small(threshold),
            initial: small(view.count_if_set("initial").unwrap_or(threshold.saturating_sub(1))),
        }
    }
}

impl Adaptive {
    fn assemble(view: &View<'_>, max: u32) -> Adaptive {
        let min = view.count("min").min(max);
        let (initial, tolerance_permille) = (view.count("initial").clamp(min, max), view.percent("tolerance"));
        Adaptive { min, initial, tolerance_permille }
    }
}

impl Eject {
    fn assemble(view: &View<'_>) -> Eject {
        let time = view.duration("time");
        Eject {
            faults: view.count("faults"),
            fault_rate_permille: view.percent("fault_rate"),
            requests: view.count("requests"),
            window: view.duration("window"),
            time,
            max_time: view.duration("max_time").max(time),
        }
    }
}
