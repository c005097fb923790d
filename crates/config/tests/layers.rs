//! Which layer wins: default, file, environment, flag; and what the typed configuration holds then.

use copal_semantics::cache_control::Obeyed;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use copal_config::{
    AccessFormat, AccessPath, Address, By, Config, Diagnostics, DirectorKind, Eviction, Given, Http2, KEYS, Origin,
    Overrides, ProxyProtocol, PurgeProtocol, SetCookie, When, unknown_variables,
};

const FULL: &str = r#"
name = "edge"
threads = 3
drain_timeout = "10s"

[[listen]]
address = "0.0.0.0:6081"
idle_timeout = "7s"
head_timeout = "8s"
body_timeout = "9s"
send_timeout = "10s"
abort_on_close = true
request_directives = "all"
proxy_protocol = true
proxy_acl = "purgers"
[[listen]]
address = "unix:/run/copal.sock"

[limits]
head_size = "64KiB"
url_size = "16KiB"
header_count = 100
body_size = "10MiB"
transit_size = "2MiB"
ranges = 5
connections = 500
waiters = 300
variants = 20
markers = 26
bans = 99
log_queue = 100

[cache]
size = "1GiB"
object_size = "10MiB"
ttl = "120s"
heuristic_max = "0s"
grace = "1m"
stale_if_error = "2h"
keep = "3h"
set_cookie = "strip"
vary_language = "set"
encodings = ["br", "gzip"]
languages = ["en", "pt-BR"]
status_key = true
hit_for_miss = "60s"
coalesce_wait = "3s"
targeted = []
tag_fields = ["xkey"]
tag_fields_hidden = ["X-A"]
eviction = "tiny_lfu"
jitter = 20

[snapshot]
file = "store.snapshot"
on_drain = false
rate = "1MiB"

[backend.zed]
address = "app.internal:8000"
connect_timeout = "1s"
first_byte_timeout = "2s"
between_bytes_timeout = "3s"
total_timeout = "4m"
http2 = "only"
proxy_protocol = "v1"
tcp_keepalive = "9s"
tls = { sni = "s", ca_file = "layers.rs", verify = true, client_cert = "layers.rs", client_key = "messages.rs", min_version = "1.3" }
idle_timeout = "4s"
idle_connections = 7
max_connections = 50
wait_limit = 5
wait_timeout = "6s"
slow_start = "7s"
saint_mode = "8s"
host_header = "www.example.com"
probe = { kind = "http", path = "/healthz/", method = "POST", host = "h", interval = "1s", jitter = "5%", timeout = "500ms", window = 4, threshold = 2, initial = 1, expected_status = 204, expected_body = "ok" }
adaptive = { min = 3, initial = 30, tolerance = "200%" }
eject = { faults = 1, fault_rate = "1%", requests = 2, window = "3s", time = "4s", max_time = "5s" }

[backend.app1]
address = "https://[::1]:8001"

[backend.app1b]
address = "[::1]:8002"
probe = { request = ["GET / HTTP/1.0"] }

[store.images]
size = "64MiB"
object_size = "1MiB"
eviction = "tiny_lfu"

[director.app]
kind = "round_robin"
backends = ["zed", { name = "app1", weight = 3 }]
max_ejected = "10%"
cookie = { name = "route", max_age = "1h", secure = true, secret_file = "layers.rs" }

[director.ring]
kind = "shard"
by = "url"
replicas = 7
warmup = "1%"
backends = ["app"]

[director.first]
kind = "fallback"
sticky = true
backends = ["ring"]

[director.fast]
kind = "peak_ewma"
decay = "3s"
backends = ["app"]

[[route]]
host = "*.shop.example"
path = "/api"
to = "app1b"
[[route]]
path = "/static/"
to = "app1"

[retry]
attempts = 2
statuses = [502, "503-504"]
budget = "10%"
per_second = 3
body_size = "1KiB"

