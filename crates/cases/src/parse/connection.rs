//! `proxy` and `peer`, the lines above a client's first request: what is known of its connection beside its address.

use super::source::{At, Source};
use super::words::{Line, Word, split_first, words};
use crate::case::{Client, Ends};
use copal_policy::{ClientSsl, Connection, Proxied, UnixPeer};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What a PROXY header tells: `name:value`, or the name alone.
const PROXY: [&str; 13] = [
    "client",
    "server",
    "alpn",
    "authority",
    "is_ssl",
    "client_has_cert_conn",
    "client_has_cert_sess",
    "ssl_verify_result",
    "ssl_version",
    "client_cert_cn",
    "ssl_cipher",
    "cert_sign",
    "cert_key",
];
/// Who is at the other end of a Unix socket.
const PEER: [&str; 4] = ["uid", "gid", "user", "group"];

/// Takes those lines from the front of a block.
pub(super) fn read<'l, 't>(source: &mut Source<'_>, lines: &'l [Line<'t>], client: &mut Client) -> &'l [Line<'t>] {
    let mut known = Connection::default();
    let mut rest = lines;
    while let Some((line, after)) = rest.split_first() {
        let (kind, text, at) = split_first(line.text, line.at());
        match kind {
            "proxy" => {
                let list = words(source, text, at);
                client.ends = proxy(source, &list, &mut known.proxied).or(client.ends);
            }
            "peer" => {
                if client.from.is_some() {
                    let help = "a process on a Unix socket has none: remove `from` or this line";
                    source.wrong(line.at(), "this client has an address", Some(help.to_owned()));
                }
                let list = words(source, text, at);
                known.peer = Some(peer(source, &list, line.at()));
                client.from = Some(SocketAddr::from(([0, 0, 0, 0], 0)));
            }
            _ => break,
        }
        rest = after;
    }
    if known != Connection::default() {
        client.connection = Some(Arc::new(known));
    }
    rest
}

fn proxy(source: &mut Source<'_>, list: &[Word], proxied: &mut Proxied) -> Option<Ends> {
    let (mut client, mut server) = (None, None);
    let mut ssl = ClientSsl::default();
    let (mut has_ssl, mut has_cert) = (false, false);
    for word in list {
        let (name, value) = pair(word);
        let text = value.map(str::to_owned);
        match (name, value) {
            ("client", Some(value)) => client = address(source, word, value),
            ("server", Some(value)) => server = address(source, word, value),
            ("alpn", Some(_)) => proxied.alpn = text,
            ("authority", Some(_)) => proxied.authority = text,
            ("is_ssl", None) => has_ssl = true,
            ("client_has_cert_conn", None) => ssl.cert_conn = true,
            ("client_has_cert_sess", None) => ssl.cert_sess = true,
            ("ssl_verify_result", Some(value)) => {
                (ssl.verify, has_cert) = (number(source, word, value), true);
            }
            ("ssl_version", Some(_)) => (ssl.version, has_ssl) = (text, true),
            ("ssl_cipher", Some(_)) => (ssl.cipher, has_ssl) = (text, true),
            ("client_cert_cn", Some(_)) => (ssl.cn, has_cert) = (text, true),
            ("cert_sign", Some(_)) => (ssl.sign, has_ssl) = (text, true),
            ("cert_key", Some(_)) => (ssl.key, has_ssl) = (text, true),
            _ => wrong(source, word, "word of a PROXY header", &PROXY),
        }
    }
    // What is said of a certificate is said of one that was shown; where nothing says when, on this connection.
    if has_cert && !ssl.cert_conn && !ssl.cert_sess {
        (ssl.cert_conn, ssl.cert_sess) = (true, true);
    }
    if has_ssl || ssl != ClientSsl::default() {
        proxied.ssl = Some(ClientSsl { ssl: true, ..ssl });
    }
    let named = |name: &str| list.iter().find(|word| pair(word).0 == name);
    if let (None, Some(server)) = (named("client"), named("server")) {
        source.wrong(server.at, "a PROXY header names both ends or none", Some("add `client:203.0.113.7`".to_owned()));
    }
    client.map(|client| Ends { client, server })
}

fn peer(source: &mut Source<'_>, list: &[Word], at: At) -> UnixPeer {
    let mut peer = UnixPeer::default();
    for word in list {
        match pair(word) {
            ("uid", Some(value)) => peer.uid = number(source, word, value),
            ("gid", Some(value)) => peer.gid = number(source, word, value),
            ("user", Some(value)) => peer.user = Some(value.to_owned()),
            ("group", Some(value)) => peer.group = Some(value.to_owned()),
            _ => wrong(source, word, "word of a peer", &PEER),
        }
    }
    for (name, given) in [("uid", "uid:110"), ("gid", "gid:33")] {
        if !list.iter().any(|word| pair(word).0 == name) {
            source.wrong(at, format!("every peer has a `{name}`"), Some(format!("add `{given}`")));
        }
    }
    peer
}

fn pair(word: &Word) -> (&str, Option<&str>) {
    word.text.split_once(':').map_or((&word.text, None), |(name, value)| (name, Some(value)))
}

/// A word that is none of them, or one that has a value and should have none, or the other way round.
fn wrong(source: &mut Source<'_>, word: &Word, what: &str, right: &[&str]) {
    let (name, value) = pair(word);
    match right.contains(&name) {
        false => source.unknown_of(word.at, what, name, right),
        true if value.is_some() => {
            source.wrong(word.at, format!("`{name}` has no value"), Some(format!("write `{name}`")));
        }
        true => source.wrong(word.at, format!("`{name}` has a value"), Some(format!("write `{name}:VALUE`"))),
    }
}

fn number(source: &mut Source<'_>, word: &Word, value: &str) -> u32 {
    value.parse().unwrap_or_else(|_| {
        source.wrong(word.at, format!("`{value}` is not a number"), Some(format!("write `{}:0`", pair(word).0)));
        0
    })
}

fn address(source: &mut Source<'_>, word: &Word, value: &str) -> Option<SocketAddr> {
    let ip = value.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0));
    match ip.or_else(|_| value.parse::<SocketAddr>()) {
        Ok(address) => Some(address),
        Err(_) => {
            let help = Some("write `192.0.2.7` or `192.0.2.7:4711`".to_owned());
            source.wrong(word.at, format!("`{value}` is not an address"), help);
            None
        }
    }
}
