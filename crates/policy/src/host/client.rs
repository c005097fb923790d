//! `client`, `server`, `local`, `remote`: the ends of the connection, and addresses.

use super::{Client, Handle, Local, Remote, Server, get, set};
use crate::current::Res;
use crate::environment::Environment;
use crate::fault::{FaultKind, HostError};
use crate::scene::{Peer, Scene};
use crate::value::{text, to_text};
use rhai::{Engine, ImmutableString};
use std::net::IpAddr;
use std::sync::Arc;

fn peer<H: Handle>(e: &mut Engine, read: fn(&Scene) -> &Peer) {
    get::<H, _>(e, "ip", move |s| read(s).ip);
    get::<H, _>(e, "port", move |s| i64::from(read(s).port));
}

/// Gives scripts the ends of the connection and the type `Address`.
pub(crate) fn register(e: &mut Engine, env: &Arc<Environment>) {
    peer::<Client>(e, |s| &s.client);
    peer::<Server>(e, |s| &s.server);
    peer::<Local>(e, |s| &s.local);
    peer::<Remote>(e, |s| &s.remote);
    get::<Local, _>(e, "endpoint", |s| text(&std::net::SocketAddr::new(s.local.ip, s.local.port).to_string()));
    get::<Client, _>(e, "identity", |s| match &s.client.identity {
        Some(identity) => text(identity),
        None => text(&s.client.ip.to_string()),
    });
    set::<Client>(e, "identity", |s, v| {
        s.client.identity = Some(to_text("client.identity", &v)?.to_string());
        Ok(())
    });
    get::<Server, _>(e, "hostname", |s| text(&s.hostname));
    get::<Server, _>(e, "identity", |s| text(&s.hostname));
    address(e, env);
}

fn address(e: &mut Engine, env: &Arc<Environment>) {
    e.register_type_with_name::<IpAddr>("Address");
    let env = Arc::clone(env);
    e.register_fn("within", move |ip: IpAddr, name: &str| -> Res<bool> {
        env.acls.get(name).map(|acl| acl.contains(ip)).ok_or_else(|| {
            let shown = crate::library::time::shown(name);
            HostError::new(FaultKind::UnknownName, format!("the configuration has no ACL \"{shown}\"")).into()
        })
    });
    e.register_fn("is_ipv6", |ip: IpAddr| ip.is_ipv6());
    e.register_fn("==", |a: IpAddr, b: IpAddr| a == b).register_fn("!=", |a: IpAddr, b: IpAddr| a != b);
    e.register_fn("==", same).register_fn("!=", |a: IpAddr, b: &str| !same(a, b));
    for name in ["to_string", "to_debug"] {
        e.register_fn(name, |ip: IpAddr| ImmutableString::from(ip.to_string()));
    }
}

/// `client.ip == "10.0.0.1"` is how people write it.
fn same(a: IpAddr, b: &str) -> bool {
    b.parse::<IpAddr>().is_ok_and(|b| a == b)
}