[shadow]
to = "app1b"
share = "5%"
running = 3
body_size = "2KiB"
response_size = "3KiB"
timeout = "4s"

[acl]
purgers = ["127.0.0.0/8", "::1", "!127.0.0.2"]

[purge]
acl = "purgers"
protocols = ["refresh", "purge", "xkey"]

[pipe]
upgrades = ["websocket"]
timeout = "10m"
deadline = "1d"
connections = 100

[policy]
file = "layers.rs"
geoip = "messages.rs"
max_restarts = 1
max_retries = 2
named = { shop = "layers.rs" }
hosts = { "shop.example" = "messages.rs" }
limits = { operations = 5000, time = "7ms", call_depth = 8, string_bytes = "32KiB", array = 100, map = 101, variables = 102, functions = 103, modules = 10, expression_depth = 20, written_bytes = "2MiB", patterns = 3, throttle_keys = 1000 }

[admin]
listen = "127.0.0.1:6082"
token_file = "messages.rs"

[metrics]
listen = "127.0.0.1:9090"

[resolver]
nameservers = ["127.0.0.53", "[::1]:5353"]
min_ttl = "2s"
max_ttl = "3m"
timeout = "4s"
must_resolve = true

[log]
access = { format = "json", path = "-", headers = ["X-Real-IP"] }
"#;

const ONE: &str = "[backend.app]\naddress = '127.0.0.1:8000'\n";

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/copal.toml")
}

#[expect(clippy::unwrap_used, reason = "a helper of tests; the path of this crate is UTF-8")]
fn load(text: &str, env: &[(&str, &str)], overrides: &Overrides) -> Result<Config, Diagnostics> {
    let env = |name: &str| env.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
    Config::from_text(file().to_str().unwrap(), text, &env, overrides)
}

fn origin(config: &Config, path: &str) -> (String, Origin) {
    let found = config.resolved().into_iter().find(|(p, _, _)| p == path);
    found.map(|(_, value, origin)| (value, origin)).unwrap_or_else(|| panic!("{path} is not in the list"))
}

#[expect(clippy::unwrap_used, reason = "a helper of tests; the callers write literals")]
fn tcp(text: &str) -> Address {
    Address::Tcp(text.parse::<SocketAddr>().unwrap())
}

