//! Routes of the configuration: where a request goes, before any policy has its say.

use crate::tracer::Tracer;
use copal_backend::Backends;
use copal_observe::trace::Event;
use copal_policy::Scene;

/// The first route that fits says where the request goes; none leaves that open.
pub(crate) fn route(backends: &Backends, scene: &mut Scene, trace: &Tracer) {
    let host = scene.req.headers.get_str("host").unwrap_or_default();
    let Some(route) = backends.route(&host, &scene.req.url) else { return };
    trace.note(|| Event::Routed {
        route: format!("{}{}", route.host.as_deref().unwrap_or("*"), route.path.as_deref().unwrap_or("/")),
        backend: route.to.clone(),
    });
    let to = route.to.clone();
    drop(host);
    scene.req_vars.backend = Some(to);
}
