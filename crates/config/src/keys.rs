//! The table of all keys: each declared once, with its kind, default, the reason for the default, and its meaning.
//!
//! A path is the key as in the file: `*` stands for a name the owner chooses, `[]` for one of a list of tables.

use copal_semantics::Span;

use crate::backend::{HTTP2, PROBES, PROXY_PROTOCOL, TLS_VERSIONS};
use crate::cache::{EVICTIONS, SET_COOKIE, VARY_LANGUAGE};
use crate::director::KINDS;
use crate::kind::Kind;
use crate::listen::REQUEST_DIRECTIVES;
use crate::log::FORMATS;
use crate::pipe::UPGRADES;
use crate::purge::PROTOCOLS;

/// One key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its path, such as `cache.size`, `backend.*.address` or `listen[].address`.
    pub path: &'static str,
    /// What it accepts.
    pub kind: Kind,
    /// What holds when nobody sets it.
    pub default: Given,
    /// Why that is the default (for required keys: why there is none).
    pub reason: &'static str,
    /// What it does: units, limits, and the status a client sees beyond a limit.
    pub doc: &'static str,
}

/// The default of a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Given {
    /// This value, written as in the file (lists separated by commas).
    Is(&'static str),
    /// No value; the text says what that means.
    Unset(&'static str),
    /// There is no default: the table is an error without it.
    Required,
}

use Given::{Is, Required, Unset};

const DAY: Span = Span::from_secs(86_400);
const YEAR: Span = Span::from_secs(365 * 86_400);
/// Timeouts: none at all would let one peer hold a connection for ever, zero would let nobody in.
const TIMEOUT: Kind = Kind::Duration(Span::from_millis(1), DAY);
/// Lifetimes of objects; RFC 9111 section 1.2.2 caps delta-seconds at 2^31, which is far beyond any use.
const LIFETIME: Kind = Kind::Duration(Span::ZERO, YEAR);
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const TIB: u64 = 1 << 40;

const fn key(path: &'static str, kind: Kind, default: Given, reason: &'static str, doc: &'static str) -> Key {
    Key { path, kind, default, reason, doc }
}

/// Every key, in the order of the reference.
#[rustfmt::skip]
pub const KEYS: &[Key] = &[
    key("name", Kind::Token, Is("copal"), "the product's name: one proxy needs no other",
        "What this proxy calls itself in `Via` and `Cache-Status`. Give each its own when several stand in a row."),
    key("threads", Kind::Count(1, 1024), Unset("number of cores"), "one worker per core: workers never block",
        "Worker threads. Each compiles its own copy of the policy."),
    key("drain_timeout", Kind::Duration(Span::ZERO, DAY), Is("30s"), "the time process managers wait by custom before they kill",
        "After SIGTERM, how long running requests may take before they are cut off."),

    key("listen[].address", Kind::ListenAddress, Is("0.0.0.0:6081"), "the port users of Varnish know; IPv4 alone, so that ACLs see one form of an address",
        "Where clients connect: `IP:port`, `:port` for every IPv4 address, `[::]:port` for IPv6, `unix:PATH`. Port 0 lets the system choose."),
    key("listen[].idle_timeout", TIMEOUT, Is("5s"), "as Varnish's timeout_idle: reuse within a page view, soon free otherwise",
        "Between two requests of a connection; the connection is closed."),
    key("listen[].head_timeout", TIMEOUT, Is("10s"), "a slow phone sends a head well within it, and a slow-head attack pays for it",
        "From the first byte of a request's head to its last; 408 and closed."),
    key("listen[].body_timeout", TIMEOUT, Is("30s"), "longer than a mobile network's dead spots",
        "Between two reads of a request's body; 408 and closed."),
    key("listen[].send_timeout", TIMEOUT, Is("60s"), "a reader that takes nothing for a minute is gone",
        "Between two writes that a client accepts; the connection is closed."),
    key("listen[].abort_on_close", Kind::Bool, Is("false"), "as HAProxy's abortonclose: some clients close their sending side after the request and wait for the answer",
        "Whether a client that closes its side while it waits has given up. Otherwise only a reset says so, because a close cannot be told from a half-close (`nc -N`)."),
    key("listen[].request_directives", Kind::Word(REQUEST_DIRECTIVES, &[]), Is("sparing"), "what is left out lets anyone force requests to the origin",
        "Which directives of a request's own `Cache-Control` count (RFC 9111 section 5.2.1): `sparing`: those that can only spare the origin work (`only-if-cached`, `max-stale`, `stale-if-error`); `all`: also `no-cache`, `max-age`, `min-fresh` and `Pragma`; `none`. `no-store` always keeps the response from being stored."),
    key("listen[].proxy_protocol", Kind::Bool, Is("false"), "who is not behind a proxy that sends it could say that he is anybody",
        "Whether each connection begins with a header of the PROXY protocol, version 1 or 2, in which a proxy in front tells where the client is. `client.ip`, access lists, the log and `X-Forwarded-For` go by it. A connection without a valid one is closed."),
    key("listen[].proxy_acl", Kind::Name, Unset("whoever can connect"), "as in HAProxy and Varnish: such a listener is not put where others reach it",
        "The access list of the proxies whose header is believed; a connection from another address is closed. Needs `proxy_protocol = true`."),

    key("limits.head_size", Kind::Size(KIB, MIB), Is("32KiB"), "Varnish's http_req_size; browsers' cookies stay below 16 KiB",
        "Largest head of a request, request line included; 431 beyond."),
    key("limits.url_size", Kind::Size(64, MIB), Is("8KiB"), "RFC 9110 section 4.1 recommends at least 8000 octets",
        "Longest request target; 414 beyond."),
    key("limits.header_count", Kind::Count(8, 256), Is("128"), "twice Varnish's http_max_hdr of 64: behind other proxies there are more",
        "Most header lines of a request; 431 beyond."),
    key("limits.body_size", Kind::Size(0, 1024 * TIB), Unset("no limit"), "bodies stream through and are not kept; what is too large the application knows",
        "Largest body of a request; 413 beyond."),
    key("limits.ranges", Kind::Count(1, 1000), Is("16"), "players and download tools ask for one or two; RFC 9110 section 14.2 warns of many",
        "Most ranges of one request; with more the `Range` field is ignored and the client gets 200 with the whole."),
    key("limits.connections", Kind::Count(1, 1_000_000), Is("10000"), "about 300 MB of buffers at worst",
        "Most client connections at a time; further ones wait in the system's queue."),
    key("limits.waiters", Kind::Count(1, 1_000_000), Is("10000"), "as many as there are connections",
        "Most requests that wait for one fetch; those beyond fetch for themselves without storing."),
    key("limits.variants", Kind::Count(1, 100_000), Is("128"), "languages, encodings and devices make fewer; more mean that `Vary` names a field that is different for everyone",
        "Most stored variants of one URL; the least used goes when one more comes."),
    key("limits.markers", Kind::Count(1, 100_000_000), Is("25000"), "17 MB at most, and more such URLs than are asked for while a marker lives",
        "Markers at a time of URLs whose responses cannot be stored (`cache.hit_for_miss`); the oldest goes when one more comes. They count in `cache.size`."),
    key("limits.bans", Kind::Count(1, 10_000_000), Is("100000"), "the lurker works off thousands a second: more are a purger that never stops",
        "Most bans in force at a time; one more is refused (503)."),
    key("limits.transit_size", Kind::Size(16 * KIB, 1024 * MIB), Is("1MiB"), "keeps an origin busy while a client reads, and 1000 slow downloads below a gigabyte",
        "How far a response that is not stored may be read ahead of its client. Then the origin waits."),
    key("limits.log_queue", Kind::Count(16, 1_000_000), Is("8192"), "a tenth of a second at 80,000 requests a second",
        "Log lines that wait for the writer; those beyond are dropped and counted."),

    key("cache.size", Kind::Size(MIB, 1024 * TIB), Is("256MiB"), "fits the smallest machine, and holds a site's pages",
        "The whole of the cache: bodies, heads, indexes, fetches in flight. From 64 MiB on a sixteenth of it is left to the allocator, for what it rounds up."),
    key("cache.object_size", Kind::Size(KIB, 1024 * TIB), Unset("a quarter of `cache.size`"), "one object must not push out all others",
        "Largest object that is stored, at most half of `cache.size`; larger ones stream through without being stored."),
    key("cache.ttl", LIFETIME, Is("0s"), "RFC 9111: without a word from the origin nothing is fresh; \"120s\" is what users of Varnish know",
        "How long a response is fresh when its origin says nothing, not even when it was last modified."),
    key("cache.heuristic_max", LIFETIME, Is("1d"), "a file unchanged for years would else be fresh for one",
        "A response that says only when it was last modified is fresh for a tenth of the time since (RFC 9111 section 4.2.2), at most this long. `0s` switches that off."),
    key("cache.grace", LIFETIME, Is("0s"), "RFC 9111 section 4.2.4: stale is served where someone allowed it",
        "How long past its ttl an object may be served while a fetch renews it, when the origin does not say (`stale-while-revalidate`)."),
    key("cache.stale_if_error", LIFETIME, Is("1h"), "a page an hour old is better than an error page",
        "How long past its ttl an object may be served when the origin is down or fails, when the origin does not say (RFC 5861)."),
    key("cache.keep", LIFETIME, Is("1h"), "a 304 is cheaper than the body, also an hour later",
        "How long past its ttl an object is kept for a conditional request to the origin."),
    key("cache.set_cookie", Kind::Word(SET_COOKIE, &[]), Is("pass"), "a cookie is for one client: shared by mistake it is someone else's session",
        "A response with `Set-Cookie`: `pass` shares it only when it says `public`; `store` shares it, cookie and all; `strip` removes the field and shares it."),
    key("cache.vary_language", Kind::Word(VARY_LANGUAGE, &[]), Is("ordered"), "applications take the first of equals, although RFC 9110 section 12.5.4 gives order no meaning",
        "For a response that varies on `Accept-Language`: `ordered` keeps `en, de` and `de, en` apart, `set` takes them for the same. Case, white space and `q=1` never count."),
    key("cache.encodings", Kind::Codings, Is(""), "only the owner knows what the application can do",
        "Content codings that the application answers in, the best first. Each request's `Accept-Encoding` is reduced to the one that it prefers, or to `identity`, before the policy sees it, so that a URL has at most one variant for each."),
    key("cache.languages", Kind::Languages, Is(""), "only the owner knows what the application can do",
        "Languages that the application answers in, its default first. Each request's `Accept-Language` is reduced to the one that suits it best (RFC 4647), or removed when none does, before the policy sees it."),
    key("cache.status_key", Kind::Bool, Is("false"), "a key can hold what the policy put into it, a cookie's value for one",
        "Whether `Cache-Status` tells every client the cache key (RFC 9211 section 2.7). `copal explain` shows it either way."),
    key("cache.hit_for_miss", LIFETIME, Is("120s"), "Varnish's uncacheable_ttl",
        "How long it is remembered that a URL is not cacheable, so that nobody waits for another's fetch of it. For as long again one request asks whether that has changed, and the others still do not wait for it."),
    key("cache.coalesce_wait", Kind::Duration(Span::ZERO, DAY), Is("10s"), "longer than a page should take, shorter than a person waits",
        "How long a request waits for another's fetch of the same object before it fetches itself."),
    key("cache.targeted", Kind::FieldNames, Is("CDN-Cache-Control"), "the field that RFC 9213 section 3 defines for caches that act for the origin",
        "Fields that are read instead of `Cache-Control`, the first one present wins (RFC 9213). An empty list reads `Cache-Control` alone."),

    key("cache.tag_fields", Kind::FieldNames, Is("Surrogate-Key, xkey, Cache-Tag, Cache-Tags, X-Cache-Tags, Cache-Groups, X-Magento-Tags"), "what applications and their plug-ins send",
        "Response fields whose keys an object can be purged by: between spaces or commas, in `Cache-Groups` a list of strings (RFC 9875). An object with keys costs some 8 bytes more for each."),
    key("cache.tag_fields_hidden", Kind::FieldNames, Is(""), "another cache in front may want them",
        "Response fields that are not sent to clients, such as those of `tag_fields`; `deliver` still sees them."),
    key("cache.jitter", Kind::Count(0, 90), Is("0"), "what the origin says is meant",
        "Percent of its lifetime by which an object may expire earlier, drawn anew for each, so that what was filled together does not expire together."),

    key("snapshot.file", Kind::StateFile, Unset("none: the store ends with the process"), "only the owner knows where there is room for it",
        "Where the store is written to for a warm restart, and loaded from at the next start. Beside it stand, for a time, files of the same name with `.new`, `.since`, `.loading` and `.refused` at the end. It takes as much room as what is stored."),
    key("snapshot.on_drain", Kind::Bool, Is("true"), "a restart is what it is for",
        "Whether it is written when the process ends in order (SIGTERM, SIGINT), after what ran is finished. `copal snapshot` writes it at any time."),
    key("snapshot.rate", Kind::Size(64 * KIB, TIB), Is("200MiB"), "half of what a cheap solid-state disk does, a gigabyte in five seconds",
        "Bytes a second that writing and loading may take. Give the process manager time: a store of 10 GiB takes 51 s to write at 200MiB."),
    key("cache.eviction", Kind::Word(EVICTIONS, &[]), Is("lru"), "what is new gets in at once, and is shared while it arrives; docs/decisions/eviction.md has the figures",
        "What goes when room is needed. `lru`: what was not asked for the longest. `tiny_lfu`: what is asked for least often, so that a crawl through pages that nobody else reads does not wash out the others; a large object then hardly gets in where small ones are asked for."),

    key("store.*.size", Kind::Size(MIB, 1024 * TIB), Required, "only the owner knows",
        "The whole of this storage, beside `cache.size`: the bodies, heads and indexes of what the policy puts there."),
    key("store.*.object_size", Kind::Size(KIB, 1024 * TIB), Unset("a quarter of its `size`"), "one object must not push out all others",
        "Largest object that is stored there, at most half of its `size`; larger ones stream through without being stored."),
    key("store.*.eviction", Kind::Word(EVICTIONS, &[]), Is("lru"), "as `cache.eviction`",
        "What goes when room is needed there, as in `cache.eviction`."),

    key("backend.*.address", Kind::BackendAddress, Required, "only the owner knows",
        "`IP:port`, `host:port` (names are resolved again when they expire), `https://host` or `https://host:port` (TLS; see `tls`), `srv:_http._tcp.NAME` (hosts, ports, priorities and weights from the DNS, RFC 2782), `unix:PATH`."),
    key("backend.*.connect_timeout", TIMEOUT, Is("3.5s"), "Varnish's: one lost SYN is sent again after 1 s, two after 3 s",
        "To open a connection; 504 beyond."),
    key("backend.*.first_byte_timeout", TIMEOUT, Is("60s"), "Varnish's",
        "From the request sent to the first byte of the response; 504 beyond."),
    key("backend.*.between_bytes_timeout", TIMEOUT, Is("60s"), "Varnish's",
        "Between two reads of the response; the fetch fails, and clients see an aborted body."),
    key("backend.*.total_timeout", TIMEOUT, Unset("no limit"), "downloads take as long as they take, and the other limits find what stands still",
        "All of one attempt: from the choice of the backend to the last byte of the response; 504 beyond, or a response that breaks off."),
    key("backend.*.idle_timeout", TIMEOUT, Is("60s"), "Varnish's backend_idle_timeout; shorter than the 75 s of nginx",
        "How long an unused connection is kept for the next request."),
    key("backend.*.idle_connections", Kind::Count(0, 100_000), Unset("no limit but the 1024 that each worker thread keeps of all backends"), "what was needed once is soon needed again",
        "Most unused connections that are kept (HTTP/1.1), over all worker threads; what is one too many is closed after its request. 0 keeps none."),
    key("backend.*.max_connections", Kind::Count(1, 100_000), Is("200"), "more than common application servers work on at a time",
        "Most requests at a time. Directors pass over a backend that is full while another has room; further requests wait, see `wait_limit`."),
    key("backend.*.wait_limit", Kind::Count(0, 1_000_000), Is("0"), "Varnish's backend_wait_limit: who waits for a backend that is full mostly waits in vain",
        "Most requests that wait for one of `max_connections`, in their order; 503 beyond."),
    key("backend.*.wait_timeout", TIMEOUT, Is("1s"), "a peak is over by then, and a person has not yet turned away",
        "How long a request waits for one of `max_connections`; 503 beyond."),
    key("backend.*.host_header", Kind::Host, Unset("the client's Host"), "applications build links from it",
        "The `Host` that the backend is sent."),
    key("backend.*.http2", Kind::Word(HTTP2, &[]), Is("auto"), "costs nothing where the backend does not offer it, and nothing at all without TLS",
        "`auto`: over TLS, HTTP/2 where the backend chooses it (ALPN), else HTTP/1.1; without TLS HTTP/1.1; with `proxy_protocol` HTTP/1.1. `off`: never. `only`: HTTP/2 alone; without TLS by prior knowledge. Up to 100 requests share a connection."),
    key("backend.*.proxy_protocol", Kind::Word(PROXY_PROTOCOL, &[]), Is("off"), "a backend that does not expect it takes it for a broken request",
        "Tells the backend the client's address before the first request of a connection: `v1`, `v2` of the PROXY protocol. A connection is then kept for the same client connection alone, never used for another; probes and fetches of Copal's own say that they are its own (`UNKNOWN`, `LOCAL`)."),
    key("backend.*.tcp_keepalive", Kind::Duration(Span::ZERO, DAY), Is("60s"), "firewalls forget silent connections after some minutes without telling either side",
        "How long a TCP connection may be silent before the system asks whether the other side is still there, and three times more in tenths of that (at least 1 s). `0s` switches it off."),
    key("backend.*.tls.sni", Kind::Host, Unset("the host of `address`"), "the certificate is for the name that the backend is found under",
        "The name that is sent to the backend (SNI) and that its certificate must be for. The table `tls`, or `https://` in `address`, switches TLS on."),
    key("backend.*.tls.ca_file", Kind::File, Unset("the system's authorities"), "public certificates are checked as everywhere else on the machine",
        "PEM file of the authorities that are trusted instead of the system's; read again by a reload."),
    key("backend.*.tls.verify", Kind::Bool, Is("true"), "TLS with anybody is TLS with nobody",
        "Whether the backend's certificate is checked. `false` takes any, which the log warns of at each start."),
    key("backend.*.tls.client_cert", Kind::File, Unset("none"), "few backends ask for one",
        "PEM file of the certificate, with its chain, that Copal shows when the backend asks who it is; read again by a reload. Together with `client_key`."),
    key("backend.*.tls.client_key", Kind::File, Unset("none"), "few backends ask for one",
        "PEM file of the key of `client_cert`."),
    key("backend.*.tls.min_version", Kind::Word(TLS_VERSIONS, &[]), Is("1.2"), "older ones are not to be used (RFC 8996)",
        "The oldest version of TLS that is spoken."),
    key("backend.*.slow_start", Kind::Duration(Span::ZERO, DAY), Is("0s"), "only the owner knows how long a cold backend takes to warm up",
        "How long a backend that has become healthy again, or whose ejection is over, takes to its whole share: from a tenth of it in a straight line. Not at the start of Copal, and nothing to `fallback` and `split`."),
    key("backend.*.saint_mode", Kind::Duration(Span::ZERO, DAY), Is("0s"), "one answer of 500 does not mean that another backend does better",
        "How long a backend that has answered a URL with a 5xx is not asked for that URL again while another can be (Varnish's saint mode); at most 1024 URLs per backend. `0s` switches it off."),
    key("backend.*.adaptive.min", Kind::Count(1, 1_000_000), Is("4"), "with fewer a slow spell could not be told from an idle one",
        "The least requests at a time that the limit comes down to. The table `adaptive` switches the adaptive limit on: it lies between this and `max_connections`, and follows the backend's latency."),
    key("backend.*.adaptive.initial", Kind::Count(1, 1_000_000), Is("20"), "that of Netflix's concurrency-limits",
        "The limit at the start."),
    key("backend.*.adaptive.tolerance", Kind::Percent(1000, 10_000), Is("150%"), "that of Netflix's concurrency-limits",
        "How much slower than usual the backend may become before the limit comes down."),
    key("backend.*.eject.faults", Kind::Count(0, 1_000_000), Is("5"), "Envoy's consecutive_5xx",
        "Faults in a row after which the backend is left out by its directors for a while: refused, timed out, cut off or malformed, and answers of 502, 503 and 504. 0 switches this off. The table `eject` switches ejection on."),
    key("backend.*.eject.fault_rate", Kind::Percent(0, 1000), Is("50%"), "half of the visitors see errors",
        "Share of faults after which the same happens. `0%` switches this off."),
    key("backend.*.eject.requests", Kind::Count(1, 1_000_000), Is("20"), "of fewer a share says nothing",
        "Requests within `window` before the share counts."),
    key("backend.*.eject.window", TIMEOUT, Is("10s"), "Envoy's interval",
        "Over how long the share is taken; between one and two of it are looked at."),
    key("backend.*.eject.time", TIMEOUT, Is("30s"), "Envoy's base_ejection_time",
        "How long the backend is left out the first time; each further time twice as long, until it has served for `max_time` without."),
    key("backend.*.eject.max_time", TIMEOUT, Is("5m"), "Envoy's max_ejection_time",
        "How long it is left out at most."),
    key("backend.*.probe.kind", Kind::Word(PROBES, &[]), Is("http"), "a process that accepts connections may still not answer",
        "`http` asks for something; `tcp` only connects. The table `probe` switches probing on; without it a backend counts as healthy."),
    key("backend.*.probe.path", Kind::UrlPath, Is("/"), "every site has it",
        "What the probe asks for."),
    key("backend.*.probe.method", Kind::Token, Is("GET"), "every application answers it",
        "The method of the probe."),
    key("backend.*.probe.host", Kind::Host, Unset("`host_header`, or else the address"), "the name the backend is used under",
        "The `Host` that the probe sends."),
    key("backend.*.probe.request", Kind::Lines, Unset("made of `method`, `path` and `host`"), "three settings are enough for most",
        "The head of the probe's request, line by line, instead of these three. Line ends and the empty line are added; `Connection: close` is not."),
    key("backend.*.probe.interval", Kind::Duration(Span::from_millis(10), DAY), Is("5s"), "Varnish's",
        "From the start of one probe to the start of the next."),
    key("backend.*.probe.jitter", Kind::Percent(0, 500), Is("10%"), "many proxies that probe together do not fall into step",
        "By how much the interval varies, either way."),
    key("backend.*.probe.timeout", TIMEOUT, Is("2s"), "Varnish's",
        "A probe that takes longer has failed."),
    key("backend.*.probe.window", Kind::Count(1, 64), Is("8"), "Varnish's",
        "How many of the last probes are looked at."),
    key("backend.*.probe.threshold", Kind::Count(1, 64), Is("3"), "Varnish's",
        "How many of them must be good for the backend to be healthy."),
    key("backend.*.probe.initial", Kind::Count(0, 64), Unset("one less than `threshold`"), "Varnish's: sick at first, healthy after one good probe",
        "How many count as good at the start."),
    key("backend.*.probe.expected_status", Kind::Statuses, Is("200"), "what a health page says",
        "The status of a good answer, or a range."),
    key("backend.*.probe.expected_body", Kind::Pattern, Unset("any body"), "most health pages speak by their status",
        "What the body of a good answer matches somewhere, within its first 64 KiB."),

    key("director.*.kind", Kind::Word(KINDS, &[]), Is("round_robin"), "fair, and needs no state",
        "How a backend is chosen among those that can serve: `round_robin` in turn; `random` by chance; `fallback` the first; `hash` and `shard` the same for the same `by` (`hash` is exact in its shares, `shard` keeps a ring and can warm up the next in line); `least_connections` the one with the fewest requests under way; `peak_ewma` the faster one of two; `split` by shares of the visitors."),
    key("director.*.backends", Kind::Members, Required, "only the owner knows",
        "Names of backends or of other directors, or `{ name = \"a\", weight = 3 }` with weights from 1 to 1000 (1 when not given). In a `split` also `when = \"header:X-Canary=yes\"` or `\"cookie:beta\"`: requests that have it go there, and the weight may be 0."),
    key("director.*.by", Kind::By, Unset("`key`; for `split`, `client`"), "one object, one backend; one visitor, one version",
        "What `hash`, `shard` and `split` go by: the cache `key`, the `url`, the `client`'s address, `header:NAME`, `cookie:NAME`. Requests without that header or cookie go by the client's address, those without a key (passed ones) by host and URL."),
    key("director.*.sticky", Kind::Bool, Is("false"), "the first is the one that is wanted",
        "Whether `fallback` stays with the backend it has come to until that one fails."),
    key("director.*.replicas", Kind::Count(1, 1000), Is("67"), "Varnish's",
        "Points on the ring of `shard` for a member of the smallest weight; heavier ones have more. At most 65536 in all."),
    key("director.*.warmup", Kind::Percent(0, 1000), Is("0%"), "costs the next in line memory for what it may never serve",
        "Share of the requests that `shard` sends to the backend that would take over, to keep it warm."),
    key("director.*.decay", Kind::Duration(Span::from_millis(100), Span::from_secs(3600)), Is("10s"), "Finagle's and Linkerd's",
        "How fast `peak_ewma` forgets: after that long a latency counts for a third (1/e), and a backend that was not heard of for that long is asked once, whose answer stands for all before. The shortest counts where several directors have the same backend."),
    key("director.*.max_ejected", Kind::Percent(0, 1000), Is("50%"), "one of two or three, two of four",
        "Share of the backends that may be ejected at a time, rounded down: what else fails goes on being asked."),
    key("director.*.cookie.name", Kind::Token, Is("copal_route"), "no application has it",
        "The cookie that binds a visitor to the backend that served it first. Set on responses that are not cached; its value is signed. The table `cookie` switches it on."),
    key("director.*.cookie.max_age", Kind::Duration(Span::from_secs(1), YEAR), Unset("until the browser is closed"), "as long as most sessions live",
        "How long browsers keep it."),
    key("director.*.cookie.secure", Kind::Bool, Is("false"), "this version listens without TLS",
        "Whether browsers send it over TLS alone."),
    key("director.*.cookie.secret_file", Kind::File, Unset("a secret of its own at each start"), "nothing to set up, but visitors are assigned anew after a restart",
        "A file whose first line, of at least 16 bytes, signs the cookie. Proxies that share visitors share it."),

    key("route[].host", Kind::HostPattern, Unset("every host"), "most sites have one host",
        "Requests with this `Host` (in lower case, without a port); `*.shop.example` is every host below `shop.example`, and not itself."),
    key("route[].path", Kind::PathPrefix, Unset("every path"), "a host of its own needs no path",
        "Requests for this path and all below it: `/api` is `/api` and `/api/orders`, not `/apiary`; `/api/` is what is below alone. Compared as the client sent it."),
    key("route[].to", Kind::Name, Required, "it is what a route is for",
        "The backend or director that they go to."),

    key("retry.attempts", Kind::Count(0, 10), Is("1"), "HAProxy and nginx try the next server, too; of two that fail the third one mostly does as well",
        "How often Copal by itself sends a request that has failed to another backend: one that was not received (connection refused, timed out), and an idempotent one that got no answer, or one of `statuses`. 0 switches this off. A connection from the pool that has died is replaced once, whatever this says."),
    key("retry.statuses", Kind::StatusList, Is(""), "an application that answers 503 may mean it",
        "Answers to idempotent requests after which another backend is asked, such as `[502, \"503-504\"]`. Without another one, or beyond the budget, the client gets the answer as it is."),
    key("retry.budget", Kind::Percent(0, 1000), Is("20%"), "Finagle's: an outage becomes a fifth heavier and not twice as heavy",
        "Share of the requests of the last 10 s to a director or backend that may be sent again: by Copal, and by a policy's `retry()` after a fault or a 5xx."),
    key("retry.per_second", Kind::Count(0, 1_000_000), Is("10"), "Finagle's: a share of little traffic is less than one",
        "Retries beyond that share, per second."),
    key("retry.body_size", Kind::Size(0, 64 * MIB), Is("64KiB"), "forms and API calls are smaller, uploads are not worth their memory",
        "How much of a request's body is kept so that it can be sent again. A request with a longer one is sent again only while none of it has been read."),

    key("shadow.to", Kind::Name, Unset("nothing is copied"), "a copy costs the origin as much as a request",
        "The backend or director that gets a copy of requests to origins, marked by `Copal-Shadow: 1`; its answers are thrown away. A policy chooses others with `bereq.shadow`."),
    key("shadow.share", Kind::Percent(0, 1000), Is("100%"), "whoever names a target wants to see requests there",
        "Share of the requests that are copied, by chance. What a policy says with `bereq.shadow` counts whatever this is."),
    key("shadow.running", Kind::Count(1, 10_000), Is("64"), "a target that has stopped answering must not pile up",
        "Most copies at a time; those beyond are not made, and counted."),
    key("shadow.body_size", Kind::Size(0, 64 * MIB), Is("64KiB"), "as `retry.body_size`",
        "Largest request body that is copied; requests with a longer one are not, and counted."),
    key("shadow.response_size", Kind::Size(0, 1024 * MIB), Is("1MiB"), "enough to see that it answers",
        "How much of an answer is read before the connection is closed."),
    key("shadow.timeout", TIMEOUT, Is("10s"), "longer than a page should take",
        "How long one copy may take in all."),

    key("acl.*", Kind::Networks, Required, "a list is what is written",
        "Addresses and networks; `!` takes one out again. The longest prefix that contains an address decides, as in Varnish."),

    key("purge.acl", Kind::Name, Unset("PURGE is off: 405"), "who may purge only the owner knows",
        "The access list of clients that may purge; others get 403."),
    key("purge.protocols", Kind::Words(PROTOCOLS, &[]), Is("purge"), "the method that Varnish made common",
        "How clients may ask for it. `purge`: PURGE on the URL, soft with `Fastly-Soft-Purge: 1`; `xkey`: PURGE with keys in `xkey`, `xkey-softpurge` or `Surrogate-Key`; `ban`: BAN with an expression in `X-Ban`, or of the URLs that match; `refresh`: REFRESH fetches and replaces; `foshttpcache`, `wordpress`, `magento`, `drupal`: what these send. With `ban`, `foshttpcache` and `wordpress` objects are stored with their URL and host."),

    key("pipe.upgrades", Kind::Words(UPGRADES, &[]), Is(""), "a request that changes protocols gets past the cache and the hooks of fetches: for the owner to say",
        "Protocols to which a request may change (`Connection: upgrade` and `Upgrade`) where the policy's `recv` decides nothing: `[\"websocket\"]` lets WebSocket through. A policy can `return pipe();` for these and others."),
    key("pipe.timeout", TIMEOUT, Is("60s"), "Varnish's pipe_timeout; applications that keep silent for longer send pings",
        "How long nothing may move through a tunnel, in either direction; then it is cut."),
    key("pipe.deadline", Kind::Duration(Span::ZERO, YEAR), Is("0s"), "as Varnish's pipe_task_deadline: a chat may go on all day",
        "How long a tunnel may last, whether anything moves or not; then it is cut. `0s` is no limit. `bereq.task_deadline` in the hook `pipe` sets it for one."),
    key("pipe.connections", Kind::Count(0, 1_000_000), Is("10000"), "as many as there are connections",
        "Most tunnels at a time; 503 beyond."),

    key("policy.file", Kind::File, Unset("the built-in policy"), "caching by the rules needs no script",
        "The Rhai script with the cache policy."),
    key("policy.named.*", Kind::File, Required, "a policy is what is written",
        "Policies that `recv` can go on with: `policy(\"NAME\")` in a script. All are loaded, and replaced, together."),
    key("policy.hosts.*", Kind::File, Required, "a policy is what is written",
        "Policies of hosts: requests with that `Host` (in quotes and lower case, without a port) begin with it instead of `file`."),
    key("policy.max_restarts", Kind::Count(0, 100), Is("4"), "Varnish's",
        "Restarts of one request; one more is 503."),
    key("policy.max_retries", Kind::Count(0, 100), Is("4"), "Varnish's",
        "Retries of one fetch; one more is a failed fetch."),
    key("policy.geoip", Kind::File, Unset("none"), "few sites need one, and nobody may give one away",
        "A GeoIP database in MaxMind's format (`.mmdb`) for `geo::country` and `geo::lookup`. It is read into memory at start and at every reload."),
    key("policy.limits.operations", Kind::Count(1000, 1_000_000_000), Is("50000"), "stops a runaway loop after 1 to 2.5 ms (measured)",
        "Script operations of one hook call. 503 beyond, and counted."),
    key("policy.limits.time", Kind::Duration(Span::from_millis(1), Span::from_secs(60)), Is("10ms"), "a long policy takes a few microseconds",
        "Processor time of one hook call. 503 beyond, and counted."),
    key("policy.limits.call_depth", Kind::Count(1, 64), Is("16"), "a level takes up to 11 KB of stack (measured)",
        "Script functions that call one another. 503 beyond, and counted."),
    key("policy.limits.string_bytes", Kind::Size(64, 64 * MIB), Is("64KiB"), "a header block that Copal accepts is smaller",
        "Longest text that a script makes. 503 beyond, and counted."),
    key("policy.limits.array", Kind::Count(16, 1_000_000), Is("4096"), "more than a request has of anything",
        "Most members of an array. 503 beyond, and counted."),
    key("policy.limits.map", Kind::Count(16, 1_000_000), Is("1024"), "more than a request has of anything",
        "Most members of a map. 503 beyond, and counted."),
    key("policy.limits.variables", Kind::Count(16, 10_000), Is("128"), "more than a hook that fits on a screen",
        "Most variables at one time. 503 beyond, and counted."),
    key("policy.limits.functions", Kind::Count(16, 10_000), Is("256"), "more than a policy that one person keeps in mind",
        "Most functions of one file; checked when the policy is loaded."),
    key("policy.limits.modules", Kind::Count(0, 1000), Is("32"), "more than a policy that one person keeps in mind",
        "Most modules imported; checked when the policy is loaded."),
    key("policy.limits.expression_depth", Kind::Count(16, 256), Is("64"), "bounds the stack that parsing and running take",
        "Expressions inside expressions; checked when the policy is loaded."),
    key("policy.limits.written_bytes", Kind::Size(KIB, 64 * MIB), Is("1MiB"), "what is written lives as long as the transaction",
        "What one hook call writes into heads, key, variables and log. 503 beyond, and counted."),
    key("policy.limits.patterns", Kind::Count(0, 10_000), Is("8"), "each can take a millisecond",
        "Regular expressions that one hook call makes at run time; those written in the policy are compiled once. 503 beyond, and counted."),
    key("policy.limits.throttle_keys", Kind::Count(1000, 100_000_000), Is("100000"), "about 8 MB, and more visitors than most sites have in a minute",
        "Keys that `throttle::` remembers. Beyond, those that were not used for longest start anew. Read at start, as counts outlive a reload."),

    key("admin.listen", Kind::ListenAddress, Unset("unix:/run/copal/admin.sock"), "only root on this machine",
        "Where `copal stat`, `purge` and the others reach this process. Who cannot write to `/run` gets `$XDG_RUNTIME_DIR/copal/admin.sock` or `/tmp/copal-UID/admin.sock`. A TCP address needs `token_file`."),
    key("admin.token_file", Kind::File, Unset("none"), "the socket's permissions are enough on one machine",
        "A file whose first line is the token that admin requests over TCP must carry."),

    key("metrics.listen", Kind::ListenAddress, Unset("off"), "nothing listens that nobody asked for",
        "Where Prometheus reads `/metrics`."),

    key("resolver.nameservers", Kind::NameServers, Unset("those of /etc/resolv.conf"), "the machine's own resolver knows the machine's names",
        "The name servers that names of backends are asked of. `/etc/hosts` comes first either way."),
    key("resolver.min_ttl", Kind::Duration(Span::from_millis(100), DAY), Is("1s"), "a name with a TTL of 0 would be asked for with every connection",
        "A name is not asked for again before that, however short its TTL."),
    key("resolver.max_ttl", TIMEOUT, Is("1h"), "a TTL of days is mostly a mistake, and moving a backend should not need a restart",
        "A name is asked for again after that, however long its TTL; also how often a name of `/etc/hosts` is looked up."),
    key("resolver.timeout", TIMEOUT, Is("2s"), "two tries within the 5 s of most resolvers",
        "How long one question to a name server may take; it is asked twice."),
    key("resolver.must_resolve", Kind::Bool, Is("false"), "a proxy that does not come up is worse than a backend that is not there yet",
        "Whether the start fails when a backend's name has no address. Otherwise it is asked for again until it has one."),

    key("log.access.format", Kind::Word(FORMATS, &[]), Is("json"), "programs read it without a pattern",
        "`json`: an object a line; `ncsa`: the combined format of Apache. The table `access` switches the log on."),
    key("log.access.path", Kind::OutputFile, Is("-"), "containers and systemd collect standard output",
        "A file to append to, or `-` for standard output."),
    key("log.access.headers", Kind::FieldNames, Is(""), "what is not needed is not written, and may be personal",
        "Request fields, at most 16, that a JSON line has under `headers`, as the policy has left them: behind a load balancer the one that names the client, such as `X-Real-IP`."),
];

/// What a section is for, in one sentence; `""` is the top of the file.
#[must_use]
pub fn section_doc(section: &str) -> &'static str {
    match section {
        "" => "At the top of the file, before any table.",
        "listen[]" => "One table `[[listen]]` per address. Without any there is one with the defaults.",
        "limits" => "What one client, response or script may use at most. Each limit has a counter.",
        "cache" => "How much is stored, and for how long.",
        "snapshot" => "The store on file, for a warm restart.",
        "store.*" => {
            "One table `[store.NAME]` per storage beside the one that `[cache]` describes, at most 15. `beresp.storage = \"NAME\"` in the policy puts a response there; what fills a storage pushes nothing out of another."
        }
        "backend.*" => {
            "One table `[backend.NAME]` per origin server. When several are declared and neither a director nor the policy chooses, the first one in the file serves."
        }
        "director.*" => {
            "One table `[director.NAME]` per group of backends or of other directors. The first one in the file serves when the policy does not choose."
        }
        "route[]" => {
            "One table `[[route]]` per host or part of a site that has a backend or director of its own. The first one that fits serves; a policy that sets `req.backend` overrides it, and without any that fits the default serves."
        }
        "retry" => "When a failed request is sent again, to another backend.",
        "shadow" => "Copies of requests for a backend that is only watched.",
        "acl" => "Access lists, one key per list: `NAME = [networks]`.",
        "purge" => "Who may purge with an HTTP request, and how.",
        "pipe" => "Tunnels: connections that carry bytes both ways, whatever they mean (WebSocket).",
        "policy" => "The cache policy and what it may use.",
        "admin" => "The control socket.",
        "metrics" => "Counters for Prometheus.",
        "resolver" => "How names of backends become addresses.",
        "log" => "The access log: off until `access` is set.",
        _ => "",
    }
}