#[test]
fn a_file_with_every_key_arrives_in_the_typed_configuration() {
    let config = load(FULL, &[], &Overrides::default()).unwrap();
    assert_eq!((config.name.as_str(), config.threads), ("edge", 3));
    assert_eq!(config.listen[0].address, tcp("0.0.0.0:6081"));
    assert_eq!(config.listen[0].idle_timeout, Duration::from_secs(7));
    assert_eq!(config.listen.iter().map(|l| l.request_directives).collect::<Vec<_>>(), [Obeyed::All, Obeyed::Sparing]);
    let proxies: Vec<_> = config.listen.iter().map(|l| (l.proxy_protocol, l.proxy_acl.as_deref())).collect();
    assert_eq!(proxies, [(true, Some("purgers")), (false, None)]);
    assert!(config.listen[0].abort_on_close && !config.listen[1].abort_on_close);
    assert_eq!(config.listen[1].address, Address::Unix("/run/copal.sock".into()));
    assert_eq!(config.listen[1].idle_timeout, Duration::from_secs(5));
    assert_eq!(config.limits.body_size, Some(10 << 20));
    assert_eq!(config.limits.head_size, 64 << 10);
    assert_eq!((config.cache.size, config.cache.object_size), (1 << 30, 10 << 20));
    assert_eq!((config.cache.set_cookie, config.cache.status_key), (SetCookie::Strip, true));
    assert!(config.cache.rules().normalise.language_order);
    assert_eq!(config.cache.ttl.as_secs(), 120);
    assert!(config.cache.targeted.is_empty());
    assert_eq!(config.cache.offered.languages, ["en", "pt-BR"]);
    assert_eq!(config.cache.rules().offered.encodings, ["br", "gzip"]);
    assert_eq!(config.cache.rules().heuristic_fraction.to_string(), "0");
    assert_eq!(config.cache.rules().grace.as_secs(), 60);
    assert_eq!((config.policy.limits.written_bytes, config.policy.limits.patterns), (2 << 20, 3));
    let names: Vec<_> = config.backends.iter().map(|b| b.name.as_str()).collect();
    assert_eq!(names, ["zed", "app1", "app1b"], "the order of the file");
    let probe = config.backends[0].probe.as_ref().unwrap();
    let http = probe.http.as_ref().unwrap();
    assert_eq!((probe.window, probe.threshold, probe.initial, http.expected_status.clone()), (4, 2, 1, 204..=204));
    assert_eq!(config.backends[0].address, Address::Host { host: "app.internal".into(), port: 8000 });
    let zed = &config.backends[0];
    assert_eq!((zed.http2, zed.proxy_protocol), (Http2::Only, Some(ProxyProtocol::V1)));
    assert_eq!((zed.total_timeout, zed.tcp_keepalive), (Some(Duration::from_secs(240)), Some(Duration::from_secs(9))));
    let tls = zed.tls.as_ref().unwrap();
    assert_eq!((tls.sni.as_deref(), tls.verify, tls.only_tls13), (Some("s"), true, true));
    assert_eq!(tls.ca_file, Some(file().with_file_name("layers.rs")));
    assert_eq!(tls.client.as_ref().unwrap().1, file().with_file_name("messages.rs"));
    let app1 = &config.backends[1];
    assert_eq!(app1.address, Address::Https { host: "::1".into(), port: 8001 });
    assert!(app1.tls.as_ref().is_some_and(|tls| tls.verify && !tls.only_tls13 && tls.sni.is_none()));
    assert_eq!((app1.http2, app1.proxy_protocol, app1.total_timeout), (Http2::Auto, None, None));
    assert_eq!(config.backends[2].tls, None);
    let resolver = &config.resolver;
    assert_eq!(resolver.nameservers, ["127.0.0.53:53", "[::1]:5353"].map(|a| a.parse().unwrap()));
    assert_eq!((resolver.min_ttl.as_secs(), resolver.max_ttl.as_secs(), resolver.must_resolve), (2, 180, true));
    assert_eq!(config.backends[1].probe, None);
    assert_eq!(config.directors[0].members[1].weight, 3);
    assert_eq!(config.default_target.as_deref(), Some("app"));
    let routes: Vec<_> = config.routes.iter().map(|r| (r.host.as_deref(), r.path.as_deref(), r.to.as_str())).collect();
    let wanted = [(Some("*.shop.example"), Some("/api"), "app1b"), (None, Some("/static/"), "app1")];
    assert_eq!(routes, wanted);
    assert_eq!((config.retry.attempts, config.retry.budget_permille, config.retry.body_size), (2, 100, 1024));
    assert_eq!(config.retry.statuses, [502..=502, 503..=504]);
    assert_eq!((config.shadow.to.as_deref(), config.shadow.share_permille), (Some("app1b"), 50));
    let adaptive = config.backends[0].adaptive.as_ref().unwrap();
    assert_eq!((adaptive.min, adaptive.initial, adaptive.tolerance_permille), (3, 30, 2000));
    assert!(config.acls["purgers"][2].negated);
    assert_eq!(config.purge.acl.as_deref(), Some("purgers"));
    assert_eq!(config.purge.protocols, [PurgeProtocol::Purge, PurgeProtocol::Xkey, PurgeProtocol::Refresh]);
    assert_eq!((config.limits.bans, config.cache.jitter), (99, 20));
    assert_eq!(
        (&*config.cache.tag_fields, &*config.cache.tag_fields_hidden),
        (&["xkey".to_owned()][..], &["x-a".to_owned()][..])
    );
    assert_eq!(config.snapshot.file, Some(file().with_file_name("store.snapshot")));
    assert_eq!((config.snapshot.on_drain, config.snapshot.rate), (false, 1 << 20));
    assert_eq!(config.policy.file, Some(file().with_file_name("layers.rs")));
    assert_eq!(config.policy.geoip, Some(file().with_file_name("messages.rs")));
    assert_eq!(config.policy.limits.throttle_keys, 1000);
    let images = &config.storages[0];
    assert_eq!((images.name.as_str(), images.size, images.object_size), ("images", 64 << 20, 1 << 20));
    assert_eq!((images.eviction, config.cache.eviction), (Eviction::TinyLfu, Eviction::TinyLfu));
    assert_eq!(config.admin.listen, tcp("127.0.0.1:6082"));
    assert_eq!(config.metrics.as_ref().unwrap().listen, tcp("127.0.0.1:9090"));
    let access = config.log.access.as_ref().unwrap();
    assert_eq!((access.format, &access.path), (AccessFormat::Json, &AccessPath::Stdout));
    assert_eq!(access.headers, ["x-real-ip"]);
    // The test's own check: a key that is added to the table must be added to the file above.
    for key in KEYS {
        let leaf = key.path.rsplit('.').next().unwrap();
        assert!(leaf == "*" || FULL.contains(&format!("{leaf} =")), "{} is not tested", key.path);
    }
    let set = config.resolved();
    assert!(set.iter().all(|(p, _, o)| matches!(o, Origin::File(_))
        || p.starts_with("listen[1]")
        || p == "route[1].host"
        || p.starts_with("backend.app1")
        || p.starts_with("director.")
        || p == "backend.zed.probe.request"));
}

