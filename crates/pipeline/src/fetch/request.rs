//! The request to the origin, made from the client's (RFC 9110 §7.6: what an intermediary does to a message).

use copal_policy::{RequestBody, Scene};
use copal_semantics::hop_by_hop;
use http::Method;

/// A scene for the backend side: `bereq` made from `req`. A fetch for the store asks for the whole, unconditionally; a
/// pass is forwarded as it came.
pub(crate) fn backend_scene(from: &Scene, cacheable: bool, via: &str) -> Box<Scene> {
    let mut scene = Box::new(Scene {
        req: from.req.clone(),
        req_vars: from.req_vars.clone(),
        req_body: from.req_body.clone(),
        client: from.client.clone(),
        server: from.server.clone(),
        local: from.local.clone(),
        remote: from.remote.clone(),
        connection: from.connection.clone(),
        hostname: from.hostname.clone(),
        now: from.now,
        ..Scene::default()
    });
    // A body that the policy has kept is part of what is asked for, and of the key: it goes with its method.
    let asks_by_body =
        matches!(&from.req_body, RequestBody::Cached(body) if !body.is_empty()) && from.req.method != Method::HEAD;
    if cacheable {
        // HEAD is answered from what GET would give; a body of a cacheable request means nothing (RFC 9110 §9.3.1).
        if scene.req.method == Method::HEAD {
            // Range means something for GET only (RFC 9110 §14.2).
            scene.req.headers.remove("range");
        }
        scene.req.method = Method::GET;
    }
    scene.bereq = scene.req.clone();
    if asks_by_body {
        scene.bereq.method.clone_from(&from.req.method);
    }
    let headers = &mut scene.bereq.headers;
    hop_by_hop::strip_request(headers);
    headers.remove("expect");
    if cacheable {
        for name in ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"] {
            headers.remove(name);
        }
        headers.remove("content-length");
    }
    if !from.client.ip.is_unspecified() {
        let line = match headers.combined("x-forwarded-for") {
            Some(before) => [&before[..], b", ", from.client.ip.to_string().as_bytes()].concat(),
            None => from.client.ip.to_string().into_bytes(),
        };
        // What was received was valid, and so is an address: never refused. The same goes for Via.
        let _valid = headers.set("X-Forwarded-For", line);
    }
    let _valid = headers.append("Via", via);
    copal_semantics::max_forwards::decrement(&mut scene.bereq);
    let vars = &mut scene.bereq_vars;
    vars.backend.clone_from(&from.req_vars.backend);
    vars.is_hitmiss = from.req_vars.is_hitmiss;
    vars.is_hitpass = from.req_vars.is_hitpass;
    scene
}
