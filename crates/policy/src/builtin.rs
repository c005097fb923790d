//! The built-in behaviour, native: what happens where a policy has no hook or leaves it undecided. `builtin.rhai` says
//! the same for readers.
//!
//! Copal's defaults follow the RFCs where VCL's do not: cookies in a request do not prevent a lookup, because the
//! response says whether it may be shared (RFC 9111 §3).

use crate::action::Action;
use crate::library::system::escape_html;
use crate::scene::Scene;
use http::Method;

/// The text of the built-in policy.
pub const SOURCE: &str = include_str!("builtin.rhai");

/// The content type of pages made here.
const PAGE_TYPE: &str = "text/html; charset=utf-8";
/// Seconds after which a client may try again: VCL's number.
const RETRY_AFTER: &str = "5";

/// GET and HEAD are looked up, PURGE purges, CONNECT and PRI are refused with 405, everything else passes.
#[must_use]
pub fn recv(scene: &Scene) -> Action {
    match scene.req.method {
        Method::GET | Method::HEAD => Action::Lookup,
        // Copal is no forward proxy: the method is known, and no resource here supports it (RFC 9110 §15.5.6).
        Method::CONNECT => method_not_allowed(),
        ref m if m.as_str() == "PURGE" => Action::Purge,
        // The preface of HTTP/2 (RFC 9113 §3.4) where it does not belong.
        ref m if m.as_str() == "PRI" => method_not_allowed(),
        // Unknown methods, too: they are the origin's business (RFC 9110 §16.1), not 501.
        _ => Action::Pass,
    }
}

fn method_not_allowed() -> Action {
    Action::Synth { status: 405, reason: "Method Not Allowed".to_owned() }
}

/// The key is the url and the host in lower case; without a host, the address that was asked. With a body that the policy
/// has kept, also the method and that body: what is asked by it is not what the url alone stands for.
pub fn hash(scene: &mut Scene) -> Action {
    scene.key.add(scene.req.url.as_bytes());
    match scene.req.headers.get("host") {
        Some(host) if host.iter().any(u8::is_ascii_uppercase) => scene.key.add(&host.to_ascii_lowercase()),
        Some(host) => scene.key.add(host),
        None => scene.key.add(scene.server.ip.to_string().as_bytes()),
    }
    crate::host::body::add_to_key(scene);
    Action::Lookup
}

/// Deliver; the pipeline refreshes in the background when the object is stale.
#[must_use]
pub fn hit(_: &Scene) -> Action {
    Action::Deliver
}

/// Fetch.
#[must_use]
pub fn miss(_: &Scene) -> Action {
    Action::Fetch
}

/// Fetch.
#[must_use]
pub fn pass(_: &Scene) -> Action {
    Action::Fetch
}

/// Pipe.
#[must_use]
pub fn pipe(_: &Scene) -> Action {
    Action::Pipe
}

/// A synthetic 200 that says how many objects went.
#[must_use]
pub fn purge(scene: &Scene) -> Action {
    let count = scene.purge_count;
    let objects = if count == 1 { "object" } else { "objects" };
    Action::Synth { status: 200, reason: format!("Purged {count} {objects}") }
}

/// Fetch.
#[must_use]
pub fn backend_fetch(_: &Scene) -> Action {
    Action::Fetch
}

/// Merge.
#[must_use]
pub fn backend_refresh(_: &Scene) -> Action {
    Action::Merge
}

/// Nothing: cacheability is in `beresp.ttl` and `beresp.uncacheable` before the hook runs. To say deliver would be to store
/// what does not let itself be stored.
#[must_use]
pub fn backend_response(_: &Scene) -> Action {
    Action::Default
}

/// A plain page with Retry-After, unless the policy has made one. The status is the scene's, 503 by the pipeline.
pub fn backend_error(scene: &mut Scene) -> Action {
    if scene.beresp_vars.body.is_none() {
        let head = &mut scene.beresp;
        head.headers.set("content-type", PAGE_TYPE).expect("the name and the value are valid");
        head.headers.set("retry-after", RETRY_AFTER).expect("the name and the value are valid");
        scene.beresp_vars.body = Some(page(head.status, head.reason_phrase(), &scene.req_vars.xid));
    }
    Action::Deliver
}

/// Deliver.
#[must_use]
pub fn deliver(_: &Scene) -> Action {
    Action::Deliver
}

/// A plain page with status, reason and the id of the request, unless the policy has made one.
pub fn synth(scene: &mut Scene) -> Action {
    if scene.resp_vars.body.is_none() {
        let head = &mut scene.resp;
        head.headers.set("content-type", PAGE_TYPE).expect("the name and the value are valid");
        scene.resp_vars.body = Some(page(head.status, head.reason_phrase(), &scene.req_vars.xid));
    }
    Action::Deliver
}

/// The page.
fn page(status: u16, reason: &str, xid: &str) -> Vec<u8> {
    let title = format!("{} {}", status % 1000, escape_html(reason));
    let xid = escape_html(xid);
    format!(
        "<!DOCTYPE html>\n<html><head><title>{title}</title></head>\n<body><h1>{title}</h1><p>Copal, request \
         {xid}</p></body></html>\n"
    )
    .into_bytes()
}