#[test]
fn what_nobody_sets_has_its_default() {
    let config = load(ONE, &[("XDG_RUNTIME_DIR", "/run/user/1")], &Overrides::default()).unwrap();
    assert_eq!(config.listen.len(), 1);
    assert_eq!(config.listen[0].address, tcp("0.0.0.0:6081"));
    assert_eq!((config.cache.size, config.cache.object_size), (256 << 20, 64 << 20));
    assert_eq!(config.cache.stale_if_error.as_secs(), 3600);
    assert_eq!(config.cache.targeted, ["cdn-cache-control"]);
    assert_eq!(config.backends[0].connect_timeout, Duration::from_millis(3500));
    assert_eq!((config.policy.max_restarts, config.policy.max_retries), (4, 4));
    assert_eq!(config.default_target.as_deref(), Some("app"));
    assert_eq!((config.metrics.is_none(), config.log.access.is_none(), config.purge.acl.is_none()), (true, true, true));
    assert_eq!(config.drain_timeout, Duration::from_secs(30));
    assert!(config.threads > 0);
    assert_eq!(origin(&config, "cache.object_size"), ("64MiB".into(), Origin::Default));
    assert_eq!(origin(&config, "limits.body_size"), ("(no limit)".into(), Origin::Default));
    let probed = load(&format!("{ONE}probe = {{}}\n[log.access]\n"), &[], &Overrides::default()).unwrap();
    let probe = probed.backends[0].probe.as_ref().unwrap();
    let http = probe.http.as_ref().unwrap();
    assert_eq!((http.path.as_str(), probe.window, probe.threshold, probe.initial), ("/", 8, 3, 2));
    assert_eq!(probed.log.access.unwrap().format, AccessFormat::Json);
}

#[test]
fn a_probe_begins_one_good_answer_short_of_its_threshold_unless_said_otherwise() {
    for (probe, initial) in [
        ("threshold = 6", 5),
        ("threshold = 1", 0),
        ("threshold = 3", 2),
        ("threshold = 6, initial = 2", 2),
        ("window = 4, threshold = 4", 3),
    ] {
        let config = load(&format!("{ONE}probe = {{ {probe} }}\n"), &[], &Overrides::default()).unwrap();
        assert_eq!(config.backends[0].probe.as_ref().unwrap().initial, initial, "{probe}");
    }
}

