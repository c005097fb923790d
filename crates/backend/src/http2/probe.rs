//! A probe of an origin that speaks HTTP/2 only: the request that HTTP/1.1 would make, over a connection of its own.

use crate::body::{NoBody, SendBody};
use crate::origin::Origin;
use crate::probe::{BODY_MAX, HttpProbe};
use crate::socket::Socket;
use bytes::Bytes;
use copal_semantics::RequestHead;
use http::Method;

/// Asks, and looks at the answer; `Err` is the reason in a few words. Time limits are the caller's.
pub(crate) async fn probe(socket: Socket, origin: &Origin, probe: &HttpProbe) -> Result<(), String> {
    if probe.request.is_some() {
        return Err("a probe with `request` cannot be sent by HTTP/2".to_owned());
    }
    let mut head = RequestHead::get(&probe.path, [("User-Agent", "copal-probe")]);
    head.method = Method::from_bytes(probe.method.as_bytes()).map_err(|e| e.to_string())?;
    let mut request = super::request::<NoBody>(&head, origin, &SendBody::None).ok_or("the probe cannot be sent")?;
    if let Some(host) = &probe.host {
        let mut parts = request.uri().clone().into_parts();
        parts.authority = Some(host.parse().map_err(|_| "the probe's host cannot be sent")?);
        *request.uri_mut() = http::Uri::from_parts(parts).map_err(|e| e.to_string())?;
    }
    let failed = |e: h2::Error| format!("HTTP/2: {e}");
    let (mut send, connection) =
        h2::client::Builder::new().enable_push(false).handshake::<_, Bytes>(socket).await.map_err(failed)?;
    let asking = async {
        let (response, _) = send.send_request(request, true).map_err(failed)?;
        let response = response.await.map_err(failed)?;
        let status = response.status().as_u16();
        if !probe.expected_status.contains(&status) {
            return Err(format!("status {status}"));
        }
        let Some(pattern) = &probe.expected_body else { return Ok(()) };
        let (mut recv, mut body) = (response.into_body(), Vec::new());
        while body.len() < BODY_MAX {
            let Some(piece) = recv.data().await else { break };
            let piece = piece.map_err(failed)?;
            // It fails when the stream is closed, which shows in what follows.
            let _closed = recv.flow_control().release_capacity(piece.len());
            body.extend_from_slice(&piece);
            body.truncate(BODY_MAX);
            if pattern.is_in(&body) {
                return Ok(());
            }
        }
        if pattern.is_in(&body) { Ok(()) } else { Err(format!("status {status}, body not as expected")) }
    };
    tokio::select! {
        biased;
        answer = asking => answer,
        ended = connection => Err(ended.map_or_else(failed, |()| "closed without an answer".to_owned())),
    }
}
