//! What VCL has and Copal has not, variable by variable, and what to write instead. The guide says the same: a test compares.

const CONFIGURED: &str = "the configuration has it: a policy that needs the value writes it as a `const`";
const ESI: &str = "not there yet: Copal does no ESI, and a page goes out as it came, with its `<esi:include>`; put it together in the application, or let the browser fetch the part";
const UNFILTERED: &str = "nothing: bodies are not filtered";

/// Object, name, and what to write.
const ABSENT: [(&str, &str, &str); 35] = [
    ("local", "socket", "`local.port`: listeners have no names"),
    ("req", "esi", ESI),
    ("req", "filters", UNFILTERED),
    ("req", "hash", "nothing: what goes into the key is what `key.add` was given"),
    (
        "req",
        "hash_ignore_vary",
        "`req.http.remove(\"accept-language\")` and the like in `recv`: Vary matches the request as the policy left it",
    ),
    ("req", "storage", "nothing: a body kept by `std::cache_req_body` counts in the main storage"),
    ("req", "trace", "nothing: `std::log` what you want to see; `copal explain` shows a whole request"),
    ("req", "transport", "`local.port`: a listener speaks one protocol"),
    ("bereq", "filters", UNFILTERED),
    ("bereq", "hash", "nothing: what goes into the key is what `key.add` was given"),
    (
        "bereq",
        "retry_connect",
        "nothing: a connection that turns out to be dead is replaced once where the request can be repeated; otherwise `bereq.retries`",
    ),
    ("bereq", "trace", "nothing: `std::log` what you want to see; `copal explain` shows a whole request"),
    ("beresp", "do_esi", ESI),
    (
        "beresp",
        "do_gunzip",
        "not there yet: bodies are stored and sent as they come; the application sends each client what it takes, with `Vary: Accept-Encoding`",
    ),
    (
        "beresp",
        "do_gzip",
        "not there yet: bodies are stored and sent as they come; let the application compress, with `Vary: Accept-Encoding`",
    ),
    ("beresp", "do_stream", "nothing: every response streams, to all who wait for it"),
    ("beresp", "filters", UNFILTERED),
    ("beresp", "storage_hint", "`beresp.storage`"),
    (
        "beresp",
        "transit_buffer",
        "`limits.transit_size` of the configuration: how far an uncacheable response may be ahead of its reader",
    ),
    ("obj", "can_esi", ESI),
    ("obj", "storage", "nothing: write it into a field of the response when it is stored"),
    ("obj", "is_valid", "nothing: an object that was purged or banned meanwhile is not refreshed"),
    ("resp", "do_esi", ESI),
    ("resp", "filters", UNFILTERED),
    ("param", "backend_idle_timeout", CONFIGURED),
    ("param", "backend_wait_limit", CONFIGURED),
    ("param", "backend_wait_timeout", CONFIGURED),
    ("param", "between_bytes_timeout", "`bereq.between_bytes_timeout`; `()` is the configured one"),
    ("param", "connect_timeout", "`bereq.connect_timeout`; `()` is the configured one"),
    ("param", "first_byte_timeout", "`bereq.first_byte_timeout`; `()` is the configured one"),
    ("param", "idle_send_timeout", CONFIGURED),
    ("param", "max_esi_depth", ESI),
    ("param", "send_timeout", CONFIGURED),
    ("param", "shortlived", "nothing: `beresp.storage` says where a response is kept"),
    ("param", "timeout_idle", CONFIGURED),
];

/// What to write instead of that variable of VCL.
pub(super) fn instead(object: &str, name: &str) -> Option<&'static str> {
    ABSENT.iter().find(|(o, n, _)| *o == object && *n == name).map(|(.., text)| *text)
}

/// What to write instead of that object of VCL.
pub(super) fn object(name: &str) -> Option<&'static str> {
    match name {
        "obj_stale" => Some("the stale object is `stale`, in `backend_refresh`"),
        "sess" => {
            Some("the timeouts of a connection from a client are keys of its `[[listen]]`, and `sess.xid` is `req.xid`")
        }
        _ => None,
    }
}