#[test]
fn every_default_in_the_table_is_a_legal_value_of_its_key() {
    // Written out as a file, each default must load; this is also how a user would write it.
    for key in KEYS.iter().filter(|key| !key.path.starts_with("listen") && !key.path.contains('*')) {
        let Given::Is(text) = key.default else { continue };
        let expected = key.kind.expected();
        let value = if expected.starts_with("a whole") || expected.starts_with("true") {
            text.to_owned()
        } else if expected.starts_with("a list") {
            let items: Vec<String> = text.split(", ").filter(|i| !i.is_empty()).map(|i| format!("'{i}'")).collect();
            format!("[{}]", items.join(", "))
        } else {
            format!("'{text}'")
        };
        load(&format!("{} = {value}\n{ONE}", key.path), &[], &Overrides::default()).unwrap();
    }
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = format!("{ONE}[cache]\nsize = '1GiB'\nttl = '1s'\ngrace = '1s'\n");
    let env =
        [("COPAL_CACHE_SIZE", "2GiB"), ("COPAL_CACHE_TTL", "2s"), ("COPAL_THREADS", "9"), ("COPAL_CACHE_KEEP", "")];
    let flags = Overrides { size: Some("3GiB".into()), ..Overrides::default() };
    let config = load(&text, &env, &flags).unwrap();
    assert_eq!(origin(&config, "cache.size"), ("3GiB".into(), Origin::Flag("--size".into())));
    assert_eq!(origin(&config, "cache.ttl"), ("2s".into(), Origin::Env("COPAL_CACHE_TTL".into())));
    assert_eq!(origin(&config, "cache.grace"), ("1s".into(), Origin::File(6)));
    assert_eq!(origin(&config, "cache.keep"), ("1h".into(), Origin::Default));
    assert_eq!(config.threads, 9);
}

#[test]
fn the_environment_reaches_named_tables_lists_and_switches() {
    let text = format!("{ONE}[acl]\nlocal-net = ['::1']\n");
    let env = [
        ("COPAL_BACKEND_APP_ADDRESS", "10.0.0.1:80"),
        ("COPAL_BACKEND_APP_PROBE_PATH", "/up"),
        ("COPAL_ACL_LOCAL_NET", "10.0.0.0/8, !10.0.0.66"),
        ("COPAL_PURGE_ACL", "local-net"),
        ("COPAL_LOG_ACCESS_FORMAT", "ncsa"),
        ("COPAL_LISTEN", "127.0.0.1:1,127.0.0.1:2"),
        ("COPAL_LISTEN_0_ADDRESS", "ignored"),
    ];
    let config = load(&text, &env, &Overrides::default()).unwrap();
    assert_eq!(config.backends[0].address, tcp("10.0.0.1:80"));
    assert_eq!(config.backends[0].probe.as_ref().unwrap().http.as_ref().unwrap().path, "/up");
    assert_eq!(config.acls["local-net"].len(), 2);
    assert_eq!(config.log.access.unwrap().format, AccessFormat::Ncsa);
    assert_eq!(config.listen.len(), 2);
}

#[test]
fn flags_alone_are_enough() {
    let overrides = Overrides {
        listen: vec!["127.0.0.1:0".into(), "unix:/tmp/x".into()],
        to: vec!["127.0.0.1:8000".into(), "app:80".into()],
        ttl: Some("60s".into()),
        grace: Some("5m".into()),
        admin: Some("unix:/tmp/admin".into()),
        policy: Some(file().with_file_name("layers.rs")),
        ..Overrides::default()
    };
    let config = Config::load(None, &|_| None, &overrides).unwrap();
    assert_eq!(config.listen.len(), 2);
    assert_eq!(config.backends.iter().map(|b| b.name.as_str()).collect::<Vec<_>>(), ["to1", "to2"]);
    assert_eq!(config.default_target.as_deref(), Some("to"));
    assert_eq!(config.directors[0].members.len(), 2);
    assert_eq!(config.admin.listen, Address::Unix("/tmp/admin".into()));
    assert_eq!(config.cache.ttl.as_secs(), 60);
    let one = Overrides { to: vec!["127.0.0.1:8000".into()], ..Overrides::default() };
    let config = load("[backend.app]\naddress = '127.0.0.1:1'\n", &[], &one).unwrap();
    assert_eq!((config.default_target.as_deref(), config.backends.len()), (Some("to"), 2));
}

