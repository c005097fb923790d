//! An example for every hook and every variable: shown in the reference, and run by a test.

use crate::examples::{Example, ex};
use crate::hooks::Hook;
use crate::vars::Var;

/// A hook as a policy has it, and what it decides in the scene of the examples.
#[derive(Debug)]
pub struct HookExample {
    /// Which.
    pub hook: Hook,
    /// The whole function.
    pub code: &'static str,
    /// The action as it is written; "nothing".
    pub gives: &'static str,
}

const fn hook(hook: Hook, code: &'static str, gives: &'static str) -> HookExample {
    HookExample { hook, code, gives }
}

/// All hooks, in the order of [`crate::HOOKS`].
#[rustfmt::skip]
pub const HOOK_EXAMPLES: &[HookExample] = &[
    hook(Hook::Init, "fn init() {\n    std::log(\"the shop's policy is loaded\");\n}", "nothing"),
    hook(Hook::Recv, "fn recv(req) {\n    if req.cookie.has(\"sessionid\") { return pass(); }\n    req.url = query::sort(req.url);\n}", "pass()"),
    hook(Hook::Hash, "fn hash(req, key) {\n    // Beside url and host; with `return lookup();` instead of them.\n    key.add(req.device());\n}", "nothing"),
    hook(Hook::Hit, "fn hit(req, obj) {\n    if obj.age > duration(\"1h\") && req.http.has(\"x-fresh\") { return miss(); }\n}", "nothing"),
    hook(Hook::Miss, "fn miss(req) {\n    if req.device() == \"bot\" { return synth(503, \"Come back later\"); }\n}", "nothing"),
    hook(Hook::Pass, "fn pass(req) {\n    req.http[\"x-passed\"] = \"yes\";\n    return fetch();\n}", "fetch()"),
    hook(Hook::Pipe, "fn pipe(req, bereq) {\n    if !client.ip.within(\"purgers\") { return synth(403); }\n}", "synth(status, reason)"),
    hook(Hook::Purge, "fn purge(req, count) {\n    return synth(200, `${count} dropped`);\n}", "synth(status, reason)"),
    hook(Hook::BackendFetch, "fn backend_fetch(bereq) {\n    bereq.http[\"x-shop\"] = \"1\";\n    if bereq.retries > 0 { bereq.backend = backend(\"app1\"); }\n}", "nothing"),
    hook(Hook::BackendRefresh, "fn backend_refresh(bereq, beresp, stale) {\n    if stale.http[\"x-kind\"] != beresp.http[\"x-kind\"] { return use_new(); }\n}", "use_new()"),
    hook(Hook::BackendResponse, "fn backend_response(bereq, beresp) {\n    if beresp.status >= 500 && bereq.retries == 0 { return retry(); }\n    beresp.grace = duration(\"6h\");\n}", "nothing"),
    hook(Hook::BackendError, "fn backend_error(bereq, beresp) {\n    beresp.http[\"content-type\"] = \"text/html\";\n    beresp.body = \"<h1>We will be back</h1>\";\n    return deliver();\n}", "deliver()"),
    hook(Hook::Deliver, "fn deliver(req, resp) {\n    resp.http[\"x-cache\"] = if resp.hits > 0 { \"HIT\" } else { \"MISS\" };\n}", "nothing"),
    hook(Hook::Synth, "fn synth(req, resp) {\n    resp.http[\"content-type\"] = \"text/plain\";\n    resp.body = `${resp.status} ${resp.reason}`;\n}", "nothing"),
];

