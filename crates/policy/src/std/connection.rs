//! `proxy::` and `unix::`: what is known of the client's connection beside its addresses.
//!
//! One list for each kind of value, so that the interpreter and native hooks read the same.

use crate::connection::{ClientSsl, Proxied, UnixPeer};
use crate::current::{self, Res};
use crate::library::ModuleFunction;
use crate::scene::Scene;
use crate::value::optional;
use rhai::{Dynamic, Engine, ImmutableString, Module};

/// Reads a text, where there is one.
pub(crate) type ReadText = fn(&Scene) -> Option<&str>;
/// Reads a number, where there is one.
pub(crate) type ReadInt = fn(&Scene) -> Option<i64>;
/// Reads a flag.
pub(crate) type ReadFlag = fn(&Scene) -> bool;

fn proxied(s: &Scene) -> Option<&Proxied> {
    s.connection.as_deref().map(|connection| &connection.proxied)
}

fn ssl(s: &Scene) -> Option<&ClientSsl> {
    proxied(s)?.ssl.as_ref()
}

fn peer(s: &Scene) -> Option<&UnixPeer> {
    s.connection.as_deref()?.peer.as_ref()
}

const TEXTS: [(&str, &str, ReadText); 9] = [
    ("proxy", "alpn", |s| proxied(s)?.alpn.as_deref()),
    ("proxy", "authority", |s| proxied(s)?.authority.as_deref()),
    ("proxy", "ssl_version", |s| ssl(s)?.version.as_deref()),
    ("proxy", "ssl_cipher", |s| ssl(s)?.cipher.as_deref()),
    ("proxy", "client_cert_cn", |s| ssl(s)?.cn.as_deref()),
    ("proxy", "cert_sign", |s| ssl(s)?.sign.as_deref()),
    ("proxy", "cert_key", |s| ssl(s)?.key.as_deref()),
    ("unix", "user", |s| peer(s)?.user.as_deref()),
    ("unix", "group", |s| peer(s)?.group.as_deref()),
];

const FLAGS: [(&str, &str, ReadFlag); 3] = [
    ("proxy", "is_ssl", |s| ssl(s).is_some_and(|ssl| ssl.ssl)),
    ("proxy", "client_has_cert_conn", |s| ssl(s).is_some_and(|ssl| ssl.cert_conn)),
    ("proxy", "client_has_cert_sess", |s| ssl(s).is_some_and(|ssl| ssl.cert_sess)),
];

const INTS: [(&str, &str, ReadInt); 3] = [
    ("proxy", "ssl_verify_result", |s| ssl(s)?.verified().map(i64::from)),
    ("unix", "uid", |s| Some(peer(s)?.uid.into())),
    ("unix", "gid", |s| Some(peer(s)?.gid.into())),
];

fn find<T: Copy>(list: &[(&str, &str, T)], module: &str, name: &str) -> Option<T> {
    list.iter().find(|row| (row.0, row.1) == (module, name)).map(|row| row.2)
}

/// How the text `module::name` is read.
pub(crate) fn text(module: &str, name: &str) -> Option<ReadText> {
    find(&TEXTS, module, name)
}

/// How the flag `module::name` is read.
pub(crate) fn flag(module: &str, name: &str) -> Option<ReadFlag> {
    find(&FLAGS, module, name)
}

/// How the number `module::name` is read.
pub(crate) fn int(module: &str, name: &str) -> Option<ReadInt> {
    find(&INTS, module, name)
}

/// Gives scripts the modules. The functions are volatile: the optimiser must not run them when it compiles.
pub(crate) fn register(e: &mut Engine) {
    for module in ["proxy", "unix"] {
        let mut m = Module::new();
        for (_, name, read) in TEXTS.iter().filter(|row| row.0 == module).copied() {
            ModuleFunction::new(name).with_volatility(true).set_into_module(&mut m, move || -> Res<Dynamic> {
                current::read(|s| optional(read(s).map(ImmutableString::from)))
            });
        }
        for (_, name, read) in INTS.iter().filter(|row| row.0 == module).copied() {
            ModuleFunction::new(name)
                .with_volatility(true)
                .set_into_module(&mut m, move || -> Res<Dynamic> { current::read(|s| optional(read(s))) });
        }
        for (_, name, read) in FLAGS.iter().filter(|row| row.0 == module).copied() {
            ModuleFunction::new(name)
                .with_volatility(true)
                .set_into_module(&mut m, move || -> Res<bool> { current::read(read) });
        }
        e.register_static_module(module, m.into());
    }
}