#[test]
fn a_listen_flag_replaces_the_listeners_and_keeps_their_timeouts() {
    let text = format!("{ONE}[[listen]]\naddress = ':1'\nidle_timeout = '9s'\n[[listen]]\naddress = ':2'\n");
    let flags = Overrides { listen: vec![":3".into()], ..Overrides::default() };
    let config = load(&text, &[("COPAL_LISTEN", ":4")], &flags).unwrap();
    assert_eq!(config.listen.len(), 1);
    assert_eq!((&config.listen[0].address, config.listen[0].idle_timeout), (&tcp("0.0.0.0:3"), Duration::from_secs(9)));
}

#[test]
fn errors_of_flags_and_variables_name_them() {
    let flags = Overrides {
        size: Some("10".into()),
        listen: vec!["localhost:1".into()],
        policy: Some("/nowhere/x.rhai".into()),
        to: vec!["8000".into()],
        ..Overrides::default()
    };
    let errors = load(ONE, &[("COPAL_CACHE_TTL", "10")], &flags).unwrap_err();
    let expected = "\
error: COPAL_CACHE_TTL: wrong unit: `10` needs a unit
 |
 = help: write \"10s\" for seconds; units are ms, s, m, h, d, w

error: --listen: bad address `localhost:1`: a listener needs an IP address, not the name `localhost`
 |
 = help: write \"127.0.0.1:1\", \"0.0.0.0:1\" or \"[::]:1\"

error: --to: bad address `8000`: the host is missing
 |
 = help: write \"127.0.0.1:8000\"

error: --size: wrong unit: `10` needs a unit
 |
 = help: write \"10B\" for bytes or \"10KiB\"; units are B, KiB, MiB, GiB, TiB (1024) and kB, MB, GB, TB (1000)

error: --policy: cannot read `/nowhere/x.rhai`: there is no such file
 |
 = help: looked for /nowhere/x.rhai";
    assert_eq!(errors.to_string(), expected);
    let flags = Overrides { to: vec!["127.0.0.1:1".into()], ..Overrides::default() };
    let errors = load("[backend.to]\naddress = '127.0.0.1:8000'\n", &[], &flags).unwrap_err();
    assert!(errors.to_string().starts_with("error: --to: the file has a backend `to` too"), "{errors}");
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let missing = PathBuf::from("/nowhere/copal.toml");
    let errors = Config::load(Some(&missing), &|_| None, &Overrides::default()).unwrap_err();
    assert_eq!(errors.to_string(), "error: cannot read `/nowhere/copal.toml`: there is no such file");
}

#[test]
fn problems_are_also_told_to_programs() {
    let errors = Config::from_str("x.toml", &format!("{ONE}[cache]\n  sise = '1GiB'\n")).unwrap_err();
    let expected = r#"[{"column":3,"end_column":7,"file":"x.toml","help":"did you mean `size`?","line":4,"message":"unknown key `sise` in `cache`","severity":"error"}]"#;
    assert_eq!(errors.json().to_string(), expected);
}

#[test]
fn variables_that_set_nothing_are_warned_of() {
    let names = ["HOME", "COPAL_CACHE_SIZE", "COPAL_CACHE_SISE", "COPAL_CONFIG", "COPAL_BACKEND_X_ADDRESS"];
    let warnings = unknown_variables(names);
    assert_eq!(
        warnings.to_string(),
        "warning: the environment variable `COPAL_CACHE_SISE` sets nothing\n |\n = help: did you mean `COPAL_CACHE_SIZE`?"
    );
}