/// All variables, in the order of [`crate::vars::VARS`]; then those that a hook finds by themselves.
#[rustfmt::skip]
pub const VARIABLES: &[Example] = &[
    ex("req.method", "req.method == \"GET\"", "true"),
    ex("req.url", "req.url = url::path(req.url); req.url", "/shop"),
    ex("req.proto", "req.proto", "HTTP/1.1"),
    ex("req.http", "req.http[\"x-a\"] = 1; req.http.host + req.http.x_a", "shop.example1"),
    ex("req.cookie", "req.cookie.get(\"sessionid\")", "42"),
    ex("req.backend", "req.backend = director(\"app\"); req.backend == \"app\"", "true"),
    ex("req.backend_hint", "req.backend_hint = backend(\"app1\"); req.backend == \"app1\"", "true"),
    ex("req.grace", "req.grace = duration(\"10s\"); req.grace", "10.000"),
    ex("req.max_age", "req.max_age = duration(\"1h\"); req.max_age", "3600.000"),
    ex("req.ttl", "req.ttl = duration(\"1h\"); req.max_age", "3600.000"),
    ex("req.can_gzip", "req.can_gzip", "false"),
    ex("req.hash_always_miss", "req.hash_always_miss = true; req.hash_always_miss", "true"),
    ex("req.hash_ignore_busy", "req.hash_ignore_busy = true; req.hash_ignore_busy", "true"),
    ex("req.restarts", "req.restarts", "0"),
    ex("req.esi_level", "req.esi_level", "0"),
    ex("req.xid", "req.http[\"x-trace\"] = req.xid; req.xid", "r-1"),
    ex("req.is_hitmiss", "req.is_hitmiss", "false"),
    ex("req.is_hitpass", "req.is_hitpass", "false"),
    ex("req.vars", "req.vars[\"lang\"] = \"de\"; req.vars[\"lang\"]", "de"),

    ex("bereq.method", "bereq.method", "GET"),
    ex("bereq.url", "bereq.url = \"/v2\" + bereq.url; bereq.url", "/v2/shop?b=2&a=1"),
    ex("bereq.proto", "bereq.proto", "HTTP/1.1"),
    ex("bereq.http", "bereq.http[\"x-a\"] = now; bereq.http.x_a", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ex("bereq.cookie", "bereq.cookie.set(\"lang\", \"de\"); bereq.http.cookie", "lang=de"),
    ex("bereq.backend", "bereq.backend = backend(\"app1\"); bereq.backend == \"app1\"", "true"),
    ex("bereq.retries", "bereq.retries", "0"),
    ex("bereq.is_bgfetch", "bereq.is_bgfetch", "false"),
    ex("bereq.is_hitmiss", "bereq.is_hitmiss", "false"),
    ex("bereq.is_hitpass", "bereq.is_hitpass", "false"),
    ex("bereq.uncacheable", "bereq.uncacheable", "false"),
    ex("bereq.xid", "bereq.xid", "r-1"),
    ex("bereq.connect_timeout", "bereq.connect_timeout = duration(\"500ms\"); bereq.connect_timeout", "0.500"),
    ex("bereq.first_byte_timeout", "bereq.first_byte_timeout = duration(\"5s\"); bereq.first_byte_timeout", "5.000"),
    ex("bereq.shadow", "bereq.shadow = backend(\"app1\"); bereq.shadow == \"app1\"", "true"),
    ex("bereq.total_timeout", "bereq.total_timeout = duration(\"1m\"); bereq.total_timeout", "60.000"),
    ex("bereq.between_bytes_timeout", "bereq.between_bytes_timeout ?? \"as configured\"", "as configured"),

    ex("beresp.status", "beresp.status = 404; beresp.status", "404"),
    ex("beresp.reason", "beresp.reason = \"Nearly OK\"; beresp.reason", "Nearly OK"),
    ex("beresp.proto", "beresp.proto", "HTTP/1.1"),
    ex("beresp.http", "beresp.http.remove(\"server\"); beresp.http.server", "()"),
    ex("beresp.ttl", "beresp.ttl = duration(\"1h\") + duration(\"30m\"); beresp.ttl", "5400.000"),
    ex("beresp.grace", "beresp.grace = duration(\"6h\"); beresp.grace", "21600.000"),
    ex("beresp.keep", "beresp.keep = duration(\"1d\"); beresp.keep", "86400.000"),
    ex("beresp.stale_if_error", "beresp.stale_if_error = duration(\"1d\"); beresp.stale_if_error", "86400.000"),
    ex("beresp.age", "beresp.age", "0.000"),
    ex("beresp.uncacheable", "beresp.uncacheable = true; beresp.uncacheable", "true"),
    ex("beresp.body", "beresp.body = \"<h1>We will be back</h1>\"; beresp.body.len()", "24"),
    ex("beresp.backend", "beresp.backend == \"app1\"", "true"),
    ex("beresp.was_304", "beresp.was_304", "false"),

    ex("resp.status", "resp.status = 404; resp.status", "404"),
    ex("resp.reason", "resp.reason", "OK"),
    ex("resp.proto", "resp.proto", "HTTP/1.1"),
    ex("resp.http", "resp.http[\"x-frame-options\"] = \"DENY\"; resp.http.x_frame_options", "DENY"),
    ex("resp.hits", "if resp.hits > 0 { \"HIT\" } else { \"MISS\" }", "HIT"),
    ex("resp.body", "resp.body = \"a page\"; resp.body", "a page"),
    ex("resp.is_streaming", "resp.is_streaming", "false"),

    ex("obj.status", "obj.status", "200"),
    ex("obj.reason", "obj.reason", "OK"),
    ex("obj.proto", "obj.proto", "HTTP/1.1"),
    ex("obj.http", "obj.http[\"x-kind\"]", "page"),
    ex("obj.ttl", "obj.ttl > duration(\"0s\")", "true"),
    ex("obj.grace", "obj.ttl + obj.grace", "70.000"),
    ex("obj.keep", "obj.keep", "3600.000"),
    ex("obj.age", "obj.age", "20.000"),
    ex("obj.hits", "obj.hits", "3"),
    ex("obj.uncacheable", "obj.uncacheable", "false"),

    ex("client.ip", "client.ip", "192.0.2.7"),
    ex("client.port", "client.port", "40000"),
    ex("client.identity", "client.identity = req.cookie.get(\"sessionid\"); client.identity", "42"),
    ex("server.ip", "server.ip", "198.51.100.1"),
    ex("server.port", "server.port", "80"),
    ex("server.hostname", "server.hostname", "edge-1"),
    ex("server.identity", "server.identity", "edge-1"),
    ex("local.ip", "local.ip", "198.51.100.1"),
    ex("local.port", "local.port == 80", "true"),
    ex("remote.ip", "remote.ip == client.ip", "true"),
    ex("remote.port", "remote.port", "40000"),

    ex("now", "req.http[\"x-day\"] = std::strftime(now + duration(\"1d\"), \"%F\"); req.http.x_day", "1994-11-07"),
    ex("req.time", "req.time <= now", "true"),
    ex("req.body", "req.body ?? \"not kept\"", "name=anna"),
    ex("req.body_size", "req.body_size ?? 0", "9"),
    ex("req.body_cached", "req.body_cached", "true"),
    ex("bereq.time", "bereq.time <= now", "true"),
    ex("bereq.task_deadline", "bereq.task_deadline = duration(\"1h\"); bereq.task_deadline", "3600.000"),
    ex("bereq.body", "bereq.body", "name=anna"),
    ex("beresp.time", "beresp.time <= now", "true"),
    ex("beresp.storage", "beresp.storage = \"main\"; beresp.storage", "main"),
    ex("resp.time", "resp.time <= now", "true"),
    ex("obj.time", "obj.time <= now", "true"),
    ex("local.endpoint", "local.endpoint", "198.51.100.1:80"),
    ex("req_top.method", "req_top.method", "GET"),
    ex("req_top.url", "req_top.url == req.url", "true"),
    ex("req_top.proto", "req_top.proto", "HTTP/1.1"),
    ex("req_top.http", "req_top.http.host", "shop.example"),
    ex("req_top.time", "req_top.time <= now", "true"),
    ex("param.default_ttl", "param.default_ttl ?? \"unset\"", "unset"),
    ex("param.default_grace", "param.default_grace ?? \"unset\"", "unset"),
    ex("param.default_keep", "param.default_keep ?? \"unset\"", "unset"),
    ex("param.uncacheable_ttl", "param.uncacheable_ttl ?? \"unset\"", "unset"),
    ex("param.max_restarts", "param.max_restarts ?? \"unset\"", "unset"),
    ex("param.max_retries", "param.max_retries ?? \"unset\"", "unset"),
    ex("param.pipe_timeout", "param.pipe_timeout ?? \"unset\"", "unset"),
    ex("param.pipe_task_deadline", "param.pipe_task_deadline ?? \"unset\"", "unset"),
    ex("param.transit_buffer", "param.transit_buffer ?? \"unset\"", "unset"),
    ex("storage.used_space", "storage.used_space == storage.main.used_space", "true"),
    ex("storage.free_space", "storage.main.free_space == storage.free_space", "true"),
    ex("storage.happy", "storage.happy && storage[\"main\"].happy", "true"),
];

/// The example of a variable; a test sees to it that there is one.
#[must_use]
pub fn of_var(v: &Var) -> Option<&'static Example> {
    VARIABLES.iter().find(|e| e.of.split_once('.') == Some((v.object, v.name)))
}