/// The key with this path.
pub(crate) fn find(pattern: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == pattern)
}

/// What a path in the file is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    Value(&'static Key),
    Table,
    /// `[[…]]`.
    TableList,
    /// A table whose keys are names the owner chooses.
    Named,
    Unknown,
}

pub(crate) fn shape(pattern: &str) -> Shape {
    if let Some(key) = find(pattern) {
        return Shape::Value(key);
    }
    let mut rests = KEYS.iter().filter_map(|key| key.path.strip_prefix(pattern));
    match rests.find(|rest| rest.starts_with('.') || rest.starts_with("[].")) {
        Some(rest) if rest.starts_with("[].") => Shape::TableList,
        Some(rest) if rest.starts_with(".*") => Shape::Named,
        Some(_) => Shape::Table,
        None => Shape::Unknown,
    }
}

/// The names that may stand directly in a table, in the table's order.
pub(crate) fn children(pattern: &str) -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for key in KEYS {
        let rest = match pattern {
            "" => key.path,
            _ => match key.path.strip_prefix(pattern).and_then(|rest| rest.strip_prefix('.')) {
                Some(rest) => rest,
                None => continue,
            },
        };
        let name = rest.split(['.', '[']).next().unwrap_or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// `cache.size` → (`cache`, `size`); top-level keys have the section `""`.
pub(crate) fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('.').unwrap_or(("", path))
}