#[test]
fn directors_of_every_kind_are_read_with_what_they_need() {
    let config = Config::from_str(
        "copal.toml",
        r#"
[backend.a]
address = "127.0.0.1:1"
slow_start = "30s"
wait_limit = 10
saint_mode = "10s"
eject = { faults = 3, fault_rate = "12.5%", time = "10m" }
probe = { kind = "tcp", jitter = "0%" }
[backend.b]
address = "127.0.0.1:2"
probe = { expected_status = "200-399", expected_body = "ok", request = ["GET / HTTP/1.0", "X: 1", "X: 1"] }
[backend.c]
address = "127.0.0.1:3"
probe = { method = "HEAD" }
[director.top]
kind = "fallback"
sticky = true
backends = ["ring", "b"]
[director.ring]
kind = "shard"
by = "header:X-User"
replicas = 10
warmup = "5%"
max_ejected = "0%"
backends = ["a", { name = "b", weight = 2 }]
[director.canary]
kind = "split"
backends = [{ name = "a", weight = 0, when = "cookie:beta=1" }, "b"]
cookie = { max_age = "1h" }
[director.plain]
kind = "hash"
backends = ["a"]
"#,
    )
    .unwrap();
    let [a, b, c] = &config.backends[..] else { panic!() };
    assert_eq!((a.slow_start.as_secs(), a.wait_limit, a.saint_mode.as_secs()), (30, 10, 10));
    let eject = a.eject.as_ref().unwrap();
    assert_eq!((eject.faults, eject.fault_rate_permille, eject.requests), (3, 125, 20));
    assert_eq!(eject.max_time.as_secs(), 600, "never less than `time`");
    let (tcp, http) = (a.probe.as_ref().unwrap(), b.probe.as_ref().unwrap().http.as_ref().unwrap());
    assert!(tcp.http.is_none() && tcp.jitter_permille == 0 && b.eject.is_none());
    let head = c.probe.as_ref().unwrap().http.as_ref().unwrap();
    assert_eq!((head.method.as_str(), head.expected_status.clone()), ("HEAD", 200..=200));
    assert_eq!((http.method.as_str(), http.expected_status.clone()), ("GET", 200..=399));
    assert_eq!((http.expected_body.as_deref(), http.request.as_ref().unwrap().len()), (Some("ok"), 3));
    let [top, ring, canary, plain] = &config.directors[..] else { panic!() };
    assert_eq!(top.kind, DirectorKind::Fallback { sticky: true });
    let by = By::Header("X-User".to_owned());
    assert_eq!(ring.kind, DirectorKind::Shard { by, replicas: 10, warmup_permille: 50 });
    assert_eq!((ring.max_ejected_permille, plain.max_ejected_permille), (0, 500));
    assert_eq!(
        (&canary.kind, &plain.kind),
        (&DirectorKind::Split { by: By::Client }, &DirectorKind::Hash { by: By::Key })
    );
    let when = When { what: By::Cookie("beta".to_owned()), value: Some("1".to_owned()) };
    assert_eq!((canary.members[0].weight, canary.members[0].when.as_ref()), (0, Some(&when)));
    let cookie = canary.cookie.as_ref().unwrap();
    assert_eq!((cookie.name.as_str(), cookie.max_age.unwrap().as_secs(), cookie.secure), ("copal_route", 3600, false));
    assert!(plain.cookie.is_none());
    let shown = config.resolved();
    let value = |path: &str| shown.iter().find(|(p, ..)| p == path).map(|(_, value, _)| value.as_str());
    assert_eq!(value("director.canary.backends"), Some("[a weight 0 when cookie:beta=1, b]"));
    assert_eq!(value("backend.b.probe.expected_status"), Some("200-399"));
}