/// The example of a hook.
#[must_use]
pub fn of_hook(hook: Hook) -> Option<&'static HookExample> {
    HOOK_EXAMPLES.iter().find(|e| e.hook == hook)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::HOOKS;
    use crate::vars::{GLOBALS, Type, VARS};

    #[test]
    fn every_hook_and_every_variable_has_one_example_that_uses_it() {
        for h in &HOOKS {
            let example =
                of_hook(h.hook).unwrap_or_else(|| panic!("{} has no example: add one to HOOK_EXAMPLES", h.name));
            assert!(example.code.starts_with(&format!("fn {}({}) {{\n", h.name, h.params.join(", "))), "{}", h.name);
        }
        for v in VARS {
            let name = format!("{}.{}", v.object, v.name);
            let example = of_var(v).unwrap_or_else(|| panic!("{name} has no example: add one to VARIABLES"));
            assert!(example.code.contains(&name), "{name}: {}", example.code);
        }
        // What has variables of its own is shown by these.
        let plain = GLOBALS.iter().filter(|(_, ty, _)| ty.object().is_none() && *ty != Type::Any).count();
        assert_eq!(VARIABLES.len(), VARS.len() + plain);
        for e in VARIABLES {
            assert_eq!(VARIABLES.iter().filter(|o| o.of == e.of).count(), 1, "{}", e.of);
        }
        assert_eq!(HOOK_EXAMPLES.len(), HOOKS.len());
    }
}
